/* sem.c - the resources of S4.4: counting semaphores and rates, by name. */
#include "sem.h"

#include <math.h>
#include <string.h>

void st_sems_init(st_sems *s, st_alloc alloc) {
  memset(s, 0, sizeof *s);
  s->alloc = alloc;
  st_names_init(&s->names, alloc);
}

void st_sems_free(st_sems *s) {
  for (uint32_t i = 0; i < s->names.count; i++)
    st_release(&s->alloc, s->sem[i].start, s->sem[i].rate * sizeof *s->sem[i].start);
  st_release(&s->alloc, s->sem, s->cap * sizeof *s->sem);
  st_names_free(&s->names);
  st_sems_init(s, s->alloc);
}

/* The semaphore of that name, made without any limit when there is none; NULL: no memory. */
static st_sem *provide(st_sems *s, const char *name, size_t len) {
  int added;
  if (s->names.count == s->cap) {
    uint32_t cap = s->cap == 0 ? 8 : s->cap * 2;
    st_sem *p = st_resize(&s->alloc, s->sem, s->cap * sizeof *p, cap * sizeof *p);
    if (p == NULL) return NULL;
    s->sem = p;
    s->cap = cap;
  }
  uint32_t i = st_names_add(&s->names, name, len, &added);
  if (i == ST_NO_NAME) return NULL;
  if (added) {
    memset(&s->sem[i], 0, sizeof s->sem[i]);
    s->sem[i].limit = ST_NO_LIMIT;
  }
  return &s->sem[i];
}

int st_sems_limit(st_sems *s, const char *name, size_t len, uint32_t limit) {
  st_sem *sem = provide(s, name, len);
  if (sem == NULL) return 0;
  sem->limit = limit;
  return 1;
}

int st_sems_rate(st_sems *s, const char *name, size_t len, uint32_t rate, double per) {
  st_sem *sem = provide(s, name, len);
  if (sem == NULL) return 0;
  if (rate == 0) { /* never */
    sem->limit = 0;
    return 1;
  }
  double *start = st_array(&s->alloc, rate, sizeof *start);
  if (start == NULL) return 0;
  st_release(&s->alloc, sem->start, sem->rate * sizeof *start);
  s->rated += sem->rate == 0;
  sem->start = start;
  sem->rate = rate;
  sem->per = per;
  sem->reserved = sem->head = sem->starts = 0;
  return 1;
}

uint32_t st_sems_find(const st_sems *s, const char *name, size_t len) { return st_names_find(&s->names, name, len); }

#define start_at(sem, i) (sem)->start[((uint64_t)(sem)->head + (i)) % (sem)->rate]

/* Forgets the starts that are not in the window which ends now. When the clock was set back they keep their distances, the
** latest being now: else nothing would be had until the clock is where it was. */
static void pass(st_sem *sem, double now) {
  double ahead = sem->starts == 0 ? 0 : start_at(sem, sem->starts - 1) - now;
  if (ahead > 0)
    for (uint32_t i = 0; i < sem->starts; i++) start_at(sem, i) -= ahead;
  while (sem->starts > 0 && start_at(sem, 0) + sem->per <= now) {
    sem->head = (sem->head + 1) % sem->rate;
    sem->starts--;
  }
}

/* Whether one more may have the name. */
static int available(st_sem *sem, double now) {
  if (sem->used >= sem->limit) return 0;
  if (sem->rate == 0) return 1;
  pass(sem, now);
  return sem->reserved + sem->starts < sem->rate;
}

/* The claim takes the name it is at. */
static void take(st_sem *sem, st_claim *c) {
  sem->used++;
  sem->reserved += sem->rate != 0;
  c->held++;
}

