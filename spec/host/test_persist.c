/*
 * Persistent datasets: what a node keeps and when it lets go of it, and how the scheduler computes it. Tasks go to an
 * executor that keeps them until the test lets them come back; no thread is involved.
 */
#include <uv.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "driver/scheduler.h"
#include "rdd/lineage.h"
#include "rdd/node.h"
#include "rdd_rig.h"
#include "test.h"

enum { MOST_TASKS = 32 };

static uv_loop_t loop;
static struct tide_inbox inbox;
static struct tide_cache *cache;
static struct tide_scheduler *scheduler;
static struct tide_op *collect;
static struct tide_task *tasks[MOST_TASKS]; /* submitted, not given back */
static int held, seen;
static bool late; /* tasks begin when they are given back */

/* ---- The executor and jobs ---------------------------------------------------------------------------------- */

static void submit(void *self, struct tide_task *task) {
    assert_true(held < MOST_TASKS);
    if (!late) assert_true(tide_task_begin(task));
    tasks[held++] = task;
    seen++;
}

static void turn(void) { uv_run(&loop, UV_RUN_NOWAIT); }

static void give_back(int index, const char *failure) {
    struct tide_task *task = tasks[index];

    memmove(&tasks[index], &tasks[index + 1], (size_t)(--held - index) * sizeof(struct tide_task *));
    if (late && !tide_task_begin(task)) {
        tide_inbox_post(&inbox, &task->message);
        turn();
        return;
    }
    if (failure) {
        tide_error_set(&task->error, TIDE_ECLOSURE, "%s", failure);
    } else {
        for (uint32_t i = 0; i < task->work.noutputs; i++) {
            int number = (int)(100 * task->work.partition + i);

            tide_blocks_push(&task->work.outputs[i], rig_block(&number, 1));
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
    char *text = rig_plan(tasks[index]->work.plan), *numbers = rig_numbers(&tasks[index]->work.inputs[0].blocks);

    assert_string_equal(text, plan);
    assert_string_equal(numbers, input);
    tide_free(text);
    tide_free(numbers);
}

static int done;

static void on_done(struct tide_job *job, void *arg) { done++; }

static struct tide_job *start(struct tide_rdd *rdd) {
    struct tide_job_options options = {.rdd = rdd, .sink = collect, .batch_time = -1, .done = on_done};

    return tide_scheduler_start(scheduler, &options);
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
    late = false;
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

    tide_cache_close(cache);
    tide_cache_release(cache);
    tide_inbox_destroy(&inbox);
    tide_op_release(collect);
    return uv_loop_close(&loop) == 0 && lost == 0 && held == 0 && tide_block_live() == 0 ? 0 : -1;
}

/* ---- Nodes -------------------------------------------------------------------------------------------------- */

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
    assert_false(tide_rdd_available(rdd, &bytes));
    tide_rdd_unpersist(rdd);
    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK, false);
    assert_int_equal(tide_rdd_level(rdd), TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK);
    assert_false(tide_rdd_available(rdd, NULL));
    assert_int_equal(tide_rdd_known_records(rdd), -1);
    keep(rdd, 7);
    assert_true(tide_rdd_available(rdd, &bytes));
    assert_int_equal(bytes, 2);
    assert_int_equal(tide_rdd_known_records(rdd), 2);
    assert_int_equal(tide_block_live(), 4);
    tide_rdd_unpersist(rdd);
    assert_false(tide_rdd_available(rdd, &bytes));
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
    assert_non_null(tide_rdd_cached(rdd, 0));
    tide_rdd_unpin(rdd);
    assert_int_equal(tide_block_live(), 4);
    tide_rdd_unpin(rdd);
    assert_int_equal(tide_block_live(), 2);
    tide_rdd_release(rdd);
}

static void truncated_lineage_becomes_blocks(void **state) {
    struct tide_rdd *zipped = rig_zip(rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 3, true),
                                      rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 3, true), "g");
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(zipped), "f");

    tide_rdd_persist(zipped, TIDE_LEVEL_MEMORY, true);
    tide_rdd_pin(zipped);
    keep(zipped, 0);
    assert_int_equal(tide_rdd_kind(zipped), TIDE_RDD_ZIP);
    tide_rdd_unpin(zipped);
    assert_int_equal(tide_rdd_kind(zipped), TIDE_RDD_BLOCKS);
    assert_int_equal(tide_rdd_key_partitions(zipped), 3);
    assert_int_equal(tide_rdd_known_records(zipped), 3);
    assert_int_equal(tide_block_live(), 3); /* its inputs are gone */
    tide_rdd_unpersist(zipped);
    assert_true(tide_rdd_available(zipped, NULL));
    tide_rdd_release(zipped);
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

