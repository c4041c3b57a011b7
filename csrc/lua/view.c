/* view.c - what Lua sees of a run: v, v.step, v.step.NAME and their like in run.steps. They read the run itself;
** nothing is copied, nothing can be set through them.
**
** A v belongs to a coroutine and shows, as `this`, `iterator` and `pre_hook`, the step at work there (D3).
*/
#include "binding.h"

#include <string.h>

/* ---- collected children ---- */

/* Makes the table of a foreach step's children: output, metadata with the iterator, state, index, error (S5.4, D14). The
** ST_CHILDREN is at `at`. */
static void unfold(lua_State *L, const st_graph *g, int at) {
  const st_children *c = lua_touserdata(L, at);
  luaL_checkstack(L, 16, "children");
  int list = lua_gettop(L) + 1;
  lua_newtable(L);
  st_json_array_mt(L);
  lua_setmetatable(L, -2);
  for (int uv = CHILDREN_ITEMS; uv <= CHILDREN_ERROR; uv++) lua_getiuservalue(L, at, uv);
  lua_Integer n = 0;
  for (lua_Integer i = 1; i <= (lua_Integer)c->count; i++) {
    if (c->state[i - 1] == STEP_PRUNE) continue;
    lua_createtable(L, 0, 4);
    for (int k = 1; k <= 3; k++) { /* output, metadata, error */
      if (!lua_istable(L, list + 1 + k)) {
        lua_pushnil(L);
      } else {
        lua_rawgeti(L, list + 1 + k, i);
      }
      if (k == 2) {
        lua_createtable(L, 0, 2);
        if (lua_istable(L, -2)) {
          lua_pushnil(L);
          while (lua_next(L, -3) != 0) {
            lua_pushvalue(L, -2);
            lua_insert(L, -2);
            lua_rawset(L, -4);
          }
        }
        lua_rawgeti(L, list + 1, i);
        lua_setfield(L, -2, "iterator");
        lua_replace(L, -2);
      }
      static const char *const names[] = { "output", "metadata", "error" };
      lua_setfield(L, -2, names[k - 1]);
    }
    st_push_state(L, g, c->parent, c->state[i - 1]);
    lua_setfield(L, -2, "state");
    lua_pushinteger(L, i - 1);
    lua_setfield(L, -2, "index");
    lua_rawseti(L, list, ++n);
  }
  lua_settop(L, list);
}

void st_push_children(lua_State *L, int run_at, step_id id) {
  const st_lua_run *run = lua_touserdata(L, run_at);
  lua_getiuservalue(L, run_at, RUN_CHILDREN);
  if (lua_rawgeti(L, -1, (lua_Integer)id + 1) == LUA_TUSERDATA) {
    unfold(L, run->g, lua_gettop(L));
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, (lua_Integer)id + 1);
    lua_replace(L, -2);
  }
  lua_replace(L, -2);
}

/* ---- v.step.NAME ---- */

typedef struct view {
  st_lua_run *run;
  step_id id;
} view;

void st_push_step(lua_State *L, int run_at, step_id id) {
  view *step = lua_newuserdatauv(L, sizeof *step, 1);
  step->run = lua_touserdata(L, run_at);
  step->id = id;
  lua_pushvalue(L, run_at < 0 ? run_at - 1 : run_at);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, ST_STEP);
}

static void push_from(lua_State *L, int table, step_id id) {
  lua_getiuservalue(L, 1, 1);
  lua_getiuservalue(L, -1, table);
  lua_rawgeti(L, -1, (lua_Integer)id + 1);
}

