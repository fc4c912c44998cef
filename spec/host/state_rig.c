/*
 * Models of states (see state_rig.h).
 */
#include "state_rig.h"

#include "base/alloc.h"
#include "packed.h"
#include "state/body.h"
#include "state/page.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

enum { LONG_KEY = 300 };

static void pack_key(struct tide_buffer *out, uint32_t number, uint32_t form) {
    char text[LONG_KEY + 16];
    int size = snprintf(text, sizeof text, "k%u", number);

    switch (number % 8) {
    case 0:
        while (!packed_number(out, number, (int)(form++ % NUMBER_FORMS))) {}
        return;
    case 1:
        tide_pack_array(out, 2);
        tide_pack_number(out, number);
        tide_pack_text(out, "list");
        return;
    case 2:
        memset(text + size, '.', (size_t)(LONG_KEY - size));
        while (!packed_text(out, text, LONG_KEY, (int)(form++ % TEXT_FORMS))) {}
        return;
    default:
        while (!packed_text(out, text, (size_t)size, (int)(form++ % TEXT_FORMS))) {}
    }
}

static uint32_t number_of(const uint8_t *key, const uint8_t *end) {
    struct tide_value value = tide_unpack_value(key, end);

    if (value.type == TIDE_VALUE_ARRAY) value = tide_unpack_value(value.next, end);
    if (value.type == TIDE_VALUE_NUMBER) return (uint32_t)value.number;
    assert_int_equal(value.type, TIDE_VALUE_STRING);
    return (uint32_t)strtoul((const char *)value.data + 1, NULL, 10);
}

/* The numbers that are packed, in order: those whose keys fall in the first key groups. */
static uint32_t numbers[RIG_KEYS];

static void find_numbers(void) {
    struct tide_buffer bytes;

    for (uint32_t number = 0, found = 0; found < RIG_KEYS; number++) {
        tide_buffer_create(&bytes);
        pack_key(&bytes, number, 0);
        if (tide_key_group(tide_hash_packed(bytes.data, bytes.size)) < RIG_GROUPS) numbers[found++] = number;
        tide_buffer_destroy(&bytes);
    }
}

void rig_key(struct tide_buffer *out, uint32_t key, uint32_t form) {
    if (numbers[RIG_KEYS - 1] == 0) find_numbers();
    pack_key(out, numbers[key], form);
}

static int compare(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static uint32_t key_of(const uint8_t *at, const uint8_t *end) {
    uint32_t number = number_of(at, end);
    const uint32_t *found = bsearch(&number, numbers, RIG_KEYS, sizeof number, compare);

    assert_non_null(found);
    return (uint32_t)(found - numbers);
}

/* ---- Models --------------------------------------------------------------------------------------------------- */

static void release(struct rig_value *value) {
    if (value && --value->refs == 0) tide_free(value);
}

void rig_put(struct rig_model *model, uint32_t key, const uint8_t *value, uint32_t size, double stamp) {
    struct rig_value *copy = tide_xmalloc(sizeof *copy + size);

    copy->refs = 1;
    copy->size = size;
    memcpy(copy->bytes, value, size);
    model->rows += !model->values[key];
    release(model->values[key]);
    model->values[key] = copy;
    model->stamps[key] = stamp;
}

void rig_remove(struct rig_model *model, uint32_t key) {
    if (model->values[key]) model->rows--;
    release(model->values[key]);
    model->values[key] = NULL;
    model->stamps[key] = 0;
}

void rig_clear(struct rig_model *model) {
    for (uint32_t i = 0; i < RIG_KEYS; i++) rig_remove(model, i);
}

void rig_copy(struct rig_model *to, const struct rig_model *from) {
    rig_clear(to);
    *to = *from;
    for (uint32_t i = 0; i < RIG_KEYS; i++)
        if (to->values[i]) to->values[i]->refs++;
}

void rig_compare(const struct rig_model *wanted, const struct rig_model *found, const char *where) {
    for (uint32_t i = 0; i < RIG_KEYS; i++) {
        const struct rig_value *a = wanted->values[i], *b = found->values[i];

        if (!a != !b) fail_msg("%s: key %u is %s", where, i, a ? "missing" : "there, and should not be");
        if (!a || !b) continue;
        if (wanted->stamps[i] != found->stamps[i])
            fail_msg("%s: key %u has stamp %.0f, not %.0f", where, i, found->stamps[i], wanted->stamps[i]);
        if (a->size != b->size || memcmp(a->bytes, b->bytes, a->size) != 0)
            fail_msg("%s: key %u has another value", where, i);
    }
    assert_int_equal(wanted->rows, found->rows);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

static void read_record(struct rig_model *model, uint32_t key, const uint8_t *value, const uint8_t *end) {
    if (*value == 0xc0) {
        rig_remove(model, key);
        return;
    }
    assert_int_equal(*value, 0x92);

    struct tide_value stamp = tide_unpack_value(value + 1, end);

    rig_put(model, key, stamp.next, (uint32_t)(end - stamp.next), stamp.number);
}

void rig_read(struct rig_model *model, const struct tide_blocks *records) {
    bool *seen = tide_xcalloc(RIG_KEYS, sizeof *seen);

    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);
            uint32_t key = key_of(at, end);

            if (seen[key]) fail_msg("key %u is there twice", key);
            seen[key] = true;
            read_record(model, key, value, next);
            at = next;
        }
        assert_ptr_equal(at, end);
    }
    tide_free(seen);
}

