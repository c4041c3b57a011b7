/* loop.c - the loop: coroutines in which actions run, what they wait for, and the resolves in progress.
**
** A slot is a coroutine and what belongs to it. Its life: idle -> at work (its coroutine is on the C
** stack, `running`) -> idle again when the run has nothing to do, or waiting (it has yielded) -> ready
** (what it waits for has come) -> at work. Slots are made when needed and kept. The loop's user value
** LOOP_SLOTS holds all of them; a weak table in the registry finds a slot's userdata by its address.
*/
#define _POSIX_C_SOURCE 200809L

#include "binding.h"

#include <math.h>
#include <string.h>
#include <time.h>

enum { TURN_STACK = 64 };  /* what a turn needs at most beside that */
enum { START_VALUES = 9 }; /* what exec.c's body finds on its stack */

enum { MOST_IN_PERIOD = 1000000 }; /* of a rate: as many times are kept */

static const double OFTEN = 0.05; /* seconds */

static const char slot_key = 0; /* registry: weak table, address of a slot or of its coroutine -> userdata */

double st_clock_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void st_push_slot(lua_State *L, const st_slot *slot) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
  lua_rawgetp(L, -1, slot);
  lua_replace(L, -2);
}

/* The userdata of a slot by its coroutine, or nil. */
void st_push_slot_at(lua_State *L, const lua_State *co) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
  lua_rawgetp(L, -1, co);
  lua_replace(L, -2);
}

/* The userdata of a loop, from a coroutine of one of its slots. */
static void push_loop(lua_State *L, const st_lua_loop *loop) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
  lua_rawgetp(L, -1, loop);
  lua_replace(L, -2);
}

static st_lua_loop *check_loop(lua_State *L, int arg) {
  st_lua_loop *loop = luaL_checkudata(L, arg, ST_LOOP);
  push_loop(L, loop);
  int alive = lua_touserdata(L, -1) == loop; /* else a finalizer calls, and the loop is garbage too */
  lua_pop(L, 1);
  luaL_argcheck(L, alive && !loop->closed, arg, "the loop is closed");
  return loop;
}

double st_loop_now(lua_State *L, st_lua_loop *loop) {
  if (!loop->custom_clock) return loop->time = st_clock_now();
  push_loop(L, loop);
  lua_getiuservalue(L, -1, LOOP_CLOCK);
  lua_call(L, 0, 1);
  double time = lua_tonumber(L, -1);
  if (!lua_isnumber(L, -1) || !(fabs(time) < HUGE_VAL)) luaL_error(L, "the clock returned no time");
  loop->time = time;
  lua_pop(L, 2);
  return loop->time;
}

void st_loop_tick(lua_State *L, st_lua_loop *loop, int precise) {
  if (precise || loop->custom_clock) {
    st_loop_now(L, loop);
    return;
  }
#ifdef CLOCK_REALTIME_COARSE /* a few milliseconds coarse, and several times cheaper */
  struct timespec t;
  clock_gettime(CLOCK_REALTIME_COARSE, &t);
  if ((uint64_t)t.tv_nsec == loop->coarse) return; /* the same tick as before */
  loop->coarse = (uint64_t)t.tv_nsec;
  double time = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
  if (time > loop->time) loop->time = time; /* it may lie before the precise time last read */
#else
  st_loop_now(L, loop);
#endif
}

/* ---- slots ---- */

static int slot_gc(lua_State *L) {
  st_slot *slot = lua_touserdata(L, 1);
  st_release(&slot->alloc, slot->claim.names, slot->claim_cap * sizeof *slot->claim.names);
  slot->claim.names = NULL;
  slot->claim_cap = 0;
  return 0;
}

/* Puts a slot where the count hook finds it. The one before it. */
static st_slot *on_stage(st_lua_loop *loop, st_slot *slot) {
  st_slot *before = loop->stage->slot;
  loop->stage->slot = slot;
  return before;
}

/* Gives the slot whose userdata is at the top a coroutine. */
static void new_thread(lua_State *L, st_slot *slot) {
  lua_State *co = lua_newthread(L);
  st_guard_forget(co);
  lua_setiuservalue(L, -2, SLOT_THREAD);
  slot->co = co;
  slot->spoiled = 0;
}

