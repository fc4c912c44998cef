/*
 * base/buffer: grows, formats, hands its bytes over.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "test.h"

static void appends_across_growth(void **state) {
    struct tide_buffer buffer;

    tide_buffer_create(&buffer);
    for (int i = 0; i < 10000; i++) {
        uint8_t bytes[3] = {(uint8_t)i, (uint8_t)(i >> 8), 0};
        tide_buffer_append(&buffer, bytes, sizeof bytes);
    }
    assert_int_equal(buffer.size, 30000);
    assert_true(buffer.capacity >= buffer.size);
    for (int i = 0; i < 10000; i++) {
        assert_int_equal(buffer.data[3 * i], (uint8_t)i);
        assert_int_equal(buffer.data[3 * i + 1], (uint8_t)(i >> 8));
    }
    tide_buffer_destroy(&buffer);
    assert_null(buffer.data);
    assert_int_equal(buffer.size, 0);
}

static void appending_nothing_needs_no_data(void **state) {
    struct tide_buffer buffer;

    tide_buffer_create(&buffer);
    tide_buffer_append(&buffer, NULL, 0);
    assert_int_equal(buffer.size, 0);
    assert_null(buffer.data);
    tide_buffer_destroy(&buffer);
}

static void reserve_gives_room_and_keeps_the_size(void **state) {
    struct tide_buffer buffer;

    tide_buffer_create(&buffer);
    assert_non_null(tide_buffer_reserve(&buffer, 0));
    tide_buffer_append(&buffer, "ab", 2);
    uint8_t *place = tide_buffer_reserve(&buffer, 100000);
    assert_ptr_equal(place, buffer.data + 2);
    assert_int_equal(buffer.size, 2);
    memset(place, 7, 100000);
    assert_memory_equal(buffer.data, "ab", 2);
    size_t capacity = buffer.capacity;
    tide_buffer_reserve(&buffer, 100000);
    assert_int_equal(buffer.capacity, capacity);
    tide_buffer_destroy(&buffer);
}

static void reserve_try_reports_that_memory_is_gone(void **state) {
    struct tide_buffer buffer;

    tide_buffer_create(&buffer);
    tide_fault_arm("alloc", 0, 1);
    assert_false(tide_buffer_reserve_try(&buffer, 0));
    assert_null(buffer.data);
    assert_true(tide_buffer_reserve_try(&buffer, 3));
    tide_buffer_append(&buffer, "abc", 3);
    tide_fault_arm("alloc", 0, 1);
    assert_false(tide_buffer_reserve_try(&buffer, 100000));
    assert_false(tide_buffer_reserve_try(&buffer, SIZE_MAX - 10));
    assert_int_equal(buffer.size, 3);
    assert_memory_equal(buffer.data, "abc", 3);
    tide_fault_clear();
    assert_true(tide_buffer_reserve_try(&buffer, 100000));
    assert_true(buffer.capacity >= 100003);
    assert_memory_equal(buffer.data, "abc", 3);
    tide_buffer_destroy(&buffer);
}

static void formats(void **state) {
    struct tide_buffer buffer;

    tide_buffer_create(&buffer);
    tide_buffer_format(&buffer, "%s-%d", "a", 1);
    tide_buffer_format(&buffer, "%s", "");
    tide_buffer_format(&buffer, "%0200d", 5);
    assert_int_equal(buffer.size, 203);
    assert_memory_equal(buffer.data, "a-10000", 7 - 1);
    assert_int_equal(buffer.data[202], '5');
    tide_buffer_destroy(&buffer);
}

static void hands_its_bytes_over(void **state) {
    struct tide_buffer buffer;

    tide_buffer_create(&buffer);
    tide_buffer_append(&buffer, "tide", 4);
    size_t size = 0;
    uint8_t *bytes = tide_buffer_take(&buffer, &size);
    assert_int_equal(size, 4);
    assert_memory_equal(bytes, "tide", 4);
    assert_null(buffer.data);
    assert_int_equal(buffer.size, 0);
    assert_int_equal(buffer.capacity, 0);
    tide_buffer_append(&buffer, "again", 5);
    assert_int_equal(buffer.size, 5);
    tide_free(bytes);
    tide_buffer_destroy(&buffer);
    assert_null(tide_buffer_take(&buffer, NULL));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends_across_growth),
        cmocka_unit_test(appending_nothing_needs_no_data),
        cmocka_unit_test(reserve_gives_room_and_keeps_the_size),
        cmocka_unit_test(reserve_try_reports_that_memory_is_gone),
        cmocka_unit_test(formats),
        cmocka_unit_test(hands_its_bytes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
