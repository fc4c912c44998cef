/*
 * kernel/state_rows: rows of states and of results are told apart; each projection skips the others.
 */
#include "kernel/state_rows.h"
#include "packed.h"
#include "test.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

static void expect(struct tide_blocks *blocks, const char *text) {
    packed_expect(blocks, text);
    tide_blocks_destroy(blocks);
}

static void results_and_states_are_told_apart(void **state) {
    struct tide_blocks both, out;
    const uint8_t key[] = {0xa1, 'k'}, value = 5;

    packed_states(&both, "a=1,2");
    assert_true(tide_state_rows_put_mapped(&both, NULL, 0, &value, 1));
    assert_true(tide_state_rows_put_mapped(&both, NULL, 0, key, 2));
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project(&both, &out));
    expect(&out, "a=2");
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project_mapped(&both, &out));
    expect(&out, "5 k");
    tide_blocks_destroy(&both);

    tide_blocks_create(&both);
    assert_true(tide_state_rows_put_mapped(&both, key, 2, &value, 1));
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project_mapped(&both, &out));
    expect(&out, "k=5");
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project(&both, &out));
    expect(&out, "");
    tide_blocks_destroy(&both);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(results_and_states_are_told_apart, no_block_lives),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