/* ---- Jobs --------------------------------------------------------------------------------------------------- */

static void the_first_job_computes_all_partitions(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(2, 1, 0), "f");
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(kept), "g");
    uint32_t one = 1;

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job_options options = {
        .rdd = rdd, .sink = collect, .partitions = &one, .npartitions = 1, .batch_time = 5, .done = on_done};
    struct tide_job *job = tide_scheduler_start(scheduler, &options);

    assert_int_equal(held, 2);
    assert_task(0, "[[chain, [leaf, nil], [f]], {kind: cache, name: persist}]", "0");
    assert_int_equal(tasks[0]->work.batch_time, 5);
    give_back(1, NULL);
    assert_false(tide_rdd_available(kept, NULL));
    give_back(0, NULL);
    assert_true(tide_rdd_available(kept, NULL));
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
    struct tide_rdd *twice = rig_zip(tide_rdd_retain(kept), rig_narrow(tide_rdd_retain(kept), "h"), "zip");
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
    assert_task(0, "[[leaf, r], {kind: cache, name: persist}]", "0 100");
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
    assert_true(tide_rdd_available(kept, NULL));
    tide_rdd_release(kept);
}

static void cancelled_jobs_give_the_computation_up(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *a = start(kept), *b = start(kept);

    tide_scheduler_cancel(a);
    turn();
    assert_int_equal(*tasks[0]->work.cancelled, 0); /* b still wants it */
    tide_scheduler_cancel(b);
    turn();
    assert_int_equal(*tasks[0]->work.cancelled, 1);
    assert_int_equal(done, 2);
    succeed_all();
    assert_false(tide_rdd_available(kept, NULL));
    tide_job_release(a);
    tide_job_release(b);
    tide_rdd_release(kept);
}

/* A job waits for something else, and what it has found computed is dropped meanwhile: it gets it all the same. */
static void unpersisting_does_not_take_it_from_a_waiting_job(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *job = start(kept);

    succeed_all();
    tide_job_release(job);

    struct tide_rdd *shuffled = rig_shuffle(rig_blocks(1, 1, 50), TIDE_ROUTE_HASH, 1, true);
    struct tide_rdd *rdd = rig_zip(tide_rdd_retain(kept), shuffled, "join");

    job = start(rdd);
    tide_rdd_unpersist(kept);

    struct tide_job *again = start(kept);

    assert_int_equal(held, 2);
    assert_task(1, "[[chain, [leaf, nil], [f]], collect]", "0");
    give_back(0, NULL);
    assert_int_equal(held, 2);
    assert_task(1, "[[zip, join, [[leaf, nil], [leaf, r]]], collect]", "0");
    assert_false(tide_rdd_available(kept, NULL));
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
        struct tide_rdd *rdd = rig_zip(before, rig_blocks(1, 1, batch), "update");

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

/* ---- Partitions that are dropped ---------------------------------------------------------------------------- */

/* From now on jobs have a cache with room for so many of the blocks that tasks make here. */
static void with_room_for(uint32_t blocks) {
    struct tide_executor executor = {.submit = submit, .self = &held};
    int number = 100;
    struct tide_block *block = rig_block(&number, 1);
    struct tide_blocks list = {0};

    tide_blocks_push(&list, block);
    tide_scheduler_close(scheduler);
    tide_scheduler_delete(scheduler);
    tide_cache_release(cache);
    cache = rig_cache(blocks * tide_blocks_footprint(&list));
    scheduler = tide_scheduler_new(&executor, cache, &inbox);
    tide_blocks_destroy(&list);
}

/* Fills the cache with something that is used by nobody. */
static struct tide_cached *crowd(uint32_t blocks) {
    struct tide_cached_options options = {.dataset = 0, .lists = 1, .memory = true, .recomputable = true};
    struct tide_cached *cached = tide_cached_new(cache, &options);
    struct tide_blocks list = {0};
    int number = 100;

    for (uint32_t i = 0; i < blocks; i++) tide_blocks_push(&list, rig_block(&number, 1));
    tide_cached_fill(cached, &list);
    return cached;
}

static void assert_places(const struct tide_rdd *rdd, uint32_t memory, uint32_t disk, uint32_t gone) {
    struct tide_rdd_places places;

    tide_rdd_places(rdd, &places);
    assert_int_equal(places.memory, memory);
    assert_int_equal(places.disk, disk);
    assert_int_equal(places.gone, gone);
}

static void what_finds_no_room_is_computed_by_those_who_need_it(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(3, 1, 0), "f");
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(kept), "g");

    with_room_for(2);
    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_job *job = start(rdd);

    assert_int_equal(held, 3);
    for (int i = 0; i < 3; i++) give_back(0, NULL);
    assert_places(kept, 2, 0, 1);
    assert_int_equal(held, 3);
    assert_task(0, "[[chain, [leaf, nil], [g]], collect]", "0");
    assert_task(1, "[[chain, [leaf, nil], [g]], collect]", "100");
    assert_task(2, "[[chain, [leaf, nil], [f, g]], collect]", "2"); /* from the beginning */
    assert_int_equal(tasks[2]->work.partition, 2);
    give_back(2, NULL);
    succeed_all();
    assert_result(job, 0, "0");
    assert_result(job, 1, "100");
    assert_result(job, 2, "200");
    tide_job_release(job);

    /* It is known beforehand the next time. */
    job = start(rdd);
    assert_int_equal(held, 3);
    succeed_all();
    assert_result(job, 2, "200");
    tide_job_release(job);
    tide_rdd_release(rdd);
    tide_rdd_release(kept);
}

