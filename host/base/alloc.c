/*
 * The two families of allocation. Called by every layer on every thread. The aborting family logs a
 * line first, so that the user learns the reason.
 */
#include "base/alloc.h"

#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/stress.h"

static void *or_abort(void *ptr, size_t size) {
    if (ptr) return ptr;
    tide_log(TIDE_LOG_ERROR, "memory", "out of memory: %zu bytes asked for; the process ends here", size);
    abort();
}

/* malloc(0) may give NULL, which would look like exhaustion. */
static size_t at_least_one(size_t size) { return size ? size : 1; }

/* Under memory stress: freed memory is overwritten, so that later reads of it show. */
static void spoil_and_free(void *ptr) {
    if (ptr) memset(ptr, TIDE_STRESS_FILL, malloc_usable_size(ptr));
    __asm__ volatile(""
                     :
                     : "r"(ptr)
                     : "memory"); /* otherwise the compiler drops writes to memory that is about to be freed */
    free(ptr);
}

/* Always moves. */
static void *move(void *ptr, size_t size) {
    size_t before = ptr ? malloc_usable_size(ptr) : 0;
    void *moved = malloc(size);

    if (!moved) return NULL;
    if (before) memcpy(moved, ptr, before < size ? before : size);
    spoil_and_free(ptr);
    return moved;
}

static void *resize(void *ptr, size_t size) {
    size = at_least_one(size);
    return tide_stress() ? move(ptr, size) : realloc(ptr, size);
}

void *tide_xmalloc(size_t size) { return or_abort(malloc(at_least_one(size)), size); }

void *tide_xcalloc(size_t count, size_t size) {
    void *ptr = count && size ? calloc(count, size) : calloc(1, 1);

    return or_abort(ptr, size && count > SIZE_MAX / size ? SIZE_MAX : count * size);
}

void *tide_xrealloc(void *ptr, size_t size) { return or_abort(resize(ptr, size), size); }

char *tide_xstrdup(const char *text) { return tide_xmemdup(text, strlen(text) + 1); }

void *tide_xmemdup(const void *data, size_t size) {
    void *copy = tide_xmalloc(size);

    if (size) memcpy(copy, data, size);
    return copy;
}

void *tide_alloc_try(size_t size) {
    if (tide_fault("alloc")) return NULL;
    return malloc(at_least_one(size));
}

void *tide_realloc_try(void *ptr, size_t size) {
    if (tide_fault("alloc")) return NULL;
    return resize(ptr, size);
}

void tide_free(void *ptr) {
    if (tide_stress()) spoil_and_free(ptr);
    else free(ptr);
}
