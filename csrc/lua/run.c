/* run.c - a run as Lua sees it: the core's run, and beside it the Lua values of its steps in tables keyed by step number.
** lua/step/run.lua makes the public object of it.
*/
#include "binding.h"

#include <string.h>

st_lua_run *st_check_run(lua_State *L, int arg) {
  st_lua_run *run = luaL_checkudata(L, arg, ST_RUN);
  luaL_argcheck(L, !run->closed, arg, "the run is closed");
  return run;
}

/* "x-12" is child 12 of a foreach step x that has it now. */
static step_id find_child(const st_lua_run *run, const char *name, size_t len) {
  size_t digits = 0;
  uint32_t i = 0;
  while (digits < len && digits < 10 && name[len - 1 - digits] >= '0' && name[len - 1 - digits] <= '9') digits++;
  if (digits == 0 || digits + 1 >= len || name[len - 1 - digits] != '-') return ST_NO_STEP;
  for (size_t k = len - digits; k < len; k++) {
    if (i > ST_MAX_STEPS / 10) return ST_NO_STEP;
    i = i * 10 + (uint32_t)(name[k] - '0');
  }
  if (digits > 1 && name[len - digits] == '0') return ST_NO_STEP;
  step_id parent = st_names_find(&run->g->names, name, len - digits - 1);
  const st_loop *loop = parent == ST_NO_STEP ? NULL : st_run_loop(&run->r, parent);
  return loop == NULL || i >= loop->count ? ST_NO_STEP : loop->first + i;
}

step_id st_find_step(const st_lua_run *run, const char *name, size_t len) {
  step_id id = st_names_find(&run->g->names, name, len);
  return id == ST_NO_STEP && run->r.loops_count > 0 ? find_child(run, name, len) : id;
}

void st_push_step_name(lua_State *L, const st_lua_run *run, step_id id) {
  if (id < run->g->n) {
    st_push_name(L, run->g, id);
    return;
  }
  step_id parent = st_run_origin(&run->r, id);
  st_push_name(L, run->g, parent);
  lua_pushfstring(L, "%s-%I", lua_tostring(L, -1), (lua_Integer)(id - st_run_loop(&run->r, parent)->first));
  lua_replace(L, -2);
}

void st_note(lua_State *L, st_lua_run *run, int table, step_id id, uint8_t bit) {
  st_cell *c = &run->r.cell[id];
  if (lua_isnil(L, -1)) {
    if ((c->note & bit) == 0) {
      lua_pop(L, 1);
      return;
    }
    c->note &= (uint8_t)~bit;
  }
  int there = !lua_isnil(L, -1);
  if (bit == NOTE_ERROR && lua_type(L, -1) == LUA_TSTRING) st_json_mend(L, -1);
  lua_rawseti(L, table, (lua_Integer)id + 1);
  if (there) c->note |= bit;
}

/* Pushes the name of a run's or a step's state. */
static void push_change_state(lua_State *L, const st_lua_run *run, const st_change *c, int state) {
  if (c->step == ST_RUN_ITSELF)
    lua_pushstring(L, st_run_states[state]);
  else
    st_push_state(L, run->g, st_run_origin(&run->r, c->step), state);
}

/* How many changes made by a listener are reported to it before it is taken for a loop without end. */
enum { LISTENER_CHANGES = 10000 };

void st_report(lua_State *L, st_lua_run *run, int arg) {
  st_journal *j = &run->r.journal;
  int top = lua_gettop(L);
  arg = lua_absindex(L, arg);
  luaL_checkstack(L, 12, "step");
  uint64_t last = j->first + j->count + LISTENER_CHANGES;
  while (j->count > 0 && !run->reporting) {
    if (j->first > last && j->on) {
      lua_warning(L, "step: a listener changes the run at every change: it is not called any more", 0);
      lua_pushnil(L);
      lua_setiuservalue(L, arg, RUN_LISTENER);
      j->on = run->kept;
    }
    st_change c = *st_journal_at(j, 0);
    uint64_t number = run->events += c.from != c.to;
    if (run->kept) st_persist_note(L, run, arg, &c, number);
    st_journal_drop(j, 1);
    if (c.from == c.to || lua_getiuservalue(L, arg, RUN_LISTENER) != LUA_TFUNCTION
        || (c.step != ST_RUN_ITSELF && !st_run_exists(&run->r, c.step))) {
      lua_settop(L, top);
      continue;
    }
    if (c.step == ST_RUN_ITSELF)
      lua_pushnil(L);
    else
      st_push_step_name(L, run, c.step);
    push_change_state(L, run, &c, c.from);
    push_change_state(L, run, &c, c.to);
    if (c.step == ST_RUN_ITSELF) {
      lua_pushnil(L);
    } else {
      lua_getiuservalue(L, arg, RUN_ERROR);
      lua_rawgeti(L, -1, (lua_Integer)c.step + 1);
      lua_replace(L, -2);
    }
    lua_pushnumber(L, c.time);
    lua_pushinteger(L, (lua_Integer)number);
    run->reporting = 1; /* what the listener changes is reported after it */
    int status = lua_pcall(L, 6, 0, 0);
    run->reporting = 0;
    if (status != LUA_OK) {
      lua_warning(L, "step: error in a listener: ", 1);
      lua_warning(L, st_tostring(L, -1), 0);
    }
    lua_settop(L, top);
  }
}

