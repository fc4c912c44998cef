/*
 * Growing arrays. The owner has a pointer to the items, their number and the number that there is room for
 * (uint32_t); all three start as zero, and the items are released with tide_free. Header only, not thread-safe.
 *
 *     TIDE_ARRAY_RESERVE(queue->items, queue->capacity, queue->count + 1);
 *     queue->items[queue->count++] = item;
 */
#ifndef TIDE_BASE_ARRAY_H
#define TIDE_BASE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/alloc.h"

enum { TIDE_ARRAY_FIRST = 8 };

/* Makes room for `needed` items. Aborts when memory is gone. */
#define TIDE_ARRAY_RESERVE(items, capacity, needed)                                                                  \
    ((void)((needed) > (capacity) && ((items) = tide_array_larger((items), &(capacity), (needed), sizeof *(items)))))

/* The same where the size comes from data: false, and nothing changed, when memory is gone. */
#define TIDE_ARRAY_RESERVE_TRY(items, capacity, needed)                                                              \
    ((needed) <= (capacity) || ({                                                                                    \
         void *tide_larger = tide_array_larger_try((items), &(capacity), (needed), sizeof *(items));                 \
         if (tide_larger) (items) = tide_larger;                                                                     \
         tide_larger;                                                                                                \
     }))

/* At least twice the room, so that a push costs the same on average however long the array becomes. */
static inline uint32_t tide_array_room(uint32_t capacity, uint32_t needed) {
    uint32_t twice = capacity > UINT32_MAX / 2 ? UINT32_MAX : capacity * 2;

    if (needed < twice) needed = twice;
    return needed < TIDE_ARRAY_FIRST ? TIDE_ARRAY_FIRST : needed;
}

static inline void *tide_array_larger(void *items, uint32_t *capacity, uint32_t needed, size_t size) {
    *capacity = tide_array_room(*capacity, needed);
    return tide_xrealloc(items, *capacity * size);
}

static inline void *tide_array_larger_try(void *items, uint32_t *capacity, uint32_t needed, size_t size) {
    uint32_t room = tide_array_room(*capacity, needed);
    void *larger = tide_realloc_try(items, room * size);

    if (larger) *capacity = room;
    return larger;
}

#endif
