/* binding.h - what the files of csrc/lua share. They are the only ones that know both the core and
** Lua; together they are the module `step.core`.
**
** Ownership: a graph, a run and a loop are full userdata; each holds what it needs in user values,
** so the collector orders their deaths. C memory inside them comes from lua_getallocf and is taken
** only after the userdata is anchored; close and __gc share one function that accepts any stage.
*/
#ifndef ST_BINDING_H
#define ST_BINDING_H

#include "../core/cond.h"
#include "../core/heap.h"
#include "../core/run.h"
#include "../core/sem.h"

#include "json.h"

#include <lauxlib.h>
#include <lua.h>

#define ST_GRAPH "step.graph"
#define ST_RUN "step.core.run"
#define ST_LOOP "step.loop"
#define ST_VALUES "step.values.view"
#define ST_STEPS "step.steps"
#define ST_STEP "step.step"
#define ST_CTX "step.context"
#define ST_CHILDREN "step.children"
#define ST_CRUNNER "step.runner"

/* The allocator of this Lua state. */
st_alloc st_lua_alloc(lua_State *L);

/* Seconds since the epoch. */
double st_clock_now(void);

/* Closes a coroutine's pending to-be-closed variables and makes it startable again. */
void st_reset_thread(lua_State *co, lua_State *from);

/* Pushes the text of the value at index i and returns it. A __tostring that throws costs the value its text and nothing
** else; only a lack of memory is raised. */
const char *st_tostring(lua_State *L, int i);

/* What lives in this Lua state, for the specs that look for leaks. */
typedef struct st_live {
  lua_Integer graphs, runs, loops;
} st_live;
st_live *st_live_counters(lua_State *L);

/* ---- graph.c ---- */

/* the binding's flags of a step */
enum {
  ST_PLAIN = ST_HOST,         /* no conditions, hooks, templates: the action is called at once */
  ST_PLAIN_EXEC = ST_HOST * 2 /* ... as exec(step_name, nil, nil, ctx), not as fn(v) */
};

typedef struct st_lua_graph {
  st_graph g;
  uint8_t counted; /* among the living */
  uint8_t driven;  /* LOOP_DRIVE is there */
} st_lua_graph;

enum { GRAPH_CODE = 1, GRAPH_UVS = 1 }; /* user values: what each step does, by number + 1 */

int st_graph_open(lua_State *L);
int st_graph_new(lua_State *L);
st_lua_graph *st_check_graph(lua_State *L, int arg);
/* The retry policy in the table at arg: { initial =, factor =, cap =, jitter = }; what is not there is as in the pattern
** `seconds`. */
st_policy st_check_policy(lua_State *L, int arg);
/* Pushes the name of a step of the graph. */
void st_push_name(lua_State *L, const st_graph *g, step_id id);
/* Pushes the name of a state of a step. */
void st_push_state(lua_State *L, const st_graph *g, step_id origin, int state);