/* Makes a slot and leaves its userdata on the stack. The loop is at index `at`. */
static st_slot *new_slot(lua_State *L, st_lua_loop *loop, int at) {
  st_slot *slot = lua_newuserdatauv(L, sizeof *slot, SLOT_UVS);
  memset(slot, 0, sizeof *slot);
  slot->loop = loop;
  slot->alloc = loop->alloc;
  luaL_setmetatable(L, "step.slot");
  lua_pushvalue(L, at);
  lua_setiuservalue(L, -2, SLOT_LOOP);
  new_thread(L, slot);
  st_new_values(L);
  slot->values = lua_touserdata(L, -1);
  lua_setiuservalue(L, -2, SLOT_VALUES);
  st_slot **ctx = lua_newuserdatauv(L, sizeof *ctx, CTX_UVS);
  *ctx = slot;
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, CTX_SLOT);
  luaL_setmetatable(L, ST_CTX);
  lua_setiuservalue(L, -2, SLOT_CTX);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, slot);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, slot->co);
  lua_pop(L, 1);
  lua_getiuservalue(L, at, LOOP_SLOTS);
  lua_pushvalue(L, -2);
  lua_rawsetp(L, -2, slot);
  lua_pop(L, 1);
  slot->older = loop->slots;
  loop->slots = slot;
  return slot;
}

/* Gives an idle slot to a run and lays out its coroutine's stack as exec.c wants it. */
static void employ(lua_State *L, st_slot *slot, st_lua_run *run, int run_at) {
  st_push_slot(L, slot);
  int at = lua_gettop(L);
  luaL_checkstack(L, 20, "step");
  if (slot->spoiled) new_thread(L, slot);
  lua_State *co = slot->co;
  lua_settop(co, 0);
  if (!lua_checkstack(co, 24)) luaL_error(L, "not enough memory");
  lua_pushcfunction(L, st_exec_body);
  lua_pushvalue(L, run_at);
  lua_getiuservalue(L, at, SLOT_VALUES);
  st_values_bind(L, -1, run_at, slot->id);
  lua_getiuservalue(L, at, SLOT_CTX);
  lua_getiuservalue(L, run_at, RUN_CODE);
  lua_getiuservalue(L, run_at, RUN_OUTPUT);
  lua_getiuservalue(L, run_at, RUN_METADATA);
  lua_getiuservalue(L, run_at, RUN_ERROR);
  lua_pushvalue(L, at);
  lua_pushnil(L); /* AT_PLAIN */
  slot->plain = ST_NO_STEP;
  lua_xmove(L, co, 1 + START_VALUES);
  lua_settop(L, at - 1);
  slot->run = run;
  st_guard(slot, run->r.until < HUGE_VAL);
}

/* Nobody outside owes the slot anything any more. */
static void settle_outside(st_slot *slot) {
  slot->loop->outside -= slot->outside;
  slot->outside = 0;
}

void st_loop_wake(st_slot *slot) {
  st_lua_loop *loop = slot->loop;
  if (slot->woken) return;
  settle_outside(slot);
  st_place_renounce(slot);
  slot->woken = 1;
  slot->timer = 0;
  if (!slot->awaiting || slot->running) return; /* it has not yielded yet: it will see `woken` */
  slot->next = NULL;
  loop->ready_count++;
  if (loop->ready == NULL)
    loop->ready = slot;
  else
    loop->ready_last->next = slot;
  loop->ready_last = slot;
}

void st_loop_give(lua_State *L, st_slot *slot) {
  st_push_slot(L, slot);
  if (lua_isnil(L, -1)) { /* a finalizer calls, and the slot is garbage too */
    lua_pop(L, 2);
    return;
  }
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, SLOT_VALUE);
  lua_pop(L, 1);
  slot->ticket++;
  st_loop_wake(slot);
}

int st_loop_wait(lua_State *L, st_slot *slot, lua_KFunction k) {
  slot->awaiting = 1;
  return lua_yieldk(L, 0, (lua_KContext)slot, k);
}

int st_loop_fresh(lua_State *L, st_slot *slot) {
  const st_lua_run *run = slot->run;
  return !run->kept || st_loop_now(L, slot->loop) < run->fresh_until;
}

int st_loop_renew(lua_State *L, st_slot *slot, lua_KFunction k) {
  st_lua_loop *loop = slot->loop;
  slot->woken = 0;
  slot->renewing = slot->run->renewing = 1;
  slot->next = loop->renewing;
  loop->renewing = slot;
  return st_loop_wait(L, slot, k);
}

/* Takes a slot out of those that wait for a lease. */
static void forget_renewing(st_lua_loop *loop, st_slot *slot) {
  for (st_slot **p = &loop->renewing; *p != NULL; p = &(*p)->next)
    if (*p == slot) {
      *p = slot->next;
      break;
    }
  slot->renewing = 0;
}

