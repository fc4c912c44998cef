/*
 * See window_rig.h.
 */
#include "window_rig.h"

#include "base/fault.h"
#include "kernel/sort_by_hash.h"
#include "packed.h"
#include "random_value.h"
#include "test.h"
#include "wire/hash.h"
#include "wire/pack.h"
#include "wire/unpack.h"

int nothing_is_left(void **state) {
    tide_fault_clear();
    return tide_block_live() != 0;
}

void pack_key(struct tide_buffer *bytes, uint32_t key) {
    char text[80];

    if (key % 3 == 0) {
        tide_pack_number(bytes, key % 2 == 0 ? key * 37.0 : key / 8.0);
        return;
    }
    snprintf(text, sizeof text, key % 3 == 1 ? "k%u" : "a key that is longer than thirty-one bytes, number %u", key);
    tide_pack_text(bytes, text);
}

uint32_t key_of(const uint8_t *at, const uint8_t *end) {
    struct tide_value value = tide_unpack_value(at, end);

    if (value.type == TIDE_VALUE_NUMBER) {
        bool whole = (double)(uint32_t)value.number == value.number;

        return (uint32_t)(whole ? value.number / 37 : value.number * 8);
    }
    assert_int_equal(value.type, TIDE_VALUE_STRING);

    uint32_t key = 0, place = 1;

    for (uint32_t i = value.size; i > 0 && value.data[i - 1] >= '0' && value.data[i - 1] <= '9'; i--, place *= 10)
        key += (uint32_t)(value.data[i - 1] - '0') * place;
    return key;
}

void list_create(struct list *list) {
    tide_blocks_create(&list->blocks);
    tide_buffer_create(&list->bytes);
    list->count = 0;
}

void end_block(struct list *list) {
    if (list->count > 0) tide_blocks_push(&list->blocks, packed_block(&list->bytes, list->count, 2));
    list->count = 0;
}

void list_destroy(struct list *list) {
    tide_blocks_destroy(&list->blocks);
    tide_buffer_destroy(&list->bytes);
}

void add_pair(struct list *list, uint32_t key, double value) {
    pack_key(&list->bytes, key);
    tide_pack_number(&list->bytes, value);
    list->count++;
}

void add_state(struct list *list, uint32_t key, double n, double value) {
    pack_key(&list->bytes, key);
    tide_pack_array(&list->bytes, 2);
    tide_pack_number(&list->bytes, n);
    tide_pack_number(&list->bytes, value);
    list->count++;
}

void put_in_order(struct list *list) {
    struct tide_blocks ordered;

    end_block(list);
    tide_blocks_create(&ordered);
    assert_true(tide_sort_by_hash(&list->blocks, &ordered));
    assert_int_equal(tide_blocks_records(&ordered), tide_blocks_records(&list->blocks));
    tide_blocks_destroy(&list->blocks);
    list->blocks = ordered;
}

void assert_in_order(const struct tide_blocks *blocks) {
    uint64_t before = 0;

    for (uint32_t b = 0; b < blocks->count; b++) {
        const uint8_t *at = blocks->items[b]->data, *end = at + blocks->items[b]->size;

        for (uint32_t r = 0; r < blocks->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            uint64_t hash = tide_hash_packed(at, (size_t)(value - at));

            assert_true(hash >= before);
            before = hash;
            at = tide_unpack_skip(value, end);
        }
        assert_ptr_equal(at, end);
    }
}

void assert_rows(const struct tide_blocks *blocks, const struct row rows[KEYS], bool states) {
    static bool seen[KEYS];
    uint64_t expected = 0;

    memset(seen, 0, sizeof seen);
    for (uint32_t k = 0; k < KEYS; k++) expected += rows[k].there;
    assert_int_equal(tide_blocks_records(blocks), expected);
    for (uint32_t b = 0; b < blocks->count; b++) {
        const uint8_t *at = blocks->items[b]->data, *end = at + blocks->items[b]->size;

        for (uint32_t r = 0; r < blocks->items[b]->count; r++) {
            uint32_t key = key_of(at, end);
            struct tide_value value = tide_unpack_value(tide_unpack_skip(at, end), end);

            assert_true(key < KEYS && rows[key].there && !seen[key]);
            seen[key] = true;
            if (states) {
                assert_int_equal(value.type, TIDE_VALUE_ARRAY);
                value = tide_unpack_value(value.next, end);
                assert_true(value.number == rows[key].n);
                value = tide_unpack_value(value.next, end);
            }
            assert_int_equal(value.type, TIDE_VALUE_NUMBER);
            assert_true(value.number == rows[key].sum);
            at = value.next;
        }
        assert_ptr_equal(at, end);
    }
}

void add_to(struct row *row, double value) {
    row->sum = row->there ? row->sum + value : value;
    row->n++;
    row->there = true;
}

/* Values in every form of numbers, whole and not, small and large, negative. */
static double random_number(uint64_t *random) {
    static const double scales[] = {1, 1, 1, 100, 40000, 3e9, 0.37, -1, -0.001, -5e7};

    return random_below(random, 200) * scales[random_below(random, 10)];
}

void add_random(struct list *list, struct row *rows, uint32_t count, uint32_t keys, uint64_t *random) {
    uint32_t size = 1 + random_below(random, 5000);

    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = random_below(random, keys);
        double value = random_number(random);

        add_pair(list, key, value);
        add_to(&rows[key], value);
        if (list->count == size) {
            end_block(list);
            size = 1 + random_below(random, 5000);
        }
    }
    end_block(list);
}
