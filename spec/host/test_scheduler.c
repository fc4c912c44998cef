/*
 * driver/scheduler and driver/job: stages in order, shared shuffles, failures, cancelling, closing. Tasks go to an
 * executor that keeps them until the test lets them come back, in any order; no thread is involved. Every test ends
 * with no live block.
 */
#include <uv.h>

#include "base/alloc.h"
#include "driver/scheduler.h"
#include "rdd/arity.h"
#include "rdd/node.h"
#include "rdd_rig.h"
#include "test.h"

enum { MOST_TASKS = 64, CHAIN = 20000 };

static uv_loop_t loop;
static struct tide_inbox inbox;
static struct tide_cache *cache;
static struct tide_scheduler *scheduler;
static struct tide_op *collect;

/* Tasks submitted and not given back; `seen` counts all there ever were. */
static struct tide_task *tasks[MOST_TASKS];
static int held, seen;
static bool run_at_once; /* tasks come back by themselves */

/* ---- The executor ------------------------------------------------------------------------------------------- */

/* Each output list gets one block with the number 100 × partition + list; sampled keys are 1 … 4. */
static void compute(struct tide_task *task) {
    int keys[] = {1, 2, 3, 4};
    char *plan = rig_plan(task->work.plan);
    bool samples = strstr(plan, "[sample, ");

    for (uint32_t i = 0; i < task->work.noutputs; i++) {
        int number = (int)(100 * task->work.partition + i);

        tide_blocks_push(&task->work.outputs[i], samples && i == 1 ? rig_block(keys, 4) : rig_block(&number, 1));
    }
    tide_free(plan);
    tide_task_end(task);
}

static void submit(void *self, struct tide_task *task) {
    assert_ptr_equal(self, &held);
    seen++;
    assert_true(tide_task_begin(task));
    if (run_at_once) {
        compute(task);
        tide_inbox_post(&inbox, &task->message);
        return;
    }
    assert_true(held < MOST_TASKS);
    tasks[held++] = task;
}

static void turn(void) { uv_run(&loop, UV_RUN_NOWAIT); }

static struct tide_task *take(int index) {
    assert_true(index < held);

    struct tide_task *task = tasks[index];

    memmove(&tasks[index], &tasks[index + 1], (size_t)(--held - index) * sizeof(struct tide_task *));
    return task;
}

static void give_back(struct tide_task *task) {
    tide_inbox_post(&inbox, &task->message);
    turn();
}

/* The index-th task held succeeds. */
static void succeed(int index) {
    struct tide_task *task = take(index);

    compute(task);
    give_back(task);
}

static void succeed_all(void) {
    while (held > 0) succeed(0);
}

static void fail_task(int index, const char *text) {
    struct tide_task *task = take(index);

    tide_error_set(&task->error, TIDE_ECLOSURE, "%s", text);
    tide_task_end(task);
    give_back(task);
}

static bool is_cancelled(int index) { return __atomic_load_n(tasks[index]->work.cancelled, __ATOMIC_RELAXED) != 0; }

static void assert_task(int index, const char *plan, uint32_t outputs) {
    char *text = rig_plan(tasks[index]->work.plan);

    assert_string_equal(text, plan);
    assert_int_equal(tasks[index]->work.noutputs, outputs);
    tide_free(text);
}

static bool is_plan_with(int index, const char *name) {
    char *text = rig_plan(tasks[index]->work.plan);
    bool found = strstr(text, name);

    tide_free(text);
    return found;
}

static void assert_input(int index, uint32_t input, const char *expected) {
    char *numbers = rig_numbers(&tasks[index]->work.inputs[input].blocks);

    assert_string_equal(numbers, expected);
    tide_free(numbers);
}

/* ---- Set-up ------------------------------------------------------------------------------------------------- */

static int set_up(void **state) {
    struct tide_executor executor = {.submit = submit, .self = &held};

    held = seen = 0;
    run_at_once = false;
    collect = rig_op("collect", false);
    if (uv_loop_init(&loop) != 0 || tide_inbox_create(&inbox, &loop, &loop, true) != 0) return -1;
    cache = rig_cache(UINT64_MAX);
    scheduler = tide_scheduler_new(&executor, cache, &inbox);
    return tide_block_live() == 0 ? 0 : -1;
}

static uint32_t shut_down(void) {
    uint32_t lost;

    tide_scheduler_close(scheduler);
    tide_inbox_drain(&inbox);
    tide_inbox_close(&inbox);
    turn();
    lost = tide_scheduler_delete(scheduler);
    scheduler = NULL;
    tide_cache_release(cache);
    tide_inbox_destroy(&inbox);
    assert_int_equal(uv_loop_close(&loop), 0);
    return lost;
}

