/* timer.c - what a loop does by itself when its time has come: timers of those who wait, limits of attempts, deadlines of runs.
*/
#include "binding.h"

#include <math.h>

void st_loop_timer(lua_State *L, st_slot *slot, double time) {
  st_lua_loop *loop = slot->loop;
  slot->woken = 0;
  slot->ticket++; /* a resume function of before does not end it */
  if (!st_heap_push(&loop->timers, time, slot, ++loop->timer_tags)) luaL_error(L, "not enough memory");
  slot->timer = loop->timer_tags;
}

/* An entry in the timers is left there when its attempt ends, and taken over by the slot's next one, unless that is over sooner. */
void st_loop_limit(lua_State *L, st_slot *slot, double seconds) {
  st_lua_loop *loop = slot->loop;
  slot->limit = 0;
  if (seconds == 0) {
    st_guard(slot, slot->run->r.until < HUGE_VAL);
    return;
  }
  double now = st_loop_now(L, loop), limit = now + seconds;
  if (!slot->hook) { /* an attempt that has waited has what is left; its last look, which comes later, as much as any */
    slot->expires = st_run_expires(&slot->run->r, slot->id);
    if (slot->expires == 0) slot->expires = limit;
    if (slot->expires > now) limit = slot->expires;
  }
  if (slot->limit_tag == 0 || slot->limit_due > limit) {
    if (!st_heap_push(&loop->timers, limit, slot, ++loop->timer_tags)) luaL_error(L, "not enough memory");
    slot->limit_tag = loop->timer_tags;
    slot->limit_due = limit;
  }
  slot->limit = limit;
  slot->span = seconds;
  st_guard(slot, 1);
}

/* The earliest timer that somebody still waits for, or NULL. */
static st_due *earliest(st_lua_loop *loop) {
  while (loop->timers.count > 0) {
    st_due *due = &loop->timers.due[0];
    st_slot *slot = due->what;
    if (slot->timer == due->tag) return due;
    if (slot->limit_tag == due->tag && slot->limit != 0 && slot->limit <= due->time) return due;
    st_due late = st_heap_pop(&loop->timers);
    if (slot->limit_tag != late.tag) continue;
    if (slot->limit == 0) {
      slot->limit_tag = 0;
    } else { /* that of an attempt before this one; there is room for it */
      st_heap_push(&loop->timers, slot->limit, slot, late.tag);
      slot->limit_due = slot->limit;
    }
  }
  return NULL;
}

double st_timers_due(st_lua_loop *loop) {
  const st_due *timer = earliest(loop);
  double time = timer == NULL ? HUGE_VAL : timer->time;
  for (const st_lua_run *run = loop->active.first; run != NULL && loop->deadlines > 0; run = run->next)
    time = fmin(time, fmin(run->r.until, run->r.look));
  double token = st_sems_due(&loop->sems, loop->time);
  return token < time ? token : time;
}

/* Runs whose deadline has passed are cancelled, steps that want to look again have their turn. */
static void fire_deadlines(lua_State *L, st_lua_loop *loop) {
  double now = st_loop_now(L, loop);
  for (st_lua_run *run = loop->active.first; run != NULL; run = run->next) {
    if (now >= run->r.until) st_run_expire(&run->r);
    if (now >= run->r.look) st_run_look_again(&run->r, now);
    if (!run->r.expired || run->r.stop == 0 || run->warned) continue;
    run->warned = 1;
    st_stop_run(run);
  }
}

void st_timers_fire(lua_State *L, st_lua_loop *loop) {
  if (loop->deadlines > 0) fire_deadlines(L, loop);
  st_place_tick(L, loop);
  if (earliest(loop) == NULL) return;
  double now = st_loop_now(L, loop);
  for (st_due *due; (due = earliest(loop)) != NULL && due->time <= now;) {
    st_due fired = st_heap_pop(&loop->timers);
    st_slot *slot = fired.what;
    if (fired.tag == slot->limit_tag) {
      slot->limit_tag = 0;
      if (!slot->running && slot->awaiting) st_stop_waiting(slot, ST_TIMED_OUT);
      continue;
    }
    if (slot->claim.waiting) { /* too late for the resources it waits for */
      st_place_release(slot);
      slot->timed_out = 1;
    }
    st_loop_wake(slot);
  }
}
