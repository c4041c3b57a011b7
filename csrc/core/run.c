/* run.c - one execution of a graph. */
#include "run.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define category(state) ((state) < STEP_CUSTOM ? (state) : STEP_CUSTOM)

static inline int is_child(const st_run *r, step_id id) { return id >= r->graph->n; }

static inline uint8_t flags_of(const st_run *r, step_id id) { return r->graph->flags[st_run_origin(r, id)]; }

static inline st_loop *loop_of(const st_run *r, step_id id) {
  return r->loop != NULL && r->loop[id] != 0 ? &r->loops[r->loop[id] - 1] : NULL;
}

/* A state that blocks the run for a person, of an action that has had its tries. */
static inline int is_failed(int state) { return state == STEP_FATAL_ERROR || state == STEP_CLIENT_ERROR; }

/* The children that are not final, nor tolerated. */
static inline uint32_t unfinished(const st_loop *loop) {
  return loop->failed <= loop->allow ? loop->open - loop->failed : loop->open;
}

int st_run_tolerated(const st_run *r, step_id id) {
  if (!is_child(r, id) || !is_failed(r->cell[id].state)) return 0;
  const st_loop *loop = &r->loops[r->cell[id].unmet];
  return loop->failed <= loop->allow;
}

/* ---- birth and death ---- */

void st_run_init(st_run *r, st_alloc alloc, const st_graph *graph) {
  memset(r, 0, sizeof *r);
  r->alloc = alloc;
  r->graph = graph;
  r->run_max = ST_RUN_MAX;
  r->until = r->look = HUGE_VAL;
  st_journal_init(&r->journal, alloc);
}

void st_run_free(st_run *r) {
  const st_alloc *a = &r->alloc;
  st_release(a, r->cell, r->cell_cap * sizeof *r->cell);
  st_release(a, r->last_run, r->cap * sizeof *r->last_run);
  st_release(a, r->queue, r->ring * sizeof *r->queue);
  st_release(a, r->dirty, r->ring * sizeof *r->dirty);
  st_release(a, r->open, r->graph->n * sizeof *r->open);
  st_release(a, r->loop, r->graph->n * sizeof *r->loop);
  st_release(a, r->loops, r->loops_cap * sizeof *r->loops);
  st_release(a, r->extra, r->extra_cap * sizeof *r->extra);
  st_journal_free(&r->journal);
  st_run_init(r, r->alloc, r->graph);
}

/* Makes room for step numbers below `cap`; the rings keep their contents. */
static st_result reserve(st_run *r, uint32_t cap) {
  const st_alloc *a = &r->alloc;
  if (cap <= r->cap) return ST_OK;
  if (cap < r->cap + r->cap / 2) cap = r->cap + r->cap / 2;
  uint32_t ring = r->ring == 0 ? 4 : r->ring;
  while (ring < cap) ring *= 2;
  if (ring > r->ring) {
    uint32_t *queue = st_array(a, ring, sizeof *queue), *dirty = st_array(a, ring, sizeof *dirty);
    if (queue == NULL || dirty == NULL) {
      st_release(a, queue, ring * sizeof *queue);
      st_release(a, dirty, ring * sizeof *dirty);
      return ST_ENOMEM;
    }
    uint32_t n = 0;
    for (uint32_t i = r->head; i != r->tail; i++) queue[n++] = r->queue[i & (r->ring - 1)];
    r->head = 0;
    r->tail = n;
    n = 0;
    for (uint32_t i = r->dirty_head; i != r->dirty_tail; i++) dirty[n++] = r->dirty[i & (r->ring - 1)];
    r->dirty_head = 0;
    r->dirty_tail = n;
    st_release(a, r->queue, r->ring * sizeof *queue);
    st_release(a, r->dirty, r->ring * sizeof *dirty);
    r->queue = queue;
    r->dirty = dirty;
    r->ring = ring;
  }
  if (cap > r->cell_cap) {
    st_cell *cell = st_resize(a, r->cell, r->cell_cap * sizeof *cell, cap * sizeof *cell);
    if (cell == NULL) return ST_ENOMEM;
    r->cell = cell;
    r->cell_cap = cap;
  }
  double *last_run = st_resize(a, r->last_run, r->cap * sizeof *last_run, cap * sizeof *last_run);
  if (last_run == NULL) return ST_ENOMEM;
  r->last_run = last_run;
  r->cap = cap;
  return ST_OK;
}

/* Steps first .. first + count - 1 begin as TODO. */
static void fresh(st_run *r, step_id first, uint32_t count, uint32_t unmet) {
  st_cell cell;
  memset(&cell, 0, sizeof cell);
  cell.unmet = unmet;
  for (step_id i = first; i < first + count; i++) r->cell[i] = cell;
  memset(&r->last_run[first], 0, count * sizeof *r->last_run);
  r->count[STEP_TODO] += count;
}

st_result st_run_setup(st_run *r) {
  uint32_t n = r->graph->n;
  if (n == 0) return ST_OK;
  if (reserve(r, n) != ST_OK) return ST_ENOMEM;
  if (r->graph->tracked) {
    r->open = st_array(&r->alloc, n, sizeof *r->open);
    r->loop = st_array(&r->alloc, n, sizeof *r->loop);
    if (r->open == NULL || r->loop == NULL) return ST_ENOMEM;
    memset(r->loop, 0, n * sizeof *r->loop);
  }
  r->top = n;
  fresh(r, 0, n, 0);
  return ST_OK;
}