static int tear_down(void **state) {
    if (scheduler && shut_down() != 0) return -1;
    tide_op_release(collect);
    return held == 0 && tide_block_live() == 0 ? 0 : -1;
}

/* A job whose end is counted. */
struct watched {
    struct tide_job *job;
    int done;
};

static void on_done(struct tide_job *job, void *arg) {
    struct watched *watched = arg;

    assert_true(tide_job_ended(job));
    if (watched->job) assert_ptr_equal(job, watched->job);
    watched->done++;
}

static void start(struct watched *watched, struct tide_rdd *rdd) {
    struct tide_job_options options = {
        .rdd = rdd, .sink = collect, .batch_time = -1, .done = on_done, .arg = watched};

    watched->done = 0;
    watched->job = NULL;
    watched->job = tide_scheduler_start(scheduler, &options);
    assert_int_equal(watched->done, 0);
}

static void assert_result(const struct watched *watched, uint32_t index, const char *expected) {
    char *numbers = rig_numbers(tide_job_result(watched->job, index));

    assert_string_equal(numbers, expected);
    tide_free(numbers);
}

static void assert_succeeded(const struct watched *watched) {
    assert_int_equal(watched->done, 1);
    assert_true(tide_job_ended(watched->job));
    assert_int_equal(tide_job_error(watched->job)->code, TIDE_OK);
}

static void assert_failed(const struct watched *watched, int code, const char *text) {
    assert_int_equal(watched->done, 1);
    assert_true(tide_job_ended(watched->job));
    assert_int_equal(tide_job_error(watched->job)->code, code);
    assert_non_null(strstr(tide_job_error(watched->job)->text, text));
}

/* ---- One stage ---------------------------------------------------------------------------------------------- */

static void results_are_in_partition_order(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_blocks(3, 2, 0), "f");
    struct watched job;

    start(&job, rdd);
    tide_rdd_release(rdd);
    assert_int_equal(held, 3);
    assert_task(0, "[[chain, [leaf, nil], [f]], collect]", 1);
    assert_input(1, 0, "2 3");
    succeed(2);
    succeed(0);
    assert_int_equal(job.done, 0);
    assert_false(tide_job_ended(job.job));
    assert_int_equal(tide_scheduler_jobs(scheduler), 1);
    succeed(0);
    assert_succeeded(&job);
    assert_int_equal(tide_scheduler_jobs(scheduler), 0);
    assert_int_equal(tide_job_partitions(job.job), 3);
    assert_result(&job, 0, "0");
    assert_result(&job, 1, "100");
    assert_result(&job, 2, "200");
    tide_job_release(job.job);
}

static void inputs_are_let_go_with_their_tasks(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 1, 0);
    struct watched job;

    start(&job, rdd);
    tide_rdd_release(rdd);
    assert_int_equal(tide_block_live(), 2);

    struct tide_task *task = take(0);

    give_back(task);
    assert_int_equal(tide_block_live(), 1);
    task = take(0);
    give_back(task);
    assert_int_equal(tide_block_live(), 0);
    assert_succeeded(&job);
    tide_job_release(job.job);
}

static void options_reach_the_tasks(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 4, true);
    uint32_t chosen[] = {3, 1};
    struct tide_job_options options = {
        .rdd = rdd, .sink = collect, .partitions = chosen, .npartitions = 2, .limit = 7, .batch_time = 12000};
    struct tide_job *job = tide_scheduler_start(scheduler, &options);

    assert_int_equal(held, 1);
    assert_int_equal(tasks[0]->work.batch_time, 12000);
    assert_int_equal(tasks[0]->work.limit, 0);
    succeed(0);
    assert_int_equal(held, 2);
    assert_int_equal(tasks[0]->work.partition, 3);
    assert_int_equal(tasks[1]->work.partition, 1);
    assert_int_equal(tasks[1]->work.limit, 7);
    assert_int_equal(tasks[1]->work.batch_time, 12000);
    succeed_all();
    assert_true(tide_job_ended(job));
    assert_int_equal(tide_job_partitions(job), 2);
    tide_job_release(job);
    tide_rdd_release(rdd);
}

static void nothing_to_do_ends_from_the_loop(void **state) {
    struct tide_rdd *rdd = tide_rdd_blocks_new(NULL, 0);
    struct watched jobs[3];

    for (int i = 0; i < 3; i++) start(&jobs[i], rdd);
    assert_int_equal(held, 0);
    turn();
    for (int i = 0; i < 3; i++) {
        assert_succeeded(&jobs[i]);
        assert_int_equal(tide_job_partitions(jobs[i].job), 0);
        tide_job_release(jobs[i].job);
    }
    tide_rdd_release(rdd);
}

static void a_job_may_be_released_early(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0);
    struct watched job;

    start(&job, rdd);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
    succeed_all();
    assert_int_equal(job.done, 1);
}

/* ---- Shuffles ----------------------------------------------------------------------------------------------- */

