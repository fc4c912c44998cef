/*
 * Rows of a store: found, put, removed, restored (see rows.h). Called by the store's owner.
 */
#include "state/rows.h"

#include "state/reshape.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* Where a key is, or would be. */
struct place {
    struct tide_buckets *buckets;
    struct tide_page *page; /* NULL: there is none yet */
    uint64_t hash;
    uint32_t group, bucket;
    uint32_t index; /* of the row; TIDE_PAGE_ABSENT */
};

static struct place locate(const struct tide_state_store *store, uint64_t hash, const uint8_t *key,
                           uint32_t key_size) {
    struct place place = {.hash = hash, .group = tide_key_group(hash), .index = TIDE_PAGE_ABSENT};

    place.buckets = store->group[place.group];
    if (!place.buckets) return place;
    place.bucket = tide_buckets_of(place.buckets->count, hash);
    place.page = *tide_buckets_page(place.buckets, place.bucket);
    if (place.page) place.index = tide_page_find(place.page, tide_page_tag(hash), key, key_size);
    return place;
}

static bool make_writable(struct tide_state_store *store, struct place *place, uint32_t slots, uint32_t bytes) {
    if (!place->buckets && !(place->buckets = store->group[place->group] = tide_buckets_new())) return false;

    struct tide_page *page = tide_reshape_writable(store, place->buckets, place->group, place->bucket, slots, bytes);

    if (page) place->page = page;
    return page;
}

static void count_rows(struct tide_state_store *store, struct tide_buckets *buckets, int by) {
    store->rows += (uint64_t)(int64_t)by;
    buckets->rows += (uint64_t)(int64_t)by;
}

const uint8_t *tide_rows_at(const struct tide_state_store *store, uint64_t hash, const uint8_t *key,
                            uint32_t key_size) {
    struct place place = locate(store, hash, key, key_size);

    return place.index == TIDE_PAGE_ABSENT ? NULL : tide_page_row(place.page, place.index);
}