/* Pushes the item of a child; nothing and 0 when the step is none. */
static int push_item(lua_State *L, const st_lua_run *run, int run_at, step_id id) {
  if (id < run->g->n) return 0;
  step_id parent = st_run_origin(&run->r, id);
  const st_loop *loop = st_run_loop(&run->r, parent);
  lua_getiuservalue(L, run_at, RUN_ITEMS);
  if (lua_rawgeti(L, -1, (lua_Integer)parent + 1) != LUA_TTABLE) {
    lua_pop(L, 2);
    return 0;
  }
  lua_rawgeti(L, -1, (lua_Integer)(id - loop->first) + 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return 1;
}

static const char *const step_fields[] = { "name",      "state",       "output",   "metadata",   "children", "error",
                                           "try_count", "max_retries", "last_run", "next_retry", "item",     NULL };

/* v.step.NAME.FIELD */
static int step_index(lua_State *L) {
  const view *step = lua_touserdata(L, 1);
  st_lua_run *run = step->run;
  step_id id = step->id;
  if (run->closed) return luaL_error(L, "the run is closed");
  if (!st_run_exists(&run->r, id)) return luaL_error(L, "the step is not in the run any more");
  const char *key = lua_tostring(L, 2);
  const st_cell *c = &run->r.cell[id];
  if (key == NULL) return 0;
  if (strcmp(key, "state") == 0) {
    st_push_state(L, run->g, st_run_origin(&run->r, id), c->state);
  } else if (strcmp(key, "output") == 0) {
    push_from(L, RUN_OUTPUT, id);
  } else if (strcmp(key, "metadata") == 0) {
    push_from(L, RUN_METADATA, id);
  } else if (strcmp(key, "error") == 0) {
    push_from(L, RUN_ERROR, id);
  } else if (strcmp(key, "try_count") == 0) {
    lua_pushinteger(L, c->tries);
  } else if (strcmp(key, "max_retries") == 0) {
    lua_pushinteger(L, st_graph_max_retries(run->g, st_run_origin(&run->r, id)));
  } else if (strcmp(key, "children") == 0) {
    lua_getiuservalue(L, 1, 1);
    st_push_children(L, lua_gettop(L), id);
  } else if (strcmp(key, "name") == 0) {
    st_push_step_name(L, run, id);
  } else if (strcmp(key, "last_run") == 0) {
    if (run->r.last_run[id] == 0) return 0;
    lua_pushnumber(L, run->r.last_run[id]);
  } else if (strcmp(key, "next_retry") == 0) {
    const st_extra *x = st_run_look(&run->r, id);
    if (x == NULL || x->next_retry == 0 || !(st_is_retriable(c->state) || c->state == STEP_WAITING)) return 0;
    lua_pushnumber(L, x->next_retry);
  } else if (strcmp(key, "item") == 0) {
    lua_getiuservalue(L, 1, 1);
    if (!push_item(L, run, lua_gettop(L), id)) return 0;
  } else {
    return 0;
  }
  return 1;
}

static int step_next(lua_State *L) {
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
  while (step_fields[i] != NULL) {
    lua_pushinteger(L, i + 1);
    lua_replace(L, lua_upvalueindex(1));
    lua_settop(L, 1);
    lua_pushstring(L, step_fields[i++]);
    lua_pushvalue(L, 2);
    lua_gettable(L, 1);
    if (!lua_isnil(L, -1)) return 2;
  }
  return 0;
}

/* pairs(v.step.NAME): the fields that have a value */
static int step_pairs(lua_State *L) {
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, step_next, 1);
  lua_pushvalue(L, 1);
  return 2;
}

static int read_only(lua_State *L) { return luaL_error(L, "a run's values cannot be set here: use run:set_state"); }

/* ---- v.step ---- */

typedef struct steps {
  st_lua_run *run;
  const st_values *v; /* shows `this` when not NULL */
} steps;

static steps *new_steps(lua_State *L) {
  steps *s = lua_newuserdatauv(L, sizeof *s, 2);
  s->run = NULL;
  s->v = NULL;
  luaL_setmetatable(L, ST_STEPS);
  return s;
}

void st_push_steps(lua_State *L, int run_at) {
  steps *s = new_steps(L);
  s->run = lua_touserdata(L, run_at);
  lua_pushvalue(L, run_at);
  lua_setiuservalue(L, -2, 1);
}

/* v.step.NAME */
static int steps_index(lua_State *L) {
  const steps *s = lua_touserdata(L, 1);
  size_t len;
  const char *name = lua_tolstring(L, 2, &len);
  if (name == NULL) return 0;
  st_lua_run *run = s->run;
  if (run->closed) return luaL_error(L, "the run is closed");
  step_id id = s->v != NULL && len == 4 && memcmp(name, "this", 4) == 0 ? s->v->id : st_find_step(run, name, len);
  if (id == ST_NO_STEP || !st_run_exists(&run->r, id)) return 0;
  lua_getiuservalue(L, 1, 1);
  st_push_step(L, lua_gettop(L), id);
  return 1;
}

