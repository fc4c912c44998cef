/*
 * base/array: room grows to at least what is needed, keeps the items, and is left as it was when memory is gone.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/fault.h"

static void keeps_items(void **state) {
    uint64_t *items = NULL;
    uint32_t count = 0, capacity = 0, moves = 0;

    for (uint64_t i = 0; i < 10000; i++) {
        uint32_t before = capacity;
        TIDE_ARRAY_RESERVE(items, capacity, count + 1);
        assert_true(capacity > count);
        if (capacity != before) moves++;
        items[count++] = i;
    }
    assert_true(moves <= 12); /* 8 items, and then twice as many each time */
    for (uint64_t i = 0; i < count; i++) assert_int_equal(items[i], i);
    TIDE_ARRAY_RESERVE(items, capacity, 100000); /* more than twice */
    assert_int_equal(capacity, 100000);
    assert_int_equal(items[9999], 9999);
    tide_free(items);
}

static void reports_exhaustion(void **state) {
    char **items = NULL;
    uint32_t capacity = 0;

    tide_fault_arm("alloc", 0, 1);
    assert_false(TIDE_ARRAY_RESERVE_TRY(items, capacity, 1));
    assert_null(items);
    assert_int_equal(capacity, 0);
    assert_true(TIDE_ARRAY_RESERVE_TRY(items, capacity, 3));
    assert_int_equal(capacity, TIDE_ARRAY_FIRST);
    if (items) items[0] = "first";

    char **before = items;

    tide_fault_arm("alloc", 0, 1);
    assert_true(TIDE_ARRAY_RESERVE_TRY(items, capacity, TIDE_ARRAY_FIRST)); /* there is room: nothing is asked for */
    assert_false(TIDE_ARRAY_RESERVE_TRY(items, capacity, TIDE_ARRAY_FIRST + 1));
    assert_ptr_equal(items, before);
    assert_int_equal(capacity, TIDE_ARRAY_FIRST);
    assert_true(TIDE_ARRAY_RESERVE_TRY(items, capacity, TIDE_ARRAY_FIRST + 1));
    if (items) assert_string_equal(items[0], "first");
    tide_free(items);
    tide_fault_clear();
}

/* Room stays within what a capacity can say. */
static void room_is_bounded(void **state) {
    assert_int_equal(tide_array_room(0, 1), TIDE_ARRAY_FIRST);
    assert_int_equal(tide_array_room(8, 9), 16);
    assert_int_equal(tide_array_room(UINT32_MAX / 2 + 1, UINT32_MAX / 2 + 2), UINT32_MAX);
    assert_int_equal(tide_array_room(UINT32_MAX - 1, UINT32_MAX), UINT32_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_items),
        cmocka_unit_test(reports_exhaustion),
        cmocka_unit_test(room_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
