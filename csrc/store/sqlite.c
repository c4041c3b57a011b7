/* sqlite.c - the module `step.sqlite`: connections to SQLite files, how they fail, and their transactions. */
#include "db.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#if SQLITE_VERSION_NUMBER < 3038000
#error "SQLite 3.38 or newer is needed: its JSON functions are always there from then on"
#endif

/* ---- failures ---- */

enum {
  FATAL = 1, /* nothing more can be written */
  WRONG = 2, /* what is read may be wrong */
  OURS = 4   /* it is the statement that SQLite objects to, not the file */
};

static const struct {
  int rc, flags;
  const char *code;
} codes[] = {
  { SQLITE_ERROR, OURS, "sql" },
  { SQLITE_PERM, FATAL, "perm" },
  { SQLITE_BUSY, 0, "busy" },
  { SQLITE_LOCKED, 0, "busy" },
  { SQLITE_NOMEM, 0, "nomem" },
  { SQLITE_READONLY, FATAL, "readonly" },
  { SQLITE_INTERRUPT, 0, "interrupt" },
  { SQLITE_IOERR, FATAL, "ioerr" },
  { SQLITE_CORRUPT, FATAL | WRONG, "corrupt" },
  { SQLITE_FULL, FATAL, "full" },
  { SQLITE_CANTOPEN, FATAL, "cantopen" },
  { SQLITE_PROTOCOL, FATAL, "protocol" },
  { SQLITE_SCHEMA, OURS, "schema" },
  { SQLITE_TOOBIG, 0, "toobig" },
  { SQLITE_CONSTRAINT, OURS, "constraint" },
  { SQLITE_MISMATCH, OURS, "mismatch" },
  { SQLITE_MISUSE, OURS, "misuse" },
  { SQLITE_NOLFS, FATAL, "nolfs" },
  { SQLITE_AUTH, FATAL, "auth" },
  { SQLITE_NOTADB, FATAL | WRONG, "notadb" },
};

int st_db_refuse(lua_State *L, const char *code, const char *message) {
  luaL_checkstack(L, 4, NULL);
  lua_pushnil(L);
  lua_pushstring(L, code);
  lua_pushstring(L, message);
  lua_pushboolean(L, 0);
  return 4;
}

/* Keeps the code and the message of the failure at the top as the connection's end. Its health is set already: if there is
** no memory here, that at least is known. */
static void keep_failure(lua_State *L, int arg) {
  lua_createtable(L, 2, 0);
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i - 5);
    lua_rawseti(L, -2, i);
  }
  lua_setiuservalue(L, arg, DB_FAILURE);
}

static const char *moved(const st_db *d);
static int gone(lua_State *L, int arg, st_db *d, const char *message);

int st_db_failed(lua_State *L, int arg, st_db *d, const char *sql) {
  int rc = sqlite3_extended_errcode(d->db), flags = OURS, system = sqlite3_system_errno(d->db);
  const char *what = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN ? moved(d) : NULL;
  if (what != NULL) return gone(L, arg, d, what); /* why it failed */
  const char *code = "sql";
  for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
    if (codes[i].rc != (rc & 0xff)) continue;
    code = codes[i].code;
    flags = codes[i].flags;
  }
  if (rc == SQLITE_READONLY_DBMOVED) {
    code = "moved";
    flags = FATAL | WRONG;
  }
  st_health before = d->health, health = flags & WRONG ? ST_USELESS : flags & FATAL ? ST_READ_ONLY : ST_SOUND;
  if (health > before) d->health = health;
  luaL_checkstack(L, 8, NULL);
  lua_pushnil(L);
  lua_pushstring(L, code);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  luaL_addstring(&b, rc == SQLITE_READONLY_DBMOVED ? "the file was moved, removed or replaced" : sqlite3_errmsg(d->db));
  int at_fault = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN || (rc & 0xff) == SQLITE_FULL;
  if (at_fault && system != 0) {
    lua_pushfstring(L, " (%s)", strerror(system));
    luaL_addvalue(&b);
  }
  if (rc > 0xff) {
    lua_pushfstring(L, ", SQLite's error %d.%d", rc & 0xff, rc >> 8);
    luaL_addvalue(&b);
  }
  if (sql != NULL && (flags & OURS)) {
    lua_pushfstring(L, ", at: %s", sql);
    luaL_addvalue(&b);
  }
  luaL_pushresult(&b);
  lua_pushboolean(L, flags & FATAL);
  if (health > before) keep_failure(L, arg);
  return 4;
}