static void with_room_again_it_is_kept_again(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(3, 1, 0), "f");

    with_room_for(3);
    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);
    keep(kept, 7);

    struct tide_cached *others = crowd(2);

    assert_places(kept, 1, 0, 2);
    assert_int_equal(tide_rdd_known_records(kept), 3);
    tide_cached_release(others);

    struct tide_job *job = start(kept);

    assert_int_equal(held, 2); /* only what is gone */
    assert_task(0, "[[chain, [leaf, nil], [f]], {kind: cache, name: persist}]", "0");
    assert_task(1, "[[chain, [leaf, nil], [f]], {kind: cache, name: persist}]", "1");
    give_back(1, NULL);
    give_back(0, NULL);
    assert_places(kept, 3, 0, 0);
    assert_int_equal(held, 3);
    assert_task(0, "[[leaf, nil], collect]", "0");
    assert_task(1, "[[leaf, nil], collect]", "100");
    assert_task(2, "[[leaf, nil], collect]", "9");
    succeed_all();
    tide_job_release(job);
    tide_rdd_release(kept);
}

/* What is dropped after its tasks were sent: workers notice. What it is made from may have to be computed first. */
static void a_loss_on_the_way_is_made_good(void **state) {
    struct tide_rdd *inner = rig_narrow(rig_blocks(2, 1, 0), "f");
    struct tide_rdd *outer = rig_narrow(tide_rdd_retain(inner), "g");

    with_room_for(4);
    tide_rdd_persist(outer, TIDE_LEVEL_MEMORY, false);
    keep(outer, 7);
    tide_rdd_persist(inner, TIDE_LEVEL_MEMORY, false);
    late = true;

    struct tide_job *job = start(outer);

    assert_int_equal(held, 2);

    struct tide_cached *others = crowd(4);

    assert_places(outer, 0, 0, 2);
    tide_cached_release(others);
    give_back(0, NULL);
    assert_int_equal(held, 3); /* the other one, and what is to be kept of `inner` */
    give_back(0, NULL);
    assert_int_equal(held, 2);
    assert_int_equal(done, 0);
    late = false;
    give_back(0, NULL);
    give_back(0, NULL);
    assert_places(inner, 2, 0, 0);
    assert_int_equal(held, 2);
    assert_task(0, "[[chain, [leaf, nil], [g]], collect]", "0");
    assert_task(1, "[[chain, [leaf, nil], [g]], collect]", "100");
    succeed_all();
    assert_result(job, 0, "0");
    assert_result(job, 1, "100");
    tide_job_release(job);

    /* The room there is now is used the next time. */
    job = start(outer);
    succeed_all();
    assert_places(outer, 2, 0, 0);
    tide_job_release(job);
    tide_rdd_release(outer);
    tide_rdd_release(inner);
}

