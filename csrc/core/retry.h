/* retry.h - how long a step waits before it is tried again (S6.5, D17). */
#ifndef ST_RETRY_H
#define ST_RETRY_H

#include <stddef.h>
#include <stdint.h>

typedef enum st_pattern { ST_SECONDS, ST_MINUTES, ST_HOURS, ST_PATTERNS } st_pattern;

/* The delay after n tries is `initial` * `factor`^(n - 1) + `more` * (n - 1) seconds, at most `cap`. `jitter`, 0 to 1, spreads
** it evenly over that part of it to both sides. */
typedef struct st_policy {
  double initial, factor, more, cap, jitter;
} st_policy;

/* The three patterns. */
extern const st_policy st_patterns[ST_PATTERNS];

/* Seconds until the next try after `tries` tries; before any it is the first delay. `seed` is what the jitter is made of: the
** same one, the same delay. */
double st_retry_delay(const st_policy *policy, uint32_t tries, uint64_t seed);

/* The pattern of that name ("" is seconds), or -1. */
int st_pattern_find(const char *name, size_t len);

/* Makes a seed of another one and a number. */
uint64_t st_retry_seed(uint64_t seed, uint64_t number);

#endif