/* Counts one more of what is not a try; the counter stays within max_retries (D18). */
static void count_capped(const st_run *r, step_id id, uint32_t *counter) {
  int32_t max = st_graph_max_retries(r->graph, st_run_origin(r, id));
  if (max < 0 ? *counter < UINT32_MAX : *counter < (uint32_t)max) ++*counter;
}

/* ---- availability ---- */

/* A foreach step that has children: may they be collected? (S5.4, S5.5) */
static int contractible(const st_run *r, step_id id, const st_loop *loop) {
  assert(r->open != NULL); /* graphs with foreach steps are tracked */
  if (r->cell[id].flags & CELL_SPENT) return 0;
  switch (r->cell[id].state) {
  case STEP_EXPANDED: return unfinished(loop) == 0 && r->open[id] == 0;
  case STEP_TO_RETRY:
  case STEP_RETRY_NOW: return loop->running == 0;
  default: return 0;
  }
}

/* Whether a step may have its turn by its own state and flags (S2.2, S6.2). */
static inline int eligible(const st_cell *c) {
  if (c->state == STEP_RETRY_NOW) return (c->flags & CELL_SPENT) == 0;
  return st_is_runnable(c->state) && (c->flags & (CELL_EXECUTED | CELL_IDLE | CELL_SPENT)) == 0;
}

/* Whether the dependencies of a step or child are met; a child of a sequence follows the one before it (D15). */
static inline int ready(const st_run *r, step_id id) {
  if (!is_child(r, id)) return r->cell[id].unmet == 0;
  const st_loop *loop = &r->loops[r->cell[id].unmet];
  if (r->cell[loop->parent].unmet != 0) return 0;
  if ((r->graph->flags[loop->parent] & ST_SEQUENCE) == 0 || id == loop->first) return 1;
  return st_is_final(r->cell[id - 1].state) || st_run_tolerated(r, id - 1);
}

int st_run_ready(const st_run *r, step_id id) { return ready(r, id); }

static inline int available(const st_run *r, step_id id) {
  const st_cell *c = &r->cell[id];
  if (!is_child(r, id)) {
    const st_loop *loop = loop_of(r, id);
    if (loop != NULL) return contractible(r, id, loop);
    return ready(r, id) && eligible(c);
  }
  const st_loop *loop = &r->loops[c->unmet];
  return eligible(c) && !loop->dropping && ready(r, id);
}

/* Whether the step stands in the queue for the children after it, too. */
static inline int is_stream(const st_run *r, step_id id) {
  if (!is_child(r, id)) return 0;
  const st_loop *loop = &r->loops[r->cell[id].unmet];
  return loop->streaming && loop->next == id;
}

static inline void enqueue(st_run *r, step_id id) {
  r->cell[id].flags |= CELL_QUEUED;
  r->queue[r->tail++ & (r->ring - 1)] = id;
}

static inline void offer(st_run *r, step_id id) {
  if ((r->cell[id].flags & CELL_QUEUED) != 0 || !available(r, id)) return;
  if (is_child(r, id)) {
    const st_loop *loop = &r->loops[r->cell[id].unmet];
    if (loop->streaming && id >= loop->next) return; /* queued with the one before it */
  }
  enqueue(r, id);
}

static void offer_children(st_run *r, const st_loop *loop) {
  for (uint32_t i = 0; i < loop->count; i++) offer(r, loop->first + i);
}

/* Whether the step at the head of the queue must wait until another child of its loop has ended. */
static inline int full(const st_run *r, step_id id) {
  if (!is_child(r, id)) return 0;
  const st_loop *loop = &r->loops[r->cell[id].unmet];
  return loop->most != 0 && loop->running >= loop->most;
}

/* Takes the child at the head of the queue out of it, untried. */
static void hold(st_run *r) {
  step_id id = r->queue[r->head & (r->ring - 1)];
  st_loop *loop = &r->loops[r->cell[id].unmet];
  r->cell[id].flags &= (uint8_t)~CELL_QUEUED;
  if (is_stream(r, id)) loop->streaming = 0;
  if (id < loop->held) loop->held = id;
  if (++r->head == r->tail) r->head = r->tail = 0;
}

/* Offers children that were held back, the first first, as many as may run now. */
static void refill(st_run *r, st_loop *loop) {
  step_id id = loop->held, end = loop->streaming ? loop->next : loop->first + loop->count;
  for (uint32_t room = loop->most - loop->running; room > 0 && id < end; id++) {
    offer(r, id);
    room -= (r->cell[id].flags & CELL_QUEUED) != 0;
  }
  loop->held = id < end ? id : ST_NO_STEP;
}

static inline int refillable(const st_loop *loop) { return loop->held != ST_NO_STEP && loop->running < loop->most; }

/* A step that is out of the queue is not available after all: it leaves its turn to a sibling that was held back. */
static void drop(st_run *r, step_id id) {
  r->cell[id].flags &= (uint8_t)~CELL_QUEUED;
  if (!is_child(r, id)) return;
  st_loop *loop = &r->loops[r->cell[id].unmet];
  if (refillable(loop)) refill(r, loop);
}

/* ---- change ---- */

static inline void taint(st_run *r, step_id id) {
  if (r->cell[id].flags & CELL_DIRTY) return;
  r->cell[id].flags |= CELL_DIRTY;
  r->dirty[r->dirty_tail++ & (r->ring - 1)] = id;
}