static void map_sides_run_first(void **state) {
    struct tide_rdd *shuffled = rig_shuffle(rig_narrow(rig_blocks(3, 1, 0), "f"), TIDE_ROUTE_HASH, 2, true);
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(shuffled), "g");
    struct watched job;

    start(&job, rdd);
    assert_int_equal(held, 3);
    assert_task(0, "[[chain, [leaf, nil], [f]], [shuffle, w, 0, true]]", 2);
    succeed(2);
    succeed(0);
    assert_false(tide_rdd_computed(shuffled));
    succeed(0);
    assert_true(tide_rdd_computed(shuffled));
    assert_int_equal(held, 2);
    assert_task(0, "[[chain, [leaf, r], [g]], collect]", 1);
    assert_input(0, 0, "0 100 200"); /* in the order of the map tasks, whichever ended first */
    assert_input(1, 0, "1 101 201");
    succeed_all();
    assert_succeeded(&job);
    tide_job_release(job.job);
    assert_int_equal(tide_block_live(), 6); /* the outputs stay; what they were made from is gone */

    start(&job, rdd);
    assert_int_equal(held, 2);
    assert_int_equal(seen, 7);
    succeed_all();
    assert_succeeded(&job);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
    tide_rdd_release(shuffled);
}

static void a_running_shuffle_is_shared(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(2, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct watched jobs[3];

    start(&jobs[0], rdd);
    assert_int_equal(held, 2);
    start(&jobs[1], rdd);
    succeed(0);
    start(&jobs[2], rdd);
    assert_int_equal(held, 1);
    succeed(0);
    assert_int_equal(held, 3);
    succeed_all();
    assert_int_equal(seen, 5);
    for (int i = 0; i < 3; i++) {
        assert_succeeded(&jobs[i]);
        tide_job_release(jobs[i].job);
    }
    tide_rdd_release(rdd);
}

static void shuffles_wait_for_shuffles(void **state) {
    struct tide_rdd *first = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *second = rig_shuffle(rig_narrow(tide_rdd_retain(first), "f"), TIDE_ROUTE_ROUNDROBIN, 1, true);
    struct tide_rdd *both = rig_union(second, first);
    struct watched job;

    start(&job, both);
    assert_int_equal(held, 1);
    assert_task(0, "[[leaf, nil], [shuffle, w, 0, true]]", 1);
    succeed(0);
    assert_int_equal(held, 1);
    assert_task(0, "[[chain, [leaf, r], [f]], [shuffle, w, 1, true]]", 1);
    succeed(0);
    assert_int_equal(held, 2);
    succeed_all();
    assert_int_equal(seen, 4);
    assert_succeeded(&job);
    tide_job_release(job.job);
    tide_rdd_release(both);
}

static void empty_map_sides_pass(void **state) {
    struct tide_rdd *rdd = tide_rdd_blocks_new(NULL, 0);
    enum tide_route routes[] = {TIDE_ROUTE_HASH, TIDE_ROUTE_RANGE, TIDE_ROUTE_SINGLE};
    struct watched job;

    for (int i = 0; i < 3; i++) {
        struct tide_rdd *shuffled = rig_shuffle(tide_rdd_retain(rdd), routes[i], 2, true);

        start(&job, shuffled);
        assert_int_equal(held, 2);
        assert_input(0, 0, "");
        succeed_all();
        assert_succeeded(&job);
        tide_job_release(job.job);
        tide_rdd_release(shuffled);
    }
    tide_rdd_release(rdd);
}

static void ranges_are_found_in_a_phase_of_their_own(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(2, 1, 0), TIDE_ROUTE_RANGE, 3, false);
    struct watched job;

    start(&job, rdd);
    assert_int_equal(held, 2);
    assert_task(0, "[[leaf, nil], [sample, w]]", 2);
    succeed(1);
    succeed(0);
    assert_int_equal(held, 2);
    assert_task(0, "[[leaf, nil], [shuffle, w, 3, false]]", 3);
    assert_ptr_equal(tasks[0]->work.plan, tasks[1]->work.plan);
    assert_int_equal(tasks[1]->work.partition, 1);
    assert_int_equal(tasks[1]->work.ninputs, 2);
    assert_input(0, 0, "0"); /* the records of map task 0 */
    assert_input(1, 0, "100");
    assert_input(0, 1, "2 3"); /* bounds: three parts of 1 1 2 2 3 3 4 4 */
    assert_input(1, 1, "2 3");
    succeed(1);
    succeed(0);
    assert_int_equal(held, 3);
    assert_input(2, 0, "2 102");
    succeed_all();
    assert_succeeded(&job);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void broken_samples_fail_the_job(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_RANGE, 3, true);
    struct watched job;
    int keys[] = {1000};

    start(&job, rdd);

    struct tide_task *task = take(0);
    struct tide_block *block = rig_block(keys, 1);

    block->size = 1;
    tide_blocks_push(&task->work.outputs[1], block);
    give_back(task);
    assert_failed(&job, TIDE_ECORRUPT, "sampled key 1 of 1");
    assert_int_equal(held, 0);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

/* ---- Failing ------------------------------------------------------------------------------------------------ */

static void a_failed_task_fails_its_job(void **state) {
    struct tide_rdd *rdd = rig_blocks(3, 1, 0);
    struct watched job;

    start(&job, rdd);
    succeed(0);
    fail_task(0, "job.lua:3: no such field");
    assert_failed(&job, TIDE_ECLOSURE, "job.lua:3: no such field");
    assert_int_equal(tide_job_result(job.job, 0)->count, 0);
    assert_true(is_cancelled(0));
    succeed(0); /* comes back late, to nobody */
    assert_int_equal(job.done, 1);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void later_failures_are_not_told(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 1, 0);
    struct watched job;

    start(&job, rdd);
    fail_task(1, "first");
    fail_task(0, "second");
    assert_failed(&job, TIDE_ECLOSURE, "first");
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void a_failed_task_is_tried_again_from_its_inputs(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(2, 2, 0), TIDE_ROUTE_HASH, 1, true);
    struct watched job;

    tide_scheduler_set_max_failures(scheduler, 3);
    start(&job, rdd);

    char *plan = rig_plan(tasks[1]->work.plan), *numbers = rig_numbers(&tasks[1]->work.inputs[0].blocks);

    for (int attempt = 0; attempt < 2; attempt++) {
        fail_task(1, "a passing mood");
        assert_int_equal(job.done, 0);
        assert_int_equal(held, 2);
        assert_task(1, plan, 1);
        assert_input(1, 0, numbers);
        assert_int_equal(tasks[1]->work.partition, 1);
        assert_int_equal(tasks[1]->attempt, attempt + 1);
        assert_false(is_cancelled(1));
    }
    tide_free(plan);
    tide_free(numbers);
    succeed_all();
    assert_succeeded(&job);
    assert_int_equal(seen, 2 + 2 + 1);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void a_task_that_fails_too_often_fails_its_job(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 1, 0);
    struct watched job;

    tide_scheduler_set_max_failures(scheduler, 2);
    start(&job, rdd);
    fail_task(0, "bad luck");
    fail_task(1, "bad luck"); /* the second attempt of partition 0 */
    assert_failed(&job, TIDE_ECLOSURE, "bad luck\n  attempt 2 of 2");
    succeed_all();
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void what_was_broken_off_is_not_tried_again(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0);
    struct watched job;

    tide_scheduler_set_max_failures(scheduler, 5);
    start(&job, rdd);

    struct tide_task *task = take(0);

    tide_error_set(&task->error, TIDE_ECANCELLED, "interrupted at job.lua:1");
    give_back(task);
    assert_failed(&job, TIDE_ECANCELLED, "interrupted at job.lua:1");
    tide_job_release(job.job);

    /* Nor is what comes back to a job that has ended. */
    start(&job, rdd);
    tide_scheduler_cancel(job.job);
    fail_task(0, "too late");
    assert_failed(&job, TIDE_ECANCELLED, "cancelled");
    assert_int_equal(held, 0);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

/* Updates as they are told: one digit each. */
static char told[16];

static void on_updated(struct tide_block *block, void *arg) {
    assert_ptr_equal(arg, told);
    told[strlen(told)] = (char)('0' + block->data[0]);
    tide_block_release(block);
}

static void add_update(int index, int number) { tasks[index]->work.updates = rig_block(&number, 1); }

static void updates_are_told_once_for_each_partition(void **state) {
    struct tide_rdd *rdd = rig_blocks(3, 1, 0);
    struct watched job;

    memset(told, 0, sizeof told);
    tide_scheduler_on_updates(scheduler, on_updated, told);
    tide_scheduler_set_max_failures(scheduler, 2);
    start(&job, rdd);
    add_update(0, 1);
    add_update(1, 2);
    fail_task(0, "mood"); /* what it has added does not count */
    assert_string_equal(told, "");
    succeed(0);
    assert_string_equal(told, "2");
    succeed(0);
    add_update(0, 1);
    succeed(0);
    assert_string_equal(told, "21");
    assert_succeeded(&job);
    tide_job_release(job.job);

    /* Of a job that has ended nothing counts, and without a listener nothing leaks. */
    start(&job, rdd);
    add_update(0, 5);
    tide_scheduler_cancel(job.job);
    succeed_all();
    assert_string_equal(told, "21");
    tide_job_release(job.job);
    tide_scheduler_on_updates(scheduler, NULL, NULL);
    start(&job, rdd);
    add_update(0, 6);
    succeed_all();
    assert_succeeded(&job);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

/* A guard over f of two partitions, together with one that can't fail. */
static struct tide_rdd *guarded_union(void) {
    struct tide_rdd *narrow = rig_narrow(rig_blocks(2, 1, 0), "f");
    struct tide_rdd *guard = tide_rdd_guard_new(narrow, 1000, NULL);

    tide_rdd_release(narrow);
    return rig_union(guard, rig_blocks(1, 1, 10));
}

static void what_was_made_through_a_lost_guard_is_made_again(void **state) {
    static const struct { int ended, failed, late; } orders[] = {{0, 1, -1}, {1, 0, -1}, {-1, 0, 1}, {-1, 1, 0}};

    memset(told, 0, sizeof told);
    tide_scheduler_on_updates(scheduler, on_updated, told);
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        for (int late_fails = 0; late_fails < 2; late_fails++) {
            struct tide_rdd *all = guarded_union();
            struct watched job;

            start(&job, all);
            assert_int_equal(held, 3);
            add_update(0, 1);
            add_update(1, 1);
            add_update(2, 3);
            if (orders[i].ended >= 0) {
                succeed(orders[i].ended); /* the other of the two is the first one then */
                fail_task(0, "oops");
            } else {
                fail_task(orders[i].failed, "oops");
                if (late_fails) fail_task(0, "late");
                else succeed(0);
            }
            assert_int_equal(held, 3); /* the third, and those of the guard by itself */
            succeed(0);
            add_update(0, 1);
            succeed(0);
            fail_task(0, "oops again");
            assert_int_equal(held, 2); /* nothing is read for the guard any more */
            assert_input(0, 0, "");
            assert_input(1, 0, "");
            succeed_all();
            assert_succeeded(&job);
            assert_result(&job, 2, "200");
            tide_job_release(job.job);
            assert_string_equal(told, "3");
            memset(told, 0, sizeof told);
            tide_rdd_release(all);
        }
    }
}

static void other_runs_take_back_too(void **state) {
    struct tide_rdd *all = guarded_union();
    struct watched one, other;

    start(&one, all);
    start(&other, all);
    assert_int_equal(held, 6);
    succeed(3);           /* the other one has read the guard's first partition */
    fail_task(1, "oops"); /* the first one learns that its second is bad */
    succeed(0);           /* made through the guard, before: thrown away */
    succeed(2);           /* the same of the other one */
    succeed(0);
    succeed(0);
    assert_int_equal(held, 2); /* the guard by itself, once for both */
    fail_task(1, "oops");
    succeed(0);
    assert_int_equal(held, 4);
    for (int i = 0; i < 4; i++) assert_input(i, 0, "");
    succeed_all();
    assert_succeeded(&one);
    assert_succeeded(&other);
    assert_result(&one, 2, "200");
    assert_result(&other, 2, "200");
    tide_job_release(one.job);
    tide_job_release(other.job);
    tide_rdd_release(all);
}

static void a_guard_that_can_be_computed_stays(void **state) {
    struct tide_rdd *all = guarded_union();
    struct watched job;

    start(&job, all);
    succeed(0);
    fail_task(0, "mood");
    succeed(0);
    assert_int_equal(held, 2);
    succeed_all(); /* the guard, then what reads it */
    assert_succeeded(&job);
    assert_result(&job, 0, "0");
    assert_result(&job, 1, "100");
    tide_job_release(job.job);
    tide_rdd_release(all);
}

static void a_state_is_computed_though_its_job_has_failed(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "state");
    struct tide_rdd *bad = rig_shuffle(rig_blocks(1, 1, 5), TIDE_ROUTE_HASH, 1, true), *all;
    struct watched job;

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, true);
    all = rig_union(rig_shuffle(tide_rdd_retain(kept), TIDE_ROUTE_HASH, 1, true), bad);
    start(&job, all);
    assert_int_equal(held, 2);
    fail_task(is_plan_with(0, "state") ? 1 : 0, "bad");
    assert_int_equal(job.done, 0);
    assert_int_equal(held, 1);
    assert_false(is_cancelled(0));
    succeed_all();
    assert_failed(&job, TIDE_ECLOSURE, "bad");
    assert_true(tide_rdd_available(kept, NULL));
    tide_job_release(job.job);

    tide_rdd_release(all);
    tide_rdd_release(kept);
}

