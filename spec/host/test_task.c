/*
 * task/task: plans and tasks hold what they are given and let go of it.
 */
#include "base/alloc.h"
#include "task/task.h"
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

static void a_task_keeps_its_plan(void **state) {
    struct tide_plan *plan = tide_plan_new("p", 1);
    struct tide_task *task = tide_task_new(plan, 0, 0);

    tide_plan_release(plan);
    assert_int_equal(task->work.plan->refs, 1);
    assert_int_equal(task->work.batch_time, -1);
    assert_int_equal(task->work.nslots, 0);
    assert_non_null(task->work.inputs);
    assert_non_null(task->work.outputs);
    tide_task_delete(task);
    tide_task_delete(NULL);
}

static void a_task_frees_what_it_holds(void **state) {
    struct tide_plan *plan = tide_plan_new("p", 1);
    struct tide_task *task = tide_task_new(plan, 3, 2);
    struct tide_block *shared = tide_block_new(TIDE_BLOCK_PACKED, 1, 10, NULL);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(task->work.inputs[i].kind, TIDE_TASK_INPUT_BLOCKS);
        assert_int_equal(task->work.inputs[i].blocks.count, 0);
        assert_null(task->work.inputs[i].path);
    }
    tide_blocks_push(&task->work.inputs[0].blocks, tide_block_retain(shared));
    tide_blocks_push(&task->work.inputs[2].blocks, tide_block_retain(shared));
    task->work.inputs[1].kind = TIDE_TASK_INPUT_FILE;
    task->work.inputs[1].path = tide_xstrdup("/some/file");
    tide_blocks_push(&task->work.outputs[0], tide_block_new(TIDE_BLOCK_TEXT, 1, 10, NULL));
    tide_blocks_push(&task->work.outputs[1], tide_block_retain(shared));
    tide_error_set(&task->error, TIDE_EIO, "it went wrong");
    assert_int_equal(shared->refs, 4);
    tide_task_delete(task);
    assert_int_equal(shared->refs, 1);
    tide_block_release(shared);
    assert_int_equal(tide_block_live(), 0);
    tide_plan_release(plan);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_plans_have_one_id),
        cmocka_unit_test(a_task_keeps_its_plan),
        cmocka_unit_test(a_task_frees_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
