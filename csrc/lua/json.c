/*
 * JSON data: exact text through lua-cjson, and copies of values.
 *
 * cjson keeps no integer above 2^53, prints at most 14 or 16 digits, cannot tell [] from {}, takes
 * more than JSON and writes objects in hash order; and its releases differ in all of it. The guard
 * around it (json_decode.c, json_encode.c) is built on what they share. copy is a walk of its own;
 * when it finds something wrong, encode is asked where, as its order is total.
 */
#include "json_data.h"

#include <limits.h>
#include <math.h>

/* ---- copy ---- */

/* Bytes that the text of a scalar, or the brackets of a table, have at least, with what separates them; at most they have 7 times as
** many: what fits into ST_JSON_VALUE fits into ST_JSON_TEXT. */
enum { LEAST_TABLE = 2, LEAST_DIGIT = 2, LEAST_INTEGER = 3, LEAST_OTHER = 4, LEAST_QUOTED = 3 };

/* The least that the scalar of that type at idx takes; 0: it is no JSON data. */
static size_t least(lua_State *L, int idx, int type) {
  switch (type) {
  case LUA_TNUMBER: {
    int whole; /* of a float like 2.0 as well */
    lua_Unsigned value = (lua_Unsigned)lua_tointegerx(L, idx, &whole);
    if (whole && value < 10) return LEAST_DIGIT;
    if (whole && lua_isinteger(L, idx)) return LEAST_INTEGER;
    return isfinite(lua_tonumber(L, idx)) ? LEAST_OTHER : 0;
  }
  case LUA_TSTRING: {
    size_t n;
    const char *s = lua_tolstring(L, idx, &n);
    return st_utf8_valid(s, n) == n ? n + LEAST_QUOTED : 0;
  }
  case LUA_TBOOLEAN: return LEAST_OTHER;
  case LUA_TLIGHTUSERDATA: return lua_touserdata(L, idx) == NULL ? LEAST_OTHER : 0;
  default: return 0;
  }
}

struct copied {
  const void *table;
  int array;
  size_t n, seen;   /* an array's */
  lua_Integer last; /* likewise: the key that was seen last */
};

/* Takes what `bytes` need, if it is JSON data, off the room that is left. */
static int fits(size_t *room, size_t bytes) {
  if (bytes == 0) return 0;
  if (bytes > *room) {
    *room = 0;
    return 0;
  }
  *room -= bytes;
  return 1;
}

/* Begins the table on the top: pushes its copy and the first key. */
static int begin(lua_State *L, struct copied *levels, int depth, int array_mt) {
  struct copied *at = &levels[depth];
  const void *table = lua_topointer(L, -1);
  int d;
  if (depth == ST_JSON_DEPTH) return 0;
  for (d = depth; d-- > 0;)
    if (levels[d].table == table) return 0;
  luaL_checkstack(L, 10, "JSON");
  if ((at->array = st_json_kind(L, -1, array_mt, &at->n)) < 0) return 0;
  at->table = table, at->seen = 0;
  if (at->array) {
    if (at->n > INT_MAX) return 0;
    lua_createtable(L, (int)at->n, 0);
    lua_pushvalue(L, array_mt);
    lua_setmetatable(L, -2);
  } else {
    int count = 0; /* counting costs less than growing */
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      lua_pop(L, 1);
      if (count < INT_MAX) count++;
    }
    lua_createtable(L, 0, count);
  }
  lua_pushnil(L);
  return 1;
}

