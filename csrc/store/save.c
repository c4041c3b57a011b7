/* save.c - what is hot in a store: the changes of any number of runs in one transaction, each fenced by the epoch of its claim
** (D27), and the leases. */
#include "db.h"
#include "sink.h"

#include <string.h>

/* When a run that nobody owns is due: at once if it waits and somebody has posted something (?3: up to which that is known)
** or if it has something to do by itself, or is to be cancelled; a wait for so long and no longer when it is due; a retry, too,
** or the deadline before it. */
#define DUE(state, next_retry, now, deadline, ending) \
  "CASE WHEN " ending " IS NOT NULL AND " state " NOT IN ('CANCELLED', 'DONE') THEN " now " WHEN " state \
  " = 'WAITING' AND EXISTS (SELECT 1 FROM inbox WHERE run = ?1 AND seq > ?3) THEN " now " WHEN " state \
  " = 'WAITING' THEN " next_retry " WHEN " state \
  " IN ('TODO', 'TO_AUTORUN', 'TO_AUTORUN_DELAYED', 'AUTORUNNING', 'RETRY', 'RUNNING') THEN " now " WHEN " state \
  " IN ('ERROR', 'CRASHED') THEN min(coalesce(" next_retry ", " now "), coalesce(" deadline ", 9e99)) END"

#define STATUS \
  "UPDATE run SET state = ?4, run_count = ?5, failed_count = ?6, run_max = ?7, next_retry = ?8, changed = ?9, tags " \
  "= coalesce(?10, tags), deadline = ?11, ending = ?12, "
#define FENCED " WHERE number = ?1 AND epoch = ?2"

/* A transaction has the file's one write lock from its beginning: what ST_OURS reads holds until the commit. */
const char *const st_save_sql[ST_HOT_COUNT] = {
  [ST_OURS] = "SELECT 1 FROM run" FENCED,
  [ST_TAGS] = "UPDATE run SET tags = ?3" FENCED,
  [ST_PROGRESS] = STATUS "due = ?13" FENCED,
  [ST_LET_GO] = STATUS "owner = NULL, due = " DUE("?4", "?8", "?9", "?11", "?12") FENCED,
  [ST_STEP] = /* whole rows of a table with no other index, no trigger and no foreign key: SQLite just overwrites them */
  "REPLACE INTO step (run, step, child, name, state, tries, last_run, output, metadata, error, children, items, extra)"
  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
  [ST_EVENT] =
    "INSERT INTO event (run, seq, time, step, \"from\", \"to\", message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
  [ST_FORGET] = "DELETE FROM step WHERE run = ?1 AND step = ?2 AND child >= 0",
  [ST_CLEAR] = "DELETE FROM inbox WHERE run = ?1 AND seq = ?2",
  [ST_RENEW] = "UPDATE run SET due = ?3" FENCED " AND owner IS NOT NULL",
  [ST_RELEASE] = "UPDATE run SET owner = NULL, due = " DUE("state", "next_retry", "?4", "deadline", "ending") FENCED
  " AND owner IS NOT NULL",
};

/* ---- which row a core run is ---- */

/* db:bind(run, number, epoch) */
int st_db_bind(lua_State *L) {
  luaL_checkudata(L, 1, ST_DB);
  luaL_checkany(L, 2);
  luaL_checkinteger(L, 3);
  luaL_checkinteger(L, 4);
  for (int i = 0; i < 2; i++) {
    lua_getiuservalue(L, 1, DB_NUMBERS + i);
    lua_pushvalue(L, 2);
    lua_pushvalue(L, 3 + i);
    lua_rawset(L, -3);
  }
  return 0;
}

