/*
 * kernel/router: every record arrives once, in order, at the partition where its key lives; blocks are sealed in
 * time.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "kernel/router.h"
#include "packed.h"
#include "random_value.h"
#include "test.h"
#include "wire/hash.h"
#include "wire/pack.h"
#include "wire/unpack.h"

enum { MOST = 16 };

static struct tide_blocks outputs[MOST];
static struct tide_router *router;
static struct tide_buffer record;

static int create(void **state) {
    for (int i = 0; i < MOST; i++) tide_blocks_create(&outputs[i]);
    tide_buffer_create(&record);
    router = NULL;
    return 0;
}

static int destroy(void **state) {
    tide_fault_clear();
    tide_router_delete(router);
    for (int i = 0; i < MOST; i++) tide_blocks_destroy(&outputs[i]);
    tide_buffer_destroy(&record);
    return tide_block_live() != 0;
}

static void open_router(uint32_t count, uint32_t arity) {
    router = tide_router_new(outputs, count, arity);
    assert_non_null(router);
}

static void close_router(void) {
    tide_router_delete(router);
    router = NULL;
}

static void expect(uint32_t partition, const char *text) {
    char *shown = packed_show(&outputs[partition]);

    assert_string_equal(shown, text);
    tide_free(shown);
}

/* Keys of all kinds in all forms, each with its number as the value. */
static void hash_sends_equal_keys_to_one_partition(void **state) {
    enum { RECORDS = 20000 };
    for (uint32_t count = 1; count <= MOST; count += 5) {
        uint64_t seed = count;
        uint8_t where[RECORDS];
        open_router(count, 2);
        for (uint32_t i = 0; i < RECORDS; i++) {
            char text[4];
            uint32_t number = random_below(&seed, 500);
            switch (random_below(&seed, 3)) {
            case 0:
                while (!packed_number(&record, number, (int)random_below(&seed, NUMBER_FORMS))) continue;
                where[i] = (uint8_t)tide_key_partition(tide_hash_number(number), count);
                break;
            case 1:
                memcpy(text, &number, sizeof text);
                packed_text(&record, text, sizeof text, (int)random_below(&seed, TEXT_FORMS));
                where[i] = (uint8_t)tide_key_partition(tide_hash_string(text, sizeof text), count);
                break;
            default:
                random_value(&record, &seed, 3);
                where[i] = (uint8_t)tide_key_partition(tide_hash_packed(record.data, record.size), count);
            }
            size_t key_size = record.size;
            tide_pack_number(&record, i);
            assert_true(tide_router_hash(router, record.data, key_size, record.size));
            record.size = 0;
        }
        close_router();
        uint32_t seen = 0;
        for (uint32_t p = 0; p < count; p++) {
            double last = -1;
            for (uint32_t b = 0; b < outputs[p].count; b++) {
                const struct tide_block *block = outputs[p].items[b];
                const uint8_t *at = block->data, *end = at + block->size;
                assert_int_equal(block->arity, 2);
                assert_int_equal(block->kind, TIDE_BLOCK_PACKED);
                for (uint32_t r = 0; r < block->count; r++, seen++) {
                    at = tide_unpack_skip(at, end);
                    struct tide_value value = tide_unpack_value(at, end);
                    if (value.number <= last) fail_msg("partition %u: %g comes after %g", p, value.number, last);
                    last = value.number;
                    if (where[(uint32_t)last] != p) fail_msg("record %g is in partition %u", last, p);
                    at = value.next;
                }
                assert_ptr_equal(at, end);
            }
            tide_blocks_destroy(&outputs[p]);
        }
        assert_int_equal(seen, RECORDS);
    }
}

static void round_robin_goes_around_from_the_first_output(void **state) {
    open_router(3, 1);
    for (int i = 0; i < 7; i++) {
        record.size = 0;
        tide_pack_number(&record, i);
        assert_true(tide_router_next(router, record.data, record.size));
    }
    close_router();
    expect(0, "0 3 6");
    expect(1, "1 4");
    expect(2, "2 5");
    open_router(1, 1);
    assert_true(tide_router_next(router, record.data, record.size));
    close_router();
    expect(0, "0 3 6 | 6");
}