/* The one place where a step's state changes. */
static inline void move(st_run *r, step_id id, int to, double now) {
  st_cell *c = &r->cell[id];
  int from = c->state;
  if (from == to) return;
  r->count[category(from)]--;
  r->count[category(to)]++;
  c->state = (uint8_t)to;
  if (c->flags & CELL_EXTRA) {
    st_extra *x = st_run_extra(r, id);
    x->unbegun = x->awaits = 0;
  }
  st_journal_add(&r->journal, id, (uint8_t)from, (uint8_t)to, now);
  if (is_child(r, id)) {
    st_loop *loop = &r->loops[c->unmet];
    loop->open += (uint32_t)(st_is_final(from) - st_is_final(to));
    loop->running += (uint32_t)((to == STEP_RUNNING) - (from == STEP_RUNNING));
    if (is_failed(from) || is_failed(to)) {
      int too_many = loop->failed > loop->allow;
      loop->failed += (uint32_t)(is_failed(to) - is_failed(from));
      loop->fatal += (uint32_t)((to == STEP_FATAL_ERROR) - (from == STEP_FATAL_ERROR));
      if (too_many && loop->failed <= loop->allow && (r->graph->flags[loop->parent] & ST_SEQUENCE)) loop->released = 1;
    }
  }
}

static inline void change(st_run *r, step_id id, int to, double now) {
  move(r, id, to, now);
  taint(r, id);
}

/* A dependency of the step was met or is not any more. */
static void met(st_run *r, step_id id) {
  if (--r->cell[id].unmet > 0) return;
  offer(r, id);
  const st_loop *loop = loop_of(r, id);
  if (loop != NULL) offer_children(r, loop);
}

static int prunable(const st_run *r, step_id id) {
  return !st_is_final(r->cell[id].state) && r->cell[id].state != STEP_RUNNING; /* D8 */
}

/* S2.3; children have their parent's dependencies. */
static void prune(st_run *r, step_id id, double now) {
  st_cell *c = &r->cell[id];
  if (prunable(r, id)) {
    if (c->seen == STEP_PRUNE) c->seen = c->state; /* it was pruned before, and prunes on once more */
    change(r, id, STEP_PRUNE, now);
  }
  const st_loop *loop = loop_of(r, id);
  if (loop == NULL) return;
  for (uint32_t i = 0; i < loop->count; i++)
    if (prunable(r, loop->first + i)) change(r, loop->first + i, STEP_PRUNE, now);
}

/* Tells the dependents of a step that its state went from `from` to `to`. */
static void spread(st_run *r, step_id id, int from, int to, double now) {
  const st_graph *g = r->graph;
  uint32_t was = st_accept_bit(from), is = st_accept_bit(to);
  int final = st_is_final(to);
  if (was == 0 && !final) return;
  for (uint32_t e = g->out_off[id], end = g->out_off[id + 1]; e < end; e++) {
    uint32_t accept = g->out_accept == NULL ? ST_ACCEPT_DONE : g->out_accept[e];
    step_id d = g->out[e];
    if (accept & ST_ACCEPT_ANY) continue; /* see track */
    if (accept & is) {
      if ((accept & was) == 0) met(r, d);
    } else {
      if (accept & was) r->cell[d].unmet++;
      if (final) prune(r, d, now);
    }
  }
}

/* Whether those after a step of the graph need not wait for it any more. */
static inline int over(const st_run *r, step_id id) {
  if (r->cell[id].flags & CELL_SPENT) return 1;
  const st_loop *loop = loop_of(r, id);
  return st_is_final(r->cell[id].state) && (loop == NULL || unfinished(loop) == 0);
}

/* Keeps CLOSED of a step, and the counters of those that wait for it (S2.2, D2, D9). */
static void track(st_run *r, step_id id) {
  const st_graph *g = r->graph;
  st_cell *c = &r->cell[id];
  int closed = r->open[id] == 0 && over(r, id);
  if (closed == ((c->flags & CELL_CLOSED) != 0)) return;
  c->flags ^= CELL_CLOSED;
  for (uint32_t e = g->out_off[id]; e < g->out_off[id + 1]; e++) {
    step_id d = g->out[e];
    int any = g->out_accept != NULL && (g->out_accept[e] & ST_ACCEPT_ANY) != 0;
    if (closed) {
      if (--r->open[d] == 0) taint(r, d);
      if (any) met(r, d);
    } else {
      if (r->open[d]++ == 0) taint(r, d);
      if (any) r->cell[d].unmet++;
    }
  }
}

/* Puts the queue's places from `start` on into the order of the definition (D1); when more than one step has changed, what
** is not available after all is taken out first. They are nearly always in order; when not, a merge of ascending runs would be faster than this heap
** sort, which needs no memory and cannot degenerate. */
static void order(st_run *r, uint32_t start, int several) {
#define at(i) r->queue[(start + (i)) & (r->ring - 1)]
  uint32_t n = several ? 0 : r->tail - start, i = 1;
  for (uint32_t k = n; k < r->tail - start; k++) {
    step_id id = at(k);
    if (available(r, id) || is_stream(r, id))
      at(n++) = id;
    else
      drop(r, id);
  }
  r->tail = start + n;
  while (i < n && at(i - 1) < at(i)) i++;
  if (i >= n) return;
  for (uint32_t root = n / 2, end = n; end > 1;) {
    step_id x;
    if (root > 0) {
      x = at(--root);
    } else {
      x = at(--end);
      at(end) = at(0);
    }
    uint32_t hole = root;
    for (uint32_t kid; (kid = hole * 2 + 1) < end; hole = kid) {
      if (kid + 1 < end && at(kid) < at(kid + 1)) kid++;
      if (at(kid) <= x) break;
      at(hole) = at(kid);
    }
    at(hole) = x;
  }
#undef at
}

