/* verdict.c - what a resolve comes to: the state of the run, when its failed steps are tried again and those that wait look again. */
#include "run.h"

#include <math.h>

step_run_state st_run_verdict(const st_run *r) {
  uint32_t final = r->count[STEP_DONE] + r->count[STEP_PRUNE] + r->count[STEP_CUSTOM], all = 0;
  uint32_t fatal = r->count[STEP_FATAL_ERROR], failed = fatal + r->count[STEP_CLIENT_ERROR];
  for (int s = 0; s <= STEP_CUSTOM; s++) all += r->count[s];
  for (uint32_t s = 0; s < r->loops_count && failed > 0; s++) { /* those that are tolerated block nothing */
    const st_loop *loop = &r->loops[s];
    if (loop->parent == ST_NO_STEP || loop->failed > loop->allow) continue;
    final += loop->failed;
    failed -= loop->failed;
    fatal -= loop->fatal;
  }
  if (final == all) return STEP_RUN_DONE;
  if (r->count[STEP_RUNNING]) return STEP_RUN_CRASHED;
  if (r->count[STEP_CRASHED]) return STEP_RUN_BLOCKED_TOCHECK; /* D5 */
  if (fatal) return STEP_RUN_BLOCKED_FATAL;
  if (failed) return STEP_RUN_BLOCKED_BADREQUEST;
  if (r->count[STEP_SERVER_ERROR] + r->count[STEP_TO_RETRY] + r->count[STEP_AFTERRUN_ERROR]) return STEP_RUN_ERROR;
  if (r->count[STEP_WAITING]) return STEP_RUN_WAITING;
  return STEP_RUN_BLOCKED_DEADLOCK;
}

/* Something of the step has changed that is no state: who keeps a copy of the run must know. */
static void touch(st_run *r, step_id id, double now) {
  st_journal_add(&r->journal, id, r->cell[id].state, r->cell[id].state, now);
}

int st_run_due(const st_run *r, step_id id, double now) {
  const st_extra *x = st_run_look(r, id);
  switch (r->cell[id].state) {
  case STEP_CLIENT_ERROR:
  case STEP_FATAL_ERROR:
  case STEP_CRASHED: return 0; /* D17 */
  case STEP_SERVER_ERROR:
  case STEP_TO_RETRY:
  case STEP_AFTERRUN_ERROR: return x == NULL || x->next_retry <= now;
  case STEP_WAITING: return x == NULL || !x->awaits || (x->next_retry != 0 && x->next_retry <= now);
  default: return 1;
  }
}

/* Seconds until a step that has failed is tried again. */
static double delay(const st_run *r, step_id id) {
  step_id origin = st_run_origin(r, id);
  uint64_t place = origin == id ? 0 : (uint64_t)(id - st_run_loop(r, origin)->first) + 1;
  /* n counts executed actions, and a foreach step executes none: always its first delay */
  uint32_t tries = origin == id && (r->graph->flags[id] & ST_FOREACH) ? 0 : r->cell[id].tries;
  return st_retry_delay(st_graph_policy_of(r->graph, origin), tries,
                        st_retry_seed(r->seed, (uint64_t)origin << 32 | place));
}

void st_run_plan(st_run *r, double now) {
  double first = 0, first_unready = 0;
  for (step_id i = 0; i < r->top; i++) {
    st_cell *c = &r->cell[i];
    if (!st_run_exists(r, i) || !st_is_retriable(c->state)) continue;
    const st_extra *have = st_run_look(r, i);
    double at = have == NULL ? 0 : have->next_retry;
    if (at <= now || (c->flags & CELL_EXECUTED)) { /* one that is due and could not run is due later */
      at = now + delay(r, i);
      st_extra *x = st_run_extra(r, i);
      if (x != NULL) x->next_retry = at; /* without memory the run's own time still holds */
      touch(r, i, now);
    }
    double *earliest = st_run_ready(r, i) ? &first : &first_unready;
    if (*earliest == 0 || at < *earliest) *earliest = at;
  }
  if (first == 0) first = first_unready;
  r->next_retry = first == 0 ? now : first;
}

static int waits(const st_run *r, const st_extra *x) {
  return x->id != ST_NO_STEP && x->next_retry != 0 && r->cell[x->id].state == STEP_WAITING;
}

void st_run_unplan(st_run *r, double now) {
  for (uint32_t i = 0; i < r->extra_cap; i++) {
    st_extra *x = &r->extra[i];
    if (x->id == ST_NO_STEP || x->next_retry == 0 || waits(r, x)) continue;
    touch(r, x->id, now);
    x->next_retry = 0;
  }
}

void st_run_expect(st_run *r) {
  for (uint32_t i = 0; i < r->extra_cap; i++) {
    const st_extra *x = &r->extra[i];
    if (waits(r, x) && (r->next_retry == 0 || x->next_retry < r->next_retry)) r->next_retry = x->next_retry;
  }
}

void st_run_again(st_run *r, step_id id, double time, double expires) {
  st_extra *x = r->cell[id].state == STEP_WAITING ? st_run_extra(r, id) : NULL;
  if (x == NULL) return;
  x->next_retry = time;
  x->expires = expires;
  if (time > r->last_run[id] && time < r->look && !r->cleaning) r->look = time;
}

void st_run_await(st_run *r, step_id id) {
  st_extra *x = r->cell[id].state == STEP_WAITING && (r->cell[id].flags & CELL_EXECUTED) ? st_run_extra(r, id) : NULL;
  if (x != NULL) x->awaits = 1;
}

void st_run_look_again(st_run *r, double now) {
  r->look = HUGE_VAL;
  for (uint32_t i = 0; i < r->extra_cap; i++) {
    const st_extra *x = &r->extra[i];
    if (!waits(r, x) || x->next_retry <= r->last_run[x->id]) continue; /* that was over: in the next resolve */
    if (x->next_retry <= now)
      st_run_wake(r, x->id);
    else if (x->next_retry < r->look)
      r->look = x->next_retry;
  }
}

double st_run_expires(const st_run *r, step_id id) {
  const st_extra *x = st_run_look(r, id);
  return x == NULL ? 0 : x->expires;
}
