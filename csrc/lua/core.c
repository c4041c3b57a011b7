/* core.c - the module `step.core`: opens the other files of csrc/lua and holds what belongs to none of them. */
#include "binding.h"

#include <stdio.h>
#include <string.h>

st_alloc st_lua_alloc(lua_State *L) {
  st_alloc a;
  a.fn = lua_getallocf(L, &a.ud);
  return a;
}

void st_reset_thread(lua_State *co, lua_State *from) {
#if LUA_VERSION_RELEASE_NUM >= 50406
  lua_closethread(co, from);
#else
  (void)from;
  lua_resetthread(co);
#endif
}

static int to_string(lua_State *L) {
  luaL_tolstring(L, 1, NULL);
  return 1;
}

const char *st_tostring(lua_State *L, int i) {
  if (lua_type(L, i) == LUA_TSTRING) {
    lua_pushvalue(L, i);
    return lua_tostring(L, -1);
  }
  i = lua_absindex(L, i);
  luaL_checkstack(L, 4, "text");
  lua_pushcfunction(L, to_string);
  lua_pushvalue(L, i);
  int status = lua_pcall(L, 1, 1, 0);
  if (status == LUA_ERRMEM) lua_error(L);
  if (status != LUA_OK) {
    lua_pop(L, 1);
    lua_pushfstring(L, "(a %s without a text)", luaL_typename(L, i));
  }
  return lua_tostring(L, -1);
}

st_live *st_live_counters(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "step.live");
  st_live *live = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return live;
}

/* core.live() -> { graphs =, runs =, loops = }: what has not been collected or closed */
static int core_live(lua_State *L) {
  const st_live *live = st_live_counters(L);
  lua_createtable(L, 0, 3);
  lua_pushinteger(L, live->graphs);
  lua_setfield(L, -2, "graphs");
  lua_pushinteger(L, live->runs);
  lua_setfield(L, -2, "runs");
  lua_pushinteger(L, live->loops);
  lua_setfield(L, -2, "loops");
  return 1;
}

/* core.dependency_parts("a:DONE,B") -> "a", { "DONE", "B" } (S2.1) */
static int core_dependency_parts(lua_State *L) {
  size_t len;
  const char *p = luaL_checklstring(L, 1, &len), *end = p + len, *colon = memchr(p, ':', len);
  lua_pushlstring(L, p, colon == NULL ? len : (size_t)(colon - p));
  lua_newtable(L);
  if (colon == NULL) {
    lua_pushliteral(L, "DONE");
    lua_rawseti(L, -2, 1);
    return 2;
  }
  p = colon + 1;
  for (lua_Integer i = 1;; i++) {
    const char *comma = memchr(p, ',', (size_t)(end - p));
    const char *stop = comma == NULL ? end : comma;
    lua_pushlstring(L, p, (size_t)(stop - p));
    lua_rawseti(L, -2, i);
    if (comma == NULL) break;
    p = comma + 1;
  }
  return 2;
}

/* core.retry_delay(pattern or policy, tries, seed or nil) -> seconds (S6.5) */
static int core_retry_delay(lua_State *L) {
  st_policy policy;
  lua_Integer tries = luaL_checkinteger(L, 2);
  if (lua_istable(L, 1)) {
    policy = st_check_policy(L, 1);
  } else {
    size_t len;
    const char *name = luaL_checklstring(L, 1, &len);
    int pattern = st_pattern_find(name, len);
    luaL_argcheck(L, pattern >= 0, 1, "seconds, minutes or hours expected");
    policy = st_patterns[pattern];
  }
  luaL_argcheck(L, tries >= 0 && tries <= UINT32_MAX, 2, "count out of range");
  lua_pushnumber(L, st_retry_delay(&policy, (uint32_t)tries, (uint64_t)luaL_optinteger(L, 3, 0)));
  return 1;
}

/* core.compare(operator, value, expected, separator) -> boolean, or nil and the text that is no number (S3.2) */
static int core_compare(lua_State *L) {
  size_t len;
  st_text value, expected, separator, bad;
  const char *name = luaL_checklstring(L, 1, &len);
  value.p = luaL_checklstring(L, 2, &value.len);
  expected.p = luaL_checklstring(L, 3, &expected.len);
  separator.p = luaL_optlstring(L, 4, ",", &separator.len);
  int op = st_op_find(name, len);
  luaL_argcheck(L, op >= 0 && op != ST_OP_REGEXP && op != ST_OP_NOTREGEXP, 1, "no operator of the core");
  int result = st_op_eval((st_op)op, value, expected, separator, &bad);
  if (result >= 0) {
    lua_pushboolean(L, result);
    return 1;
  }
  lua_pushnil(L);
  lua_pushlstring(L, bad.p, bad.len);
  return 2;
}

/* core.operator(name) -> its name in capitals, or nil (D12) */
static int core_operator(lua_State *L) {
  size_t len;
  const char *name = luaL_checklstring(L, 1, &len);
  int op = st_op_find(name, len);
  if (op < 0) return 0;
  lua_pushstring(L, st_op_names[op]);
  return 1;
}

