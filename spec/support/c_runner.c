/* c_runner.c - a runner that does what a spec tells it, built from the public headers alone. Its calls stay open until the
** spec ends them: from this thread, or from another one. Test-only.
*/
#include "../../csrc/step_lua.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((visibility("default"))) int luaopen_spec_c_runner(lua_State *L);

enum { CALLS = 64, NAMES = 8 };

typedef struct texts { /* a result, owned */
  step_status status;
  char *output, *metadata, *tags, *error;
} texts;

typedef struct open_call {
  const step_host *host;
  step_call *call;
  char *step, *base, *config, *context;
} open_call;

static open_call calls[CALLS]; /* those not ended yet, and some that are */
static int count;

static struct {
  int now; /* exec ends its call at once with `result`: 1 itself, 2 in a thread that nobody waits for */
  texts result;
  char *why, *context, *schema, *resource[NAMES + 1];
  char *seen_base, *seen_config; /* what valid_config or resources were given last */
} script;

static char *copy(const char *text) {
  if (text == NULL) return NULL;
  size_t size = strlen(text) + 1;
  char *p = malloc(size);
  if (p == NULL) abort();
  return memcpy(p, text, size);
}

static void set(char **to, const char *text) {
  char *old = *to;
  *to = copy(text);
  free(old);
}

static void set_result(texts *r, step_status status, const char *output, const char *metadata, const char *tags,
                       const char *error) {
  r->status = status;
  set(&r->output, output);
  set(&r->metadata, metadata);
  set(&r->tags, tags);
  set(&r->error, error);
}

static void end(const step_host *host, step_call *call, const texts *r) {
  step_result result = { r->status, r->output, r->metadata, r->tags, r->error };
  if (host->done(call, &result) != 0) abort();
}

/* ---- threads ---- */

typedef struct job {
  const step_host *host;
  step_call *call;
  texts result;
  int gated;     /* waits for the gate first */
  int cancelled; /* what the host said then */
} job;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t opened = PTHREAD_COND_INITIALIZER;
static int gate;

static void *work(void *arg) {
  job *j = arg;
  pthread_mutex_lock(&lock);
  while (j->gated && !gate) pthread_cond_wait(&opened, &lock);
  pthread_mutex_unlock(&lock);
  j->cancelled = j->host->cancelled(j->call);
  end(j->host, j->call, &j->result);
  return NULL;
}

static job *new_job(const step_host *host, step_call *call, const texts *r) {
  job *j = calloc(1, sizeof *j);
  if (j == NULL) abort();
  j->host = host;
  j->call = call;
  set_result(&j->result, r->status, r->output, r->metadata, r->tags, r->error);
  return j;
}

static void free_job(job *j) {
  set_result(&j->result, STEP_OK, NULL, NULL, NULL, NULL);
  free(j);
}

static void *work_alone(void *arg) {
  work(arg);
  free_job(arg);
  return NULL;
}

static void start(pthread_t *thread, void *(*fn)(void *), job *j) {
  if (pthread_create(thread, NULL, fn, j) != 0) abort();
}

static pthread_t late_thread;
static job *late;

/* Long after the Lua state is closed: lets the thread that still owes a result have its way. */
static void end_late(void) {
  pthread_mutex_lock(&lock);
  gate = 1;
  pthread_cond_broadcast(&opened);
  pthread_mutex_unlock(&lock);
  pthread_join(late_thread, NULL);
  printf("late: cancelled=%d\n", late->cancelled);
  free_job(late);
}

/* ---- the runner ---- */

static void exec(void *data, const step_host *host, step_call *call, const char *step_name, const char *base_config,
                 const char *config, const char *context) {
  pthread_t thread;
  (void)data;
  if (script.now == 1) {
    end(host, call, &script.result);
  } else if (script.now == 2) {
    start(&thread, work_alone, new_job(host, call, &script.result));
    pthread_detach(thread);
  } else {
    if (count == CALLS) abort();
    open_call *c = &calls[count++];
    *c = (open_call){ host, call, copy(step_name), copy(base_config), copy(config), copy(context) };
  }
}

static int valid_config(void *data, const char *base_config, const char *config, char *why, size_t size) {
  (void)data;
  set(&script.seen_base, base_config);
  set(&script.seen_config, config);
  if (script.why == NULL) return 0;
  if (strcmp(script.why, "overlong") == 0)
    memset(why, 'x', size);
  else
    snprintf(why, size, "%s", script.why);
  return -1;
}

static const char *context(void *data, const char *step_name) {
  (void)data, (void)step_name;
  return script.context;
}

static const char *metadata_schema(void *data) {
  (void)data;
  return script.schema;
}

static const char *const *resources(void *data, const char *base_config, const char *config) {
  (void)data;
  set(&script.seen_base, base_config);
  set(&script.seen_config, config);
  return (const char *const *)script.resource;
}

static const step_runner runner = {
  STEP_RUNNER_VERSION, NULL, exec, valid_config, context, metadata_schema, resources,
};

/* ---- for the spec ---- */

/* Result at arg .. arg + 4: status as a number, output, metadata, tags, error. */
static void read_result(lua_State *L, int arg, texts *r) {
  set_result(r, (step_status)luaL_checkinteger(L, arg), luaL_optstring(L, arg + 1, NULL),
             luaL_optstring(L, arg + 2, NULL), luaL_optstring(L, arg + 3, NULL), luaL_optstring(L, arg + 4, NULL));
}

