/* retry.h - how long a step waits before it is tried again (S6.5, D17). */
#ifndef ST_RETRY_H
#define ST_RETRY_H

#include <stddef.h>
#include <stdint.h>

typedef enum st_pattern { ST_SECONDS, ST_MINUTES, ST_HOURS } st_pattern;

/* Seconds until the next try after `tries` tries; never less than the first delay. */
double st_retry_delay(st_pattern pattern, uint32_t tries);

/* The pattern of that name ("" is seconds), or -1. */
int st_pattern_find(const char *name, size_t len);

#endif
