/*
 * kernel/group: values of a key in order of arrival, keys in order of first arrival.
 */
#include "base/alloc.h"
#include "base/fault.h"
#include "kernel/group.h"
#include "packed.h"
#include "random_value.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_blocks in, out;
static struct tide_buffer bytes;

static int create(void **state) {
    tide_blocks_create(&in);
    tide_blocks_create(&out);
    tide_buffer_create(&bytes);
    return 0;
}

static int destroy(void **state) {
    tide_fault_clear();
    tide_blocks_destroy(&in);
    tide_blocks_destroy(&out);
    tide_buffer_destroy(&bytes);
    return tide_block_live() != 0;
}

static void groups_over_all_blocks(void **state) {
    tide_pack_text(&bytes, "a");
    tide_pack_number(&bytes, 1);
    tide_pack_number(&bytes, 7);
    tide_pack_text(&bytes, "x");
    tide_pack_text(&bytes, "a");
    tide_pack_array(&bytes, 2);
    tide_pack_number(&bytes, 2);
    tide_pack_nil(&bytes);
    tide_blocks_push(&in, packed_block(&bytes, 3, 2));
    tide_blocks_push(&in, packed_block(&bytes, 0, 2));
    packed_number(&bytes, 7, 10); /* the same key in another form */
    tide_pack_bool(&bytes, false);
    packed_text(&bytes, "a", 1, 3);
    tide_pack_map(&bytes, 0);
    tide_blocks_push(&in, packed_block(&bytes, 2, 2));
    assert_true(tide_group_blocks(&in, &out));
    packed_expect(&out, "a=[1, [2, nil], {}] 7=[x, false]");
}

static void nothing_makes_nothing(void **state) {
    assert_true(tide_group_blocks(&in, &out));
    assert_int_equal(out.count, 0);
    tide_blocks_push(&in, packed_block(&bytes, 0, 0));
    assert_true(tide_group_blocks(&in, &out));
    assert_int_equal(out.count, 0);
}

/* Every length class of an array, each group right up to and over its border. */
static void groups_of_every_size(void **state) {
    static const uint32_t sizes[] = {1, 15, 16, 65535, 65536, 100000};
    uint32_t classes = sizeof sizes / sizeof *sizes, count = 0;

    for (uint32_t i = 0; i < 100000; i++)
        for (uint32_t k = 0; k < classes; k++) {
            if (i >= sizes[k]) continue;
            tide_pack_number(&bytes, k);
            tide_pack_number(&bytes, i);
            count++;
        }
    tide_blocks_push(&in, packed_block(&bytes, count, 2));
    assert_true(tide_group_blocks(&in, &out));
    assert_int_equal(tide_blocks_records(&out), classes);
    uint32_t k = 0;
    for (uint32_t b = 0; b < out.count; b++) {
        const uint8_t *at = out.items[b]->data, *end = at + out.items[b]->size;
        assert_int_equal(out.items[b]->arity, 2);
        for (uint32_t r = 0; r < out.items[b]->count; r++, k++) {
            struct tide_value key = tide_unpack_value(at, end), list = tide_unpack_value(key.next, end);
            assert_true(key.number == k);
            assert_int_equal(list.type, TIDE_VALUE_ARRAY);
            assert_int_equal(list.size, sizes[k]);
            at = list.next;
            for (uint32_t i = 0; i < list.size; i++) {
                struct tide_value value = tide_unpack_value(at, end);
                if (value.number != i) fail_msg("group %u: %g at %u", k, value.number, i);
                at = value.next;
            }
        }
        assert_ptr_equal(at, end);
        assert_true(out.items[b]->size <= TIDE_BLOCK_TARGET || out.items[b]->count == 1);
    }
}

/* The groups one by one, found by looking at every record. */
static void agrees_with_a_plain_search(void **state) {
    enum { RECORDS = 3000, KEYS = 40 };
    uint64_t seed = 5;
    uint8_t keys[RECORDS];
    for (uint32_t i = 0; i < RECORDS; i++) {
        keys[i] = (uint8_t)random_below(&seed, KEYS);
        while (!packed_number(&bytes, keys[i] * 1000, (int)random_below(&seed, NUMBER_FORMS))) continue;
        tide_pack_number(&bytes, i);
        if (random_below(&seed, 100) == 0 || i + 1 == RECORDS) {
            uint32_t before = (uint32_t)tide_blocks_records(&in);
            tide_blocks_push(&in, packed_block(&bytes, i + 1 - before, 2));
        }
    }
    assert_true(tide_group_blocks(&in, &out));
    struct tide_buffer expected;
    tide_buffer_create(&expected);
    bool done[KEYS] = {false};
    for (uint32_t i = 0; i < RECORDS; i++) {
        if (done[keys[i]]) continue;
        done[keys[i]] = true;
        tide_buffer_format(&expected, "%s%d=[", expected.size ? " " : "", keys[i] * 1000);
        const char *comma = "";
        for (uint32_t j = i; j < RECORDS; j++) {
            if (keys[j] != keys[i]) continue;
            tide_buffer_format(&expected, "%s%u", comma, j);
            comma = ", ";
        }
        tide_buffer_append(&expected, "]", 1);
    }
    tide_buffer_append(&expected, "", 1);
    packed_expect(&out, (char *)expected.data);
    tide_buffer_destroy(&expected);
}

static void reports_when_memory_is_gone(void **state) {
    char text[3000] = "";

    for (uint32_t i = 0; i < 1000; i++) {
        tide_pack_number(&bytes, i % 400);
        tide_pack_string(&bytes, text, sizeof text);
    }
    tide_blocks_push(&in, packed_block(&bytes, 1000, 2));
    int failures = 0;
    for (long skip = 0;; skip++) {
        tide_fault_arm("alloc", skip, 1);
        bool ok = tide_group_blocks(&in, &out);
        tide_fault_clear();
        if (ok) break;
        failures++;
        tide_blocks_destroy(&out);
    }
    assert_true(failures > 20);
    assert_int_equal(tide_blocks_records(&out), 400);
}

static void arrays_of_a_key_become_one(void **state) {
    packed_states(&in, "a=1,2 b=3,4 a=5,6");
    assert_true(tide_group_concat(&in, &out));
    packed_expect(&out, "a=[1, 2, 5, 6] b=[3, 4]");
}

static void concat_reports_when_memory_is_gone(void **state) {
    bool ok = false;

    packed_states(&in, "a=1,2 b=3,4 a=5,6");
    for (long nth = 0; !ok; nth++) {
        tide_blocks_destroy(&out);
        tide_blocks_create(&out);
        assert_true(nth < 100);
        tide_fault_arm("alloc", nth, 1);
        ok = tide_group_concat(&in, &out);
        tide_fault_clear();
        assert_true(nth > 0 || !ok);
    }
    packed_expect(&out, "a=[1, 2, 5, 6] b=[3, 4]");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(groups_over_all_blocks),
        TEST(nothing_makes_nothing),
        TEST(groups_of_every_size),
        TEST(agrees_with_a_plain_search),
        TEST(reports_when_memory_is_gone),
        TEST(arrays_of_a_key_become_one),
        TEST(concat_reports_when_memory_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
