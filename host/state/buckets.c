/*
 * Segments of a key group's directory (see buckets.h). Called by the store's owner.
 */
#include "state/buckets.h"

#include "base/alloc.h"

enum { ENTRY = 4 * sizeof(void *) };

_Static_assert(sizeof(void *) == sizeof(uint64_t), "the arrays of a segment have items of 8 bytes");

struct tide_buckets *tide_buckets_new(void) {
    struct tide_buckets *buckets = tide_alloc_try(sizeof *buckets);

    if (!buckets) return NULL;
    *buckets = (struct tide_buckets){.count = 1, .oldest = INT64_MAX};
    if (!tide_buckets_prepare(buckets, 0)) {
        tide_free(buckets);
        return NULL;
    }
    tide_buckets_open(buckets, 0);
    return buckets;
}

void tide_buckets_delete(struct tide_buckets *buckets) {
    if (!buckets) return;
    for (uint32_t s = 0; s < TIDE_BUCKETS_SEGMENTS; s++) tide_free(buckets->segments[s]);
    tide_free(buckets);
}

bool tide_buckets_prepare(struct tide_buckets *buckets, uint32_t bucket) {
    uint32_t last = tide_buckets_segment(bucket);

    if (last >= TIDE_BUCKETS_SEGMENTS) return false;
    for (uint32_t s = 0; s <= last; s++)
        if (!buckets->segments[s] && !(buckets->segments[s] = tide_alloc_try((size_t)tide_buckets_slots(s) * ENTRY)))
            return false;
    return true;
}

void tide_buckets_open(struct tide_buckets *buckets, uint32_t bucket) {
    for (; buckets->opened <= bucket; buckets->opened++) {
        *tide_buckets_page(buckets, buckets->opened) = NULL;
        *tide_buckets_chain(buckets, buckets->opened) = NULL;
        *tide_buckets_born(buckets, buckets->opened) = 0;
        *tide_buckets_oldest(buckets, buckets->opened) = INT64_MAX;
    }
}

void tide_buckets_trim(struct tide_buckets *buckets) {
    uint32_t last = tide_buckets_segment(buckets->count - 1) + 1; /* one is kept, for growth */

    for (uint32_t s = TIDE_BUCKETS_SEGMENTS; --s > last;) {
        if (!buckets->segments[s]) continue;
        tide_free(buckets->segments[s]);
        buckets->segments[s] = NULL;
        if (buckets->opened > tide_buckets_slots(s)) buckets->opened = tide_buckets_slots(s);
    }
}

uint64_t tide_buckets_bytes(const struct tide_buckets *buckets) {
    uint64_t bytes = sizeof *buckets;

    for (uint32_t s = 0; s < TIDE_BUCKETS_SEGMENTS; s++)
        if (buckets->segments[s]) bytes += (uint64_t)tide_buckets_slots(s) * ENTRY;
    return bytes;
}