void rig_read_store(struct rig_model *model, const struct tide_state_store *store) {
    struct tide_blocks records;

    rig_clear(model);
    tide_blocks_create(&records);
    for (uint32_t g = 0; g < RIG_GROUPS; g++) assert_true(tide_state_store_read(store, g, &records));
    rig_read(model, &records);
    tide_blocks_destroy(&records);
}

void rig_read_pin(struct rig_model *model, const struct tide_state_pin *pin) {
    struct tide_blocks records;

    rig_clear(model);
    tide_blocks_create(&records);
    for (uint32_t g = 0; g < RIG_GROUPS; g++) assert_true(tide_state_pin_read(pin, g, &records));
    rig_read(model, &records);
    tide_blocks_destroy(&records);
}

/* ---- Single changes ------------------------------------------------------------------------------------------- */

static bool change_one(struct tide_state_store *store, uint32_t key, struct tide_state_change change) {
    struct tide_buffer bytes;
    bool done;

    tide_buffer_create(&bytes);
    rig_key(&bytes, key, 0);
    change.key = bytes.data;
    change.key_size = (uint32_t)bytes.size;
    done = tide_state_store_apply(store, &change, 1);
    tide_buffer_destroy(&bytes);
    return done;
}

bool rig_put_number(struct tide_state_store *store, uint32_t key, double number, double stamp) {
    return change_one(store, key,
                      (struct tide_state_change){.number = number, .stamp = stamp, .kind = TIDE_STATE_PUT});
}

bool rig_take(struct tide_state_store *store, uint32_t key) {
    return change_one(store, key, (struct tide_state_change){.kind = TIDE_STATE_REMOVE});
}

struct tide_state_found rig_find(const struct tide_state_store *store, uint32_t key) {
    struct tide_state_change change = {0};
    struct tide_state_found found;
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    rig_key(&bytes, key, 0);
    change.key = bytes.data;
    change.key_size = (uint32_t)bytes.size;
    tide_state_store_find(store, &change, 1, &found);
    tide_buffer_destroy(&bytes);
    return found;
}

/* ---- Structure ------------------------------------------------------------------------------------------------ */

static uint64_t check_page(const struct tide_buckets *buckets, uint32_t group, uint32_t bucket) {
    const struct tide_page *page = *tide_buckets_page(buckets, bucket);
    uint64_t bytes = 0;

    if (!page) return 0;
    assert_int_equal(page->group, group);
    assert_int_equal(page->bucket, bucket);
    assert_true(page->rows <= page->slots && page->used <= tide_arena_size(&page->item));
    for (uint32_t i = 0; i < page->rows; i++) {
        const uint8_t *row = tide_page_row(page, i);
        uint32_t size;
        const uint8_t *key = tide_row_key(row, &size);
        uint64_t hash = tide_hash_packed(key, size);

        assert_int_equal(tide_key_group(hash), group);
        assert_int_equal(tide_buckets_of(buckets->count, hash), bucket);
        assert_int_equal(tide_page_tags(page)[i], tide_page_tag(hash));
        assert_true(tide_row_stamp(row) >= page->oldest);
        assert_true(tide_row_stamp(row) >= *tide_buckets_oldest(buckets, bucket));
        assert_true(tide_row_stamp(row) >= buckets->oldest);
        bytes += tide_row_size(row);
    }
    assert_int_equal(bytes, page->row_bytes);
    return page->rows;
}

void rig_check_structure(const struct tide_state_store *store) {
    uint64_t all = 0, live = 0;

    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++) {
        const struct tide_buckets *buckets = store->group[g];
        uint64_t rows = 0;

        for (uint32_t b = 0; buckets && b < buckets->opened; b++) {
            if (b < buckets->count) rows += check_page(buckets, g, b);
            else assert_null(*tide_buckets_page(buckets, b));
        }
        if (buckets) assert_int_equal(rows, buckets->rows);
        all += rows;
    }
    assert_int_equal(all, store->rows);
    for (uint32_t i = 0; i < store->arena.count; i++) live += store->arena.chunks[i].live;
    assert_int_equal(live, store->arena.live);
}
