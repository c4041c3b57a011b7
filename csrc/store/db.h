/* db.h - what the files of csrc/store share: a connection to an SQLite file, its failures, its transactions.
**
** A connection is a full userdata. Its statements live as long as it does: close finalizes all there are. It belongs to the
** process that opened it; in a child made by fork every call is refused and nothing, not even close, touches the file.
**
** A failure is nil, a code, a message and whether it is fatal: then nothing more can be written through this connection, and
** every attempt gives that same failure.
*/
#ifndef ST_DB_H
#define ST_DB_H

#define _POSIX_C_SOURCE 200809L

#include <lauxlib.h>
#include <lua.h>

#include <sqlite3.h>

#include <sys/stat.h>
#include <sys/types.h>

#define ST_DB "step.sqlite.db"

/* Statements that are needed again and again: no look-up by their text. */
typedef enum st_hot {
  ST_BEGIN,
  ST_COMMIT,
  ST_ROLLBACK,
  ST_OURS,     /* of a run that is RUNNING as before, its lease left as it is: nothing is written */
  ST_TAGS,     /* likewise, but its tags: no index changes */
  ST_PROGRESS, /* of a run that its owner keeps */
  ST_LET_GO,   /* of a run that nobody owns any more */
  ST_STEP,
  ST_EVENT,
  ST_FORGET,
  ST_CLEAR,
  ST_RENEW,
  ST_RELEASE,
  ST_HOT_COUNT
} st_hot;

typedef enum st_health {
  ST_SOUND,
  ST_READ_ONLY, /* a write has failed: what is stored can still be read */
  ST_USELESS    /* what is read may be wrong */
} st_health;

typedef enum st_journal {
  ST_UNWATCHED, /* being opened */
  ST_ROLLBACK_JOURNAL,
  ST_WAL
} st_journal;

typedef struct st_identity {
  dev_t dev;
  ino_t ino;
} st_identity;

typedef struct st_db {
  sqlite3 *db; /* NULL: closed */
  pid_t pid;   /* of the process it belongs to */
  st_health health;
  st_journal journal;
  st_identity file, wal;           /* as they were when the watch began */
  const char *path;                /* SQLite's, absolute; likewise the next two */
  const char *wal_path, *jrn_path; /* they may be absent */
  int changes;                     /* sqlite3_total_changes when the transaction began */
  sqlite3_stmt *hot[ST_HOT_COUNT];
} st_db;

/* user values of a connection */
enum {
  DB_STATEMENTS = 1, /* text -> light userdata, sqlite3_stmt */
  DB_NUMBERS,        /* core run -> number of its row; weak keys */
  DB_EPOCHS,         /* core run -> epoch of its claim; weak keys */
  DB_FAILURE,        /* { code, message } once health is not ST_SOUND */
  DB_UVS = DB_FAILURE
};

/* ---- sqlite.c ---- */

/* The connection at arg, or NULL with the four values of a failure pushed when it may not be used: closed, of another
** process, broken. */
st_db *st_db_check(lua_State *L, int arg, int writing);
/* Pushes the failure that SQLite tells of; the connection is at index arg. `sql` may be NULL. Returns 4. */
int st_db_failed(lua_State *L, int arg, st_db *d, const char *sql);
/* Pushes a failure that is ours. Returns 4. */
int st_db_refuse(lua_State *L, const char *code, const char *message);
/* The hot statement, ready to be bound; NULL: SQLite tells why. */
sqlite3_stmt *st_db_hot(st_db *d, st_hot which);
/* Steps a statement that gives no rows, and resets it. Returns SQLITE_DONE or an error. */
int st_db_step(sqlite3_stmt *s);
/* Each returns 0, or 4 with a failure pushed; then no transaction is open. */
int st_db_begin(lua_State *L, int arg, st_db *d);
int st_db_commit(lua_State *L, int arg, st_db *d);
void st_db_rollback(st_db *d);

/* ---- statement.c ---- */

int st_db_exec(lua_State *L);
int st_db_run(lua_State *L);
int st_db_all(lua_State *L);

/* ---- save.c ---- */

/* The texts of the hot statements that are save.c's. */
extern const char *const st_save_sql[ST_HOT_COUNT];
int st_db_bind(lua_State *L);
int st_db_bound(lua_State *L);
int st_db_save(lua_State *L);
int st_db_renew(lua_State *L);
int st_db_release(lua_State *L);

/* ---- backup.c ---- */

int st_db_backup(lua_State *L);

#endif
