/*
 * kernel/sort_by_hash: records in the order of their keys' hashes; those of one key keep theirs.
 */
#include "base/fault.h"
#include "kernel/sort_by_hash.h"
#include "test.h"
#include "window_rig.h"
#include "wire/unpack.h"

static void records_are_put_in_the_order_of_hashes(void **state) {
    static const uint32_t sizes[] = {1, 2, 47, 48, 49, 50, 3000};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct list list;

        list_create(&list);
        for (uint32_t r = 0; r < sizes[i]; r++) {
            add_pair(&list, r * 7 % KEYS, r);
            if (r % 100 == 99) end_block(&list);
        }
        put_in_order(&list);
        assert_in_order(&list.blocks);
        list_destroy(&list);
    }
}

static void records_of_one_key_stay_as_they_come(void **state) {
    struct list list;

    list_create(&list);
    for (uint32_t r = 0; r < 500; r++) add_pair(&list, r % 5 * 3 + 1, r);
    put_in_order(&list);
    assert_in_order(&list.blocks);

    const uint8_t *at = list.blocks.items[0]->data, *end = at + list.blocks.items[0]->size;

    for (uint32_t r = 0; r < 500; r++) {
        struct tide_value value = tide_unpack_value(tide_unpack_skip(at, end), end);

        assert_int_equal(key_of(at, end), (uint32_t)value.number % 5 * 3 + 1);
        assert_int_equal((uint32_t)value.number / 5, r % 100);
        at = value.next;
    }
    list_destroy(&list);
}

static void nothing_is_in_order(void **state) {
    struct tide_blocks none, out;

    tide_blocks_create(&none);
    tide_blocks_create(&out);
    assert_true(tide_sort_by_hash(&none, &out));
    assert_int_equal(out.count, 0);
}

static void memory_that_is_gone_is_reported(void **state) {
    static struct row rows[KEYS];
    struct list list;
    uint64_t random = 3;
    bool ok = false;

    list_create(&list);
    add_random(&list, rows, 3000, 2000, &random);
    for (long nth = 0; !ok; nth++) {
        struct tide_blocks out;

        assert_true(nth < 100);
        tide_blocks_create(&out);
        tide_fault_arm("alloc", nth, 1);
        ok = tide_sort_by_hash(&list.blocks, &out);
        tide_fault_clear();
        assert_true(nth > 0 || !ok);
        tide_blocks_destroy(&out);
    }
    list_destroy(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(records_are_put_in_the_order_of_hashes, nothing_is_left),
        cmocka_unit_test_teardown(records_of_one_key_stay_as_they_come, nothing_is_left),
        cmocka_unit_test_teardown(nothing_is_in_order, nothing_is_left),
        cmocka_unit_test_teardown(memory_that_is_gone_is_reported, nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
