/*
 * Persistent datasets: what a node keeps and when it lets go of it, and how the scheduler computes it. Tasks go to an
 * executor that keeps them until the test lets them come back; no thread is involved.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "driver/scheduler.h"
#include "rdd/lineage.h"
#include "rdd/node.h"
#include "rdd_rig.h"

enum { MOST_TASKS = 32 };

static uv_loop_t loop;
static struct tide_inbox inbox;
static struct tide_cache *cache;
static struct tide_scheduler *scheduler;
static struct tide_op *collect;
static struct tide_task *tasks[MOST_TASKS]; /* submitted, not given back */
static int held, seen;

/* ---- The executor and jobs ------------------------------------------------------------------------------------ */

static void submit(void *self, struct tide_task *task) {
    assert_true(held < MOST_TASKS);
    assert_true(tide_task_begin(task));
    tasks[held++] = task;
    seen++;
}

static void turn(void) { uv_run(&loop, UV_RUN_NOWAIT); }

static void give_back(int index, const char *failure) {
    struct tide_task *task = tasks[index];

    memmove(&tasks[index], &tasks[index + 1], (size_t)(--held - index) * sizeof(struct tide_task *));
    if (failure != NULL) {
        tide_error_set(&task->error, TIDE_ECLOSURE, "%s", failure);
    } else {
        for (uint32_t i = 0; i < task->noutputs; i++) {
            int number = (int)(100 * task->partition + i);

            tide_blocks_push(&task->outputs[i], rig_block(&number, 1));
        }
    }
    tide_task_end(task);
    tide_inbox_post(&inbox, &task->message);
    turn();
}

static void succeed_all(void) {
    while (held > 0) give_back(0, NULL);
}

static void assert_task(int index, const char *plan, const char *input) {
    char *text = rig_plan(tasks[index]->plan), *numbers = rig_numbers(&tasks[index]->inputs[0].blocks);

    assert_string_equal(text, plan);
    assert_string_equal(numbers, input);
    tide_free(text);
    tide_free(numbers);
}

static int done;

static void on_done(struct tide_job *job, void *arg) { done++; }

static struct tide_job *start(struct tide_rdd *rdd) {
    struct tide_job_options options = {.rdd = rdd, .sink = collect, .batch_time = -1, .done = on_done};

    return tide_job_start(scheduler, &options);
}

static void assert_result(struct tide_job *job, uint32_t index, const char *expected) {
    char *numbers = rig_numbers(tide_job_result(job, index));

    assert_true(tide_job_ended(job));
    assert_int_equal(tide_job_error(job)->code, TIDE_OK);
    assert_string_equal(numbers, expected);
    tide_free(numbers);
}

static int set_up(void **state) {
    struct tide_executor executor = {.submit = submit, .self = &held};

    held = seen = done = 0;
    collect = rig_op("collect", false);
    if (uv_loop_init(&loop) != 0 || tide_inbox_create(&inbox, &loop, &loop, true) != 0) return -1;
    cache = rig_cache(UINT64_MAX);
    scheduler = tide_scheduler_new(&executor, cache, &inbox);
    return tide_block_live() == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    tide_scheduler_close(scheduler);
    tide_inbox_drain(&inbox);
    tide_inbox_close(&inbox);
    turn();

    uint32_t lost = tide_scheduler_delete(scheduler);

    tide_cache_release(cache);
    tide_inbox_destroy(&inbox);
    tide_op_release(collect);
    return uv_loop_close(&loop) == 0 && lost == 0 && held == 0 && tide_block_live() == 0 ? 0 : -1;
}

/* ---- Nodes ---------------------------------------------------------------------------------------------------- */

/* Lists with the number `first` + partition in each. */
static void keep(struct tide_rdd *rdd, int first) {
    struct tide_blocks *lists = tide_xcalloc(tide_rdd_partitions(rdd), sizeof *lists);

    for (uint32_t i = 0; i < tide_rdd_partitions(rdd); i++, first++) {
        tide_blocks_create(&lists[i]);
        tide_blocks_push(&lists[i], rig_block(&first, 1));
    }
    rig_keep_lists(rdd, cache, lists);
}