/* What a step does, as lua/step/plan.lua lays it out; a step that is ST_PLAIN and no foreach has just
** its function instead. */
enum {
  PLAN_ACTION = 1,  /* an executor, below */
  PLAN_HOOK,        /* an executor, or nil */
  PLAN_DELAY,       /* seconds, or nil */
  PLAN_SKIP,        /* list of conditions, or nil */
  PLAN_SKIP_PARENT, /* of a foreach step itself */
  PLAN_CHECK,
  PLAN_FOREACH,   /* fn(v) -> list */
  PLAN_SCHEMA,    /* fn(output) -> true or nil, error */
  PLAN_PLAIN,     /* the function of an ST_PLAIN step that is a foreach */
  PLAN_TIMEOUT,   /* seconds for an attempt of the action, or false */
  PLAN_ACQUIRE,   /* seconds to wait for resources, or false: the loop's */
  PLAN_RETRY_WHEN /* fn(v, state, error) -> boolean: whether an action that failed is to be tried again; or nil */
};
enum {
  EXECUTOR_CALL = 1,  /* fn(v), or exec(step_name, base_config, config, ctx), or a C runner */
  EXECUTOR_KIND,      /* "fn" or "exec" */
  EXECUTOR_PREPARE,   /* fn(v) -> base_config, config, formats; or nil */
  EXECUTOR_CONTEXT,   /* fn(step_name, v) -> value; or nil */
  EXECUTOR_RESOURCES, /* list of names, or fn(base_config, config) -> list; or nil */
  EXECUTOR_FINISH     /* fn(v, output, metadata, formats) -> output; or nil */
};
enum {
  CONDITION_IF = 1,  /* fn(v) -> boolean, or false */
  CONDITION_ASSERTS, /* list, or false */
  CONDITION_THEN,    /* {step, state, step, state, ...} */
  CONDITION_FINAL,   /* boolean */
  CONDITION_MESSAGE, /* text, or fn(v) -> text */
  CONDITION_STATES   /* set of state names in which a check condition is evaluated, or false: S3.5's */
};
enum {
  ASSERT_OP = 1, /* name of the operator, in capitals */
  ASSERT_VALUE,  /* text, or fn(v) -> value */
  ASSERT_EXPECTED,
  ASSERT_SEPARATOR, /* text */
  ASSERT_MATCH      /* fn(value, pattern) -> boolean, for REGEXP and NOTREGEXP */
};

/* ---- run.c ---- */

struct st_slot;
struct st_lua_loop;

/* A transition that is not stored yet. */
typedef struct st_unsaved {
  double time;
  uint64_t number;
  step_id step;   /* of the graph, or ST_RUN_ITSELF */
  uint32_t child; /* 0: the step itself; else a child of it, index + 1 */
  uint8_t from, to;
  uint8_t said; /* RUN_MESSAGES holds its message */
} st_unsaved;

typedef struct st_outbox {
  st_unsaved *item;
  uint32_t count, cap;
} st_outbox;

/* Steps that are RUNNING and wait until that is stored, in the order in which their actions are to start. */
typedef struct st_marks {
  step_id *step; /* step[head .. head + count - 1] */
  uint32_t head, count, cap;
  uint32_t stored; /* so many, from the first: their actions may start */
} st_marks;

typedef struct st_lua_run {
  st_run r;
  const st_graph *g;
  struct st_lua_loop *loop;         /* while a resolve is in progress */
  struct st_lua_run *next, *before; /* in the loop's list of active runs */
  uint32_t in_flight;               /* slots that execute its steps */
  uint32_t placed;                  /* of these, those that have a place; and its marks */
  uint32_t max_concurrent;          /* places; 0: no limit */
  uint8_t counted;                  /* among the living */
  uint8_t foreign;                  /* v shows a step and an iterator that the globals hold: step.run */
  uint8_t closed;
  uint8_t ended;     /* the resolve in progress is over */
  uint8_t freed;     /* closed, and nothing executed its steps any more */
  uint8_t reporting; /* its listener is being called */
  uint8_t kept;      /* a store keeps it: no action starts before its RUNNING mark is stored (D26) */
  uint8_t tagged;    /* its tags are not what is stored */
  uint8_t renewing;  /* some of its slots wait for a save */
  uint8_t ending;    /* the resolve is over, which is still to be stored */
  uint64_t events;   /* transitions reported over its life */
  st_outbox box;
  st_marks marks;
  double fresh_until; /* while kept: no action starts later without another save (D27) */
  uint8_t timed;      /* the resolve in progress has a deadline, or a step that wants to look again */
  uint8_t warned;     /* what is in flight has been told that the deadline has passed */
} st_lua_run;

/* user values of a run */
enum {
  RUN_GRAPH = 1, /* its graph */
  RUN_CODE,      /* the graph's code table */
  RUN_OUTPUT,    /* step number + 1 -> value; likewise the next five */
  RUN_METADATA,
  RUN_ERROR,
  RUN_PENDING,  /* message that goes with a state set while RUNNING */
  RUN_ITEMS,    /* of a foreach step: the list */
  RUN_CHILDREN, /* of a foreach step: collected results, a table or ST_CHILDREN */
  RUN_GLOBALS,  /* what v shows beside the steps: input, config, ... */
  RUN_LISTENER, /* fn(step, from, to, message, time, number) or nil */
  RUN_LOOP,     /* the loop, while active */
  RUN_MESSAGES, /* while kept: place in the outbox + 1 -> message */
  RUN_OBJECT,   /* what people hold of it (lua/step/run.lua) */
  RUN_UVS = RUN_OBJECT
};

