/* checksum.c - two runners written in C, built from csrc/step.h and csrc/step_lua.h alone.
**
** `checksum` answers at once: the CRC-32 of a text. `slow_checksum` does the same in a thread of its own, after some time,
** and ends its call from there; the program's other steps go on meanwhile. A thread never touches Lua: all it knows is the
** host, the call, and what it copied.
*/
#include "step_lua.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((visibility("default"))) int luaopen_examples_checksum(lua_State *L);

/* ---- as much JSON as a configuration of two fields needs: the text is known to be valid ---- */

static const char *skip_blanks(const char *p) { return p + strspn(p, " \t\r\n"); }

static const char *skip_string(const char *p) {
  for (p++; *p != '"'; p++)
    if (*p == '\\') p++;
  return p + 1;
}

/* The value of a member of an object, or NULL. */
static const char *member(const char *json, const char *name) {
  size_t len = strlen(name);
  int depth = 0;
  for (const char *p = skip_blanks(json); *p != '\0';) {
    if (*p == '"') {
      const char *end = skip_string(p), *after = skip_blanks(end);
      if (depth == 1 && *after == ':' && (size_t)(end - p) == len + 2 && memcmp(p + 1, name, len) == 0)
        return skip_blanks(after + 1);
      p = end;
    } else {
      depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
      p++;
    }
  }
  return NULL;
}

static char *put_utf8(char *text, unsigned long c) {
  unsigned char *to = (unsigned char *)text;
  if (c < 0x80) {
    *to++ = (unsigned char)c;
  } else if (c < 0x800) {
    *to++ = (unsigned char)(0xc0 | c >> 6);
    *to++ = (unsigned char)(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    *to++ = (unsigned char)(0xe0 | c >> 12);
    *to++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    *to++ = (unsigned char)(0x80 | (c & 0x3f));
  } else {
    *to++ = (unsigned char)(0xf0 | c >> 18);
    *to++ = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    *to++ = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    *to++ = (unsigned char)(0x80 | (c & 0x3f));
  }
  return (char *)to;
}

/* The four hexadecimal digits after \u. */
static unsigned long unit(const char *p) {
  char digits[5] = { 0 };
  memcpy(digits, p, 4);
  return strtoul(digits, NULL, 16);
}

/* The text of a string, with its length; to be freed. NULL: no memory. */
static char *string(const char *p, size_t *len) {
  const char *end = skip_string(p) - 1;
  char *text = malloc((size_t)(end - p)), *to = text; /* no escape is shorter than what it stands for */
  if (text == NULL) return NULL;
  for (p++; p < end; p++) {
    if (*p != '\\') {
      *to++ = *p;
      continue;
    }
    static const char from[] = "bfnrt", is[] = "\b\f\n\r\t";
    const char *at = strchr(from, *++p);
    if (*p == 'u') {
      unsigned long c = unit(p + 1);
      p += 4;
      if (c >= 0xd800 && c < 0xdc00 && p[1] == '\\' && p[2] == 'u') { /* the first half of a pair */
        c = 0x10000 + ((c - 0xd800) << 10) + (unit(p + 3) - 0xdc00);
        p += 6;
      }
      to = put_utf8(to, c);
    } else if (at != NULL) {
      *to++ = is[at - from];
    } else {
      *to++ = *p;
    }
  }
  *len = (size_t)(to - text);
  return text;
}

/* ---- the work ---- */

static uint32_t crc32(const char *text, size_t len) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < len; i++) {
    crc ^= (unsigned char)text[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320u & (0u - (crc & 1)));
  }
  return ~crc;
}

/* Ends a call; when there is no memory for the result, without one. */
static void end(const step_host *host, step_call *call, const step_result *result) {
  static const step_result out_of_memory = { STEP_SERVER_FAILURE, NULL, NULL, NULL, "" };
  if (host->done(call, result) != 0) (void)host->done(call, &out_of_memory);
}

static void answer(const step_host *host, step_call *call, const char *text, size_t len) {
  char output[64], metadata[64];
  step_result result = { STEP_OK, output, metadata, NULL, NULL };
  snprintf(output, sizeof output, "{\"crc32\":\"%08lx\"}", (unsigned long)crc32(text, len));
  snprintf(metadata, sizeof metadata, "{\"bytes\":%zu}", len);
  end(host, call, &result);
}

