/* sem.h - the resources of S4.4, by name: how many may hold one at a time, and how many may start in a period.
**
** A claim asks for a list of names, which it takes one by one in the order given (the caller sorts
** them); what it holds it keeps while it waits. Those who wait for a name are served first come,
** first served. A name without a limit is free; a limit of 0 is never to be had.
**
** A name may have a rate, too: at most `rate` starts in any half-open window of `per` seconds. What a claim takes of it is a
** token, reserved as long as the claim is not complete and has not started, so that a claim that waits for other names, or
** for anything else, does not start late and beside those of the next window.
*/
#ifndef ST_SEM_H
#define ST_SEM_H

#include "names.h"

typedef struct st_claim {
  uint32_t *names; /* numbers in st_sems.names, owned by whoever owns the claim */
  uint32_t count;
  uint32_t held;         /* names[0 .. held - 1] are taken */
  struct st_claim *next; /* in the queue of names[held] */
  int waiting;
  int started; /* see st_sems_start */
} st_claim;

/* Invariants: used <= limit; with a rate, reserved + starts <= rate, and the times of the starts ascend. */
typedef struct st_sem {
  uint32_t limit, used;
  st_claim *first, *last; /* who waits */
  uint32_t rate;          /* starts in a period; 0: there is no rate */
  uint32_t reserved;      /* tokens of claims that hold the name and have not started */
  uint32_t head, starts;  /* start[head ..], a ring of `rate`: the times of those in the current window */
  double *start;
  double per; /* seconds */
} st_sem;

typedef struct st_sems {
  st_alloc alloc;
  st_names names;
  st_sem *sem; /* by number */
  uint32_t cap;
  uint32_t rated;  /* names with a rate */
  uint32_t queued; /* claims that wait for such a name */
} st_sems;

#define ST_NO_LIMIT UINT32_MAX

void st_sems_init(st_sems *s, st_alloc alloc);
void st_sems_free(st_sems *s);

/* Sets how many may hold a name at a time. 0: no memory. */
int st_sems_limit(st_sems *s, const char *name, size_t len, uint32_t limit);

/* Sets the rate of a name, once, before anybody claims it. 0: no memory. */
int st_sems_rate(st_sems *s, const char *name, size_t len, uint32_t rate, double per);

/* The number of a name that has a limit, or ST_NO_NAME: nothing to claim. */
uint32_t st_sems_find(const st_sems *s, const char *name, size_t len);

typedef enum st_grant { ST_GRANTED, ST_WAITS, ST_NEVER } st_grant;

/* Takes what can be had; ST_WAITS: the claim is queued and st_sems_release or st_sems_tick may grant it.
** ST_NEVER: one of its limits is 0; it holds nothing. */
st_grant st_sems_acquire(st_sems *s, st_claim *c, double now);

/* What the complete claim was for starts now: its tokens count from this time on. */
void st_sems_start(st_sems *s, st_claim *c, double now);

/* Gives back all that the claim holds, or takes it out of the queue it waits in. Claims that are now
** complete are returned as a list linked by `next`, in the order they were served. */
st_claim *st_sems_release(st_sems *s, st_claim *c, double now);

/* Serves those whose token has come with time; the list likewise. */
st_claim *st_sems_tick(st_sems *s, double now);

/* When st_sems_tick is to be called next; HUGE_VAL: nobody waits for time to pass. */
double st_sems_due(st_sems *s, double now);

/* Whether the claim holds tokens. */
int st_sems_rated(const st_sems *s, const st_claim *c);

#endif
