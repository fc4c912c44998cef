/*
 * clock/boundary: the batch grid, with the cases of Spark's TimeSuite and of its timer's start arithmetic as data.
 */
#include "clock/boundary.h"
#include "test.h"

static void floors_as_spark_does(void **state) {
    static const struct {
        int64_t time, step, zero, expected;
    } cases[] = {
        {1350, 200, 0, 1200},
        {199, 200, 0, 0},
        {1350, 200, 50, 1250},
        {1350, 200, 200, 1200},
        {1250, 200, 50, 1250},
        {0, 200, 0, 0},
        {-1, 200, 0, -200},
        {-200, 200, 0, -200},
        {-201, 200, 0, -400},
        {40, 200, 50, -150},
        {-150, 200, 50, -150},
        {-151, 200, 50, -350},
        {1700000000123, 1, 0, 1700000000123},
        {1700000000123, 1000, 456, 1699999999456},
        {10, 200, 1000, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tide_boundary_floor(cases[i].time, cases[i].step, cases[i].zero), cases[i].expected);
}

static void the_first_batch_is_strictly_after_now(void **state) {
    static const struct {
        int64_t now, period, first;
    } cases[] = {
        {0, 1000, 1000}, {999, 1000, 1000}, {1000, 1000, 2000}, {1500, 1000, 2000}, {-1, 1000, 0}, {7, 1, 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t first = tide_boundary_first(cases[i].now, cases[i].period);
        assert_int_equal(first, cases[i].first);
        assert_true(first > cases[i].now);
        /* zero time = first batch - period */
        assert_true(first - cases[i].period <= cases[i].now);
    }
}

static void a_restart_keeps_the_grid_of_zero(void **state) {
    static const struct {
        int64_t now, period, zero, expected;
    } cases[] = {
        {15000, 2000, 0, 16000},   {16000, 2000, 0, 18000}, {10500, 1000, 500, 11500},
        {10499, 1000, 500, 10500}, {100, 1000, 500, 500},   {-1700, 1000, 500, -1500},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(tide_boundary_restart(cases[i].now, cases[i].period, cases[i].zero), cases[i].expected);
}

static void knows_the_grid(void **state) {
    assert_true(tide_boundary_on_grid(1500, 500, 0));
    assert_false(tide_boundary_on_grid(1501, 500, 0));
    assert_true(tide_boundary_on_grid(1501, 500, 1));
    assert_true(tide_boundary_on_grid(-499, 500, 1));
    assert_false(tide_boundary_on_grid(-500, 500, 1));
    assert_true(tide_boundary_on_grid(1, 500, 1));
}

static void a_dataset_needs_a_time_after_zero_on_its_slide(void **state) {
    assert_false(tide_boundary_valid(1000, 1000, 1000)); /* zero itself */
    assert_true(tide_boundary_valid(2000, 1000, 1000));
    assert_false(tide_boundary_valid(2500, 1000, 1000));
    assert_false(tide_boundary_valid(2000, 2000, 1000));
    assert_true(tide_boundary_valid(3000, 2000, 1000));
    assert_false(tide_boundary_valid(0, 1000, 1000)); /* before zero, although on the grid */
    assert_false(tide_boundary_valid(-1000, 1000, 1000));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floors_as_spark_does),
        cmocka_unit_test(the_first_batch_is_strictly_after_now),
        cmocka_unit_test(a_restart_keeps_the_grid_of_zero),
        cmocka_unit_test(knows_the_grid),
        cmocka_unit_test(a_dataset_needs_a_time_after_zero_on_its_slide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
