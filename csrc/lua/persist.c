/* persist.c - what of a run is still to be stored: it collects transitions while they happen, because the number of a foreach
** child means something else once its parent has contracted, and gives a store rows of what has changed since (sink.h).
**
** box: the transitions, in order. Invariant between reports: a step whose row is not what is stored has an entry in the box and
** NOTE_UNSAVED in its cell. drain turns that bit into NOTE_DRAINED, so that a step is written once however often it occurs;
** saved clears both; a drain that was not followed by saved begins anew.
*/
#include "binding.h"

#include "../store/sink.h"

#include <string.h>

enum { ITSELF = 0 }; /* st_unsaved.child: the step, not a child of it */

void st_persist_note(lua_State *L, st_lua_run *run, int arg, const st_change *c, uint64_t number) {
  st_outbox *box = &run->box;
  const st_run *r = &run->r;
  if (box->count == box->cap) {
    st_alloc alloc = st_lua_alloc(L);
    uint32_t cap = box->cap == 0 ? 32 : box->cap * 2;
    st_unsaved *p = cap < box->cap ? NULL : st_resize(&alloc, box->item, box->cap * sizeof *p, (size_t)cap * sizeof *p);
    if (p == NULL) {
      luaL_error(L, "not enough memory");
      return; /* not reached: luaL_error does not say so */
    }
    box->item = p;
    box->cap = cap;
  }
  st_unsaved *u = &box->item[box->count];
  u->number = number;
  u->time = c->time;
  u->from = c->from;
  u->to = c->to;
  u->child = ITSELF;
  u->step = c->step;
  u->said = 0;
  if (c->step != ST_RUN_ITSELF) {
    if (!st_run_exists(r, c->step)) return; /* its parent has contracted: the parent's row tells */
    if (c->from != c->to && (run->r.cell[c->step].note & NOTE_ERROR)) {
      lua_getiuservalue(L, arg, RUN_MESSAGES);
      lua_getiuservalue(L, arg, RUN_ERROR);
      lua_rawgeti(L, -1, (lua_Integer)c->step + 1);
      lua_rawseti(L, -3, (lua_Integer)box->count + 1);
      lua_pop(L, 2);
      u->said = 1;
    }
    u->step = st_run_origin(r, c->step);
    if (c->step >= run->g->n) u->child = c->step - st_run_loop(r, u->step)->first + 1;
    run->r.cell[c->step].note |= NOTE_UNSAVED;
  }
  box->count++;
}

/* The number that an entry's step has now, or ST_NO_STEP: a child that is gone. */
static step_id number_of(const st_run *r, const st_unsaved *u) {
  if (u->child == ITSELF) return u->step;
  const st_loop *loop = st_run_loop(r, u->step);
  return loop == NULL || u->child > loop->count ? ST_NO_STEP : loop->first + u->child - 1;
}

static st_field field(lua_State *L, int i) {
  st_field f = { NULL, 0 };
  if (!lua_isnil(L, i)) f.p = lua_tolstring(L, i, &f.len);
  return f;
}

/* Makes the value at the top its JSON text; nil stays. One that has none, or is too long, is refused as sink.h says. */
static void encode(lua_State *L) {
  if (lua_isnil(L, -1)) return;
  if (!st_json_text(L, lua_gettop(L))) {
    lua_createtable(L, 0, 1);
    lua_pushfstring(L, "a result cannot be written as JSON: %s", lua_tostring(L, -3));
    lua_setfield(L, -2, "json");
    lua_error(L);
  }
  lua_replace(L, -2);
}

static st_field state_field(const st_lua_run *run, step_id step, int state) {
  st_field f;
  if (step == ST_RUN_ITSELF) {
    f.p = st_run_states[state];
    f.len = strlen(f.p);
  } else {
    f.p = st_graph_state_name(run->g, step, state, &f.len);
  }
  return f;
}

/* The name of a step or of its child number `child` - 1, which is pushed then; it may be gone, its name is not. */
static st_field name_field(lua_State *L, const st_lua_run *run, step_id step, uint32_t child) {
  st_field f;
  f.p = st_names_get(&run->g->names, step, &f.len);
  if (child == ITSELF) return f;
  lua_pushlstring(L, f.p, f.len);
  lua_pushfstring(L, "%s-%I", lua_tostring(L, -1), (lua_Integer)child - 1);
  return field(L, -1);
}

static int put_event(lua_State *L, st_lua_run *run, int arg, uint32_t i, const st_sink *sink, void *ud) {
  const st_unsaved *u = &run->box.item[i];
  st_event_row row = { u->number, u->time, { NULL, 0 }, { NULL, 0 }, { NULL, 0 }, { NULL, 0 } };
  int top = lua_gettop(L);
  if (u->step != ST_RUN_ITSELF) row.step = name_field(L, run, u->step, u->child);
  row.from = state_field(run, u->step, u->from);
  row.to = state_field(run, u->step, u->to);
  if (u->said) {
    lua_getiuservalue(L, arg, RUN_MESSAGES);
    lua_rawgeti(L, -1, (lua_Integer)i + 1);
    row.message.p = st_tostring(L, -1);
    row.message.len = lua_rawlen(L, -1);
  }
  int stopped = sink->event(ud, &row);
  lua_settop(L, top);
  return stopped;
}

