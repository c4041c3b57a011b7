/* sem.h - counting semaphores by name: the resources of S4.4.
**
** A claim asks for a list of names, which it takes one by one in the order given (the caller sorts
** them); what it holds it keeps while it waits. Those who wait for a name are served first come,
** first served. A name without a limit is free; a limit of 0 is never to be had.
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
} st_claim;

typedef struct st_sem {
  uint32_t limit, used;
  st_claim *first, *last; /* who waits */
} st_sem;

typedef struct st_sems {
  st_alloc alloc;
  st_names names;
  st_sem *sem; /* by number */
  uint32_t cap;
} st_sems;

void st_sems_init(st_sems *s, st_alloc alloc);
void st_sems_free(st_sems *s);

/* Sets the limit of a name. 0: no memory. */
int st_sems_limit(st_sems *s, const char *name, size_t len, uint32_t limit);

/* The number of a name that has a limit, or ST_NO_NAME: nothing to claim. */
uint32_t st_sems_find(const st_sems *s, const char *name, size_t len);

typedef enum st_grant { ST_GRANTED, ST_WAITS, ST_NEVER } st_grant;

/* Takes what can be had; ST_WAITS: the claim is queued and st_sems_release may grant it. ST_NEVER:
** one of its limits is 0; it holds nothing. */
st_grant st_sems_acquire(st_sems *s, st_claim *c);

/* Gives back all that the claim holds, or takes it out of the queue it waits in. Claims that are now
** complete are returned as a list linked by `next`, in the order they were served. */
st_claim *st_sems_release(st_sems *s, st_claim *c);

#endif
