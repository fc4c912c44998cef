/*
 * The cache: who has to go and where, what happens when the disk fails, and that nothing which can't be computed
 * again is ever given up. Sizes are in units of one block.
 */
#include <uv.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "capture.h"
#include "store/budget.h"
#include "store/cache.h"
#include "test.h"

enum { BLOCK = 10000, READS = 400 };

static struct tide_cache *cache;
static uint64_t unit; /* what a block of ours counts */
static int woken;

static void on_untidy(void *arg) { woken++; }

static void make_cache(uint32_t blocks) {
    struct tide_error err = {0};

    tide_cache_release(cache);
    cache = tide_cache_new(&(struct tide_cache_options){.limit = blocks * unit}, &err);
    assert_non_null(cache);
    tide_cache_on_untidy(cache, on_untidy, NULL);
}

static struct tide_block *block(uint8_t number) {
    struct tide_block *made = tide_block_new(TIDE_BLOCK_PACKED, 1, BLOCK, NULL);

    memset(made->data, number, BLOCK);
    made->size = made->count = BLOCK;
    return made;
}

static int set_up(void **state) {
    struct tide_blocks one = {0};

    tide_blocks_push(&one, block(0));
    unit = tide_blocks_footprint(&one);
    tide_blocks_destroy(&one);
    cache = NULL;
    woken = 0;
    return tide_block_live() == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    tide_fault_clear();
    while (tide_cache_tidy(cache)) {}

    struct tide_cache_figures now;

    tide_cache_figures(cache, &now);
    tide_cache_release(cache);
    return tide_block_live() == 0 && now.memory == 0 && now.disk == 0 ? 0 : -1;
}

/* ---- Things to keep ----------------------------------------------------------------------------------------- */

enum { MEMORY = 1, DISK = 2, AGAIN = 4 };

static struct tide_cached *new_cached(uint64_t dataset, int kinds) {
    struct tide_cached_options options = {
        .dataset = dataset,
        .partition = 7,
        .lists = 1,
        .memory = kinds & MEMORY,
        .disk = kinds & DISK,
        .recomputable = kinds & AGAIN,
    };

    return tide_cached_new(cache, &options);
}

/* `blocks` blocks of this number. */
static struct tide_cached *kept(uint64_t dataset, int kinds, uint8_t number, uint32_t blocks) {
    struct tide_cached *cached = new_cached(dataset, kinds);
    struct tide_blocks list = {0};

    for (uint32_t i = 0; i < blocks; i++) tide_blocks_push(&list, block(number));
    tide_cached_fill(cached, &list);
    assert_int_equal(list.count, 0);
    tide_blocks_destroy(&list);
    return cached;
}

static struct tide_cached *put(uint64_t dataset, int kinds, uint8_t number) {
    struct tide_cached *cached = new_cached(dataset, kinds);
    struct tide_blocks list = {0};

    tide_blocks_push(&list, block(number));
    tide_cached_put(cached, &list);
    tide_blocks_destroy(&list);
    return cached;
}

static void assert_reads(struct tide_cached *cached, uint8_t number, uint32_t blocks) {
    struct tide_blocks got = {0};
    struct tide_error err = {0};

    assert_int_equal(tide_cached_open(cached, 0, &got, &err), TIDE_OK);
    assert_int_equal(got.count, blocks);
    for (uint32_t i = 0; i < blocks; i++) {
        assert_int_equal(got.items[i]->size, BLOCK);
        assert_int_equal(got.items[i]->data[BLOCK / 2], number);
    }
    tide_blocks_destroy(&got);
}

static void assert_lost(struct tide_cached *cached) {
    struct tide_blocks got = {0};
    struct tide_error err = {0};

    assert_false(tide_cached_available(cached));
    assert_int_equal(tide_cached_open(cached, 0, &got, &err), TIDE_ELOST);
    assert_non_null(strstr(err.text, "partition 7 of dataset #"));
    assert_int_equal(got.count, 0);
    tide_error_clear(&err);
}

static void assert_figures(uint64_t memory, uint64_t peak, bool disk, uint64_t dropped) {
    struct tide_cache_figures now;

    tide_cache_figures(cache, &now);
    assert_int_equal(now.memory, memory * unit);
    assert_int_equal(now.peak, peak * unit);
    assert_int_equal(now.disk > 0, disk);
    assert_int_equal(now.dropped, dropped);
}