/* Goes on taking names; queues the claim where one cannot be had. Nobody overtakes those who wait. */
static int advance(st_sems *s, st_claim *c, double now) {
  while (c->held < c->count) {
    st_sem *sem = &s->sem[c->names[c->held]];
    if (sem->first != NULL || !available(sem, now)) {
      c->next = NULL;
      c->waiting = 1;
      s->queued += sem->rate != 0;
      if (sem->first == NULL)
        sem->first = c;
      else
        sem->last->next = c;
      sem->last = c;
      return 0;
    }
    take(sem, c);
  }
  return 1;
}

st_grant st_sems_acquire(st_sems *s, st_claim *c, double now) {
  c->held = 0;
  c->waiting = 0;
  c->started = 0;
  c->next = NULL;
  for (uint32_t i = 0; i < c->count; i++)
    if (s->sem[c->names[i]].limit == 0) {
      c->count = 0; /* holds nothing, releasing it does nothing */
      return ST_NEVER;
    }
  return advance(s, c, now) ? ST_GRANTED : ST_WAITS;
}

int st_sems_rated(const st_sems *s, const st_claim *c) {
  if (s->rated == 0) return 0;
  for (uint32_t i = 0; i < c->held; i++)
    if (s->sem[c->names[i]].rate != 0) return 1;
  return 0;
}

void st_sems_start(st_sems *s, st_claim *c, double now) {
  if (c->started) return;
  c->started = 1;
  for (uint32_t i = 0; i < c->held; i++) {
    st_sem *sem = &s->sem[c->names[i]];
    if (sem->rate == 0) continue;
    pass(sem, now);
    start_at(sem, sem->starts) = now;
    sem->starts++;
    sem->reserved--;
  }
}

/* Takes the first claim out of the queue of a name. */
static st_claim *shift(st_sems *s, st_sem *sem) {
  st_claim *c = sem->first;
  sem->first = c->next;
  if (sem->first == NULL) sem->last = NULL;
  s->queued -= sem->rate != 0;
  c->next = NULL;
  c->waiting = 0;
  return c;
}

/* Serves the queue of one name; claims that become complete are appended to the list. */
static void serve(st_sems *s, uint32_t name, double now, st_claim ***end) {
  st_sem *sem = &s->sem[name];
  while (sem->first != NULL && available(sem, now)) {
    st_claim *c = shift(s, sem);
    take(sem, c);
    if (advance(s, c, now)) {
      **end = c;
      *end = &c->next;
    }
  }
}

st_claim *st_sems_release(st_sems *s, st_claim *c, double now) {
  st_claim *done = NULL, **end = &done;
  if (c->waiting) {
    st_sem *sem = &s->sem[c->names[c->held]];
    st_claim **p = &sem->first, *before = NULL;
    while (*p != c) before = *p, p = &(*p)->next;
    *p = c->next;
    if (sem->last == c) sem->last = before;
    s->queued -= sem->rate != 0;
    c->waiting = 0;
    c->next = NULL;
  }
  uint32_t held = c->held;
  c->held = 0;
  for (uint32_t i = held; i-- > 0;) {
    st_sem *sem = &s->sem[c->names[i]];
    sem->used--;
    if (sem->rate != 0 && !c->started) sem->reserved--;
  }
  for (uint32_t i = 0; i < held; i++) serve(s, c->names[i], now, &end);
  c->count = 0;
  return done;
}

st_claim *st_sems_tick(st_sems *s, double now) {
  st_claim *done = NULL, **end = &done;
  if (s->queued == 0) return NULL;
  for (uint32_t i = 0; i < s->names.count; i++)
    if (s->sem[i].rate != 0) serve(s, i, now, &end);
  return done;
}

double st_sems_due(st_sems *s, double now) {
  double due = HUGE_VAL;
  if (s->queued == 0) return due;
  for (uint32_t i = 0; i < s->names.count; i++) {
    st_sem *sem = &s->sem[i];
    if (sem->rate == 0 || sem->first == NULL || sem->used >= sem->limit) continue; /* no matter of time */
    int there = available(sem, now);
    if (!there && sem->starts == 0) continue;
    double time = there ? now : start_at(sem, 0) + sem->per;
    if (time < due) due = time;
  }
  return due;
}