/* db:bound(run) -> number, epoch; nil: it is not bound */
int st_db_bound(lua_State *L) {
  luaL_checkudata(L, 1, ST_DB);
  luaL_checkany(L, 2);
  for (int i = 0; i < 2; i++) {
    lua_getiuservalue(L, 1, DB_NUMBERS + i);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  return 2;
}

typedef struct binding {
  sqlite3_int64 number, epoch;
} binding;

/* That of the run at the top of the stack; a run without one is misuse. */
static binding binding_of(lua_State *L) {
  binding b;
  sqlite3_int64 *part[2] = { &b.number, &b.epoch };
  for (int i = 0; i < 2; i++) {
    lua_getiuservalue(L, 1, DB_NUMBERS + i);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    if (!lua_isinteger(L, -1)) luaL_error(L, "a run that was not bound to its row");
    *part[i] = lua_tointeger(L, -1);
    lua_pop(L, 2);
  }
  return b;
}

/* ---- save ---- */

typedef struct saving {
  st_db *d;
  sqlite3_int64 number;
  st_hot failed; /* the statement that stopped it */
} saving;

static int bind_field(sqlite3_stmt *s, int i, st_field f) {
  return f.p == NULL ? sqlite3_bind_null(s, i) : sqlite3_bind_text64(s, i, f.p, f.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int bind_time(sqlite3_stmt *s, int i, double time) {
  return time == 0 ? sqlite3_bind_null(s, i) : sqlite3_bind_double(s, i, time);
}

/* Runs the statement; `wrong`: what binding its parameters gave, or-ed. Returns 0, or 1: SQLite tells why. */
static int put(saving *w, st_hot which, sqlite3_stmt *s, int wrong) {
  if (wrong == SQLITE_OK && st_db_step(s) == SQLITE_DONE) return 0;
  w->failed = which;
  return 1;
}

static int put_event(void *ud, const st_event_row *row) {
  saving *w = ud;
  sqlite3_stmt *s = st_db_hot(w->d, ST_EVENT);
  int wrong = sqlite3_bind_int64(s, 1, w->number);
  wrong |= sqlite3_bind_int64(s, 2, (sqlite3_int64)row->seq);
  wrong |= sqlite3_bind_double(s, 3, row->time);
  wrong |= bind_field(s, 4, row->step);
  wrong |= bind_field(s, 5, row->from);
  wrong |= bind_field(s, 6, row->to);
  wrong |= bind_field(s, 7, row->message);
  return put(w, ST_EVENT, s, wrong);
}

static int put_step(void *ud, const st_step_row *row) {
  saving *w = ud;
  sqlite3_stmt *s = st_db_hot(w->d, ST_STEP);
  int wrong = sqlite3_bind_int64(s, 1, w->number);
  wrong |= sqlite3_bind_int64(s, 2, row->step);
  wrong |= sqlite3_bind_int64(s, 3, row->child);
  wrong |= bind_field(s, 4, row->name);
  wrong |= bind_field(s, 5, row->state);
  wrong |= sqlite3_bind_int64(s, 6, row->tries);
  wrong |= bind_time(s, 7, row->last_run);
  const st_field *field[] = { &row->output, &row->metadata, &row->error, &row->children, &row->items, &row->extra };
  for (int i = 0; i < 6; i++) wrong |= bind_field(s, 8 + i, *field[i]);
  return put(w, ST_STEP, s, wrong);
}

static int forget(void *ud, uint32_t step) {
  saving *w = ud;
  sqlite3_stmt *s = st_db_hot(w->d, ST_FORGET);
  int wrong = sqlite3_bind_int64(s, 1, w->number);
  wrong |= sqlite3_bind_int64(s, 2, step);
  return put(w, ST_FORGET, s, wrong);
}

static const st_persist *persist(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, "step.persist");
  const st_persist *p = lua_touserdata(L, -1);
  if (p == NULL || p->version != ST_PERSIST_VERSION)
    luaL_error(L, "step.sqlite and step.core are of different releases, or step.core is not loaded");
  lua_pop(L, 1);
  return p;
}

/* arguments of save, by stack index */
enum { DB = 1, RUNS, NOW, LEASE, HEARD, SPENT, FIRST };

/* Up to which number the inbox of the run at the top is known. */
static sqlite3_int64 inbox_heard(lua_State *L) {
  if (!lua_istable(L, HEARD)) return 0;
  lua_pushvalue(L, -1);
  lua_rawget(L, HEARD);
  sqlite3_int64 seq = lua_tointeger(L, -1);
  lua_pop(L, 1);
  return seq;
}

/* Removes what the run at the top has dealt with from its inbox. */
static int clear_spent(lua_State *L, saving *w) {
  int top = lua_gettop(L), failed = 0;
  if (!lua_istable(L, SPENT)) return 0;
  lua_pushvalue(L, -1);
  if (lua_rawget(L, SPENT) == LUA_TTABLE) {
    sqlite3_stmt *s = st_db_hot(w->d, ST_CLEAR);
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n && !failed; i++) {
      lua_rawgeti(L, -1, i);
      int wrong = sqlite3_bind_int64(s, 1, w->number);
      wrong |= sqlite3_bind_int64(s, 2, lua_tointeger(L, -1));
      failed = put(w, ST_CLEAR, s, wrong);
      lua_pop(L, 1);
    }
  }
  lua_settop(L, top);
  return failed;
}

/* What put_run and its parts come to, when it is not 1: SQLite tells why not. */
enum { WRITTEN = 0, LOST = -1 };

/* Whether a run is ours, its row left as it is: the number and the time of what has happened in it are its events' to tell. */
static int look(saving *w, const binding *b) {
  sqlite3_stmt *s = st_db_hot(w->d, ST_OURS);
  int wrong = sqlite3_bind_int64(s, 1, b->number);
  wrong |= sqlite3_bind_int64(s, 2, b->epoch);
  int found = wrong == SQLITE_OK ? sqlite3_step(s) : wrong;
  sqlite3_reset(s);
  if (found == SQLITE_ROW || found == SQLITE_DONE) return found == SQLITE_ROW ? WRITTEN : LOST;
  w->failed = ST_OURS;
  return 1;
}

/* Likewise, but for its tags. */
static int put_tags(saving *w, const binding *b, st_field tags) {
  sqlite3_stmt *s = st_db_hot(w->d, ST_TAGS);
  int wrong = sqlite3_bind_int64(s, 1, b->number);
  wrong |= sqlite3_bind_int64(s, 2, b->epoch);
  wrong |= bind_field(s, 3, tags);
  return put(w, ST_TAGS, s, wrong) ? 1 : sqlite3_changes(w->d->db) == 0 ? LOST : WRITTEN;
}

/* The whole of its row. */
static int put_status(lua_State *L, saving *w, const binding *b, const st_status_row *row, st_field tags,
                      sqlite3_int64 heard) {
  double now = lua_tonumber(L, NOW);
  st_hot which = row->running ? ST_PROGRESS : ST_LET_GO;
  sqlite3_stmt *s = st_db_hot(w->d, which);
  int wrong = sqlite3_bind_int64(s, 1, b->number);
  wrong |= sqlite3_bind_int64(s, 2, b->epoch);
  wrong |= sqlite3_bind_int64(s, 3, heard);
  wrong |= bind_field(s, 4, row->state);
  wrong |= sqlite3_bind_int64(s, 5, row->run_count);
  wrong |= sqlite3_bind_int64(s, 6, row->failed);
  wrong |= sqlite3_bind_int64(s, 7, row->run_max);
  wrong |= bind_time(s, 8, row->next_retry);
  wrong |= sqlite3_bind_double(s, 9, now);
  wrong |= bind_field(s, 10, tags);
  wrong |= bind_time(s, 11, row->deadline);
  wrong |= bind_field(s, 12, row->ending);
  if (which == ST_PROGRESS) wrong |= sqlite3_bind_double(s, 13, now + lua_tonumber(L, LEASE));
  return put(w, which, s, wrong) ? 1 : sqlite3_changes(w->d->db) == 0 ? LOST : WRITTEN;
}

/* The row of the run at the top. One that is RUNNING as before, its lease left as it is, has nothing new but tags. */
static int put_row(lua_State *L, saving *w, const st_persist *p, sqlite3_int64 heard) {
  int run = lua_gettop(L);
  binding b = binding_of(L);
  st_status_row row;
  st_field tags = { NULL, 0 };
  w->number = b.number;
  p->status(L, run, &row);
  if (p->tags(L, run)) tags.p = lua_tolstring(L, -1, &tags.len);
  int result;
  if (!row.running || !lua_isnil(L, LEASE))
    result = put_status(L, w, &b, &row, tags, heard);
  else
    result = tags.p == NULL ? look(w, &b) : put_tags(w, &b, tags);
  lua_settop(L, run);
  return result;
}

/* Everything of the run at the top. */
static int put_run(lua_State *L, saving *w, const st_persist *p) {
  static const st_sink sink = { put_event, forget, put_step };
  int result = put_row(L, w, p, inbox_heard(L));
  if (result != WRITTEN) return result;
  if (clear_spent(L, w)) return 1;
  return p->drain(L, lua_gettop(L), &sink, w);
}

/* The same arguments as save; inside the transaction. -> the list of the lost, or a failure */
static int save_all(lua_State *L) {
  saving w = { lua_touserdata(L, DB), 0, ST_BEGIN };
  const st_persist *p = persist(L);
  luaL_checkstack(L, 12, NULL);
  if (!lua_isnil(L, FIRST)) {
    lua_pushvalue(L, FIRST);
    lua_call(L, 0, 0);
  }
  lua_newtable(L);
  int lost = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, RUNS), count = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, RUNS, i);
    int result = put_run(L, &w, p);
    if (result == LOST)
      lua_rawseti(L, lost, ++count);
    else if (result != WRITTEN)
      return st_db_failed(L, DB, w.d, st_save_sql[w.failed]);
    else
      lua_pop(L, 1);
  }
  return 1;
}

