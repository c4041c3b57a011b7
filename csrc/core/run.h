/* run.h - one execution of a graph: the state of every step, what may start, what the end is.
**
** A run is pulled. Its owner calls, in this order:
**
**   st_run_begin      starts a resolve, or says why not
**     st_run_next     names a step and what is to be done with it
**       ST_WORK_ACTION   it is RUNNING now: evaluate its skip conditions (st_run_set), else execute it,
**                        then report st_run_outcome, then its check conditions (st_run_set)
**       ST_WORK_CHECK    its check conditions only (AFTERRUN_ERROR): st_run_set / st_run_afterrun
**       ST_WORK_FOREACH  evaluate its skip conditions (st_run_set), else st_run_expand
**       ST_WORK_CONTRACT collect the children's results, then st_run_contract
**       ST_WORK_EXHAUSTED it became FATAL_ERROR by S4.1
**     st_run_settle   after all changes of one evaluation: prunes, frees, queues
**   st_run_end        when nothing is queued and nothing RUNNING: the run's state, or ST_AGAIN
**
** Time is an argument, in seconds. The core calls nobody; changes go to the journal.
** After st_run_init only st_run_expand, st_run_load_loop and the few functions that say so can run
** out of memory, and then nothing has changed.
*/
#ifndef ST_RUN_H
#define ST_RUN_H

#include "graph.h"
#include "journal.h"

/* st_cell.flags */
enum {
  CELL_QUEUED = 1,   /* in the ready queue */
  CELL_EXECUTED = 2, /* had its turn in this resolve (S6.2) */
  CELL_IDLE = 4,     /* not due in this resolve (D17) */
  CELL_DIRTY = 8,    /* changed since the last settle */
  CELL_CLOSED = 16,  /* over, and all its ancestors are (S2.2); kept when the graph is tracked */
  CELL_EXTRA = 32,   /* has a record in `extra` */
  CELL_SPENT = 64,   /* cleaning: runs no more, and those after it do not wait for it */
  CELL_WOKEN = 128   /* RUNNING, and what it may wait for has come meanwhile */
};

/* A run that is cancelled is *cleaned*: its ST_ALWAYS steps that have not ended run, one after the other as they depend on each
** other; all other steps are SPENT, and so is an ST_ALWAYS step that had its turn and has not ended. A step is over when it is
** final, its children too, or when it is SPENT.
**
** The part of a step that every change touches. Between settles, for every step s of the graph:
**   seen == state, or s is DIRTY
**   unmet == number of its dependencies that are not met by the targets' `seen` (ANY: by CLOSED)
**   s is QUEUED exactly when it was available at the last settle and has not been taken
** For a child, `unmet` is the number of its loop. Children of a loop that is `streaming` are queued together: the ring
** holds the first of them that has not been taken, and only that one is QUEUED. One whose turn comes while as many of its
** loop are RUNNING as may be leaves the queue without having been taken: see `held` of its loop. */
typedef struct st_cell {
  uint8_t state;
  uint8_t seen; /* the state its dependents have been told of */
  uint8_t flags;
  uint8_t note; /* the owner's own */
  uint32_t unmet;
  uint32_t tries;
} st_cell;

/* What few steps have. */
typedef struct st_extra {
  step_id id;        /* ST_NO_STEP: a free slot */
  double next_retry; /* seconds; 0: none. While WAITING: when it wants to look again */
  double expires;    /* of an attempt that has been WAITING: when its time is over; 0: never, or there is none */
  uint32_t waits;    /* results "not assigned" (D18) */
  uint32_t starved;  /* resources that could not be had */
  uint32_t evals;    /* skip conditions that could not be evaluated */
  uint8_t ended;     /* while AFTERRUN_ERROR: the state the action ended in (D6) */
  uint8_t pending;   /* set by a condition while RUNNING (D8); ST_NO_STATE: none */
  uint8_t takeovers; /* crashes that found it RUNNING (D27); a result between them changes nothing */
  uint8_t unbegun;   /* RUNNING, but its action waits for resources and has not begun (S6.6) */
  uint8_t awaits;    /* WAITING for what is posted to its run: an automatic resolve leaves it alone until it is woken */
} st_extra;

