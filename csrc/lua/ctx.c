/* ctx.c - what a runner is given: who it works for, and how it waits.
*/
#include "binding.h"

#include <math.h>
#include <string.h>

static st_slot *check_ctx(lua_State *L) {
  st_slot **ctx = luaL_checkudata(L, 1, ST_CTX);
  if ((*ctx)->run == NULL || (*ctx)->run->freed) luaL_error(L, "the context is used after its step has ended");
  return *ctx;
}

/* The slot, when ctx:sleep or ctx:await may yield here. */
static st_slot *check_yieldable(lua_State *L, const char *what) {
  st_slot *slot = check_ctx(L);
  if (L != slot->co) luaL_error(L, "ctx:%s must be called from the runner's own coroutine", what);
  if (!lua_isyieldable(L)) luaL_error(L, "ctx:%s is called where Lua cannot yield", what);
  if (slot->run->closed) luaL_error(L, "ctx:%s: the run is closed", what);
  return slot;
}

/* The wait was ended by a cancel or a pause. */
static int raise_stop(lua_State *L, st_slot *slot) {
  slot->raised++;
  st_push_stop(L, slot);
  return lua_error(L);
}

/* Continuations of what yields; when somebody else than the loop resumes, they yield again. */
static int slept(lua_State *L, int status, lua_KContext kc) {
  st_slot *slot = (st_slot *)kc;
  (void)status;
  lua_settop(L, 2);
  if (!slot->running) return lua_yieldk(L, 0, kc, slept);
  return slot->stopped ? raise_stop(L, slot) : 0;
}

static int ctx_sleep(lua_State *L) {
  st_slot *slot = check_yieldable(L, "sleep");
  double seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, seconds >= 0 && seconds < HUGE_VAL, 2, "not a time to wait");
  st_loop_timer(L, slot, st_loop_now(L, slot->loop) + seconds);
  slot->catchable = 1;
  return st_loop_wait(L, slot, slept);
}

static int resumed(lua_State *L, int status, lua_KContext kc) {
  (void)L;
  (void)status;
  (void)kc;
  return 0;
}

/* resume(...): a closure over the slot's userdata and its ticket. */
static int ctx_resume(lua_State *L) {
  st_slot *slot = lua_touserdata(L, lua_upvalueindex(1));
  if (slot->ticket != (uint32_t)lua_tointeger(L, lua_upvalueindex(2))) return 0; /* called before, or too late */
  int n = lua_gettop(L);
  lua_createtable(L, n, 1);
  lua_pushinteger(L, n);
  lua_setfield(L, -2, "n");
  lua_insert(L, 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
  st_loop_give(L, slot);
  if (slot->running || !slot->awaiting) return 0; /* it has not yielded yet */
  st_push_slot(L, slot);
  if (lua_isnil(L, -1)) return 0;
  st_push_slot_run(L);
  lua_getiuservalue(L, -1, RUN_GLOBALS);
  lua_pushliteral(L, "resumed");
  if (lua_rawget(L, -2) == LUA_TFUNCTION) lua_callk(L, 0, 0, 0, resumed); /* step.run: nobody else turns the loop */
  return 0;
}

static int awaited(lua_State *L, int status, lua_KContext kc) {
  st_slot *slot = (st_slot *)kc;
  (void)status;
  if (slot->running && slot->stopped) return raise_stop(L, slot);
  if (slot->running) return lua_gettop(L) - 2; /* what lies over ctx and the function */
  lua_settop(L, 2);
  return lua_yieldk(L, 0, kc, awaited);
}

static int await(lua_State *L, int outside) {
  st_slot *slot = check_yieldable(L, "await");
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  slot->woken = 0;
  slot->ticket++;
  lua_pushvalue(L, 2);
  st_push_slot(L, slot);
  lua_pushinteger(L, slot->ticket);
  lua_pushcclosure(L, ctx_resume, 2);
  lua_call(L, 1, 0);
  lua_settop(L, 2);
  if (outside && !slot->woken) {
    slot->outside = 1;
    slot->loop->outside++;
  }
  slot->catchable = 1;
  return st_loop_wait(L, slot, awaited);
}

static int ctx_await(lua_State *L) { return await(L, 0); }

int st_ctx_await_outside(lua_State *L) { return await(L, 1); }

int st_ctx_loop(lua_State *L) {
  check_ctx(L);
  lua_getiuservalue(L, 1, CTX_SLOT);
  lua_getiuservalue(L, -1, SLOT_LOOP);
  return 1;
}

int st_ctx_here(lua_State *L) {
  st_push_slot_at(L, L);
  const st_slot *slot = lua_touserdata(L, -1);
  if (slot == NULL || slot->run == NULL) return 0;
  lua_getiuservalue(L, -1, SLOT_CTX);
  return 1;
}

static int logged(lua_State *L, int status, lua_KContext kc) {
  (void)status;
  (void)kc;
  return lua_gettop(L);
}

/* ctx.log(...), and ctx:log(...): the same. */
static int ctx_log(lua_State *L) {
  if (lua_isnil(L, lua_upvalueindex(1))) return 0;
  if (luaL_testudata(L, 1, ST_CTX) != NULL) lua_remove(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, logged);
  return logged(L, LUA_OK, 0);
}

/* Pushes a method that is written in Lua, in a module that is loaded for it. */
static void push_method(lua_State *L, const char *module, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, module);
  lua_call(L, 1, 1);
  lua_getfield(L, -1, name);
  lua_replace(L, -2);
}

