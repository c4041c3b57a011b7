/* exec.c - PreRun, Run and AfterRun (chapters 3 and 4 of the semantics) for one step: the body of the coroutine in which actions
** run.
**
** A slot's coroutine does not run one action but goes on taking steps from the run until an action
** waits; the loop then gives the run another slot. So a step whose action does not wait costs a plain
** call, no resume and no pcall, and one that waits has a coroutine of its own. An error thrown by an
** action unwinds the coroutine; the loop records it and starts the body again in phase BROKEN.
** Of a kept run (D26) the body first puts steps by until their RUNNING marks are stored, see mark.c.
*/
#include "binding.h"

#include <string.h>

enum phase {
  NEXT = ST_PHASE_START,   /* take a step */
  PLAIN,                   /* a plain action has returned */
  DELAYED,                 /* execution_delay is over */
  ACQUIRED,                /* resources are there, or the time for them is over */
  RENEWED,                 /* the lease is fresh again (D27) */
  EXECUTED,                /* an executor has returned */
  BROKEN = ST_PHASE_BROKEN /* one has thrown */
};

/* the stack of a slot's coroutine */
enum {
  AT_RUN = 1,
  AT_V,
  AT_CTX,
  AT_CODE,
  AT_OUTPUT,
  AT_METADATA,
  AT_ERROR,
  AT_SLOT,
  AT_PLAIN, /* the function of the children of s->plain */
  FIXED = AT_PLAIN,
  AT_PLAN, /* from here on only while a step with a plan is at work */
  AT_EXECUTOR,
  AT_BASE,
  AT_CONFIG,
  AT_FORMATS,
  AT_RESULT, /* output, metadata, tags, error */
  FULL = AT_RESULT + 3
};

/* ---- the states that conditions set ---- */

/* A condition of the slot's step sets a state in the run. */
static void apply_state(lua_State *L, void *ud) {
  st_slot *s = ud;
  st_lua_run *run = s->run;
  size_t len, state_len;
  const char *name = lua_tolstring(L, -3, &len), *state_name = lua_tolstring(L, -2, &state_len);
  step_id id = len == 4 && memcmp(name, "this", 4) == 0 ? s->id : st_find_step(run, name, len);
  if (id == ST_NO_STEP) return; /* S3.6: a child that is gone */
  int state = st_graph_state(run->g, st_run_origin(&run->r, id), state_name, state_len);
  if (state < 0) luaL_error(L, "step '%s' has no state '%s'", name, state_name);
  if (lua_rawlen(L, -1) == 0) { /* an empty message is none */
    lua_pop(L, 1);
    lua_pushnil(L);
  }
  switch (st_run_set(&run->r, s->id, id, state, s->loop->time)) {
  case ST_NO_MEMORY: luaL_error(L, "not enough memory"); break;
  case ST_DEFERRED:
    lua_getiuservalue(L, AT_RUN, RUN_PENDING);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)id + 1);
    lua_pop(L, 1);
    break;
  default: lua_pushvalue(L, -1); st_note(L, run, AT_ERROR, id, NOTE_ERROR);
  }
}

/* ---- the end of a step's turn ---- */

static void settle(lua_State *L, st_slot *s) {
  st_run_settle(&s->run->r, s->loop->time);
  if (s->run->r.journal.count > 0) st_report(L, s->run, AT_RUN);
}

/* Makes the value at the top the step's error. */
static void set_error(lua_State *L, st_slot *s) { st_note(L, s->run, AT_ERROR, s->id, NOTE_ERROR); }

/* "Step reached max retries N: <previous error>", said once (S4.1, D18). */
static void exhausted(lua_State *L, st_slot *s) {
  lua_rawgeti(L, AT_ERROR, (lua_Integer)s->id + 1);
  const char *before = lua_isnil(L, -1) ? "" : st_tostring(L, -1);
  if (strncmp(before, "Step reached max retries", 24) != 0) {
    int max = (int)st_graph_max_retries(s->run->g, st_run_origin(&s->run->r, s->id));
    lua_pushfstring(L, "Step reached max retries %d: %s", max, before);
    set_error(L, s);
  }
  lua_settop(L, FIXED);
  if (s->run->r.journal.count > 0) st_report(L, s->run, AT_RUN);
}

/* Tags of a result go into the run's; an empty value removes one (S4.10). The table is at the top; popped. */
static void merge_tags(lua_State *L, st_lua_run *run) {
  run->tagged = 1;
  lua_getiuservalue(L, AT_RUN, RUN_GLOBALS);
  if (lua_getfield(L, -1, "tags") != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "tags");
  }
  lua_pushnil(L);
  while (lua_next(L, -4) != 0) {
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
      lua_pushvalue(L, -2);
      st_json_mend(L, -1);
      if (lua_rawlen(L, -2) == 0) {
        lua_pushnil(L);
      } else {
        lua_pushvalue(L, -2);
        st_json_mend(L, -1);
      }
      lua_rawset(L, -5);
    }
    lua_pop(L, 1);
  }
  lua_pop(L, 3);
}

