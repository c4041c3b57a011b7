/* What the files of JSON share: limits, bytes that grow, UTF-8, and which tables are arrays. */
#ifndef ST_JSON_DATA_H
#define ST_JSON_DATA_H

#include "json.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <lauxlib.h>

#if LUA_FLOAT_TYPE != LUA_FLOAT_DOUBLE || LUA_INT_TYPE != LUA_INT_LONGLONG
#error "step needs Lua with 64-bit integers and doubles"
#endif

/* Tables, or brackets, inside one another. */
#define ST_JSON_DEPTH 1000

/* Bytes of a text; rewritten it has up to 3.75 times as many, and cjson counts them in an int. */
#define ST_JSON_TEXT ((size_t)512 << 20)

/*
 * Bytes on the C stack while they are few, then in a userdata that a slot of the Lua stack holds:
 * an error frees them.
 */
typedef struct st_bytes {
  lua_State *L;
  int slot;
  char *p;
  size_t n, size;
} st_bytes;

/* Pushes a slot. `first` is used up to `size` bytes. */
void st_bytes_init(st_bytes *b, lua_State *L, char *first, size_t size);
void st_bytes_grow(st_bytes *b, size_t more);

/* Room for `more` bytes. */
static inline char *st_bytes_reserve(st_bytes *b, size_t more) {
  if (b->size - b->n < more) st_bytes_grow(b, more);
  return b->p + b->n;
}

static inline void st_bytes_add(st_bytes *b, const char *s, size_t n) {
  memcpy(st_bytes_reserve(b, n), s, n);
  b->n += n;
}

static inline void st_bytes_put(st_bytes *b, char c) {
  *st_bytes_reserve(b, 1) = c;
  b->n++;
}

/* What a byte is in a JSON string. */
enum {
  ST_PLAIN,     /* stands there as it is */
  ST_QUOTE,     /* " */
  ST_BACKSLASH, /* \ */
  ST_DELETE,    /* may stand there; cjson escapes it */
  ST_CONTROL,   /* may not */
  ST_HIGH       /* part of a character of several bytes, or of none */
};

extern const unsigned char st_class[256];
#define ST_CLASS(p) st_class[(unsigned char)*(p)]

static inline int st_is_digit(char c) { return c >= '0' && c <= '9'; }

/*
 * Length of the character of several bytes at s, 0 if there is none: overlong, surrogate, above
 * U+10FFFF, cut off.
 */
size_t st_utf8_character(const char *s, const char *end);

/* How many bytes at the beginning of s are UTF-8: n if all. */
size_t st_utf8_valid(const char *s, size_t n);

/*
 * What the table at t is: 1 an array of *n values, 0 an object, -1 neither, as it stands for
 * something else. Its keys are still to be looked at: those of an array must be the *n that
 * st_json_within takes, those of an object strings.
 */
int st_json_kind(lua_State *L, int t, int array_mt, size_t *n);

/* Is the key at k one of 1 to n? */
int st_json_within(lua_State *L, int k, size_t n);

/*
 * What is kept in the registry. encode and decode are of a cjson of our own: the program's settings
 * stay its own.
 */
enum st_json_kept { ST_JSON_ARRAY_MT, ST_JSON_ENCODE, ST_JSON_DECODE };
void st_json_kept(lua_State *L, enum st_json_kept what);

/* Functions of the module: encode(value) -> text, or nil, message, path. */
int st_json_encode(lua_State *L);

/*
 * decode(text) -> value, or nil, message, line, column, offset: 1-based, the column in characters,
 * the offset in bytes.
 */
int st_json_decode(lua_State *L);

#endif