static void release_all(struct tide_cached **cached, int count) {
    for (int i = 0; i < count; i++) tide_cached_release(cached[i]);
}

/* ---- Room --------------------------------------------------------------------------------------------------- */

static void with_room_it_is_in_memory(void **state) {
    make_cache(3);

    struct tide_cached *cached = kept(1, MEMORY | AGAIN, 5, 3);

    assert_reads(cached, 5, 3);
    assert_int_equal(tide_cached_records(cached), 3 * BLOCK);
    assert_int_equal(tide_cached_bytes(cached), 3 * BLOCK);
    assert_false(tide_cached_on_disk(cached));
    assert_figures(3, 3, false, 0);
    tide_cached_release(cached);
    assert_figures(0, 3, false, 0);
    assert_int_equal(woken, 0);
    assert_false(tide_cache_tidy(cache));
}

static void the_least_recently_opened_goes_first(void **state) {
    struct tide_cached *a[4];

    make_cache(3);
    for (int i = 0; i < 3; i++) a[i] = kept((uint64_t)i, MEMORY | DISK | AGAIN, (uint8_t)i, 1);
    assert_reads(a[0], 0, 1);
    a[3] = kept(3, MEMORY | AGAIN, 3, 1);
    assert_true(tide_cached_on_disk(a[1]));
    for (int i = 0; i < 4; i++) {
        if (i != 1) assert_false(tide_cached_on_disk(a[i]));
        assert_reads(a[i], (uint8_t)i, 1);
    }
    assert_figures(3, 3, true, 0);
    release_all(a, 4);
    assert_int_equal(woken, 1); /* the place on disk is given back later */
    assert_figures(0, 3, true, 0);
    while (tide_cache_tidy(cache)) {}
    assert_figures(0, 3, false, 0);
}

static void without_disk_it_is_given_up(void **state) {
    struct tide_cached *a[3];

    make_cache(2);
    for (int i = 0; i < 3; i++) a[i] = kept((uint64_t)i, MEMORY | AGAIN, (uint8_t)i, 1);
    assert_lost(a[0]);
    assert_int_equal(tide_cached_records(a[0]), BLOCK); /* that is still known */
    assert_reads(a[1], 1, 1);
    assert_reads(a[2], 2, 1);
    assert_figures(2, 2, false, 1);
    release_all(a, 3);
}

static void what_cannot_be_computed_again_goes_to_disk(void **state) {
    struct tide_cached *a[3];

    make_cache(2);
    for (int i = 0; i < 3; i++) a[i] = kept((uint64_t)i, MEMORY, (uint8_t)i, 1);
    assert_true(tide_cached_on_disk(a[0]));
    for (int i = 0; i < 3; i++) assert_reads(a[i], (uint8_t)i, 1);
    assert_figures(2, 2, true, 0);
    release_all(a, 3);
}

static void on_disk_only(void **state) {
    make_cache(9);

    struct tide_cached *cached = kept(1, DISK | AGAIN, 5, 2), *empty = kept(2, DISK, 0, 0);

    assert_true(tide_cached_on_disk(cached));
    assert_int_equal(tide_block_live(), 0);
    assert_reads(cached, 5, 2);
    assert_reads(empty, 0, 0);
    assert_int_equal(tide_block_live(), 0);
    assert_figures(0, 0, true, 0);
    tide_cached_release(cached);
    tide_cached_release(empty);
}

/* As Spark does: otherwise a dataset larger than the memory would chase itself out. */
static void a_dataset_makes_no_room_for_itself(void **state) {
    struct tide_cached *a[4], *b[4];

    make_cache(2);
    for (int i = 0; i < 4; i++) a[i] = kept(1, MEMORY | AGAIN, (uint8_t)i, 1);
    assert_reads(a[0], 0, 1);
    assert_reads(a[1], 1, 1);
    assert_lost(a[2]);
    assert_lost(a[3]);
    for (int i = 0; i < 4; i++) b[i] = kept(2, MEMORY | DISK | AGAIN, (uint8_t)i, 1);
    for (int i = 0; i < 4; i++) {
        assert_lost(a[i]);
        assert_int_equal(tide_cached_on_disk(b[i]), i >= 2);
        assert_reads(b[i], (uint8_t)i, 1);
    }
    release_all(a, 4);
    release_all(b, 4);
}