static void unbind_all(st_db *d) { /* what the texts pointed to is gone */
  for (int i = ST_OURS; i < ST_HOT_COUNT; i++) {
    if (d->hot[i] != NULL) sqlite3_clear_bindings(d->hot[i]);
  }
}

/* db:save(runs, now, lease, heard, spent, first) -> list of the lost runs, or a failure. One transaction: of each run its row,
** fenced, then what has changed in it. A run that is not RUNNING is nobody's afterwards. lease nil: of runs that were RUNNING when
** they were saved last, and still are, the lease is left as it is. heard: run -> number up to which its inbox is known; spent:
** run -> list of the numbers in it that are to be removed. first: a function that is called before everything else in the
** transaction, which is rolled back if it throws. The last three may be nil. */
int st_db_save(lua_State *L) {
  st_db *d = st_db_check(L, DB, 1);
  if (d == NULL) return 4;
  luaL_checktype(L, RUNS, LUA_TTABLE);
  luaL_checknumber(L, NOW);
  if (!lua_isnoneornil(L, LEASE)) luaL_checknumber(L, LEASE);
  lua_settop(L, FIRST);
  for (int i = ST_OURS; i <= ST_CLEAR; i++) {
    if (st_db_hot(d, (st_hot)i) == NULL) return st_db_failed(L, DB, d, st_save_sql[i]);
  }
  int n = st_db_begin(L, DB, d);
  if (n > 0) return n;
  lua_pushcfunction(L, save_all);
  for (int i = DB; i <= FIRST; i++) lua_pushvalue(L, i);
  int status = lua_pcall(L, FIRST, LUA_MULTRET, 0);
  unbind_all(d);
  if (status != LUA_OK) {
    st_db_rollback(d);
    if (!lua_istable(L, -1)) return lua_error(L);
    lua_pushliteral(L, "json");
    if (lua_rawget(L, -2) == LUA_TSTRING) return st_db_refuse(L, "json", lua_tostring(L, -1));
    lua_pop(L, 1);
    return lua_error(L);
  }
  if (lua_isnil(L, FIRST + 1)) {
    st_db_rollback(d);
    return 4;
  }
  n = st_db_commit(L, DB, d);
  if (n > 0) return n;
  const st_persist *p = persist(L);
  lua_Integer runs = (lua_Integer)lua_rawlen(L, RUNS), next = 1;
  for (lua_Integer i = 1; i <= runs; i++) {
    lua_rawgeti(L, RUNS, i);
    lua_rawgeti(L, FIRST + 1, next);
    if (lua_rawequal(L, -1, -2))
      next++;
    else
      p->saved(L, lua_gettop(L) - 1);
    lua_settop(L, FIRST + 1);
  }
  return 1;
}

