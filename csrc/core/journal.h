/* journal.h - what changed since somebody last looked: the way changes leave the core. */
#ifndef ST_JOURNAL_H
#define ST_JOURNAL_H

#include "alloc.h"

/* One transition; from == to: something else of the step has changed. */
typedef struct st_change {
  double time;   /* as given to the function that caused it */
  uint32_t step; /* or ST_RUN_ITSELF */
  uint8_t from, to;
} st_change;

#define ST_RUN_ITSELF UINT32_MAX

/* Changes are numbered from 1 over the life of the run; st_journal_at(j, 0) is number first. When memory for
** one was missing, `lost` says that the list has a hole: whoever keeps a copy of the run must then
** read all of it. */
typedef struct st_journal {
  st_alloc alloc;
  st_change *change;
  uint32_t head, count, cap; /* change[head .. head + count - 1] */
  uint64_t first;
  uint8_t on, lost;
} st_journal;

void st_journal_init(st_journal *j, st_alloc alloc);
void st_journal_free(st_journal *j);

/* Appends, when the journal is on. Never fails: see `lost`. */
void st_journal_add(st_journal *j, uint32_t step, uint8_t from, uint8_t to, double time);

static inline const st_change *st_journal_at(const st_journal *j, uint32_t i) { return &j->change[j->head + i]; }

/* Forgets the first n changes: in constant time. */
void st_journal_drop(st_journal *j, uint32_t n);

#endif