/* Makes the text put by for the step its error. */
static void restore_error(lua_State *L, st_slot *s) {
  lua_getiuservalue(L, AT_RUN, RUN_PENDING);
  lua_rawgeti(L, -1, (lua_Integer)s->id + 1);
  set_error(L, s);
  lua_pushnil(L);
  lua_rawseti(L, -2, (lua_Integer)s->id + 1);
  lua_pop(L, 1);
}

/* The action failed in a state in which it would be tried again: asks the step's policy whether it is to be. */
static void judge(lua_State *L, st_slot *s) {
  st_lua_run *run = s->run;
  if (s->tried == 0 || run->r.cell[s->id].state != s->ended || !st_is_retriable(s->ended)) return;
  if (lua_rawgeti(L, AT_PLAN, PLAN_RETRY_WHEN) == LUA_TFUNCTION) {
    lua_pushvalue(L, AT_V);
    st_push_state(L, run->g, st_run_origin(&run->r, s->id), s->ended);
    lua_rawgeti(L, AT_ERROR, (lua_Integer)s->id + 1);
    int failed = lua_pcall(L, 3, 1, 0) != LUA_OK;
    if (failed) {
      lua_pushfstring(L, "retry.when: %s", st_tostring(L, -1));
      set_error(L, s);
    }
    if (failed || !lua_toboolean(L, -1)) st_run_set(&run->r, s->id, s->id, STEP_FATAL_ERROR, s->loop->time);
  }
}

/* What a pre_hook gave is seen by the action and its output alone (S4.2, D3). */
static void forget_hook(lua_State *L, st_slot *s) {
  if (!s->hooked) return;
  s->hooked = 0;
  lua_pushnil(L);
  lua_setiuservalue(L, AT_V, VALUES_HOOK);
}

/* Evaluates the check conditions of a step that has ended in s->ended (S3.5, D6, D13). */
static void check(lua_State *L, st_slot *s) {
  st_lua_run *run = s->run;
  forget_hook(L, s);
  lua_rawgeti(L, AT_ERROR, (lua_Integer)s->id + 1); /* comes back with s->ended */
  lua_rawgeti(L, AT_PLAN, PLAN_CHECK);
  if (lua_istable(L, -1)) {
    int list = lua_gettop(L);
    st_push_state(L, run->g, st_run_origin(&run->r, s->id), s->ended);
    int result = st_conditions(L, list, AT_V, lua_tostring(L, -1), apply_state, s);
    if (result < 0) {
      lua_getiuservalue(L, AT_RUN, RUN_PENDING);
      lua_pushvalue(L, list - 1);
      lua_rawseti(L, -2, (lua_Integer)s->id + 1);
      lua_pop(L, 1);
      set_error(L, s);
      if (st_run_afterrun(&run->r, s->id, s->ended, s->loop->time) == ST_NO_MEMORY) luaL_error(L, "not enough memory");
    }
  }
  judge(L, s);
  settle(L, s);
  lua_settop(L, FIXED);
}

/* The action waits for somebody. The state that the step is in: the attempt may be over. */
static int wait_on(lua_State *L, st_slot *s) {
  if (s->expires == 0) s->expires = st_run_expires(&s->run->r, s->id); /* its pre_hook waits */
  if (s->expires == 0) return STEP_WAITING;
  if (s->loop->time < s->expires) {
    if (s->again == 0 || s->expires < s->again) s->again = s->expires;
    return STEP_WAITING;
  }
  s->stopped = ST_TIMED_OUT;
  st_push_stop(L, s);
  s->stopped = 0;
  lua_pushfstring(L, "%s: %s", st_tostring(L, -1), lua_tostring(L, AT_RESULT + 3));
  lua_replace(L, AT_RESULT + 3);
  lua_pop(L, 2);
  s->tried = 1;
  return STEP_SERVER_ERROR;
}

