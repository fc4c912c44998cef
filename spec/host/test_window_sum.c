/*
 * kernel/window_sum: parts of windows merged, windows made from those before. Results are compared with a plain model
 * (window_rig.h).
 */
#include "base/buffer.h"
#include "base/fault.h"
#include "kernel/window_fold.h"
#include "kernel/window_sum.h"
#include "packed.h"
#include "random_value.h"
#include "test.h"
#include "window_rig.h"
#include "wire/pack.h"

/* ---- Parts of a window -------------------------------------------------------------------------------------- */

static void nothing_makes_nothing(void **state) {
    struct tide_blocks none, out;

    tide_blocks_create(&none);
    tide_blocks_create(&out);
    assert_int_equal(tide_window_sum_merge(&none, &out), TIDE_WINDOW_FOLD_DONE);
    assert_int_equal(out.count, 0);
}

static void parts_are_merged(void **state) {
    uint64_t random = 11;

    for (uint32_t turn = 0; turn < 24; turn++) {
        static struct row rows[KEYS];
        struct list all;
        struct tide_blocks out;
        uint32_t parts = 1 + random_below(&random, 9), keys = turn % 3 == 0 ? 20 : KEYS;

        memset(rows, 0, sizeof rows);
        list_create(&all);
        tide_blocks_create(&out);
        for (uint32_t p = 0; p < parts; p++) {
            struct list part;

            list_create(&part);
            add_random(&part, rows, random_below(&random, 4000), keys, &random);
            if (turn % 4 != 0) put_in_order(&part); /* else: as it comes */
            tide_blocks_append(&all.blocks, &part.blocks);
            list_destroy(&part);
        }
        assert_int_equal(tide_window_sum_merge(&all.blocks, &out), TIDE_WINDOW_FOLD_DONE);
        assert_rows(&out, rows, false);
        assert_in_order(&out);
        tide_blocks_destroy(&out);
        list_destroy(&all);
    }
}

/* 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1. */
static void values_are_added_in_the_order_of_the_parts(void **state) {
    static const double values[] = {0.1, 0.2, 0.3, 1e16, -1e16};
    struct row rows[KEYS] = {{0}};
    struct list list;
    struct tide_blocks out;

    list_create(&list);
    tide_blocks_create(&out);
    for (size_t i = 0; i < 5; i++) {
        add_pair(&list, 4, values[i]);
        add_to(&rows[4], values[i]);
        end_block(&list);
    }
    assert_int_equal(tide_window_sum_merge(&list.blocks, &out), TIDE_WINDOW_FOLD_DONE);
    assert_rows(&out, rows, false);
    tide_blocks_destroy(&out);
    list_destroy(&list);
}

/* Equal to Lua, whatever form the bytes have. */
static void forms_of_one_key_meet(void **state) {
    struct tide_buffer bytes;
    struct tide_blocks in, out;
    uint32_t count = 0;

    tide_buffer_create(&bytes);
    for (int form = 0; form < NUMBER_FORMS; form++) {
        if (!packed_number(&bytes, 5, form)) continue;
        tide_pack_number(&bytes, 1);
        count++;
    }
    for (int form = 0; form < TEXT_FORMS; form++) {
        if (!packed_text(&bytes, "five", 4, form)) continue;
        tide_pack_number(&bytes, 1);
        count++;
    }
    assert_true(count > 10);
    tide_blocks_create(&in);
    tide_blocks_create(&out);
    tide_blocks_push(&in, packed_block(&bytes, count, 2));
    assert_int_equal(tide_window_sum_merge(&in, &out), TIDE_WINDOW_FOLD_DONE);
    assert_int_equal(tide_blocks_records(&out), 2);
    tide_blocks_destroy(&out);
    tide_blocks_destroy(&in);
    tide_buffer_destroy(&bytes);
}