/* st_cell.note: what the tables hold, and how far the step is stored */
enum {
  NOTE_OUTPUT = 1,
  NOTE_METADATA = 2,
  NOTE_ERROR = 4,
  NOTE_VALUES = 7,
  NOTE_UNSAVED = 8, /* its row is not what is stored */
  NOTE_DRAINED = 16 /* it has been handed to the store in a transaction not yet committed */
};

int st_run_open(lua_State *L);
int st_run_new(lua_State *L);
st_lua_run *st_check_run(lua_State *L, int arg);
/* The step of that name, children included, or ST_NO_STEP. */
step_id st_find_step(const st_lua_run *run, const char *name, size_t len);
/* Pushes the name of any step, children included. */
void st_push_step_name(lua_State *L, const st_lua_run *run, step_id id);
/* Sets or clears (value nil) an entry of a table of results; pops the value. `tables` is the index of
** the run's user value. */
void st_note(lua_State *L, st_lua_run *run, int table, step_id id, uint8_t bit);
/* Pushes what few steps have, a table, and returns 1; 0, nothing pushed, when it has none of it. */
int st_push_extra(lua_State *L, const st_lua_run *run, int arg, step_id id);
/* Hands what the journal holds to the outbox and to the listener. `run` is at index arg. */
void st_report(lua_State *L, st_lua_run *run, int arg);
/* Moves the results of a foreach step's children into one value of RUN_CHILDREN. `run` is at arg. */
void st_collect(lua_State *L, st_lua_run *run, int arg, step_id parent);
/* Frees what is not the collector's, once nothing executes its steps. */
void st_run_shut(st_lua_run *run);

/* ---- persist.c: what is still to be stored ---- */

void st_persist_open(lua_State *L);

/* interrupt.c: functions of the module */
int st_interrupt_watch(lua_State *L);
int st_interrupt_asked(lua_State *L);
/* A transition of a kept run: number `number` of its life. `run` is at index arg. */
void st_persist_note(lua_State *L, st_lua_run *run, int arg, const st_change *c, uint64_t number);
void st_persist_free(lua_State *L, st_lua_run *run);
/* Methods of a run: changes, saved, keep. */
int st_persist_changes(lua_State *L);
int st_persist_saved(lua_State *L);
int st_persist_keep(lua_State *L);

/* ---- view.c ---- */

int st_view_open(lua_State *L);
/* Pushes the view of all steps, by name. The run is at index `run`. */
void st_push_steps(lua_State *L, int run);
/* Pushes the view of a step by number. The run is at index `run`. */
void st_push_step(lua_State *L, int run, step_id id);
/* Pushes the children of a foreach step: a table, or nil. */
void st_push_children(lua_State *L, int run, step_id id);
/* Pushes a new, unbound v. */
void st_new_values(lua_State *L);
/* Binds the v at index v to a step of the run at index run. Cannot fail. */
void st_values_bind(lua_State *L, int v, int run, step_id id);

typedef struct st_values {
  st_lua_run *run;
  step_id id;
} st_values;
enum { VALUES_RUN = 1, VALUES_STEPS, VALUES_HOOK, VALUES_UVS = VALUES_HOOK };

/* The collected results of a foreach step, until somebody wants them as a table. */
typedef struct st_children {
  step_id parent;
  uint32_t count;
  uint8_t state[];
} st_children;
enum { CHILDREN_ITEMS = 1, CHILDREN_OUTPUT, CHILDREN_METADATA, CHILDREN_ERROR, CHILDREN_UVS = CHILDREN_ERROR };

/* ---- condition.c ---- */

/* Applies a state: the step's name, the state's name and the message are the three values at the top
** of the stack; leaves them there. */
typedef void (*st_apply)(lua_State *L, void *ud);

