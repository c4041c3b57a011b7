/* runner.c - runners written in C (csrc/step.h): from Lua values to their texts and back. */
#define _GNU_SOURCE /* dladdr */

#include "binding.h"

#include <dlfcn.h>
#include <string.h>

static const step_runner *check_runner(lua_State *L, int arg) {
  const step_runner **runner = luaL_checkudata(L, arg, ST_CRUNNER);
  return *runner;
}

/* Replaces the value at index i by its JSON text. NULL: it has none, the reason is pushed. */
static const char *try_json(lua_State *L, int i) {
  if (lua_isnoneornil(L, i)) {
    lua_pushliteral(L, "null");
  } else {
    lua_getfield(L, LUA_REGISTRYINDEX, "step.json.encode");
    lua_pushvalue(L, i);
    lua_call(L, 1, 2);
    if (lua_isnil(L, -2)) return NULL;
    lua_pop(L, 1);
  }
  lua_replace(L, i);
  return lua_tostring(L, i);
}

static const char *to_json(lua_State *L, int i) {
  const char *text = try_json(L, i);
  if (text == NULL) luaL_error(L, "no JSON: %s", st_tostring(L, -1));
  return text;
}

/* Pushes the value of a JSON text. */
static void push_json(lua_State *L, const char *text) {
  lua_getfield(L, LUA_REGISTRYINDEX, "step.json.decode");
  lua_pushstring(L, text);
  lua_call(L, 1, 2);
  if (lua_isnil(L, -2)) luaL_error(L, "the runner gave no JSON: %s", lua_tostring(L, -1));
  lua_pop(L, 1);
}

void st_runner_exec(lua_State *L, st_slot *slot, int at) {
  const step_runner *runner = check_runner(L, at);
  const char *name = lua_tostring(L, at + 1);
  const char *base = to_json(L, at + 2), *config = to_json(L, at + 3);
  const char *context = lua_isnil(L, at + 4) ? NULL : to_json(L, at + 4);
  slot->woken = 0;
  step_call *call = st_mail_call(L, slot);
  runner->exec(runner->data, &st_mail_host, call, name, base, config, context);
}

/* runner:valid_config(base_config, config) -> true | nil, text */
static int runner_valid_config(lua_State *L) {
  char why[512] = "";
  const step_runner *runner = check_runner(L, 1);
  lua_settop(L, 3);
  if (runner->valid_config == NULL) {
    lua_pushboolean(L, 1);
    return 1;
  }
  const char *base = try_json(L, 2), *config = base == NULL ? NULL : try_json(L, 3);
  if (config == NULL) { /* it holds functions of v: exec will see what they give */
    lua_pushboolean(L, 1);
    return 1;
  }
  if (runner->valid_config(runner->data, base, config, why, sizeof why) == 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  why[sizeof why - 1] = '\0';
  lua_pushnil(L);
  lua_pushstring(L, why[0] == '\0' ? "the configuration is not acceptable" : why);
  return 2;
}

/* runner:context(step_name) -> value or nil */
static int runner_context(lua_State *L) {
  const step_runner *runner = check_runner(L, 1);
  const char *text = runner->context == NULL ? NULL : runner->context(runner->data, luaL_checkstring(L, 2));
  if (text == NULL) return 0;
  push_json(L, text);
  return 1;
}

/* runner:metadata_schema() -> value or nil */
static int runner_metadata_schema(lua_State *L) {
  const step_runner *runner = check_runner(L, 1);
  const char *text = runner->metadata_schema == NULL ? NULL : runner->metadata_schema(runner->data);
  if (text == NULL) return 0;
  push_json(L, text);
  return 1;
}

/* runner:resources(base_config, config) -> list of names */
static int runner_resources(lua_State *L) {
  const step_runner *runner = check_runner(L, 1);
  lua_settop(L, 3);
  const char *base = to_json(L, 2), *config = to_json(L, 3);
  const char *const *names = runner->resources == NULL ? NULL : runner->resources(runner->data, base, config);
  lua_newtable(L);
  for (lua_Integer i = 0; names != NULL && names[i] != NULL; i++) {
    lua_pushstring(L, names[i]);
    lua_rawseti(L, -2, i + 1);
  }
  return 1;
}

/* Keeps the library that holds the address in memory: its threads may outlive the Lua state, which unloads it. */
static void pin(const void *address) {
  Dl_info info;
  if (dladdr(address, &info) != 0 && info.dli_fname != NULL)
    (void)dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* What step_lua.h calls: pushes the userdata of a runner, which must outlive it. */
static void push_runner(lua_State *L, const step_runner *runner) {
  if (runner->version != STEP_RUNNER_VERSION)
    luaL_error(L, "the runner is made for version %d of step.h, this is version %d", runner->version,
               STEP_RUNNER_VERSION);
  if (runner->exec == NULL) luaL_error(L, "the runner has no exec");
  pin((void *)(uintptr_t)runner->exec);
  pin(&st_mail_host);
  const step_runner **box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = runner;
  luaL_setmetatable(L, ST_CRUNNER);
}

static int error_text(lua_State *L) {
  lua_getfield(L, 1, "message");
  return 1;
}

int st_runner_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "valid_config", runner_valid_config },
                                      { "context", runner_context },
                                      { "metadata_schema", runner_metadata_schema },
                                      { "resources", runner_resources },
                                      { NULL, NULL } };
  static const struct {
    int version;
    void (*push_runner)(lua_State *L, const step_runner *runner);
  } api = { STEP_RUNNER_VERSION, push_runner }; /* the layout step_lua.h declares */
  luaL_newmetatable(L, ST_CRUNNER);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
  luaL_newmetatable(L, "step.runner.error");
  lua_pushcfunction(L, error_text);
  lua_setfield(L, -2, "__tostring");
  lua_pop(L, 1);
  st_mail_open(L);
  lua_pushlightuserdata(L, (void *)&api);
  lua_setfield(L, LUA_REGISTRYINDEX, "step.runner.api");
  return 0;
}
