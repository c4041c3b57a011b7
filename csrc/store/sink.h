/* sink.h - how a run hands what has changed in it to a store. The binding (csrc/lua/persist.c) walks the run and fills rows;
** a store (csrc/store/sqlite.c) writes them. The two are separate libraries: a store finds st_persist in the registry under
** "step.persist", a light userdata, and links to nothing of ours.
**
** Inside one transaction a store calls, for each run: status, its own fenced look at the run, then drain; after the
** commit saved. What drain gave stays unsaved until then, so a transaction that failed is simply not followed by saved.
*/
#ifndef ST_SINK_H
#define ST_SINK_H

#include <lua.h>
#include <stddef.h>
#include <stdint.h>

/* A text that is not there has p NULL. Texts live until the sink's function returns. */
typedef struct st_field {
  const char *p;
  size_t len;
} st_field;

/* A step as it is now. All texts but name, state and error are JSON. */
typedef struct st_step_row {
  uint32_t step; /* from 1, in the order of the definition */
  int64_t child; /* index from 0; -1: the step itself */
  st_field name, state;
  uint32_t tries;
  double last_run; /* seconds since the epoch; 0: never */
  st_field output, metadata, error, children;
  st_field items; /* of a foreach step that has its children: the list they were made of */
  st_field extra; /* an object: next_retry, wait_count, ...; see run:extra in lua/step/meta/core.lua */
} st_step_row;

/* A transition. */
typedef struct st_event_row {
  uint64_t seq; /* from 1 over the life of the run */
  double time;
  st_field step; /* a name; not there: the run itself */
  st_field from, to, message;
} st_event_row;

/* Each function returns 0, or another number to stop. */
typedef struct st_sink {
  int (*event)(void *ud, const st_event_row *row);
  int (*forget)(void *ud,
                uint32_t step); /* the children of a foreach step are gone: comes before their successors' rows */
  int (*step)(void *ud, const st_step_row *row); /* insert or replace; in no particular order */
} st_sink;

typedef struct st_status_row {
  st_field state;
  int running; /* the state is RUNNING: whoever owns the run keeps it */
  uint32_t run_count, failed, run_max;
  double next_retry; /* 0: none */
  double deadline;   /* likewise */
  st_field ending;   /* why it is CANCELLED or is to be; not there: it is not */
} st_status_row;

#define ST_PERSIST_VERSION 2

typedef struct st_persist {
  int version;
  /* All of them take a core run at a stack index and raise a Lua error when it is none, or closed; drain also for lack of
  ** memory, and { json = reason } for a value that has no JSON text. */
  void (*status)(lua_State *L, int run, st_status_row *row);
  /* Pushes the run's tags as JSON and returns 1 when they have changed since saved, else pushes nothing. */
  int (*tags)(lua_State *L, int run);
  int (*drain)(lua_State *L, int run, const st_sink *sink, void *ud); /* 0, or what stopped it */
  void (*saved)(lua_State *L, int run);
} st_persist;

#endif