/* The action ended: output, metadata, tags and error are at AT_RESULT. Stores them, then the check
** conditions. */
static void finish(lua_State *L, st_slot *s, int state) {
  st_lua_run *run = s->run;
  if (run->closed) return;
  if (state == STEP_WAITING) state = wait_on(L, s);
  lua_pushvalue(L, AT_RESULT);
  st_note(L, run, AT_OUTPUT, s->id, NOTE_OUTPUT);
  lua_pushvalue(L, AT_RESULT + 1);
  st_note(L, run, AT_METADATA, s->id, NOTE_METADATA);
  if (lua_istable(L, AT_RESULT + 2)) {
    lua_pushvalue(L, AT_RESULT + 2);
    merge_tags(L, run);
  }
  s->ended = (uint8_t)state;
  st_applied applied = st_run_outcome(&run->r, s->id, state, s->tried, s->loop->time);
  if (applied == ST_NO_MEMORY) luaL_error(L, "not enough memory");
  if (applied == ST_OVERRIDDEN) { /* D8: the message that came with the state */
    restore_error(L, s);
  } else {
    lua_pushvalue(L, AT_RESULT + 3);
    set_error(L, s);
  }
  if (state == STEP_WAITING && s->again != 0) {
    st_run_again(&run->r, s->id, s->again, s->expires);
    s->loop->deadlines += !run->timed;
    run->timed = 1;
  }
  if (state == STEP_WAITING && s->awaits) st_run_await(&run->r, s->id);
  if (run->r.journal.count > 0) st_report(L, run, AT_RUN);
  if (applied == ST_APPLIED && lua_istable(L, AT_PLAN)) {
    check(L, s);
  } else {
    settle(L, s);
    lua_settop(L, FIXED);
  }
}

/* ---- the executor: an action or a pre_hook ---- */

/* Makes the value at index i JSON data of the run's own. 0: it is none; its text form takes its place and
** the reason is pushed (S4.8). */
static int own(lua_State *L, int i) {
  switch (lua_type(L, i)) {
  case LUA_TNIL:
  case LUA_TBOOLEAN: return 1;
  default: break;
  }
  if (lua_islightuserdata(L, i) && lua_touserdata(L, i) == NULL) { /* null is no output */
    lua_pushnil(L);
    lua_replace(L, i);
    return 1;
  }
  if (st_json_copy(L, i)) {
    lua_replace(L, i);
    return 1;
  }
  st_tostring(L, i);
  if (lua_rawlen(L, -1) > ST_JSON_VALUE) {
    lua_pop(L, 1);
    lua_pushnil(L);
  } else {
    st_json_mend(L, -1);
  }
  lua_replace(L, i);
  return 0;
}

/* The state that an error stands for (S4.5); its text takes its place at AT_RESULT + 3. */
static int classify(lua_State *L, st_slot *s) {
  int i = AT_RESULT + 3, state = STEP_SERVER_ERROR;
  s->again = 0;
  s->awaits = 0;
  if (lua_isnil(L, i)) return STEP_DONE;
  if (lua_istable(L, i)) {
    lua_pushliteral(L, "kind");
    if (lua_rawget(L, i) == LUA_TSTRING) {
      const char *kind = lua_tostring(L, -1);
      if (strcmp(kind, "bad_request") == 0) state = STEP_CLIENT_ERROR;
      if (strcmp(kind, "not_assigned") == 0) state = STEP_WAITING;
      if (strcmp(kind, "not_provisioned") == 0) state = STEP_TO_RETRY;
    }
    lua_pop(L, 1);
    if (state == STEP_WAITING) {
      lua_pushliteral(L, "again");
      if (lua_rawget(L, i) == LUA_TNUMBER && lua_tonumber(L, -1) > 0) s->again = lua_tonumber(L, -1);
      lua_pushliteral(L, "awaits");
      lua_rawget(L, i);
      s->awaits = (uint8_t)lua_toboolean(L, -1);
      lua_pop(L, 2);
    }
    if (luaL_getmetafield(L, i, "__tostring") == LUA_TNIL) { /* a table of the runner's own: its message is its text */
      lua_pushliteral(L, "message");
      if (lua_rawget(L, i) == LUA_TSTRING)
        lua_replace(L, i);
      else
        lua_pop(L, 1);
    } else {
      lua_pop(L, 1);
    }
  }
  st_tostring(L, i);
  lua_replace(L, i);
  return state;
}

/* Sets the error text from a format with one %s, the text at the top; popped. */
static void set_text(lua_State *L, const char *format) {
  const char *text = st_tostring(L, -1);
  lua_pushfstring(L, format, text);
  lua_replace(L, AT_RESULT + 3);
  lua_pop(L, 2);
}