/* A map output is damaged: that cannot be made good, and fails like any task. */
static void damaged_map_outputs_fail_the_job(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);

    with_room_for(0);
    late = true;

    struct tide_job *job = start(rdd);

    give_back(0, NULL);
    tide_fault_arm("spill.damage", 0, 1);
    give_back(0, NULL);
    tide_fault_clear();
    assert_int_equal(done, 1);
    assert_int_equal(tide_job_error(job)->code, TIDE_ECORRUPT);
    assert_non_null(strstr(tide_job_error(job)->text, "map output 0 of dataset #"));
    tide_job_release(job);
    tide_rdd_release(rdd);
}

/* Range shuffles go through the disk twice. */
static void everything_on_disk_is_the_same(void **state) {
    struct tide_rdd *kept = rig_shuffle(rig_narrow(rig_blocks(3, 1, 0), "f"), TIDE_ROUTE_RANGE, 2, true);

    with_room_for(0);
    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, true); /* nothing of it is dropped then */

    struct tide_job *job = start(kept);

    assert_int_equal(held, 3);
    succeed_all();
    assert_result(job, 0, "0");
    assert_result(job, 1, "100");
    assert_int_equal(tide_rdd_kind(kept), TIDE_RDD_BLOCKS);
    tide_job_release(job);
    tide_rdd_release(kept);
}

/* It was kept as something that may be dropped, and then the lineage is to be cut off. */
static void truncation_waits_for_what_is_gone(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(2, 1, 0), "f");

    with_room_for(2);
    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);
    keep(kept, 7);

    struct tide_cached *others = crowd(1);

    assert_places(kept, 1, 0, 1);
    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, true);
    assert_int_equal(tide_rdd_kind(kept), TIDE_RDD_NARROW);
    assert_false(tide_rdd_available(kept, NULL));

    struct tide_job *job = start(kept);

    assert_int_equal(held, 2);
    succeed_all();
    assert_int_equal(tide_rdd_kind(kept), TIDE_RDD_BLOCKS);
    assert_result(job, 1, "100");
    tide_job_release(job);
    tide_cached_release(others);
    tide_rdd_release(kept);
}

static void received_data_rests_in_the_cache(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 1, 5);

    with_room_for(1);
    tide_rdd_cache_received(rdd, cache, 0);
    tide_rdd_cache_received(rdd, cache, 0);
    assert_true(tide_rdd_available(rdd, NULL));
    while (tide_cache_tidy(cache)) {}
    assert_int_equal(tide_block_live(), 1);

    struct tide_job *job = start(rdd);

    assert_task(0, "[[leaf, nil], collect]", "5");
    assert_task(1, "[[leaf, nil], collect]", "6");
    succeed_all();
    tide_job_release(job);
    tide_rdd_release(rdd);
}

static void lineage_tells_what_is_kept(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(1, 1, 0), "f");
    struct tide_buffer text;

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);
    for (int i = 0; i < 2; i++) {
        tide_buffer_create(&text);
        tide_rdd_lineage(kept, &text);
        tide_buffer_append(&text, "", 1);
        assert_non_null(strstr((char *)text.data,
                               i == 0
                                   ? " f, persistent MEMORY_ONLY_SER\n"
                                   : " f, persistent MEMORY_ONLY_SER, computed: 1 records, 1 in memory (1 bytes)\n"));
        tide_buffer_destroy(&text);
        if (i == 0) keep(kept, 0);
    }
    tide_rdd_release(kept);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(what_is_kept_is_known_and_let_go),
        CHECKED(pinned_data_stays),
        CHECKED(truncated_lineage_becomes_blocks),
        CHECKED(truncation_may_be_asked_for_later),
        CHECKED(the_first_job_computes_all_partitions),
        CHECKED(jobs_share_the_computation),
        CHECKED(shuffles_run_before_and_after),
        CHECKED(failures_reach_all_who_wait_and_are_tried_again),
        CHECKED(cancelled_jobs_give_the_computation_up),
        CHECKED(unpersisting_does_not_take_it_from_a_waiting_job),
        CHECKED(unpersisting_while_it_is_computed),
        CHECKED(truncated_chains_do_not_grow),
        CHECKED(nothing_is_computed_for_no_partitions),
        CHECKED(lineage_tells_what_is_kept),
        CHECKED(what_finds_no_room_is_computed_by_those_who_need_it),
        CHECKED(with_room_again_it_is_kept_again),
        CHECKED(a_loss_on_the_way_is_made_good),
        CHECKED(damaged_map_outputs_fail_the_job),
        CHECKED(everything_on_disk_is_the_same),
        CHECKED(truncation_waits_for_what_is_gone),
        CHECKED(received_data_rests_in_the_cache),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
