/* mail.c - results that come from other threads. A mail box is shared by a loop and the calls it has open; the last
** of them frees it. Nothing here that another thread may run touches Lua or its allocator.
*/
#define _POSIX_C_SOURCE 200809L

#include "binding.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct step_call {
  st_mail *mail;
  step_call *next;
  st_slot *slot; /* the loop's thread only, while the mail is open */
  uint32_t ticket;
  int given_up; /* under the lock */
  step_status status;
  char *output, *metadata, *tags, *error;
};

struct st_mail {
  pthread_mutex_t lock;
  pthread_cond_t came;
  step_call *first, *last; /* ended, not delivered */
  size_t refs;             /* the loop, and every call that has not been freed */
  size_t expected;         /* calls that have not been delivered */
  int closed;
  int ends[2]; /* a pipe that says so, once somebody wanted to wait for its descriptor; else -1 */
};

st_mail *st_mail_new(void) {
  st_mail *mail = calloc(1, sizeof *mail);
  if (mail == NULL) return NULL;
  if (pthread_mutex_init(&mail->lock, NULL) != 0) {
    free(mail);
    return NULL;
  }
  if (pthread_cond_init(&mail->came, NULL) != 0) {
    pthread_mutex_destroy(&mail->lock);
    free(mail);
    return NULL;
  }
  mail->refs = 1;
  mail->ends[0] = mail->ends[1] = -1;
  return mail;
}

/* Gives up one reference; the lock is held and is released. */
static void unlock_unref(st_mail *mail) {
  int last = --mail->refs == 0;
  pthread_mutex_unlock(&mail->lock);
  if (!last) return;
  if (mail->ends[0] >= 0) {
    close(mail->ends[0]);
    close(mail->ends[1]);
  }
  pthread_cond_destroy(&mail->came);
  pthread_mutex_destroy(&mail->lock);
  free(mail);
}

static void free_call(step_call *call) {
  free(call->output);
  free(call->metadata);
  free(call->tags);
  free(call->error);
  free(call);
}

void st_mail_close(st_mail *mail) {
  pthread_mutex_lock(&mail->lock);
  mail->closed = 1;
  while (mail->first != NULL) {
    step_call *call = mail->first;
    mail->first = call->next;
    free_call(call);
    mail->refs--;
  }
  unlock_unref(mail);
}

int st_mail_fd(st_mail *mail) {
  pthread_mutex_lock(&mail->lock);
  int ends[2];
  if (mail->ends[0] < 0 && mail->first == NULL && pipe(ends) == 0) {
    for (int i = 0; i < 2; i++) {
      fcntl(ends[i], F_SETFL, O_NONBLOCK);
      fcntl(ends[i], F_SETFD, FD_CLOEXEC);
      mail->ends[i] = ends[i];
    }
  }
  int fd = mail->ends[0];
  pthread_mutex_unlock(&mail->lock);
  return fd;
}

int st_mail_expected(st_mail *mail) {
  pthread_mutex_lock(&mail->lock);
  int expected = mail->expected > 0;
  pthread_mutex_unlock(&mail->lock);
  return expected;
}

step_call *st_mail_call(lua_State *L, st_slot *slot) {
  st_mail *mail = slot->loop->mail;
  step_call *call = mail == NULL ? NULL : calloc(1, sizeof *call);
  if (call == NULL) {
    luaL_error(L, mail == NULL ? "the loop is closed" : "not enough memory");
    return NULL; /* not reached */
  }
  call->mail = mail;
  call->slot = slot;
  call->ticket = ++slot->ticket;
  slot->call = call;
  pthread_mutex_lock(&mail->lock);
  mail->refs++;
  mail->expected++;
  pthread_mutex_unlock(&mail->lock);
  return call;
}

void st_mail_give_up(st_slot *slot) {
  if (slot->call == NULL) return;
  pthread_mutex_lock(&slot->call->mail->lock);
  slot->call->given_up = 1;
  pthread_mutex_unlock(&slot->call->mail->lock);
  slot->call = NULL;
}

static char *copy(const char *text, int *ok) {
  if (text == NULL) return NULL;
  size_t size = strlen(text) + 1;
  char *p = malloc(size);
  if (p == NULL)
    *ok = 0;
  else
    memcpy(p, text, size);
  return p;
}

/* step_host.done */
static int done(step_call *call, const step_result *result) {
  int ok = 1;
  st_mail *mail = call->mail;
  call->status = result->status;
  call->output = copy(result->output, &ok);
  call->metadata = copy(result->metadata, &ok);
  call->tags = copy(result->tags, &ok);
  call->error = result->status == STEP_OK ? NULL : copy(result->error == NULL ? "" : result->error, &ok);
  if (!ok) {
    free(call->output);
    free(call->metadata);
    free(call->tags);
    free(call->error);
    call->output = call->metadata = call->tags = call->error = NULL;
    return -1;
  }
  pthread_mutex_lock(&mail->lock);
  if (mail->closed) {
    free_call(call);
    unlock_unref(mail);
    return 0;
  }
  call->next = NULL;
  if (mail->first == NULL)
    mail->first = call;
  else
    mail->last->next = call;
  mail->last = call;
  pthread_cond_signal(&mail->came);
  if (mail->ends[1] >= 0) {
    ssize_t written = write(mail->ends[1], "", 1);
    (void)written; /* the pipe is full: it can be read */
  }
  pthread_mutex_unlock(&mail->lock);
  return 0;
}