/* core.hash(text) -> 32 hexadecimal digits: tells versions of a text apart. FNV-1a and a relative of it, side by side; no
** secret is safe behind it. */
static int core_hash(lua_State *L) {
  size_t len;
  const unsigned char *p = (const unsigned char *)luaL_checklstring(L, 1, &len);
  uint64_t a = 14695981039346656037u, b = len * 0x9e3779b97f4a7c15u + 1;
  char text[33];
  for (size_t i = 0; i < len; i++) {
    a = (a ^ p[i]) * 1099511628211u;
    b = (b + p[i]) * 0xd6e8feb86659fd93u;
    b ^= b >> 32;
  }
  snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
  lua_pushstring(L, text);
  return 1;
}

static int core_now(lua_State *L) {
  lua_pushnumber(L, st_clock_now());
  return 1;
}

static void set_flag(lua_State *L, const char *name, int value) {
  lua_pushboolean(L, value);
  lua_setfield(L, -2, name);
}

/* core.states: a list of { name, meaning, runnable, retriable, final, settable }, in the order of the table */
static void push_states(lua_State *L) {
  lua_createtable(L, STEP_CUSTOM + 1, 0);
  for (int i = 0; i <= STEP_CUSTOM; i++) {
    const st_state_info *s = &st_states[i];
    lua_createtable(L, 0, 6);
    lua_pushstring(L, s->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, s->meaning);
    lua_setfield(L, -2, "meaning");
    set_flag(L, "runnable", s->flags & ST_RUNNABLE);
    set_flag(L, "retriable", s->flags & ST_RETRIABLE);
    set_flag(L, "final", s->flags & ST_FINAL);
    set_flag(L, "settable", s->flags & ST_SETTABLE);
    lua_rawseti(L, -2, i + 1);
  }
}

static void push_names(lua_State *L, const char *const *names, int n) {
  lua_createtable(L, n, 0);
  for (int i = 0; i < n; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, i + 1);
  }
}

static void set_integer(lua_State *L, const char *name, lua_Integer value) {
  lua_pushinteger(L, value);
  lua_setfield(L, -2, name);
}

__attribute__((visibility("default"))) int luaopen_step_core(lua_State *L);

int luaopen_step_core(lua_State *L) {
  static const luaL_Reg functions[] = { { "graph", st_graph_new },
                                        { "run", st_run_new },
                                        { "loop", st_loop_new },
                                        { "conditions", st_exec_conditions },
                                        { "dependency_parts", core_dependency_parts },
                                        { "retry_delay", core_retry_delay },
                                        { "compare", core_compare },
                                        { "operator", core_operator },
                                        { "now", core_now },
                                        { "hash", core_hash },
                                        { "random", st_random },
                                        { "uuid", st_uuid },
                                        { "live", core_live },
                                        { "here", st_ctx_here },
                                        { "loop_of", st_ctx_loop },
                                        { "await_outside", st_ctx_await_outside },
                                        { "load_apart", st_outside_load },
                                        { "watch_interrupts", st_interrupt_watch },
                                        { "interrupted", st_interrupt_asked },
                                        { NULL, NULL } };
  luaL_checkversion(L);
  memset(lua_newuserdatauv(L, sizeof(st_live), 0), 0, sizeof(st_live));
  lua_setfield(L, LUA_REGISTRYINDEX, "step.live");
  st_graph_open(L);
  st_run_open(L);
  st_view_open(L);
  st_loop_open(L);
  st_ctx_open(L);
  st_runner_open(L);
  st_persist_open(L);
  luaL_newlib(L, functions);
  st_json_open(L);
  lua_getfield(L, -1, "encode");
  lua_setfield(L, LUA_REGISTRYINDEX, "step.json.encode");
  lua_getfield(L, -1, "decode");
  lua_setfield(L, LUA_REGISTRYINDEX, "step.json.decode");
  lua_setfield(L, -2, "json");
  push_states(L);
  lua_setfield(L, -2, "states");
  push_names(L, st_run_states, STEP_RUN_STATES);
  lua_setfield(L, -2, "run_states");
  push_names(L, st_op_names, ST_OPS);
  lua_setfield(L, -2, "operators");
  lua_newtable(L); /* flags of a step, for core.graph */
  set_integer(L, "SECONDS", ST_SECONDS);
  set_integer(L, "MINUTES", ST_MINUTES);
  set_integer(L, "HOURS", ST_HOURS);
  set_integer(L, "IDEMPOTENT", ST_IDEMPOTENT);
  set_integer(L, "FOREACH", ST_FOREACH);
  set_integer(L, "SEQUENCE", ST_SEQUENCE);
  set_integer(L, "ALWAYS", ST_ALWAYS);
  set_integer(L, "PLAIN", ST_PLAIN);
  set_integer(L, "PLAIN_EXEC", ST_PLAIN_EXEC);
  lua_setfield(L, -2, "flags");
  set_integer(L, "max_custom_states", ST_MAX_CUSTOM);
  return 1;
}