/* ---- running coroutines ---- */

/* The slot has nothing to do any more. */
static void retire(st_slot *slot) {
  st_lua_loop *loop = slot->loop;
  st_place_leave(slot);
  slot->run->in_flight--;
  slot->run = NULL;
  slot->phase = 0;
  slot->awaiting = slot->woken = slot->timed_out = slot->hook = slot->renewing = 0;
  slot->stopped = slot->raised = slot->catchable = 0;
  slot->timer = 0;
  slot->limit = 0;
  st_guard(slot, 0);
  slot->ticket++;
  settle_outside(slot);
  st_mail_give_up(slot);
  slot->next = loop->idle;
  loop->idle = slot;
}

/* note_failure(errors, slot, value), a protected call: makes the value the error of the slot's step. */
static int note_failure(lua_State *L) {
  st_slot *slot = lua_touserdata(L, 2);
  st_tostring(L, 3);
  st_note(L, slot->run, 1, slot->id, NOTE_ERROR);
  return 0;
}

/* Recording an error has failed as well: its step ends without more ado, and the value at the top, popped, is raised at the
** end of the turn. */
static void fail(lua_State *L, st_slot *slot, int run_at) {
  st_lua_loop *loop = slot->loop;
  if (slot->id != ST_NO_STEP) { /* else it was no step's: the clock */
    if (st_run_outcome(&slot->run->r, slot->id, STEP_SERVER_ERROR, 1, loop->time) != ST_STALE) {
      lua_pushcfunction(L, note_failure);
      lua_getiuservalue(L, run_at, RUN_ERROR);
      lua_pushlightuserdata(L, slot);
      lua_pushvalue(L, -4);
      if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
    }
    st_run_settle(&slot->run->r, loop->time);
  }
  push_loop(L, loop);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, LOOP_FAILURE);
  lua_pop(L, 1);
  loop->failed = 1;
  st_place_release(slot);
  retire(slot);
}

/* Empties a slot's coroutine. Its closing variables may call back into anything, but neither wake the slot nor reset it. */
static void reset(lua_State *L, st_slot *slot) {
  slot->awaiting = slot->catchable = 0;
  slot->timer = 0;
  slot->limit = 0;
  slot->ticket++;
  settle_outside(slot);
  slot->running = slot->closing = 1;
  st_slot *before = on_stage(slot->loop, slot);
  st_reset_thread(slot->co, L);
  on_stage(slot->loop, before);
  slot->running = slot->closing = 0;
  st_guard(slot, 0);
  slot->woken = 0;
  lua_settop(slot->co, 0);
}

/* An error came out of a slot's coroutine: it is at the top, popped. Keeps it for the body, which is started again. */
static void broken(lua_State *L, st_slot *slot, int run_at) {
  reset(L, slot);
  if (slot->phase == ST_PHASE_BROKEN) {
    fail(L, slot, run_at);
    return;
  }
  st_push_slot(L, slot);
  lua_insert(L, -2);
  lua_setiuservalue(L, -2, SLOT_VALUE);
  lua_pop(L, 1);
  slot->broken = slot->phase;
  slot->phase = ST_PHASE_BROKEN;
  employ(L, slot, slot->run, run_at);
}

/* Lets a slot's coroutine go on, with nargs values at its top; negative: with the error at the top of L. */
static void resume(lua_State *L, st_slot *slot, int nargs, int run_at) {
  for (;; nargs = 0) {
    lua_State *co = slot->co;
    int results, status = LUA_ERRRUN, first = lua_status(co) == LUA_OK;
    if (nargs < 0) {
      /* the error is there */
    } else if (first && (lua_gettop(co) != 1 + START_VALUES || lua_tocfunction(co, 1) != st_exec_body)) {
      lua_pushliteral(L, "the action's coroutine was closed by somebody else");
    } else {
      slot->running = 1;
      slot->awaiting = 0;
      st_slot *before = on_stage(slot->loop, slot);
      status = lua_resume(co, L, first ? START_VALUES : nargs, &results);
      on_stage(slot->loop, before);
      slot->running = 0;
      if (status == LUA_OK) {
        lua_settop(co, 0);
        retire(slot);
        return;
      }
      if (status != LUA_YIELD) {
        lua_xmove(co, L, 1);
      } else if (slot->cut) {
        slot->cut = 0;
        st_push_stop(L, slot);
      } else if (slot->awaiting) {
        lua_pop(co, results);
        if (slot->woken) { /* what it waits for came before it yielded */
          slot->woken = 0;
          st_loop_wake(slot);
        }
        st_stop_late(slot);
        return;
      } else {
        lua_pushliteral(L, "the action yielded: use ctx:sleep or ctx:await to wait");
      }
    }
    broken(L, slot, run_at);
    if (slot->run == NULL) return;
  }
}