/* Evaluates a list of conditions (PreRun, AfterRun: S3.3 to S3.5): 0 none held, 1 some did, -1 one could
** not be evaluated: the text is pushed. `ended` is the state that check conditions are judged by, or
** NULL for skip conditions. */
int st_conditions(lua_State *L, int list, int v, const char *ended, st_apply apply, void *ud);

/* core.conditions(list, v, ended or nil, set) -> held or nil, error: the same for a set of values. */
int st_exec_conditions(lua_State *L);

/* ---- exec.c ---- */

/* The body of a slot's coroutine. */
int st_exec_body(lua_State *L);
/* Whether the slot is where an action or a pre_hook is at work. */
int st_exec_acting(const struct st_slot *slot);

/* ---- loop.c ---- */

enum { ST_PHASE_START = 0, ST_PHASE_BROKEN = 255 }; /* of the phases of exec.c the loop knows these */

/* why an attempt is stopped */
typedef enum st_stop { ST_NOT_STOPPED, ST_TIMED_OUT, ST_STOP_CANCELLED, ST_STOP_PAUSED, ST_STOP_DEADLINE } st_stop;

/* What was on a coroutine before our count hook. */
typedef struct st_hook {
  lua_Hook f;
  int mask, count;
} st_hook;

typedef struct st_slot {
  struct st_lua_loop *loop;
  st_alloc alloc;
  struct st_slot *next;  /* in the list of idle or of ready slots */
  struct st_slot *older; /* in the list of all slots */
  lua_State *co;
  st_values *values; /* the v of its coroutine */
  st_lua_run *run;   /* NULL: idle */
  step_id id;
  step_id plain;  /* the step whose plain function exec.c has at hand, or ST_NO_STEP */
  uint8_t phase;  /* exec.c */
  uint8_t broken; /* the phase in which an error was thrown */
  uint8_t hook;   /* the executor at work is the pre_hook */
  uint8_t hooked; /* v shows the result of a pre_hook */
  uint8_t ended;  /* the state the action ended in */
  uint8_t tried;
  uint8_t awaiting; /* has yielded properly, or is about to */
  uint8_t woken;    /* what it waits for has come */
  uint8_t timed_out;
  uint8_t running;    /* its coroutine is on the C stack */
  uint8_t outside;    /* a process or a thread owes it a result: counted in the loop's */
  uint8_t renewing;   /* waits for the lease of its run to be fresh again */
  uint8_t placed;     /* counts against max_concurrent */
  uint8_t granted;    /* has its resources, waits for a place */
  uint8_t stopped;    /* st_stop; until the attempt has ended */
  uint8_t raised;     /* how often the action was told so by an error */
  uint8_t catchable;  /* it waits in ctx:sleep or the like, which can throw */
  uint8_t guarded;    /* its coroutine has our count hook */
  uint8_t cut;        /* the hook made it yield, to be stopped */
  uint8_t closing;    /* its closing variables are at work: 1, and more the longer it takes */
  uint8_t spoiled;    /* an error left the hook: Lua calls no hook on that coroutine any more */
  uint32_t ticket;    /* changes whenever an old resume function must not count any more */
  uint64_t timer;     /* tag of the timer it waits for; 0: none */
  double limit;       /* the time at which the attempt is over, or its last look; 0: none */
  double expires;     /* the time at which the attempt is over, its turns together; 0: none */
  double span;        /* seconds it was given */
  double limit_due;   /* time of the entry in the loop's timers that watches the limit */
  uint64_t limit_tag; /* tag of that entry; 0: there is none */
  st_hook hook_before;
  double again;    /* of an action that ends WAITING: when it wants to look again; 0: when it is told */
  uint8_t awaits;  /* likewise: what it waits for is posted to its run */
  step_call *call; /* a C runner's call whose result it waits for */
  st_claim claim;
  uint32_t claim_cap;
} st_slot;

/* user values of a slot */
enum {
  SLOT_THREAD = 1,
  SLOT_VALUE, /* an error on its way, or what resume was given */
  SLOT_CTX,
  SLOT_CONTEXT, /* the runner's context value */
  SLOT_FORMATS, /* templated output formats, kept for an action that throws */
  SLOT_VALUES,  /* its v */
  SLOT_LOOP,    /* resume functions keep a slot, a slot keeps its loop */
  SLOT_UVS = SLOT_LOOP
};

