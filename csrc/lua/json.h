/* JSON data: exact text through lua-cjson, and copies of values. */
#ifndef ST_JSON_H
#define ST_JSON_H

#include <lua.h>
#include <stddef.h>

/*
 * Pushes the table of the functions encode, decode, copy and use that lua/step/json.lua wraps;
 * luaopen_step_core calls it once, before anything else of this header is used. It requires the
 * modules "cjson" and "step.json"; errors are raised.
 */
int st_json_open(lua_State *L);

/* Bytes of the text of a value that a run keeps: any of 64 MiB, and then some. One of 7 times as many is surely refused. */
#define ST_JSON_VALUE ((size_t)72 << 20)

/*
 * Copies the value at idx, checking on the way that it is JSON data, and no more than ST_JSON_VALUE. Returns 1 with the copy
 * pushed, or 0 with a message pushed that begins with the path of what is wrong, "$.a[3].b: ...".
 * nil is copied to nil. Scalars allocate nothing. Shared subtables are copied as often as they
 * occur, as text would hold them. Raises memory errors; calls no metamethod.
 */
int st_json_copy(lua_State *L, int idx);

/*
 * Pushes the text of the value at idx and returns 1, or a message and the path of what is wrong and
 * returns 0.
 */
int st_json_text(lua_State *L, int idx);

/* Has the text at idx be UTF-8: U+FFFD takes the place of each byte that is none. */
void st_json_mend(lua_State *L, int idx);

/* Pushes the metatable of arrays, json.array_mt. */
void st_json_array_mt(lua_State *L);

#endif
