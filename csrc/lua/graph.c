/* graph.c - graphs as Lua sees them: built from a definition's steps in one call. */
#include "binding.h"

#include <math.h>
#include <string.h>

st_lua_graph *st_check_graph(lua_State *L, int arg) { return luaL_checkudata(L, arg, ST_GRAPH); }

void st_push_name(lua_State *L, const st_graph *g, step_id id) {
  size_t len;
  const char *name = st_names_get(&g->names, id, &len);
  lua_pushlstring(L, name, len);
}

void st_push_state(lua_State *L, const st_graph *g, step_id origin, int state) {
  size_t len;
  const char *name = st_graph_state_name(g, origin, state, &len);
  lua_pushlstring(L, name, len);
}

static int graph_gc(lua_State *L) {
  st_lua_graph *graph = lua_touserdata(L, 1);
  if (graph->counted) st_live_counters(L)->graphs--;
  graph->counted = 0;
  st_graph_free(&graph->g);
  return 0;
}

static void check_memory(lua_State *L, st_result result) {
  if (result == ST_ENOMEM) luaL_error(L, "not enough memory");
}

/* Appends { step =, dependency =, code =, state = } to the problems at index `at`. */
static void problem(lua_State *L, int at, lua_Integer step, lua_Integer dependency, const char *code, const char *state,
                    size_t len) {
  lua_createtable(L, 0, 4);
  lua_pushinteger(L, step);
  lua_setfield(L, -2, "step");
  lua_pushinteger(L, dependency);
  lua_setfield(L, -2, "dependency");
  lua_pushstring(L, code);
  lua_setfield(L, -2, "code");
  if (state != NULL) {
    lua_pushlstring(L, state, len);
    lua_setfield(L, -2, "state");
  }
  lua_rawseti(L, at, (lua_Integer)lua_rawlen(L, at) + 1);
}

/* The accepted states of a dependency on step `to`, written as a list; 0 after a problem (S2.1, S8.10). */
static uint32_t accepted(lua_State *L, const st_graph *g, step_id to, const char *p, const char *end, int problems,
                         lua_Integer step, lua_Integer k) {
  uint32_t accept = 0;
  for (;;) {
    const char *comma = memchr(p, ',', (size_t)(end - p));
    const char *stop = comma == NULL ? end : comma;
    size_t len = (size_t)(stop - p);
    uint32_t bit = 0;
    if (len == 3 && memcmp(p, "ANY", 3) == 0) {
      bit = ST_ACCEPT_ANY;
    } else {
      int state = st_graph_state(g, to, p, len);
      if (state >= 0) bit = st_accept_bit(state);
    }
    if (bit == 0) {
      problem(L, problems, step, k, "state", p, len);
      return 0;
    }
    if (accept & bit) {
      problem(L, problems, step, k, "state twice", p, len);
      return 0;
    }
    accept |= bit;
    if (comma == NULL) break;
    p = comma + 1;
  }
  if ((accept & ST_ACCEPT_ANY) && accept != ST_ACCEPT_ANY) {
    problem(L, problems, step, k, "any", NULL, 0);
    return 0;
  }
  return accept;
}

/* One dependency: the text at the top. seen[to] is the last step that named `to`, + 1. */
static void depend(lua_State *L, st_graph *g, step_id from, lua_Integer k, uint32_t *seen, int problems) {
  size_t len;
  lua_Integer step = (lua_Integer)from + 1;
  if (lua_type(L, -1) != LUA_TSTRING) {
    problem(L, problems, step, k, "type", NULL, 0);
    return;
  }
  const char *text = lua_tolstring(L, -1, &len), *colon = memchr(text, ':', len);
  step_id to = st_names_find(&g->names, text, colon == NULL ? len : (size_t)(colon - text));
  if (to == ST_NO_STEP) {
    problem(L, problems, step, k, "unknown", NULL, 0);
    return;
  }
  uint32_t accept = ST_ACCEPT_DONE;
  if (colon != NULL) accept = accepted(L, g, to, colon + 1, text + len, problems, step, k);
  if (accept == 0) return;
  if (seen[to] == from + 1) {
    problem(L, problems, step, k, "twice", NULL, 0);
    return;
  }
  seen[to] = from + 1;
  check_memory(L, st_graph_depend(g, from, to, accept));
}

/* A field of the table at the top, or what stands for it. */
static double number_field(lua_State *L, const char *name, double otherwise) {
  lua_getfield(L, -1, name);
  double number = luaL_optnumber(L, -1, otherwise);
  lua_pop(L, 1);
  return number;
}

