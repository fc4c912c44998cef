/*
 * kernel/merge: what is settled in C and what is asked of Lua.
 */
#include "base/fault.h"
#include "kernel/merge.h"
#include "packed.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_merge merge;
static struct tide_buffer bytes;
static struct tide_block *block;

static int create(void **state) {
    memset(&merge, 0, sizeof merge);
    merge.combine = tide_combine_new();
    tide_buffer_create(&bytes);
    block = NULL;
    return 0;
}

static int destroy(void **state) {
    tide_fault_clear();
    tide_combine_delete(merge.combine);
    tide_buffer_destroy(&bytes);
    tide_block_release(block);
    return tide_block_live() != 0;
}

static void begin(uint32_t count) {
    tide_block_release(block);
    block = packed_block(&bytes, count, 2);
    tide_merge_begin(&merge, block);
}

static void pair(const char *key, double value) {
    tide_pack_text(&bytes, key);
    tide_pack_number(&bytes, value);
}

static void new_numbers_need_no_question(void **state) {
    pair("a", 1);
    pair("b", 2.5);
    tide_pack_number(&bytes, 3);
    tide_pack_number(&bytes, -7);
    begin(3);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_int_equal(merge.combine->count, 3);
    assert_true(merge.combine->numbers[0] == 1);
    assert_true(merge.combine->numbers[1] == 2.5);
    assert_true(merge.combine->numbers[2] == -7);
}

static void numbers_that_meet_are_asked_about(void **state) {
    pair("a", 1);
    pair("b", 2);
    pair("a", 10);
    pair("c", 3);
    pair("b", 20);
    begin(5);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_NUMBER);
    assert_int_equal(merge.entry, 0);
    assert_true(merge.number == 10);
    assert_true(merge.combine->numbers[0] == 1);
    struct tide_value key = tide_unpack_value(merge.key, merge.end);
    assert_int_equal(key.size, 1);
    assert_int_equal(key.data[0], 'a');
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_NUMBER);
    assert_int_equal(merge.entry, 1);
    assert_true(merge.number == 20);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_int_equal(merge.combine->count, 3);
}

static void adding_is_done_here(void **state) {
    merge.add = 1;
    pair("a", 1);
    pair("a", 10);
    pair("b", -0.0);
    pair("a", 100);
    begin(4);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_true(merge.combine->numbers[0] == 111);
    pair("a", 0.5); /* in the next block too */
    begin(1);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_true(merge.combine->numbers[0] == 111.5);
    /* … until there are values that are no numbers. */
    merge.general = 1;
    pair("a", 1);
    pair("new", 2);
    begin(2);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_NUMBER);
    assert_true(merge.number == 1);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_true(merge.combine->numbers[2] == 2);
}

static void other_values_are_handed_over(void **state) {
    merge.add = 1;
    tide_pack_text(&bytes, "a");
    tide_pack_text(&bytes, "text");
    pair("b", 4);
    tide_pack_text(&bytes, "b");
    tide_pack_array(&bytes, 1);
    tide_pack_bool(&bytes, false);
    tide_pack_text(&bytes, "c");
    packed_int64(&bytes, INT64_MAX);
    begin(4);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_FRESH);
    assert_int_equal(merge.entry, 0);
    assert_int_equal(merge.size, 5);
    assert_memory_equal(merge.value, "\xa4text", 5);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_VALUE);
    assert_int_equal(merge.entry, 1);
    assert_int_equal(merge.size, 2);
    assert_memory_equal(merge.value, "\x91\xc2", 2);
    assert_true(merge.combine->numbers[1] == 4);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_FRESH);
    assert_int_equal(merge.size, 9);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
}

static void an_empty_block_is_at_its_end(void **state) {
    begin(0);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END);
    assert_int_equal(merge.combine->count, 0);
}

static void reports_when_memory_is_gone(void **state) {
    pair("a", 1);
    begin(1);
    tide_fault_arm("alloc", 0, -1);
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_NOMEM);
    tide_fault_clear();
    assert_int_equal(tide_merge_next(&merge), TIDE_MERGE_END); /* the record was not passed */
    assert_int_equal(merge.combine->count, 1);
    assert_true(merge.combine->numbers[0] == 1);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(new_numbers_need_no_question), TEST(numbers_that_meet_are_asked_about),
        TEST(adding_is_done_here),          TEST(other_values_are_handed_over),
        TEST(an_empty_block_is_at_its_end), TEST(reports_when_memory_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
