/* stop.c - why an attempt of an action is stopped, what it is told, and the count hook that tells it while it does not yield.
*/
#include "binding.h"

#include <math.h>
#include <stdio.h>

enum {
  HOOK_COUNT = 10000, /* instructions between two looks at the clock */
  CLOSING_MOST = 100  /* so many times that for the closing variables of an attempt */
};

static const char stage_key = 0; /* registry: st_stage, where the hook finds the slot at work */

st_stage *st_stop_stage(lua_State *L) {
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &stage_key) != LUA_TUSERDATA) {
    st_stage *made = lua_newuserdatauv(L, sizeof *made, 0);
    made->slot = NULL;
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &stage_key);
    lua_replace(L, -2);
  }
  st_stage *stage = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return stage;
}

st_stop st_stop_of(const st_slot *slot) {
  const st_run *r = &slot->run->r;
  int begun = slot->hooked || st_exec_acting(slot); /* its pre_hook has done something already */
  switch (slot->id == ST_NO_STEP ? 0 : st_run_stopping(r, slot->id, begun)) {
  case STEP_RUN_CANCELLED: return r->expired ? ST_STOP_DEADLINE : ST_STOP_CANCELLED;
  case STEP_RUN_PAUSED: return ST_STOP_PAUSED;
  default: return ST_NOT_STOPPED;
  }
}

static void watch(lua_State *L, lua_Debug *ar);

double st_stop_time(const st_slot *slot) {
  const st_run *r = &slot->run->r;
  double time = slot->limit == 0 ? HUGE_VAL : slot->limit;
  int bound = r->deadline != 0 && (r->graph->flags[st_run_origin(r, slot->id)] & ST_ALWAYS) == 0;
  return bound && r->deadline < time ? r->deadline : time;
}

void st_push_stop(lua_State *L, const st_slot *slot) {
  static const char *const texts[] = { "", "timed out after %ss", "stopped: the run was cancelled",
                                       "stopped: the run was paused", "stopped: the run's deadline has passed" };
  char seconds[32];
  snprintf(seconds, sizeof seconds, "%.10g", slot->span);
  lua_pushfstring(L, texts[slot->stopped], seconds);
  st_push_error(L, slot->stopped == ST_TIMED_OUT ? "timeout" : "cancelled");
}

/* Raises in a coroutine in which the action is at work and that cannot yield to the loop; in the end before every instruction,
** so that nothing which catches the error goes on. */
static void raise(lua_State *L, st_slot *slot) {
  if (slot->raised < ST_RAISE_MOST)
    slot->raised++;
  else
    lua_sethook(L, watch, LUA_MASKCOUNT, 1);
  if (L == slot->co)
    slot->spoiled = 1;
  else
    lua_sethook(slot->co, watch, LUA_MASKCOUNT, 1); /* it is cut as soon as the other coroutine leaves it the word */
  st_push_stop(L, slot);
  lua_error(L);
}

/* Stops an action whose time is over: it yields to the loop, which unwinds it. Closing variables have some more time. The
** action's own coroutines inherit the hook; where such a one is resumed by somebody else it does nothing. */
static void watch(lua_State *L, lua_Debug *ar) {
  (void)ar;
  st_slot *slot = st_stop_stage(L)->slot;
  if (slot == NULL || !slot->guarded || slot->run->closed) return;
  if (slot->closing) {
    if (slot->closing < CLOSING_MOST)
      slot->closing++;
    else
      raise(L, slot);
    return;
  }
  if (!st_exec_acting(slot)) return;
  double now = st_loop_now(L, slot->loop);
  if (now < st_stop_time(slot)) return;
  slot->stopped = slot->limit != 0 && now >= slot->limit ? ST_TIMED_OUT : ST_STOP_DEADLINE;
  slot->cut = L == slot->co && lua_isyieldable(L);
  if (slot->cut)
    lua_yield(L, 0);
  else
    raise(L, slot);
}

void st_guard(st_slot *slot, int on) {
  lua_State *co = slot->co;
  if (slot->guarded == on) return;
  slot->guarded = (uint8_t)on;
  if (on) {
    slot->hook_before = (st_hook){ lua_gethook(co), lua_gethookmask(co), lua_gethookcount(co) };
    lua_sethook(co, watch, LUA_MASKCOUNT, HOOK_COUNT);
  } else if (lua_gethook(co) == watch) {
    lua_sethook(co, slot->hook_before.f, slot->hook_before.mask, slot->hook_before.count);
  }
}

void st_guard_forget(lua_State *co) {
  if (lua_gethook(co) == watch) lua_sethook(co, NULL, 0, 0);
}

/* ---- what waits ---- */

void st_stop_waiting(st_slot *slot, st_stop why) {
  if (slot->renewing || (slot->woken && st_exec_acting(slot))) return;
  slot->stopped = (uint8_t)why;
  slot->timed_out = 0;
  slot->ticket++;
  st_mail_give_up(slot);
  st_loop_wake(slot);
}

void st_stop_run(st_lua_run *run) {
  if (run->in_flight == 0 || run->r.stop == 0) return;
  for (st_slot *slot = run->loop->slots; slot != NULL; slot = slot->older) {
    if (slot->run != run || slot->running || !slot->awaiting || slot->stopped) continue;
    st_stop why = st_stop_of(slot);
    if (why != ST_NOT_STOPPED) st_stop_waiting(slot, why);
  }
}

void st_stop_late(st_slot *slot) {
  st_stop why = slot->run->r.stop != 0 ? st_stop_of(slot) : ST_NOT_STOPPED;
  if (why == ST_NOT_STOPPED && slot->limit != 0 && slot->limit_tag == 0) why = ST_TIMED_OUT;
  if (why != ST_NOT_STOPPED) st_stop_waiting(slot, why);
}

int st_stop_unwinds(const st_slot *slot) {
  if (slot->stopped == ST_NOT_STOPPED) return 0;
  int gentle = slot->stopped == ST_STOP_CANCELLED || slot->stopped == ST_STOP_PAUSED;
  return !gentle || !slot->catchable || slot->raised >= ST_RAISE_MOST;
}