st_policy st_check_policy(lua_State *L, int arg) {
  st_policy p = st_patterns[ST_SECONDS];
  lua_pushvalue(L, arg);
  p.initial = number_field(L, "initial", p.initial);
  p.factor = number_field(L, "factor", p.factor);
  p.cap = number_field(L, "cap", p.initial > p.cap ? p.initial : p.cap);
  p.jitter = number_field(L, "jitter", p.jitter);
  lua_pop(L, 1);
  luaL_argcheck(L, p.initial >= 0 && p.factor >= 1 && p.cap >= 0 && p.cap < HUGE_VAL && p.jitter >= 0 && p.jitter <= 1,
                arg, "no retry policy");
  return p;
}

/* What few steps say beside their flags: of the newest step, the table at the top. */
static void add_settings(lua_State *L, st_graph *g) {
  if (lua_getfield(L, -1, "retry") == LUA_TTABLE) {
    st_policy policy = st_check_policy(L, lua_gettop(L));
    check_memory(L, st_graph_policy(g, &policy));
  }
  lua_pop(L, 1);
  double most = number_field(L, "most", 0), tolerate = number_field(L, "tolerate", 0);
  lua_getfield(L, -1, "percent");
  int percent = lua_toboolean(L, -1);
  lua_pop(L, 1);
  if (most > 0 || tolerate > 0)
    check_memory(L, st_graph_foreach(g, most < UINT32_MAX ? (uint32_t)most : UINT32_MAX, tolerate, percent));
}

