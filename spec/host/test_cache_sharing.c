/*
 * The cache: things that share blocks. A block counts once, goes with the last that holds it, and has one copy on
 * disk.
 */
#include <uv.h>

#include "base/fault.h"
#include "capture.h"
#include "store/cache.h"
#include "test.h"

enum { BLOCK = 100000, ROUNDS = 300 };

static struct tide_cache *cache;
static struct tide_block *blocks[8]; /* number i is full of i; the test holds them until it has handed them out */
static uint64_t unit;

static void make_cache(uint32_t limit) {
    struct tide_error err = {0};

    cache = tide_cache_new(&(struct tide_cache_options){.limit = limit * unit}, &err);
    assert_non_null(cache);
}

static struct tide_block *block_of(uint8_t number) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, BLOCK, NULL);

    memset(block->data, number, BLOCK);
    block->size = block->count = BLOCK;
    return block;
}

static int set_up(void **state) {
    for (uint8_t i = 0; i < 8; i++) blocks[i] = block_of(i);
    unit = tide_block_footprint(blocks[0]);
    return 0;
}

static void drop_blocks(void) {
    for (int i = 0; i < 8; i++) {
        tide_block_release(blocks[i]);
        blocks[i] = NULL;
    }
}

static struct tide_cache_figures figures(void) {
    struct tide_cache_figures now;

    tide_cache_figures(cache, &now);
    return now;
}

static int tear_down(void **state) {
    tide_fault_clear();
    drop_blocks();
    while (tide_cache_tidy(cache)) {}

    struct tide_cache_figures now = figures();

    tide_cache_release(cache);
    return tide_block_live() == 0 && now.memory == 0 && now.disk == 0 ? 0 : -1;
}

enum { MEMORY = 1, DISK = 2 };

static struct tide_cached *new_cached(uint64_t dataset, int level) {
    return tide_cached_new(cache,
                           &(struct tide_cached_options){
                               .dataset = dataset, .lists = 2, .memory = level & MEMORY, .disk = level & DISK});
}

/* Keeps the blocks of these numbers, the first in a list of its own. */
static struct tide_cached *kept(uint64_t dataset, int level, const char *numbers) {
    struct tide_cached *cached = new_cached(dataset, level);
    struct tide_blocks lists[2] = {{0}, {0}};

    for (size_t i = 0; numbers[i] != '\0'; i++)
        tide_blocks_push(&lists[i > 0], tide_block_retain(blocks[numbers[i] - '0']));
    tide_cached_fill(cached, lists);
    for (int i = 0; i < 2; i++) tide_blocks_destroy(&lists[i]);
    return cached;
}

static void open_all(struct tide_cached *cached, struct tide_blocks *out) {
    struct tide_error err = {0};

    for (uint32_t i = 0; i < 2; i++) assert_int_equal(tide_cached_open(cached, i, out, &err), TIDE_OK);
}

static void assert_reads(struct tide_cached *cached, const char *numbers) {
    struct tide_blocks got = {0};

    open_all(cached, &got);
    assert_int_equal(got.count, strlen(numbers));
    for (uint32_t i = 0; i < got.count; i++) {
        assert_int_equal(got.items[i]->size, BLOCK);
        assert_int_equal(got.items[i]->data[BLOCK / 2], numbers[i] - '0');
    }
    tide_blocks_destroy(&got);
}

static void release_all(struct tide_cached **cached, int count) {
    for (int i = 0; i < count; i++) tide_cached_release(cached[i]);
}

/* On disk a block has a head and is rounded to nothing. */
static void assert_blocks_on_disk(uint32_t count) {
    uint64_t disk = figures().disk;

    assert_in_range(disk, (uint64_t)count * BLOCK, (uint64_t)count * (BLOCK + 100));
}

/* ---- In memory ---------------------------------------------------------------------------------------------- */