/* The runs that have a resolve in progress; see active.c. */
typedef struct st_active {
  st_lua_run *first, *last;
  st_lua_run *at;        /* of the latest walk; NULL: it has left, or the walk is over */
  st_lua_run *following; /* what came after it when it left */
  uint32_t walk;         /* which one is under way */
} st_active;

typedef struct st_lua_loop {
  st_alloc alloc;
  st_heap timers;
  st_sems sems;
  st_slot *slots; /* all; LOOP_SLOTS holds them */
  st_slot *idle;
  st_slot *ready, *ready_last;
  st_slot *renewing;               /* who waits for a lease to be fresh again, the latest first */
  st_slot *granted, *granted_last; /* who has its resources and waits for a place */
  uint32_t ready_count;
  uint32_t marked; /* steps in the marks of its runs */
  st_active active;
  struct st_mail *mail;
  struct st_stage *stage;
  double acquire_timeout;
  uint32_t max_concurrent; /* places; 0: no limit */
  uint32_t in_flight;      /* slots and marks that have a place */
  uint32_t outside;        /* slots that wait for what another event loop brings */
  uint32_t deadlines;      /* active runs that have one */
  uint8_t custom_clock;
  uint8_t failed; /* LOOP_FAILURE is to be raised at the end of the turn */
  uint8_t closed;
  uint8_t counted; /* among the living */
  uint8_t driven;  /* LOOP_DRIVE is there */
  uint64_t timer_tags;
  double time;     /* as last read */
  uint64_t coarse; /* nanoseconds of the coarse clock when last read */
  double tick_at;  /* when LOOP_TICK is to be called, while a run is active */
} st_lua_loop;

enum {
  LOOP_SLOTS = 1,
  LOOP_CLOCK,
  LOOP_WAIT,
  LOOP_FAILURE,
  LOOP_SAVE, /* fn(list of runs): stores what is unsaved; closes the runs that it could not store */
  LOOP_TICK, /* fn() -> seconds until the next call: renews leases, looks for what others ask */
  LOOP_DRIVE, /* fn() -> descriptor, milliseconds: lets another event loop do what it can now; nothing while that is at work itself */
  LOOP_SHUT, /* fn(): the loop is closed, ends what is still at work outside */
  LOOP_UVS = LOOP_SHUT
};

int st_loop_open(lua_State *L);
int st_loop_new(lua_State *L);
/* Gives up what the run's waiting coroutines do. For a run that is closed or whose turn failed. */
void st_loop_abandon(lua_State *L, st_lua_loop *loop, st_lua_run *run);
/* The time; with a clock written in Lua it is called. */
double st_loop_now(lua_State *L, st_lua_loop *loop);
/* Brings loop->time up to date, to the millisecond or so unless it must be precise. */
void st_loop_tick(lua_State *L, st_lua_loop *loop, int precise);
/* Makes a slot go on at the next turn. Safe to call twice. */
void st_loop_wake(st_slot *slot);
/* Wakes a slot with the table { n =, ... } at the top of the stack (popped). */
void st_loop_give(lua_State *L, st_slot *slot);
/* Yields until st_loop_wake; `k` continues. */
int st_loop_wait(lua_State *L, st_slot *slot, lua_KFunction k);
/* Whether the slot's action may start: always, but in a kept run only while its lease is fresh. */
int st_loop_fresh(lua_State *L, st_slot *slot);
/* Yields until the run has been saved and its lease prolonged; `k` continues. */
int st_loop_renew(lua_State *L, st_slot *slot, lua_KFunction k);

/* Pushes the userdata of a slot. */
void st_push_slot(lua_State *L, const st_slot *slot);
/* Pushes the userdata of the slot whose coroutine this is, or nil. */
void st_push_slot_at(lua_State *L, const lua_State *co);
/* Pushes the run of the slot whose userdata is at the top, from its v. */
void st_push_slot_run(lua_State *L);