/* Sets the value on the top, at the key below it, in the copy. */
static void store(lua_State *L, const struct copied *at) {
  if (at->array)
    lua_rawseti(L, -3, at->last);
  else {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

/* Is the key below the value on the top one that the table may have? Takes what it needs off the room. */
static int good_key(lua_State *L, struct copied *at, size_t *room) {
  if (!at->array) return lua_type(L, -2) == LUA_TSTRING && fits(room, least(L, -2, LUA_TSTRING));
  if (!lua_isinteger(L, -2)) return 0;
  at->last = lua_tointeger(L, -2);
  at->seen++;
  return (lua_Unsigned)at->last - 1 < at->n;
}

/*
 * Copies the table on the top. Three slots a level: the table, its copy, the key; then the value. Returns 1, or 0; there is no
 * room left then if that is why.
 */
static int copy_table(lua_State *L, int array_mt, size_t *room) {
  struct copied levels[ST_JSON_DEPTH], *at = levels;
  if (!begin(L, levels, 0, array_mt)) return 0;
  for (;;) {
    if (lua_next(L, -3)) {
      int type = lua_type(L, -1);
      if (!good_key(L, at, room) || !fits(room, type == LUA_TTABLE ? LEAST_TABLE : least(L, -1, type))) return 0;
      if (type == LUA_TTABLE) {
        at++;
        if (!begin(L, levels, (int)(at - levels), array_mt)) return 0;
        continue;
      }
    } else {
      if (at->array && at->seen < at->n) return 0;
      lua_remove(L, -2);
      if (at-- == levels) return 1;
    }
    store(L, at);
  }
}

/* Pushes the copy of the value at idx and returns 1, or a message and the path and returns 0. */
static int copy_of(lua_State *L, int idx, size_t room) {
  int top = lua_gettop(L), type = lua_type(L, idx);
  size_t bytes = type == LUA_TNIL ? LEAST_OTHER : least(L, idx, type);
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 10, "JSON");
  if (bytes > 0) {
    if (fits(&room, bytes)) {
      lua_pushvalue(L, idx);
      return 1;
    }
  } else if (type == LUA_TTABLE) {
    st_json_array_mt(L);
    lua_pushvalue(L, idx);
    if (copy_table(L, top + 1, &room)) {
      lua_replace(L, top + 1);
      return 1;
    }
    lua_settop(L, top);
  }
  if (room == 0) {
    lua_pushliteral(L, "$: text longer than 72 MiB");
    lua_pushliteral(L, "$");
    return 0;
  }
  if (st_json_text(L, idx)) return luaL_error(L, "JSON: copy and encode disagree");
  return 0;
}

int st_json_copy(lua_State *L, int idx) {
  int ok = copy_of(L, idx, ST_JSON_VALUE);
  if (!ok) lua_pop(L, 1);
  return ok;
}

/* Returns the copy, or nil, message, path. */
static int copy(lua_State *L) {
  luaL_checkany(L, 1);
  if (copy_of(L, 1, SIZE_MAX)) return 1;
  lua_pushnil(L);
  lua_insert(L, -3);
  return 3;
}

/* ---- the module ---- */

static const char kept[ST_JSON_DECODE + 1]; /* the addresses are the registry's keys */

void st_json_kept(lua_State *L, enum st_json_kept what) { lua_rawgetp(L, LUA_REGISTRYINDEX, &kept[what]); }

void st_json_array_mt(lua_State *L) { st_json_kept(L, ST_JSON_ARRAY_MT); }

/* Pushes require(name). */
static void need(lua_State *L, const char *name) {
  lua_getglobal(L, "require");
  lua_pushstring(L, name);
  lua_call(L, 1, 1);
}

/*
 * use(cjson): works with a new instance of this one from now on. For specs that stand in for
 * another release.
 */
static int use(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "new");
  lua_call(L, 0, 1);
  lua_getfield(L, -1, "decode_max_depth");
  lua_pushinteger(L, ST_JSON_DEPTH);
  lua_call(L, 1, 0);
  lua_getfield(L, -1, "encode");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept[ST_JSON_ENCODE]);
  lua_getfield(L, -1, "decode");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept[ST_JSON_DECODE]);
  return 0;
}

int st_json_open(lua_State *L) {
  static const luaL_Reg functions[] = {
    { "encode", st_json_encode }, { "decode", st_json_decode }, { "copy", copy }, { "use", use }, { NULL, NULL }
  };
  need(L, "step.json");
  lua_getfield(L, -1, "array_mt");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept[ST_JSON_ARRAY_MT]);
  lua_pop(L, 1);
  lua_pushcfunction(L, use);
  need(L, "cjson");
  lua_call(L, 1, 0);
  luaL_newlib(L, functions);
  return 1;
}
