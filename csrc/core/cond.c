/* cond.c - the operators of a condition's assertions. */
#include "cond.h"

#include <string.h>

const char *const st_op_names[ST_OPS] = { "EQ", "NE", "GT", "LT", "GE", "LE", "REGEXP", "NOTREGEXP", "IN", "NOTIN" };

static int upper(int c) { return c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c; }

int st_op_find(const char *name, size_t len) {
  for (int op = 0; op < ST_OPS; op++) {
    const char *p = st_op_names[op];
    size_t i = 0;
    while (i < len && p[i] != '\0' && upper((unsigned char)name[i]) == p[i]) i++;
    if (i == len && p[i] == '\0') return op;
  }
  return -1;
}

/* A number as sign, significant digits and the place of the first of them: d.ddd * 10^place. Zero
** has no digits. */
typedef struct number {
  int negative;
  const char *digit, *end; /* may hold one '.' */
  long place;
} number;

static int is_digit(const char *p, const char *end) { return p < end && *p >= '0' && *p <= '9'; }

/* 0 when the text is no number. */
static int parse(st_text t, number *n) {
  const char *p = t.p, *end = t.p + t.len;
  long exponent = 0, before = 0;
  n->negative = p < end && *p == '-';
  if (p < end && (*p == '-' || *p == '+')) p++;
  const char *first = p;
  while (is_digit(p, end)) p++;
  before = (long)(p - first);
  if (p < end && *p == '.') {
    p++;
    if (before == 0 && !is_digit(p, end)) return 0;
    while (is_digit(p, end)) p++;
  } else if (before == 0) {
    return 0;
  }
  const char *last = p;
  if (p < end && (*p == 'e' || *p == 'E')) {
    int minus = ++p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (!is_digit(p, end)) return 0;
    for (; is_digit(p, end); p++)
      if (exponent < 100000000) exponent = exponent * 10 + (*p - '0');
    if (minus) exponent = -exponent;
  }
  if (p != end) return 0;
  n->place = before - 1 + exponent;
  while (first < last && (*first == '0' || *first == '.')) { /* leading zeros */
    if (*first == '0') n->place--;
    first++;
  }
  while (last > first
         && (last[-1] == '0' || last[-1] == '.')) { /* trailing zeros; those before a '.' only shorten the text */
    last--;
  }
  n->digit = first;
  n->end = last;
  if (first == last) n->negative = 0;
  return 1;
}

static int next_digit(const char **p, const char *end) {
  if (*p < end && **p == '.') ++*p;
  return *p < end ? *(*p)++ : '0';
}

/* Of two numbers, not negative. */
static int magnitude(const number *a, const number *b) {
  int zero_a = a->digit == a->end, zero_b = b->digit == b->end;
  if (zero_a || zero_b) return zero_b - zero_a;
  if (a->place != b->place) return a->place < b->place ? -1 : 1;
  const char *p = a->digit, *q = b->digit;
  while (p < a->end || q < b->end) {
    int x = next_digit(&p, a->end), y = next_digit(&q, b->end);
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}

int st_number_compare(st_text a, st_text b, int *order, st_text *bad) {
  number x, y;
  if (!parse(a, &x)) {
    *bad = a;
    return -1;
  }
  if (!parse(b, &y)) {
    *bad = b;
    return -1;
  }
  if (x.negative != y.negative)
    *order = x.negative ? -1 : 1;
  else
    *order = x.negative ? magnitude(&y, &x) : magnitude(&x, &y);
  return 0;
}

static int same(st_text a, st_text b) { return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0); }

static int blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static st_text trim(st_text t) {
  while (t.len > 0 && blank(t.p[0])) t.p++, t.len--;
  while (t.len > 0 && blank(t.p[t.len - 1])) t.len--;
  return t;
}

/* Whether the list has the element, blanks around both aside. An empty separator separates nothing. */
static int contains(st_text list, st_text separator, st_text element) {
  element = trim(element);
  for (size_t start = 0;;) {
    size_t end = start;
    if (separator.len == 0)
      end = list.len;
    else
      while (end < list.len
             && (separator.len > list.len - end || memcmp(list.p + end, separator.p, separator.len) != 0))
        end++;
    if (same(trim((st_text){ list.p + start, end - start }), element)) return 1;
    if (end >= list.len) return 0;
    start = end + separator.len;
  }
}

int st_op_eval(st_op op, st_text value, st_text expected, st_text separator, st_text *bad) {
  int order;
  switch (op) {
  case ST_OP_EQ: return same(value, expected);
  case ST_OP_NE: return !same(value, expected);
  case ST_OP_IN: return contains(value, separator, expected);
  case ST_OP_NOTIN: return !contains(value, separator, expected);
  default: break;
  }
  if (st_number_compare(value, expected, &order, bad) != 0) return -1;
  switch (op) {
  case ST_OP_GT: return order > 0;
  case ST_OP_LT: return order < 0;
  case ST_OP_GE: return order >= 0;
  default: return order <= 0;
  }
}
