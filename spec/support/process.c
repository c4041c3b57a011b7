/* process.c - processes for specs: fork, signals, waiting for children. What POSIX has, with the errors of Lua's own library. */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <lauxlib.h>
#include <lua.h>
#include <signal.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* process.fork() -> pid, 0 in the child | nil, message */
static int process_fork(lua_State *L) {
  pid_t pid = fork();
  if (pid < 0) return luaL_fileresult(L, 0, "fork");
  lua_pushinteger(L, pid);
  return 1;
}

/* process.kill(pid, "KILL"|"STOP"|"CONT") -> true | nil, message */
static int process_kill(lua_State *L) {
  static const char *const names[] = { "KILL", "STOP", "CONT", NULL };
  static const int numbers[] = { SIGKILL, SIGSTOP, SIGCONT };
  pid_t pid = (pid_t)luaL_checkinteger(L, 1);
  luaL_argcheck(L, pid > 1, 1, "a child's number expected"); /* others mean a group, or everybody */
  return luaL_fileresult(L, kill(pid, numbers[luaL_checkoption(L, 2, NULL, names)]) == 0, "kill");
}

/* process.wait(pid) -> "exit"|"signal", number | nothing while it lives | nil, message */
static int process_wait(lua_State *L) {
  int status;
  pid_t pid = waitpid((pid_t)luaL_checkinteger(L, 1), &status, WNOHANG);
  if (pid == 0) return 0;
  if (pid < 0) return luaL_fileresult(L, 0, "waitpid");
  lua_pushstring(L, WIFEXITED(status) ? "exit" : "signal");
  lua_pushinteger(L, WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  return 2;
}

/* process.exit(code): at once, without finalizers and without writing what is buffered. */
static int process_exit(lua_State *L) { _exit((int)luaL_checkinteger(L, 1)); }

static int process_pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* process.now() -> seconds since the epoch */
static int process_now(lua_State *L) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  lua_pushnumber(L, (double)t.tv_sec + (double)t.tv_nsec / 1e9);
  return 1;
}

/* process.sleep(seconds); a signal may end it early */
static int process_sleep(lua_State *L) {
  double seconds = luaL_checknumber(L, 1);
  luaL_argcheck(L, seconds >= 0 && seconds < 1e6, 1, "seconds expected");
  struct timespec t;
  t.tv_sec = (time_t)seconds;
  t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
  nanosleep(&t, NULL);
  return 0;
}

__attribute__((visibility("default"))) int luaopen_spec_process(lua_State *L);

int luaopen_spec_process(lua_State *L) {
  static const luaL_Reg functions[] = { { "fork", process_fork },   { "kill", process_kill },
                                        { "wait", process_wait },   { "exit", process_exit },
                                        { "pid", process_pid },     { "now", process_now },
                                        { "sleep", process_sleep }, { NULL, NULL } };
  luaL_newlib(L, functions);
  return 1;
}