/* now(how, status, output, metadata, tags, error): exec ends its calls like this, "here" or in a "thread"; now(nil): it leaves
** them open. */
static int m_now(lua_State *L) {
  static const char *const how[] = { "open", "here", "thread", NULL };
  script.now = luaL_checkoption(L, 1, "open", how);
  if (script.now != 0) read_result(L, 2, &script.result);
  return 0;
}

/* script{ why =, context =, schema =, resources = } */
static int m_script(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_getfield(L, 1, "why");
  set(&script.why, luaL_optstring(L, -1, NULL));
  lua_getfield(L, 1, "context");
  set(&script.context, luaL_optstring(L, -1, NULL));
  lua_getfield(L, 1, "schema");
  set(&script.schema, luaL_optstring(L, -1, NULL));
  lua_getfield(L, 1, "resources");
  for (int i = 0; i < NAMES; i++) {
    set(&script.resource[i], NULL);
    if (lua_istable(L, -1)) {
      lua_rawgeti(L, -1, i + 1);
      set(&script.resource[i], luaL_optstring(L, -1, NULL));
      lua_pop(L, 1);
    }
  }
  return 0;
}

/* seen() -> base_config, config of the last valid_config or resources */
static int m_seen(lua_State *L) {
  lua_pushstring(L, script.seen_base);
  lua_pushstring(L, script.seen_config);
  return 2;
}

static open_call *check_call(lua_State *L) {
  lua_Integer i = luaL_checkinteger(L, 1);
  luaL_argcheck(L, i >= 1 && i <= count, 1, "no such call");
  return &calls[i - 1];
}

/* call(i) -> step, base_config, config, context; nothing when there are fewer calls */
static int m_call(lua_State *L) {
  if (luaL_checkinteger(L, 1) > count) return 0;
  const open_call *c = check_call(L);
  lua_pushstring(L, c->step);
  lua_pushstring(L, c->base);
  lua_pushstring(L, c->config);
  lua_pushstring(L, c->context);
  return 4;
}

/* cancelled(i): what the host says */
static int m_cancelled(lua_State *L) {
  const open_call *c = check_call(L);
  lua_pushboolean(L, c->host->cancelled(c->call));
  return 1;
}

/* finish(i, how, status, ...): "here", or in a "thread" that is joined */
static int m_finish(lua_State *L) {
  static const char *const how[] = { "here", "thread", NULL };
  open_call *c = check_call(L);
  texts r = { STEP_OK, NULL, NULL, NULL, NULL };
  luaL_argcheck(L, c->call != NULL, 1, "ended before");
  int threaded = luaL_checkoption(L, 2, NULL, how);
  read_result(L, 3, &r);
  if (threaded) {
    pthread_t thread;
    job *j = new_job(c->host, c->call, &r);
    start(&thread, work, j);
    pthread_join(thread, NULL);
    free_job(j);
  } else {
    end(c->host, c->call, &r);
  }
  c->call = NULL;
  set_result(&r, STEP_OK, NULL, NULL, NULL, NULL);
  return 0;
}

/* late(i): a thread ends the call when the process exits. */
static int m_late(lua_State *L) {
  open_call *c = check_call(L);
  texts r = { STEP_OK, NULL, NULL, NULL, NULL };
  late = new_job(c->host, c->call, &r);
  late->gated = 1;
  c->call = NULL;
  start(&late_thread, work, late);
  atexit(end_late);
  return 0;
}

/* reset(): ends what is open and forgets everything. */
static int m_reset(lua_State *L) {
  static const texts nothing = { STEP_OK, NULL, NULL, NULL, NULL };
  (void)L;
  for (int i = 0; i < count; i++) {
    open_call *c = &calls[i];
    if (c->call != NULL) end(c->host, c->call, &nothing);
    free(c->step);
    free(c->base);
    free(c->config);
    free(c->context);
  }
  count = 0;
  script.now = 0;
  set_result(&script.result, STEP_OK, NULL, NULL, NULL, NULL);
  set(&script.why, NULL);
  set(&script.context, NULL);
  set(&script.schema, NULL);
  set(&script.seen_base, NULL);
  set(&script.seen_config, NULL);
  for (int i = 0; i < NAMES; i++) set(&script.resource[i], NULL);
  return 0;
}

/* wrong(): what happens to runners that are not as they should be: raises. */
static int m_wrong(lua_State *L) {
  static step_runner wrong;
  wrong = runner;
  if (lua_toboolean(L, 1))
    wrong.exec = NULL;
  else
    wrong.version = STEP_RUNNER_VERSION + 1;
  return step_lua_push(L, &wrong);
}

/* bare() -> a runner that has only exec */
static int m_bare(lua_State *L) {
  static const step_runner bare = { STEP_RUNNER_VERSION, NULL, exec, NULL, NULL, NULL, NULL };
  return step_lua_push(L, &bare);
}

int luaopen_spec_c_runner(lua_State *L) {
  static const luaL_Reg functions[] = { { "now", m_now },
                                        { "script", m_script },
                                        { "seen", m_seen },
                                        { "call", m_call },
                                        { "cancelled", m_cancelled },
                                        { "finish", m_finish },
                                        { "late", m_late },
                                        { "reset", m_reset },
                                        { "wrong", m_wrong },
                                        { "bare", m_bare },
                                        { NULL, NULL } };
  luaL_newlib(L, functions);
  step_lua_push(L, &runner);
  lua_setfield(L, -2, "runner");
  return 1;
}
