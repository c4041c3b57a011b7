/* step.h - the public C header of `step`: the states of a step and of a run, and what a runner
** written in C provides. It knows nothing of Lua; csrc/step_lua.h hands such a runner to Lua.
**
** Everything here is plain data and function pointers, so a runner's shared library links to
** nothing of ours.
*/
#ifndef STEP_H
#define STEP_H

#include <stddef.h>

/* The states of a step (S1.1). The order is part of the binary interface: append only. */
typedef enum step_state {
  STEP_TODO,           /* not started */
  STEP_WAITING,        /* the runner says: nothing to do until somebody else acts */
  STEP_RUNNING,        /* action in flight */
  STEP_DONE,           /* success */
  STEP_CLIENT_ERROR,   /* the request was wrong: blocks the run for a person */
  STEP_SERVER_ERROR,   /* transient: retried by a later resolve */
  STEP_FATAL_ERROR,    /* cannot go on: blocks the run for a person */
  STEP_CRASHED,        /* was RUNNING when the process died and is not idempotent */
  STEP_PRUNE,          /* cut from the run */
  STEP_TO_RETRY,       /* retried by a later resolve */
  STEP_RETRY_NOW,      /* run again within this resolve */
  STEP_AFTERRUN_ERROR, /* the action ran; evaluating its check conditions failed */
  STEP_EXPANDED,       /* a foreach step waiting for its children */
  STEP_CUSTOM          /* the first custom state; the k-th one of a step is STEP_CUSTOM + k */
} step_state;

/* The states of a run (S6.1). */
typedef enum step_run_state {
  STEP_RUN_TODO,
  STEP_RUN_RUNNING,
  STEP_RUN_DONE,
  STEP_RUN_CANCELLED,
  STEP_RUN_PAUSED,
  STEP_RUN_WAITING,
  STEP_RUN_ERROR,
  STEP_RUN_CRASHED,
  STEP_RUN_RETRY,
  STEP_RUN_BLOCKED_TOCHECK,
  STEP_RUN_BLOCKED_BADREQUEST,
  STEP_RUN_BLOCKED_DEADLOCK,
  STEP_RUN_BLOCKED_MAXRETRIES,
  STEP_RUN_BLOCKED_FATAL,
  STEP_RUN_TO_AUTORUN,
  STEP_RUN_TO_AUTORUN_DELAYED,
  STEP_RUN_AUTORUNNING,
  STEP_RUN_STATES
} step_run_state;

/* How an action ended (S4.5). */
typedef enum step_status {
  STEP_OK,              /* the step becomes DONE */
  STEP_BAD_REQUEST,     /* CLIENT_ERROR */
  STEP_NOT_ASSIGNED,    /* WAITING */
  STEP_NOT_PROVISIONED, /* TO_RETRY */
  STEP_SERVER_FAILURE   /* SERVER_ERROR */
} step_status;

/* Runner interface version: the first field of step_runner and of step_host. */
#define STEP_RUNNER_VERSION 1

typedef struct step_call step_call; /* one execution of an action; opaque */

/* A result. All texts are JSON in UTF-8 and end with NUL; they are copied before the function
** that takes them returns. */
typedef struct step_result {
  step_status status;
  const char *output;   /* JSON, or NULL for none; kept whatever the status */
  const char *metadata; /* JSON object, or NULL */
  const char *tags;     /* JSON object of strings, or NULL; an empty string removes the tag */
  const char *error;    /* plain text, or NULL; used unless status is STEP_OK */
} step_result;

/* What the engine offers a runner. `done` and `cancelled` may be called from any thread. */
typedef struct step_host {
  int version;
  /* Ends the call: exactly once, from inside exec or later, from any thread. The call must not be
  ** used afterwards. Returns 0, or -1 when there was no memory for the copy: the call is not
  ** ended then and `done` may be tried again. */
  int (*done)(step_call *call, const step_result *result);
  /* 1 when nobody waits for the result any more (the run was closed): stop early. `done` is
  ** still due. */
  int (*cancelled)(step_call *call);
} step_host;

/* A runner written in C. Functions not provided are NULL; `exec` is mandatory (S7.1). They are
** called by the thread that runs Lua, never from inside one another. A library that holds a runner
** stays in memory until the process ends, as its threads may outlive the Lua state. */
typedef struct step_runner {
  int version; /* STEP_RUNNER_VERSION */
  void *data;  /* handed to each function */
  /* Starts the action. Texts live until exec returns; copy what is needed longer. base_config
  ** and config are JSON, "null" for none; context is JSON, what `context` gave, templated, or NULL for none. */
  void (*exec)(void *data, const step_host *host, step_call *call, const char *step_name, const char *base_config,
               const char *config, const char *context);
  /* Returns 0 when the configuration is acceptable; otherwise writes a reason into `why`. */
  int (*valid_config)(void *data, const char *base_config, const char *config, char *why, size_t size);
  /* JSON text of the context for this step, or NULL. Owned by the runner. */
  const char *(*context)(void *data, const char *step_name);
  /* JSON schema (text) of the metadata this runner returns, or NULL. Owned by the runner. */
  const char *(*metadata_schema)(void *data);
  /* Names of the resources this configuration needs (S4.4): a NULL-terminated list or NULL. Owned
  ** by the runner, valid until its next call. */
  const char *const *(*resources)(void *data, const char *base_config, const char *config);
} step_runner;

#endif