static void nothing_written_is_no_block(void **state) {
    open_router(3, 2);
    close_router();
    for (int i = 0; i < 3; i++) assert_int_equal(outputs[i].count, 0);
}

static struct tide_block *bounds_of(const double *bounds, uint32_t count) {
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    for (uint32_t i = 0; i < count; i++) tide_pack_number(&bytes, bounds[i]);
    struct tide_block *block = packed_block(&bytes, count, 1);
    tide_buffer_destroy(&bytes);
    return block;
}

static void put_range(const struct tide_block *bounds, bool ascending, double key) {
    record.size = 0;
    tide_pack_number(&record, key);
    size_t key_size = record.size;
    tide_pack_bool(&record, true);
    assert_true(tide_router_range(router, bounds, ascending, record.data, key_size, record.size));
}

static void range_puts_a_bound_below_itself(void **state) {
    static const double limits[] = {10, 20, 20.5};
    static const double keys[] = {30, 20.5, 20.25, 20, 15, 10, 9, -1};
    struct tide_block *bounds = bounds_of(limits, 3);

    open_router(4, 2);
    for (int i = 0; i < 8; i++) put_range(bounds, true, keys[i]);
    close_router();
    expect(0, "10=true 9=true -1=true");
    expect(1, "20=true 15=true");
    expect(2, "20.5=true 20.25=true");
    expect(3, "30=true");
    for (int i = 0; i < 4; i++) tide_blocks_destroy(&outputs[i]);

    open_router(4, 2);
    for (int i = 0; i < 8; i++) put_range(bounds, false, keys[i]);
    close_router();
    expect(3, "10=true 9=true -1=true");
    expect(0, "30=true");
    tide_block_release(bounds);
}

static void few_bounds_leave_partitions_empty(void **state) {
    static const double limits[] = {10};
    struct tide_block *none = bounds_of(limits, 0), *one = bounds_of(limits, 1);

    open_router(4, 2);
    put_range(none, true, 1);
    put_range(none, false, 2);
    close_router();
    expect(0, "1=true 2=true");
    open_router(4, 2);
    put_range(one, true, 3);
    put_range(one, true, 33);
    close_router();
    expect(0, "1=true 2=true | 3=true");
    expect(1, "33=true");
    open_router(4, 2);
    put_range(one, false, 4);
    put_range(one, false, 44);
    close_router();
    expect(0, "1=true 2=true | 3=true | 44=true");
    expect(1, "33=true | 4=true");
    expect(2, "");
    tide_block_release(none);
    tide_block_release(one);
}

/* A block at once is the same as its records one by one. */
static void blocks_are_sent_as_their_records_are(void **state) {
    static const double limits[] = {300, 310.5, 400};
    struct tide_block *bounds = bounds_of(limits, 3), *block;
    uint64_t seed = 17;

    for (uint32_t i = 0; i < 700; i++) {
        if (i % 3 == 0) packed_text(&record, "text", i % 5, 0);
        else tide_pack_number(&record, (double)random_below(&seed, 900) / (i % 4 == 0 ? 7 : 1));
        random_value(&record, &seed, 2);
    }
    block = packed_block(&record, 700, 2);
    for (int way = 0; way < 4; way++) {
        char *shown[2][4];

        for (int whole = 0; whole < 2; whole++) {
            const uint8_t *at = block->data, *end = at + block->size;

            open_router(4, 2);
            if (whole) {
                assert_int_equal(way == 3 ? tide_router_spread(router, block)
                                          : tide_router_pairs(router, block, way == 0 ? NULL : bounds, way == 1),
                                 1);
            }
            for (uint32_t r = 0; !whole && r < block->count; r++) {
                const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);
                size_t key_size = (size_t)(value - at), size = (size_t)(next - at);

                if (way == 0) assert_true(tide_router_hash(router, at, key_size, size));
                else if (way == 3) assert_true(tide_router_next(router, at, size));
                else assert_true(tide_router_range(router, bounds, way == 1, at, key_size, size));
                at = next;
            }
            close_router();
            for (int p = 0; p < 4; p++) {
                shown[whole][p] = packed_show(&outputs[p]);
                tide_blocks_destroy(&outputs[p]);
            }
        }
        for (int p = 0; p < 4; p++) {
            assert_true(shown[0][p][0] != '\0');
            assert_string_equal(shown[1][p], shown[0][p]);
            tide_free(shown[0][p]);
            tide_free(shown[1][p]);
        }
    }
    tide_block_release(block);
    tide_block_release(bounds);
}