void st_push_slot_run(lua_State *L) {
  lua_getiuservalue(L, -1, SLOT_VALUES);
  lua_getiuservalue(L, -1, VALUES_RUN);
  lua_replace(L, -2);
}

/* Moves what a resume function was given to the coroutine's stack. The slot's userdata is at the top. Returns how many, or -1
** when there is no room for them there. */
static int hand_over(lua_State *L, st_slot *slot) {
  int at = lua_gettop(L), n = 0;
  if (lua_getiuservalue(L, at, SLOT_VALUE) == LUA_TTABLE) {
    lua_getfield(L, at + 1, "n");
    n = (int)lua_tointeger(L, -1);
    if (!lua_checkstack(L, n + 2 + TURN_STACK) || !lua_checkstack(slot->co, n + LUA_MINSTACK)) {
      lua_settop(L, at);
      return -1;
    }
    for (int i = 1; i <= n; i++) lua_rawgeti(L, at + 1, i);
    lua_xmove(L, slot->co, n);
    lua_pushnil(L);
    lua_setiuservalue(L, at, SLOT_VALUE);
  }
  lua_settop(L, at);
  return n;
}

/* Resumes the slots that are ready now, not those that become ready meanwhile. Returns how many. */
static int run_ready(lua_State *L, st_lua_loop *loop) {
  int n = 0, top = lua_gettop(L);
  for (uint32_t budget = loop->ready_count; budget > 0 && loop->ready != NULL; budget--, n++) {
    st_slot *slot = loop->ready;
    st_push_slot(L, slot);
    int nargs = hand_over(L, slot);
    st_push_slot_run(L);
    if (nargs < 0) {
      lua_pushliteral(L, "too many values to resume with");
    } else if (st_stop_unwinds(slot)) {
      nargs = -1;
      st_push_stop(L, slot);
    }
    loop->ready = slot->next;
    if (loop->ready == NULL) loop->ready_last = NULL;
    loop->ready_count--;
    slot->next = NULL;
    slot->woken = 0;
    resume(L, slot, nargs, top + 2);
    lua_settop(L, top);
  }
  return n;
}

/* ---- turns ---- */

/* Takes a run out of the list of active ones. */
static void remove_active(lua_State *L, st_lua_loop *loop, st_lua_run *run, int loop_at, int run_at) {
  st_active_remove(loop, run);
  run->ended = 1;
  run->ending = 0;
  run->loop = NULL;
  loop->deadlines -= run->timed;
  run->timed = 0;
  if (run->closed) st_run_shut(run);
  lua_pushnil(L);
  lua_setiuservalue(L, run_at, RUN_LOOP);
  lua_getiuservalue(L, loop_at, LOOP_SLOTS); /* it held the run there */
  lua_pushnil(L);
  lua_rawsetp(L, -2, run);
  lua_pop(L, 1);
}

void st_loop_abandon(lua_State *L, st_lua_loop *loop, st_lua_run *run) {
  luaL_checkstack(L, 12, "step");
  for (st_slot *slot = loop->slots; slot != NULL; slot = slot->older) {
    if (slot->run != run || slot->running) continue;
    for (st_slot **p = &loop->ready, *before = NULL; *p != NULL; before = *p, p = &(*p)->next)
      if (*p == slot) {
        *p = slot->next;
        if (loop->ready_last == slot) loop->ready_last = before;
        loop->ready_count--;
        break;
      }
    if (slot->renewing) forget_renewing(loop, slot);
    st_place_release(slot);
    reset(L, slot);
    if (slot->id != ST_NO_STEP) st_run_outcome(&run->r, slot->id, STEP_SERVER_ERROR, 1, loop->time);
    retire(slot);
  }
  st_mark_abandon(loop, run);
  st_run_settle(&run->r, loop->time);
}

/* Whether a slot would find something to do in the run: a step whose mark is stored has its place. */
static int wants_slot(const st_lua_loop *loop, const st_lua_run *run) {
  if (run->marks.stored > 0) return 1;
  return st_run_pending(&run->r) && loop->marked < ST_MARKS && st_place_free(loop, run);
}

