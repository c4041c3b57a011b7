/* condition.c - evaluating conditions (S3.2 to S3.5), for steps of a run and outside of one.
*/
#include "binding.h"

#include <string.h>

/* Makes the value at the top the text that an operator compares; "<no value>", nil and null are ""
** (S3.2). */
static void to_text(lua_State *L) {
  size_t len;
  const char *p;
  switch (lua_type(L, -1)) {
  case LUA_TSTRING:
    p = lua_tolstring(L, -1, &len);
    if (len != 10 || memcmp(p, "<no value>", 10) != 0) return;
    break;
  case LUA_TNIL:
  case LUA_TLIGHTUSERDATA: break;
  case LUA_TNUMBER:
  case LUA_TBOOLEAN:
    luaL_tolstring(L, -1, NULL);
    lua_replace(L, -2);
    return;
  default: luaL_error(L, "a condition compares texts, numbers and booleans, found a %s", luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  lua_pushliteral(L, "");
}

/* Pushes field k of the table at the top as text, calling it with v when it is a function. */
static st_text operand(lua_State *L, int k, int v) {
  st_text t;
  if (lua_rawgeti(L, -1, k) == LUA_TFUNCTION) {
    lua_pushvalue(L, v);
    lua_call(L, 1, 1);
  }
  to_text(L);
  t.p = lua_tolstring(L, -1, &t.len);
  lua_insert(L, -2); /* below the assertion: stays until the caller clears */
  return t;
}

/* Whether the assertion at the top holds; raises when it cannot be evaluated. */
static int holds(lua_State *L, int v) {
  int top = lua_gettop(L) - 1;
  lua_rawgeti(L, -1, ASSERT_OP);
  size_t len;
  const char *name = luaL_checklstring(L, -1, &len);
  int op = st_op_find(name, len), result;
  lua_insert(L, -2);
  st_text value = operand(L, ASSERT_VALUE, v), expected = operand(L, ASSERT_EXPECTED, v);
  if (op == ST_OP_REGEXP || op == ST_OP_NOTREGEXP) {
    lua_rawgeti(L, -1, ASSERT_MATCH);
    lua_pushlstring(L, value.p, value.len);
    lua_pushlstring(L, expected.p, expected.len);
    lua_call(L, 2, 1);
    result = lua_toboolean(L, -1) == (op == ST_OP_REGEXP);
  } else {
    st_text separator = { ",", 1 }, bad = { "", 0 };
    if (lua_rawgeti(L, -1, ASSERT_SEPARATOR) == LUA_TSTRING) separator.p = lua_tolstring(L, -1, &separator.len);
    result = op < 0 ? -1 : st_op_eval((st_op)op, value, expected, separator, &bad);
    if (result < 0) {
      lua_pushlstring(L, bad.p, bad.len);
      luaL_error(L, "operator %s compares numbers, found \"%s\"", st_op_names[op < 0 ? 0 : op], lua_tostring(L, -1));
    }
  }
  lua_settop(L, top);
  return result;
}

/* evaluate(condition, v) -> boolean; run by pcall. */
static int evaluate(lua_State *L) {
  int result = 1;
  if (lua_rawgeti(L, 1, CONDITION_IF) == LUA_TFUNCTION) {
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    result = lua_toboolean(L, -1);
  } else if (lua_rawgeti(L, 1, CONDITION_ASSERTS) == LUA_TTABLE) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n && result; i++) {
      lua_rawgeti(L, -1, i);
      result = holds(L, 2);
    }
  }
  lua_pushboolean(L, result);
  return 1;
}

/* Pushes the condition's message, templated. One that cannot be is shown as written, with the reason. */
static void message(lua_State *L, int condition, int v) {
  if (lua_rawgeti(L, condition, CONDITION_MESSAGE) != LUA_TFUNCTION) {
    if (lua_type(L, -1) != LUA_TSTRING) {
      lua_pop(L, 1);
      lua_pushliteral(L, "");
    }
    return;
  }
  lua_pushvalue(L, v);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
    lua_pushfstring(L, "(TEMPLATING ERROR: %s)", st_tostring(L, -1));
    lua_replace(L, -3);
    lua_pop(L, 1);
  } else {
    st_tostring(L, -1);
    lua_replace(L, -2);
  }
}

/* Whether a check condition is to be evaluated for a step that ended in this state. */
static int judged(lua_State *L, int condition, const char *ended) {
  int result;
  if (lua_rawgeti(L, condition, CONDITION_STATES) == LUA_TTABLE) {
    result = lua_getfield(L, -1, ended) != LUA_TNIL;
    lua_pop(L, 1);
  } else {
    result = strcmp(ended, "DONE") == 0 || strcmp(ended, "CLIENT_ERROR") == 0;
  }
  lua_pop(L, 1);
  return result;
}

int st_conditions(lua_State *L, int list, int v, const char *ended, st_apply apply, void *ud) {
  int held = 0, top = lua_gettop(L);
  luaL_checkstack(L, 20, "conditions");
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_settop(L, top);
    lua_rawgeti(L, list, i);
    int condition = top + 1;
    if (ended != NULL && !judged(L, condition, ended)) continue;
    lua_pushcfunction(L, evaluate);
    lua_pushvalue(L, condition);
    lua_pushvalue(L, v);
    if (lua_pcall(L, 2, 1, 0) != LUA_OK) {
      st_tostring(L, -1);
      lua_replace(L, top + 1);
      lua_settop(L, top + 1);
      return -1;
    }
    int yes = lua_toboolean(L, -1);
    lua_settop(L, condition);
    if (!yes) continue;
    held = 1;
    message(L, condition, v);
    lua_rawgeti(L, condition, CONDITION_THEN);
    int then = condition + 2;
    lua_Integer m = (lua_Integer)lua_rawlen(L, then);
    for (lua_Integer k = 1; k < m; k += 2) {
      lua_rawgeti(L, then, k);
      lua_rawgeti(L, then, k + 1);
      lua_pushvalue(L, condition + 1);
      apply(L, ud);
      lua_settop(L, then);
    }
    lua_rawgeti(L, condition, CONDITION_FINAL);
    if (lua_toboolean(L, -1)) break;
  }
  lua_settop(L, top);
  return held;
}

static void apply_call(lua_State *L, void *ud) {
  lua_pushvalue(L, *(int *)ud);
  lua_insert(L, -4);
  lua_call(L, 3, 0);
}

int st_exec_conditions(lua_State *L) {
  int set = 4;
  luaL_checktype(L, 1, LUA_TTABLE);
  const char *ended = luaL_optstring(L, 3, NULL);
  luaL_checktype(L, set, LUA_TFUNCTION);
  lua_settop(L, 4);
  int result = st_conditions(L, 1, 2, ended, apply_call, &set);
  if (result < 0) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushboolean(L, result);
  return 1;
}