void st_collect(lua_State *L, st_lua_run *run, int arg, step_id parent) {
  st_run *r = &run->r;
  const st_loop *loop = st_run_loop(r, parent);
  lua_Integer first = (lua_Integer)loop->first + 1;
  uint8_t notes = 0;
  arg = lua_absindex(L, arg);
  luaL_checkstack(L, 12, "step");
  int top = lua_gettop(L);
  st_children *c = lua_newuserdatauv(L, sizeof *c + loop->count, CHILDREN_UVS);
  c->parent = parent;
  c->count = loop->count;
  for (uint32_t i = 0; i < loop->count; i++) {
    c->state[i] = r->cell[loop->first + i].state;
    notes |= r->cell[loop->first + i].note;
  }
  luaL_setmetatable(L, ST_CHILDREN);
  lua_getiuservalue(L, arg, RUN_ITEMS);
  lua_rawgeti(L, -1, (lua_Integer)parent + 1);
  lua_setiuservalue(L, top + 1, CHILDREN_ITEMS);
  static const struct {
    int from, to;
    uint8_t bit;
  } kinds[] = { { RUN_OUTPUT, CHILDREN_OUTPUT, NOTE_OUTPUT },
                { RUN_METADATA, CHILDREN_METADATA, NOTE_METADATA },
                { RUN_ERROR, CHILDREN_ERROR, NOTE_ERROR } };
  for (int k = 0; k < 3; k++) { /* the values of all, before anything is taken away */
    if ((notes & kinds[k].bit) == 0) continue;
    lua_getiuservalue(L, arg, kinds[k].from);
    lua_createtable(L, (int)loop->count, 0);
    for (lua_Integer i = 0; i < (lua_Integer)loop->count; i++) {
      lua_rawgeti(L, -2, first + i);
      lua_rawseti(L, -2, i + 1);
    }
    lua_setiuservalue(L, top + 1, kinds[k].to);
    lua_pop(L, 1);
  }
  lua_getiuservalue(L, arg, RUN_CHILDREN);
  lua_pushvalue(L, top + 1);
  lua_rawseti(L, -2, (lua_Integer)parent + 1);
  for (int k = 0; k < 3; k++) { /* assigning nil needs no memory */
    if ((notes & kinds[k].bit) == 0) continue;
    lua_getiuservalue(L, arg, kinds[k].from);
    for (lua_Integer i = 0; i < (lua_Integer)loop->count; i++) {
      lua_pushnil(L);
      lua_rawseti(L, -2, first + i);
    }
    lua_pop(L, 1);
  }
  lua_pushnil(L);
  lua_rawseti(L, top + 2, (lua_Integer)parent + 1);
  lua_settop(L, top);
}

/* ---- birth and death ---- */

void st_run_shut(st_lua_run *run) {
  if (run->in_flight > 0 || run->freed) return;
  run->freed = 1;
  st_run_free(&run->r);
}

/* run:close(), also __gc and __close: what is in flight is given up; the memory goes when nothing executes any more. */
static int run_close(lua_State *L) {
  st_lua_run *run = luaL_checkudata(L, 1, ST_RUN);
  if (run->counted) st_live_counters(L)->runs--;
  run->counted = 0;
  if (run->closed) return 0;
  run->closed = 1;
  run->r.journal.on = 0;
  if (run->loop != NULL)
    st_loop_abandon(L, run->loop, run); /* the loop's next turn takes it off the list */
  else
    st_run_shut(run);
  return 0;
}

