/*
 * task/task: tasks retain their plan, inputs and outputs and release them.
 */
#include "base/alloc.h"
#include "task/task.h"
#include "test.h"

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
        cmocka_unit_test(a_task_keeps_its_plan),
        cmocka_unit_test(a_task_frees_what_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
