/* retry.c - the three retry patterns. */
#include "retry.h"

#include <string.h>

double st_retry_delay(st_pattern pattern, uint32_t tries) {
  double n = tries == 0 ? 1 : tries; /* D17: at least the first delay */
  double delay;
  switch (pattern) {
  case ST_MINUTES:
    delay = 96 * n; /* 1.6 min each */
    return delay < 1800 ? delay : 1800;
  case ST_HOURS: delay = 3600 + (n - 1) * 600; return delay < 10800 ? delay : 10800;
  case ST_SECONDS: break;
  }
  delay = 8;
  for (uint32_t i = 0; i < n && delay < 600; i++) delay *= 1.25;
  return delay < 600 ? delay : 600;
}

int st_pattern_find(const char *name, size_t len) {
  if (len == 0 || (len == 7 && memcmp(name, "seconds", 7) == 0)) return ST_SECONDS;
  if (len == 7 && memcmp(name, "minutes", 7) == 0) return ST_MINUTES;
  if (len == 5 && memcmp(name, "hours", 5) == 0) return ST_HOURS;
  return -1;
}