static int steps_next(lua_State *L) {
  const steps *s = lua_touserdata(L, 1);
  step_id id = (step_id)lua_tointeger(L, lua_upvalueindex(1));
  if (s->run->closed) return luaL_error(L, "the run is closed");
  while (id < s->run->r.top && !st_run_exists(&s->run->r, id)) id++;
  if (id >= s->run->r.top) return 0;
  lua_pushinteger(L, (lua_Integer)id + 1);
  lua_replace(L, lua_upvalueindex(1));
  st_push_step_name(L, s->run, id);
  lua_getiuservalue(L, 1, 1);
  st_push_step(L, lua_gettop(L), id);
  lua_replace(L, -2);
  return 2;
}

/* pairs(v.step): in the order of the definition, children last */
static int steps_pairs(lua_State *L) {
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, steps_next, 1);
  lua_pushvalue(L, 1);
  return 2;
}

/* ---- v ---- */

void st_new_values(lua_State *L) {
  st_values *v = lua_newuserdatauv(L, sizeof *v, VALUES_UVS);
  v->run = NULL;
  v->id = 0;
  luaL_setmetatable(L, ST_VALUES);
  steps *s = new_steps(L);
  s->v = v;
  lua_pushvalue(L, -2);
  lua_setiuservalue(L, -2, 2);
  lua_setiuservalue(L, -2, VALUES_STEPS);
}

void st_values_bind(lua_State *L, int v_at, int run_at, step_id id) {
  v_at = lua_absindex(L, v_at);
  st_values *v = lua_touserdata(L, v_at);
  v->run = lua_touserdata(L, run_at);
  v->id = id;
  lua_pushvalue(L, run_at);
  lua_setiuservalue(L, v_at, VALUES_RUN);
  lua_pushnil(L);
  lua_setiuservalue(L, v_at, VALUES_HOOK);
  lua_getiuservalue(L, v_at, VALUES_STEPS);
  steps *s = lua_touserdata(L, -1);
  s->run = v->run;
  lua_pushvalue(L, run_at);
  lua_setiuservalue(L, -2, 1);
  lua_pop(L, 1);
}

/* v.KEY */
static int values_index(lua_State *L) {
  const st_values *v = lua_touserdata(L, 1);
  const char *key = lua_tostring(L, 2);
  if (key == NULL || v->run == NULL) return 0;
  if (v->run->closed) return luaL_error(L, "the run is closed");
  if (strcmp(key, "step") == 0 && !v->run->foreign) {
    lua_getiuservalue(L, 1, VALUES_STEPS);
  } else if (strcmp(key, "iterator") == 0 && !v->run->foreign) {
    lua_getiuservalue(L, 1, VALUES_RUN);
    if (!push_item(L, v->run, lua_gettop(L), v->id)) return 0;
  } else if (strcmp(key, "pre_hook") == 0) {
    lua_getiuservalue(L, 1, VALUES_HOOK);
  } else {
    lua_getiuservalue(L, 1, VALUES_RUN);
    lua_getiuservalue(L, -1, RUN_GLOBALS);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
  }
  return 1;
}

static int values_next(lua_State *L) {
  static const char *const fields[] = { "input",    "resolver_input", "config",        "task", "step",
                                        "iterator", "pre_hook",       "function_args", NULL };
  lua_Integer i = lua_tointeger(L, lua_upvalueindex(1));
  while (fields[i] != NULL) {
    lua_pushinteger(L, i + 1);
    lua_replace(L, lua_upvalueindex(1));
    lua_settop(L, 1);
    lua_pushstring(L, fields[i++]);
    lua_pushvalue(L, 2);
    lua_gettable(L, 1);
    if (!lua_isnil(L, -1)) return 2;
  }
  return 0;
}

static int values_pairs(lua_State *L) {
  lua_pushinteger(L, 0);
  lua_pushcclosure(L, values_next, 1);
  lua_pushvalue(L, 1);
  return 2;
}

static void metatable(lua_State *L, const char *name, lua_CFunction index, lua_CFunction pairs) {
  luaL_newmetatable(L, name);
  lua_pushcfunction(L, index);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, read_only);
  lua_setfield(L, -2, "__newindex");
  lua_pushcfunction(L, pairs);
  lua_setfield(L, -2, "__pairs");
  lua_pop(L, 1);
}

int st_view_open(lua_State *L) {
  metatable(L, ST_VALUES, values_index, values_pairs);
  metatable(L, ST_STEPS, steps_index, steps_pairs);
  metatable(L, ST_STEP, step_index, step_pairs);
  return 0;
}