static void nobody_is_sent_away_in_vain(void **state) {
    make_cache(4);

    struct tide_cached *a = kept(1, MEMORY | AGAIN, 1, 2), *b = kept(2, MEMORY | AGAIN, 2, 2);
    struct tide_cached *large = kept(3, MEMORY | AGAIN, 3, 5), *part = kept(2, MEMORY | AGAIN, 4, 3);

    assert_lost(large);
    assert_lost(part); /* a's place is not enough, and b is of its own dataset */
    assert_reads(a, 1, 2);
    assert_reads(b, 2, 2);
    assert_figures(4, 4, false, 2);
    release_all((struct tide_cached *[]){a, b, large, part}, 4);
}

static void what_finds_no_room_is_not_wanted(void **state) {
    make_cache(2);

    struct tide_cached *a = kept(1, MEMORY | AGAIN, 1, 2), *refused = kept(1, MEMORY | AGAIN, 2, 1);
    struct tide_cached *next = new_cached(1, MEMORY | AGAIN), *other = new_cached(2, MEMORY | AGAIN),
                       *disk = new_cached(1, MEMORY | DISK | AGAIN);

    assert_lost(refused);
    assert_true(tide_cached_wanted(other));
    assert_true(tide_cached_wanted(disk));
    assert_false(tide_cached_fits(refused));
    assert_false(tide_cached_wanted(next));
    assert_lost(next);
    assert_int_equal(tide_cached_records(next), -1);
    assert_false(tide_cached_fits(next));
    tide_cached_release(a);
    assert_true(tide_cached_fits(refused));
    assert_true(tide_cached_fits(next));
    release_all((struct tide_cached *[]){refused, next, other, disk}, 4);
}

static void held_data_is_not_given_up(void **state) {
    struct tide_cached *a[4];

    make_cache(1);
    a[0] = kept(0, MEMORY | AGAIN, 0, 1);
    assert_true(tide_cached_forbid_drop(a[0]));
    a[1] = kept(1, MEMORY | AGAIN, 1, 1);
    a[2] = kept(2, MEMORY | AGAIN, 2, 1);
    assert_false(tide_cached_forbid_drop(a[1]));
    assert_true(tide_cached_on_disk(a[0]));
    assert_reads(a[0], 0, 1);
    release_all(a, 3);
}

/* ---- What the driver hands over ----------------------------------------------------------------------------- */

static void what_is_put_goes_to_disk_later(void **state) {
    struct tide_cached *a[4];

    make_cache(2);
    for (int i = 0; i < 2; i++) a[i] = put((uint64_t)i, MEMORY, (uint8_t)i);
    assert_int_equal(woken, 0);
    a[2] = put(2, MEMORY, 2);
    assert_int_equal(woken, 1);
    a[3] = put(3, DISK, 3);
    assert_reads(a[3], 3, 1);
    assert_figures(4, 4, false, 0);
    while (tide_cache_tidy(cache)) {}
    assert_figures(2, 4, true, 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tide_cached_on_disk(a[i]), i == 0 || i == 3);
        assert_reads(a[i], (uint8_t)i, 1);
    }
    release_all(a, 4);
}

static void budgets_are_relieved(void **state) {
    struct tide_budget *budget = tide_budget_new(1000000, 0);
    struct tide_share *share = tide_share_new(budget, 1000, NULL, NULL);
    struct tide_blocks list = {0};

    make_cache(9);
    tide_blocks_push(&list, tide_block_new(TIDE_BLOCK_TEXT, 0, 5000, share));
    tide_block_add_line(list.items[0], 0, 0);
    assert_true(tide_budget_used(budget) > 5000);

    struct tide_cached *cached = new_cached(1, MEMORY);

    tide_cached_put(cached, &list);
    assert_int_equal(tide_budget_used(budget), 0);
    tide_cached_release(cached);
    tide_share_release(share);
    tide_budget_release(budget);
}