/* Works on the results at AT_RESULT: output strategies, schema. The state the action ends in. */
static int conclude(lua_State *L, st_slot *s) {
  int state = classify(L, s);
  if (!own(L, AT_RESULT)) {
    set_text(L, "output: %s");
    return STEP_FATAL_ERROR;
  }
  if (!own(L, AT_RESULT + 1)) {
    set_text(L, "metadata: %s");
    lua_pushnil(L);
    lua_replace(L, AT_RESULT + 1);
    return STEP_FATAL_ERROR;
  }
  if (!lua_istable(L, AT_EXECUTOR)) return state; /* a plain action */
  if (lua_rawgeti(L, AT_EXECUTOR, EXECUTOR_FINISH) == LUA_TFUNCTION) {
    lua_pushvalue(L, AT_V);
    lua_pushvalue(L, AT_RESULT);
    lua_pushvalue(L, AT_RESULT + 1);
    lua_getiuservalue(L, AT_SLOT, SLOT_FORMATS);
    if (lua_pcall(L, 4, 1, 0) != LUA_OK) {
      set_text(L, "unable to format output: %s");
      return STEP_FATAL_ERROR;
    }
    lua_replace(L, AT_RESULT);
    if (!own(L, AT_RESULT)) {
      set_text(L, "unable to format output: %s");
      return STEP_FATAL_ERROR;
    }
  } else {
    lua_pop(L, 1);
  }
  if (s->hook || state != STEP_DONE) return state;
  if (lua_rawgeti(L, AT_PLAN, PLAN_SCHEMA) == LUA_TNIL) { /* S4.7 */
    lua_pop(L, 1);
    return state;
  }
  lua_pushvalue(L, AT_RESULT);
  if (lua_pcall(L, 1, 2, 0) != LUA_OK) {
    set_text(L, "%s");
    return STEP_FATAL_ERROR;
  }
  if (lua_toboolean(L, -2)) {
    lua_pop(L, 2);
    return state;
  }
  set_text(L, "%s");
  lua_pop(L, 1);
  return STEP_FATAL_ERROR;
}

/* The action did not run: its step keeps the results it has; the text at the top becomes its error. */
static void finish_unexecuted(lua_State *L, st_slot *s, int state, const char *format) {
  set_text(L, format);
  lua_rawgeti(L, AT_OUTPUT, (lua_Integer)s->id + 1);
  lua_replace(L, AT_RESULT);
  lua_rawgeti(L, AT_METADATA, (lua_Integer)s->id + 1);
  lua_replace(L, AT_RESULT + 1);
  lua_pushnil(L);
  lua_replace(L, AT_RESULT + 2);
  s->tried = 0;
  finish(L, s, state);
}

/* The pre_hook failed (S4.2, D19): text at the top. Only what a retry may mend is retried. */
static void hook_failed(lua_State *L, st_slot *s, int state) {
  finish_unexecuted(L, s, state == STEP_CLIENT_ERROR ? STEP_FATAL_ERROR : state, "prehook: %s");
}

/* Ends the executor before it ran; the text is at the top. */
static void refuse(lua_State *L, st_slot *s, int state, const char *format) {
  st_place_release(s);
  if (s->hook) {
    lua_pushfstring(L, format, st_tostring(L, -1));
    hook_failed(L, s, state);
  } else {
    finish_unexecuted(L, s, state, format);
  }
}

/* The attempt was stopped by a cancel, a pause or the run's deadline. Its step is TO_RETRY without a try: it did not fail, and when
** the run goes on after a pause it must be done. So what an action that caught the error returned does not count, and nobody
** judges it. */
static void finish_stopped(lua_State *L, st_slot *s) {
  st_lua_run *run = s->run;
  st_place_release(s);
  if (run->closed) return;
  st_applied applied = st_run_stopped(&run->r, s->id, s->loop->time);
  if (applied == ST_OVERRIDDEN) {
    restore_error(L, s);
  } else {
    st_push_stop(L, s);
    st_tostring(L, -1);
    set_error(L, s);
  }
  s->stopped = s->raised = 0;
  if (run->r.journal.count > 0) st_report(L, run, AT_RUN);
  settle(L, s);
  lua_settop(L, FIXED);
}

/* The attempt was stopped. 1: that is all there is to it; 0: its time is over, which is an error like any other. */
static int stopped(lua_State *L, st_slot *s) {
  if (s->stopped != ST_TIMED_OUT) {
    finish_stopped(L, s);
    return 1;
  }
  st_push_stop(L, s);
  lua_replace(L, AT_RESULT + 3);
  s->stopped = s->raised = 0;
  return 0;
}

static void load_executor(lua_State *L, st_slot *s) {
  lua_rawgeti(L, AT_PLAN, s->hook ? PLAN_HOOK : PLAN_ACTION);
  lua_replace(L, AT_EXECUTOR);
}

/* Puts the plan of the slot's step at AT_PLAN and makes the stack FULL. */
static void load_plan(lua_State *L, st_slot *s) {
  lua_settop(L, FIXED);
  lua_rawgeti(L, AT_CODE, (lua_Integer)st_run_origin(&s->run->r, s->id) + 1);
  lua_settop(L, FULL);
}