#define ST_NO_STATE 255

/* The children of an expanded foreach step: steps first .. first + count - 1. Between settles:
**   most == 0 or running <= most; while a child is held, those that are RUNNING and those that are QUEUED are together at
**   least `most` */
typedef struct st_loop {
  step_id parent; /* ST_NO_STEP: these numbers are given up but not yet reused, or the slot is free */
  step_id first;
  uint32_t count;
  uint32_t open;    /* children that are not final */
  uint32_t running; /* children that are RUNNING */
  uint32_t failed;  /* children in FATAL_ERROR or CLIENT_ERROR */
  uint32_t fatal;   /* of these, in FATAL_ERROR */
  uint32_t most;    /* children that may be RUNNING at a time; 0: no limit */
  uint32_t allow;   /* children that may fail: as long as no more do they count as final */
  step_id held;     /* no child before it was held back because of `most`; ST_NO_STEP: none at all was */
  uint32_t before;  /* the loop whose numbers come before (slot + 1), 0 none; of a free slot: the next free one */
  uint32_t next;    /* while streaming: the child that stands in the queue, for itself and all after it */
  uint8_t streaming;
  uint8_t dropping; /* the parent is to be retried: no further child starts (S5.5) */
  uint8_t released; /* that was taken back, or failures are tolerated again: the next settle offers the children */
} st_loop;

typedef struct st_run {
  st_alloc alloc;
  const st_graph *graph;
  st_cell *cell;
  double *last_run; /* seconds; 0: never */
  uint32_t cap;     /* of last_run, and what all arrays have room for */
  uint32_t cell_cap;
  step_id top; /* numbers in use: the graph's steps, then children */

  uint32_t *queue, *dirty; /* rings of `ring` places, a power of two, at least cap */
  uint32_t ring;
  uint32_t head, tail;             /* of queue; they only grow */
  uint32_t dirty_head, dirty_tail; /* of dirty */

  uint32_t *open; /* tracked: dependencies of a step whose targets are not CLOSED */
  uint32_t *loop; /* tracked: loop of a foreach step, slot + 1 */
  st_loop *loops;
  uint32_t loops_cap, loops_count; /* slots used so far */
  uint32_t free_loop, last_loop;   /* slot + 1 */

  st_extra *extra; /* open addressing */
  uint32_t extra_cap, extra_count;

  uint32_t count[STEP_CUSTOM + 1]; /* steps in each state */
  uint8_t state;                   /* step_run_state */
  uint8_t stop;                    /* state to end in, asked for while RUNNING; 0: none */
  uint8_t automatic;               /* this resolve was not asked for by a person */
  uint8_t rechecked;               /* S6.3 was applied in this resolve */
  uint8_t counted;                 /* counters are valid */
  uint8_t cleaning;                /* cancelled: the resolve in progress, or the next one, only runs ST_ALWAYS steps */
  uint8_t firm;                    /* cancelled again: not even those */
  uint8_t expired;                 /* it was the deadline */
  uint32_t run_count, failed, run_max;
  double changed;    /* when its state did; 0: not yet */
  double next_retry; /* 0: none */
  double deadline;   /* 0: none, or not known before the first resolve */
  double span;       /* seconds from the first resolve to the deadline; 0: there is none */
  double until;      /* this resolve: the deadline, or HUGE_VAL */
  double look;       /* likewise: no WAITING step wants to look again before; HUGE_VAL: none does */
  uint64_t seed;     /* of the jitter of its retries */
  st_journal journal;
} st_run;

#define ST_RUN_MAX 100

typedef enum st_work {
  ST_WORK_NONE,
  ST_WORK_ACTION,
  ST_WORK_CHECK,
  ST_WORK_FOREACH,
  ST_WORK_CONTRACT,
  ST_WORK_EXHAUSTED
} st_work;