static int run_gc(lua_State *L) {
  st_lua_run *run = lua_touserdata(L, 1);
  if (run->counted) st_live_counters(L)->runs--;
  run->counted = 0;
  run->closed = 1;
  run->in_flight = 0;
  st_persist_free(L, run);
  st_mark_free(L, run);
  st_run_shut(run);
  return 0;
}

/* Seeds the jitter of retries with the id of the run, which is in its globals: the run that is made again has the same. */
static void seed(lua_State *L, st_lua_run *run, int globals) {
  if (lua_getfield(L, globals, "task") == LUA_TTABLE) {
    size_t len = 0;
    lua_getfield(L, -1, "task_id");
    const char *id = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : "";
    for (size_t i = 0; i < len; i++) run->r.seed = st_retry_seed(run->r.seed, (unsigned char)id[i]);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* core.run(graph, globals, foreign) -> run */
int st_run_new(lua_State *L) {
  st_lua_graph *graph = st_check_graph(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 3);
  st_lua_run *run = lua_newuserdatauv(L, sizeof *run, RUN_UVS);
  memset(run, 0, sizeof *run);
  run->g = &graph->g;
  st_run_init(&run->r, st_lua_alloc(L), run->g);
  luaL_setmetatable(L, ST_RUN);
  st_live_counters(L)->runs++;
  run->counted = 1;
  run->foreign = (uint8_t)lua_toboolean(L, 3);
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, 4, RUN_GRAPH);
  lua_getiuservalue(L, 1, GRAPH_CODE);
  lua_setiuservalue(L, 4, RUN_CODE);
  lua_pushvalue(L, 2);
  lua_setiuservalue(L, 4, RUN_GLOBALS);
  for (int uv = RUN_OUTPUT; uv <= RUN_CHILDREN; uv++) {
    lua_newtable(L);
    lua_setiuservalue(L, 4, uv);
  }
  seed(L, run, 2);
  if (st_run_setup(&run->r) != ST_OK) return luaL_error(L, "not enough memory");
  return 1;
}

/* ---- methods; steps are numbers from 1 ---- */

static step_id check_id(lua_State *L, const st_lua_run *run, int arg) {
  lua_Integer i = luaL_checkinteger(L, arg);
  luaL_argcheck(L, i >= 1 && i <= (lua_Integer)run->r.top && st_run_exists(&run->r, (step_id)(i - 1)), arg,
                "no step has this number");
  return (step_id)(i - 1);
}

static int check_state(lua_State *L, const st_lua_run *run, step_id id, int arg) {
  size_t len;
  const char *name = luaL_checklstring(L, arg, &len);
  int state = st_graph_state(run->g, st_run_origin(&run->r, id), name, len);
  if (state < 0) luaL_argerror(L, arg, lua_pushfstring(L, "the step has no state '%s'", name));
  return state;
}

static step_run_state check_run_state(lua_State *L, int arg) {
  size_t len;
  const char *name = luaL_checklstring(L, arg, &len);
  int state = st_run_state_find(name, len);
  if (state < 0) luaL_argerror(L, arg, lua_pushfstring(L, "a run has no state '%s'", name));
  return (step_run_state)state;
}

static int run_find(lua_State *L) {
  size_t len;
  const st_lua_run *run = st_check_run(L, 1);
  const char *name = luaL_checklstring(L, 2, &len);
  step_id id = st_find_step(run, name, len);
  if (id == ST_NO_STEP) return 0;
  lua_pushinteger(L, (lua_Integer)id + 1);
  return 1;
}

static int run_name(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  st_push_step_name(L, run, check_id(L, run, 2));
  return 1;
}

/* run:top() -> the largest number in use; not all below it are steps: run:exists(i) */
static int run_top(lua_State *L) {
  lua_pushinteger(L, st_check_run(L, 1)->r.top);
  return 1;
}

static int run_exists(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  lua_Integer i = luaL_checkinteger(L, 2);
  lua_pushboolean(L, i >= 1 && i <= (lua_Integer)run->r.top && st_run_exists(&run->r, (step_id)(i - 1)));
  return 1;
}

/* run:status() -> state, run_count, failed, run_max, next_retry or nil, whether it is active, transitions reported */
static int run_status(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  lua_pushstring(L, st_run_states[run->r.state]);
  lua_pushinteger(L, run->r.run_count);
  lua_pushinteger(L, run->r.failed);
  lua_pushinteger(L, run->r.run_max);
  if (run->r.next_retry == 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, run->r.next_retry);
  lua_pushboolean(L, run->loop != NULL);
  lua_pushinteger(L, (lua_Integer)run->events);
  lua_pushnumber(L, run->r.changed);
  return 8;
}

static uint32_t check_count(lua_State *L, int arg) {
  lua_Integer n = luaL_checkinteger(L, arg);
  luaL_argcheck(L, n >= 0 && n <= UINT32_MAX, arg, "count out of range");
  return (uint32_t)n;
}

/* run:set_status(state, run_count, failed, run_max, next_retry or nil): restoring */
static int run_set_status(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_run_state state = check_run_state(L, 2);
  run->r.run_count = check_count(L, 3);
  run->r.failed = check_count(L, 4);
  run->r.run_max = check_count(L, 5);
  run->r.next_retry = luaL_optnumber(L, 6, 0);
  run->r.state = (uint8_t)state;
  return 0;
}

/* run:step(i) -> state, tries, last_run or nil, parent's number or nil, index from 0 or nil */
static int run_step(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  const st_cell *c = &run->r.cell[id];
  st_push_state(L, run->g, st_run_origin(&run->r, id), c->state);
  lua_pushinteger(L, c->tries);
  if (run->r.last_run[id] == 0)
    lua_pushnil(L);
  else
    lua_pushnumber(L, run->r.last_run[id]);
  if (id < run->g->n) return 3;
  step_id parent = st_run_origin(&run->r, id);
  lua_pushinteger(L, (lua_Integer)parent + 1);
  lua_pushinteger(L, (lua_Integer)(id - st_run_loop(&run->r, parent)->first));
  return 5;
}

/* run:results(i) -> output, metadata, error, children, item */
static int run_results(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  lua_settop(L, 2);
  for (int uv = RUN_OUTPUT; uv <= RUN_ERROR; uv++) {
    lua_getiuservalue(L, 1, uv);
    lua_rawgeti(L, -1, (lua_Integer)id + 1);
    lua_replace(L, -2);
  }
  st_push_children(L, 1, id);
  if (id < run->g->n) return 4;
  step_id parent = st_run_origin(&run->r, id);
  lua_getiuservalue(L, 1, RUN_ITEMS);
  lua_rawgeti(L, -1, (lua_Integer)parent + 1);
  if (!lua_istable(L, -1)) return 4;
  lua_rawgeti(L, -1, (lua_Integer)(id - st_run_loop(&run->r, parent)->first) + 1);
  lua_replace(L, -3);
  lua_pop(L, 1);
  return 5;
}

/* run:put(i, output, metadata, error, children): restoring; nil clears */
static int run_put(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  static const uint8_t bits[] = { NOTE_OUTPUT, NOTE_METADATA, NOTE_ERROR };
  lua_settop(L, 6);
  for (int k = 0; k < 3; k++) {
    lua_getiuservalue(L, 1, RUN_OUTPUT + k);
    lua_pushvalue(L, 3 + k);
    st_note(L, run, lua_gettop(L) - 1, id, bits[k]);
    lua_pop(L, 1);
  }
  lua_getiuservalue(L, 1, RUN_CHILDREN);
  lua_pushvalue(L, 6);
  lua_rawseti(L, -2, (lua_Integer)id + 1);
  return 0;
}

/* run:load(i, state, tries, last_run or nil): restoring */
static int run_load(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  st_run_load(&run->r, id, check_state(L, run, id, 3), check_count(L, 4), luaL_optnumber(L, 5, 0));
  return 0;
}

/* run:load_loop(i, items) -> number of the first child: restoring */
static int run_load_loop(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id first, id = check_id(L, run, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  luaL_argcheck(L, id < run->g->n && (run->g->flags[id] & ST_FOREACH), 2, "not a foreach step");
  luaL_argcheck(L, st_run_loop(&run->r, id) == NULL, 2, "the step has its children already");
  lua_Unsigned n = lua_rawlen(L, 3);
  luaL_argcheck(L, n > 0 && n < ST_MAX_STEPS, 3, "count out of range");
  lua_getiuservalue(L, 1, RUN_ITEMS);
  lua_pushvalue(L, 3);
  lua_rawseti(L, -2, (lua_Integer)id + 1);
  if (st_run_load_loop(&run->r, id, (uint32_t)n, &first) != ST_OK) return luaL_error(L, "not enough memory");
  lua_pushinteger(L, (lua_Integer)first + 1);
  return 1;
}

/* run:tolerated(i) -> whether it is a failed child that its foreach step accepts */
static int run_tolerated(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  lua_pushboolean(L, st_run_tolerated(&run->r, check_id(L, run, 2)));
  return 1;
}

/* run:limit(n or nil) -> n or nil: at most n actions in flight at a time, which n sets; nil: no limit. */
static int run_limit(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  if (!lua_isnoneornil(L, 2)) run->max_concurrent = check_count(L, 2);
  if (run->max_concurrent == 0) return 0;
  lua_pushinteger(L, run->max_concurrent);
  return 1;
}

static void set_count(lua_State *L, const char *name, uint32_t n) {
  if (n == 0) return;
  lua_pushinteger(L, n);
  lua_setfield(L, -2, name);
}

int st_push_extra(lua_State *L, const st_lua_run *run, int arg, step_id id) {
  const st_extra *x = st_run_look(&run->r, id);
  int afterrun = run->r.cell[id].state == STEP_AFTERRUN_ERROR;
  if (x == NULL && !afterrun) return 0;
  lua_newtable(L);
  if (x != NULL) {
    if (x->next_retry != 0) {
      lua_pushnumber(L, x->next_retry);
      lua_setfield(L, -2, "next_retry");
    }
    if (x->expires != 0) {
      lua_pushnumber(L, x->expires);
      lua_setfield(L, -2, "expires");
    }
    set_count(L, "wait_count", x->waits);
    set_count(L, "resource_count", x->starved);
    set_count(L, "eval_count", x->evals);
    set_count(L, "takeovers", x->takeovers);
    if (x->unbegun) {
      lua_pushboolean(L, 1);
      lua_setfield(L, -2, "unbegun");
    }
    if (x->awaits) {
      lua_pushboolean(L, 1);
      lua_setfield(L, -2, "awaits");
    }
  }
  if (afterrun) {
    st_push_state(L, run->g, st_run_origin(&run->r, id), x == NULL ? STEP_DONE : x->ended);
    lua_setfield(L, -2, "ended");
    lua_getiuservalue(L, arg, RUN_PENDING);
    lua_rawgeti(L, -1, (lua_Integer)id + 1);
    lua_setfield(L, -3, "ended_error");
    lua_pop(L, 1);
  }
  return 1;
}

/* run:extra(i) -> what few steps have, a table or nil: next_retry, expires, wait_count, resource_count, eval_count,
** ended, ended_error, takeovers, unbegun, awaits */
static int run_extra(lua_State *L) {
  const st_lua_run *run = st_check_run(L, 1);
  return st_push_extra(L, run, 1, check_id(L, run, 2));
}

static uint32_t get_count(lua_State *L, int table, const char *name) {
  lua_getfield(L, table, name);
  lua_Integer n = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return n < 0 ? 0 : n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

/* run:load_extra(i, table): restoring, the inverse */
static int run_load_extra(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  luaL_checktype(L, 3, LUA_TTABLE);
  lua_settop(L, 3);
  st_extra *x = st_run_extra(&run->r, id);
  if (x == NULL) return luaL_error(L, "not enough memory");
  lua_getfield(L, 3, "next_retry");
  x->next_retry = luaL_optnumber(L, -1, 0);
  lua_getfield(L, 3, "expires");
  x->expires = luaL_optnumber(L, -1, 0);
  x->waits = get_count(L, 3, "wait_count");
  x->starved = get_count(L, 3, "resource_count");
  x->evals = get_count(L, 3, "eval_count");
  x->takeovers = (uint8_t)get_count(L, 3, "takeovers");
  lua_getfield(L, 3, "unbegun");
  x->unbegun = (uint8_t)(lua_toboolean(L, -1) && run->r.cell[id].state == STEP_RUNNING);
  lua_getfield(L, 3, "awaits");
  x->awaits = (uint8_t)(lua_toboolean(L, -1) && run->r.cell[id].state == STEP_WAITING);
  if (lua_getfield(L, 3, "ended") == LUA_TSTRING) x->ended = (uint8_t)check_state(L, run, id, lua_gettop(L));
  lua_getiuservalue(L, 1, RUN_PENDING);
  lua_getfield(L, 3, "ended_error");
  lua_rawseti(L, -2, (lua_Integer)id + 1);
  return 0;
}

/* run:set(i, state, message or nil, time): a person sets a step's state. */
static int run_set(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  int state = check_state(L, run, id, 3);
  double now = luaL_checknumber(L, 5);
  luaL_argcheck(L, state != STEP_RUNNING && state != STEP_EXPANDED, 3, "only the engine sets this state");
  lua_settop(L, 5);
  st_applied applied = st_run_set(&run->r, ST_NO_STEP, id, state, now);
  if (applied == ST_NO_MEMORY) return luaL_error(L, "not enough memory");
  lua_getiuservalue(L, 1, applied == ST_DEFERRED ? RUN_PENDING : RUN_ERROR);
  lua_pushvalue(L, 4);
  if (applied == ST_DEFERRED)
    lua_rawseti(L, -2, (lua_Integer)id + 1);
  else
    st_note(L, run, lua_gettop(L) - 1, id, NOTE_ERROR);
  st_run_settle(&run->r, now);
  if (run->r.journal.count > 0) st_report(L, run, 1);
  return 0;
}

/* run:wake(i): what the step may wait for has come */
static int run_wake(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  st_change touched = { run->r.last_run[id], id, STEP_WAITING, STEP_WAITING };
  if (st_run_wake(&run->r, id) && run->kept) st_persist_note(L, run, 1, &touched, run->events);
  return 0;
}

/* run:note(i, metadata, time): a step that is RUNNING keeps that, whatever becomes of its action */
static int run_note(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  st_change touched = { luaL_checknumber(L, 4), id, run->r.cell[id].state, run->r.cell[id].state };
  lua_settop(L, 4);
  lua_getiuservalue(L, 1, RUN_METADATA);
  if (!st_json_copy(L, 3)) return luaL_error(L, "metadata: %s", lua_tostring(L, -1));
  st_note(L, run, 5, id, NOTE_METADATA);
  if (run->kept) st_persist_note(L, run, 1, &touched, run->events);
  return 0;
}

/* run:belong(object): what people hold of it, see ctx.run */
static int run_belong(lua_State *L) {
  st_check_run(L, 1);
  lua_settop(L, 2);
  lua_setiuservalue(L, 1, RUN_OBJECT);
  return 0;
}

/* run:stop("CANCELLED" | "PAUSED" | "TO_AUTORUN", time) -> whether it is to be begun once more, to clean up */
static int run_stop(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  lua_pushboolean(L, st_run_stop(&run->r, check_run_state(L, 2), luaL_checknumber(L, 3)));
  if (run->loop != NULL) st_stop_run(run);
  if (run->r.journal.count > 0) st_report(L, run, 1);
  return 1;
}

/* run:ending() -> "cancelled" or "deadline" while it is CANCELLED or is to be, else nil */
static int run_ending(lua_State *L) {
  lua_pushstring(L, st_run_ending(&st_check_run(L, 1)->r));
  return 1;
}

/* run:set_ending("cancelled" | "deadline"): restoring */
static int run_set_ending(lua_State *L) {
  static const char *const names[] = { "cancelled", "deadline", NULL };
  st_lua_run *run = st_check_run(L, 1);
  run->r.expired = (uint8_t)luaL_checkoption(L, 2, NULL, names);
  run->r.cleaning = run->r.state != STEP_RUN_CANCELLED;
  return 0;
}

/* run:deadline() -> time or nil */
static int run_deadline(lua_State *L) {
  const st_run *r = &st_check_run(L, 1)->r;
  if (r->deadline == 0) return 0;
  lua_pushnumber(L, r->deadline);
  return 1;
}

/* run:set_deadline(time or nil, seconds or nil): seconds from the first resolve, for a time that is not known yet */
static int run_set_deadline(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  run->r.deadline = luaL_optnumber(L, 2, 0);
  run->r.span = luaL_optnumber(L, 3, 0);
  return 0;
}

/* run:become(state, time) */
static int run_become(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  st_run_become(&run->r, check_run_state(L, 2), luaL_checknumber(L, 3));
  if (run->r.journal.count > 0) st_report(L, run, 1);
  return 0;
}

/* run:rewind(i, time): the step and its descendants are TODO again, their results forgotten. */
static int run_rewind(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  double now = luaL_checknumber(L, 3);
  luaL_argcheck(L, id < run->g->n, 2, "a child cannot be retried by itself");
  luaL_argcheck(L, run->loop == NULL, 1, "the run is running");
  step_id *ids = lua_newuserdatauv(L, run->g->n * sizeof *ids, 0);
  step_id top = run->r.top;
  uint32_t n = st_run_rewind(&run->r, id, ids, now);
  for (int uv = RUN_OUTPUT; uv <= RUN_CHILDREN; uv++) {
    lua_getiuservalue(L, 1, uv);
    for (uint32_t k = 0; k < n; k++) {
      lua_pushnil(L);
      lua_rawseti(L, -2, (lua_Integer)ids[k] + 1);
    }
    for (step_id child = run->g->n; child < top; child++) /* children that went with their parent */
      if (child >= run->r.top || !st_run_exists(&run->r, child)) {
        lua_pushnil(L);
        lua_rawseti(L, -2, (lua_Integer)child + 1);
      }
    lua_pop(L, 1);
  }
  for (uint32_t k = 0; k < n; k++) run->r.cell[ids[k]].note &= (uint8_t)~NOTE_VALUES;
  if (run->r.journal.count > 0) st_report(L, run, 1);
  lua_pushinteger(L, n);
  return 1;
}

/* run:listen(fn or nil): fn(step or nil, from, to, message, time, number) at every transition */
static int run_listen(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  lua_settop(L, 2);
  run->r.journal.on = !lua_isnil(L, 2) || run->kept;
  lua_setiuservalue(L, 1, RUN_LISTENER);
  return 0;
}

/* run:fresh(time): a kept run's actions may start until then without another save */
static int run_fresh(lua_State *L) {
  st_check_run(L, 1)->fresh_until = luaL_checknumber(L, 2);
  return 0;
}

static int run_globals(lua_State *L) {
  st_check_run(L, 1);
  lua_getiuservalue(L, 1, RUN_GLOBALS);
  return 1;
}

/* run:steps() -> the view of all steps by name */
static int run_steps(lua_State *L) {
  st_check_run(L, 1);
  st_push_steps(L, 1);
  return 1;
}

/* run:values(i) -> a v for a step, outside of any execution */
static int run_values(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  step_id id = check_id(L, run, 2);
  st_new_values(L);
  st_values_bind(L, -1, 1, id);
  return 1;
}

/* run:sound() -> whether the core's invariants hold: for the specs */
static int run_sound(lua_State *L) {
  lua_pushboolean(L, st_run_sound(&st_check_run(L, 1)->r));
  return 1;
}

static int run_closed(lua_State *L) {
  st_lua_run *run = luaL_checkudata(L, 1, ST_RUN);
  lua_pushboolean(L, run->closed);
  return 1;
}

int st_run_open(lua_State *L) {
  static const luaL_Reg methods[] = { { "close", run_close },
                                      { "closed", run_closed },
                                      { "find", run_find },
                                      { "name", run_name },
                                      { "top", run_top },
                                      { "exists", run_exists },
                                      { "status", run_status },
                                      { "set_status", run_set_status },
                                      { "step", run_step },
                                      { "results", run_results },
                                      { "put", run_put },
                                      { "tolerated", run_tolerated },
                                      { "limit", run_limit },
                                      { "load", run_load },
                                      { "load_loop", run_load_loop },
                                      { "extra", run_extra },
                                      { "load_extra", run_load_extra },
                                      { "set", run_set },
                                      { "wake", run_wake },
                                      { "note", run_note },
                                      { "belong", run_belong },
                                      { "stop", run_stop },
                                      { "ending", run_ending },
                                      { "set_ending", run_set_ending },
                                      { "deadline", run_deadline },
                                      { "set_deadline", run_set_deadline },
                                      { "become", run_become },
                                      { "rewind", run_rewind },
                                      { "listen", run_listen },
                                      { "keep", st_persist_keep },
                                      { "changes", st_persist_changes },
                                      { "saved", st_persist_saved },
                                      { "fresh", run_fresh },
                                      { "globals", run_globals },
                                      { "steps", run_steps },
                                      { "values", run_values },
                                      { "sound", run_sound },
                                      { NULL, NULL } };
  luaL_newmetatable(L, ST_RUN);
  luaL_newlib(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushcfunction(L, run_gc);
  lua_setfield(L, -2, "__gc");
  lua_pushcfunction(L, run_close);
  lua_setfield(L, -2, "__close");
  lua_pop(L, 1);
  luaL_newmetatable(L, ST_CHILDREN);
  lua_pop(L, 1);
  return 0;
}