static void values_that_are_no_numbers_are_left_to_the_caller(void **state) {
    struct list list, none;
    struct tide_blocks out;

    list_create(&list);
    list_create(&none);
    tide_blocks_create(&out);
    for (uint32_t k = 0; k < 3000; k++) add_pair(&list, k, k);
    pack_key(&list.bytes, 9);
    tide_pack_text(&list.bytes, "text");
    list.count++;
    put_in_order(&list);
    assert_int_equal(tide_window_sum_merge(&list.blocks, &out), TIDE_WINDOW_FOLD_OTHER);
    assert_int_equal(out.count, 0);

    for (int side = 1; side < 3; side++) {
        struct tide_state_delta *delta = tide_state_delta_new();

        assert_int_equal(tide_window_sum_slide(delta, &none.blocks, side == 1 ? &list.blocks : &none.blocks,
                                               side == 2 ? &list.blocks : &none.blocks, false, &out),
                         TIDE_WINDOW_FOLD_OTHER);
        assert_int_equal(out.count, 0);
        tide_state_delta_finish(delta);
        tide_state_delta_delete(delta);
    }
    list_destroy(&list);
    list_destroy(&none);
}

/* ---- One window after the other ----------------------------------------------------------------------------- */

/* Sums and counts of what one slide takes away or adds, in order. */
static void random_change(struct list *list, uint32_t count, uint32_t keys, uint64_t *random, struct row *rows) {
    memset(rows, 0, KEYS * sizeof *rows);
    list_create(list);
    add_random(list, rows, count, keys, random);
    put_in_order(list);
}

static void slide_model(struct row *window, const struct row *left, const struct row *came) {
    for (uint32_t k = 0; k < KEYS; k++) {
        if (window[k].there) {
            if (left[k].there) window[k].sum -= left[k].sum;
            if (came[k].there) window[k].sum += came[k].sum;
            window[k].n += came[k].n - left[k].n;
        } else if (came[k].there) {
            window[k] = came[k];
        }
    }
}

/* Puts the keys left open whose sum is positive; the model forgets the others. */
static void decide(struct tide_state_delta *delta, struct row *window) {
    static bool open[KEYS];

    memset(open, 0, sizeof open);
    for (uint32_t i = 0; i < delta->opens; i++) {
        uint32_t entry = delta->open[i], size;
        const uint8_t *at = tide_combine_key(delta->keys, entry, &size);
        uint32_t key = key_of(at, at + size);
        double sum = delta->keys->numbers[entry];
        uint8_t packed[TIDE_PACKED_NUMBER_MAX];

        assert_true(window[key].there && window[key].n <= 0 && window[key].sum == sum && !open[key]);
        open[key] = true;
        if (sum > 0) assert_true(tide_state_delta_put(delta, entry, 0, packed, tide_pack_number_at(packed, sum)));
        window[key].n = 0;
        if (sum <= 0) window[key].there = false;
    }
}

/* Windows of a few slides: what has come leaves that much later. */
static void windows_slide(void **state) {
    enum { LENGTH = 3, TURNS = 40 };
    static struct row window[KEYS], came[LENGTH + 1][KEYS];
    uint64_t random = 5;

    for (int asks = 0; asks < 2; asks++) {
        struct list entering[LENGTH + 1];
        struct tide_blocks before;

        memset(window, 0, sizeof window);
        memset(came, 0, sizeof came);
        tide_blocks_create(&before);
        for (int i = 0; i <= LENGTH; i++) list_create(&entering[i]);
        for (uint32_t turn = 0; turn < TURNS; turn++) {
            uint32_t now = turn % (LENGTH + 1), then = (turn + 1) % (LENGTH + 1);
            /* For some time hardly anything comes: the state is copied past it. */
            bool rare = turn % 20 > 12, nothing = turn % 20 == 17;
            struct tide_state_delta *delta = tide_state_delta_new();
            struct tide_blocks out;

            list_destroy(&entering[now]);
            random_change(&entering[now], nothing ? 0 : random_below(&random, rare ? 4 : 6000), rare ? 10 : KEYS,
                          &random, came[now]);
            tide_blocks_create(&out);
            assert_int_equal(
                tide_window_sum_slide(delta, &before, &entering[then].blocks, &entering[now].blocks, asks != 0, &out),
                TIDE_WINDOW_FOLD_DONE);
            slide_model(window, came[then], came[now]);
            assert_true(asks || delta->opens == 0);
            decide(delta, window);
            tide_state_delta_finish(delta);
            tide_state_delta_delete(delta);
            assert_rows(&out, window, true);
            tide_blocks_destroy(&before);
            before = out;
        }
        for (int i = 0; i <= LENGTH; i++) list_destroy(&entering[i]);
        tide_blocks_destroy(&before);
    }
}