typedef enum st_start { ST_STARTED, ST_CANCELLED, ST_ALREADY_RUNNING, ST_ALREADY_DONE, ST_TO_CHECK } st_start;

typedef enum st_ended { ST_ENDED, ST_AGAIN } st_ended;

typedef enum st_applied {
  ST_APPLIED,
  ST_DEFERRED,   /* the step is RUNNING: when its result arrives (D8) */
  ST_OVERRIDDEN, /* an outcome: the step is in the state set meanwhile */
  ST_STALE,      /* an outcome for a step that is not RUNNING: ignored (S5.7) */
  ST_NO_MEMORY   /* nothing has changed */
} st_applied;

/* Sets an empty run that st_run_free accepts; cannot fail. Takes no reference on the graph: the
** owner keeps it alive. */
void st_run_init(st_run *r, st_alloc alloc, const st_graph *graph);
/* Gives it its steps, all TODO. */
st_result st_run_setup(st_run *r);
void st_run_free(st_run *r);

st_start st_run_begin(st_run *r, int automatic, double now);
/* `origin` is the step of the graph that describes it: itself, or a child's parent. */
st_work st_run_next(st_run *r, double now, step_id *id, step_id *origin);
/* How the action ended: a state of the table. `tried` counts a try. */
st_applied st_run_outcome(st_run *r, step_id id, int state, int tried, double now);
/* The same for an action without conditions that ended DONE, settled at once. */
st_applied st_run_done(st_run *r, step_id id, double now);
/* What a step may wait for has come: it has another turn in this resolve if it is WAITING, or ends so. 1: it awaits nothing any more,
** which is to be stored. */
int st_run_wake(st_run *r, step_id id);
/* A condition of step `self`, or a person (ST_NO_STEP), sets a state. */
st_applied st_run_set(st_run *r, step_id self, step_id id, int state, double now);
/* Evaluating the check conditions failed; the action had ended in `ended`. */
st_applied st_run_afterrun(st_run *r, step_id id, int ended, double now);
/* Evaluating the skip conditions failed. */
st_applied st_run_unevaluated(st_run *r, step_id id, double now);
/* Gives a foreach step its children. count 0: it is DONE. Queues and settles. */
st_result st_run_expand(st_run *r, step_id id, uint32_t count, step_id *first, double now);
/* Removes the children: DONE, or with the state that asked for the retry. Settles. */
void st_run_contract(st_run *r, step_id id, double now);
void st_run_settle(st_run *r, double now);
st_ended st_run_end(st_run *r, double now);

/* The owner stopped the action: neither a try nor a failure, the step is TO_RETRY. */
st_applied st_run_stopped(st_run *r, step_id id, double now);

/* verdict.c. The state that the steps give the run at the end of a resolve (S6.4). */
step_run_state st_run_verdict(const st_run *r);
/* Says when the steps that failed are due (S6.5, D17). The run's time is the earliest of those that can run then; only when
** there is none, of those that wait for others. */
void st_run_plan(st_run *r, double now);
/* No step is due any more, but for those that wait. */
void st_run_unplan(st_run *r, double now);
/* The run's time is no later than that at which a WAITING step wants to look again. */
void st_run_expect(st_run *r);
/* A step that has just become WAITING wants to look again then, whoever comes or not; 0: it does not. Its attempt, however many
** turns that has, is over at `expires`; 0: never. */
void st_run_again(st_run *r, step_id id, double time, double expires);
/* A step that has just become WAITING awaits what is posted to its run, unless it has been woken meanwhile. */
void st_run_await(st_run *r, step_id id);
/* Whether an automatic resolve runs a step that could run. */
int st_run_due(const st_run *r, step_id id, double now);
/* In the resolve in progress: wakes the WAITING steps that want to look again now. */
void st_run_look_again(st_run *r, double now);
/* When the attempt of a step is over that was WAITING before; 0: never, or it was not. */
double st_run_expires(const st_run *r, step_id id);
/* Whether the dependencies of a step are met. */
int st_run_ready(const st_run *r, step_id id);