/* What a table of the run at index arg holds for a step, as JSON or, when it is a text for people, as it is; stays on the stack. */
static st_field value_field(lua_State *L, int arg, int table, step_id id, int text) {
  lua_getiuservalue(L, arg, table);
  lua_rawgeti(L, -1, (lua_Integer)id + 1);
  if (text && !lua_isnil(L, -1))
    st_tostring(L, -1);
  else
    encode(L);
  return field(L, -1);
}

/* One step as it is. `run` is at index arg. */
static int put_step(lua_State *L, st_lua_run *run, int arg, step_id id, const st_sink *sink, void *ud) {
  const st_cell *c = &run->r.cell[id];
  step_id origin = st_run_origin(&run->r, id);
  int top = lua_gettop(L), child = id >= run->g->n;
  st_step_row row;
  memset(&row, 0, sizeof row);
  row.step = origin + 1;
  row.child = child ? (int64_t)(id - st_run_loop(&run->r, origin)->first) : -1;
  row.tries = c->tries;
  row.last_run = run->r.last_run[id];
  row.name = name_field(L, run, origin, (uint32_t)(row.child + 1));
  row.state = state_field(run, origin, c->state);
  if (c->note & NOTE_OUTPUT) row.output = value_field(L, arg, RUN_OUTPUT, id, 0);
  if (c->note & NOTE_METADATA) row.metadata = value_field(L, arg, RUN_METADATA, id, 0);
  if (c->note & NOTE_ERROR) row.error = value_field(L, arg, RUN_ERROR, id, 1);
  if (!child && (run->g->flags[origin] & ST_FOREACH)) {
    st_push_children(L, arg, id);
    encode(L);
    row.children = field(L, -1);
    if (st_run_loop(&run->r, id) != NULL) row.items = value_field(L, arg, RUN_ITEMS, id, 0);
  }
  if (st_push_extra(L, run, arg, id)) {
    encode(L);
    row.extra = field(L, -1);
  }
  int stopped = sink->step(ud, &row);
  lua_settop(L, top);
  return stopped;
}

static void get_status(lua_State *L, int arg, st_status_row *row) {
  const st_lua_run *run = st_check_run(L, arg);
  const st_run *r = &run->r;
  row->state.p = st_run_states[r->state];
  row->state.len = strlen(row->state.p);
  row->running = r->state == STEP_RUN_RUNNING;
  row->run_count = r->run_count;
  row->failed = r->failed;
  row->run_max = r->run_max;
  row->next_retry = r->next_retry;
  row->deadline = r->deadline;
  row->ending.p = st_run_ending(r);
  row->ending.len = row->ending.p == NULL ? 0 : strlen(row->ending.p);
}

static int push_tags(lua_State *L, int arg) {
  const st_lua_run *run = st_check_run(L, arg);
  if (!run->tagged) return 0;
  lua_getiuservalue(L, arg, RUN_GLOBALS);
  lua_getfield(L, -1, "tags");
  lua_replace(L, -2);
  encode(L);
  return 1;
}

static int drain(lua_State *L, int arg, const st_sink *sink, void *ud) {
  st_lua_run *run = st_check_run(L, arg);
  st_run *r = &run->r;
  st_outbox *box = &run->box;
  int stopped = 0;
  arg = lua_absindex(L, arg);
  luaL_checkstack(L, 24, "step");
  if (r->journal.count > 0) st_report(L, run, arg);
  for (uint32_t i = 0; i < box->count; i++) { /* a drain that was not saved */
    if (box->item[i].step == ST_RUN_ITSELF) continue;
    step_id id = number_of(r, &box->item[i]);
    if (id != ST_NO_STEP && (r->cell[id].note & NOTE_DRAINED)) r->cell[id].note ^= NOTE_DRAINED | NOTE_UNSAVED;
  }
  for (uint32_t i = 0; i < box->count && !stopped; i++) {
    const st_unsaved *u = &box->item[i];
    if (u->from != u->to) stopped = put_event(L, run, arg, i, sink, ud);
    if (!stopped && u->step != ST_RUN_ITSELF && u->child == ITSELF && u->from != u->to
        && (u->from == STEP_EXPANDED || u->to == STEP_EXPANDED))
      stopped = sink->forget(ud, u->step + 1);
  }
  for (uint32_t i = 0; i < box->count && !stopped; i++) {
    if (box->item[i].step == ST_RUN_ITSELF) continue;
    step_id id = number_of(r, &box->item[i]);
    if (id == ST_NO_STEP || (r->cell[id].note & NOTE_UNSAVED) == 0) continue;
    stopped = put_step(L, run, arg, id, sink, ud);
    if (!stopped) r->cell[id].note ^= NOTE_DRAINED | NOTE_UNSAVED;
  }
  return stopped;
}

