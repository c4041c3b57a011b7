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

static int refused(lua_State *L) { return luaL_error(L, "the system gives no random bytes: %s", strerror(errno)); }

/* core.random(n) -> n bytes */
int st_random(lua_State *L) {
  lua_Integer n = luaL_checkinteger(L, 1);
  luaL_argcheck(L, n >= 0 && n <= MOST, 1, "0 to 67108864 expected");
  luaL_Buffer buffer;
  char *bytes = luaL_buffinitsize(L, &buffer, (size_t)n);
  for (lua_Integer done = 0; done < n; done += AT_ONCE) {
    size_t part = n - done < AT_ONCE ? (size_t)(n - done) : AT_ONCE;
    if (getentropy(bytes + done, part) != 0) return refused(L);
  }
  luaL_pushresultsize(&buffer, (size_t)n);
  return 1;
}

/* core.uuid() -> a UUID of version 4 */
int st_uuid(lua_State *L) {
  static const char digits[] = "0123456789abcdef";
  unsigned char bytes[16];
  char text[36], *p = text;
  if (getentropy(bytes, sizeof bytes) != 0) return refused(L);
  bytes[6] = (unsigned char)(0x40 | (bytes[6] & 0x0f));
  bytes[8] = (unsigned char)(0x80 | (bytes[8] & 0x3f));
  for (int i = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) *p++ = '-';
    *p++ = digits[bytes[i] >> 4];
    *p++ = digits[bytes[i] & 15];
  }
  lua_pushlstring(L, text, sizeof text);
  return 1;
}
