/*
 * Values to JSON text. The order of keys, the digits of numbers and the checks are ours; the
 * strings that need escapes are cjson's.
 */
#include "json_data.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of a string that cjson escapes at once: it keeps a buffer of 6 times that. */
#define CHUNK ((size_t)16 << 10)

struct entry {
  const char *s; /* the key's bytes */
  size_t n;
  lua_Integer slot; /* its place in the table of keys */
};

struct level {
  int array;
  size_t i, n;  /* value i of n is being written */
  size_t first; /* an object's: where its keys begin in `keys` */
  const void *table;
};

/*
 * The slots after `keys`, two a level: the table, and the key of an object or nil; then the value.
 */
struct writer {
  lua_State *L;
  /* Indices: the metatable, the table of keys, cjson's encode, the slot of the first level. */
  int array_mt, names, escape, levels_at;
  st_bytes text;
  st_bytes keys; /* struct entry, those of all open objects */
  int depth;
  struct level levels[ST_JSON_DEPTH];
};

/* A key as paths show it: .name, or ["other name"]. */
static void show_key(luaL_Buffer *b, const char *s, size_t n) {
  size_t i, most = n > 60 ? 57 : n;
  int name = n > 0 && n <= 60 && !st_is_digit(*s);
  for (i = 0; i < n && name; i++)
    name =
      st_is_digit(s[i]) || (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z') || s[i] == '_' || s[i] == '-';
  if (name) {
    luaL_addchar(b, '.');
    luaL_addlstring(b, s, n);
    return;
  }
  luaL_addstring(b, "[\"");
  for (i = 0; i < most;) {
    size_t len = ST_CLASS(s + i) == ST_HIGH ? st_utf8_character(s + i, s + n) : ST_CLASS(s + i) == ST_PLAIN;
    if (len > 0)
      luaL_addlstring(b, s + i, len);
    else {
      char hex[8];
      if (ST_CLASS(s + i) == ST_QUOTE || ST_CLASS(s + i) == ST_BACKSLASH)
        snprintf(hex, sizeof hex, "\\%c", s[i]);
      else
        snprintf(hex, sizeof hex, "\\x%02x", (unsigned char)s[i]);
      luaL_addstring(b, hex);
      len = 1;
    }
    i += len;
  }
  luaL_addstring(b, most < n ? "...\"]" : "\"]");
}

/*
 * Pushes the path of the value that the first `depth` levels lead to; a long one without its
 * middle.
 */
static void push_path(struct writer *w, int depth) {
  luaL_Buffer b;
  int d;
  luaL_buffinit(w->L, &b);
  luaL_addchar(&b, '$');
  for (d = 0; d < depth; d++) {
    const struct level *at = &w->levels[d];
    if (depth > 24 && d == 12) {
      luaL_addstring(&b, " ... ");
      d = depth - 12;
      at = &w->levels[d];
    }
    if (at->array) {
      char index[32];
      snprintf(index, sizeof index, "[%zu]", at->i);
      luaL_addstring(&b, index);
    } else {
      size_t n;
      const char *s = lua_tolstring(w->L, w->levels_at + 2 * d + 1, &n);
      show_key(&b, s, n);
    }
  }
  luaL_pushresult(&b);
}

static int fail(struct writer *w, const char *format, ...) {
  va_list args;
  va_start(args, format);
  lua_pushvfstring(w->L, format, args);
  va_end(args);
  return 0;
}

/*
 * Says what is wrong with the keys of the table on the top: the same for the same keys, in whatever
 * order they come.
 */
static int bad_keys(struct writer *w) {
  lua_State *L = w->L;
  const char *other = NULL, *name = NULL;
  size_t name_len = 0;
  lua_Integer least = LUA_MAXINTEGER, missing = 1;
  int integers = 0;
  luaL_Buffer b;
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pop(L, 1);
    if (lua_isinteger(L, -1)) {
      integers = 1;
      if (lua_tointeger(L, -1) < least) least = lua_tointeger(L, -1);
    } else if (lua_type(L, -1) == LUA_TSTRING) {
      size_t n;
      const char *s = lua_tolstring(L, -1, &n);
      int order = name ? memcmp(s, name, n < name_len ? n : name_len) : -1;
      if (order < 0 || (order == 0 && n < name_len)) name = s, name_len = n;
    } else {
      const char *type = lua_type(L, -1) == LUA_TNUMBER ? "float" : luaL_typename(L, -1);
      if (!other || strcmp(type, other) < 0) other = type;
    }
  }
  if (other) return fail(w, "a key is a %s; keys are strings, or 1 to n", other);
  if (name) {
    luaL_buffinit(L, &b);
    show_key(&b, name, name_len);
    luaL_pushresult(&b);
    return fail(w, integers ? "both integer keys and %s" : "an array with %s", lua_tostring(L, -1));
  }
  if (least < 1) return fail(w, "the integer keys are not 1 to n: %I is one of them", (LUAI_UACINT)least);
  for (; lua_rawgeti(L, -1, missing) != LUA_TNIL; missing++) lua_pop(L, 1);
  return fail(w, "the integer keys are not 1 to n: %I is missing", (LUAI_UACINT)missing);
}