/* Whether the next turn has something to do whatever comes. */
static int due_now(const st_lua_loop *loop) {
  if (loop->ready != NULL) return 1;
  if (loop->marked == 0) return 0;
  for (const st_lua_run *run = loop->active.first; run != NULL; run = run->next)
    if (run->marks.stored > 0) return 1;
  return 0;
}

/* Ends the resolves that have nothing left, starts steps of the others. Returns whether anything happened. */
static int run_active(lua_State *L, st_lua_loop *loop, int loop_at) {
  int progress = 0;
  uint32_t walk;
  for (st_lua_run *run = st_active_first(loop, &walk); run != NULL; run = st_active_next(loop, &walk)) {
    int top = lua_gettop(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
    lua_rawgetp(L, -1, run);
    int run_at = lua_gettop(L);
    while (!run->closed && !loop->failed && wants_slot(loop, run)) {
      if (loop->idle == NULL) {
        st_slot *made = new_slot(L, loop, loop_at);
        lua_pop(L, 1);
        made->next = loop->idle;
        loop->idle = made;
      }
      st_slot *slot = loop->idle;
      loop->idle = slot->next;
      slot->next = NULL;
      slot->phase = 0;
      run->in_flight++;
      slot->run = run;
      if (run->marks.stored == 0) st_place_enter(slot);
      employ(L, slot, run, run_at);
      resume(L, slot, 0, run_at);
      progress = 1;
      if (run->ended) break;
    }
    if (!run->ended && !loop->failed && run->in_flight == 0 && run->marks.count == 0
        && (run->closed || (!run->ending && !st_run_pending(&run->r)))) {
      progress = 1;
      if (run->closed || st_run_end(&run->r, st_loop_now(L, loop)) == ST_ENDED) {
        if (run->kept && !run->closed) {
          run->ending = 1; /* it leaves when that is stored */
        } else if (!run->ended) {
          remove_active(L, loop, run, loop_at, run_at);
        }
        if (!run->closed && run->r.journal.count > 0) st_report(L, run, run_at); /* a listener may begin it again */
      }
    }
    lua_settop(L, top);
  }
  return progress;
}

/* All is stored, and leases prolonged: who waited for that goes on, in the order in which they came. */
static void wake_renewed(st_lua_loop *loop) {
  st_slot *first = NULL, *next;
  for (st_slot *slot = loop->renewing; slot != NULL; slot = next) {
    next = slot->next;
    slot->next = first;
    first = slot;
  }
  loop->renewing = NULL;
  for (st_slot *slot = first; slot != NULL; slot = next) {
    next = slot->next;
    slot->renewing = 0;
    st_loop_wake(slot);
  }
}

/* Whether a save is to take the run. */
static int unsaved(const st_lua_run *run) {
  if (!run->kept || run->closed) return 0;
  return run->box.count > 0 || run->ending || run->renewing || st_mark_unsaved(run);
}

/* Stores what the active runs have changed, all of it at once (D26); then runs whose resolve is over leave. LOOP_SAVE closes the
** runs that it could not store. */
static int save(lua_State *L, st_lua_loop *loop, int loop_at) {
  int top = lua_gettop(L);
  lua_Integer n = 0;
  if (loop->active.first == NULL) return 0;
  for (st_lua_run *run = loop->active.first; run != NULL; run = run->next) {
    if (!unsaved(run)) continue;
    if (n == 0) {
      lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
      lua_newtable(L);
    }
    lua_rawgetp(L, top + 1, run);
    lua_rawseti(L, top + 2, ++n);
    run->renewing = 0;
  }
  if (n == 0) return 0;
  lua_getiuservalue(L, loop_at, LOOP_SAVE);
  lua_pushvalue(L, top + 2);
  lua_call(L, 1, 1);
  int saved = !lua_isboolean(L, -1) || lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (loop->closed || !saved) {
    for (st_slot *slot = loop->renewing; slot != NULL; slot = slot->next) slot->run->renewing = 1;
    lua_settop(L, top);
    return 1;
  }
  wake_renewed(loop);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, top + 2, i);
    st_lua_run *run = lua_touserdata(L, -1);
    if (run->ending && !run->closed && run->loop == loop) remove_active(L, loop, run, loop_at, lua_gettop(L));
    lua_pop(L, 1);
  }
  lua_settop(L, top);
  return 1;
}

