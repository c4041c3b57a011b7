/* cond.h - the operators of a condition's assertions (S3.2, D12). */
#ifndef ST_COND_H
#define ST_COND_H

#include <stddef.h>

typedef enum st_op {
  ST_OP_EQ,
  ST_OP_NE,
  ST_OP_GT,
  ST_OP_LT,
  ST_OP_GE,
  ST_OP_LE,
  ST_OP_REGEXP, /* regular expressions are not the core's: the binding asks its library */
  ST_OP_NOTREGEXP,
  ST_OP_IN,
  ST_OP_NOTIN,
  ST_OPS
} st_op;

typedef struct st_text {
  const char *p;
  size_t len;
} st_text;

/* Names in the order of st_op. */
extern const char *const st_op_names[ST_OPS];

/* The operator of that name in any case, or -1. */
int st_op_find(const char *name, size_t len);

/* 1 the assertion holds, 0 it does not, -1 `*bad` should be a number and is not. `separator` is
** that of IN and NOTIN. REGEXP and NOTREGEXP must not be asked for. */
int st_op_eval(st_op op, st_text value, st_text expected, st_text separator, st_text *bad);

/* Compares two numbers of any length exactly, written as an integer or a decimal with an optional
** exponent: -1, 0, 1 into *order. Returns -1 with *bad set when one of them is none. */
int st_number_compare(st_text a, st_text b, int *order, st_text *bad);

#endif