static void a_block_counts_once(void **state) {
    struct tide_cached *a[3];

    make_cache(9);
    a[0] = kept(1, MEMORY, "0123");
    a[1] = kept(2, MEMORY, "0124");
    a[2] = kept(3, MEMORY, "00");
    assert_int_equal(figures().memory, 5 * unit);
    tide_cached_release(a[0]);
    assert_int_equal(figures().memory, 4 * unit);
    tide_cached_release(a[1]);
    assert_int_equal(figures().memory, unit);
    tide_cached_release(a[2]);
    assert_int_equal(figures().memory, 0);
    assert_int_equal(figures().peak, 5 * unit);
}

static void what_is_shared_needs_no_room(void **state) {
    struct tide_cached *a[3];

    make_cache(4);
    a[0] = kept(1, MEMORY, "012");
    a[1] = kept(2, MEMORY, "0123");
    a[2] = kept(3, MEMORY, "123");
    assert_int_equal(figures().memory, 4 * unit);
    for (int i = 0; i < 3; i++) assert_false(tide_cached_on_disk(a[i]));
    release_all(a, 3);
}

static void what_would_free_nothing_stays(void **state) {
    struct tide_cached *a[4];

    make_cache(3);
    a[0] = kept(1, MEMORY, "0");
    a[1] = kept(2, MEMORY, "2");
    a[2] = kept(3, MEMORY, "01");
    a[3] = kept(4, MEMORY, "3");
    assert_false(tide_cached_on_disk(a[0]));
    assert_true(tide_cached_on_disk(a[1]));
    assert_false(tide_cached_on_disk(a[2]));
    assert_blocks_on_disk(1);
    release_all(a, 4);
}

static void what_shares_with_the_newcomer_is_no_help(void **state) {
    struct tide_cached *a[2];

    make_cache(3);
    a[0] = kept(1, MEMORY, "012");
    a[1] = kept(2, MEMORY, "0123");
    assert_false(tide_cached_on_disk(a[0]));
    assert_true(tide_cached_on_disk(a[1]));
    assert_reads(a[0], "012");
    assert_reads(a[1], "0123");
    release_all(a, 2);
}

/* ---- On disk ------------------------------------------------------------------------------------------------ */

static void a_shared_block_is_written_once(void **state) {
    struct tide_cached *a[3];

    make_cache(4);
    a[0] = kept(1, MEMORY, "012");
    a[1] = kept(2, MEMORY, "0123");
    a[2] = kept(3, MEMORY, "4567");
    assert_true(tide_cached_on_disk(a[0]));
    assert_true(tide_cached_on_disk(a[1]));
    assert_int_equal(figures().memory, 4 * unit);
    assert_blocks_on_disk(4);
    assert_int_equal(figures().spilled, figures().disk);
    for (int i = 0; i < 2; i++) assert_reads(a[i], i == 0 ? "012" : "0123");
    release_all(a, 3);
}

static void space_comes_back_block_by_block(void **state) {
    struct tide_cached *a[2];

    make_cache(0);
    a[0] = kept(1, MEMORY, "0123");
    a[1] = kept(2, DISK, "1");
    drop_blocks();
    assert_blocks_on_disk(4);
    tide_cached_release(a[0]);
    assert_blocks_on_disk(4); /* later, not here: it may be the driver's thread */
    while (tide_cache_tidy(cache)) {}
    assert_blocks_on_disk(1);
    assert_reads(a[1], "1");
    tide_cached_release(a[1]);
}

/* A state whose versions do not fit: what a task has read from disk and hands on is not written again. */
static void what_was_read_from_disk_is_not_written_again(void **state) {
    struct tide_cached *version = NULL, *before;

    make_cache(0);
    version = kept(1, MEMORY, "0123");
    for (uint64_t i = 2; i < 10; i++) {
        struct tide_blocks lists[2] = {{0}, {0}};

        before = version;
        open_all(before, &lists[1]);
        tide_block_release(lists[1].items[3]);
        lists[1].items[3] = block_of((uint8_t)(i % 8));
        version = new_cached(i, MEMORY);
        tide_cached_fill(version, lists);
        tide_cached_release(before);
        tide_blocks_destroy(&lists[1]);
    }
    assert_in_range(figures().spilled, 12 * BLOCK, 12 * (BLOCK + 100));
    drop_blocks();
    while (tide_cache_tidy(cache)) {}
    assert_blocks_on_disk(4);
    tide_cached_release(version);
}

