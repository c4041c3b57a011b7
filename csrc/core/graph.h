/* graph.h - the static side of a definition: steps, their dependencies, their custom states. It is
** built once, sealed, and then shared, unchanged, by all runs of the definition (D3).
**
** Steps are numbered in the order of the definition (D1). Edges are kept twice, by the step that
** depends (in the order written) and by the step depended on (ascending); the accepted states of
** an edge are a bit set: bit 0 DONE, bit 1 + k the k-th custom state of the target, bit 31 ANY.
** While every edge of a graph accepts just DONE the sets are not stored. All edges of an ST_ALWAYS step accept ANY, whatever
** was written.
*/
#ifndef ST_GRAPH_H
#define ST_GRAPH_H

#include "names.h"
#include "retry.h"
#include "state.h"

typedef uint32_t step_id;

#define ST_NO_STEP UINT32_MAX
#define ST_MAX_STEPS 0x7fffffffu
#define ST_MAX_CUSTOM 30 /* custom states of one step, those of its functions included */

#define ST_ACCEPT_DONE 1u
#define ST_ACCEPT_CUSTOM(k) (2u << (k))
#define ST_ACCEPT_ANY 0x80000000u

/* flags of a step */
enum {
  ST_PATTERN = 3,    /* two bits: st_pattern */
  ST_IDEMPOTENT = 4, /* may run again after a crash (S6.6) */
  ST_FOREACH = 8,    /* expands into children (S5.1) */
  ST_SEQUENCE = 16,  /* one child after the other (S5.2) */
  ST_ALWAYS = 32,    /* cleans up: runs however what it depends on ended, and when the run is cancelled */
  ST_HOST = 64       /* from here on the binding's own flags */
};

typedef enum st_result {
  ST_OK,
  ST_ENOMEM,  /* nothing has changed */
  ST_EEXISTS, /* that name, dependency or state is there already */
  ST_EFULL,   /* too many steps, custom states, children */
  ST_ECYCLE   /* see st_graph.cycle */
} st_result;

/* What a foreach step says of its children. */
typedef struct st_foreach {
  step_id id;
  uint32_t most;   /* of them RUNNING at a time; 0: no limit */
  double tolerate; /* so many may fail */
  uint8_t percent; /* that is percent of all of them */
} st_foreach;

typedef struct st_graph {
  st_alloc alloc;
  uint32_t refs; /* the definition and its runs */
  uint32_t n;
  st_names names; /* of steps; the number of a name is its step */
  uint8_t *flags;
  uint32_t flags_cap;
  int32_t *max_retries; /* NULL while all are ST_MAX_RETRIES */
  uint32_t max_retries_cap;
  uint32_t *policy; /* place in `policies` + 1, 0: that of the pattern; NULL while all are 0 */
  st_policy *policies;
  uint32_t policy_cap, policies_cap, policies_count;
  st_foreach *foreach; /* of the foreach steps that say something, ascending */
  uint32_t foreach_cap, foreach_count;

  st_names customs;     /* of all custom states of the graph */
  uint32_t *custom_off; /* n + 1; NULL while there are none */
  uint32_t *custom;     /* numbers in `customs` */
  uint32_t custom_off_cap, custom_cap;

  uint32_t *dep_off, *out_off;       /* n + 1 */
  uint32_t *dep, *out;               /* the step at the other end */
  uint32_t *dep_accept, *out_accept; /* NULL while all are ST_ACCEPT_DONE */
  uint32_t dep_off_cap, dep_cap, dep_accept_cap;
  uint32_t edges;
  uint32_t filled; /* steps whose dependencies are complete, while building */

  int always;     /* some step is ST_ALWAYS */
  int tracked;    /* some edge is ANY or some step a foreach: runs keep the counters of S2.2 */
  step_id *order; /* sealed and tracked: topological */

  uint32_t *cycle; /* after ST_ECYCLE: the path, first step repeated at the end */
  uint32_t cycle_len;

  struct st_reach *reach; /* S3.6 questions, while validating */
} st_graph;

#define ST_MAX_RETRIES 10000

/* Cannot fail. */
void st_graph_init(st_graph *g, st_alloc alloc);
/* Accepts any stage of building. */
void st_graph_free(st_graph *g);

/* Adds a step. ST_EEXISTS: *id is the step of that name. */
st_result st_graph_add(st_graph *g, const char *name, size_t len, uint8_t flags, step_id *id);

/* max_retries of the newest step: 0 none, negative no limit. */
st_result st_graph_limit(st_graph *g, int32_t max_retries);

/* The retry policy of the newest step, instead of its pattern's. */
st_result st_graph_policy(st_graph *g, const st_policy *policy);

/* What the newest step, a foreach, says of its children. */
st_result st_graph_foreach(st_graph *g, uint32_t most, double tolerate, int percent);

/* Adds a custom state to the newest step. *k is its place among the step's states, also with ST_EEXISTS. */
st_result st_graph_custom(st_graph *g, const char *name, size_t len, uint32_t *k);

/* Adds a dependency. Once all steps are there; `from` must not decrease from call to call. */
st_result st_graph_depend(st_graph *g, step_id from, step_id to, uint32_t accept);

/* Completes the graph, or finds a cycle. */
st_result st_graph_seal(st_graph *g);

/* The state of that name that step `id` can be in, or -1. */
int st_graph_state(const st_graph *g, step_id id, const char *name, size_t len);

/* The name of a state of step `id` (not NUL-terminated). */
const char *st_graph_state_name(const st_graph *g, step_id id, int state, size_t *len);

/* Whether a and b are the same step or one is an ancestor of the other (S3.6): 1 or 0, -1 no memory.
** Cheap for neighbours and, for the far ones, when calls with the same b follow one another. */
int st_graph_related(st_graph *g, step_id a, step_id b);
/* Frees what st_graph_related keeps. */
void st_graph_forget(st_graph *g);

static inline int32_t st_graph_max_retries(const st_graph *g, step_id id) {
  return g->max_retries == NULL ? ST_MAX_RETRIES : g->max_retries[id];
}

static inline const st_policy *st_graph_policy_of(const st_graph *g, step_id id) {
  if (g->policy == NULL || g->policy[id] == 0) return &st_patterns[g->flags[id] & ST_PATTERN];
  return &g->policies[g->policy[id] - 1];
}

/* What a foreach step says of its children, or NULL. */
const st_foreach *st_graph_foreach_of(const st_graph *g, step_id id);

static inline uint32_t st_graph_customs(const st_graph *g, step_id id) {
  return g->custom_off == NULL ? 0 : g->custom_off[id + 1] - g->custom_off[id];
}

/* The bit of a state in a set of accepted states; 0 for a state that no dependency can name. */
static inline uint32_t st_accept_bit(int state) {
  return state == STEP_DONE ? ST_ACCEPT_DONE : state >= STEP_CUSTOM ? ST_ACCEPT_CUSTOM(state - STEP_CUSTOM) : 0;
}

#endif
