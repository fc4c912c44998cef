/*
 * store/shared: numbers, references, giving up and refreshing, from several threads.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/shared.h"

static struct tide_block *block_of(uint8_t byte) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 16, NULL);

    block->data[0] = byte;
    block->size = 1;
    block->count = 1;
    return block;
}

static void test_values_have_numbers(void **state) {
    uint32_t a = tide_shared_add(block_of(1)), b = tide_shared_add(block_of(2));
    struct tide_block *block = tide_shared_get(b);

    assert_true(a > 0 && b > a);
    assert_int_equal(block->data[0], 2);
    tide_block_release(block);
    assert_null(tide_shared_get(b + 1));
    assert_true(tide_shared_remove(b));
    assert_false(tide_shared_remove(b));
    assert_null(tide_shared_get(b));
    assert_true(tide_shared_add(block_of(3)) > b); /* a number is never used again */
    assert_true(tide_shared_remove(a));
    assert_true(tide_shared_remove(b + 1));
    assert_int_equal(tide_block_live(), 0);
}

static void test_a_reference_outlives_the_removal(void **state) {
    uint32_t number = tide_shared_add(block_of(9));
    struct tide_block *block = tide_shared_get(number);

    assert_true(tide_shared_remove(number));
    assert_int_equal(block->data[0], 9);
    tide_block_release(block);
    assert_int_equal(tide_block_live(), 0);
}

static void test_the_epoch_tells_what_is_stale(void **state) {
    uint32_t a = tide_shared_add(block_of(1)), b = tide_shared_add(block_of(2));
    uint32_t before = tide_shared_epoch();

    assert_int_equal(tide_shared_refreshed(a), 0);
    assert_true(tide_shared_refresh(a));
    assert_int_equal(tide_shared_epoch(), before + 1);
    assert_int_equal(tide_shared_refreshed(a), before + 1);
    assert_int_equal(tide_shared_refreshed(b), 0);
    assert_true(tide_shared_remove(a));
    assert_int_equal(tide_shared_epoch(), before + 2);
    assert_int_equal(tide_shared_refreshed(a), UINT32_MAX);
    assert_false(tide_shared_refresh(a));
    assert_true(tide_shared_remove(b));
}

enum { ROUNDS = 500 };

static void *reader(void *arg) {
    uint32_t number = *(uint32_t *)arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct tide_block *block = tide_shared_get(number);

        if (block != NULL) assert_int_equal(block->data[0], 7);
        tide_block_release(block);
        (void)tide_shared_epoch();
    }
    return NULL;
}

static void test_threads_may_do_all_this_at_once(void **state) {
    uint32_t number = tide_shared_add(block_of(7));
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader, &number), 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t other = tide_shared_add(block_of(1));

        tide_shared_refresh(number);
        tide_shared_remove(other);
    }
    tide_shared_remove(number);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    assert_int_equal(tide_block_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_have_numbers),
        cmocka_unit_test(test_a_reference_outlives_the_removal),
        cmocka_unit_test(test_the_epoch_tells_what_is_stale),
        cmocka_unit_test(test_threads_may_do_all_this_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