/* Cleaning: keeps SPENT of a step that has changed. A foreach step that has its children is not judged here: see release. */
static void spend(st_run *r, step_id id) {
  st_cell *c = &r->cell[id];
  if ((flags_of(r, id) & ST_ALWAYS) == 0 || (!is_child(r, id) && loop_of(r, id) != NULL)) return;
  int turned = c->state == STEP_CRASHED || ((c->flags & CELL_EXECUTED) != 0 && c->state != STEP_RUNNING);
  c->flags &= (uint8_t)~CELL_SPENT;
  if (turned && !st_is_final(c->state) && c->state != STEP_RETRY_NOW) c->flags |= CELL_SPENT;
}

void st_run_settle(st_run *r, double now) {
  uint32_t start = r->tail, first = r->dirty_head;
  while (r->dirty_head != r->dirty_tail) {
    step_id id = r->dirty[r->dirty_head++ & (r->ring - 1)];
    st_cell *c = &r->cell[id];
    int from = c->seen, to = c->state;
    c->flags &= (uint8_t)~CELL_DIRTY;
    c->seen = c->state;
    if (r->cleaning) spend(r, id);
    if (!is_child(r, id)) {
      if (from != to) spread(r, id, from, to, now);
      st_loop *loop = loop_of(r, id);
      if (loop != NULL && loop->released) {
        loop->released = 0;
        offer_children(r, loop);
      }
      if (r->open != NULL) track(r, id);
    } else {
      st_loop *loop = &r->loops[c->unmet];
      if ((st_is_final(to) || is_failed(to)) && (r->graph->flags[loop->parent] & ST_SEQUENCE)
          && id + 1 < loop->first + loop->count)
        offer(r, id + 1); /* the sequence goes on */
      if (refillable(loop)) refill(r, loop);
      if (unfinished(loop) == 0 || st_is_final(from) || loop->allow != 0 || (loop->dropping && loop->running == 0))
        taint(r, loop->parent);
    }
    if (!st_is_final(to)) offer(r, id);
  }
  int several = r->dirty_head - first > 1;
  r->dirty_head = r->dirty_tail = 0;
  if (r->tail - start > 1 || several) order(r, start, several);
}

/* ---- a resolve ---- */

/* All counters from the states. */
static void recount(st_run *r) {
  const st_graph *g = r->graph;
  for (step_id i = 0; i < r->top; i++) {
    r->cell[i].seen = r->cell[i].state;
    r->cell[i].flags &= r->cleaning ? CELL_EXTRA | CELL_SPENT | CELL_EXECUTED : CELL_EXTRA;
  }
  r->head = r->tail = r->dirty_head = r->dirty_tail = 0;
  for (step_id i = 0; i < g->n; i++) r->cell[i].unmet = g->dep_off[i + 1] - g->dep_off[i];
  for (step_id i = 0; i < g->n; i++) {
    uint32_t is = st_accept_bit(r->cell[i].state);
    if (is == 0) continue;
    for (uint32_t e = g->out_off[i]; e < g->out_off[i + 1]; e++)
      if ((g->out_accept == NULL ? ST_ACCEPT_DONE : g->out_accept[e]) & is) r->cell[g->out[e]].unmet--;
  }
  for (uint32_t s = 0; s < r->loops_count; s++) {
    st_loop *loop = &r->loops[s];
    if (loop->parent == ST_NO_STEP) continue;
    loop->open = loop->running = loop->failed = loop->fatal = 0;
    loop->streaming = 0;
    loop->held = ST_NO_STEP;
    for (step_id i = loop->first; i < loop->first + loop->count; i++) {
      loop->open += !st_is_final(r->cell[i].state);
      loop->running += r->cell[i].state == STEP_RUNNING;
      loop->failed += (uint32_t)is_failed(r->cell[i].state);
      loop->fatal += r->cell[i].state == STEP_FATAL_ERROR;
    }
    loop->dropping = r->cell[loop->parent].state == STEP_TO_RETRY || r->cell[loop->parent].state == STEP_RETRY_NOW;
  }
  if (r->open != NULL) {
    for (step_id i = 0; i < g->n; i++) r->open[i] = g->dep_off[i + 1] - g->dep_off[i];
    for (uint32_t k = 0; k < g->n; k++) { /* in topological order open is complete when its step is reached */
      step_id i = g->order[k];
      if (r->open[i] != 0 || !over(r, i)) continue;
      r->cell[i].flags |= CELL_CLOSED;
      for (uint32_t e = g->out_off[i]; e < g->out_off[i + 1]; e++) {
        r->open[g->out[e]]--;
        if (g->out_accept != NULL && (g->out_accept[e] & ST_ACCEPT_ANY)) r->cell[g->out[e]].unmet--;
      }
    }
  }
  r->counted = 1;
}

int st_run_exists(const st_run *r, step_id id) {
  if (id < r->graph->n) return 1;
  if (id >= r->top) return 0;
  assert(r->loops != NULL); /* the number of a child */
  return r->loops[r->cell[id].unmet].parent != ST_NO_STEP;
}

void st_run_become(st_run *r, step_run_state state, double now) {
  if (r->state == state) return;
  st_journal_add(&r->journal, ST_RUN_ITSELF, r->state, (uint8_t)state, now);
  r->state = (uint8_t)state;
  r->changed = now;
}