/* ---- mark.c: what waits for its RUNNING mark to be stored ---- */

enum { ST_MARKS = 1024 }; /* of a loop at a time: so many go into one transaction */

/* The step of the slot, which has a place, waits from now on; the slot is free for another, but has no place any more. Raises
** when there is no memory. */
void st_mark_add(lua_State *L, st_slot *slot);
/* Gives the slot the first step, whose mark is stored, with its place. */
void st_mark_take(st_slot *slot);
/* Whether a save is wanted for the marks of the run. What its journal holds is not handed to a save yet: a listener is at work. */
int st_mark_unsaved(const st_lua_run *run);
/* All that was handed to the store is stored. */
void st_mark_saved(st_lua_run *run);
/* Nothing that waits will start any more. */
void st_mark_abandon(st_lua_loop *loop, st_lua_run *run);
void st_mark_free(lua_State *L, st_lua_run *run);

/* ---- active.c ---- */

/* The run, which is not active, is the last of those that are. */
void st_active_add(st_lua_loop *loop, st_lua_run *run);
void st_active_remove(st_lua_loop *loop, st_lua_run *run);
/* The first, to begin a walk with that ends at NULL; then the next, whatever has come and gone since. Those that come are visited,
** and none twice unless another walk has interrupted this one. */
st_lua_run *st_active_first(st_lua_loop *loop, uint32_t *walk);
st_lua_run *st_active_next(st_lua_loop *loop, uint32_t *walk);

/* ---- place.c ---- */

/* Whether a step of the run may be put to work. */
int st_place_free(const st_lua_loop *loop, const st_lua_run *run);
/* The slot takes a place that is free. */
void st_place_enter(st_slot *slot);
/* It gives its place up, when it has one. */
void st_place_leave(st_slot *slot);
/* So many places that slots of the run have left to its marks are free. */
void st_place_return(st_lua_loop *loop, st_lua_run *run, uint32_t count);
/* It does not wait for a place any more. */
void st_place_renounce(st_slot *slot);
/* st_place_keep, when that is not clear. */
int st_place_still(st_slot *slot);
/* Whether the slot, which has ended a step, may take another: nobody waits for its place, or it gets one. */
static inline int st_place_keep(st_slot *slot) {
  return (slot->placed && slot->loop->granted == NULL) || st_place_still(slot);
}
/* Takes the resources whose names are in the list at the top of the stack (popped; at ST_NEVER replaced by
** the name that is never available). ST_WAITS: the slot has lost its place; st_loop_wake when the resources and a place are
** there, or the seconds are over; negative: the loop's. */
st_grant st_place_acquire(lua_State *L, st_slot *slot, double seconds);
/* What the slot took resources for starts now (see core/sem.h). */
void st_place_use(lua_State *L, st_slot *slot);
/* Gives the slot's resources back and wakes who can go on. */
void st_place_release(st_slot *slot);
/* Wakes those whose resources have come with time. */
void st_place_tick(lua_State *L, st_lua_loop *loop);

/* ---- ctx.c ---- */

enum { CTX_SLOT = 1, CTX_UVS = CTX_SLOT }; /* user values of a ctx */

void st_ctx_open(lua_State *L);
/* core.here() -> the ctx of the action whose coroutine is running, or nothing */
int st_ctx_here(lua_State *L);
/* core.loop_of(ctx) -> loop */
int st_ctx_loop(lua_State *L);
/* core.await_outside(ctx, begin): ctx:await for what LOOP_DRIVE brings. */
int st_ctx_await_outside(lua_State *L);

/* ---- outside.c: another event loop beside this one ---- */

/* Where its events are seen, and when it is to be driven at the latest, in milliseconds (-1: there is no such time). */
typedef struct st_events {
  int fd; /* -1: it cannot be waited for here */
  int within;
} st_events;

