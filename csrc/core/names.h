/* names.h - a table of interned names: each gets a number, 0, 1, 2, ... in order of arrival. */
#ifndef ST_NAMES_H
#define ST_NAMES_H

#include "alloc.h"

#define ST_NO_NAME UINT32_MAX

/* Invariant: name i is text[offset[i]] .. text[offset[i + 1]]; offset has count + 1 entries once
** there is a name; slot is open addressing, a power of two, at most 2/3 full, each entry 0 or
** number + 1. */
typedef struct st_names {
  st_alloc alloc;
  char *text;
  uint32_t *offset;
  uint32_t *slot;
  uint32_t count, offset_cap;
  uint32_t text_cap;
  uint32_t slots;
} st_names;

void st_names_init(st_names *t, st_alloc alloc);
void st_names_free(st_names *t);

/* Frees what growing left over. */
void st_names_trim(st_names *t);

/* The number of the name, adding it when it is new (*added says so). ST_NO_NAME: no memory, or
** more than 2^32 bytes of names; nothing has changed then. */
uint32_t st_names_add(st_names *t, const char *name, size_t len, int *added);

/* The number of the name, or ST_NO_NAME. */
uint32_t st_names_find(const st_names *t, const char *name, size_t len);

/* The text of a name (not NUL-terminated). */
static inline const char *st_names_get(const st_names *t, uint32_t id, size_t *len) {
  *len = t->offset[id + 1] - t->offset[id];
  return t->text + t->offset[id];
}

#endif