static void what_is_kept_is_known_and_let_go(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_blocks(2, 1, 0), "f");
    uint64_t bytes;

    assert_int_equal(tide_rdd_level(rdd), 0);
    assert_false(tide_rdd_at_hand(rdd, &bytes));
    tide_rdd_unpersist(rdd);
    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK, false);
    assert_int_equal(tide_rdd_level(rdd), TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK);
    assert_false(tide_rdd_at_hand(rdd, NULL));
    assert_int_equal(tide_rdd_known_records(rdd), -1);
    keep(rdd, 7);
    assert_true(tide_rdd_at_hand(rdd, &bytes));
    assert_int_equal(bytes, 2);
    assert_int_equal(tide_rdd_known_records(rdd), 2);
    assert_int_equal(tide_block_live(), 4);
    tide_rdd_unpersist(rdd);
    assert_false(tide_rdd_at_hand(rdd, &bytes));
    assert_int_equal(tide_rdd_level(rdd), 0);
    assert_int_equal(tide_rdd_known_records(rdd), -1);
    assert_int_equal(tide_block_live(), 2);
    tide_rdd_release(rdd);
}

static void pinned_data_stays(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_blocks(2, 1, 0), "f");

    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY, false);
    tide_rdd_pin(rdd);
    tide_rdd_pin(rdd);
    keep(rdd, 0);
    tide_rdd_unpersist(rdd);
    assert_non_null(tide_rdd_kept(rdd, 0));
    tide_rdd_unpin(rdd);
    assert_int_equal(tide_block_live(), 4);
    tide_rdd_unpin(rdd);
    assert_int_equal(tide_block_live(), 2);
    tide_rdd_release(rdd);
}

static void truncated_lineage_becomes_blocks(void **state) {
    struct tide_rdd *gathered = rig_gather(rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 3, true),
                                           rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 3, true), "g");
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(gathered), "f");

    tide_rdd_persist(gathered, TIDE_LEVEL_MEMORY, true);
    tide_rdd_pin(gathered);
    keep(gathered, 0);
    assert_int_equal(tide_rdd_kind(gathered), TIDE_RDD_GATHER);
    tide_rdd_unpin(gathered);
    assert_int_equal(tide_rdd_kind(gathered), TIDE_RDD_BLOCKS);
    assert_int_equal(tide_rdd_hash_partitions(gathered), 3);
    assert_int_equal(tide_rdd_known_records(gathered), 3);
    assert_int_equal(tide_block_live(), 3); /* its inputs are gone */
    tide_rdd_unpersist(gathered);
    assert_true(tide_rdd_at_hand(gathered, NULL));
    tide_rdd_release(gathered);
    tide_rdd_release(rdd);
}

static void truncation_may_be_asked_for_later(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_blocks(1, 1, 0), "f");

    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY, false);
    keep(rdd, 0);
    assert_int_equal(tide_block_live(), 2);
    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY, true);
    assert_int_equal(tide_block_live(), 1);
    tide_rdd_release(rdd);
}

/* ---- Jobs ----------------------------------------------------------------------------------------------------- */

