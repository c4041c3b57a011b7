/* state.c - the state tables; README, specs and the binding print and use these. */
#include "state.h"

#include <string.h>

#define R ST_RUNNABLE
#define T ST_RETRIABLE
#define F ST_FINAL
#define C ST_SETTABLE

const st_state_info st_states[STEP_CUSTOM + 1] = {
  { "TODO", R, "not started" },
  { "WAITING", R, "the runner says: nothing to do until somebody else acts" },
  { "RUNNING", 0, "action in flight" },
  { "DONE", F | C, "success" },
  { "CLIENT_ERROR", R | C, "the request was wrong: blocks the run for a person" },
  { "SERVER_ERROR", R | T, "transient: retried by a later resolve" },
  { "FATAL_ERROR", R | C, "cannot go on: blocks the run for a person" },
  { "CRASHED", R, "was RUNNING when the process died and is not idempotent" },
  { "PRUNE", F | C, "cut from the run" },
  { "TO_RETRY", R | T | C, "retried by a later resolve" },
  { "RETRY_NOW", R | C, "run again within this resolve" },
  { "AFTERRUN_ERROR", R | T, "the action ran, evaluating its check conditions failed; only they are redone" },
  { "EXPANDED", R, "a foreach step waiting for its children" },
  { "any custom state", F | C, "an alternative successful ending" },
};

#undef R
#undef T
#undef F
#undef C

const char *const st_run_states[STEP_RUN_STATES] = {
  "TODO",
  "RUNNING",
  "DONE",
  "CANCELLED",
  "PAUSED",
  "WAITING",
  "ERROR",
  "CRASHED",
  "RETRY",
  "BLOCKED_TOCHECK",
  "BLOCKED_BADREQUEST",
  "BLOCKED_DEADLOCK",
  "BLOCKED_MAXRETRIES",
  "BLOCKED_FATAL",
  "TO_AUTORUN",
  "TO_AUTORUN_DELAYED",
  "AUTORUNNING",
};

static int same(const char *a, const char *b, size_t len) { return strlen(a) == len && memcmp(a, b, len) == 0; }

int st_state_find(const char *name, size_t len) {
  for (int i = 0; i < STEP_CUSTOM; i++)
    if (same(st_states[i].name, name, len)) return i;
  return -1;
}

int st_run_state_find(const char *name, size_t len) {
  for (int i = 0; i < STEP_RUN_STATES; i++)
    if (same(st_run_states[i], name, len)) return i;
  return -1;
}