void tide_rows_find(const struct tide_state_store *store, uint64_t hash, const uint8_t *key, uint32_t key_size,
                    struct tide_state_found *found) {
    const uint8_t *row = tide_rows_at(store, hash, key, key_size);

    if (!row) {
        *found = (struct tide_state_found){.kind = TIDE_STATE_ABSENT};
        return;
    }
    found->stamp = (double)tide_row_stamp(row);
    found->value = tide_row_value(row, &found->value_size);
    found->number = found->value ? 0 : tide_row_number(row);
    found->kind = found->value ? TIDE_STATE_PACKED : TIDE_STATE_NUMBER;
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

/* Whether a packed value is a number that a double holds exactly. */
static bool is_number(const uint8_t *value, uint32_t size, double *number) {
    if (size == 0 || (*value > 0x7f && *value < 0xca) || (*value > 0xd3 && *value < 0xe0)) return false;

    struct tide_value read = tide_unpack_value(value, value + size);

    *number = read.number;
    return read.type == TIDE_VALUE_NUMBER;
}

static struct tide_blob *blob_new(struct tide_state_store *store, const struct tide_state_change *change, bool far) {
    size_t size = sizeof(struct tide_blob) + change->value_size + (far ? change->key_size : 0);
    struct tide_blob *blob = (struct tide_blob *)tide_arena_alloc(&store->arena, size, TIDE_ARENA_BLOB);

    if (!blob) return NULL;
    blob->born = store->epoch;
    blob->hash = change->hash;
    blob->size = change->value_size;
    blob->key_size = far ? change->key_size : 0;
    memcpy(blob->bytes, change->value, change->value_size);
    if (far) memcpy(blob->bytes + change->value_size, change->key, change->key_size);
    return blob;
}

void tide_rows_free_value(struct tide_state_store *store, const struct tide_rows_value *value) {
    if (value->kind >= TIDE_ROW_BLOB) tide_arena_free(&store->arena, &value->blob->item);
}

/* A number of a key that is too large for a page: packed, as all values in blobs. */
static bool far_number(struct tide_state_store *store, const struct tide_state_change *change,
                       struct tide_rows_value *value) {
    uint8_t packed[TIDE_PACKED_NUMBER_MAX];
    struct tide_state_change far = *change;

    far.value = packed;
    far.value_size = (uint32_t)tide_pack_number_at(packed, value->number);
    return (value->blob = blob_new(store, &far, true));
}

bool tide_rows_value(struct tide_state_store *store, const struct tide_state_change *change, bool far,
                     struct tide_rows_value *value) {
    *value = (struct tide_rows_value){.kind = TIDE_ROW_NUMBER, .room = 8, .number = change->number};
    if (!change->value || is_number(change->value, change->value_size, &value->number)) {
        if (far) value->kind = TIDE_ROW_FAR;
        return !far || far_number(store, change, value);
    }
    if (!far && change->value_size <= TIDE_ROW_VALUE_MAX) {
        value->kind = TIDE_ROW_PACKED;
        value->room = 1 + change->value_size;
        value->bytes = change->value;
        return true;
    }
    value->kind = far ? TIDE_ROW_FAR : TIDE_ROW_BLOB;
    return (value->blob = blob_new(store, change, far));
}

uint32_t tide_rows_size(const struct tide_rows_value *value, uint32_t key_size) {
    return TIDE_ROW_HEAD + value->room + (value->kind == TIDE_ROW_FAR ? 0 : key_size);
}

static void write_value(uint8_t *row, const struct tide_rows_value *value, uint32_t key_size, double stamp) {
    uint8_t *at = row + TIDE_ROW_HEAD;

    tide_row_store(row, tide_row_word(value->kind, key_size, (int64_t)stamp));
    switch (value->kind) {
    case TIDE_ROW_NUMBER: memcpy(at, &value->number, sizeof value->number); return;
    case TIDE_ROW_PACKED:
        *at = (uint8_t)(value->room - 1);
        memcpy(at + 1, value->bytes, value->room - 1);
        return;
    default: memcpy(at, &value->blob, sizeof value->blob);
    }
}

void tide_rows_write(uint8_t *row, const struct tide_rows_value *value, const struct tide_state_change *change) {
    uint32_t key_size = value->kind == TIDE_ROW_FAR ? 0 : change->key_size;

    write_value(row, value, key_size, change->stamp);
    memcpy(row + TIDE_ROW_HEAD + value->room, change->key, key_size);
}

/* ---- Changes -------------------------------------------------------------------------------------------------- */

/* The old value of the row will be let go of by the commit: what that needs is promised here. */
static bool promise(struct tide_state_store *store, const uint8_t *row) {
    if (store->pinned == 0 || tide_row_kind(row) < TIDE_ROW_BLOB) return true;
    if (!tide_body_is_pinned(store, tide_row_blob(row)->born)) return true;
    if (!tide_old_ready(&store->olds, 1)) return false;
    store->olds.reserved++;
    return true;
}

static bool replace(struct tide_state_store *store, struct place *place, const struct tide_state_change *change,
                    const struct tide_rows_value *value) {
    uint8_t *row = tide_page_row(place->page, place->index);
    uint32_t room = tide_row_value_room(row);

    if (!make_writable(store, place, 0, value->room > room ? value->room - room : 0)) return false;
    row = tide_page_row(place->page, place->index);
    if (!promise(store, row)) return false;
    tide_undo_add(&store->undo, change->hash, change->key, change->key_size, row, false);
    if (value->room < room) store->shrunk = true;
    uint32_t key_size = tide_row_key_room(row); /* the key keeps the form that it has */

    row = tide_page_resize(place->page, place->index, value->room);
    write_value(row, value, key_size, change->stamp);
    tide_reshape_note(place->buckets, place->page, (int64_t)change->stamp);
    return true;
}

static bool insert(struct tide_state_store *store, struct place *place, const struct tide_state_change *change,
                   const struct tide_rows_value *value) {
    uint32_t size = tide_rows_size(value, change->key_size);

    if (!make_writable(store, place, 1, size)) return false;
    tide_undo_add(&store->undo, change->hash, change->key, change->key_size, NULL, false);
    tide_rows_write(tide_page_append(place->page, tide_page_tag(change->hash), size), value, change);
    tide_reshape_note(place->buckets, place->page, (int64_t)change->stamp);
    count_rows(store, place->buckets, 1);
    if (!store->shrunk) tide_reshape_grow(store, place->group);
    return true;
}

bool tide_rows_put(struct tide_state_store *store, const struct tide_state_change *change) {
    struct place place = locate(store, change->hash, change->key, change->key_size);
    struct tide_rows_value value;

    bool there = place.index != TIDE_PAGE_ABSENT;
    bool far = there ? tide_row_kind(tide_page_row(place.page, place.index)) == TIDE_ROW_FAR
                     : tide_rows_is_far(change->key_size);

    if (!tide_undo_ready(&store->undo, change->key_size)) return false;
    if (!tide_rows_value(store, change, far, &value)) return false;
    if (there ? replace(store, &place, change, &value) : insert(store, &place, change, &value)) return true;
    tide_rows_free_value(store, &value);
    return false;
}

bool tide_rows_stamp(struct tide_state_store *store, const struct tide_state_change *change) {
    struct place place = locate(store, change->hash, change->key, change->key_size);

    if (place.index == TIDE_PAGE_ABSENT) return true;
    if (!tide_undo_ready(&store->undo, change->key_size) || !make_writable(store, &place, 0, 0)) return false;

    uint8_t *row = tide_page_row(place.page, place.index);

    tide_undo_add(&store->undo, change->hash, change->key, change->key_size, row, true);
    tide_row_store(row, (tide_row_load(row) & 0xffff) | (uint64_t)change->stamp << 16);
    tide_reshape_note(place.buckets, place.page, (int64_t)change->stamp);
    return true;
}

static bool take_out(struct tide_state_store *store, struct place *place) {
    uint32_t key_size;
    const uint8_t *row = tide_page_row(place->page, place->index), *key;

    (void)tide_row_key(row, &key_size);
    if (!tide_undo_ready(&store->undo, key_size) || !make_writable(store, place, 0, 0)) return false;
    row = tide_page_row(place->page, place->index);
    if (!promise(store, row)) return false;
    key = tide_row_key(row, &key_size); /* in the form of the row, which may come back */
    tide_undo_add(&store->undo, place->hash, key, key_size, row, false);
    store->shrunk = true;
    tide_page_remove(place->page, place->index);
    count_rows(store, place->buckets, -1);
    return true;
}

bool tide_rows_remove(struct tide_state_store *store, uint64_t hash, const uint8_t *key, uint32_t key_size) {
    struct place place = locate(store, hash, key, key_size);

    return place.index == TIDE_PAGE_ABSENT || take_out(store, &place);
}

/* ---- Timeouts ------------------------------------------------------------------------------------------------- */

static void find_oldest(struct tide_page *page, int64_t *oldest) {
    page->oldest = INT64_MAX;
    for (uint32_t i = 0; i < page->rows; i++) tide_page_note(page, tide_row_stamp(tide_page_row(page, i)));
    *oldest = page->oldest;
}

bool tide_rows_expire(struct tide_state_store *store, uint32_t group, uint32_t bucket, int64_t limit,
                      bool (*visit)(void *arg, const uint8_t *row), void *arg) {
    struct place place = {.buckets = store->group[group], .group = group, .bucket = bucket};
    int64_t *oldest = tide_buckets_oldest(place.buckets, bucket);

    place.page = *tide_buckets_page(place.buckets, bucket);
    for (uint32_t i = place.page ? place.page->rows : 0; i-- > 0;) {
        const uint8_t *row = tide_page_row(place.page, i);
        uint32_t key_size;
        const uint8_t *key = tide_row_key(row, &key_size);

        if (tide_row_stamp(row) >= limit) continue;
        place.index = i;
        place.hash = tide_hash_packed(key, key_size);
        if (!visit(arg, row) || !take_out(store, &place)) return false;
    }
    if (place.page) find_oldest(place.page, oldest);
    return true;
}

/* ---- Rollback ------------------------------------------------------------------------------------------------- */

static void free_blob_of(struct tide_state_store *store, const uint8_t *row) {
    if (tide_row_kind(row) >= TIDE_ROW_BLOB) tide_arena_free(&store->arena, &tide_row_blob(row)->item);
}

/* The row that the batch has removed comes back. */
static void restore_removed(struct tide_state_store *store, struct place *place,
                            const struct tide_undo_record *record) {
    uint32_t key_size = (enum tide_row_kind)(record->word & 0xff) == TIDE_ROW_FAR ? 0 : record->key_size;
    uint8_t *row =
        tide_page_append(place->page, tide_page_tag(record->hash), TIDE_ROW_HEAD + record->value_room + key_size);

    tide_row_store(row, record->word);
    memcpy(row + TIDE_ROW_HEAD, record->bytes, record->value_room);
    memcpy(row + TIDE_ROW_HEAD + record->value_room, tide_undo_key(record), key_size);
    count_rows(store, place->buckets, 1);
}

static void restore_replaced(struct tide_state_store *store, struct place *place,
                             const struct tide_undo_record *record) {
    uint8_t *row = tide_page_row(place->page, place->index);

    if (record->value_room > 0) {
        free_blob_of(store, row);
        row = tide_page_resize(place->page, place->index, record->value_room);
        memcpy(row + TIDE_ROW_HEAD, record->bytes, record->value_room);
    }
    tide_row_store(row, record->word);
}

void tide_rows_restore(struct tide_state_store *store, const struct tide_undo_record *record) {
    struct place place = locate(store, record->hash, tide_undo_key(record), record->key_size);

    if (!place.page) return; /* can't be: the batch has changed it */
    if ((record->word & 0xff) == TIDE_UNDO_ABSENT) {
        free_blob_of(store, tide_page_row(place.page, place.index));
        tide_page_remove(place.page, place.index);
        count_rows(store, place.buckets, -1);
        return;
    }
    if (place.index == TIDE_PAGE_ABSENT) restore_removed(store, &place, record);
    else restore_replaced(store, &place, record);
    tide_reshape_note(place.buckets, place.page, (int64_t)(record->word >> 16));
}
