/* interrupt.c - the requests of a terminal and of a system to end (SIGINT, SIGTERM, SIGHUP), noted for whoever asks at a quiet
** moment.
**
** The interpreter's own way raises an error in the middle of anything, a transaction included. The second request of a kind is
** not caught: it ends the process. A SIGHUP that is ignored (nohup) stays so.
*/
#define _POSIX_C_SOURCE 200809L

#include "binding.h"

#include <signal.h>

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
enum { SIGNALS = sizeof signals / sizeof signals[0] };

static struct sigaction before[SIGNALS];
static int watched;
static volatile sig_atomic_t noted;

static void note(int number) { noted = number; }

/* core.watch_interrupts(on): from now on they are noted; false: what was there before handles them again. */
int st_interrupt_watch(lua_State *L) {
  int on = lua_toboolean(L, 1);
  if (on == watched) return 0;
  noted = 0;
  for (int i = 0; i < SIGNALS; i++) {
    if (on) {
      struct sigaction action;
      action.sa_handler = note;
      action.sa_flags = (int)SA_RESETHAND | SA_RESTART; /* what actions wait for is not disturbed */
      sigemptyset(&action.sa_mask);
      sigaction(signals[i], &action, &before[i]);
      if (signals[i] == SIGHUP && before[i].sa_handler == SIG_IGN) sigaction(SIGHUP, &before[i], NULL);
    } else {
      sigaction(signals[i], &before[i], NULL);
    }
  }
  watched = on;
  return 0;
}

/* core.interrupted() -> whether one was noted since */
int st_interrupt_asked(lua_State *L) {
  lua_pushboolean(L, noted != 0);
  return 1;
}
