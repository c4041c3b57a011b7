/* sem.c - counting semaphores by name. */
#include "sem.h"

#include <string.h>

void st_sems_init(st_sems *s, st_alloc alloc) {
  memset(s, 0, sizeof *s);
  s->alloc = alloc;
  st_names_init(&s->names, alloc);
}

void st_sems_free(st_sems *s) {
  st_release(&s->alloc, s->sem, s->cap * sizeof *s->sem);
  st_names_free(&s->names);
  st_sems_init(s, s->alloc);
}

int st_sems_limit(st_sems *s, const char *name, size_t len, uint32_t limit) {
  int added;
  if (s->names.count == s->cap) {
    uint32_t cap = s->cap == 0 ? 8 : s->cap * 2;
    st_sem *p = st_resize(&s->alloc, s->sem, s->cap * sizeof *p, cap * sizeof *p);
    if (p == NULL) return 0;
    s->sem = p;
    s->cap = cap;
  }
  uint32_t i = st_names_add(&s->names, name, len, &added);
  if (i == ST_NO_NAME) return 0;
  if (added) memset(&s->sem[i], 0, sizeof s->sem[i]);
  s->sem[i].limit = limit;
  return 1;
}

uint32_t st_sems_find(const st_sems *s, const char *name, size_t len) { return st_names_find(&s->names, name, len); }

/* Goes on taking names; queues the claim where one cannot be had. Nobody overtakes those who wait. */
static int advance(st_sems *s, st_claim *c) {
  while (c->held < c->count) {
    st_sem *sem = &s->sem[c->names[c->held]];
    if (sem->used >= sem->limit || sem->first != NULL) {
      c->next = NULL;
      c->waiting = 1;
      if (sem->first == NULL)
        sem->first = c;
      else
        sem->last->next = c;
      sem->last = c;
      return 0;
    }
    sem->used++;
    c->held++;
  }
  return 1;
}

st_grant st_sems_acquire(st_sems *s, st_claim *c) {
  c->held = 0;
  c->waiting = 0;
  c->next = NULL;
  for (uint32_t i = 0; i < c->count; i++)
    if (s->sem[c->names[i]].limit == 0) {
      c->count = 0; /* holds nothing, releasing it does nothing */
      return ST_NEVER;
    }
  return advance(s, c) ? ST_GRANTED : ST_WAITS;
}

/* Serves the queue of one name; claims that become complete are appended to the list. */
static void serve(st_sems *s, uint32_t name, st_claim ***end) {
  st_sem *sem = &s->sem[name];
  while (sem->first != NULL && sem->used < sem->limit) {
    st_claim *c = sem->first;
    sem->first = c->next;
    if (sem->first == NULL) sem->last = NULL;
    c->next = NULL;
    c->waiting = 0;
    sem->used++;
    c->held++;
    if (advance(s, c)) {
      **end = c;
      *end = &c->next;
    }
  }
}

st_claim *st_sems_release(st_sems *s, st_claim *c) {
  st_claim *done = NULL, **end = &done;
  if (c->waiting) {
    st_sem *sem = &s->sem[c->names[c->held]];
    st_claim **p = &sem->first, *before = NULL;
    while (*p != c) before = *p, p = &(*p)->next;
    *p = c->next;
    if (sem->last == c) sem->last = before;
    c->waiting = 0;
    c->next = NULL;
  }
  uint32_t held = c->held;
  c->held = 0;
  for (uint32_t i = held; i-- > 0;) s->sem[c->names[i]].used--;
  for (uint32_t i = 0; i < held; i++) serve(s, c->names[i], &end);
  c->count = 0;
  return done;
}