/* The connection is not what it was: pushes the failure, which is the last. */
static int gone(lua_State *L, int arg, st_db *d, const char *message) {
  d->health = ST_USELESS;
  st_db_refuse(L, "moved", message);
  lua_pop(L, 1);
  lua_pushboolean(L, 1);
  keep_failure(L, arg);
  return 4;
}

st_db *st_db_check(lua_State *L, int arg, int writing) {
  st_db *d = luaL_checkudata(L, arg, ST_DB);
  if (d->pid != getpid()) {
    st_db_refuse(L, "forked",
                 "the file belongs to the process that opened it, and this is a child of that process made by fork: "
                 "open the file again here");
    return NULL;
  }
  if (d->db == NULL) {
    st_db_refuse(L, "closed", "the store is closed");
    return NULL;
  }
  if (d->health == ST_SOUND || (d->health == ST_READ_ONLY && !writing)) return d;
  lua_pushnil(L);
  if (lua_getiuservalue(L, arg, DB_FAILURE) != LUA_TTABLE) { /* there was no memory to keep it */
    lua_pop(L, 2);
    st_db_refuse(L, "ioerr", "a write has failed before");
    return NULL;
  }
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_remove(L, -3);
  lua_pushboolean(L, 1);
  return NULL;
}

/* ---- hot statements ---- */

sqlite3_stmt *st_db_hot(st_db *d, st_hot which) {
  if (d->hot[which] == NULL) {
    static const char *const transaction[] = { "BEGIN IMMEDIATE", "COMMIT", "ROLLBACK" };
    const char *sql = which <= ST_ROLLBACK ? transaction[which] : st_save_sql[which];
    sqlite3_prepare_v3(d->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &d->hot[which], NULL);
  }
  return d->hot[which];
}

int st_db_step(sqlite3_stmt *s) {
  int rc = sqlite3_step(s);
  sqlite3_reset(s);
  return rc;
}

static int step_hot(st_db *d, st_hot which) {
  sqlite3_stmt *s = st_db_hot(d, which);
  return s == NULL ? SQLITE_ERROR : st_db_step(s);
}

/* ---- the watch: another close() of the file in this process drops the locks we hold, others may then remove or replace what
** we have open ---- */

static const char *changed(const char *path, const st_identity *as_it_was, const char *removed, const char *replaced) {
  struct stat s;
  if (stat(path, &s) != 0) return removed;
  return s.st_dev == as_it_was->dev && s.st_ino == as_it_was->ino ? NULL : replaced;
}

/* What is not as it was, or NULL. */
static const char *moved(const st_db *d) {
  if (d->journal == ST_UNWATCHED) return NULL;
  const char *what = changed(d->path, &d->file, "the file was removed or renamed while it was open",
                             "the file was replaced by another while it was open");
  if (what != NULL) return what;
  if (d->journal == ST_WAL)
    return changed(d->wal_path, &d->wal, "the file's -wal was removed while it was open",
                   "the file's -wal was replaced by another while it was open");
  return access(d->wal_path, F_OK) == 0
           ? "another program has put the file into WAL mode while it was open: open it again"
           : NULL;
}

static int identify(const char *path, st_identity *id) {
  struct stat s;
  if (stat(path, &s) != 0) return 0;
  id->dev = s.st_dev;
  id->ino = s.st_ino;
  return 1;
}