static int compare(const void *a, const void *b) {
  const struct entry *x = a, *y = b;
  int order = memcmp(x->s, y->s, x->n < y->n ? x->n : y->n);
  return order != 0 ? order : x->n < y->n ? -1 : x->n > y->n;
}

/* Orders the keys from `first` on. */
static void sort(struct entry *first, size_t n) {
  size_t i, j;
  if (n > 16) {
    qsort(first, n, sizeof *first, compare);
    return;
  }
  for (i = 1; i < n; i++) {
    struct entry e = first[i];
    for (j = i; j > 0 && compare(&e, &first[j - 1]) < 0; j--) first[j] = first[j - 1];
    first[j] = e;
  }
}

/* Begins the table on the top: looks at all its keys, those of an object in order. */
static int enter(struct writer *w) {
  lua_State *L = w->L;
  struct level *at = &w->levels[w->depth];
  const void *table = lua_topointer(L, -1);
  int d, array;
  for (d = w->depth; d-- > 0;) {
    if (w->levels[d].table == table) {
      push_path(w, d);
      return fail(w, "a cycle: the table is also %s", lua_tostring(L, -1));
    }
  }
  if (w->depth == ST_JSON_DEPTH) return fail(w, "nested too deeply, more than %d levels", ST_JSON_DEPTH);
  if ((array = st_json_kind(L, -1, w->array_mt, &at->n)) < 0) return fail(w, "a table with __pairs is not JSON data");
  luaL_checkstack(L, 10, "JSON");
  at->array = array, at->i = 0, at->table = table, at->first = w->keys.n;
  if (array) {
    size_t seen = 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      lua_pop(L, 1);
      if (!st_json_within(L, -1, at->n)) {
        lua_pop(L, 1);
        return bad_keys(w);
      }
      seen++;
    }
    if (seen < at->n) return bad_keys(w);
    st_bytes_put(&w->text, '[');
  } else {
    lua_pushnil(L);
    while (lua_next(L, -2)) {
      struct entry e;
      lua_pop(L, 1);
      if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pop(L, 1);
        return bad_keys(w);
      }
      e.s = lua_tolstring(L, -1, &e.n);
      e.slot = (lua_Integer)(w->keys.n / sizeof e) + 1;
      st_bytes_add(&w->keys, (const char *)&e, sizeof e);
      lua_pushvalue(L, -1);
      lua_rawseti(L, w->names, e.slot);
    }
    at->n = (w->keys.n - at->first) / sizeof(struct entry);
    sort((struct entry *)(void *)(w->keys.p + at->first), at->n);
    st_bytes_put(&w->text, '{');
  }
  lua_pushnil(L);
  w->depth++;
  return 1;
}

/* The part of a string on the top, escaped by cjson, without the quotes and with "/" for "\/". */
static void add_escaped(struct writer *w) {
  lua_State *L = w->L;
  const char *p, *end, *backslash;
  size_t n = 0;
  lua_pushvalue(L, w->escape);
  lua_insert(L, -2);
  lua_call(L, 1, 1);
  p = lua_tolstring(L, -1, &n);
  if (n < 2) luaL_error(L, "cjson encodes a string to no string");
  end = p + n - 1;
  p++;
  while ((backslash = memchr(p, '\\', (size_t)(end - p))) != NULL) {
    int slash = backslash[1] == '/';
    st_bytes_add(&w->text, p, (size_t)(backslash - p) + (slash ? 0 : 2));
    p = backslash + (slash ? 1 : 2);
  }
  st_bytes_add(&w->text, p, (size_t)(end - p));
  lua_pop(L, 1);
}

/* Writes the string on the top and leaves it there. */
static int add_string(struct writer *w, const char *what) {
  size_t n, from, good;
  const char *s = lua_tolstring(w->L, -1, &n);
  if ((good = st_utf8_valid(s, n)) < n)
    return fail(w, "invalid UTF-8 at byte %I of the %s", (LUAI_UACINT)good + 1, what);
  if (n > ST_JSON_TEXT) return fail(w, "text longer than 512 MiB");
  st_bytes_put(&w->text, '"');
  for (from = 0; from < n; from += CHUNK) {
    size_t i = from, end = n - from > CHUNK ? from + CHUNK : n;
    while (i < end && (ST_CLASS(s + i) == ST_PLAIN || ST_CLASS(s + i) == ST_HIGH)) i++;
    if (i == end)
      st_bytes_add(&w->text, s + from, end - from);
    else {
      if (n <= CHUNK)
        lua_pushvalue(w->L, -1);
      else
        lua_pushlstring(w->L, s + from, end - from);
      add_escaped(w);
    }
  }
  st_bytes_put(&w->text, '"');
  return 1;
}

static void add_integer(struct writer *w, lua_Integer i) {
  char text[24], *p = text + sizeof text;
  lua_Unsigned n = i < 0 ? 0 - (lua_Unsigned)i : (lua_Unsigned)i;
  do *--p = (char)('0' + n % 10);
  while ((n /= 10) > 0);
  if (i < 0) *--p = '-';
  st_bytes_add(&w->text, p, (size_t)(text + sizeof text - p));
}