/* S6.6, D27. 1 when a person must look. */
static int recover(st_run *r, double now) {
  int blocked = 0;
  if (r->count[STEP_RUNNING] == 0) return 0;
  for (step_id i = 0; i < r->top; i++) {
    if (!st_run_exists(r, i) || r->cell[i].state != STEP_RUNNING) continue;
    int again = (flags_of(r, i) & ST_IDEMPOTENT) != 0;
    st_extra *x = st_run_extra(r, i);
    if (x != NULL) {
      x->pending = ST_NO_STATE;
      if (x->takeovers < UINT8_MAX && !x->unbegun) x->takeovers++;
      again = x->unbegun || (again && x->takeovers < 3);
    }
    move(r, i, again ? STEP_TODO : STEP_CRASHED, now);
    if (!again) blocked = 1;
  }
  return blocked;
}

/* Gives up the children of foreach steps that have nothing left to run, for those that wait for them. 1: some can go on. */
static int release(st_run *r, double now) {
  for (uint32_t s = 0; s < r->loops_count; s++) {
    step_id parent = r->loops[s].parent;
    if (parent == ST_NO_STEP || (r->cell[parent].flags & CELL_SPENT)) continue;
    r->cell[parent].flags |= CELL_SPENT;
    taint(r, parent);
  }
  st_run_settle(r, now);
  return r->head != r->tail;
}

/* From now on the resolve cleans. 0: there is nothing to run. */
static int clean(st_run *r, double now) {
  r->stop = 0;
  r->cleaning = 1;
  r->until = r->look = HUGE_VAL;
  for (step_id i = 0; i < r->top; i++) {
    if (!st_run_exists(r, i)) continue;
    if (flags_of(r, i) & ST_ALWAYS)
      spend(r, i);
    else
      r->cell[i].flags |= CELL_SPENT;
  }
  recount(r);
  for (step_id i = 0; i < r->top; i++)
    if (st_run_exists(r, i)) offer(r, i);
  return r->head != r->tail || release(r, now);
}

/* Whether a run that was begun has something to clean up. */
static int unclean(const st_run *r) {
  if (!r->graph->always || r->run_count == 0) return 0;
  for (step_id i = 0; i < r->graph->n; i++)
    if ((r->graph->flags[i] & ST_ALWAYS) && !st_is_final(r->cell[i].state)) return 1;
  return 0;
}

st_start st_run_begin(st_run *r, int automatic, double now) {
  if (r->deadline == 0 && r->span > 0) r->deadline = now + r->span;
  int late = r->deadline != 0 && now >= r->deadline && !r->cleaning, ending = r->cleaning || late;
  switch (r->state) {
  case STEP_RUN_CANCELLED: return ST_CANCELLED;
  case STEP_RUN_RUNNING: return ST_ALREADY_RUNNING;
  case STEP_RUN_DONE: return ST_ALREADY_DONE;
  case STEP_RUN_BLOCKED_TOCHECK: /* perhaps for outliving too many owners, with what the last one left RUNNING */
  case STEP_RUN_CRASHED:
    if (!recover(r, now) || ending) break;
    st_run_become(r, STEP_RUN_BLOCKED_TOCHECK, now);
    r->counted = 0;
    return ST_TO_CHECK;
  default: break;
  }
  st_run_become(r, STEP_RUN_RUNNING, now);
  r->run_count++;
  r->stop = 0;
  r->automatic = (uint8_t)(automatic != 0);
  r->rechecked = r->firm = 0;
  r->expired |= (uint8_t)late;
  r->until = r->deadline == 0 ? HUGE_VAL : r->deadline;
  r->look = HUGE_VAL;
  for (step_id i = 0; i < r->graph->n && (!automatic || ending); i++) /* a person lets a blocked loop go on */
    if (loop_of(r, i) != NULL && (!ending || (r->graph->flags[i] & ST_ALWAYS)) && r->cell[i].state != STEP_TO_RETRY
        && r->cell[i].state != STEP_RETRY_NOW && st_is_runnable(r->cell[i].state))
      move(r, i, STEP_EXPANDED, now);
  if (ending) {
    for (step_id i = 0; i < r->top; i++) r->cell[i].flags &= CELL_EXTRA;
    clean(r, now);
    return ST_STARTED;
  }
  recount(r);
  for (step_id i = 0; i < r->top; i++) {
    if (!st_run_exists(r, i)) continue;
    if (automatic && !st_run_due(r, i, now)) r->cell[i].flags |= CELL_IDLE;
    offer(r, i);
  }
  if (automatic) st_run_look_again(r, now);
  return ST_STARTED;
}

/* Takes the step at the head of the queue out of it. */
static inline step_id take(st_run *r) {
  step_id id = r->queue[r->head & (r->ring - 1)];
  r->cell[id].flags &= (uint8_t)~CELL_QUEUED;
  if (is_stream(r, id)) {
    st_loop *loop = &r->loops[r->cell[id].unmet];
    if (++loop->next < loop->first + loop->count) { /* those after it keep the place */
      r->queue[r->head & (r->ring - 1)] = loop->next;
      r->cell[loop->next].flags |= CELL_QUEUED;
      return id;
    }
    loop->streaming = 0;
  }
  if (++r->head == r->tail) r->head = r->tail = 0; /* stay where the cache is warm */
  return id;
}

