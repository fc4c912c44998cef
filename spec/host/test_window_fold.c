/*
 * kernel/window_fold: values are folded by the caller, range by range, in their order; values that are not numbers
 * are found before the first range.
 */
#include "base/fault.h"
#include "kernel/window_fold.h"
#include "random_value.h"
#include "test.h"
#include "window_rig.h"
#include "wire/pack.h"

/* Folds the values of each key as 2 * before + value, which tells their order. */
static int fold_doubling(const struct tide_blocks *in, struct tide_blocks *out) {
    struct tide_window_fold *fold;
    int status = tide_window_fold_open(&fold, NULL, NULL, in, false, false);

    if (status != TIDE_WINDOW_FOLD_DONE) return status;
    while ((status = tide_window_fold_read(fold)) == TIDE_WINDOW_FOLD_RANGE) {
        for (uint32_t i = 0; i < fold->meetings; i++)
            fold->values[fold->met[i]] = 2 * fold->values[fold->met[i]] + fold->newcomers[i];
        if (!tide_window_fold_write(fold, false)) {
            status = TIDE_WINDOW_FOLD_NO_MEMORY;
            break;
        }
    }
    if (status == TIDE_WINDOW_FOLD_DONE) tide_window_fold_finish(fold, out);
    else tide_window_fold_delete(fold);
    return status;
}

static void values_that_meet_are_told_in_their_order(void **state) {
    static struct row rows[KEYS];
    uint64_t random = 23;
    struct list list;
    struct tide_blocks out;

    memset(rows, 0, sizeof rows);
    list_create(&list);
    tide_blocks_create(&out);
    for (uint32_t i = 0; i < 12000; i++) {
        uint32_t key = random_below(&random, 4000);
        double value = random_below(&random, 5);

        add_pair(&list, key, value);
        rows[key].sum = rows[key].there ? 2 * rows[key].sum + value : value;
        rows[key].there = true;
        if (i % 1000 == 999) end_block(&list); /* not in order */
    }
    assert_int_equal(fold_doubling(&list.blocks, &out), TIDE_WINDOW_FOLD_DONE);
    assert_rows(&out, rows, false);
    assert_in_order(&out);
    tide_blocks_destroy(&out);
    list_destroy(&list);
}

/* Before any function has been called. */
static void what_is_no_number_is_found_first(void **state) {
    struct list list;
    struct tide_window_fold *fold;

    list_create(&list);
    for (uint32_t k = 0; k < 5000; k++) add_pair(&list, k, k);
    pack_key(&list.bytes, 7);
    tide_pack_bool(&list.bytes, true);
    list.count++;
    end_block(&list);
    assert_int_equal(tide_window_fold_open(&fold, NULL, NULL, &list.blocks, false, false), TIDE_WINDOW_FOLD_OTHER);
    assert_int_equal(tide_window_fold_open(&fold, NULL, &list.blocks, NULL, false, false), TIDE_WINDOW_FOLD_OTHER);
    assert_int_equal(tide_window_fold_open(&fold, &list.blocks, NULL, NULL, false, false), TIDE_WINDOW_FOLD_DONE);
    assert_int_equal(tide_window_fold_read(fold), TIDE_WINDOW_FOLD_DONE); /* none of it is a state */
    tide_window_fold_delete(fold);
    list_destroy(&list);
}

/* Not in order: ordering is part of it. */
static void memory_that_is_gone_is_reported(void **state) {
    static struct row rows[KEYS];
    struct list list;
    uint64_t random = 3;
    int status = TIDE_WINDOW_FOLD_NO_MEMORY;

    list_create(&list);
    add_random(&list, rows, 3000, 2000, &random);
    for (long nth = 0; status != TIDE_WINDOW_FOLD_DONE; nth++) {
        struct tide_blocks out;

        assert_true(nth < 1000);
        tide_blocks_create(&out);
        tide_fault_arm("alloc", nth, 1);
        status = fold_doubling(&list.blocks, &out);
        tide_fault_clear();
        assert_int_equal(status, out.count > 0 ? TIDE_WINDOW_FOLD_DONE : TIDE_WINDOW_FOLD_NO_MEMORY);
        assert_true(nth > 0 || status == TIDE_WINDOW_FOLD_NO_MEMORY);
        tide_blocks_destroy(&out);
    }
    list_destroy(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(values_that_meet_are_told_in_their_order, nothing_is_left),
        cmocka_unit_test_teardown(what_is_no_number_is_found_first, nothing_is_left),
        cmocka_unit_test_teardown(memory_that_is_gone_is_reported, nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
