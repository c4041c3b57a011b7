/* state.h - the state tables of a step and of a run (S1.1, S1.2, S6.1). */
#ifndef ST_STATE_H
#define ST_STATE_H

#include "../step.h"

#include <stddef.h>
#include <stdint.h>

enum {
  ST_RUNNABLE = 1,  /* may be executed */
  ST_RETRIABLE = 2, /* executed again by a later resolve, without a person */
  ST_FINAL = 4,     /* ended: neither RUNNING nor runnable */
  ST_SETTABLE = 8   /* a condition may set it */
};

typedef struct st_state_info {
  const char *name;
  uint8_t flags;
  const char *meaning; /* one line, as README prints it */
} st_state_info;

/* Indexed by step_state; entry STEP_CUSTOM stands for every custom state. */
extern const st_state_info st_states[STEP_CUSTOM + 1];

/* Indexed by step_run_state. */
extern const char *const st_run_states[STEP_RUN_STATES];

#define st_flags(state) (st_states[(state) < STEP_CUSTOM ? (state) : STEP_CUSTOM].flags)
#define st_is_final(state) ((st_flags(state) & ST_FINAL) != 0)
#define st_is_runnable(state) ((st_flags(state) & ST_RUNNABLE) != 0)
#define st_is_retriable(state) ((st_flags(state) & ST_RETRIABLE) != 0)

/* The built-in state of that name, or -1. ANY is no state. */
int st_state_find(const char *name, size_t len);

/* The run state of that name, or -1. */
int st_run_state_find(const char *name, size_t len);

#endif