static void fail(const step_host *host, step_call *call, step_status status, const char *why) {
  step_result result = { status, NULL, NULL, NULL, why };
  end(host, call, &result);
}

static int valid_config(void *data, const char *base_config, const char *config, char *why, size_t size) {
  const char *text = member(config, "text"), *seconds = member(config, "seconds");
  (void)data, (void)base_config;
  if (text == NULL || *text != '"') {
    snprintf(why, size, "configuration.text must be a text");
    return -1;
  }
  if (seconds != NULL && *seconds != '"' /* a template: nothing to see yet */
      && !(strchr("0123456789", *seconds) != NULL && strtod(seconds, NULL) <= 3600)) {
    snprintf(why, size, "configuration.seconds must be a number from 0 to 3600");
    return -1;
  }
  return 0;
}

static const char *metadata_schema(void *data) {
  (void)data;
  return "{\"type\":\"object\",\"properties\":{\"bytes\":{\"type\":\"integer\"}},\"additionalProperties\":false}";
}

static void checksum(void *data, const step_host *host, step_call *call, const char *step_name, const char *base_config,
                     const char *config, const char *context) {
  const char *value = member(config, "text");
  size_t len;
  (void)data, (void)step_name, (void)base_config, (void)context;
  if (value == NULL || *value != '"') {
    fail(host, call, STEP_BAD_REQUEST, "configuration.text must be a text");
    return;
  }
  char *text = string(value, &len);
  if (text == NULL) {
    fail(host, call, STEP_SERVER_FAILURE, "not enough memory");
    return;
  }
  answer(host, call, text, len);
  free(text);
}

/* ---- the same in a thread ---- */

typedef struct job {
  const step_host *host;
  step_call *call;
  double seconds;
  char *text;
  size_t len;
} job;

static void *work(void *arg) {
  job *j = arg;
  static const struct timespec slice = { 0, 10000000 };
  for (long left = (long)(j->seconds * 100); left > 0 && !j->host->cancelled(j->call); left--) nanosleep(&slice, NULL);
  answer(j->host, j->call, j->text, j->len); /* due even when nobody waits any more */
  free(j->text);
  free(j);
  return NULL;
}

static void slow_checksum(void *data, const step_host *host, step_call *call, const char *step_name,
                          const char *base_config, const char *config, const char *context) {
  const char *value = member(config, "text"), *seconds = member(config, "seconds");
  pthread_t thread;
  (void)data, (void)step_name, (void)base_config, (void)context;
  if (value == NULL || *value != '"') {
    fail(host, call, STEP_BAD_REQUEST, "configuration.text must be a text");
    return;
  }
  job *j = calloc(1, sizeof *j);
  if (j != NULL) j->text = string(value, &j->len);
  if (j == NULL || j->text == NULL) {
    free(j);
    fail(host, call, STEP_SERVER_FAILURE, "not enough memory");
    return;
  }
  j->host = host;
  j->call = call;
  if (seconds != NULL) j->seconds = strtod(seconds + (*seconds == '"'), NULL); /* a template gives a text */
  if (pthread_create(&thread, NULL, work, j) != 0) {
    free(j->text);
    free(j);
    fail(host, call, STEP_SERVER_FAILURE, "no thread can be started"); /* a later try may have more luck */
    return;
  }
  pthread_detach(thread);
}

/* require "examples.checksum" -> { checksum = runner, slow_checksum = runner } */
int luaopen_examples_checksum(lua_State *L) {
  static const step_runner runners[] = {
    { STEP_RUNNER_VERSION, NULL, checksum, valid_config, NULL, metadata_schema, NULL },
    { STEP_RUNNER_VERSION, NULL, slow_checksum, valid_config, NULL, metadata_schema, NULL },
  };
  lua_createtable(L, 0, 2);
  step_lua_push(L, &runners[0]);
  lua_setfield(L, -2, "checksum");
  step_lua_push(L, &runners[1]);
  lua_setfield(L, -2, "slow_checksum");
  return 1;
}
