/* fork.c - a child of this process that runs a function and ends: what a program does that forks while it has a store open.
** Test-only. */
#include <sys/wait.h>
#include <unistd.h>

#include "lauxlib.h"
#include "lua.h"

__attribute__((visibility("default"))) int luaopen_spec_fork(lua_State *L);

/* run(fn) -> what fn returned in the child, a text of up to a page. The child ends without closing anything. */
static int run(lua_State *L) {
  int ends[2];
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_settop(L, 1);
  if (pipe(ends) != 0) return luaL_error(L, "no pipe");
  pid_t pid = fork();
  if (pid < 0) return luaL_error(L, "no process");
  if (pid == 0) {
    size_t len;
    lua_pcall(L, 0, 1, 0);
    const char *text = luaL_tolstring(L, -1, &len);
    ssize_t n = write(ends[1], text, len > 4096 ? 4096 : len);
    _exit(n < 0);
  }
  char text[4096];
  close(ends[1]);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (ssize_t n; (n = read(ends[0], text, sizeof text)) > 0;) luaL_addlstring(&b, text, (size_t)n);
  close(ends[0]);
  waitpid(pid, NULL, 0);
  luaL_pushresult(&b);
  return 1;
}

int luaopen_spec_fork(lua_State *L) {
  static const luaL_Reg functions[] = { { "run", run }, { NULL, NULL } };
  luaL_newlib(L, functions);
  return 1;
}