/* Calls LOOP_TICK when it is due. */
static void tick(lua_State *L, st_lua_loop *loop, int loop_at) {
  if (loop->active.first == NULL) return;
  if (lua_getiuservalue(L, loop_at, LOOP_TICK) == LUA_TFUNCTION && st_loop_now(L, loop) >= loop->tick_at) {
    lua_call(L, 0, 1);
    double seconds = luaL_checknumber(L, -1);
    loop->tick_at = loop->time + (seconds > 0 ? seconds : 0);
  }
  lua_pop(L, 1);
}

/* Whether LOOP_TICK is to be called, and if so in how many seconds. */
static int tick_due(lua_State *L, st_lua_loop *loop, int loop_at, double *seconds) {
  int there = loop->active.first != NULL && lua_getiuservalue(L, loop_at, LOOP_TICK) == LUA_TFUNCTION;
  if (loop->active.first != NULL) lua_pop(L, 1);
  if (there) *seconds = loop->tick_at - st_loop_now(L, loop);
  return there;
}

/* loop:turn() -> progress: does what can be done now, waits for nothing. */
static int turn(lua_State *L, st_lua_loop *loop, int loop_at) {
  int progress = 0;
  luaL_checkstack(L, TURN_STACK, "step");
  tick(L, loop, loop_at);
  if (loop->driven && !loop->closed) st_outside_drive(L, loop, loop_at);
  if (loop->closed) return 1;
  progress |= st_mail_deliver(L, loop->mail) > 0;
  st_timers_fire(L, loop);
  progress |= run_ready(L, loop) > 0;
  progress |= run_active(L, loop, loop_at);
  if (!loop->failed && !loop->closed) progress |= save(L, loop, loop_at);
  if (loop->failed) {
    loop->failed = 0;
    lua_getiuservalue(L, loop_at, LOOP_FAILURE);
    lua_pushnil(L);
    lua_setiuservalue(L, loop_at, LOOP_FAILURE);
    lua_error(L);
  }
  return progress;
}

/* Waits until the earliest timer or deadline, a message from another thread, an event outside, or `most` seconds (negative: no
** such bound). 0: there is nothing to wait for. */
static int pause_until(lua_State *L, st_lua_loop *loop, int loop_at, double most) {
  st_events events = { -1, -1 };
  if (loop->driven && loop->ready == NULL && !loop->closed) events = st_outside_drive(L, loop, loop_at);
  if (loop->closed) return 0;
  double time = st_timers_due(loop), until_tick;
  int mail = st_mail_expected(loop->mail), bounded = time < HUGE_VAL || most >= 0,
      outside = loop->outside > 0 && events.fd >= 0;
  if (due_now(loop)) return 1;
  if (!bounded && !mail && !outside) return 0;
  double seconds = time < HUGE_VAL ? time - st_loop_now(L, loop) : most;
  if (most >= 0 && seconds > most) seconds = most;
  if (tick_due(L, loop, loop_at, &until_tick) && (!bounded || until_tick < seconds)) {
    seconds = until_tick;
    bounded = 1;
  }
  if (bounded && seconds <= 0) return 1;
  if (bounded && !mail && !outside && lua_getiuservalue(L, loop_at, LOOP_WAIT) == LUA_TFUNCTION) {
    lua_pushnumber(L, seconds);
    lua_call(L, 1, 0);
    return 1;
  }
  if (loop->custom_clock && (!bounded || seconds > OFTEN)) seconds = OFTEN; /* the clock is not ours: look often */
  if (events.fd >= 0)
    st_outside_wait(loop, events, bounded ? seconds : -1);
  else
    st_mail_wait(loop->mail, bounded ? seconds : -1);
  return 1;
}

/* loop:pause(seconds or nil) -> whether there was something to wait for */
static int loop_pause(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  double most = luaL_optnumber(L, 2, -1);
  lua_settop(L, 1);
  lua_pushboolean(L, pause_until(L, loop, 1, most));
  return 1;
}

static int loop_turn(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  lua_pushboolean(L, turn(L, loop, 1));
  return 1;
}

/* loop:timeout() -> seconds until the earliest timer or deadline, or LOOP_TICK, or nil. What comes from outside or from another
** thread is to be looked for often. */
static int loop_timeout(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  double time = st_timers_due(loop), seconds = HUGE_VAL, until_tick;
  if (time < HUGE_VAL) seconds = time - st_loop_now(L, loop);
  if (tick_due(L, loop, 1, &until_tick) && until_tick < seconds) seconds = until_tick;
  if ((loop->outside > 0 || st_mail_expected(loop->mail)) && seconds > OFTEN) seconds = OFTEN;
  if (due_now(loop) || seconds < 0) seconds = 0;
  if (seconds < HUGE_VAL)
    lua_pushnumber(L, seconds);
  else
    lua_pushnil(L);
  return 1;
}