static void saved(lua_State *L, int arg) {
  st_lua_run *run = st_check_run(L, arg);
  st_run *r = &run->r;
  for (uint32_t i = 0; i < run->box.count; i++) {
    if (run->box.item[i].step == ST_RUN_ITSELF) continue;
    step_id id = number_of(r, &run->box.item[i]);
    if (id != ST_NO_STEP) r->cell[id].note &= (uint8_t) ~(NOTE_DRAINED | NOTE_UNSAVED);
  }
  lua_getiuservalue(L, arg, RUN_MESSAGES);
  for (uint32_t i = 0; i < run->box.count; i++) {
    if (!run->box.item[i].said) continue;
    lua_pushnil(L);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  lua_pop(L, 1);
  run->box.count = 0;
  run->tagged = 0;
  st_mark_saved(run);
}

/* ---- the same for stores written in Lua ---- */

typedef struct changes {
  lua_State *L;
  int events, forget, steps; /* stack indices of lists */
} changes;

static void set_field(lua_State *L, const char *name, st_field f) {
  if (f.p == NULL) return;
  lua_pushlstring(L, f.p, f.len);
  lua_setfield(L, -2, name);
}

static void append(lua_State *L, int list) { lua_rawseti(L, list, (lua_Integer)lua_rawlen(L, list) + 1); }

static int change_event(void *ud, const st_event_row *row) {
  const changes *c = ud;
  lua_State *L = c->L;
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)row->seq);
  lua_setfield(L, -2, "seq");
  lua_pushnumber(L, row->time);
  lua_setfield(L, -2, "time");
  set_field(L, "step", row->step);
  set_field(L, "from", row->from);
  set_field(L, "to", row->to);
  set_field(L, "message", row->message);
  append(L, c->events);
  return 0;
}

static int change_forget(void *ud, uint32_t step) {
  const changes *c = ud;
  lua_pushinteger(c->L, step);
  append(c->L, c->forget);
  return 0;
}

static int change_step(void *ud, const st_step_row *row) {
  const changes *c = ud;
  lua_State *L = c->L;
  lua_createtable(L, 0, 12);
  lua_pushinteger(L, row->step);
  lua_setfield(L, -2, "step");
  lua_pushinteger(L, row->child);
  lua_setfield(L, -2, "child");
  lua_pushinteger(L, row->tries);
  lua_setfield(L, -2, "tries");
  if (row->last_run != 0) {
    lua_pushnumber(L, row->last_run);
    lua_setfield(L, -2, "last_run");
  }
  set_field(L, "name", row->name);
  set_field(L, "state", row->state);
  set_field(L, "output", row->output);
  set_field(L, "metadata", row->metadata);
  set_field(L, "error", row->error);
  set_field(L, "children", row->children);
  set_field(L, "items", row->items);
  set_field(L, "extra", row->extra);
  append(L, c->steps);
  return 0;
}

int st_persist_changes(lua_State *L) {
  static const st_sink sink = { change_event, change_forget, change_step };
  st_check_run(L, 1);
  lua_settop(L, 1);
  luaL_checkstack(L, 24, "step");
  changes c = { L, 2, 3, 4 };
  for (int i = 0; i < 3; i++) lua_newtable(L);
  drain(L, 1, &sink, &c);
  if (!push_tags(L, 1)) lua_pushnil(L);
  return 4;
}

int st_persist_saved(lua_State *L) {
  saved(L, 1);
  return 0;
}

int st_persist_keep(lua_State *L) {
  st_lua_run *run = st_check_run(L, 1);
  lua_Integer events = luaL_checkinteger(L, 2);
  luaL_argcheck(L, events >= 0, 2, "a number from 0 expected");
  luaL_argcheck(L, !run->kept && run->r.journal.count == 0, 1, "the run is kept already");
  lua_newtable(L);
  lua_setiuservalue(L, 1, RUN_MESSAGES);
  run->events = (uint64_t)events;
  run->r.journal.on = 1;
  run->kept = 1;
  for (step_id id = 0; lua_toboolean(L, 3) && id < run->r.top; id++) { /* all that is not as a new run's */
    const st_cell *c = &run->r.cell[id];
    if (!st_run_exists(&run->r, id)) continue;
    if (c->state == STEP_TODO && c->tries == 0 && c->note == 0 && !(c->flags & CELL_EXTRA)) continue;
    st_change touched = { run->r.last_run[id], id, c->state, c->state };
    st_persist_note(L, run, 1, &touched, run->events);
  }
  return 0;
}

void st_persist_free(lua_State *L, st_lua_run *run) {
  st_alloc alloc = st_lua_alloc(L);
  st_release(&alloc, run->box.item, run->box.cap * sizeof *run->box.item);
  memset(&run->box, 0, sizeof run->box);
}

void st_persist_open(lua_State *L) {
  static const st_persist api = { ST_PERSIST_VERSION, get_status, push_tags, drain, saved };
  lua_pushlightuserdata(L, (void *)&api);
  lua_setfield(L, LUA_REGISTRYINDEX, "step.persist");
}