st_work st_run_next(st_run *r, double now, step_id *id, step_id *origin) {
  if (r->stop != 0 || r->state != STEP_RUN_RUNNING) return ST_WORK_NONE;
  if (now >= r->until) {
    st_run_expire(r);
    return ST_WORK_NONE;
  }
  while (r->head != r->tail) {
    if (full(r, r->queue[r->head & (r->ring - 1)])) {
      hold(r);
      continue;
    }
    step_id i = take(r);
    st_cell *c = &r->cell[i];
    if (!available(r, i)) { /* pruned, set or deferred while it waited */
      drop(r, i);
      continue;
    }
    step_id owner = st_run_origin(r, i);
    *id = i;
    *origin = owner;
    int foreach = owner == i && (r->graph->flags[i] & ST_FOREACH) != 0;
    if (foreach && loop_of(r, i) != NULL) return ST_WORK_CONTRACT;
    c->flags = (uint8_t)((c->flags | CELL_EXECUTED) & ~CELL_WOKEN);
    if (c->state == STEP_AFTERRUN_ERROR && !foreach) {
      const st_extra *x = st_run_look(r, i);
      change(r, i, x == NULL ? STEP_DONE : x->ended, now); /* D6 */
      return ST_WORK_CHECK;
    }
    int32_t max = st_graph_max_retries(r->graph, owner);
    if (max >= 0 && c->tries > (uint32_t)max) { /* S4.1 */
      change(r, i, STEP_FATAL_ERROR, now);
      st_run_settle(r, now);
      return ST_WORK_EXHAUSTED;
    }
    if (foreach) return ST_WORK_FOREACH;
    move(r, i, STEP_RUNNING, now);
    return ST_WORK_ACTION;
  }
  return ST_WORK_NONE;
}

/* The action of a step ended in a state, or in the one that was set meanwhile. */
static st_applied conclude(st_run *r, step_id id, st_extra *x, int state, double now) {
  r->last_run[id] = now;
  if (x != NULL) {
    x->next_retry = 0;
    if (x->pending != ST_NO_STATE) {
      int pending = x->pending;
      x->pending = ST_NO_STATE;
      st_run_set(r, id, id, pending, now);
      return ST_OVERRIDDEN;
    }
  }
  change(r, id, state, now);
  return ST_APPLIED;
}

st_applied st_run_outcome(st_run *r, step_id id, int state, int tried, double now) {
  st_cell *c = &r->cell[id];
  if (id >= r->top || c->state != STEP_RUNNING) return ST_STALE;
  uint32_t *counter = NULL;
  st_extra *x = NULL;
  if (state == STEP_WAITING || (state == STEP_TO_RETRY && !tried)) {
    x = st_run_extra(r, id);
    if (x == NULL) return ST_NO_MEMORY;
    counter = state == STEP_WAITING ? &x->waits : &x->starved;
    count_capped(r, id, counter);
  } else if (c->flags & CELL_EXTRA) {
    x = st_run_extra(r, id);
  }
  if (tried && state != STEP_WAITING) {
    c->tries++;
    if (x != NULL) x->expires = 0; /* the next attempt has a time of its own */
  }
  if (state == STEP_WAITING && (c->flags & CELL_WOKEN)) c->flags &= (uint8_t)~CELL_EXECUTED;
  return conclude(r, id, x, state, now);
}

st_applied st_run_stopped(st_run *r, step_id id, double now) {
  if (id >= r->top || r->cell[id].state != STEP_RUNNING) return ST_STALE;
  st_extra *x = r->cell[id].flags & CELL_EXTRA ? st_run_extra(r, id) : NULL;
  return conclude(r, id, x, STEP_TO_RETRY, now);
}

st_applied st_run_done(st_run *r, step_id id, double now) {
  st_cell *c = &r->cell[id];
  if (c->state != STEP_RUNNING || (c->flags & CELL_EXTRA) != 0 || (r->open != NULL && !is_child(r, id))) {
    st_applied applied = st_run_outcome(r, id, STEP_DONE, 1, now);
    if (applied == ST_APPLIED || applied == ST_OVERRIDDEN) st_run_settle(r, now);
    return applied;
  }
  int from = c->seen;
  r->last_run[id] = now;
  c->tries++;
  move(r, id, STEP_DONE, now);
  c->seen = STEP_DONE;
  if (is_child(r, id)) {
    st_loop *loop = &r->loops[c->unmet];
    if ((r->graph->flags[loop->parent] & ST_SEQUENCE) && id + 1 < loop->first + loop->count) offer(r, id + 1);
    if (refillable(loop)) refill(r, loop);
    if (unfinished(loop) == 0 || loop->released) {
      taint(r, loop->parent);
      st_run_settle(r, now);
    }
    return ST_APPLIED;
  }
  uint32_t start = r->tail;
  spread(r, id, from, STEP_DONE, now);
  int pruned = r->dirty_head != r->dirty_tail;
  if (pruned) st_run_settle(r, now);
  if (r->tail - start > 1 || pruned) order(r, start, pruned);
  return ST_APPLIED;
}

int st_run_wake(st_run *r, step_id id) {
  st_cell *c = &r->cell[id];
  if (r->state != STEP_RUN_RUNNING) return 0;
  if (c->state == STEP_RUNNING) {
    c->flags |= CELL_WOKEN;
  } else if (c->state == STEP_WAITING) {
    c->flags &= (uint8_t) ~(CELL_EXECUTED | CELL_IDLE);
    offer(r, id);
    st_extra *x = c->flags & CELL_EXTRA ? st_run_extra(r, id) : NULL;
    if (x == NULL || !x->awaits) return 0;
    x->awaits = 0;
    return 1;
  }
  return 0;
}

