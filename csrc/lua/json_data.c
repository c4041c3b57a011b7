/* What the files of JSON share: bytes that grow, UTF-8, and which tables are arrays. */
#include "json_data.h"

void st_bytes_init(st_bytes *b, lua_State *L, char *first, size_t size) {
  lua_pushnil(L);
  b->L = L;
  b->slot = lua_gettop(L);
  b->p = first;
  b->n = 0;
  b->size = size;
}

void st_bytes_grow(st_bytes *b, size_t more) {
  size_t size = b->size;
  char *p;
  if (more > SIZE_MAX / 4 - b->n) luaL_error(b->L, "JSON text too long");
  do size *= 2;
  while (size - b->n < more);
  p = lua_newuserdatauv(b->L, size, 0);
  memcpy(p, b->p, b->n);
  lua_replace(b->L, b->slot);
  b->p = p;
  b->size = size;
}

/* clang-format off */
#define FOUR(n, is) [n] = (is), [(n) + 1] = (is), [(n) + 2] = (is), [(n) + 3] = (is)
#define ROW(n, is) FOUR(n, is), FOUR((n) + 4, is), FOUR((n) + 8, is), FOUR((n) + 12, is)

const unsigned char st_class[256] = {
  ROW(0x00, ST_CONTROL), ROW(0x10, ST_CONTROL),
  ['"'] = ST_QUOTE, ['\\'] = ST_BACKSLASH, [0x7f] = ST_DELETE,
  ROW(0x80, ST_HIGH), ROW(0x90, ST_HIGH), ROW(0xa0, ST_HIGH), ROW(0xb0, ST_HIGH),
  ROW(0xc0, ST_HIGH), ROW(0xd0, ST_HIGH), ROW(0xe0, ST_HIGH), ROW(0xf0, ST_HIGH)
};
/* clang-format on */

size_t st_utf8_character(const char *s, const char *end) {
  const unsigned char *p = (const unsigned char *)s;
  size_t n = p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
  size_t i;
  if (n == 0 || (size_t)(end - s) < n) return 0;
  for (i = 1; i < n; i++)
    if ((p[i] & 0xc0) != 0x80) return 0;
  if (p[0] == 0xe0 && p[1] < 0xa0) return 0; /* overlong */
  if (p[0] == 0xed && p[1] > 0x9f) return 0; /* surrogate */
  if (p[0] == 0xf0 && p[1] < 0x90) return 0; /* overlong */
  if (p[0] == 0xf4 && p[1] > 0x8f) return 0; /* above */
  return n;
}

size_t st_utf8_valid(const char *s, size_t n) {
  const char *p = s, *end = s + n;
  while (p < end) {
    uint64_t eight;
    size_t len = 1;
    if (end - p >= 8 && (memcpy(&eight, p, 8), (eight & 0x8080808080808080u) == 0))
      len = 8;
    else if (*p & 0x80 && (len = st_utf8_character(p, end)) == 0)
      break;
    p += len;
  }
  return (size_t)(p - s);
}

/* See json.h. */
void st_json_mend(lua_State *L, int i) {
  size_t n;
  const char *s = lua_tolstring(L, i, &n), *end = s + n;
  size_t good = st_utf8_valid(s, n);
  if (good == n) return;
  i = lua_absindex(L, i);
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  while (s < end) {
    luaL_addlstring(&b, s, good);
    s += good;
    if (s == end) break;
    luaL_addlstring(&b, "\xef\xbf\xbd", 3); /* U+FFFD */
    s++;
    good = st_utf8_valid(s, (size_t)(end - s));
  }
  luaL_pushresult(&b);
  lua_replace(L, i);
}

int st_json_kind(lua_State *L, int t, int array_mt, size_t *n) {
  *n = (size_t)lua_rawlen(L, t);
  if (lua_getmetatable(L, t)) {
    int array = lua_rawequal(L, -1, array_mt);
    if (!array) {
      lua_pushliteral(L, "__pairs");
      if (lua_rawget(L, -2) != LUA_TNIL) {
        lua_pop(L, 2);
        return -1;
      }
      lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (array) return 1;
  }
  return *n > 0;
}

int st_json_within(lua_State *L, int k, size_t n) {
  return lua_isinteger(L, k) && (lua_Unsigned)lua_tointeger(L, k) - 1 < n;
}
