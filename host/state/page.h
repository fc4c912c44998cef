/*
 * A page: the rows (state/row.h) of one bucket, 16 on average. Pages have the size of their content; where they lie
 * and who may change them is decided elsewhere (state/reshape.h).
 *
 *   ┌────────┬───────────────────────┬─────────────────────────────┬───────────────────────────┬───────┐
 *   │ header │ tags: 1 byte a slot   │ offsets: 2 or 4 bytes a slot│ rows, one after the other │ room  │
 *   └────────┴───────────────────────┴─────────────────────────────┴───────────────────────────┴───────┘
 *    40 bytes  compared 16 at a time    from the page's start                              used ▲
 *
 * Tag i and offset i belong to row i; the first `rows` of the `slots` are in use. Offsets have 4 bytes in pages of
 * more than 64 KB. A tag is made of bits of the hash that choose neither key group nor bucket.
 *
 * Thread: the store's owner; pages that a pinned version reads are not changed. Nothing here allocates.
 */
#ifndef TIDE_STATE_PAGE_H
#define TIDE_STATE_PAGE_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "state/arena.h"
#include "state/row.h"

struct tide_page {
    struct tide_arena_item item;
    uint32_t bucket;
    uint16_t group;
    uint16_t wide; /* offsets have 4 bytes */
    uint32_t rows;
    uint32_t slots;
    uint32_t used;
    uint32_t row_bytes; /* in all rows */
    int64_t oldest;     /* no row has a lower stamp; INT64_MAX: there are no rows */
};

enum { TIDE_PAGE_ABSENT = 0xffffffff, TIDE_PAGE_LANES = 16 };

static inline uint8_t tide_page_tag(uint64_t hash) { return (uint8_t)(hash >> 56); }

static inline uint8_t *tide_page_tags(const struct tide_page *page) { return (uint8_t *)(uintptr_t)(page + 1); }

/* Where the rows begin, in bytes from the page's start. */
static inline uint32_t tide_page_start(const struct tide_page *page) {
    return (uint32_t)(sizeof *page + (size_t)page->slots * (page->wide ? 5 : 3));
}

/* Where the row begins. */
static inline uint8_t *tide_page_row(const struct tide_page *page, uint32_t index) {
    const uint8_t *offsets = tide_page_tags(page) + page->slots;
    uint16_t narrow;
    uint32_t offset;

    if (page->wide) {
        memcpy(&offset, offsets + (size_t)index * sizeof offset, sizeof offset);
    } else {
        memcpy(&narrow, offsets + (size_t)index * sizeof narrow, sizeof narrow);
        offset = narrow;
    }
    return (uint8_t *)(uintptr_t)page + offset;
}

/* A bit for each of 16 tags that equals `tag`. Reads 16, of which the last may be none: pages have room for that. */
static inline uint32_t tide_page_equal_tags(const uint8_t *tags, uint8_t tag) {
#ifdef __SSE2__
    __m128i all = _mm_loadu_si128((const __m128i *)(const void *)tags);

    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(all, _mm_set1_epi8((char)tag)));
#else
    uint32_t bits = 0;

    for (uint32_t i = 0; i < TIDE_PAGE_LANES; i++) bits |= (uint32_t)(tags[i] == tag) << i;
    return bits;
#endif
}

/* The first of the first 16 rows that has this tag: a guess of where the key is. May be beyond the last row. */
static inline uint32_t tide_page_guess(const struct tide_page *page, uint8_t tag) {
    uint32_t bits = tide_page_equal_tags(tide_page_tags(page), tag);

    return bits ? (uint32_t)__builtin_ctz(bits) : TIDE_PAGE_ABSENT;
}

/* Bytes of a page for so many rows, of `row_bytes` in all. */
size_t tide_page_bytes(uint32_t slots, uint64_t row_bytes);
/* Makes an empty page of the memory at `item`. */
struct tide_page *tide_page_create(struct tide_arena_item *item, uint32_t slots, uint32_t group, uint32_t bucket);

/* The row of a key; ABSENT. */
uint32_t tide_page_find(const struct tide_page *page, uint8_t tag, const uint8_t *key, uint32_t size);
/* Whether there is room for `slots` more rows and `bytes` more bytes. */
bool tide_page_has_room(const struct tide_page *page, uint32_t slots, uint32_t bytes);
/* Adds a row, whose bytes the caller writes. There is room. */
uint8_t *tide_page_append(struct tide_page *page, uint8_t tag, uint32_t size);
/* Changes the room for the row's value, whose bytes the caller writes; the key stays. There is room. */
uint8_t *tide_page_resize(struct tide_page *page, uint32_t index, uint32_t value_room);
/* The last row takes its place. */
void tide_page_remove(struct tide_page *page, uint32_t index);
/* Appends a copy of a row, or of all rows, of another page. There is room. */
void tide_page_add(struct tide_page *page, uint8_t tag, const uint8_t *row);
void tide_page_add_all(struct tide_page *page, const struct tide_page *from);

/* The page holds a row with this stamp. Returns whether `oldest` became lower. */
static inline bool tide_page_note(struct tide_page *page, int64_t stamp) {
    if (stamp >= page->oldest) return false;
    page->oldest = stamp;
    return true;
}

#endif
