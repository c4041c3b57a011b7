/* place.c - who may be at work: places, of which there are max_concurrent in a loop and in a run, and resources.
**
** A slot at work has a place, as has a step that waits for its mark to be stored, and keeps it whatever its action waits for. Only
** while it waits for resources it has none. When it has these it waits for a place, and gets one before any step that is new.
*/
#include "binding.h"

#include <math.h>

int st_place_free(const st_lua_loop *loop, const st_lua_run *run) {
  return (loop->max_concurrent == 0 || loop->in_flight < loop->max_concurrent)
         && (run->max_concurrent == 0 || run->placed < run->max_concurrent);
}

void st_place_enter(st_slot *slot) {
  slot->placed = 1;
  slot->loop->in_flight++;
  slot->run->placed++;
}

/* Takes a slot out of those that wait for a place; `before` is the one before it. */
static void dismiss(st_slot *slot, st_slot *before) {
  st_lua_loop *loop = slot->loop;
  slot->granted = 0;
  if (before == NULL)
    loop->granted = slot->next;
  else
    before->next = slot->next;
  if (loop->granted_last == slot) loop->granted_last = before;
  slot->next = NULL;
}

void st_place_renounce(st_slot *slot) {
  if (!slot->granted) return;
  slot->granted = 0;
  for (st_slot *before = NULL, *s = slot->loop->granted; s != NULL; before = s, s = s->next)
    if (s == slot) {
      dismiss(slot, before);
      return;
    }
}

/* Gives places to those that wait for one, in the order in which they came. */
static void admit(st_lua_loop *loop) {
  st_slot *before = NULL, *next;
  for (st_slot *slot = loop->granted; slot != NULL; slot = next) {
    next = slot->next;
    if (loop->max_concurrent != 0 && loop->in_flight >= loop->max_concurrent) return;
    if (st_place_free(loop, slot->run)) {
      dismiss(slot, before);
      st_place_enter(slot);
      st_loop_wake(slot);
    } else {
      before = slot;
    }
  }
}

void st_place_leave(st_slot *slot) {
  if (!slot->placed) return;
  slot->placed = 0;
  st_place_return(slot->loop, slot->run, 1);
}

void st_place_return(st_lua_loop *loop, st_lua_run *run, uint32_t count) {
  loop->in_flight -= count;
  run->placed -= count;
  admit(loop);
}

/* Whether the place of the slot is wanted by one that waits for it. */
static int wanted(const st_slot *slot) {
  for (const st_slot *s = slot->loop->granted; s != NULL; s = s->next)
    if (s->run->max_concurrent == 0 || s->run->placed - (s->run == slot->run) < s->run->max_concurrent) return 1;
  return 0;
}

int st_place_still(st_slot *slot) {
  if (slot->placed) return !wanted(slot);
  if (!st_place_free(slot->loop, slot->run)) return 0;
  st_place_enter(slot);
  return 1;
}

/* The claims of a list are complete: their slots go on as soon as they have a place. */
static void grant(st_lua_loop *loop, st_claim *claims) {
  st_claim *next;
  for (st_claim *c = claims; c != NULL; c = next) {
    st_slot *slot = (st_slot *)((char *)c - offsetof(st_slot, claim));
    next = c->next;
    c->next = NULL;
    if (slot->woken) continue; /* it does not wait any more: it is to be stopped */
    slot->timer = 0;
    slot->granted = 1;
    slot->next = NULL;
    if (loop->granted == NULL)
      loop->granted = slot;
    else
      loop->granted_last->next = slot;
    loop->granted_last = slot;
  }
  admit(loop);
}

/* ---- resources ---- */

st_grant st_place_acquire(lua_State *L, st_slot *slot, double seconds) {
  st_lua_loop *loop = slot->loop;
  lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
  if (n > 1000000) luaL_error(L, "too many resources");
  if ((uint32_t)n > slot->claim_cap) {
    uint32_t *p = st_resize(&slot->alloc, slot->claim.names, slot->claim_cap * sizeof *p, (size_t)n * sizeof *p);
    if (p == NULL) {
      luaL_error(L, "not enough memory");
      return ST_NEVER; /* not reached: luaL_error does not say so */
    }
    slot->claim.names = p;
    slot->claim_cap = (uint32_t)n;
  }
  slot->claim.count = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    size_t len;
    lua_rawgeti(L, -1, i);
    const char *name = luaL_checklstring(L, -1, &len);
    uint32_t number = st_sems_find(&loop->sems, name, len);
    if (number != ST_NO_NAME && loop->sems.sem[number].limit == 0) {
      slot->claim.count = 0;
      lua_replace(L, -2);
      return ST_NEVER;
    }
    if (number != ST_NO_NAME) slot->claim.names[slot->claim.count++] = number;
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  if (slot->claim.count == 0) return ST_GRANTED;
  if (loop->sems.rated > 0) st_loop_now(L, loop);
  st_grant got = st_sems_acquire(&loop->sems, &slot->claim, loop->time);
  if (got == ST_WAITS) {
    if (seconds < 0) seconds = loop->acquire_timeout;
    st_loop_timer(L, slot, st_loop_now(L, loop) + seconds);
    st_place_leave(slot);
  }
  return got;
}

void st_place_use(lua_State *L, st_slot *slot) {
  st_lua_loop *loop = slot->loop;
  if (slot->claim.count == 0 || !st_sems_rated(&loop->sems, &slot->claim)) return;
  st_sems_start(&loop->sems, &slot->claim, st_loop_now(L, loop));
}

void st_place_release(st_slot *slot) {
  st_lua_loop *loop = slot->loop;
  if (slot->claim.count == 0) return;
  if (loop->closed) { /* the resources are gone */
    slot->claim.count = 0;
    return;
  }
  st_place_renounce(slot);
  grant(loop, st_sems_release(&loop->sems, &slot->claim, loop->time));
}

void st_place_tick(lua_State *L, st_lua_loop *loop) {
  if (st_sems_due(&loop->sems, loop->time) < HUGE_VAL) grant(loop, st_sems_tick(&loop->sems, st_loop_now(L, loop)));
}