/* core.load_apart(module) */
int st_outside_load(lua_State *L);
/* loop:outside(drive, shut) */
int st_outside_set(lua_State *L);
/* Calls LOOP_DRIVE. */
st_events st_outside_drive(lua_State *L, st_lua_loop *loop, int loop_at);
/* Waits for an event, a message from another thread, or the seconds (negative: no such bound); or a signal. */
void st_outside_wait(st_lua_loop *loop, st_events events, double seconds);
/* Calls LOOP_SHUT, the last thing the loop asks for. */
void st_outside_shut(lua_State *L, st_lua_loop *loop, int loop_at);

/* ---- timer.c ---- */

/* Calls st_loop_wake at the time; raises when there is no memory. */
void st_loop_timer(lua_State *L, st_slot *slot, double time);
/* The attempt that begins now is over in so many seconds; 0 takes the limit away. Raises when there is no memory. */
void st_loop_limit(lua_State *L, st_slot *slot, double seconds);
/* When something is due by itself: the earliest timer, deadline or resource; HUGE_VAL: nothing is. */
double st_timers_due(st_lua_loop *loop);
/* Does what is due. */
void st_timers_fire(lua_State *L, st_lua_loop *loop);

/* ---- stop.c ---- */

/* Errors that an action may catch: its handlers and closing variables have had their time then. */
enum { ST_RAISE_MOST = 50 };

/* The slot at work in this Lua state. */
typedef struct st_stage {
  st_slot *slot;
} st_stage;
st_stage *st_stop_stage(lua_State *L);
/* Why what the slot does is to be stopped by the state of its run. */
st_stop st_stop_of(const st_slot *slot);
/* The time at which the slot's attempt is over, HUGE_VAL: none. */
double st_stop_time(const st_slot *slot);
/* Pushes the error that tells an action why it is stopped. */
void st_push_stop(lua_State *L, const st_slot *slot);
/* Puts the hook on the slot's coroutine, or takes it off: what somebody else had there comes back. */
void st_guard(st_slot *slot, int on);
/* Takes it off a new coroutine, which inherits it from an action. */
void st_guard_forget(lua_State *co);
/* Ends what a slot waits for. A result that has come is not taken away. Calls nobody: the slot goes on, and sees it, in the next
** turn. */
void st_stop_waiting(st_slot *slot, st_stop why);
/* The same for all slots of a run that is being cancelled or paused. */
void st_stop_run(st_lua_run *run);
/* The same for a slot that has yielded and was to be stopped while it was at work. */
void st_stop_late(st_slot *slot);
/* Whether a stopped slot is to be unwound, not resumed. An action may catch a cancel or a pause, to clean up, but not for ever. */
int st_stop_unwinds(const st_slot *slot);

/* ---- mail.c: what other threads tell the loop ---- */

typedef struct st_mail st_mail;

void st_mail_open(lua_State *L);
/* NULL: no memory. */
st_mail *st_mail_new(void);
/* The loop is gone; threads may still hold the mail. */
void st_mail_close(st_mail *mail);
/* Hands the results that came to their slots. Returns how many. */
int st_mail_deliver(lua_State *L, st_mail *mail);
/* Waits until something comes or the seconds are over (negative: for ever). */
void st_mail_wait(st_mail *mail, double seconds);
/* A descriptor that can be read when something has come; -1: the system gives none. */
int st_mail_fd(st_mail *mail);
/* Whether a runner of another thread owes a result. */
int st_mail_expected(st_mail *mail);
/* Opens a call for the slot: pass it to a runner; its result wakes the slot. Raises without memory. */
step_call *st_mail_call(lua_State *L, st_slot *slot);
/* Pushes the error object { kind =, message = }; the message is at the top and is popped. */
void st_push_error(lua_State *L, const char *kind);
/* Nobody waits for the slot's call any more; its runner is told when it asks. */
void st_mail_give_up(st_slot *slot);
extern const step_host st_mail_host;

/* ---- runner.c: runners written in C ---- */

int st_runner_open(lua_State *L);
/* Calls a C runner's exec: it is at `runner`, the step's name, base_config, config and context at the four
** indices after it. Then the slot must wait. */
void st_runner_exec(lua_State *L, st_slot *slot, int runner);

/* ---- random.c ---- */

int st_random(lua_State *L);
int st_uuid(lua_State *L);

#endif
