/* outside.c - another event loop beside this one: processes and the thread pool are luv's. The loop calls it in every turn while
** it has something at work, and waits for its descriptor; what it brings wakes slots.
*/
#define _POSIX_C_SOURCE 200809L

#include "binding.h"

#include <math.h>
#include <poll.h>

static const double MOST = 1;      /* seconds of one wait: a signal may have come to another thread */
static const double SLICE = 0.005; /* where messages of other threads have no descriptor */

/* core.load_apart(module) -> the module, loaded on a Lua thread of its own that nobody else uses. luv calls back on the thread it
** was loaded on: not a runner's coroutine then, which may have yielded, nor the main one, where an interpreter's interrupt would
** raise its error in a callback, which ends the program. Kept for ever: luv does not outlive its table. */
int st_outside_load(lua_State *L) {
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, "step.apart");
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 2) != LUA_TNIL) return 1;
  lua_State *apart = lua_newthread(L);
  int results;
  lua_sethook(apart, NULL, 0, 0);
  lua_getglobal(L, "require");
  lua_pushvalue(L, 1);
  lua_xmove(L, apart, 2);
  int status = lua_resume(apart, L, 1, &results);
  if (status == LUA_YIELD) return luaL_error(L, "%s yielded while it was loaded", lua_tostring(L, 1));
  if (status != LUA_OK) {
    lua_xmove(apart, L, 1);
    return lua_error(L);
  }
  lua_pushboolean(L, 1);
  lua_rawset(L, 2); /* the thread is on the stack */
  lua_settop(apart, 1);
  lua_xmove(apart, L, 1);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  return 1;
}

int st_outside_set(lua_State *L) {
  st_lua_loop *loop = luaL_checkudata(L, 1, ST_LOOP);
  luaL_argcheck(L, !loop->closed, 1, "the loop is closed");
  lua_settop(L, 3);
  loop->driven = !lua_isnil(L, 2);
  lua_setiuservalue(L, 1, LOOP_SHUT);
  lua_setiuservalue(L, 1, LOOP_DRIVE);
  return 0;
}

st_events st_outside_drive(lua_State *L, st_lua_loop *loop, int loop_at) {
  st_events events = { -1, -1 };
  lua_getiuservalue(L, loop_at, LOOP_DRIVE);
  lua_call(L, 0, 2);
  if (loop->driven && lua_isinteger(L, -2)) {
    events.fd = (int)lua_tointeger(L, -2);
    events.within = (int)lua_tointeger(L, -1);
  }
  lua_pop(L, 2);
  return events;
}

void st_outside_wait(st_lua_loop *loop, st_events events, double seconds) {
  struct pollfd fds[2] = { { events.fd, POLLIN, 0 }, { -1, POLLIN, 0 } };
  if (seconds < 0 || seconds > MOST) seconds = MOST;
  if (st_mail_expected(loop->mail)) {
    fds[1].fd = st_mail_fd(loop->mail);
    if (fds[1].fd < 0 && seconds > SLICE) seconds = SLICE;
  }
  int within = (int)ceil(seconds * 1000);
  if (events.within >= 0 && events.within < within) within = events.within;
  poll(fds, 2, within);
}

void st_outside_shut(lua_State *L, st_lua_loop *loop, int loop_at) {
  loop->driven = 0;
  lua_getiuservalue(L, loop_at, LOOP_SHUT);
  if (lua_isfunction(L, -1) && lua_pcall(L, 0, 0, 0) == LUA_OK) return;
  lua_pop(L, 1); /* who closes must not fail */
}