st_applied st_run_set(st_run *r, step_id self, step_id id, int state, double now) {
  if (!r->counted) recount(r);
  st_cell *c = &r->cell[id];
  if (c->state == STEP_RUNNING && id != self && r->state == STEP_RUN_RUNNING) {
    st_extra *x = st_run_extra(r, id);
    if (x == NULL) return ST_NO_MEMORY;
    x->pending = (uint8_t)state;
    return ST_DEFERRED;
  }
  if (st_is_final(c->state) && !st_is_final(state))
    c->flags |= CELL_EXECUTED; /* what has ended waits for a later resolve */
  st_loop *loop = is_child(r, id) ? NULL : loop_of(r, id);
  change(r, id, state, now);
  if (loop != NULL) {
    int held = loop->dropping;
    loop->dropping = state == STEP_TO_RETRY || state == STEP_RETRY_NOW;
    loop->released |= held && !loop->dropping;
  }
  return ST_APPLIED;
}

st_applied st_run_afterrun(st_run *r, step_id id, int ended, double now) {
  if (ended != STEP_DONE || (r->cell[id].flags & CELL_EXTRA)) {
    st_extra *x = st_run_extra(r, id);
    if (x == NULL) return ST_NO_MEMORY;
    x->ended = (uint8_t)ended;
  }
  change(r, id, STEP_AFTERRUN_ERROR, now);
  return ST_APPLIED;
}

st_applied st_run_unevaluated(st_run *r, step_id id, double now) {
  st_extra *x = st_run_extra(r, id);
  if (x == NULL) return ST_NO_MEMORY;
  count_capped(r, id, &x->evals);
  r->last_run[id] = now;
  change(r, id, STEP_SERVER_ERROR, now);
  return ST_APPLIED;
}

/* ---- loops ---- */

/* A free slot for a loop; ST_NO_STEP: no memory. */
static uint32_t loop_slot(st_run *r) {
  if (r->free_loop != 0) {
    uint32_t s = r->free_loop - 1;
    r->free_loop = r->loops[s].before;
    return s;
  }
  if (r->loops_count == r->loops_cap) {
    uint32_t cap = r->loops_cap == 0 ? 4 : r->loops_cap * 2;
    st_loop *p = st_resize(&r->alloc, r->loops, r->loops_cap * sizeof *p, cap * sizeof *p);
    if (p == NULL) return ST_NO_STEP;
    r->loops = p;
    r->loops_cap = cap;
  }
  return r->loops_count++;
}

st_result st_run_load_loop(st_run *r, step_id id, uint32_t count, step_id *first) {
  if (count > ST_MAX_STEPS - r->top) return ST_EFULL;
  if (reserve(r, r->top + count) != ST_OK) return ST_ENOMEM;
  uint32_t s = loop_slot(r);
  if (s == ST_NO_STEP) return ST_ENOMEM;
  st_loop *loop = &r->loops[s];
  memset(loop, 0, sizeof *loop);
  loop->parent = id;
  loop->first = *first = r->top;
  loop->count = loop->open = count;
  loop->held = ST_NO_STEP;
  const st_foreach *f = st_graph_foreach_of(r->graph, id);
  if (f != NULL) {
    loop->most = f->most;
    /* a little more than that: 65.1, which is none in binary, of 1000 are 651 */
    double allow = f->percent ? count * f->tolerate / 100 * (1 + 0x1p-50) : f->tolerate;
    loop->allow = allow < count ? (uint32_t)allow : count;
  }
  loop->before = r->last_loop;
  r->last_loop = s + 1;
  r->loop[id] = s + 1;
  r->top += count;
  fresh(r, *first, count, s);
  return ST_OK;
}

st_result st_run_expand(st_run *r, step_id id, uint32_t count, step_id *first, double now) {
  if (count == 0) {
    *first = r->top;
    r->last_run[id] = now;
    change(r, id, STEP_DONE, now);
    st_run_settle(r, now);
    return ST_OK;
  }
  st_result result = st_run_load_loop(r, id, count, first);
  if (result != ST_OK) return result;
  r->last_run[id] = now;
  change(r, id, STEP_EXPANDED, now);
  uint32_t start = r->tail;
  st_loop *loop = loop_of(r, id);
  if ((flags_of(r, id) & ST_SEQUENCE) == 0) {
    loop->streaming = 1;
    loop->next = *first;
    enqueue(r, *first);
  } else {
    offer(r, *first);
  }
  st_run_settle(r, now);
  order(r, start, 1);
  return ST_OK;
}

/* Takes the children of a step out of the run. */
static void remove_loop(st_run *r, step_id id) {
  st_loop *loop = loop_of(r, id);
  int queued = 0;
  for (step_id i = loop->first; i < loop->first + loop->count; i++) {
    r->count[category(r->cell[i].state)]--;
    queued |= r->cell[i].flags & CELL_QUEUED;
    if (r->cell[i].flags & CELL_EXTRA) st_run_drop_extra(r, i);
  }
  if (queued) { /* their numbers may be used again: none must be left in the queue */
    uint32_t keep = r->head;
    for (uint32_t i = r->head; i != r->tail; i++) {
      step_id q = r->queue[i & (r->ring - 1)];
      if (q < loop->first || q >= loop->first + loop->count) r->queue[keep++ & (r->ring - 1)] = q;
    }
    r->tail = keep;
  }
  r->loop[id] = 0;
  loop->parent = ST_NO_STEP;
  while (r->last_loop != 0 && r->loops[r->last_loop - 1].parent == ST_NO_STEP) {
    uint32_t s = r->last_loop - 1;
    r->top = r->loops[s].first;
    r->last_loop = r->loops[s].before;
    r->loops[s].before = r->free_loop;
    r->free_loop = s + 1;
  }
}

