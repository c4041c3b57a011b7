/* heap.c - times at which something is due. */
#include "heap.h"

#include <string.h>

void st_heap_init(st_heap *h, st_alloc alloc) {
  memset(h, 0, sizeof *h);
  h->alloc = alloc;
}

void st_heap_free(st_heap *h) {
  st_release(&h->alloc, h->due, h->cap * sizeof *h->due);
  st_heap_init(h, h->alloc);
}

static int before(const st_due *a, const st_due *b) {
  return a->time < b->time || (a->time == b->time && a->order < b->order);
}

static void up(st_heap *h, uint32_t i) {
  st_due x = h->due[i];
  for (; i > 0 && before(&x, &h->due[(i - 1) / 2]); i = (i - 1) / 2) h->due[i] = h->due[(i - 1) / 2];
  h->due[i] = x;
}

static void down(st_heap *h, uint32_t i) {
  st_due x = h->due[i];
  for (uint32_t kid; (kid = 2 * i + 1) < h->count; i = kid) {
    if (kid + 1 < h->count && before(&h->due[kid + 1], &h->due[kid])) kid++;
    if (!before(&h->due[kid], &x)) break;
    h->due[i] = h->due[kid];
  }
  h->due[i] = x;
}

int st_heap_push(st_heap *h, double time, void *what, uint64_t tag) {
  if (h->count == h->cap) {
    uint32_t cap = h->cap == 0 ? 8 : h->cap * 2;
    st_due *p = st_resize(&h->alloc, h->due, h->cap * sizeof *p, cap * sizeof *p);
    if (p == NULL) return 0;
    h->due = p;
    h->cap = cap;
  }
  h->due[h->count] = (st_due){ time, h->order++, what, tag };
  up(h, h->count++);
  return 1;
}

st_due st_heap_pop(st_heap *h) {
  st_due first = h->due[0];
  h->due[0] = h->due[--h->count];
  if (h->count > 0) down(h, 0);
  return first;
}
