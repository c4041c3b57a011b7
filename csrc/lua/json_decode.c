/*
 * JSON text to values. scan() checks the text against RFC 8259 and rewrites what cjson would lose
 * into marks, strings that begin with a byte no UTF-8 has; cjson builds the tree; repair() walks
 * over it once, puts values for marks, makes integers of what was written without '.' and 'e', and
 * sets the metatable of arrays.
 */
#include "json_data.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_DIGITS 15 /* integers so long pass through any cjson unharmed */

/* ---- the text, checked and rewritten ---- */

/*
 * A mark is a string of the byte MARK, a kind and, for numbers, the 64 bits of the value, 7 in a
 * byte whose high bit is set: no byte of it needs an escape. No string of the text can be one:
 * scan() refuses what is no UTF-8.
 */
#define MARK '\xff'
#define MARK_BYTES 10
enum { MARK_ARRAY = '[', MARK_INTEGER = 'i', MARK_FLOAT = 'd' };

struct scan {
  const char *text, *p;
  const char *end;   /* a NUL: looking at *p is always safe, and it belongs to no token */
  const char *done;  /* the text before it is in out */
  st_bytes out;      /* the text rewritten; empty while nothing had to be */
  const char *wrong; /* what is wrong at p */
  int comma;         /* does the locale write a decimal comma? */
  int depth;
  char open[ST_JSON_DEPTH]; /* the brackets around p */
};

static int refuse(struct scan *s, const char *at, const char *wrong) {
  s->p = at, s->wrong = wrong;
  return 0;
}

/* Writes a mark in place of the text from `from` to p. */
static void mark(struct scan *s, const char *from, char kind, uint64_t bits) {
  char *q;
  st_bytes_add(&s->out, s->done, (size_t)(from - s->done));
  q = st_bytes_reserve(&s->out, MARK_BYTES + 4);
  *q++ = '"', *q++ = MARK, *q++ = kind;
  if (kind != MARK_ARRAY) {
    int i;
    for (i = 0; i < MARK_BYTES; i++, bits >>= 7) *q++ = (char)(0x80 | (bits & 0x7f));
  }
  *q++ = '"';
  s->out.n = (size_t)(q - s->out.p);
  s->done = s->p;
}

static uint64_t unmark(const char *s) {
  uint64_t bits = 0;
  int i;
  for (i = MARK_BYTES; i-- > 0;) bits = bits << 7 | (s[2 + i] & 0x7f);
  return bits;
}

/*
 * Parts the integer that ends at p from the comma there: where the locale writes 1,5 for 1.5, and
 * was set after cjson looked at it, cjson would read on.
 */
static void separate(struct scan *s) {
  st_bytes_add(&s->out, s->done, (size_t)(s->p - s->done));
  st_bytes_put(&s->out, ' ');
  s->done = s->p;
}