/* loop:active() -> whether a resolve is in progress */
static int loop_active(lua_State *L) {
  lua_pushboolean(L, check_loop(L, 1)->active.first != NULL);
  return 1;
}

/* loop:keeper(save, tick): LOOP_SAVE and LOOP_TICK */
static int loop_keeper(lua_State *L) {
  check_loop(L, 1);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  luaL_checktype(L, 3, LUA_TFUNCTION);
  lua_settop(L, 3);
  lua_setiuservalue(L, 1, LOOP_TICK);
  lua_setiuservalue(L, 1, LOOP_SAVE);
  return 0;
}

/* loop:begin(run, automatic) -> true | nil, "cancelled" | "running" | "done" | "check". */
static int loop_begin(lua_State *L) {
  static const char *const why[] = { NULL, "cancelled", "running", "done", "check" };
  st_lua_loop *loop = check_loop(L, 1);
  st_lua_run *run = st_check_run(L, 2);
  int automatic = lua_toboolean(L, 3);
  double now = st_loop_now(L, loop);
  lua_getiuservalue(L, 1, LOOP_SLOTS); /* anchors the run; st_run_begin cannot fail after it */
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, run);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, run);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 2, RUN_LOOP);
  st_start start = st_run_begin(&run->r, automatic, now);
  if (start == ST_STARTED) {
    loop->time = now;
    if (run->loop == NULL) st_active_add(loop, run); /* else a listener has begun it again, and it has not left */
    run->loop = loop;
    run->ended = run->ending = run->warned = 0;
    loop->deadlines -= run->timed;
    run->timed = run->r.until < HUGE_VAL || run->r.look < HUGE_VAL;
    loop->deadlines += run->timed;
  } else if (run->loop == NULL) {
    lua_pushnil(L);
    lua_setiuservalue(L, 2, RUN_LOOP);
    lua_getiuservalue(L, 1, LOOP_SLOTS);
    lua_pushnil(L);
    lua_rawsetp(L, -2, run);
  }
  if (run->r.journal.count > 0) st_report(L, run, 2);
  if (start == ST_STARTED) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  lua_pushstring(L, why[start]);
  return 2;
}

static int finish_turns(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  const st_lua_run *run = lua_touserdata(L, 2);
  while (run->loop == loop) {
    if (!turn(L, loop, 1) && run->loop == loop && !pause_until(L, loop, 1, -1)) break;
    lua_settop(L, 2);
  }
  lua_pushboolean(L, run->loop != loop);
  return 1;
}

/* loop:finish(run) -> true when the resolve has ended, false when it waits for what this loop cannot bring.
** An error that comes out of a turn (no memory, a clock that fails) ends the resolve first: what is in flight is
** given up as SERVER_ERROR. */
static int loop_finish(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  st_lua_run *run = luaL_checkudata(L, 2, ST_RUN);
  lua_settop(L, 2);
  lua_pushcfunction(L, finish_turns);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) return 1;
  if (run->loop == loop) {
    st_loop_abandon(L, loop, run);
    if (run->in_flight == 0) {
      if (st_run_pending(&run->r))
        st_run_stop(&run->r, STEP_RUN_CRASHED, loop->time); /* S6.4: TODO during a shutdown */
      while (!run->closed && !run->ending && st_run_end(&run->r, loop->time) == ST_AGAIN)
        if (run->r.cleaning) st_run_stop(&run->r, STEP_RUN_CRASHED, loop->time); /* the next resolve goes on with it */
      remove_active(L, loop, run, 1, 2);
    }
  }
  return lua_error(L);
}

/* loop:limit(name, n): n of the resource at a time; 0 never. */
static int loop_limit(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  lua_Integer n = luaL_checkinteger(L, 3);
  luaL_argcheck(L, n >= 0 && n <= UINT32_MAX, 3, "limit out of range");
  if (!st_sems_limit(&loop->sems, name, len, (uint32_t)n)) return luaL_error(L, "not enough memory");
  return 0;
}

