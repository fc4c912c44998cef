/*
 * task/counts: the total is known when every partition was read; a partition that is read again counts once.
 */
#include "task/counts.h"
#include "test.h"

static void the_total_is_known_when_all_were_read(void **state) {
    struct tide_counts *counts = tide_counts_new(3), *empty = tide_counts_new(0);

    assert_int_equal(tide_counts_total(empty), 0);
    assert_int_equal(tide_counts_total(counts), -1);
    tide_counts_set(counts, 2, 5);
    tide_counts_set(counts, 0, 0);
    assert_int_equal(tide_counts_total(counts), -1);
    tide_counts_set(counts, 1, 7);
    assert_int_equal(tide_counts_total(counts), 12);
    tide_counts_set(counts, 1, 8);
    assert_int_equal(tide_counts_total(tide_counts_retain(counts)), 13);
    tide_counts_release(counts);
    tide_counts_release(counts);
    tide_counts_release(empty);
    tide_counts_release(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_total_is_known_when_all_were_read)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
