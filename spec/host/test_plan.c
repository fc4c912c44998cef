/*
 * task/plan: a plan has a copy of its bytes, and equal bytes have one id.
 */
#include "task/plan.h"
#include "test.h"

static void equal_plans_have_one_id(void **state) {
    char bytes[] = "a plan";
    struct tide_plan *one = tide_plan_new(bytes, 6), *two = tide_plan_new(bytes, 6), *other = tide_plan_new(bytes, 5);

    bytes[0] = 'x'; /* they have copies */
    assert_memory_equal(one->bytes, "a plan", 6);
    assert_int_equal(one->size, 6);
    assert_memory_equal(one->id, two->id, sizeof one->id);
    assert_memory_not_equal(one->id, other->id, sizeof one->id);
    struct tide_plan *changed = tide_plan_new(bytes, 6);
    assert_memory_not_equal(one->id, changed->id, sizeof one->id);
    tide_plan_release(one);
    tide_plan_release(two);
    tide_plan_release(other);
    tide_plan_release(changed);
    tide_plan_release(NULL);
    struct tide_plan *empty = tide_plan_new("", 0);
    assert_int_equal(empty->size, 0);
    tide_plan_release(empty);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_plans_have_one_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