static void blanks(struct scan *s) {
  while (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t') s->p++;
}

static void digits(struct scan *s) {
  while (st_is_digit(*s->p)) s->p++;
}

/* The four hexadecimal digits after \u, -1 if there are others. */
static long hex4(const char *s) {
  long code = 0;
  int i;
  for (i = 0; i < 4; i++) {
    char c = s[i];
    int d = st_is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (d < 0) return -1;
    code = code * 16 + d;
  }
  return code;
}

static int escape_sequence(struct scan *s) {
  const char *p = s->p;
  long code;
  if (p[1] != 'u') {
    if (p[1] == '\0' || strchr("\"\\/bfnrt", p[1]) == NULL) return refuse(s, p, "invalid escape");
    s->p += 2;
    return 1;
  }
  if ((code = hex4(p + 2)) < 0) return refuse(s, p, "\\u without four hexadecimal digits");
  s->p += 6;
  if (code < 0xd800 || code > 0xdfff) return 1;
  if (code >= 0xdc00 || s->p[0] != '\\' || s->p[1] != 'u' || (hex4(s->p + 2) & ~0x3ffL) != 0xdc00)
    return refuse(s, p, "escape of half a surrogate pair");
  s->p += 6;
  return 1;
}

static int string(struct scan *s) {
  s->p++;
  for (;;) {
    size_t n;
    while (ST_CLASS(s->p) == ST_PLAIN) s->p++;
    switch (ST_CLASS(s->p)) {
    case ST_QUOTE: s->p++; return 1;
    case ST_BACKSLASH:
      if (!escape_sequence(s)) return 0;
      break;
    case ST_DELETE: s->p++; break;
    case ST_HIGH:
      if ((n = st_utf8_character(s->p, s->end)) == 0) return refuse(s, s->p, "invalid UTF-8");
      s->p += n;
      break;
    default: return refuse(s, s->p, s->p == s->end ? "string without end" : "control character in a string");
    }
  }
}

/* The double nearest to the number from `from` to p. */
static double nearest(struct scan *s, const char *from) {
  char *stop;
  double x = strtod(from, &stop);
  if (stop != s->p) { /* the locale writes decimals in another way? */
    const char *point = localeconv()->decimal_point;
    size_t n = strlen(point);
    char *q = st_bytes_reserve(&s->out, (size_t)(s->p - from) + n + 1);
    const char *copy = q;
    for (; from < s->p; from++) {
      if (*from == '.') {
        memcpy(q, point, n);
        q += n;
      } else
        *q++ = *from;
    }
    *q = '\0';
    x = strtod(copy, NULL);
  }
  return x;
}

static int number(struct scan *s) {
  const char *from = s->p, *first;
  int integer = 1;
  if (*s->p == '-') s->p++;
  first = s->p;
  if (!st_is_digit(*first)) return refuse(s, s->p, "a digit expected");
  digits(s);
  if (*first == '0' && s->p > first + 1) return refuse(s, first, "number with a leading zero");
  if (*s->p == '.') {
    integer = 0;
    s->p++;
    if (!st_is_digit(*s->p)) return refuse(s, s->p, "a digit expected");
    digits(s);
  }
  if (*s->p == 'e' || *s->p == 'E') {
    integer = 0;
    s->p++;
    if (*s->p == '+' || *s->p == '-') s->p++;
    if (!st_is_digit(*s->p)) return refuse(s, s->p, "a digit expected");
    digits(s);
  }
  if (integer && s->p - first <= PLAIN_DIGITS) {
    if (s->comma && *s->p == ',') separate(s);
    return 1;
  }
  if (integer && s->p - first <= 19) { /* no overflow of 64 bits */
    uint64_t n = 0, max = (uint64_t)LUA_MAXINTEGER + (*from == '-');
    const char *p;
    for (p = first; p < s->p; p++) n = n * 10 + (uint64_t)(*p - '0');
    if (n <= max) {
      mark(s, from, MARK_INTEGER, *from == '-' ? 0 - n : n);
      return 1;
    }
  }
  {
    double x = nearest(s, from);
    uint64_t bits;
    if (isinf(x)) return refuse(s, from, "number beyond the largest double");
    memcpy(&bits, &x, sizeof bits);
    mark(s, from, MARK_FLOAT, bits);
  }
  return 1;
}

/* `{"key":` or `,"key":` was begun: the rest of it. */
static int key(struct scan *s) {
  blanks(s);
  if (*s->p != '"') return refuse(s, s->p, "a key in quotes expected");
  if (!string(s)) return 0;
  blanks(s);
  if (*s->p != ':') return refuse(s, s->p, "':' expected");
  s->p++;
  return 1;
}

static int word(struct scan *s, const char *text, size_t n) {
  if (strncmp(s->p, text, n) != 0) return refuse(s, s->p, "a value expected");
  s->p += n;
  return 1;
}

/* A value up to its end, or to the place where the first value inside it begins: *inside tells. */
static int value(struct scan *s, int *inside) {
  const char *from = s->p;
  *inside = 0;
  switch (*s->p) {
  case '"': return string(s);
  case 't': return word(s, "true", 4);
  case 'f': return word(s, "false", 5);
  case 'n': return word(s, "null", 4);
  case '[':
  case '{':
    if (s->depth == ST_JSON_DEPTH) return refuse(s, s->p, "nested too deeply, more than 1000 levels");
    s->p++;
    blanks(s);
    if (*from == '[' ? *s->p == ']' : *s->p == '}') {
      s->p++;
      if (*from == '[') mark(s, from, MARK_ARRAY, 0);
      return 1;
    }
    s->open[s->depth++] = *from;
    *inside = 1;
    return *from == '[' || key(s);
  default:
    if (*s->p == '-' || st_is_digit(*s->p)) return number(s);
    return refuse(s, s->p, "a value expected");
  }
}

/* What follows a value: closing brackets, and a comma when another value comes (*more). */
static int follow(struct scan *s, int *more) {
  for (;; s->depth--) {
    blanks(s);
    *more = s->depth > 0;
    if (s->depth == 0) return s->p == s->end || refuse(s, s->p, "the end of the text expected");
    if (*s->p == ',') {
      s->p++;
      return s->open[s->depth - 1] == '[' || key(s);
    }
    if (s->open[s->depth - 1] == '[') {
      if (*s->p != ']') return refuse(s, s->p, "',' or ']' expected");
    } else if (*s->p != '}')
      return refuse(s, s->p, "',' or '}' expected");
    s->p++;
  }
}

static int scan(struct scan *s) {
  int more = 1;
  if ((size_t)(s->end - s->text) > ST_JSON_TEXT) return refuse(s, s->p, "text longer than 512 MiB");
  if (strncmp(s->p, "\xef\xbb\xbf", 3) == 0) return refuse(s, s->p, "byte order mark");
  while (more) {
    int inside;
    blanks(s);
    if (!value(s, &inside)) return 0;
    if (!inside && !follow(s, &more)) return 0;
  }
  if (s->out.n > 0) st_bytes_add(&s->out, s->done, (size_t)(s->end - s->done));
  return 1;
}

static int complain(lua_State *L, const struct scan *s) {
  lua_Integer line = 1, column = 1;
  const char *p;
  char found[32];
  for (p = s->text; p < s->p; p++) {
    if (*p == '\n')
      line++, column = 1;
    else if ((*p & 0xc0) != 0x80)
      column++;
  }
  if (s->p == s->end)
    strcpy(found, "the end of the text");
  else if (ST_CLASS(s->p) < ST_DELETE)
    snprintf(found, sizeof found, "'%c'", *s->p);
  else if (st_utf8_character(s->p, s->end) > 0)
    snprintf(found, sizeof found, "'%.*s'", (int)st_utf8_character(s->p, s->end), s->p);
  else
    snprintf(found, sizeof found, "byte 0x%02x", (unsigned char)*s->p);
  lua_pushnil(L);
  lua_pushfstring(L, "line %I, column %I: %s, found %s", line, column, s->wrong, found);
  lua_pushinteger(L, line);
  lua_pushinteger(L, column);
  lua_pushinteger(L, (lua_Integer)(s->p - s->text) + 1);
  return 5;
}

/* ---- the tree, repaired ---- */

/* The scalar on the top as it was written; 0 if it is that already. */
static int mend(lua_State *L, int array_mt) {
  const char *s;
  uint64_t bits;
  double x;
  switch (lua_type(L, -1)) {
  case LUA_TNUMBER:
    if (lua_isinteger(L, -1)) return 0;
    lua_pushinteger(L, (lua_Integer)lua_tonumber(L, -1)); /* at most 15 digits and no '.' */
    break;
  case LUA_TSTRING:
    s = lua_tostring(L, -1);
    if (s[0] != MARK) return 0;
    if (s[1] == MARK_ARRAY) {
      lua_newtable(L);
      lua_pushvalue(L, array_mt);
      lua_setmetatable(L, -2);
      break;
    }
    bits = unmark(s);
    memcpy(&x, &bits, sizeof x);
    if (s[1] == MARK_INTEGER)
      lua_pushinteger(L, (lua_Integer)bits);
    else
      lua_pushnumber(L, x);
    break;
  default: return 0;
  }
  lua_replace(L, -2);
  return 1;
}

/*
 * Repairs the value on the top in place. On the stack two slots a level: the table, and the key of
 * an object or nil. A table with a length is an array: cjson makes keys of objects strings,
 * whatever they look like, and knows no holes.
 */
static void repair(lua_State *L, int array_mt) {
  struct {
    lua_Integer i, n;
  } levels[ST_JSON_DEPTH + 1], *at = levels; /* the first is nobody's */
  for (;;) {
    if (lua_istable(L, -1)) {
      luaL_checkstack(L, 10, "JSON");
      at++;
      at->i = 0, at->n = (lua_Integer)lua_rawlen(L, -1);
      if (at->n > 0) {
        lua_pushvalue(L, array_mt);
        lua_setmetatable(L, -2);
      }
      lua_pushnil(L);
    } else {
      int changed = mend(L, array_mt);
      if (at == levels) return;
      if (!changed)
        lua_pop(L, 1);
      else if (at->n > 0)
        lua_rawseti(L, -3, at->i);
      else {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
      }
    }
    while (at->n > 0 ? at->i == at->n : !lua_next(L, -2)) { /* this table is done? */
      if (at->n > 0) lua_pop(L, 1);
      if (--at == levels) return;
      lua_pop(L, 1);
    }
    if (at->n > 0) lua_rawgeti(L, -2, ++at->i);
  }
}

int st_json_decode(lua_State *L) {
  char first[512];
  struct scan s;
  size_t n;
  luaL_checktype(L, 1, LUA_TSTRING);
  lua_settop(L, 1);
  st_json_array_mt(L); /* 2 */
  s.text = s.p = s.done = lua_tolstring(L, 1, &n);
  s.end = s.text + n;
  s.comma = *localeconv()->decimal_point == ',';
  s.depth = 0;
  st_bytes_init(&s.out, L, first, sizeof first);
  if (!scan(&s)) return complain(L, &s);
  st_json_kept(L, ST_JSON_DECODE);
  if (s.out.n > 0) {
    lua_pushlstring(L, s.out.p, s.out.n);
    lua_pushnil(L);
    lua_replace(L, s.out.slot);
  } else
    lua_pushvalue(L, 1);
  lua_call(L, 1, 1);
  if (lua_isnil(L, -1)) return luaL_error(L, "cjson decodes to nothing");
  repair(L, 2);
  return 1;
}
