/*
 * Memory. Two families: tide_x* for small control structures (abort when memory is
 * exhausted) and tide_alloc_try for bulk data (returns NULL, so that callers can
 * report TIDE_ENOMEM or spill). Both are released with tide_free. Thread-safe like malloc.
 */
#ifndef TIDE_BASE_ALLOC_H
#define TIDE_BASE_ALLOC_H

#include <stddef.h>

void *tide_xmalloc(size_t size);
void *tide_xcalloc(size_t count, size_t size);
void *tide_xrealloc(void *ptr, size_t size);
char *tide_xstrdup(const char *text);
void *tide_xmemdup(const void *data, size_t size);

/* NULL when memory is gone or the fault "alloc" is armed. */
void *tide_alloc_try(size_t size);
void *tide_realloc_try(void *ptr, size_t size);

void tide_free(void *ptr);

#endif