static void a_failed_shuffle_fails_all_who_need_it(void **state) {
    struct tide_rdd *shuffled = rig_shuffle(rig_blocks(2, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *next = rig_shuffle(tide_rdd_retain(shuffled), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *other = rig_blocks(1, 1, 0);
    struct watched jobs[4];

    start(&jobs[0], shuffled);
    start(&jobs[1], next);
    start(&jobs[2], other);
    assert_int_equal(held, 3);
    fail_task(0, "map failed");
    assert_failed(&jobs[0], TIDE_ECLOSURE, "map failed");
    assert_failed(&jobs[1], TIDE_ECLOSURE, "map failed");
    assert_int_equal(jobs[2].done, 0);
    assert_true(is_cancelled(0));
    assert_false(is_cancelled(1));

    /* A later job tries again, while the last task of the failed attempt is still out. */
    start(&jobs[3], shuffled);
    assert_int_equal(held, 4);
    assert_false(is_cancelled(2));
    succeed(0);
    succeed_all();
    assert_succeeded(&jobs[2]);
    assert_succeeded(&jobs[3]);
    assert_true(tide_rdd_computed(shuffled));
    assert_false(tide_rdd_computed(next));
    for (int i = 0; i < 4; i++) tide_job_release(jobs[i].job);
    tide_rdd_release(shuffled);
    tide_rdd_release(next);
    tide_rdd_release(other);
}

static void failing_gives_up_other_shuffles(void **state) {
    struct tide_rdd *a = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *b = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *c = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *all = rig_union(rig_union(tide_rdd_retain(a), tide_rdd_retain(b)), tide_rdd_retain(c));
    struct watched job, other;

    start(&job, all);
    start(&other, c);
    assert_int_equal(held, 3);
    fail_task(0, "a failed");
    assert_failed(&job, TIDE_ECLOSURE, "a failed");
    assert_true(is_cancelled(0));  /* b: needed by this job only */
    assert_false(is_cancelled(1)); /* c: needed by another one */
    succeed_all();
    assert_false(tide_rdd_computed(b));
    assert_succeeded(&other);
    tide_job_release(job.job);
    tide_job_release(other.job);
    tide_rdd_release(all);
    tide_rdd_release(a);
    tide_rdd_release(b);
    tide_rdd_release(c);
}

/* The index-th task reports that its function made such a record. */
static void report(int index, int arity, const char *record) {
    tide_task_learn(&tasks[index]->work, 0, arity, record, strlen(record));
}

static void tasks_of_a_run_agree_in_arity(void **state) {
    struct tide_rdd *rdd = rig_learned(rig_blocks(4, 1, 0), "f");
    struct watched job;

    start(&job, rdd);
    assert_int_equal(tasks[0]->work.nslots, 1);
    assert_int_equal(tasks[0]->work.slots[0].known, TIDE_ARITY_UNKNOWN);
    report(1, 2, "(a, 1)");
    report(2, 2, "(b, 1)");
    report(3, 1, "c");
    succeed_all();
    assert_failed(
        &job, TIDE_ECLOSURE,
        "f: the function returned pairs and single values: pairs, such as (a, 1) in partition 1, and single "
        "values, such as c in partition 3");
    assert_int_equal(tide_rdd_arity(rdd)->value, TIDE_ARITY_UNKNOWN); /* a failed run teaches nothing */
    tide_job_release(job.job);

    start(&job, rdd);
    report(2, 1, "c");
    succeed_all();
    assert_succeeded(&job);
    assert_int_equal(tide_rdd_arity(rdd)->value, TIDE_ARITY_SINGLE);
    tide_job_release(job.job);

    start(&job, rdd);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tasks[i]->work.slots[0].known, TIDE_ARITY_SINGLE);
        assert_string_equal(tasks[i]->work.slots[0].first, "c in partition 2");
    }
    succeed_all();
    assert_succeeded(&job);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void runs_at_the_same_time_agree_in_arity(void **state) {
    struct tide_rdd *rdd = rig_learned(rig_blocks(1, 1, 0), "f");
    struct watched one, other;

    start(&one, rdd);
    start(&other, rdd);
    report(0, 2, "(a, 1)");
    report(1, 1, "b");
    succeed(0);
    assert_succeeded(&one);
    succeed(0);
    assert_failed(&other, TIDE_ECLOSURE, "pairs, such as (a, 1) in partition 0, and single values, such as b");
    tide_job_release(one.job);
    tide_job_release(other.job);
    tide_rdd_release(rdd);
}

static void unions_agree_in_arity(void **state) {
    struct tide_rdd *f = rig_learned(rig_blocks(1, 1, 0), "f"), *g = rig_learned(rig_blocks(1, 1, 0), "g");
    struct tide_rdd *both = rig_union(rig_union(tide_rdd_retain(f), tide_rdd_retain(g)), rig_blocks(1, 0, 0));
    struct watched job;

    tide_arity_name(tide_rdd_arity(both), "all");
    start(&job, both);
    report(0, 2, "(a, 1)");
    report(1, 1, "b");
    succeed_all();
    assert_failed(&job, TIDE_ECLOSURE, "pairs and single values meet in one dataset or stream: ");
    assert_failed(&job, TIDE_ECLOSURE, "f makes pairs, such as (a, 1) in partition 0");
    assert_failed(&job, TIDE_ECLOSURE, "g makes single values, such as b in partition 1");
    tide_job_release(job.job);

    start(&job, f);
    report(0, 2, "(a, 1)");
    succeed_all();
    tide_job_release(job.job);
    start(&job, g);
    report(0, 1, "b");
    succeed_all();
    tide_job_release(job.job);

    start(&job, both); /* now it is known before anything runs */
    assert_int_equal(held, 0);
    turn();
    assert_failed(&job, TIDE_ECLOSURE, "pairs and single values meet in one dataset or stream: ");
    tide_job_release(job.job);
    tide_rdd_release(both);
    tide_rdd_release(f);
    tide_rdd_release(g);
}

/* Records of two kinds have met in one task: the driver knows better where they come from. */
static void a_mix_within_a_task_is_explained(void **state) {
    struct tide_rdd *rdd = rig_coalesce(rig_union(rig_blocks(1, 1, 0), rig_learned(rig_blocks(1, 1, 0), "f")), 1);
    struct watched job;

    start(&job, rdd);
    report(0, 2, "(a, 1)");

    struct tide_task *task = take(0);

    tide_error_set(&task->error, TIDE_EMIXED, "mixed");
    tide_task_end(task);
    give_back(task);
    assert_failed(&job, TIDE_ECLOSURE, "an input makes single values; f makes pairs, such as (a, 1) in partition 0");
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

/* ---- Cancelling --------------------------------------------------------------------------------------------- */

static void cancelled_jobs_end_from_the_loop(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 1, 0);
    struct watched job;

    start(&job, rdd);
    tide_scheduler_cancel(job.job);
    tide_scheduler_cancel(job.job);
    assert_int_equal(job.done, 0);
    assert_true(is_cancelled(0));
    turn();
    assert_failed(&job, TIDE_ECANCELLED, "cancelled");
    tide_scheduler_cancel(job.job);
    succeed_all();
    assert_int_equal(job.done, 1);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void shared_shuffles_outlive_a_cancelled_job(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct watched jobs[2];

    start(&jobs[0], rdd);
    start(&jobs[1], rdd);
    tide_scheduler_cancel(jobs[0].job);
    turn();
    assert_failed(&jobs[0], TIDE_ECANCELLED, "cancelled");
    assert_false(is_cancelled(0));
    tide_scheduler_cancel(jobs[1].job);
    assert_true(is_cancelled(0));
    turn();
    assert_failed(&jobs[1], TIDE_ECANCELLED, "cancelled");
    tide_job_release(jobs[0].job);
    tide_job_release(jobs[1].job);

    start(&jobs[0], rdd); /* nothing of the old attempt is in the way */
    succeed(0);
    assert_int_equal(jobs[0].done, 0);
    succeed_all();
    assert_succeeded(&jobs[0]);
    tide_job_release(jobs[0].job);
    tide_rdd_release(rdd);
}

/* ---- Callbacks ---------------------------------------------------------------------------------------------- */

struct plot {
    struct watched first, next, other;
    struct tide_rdd *rdd;
};

static void on_plot(struct tide_job *job, void *arg) {
    struct plot *plot = arg;
    struct tide_rdd *none = tide_rdd_blocks_new(NULL, 0);

    assert_true(tide_job_ended(job));
    tide_job_release(plot->first.job);
    tide_scheduler_cancel(plot->other.job);
    start(&plot->next, none); /* has nothing to do, and yet does not end in here */
    tide_rdd_release(none);
}

static void callbacks_may_do_anything(void **state) {
    struct plot plot = {.rdd = rig_blocks(1, 1, 0)};
    struct tide_job_options options = {
        .rdd = plot.rdd, .sink = collect, .batch_time = -1, .done = on_plot, .arg = &plot};

    start(&plot.other, plot.rdd);
    plot.first.job = tide_scheduler_start(scheduler, &options);
    succeed(1);
    assert_failed(&plot.other, TIDE_ECANCELLED, "cancelled");
    assert_succeeded(&plot.next);
    succeed_all();
    tide_job_release(plot.other.job);
    tide_job_release(plot.next.job);
    tide_rdd_release(plot.rdd);
}

/* ---- Depth -------------------------------------------------------------------------------------------------- */

static struct tide_rdd *long_chain(uint32_t partitions) {
    struct tide_rdd *rdd = rig_blocks(partitions, 1, 0);

    for (int i = 0; i < CHAIN; i++) rdd = rig_shuffle(rdd, TIDE_ROUTE_SINGLE, 1, true);
    return rdd;
}

static void long_chains_of_shuffles(void **state) {
    struct tide_rdd *rdd = long_chain(1);
    struct watched job;

    run_at_once = true;
    start(&job, rdd);
    while (job.done == 0) turn();
    assert_succeeded(&job);
    assert_int_equal(seen, CHAIN + 1);
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

static void failures_travel_long_chains(void **state) {
    struct tide_rdd *rdd = long_chain(1);
    struct watched jobs[2];

    start(&jobs[0], rdd);
    assert_int_equal(held, 1);
    fail_task(0, "at the very bottom");
    assert_failed(&jobs[0], TIDE_ECLOSURE, "at the very bottom");
    start(&jobs[1], rdd);
    tide_scheduler_cancel(jobs[1].job);
    assert_true(is_cancelled(0));
    turn();
    assert_failed(&jobs[1], TIDE_ECANCELLED, "cancelled");
    succeed_all();
    tide_job_release(jobs[0].job);
    tide_job_release(jobs[1].job);
    tide_rdd_release(rdd);
}

/* ---- Closing ------------------------------------------------------------------------------------------------ */

static void closing_cancels_everything(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(2, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *none = tide_rdd_blocks_new(NULL, 0);
    struct watched jobs[4];

    start(&jobs[0], rdd);
    start(&jobs[1], rdd);
    start(&jobs[2], none); /* has succeeded, and nobody was told yet */
    tide_scheduler_close(scheduler);
    assert_failed(&jobs[0], TIDE_ECANCELLED, "the engine is closing");
    assert_failed(&jobs[1], TIDE_ECANCELLED, "the engine is closing");
    assert_succeeded(&jobs[2]);
    assert_true(is_cancelled(0) && is_cancelled(1));
    start(&jobs[3], rdd);
    turn();
    assert_failed(&jobs[3], TIDE_ECANCELLED, "the engine is closing");
    succeed_all();
    assert_int_equal(shut_down(), 0);
    for (int i = 0; i < 4; i++) {
        assert_true(tide_job_ended(jobs[i].job)); /* jobs can be read when the scheduler is gone */
        tide_scheduler_cancel(jobs[i].job);
        tide_job_release(jobs[i].job);
    }
    tide_rdd_release(rdd);
    tide_rdd_release(none);
}

static void tasks_may_never_come_back(void **state) {
    static const uint32_t *left_behind; /* keeps the run reachable, as the stuck worker does */
    struct tide_rdd *rdd = rig_blocks(2, 1, 0);
    struct watched job;
    struct tide_task *stuck;

    start(&job, rdd);
    stuck = take(1);
    left_behind = stuck->work.cancelled;
    tide_scheduler_close(scheduler);
    assert_failed(&job, TIDE_ECANCELLED, "the engine is closing");
    succeed(0);
    assert_int_equal(shut_down(), 1);
    assert_int_equal(*left_behind, 1);
    stuck->message.deliver(&stuck->message, NULL); /* much later: the inbox is closed */
    tide_job_release(job.job);
    tide_rdd_release(rdd);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(results_are_in_partition_order),
        CHECKED(inputs_are_let_go_with_their_tasks),
        CHECKED(options_reach_the_tasks),
        CHECKED(nothing_to_do_ends_from_the_loop),
        CHECKED(a_job_may_be_released_early),
        CHECKED(map_sides_run_first),
        CHECKED(a_running_shuffle_is_shared),
        CHECKED(shuffles_wait_for_shuffles),
        CHECKED(empty_map_sides_pass),
        CHECKED(ranges_are_found_in_a_phase_of_their_own),
        CHECKED(broken_samples_fail_the_job),
        CHECKED(a_failed_task_fails_its_job),
        CHECKED(later_failures_are_not_told),
        CHECKED(a_failed_task_is_tried_again_from_its_inputs),
        CHECKED(a_task_that_fails_too_often_fails_its_job),
        CHECKED(what_was_broken_off_is_not_tried_again),
        CHECKED(updates_are_told_once_for_each_partition),
        CHECKED(what_was_made_through_a_lost_guard_is_made_again),
        CHECKED(other_runs_take_back_too),
        CHECKED(a_guard_that_can_be_computed_stays),
        CHECKED(a_state_is_computed_though_its_job_has_failed),
        CHECKED(a_failed_shuffle_fails_all_who_need_it),
        CHECKED(failing_gives_up_other_shuffles),
        CHECKED(tasks_of_a_run_agree_in_arity),
        CHECKED(runs_at_the_same_time_agree_in_arity),
        CHECKED(unions_agree_in_arity),
        CHECKED(a_mix_within_a_task_is_explained),
        CHECKED(cancelled_jobs_end_from_the_loop),
        CHECKED(shared_shuffles_outlive_a_cancelled_job),
        CHECKED(callbacks_may_do_anything),
        CHECKED(long_chains_of_shuffles),
        CHECKED(failures_travel_long_chains),
        CHECKED(closing_cancels_everything),
        CHECKED(tasks_may_never_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
