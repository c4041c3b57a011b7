/* alloc.h - the allocator that every object of the core is given. Its shape is lua_Alloc's. */
#ifndef ST_ALLOC_H
#define ST_ALLOC_H

#include <stddef.h>
#include <stdint.h>

/* Frees when nsize is 0, else resizes; NULL when it cannot, the old block then stays valid.
** Shrinking may fail too: callers ignore that. */
typedef void *(*st_realloc)(void *ud, void *ptr, size_t osize, size_t nsize);

typedef struct st_alloc {
  st_realloc fn;
  void *ud;
} st_alloc;

static inline void *st_resize(const st_alloc *a, void *ptr, size_t osize, size_t nsize) {
  return a->fn(a->ud, ptr, osize, nsize);
}

/* An array of n elements of `size` bytes, or NULL; also when the product overflows. */
static inline void *st_array(const st_alloc *a, size_t n, size_t size) {
  return n == 0 || n > SIZE_MAX / size ? NULL : a->fn(a->ud, NULL, 0, n * size);
}

static inline void st_release(const st_alloc *a, void *ptr, size_t size) {
  if (ptr != NULL) a->fn(a->ud, ptr, size, 0);
}

#endif