/*
 * The fewest of 15, 16 or 17 digits that read back to x: each decimal of 15 digits is a double of
 * its own. Subnormal numbers have less. An integral number gets ".0", so that it stays a float.
 */
static void add_float(struct writer *w, double x) {
  char text[64], *from, *to;
  int precision = fabs(x) < DBL_MIN ? 1 : 15, integral = 1;
  do snprintf(text, sizeof text, "%.*g", precision, x);
  while (precision++ < 17 && strtod(text, NULL) != x);
  for (from = to = text; *from; from++) {
    if (st_is_digit(*from) || *from == '-' || *from == '+')
      *to++ = *from;
    else if (*from == 'e') {
      *to++ = *from;
      integral = 0;
    } else if (integral) { /* the locale's decimal point, of one or more bytes */
      *to++ = '.';
      integral = 0;
    }
  }
  st_bytes_add(&w->text, text, (size_t)(to - text));
  if (integral) st_bytes_add(&w->text, ".0", 2);
}

/* Writes the scalar on the top and pops it. */
static int add_scalar(struct writer *w) {
  lua_State *L = w->L;
  switch (lua_type(L, -1)) {
  case LUA_TSTRING:
    if (!add_string(w, "string")) return 0;
    break;
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1))
      add_integer(w, lua_tointeger(L, -1));
    else {
      double x = lua_tonumber(L, -1);
      if (!isfinite(x)) return fail(w, "%s is not JSON data", isnan(x) ? "NaN" : x < 0 ? "-infinity" : "infinity");
      add_float(w, x);
    }
    break;
  case LUA_TBOOLEAN:
    if (lua_toboolean(L, -1))
      st_bytes_add(&w->text, "true", 4);
    else
      st_bytes_add(&w->text, "false", 5);
    break;
  case LUA_TNIL: return fail(w, "nil is not JSON data; null is");
  case LUA_TLIGHTUSERDATA:
    if (lua_touserdata(L, -1) == NULL) {
      st_bytes_add(&w->text, "null", 4);
      break;
    } /* FALLTHROUGH */
  default: return fail(w, "a %s is not JSON data", luaL_typename(L, -1));
  }
  lua_pop(L, 1);
  return 1;
}

/* Writes the value on the top. If it fails, the reason is on the top, above the levels. */
static int write(struct writer *w) {
  lua_State *L = w->L;
  for (;;) {
    struct level *at;
    if (!(lua_istable(L, -1) ? enter(w) : add_scalar(w))) return 0;
    if (w->text.n > ST_JSON_TEXT) return fail(w, "text longer than 512 MiB");
    for (;;) { /* close the tables that are done */
      if (w->depth == 0) return 1;
      at = &w->levels[w->depth - 1];
      if (at->i < at->n) break;
      st_bytes_put(&w->text, at->array ? ']' : '}');
      w->keys.n = at->first;
      w->depth--;
      lua_pop(L, 2);
    }
    if (at->i > 0) st_bytes_put(&w->text, ',');
    if (at->array)
      lua_rawgeti(L, -2, (lua_Integer)++at->i);
    else {
      struct entry e;
      memcpy(&e, w->keys.p + at->first + at->i++ * sizeof e, sizeof e);
      lua_rawgeti(L, w->names, e.slot);
      lua_replace(L, -2);
      if (!add_string(w, "key")) return 0;
      st_bytes_put(&w->text, ':');
      lua_pushvalue(L, -1);
      lua_rawget(L, -3);
    }
  }
}

int st_json_text(lua_State *L, int idx) {
  struct writer w;
  char first_text[1024];
  struct entry first_keys[32];
  int top = lua_gettop(L), ok;
  idx = lua_absindex(L, idx);
  luaL_checkstack(L, 20, "JSON");
  st_json_array_mt(L);
  lua_newtable(L);
  st_json_kept(L, ST_JSON_ENCODE);
  w.L = L;
  w.array_mt = top + 1;
  w.names = top + 2;
  w.escape = top + 3;
  w.levels_at = top + 6;
  w.depth = 0;
  st_bytes_init(&w.text, L, first_text, sizeof first_text);
  st_bytes_init(&w.keys, L, (char *)first_keys, sizeof first_keys);
  lua_pushvalue(L, idx);
  ok = write(&w);
  if (ok)
    lua_pushlstring(L, w.text.p, w.text.n);
  else {
    push_path(&w, w.depth);
    lua_pushfstring(L, "%s: %s", lua_tostring(L, -1), lua_tostring(L, -2));
  }
  lua_replace(L, top + 1);
  if (!ok) lua_replace(L, top + 2);
  lua_settop(L, ok ? top + 1 : top + 2);
  return ok;
}

int st_json_encode(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  if (st_json_text(L, 1)) return 1;
  lua_pushnil(L);
  lua_insert(L, -3);
  return 3;
}