/* Configuration, context, resources (S4.3, S4.4). 1: go on to call it, 0: the step's turn is over, -1: wait. */
static int prepare(lua_State *L, st_slot *s) {
  load_executor(L, s);
  lua_pushnil(L);
  lua_setiuservalue(L, AT_SLOT, SLOT_FORMATS);
  if (lua_rawgeti(L, AT_EXECUTOR, EXECUTOR_PREPARE) == LUA_TFUNCTION) {
    lua_pushvalue(L, AT_V);
    if (lua_pcall(L, 1, 3, 0) != LUA_OK) {
      refuse(L, s, STEP_FATAL_ERROR, "%s");
      return 0;
    }
    lua_pushvalue(L, -1);
    lua_setiuservalue(L, AT_SLOT, SLOT_FORMATS);
    lua_replace(L, AT_FORMATS);
    lua_replace(L, AT_CONFIG);
    lua_replace(L, AT_BASE);
  } else {
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  lua_setiuservalue(L, AT_SLOT, SLOT_CONTEXT);
  if (lua_rawgeti(L, AT_EXECUTOR, EXECUTOR_CONTEXT) == LUA_TFUNCTION) {
    st_push_step_name(L, s->run, s->id);
    lua_pushvalue(L, AT_V);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
      refuse(L, s, STEP_FATAL_ERROR, "failed to template context: %s");
      return 0;
    }
    lua_setiuservalue(L, AT_SLOT, SLOT_CONTEXT);
  } else {
    lua_pop(L, 1);
  }
  int type = lua_rawgeti(L, AT_EXECUTOR, EXECUTOR_RESOURCES);
  if (type == LUA_TFUNCTION) {
    lua_pushvalue(L, AT_BASE);
    lua_pushvalue(L, AT_CONFIG);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
      refuse(L, s, STEP_FATAL_ERROR, "resources: %s");
      return 0;
    }
  }
  if (!lua_istable(L, -1)) {
    lua_pop(L, 1);
    return 1;
  }
  double seconds = lua_rawgeti(L, AT_PLAN, PLAN_ACQUIRE) == LUA_TNUMBER ? lua_tonumber(L, -1) : -1;
  lua_pop(L, 1);
  switch (st_place_acquire(L, s, seconds)) {
  case ST_GRANTED: return 1;
  case ST_NEVER: /* the name is at the top */
    refuse(L, s, STEP_TO_RETRY, "failed to acquire resources: %s has the limit 0, it is never available");
    return 0;
  case ST_WAITS: break;
  }
  return -1;
}

/* Pushes what an executor is called with; the number of arguments, or -1 when a C runner was started. */
static int push_call(lua_State *L, st_slot *s) {
  lua_rawgeti(L, AT_EXECUTOR, EXECUTOR_KIND);
  int fn = lua_tostring(L, -1)[0] == 'f';
  lua_pop(L, 1);
  lua_rawgeti(L, AT_EXECUTOR, EXECUTOR_CALL);
  if (fn) {
    lua_pushvalue(L, AT_V);
    return 1;
  }
  st_push_step_name(L, s->run, s->id);
  if (!lua_isfunction(L, -2) && luaL_testudata(L, -2, ST_CRUNNER) != NULL) {
    lua_pushvalue(L, AT_BASE);
    lua_pushvalue(L, AT_CONFIG);
    lua_getiuservalue(L, AT_SLOT, SLOT_CONTEXT);
    return -1;
  }
  lua_pushvalue(L, AT_BASE);
  lua_pushvalue(L, AT_CONFIG);
  lua_pushvalue(L, AT_CTX);
  return 4;
}

/* ---- the body ---- */

static int body(lua_State *L, int status, lua_KContext kc);

/* read_clock(loop) as a protected call */
static int read_clock(lua_State *L) {
  st_loop_now(L, lua_touserdata(L, 1));
  return 0;
}

/* Skip conditions (S3.4). 1: the step is not skipped. */
static int unskipped(lua_State *L, st_slot *s, int which) {
  int result = 0;
  lua_rawgeti(L, AT_PLAN, which);
  if (lua_istable(L, -1)) {
    result = st_conditions(L, lua_gettop(L), AT_V, NULL, apply_state, s);
    if (result < 0) {
      set_error(L, s);
      if (st_run_unevaluated(&s->run->r, s->id, s->loop->time) == ST_NO_MEMORY) luaL_error(L, "not enough memory");
    }
    if (result != 0) {
      settle(L, s);
      lua_settop(L, FIXED);
      return 0;
    }
  }
  lua_settop(L, FULL);
  return 1;
}

