/* pcall.c - the floor under every engine: a C loop that only calls the functions, each protected. And what the
** benchmarks need from the system: a clock, and free memory given back before it is measured. Test-only. */
#include <time.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "lauxlib.h"
#include "lua.h"

__attribute__((visibility("default"))) int luaopen_spec_pcall(lua_State *L);

/* loop(functions, v): calls functions[1], functions[2] ... with v. */
static int loop(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checkany(L, 2);
  lua_Integer n = luaL_len(L, 1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 1, i);
    lua_pushvalue(L, 2);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK) return lua_error(L);
    lua_pop(L, 1);
  }
  return 0;
}

/* now() -> nanoseconds of the monotonic clock. */
static int now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  lua_pushinteger(L, (lua_Integer)t.tv_sec * 1000000000 + t.tv_nsec);
  return 1;
}

/* trim(): gives free memory back to the system. */
static int trim(lua_State *L) {
  (void)L;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return 0;
}

int luaopen_spec_pcall(lua_State *L) {
  static const luaL_Reg functions[] = { { "loop", loop }, { "now", now }, { "trim", trim }, { NULL, NULL } };
  luaL_newlib(L, functions);
  return 1;
}
