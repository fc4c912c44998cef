/*
 * store/broadcast: numbers, references, removing and refreshing, from several threads; references of packages.
 */
#include <pthread.h>

#include "store/block.h"
#include "store/broadcast.h"
#include "test.h"

static struct tide_block *block_of(uint8_t byte) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 16, NULL);

    block->data[0] = byte;
    block->size = 1;
    block->count = 1;
    return block;
}

static void test_values_have_numbers(void **state) {
    uint32_t a = tide_broadcast_add(block_of(1)), b = tide_broadcast_add(block_of(2));
    struct tide_block *block = tide_broadcast_get(b);

    assert_true(a > 0 && b > a);
    assert_int_equal(block->data[0], 2);
    tide_block_release(block);
    assert_null(tide_broadcast_get(b + 1));
    assert_true(tide_broadcast_remove(b));
    assert_false(tide_broadcast_remove(b));
    assert_null(tide_broadcast_get(b));
    assert_true(tide_broadcast_add(block_of(3)) > b); /* a number is never used again */
    assert_true(tide_broadcast_remove(a));
    assert_true(tide_broadcast_remove(b + 1));
    assert_int_equal(tide_block_live(), 0);
}

static void test_a_reference_outlives_the_removal(void **state) {
    uint32_t number = tide_broadcast_add(block_of(9));
    struct tide_block *block = tide_broadcast_get(number);

    assert_true(tide_broadcast_remove(number));
    assert_int_equal(block->data[0], 9);
    tide_block_release(block);
    assert_int_equal(tide_block_live(), 0);
}

static void test_the_epoch_tells_what_is_stale(void **state) {
    uint32_t a = tide_broadcast_add(block_of(1)), b = tide_broadcast_add(block_of(2));
    uint32_t before = tide_broadcast_epoch();

    assert_int_equal(tide_broadcast_refreshed(a), 0);
    assert_true(tide_broadcast_refresh(a));
    assert_int_equal(tide_broadcast_epoch(), before + 1);
    assert_int_equal(tide_broadcast_refreshed(a), before + 1);
    assert_int_equal(tide_broadcast_refreshed(b), 0);
    assert_true(tide_broadcast_remove(a));
    assert_int_equal(tide_broadcast_epoch(), before + 2);
    assert_int_equal(tide_broadcast_refreshed(a), UINT32_MAX);
    assert_false(tide_broadcast_refresh(a));
    assert_true(tide_broadcast_remove(b));
}

static void test_a_value_goes_with_its_last_reference(void **state) {
    uint32_t number = tide_broadcast_add(block_of(1)), epoch = tide_broadcast_epoch();

    assert_true(tide_broadcast_retain(number));
    tide_broadcast_release(number);
    assert_int_equal(tide_broadcast_count(), 1);
    assert_int_equal(tide_broadcast_epoch(), epoch);
    tide_broadcast_release(number);
    assert_int_equal(tide_broadcast_count(), 0);
    assert_int_equal(tide_broadcast_epoch(), epoch + 1);
    assert_int_equal(tide_broadcast_refreshed(number), UINT32_MAX);
    assert_false(tide_broadcast_retain(number));
    tide_broadcast_release(number); /* nothing happens */
    assert_int_equal(tide_block_live(), 0);
}

/* A directory entry as closure packages have it; `number` < 128. */
static size_t put_entry(uint8_t *bytes, uint32_t number) {
    memcpy(bytes,
           "\x08\x09"
           "Broadcast",
           11);
    bytes[11] = (uint8_t)number;
    return 12;
}

static void test_bytes_keep_what_they_name(void **state) {
    uint32_t a = tide_broadcast_add(block_of(1)), b = tide_broadcast_add(block_of(2)),
             c = tide_broadcast_add(block_of(3));
    uint8_t bytes[64] = {0};
    size_t size = 3;

    assert_true(c < 127);
    size += put_entry(bytes + size, a);
    size += put_entry(bytes + size, c);
    size += put_entry(bytes + size, a);
    size += put_entry(bytes + size, c + 1); /* there is none */

    struct tide_broadcast_refs *refs = tide_broadcast_refs_new(bytes, size);

    tide_broadcast_release(a);
    tide_broadcast_release(b);
    tide_broadcast_release(c);
    assert_int_equal(tide_broadcast_count(), 2);
    tide_broadcast_refs_delete(refs);
    assert_int_equal(tide_broadcast_count(), 0);
    assert_null(tide_broadcast_refs_new(bytes, size));
}

static void test_bytes_that_end_early_name_nothing(void **state) {
    uint32_t number = tide_broadcast_add(block_of(1));
    uint8_t bytes[12];
    struct tide_broadcast_refs *taken = tide_broadcast_refs_take(number);

    put_entry(bytes, number);
    for (size_t size = 0; size < sizeof bytes; size++) assert_null(tide_broadcast_refs_new(bytes, size));
    bytes[11] |= 0x80;
    assert_null(tide_broadcast_refs_new(bytes, sizeof bytes));
    tide_broadcast_refs_delete(taken);
    assert_int_equal(tide_broadcast_count(), 0);
}

static void test_a_value_keeps_what_it_names(void **state) {
    uint32_t inner = tide_broadcast_add(block_of(1));
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 16, NULL);

    block->size = (uint32_t)put_entry(block->data, inner);
    block->count = 1;

    uint32_t outer = tide_broadcast_add(block);

    tide_broadcast_release(inner);
    assert_int_equal(tide_broadcast_count(), 2);
    tide_broadcast_release(outer);
    assert_int_equal(tide_broadcast_count(), 0);
    assert_int_equal(tide_block_live(), 0);
}

enum { ROUNDS = 500 };

static void *reader(void *arg) {
    uint32_t number = *(uint32_t *)arg;

    for (int i = 0; i < ROUNDS; i++) {
        struct tide_block *block = tide_broadcast_get(number);

        if (block) assert_int_equal(block->data[0], 7);
        tide_block_release(block);
        if (tide_broadcast_retain(number)) tide_broadcast_release(number);
        (void)tide_broadcast_epoch();
    }
    return NULL;
}

static void test_threads_may_do_all_this_at_once(void **state) {
    uint32_t number = tide_broadcast_add(block_of(7));
    pthread_t threads[3];

    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, reader, &number), 0);
    for (int i = 0; i < ROUNDS; i++) {
        uint32_t other = tide_broadcast_add(block_of(1));

        tide_broadcast_refresh(number);
        tide_broadcast_remove(other);
    }
    tide_broadcast_remove(number);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    assert_int_equal(tide_block_live(), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_have_numbers),
        cmocka_unit_test(test_a_reference_outlives_the_removal),
        cmocka_unit_test(test_the_epoch_tells_what_is_stale),
        cmocka_unit_test(test_a_value_goes_with_its_last_reference),
        cmocka_unit_test(test_bytes_keep_what_they_name),
        cmocka_unit_test(test_bytes_that_end_early_name_nothing),
        cmocka_unit_test(test_a_value_keeps_what_it_names),
        cmocka_unit_test(test_threads_may_do_all_this_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
