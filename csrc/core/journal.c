/* journal.c - the list of changes not yet drained. */
#include "journal.h"

#include <string.h>

void st_journal_init(st_journal *j, st_alloc alloc) {
  memset(j, 0, sizeof *j);
  j->alloc = alloc;
  j->first = 1;
}

void st_journal_free(st_journal *j) {
  st_release(&j->alloc, j->change, j->cap * sizeof *j->change);
  j->change = NULL;
  j->head = j->count = j->cap = 0;
}

void st_journal_add(st_journal *j, uint32_t step, uint8_t from, uint8_t to, double time) {
  if (!j->on) return;
  if (j->head + j->count == j->cap && j->head >= j->count && j->head > 0) { /* half of it is free: move to the front */
    memmove(j->change, j->change + j->head, j->count * sizeof *j->change);
    j->head = 0;
  }
  if (j->head + j->count == j->cap) {
    uint32_t cap = j->cap == 0 ? 32 : j->cap * 2;
    st_change *p = cap < j->cap ? NULL : st_resize(&j->alloc, j->change, j->cap * sizeof *p, cap * sizeof *p);
    if (p == NULL) {
      j->lost = 1;
      return;
    }
    j->change = p;
    j->cap = cap;
  }
  st_change *c = &j->change[j->head + j->count++];
  c->time = time;
  c->step = step;
  c->from = from;
  c->to = to;
}

void st_journal_drop(st_journal *j, uint32_t n) {
  j->head += n;
  j->count -= n;
  j->first += n;
  if (j->count > 0) return;
  j->head = 0;
  j->lost = 0;
}
