/* graph.c - the static side of a definition: building, sealing, questions. */
#include "graph.h"

#include <string.h>

/* Room for one more element in a growing array. */
#define ROOM(g, field, count) \
  (*(count) < (g)->field##_cap || grow(&(g)->alloc, (void **)&(g)->field, &(g)->field##_cap, sizeof *(g)->field))

static int grow(const st_alloc *a, void **array, uint32_t *cap, size_t size) {
  uint32_t more = *cap < 16 ? 16 : *cap + *cap / 2;
  void *p = st_resize(a, *array, *cap * size, more * size);
  if (p == NULL) return 0;
  *array = p;
  *cap = more;
  return 1;
}

/* Gives back what growing left over. */
static void trim(const st_alloc *a, void **array, uint32_t *cap, uint32_t count, size_t size) {
  if (*array == NULL || count == 0 || *cap == count) return;
  void *p = st_resize(a, *array, *cap * size, count * size);
  if (p == NULL) return;
  *array = p;
  *cap = count;
}

void st_graph_init(st_graph *g, st_alloc alloc) {
  memset(g, 0, sizeof *g);
  g->alloc = alloc;
  st_names_init(&g->names, alloc);
  st_names_init(&g->customs, alloc);
}

void st_graph_free(st_graph *g) {
  const st_alloc *a = &g->alloc;
  st_graph_forget(g);
  st_names_free(&g->names);
  st_names_free(&g->customs);
  st_release(a, g->flags, g->flags_cap);
  st_release(a, g->max_retries, g->max_retries_cap * sizeof *g->max_retries);
  st_release(a, g->policy, g->policy_cap * sizeof *g->policy);
  st_release(a, g->policies, g->policies_cap * sizeof *g->policies);
  st_release(a, g->foreach, g->foreach_cap * sizeof *g->foreach);
  st_release(a, g->custom_off, g->custom_off_cap * sizeof *g->custom_off);
  st_release(a, g->custom, g->custom_cap * sizeof *g->custom);
  st_release(a, g->dep_off, g->dep_off_cap * sizeof *g->dep_off);
  st_release(a, g->dep, g->dep_cap * sizeof *g->dep);
  st_release(a, g->dep_accept, g->dep_accept_cap * sizeof *g->dep_accept);
  st_release(a, g->out_off, ((size_t)g->n + 1) * sizeof *g->out_off);
  st_release(a, g->out, g->edges * sizeof *g->out);
  st_release(a, g->out_accept, g->edges * sizeof *g->out_accept);
  st_release(a, g->order, g->n * sizeof *g->order);
  st_release(a, g->cycle, g->cycle_len * sizeof *g->cycle);
  st_graph_init(g, g->alloc);
}

st_result st_graph_add(st_graph *g, const char *name, size_t len, uint8_t flags, step_id *id) {
  int added;
  if (g->n >= ST_MAX_STEPS) return ST_EFULL;
  if (!ROOM(g, flags, &g->n)) return ST_ENOMEM;
  if (g->max_retries != NULL && !ROOM(g, max_retries, &g->n)) return ST_ENOMEM;
  if (g->policy != NULL && !ROOM(g, policy, &g->n)) return ST_ENOMEM;
  if (g->custom_off != NULL)
    while (g->n + 2 > g->custom_off_cap)
      if (!grow(&g->alloc, (void **)&g->custom_off, &g->custom_off_cap, sizeof *g->custom_off)) return ST_ENOMEM;
  *id = st_names_add(&g->names, name, len, &added);
  if (*id == ST_NO_NAME) return ST_ENOMEM;
  if (!added) return ST_EEXISTS;
  g->flags[g->n] = flags;
  if (g->max_retries != NULL) g->max_retries[g->n] = ST_MAX_RETRIES;
  if (g->policy != NULL) g->policy[g->n] = 0;
  if (g->custom_off != NULL) g->custom_off[g->n + 1] = g->custom_off[g->n];
  if (flags & ST_FOREACH) g->tracked = 1;
  if (flags & ST_ALWAYS) g->always = 1;
  g->n++;
  return ST_OK;
}

st_result st_graph_limit(st_graph *g, int32_t max_retries) {
  if (g->max_retries == NULL) {
    if (max_retries == ST_MAX_RETRIES) return ST_OK;
    g->max_retries = st_array(&g->alloc, g->flags_cap, sizeof *g->max_retries);
    if (g->max_retries == NULL) return ST_ENOMEM;
    g->max_retries_cap = g->flags_cap;
    for (step_id i = 0; i < g->n; i++) g->max_retries[i] = ST_MAX_RETRIES;
  }
  g->max_retries[g->n - 1] = max_retries;
  return ST_OK;
}

enum { ALIKE = 16 }; /* policies that a new one is compared with: steps next to each other often have the same */

static int same_policy(const st_policy *a, const st_policy *b) {
  return a->initial == b->initial && a->factor == b->factor && a->more == b->more && a->cap == b->cap
         && a->jitter == b->jitter;
}

st_result st_graph_policy(st_graph *g, const st_policy *policy) {
  if (g->policy == NULL) {
    g->policy = st_array(&g->alloc, g->flags_cap, sizeof *g->policy);
    if (g->policy == NULL) return ST_ENOMEM;
    g->policy_cap = g->flags_cap;
    memset(g->policy, 0, g->n * sizeof *g->policy);
  }
  uint32_t last = g->policies_count > ALIKE ? g->policies_count - ALIKE : 0, i = g->policies_count;
  while (i > last && !same_policy(&g->policies[i - 1], policy)) i--;
  if (i == last) {
    if (!ROOM(g, policies, &g->policies_count)) return ST_ENOMEM;
    g->policies[g->policies_count] = *policy;
    i = ++g->policies_count;
  }
  g->policy[g->n - 1] = i;
  return ST_OK;
}

st_result st_graph_foreach(st_graph *g, uint32_t most, double tolerate, int percent) {
  if (!ROOM(g, foreach, &g->foreach_count)) return ST_ENOMEM;
  st_foreach *f = &g->foreach[g->foreach_count++];
  f->id = g->n - 1;
  f->most = most;
  f->tolerate = tolerate;
  f->percent = (uint8_t)percent;
  return ST_OK;
}

const st_foreach *st_graph_foreach_of(const st_graph *g, step_id id) {
  uint32_t low = 0, high = g->foreach_count;
  while (low < high) {
    uint32_t middle = low + (high - low) / 2;
    if (g->foreach[middle].id < id)
      low = middle + 1;
    else
      high = middle;
  }
  return low < g->foreach_count && g->foreach[low].id == id ? &g->foreach[low] : NULL;
}

st_result st_graph_custom(st_graph *g, const char *name, size_t len, uint32_t *k) {
  int added;
  if (g->custom_off == NULL) {
    uint32_t cap = g->flags_cap + 1;
    g->custom_off = st_array(&g->alloc, cap, sizeof *g->custom_off);
    if (g->custom_off == NULL) return ST_ENOMEM;
    memset(g->custom_off, 0, cap * sizeof *g->custom_off);
    g->custom_off_cap = cap;
  }
  uint32_t first = g->custom_off[g->n - 1], end = g->custom_off[g->n];
  if (!ROOM(g, custom, &end)) return ST_ENOMEM;
  uint32_t number = st_names_add(&g->customs, name, len, &added);
  if (number == ST_NO_NAME) return ST_ENOMEM;
  for (*k = 0; *k < end - first; ++*k)
    if (g->custom[first + *k] == number) return ST_EEXISTS;
  if (*k == ST_MAX_CUSTOM) return ST_EFULL;
  g->custom[end] = number;
  g->custom_off[g->n] = end + 1;
  return ST_OK;
}

/* Makes dep_off[from + 1] the end of the edges so far. */
static int fill(st_graph *g, step_id from) {
  if (g->dep_off == NULL) {
    g->dep_off = st_array(&g->alloc, (size_t)g->n + 1, sizeof *g->dep_off);
    if (g->dep_off == NULL) return 0;
    g->dep_off_cap = g->n + 1;
    g->dep_off[0] = 0;
  }
  for (; g->filled < from; g->filled++) g->dep_off[g->filled + 1] = g->edges;
  return 1;
}

st_result st_graph_depend(st_graph *g, step_id from, step_id to, uint32_t accept) {
  if (g->edges == UINT32_MAX / 2) return ST_EFULL;
  if (!fill(g, from)) return ST_ENOMEM;
  if (!ROOM(g, dep, &g->edges)) return ST_ENOMEM;
  if (g->flags[from] & ST_ALWAYS) accept = ST_ACCEPT_ANY;
  if (g->dep_accept == NULL && accept != ST_ACCEPT_DONE) {
    g->dep_accept = st_array(&g->alloc, g->dep_cap, sizeof *g->dep_accept);
    if (g->dep_accept == NULL) return ST_ENOMEM;
    g->dep_accept_cap = g->dep_cap;
    for (uint32_t e = 0; e < g->edges; e++) g->dep_accept[e] = ST_ACCEPT_DONE;
  }
  if (g->dep_accept != NULL) {
    if (!ROOM(g, dep_accept, &g->edges)) return ST_ENOMEM;
    g->dep_accept[g->edges] = accept;
  }
  if (accept & ST_ACCEPT_ANY) g->tracked = 1;
  g->dep[g->edges++] = to;
  return ST_OK;
}

/* The dependents of each step, ascending: a counting sort of the edges. */
static int invert(st_graph *g) {
  g->out_off = st_array(&g->alloc, (size_t)g->n + 1, sizeof *g->out_off);
  if (g->out_off == NULL) return 0;
  memset(g->out_off, 0, ((size_t)g->n + 1) * sizeof *g->out_off);
  if (g->edges == 0) return 1;
  g->out = st_array(&g->alloc, g->edges, sizeof *g->out);
  if (g->out == NULL) return 0;
  if (g->dep_accept != NULL) {
    g->out_accept = st_array(&g->alloc, g->edges, sizeof *g->out_accept);
    if (g->out_accept == NULL) return 0;
  }
  for (uint32_t e = 0; e < g->edges; e++) g->out_off[g->dep[e]]++;
  for (uint32_t i = 0, sum = 0; i <= g->n; i++) { /* out_off[i]: where the edges of i end */
    sum += i < g->n ? g->out_off[i] : 0;
    g->out_off[i] = sum;
  }
  for (step_id i = g->n; i-- > 0;) /* backwards, so that each list ascends */
    for (uint32_t e = g->dep_off[i + 1]; e-- > g->dep_off[i];) {
      uint32_t at = --g->out_off[g->dep[e]];
      g->out[at] = i;
      if (g->out_accept != NULL) g->out_accept[at] = g->dep_accept[e];
    }
  return 1;
}

/* A cycle exists among the steps whose `left` is not 0: follow unfinished dependencies until one
** repeats. */
static st_result find_cycle(st_graph *g, uint32_t *left) {
  step_id at = 0;
  while (left[at] == 0) at++;
  uint32_t len = 0;
  step_id first = ST_NO_STEP;
  for (int pass = 0; pass < 2; pass++) { /* first onto the cycle, then around it */
    step_id walk = at;
    if (pass == 1) first = at;
    for (;;) {
      step_id next = ST_NO_STEP;
      for (uint32_t e = g->dep_off[walk]; e < g->dep_off[walk + 1]; e++)
        if (left[g->dep[e]] != 0) {
          next = g->dep[e];
          break;
        }
      if (pass == 0) {
        if (left[walk] == UINT32_MAX) { /* been here: on the cycle */
          at = walk;
          break;
        }
        left[walk] = UINT32_MAX;
      } else {
        len++;
        if (next == first) break;
      }
      walk = next;
    }
  }
  g->cycle = st_array(&g->alloc, len + 1, sizeof *g->cycle);
  if (g->cycle == NULL) return ST_ENOMEM;
  g->cycle_len = len + 1;
  step_id walk = first;
  for (uint32_t i = 0; i <= len; i++) {
    g->cycle[i] = walk;
    for (uint32_t e = g->dep_off[walk]; e < g->dep_off[walk + 1]; e++)
      if (left[g->dep[e]] != 0) {
        walk = g->dep[e];
        break;
      }
  }
  return ST_ECYCLE;
}

/* Kahn's algorithm; the queue is the topological order. */
static st_result sort(st_graph *g) {
  uint32_t *left = st_array(&g->alloc, g->n, sizeof *left);
  step_id *queue = st_array(&g->alloc, g->n, sizeof *queue);
  st_result result = ST_ENOMEM;
  if (left == NULL || queue == NULL) goto end;
  uint32_t head = 0, tail = 0;
  for (step_id i = 0; i < g->n; i++) {
    left[i] = g->dep_off[i + 1] - g->dep_off[i];
    if (left[i] == 0) queue[tail++] = i;
  }
  while (head < tail) {
    step_id i = queue[head++];
    for (uint32_t e = g->out_off[i]; e < g->out_off[i + 1]; e++)
      if (--left[g->out[e]] == 0) queue[tail++] = g->out[e];
  }
  result = tail == g->n ? ST_OK : find_cycle(g, left);
  if (result == ST_OK && g->tracked) {
    g->order = queue;
    queue = NULL;
  }
end:
  st_release(&g->alloc, left, g->n * sizeof *left);
  st_release(&g->alloc, queue, g->n * sizeof *queue);
  return result;
}

st_result st_graph_seal(st_graph *g) {
  const st_alloc *a = &g->alloc;
  if (!fill(g, g->n)) return ST_ENOMEM;
  st_names_trim(&g->names);
  trim(a, (void **)&g->flags, &g->flags_cap, g->n, sizeof *g->flags);
  trim(a, (void **)&g->dep, &g->dep_cap, g->edges, sizeof *g->dep);
  trim(a, (void **)&g->dep_accept, &g->dep_accept_cap, g->edges, sizeof *g->dep_accept);
  trim(a, (void **)&g->custom_off, &g->custom_off_cap, g->n + 1, sizeof *g->custom_off);
  if (g->max_retries != NULL) trim(a, (void **)&g->max_retries, &g->max_retries_cap, g->n, sizeof *g->max_retries);
  if (g->policy != NULL) trim(a, (void **)&g->policy, &g->policy_cap, g->n, sizeof *g->policy);
  trim(a, (void **)&g->policies, &g->policies_cap, g->policies_count, sizeof *g->policies);
  trim(a, (void **)&g->foreach, &g->foreach_cap, g->foreach_count, sizeof *g->foreach);
  if (g->n == 0) return ST_OK;
  if (!invert(g)) return ST_ENOMEM;
  return sort(g);
}

int st_graph_state(const st_graph *g, step_id id, const char *name, size_t len) {
  int state = st_state_find(name, len);
  if (state >= 0) return state;
  uint32_t number = st_names_find(&g->customs, name, len);
  if (number == ST_NO_NAME) return -1;
  uint32_t first = g->custom_off[id], count = st_graph_customs(g, id);
  for (uint32_t k = 0; k < count; k++)
    if (g->custom[first + k] == number) return STEP_CUSTOM + (int)k;
  return -1;
}

const char *st_graph_state_name(const st_graph *g, step_id id, int state, size_t *len) {
  if (state < STEP_CUSTOM) {
    *len = strlen(st_states[state].name);
    return st_states[state].name;
  }
  return st_names_get(&g->customs, g->custom[g->custom_off[id] + (uint32_t)(state - STEP_CUSTOM)], len);
}

/* Ancestor questions. `level` is the longest path from a root, so an ancestor's is smaller; a walk
** up from the lower step never leaves the band between the two levels. When a walk takes too many
** steps, all ancestors and descendants of b are marked instead and kept for the next questions. */
struct st_reach {
  uint32_t *level;
  uint32_t *stamp; /* steps seen by the current walk */
  step_id *stack;
  uint8_t *mark; /* of `marked`: 1 ancestor, 2 descendant */
  uint32_t walk;
  step_id marked;
};

enum { REACH_BUDGET = 512 }; /* edges a walk may look at */

void st_graph_forget(st_graph *g) {
  struct st_reach *r = g->reach;
  if (r == NULL) return;
  st_release(&g->alloc, r->level, g->n * sizeof *r->level);
  st_release(&g->alloc, r->stamp, g->n * sizeof *r->stamp);
  st_release(&g->alloc, r->stack, g->n * sizeof *r->stack);
  st_release(&g->alloc, r->mark, g->n);
  st_release(&g->alloc, r, sizeof *r);
  g->reach = NULL;
}

static int prepare(st_graph *g) {
  struct st_reach *r = st_array(&g->alloc, 1, sizeof *r);
  if (r == NULL) return 0;
  memset(r, 0, sizeof *r);
  r->marked = ST_NO_STEP;
  g->reach = r;
  r->level = st_array(&g->alloc, g->n, sizeof *r->level);
  r->stamp = st_array(&g->alloc, g->n, sizeof *r->stamp);
  r->stack = st_array(&g->alloc, g->n, sizeof *r->stack);
  r->mark = st_array(&g->alloc, g->n, 1);
  if (r->level == NULL || r->stamp == NULL || r->stack == NULL || r->mark == NULL) {
    st_graph_forget(g);
    return 0;
  }
  memset(r->stamp, 0, g->n * sizeof *r->stamp);
  memset(r->level, 0, g->n * sizeof *r->level);
  uint32_t head = 0, tail = 0; /* Kahn again: the order is not kept by untracked graphs */
  uint32_t *left = r->stamp;
  for (step_id i = 0; i < g->n; i++) {
    left[i] = g->dep_off[i + 1] - g->dep_off[i];
    if (left[i] == 0) r->stack[tail++] = i;
  }
  while (head < tail) {
    step_id i = r->stack[head++];
    for (uint32_t e = g->out_off[i]; e < g->out_off[i + 1]; e++) {
      step_id j = g->out[e];
      if (r->level[j] <= r->level[i]) r->level[j] = r->level[i] + 1;
      if (--left[j] == 0) r->stack[tail++] = j;
    }
  }
  return 1; /* all of left, so of stamp, is 0 again */
}

/* Marks every step reachable from `from` over the given edges. */
static void mark(const st_graph *g, step_id from, const uint32_t *off, const uint32_t *to, uint8_t bit) {
  struct st_reach *r = g->reach;
  uint32_t top = 0;
  r->stack[top++] = from;
  while (top > 0) {
    step_id i = r->stack[--top];
    for (uint32_t e = off[i]; e < off[i + 1]; e++)
      if ((r->mark[to[e]] & bit) == 0) {
        r->mark[to[e]] |= bit;
        r->stack[top++] = to[e];
      }
  }
}

int st_graph_related(st_graph *g, step_id a, step_id b) {
  if (a == b) return 1;
  if (g->reach == NULL && !prepare(g)) return -1;
  struct st_reach *r = g->reach;
  if (r->marked == b) return r->mark[a] != 0;
  if (r->level[a] == r->level[b]) return 0;
  step_id low = r->level[a] > r->level[b] ? a : b, high = low == a ? b : a;
  uint32_t top = 0, budget = REACH_BUDGET;
  r->walk++;
  r->stack[top++] = low;
  while (top > 0) {
    step_id i = r->stack[--top];
    for (uint32_t e = g->dep_off[i]; e < g->dep_off[i + 1]; e++) {
      step_id j = g->dep[e];
      if (j == high) return 1;
      if (budget-- == 0) goto far;
      if (r->level[j] > r->level[high] && r->stamp[j] != r->walk) {
        r->stamp[j] = r->walk;
        r->stack[top++] = j;
      }
    }
  }
  return 0;
far:
  memset(r->mark, 0, g->n);
  mark(g, b, g->dep_off, g->dep, 1);
  mark(g, b, g->out_off, g->out, 2);
  r->marked = b;
  return r->mark[a] != 0;
}