/* ---- Disks that fail ---------------------------------------------------------------------------------------- */

static void a_full_disk_loses_nothing(void **state) {
    struct tide_cached *a[4];

    make_cache(1);
    tide_fault_arm("spill.write", 0, -1);
    capture_start();
    a[0] = kept(0, MEMORY, 0, 1);
    a[1] = kept(1, MEMORY, 1, 1); /* beyond the limit */
    a[2] = kept(2, MEMORY | DISK | AGAIN, 2, 1);
    a[3] = kept(3, DISK, 3, 1);

    char *log = capture_stop(NULL);

    assert_non_null(strstr(log, "WARN  memory: partition 7 of dataset #0: the spill file in "));
    assert_non_null(strstr(log, "can't be written: No space left on device; make room there"));
    assert_non_null(strstr(log, "until then such data stays in memory beyond the limit"));
    assert_null(strstr(log, "#1")); /* once is enough */
    free(log);
    assert_figures(3, 3, false, 1);
    assert_reads(a[0], 0, 1);
    assert_reads(a[1], 1, 1);
    assert_lost(a[2]);
    assert_reads(a[3], 3, 1);

    /* One of the dataset is computed to see whether the disk works again, not all. */
    struct tide_cached *next = new_cached(2, DISK | AGAIN);

    assert_false(tide_cached_wanted(next));
    assert_true(tide_cached_fits(a[2]));
    tide_cached_release(next);
    next = new_cached(2, DISK | AGAIN);
    assert_true(tide_cached_wanted(next));
    tide_cached_release(next);

    tide_fault_clear();
    next = kept(4, MEMORY, 4, 1);
    assert_figures(1, 3, true, 2);
    assert_reads(a[0], 0, 1);
    assert_reads(a[1], 1, 1);
    assert_reads(next, 4, 1);
    assert_true(tide_cached_fits(a[2]));
    tide_cached_release(next);
    release_all(a, 4);
}

/* A disk that has room now and then would otherwise say so with every block. */
static void a_disk_that_fails_in_turns_is_told_a_few_times(void **state) {
    make_cache(0);
    capture_start();
    for (uint64_t i = 0; i < 50; i++) {
        tide_fault_arm("spill.write", 0, 1);
        tide_cached_release(kept(i, DISK, 0, 1));
        tide_fault_clear();
        tide_cached_release(kept(i, DISK, 0, 1));
    }

    char *log = capture_stop(NULL);
    int told = 0;

    for (const char *at = log; (at = strstr(at, "can't be written")); at++) told++;
    free(log);
    assert_int_equal(told, TIDE_LOG_FEW);
}

static void a_full_disk_does_not_make_tidying_spin(void **state) {

    make_cache(0);
    capture_start();
    tide_fault_arm("spill.write", 0, -1);

    struct tide_cached *cached = put(1, MEMORY, 1);

    assert_false(tide_cache_tidy(cache));
    assert_false(tide_cache_tidy(cache));
    free(capture_stop(NULL));
    assert_reads(cached, 1, 1);
    tide_cached_release(cached);
}

static void damaged_data_is_computed_again_or_said(void **state) {
    static const char *const faults[] = {"spill.damage", "spill.read", "spill.short"};

    make_cache(0);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) {
        struct tide_cached *again = kept(1, MEMORY | DISK | AGAIN, 1, 1), *only = kept(2, MEMORY, 2, 1);
        struct tide_blocks got = {0};
        struct tide_error err = {0};

        tide_fault_arm(faults[i], 0, 1);
        capture_start();
        assert_int_equal(tide_cached_open(again, 0, &got, &err), TIDE_ELOST);

        char *log = capture_stop(NULL);

        assert_non_null(strstr(log, "partition 7 of dataset #1: the spill file in "));
        assert_non_null(strstr(log, "it is computed again"));
        free(log);
        assert_lost(again);
        assert_true(tide_cached_fits(again));

        tide_fault_arm(faults[i], 0, 1);
        assert_true(tide_cached_open(only, 0, &got, &err) == TIDE_ECORRUPT || err.code == TIDE_EIO);
        assert_non_null(strstr(err.text, "partition 7 of dataset #2: the spill file in "));
        assert_non_null(strstr(err.text, "check the disk. It can't be computed again"));
        tide_error_clear(&err);
        assert_reads(only, 2, 1); /* perhaps it was the wire */
        tide_cached_release(again);
        tide_cached_release(only);
    }
}

