/* names.c - a table of interned names. */
#include "names.h"

#include <string.h>

void st_names_init(st_names *t, st_alloc alloc) {
  memset(t, 0, sizeof *t);
  t->alloc = alloc;
}

void st_names_free(st_names *t) {
  st_release(&t->alloc, t->text, t->text_cap);
  st_release(&t->alloc, t->offset, t->offset_cap * sizeof *t->offset);
  st_release(&t->alloc, t->slot, t->slots * sizeof *t->slot);
  st_names_init(t, t->alloc);
}

void st_names_trim(st_names *t) {
  if (t->count == 0) return;
  uint32_t used = t->offset[t->count];
  char *text = used == 0 ? NULL : st_resize(&t->alloc, t->text, t->text_cap, used);
  if (text != NULL) {
    t->text = text;
    t->text_cap = used;
  }
  uint32_t *offset =
    st_resize(&t->alloc, t->offset, t->offset_cap * sizeof *offset, ((size_t)t->count + 1) * sizeof *offset);
  if (offset != NULL) {
    t->offset = offset;
    t->offset_cap = t->count + 1;
  }
}

static uint32_t hash(const char *name, size_t len) {
  uint32_t h = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < len; i++) h = (h ^ (unsigned char)name[i]) * 16777619u;
  return h ^ (h >> 15);
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t probe(const st_names *t, const char *name, size_t len) {
  uint32_t mask = t->slots - 1;
  for (uint32_t i = hash(name, len) & mask;; i = (i + 1) & mask) {
    if (t->slot[i] == 0) return i;
    size_t have;
    const char *text = st_names_get(t, t->slot[i] - 1, &have);
    if (have == len && memcmp(text, name, len) == 0) return i;
  }
}

static int grow_slots(st_names *t) {
  uint32_t slots = t->slots == 0 ? 8 : t->slots * 2;
  uint32_t *slot = st_array(&t->alloc, slots, sizeof *slot);
  if (slot == NULL) return 0;
  memset(slot, 0, slots * sizeof *slot);
  st_release(&t->alloc, t->slot, t->slots * sizeof *t->slot);
  t->slot = slot;
  t->slots = slots;
  for (uint32_t i = 0; i < t->count; i++) {
    size_t len;
    const char *text = st_names_get(t, i, &len);
    t->slot[probe(t, text, len)] = i + 1;
  }
  return 1;
}

uint32_t st_names_find(const st_names *t, const char *name, size_t len) {
  if (t->slots == 0) return ST_NO_NAME;
  return t->slot[probe(t, name, len)] - 1; /* a free slot is 0: ST_NO_NAME */
}

uint32_t st_names_add(st_names *t, const char *name, size_t len, int *added) {
  *added = 0;
  if ((t->count + 1) > t->slots / 3 * 2 && !grow_slots(t)) return ST_NO_NAME;
  uint32_t at = probe(t, name, len);
  if (t->slot[at] != 0) return t->slot[at] - 1;
  uint32_t used = t->count == 0 ? 0 : t->offset[t->count];
  if (len > UINT32_MAX / 2 - used) return ST_NO_NAME;
  if (used + len > t->text_cap || t->text == NULL) {
    uint32_t cap = t->text_cap < 32 ? 64 : t->text_cap + t->text_cap / 2;
    if (cap < used + len) cap = used + (uint32_t)len;
    char *text = st_resize(&t->alloc, t->text, t->text_cap, cap);
    if (text == NULL) return ST_NO_NAME;
    t->text = text;
    t->text_cap = cap;
  }
  if (t->count + 2 > t->offset_cap) {
    uint32_t cap = t->offset_cap < 8 ? 16 : t->offset_cap + t->offset_cap / 2;
    uint32_t *offset = st_resize(&t->alloc, t->offset, t->offset_cap * sizeof *offset, cap * sizeof *offset);
    if (offset == NULL) return ST_NO_NAME;
    t->offset = offset;
    t->offset_cap = cap;
  }
  if (len > 0) memcpy(t->text + used, name, len);
  t->offset[t->count] = used;
  t->offset[t->count + 1] = used + (uint32_t)len;
  t->slot[at] = ++t->count;
  *added = 1;
  return t->count - 1;
}