/* Expands a foreach step (S5.1). */
static void expand(lua_State *L, st_slot *s) {
  st_lua_run *run = s->run;
  if (!unskipped(L, s, PLAN_SKIP_PARENT)) return;
  lua_rawgeti(L, AT_PLAN, PLAN_FOREACH);
  lua_pushvalue(L, AT_V);
  int failed = lua_pcall(L, 1, 1, 0) != LUA_OK;
  if (!failed && !lua_istable(L, -1)) {
    lua_pushfstring(L, "foreach: expected a list, found %s", lua_isnil(L, -1) ? "nothing" : luaL_typename(L, -1));
    failed = 1;
  }
  if (!failed && !st_json_copy(L, lua_gettop(L))) {
    lua_pushfstring(L, "foreach: %s", lua_tostring(L, -1));
    failed = 1;
  }
  if (!failed && lua_rawlen(L, -1) == 0) { /* {} from Lua is an empty list; an object is none */
    lua_pushnil(L);
    if (lua_next(L, -2) != 0) {
      lua_pushliteral(L, "foreach: expected a list, found an object");
      failed = 1;
    } else {
      st_json_array_mt(L);
      lua_setmetatable(L, -2);
    }
  }
  if (!failed) {
    step_id first;
    lua_Unsigned n = lua_rawlen(L, -1);
    st_result result = n > ST_MAX_STEPS ? ST_EFULL : ST_OK;
    lua_getiuservalue(L, AT_RUN, RUN_ITEMS);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, (lua_Integer)s->id + 1);
    lua_pushnil(L);
    set_error(L, s);
    lua_getiuservalue(L, AT_RUN, RUN_CHILDREN);
    if (n == 0)
      lua_pushvalue(L, -3); /* children: [] */
    else
      lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)s->id + 1);
    if (result == ST_OK) result = st_run_expand(&run->r, s->id, (uint32_t)n, &first, s->loop->time);
    if (result == ST_ENOMEM) luaL_error(L, "not enough memory");
    if (result == ST_OK) {
      if (run->r.journal.count > 0) st_report(L, run, AT_RUN);
      lua_settop(L, FIXED);
      return;
    }
    lua_pushliteral(L, "foreach: the list is too long");
  }
  st_tostring(L, -1);
  set_error(L, s);
  st_run_set(&run->r, s->id, s->id, STEP_FATAL_ERROR, s->loop->time);
  settle(L, s);
  lua_settop(L, FIXED);
}

/* Whether the action, which was about to start, must not any more: a callback, or somebody meanwhile, has stopped the run. */
static int halted(lua_State *L, st_slot *s) {
  if (s->run->r.stop == 0 || (s->stopped = (uint8_t)st_stop_of(s)) == ST_NOT_STOPPED) return 0;
  s->phase = NEXT;
  finish_stopped(L, s);
  return 1;
}

/* Waits for something; the body goes on in that phase. */
static int wait(lua_State *L, st_slot *s, enum phase phase) {
  if (s->run->closed) { /* a callback did it: nothing comes any more */
    st_place_release(s);
    return 0;
  }
  s->phase = (uint8_t)phase;
  return st_loop_wait(L, s, body);
}

/* Waits until the lease is fresh again; the body goes on in phase RENEWED. */
static int renew(lua_State *L, st_slot *s) {
  if (s->run->closed) {
    st_place_release(s);
    return 0;
  }
  s->phase = RENEWED;
  return st_loop_renew(L, s, body);
}

/* Says that the action of the slot's step waits for its resources, or begins now; a pre_hook that has run is part of it. 1: that is
** to be stored. */
static int set_unbegun(lua_State *L, st_slot *s, int on) {
  if (s->run->closed || s->hooked || !st_run_unbegun(&s->run->r, s->id, on) || !s->run->kept) return 0;
  st_change touched = { s->loop->time, s->id, STEP_RUNNING, STEP_RUNNING };
  st_persist_note(L, s->run, AT_RUN, &touched, s->run->events);
  return 1;
}

/* The action of the slot's step waits until what is RUNNING, or a new lease, is stored. */
static void put_by(lua_State *L, st_slot *s) {
  lua_settop(L, FIXED);
  if (!s->run->closed) st_mark_add(L, s);
}

/* Calls the executor that s->hook chooses; one that waits does not return here but into the body. */
static void execute(lua_State *L, st_slot *s) {
  if (lua_rawgeti(L, AT_PLAN, PLAN_TIMEOUT) == LUA_TNUMBER) st_loop_limit(L, s, lua_tonumber(L, -1));
  lua_pop(L, 1);
  if (s->run->closed) return;
  if (halted(L, s)) return;
  st_place_use(L, s);
  int args = push_call(L, s);
  s->phase = EXECUTED;
  if (args < 0) {
    st_runner_exec(L, s, lua_gettop(L) - 4);
    st_loop_wait(L, s, body);
  } else {
    lua_callk(L, args, 4, (lua_KContext)s, body);
  }
}

/* Calls the function of a step that has nothing but that; when it waits it does not return here but into the body. */
static void call_plain(lua_State *L, st_slot *s, step_id origin, uint8_t flags) {
  if (s->id == origin) {
    lua_rawgeti(L, AT_CODE, (lua_Integer)origin + 1);
  } else { /* a child: its siblings have the same */
    if (s->plain != origin) {
      lua_rawgeti(L, AT_CODE, (lua_Integer)origin + 1);
      lua_rawgeti(L, -1, PLAN_PLAIN);
      lua_replace(L, AT_PLAIN);
      lua_settop(L, FIXED);
      s->plain = origin;
    }
    lua_pushvalue(L, AT_PLAIN);
  }
  s->phase = PLAIN;
  if (flags & ST_PLAIN_EXEC) {
    st_push_step_name(L, s->run, s->id);
    lua_pushnil(L);
    lua_pushnil(L);
    lua_pushvalue(L, AT_CTX);
    lua_callk(L, 4, LUA_MULTRET, (lua_KContext)s, body);
  } else {
    lua_pushvalue(L, AT_V);
    lua_callk(L, 1, LUA_MULTRET, (lua_KContext)s, body);
  }
}

