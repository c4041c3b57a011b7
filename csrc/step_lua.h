/* step_lua.h - hands a runner written in C to Lua. Header only: include it in the module that holds the runner; the module
** links to nothing of ours. In the module's luaopen function:
**
**   return step_lua_push(L, &my_runner);
**
** and in Lua:  step.register_runner("mine", require "my_module")
*/
#ifndef STEP_LUA_H
#define STEP_LUA_H

#include "step.h"

#include <lauxlib.h>
#include <lua.h>

/* What `require "step"` leaves in the registry. */
typedef struct step_lua_api {
  int version;
  void (*push_runner)(lua_State *L, const step_runner *runner);
} step_lua_api;

/* Pushes a value that step.register_runner accepts and returns 1. The runner is not copied: it must live as long as the
** Lua state, a static one does. Raises when `step` has not been required, or is of another version. */
static inline int step_lua_push(lua_State *L, const step_runner *runner) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "step.core");
  lua_call(L, 1, 0);
  lua_getfield(L, LUA_REGISTRYINDEX, "step.runner.api");
  const step_lua_api *api = (const step_lua_api *)lua_touserdata(L, -1);
  if (api == NULL || api->version != STEP_RUNNER_VERSION)
    return luaL_error(L, "this runner was built for another version of step (its step.h has version %d)",
                      STEP_RUNNER_VERSION);
  lua_pop(L, 1);
  api->push_runner(L, runner);
  return 1;
}

#endif