/* ctx.NAME */
static int ctx_index(lua_State *L) {
  st_slot *slot = check_ctx(L);
  const char *key = luaL_checkstring(L, 2);
  const st_run *r = &slot->run->r;
  if (strcmp(key, "sleep") == 0) {
    lua_pushcfunction(L, ctx_sleep);
  } else if (strcmp(key, "await") == 0) {
    lua_pushcfunction(L, ctx_await);
  } else if (strcmp(key, "spawn") == 0) {
    push_method(L, "step.process", key);
  } else if (strcmp(key, "thread") == 0) {
    push_method(L, "step.thread", key);
  } else if (strcmp(key, "step_name") == 0) {
    st_push_step_name(L, slot->run, slot->id);
  } else if (strcmp(key, "attempt") == 0) {
    lua_pushinteger(L, (lua_Integer)r->cell[slot->id].tries + 1);
  } else if (strcmp(key, "cancelled") == 0) {
    lua_pushboolean(L, slot->run->closed || st_stop_of(slot) != ST_NOT_STOPPED);
  } else if (strcmp(key, "deadline") == 0) {
    double time = st_stop_time(slot);
    if (slot->expires != 0 && slot->expires < time) time = slot->expires; /* its last look */
    if (time < HUGE_VAL)
      lua_pushnumber(L, time);
    else
      lua_pushnil(L);
  } else if (strcmp(key, "run") == 0 || strcmp(key, "engine") == 0) {
    lua_getiuservalue(L, 1, CTX_SLOT);
    st_push_slot_run(L);
    if (lua_getiuservalue(L, -1, RUN_OBJECT) == LUA_TTABLE && key[0] == 'e'
        && lua_getfield(L, -1, "keeper") == LUA_TTABLE)
      lua_getfield(L, -1, "engine");
  } else {
    lua_getiuservalue(L, 1, CTX_SLOT);
    st_push_slot_run(L);
    lua_getiuservalue(L, -1, RUN_GLOBALS);
    lua_getfield(L, -1, "task");
    if (strcmp(key, "run_id") == 0) {
      lua_getfield(L, -1, "task_id");
    } else if (strcmp(key, "key") == 0) { /* the same for every try of this step of this run */
      lua_getfield(L, -1, "task_id");
      lua_pushliteral(L, "/");
      st_push_step_name(L, slot->run, slot->id);
      lua_concat(L, 3);
    } else if (strcmp(key, "log") == 0) {
      lua_getfield(L, -2, "log");
      lua_pushcclosure(L, ctx_log, 1);
    } else if (strcmp(key, "definition_file") == 0) {
      lua_getfield(L, -2, key);
    } else if (strcmp(key, "context") == 0) {
      lua_getiuservalue(L, 1, CTX_SLOT);
      lua_getiuservalue(L, -1, SLOT_CONTEXT);
    } else if (strcmp(key, "requester_username") == 0 || strcmp(key, "resolver_username") == 0
               || strcmp(key, "task_id") == 0 || strcmp(key, "created") == 0) {
      lua_getfield(L, -1, key);
    } else { /* a field of the runner's own context value */
      lua_getiuservalue(L, 1, CTX_SLOT);
      if (lua_getiuservalue(L, -1, SLOT_CONTEXT) != LUA_TTABLE) {
        lua_pushnil(L);
      } else {
        lua_pushvalue(L, 2);
        lua_rawget(L, -2);
      }
    }
  }
  return 1;
}

void st_ctx_open(lua_State *L) {
  luaL_newmetatable(L, ST_CTX);
  lua_pushcfunction(L, ctx_index);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}