/* ---- leases ---- */

/* Binds number and epoch of a fenced statement, runs it. Returns the rows changed, or -1. */
static int fenced(st_db *d, sqlite3_stmt *s, const binding *b) {
  int wrong = sqlite3_bind_int64(s, 1, b->number);
  wrong |= sqlite3_bind_int64(s, 2, b->epoch);
  if (wrong != SQLITE_OK || st_db_step(s) != SQLITE_DONE) return -1;
  return sqlite3_changes(d->db);
}

/* (db, runs, until) -> list of the lost, or a failure */
static int renew_all(lua_State *L) {
  st_db *d = lua_touserdata(L, 1);
  sqlite3_stmt *s = st_db_hot(d, ST_RENEW);
  if (s == NULL) return st_db_failed(L, 1, d, st_save_sql[ST_RENEW]);
  lua_newtable(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, 2), count = 0;
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, 2, i);
    binding b = binding_of(L);
    sqlite3_bind_double(s, 3, lua_tonumber(L, 3));
    int changed_rows = fenced(d, s, &b);
    if (changed_rows < 0) return st_db_failed(L, 1, d, st_save_sql[ST_RENEW]);
    if (changed_rows == 0)
      lua_rawseti(L, 4, ++count);
    else
      lua_pop(L, 1);
  }
  return 1;
}