static void single_values_are_spread(void **state) {
    struct tide_block *block;

    for (int i = 0; i < 5; i++) tide_pack_number(&record, i);
    block = packed_block(&record, 5, 1);
    open_router(2, 1);
    assert_int_equal(tide_router_spread(router, block), 1);
    close_router();
    tide_block_release(block);
    expect(0, "0 2 4");
    expect(1, "1 3");
}

static void nan_keys_are_not_sent(void **state) {
    struct tide_block *block;

    for (int i = 0; i < 2; i++) {
        tide_pack_number(&record, i == 0 ? 1 : NAN);
        tide_pack_number(&record, 2);
    }
    block = packed_block(&record, 2, 2);
    open_router(2, 2);
    assert_int_equal(tide_router_pairs(router, block, NULL, true), 0);
    assert_int_equal(tide_router_spread(router, block), 1); /* there it is a key like any other */
    close_router();
    tide_block_release(block);
}

/* Bounds of any kind, compared one after the other. */
static void range_agrees_with_a_plain_search(void **state) {
    uint64_t seed = 8;

    for (int round = 0; round < 60; round++) {
        uint32_t nbounds = random_below(&seed, MOST);
        struct tide_buffer sorted[MOST], all;
        tide_buffer_create(&all);
        for (uint32_t i = 0; i < nbounds; i++) {
            tide_buffer_create(&sorted[i]);
            random_value(&sorted[i], &seed, 2);
            for (uint32_t j = i; j > 0; j--) {
                struct tide_buffer *a = &sorted[j - 1], *b = &sorted[j];
                if (tide_unpack_compare(a->data, a->data + a->size, b->data, b->data + b->size) <= 0) break;
                struct tide_buffer swap = *a;
                *a = *b;
                *b = swap;
            }
        }
        for (uint32_t i = 0; i < nbounds; i++) tide_buffer_append(&all, sorted[i].data, sorted[i].size);
        struct tide_block *bounds = packed_block(&all, nbounds, 1);
        bool ascending = round % 2 == 0;
        open_router(MOST, 2);
        uint32_t expected[MOST] = {0};
        for (int i = 0; i < 200; i++) {
            record.size = 0;
            if (nbounds > 0 && i % 5 == 0)
                tide_buffer_append(&record, sorted[i % nbounds].data, sorted[i % nbounds].size);
            else random_value(&record, &seed, 2);
            size_t size = record.size;
            uint32_t below = 0;
            while (below < nbounds && tide_unpack_compare(record.data, record.data + size, sorted[below].data,
                                                          sorted[below].data + sorted[below].size) > 0)
                below++;
            expected[ascending ? below : nbounds - below]++;
            tide_pack_nil(&record);
            assert_true(tide_router_range(router, bounds, ascending, record.data, size, record.size));
        }
        close_router();
        for (uint32_t i = 0; i < MOST; i++) {
            assert_int_equal(tide_blocks_records(&outputs[i]), expected[i]);
            tide_blocks_destroy(&outputs[i]);
        }
        tide_block_release(bounds);
        tide_buffer_destroy(&all);
        for (uint32_t i = 0; i < nbounds; i++) tide_buffer_destroy(&sorted[i]);
    }
}