/* core.graph(names, steps, flags, max_retries, customs, settings or nil) -> graph, or nil and a list of problems.
** steps[i].dependencies is read; flags[i], max_retries[i], customs[i] and settings[i] may be absent. */
int st_graph_new(lua_State *L) {
  enum { NAMES = 1, STEPS, FLAGS, LIMITS, CUSTOMS, SETTINGS, GRAPH, PROBLEMS };
  for (int i = NAMES; i <= CUSTOMS; i++) luaL_checktype(L, i, LUA_TTABLE);
  lua_settop(L, SETTINGS);
  int settings = lua_istable(L, SETTINGS);
  st_lua_graph *graph = lua_newuserdatauv(L, sizeof *graph, GRAPH_UVS);
  graph->counted = 0;
  st_graph_init(&graph->g, st_lua_alloc(L));
  luaL_setmetatable(L, ST_GRAPH);
  st_live_counters(L)->graphs++;
  graph->counted = 1;
  lua_newtable(L);
  st_graph *g = &graph->g;
  lua_Integer n = (lua_Integer)lua_rawlen(L, NAMES);
  for (lua_Integer i = 1; i <= n; i++) {
    size_t len;
    step_id id;
    lua_rawgeti(L, NAMES, i);
    const char *name = luaL_checklstring(L, -1, &len);
    lua_rawgeti(L, FLAGS, i);
    st_result result = st_graph_add(g, name, len, (uint8_t)lua_tointeger(L, -1), &id);
    check_memory(L, result);
    if (result != ST_OK) {
      problem(L, PROBLEMS, i, (lua_Integer)id + 1, result == ST_EEXISTS ? "name" : "full", NULL, 0);
      lua_pushnil(L);
      lua_pushvalue(L, PROBLEMS);
      return 2;
    }
    lua_pop(L, 2);
    if (lua_rawgeti(L, LIMITS, i) != LUA_TNIL) {
      lua_Integer max = lua_tointeger(L, -1);
      max = max < 0 ? -1 : max > INT32_MAX ? INT32_MAX : max;
      check_memory(L, st_graph_limit(g, (int32_t)max));
    }
    lua_pop(L, 1);
    if (settings) {
      if (lua_rawgeti(L, SETTINGS, i) == LUA_TTABLE) add_settings(L, g);
      lua_pop(L, 1);
    }
    if (lua_rawgeti(L, CUSTOMS, i) == LUA_TTABLE) {
      lua_Integer m = (lua_Integer)lua_rawlen(L, -1);
      for (lua_Integer k = 1; k <= m; k++) {
        uint32_t place;
        lua_rawgeti(L, -1, k);
        const char *state = luaL_checklstring(L, -1, &len);
        result = st_graph_custom(g, state, len, &place);
        check_memory(L, result);
        if (result == ST_EFULL) problem(L, PROBLEMS, i, k, "states", NULL, 0);
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  uint32_t *seen = lua_newuserdatauv(L, ((size_t)n + 1) * sizeof *seen, 0);
  memset(seen, 0, ((size_t)n + 1) * sizeof *seen);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, STEPS, i);
    lua_pushliteral(L, "dependencies");
    if (lua_rawget(L, -2) == LUA_TTABLE) {
      lua_Integer m = (lua_Integer)lua_rawlen(L, -1);
      for (lua_Integer k = 1; k <= m; k++) {
        lua_rawgeti(L, -1, k);
        depend(L, g, (step_id)(i - 1), k, seen, PROBLEMS);
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 2);
  }
  st_result result = st_graph_seal(g);
  check_memory(L, result);
  if (result == ST_ECYCLE) {
    lua_createtable(L, (int)g->cycle_len, 1);
    for (uint32_t i = 0; i < g->cycle_len; i++) {
      st_push_name(L, g, g->cycle[i]);
      lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, PROBLEMS, "cycle");
  }
  if (result != ST_OK || lua_rawlen(L, PROBLEMS) > 0) {
    lua_pushnil(L);
    lua_pushvalue(L, PROBLEMS);
    return 2;
  }
  lua_pushvalue(L, GRAPH);
  return 1;
}

static step_id check_step(lua_State *L, const st_graph *g, int arg) {
  lua_Integer i = luaL_checkinteger(L, arg);
  luaL_argcheck(L, i >= 1 && i <= (lua_Integer)g->n, arg, "no step has this number");
  return (step_id)(i - 1);
}

/* graph:code(table): what each step does. */
static int graph_code(lua_State *L) {
  st_check_graph(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, GRAPH_CODE);
  return 0;
}

/* graph:find(name) -> number or nil */
static int graph_find(lua_State *L) {
  size_t len;
  const st_graph *g = &st_check_graph(L, 1)->g;
  const char *name = luaL_checklstring(L, 2, &len);
  step_id id = st_names_find(&g->names, name, len);
  if (id == ST_NO_STEP) return 0;
  lua_pushinteger(L, (lua_Integer)id + 1);
  return 1;
}

static int graph_name(lua_State *L) {
  const st_graph *g = &st_check_graph(L, 1)->g;
  st_push_name(L, g, check_step(L, g, 2));
  return 1;
}

static int graph_len(lua_State *L) {
  lua_pushinteger(L, st_check_graph(L, 1)->g.n);
  return 1;
}

/* graph:related(a, b): the same step, or one an ancestor of the other (S3.6). */
static int graph_related(lua_State *L) {
  st_graph *g = &st_check_graph(L, 1)->g;
  int result = st_graph_related(g, check_step(L, g, 2), check_step(L, g, 3));
  if (result < 0) return luaL_error(L, "not enough memory");
  lua_pushboolean(L, result);
  return 1;
}

static int graph_forget(lua_State *L) {
  st_graph_forget(&st_check_graph(L, 1)->g);
  return 0;
}

/* graph:state(step, name) -> whether the step can be in it, whether it is a custom state of the step */
static int graph_state(lua_State *L) {
  size_t len;
  const st_graph *g = &st_check_graph(L, 1)->g;
  step_id id = check_step(L, g, 2);
  const char *name = luaL_checklstring(L, 3, &len);
  int state = st_graph_state(g, id, name, len);
  lua_pushboolean(L, state >= 0);
  lua_pushboolean(L, state >= STEP_CUSTOM);
  return 2;
}

/* graph:dependencies(step) -> list of texts, as the definition may write them */
static int graph_dependencies(lua_State *L) {
  const st_graph *g = &st_check_graph(L, 1)->g;
  step_id id = check_step(L, g, 2);
  uint32_t first = g->dep_off[id], end = g->dep_off[id + 1];
  lua_createtable(L, (int)(end - first), 0);
  for (uint32_t e = first; e < end; e++) {
    uint32_t accept = g->dep_accept == NULL ? ST_ACCEPT_DONE : g->dep_accept[e];
    luaL_Buffer b;
    size_t len;
    luaL_buffinit(L, &b);
    const char *name = st_names_get(&g->names, g->dep[e], &len);
    luaL_addlstring(&b, name, len);
    if (accept & ST_ACCEPT_ANY) luaL_addstring(&b, ":ANY");
    if ((accept & ST_ACCEPT_ANY) == 0 && accept != ST_ACCEPT_DONE) {
      char separator = ':';
      for (int state = STEP_DONE; accept != 0; state = state == STEP_DONE ? STEP_CUSTOM : state + 1) {
        uint32_t bit = st_accept_bit(state);
        if ((accept & bit) == 0) continue;
        accept &= ~bit;
        name = st_graph_state_name(g, g->dep[e], state, &len);
        luaL_addchar(&b, separator);
        luaL_addlstring(&b, name, len);
        separator = ',';
      }
    }
    luaL_pushresult(&b);
    lua_rawseti(L, -2, (lua_Integer)(e - first) + 1);
  }
  return 1;
}

int st_graph_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "code", graph_code },
                                      { "find", graph_find },
                                      { "name", graph_name },
                                      { "related", graph_related },
                                      { "forget", graph_forget },
                                      { "state", graph_state },
                                      { "dependencies", graph_dependencies },
                                      { NULL, NULL } };
  luaL_newmetatable(L, ST_GRAPH);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, graph_len);
  lua_setfield(L, -2, "__len");
  lua_pushcfunction(L, graph_gc);
  lua_setfield(L, -2, "__gc");
  lua_pop(L, 1);
  return 0;
}