static void the_first_job_computes_all_partitions(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(2, 1, 0), "f");
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(kept), "g");
    uint32_t one = 1;

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job_options options = {
        .rdd = rdd, .sink = collect, .partitions = &one, .npartitions = 1, .batch_time = 5, .done = on_done};
    struct tide_job *job = tide_job_start(scheduler, &options);

    assert_int_equal(held, 2);
    assert_task(0, "[[chain, [leaf, nil], [f]], {kind: keep, name: persist}]", "0");
    assert_int_equal(tasks[0]->batch_time, 5);
    give_back(1, NULL);
    assert_false(tide_rdd_at_hand(kept, NULL));
    give_back(0, NULL);
    assert_true(tide_rdd_at_hand(kept, NULL));
    assert_int_equal(held, 1);
    assert_task(0, "[[chain, [leaf, nil], [g]], collect]", "100");
    succeed_all();
    assert_result(job, 0, "100");
    tide_job_release(job);

    job = start(kept);
    assert_int_equal(held, 2);
    assert_task(0, "[[leaf, nil], collect]", "0");
    succeed_all();
    tide_job_release(job);
    assert_int_equal(seen, 5);
    tide_rdd_release(rdd);
    tide_rdd_release(kept);
}

static void jobs_share_the_computation(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(2, 1, 0), "f");
    struct tide_rdd *twice = rig_gather(tide_rdd_retain(kept), rig_narrow(tide_rdd_retain(kept), "h"), "zip");
    struct tide_job *jobs[3];

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);
    jobs[0] = start(twice);
    assert_int_equal(held, 2);
    jobs[1] = start(kept);
    give_back(0, NULL);
    jobs[2] = start(kept);
    assert_int_equal(held, 1);
    give_back(0, NULL);
    assert_int_equal(held, 6);
    succeed_all();
    assert_int_equal(done, 3);
    for (int i = 0; i < 3; i++) tide_job_release(jobs[i]);
    tide_rdd_release(twice);
    tide_rdd_release(kept);
}

static void shuffles_run_before_and_after(void **state) {
    struct tide_rdd *kept = rig_shuffle(rig_narrow(rig_blocks(2, 1, 0), "f"), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *rdd = rig_shuffle(tide_rdd_retain(kept), TIDE_ROUTE_HASH, 1, true);

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, true);

    struct tide_job *job = start(rdd);

    assert_int_equal(held, 2);
    assert_task(1, "[[chain, [leaf, nil], [f]], [shuffle, w, 0, true]]", "1");
    give_back(0, NULL);
    give_back(0, NULL);
    assert_int_equal(held, 1);
    assert_task(0, "[[leaf, r], {kind: keep, name: persist}]", "0 100");
    give_back(0, NULL);
    assert_int_equal(held, 1);
    assert_task(0, "[[leaf, nil], [shuffle, w, 0, true]]", "0");
    assert_int_equal(tide_rdd_kind(kept), TIDE_RDD_BLOCKS);
    succeed_all();
    assert_result(job, 0, "0");
    tide_job_release(job);
    tide_rdd_release(rdd);
    tide_rdd_release(kept);
}

