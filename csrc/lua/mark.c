/* mark.c - steps of a kept run that are RUNNING while their action waits until that is stored (D26). They need no coroutine
** meanwhile, but each keeps the place of the slot that took it from the run.
*/
#include "binding.h"

#include <string.h>

enum { FIRST_CAP = 8 };

/* Makes room behind the last. */
static void reserve(lua_State *L, st_marks *m) {
  if (m->head + m->count < m->cap) return;
  if (m->head > m->cap / 2) {
    memmove(m->step, m->step + m->head, m->count * sizeof *m->step);
    m->head = 0;
    return;
  }
  st_alloc alloc = st_lua_alloc(L);
  uint32_t cap = m->cap == 0 ? FIRST_CAP : m->cap * 2; /* ST_MARKS bounds it */
  step_id *p = st_resize(&alloc, m->step, m->cap * sizeof *p, cap * sizeof *p);
  if (p == NULL) {
    luaL_error(L, "not enough memory");
    return; /* not reached: luaL_error does not say so */
  }
  m->step = p;
  m->cap = cap;
}

void st_mark_add(lua_State *L, st_slot *slot) {
  st_marks *m = &slot->run->marks;
  reserve(L, m);
  m->step[m->head + m->count++] = slot->id;
  slot->id = ST_NO_STEP;
  slot->loop->marked++;
  slot->placed = 0; /* the place is the step's */
}

void st_mark_take(st_slot *slot) {
  st_marks *m = &slot->run->marks;
  slot->id = m->step[m->head++];
  m->count--;
  m->stored--;
  if (m->count == 0) m->head = 0;
  slot->loop->marked--;
  st_place_leave(slot);
  slot->placed = 1;
}

int st_mark_unsaved(const st_lua_run *run) { return run->marks.stored < run->marks.count && run->r.journal.count == 0; }

void st_mark_saved(st_lua_run *run) {
  if (run->r.journal.count == 0) run->marks.stored = run->marks.count;
}

void st_mark_abandon(st_lua_loop *loop, st_lua_run *run) {
  st_marks *m = &run->marks;
  uint32_t count = m->count;
  for (uint32_t i = 0; i < count; i++) st_run_outcome(&run->r, m->step[m->head + i], STEP_SERVER_ERROR, 1, loop->time);
  m->head = m->count = m->stored = 0;
  loop->marked -= count;
  st_place_return(loop, run, count);
}

void st_mark_free(lua_State *L, st_lua_run *run) {
  st_alloc alloc = st_lua_alloc(L);
  st_release(&alloc, run->marks.step, run->marks.cap * sizeof *run->marks.step);
  memset(&run->marks, 0, sizeof run->marks);
}
