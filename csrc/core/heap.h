/* heap.h - times at which something is due: a binary heap, earliest first, equal times in order of arrival. */
#ifndef ST_HEAP_H
#define ST_HEAP_H

#include "alloc.h"

typedef struct st_due {
  double time; /* seconds */
  uint64_t order;
  void *what;
  uint64_t tag; /* the caller's: tells an entry that does not count any more */
} st_due;

typedef struct st_heap {
  st_alloc alloc;
  st_due *due;
  uint32_t count, cap;
  uint64_t order;
} st_heap;

void st_heap_init(st_heap *h, st_alloc alloc);
void st_heap_free(st_heap *h);
/* 0: no memory, nothing has changed. */
int st_heap_push(st_heap *h, double time, void *what, uint64_t tag);
/* Takes the earliest; the heap must not be empty. */
st_due st_heap_pop(st_heap *h);

#endif