/* loop:rate(name, n, seconds): n starts of what needs the resource in any period of so many seconds. */
static int loop_rate(lua_State *L) {
  st_lua_loop *loop = check_loop(L, 1);
  size_t len;
  const char *name = luaL_checklstring(L, 2, &len);
  lua_Integer n = luaL_checkinteger(L, 3);
  double seconds = luaL_checknumber(L, 4);
  luaL_argcheck(L, n >= 0 && n <= MOST_IN_PERIOD, 3, "count out of range");
  luaL_argcheck(L, seconds > 0 && seconds < HUGE_VAL, 4, "no period");
  if (!st_sems_rate(&loop->sems, name, len, (uint32_t)n, seconds)) return luaL_error(L, "not enough memory");
  return 0;
}

static int loop_now(lua_State *L) {
  lua_pushnumber(L, st_loop_now(L, check_loop(L, 1)));
  return 1;
}

/* Serves close and __gc. Runs still active are abandoned: their coroutines never go on. */
static int loop_close(lua_State *L) {
  st_lua_loop *loop = luaL_checkudata(L, 1, ST_LOOP);
  if (loop->counted) st_live_counters(L)->loops--;
  loop->counted = 0;
  loop->closed = 1;
  if (loop->driven) st_outside_shut(L, loop, 1);
  if (loop->mail != NULL) {
    st_mail_close(loop->mail);
    loop->mail = NULL;
  }
  for (st_lua_run *run = loop->active.first; run != NULL; run = run->next) {
    run->loop = NULL;
    run->ended = 1;
    run->marks.head = run->marks.count = run->marks.stored = 0;
  }
  memset(&loop->active, 0, sizeof loop->active);
  loop->deadlines = 0;
  loop->ready = loop->ready_last = loop->idle = NULL;
  loop->renewing = loop->granted = loop->granted_last = NULL;
  loop->ready_count = loop->marked = 0;
  st_heap_free(&loop->timers);
  st_sems_free(&loop->sems);
  return 0;
}

/* core.loop{ clock =, wait =, acquire_timeout =, max_concurrent = } */
int st_loop_new(lua_State *L) {
  lua_settop(L, 1);
  if (lua_isnil(L, 1)) {
    lua_newtable(L);
    lua_replace(L, 1);
  }
  luaL_checktype(L, 1, LUA_TTABLE);
  st_lua_loop *loop = lua_newuserdatauv(L, sizeof *loop, LOOP_UVS);
  memset(loop, 0, sizeof *loop);
  loop->alloc = st_lua_alloc(L);
  st_heap_init(&loop->timers, loop->alloc);
  st_sems_init(&loop->sems, loop->alloc);
  luaL_setmetatable(L, ST_LOOP);
  st_live_counters(L)->loops++;
  loop->counted = 1;
  lua_newtable(L);
  lua_setiuservalue(L, 2, LOOP_SLOTS);
  loop->custom_clock = lua_getfield(L, 1, "clock") == LUA_TFUNCTION;
  lua_setiuservalue(L, 2, LOOP_CLOCK);
  lua_getfield(L, 1, "wait");
  lua_setiuservalue(L, 2, LOOP_WAIT);
  lua_getfield(L, 1, "acquire_timeout");
  loop->acquire_timeout = luaL_optnumber(L, -1, 60);
  lua_getfield(L, 1, "max_concurrent");
  loop->max_concurrent = (uint32_t)luaL_optinteger(L, -1, 0);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &slot_key);
  lua_pushvalue(L, 2);
  lua_rawsetp(L, -2, loop);
  loop->stage = st_stop_stage(L);
  lua_settop(L, 2);
  loop->mail = st_mail_new();
  if (loop->mail == NULL) return luaL_error(L, "not enough memory");
  st_loop_now(L, loop);
  return 1;
}

int st_loop_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "turn", loop_turn },
                                      { "pause", loop_pause },
                                      { "timeout", loop_timeout },
                                      { "begin", loop_begin },
                                      { "finish", loop_finish },
                                      { "limit", loop_limit },
                                      { "rate", loop_rate },
                                      { "now", loop_now },
                                      { "keeper", loop_keeper },
                                      { "active", loop_active },
                                      { "outside", st_outside_set },
                                      { "close", loop_close },
                                      { NULL, NULL } };
  lua_newtable(L);
  lua_newtable(L);
  lua_pushliteral(L, "v");
  lua_setfield(L, -2, "__mode");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &slot_key);

  luaL_newmetatable(L, ST_LOOP);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, loop_close);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, loop_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);

  luaL_newmetatable(L, "step.slot");
  lua_pushcfunction(L, slot_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);

  return 0;
}