/* Cancels or pauses: at once, or when the resolve in progress has nothing in flight any more and has been cleaned. A second
** cancel gives up the cleaning; a pause changes nothing any more then. 1: the run is not RUNNING and the next st_run_begin
** cleans it. TO_AUTORUN leaves the rest to others, where nothing else was asked for. */
int st_run_stop(st_run *r, step_run_state state, double now);
/* The deadline has passed in the resolve in progress; st_run_next finds that by itself. */
void st_run_expire(st_run *r);
/* Sets the run's state as it is, for resume, restore and the like. */
void st_run_become(st_run *r, step_run_state state, double now);

/* Restoring: children of a foreach step, all TODO; then the state and tries of each step. */
st_result st_run_load_loop(st_run *r, step_id id, uint32_t count, step_id *first);
void st_run_load(st_run *r, step_id id, int state, uint32_t tries, double last_run);
/* The record of a step, made when it has none; NULL: no memory. */
st_extra *st_run_extra(st_run *r, step_id id);
/* The record of a step or NULL. */
const st_extra *st_run_look(const st_run *r, step_id id);
/* Says that the action of a RUNNING step has not begun, or begins now. 1: that is new; without memory it counts as begun. */
int st_run_unbegun(st_run *r, step_id id, int on);
/* Takes its record away. */
void st_run_drop_extra(st_run *r, step_id id);

/* Makes a step and its descendants TODO, with no tries; ids receives their numbers (room for
** graph->n) and their count is returned. Not while the run is RUNNING. */
uint32_t st_run_rewind(st_run *r, step_id from, step_id *ids, double now);

/* The loop of a foreach step, or NULL. */
static inline const st_loop *st_run_loop(const st_run *r, step_id id) {
  return id < r->graph->n && r->loop != NULL && r->loop[id] != 0 ? &r->loops[r->loop[id] - 1] : NULL;
}

/* Whether a failed child is accepted as it is: it counts as final then (S5.4, S6.4). */
int st_run_tolerated(const st_run *r, step_id id);

/* The foreach step that a child belongs to; the step itself when it is none. */
static inline step_id st_run_origin(const st_run *r, step_id id) {
  return id < r->graph->n ? id : r->loops[r->cell[id].unmet].parent;
}

/* Why the action of a RUNNING step is to be stopped: the state that the run is to end in; 0: it is not. A cancel stops all
** but what cleans up, a pause what has not begun and what can be done again. */
static inline int st_run_stopping(const st_run *r, step_id id, int begun) {
  if (r->stop == 0) return 0;
  uint8_t flags = r->graph->flags[st_run_origin(r, id)];
  if (r->stop == STEP_RUN_PAUSED) return begun && !(flags & ST_IDEMPOTENT) ? 0 : r->stop;
  if (r->stop != STEP_RUN_CANCELLED || ((flags & ST_ALWAYS) && !r->firm)) return 0;
  return r->stop;
}

/* Why it is CANCELLED or is to be: "cancelled", "deadline", or NULL. */
static inline const char *st_run_ending(const st_run *r) {
  if (r->state != STEP_RUN_CANCELLED && r->stop != STEP_RUN_CANCELLED && !r->cleaning) return NULL;
  return r->expired ? "deadline" : "cancelled";
}

/* Whether a step may be started now. */
static inline int st_run_pending(const st_run *r) {
  return r->state == STEP_RUN_RUNNING && r->stop == 0 && r->head != r->tail;
}

/* Whether the number stands for a step now. */
int st_run_exists(const st_run *r, step_id id);

/* Recomputes the counters the slow way and compares: 1 when all is as the invariants say. For
** debug builds and the specs; between settles only. */
int st_run_sound(const st_run *r);

#endif