static void failures_reach_all_who_wait_and_are_tried_again(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(2, 1, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *a = start(kept), *b = start(kept);

    give_back(1, "out of luck");
    assert_int_equal(done, 2);
    assert_string_equal(tide_job_error(a)->text, "out of luck");
    assert_string_equal(tide_job_error(b)->text, "out of luck");
    tide_job_release(a);
    tide_job_release(b);
    a = start(kept); /* while a task of the failed attempt is still out */
    assert_int_equal(held, 3);
    succeed_all();
    assert_result(a, 1, "100");
    tide_job_release(a);
    assert_true(tide_rdd_at_hand(kept, NULL));
    tide_rdd_release(kept);
}

static void cancelled_jobs_give_the_computation_up(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *a = start(kept), *b = start(kept);

    tide_job_cancel(a);
    turn();
    assert_int_equal(*tasks[0]->cancelled, 0); /* b still wants it */
    tide_job_cancel(b);
    turn();
    assert_int_equal(*tasks[0]->cancelled, 1);
    assert_int_equal(done, 2);
    succeed_all();
    assert_false(tide_rdd_at_hand(kept, NULL));
    tide_job_release(a);
    tide_job_release(b);
    tide_rdd_release(kept);
}

/* A job waits for something else, and what it has found computed is given up meanwhile: it gets it all the same. */
static void unpersisting_does_not_take_it_from_a_waiting_job(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *job = start(kept);

    succeed_all();
    tide_job_release(job);

    struct tide_rdd *shuffled = rig_shuffle(rig_blocks(1, 1, 50), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *rdd = rig_gather(tide_rdd_retain(kept), shuffled, "join");

    job = start(rdd);
    tide_rdd_unpersist(kept);

    struct tide_job *again = start(kept);

    assert_int_equal(held, 2);
    assert_task(1, "[[chain, [leaf, nil], [f]], collect]", "0");
    give_back(0, NULL);
    assert_int_equal(held, 2);
    assert_task(1, "[[gather, join, [[leaf, nil], [leaf, r]]], collect]", "0");
    assert_false(tide_rdd_at_hand(kept, NULL));
    succeed_all();
    tide_job_release(job);
    tide_job_release(again);
    tide_rdd_release(rdd);
    tide_rdd_release(kept);
}

static void unpersisting_while_it_is_computed(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, true);

    struct tide_job *job = start(kept);

    tide_rdd_unpersist(kept);
    give_back(0, NULL);
    assert_task(0, "[[leaf, nil], collect]", "0");
    succeed_all();
    assert_result(job, 0, "0");
    tide_job_release(job);
    assert_int_equal(tide_rdd_kind(kept), TIDE_RDD_NARROW);
    assert_int_equal(tide_block_live(), 1);
    tide_rdd_release(kept);
}

/* State streams: every batch's dataset is made of the one before; nothing may grow. */
static void truncated_chains_do_not_grow(void **state) {
    struct tide_rdd *before = rig_blocks(1, 1, 0);
    uint64_t live = 0;

    for (int batch = 0; batch < 200; batch++) {
        struct tide_rdd *rdd = rig_gather(before, rig_blocks(1, 1, batch), "update");

        tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY, true);

        struct tide_job *job = start(rdd);

        succeed_all();
        tide_job_release(job);
        before = rdd;
        if (batch == 1) live = tide_block_live();
    }
    assert_int_equal(tide_block_live(), live);
    assert_int_equal(seen, 400);
    tide_rdd_release(before);
}

static void nothing_is_computed_for_no_partitions(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(0, 0, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *job = start(kept);

    turn();
    assert_int_equal(done, 1);
    assert_int_equal(tide_job_error(job)->code, TIDE_OK);
    assert_int_equal(seen, 0);
    tide_job_release(job);
    tide_rdd_release(kept);
}

static void lineage_tells_what_is_kept(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");
    struct tide_buffer text;

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);
    for (int i = 0; i < 2; i++) {
        tide_buffer_create(&text);
        tide_rdd_lineage(kept, &text);
        tide_buffer_append(&text, "", 1);
        assert_non_null(
            strstr((char *)text.data, i == 0 ? " f, persistent MEMORY_ONLY_SER\n"
                                                    : " f, persistent MEMORY_ONLY_SER, computed: 1 records, 1 in memory (1 bytes)\n"));
        tide_buffer_destroy(&text);
        if (i == 0) keep(kept, 0);
    }
    tide_rdd_release(kept);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(what_is_kept_is_known_and_let_go),       CHECKED(pinned_data_stays),
        CHECKED(truncated_lineage_becomes_blocks),       CHECKED(truncation_may_be_asked_for_later),
        CHECKED(the_first_job_computes_all_partitions),  CHECKED(jobs_share_the_computation),
        CHECKED(shuffles_run_before_and_after),          CHECKED(failures_reach_all_who_wait_and_are_tried_again),
        CHECKED(cancelled_jobs_give_the_computation_up), CHECKED(unpersisting_does_not_take_it_from_a_waiting_job),
        CHECKED(unpersisting_while_it_is_computed),      CHECKED(truncated_chains_do_not_grow),
        CHECKED(nothing_is_computed_for_no_partitions),  CHECKED(lineage_tells_what_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
