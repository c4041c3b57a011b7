/* statement.c - any SQL, for what is not hot: statements are prepared once for the life of the connection and found by their
** text. Integers, floats, texts (any bytes) and NULL come back as they were given. */
#include "db.h"

#include <string.h>

/* The statement of the text at index 2, its parameters bound to what follows; NULL: a failure is pushed. */
static sqlite3_stmt *prepared(lua_State *L, st_db *d) {
  size_t len;
  const char *sql = luaL_checklstring(L, 2, &len);
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  lua_getiuservalue(L, 1, DB_STATEMENTS);
  lua_pushvalue(L, 2);
  lua_rawget(L, -2);
  sqlite3_stmt *s = lua_touserdata(L, -1);
  if (s == NULL) {
    const char *tail;
    luaL_argcheck(L, len < 1000000, 2, "SQL of reasonable length expected");
    if (sqlite3_prepare_v3(d->db, sql, (int)len + 1, SQLITE_PREPARE_PERSISTENT, &s, &tail) != SQLITE_OK) {
      st_db_failed(L, 1, d, sql);
      return NULL;
    }
    if (s == NULL || *tail != '\0') {
      sqlite3_finalize(s);
      luaL_argerror(L, 2, "one SQL statement expected");
    }
    lua_pushvalue(L, 2);
    lua_pushlightuserdata(L, s);
    lua_rawset(L, -4); /* if that finds no memory, s is finalized with the connection */
  }
  lua_settop(L, top);
  sqlite3_reset(s); /* an earlier call may have been left by an error */
  int count = sqlite3_bind_parameter_count(s);
  if (top - 2 > count) luaL_error(L, "bad argument #%d (the statement has %d parameters)", count + 2, count);
  for (int i = 1; i <= count; i++) {
    int at = i + 2, rc = SQLITE_OK;
    switch (lua_type(L, at)) {
    case LUA_TNONE:
    case LUA_TNIL: rc = sqlite3_bind_null(s, i); break;
    case LUA_TBOOLEAN: rc = sqlite3_bind_int(s, i, lua_toboolean(L, at)); break;
    case LUA_TNUMBER:
      rc = lua_isinteger(L, at) ? sqlite3_bind_int64(s, i, lua_tointeger(L, at))
                                : sqlite3_bind_double(s, i, lua_tonumber(L, at));
      break;
    case LUA_TSTRING: {
      size_t n;
      const char *p = lua_tolstring(L, at, &n); /* it stays on the stack until the statement is reset */
      rc = sqlite3_bind_text64(s, i, p, n, SQLITE_STATIC, SQLITE_UTF8);
      break;
    }
    default: luaL_argerror(L, at, "text, number, boolean or nil expected");
    }
    if (rc != SQLITE_OK) {
      st_db_failed(L, 1, d, sql);
      return NULL;
    }
  }
  return s;
}

static void unbind(sqlite3_stmt *s) {
  sqlite3_reset(s);
  sqlite3_clear_bindings(s);
}

/* db:run(sql, ...) -> rows changed, rowid of the last insert */
int st_db_run(lua_State *L) {
  st_db *d = st_db_check(L, 1, 0);
  if (d == NULL) return 4;
  sqlite3_stmt *s = prepared(L, d);
  if (s == NULL) return 4;
  int rc;
  while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
  }
  if (rc != SQLITE_DONE) {
    int n = st_db_failed(L, 1, d, lua_tostring(L, 2));
    unbind(s);
    return n;
  }
  int changes = sqlite3_changes(d->db);
  unbind(s);
  lua_pushinteger(L, changes);
  lua_pushinteger(L, sqlite3_last_insert_rowid(d->db));
  return 2;
}

static void push_column(lua_State *L, sqlite3_stmt *s, int i) {
  switch (sqlite3_column_type(s, i)) {
  case SQLITE_INTEGER: lua_pushinteger(L, sqlite3_column_int64(s, i)); break;
  case SQLITE_FLOAT: lua_pushnumber(L, sqlite3_column_double(s, i)); break;
  case SQLITE_NULL: lua_pushnil(L); break;
  default: {
    const char *p = sqlite3_column_blob(s, i);
    int n = sqlite3_column_bytes(s, i);
    if (p == NULL && sqlite3_errcode(sqlite3_db_handle(s)) == SQLITE_NOMEM) luaL_error(L, "not enough memory");
    lua_pushlstring(L, p == NULL ? "" : p, (size_t)n);
  }
  }
}

/* (statement) -> the rows, what sqlite3_step gave last */
static int collect(lua_State *L) {
  sqlite3_stmt *s = lua_touserdata(L, 1);
  lua_newtable(L);
  int rc = sqlite3_step(s);
  int columns = sqlite3_column_count(s); /* not before: the tables may have changed since it was prepared */
  luaL_checkstack(L, columns + 8, "columns");
  for (int i = 0; i < columns; i++) lua_pushstring(L, sqlite3_column_name(s, i));
  for (lua_Integer row = 1; rc == SQLITE_ROW; row++, rc = sqlite3_step(s)) {
    lua_createtable(L, 0, columns);
    for (int i = 0; i < columns; i++) {
      lua_pushvalue(L, 3 + i);
      push_column(L, s, i);
      lua_rawset(L, -3);
    }
    lua_rawseti(L, 2, row);
  }
  lua_settop(L, 2);
  lua_pushinteger(L, rc);
  return 2;
}

/* db:all(sql, ...) -> a list of rows, tables by name of the column; NULL is absent */
int st_db_all(lua_State *L) {
  st_db *d = st_db_check(L, 1, 0);
  if (d == NULL) return 4;
  sqlite3_stmt *s = prepared(L, d);
  if (s == NULL) return 4;
  lua_pushcfunction(L, collect);
  lua_pushlightuserdata(L, s);
  int status = lua_pcall(L, 1, 2, 0);
  if (status != LUA_OK) {
    unbind(s); /* it would hold its lock */
    return lua_error(L);
  }
  if (lua_tointeger(L, -1) != SQLITE_DONE) {
    int n = st_db_failed(L, 1, d, lua_tostring(L, 2));
    unbind(s);
    return n;
  }
  unbind(s);
  lua_pop(L, 1);
  return 1;
}

/* db:exec(sql) -> true. Any number of statements; what they give is not looked at. */
int st_db_exec(lua_State *L) {
  st_db *d = st_db_check(L, 1, 0);
  if (d == NULL) return 4;
  const char *sql = luaL_checkstring(L, 2);
  if (sqlite3_exec(d->db, sql, NULL, NULL, NULL) != SQLITE_OK) return st_db_failed(L, 1, d, sql);
  lua_pushboolean(L, 1);
  return 1;
}