/* db:renew(runs, until) -> list of the lost runs, or a failure */
int st_db_renew(lua_State *L) {
  st_db *d = st_db_check(L, 1, 1);
  if (d == NULL) return 4;
  luaL_checktype(L, 2, LUA_TTABLE);
  luaL_checknumber(L, 3);
  lua_settop(L, 3);
  int n = st_db_begin(L, 1, d);
  if (n > 0) return n;
  lua_pushcfunction(L, renew_all);
  for (int i = 1; i <= 3; i++) lua_pushvalue(L, i);
  int status = lua_pcall(L, 3, LUA_MULTRET, 0);
  if (status != LUA_OK || lua_isnil(L, 4)) {
    st_db_rollback(d);
    return status == LUA_OK ? 4 : lua_error(L);
  }
  n = st_db_commit(L, 1, d);
  return n > 0 ? n : 1;
}

/* db:release(number, epoch, now) -> whether it was owned under that epoch, or a failure. A transaction of its own. */
int st_db_release(lua_State *L) {
  st_db *d = st_db_check(L, 1, 1);
  if (d == NULL) return 4;
  binding b = { luaL_checkinteger(L, 2), luaL_checkinteger(L, 3) };
  double now = luaL_checknumber(L, 4);
  int n = st_db_begin(L, 1, d);
  if (n > 0) return n;
  sqlite3_stmt *s = st_db_hot(d, ST_RELEASE);
  int rows = -1;
  if (s != NULL) {
    sqlite3_bind_int64(s, 3, 0);
    sqlite3_bind_double(s, 4, now);
    rows = fenced(d, s, &b);
  }
  if (rows < 0) {
    n = st_db_failed(L, 1, d, st_save_sql[ST_RELEASE]);
    st_db_rollback(d);
    return n;
  }
  n = st_db_commit(L, 1, d);
  if (n > 0) return n;
  lua_pushboolean(L, rows > 0);
  return 1;
}