static int body(lua_State *L, int status, lua_KContext kc) {
  st_slot *s = (st_slot *)kc;
  if (status == LUA_YIELD && !s->running) { /* resumed by somebody who is not the loop */
    lua_settop(L, FULL);
    return lua_yieldk(L, 0, kc, body);
  }
  for (;;) {
    st_lua_run *run = s->run;
    if (run->closed) break;
    switch ((enum phase)s->phase) {
    case NEXT: {
      step_id origin;
      st_work work = ST_WORK_ACTION;
      int marked = run->marks.stored > 0;
      if (marked) {
        st_mark_take(s);
        origin = st_run_origin(&run->r, s->id);
      } else {
        if (!st_place_keep(s) || (run->kept && s->loop->marked >= ST_MARKS)) goto idle;
        if (s->loop->custom_clock) {
          s->id = ST_NO_STEP; /* a clock that fails is no step's error */
          st_loop_now(L, s->loop);
          if (run->closed) goto idle;
        }
        work = st_run_next(&run->r, s->loop->time, &s->id, &origin);
        if (work == ST_WORK_NONE) goto idle;
      }
      s->values->id = s->id;
      forget_hook(L, s);
      if (work == ST_WORK_ACTION) {
        uint8_t flags = run->g->flags[origin];
        s->hook = 0;
        s->tried = 1;
        s->expires = 0;
        if (marked) {
          if (halted(L, s)) continue;
          if (!st_loop_fresh(L, s)) {
            put_by(L, s);
            continue;
          }
          if ((flags & ST_PLAIN) == 0) load_plan(L, s);
        } else {
          if (run->r.journal.count > 0) st_report(L, run, AT_RUN);
          if ((flags & ST_PLAIN) == 0) {
            load_plan(L, s);
            if (!unskipped(L, s, PLAN_SKIP)) continue;
          }
          if (run->kept) {
            put_by(L, s);
            continue;
          }
        }
        if (flags & ST_PLAIN) {
          call_plain(L, s, origin, flags);
          continue;
        }
        if (lua_rawgeti(L, AT_PLAN, PLAN_HOOK) == LUA_TTABLE) {
          s->hook = 1;
          lua_settop(L, FULL);
          goto start;
        }
        lua_settop(L, FULL);
        goto delay;
      }
      if (work == ST_WORK_EXHAUSTED) {
        exhausted(L, s);
      } else if (work == ST_WORK_CONTRACT) {
        st_collect(L, run, AT_RUN, s->id);
        lua_pushnil(L);
        set_error(L, s);
        lua_pushnil(L);
        st_note(L, run, AT_OUTPUT, s->id, NOTE_OUTPUT);
        st_run_contract(&run->r, s->id, s->loop->time);
        if (run->r.journal.count > 0) st_report(L, run, AT_RUN);
      } else {
        load_plan(L, s);
        if (work == ST_WORK_FOREACH) {
          expand(L, s);
        } else {
          s->ended = run->r.cell[s->id].state;
          s->tried = 1;
          restore_error(L, s);
          check(L, s);
        }
      }
      continue;
    }

    case PLAIN: /* results on top of FIXED */
      s->phase = NEXT;
      st_loop_tick(L, s->loop, run->r.journal.on);
      if (s->stopped) {
        finish_stopped(L, s);
        continue;
      }
      while (lua_gettop(L) > FIXED && lua_isnil(L, -1)) lua_settop(L, -2);
      if (lua_gettop(L) == FIXED
          && (run->r.cell[s->id].note & NOTE_VALUES) == 0) { /* nothing returned, nothing to forget */
        if (st_run_done(&run->r, s->id, s->loop->time) == ST_OVERRIDDEN) {
          restore_error(L, s); /* D8 */
          lua_settop(L, FIXED);
        }
        if (run->r.journal.count > 0) st_report(L, run, AT_RUN);
        continue;
      }
      lua_settop(L, FIXED + 4);
      for (int i = FIXED + 1; i < AT_RESULT; i++) lua_pushnil(L); /* under the results */
      lua_rotate(L, FIXED + 1, AT_RESULT - FIXED - 1);
      finish(L, s, conclude(L, s));
      continue;

    case DELAYED:
    delay:
      if (s->phase != DELAYED && lua_rawgeti(L, AT_PLAN, PLAN_DELAY) == LUA_TNUMBER) { /* S4.1 */
        double delay = lua_tonumber(L, -1);
        lua_settop(L, FULL);
        s->phase = DELAYED;
        st_loop_timer(L, s, st_loop_now(L, s->loop) + delay);
        return wait(L, s, DELAYED);
      }
      lua_settop(L, FULL);
      s->hook = 0;
      s->phase = NEXT;
    start:
      switch (prepare(L, s)) {
      case 0: s->phase = NEXT; continue;
      case -1:
        lua_settop(L, FULL);
        set_unbegun(L, s, 1);
        return wait(L, s, ACQUIRED);
      default: break;
      }
      lua_settop(L, FULL);
      if (!st_loop_fresh(L, s)) return renew(L, s);
      execute(L, s);
      continue;

    case RENEWED:
      lua_settop(L, FULL);
      if (!st_loop_fresh(L, s)) return renew(L, s);
      execute(L, s);
      continue;

    case ACQUIRED:
      lua_settop(L, FULL);
      if (s->timed_out) {
        s->timed_out = 0;
        s->phase = NEXT;
        lua_pushliteral(L, "the time to wait for them is over");
        refuse(L, s, STEP_TO_RETRY, "failed to acquire resources: %s");
        continue;
      }
      if (set_unbegun(L, s, 0) || !st_loop_fresh(L, s)) return renew(L, s);
      execute(L, s);
      continue;

    case EXECUTED: {
      s->phase = NEXT;
      st_loop_now(L, s->loop);
      st_place_release(s);
      if (lua_gettop(L) > FULL)
        for (int i = 3; i >= 0; i--) lua_replace(L, AT_RESULT + i);
      lua_settop(L, FULL);
      if (s->limit != 0) st_loop_limit(L, s, 0);
      if (s->stopped && stopped(L, s)) continue;
      int state = conclude(L, s);
      if (!s->hook) {
        finish(L, s, state);
      } else if (state != STEP_DONE) {
        lua_pushvalue(L, AT_RESULT + 3);
        hook_failed(L, s, state);
      } else {
        lua_createtable(L, 0, 2);
        for (int i = 0; i < 2; i++) { /* nothing is null: the fields are there */
          if (lua_isnil(L, AT_RESULT + i))
            lua_pushlightuserdata(L, NULL);
          else
            lua_pushvalue(L, AT_RESULT + i);
          lua_setfield(L, -2, i == 0 ? "output" : "metadata");
        }
        lua_setiuservalue(L, AT_V, VALUES_HOOK);
        s->hooked = 1;
        goto delay;
      }
      continue;
    }

    case BROKEN: {
      /* s->phase stays BROKEN: so the loop sees it when recording the error fails too */
      int broken = s->broken;
      st_place_release(s);
      if (s->id == ST_NO_STEP) {
        lua_getiuservalue(L, AT_SLOT, SLOT_VALUE);
        return lua_error(L);
      }
      lua_pushcfunction(L, read_clock);
      lua_pushlightuserdata(L, s->loop);
      if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1); /* perhaps it is the clock that failed */
      load_plan(L, s);
      if (lua_istable(L, AT_PLAN)) load_executor(L, s);
      lua_getiuservalue(L, AT_SLOT, SLOT_VALUE);
      lua_replace(L, AT_RESULT + 3);
      lua_pushnil(L);
      lua_setiuservalue(L, AT_SLOT, SLOT_VALUE);
      if (lua_isnil(L, AT_RESULT + 3)) { /* error(nil) is an error too */
        lua_pushliteral(L, "error without a value");
        lua_replace(L, AT_RESULT + 3);
      }
      if (run->r.cell[s->id].state != STEP_RUNNING) { /* our own code, out of memory, after the outcome */
        s->stopped = s->raised = 0;
        classify(L, s);
        lua_settop(L, AT_RESULT + 3);
        set_error(L, s);
        settle(L, s);
        lua_settop(L, FIXED);
        s->phase = NEXT;
        continue;
      }
      if (s->stopped && stopped(L, s)) {
        s->phase = NEXT;
        continue;
      }
      int state;
      if (broken == EXECUTED)
        state = conclude(L, s);
      else
        state = classify(L, s);
      lua_settop(L, FULL);
      if (s->hook) {
        lua_pushvalue(L, AT_RESULT + 3);
        hook_failed(L, s, state);
      } else {
        finish(L, s, state);
      }
      s->phase = NEXT;
      continue;
    }
    }
  }
idle:
  st_place_release(s);
  return 0;
}

int st_exec_acting(const st_slot *slot) { return slot->phase == PLAIN || slot->phase == EXECUTED; }

int st_exec_body(lua_State *L) {
  st_slot *s = lua_touserdata(L, AT_SLOT);
  luaL_checkstack(L, FULL + LUA_MINSTACK, "step");
  return body(L, LUA_OK, (lua_KContext)s);
}
