/*
 * The undo log (see undo.h). Called by the store's owner.
 */
#include "state/undo.h"

enum { KEPT_BYTES = 1 << 20 };

void tide_undo_destroy(struct tide_undo *undo) {
    tide_buffer_destroy(&undo->bytes);
    *undo = (struct tide_undo){0};
}

void tide_undo_clear(struct tide_undo *undo) {
    if (undo->bytes.capacity > KEPT_BYTES && undo->bytes.size < undo->bytes.capacity / 4) tide_undo_destroy(undo);
    undo->bytes.size = 0;
    undo->last = 0;
    undo->count = 0;
}

bool tide_undo_ready(struct tide_undo *undo, uint32_t key_size) {
    size_t most = sizeof(struct tide_undo_record) + 1 + TIDE_ROW_VALUE_MAX + (size_t)key_size + 8;

    return undo->bytes.capacity - undo->bytes.size >= most || tide_buffer_reserve_try(&undo->bytes, most);
}

void tide_undo_add(struct tide_undo *undo, uint64_t hash, const uint8_t *key, uint32_t key_size, const uint8_t *row,
                   bool stamp_only) {
    uint64_t at = undo->bytes.size;
    struct tide_undo_record *record = (struct tide_undo_record *)(undo->bytes.data + at);

    record->hash = hash;
    record->word = row ? tide_row_load(row) : TIDE_UNDO_ABSENT;
    record->before = undo->last;
    record->key_size = key_size;
    record->value_room = row && !stamp_only ? tide_row_value_room(row) : 0;
    if (record->value_room > 0) memcpy(record->bytes, row + TIDE_ROW_HEAD, record->value_room);
    memcpy(record->bytes + record->value_room, key, key_size);
    undo->bytes.size += tide_undo_size(record);
    undo->last = at;
    undo->count++;
}

struct tide_blob *tide_undo_blob(const struct tide_undo_record *record) {
    struct tide_blob *blob;
    enum tide_row_kind kind = (enum tide_row_kind)(record->word & 0xff);

    if (record->value_room == 0 || (kind != TIDE_ROW_BLOB && kind != TIDE_ROW_FAR)) return NULL;
    memcpy(&blob, record->bytes, sizeof blob);
    return blob;
}
