/* alloc.c - makes memory run out: `limit(fn, n)` calls fn while the n-th request for memory, and every one after it,
** fails. Test-only. */
#include <stddef.h>

#include "lauxlib.h"
#include "lua.h"

__attribute__((visibility("default"))) int luaopen_spec_alloc(lua_State *L);

/* The allocator under it and the count. Static: an object made during a call may keep the allocator and use it later;
** then `on` is 0 and every request passes. */
static struct {
  lua_Alloc fn;
  void *ud;
  lua_Integer requests; /* so far in this call */
  lua_Integer limit;    /* the first request that fails; 0: none does */
  int on;
} box;

static void *limited(void *ud, void *ptr, size_t osize, size_t nsize) {
  (void)ud;
  if (box.on && nsize > 0 && (ptr == NULL || nsize > osize)) { /* more memory than before? */
    box.requests++;
    if (box.limit > 0 && box.requests >= box.limit) return NULL;
  }
  return box.fn(box.ud, ptr, osize, nsize);
}

/* limit(fn, n) -> ok, the first result or the error, number of requests made. n = 0 only counts.
** Set, called and restored within this one function, so that nothing else meets the limit. */
static int limit(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 2);
  luaL_checktype(L, 1, LUA_TFUNCTION);
  luaL_argcheck(L, n >= 0, 2, "negative");
  luaL_argcheck(L, !box.on, 1, "already inside limit");
  lua_settop(L, 1);
  luaL_checkstack(L, 4, NULL);
  void *ud;
  lua_Alloc fn = lua_getallocf(L, &ud);
  if (fn != limited) {
    box.fn = fn;
    box.ud = ud;
  }
  box.requests = 0;
  box.limit = n;
  box.on = 1;
  lua_setallocf(L, limited, NULL);
  int status = lua_pcall(L, 0, 1, 0);
  lua_setallocf(L, fn, ud);
  box.on = 0;
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  lua_pushinteger(L, box.requests);
  return 3;
}

int luaopen_spec_alloc(lua_State *L) {
  static const luaL_Reg functions[] = { { "limit", limit }, { NULL, NULL } };
  luaL_newlib(L, functions);
  return 1;
}
