/*
 * kernel/state_delta: the keys added change, all others stay; large blocks without changes are shared.
 */
#include "base/buffer.h"
#include "kernel/state_delta.h"
#include "packed.h"
#include "test.h"
#include "wire/pack.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

static void a_delta_changes_the_keys_added(void **state) {
    struct tide_blocks records, before, out;
    struct tide_state_delta *delta = tide_state_delta_new();
    const uint8_t seven = 7;

    packed_read(&records, "b=1 x=1 b=2");
    packed_states(&before, "a=5,1 b=5,2 c=1,3 d=5,4");
    tide_blocks_create(&out);
    assert_true(tide_state_delta_add(delta, &records));
    assert_int_equal(delta->records, 3);
    assert_int_equal(delta->order[0], 0);
    assert_int_equal(delta->order[1], 1);
    assert_int_equal(delta->order[2], 0);
    assert_true(tide_state_delta_scan(delta, &before, 2, &out));
    assert_non_null(delta->old[0].value);
    assert_true(delta->old[0].n == 5);
    assert_null(delta->old[1].value);
    assert_int_equal(delta->dues, 1); /* c */
    assert_true(tide_state_delta_put(delta, 0, 9, NULL, 0));
    assert_true(tide_state_delta_put(delta, 1, 8, &seven, 1));
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    packed_expect(&out, "a=[5, 1] d=[5, 4] b=[9, 2] x=[8, 7]");
    tide_blocks_destroy(&out);
    tide_blocks_destroy(&records);
    tide_blocks_destroy(&before);
}

static void a_large_block_without_changes_is_shared(void **state) {
    struct tide_blocks records, before, out;
    struct tide_state_delta *delta = tide_state_delta_new();
    struct tide_buffer bytes;
    uint32_t count = 0;

    tide_buffer_create(&bytes);
    for (; bytes.size < TIDE_BLOCK_TARGET; count++) {
        tide_pack_number(&bytes, count);
        tide_pack_array(&bytes, 2);
        tide_pack_number(&bytes, 1);
        tide_pack_number(&bytes, 2);
    }
    tide_blocks_create(&before);
    tide_blocks_push(&before, packed_block(&bytes, count, 2));
    tide_buffer_destroy(&bytes);
    packed_read(&records, "a=1");
    tide_blocks_create(&out);
    assert_true(tide_state_delta_add(delta, &records));
    assert_true(tide_state_delta_scan(delta, &before, -1, &out));
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    assert_int_equal(out.count, 1);
    assert_ptr_equal(out.items[0], before.items[0]);
    tide_blocks_destroy(&out);
    tide_blocks_destroy(&before);
    tide_blocks_destroy(&records);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(a_delta_changes_the_keys_added, no_block_lives),
        cmocka_unit_test_teardown(a_large_block_without_changes_is_shared, no_block_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
