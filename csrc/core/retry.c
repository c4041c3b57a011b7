/* retry.c - retry policies, and the three patterns, which are policies with a name. */
#include "retry.h"

#include <string.h>

const st_policy st_patterns[ST_PATTERNS] = {
  [ST_SECONDS] = { .initial = 10, .factor = 1.25, .cap = 600 },
  [ST_MINUTES] = { .initial = 96, .factor = 1, .more = 96, .cap = 1800 },
  [ST_HOURS] = { .initial = 3600, .factor = 1, .more = 600, .cap = 10800 },
};

static double power(double base, uint32_t n) {
  double result = 1;
  for (; n > 0; n >>= 1) {
    if (n & 1) result *= base;
    base *= base;
  }
  return result;
}

uint64_t st_retry_seed(uint64_t seed, uint64_t number) { /* a step of splitmix64 */
  uint64_t x = seed + (number + 1) * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

double st_retry_delay(const st_policy *p, uint32_t tries, uint64_t seed) {
  uint32_t n = tries == 0 ? 0 : tries - 1; /* D17: at least the first delay */
  double delay = p->initial == 0 ? 0 : p->initial * power(p->factor, n);
  delay += p->more * n;
  if (delay > p->cap) delay = p->cap;
  if (p->jitter == 0) return delay;
  double even = (double)(st_retry_seed(seed, tries) >> 11) / 9007199254740992.0; /* 0 <= even < 1 */
  return delay * (1 - p->jitter + 2 * p->jitter * even);
}

int st_pattern_find(const char *name, size_t len) {
  if (len == 0 || (len == 7 && memcmp(name, "seconds", 7) == 0)) return ST_SECONDS;
  if (len == 7 && memcmp(name, "minutes", 7) == 0) return ST_MINUTES;
  if (len == 5 && memcmp(name, "hours", 5) == 0) return ST_HOURS;
  return -1;
}
