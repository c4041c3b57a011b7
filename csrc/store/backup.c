/* backup.c - a copy of the file as it is at one moment, while others go on writing. It has its name only once it is whole. */
#include "db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  PAGES = 512,    /* a step: writers wait that long */
  RESTARTS = 3,   /* after so many, because others write all the time, the rest is copied in one step */
  PATIENCE = 500, /* of WAIT, for others that hold the file */
  WAIT = 10       /* milliseconds */
};

/* Copies in steps; SQLITE_OK or an error. */
static int copy(sqlite3_backup *b) {
  int restarts = 0, waited = 0, copied = 0;
  for (;;) {
    int rc = sqlite3_backup_step(b, restarts >= RESTARTS ? -1 : PAGES);
    if (rc == SQLITE_DONE) return SQLITE_OK;
    if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
      if (++waited > PATIENCE) return rc;
      sqlite3_sleep(WAIT);
      continue;
    }
    if (rc != SQLITE_OK) return rc;
    int now = sqlite3_backup_pagecount(b) - sqlite3_backup_remaining(b);
    if (now <= copied) restarts++;
    copied = now;
    waited = 0;
  }
}

/* Copies `from` into a new file. 0, or a text that tells what went wrong, in a buffer. */
static int copy_into(sqlite3 *from, const char *path, char *why, size_t size) {
  sqlite3 *to = NULL;
  int rc = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);
  sqlite3_backup *b = rc == SQLITE_OK ? sqlite3_backup_init(to, "main", from, "main") : NULL;
  if (b != NULL) {
    rc = copy(b);
    int finish = sqlite3_backup_finish(b);
    if (rc == SQLITE_OK) rc = finish;
  } else if (rc == SQLITE_OK) {
    rc = to == NULL ? SQLITE_NOMEM : sqlite3_errcode(to);
  }
  int system = to == NULL ? 0 : sqlite3_system_errno(to);
  if (sqlite3_close(to) != SQLITE_OK && rc == SQLITE_OK) rc = SQLITE_ERROR;
  if (rc != SQLITE_OK) {
    const char *cause = (rc & 0xff) != SQLITE_BUSY && system != 0 ? strerror(system) : "";
    snprintf(why, size, "%s%s%s%s", sqlite3_errstr(rc), *cause ? " (" : "", cause, *cause ? ")" : "");
  }
  return rc;
}

static void sync_folder(char *path) {
  char *slash = strrchr(path, '/');
  if (slash != NULL) slash[slash == path ? 1 : 0] = '\0';
  int fd = open(slash == NULL ? "." : path, O_RDONLY);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

/* Gives the whole file its name, which nobody may have. 0 or errno. */
static int name_it(const char *partial, const char *path) {
  struct stat s;
  if (link(partial, path) == 0) return unlink(partial) == 0 ? 0 : errno;
  if (errno == EEXIST) return EEXIST;
  if (lstat(path, &s) == 0) return EEXIST; /* no links here */
  return rename(partial, path) == 0 ? 0 : errno;
}

/* db:backup(path) -> true, or a failure, after which there is no such file */
int st_db_backup(lua_State *L) {
  st_db *d = st_db_check(L, 1, 0);
  if (d == NULL) return 4;
  size_t len;
  const char *path = luaL_checklstring(L, 2, &len);
  luaL_argcheck(L, strlen(path) == len && len > 0, 2, "the name of a file expected");
  struct stat there;
  if (lstat(path, &there) == 0) return st_db_refuse(L, "exists", "there is a file of that name already");
  char why[200] = "";
  lua_pushfstring(L, "%s.partial-%d", path, (int)getpid());
  const char *partial = lua_tostring(L, -1);
  char *folder = lua_newuserdatauv(L, len + 1, 0);
  memcpy(folder, path, len + 1);
  unlink(partial);
  int rc = copy_into(d->db, partial, why, sizeof why);
  int errnum = rc == SQLITE_OK ? name_it(partial, path) : 0;
  if (rc == SQLITE_OK && errnum == 0) {
    sync_folder(folder);
    lua_pushboolean(L, 1);
    return 1;
  }
  unlink(partial);
  lua_pushfstring(L, "%s-journal", partial);
  unlink(lua_tostring(L, -1));
  if (errnum == EEXIST) return st_db_refuse(L, "exists", "there is a file of that name already");
  return st_db_refuse(L, (rc & 0xff) == SQLITE_BUSY ? "busy" : "backup", rc == SQLITE_OK ? strerror(errnum) : why);
}
