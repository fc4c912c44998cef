/*
 * The directory of one key group: linear hashing, so that it grows and shrinks by one bucket at a time.
 *
 *   segments[0]   buckets 0 … 15      ┌──────────┬──────────┬──────────┬──────────┐
 *   segments[1]   buckets 16 … 31  ─► │ pages    │ chains   │ born     │ oldest   │   8 bytes a bucket each
 *   segments[2]   buckets 32 … 63     └──────────┴──────────┴──────────┴──────────┘
 *   …             twice as many each
 *
 *   pages    the current page, or NULL: no rows
 *   chains   pages that pinned versions read (state/old.h)
 *   born     the epoch since which the current page is there: a pin of that epoch or a later one reads it
 *   oldest   no row of the page has a lower stamp. Beside the pages, so that the search for timeouts reads no page
 *
 * Segments never move. Buckets from `count` on may still have chains.
 *
 * Thread: the store's owner. While there are pins, entries are written, and read by others, under the store's lock.
 */
#ifndef TIDE_STATE_BUCKETS_H
#define TIDE_STATE_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "state/old.h"
#include "state/page.h"

enum { TIDE_BUCKETS_FIRST = 16, TIDE_BUCKETS_FIRST_LOG = 4, TIDE_BUCKETS_SEGMENTS = 28 };
enum { TIDE_BUCKETS_ROWS = 16 }; /* a page, on average */

struct tide_buckets {
    uint64_t rows;
    int64_t oldest;  /* no row has a lower stamp */
    uint32_t count;  /* buckets; at least one */
    uint32_t opened; /* entries that have been initialised */
    struct tide_page **segments[TIDE_BUCKETS_SEGMENTS];
};

static inline uint32_t tide_buckets_segment(uint32_t bucket) {
    if (bucket < TIDE_BUCKETS_FIRST) return 0;
    return 32u - TIDE_BUCKETS_FIRST_LOG - (uint32_t)__builtin_clz(bucket);
}

/* Buckets of a segment, which is also the number of its first one, but for segment 0. */
static inline uint32_t tide_buckets_slots(uint32_t segment) {
    return segment == 0 ? TIDE_BUCKETS_FIRST : (uint32_t)TIDE_BUCKETS_FIRST << (segment - 1);
}

static inline struct tide_page **tide_buckets_page(const struct tide_buckets *buckets, uint32_t bucket) {
    uint32_t segment = tide_buckets_segment(bucket);

    return buckets->segments[segment] + (segment == 0 ? bucket : bucket - tide_buckets_slots(segment));
}

static inline struct tide_old **tide_buckets_chain(const struct tide_buckets *buckets, uint32_t bucket) {
    return (struct tide_old **)(void *)(tide_buckets_page(buckets, bucket) +
                                        tide_buckets_slots(tide_buckets_segment(bucket)));
}

static inline uint64_t *tide_buckets_born(const struct tide_buckets *buckets, uint32_t bucket) {
    return (uint64_t *)(void *)(tide_buckets_page(buckets, bucket) +
                                2 * (size_t)tide_buckets_slots(tide_buckets_segment(bucket)));
}

static inline int64_t *tide_buckets_oldest(const struct tide_buckets *buckets, uint32_t bucket) {
    return (int64_t *)(void *)(tide_buckets_page(buckets, bucket) +
                               3 * (size_t)tide_buckets_slots(tide_buckets_segment(bucket)));
}

/* The bucket of a key when there are `count`. */
static inline uint32_t tide_buckets_of(uint32_t count, uint64_t hash) {
    uint32_t top = 0x80000000u >> __builtin_clz(count); /* the highest power of two in count */
    uint32_t bucket = (uint32_t)hash & (2 * top - 1);

    return bucket < count ? bucket : bucket & (top - 1);
}

/* The bucket that splits when bucket `last` is made. last > 0. */
static inline uint32_t tide_buckets_partner(uint32_t last) { return last ^ (0x80000000u >> __builtin_clz(last)); }

/* With one bucket; NULL: no memory. */
struct tide_buckets *tide_buckets_new(void);
void tide_buckets_delete(struct tide_buckets *buckets); /* not what the entries refer to */
/* Memory for entries up to this one. false: no memory. */
bool tide_buckets_prepare(struct tide_buckets *buckets, uint32_t bucket);
/* Initialises entries up to this one, which was prepared. */
void tide_buckets_open(struct tide_buckets *buckets, uint32_t bucket);
/* Frees segments far behind `count`. Only while no pins and no chains exist. */
void tide_buckets_trim(struct tide_buckets *buckets);
uint64_t tide_buckets_bytes(const struct tide_buckets *buckets);

#endif