/* step_host.cancelled */
static int cancelled(step_call *call) {
  pthread_mutex_lock(&call->mail->lock);
  int result = call->mail->closed || call->given_up;
  pthread_mutex_unlock(&call->mail->lock);
  return result;
}

const step_host st_mail_host = { STEP_RUNNER_VERSION, done, cancelled };

void st_push_error(lua_State *L, const char *kind) {
  lua_createtable(L, 0, 2);
  lua_insert(L, -2);
  lua_setfield(L, -2, "message");
  lua_pushstring(L, kind);
  lua_setfield(L, -2, "kind");
  luaL_setmetatable(L, "step.runner.error");
}

/* unpack(call) as a protected call: makes { n = 4, output, metadata, tags, error }. */
static int unpack(lua_State *L) {
  const step_call *call = lua_touserdata(L, 1);
  static const char *const kinds[] = { "", "bad_request", "not_assigned", "not_provisioned", "server" };
  static const char *const names[] = { "output", "metadata", "tags" };
  const char *texts[3];
  texts[0] = call->output;
  texts[1] = call->metadata;
  texts[2] = call->tags;
  lua_createtable(L, 4, 1);
  lua_pushinteger(L, 4);
  lua_setfield(L, -2, "n");
  if (call->status != STEP_OK) {
    lua_pushstring(L, call->error);
    st_push_error(L, kinds[(unsigned)call->status <= STEP_SERVER_FAILURE ? call->status : STEP_SERVER_FAILURE]);
    lua_rawseti(L, 2, 4);
  }
  for (int i = 0; i < 3; i++) {
    if (texts[i] == NULL) continue;
    lua_getfield(L, LUA_REGISTRYINDEX, "step.json.decode");
    lua_pushstring(L, texts[i]);
    lua_call(L, 1, 2);
    if (lua_isnil(L, -2)) { /* what the runner says of the action does not count then */
      lua_pushfstring(L, "the runner's %s is no JSON: %s", names[i], st_tostring(L, -1));
      st_push_error(L, "server");
      lua_rawseti(L, 2, 4);
      lua_settop(L, 2);
    } else {
      lua_pop(L, 1);
      lua_rawseti(L, 2, i + 1);
    }
  }
  return 1;
}

static const char unreadable_key = 0; /* registry: what a call gives whose result cannot be read for lack of memory */

void st_mail_open(lua_State *L) {
  lua_createtable(L, 4, 1);
  lua_pushinteger(L, 4);
  lua_setfield(L, -2, "n");
  lua_pushliteral(L, "not enough memory");
  lua_rawseti(L, -2, 4);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &unreadable_key);
}

int st_mail_deliver(lua_State *L, st_mail *mail) {
  pthread_mutex_lock(&mail->lock);
  step_call *list = mail->first;
  mail->first = mail->last = NULL;
  char drained[64];
  while (mail->ends[0] >= 0 && list != NULL && read(mail->ends[0], drained, sizeof drained) > 0) {
  }
  pthread_mutex_unlock(&mail->lock);
  int n = 0;
  while (list != NULL) {
    step_call *call = list;
    st_slot *slot = call->slot;
    list = call->next;
    if (slot->call == call) {
      slot->call = NULL;
      lua_pushcfunction(L, unpack);
      lua_pushlightuserdata(L, call);
      if (lua_pcall(L, 1, 1, 0) != LUA_OK) {
        lua_pop(L, 1);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &unreadable_key);
      }
      st_loop_give(L, slot);
    }
    free_call(call);
    n++;
  }
  if (n > 0) { /* their references */
    pthread_mutex_lock(&mail->lock);
    mail->expected -= (size_t)n;
    mail->refs -= (size_t)n - 1;
    unlock_unref(mail);
  }
  return n;
}

void st_mail_wait(st_mail *mail, double seconds) {
  struct timespec until;
  pthread_mutex_lock(&mail->lock);
  if (mail->first == NULL && !(seconds == 0)) {
    if (seconds < 0) {
      pthread_cond_wait(&mail->came, &mail->lock);
    } else {
      clock_gettime(CLOCK_REALTIME, &until);
      if (seconds > 1e6) seconds = 1e6;
      until.tv_sec += (time_t)seconds;
      until.tv_nsec += (long)((seconds - (double)(time_t)seconds) * 1e9);
      if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
      }
      pthread_cond_timedwait(&mail->came, &mail->lock, &until);
    }
  }
  pthread_mutex_unlock(&mail->lock);
}