static void blocks_are_sealed_when_full(void **state) {
    uint64_t seed = 3;
    char *text = calloc(1, TIDE_BLOCK_TARGET * 2);

    open_router(2, 1);
    uint64_t bytes = 0;
    for (int i = 0; i < 3000; i++) {
        /* Now and then a record that is larger than a block. */
        size_t size = i % 1000 == 7 ? TIDE_BLOCK_TARGET + (size_t)i : random_below(&seed, 2000);
        record.size = 0;
        tide_pack_string(&record, text, size);
        bytes += record.size;
        assert_true(tide_router_next(router, record.data, record.size));
    }
    close_router();
    uint64_t seen = 0;
    for (int p = 0; p < 2; p++) {
        assert_int_equal(tide_blocks_records(&outputs[p]), 1500);
        for (uint32_t b = 0; b < outputs[p].count; b++) {
            const struct tide_block *block = outputs[p].items[b];
            seen += block->size;
            assert_true(block->count > 0);
            assert_true(block->size <= TIDE_BLOCK_TARGET || block->count == 1);
            assert_true(block->size <= block->capacity);
            /* Not many half-empty blocks: only one that a large record follows, and the last. */
            if (b + 1 < outputs[p].count && outputs[p].items[b + 1]->count > 1)
                assert_true(block->size > TIDE_BLOCK_TARGET - 2010 || block->count == 1);
            for (int i = 0; i < TIDE_BLOCK_SLACK; i++) assert_int_equal(block->data[block->capacity + i], 0);
        }
    }
    assert_true(seen == bytes);
    free(text);
}

static void entries_go_where_their_key_goes(void **state) {
    struct tide_combine *combine = tide_combine_new();

    assert_true(tide_combine_add_string(combine, "one", 3, 1));
    assert_true(tide_combine_add_number(combine, -40, 300));
    assert_true(tide_combine_add_number(combine, 0.5, 1e10));
    assert_true(tide_combine_add_string(combine, "", 0, -0.0));
    assert_true(tide_combine_add_number(combine, 70000, 0));
    open_router(1, 2);
    assert_true(tide_router_entries(router, combine));
    tide_pack_array(&record, 1);
    tide_pack_bool(&record, false);
    assert_true(tide_router_entry(router, combine, 1, record.data, record.size));
    assert_true(tide_router_entry(router, combine, 4, NULL, 0));
    close_router();
    expect(0, "one=1 -40=300 0.5=1e+10 =-0 70000=0 -40=[false] 70000=0");
    tide_blocks_destroy(&outputs[0]);

    open_router(MOST, 2);
    assert_true(tide_router_entries(router, combine));
    close_router();
    for (uint32_t p = 0; p < MOST; p++) {
        for (uint32_t b = 0; b < outputs[p].count; b++) {
            const uint8_t *at = outputs[p].items[b]->data;
            const uint8_t *after = tide_unpack_skip(at, at + outputs[p].items[b]->size);
            assert_int_equal(tide_key_partition(tide_hash_packed(at, (size_t)(after - at)), MOST), p);
        }
    }
    tide_combine_delete(combine);
}

/* Each allocation fails in turn: false is returned, what was written before is still whole, nothing leaks. */
static void reports_when_memory_is_gone(void **state) {
    static const double limits[] = {5};
    struct tide_block *bounds = bounds_of(limits, 1);
    char text[600] = "";
    uint32_t failures = 0;

    for (long skip = 0; skip < 40; skip++) {
        tide_fault_arm("alloc", skip, 1);
        router = tide_router_new(outputs, 2, 2);
        if (!router) {
            failures++;
            continue;
        }
        uint32_t written = 0;
        for (uint32_t i = 0; i < 2000; i++) {
            record.size = 0;
            tide_pack_number(&record, i % 10);
            size_t key_size = record.size;
            tide_pack_string(&record, text, sizeof text);
            if (!tide_router_range(router, bounds, true, record.data, key_size, record.size)) {
                failures++;
                break;
            }
            written++;
        }
        tide_fault_clear();
        close_router();
        assert_int_equal(tide_blocks_records(&outputs[0]) + tide_blocks_records(&outputs[1]), written);
        tide_blocks_destroy(&outputs[0]);
        tide_blocks_destroy(&outputs[1]);
    }
    assert_true(failures > 10);
    tide_block_release(bounds);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(hash_sends_equal_keys_to_one_partition),
        TEST(round_robin_goes_around_from_the_first_output),
        TEST(nothing_written_is_no_block),
        TEST(range_puts_a_bound_below_itself),
        TEST(few_bounds_leave_partitions_empty),
        TEST(blocks_are_sent_as_their_records_are),
        TEST(single_values_are_spread),
        TEST(nan_keys_are_not_sent),
        TEST(range_agrees_with_a_plain_search),
        TEST(blocks_are_sealed_when_full),
        TEST(entries_go_where_their_key_goes),
        TEST(reports_when_memory_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
