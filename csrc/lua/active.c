/* active.c - the runs of a loop that have a resolve in progress, in the order in which it began, and a walk over them during which
** any may come and go.
**
** The list is doubly linked. A walk knows the run it is at, and the one after that once the former has left: `st_active_remove` moves
** both on. There is one walk at a time; one that another has interrupted begins anew, which is rare: a listener has turned the loop.
*/
#include "binding.h"

void st_active_add(st_lua_loop *loop, st_lua_run *run) {
  st_active *a = &loop->active;
  run->before = a->last;
  run->next = NULL;
  if (a->last == NULL)
    a->first = run;
  else
    a->last->next = run;
  a->last = run;
  if (a->at == NULL && a->following == NULL) a->following = run;
}

void st_active_remove(st_lua_loop *loop, st_lua_run *run) {
  st_active *a = &loop->active;
  if (a->at == run) {
    a->at = NULL;
    a->following = run->next;
  } else if (a->following == run) {
    a->following = run->next;
  }
  if (run->before == NULL)
    a->first = run->next;
  else
    run->before->next = run->next;
  if (run->next == NULL)
    a->last = run->before;
  else
    run->next->before = run->before;
  run->before = run->next = NULL;
}

st_lua_run *st_active_first(st_lua_loop *loop, uint32_t *walk) {
  st_active *a = &loop->active;
  *walk = ++a->walk;
  a->following = NULL;
  return a->at = a->first;
}

st_lua_run *st_active_next(st_lua_loop *loop, uint32_t *walk) {
  st_active *a = &loop->active;
  if (*walk != a->walk) return st_active_first(loop, walk);
  a->at = a->at == NULL ? a->following : a->at->next;
  a->following = NULL;
  return a->at;
}
