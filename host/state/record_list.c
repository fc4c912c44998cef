/*
 * Records of a state in blocks (see record_list.h). Called by the owner of a store and by readers of pins.
 */
#include "state/record_list.h"

#include "wire/pack.h"

enum { FIRST_BYTES = 1024, PAIR = 0x92, NIL = 0xc0 };

void tide_record_list_finish(struct tide_record_list *list) {
    if (list->block && list->block->count > 0) tide_blocks_push(list->out, list->block);
    else tide_block_release(list->block);
    list->block = NULL;
}

/* Room for `size` more bytes; NULL: no memory. */
static uint8_t *room(struct tide_record_list *list, size_t size) {
    if (list->block && list->block->size >= TIDE_BLOCK_TARGET) tide_record_list_finish(list);
    if (!list->block)
        list->block = tide_block_new(TIDE_BLOCK_PACKED, 2, size > FIRST_BYTES ? size : FIRST_BYTES, NULL);
    if (!list->block || !tide_block_reserve(list->block, size)) return NULL;
    return list->block->data + list->block->size;
}

static void add(struct tide_record_list *list, const uint8_t *end) {
    list->block->size = (uint64_t)(end - list->block->data);
    list->block->count++;
}

static uint8_t *put(uint8_t *at, const uint8_t *data, size_t size) {
    memcpy(at, data, size);
    return at + size;
}

static uint8_t *put_value(uint8_t *at, const uint8_t *row, const uint8_t *value, uint32_t size) {
    return value ? put(at, value, size) : at + tide_pack_number_at(at, tide_row_number(row));
}

static bool put_row(struct tide_record_list *list, const uint8_t *row, bool with_stamp) {
    uint32_t key_size, value_size;
    const uint8_t *key = tide_row_key(row, &key_size), *value = tide_row_value(row, &value_size);
    uint8_t *at = room(list, (size_t)key_size + 1 + 2 * TIDE_PACKED_NUMBER_MAX + value_size);

    if (!at) return false;
    at = put(at, key, key_size);
    if (with_stamp) {
        *at++ = PAIR;
        at += tide_pack_number_at(at, (double)tide_row_stamp(row));
    }
    add(list, put_value(at, row, value, value_size));
    return true;
}

bool tide_record_list_row(struct tide_record_list *list, const uint8_t *row) { return put_row(list, row, true); }

bool tide_record_list_value(struct tide_record_list *list, const uint8_t *row) { return put_row(list, row, false); }

bool tide_record_list_gone(struct tide_record_list *list, const uint8_t *key, uint32_t key_size) {
    uint8_t *at = room(list, (size_t)key_size + 1);

    if (!at) return false;
    at = put(at, key, key_size);
    *at++ = NIL;
    add(list, at);
    return true;
}

bool tide_record_list_page(struct tide_record_list *list, const struct tide_page *page) {
    for (uint32_t i = 0; i < page->rows; i++)
        if (!tide_record_list_row(list, tide_page_row(page, i))) return false;
    return true;
}