static void a_damaged_copy_is_written_again(void **state) {
    struct tide_cached *a[2];
    struct tide_blocks got = {0};
    struct tide_error err = {0};

    make_cache(2);
    a[0] = kept(1, DISK, "0");
    a[1] = kept(2, MEMORY, "0");
    tide_fault_arm("spill.damage", 0, 1);
    assert_int_equal(tide_cached_open(a[0], 0, &got, &err), TIDE_ECORRUPT);
    tide_error_clear(&err);

    struct tide_cached *large = kept(3, MEMORY, "12");

    assert_true(tide_cached_on_disk(a[1]));
    assert_blocks_on_disk(2);
    assert_reads(a[1], "0");
    tide_cached_release(large);
    release_all(a, 2);
}

static void a_full_disk_leaves_nothing_half_written(void **state) {
    make_cache(0);
    tide_fault_arm("spill.write", 1, -1);
    capture_start();

    struct tide_cached *cached = kept(1, MEMORY, "0123");

    free(capture_stop(NULL));
    assert_false(tide_cached_on_disk(cached));
    while (tide_cache_tidy(cache)) {}
    assert_int_equal(figures().disk, 0);
    assert_reads(cached, "0123");
    tide_cached_release(cached);
}

static void blocks_may_outlive_the_cache(void **state) {
    struct tide_blocks got = {0};

    make_cache(0);

    struct tide_cached *cached = kept(1, MEMORY, "01");

    open_all(cached, &got);
    tide_cached_release(cached);
    tide_cache_close(cache);
    tide_cache_release(cache);
    drop_blocks();
    assert_int_equal(got.items[1]->data[0], 1);
    tide_blocks_destroy(&got);
    make_cache(0);
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

/* Keeps, reads and lets go of things that share blocks with those of the others, with room for half of them. */
static void work(void *arg) {
    uint32_t seed = *(uint32_t *)arg;
    struct tide_cached *own[4] = {NULL};
    char numbers[4][4];

    for (int i = 0; i < ROUNDS; i++) {
        int at = i % 4;

        tide_cached_release(own[at]);
        for (int k = 0; k < 3; k++) numbers[at][k] = (char)('0' + (seed = seed * 1103515245 + 12345) / 65536 % 8);
        numbers[at][3] = '\0';
        own[at] = kept(seed, seed % 3 ? MEMORY : MEMORY | DISK, numbers[at]);
        for (int k = 0; k < 4; k++)
            if (own[k]) assert_reads(own[k], numbers[k]);
        if (i % 3 == 0) tide_cache_tidy(cache);
    }
    for (int i = 0; i < 4; i++) tide_cached_release(own[i]);
}

static void many_threads(void **state) {
    uint32_t seeds[3] = {1, 2, 3};
    uv_thread_t threads[3];

    make_cache(4);
    for (int i = 0; i < 3; i++) assert_int_equal(uv_thread_create(&threads[i], work, &seeds[i]), 0);
    for (int i = 0; i < 3; i++) uv_thread_join(&threads[i]);
    assert_int_equal(figures().memory, 0);
    assert_in_range(figures().peak, 1, 4 * unit);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(a_block_counts_once),
        CHECKED(what_is_shared_needs_no_room),
        CHECKED(what_would_free_nothing_stays),
        CHECKED(what_shares_with_the_newcomer_is_no_help),
        CHECKED(a_shared_block_is_written_once),
        CHECKED(space_comes_back_block_by_block),
        CHECKED(what_was_read_from_disk_is_not_written_again),
        CHECKED(a_damaged_copy_is_written_again),
        CHECKED(a_full_disk_leaves_nothing_half_written),
        CHECKED(blocks_may_outlive_the_cache),
        CHECKED(many_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