static void a_window_to_which_nothing_happens_is_shared(void **state) {
    struct list window, none;
    struct tide_blocks out;
    struct tide_state_delta *delta = tide_state_delta_new();

    list_create(&window);
    list_create(&none);
    tide_blocks_create(&out);
    while (window.bytes.size < TIDE_BLOCK_TARGET) add_state(&window, window.count, 1, 2);
    end_block(&window);
    assert_int_equal(tide_window_sum_slide(delta, &window.blocks, &none.blocks, &none.blocks, true, &out),
                     TIDE_WINDOW_FOLD_DONE);
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    assert_int_equal(out.count, 1);
    assert_ptr_equal(out.items[0], window.blocks.items[0]);
    tide_blocks_destroy(&out);
    list_destroy(&window);
    list_destroy(&none);
}

/* What a mapWithState or an object file may have put beside it. */
static void what_is_no_state_is_passed_over(void **state) {
    struct list window, entering, none;
    struct row rows[KEYS] = {{0}};
    struct tide_blocks out;
    struct tide_state_delta *delta = tide_state_delta_new();

    list_create(&window);
    list_create(&entering);
    list_create(&none);
    tide_blocks_create(&out);
    add_state(&window, 1, 2, 3);
    add_pair(&window, 2, 3);
    put_in_order(&window);
    add_pair(&entering, 1, 4);
    end_block(&entering);
    rows[1] = (struct row){.there = true, .n = 3, .sum = 7};
    assert_int_equal(tide_window_sum_slide(delta, &window.blocks, &none.blocks, &entering.blocks, false, &out),
                     TIDE_WINDOW_FOLD_DONE);
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    assert_rows(&out, rows, true);
    tide_blocks_destroy(&out);
    list_destroy(&window);
    list_destroy(&entering);
    list_destroy(&none);
}

/* ---- Memory ------------------------------------------------------------------------------------------------- */

static int run(int way, const struct tide_blocks *in, struct tide_blocks *out) {
    struct tide_state_delta *delta;
    struct tide_blocks none;
    int status;

    if (way == 0) return tide_window_sum_merge(in, out);
    tide_blocks_create(&none);
    delta = tide_state_delta_new();
    if (!delta) return TIDE_WINDOW_FOLD_NO_MEMORY;
    status = tide_window_sum_slide(delta, &none, &none, in, true, out);
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    return status;
}

static void memory_that_is_gone_is_reported(void **state) {
    static struct row rows[KEYS];
    struct list list;
    uint64_t random = 3;

    list_create(&list);
    add_random(&list, rows, 3000, 2000, &random); /* not in order: ordering is part of it */
    for (int way = 0; way < 2; way++) {
        int status = TIDE_WINDOW_FOLD_NO_MEMORY;

        for (long nth = 0; status != TIDE_WINDOW_FOLD_DONE; nth++) {
            struct tide_blocks out;

            assert_true(nth < 1000);
            tide_blocks_create(&out);
            tide_fault_arm("alloc", nth, 1);
            status = run(way, &list.blocks, &out);
            tide_fault_clear();
            assert_int_equal(status, out.count > 0 ? TIDE_WINDOW_FOLD_DONE : TIDE_WINDOW_FOLD_NO_MEMORY);
            assert_true(nth > 0 || status == TIDE_WINDOW_FOLD_NO_MEMORY);
            tide_blocks_destroy(&out);
        }
    }
    list_destroy(&list);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(nothing_makes_nothing, nothing_is_left),
        cmocka_unit_test_teardown(parts_are_merged, nothing_is_left),
        cmocka_unit_test_teardown(values_are_added_in_the_order_of_the_parts, nothing_is_left),
        cmocka_unit_test_teardown(forms_of_one_key_meet, nothing_is_left),
        cmocka_unit_test_teardown(values_that_are_no_numbers_are_left_to_the_caller, nothing_is_left),
        cmocka_unit_test_teardown(windows_slide, nothing_is_left),
        cmocka_unit_test_teardown(a_window_to_which_nothing_happens_is_shared, nothing_is_left),
        cmocka_unit_test_teardown(what_is_no_state_is_passed_over, nothing_is_left),
        cmocka_unit_test_teardown(memory_that_is_gone_is_reported, nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