/* db:watch("rollback"|"wal"): from now on the file and its -wal must stay what they are. */
static int db_watch(lua_State *L) {
  static const char *const names[] = { "rollback", "wal", NULL };
  st_db *d = st_db_check(L, 1, 1);
  if (d == NULL) return 4;
  int wal = luaL_checkoption(L, 2, NULL, names), has_moved = 0;
  sqlite3_file_control(d->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
  if (has_moved || !identify(d->path, &d->file))
    return gone(L, 1, d, "the file was removed or replaced while it was being opened");
  if (wal && !identify(d->wal_path, &d->wal))
    return gone(L, 1, d, "the file's -wal was removed while it was being opened");
  d->journal = wal ? ST_WAL : ST_ROLLBACK_JOURNAL;
  lua_pushboolean(L, 1);
  return 1;
}

/* ---- transactions ---- */

void st_db_rollback(st_db *d) {
  if (!sqlite3_get_autocommit(d->db)) step_hot(d, ST_ROLLBACK);
}

int st_db_begin(lua_State *L, int arg, st_db *d) {
  st_db_rollback(d); /* what was left by an error between begin and commit */
  int begun = step_hot(d, ST_BEGIN) == SQLITE_DONE;
  const char *what = moved(d);
  if (what != NULL) {
    st_db_rollback(d);
    return gone(L, arg, d, what);
  }
  if (!begun) return st_db_failed(L, arg, d, "BEGIN");
  d->changes = sqlite3_total_changes(d->db);
  return 0;
}

int st_db_commit(lua_State *L, int arg, st_db *d) {
  if (sqlite3_get_autocommit(d->db))
    return st_db_refuse(L, "sql", "the transaction was rolled back before it could be committed");
  if (d->journal == ST_ROLLBACK_JOURNAL && sqlite3_total_changes(d->db) != d->changes
      && access(d->jrn_path, F_OK) != 0) {
    st_db_rollback(d);
    return gone(L, arg, d, "the file's -journal was removed while a transaction needed it");
  }
  if (step_hot(d, ST_COMMIT) != SQLITE_DONE) {
    int n = st_db_failed(L, arg, d, "COMMIT");
    st_db_rollback(d);
    return n;
  }
  const char *what = moved(d); /* if so, it may have gone into a file that nobody will find */
  return what == NULL ? 0 : gone(L, arg, d, what);
}

static int db_begin(lua_State *L) {
  st_db *d = st_db_check(L, 1, 1);
  int n = d == NULL ? 4 : st_db_begin(L, 1, d);
  if (n > 0) return n;
  lua_pushboolean(L, 1);
  return 1;
}

static int db_commit(lua_State *L) {
  st_db *d = st_db_check(L, 1, 1);
  int n = d == NULL ? 4 : st_db_commit(L, 1, d);
  if (n > 0) return n;
  lua_pushboolean(L, 1);
  return 1;
}

static int db_rollback(lua_State *L) {
  st_db *d = luaL_checkudata(L, 1, ST_DB);
  if (d->db != NULL && d->pid == getpid()) st_db_rollback(d);
  return 0;
}

/* ---- life ---- */

static int db_close(lua_State *L) {
  st_db *d = luaL_checkudata(L, 1, ST_DB);
  sqlite3 *db = d->db;
  d->db = NULL;
  if (db == NULL || d->pid != getpid()) return 0;
  sqlite3_stmt *s;
  while ((s = sqlite3_next_stmt(db, NULL)) != NULL) sqlite3_finalize(s);
  sqlite3_close_v2(db);
  return 0;
}

static const char *not_null(const char *path) { return path == NULL ? "" : path; }

/* sqlite.open(path, seconds) -> db, or a failure. `seconds`: how long to wait for other writers. */
static int sqlite_open(lua_State *L) {
  size_t len;
  const char *path = luaL_checklstring(L, 1, &len);
  lua_Number seconds = luaL_checknumber(L, 2);
  luaL_argcheck(L, strlen(path) == len && len > 0 && path[0] != ':', 1, "the name of a file expected");
  luaL_argcheck(L, seconds >= 0 && seconds <= 1e6, 2, "seconds expected");
  lua_settop(L, 2);
  st_db *d = lua_newuserdatauv(L, sizeof *d, DB_UVS);
  memset(d, 0, sizeof *d);
  d->pid = getpid();
  luaL_setmetatable(L, ST_DB);
  lua_newtable(L);
  lua_setiuservalue(L, 3, DB_STATEMENTS);
  for (int i = DB_NUMBERS; i <= DB_EPOCHS; i++) {
    lua_newtable(L);
    luaL_setmetatable(L, ST_DB ".weak");
    lua_setiuservalue(L, 3, i);
  }
  int rc = sqlite3_open_v2(path, &d->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  if (d->db == NULL) return st_db_refuse(L, "nomem", "not enough memory");
  if (rc != SQLITE_OK) {
    int n = st_db_failed(L, 3, d, NULL);
    lua_pushcfunction(L, db_close);
    lua_pushvalue(L, 3);
    lua_call(L, 1, 0);
    return n;
  }
  sqlite3_extended_result_codes(d->db, 1);
  sqlite3_busy_timeout(d->db, (int)(seconds * 1000));
  d->path = not_null(sqlite3_db_filename(d->db, "main"));
  d->wal_path = not_null(sqlite3_filename_wal(d->path));
  d->jrn_path = not_null(sqlite3_filename_journal(d->path));
  lua_settop(L, 3);
  return 1;
}

/* db:path() -> the absolute path. */
static int db_path(lua_State *L) {
  st_db *d = st_db_check(L, 1, 0);
  if (d == NULL) return 4;
  lua_pushstring(L, d->path);
  return 1;
}

/* db:readonly() -> boolean: the file cannot be written. */
static int db_readonly(lua_State *L) {
  st_db *d = st_db_check(L, 1, 0);
  if (d == NULL) return 4;
  lua_pushboolean(L, sqlite3_db_readonly(d->db, "main") == 1);
  return 1;
}

/* sqlite.look(path) -> "file", "directory" or "other", size in bytes, whether it may be written; nil: it is not there. Opens
** nothing: a close() would drop the locks that this process holds on the file. */
static int sqlite_look(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  struct stat s;
  if (stat(path, &s) != 0) return 0;
  lua_pushstring(L, S_ISREG(s.st_mode) ? "file" : S_ISDIR(s.st_mode) ? "directory" : "other");
  lua_pushinteger(L, (lua_Integer)s.st_size);
  lua_pushboolean(L, access(path, S_ISDIR(s.st_mode) ? W_OK | X_OK : W_OK) == 0);
  return 3;
}

__attribute__((visibility("default"))) int luaopen_step_sqlite(lua_State *L);

int luaopen_step_sqlite(lua_State *L) {
  static const luaL_Reg methods[] = {
    { "watch", db_watch },  { "begin", db_begin },    { "commit", db_commit },      { "rollback", db_rollback },
    { "close", db_close },  { "path", db_path },      { "readonly", db_readonly },  { "exec", st_db_exec },
    { "run", st_db_run },   { "all", st_db_all },     { "bind", st_db_bind },       { "bound", st_db_bound },
    { "save", st_db_save }, { "renew", st_db_renew }, { "release", st_db_release }, { "backup", st_db_backup },
    { NULL, NULL }
  };
  static const luaL_Reg functions[] = { { "open", sqlite_open }, { "look", sqlite_look }, { NULL, NULL } };
  if (luaL_newmetatable(L, ST_DB)) {
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, db_close);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, db_close);
    lua_setfield(L, -2, "__close");
  }
  if (luaL_newmetatable(L, ST_DB ".weak")) {
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
  }
  luaL_newlib(L, functions);
  lua_pushstring(L, sqlite3_libversion());
  lua_setfield(L, -2, "version");
  lua_pushinteger(L, sqlite3_libversion_number());
  lua_setfield(L, -2, "version_number");
  return 1;
}