static void no_memory_to_read_is_no_damage(void **state) {
    make_cache(0);

    struct tide_cached *cached = kept(1, MEMORY | DISK | AGAIN, 1, 1);
    struct tide_blocks got = {0};
    struct tide_error err = {0};

    tide_fault_arm("alloc", 0, 1);
    assert_int_equal(tide_cached_open(cached, 0, &got, &err), TIDE_ENOMEM);
    assert_reads(cached, 1, 1);
    tide_error_clear(&err);
    tide_cached_release(cached);
}

/* ---- The end ------------------------------------------------------------------------------------------------ */

static void closing_takes_the_disk_away(void **state) {
    make_cache(1);

    struct tide_cached *disk = kept(1, DISK, 1, 1), *memory = kept(2, MEMORY, 2, 1);

    tide_cached_release(kept(3, DISK, 1, 1));
    tide_cache_on_untidy(cache, NULL, NULL);
    tide_cache_close(cache);
    assert_figures(1, 1, false, 0);
    assert_lost(disk);
    assert_reads(memory, 2, 1);

    struct tide_cached *late = kept(4, MEMORY, 4, 1), *later = put(5, MEMORY, 5);

    assert_lost(late);
    assert_lost(later);
    release_all((struct tide_cached *[]){disk, memory, late, later}, 4);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

struct load {
    struct tide_cached *shared[8];
    uint8_t first;
};

/* Keeps things of its own, reads everybody's. */
static void work(void *arg) {
    struct load *load = arg;

    for (int i = 0; i < READS; i++) {
        uint8_t number = (uint8_t)(load->first + i % 50);
        struct tide_cached *own = kept(number, i % 2 ? MEMORY : MEMORY | DISK | AGAIN, number, 1);
        struct tide_cached *lost = kept(number + 100u, MEMORY | AGAIN, 9, 1);
        int at = i % 8;

        assert_reads(load->shared[at], (uint8_t)at, 1);
        assert_reads(own, number, 1);
        tide_cached_release(lost);
        tide_cached_release(own);
        if (i % 3 == 0) tide_cache_tidy(cache);
    }
}

static void many_threads(void **state) {
    struct load loads[3];
    uv_thread_t threads[3];
    struct tide_cache_figures now;

    make_cache(4);
    for (int i = 0; i < 8; i++) loads[0].shared[i] = kept(1000 + (uint64_t)i, MEMORY, (uint8_t)i, 1);
    for (int i = 0; i < 3; i++) {
        if (i > 0) loads[i] = loads[0];
        loads[i].first = (uint8_t)(10 + i * 50);
        assert_int_equal(uv_thread_create(&threads[i], work, &loads[i]), 0);
    }
    for (int i = 0; i < 3; i++) uv_thread_join(&threads[i]);
    release_all(loads[0].shared, 8);
    tide_cache_figures(cache, &now);
    assert_int_equal(now.peak, 4 * unit);
    assert_int_equal(now.memory, 0);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(with_room_it_is_in_memory),
        CHECKED(the_least_recently_opened_goes_first),
        CHECKED(without_disk_it_is_given_up),
        CHECKED(what_cannot_be_computed_again_goes_to_disk),
        CHECKED(on_disk_only),
        CHECKED(a_dataset_makes_no_room_for_itself),
        CHECKED(nobody_is_sent_away_in_vain),
        CHECKED(what_finds_no_room_is_not_wanted),
        CHECKED(held_data_is_not_given_up),
        CHECKED(what_is_put_goes_to_disk_later),
        CHECKED(budgets_are_relieved),
        CHECKED(a_full_disk_loses_nothing),
        CHECKED(a_disk_that_fails_in_turns_is_told_a_few_times),
        CHECKED(a_full_disk_does_not_make_tidying_spin),
        CHECKED(damaged_data_is_computed_again_or_said),
        CHECKED(no_memory_to_read_is_no_damage),
        CHECKED(closing_takes_the_disk_away),
        CHECKED(many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
