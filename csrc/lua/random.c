/* Random bytes of the system: ids of runs, what templates ask for. */

#define _DEFAULT_SOURCE /* getentropy; POSIX has it since 2024 */
#define _DARWIN_C_SOURCE

#include "binding.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
  AT_ONCE = 256, /* bytes: getentropy gives no more */
  MOST = 1 << 26 /* bytes: an output holds no more */
};

/* core.random(n) -> n bytes */
int st_random(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= MOST, 1, "0 to 67108864 expected");
  luaL_Buffer buffer;
  char *bytes = luaL_buffinitsize(L, &buffer, (size_t)n);
  for (lua_Integer done = 0; done < n; done += AT_ONCE) {
    size_t part = n - done < AT_ONCE ? (size_t)(n - done) : AT_ONCE;
    if (getentropy(bytes + done, part) != 0)
      return luaL_error(L, "the system gives no random bytes: %s", strerror(errno));
  }
  luaL_pushresultsize(&buffer, (size_t)n);
  return 1;
}
