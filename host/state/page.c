/*
 * Rows in a page (see page.h). Called by the store's owner.
 */
#include "state/page.h"

#include "wire/key.h"

enum { NARROW = UINT16_MAX / TIDE_ARENA_STEP * TIDE_ARENA_STEP };

/* ---- Layout --------------------------------------------------------------------------------------------------- */

size_t tide_page_bytes(uint32_t slots, uint64_t row_bytes) {
    uint64_t narrow = sizeof(struct tide_page) + (uint64_t)slots * 3 + row_bytes;
    uint64_t bytes = narrow <= NARROW ? narrow : narrow + (uint64_t)slots * 2;
    uint64_t tags =
        sizeof(struct tide_page) + ((uint64_t)slots + TIDE_PAGE_LANES - 1) / TIDE_PAGE_LANES * TIDE_PAGE_LANES;

    return bytes < tags ? tags : bytes; /* tags are read 16 at a time */
}

struct tide_page *tide_page_create(struct tide_arena_item *item, uint32_t slots, uint32_t group, uint32_t bucket) {
    struct tide_page *page = (struct tide_page *)item;

    page->bucket = bucket;
    page->group = (uint16_t)group;
    page->wide = tide_arena_size(item) > NARROW;
    page->rows = 0;
    page->slots = slots;
    page->used = tide_page_start(page);
    page->row_bytes = 0;
    page->oldest = INT64_MAX;
    return page;
}

static void set_offset(struct tide_page *page, uint32_t index, uint32_t offset) {
    uint8_t *offsets = tide_page_tags(page) + page->slots;
    uint16_t narrow = (uint16_t)offset;

    if (page->wide) memcpy(offsets + (size_t)index * sizeof offset, &offset, sizeof offset);
    else memcpy(offsets + (size_t)index * sizeof narrow, &narrow, sizeof narrow);
}

static uint32_t offset_of(const struct tide_page *page, uint32_t index) {
    return (uint32_t)(tide_page_row(page, index) - (const uint8_t *)page);
}

bool tide_page_has_room(const struct tide_page *page, uint32_t slots, uint32_t bytes) {
    return page->slots - page->rows >= slots && tide_arena_size(&page->item) - page->used >= bytes;
}

/* ---- Look-up -------------------------------------------------------------------------------------------------- */

static inline bool has_key(const uint8_t *row, const uint8_t *key, uint32_t size) {
    uint32_t row_size;
    const uint8_t *row_key = tide_row_key(row, &row_size);

    return tide_key_same(row_key, row_size, key, size);
}

uint32_t tide_page_find(const struct tide_page *page, uint8_t tag, const uint8_t *key, uint32_t size) {
    const uint8_t *tags = tide_page_tags(page);

    for (uint32_t from = 0; from < page->rows; from += TIDE_PAGE_LANES) {
        uint32_t bits = tide_page_equal_tags(tags + from, tag), left = page->rows - from;

        if (left < TIDE_PAGE_LANES) bits &= (1u << left) - 1;
        for (; bits; bits &= bits - 1) {
            uint32_t index = from + (uint32_t)__builtin_ctz(bits);

            if (has_key(tide_page_row(page, index), key, size)) return index;
        }
    }
    return TIDE_PAGE_ABSENT;
}

/* ---- Changes -------------------------------------------------------------------------------------------------- */

uint8_t *tide_page_append(struct tide_page *page, uint8_t tag, uint32_t size) {
    uint8_t *row = (uint8_t *)page + page->used;

    tide_page_tags(page)[page->rows] = tag;
    set_offset(page, page->rows, page->used);
    page->rows++;
    page->used += size;
    page->row_bytes += size;
    return row;
}

/* Moves all rows behind `from` by `by` bytes. */
static void shift(struct tide_page *page, uint32_t from, int32_t by) {
    uint8_t *start = (uint8_t *)page;

    memmove(start + from + by, start + from, page->used - from);
    for (uint32_t i = 0; i < page->rows; i++) {
        uint32_t offset = offset_of(page, i);

        if (offset >= from) set_offset(page, i, (uint32_t)((int64_t)offset + by));
    }
    page->used = (uint32_t)((int64_t)page->used + by);
    page->row_bytes = (uint32_t)((int64_t)page->row_bytes + by);
}

uint8_t *tide_page_resize(struct tide_page *page, uint32_t index, uint32_t value_room) {
    uint8_t *row = tide_page_row(page, index);
    uint32_t room = tide_row_value_room(row);

    if (room != value_room)
        shift(page, offset_of(page, index) + TIDE_ROW_HEAD + room, (int32_t)value_room - (int32_t)room);
    return row;
}

void tide_page_remove(struct tide_page *page, uint32_t index) {
    uint32_t last = page->rows - 1, offset = offset_of(page, index), size = tide_row_size(tide_page_row(page, index));

    if (index != last) {
        tide_page_tags(page)[index] = tide_page_tags(page)[last];
        set_offset(page, index, offset_of(page, last));
    }
    page->rows = last;
    shift(page, offset + size, -(int32_t)size);
    if (last == 0) page->oldest = INT64_MAX;
}

void tide_page_add(struct tide_page *page, uint8_t tag, const uint8_t *row) {
    uint32_t size = tide_row_size(row);

    memcpy(tide_page_append(page, tag, size), row, size);
    tide_page_note(page, tide_row_stamp(row));
}

static void copy_into_empty(struct tide_page *page, const struct tide_page *from) {
    uint32_t start = tide_page_start(from), to = tide_page_start(page);

    memcpy((uint8_t *)page + to, (const uint8_t *)from + start, from->used - start);
    memcpy(tide_page_tags(page), tide_page_tags(from), from->rows);
    for (uint32_t i = 0; i < from->rows; i++) set_offset(page, i, offset_of(from, i) - start + to);
    page->rows = from->rows;
    page->used = to + (from->used - start);
    page->row_bytes = from->row_bytes;
    page->oldest = from->oldest;
}

void tide_page_add_all(struct tide_page *page, const struct tide_page *from) {
    if (page->rows == 0) {
        copy_into_empty(page, from);
        return;
    }
    for (uint32_t i = 0; i < from->rows; i++) tide_page_add(page, tide_page_tags(from)[i], tide_page_row(from, i));
}
