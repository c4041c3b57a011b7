/* sound.c - the invariants of a run, worked out anew from its states and compared with what the run keeps. */
#include "run.h"

#include <string.h>

/* Whether those after a step of the graph need not wait for it any more. */
static int over(const st_run *r, step_id id) {
  const st_loop *loop = st_run_loop(r, id);
  if (r->cell[id].flags & CELL_SPENT) return 1;
  if (!st_is_final(r->cell[id].state)) return 0;
  return loop == NULL || loop->open == (loop->failed <= loop->allow ? loop->failed : 0);
}

static int sound_loops(const st_run *r) {
  for (uint32_t s = 0; s < r->loops_count; s++) {
    const st_loop *loop = &r->loops[s];
    if (loop->parent == ST_NO_STEP) continue;
    uint32_t open = 0, running = 0, fatal = 0, client = 0, queued = 0;
    for (step_id i = loop->first; i < loop->first + loop->count; i++) {
      if (i >= r->top || r->cell[i].unmet != s) return 0;
      open += !st_is_final(r->cell[i].state);
      running += r->cell[i].state == STEP_RUNNING;
      fatal += r->cell[i].state == STEP_FATAL_ERROR;
      client += r->cell[i].state == STEP_CLIENT_ERROR;
      queued += (r->cell[i].flags & CELL_QUEUED) != 0;
    }
    if (open != loop->open || running != loop->running || r->loop[loop->parent] != s + 1) return 0;
    if (fatal != loop->fatal || fatal + client != loop->failed) return 0;
    if (loop->most != 0 && (running > loop->most || (loop->held != ST_NO_STEP && running + queued < loop->most)))
      return 0;
  }
  return 1;
}

int st_run_sound(const st_run *r) {
  const st_graph *g = r->graph;
  uint32_t count[STEP_CUSTOM + 1] = { 0 }, queued = 0;
  if (!r->counted) return 1;
  if (r->dirty_head != r->dirty_tail || !sound_loops(r)) return 0;
  for (step_id i = 0; i < r->top; i++) {
    const st_cell *c = &r->cell[i];
    if (!st_run_exists(r, i)) continue;
    count[c->state < STEP_CUSTOM ? c->state : STEP_CUSTOM]++;
    queued += (c->flags & CELL_QUEUED) != 0;
    if (c->seen != c->state && c->state != STEP_RUNNING) return 0;
    if (i >= g->n) continue;
    uint32_t unmet = 0, open = 0;
    for (uint32_t e = g->dep_off[i]; e < g->dep_off[i + 1]; e++) {
      uint32_t accept = g->dep_accept == NULL ? ST_ACCEPT_DONE : g->dep_accept[e];
      const st_cell *t = &r->cell[g->dep[e]];
      int closed = (t->flags & CELL_CLOSED) != 0;
      unmet += accept & ST_ACCEPT_ANY ? !closed : (accept & st_accept_bit(t->state)) == 0;
      open += !closed;
    }
    if (c->unmet != unmet) return 0;
    if (r->open == NULL) continue;
    int closed = open == 0 && over(r, i);
    if (r->open[i] != open || closed != ((c->flags & CELL_CLOSED) != 0)) return 0;
  }
  return memcmp(count, r->count, sizeof count) == 0 && queued == r->tail - r->head;
}