void st_run_contract(st_run *r, step_id id, double now) {
  st_cell *c = &r->cell[id];
  remove_loop(r, id);
  r->last_run[id] = now;
  if (c->state == STEP_EXPANDED) {
    change(r, id, STEP_DONE, now);
  } else { /* D11 */
    c->tries++;
    if (c->state == STEP_TO_RETRY) c->flags |= CELL_EXECUTED;
    taint(r, id);
  }
  st_run_settle(r, now);
}

/* ---- the end of a resolve ---- */

/* Ends the run, or the resolve, in a state that was asked for. */
static void end(st_run *r, step_run_state state, double now) {
  r->stop = 0;
  r->next_retry = 0;
  if (state == STEP_RUN_CANCELLED) r->cleaning = r->firm = 0;
  st_run_become(r, state, now);
}

st_ended st_run_end(st_run *r, double now) {
  if (r->stop == STEP_RUN_CANCELLED && r->expired && st_run_verdict(r) == STEP_RUN_DONE) /* late, and yet in time */
    r->stop = r->expired = 0;
  if (r->stop == STEP_RUN_CANCELLED && !r->cleaning && !r->firm && r->graph->always && clean(r, now)) return ST_AGAIN;
  if (r->stop == 0 && r->cleaning) {
    if (release(r, now)) return ST_AGAIN;
    r->stop = STEP_RUN_CANCELLED;
  }
  if (r->stop != 0) {
    end(r, (step_run_state)r->stop, now);
    return ST_ENDED;
  }
  step_run_state state = st_run_verdict(r);
  if (state == STEP_RUN_WAITING && !r->rechecked) { /* S6.3 */
    r->rechecked = 1;
    for (step_id i = 0; i < r->top; i++)
      if (st_run_exists(r, i) && r->cell[i].state == STEP_WAITING) {
        r->cell[i].flags &= (uint8_t)~CELL_EXECUTED;
        offer(r, i);
      }
    if (r->head != r->tail) return ST_AGAIN;
  }
  r->next_retry = 0;
  if ((state == STEP_RUN_ERROR || state == STEP_RUN_CRASHED) && ++r->failed >= r->run_max)
    state = STEP_RUN_BLOCKED_MAXRETRIES; /* D18 */
  if (state == STEP_RUN_ERROR || state == STEP_RUN_CRASHED)
    st_run_plan(r, now);
  else
    st_run_unplan(r, now);
  if (state == STEP_RUN_ERROR || state == STEP_RUN_CRASHED || state == STEP_RUN_WAITING) st_run_expect(r);
  if (state == STEP_RUN_WAITING && r->deadline != 0 && (r->next_retry == 0 || r->deadline < r->next_retry))
    r->next_retry = r->deadline; /* to be cancelled, whoever it waits for */
  st_run_become(r, state, now);
  return ST_ENDED;
}

int st_run_stop(st_run *r, step_run_state state, double now) {
  int cancelled = r->cleaning || r->stop == STEP_RUN_CANCELLED;
  if (r->state == STEP_RUN_RUNNING) {
    if (state == STEP_RUN_CANCELLED) r->firm |= (uint8_t)cancelled;
    if (state == STEP_RUN_TO_AUTORUN ? r->stop == 0 && !r->cleaning : state != STEP_RUN_PAUSED || !cancelled)
      r->stop = (uint8_t)state;
    return 0;
  }
  if (state == STEP_RUN_CANCELLED && !r->cleaning && unclean(r)) {
    r->cleaning = 1;
    return 1;
  }
  end(r, state, now);
  return 0;
}

void st_run_expire(st_run *r) {
  r->until = r->look = HUGE_VAL;
  r->expired = 1;
  if (!r->cleaning) r->stop = STEP_RUN_CANCELLED;
}

/* ---- restoring and rewinding ---- */

void st_run_load(st_run *r, step_id id, int state, uint32_t tries, double last_run) {
  st_cell *c = &r->cell[id];
  r->count[category(c->state)]--;
  r->count[category(state)]++;
  if (is_child(r, id)) r->loops[c->unmet].failed += (uint32_t)(is_failed(state) - is_failed(c->state));
  c->state = (uint8_t)state;
  c->tries = tries;
  r->last_run[id] = last_run;
  r->counted = 0;
}

uint32_t st_run_rewind(st_run *r, step_id from, step_id *ids, double now) {
  const st_graph *g = r->graph;
  uint32_t n = 0;
  if (!r->counted) recount(r);
  for (step_id i = 0; i < r->top; i++) r->cell[i].flags &= (uint8_t)~CELL_EXECUTED;
  ids[n++] = from;
  r->cell[from].flags |= CELL_EXECUTED; /* seen by this walk */
  for (uint32_t k = 0; k < n; k++)
    for (uint32_t e = g->out_off[ids[k]]; e < g->out_off[ids[k] + 1]; e++)
      if ((r->cell[g->out[e]].flags & CELL_EXECUTED) == 0) {
        r->cell[g->out[e]].flags |= CELL_EXECUTED;
        ids[n++] = g->out[e];
      }
  for (uint32_t k = 0; k < n; k++) {
    if (loop_of(r, ids[k]) != NULL) remove_loop(r, ids[k]);
    st_run_drop_extra(r, ids[k]);
    move(r, ids[k], STEP_TODO, now);
    r->cell[ids[k]].tries = 0;
    r->last_run[ids[k]] = 0;
  }
  r->next_retry = 0;
  r->cleaning = r->firm = r->expired = 0;
  if (now >= r->deadline) r->deadline = 0; /* it counts anew */
  recount(r);
  return n;
}
