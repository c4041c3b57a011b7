/* extra.c - the records that few steps of a run have: a table by step, open addressing. */
#include "run.h"

#include <string.h>

static uint32_t slot_of(const st_run *r, step_id id) {
  uint32_t mask = r->extra_cap - 1, i = (id * 2654435761u) & mask;
  while (r->extra[i].id != id && r->extra[i].id != ST_NO_STEP) i = (i + 1) & mask;
  return i;
}

const st_extra *st_run_look(const st_run *r, step_id id) {
  return (r->cell[id].flags & CELL_EXTRA) ? &r->extra[slot_of(r, id)] : NULL;
}

static int grow(st_run *r) {
  uint32_t cap = r->extra_cap == 0 ? 8 : r->extra_cap * 2, old_cap = r->extra_cap;
  st_extra *old = r->extra, *extra = st_array(&r->alloc, cap, sizeof *extra);
  if (extra == NULL) return 0;
  for (uint32_t i = 0; i < cap; i++) extra[i].id = ST_NO_STEP;
  r->extra = extra;
  r->extra_cap = cap;
  for (uint32_t i = 0; i < old_cap; i++)
    if (old[i].id != ST_NO_STEP) extra[slot_of(r, old[i].id)] = old[i];
  st_release(&r->alloc, old, old_cap * sizeof *old);
  return 1;
}

st_extra *st_run_extra(st_run *r, step_id id) {
  if (r->cell[id].flags & CELL_EXTRA) return &r->extra[slot_of(r, id)];
  if ((r->extra_count + 1) > r->extra_cap / 4 * 3 && !grow(r)) return NULL;
  st_extra *x = &r->extra[slot_of(r, id)];
  memset(x, 0, sizeof *x);
  x->id = id;
  x->ended = STEP_DONE;
  x->pending = ST_NO_STATE;
  r->extra_count++;
  r->cell[id].flags |= CELL_EXTRA;
  return x;
}

int st_run_unbegun(st_run *r, step_id id, int on) {
  if (!on && (r->cell[id].flags & CELL_EXTRA) == 0) return 0;
  st_extra *x = st_run_extra(r, id);
  if (x == NULL || x->unbegun == on) return 0;
  x->unbegun = (uint8_t)on;
  return 1;
}

/* The records behind it that only stood there because of it move up. */
void st_run_drop_extra(st_run *r, step_id id) {
  if ((r->cell[id].flags & CELL_EXTRA) == 0) return;
  uint32_t mask = r->extra_cap - 1, hole = slot_of(r, id);
  for (uint32_t i = (hole + 1) & mask; r->extra[i].id != ST_NO_STEP; i = (i + 1) & mask) {
    uint32_t home = (r->extra[i].id * 2654435761u) & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      r->extra[hole] = r->extra[i];
      hole = i;
    }
  }
  r->extra[hole].id = ST_NO_STEP;
  r->extra_count--;
  r->cell[id].flags &= (uint8_t)~CELL_EXTRA;
}
