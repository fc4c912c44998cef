/*
 * task/pool: memory goes back to the system when workers have had nothing to do for a while, and not before.
 */
#include <sched.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "task/pool.h"
#include "test.h"

enum { BLOCKS = 2000, BLOCK = 60000 }; /* small enough that the C library keeps them when they are freed */

static uv_loop_t loop;
static struct tide_inbox inbox;
static struct tide_pool *pool;
static struct tide_block *blocks[BLOCKS];
static void *between[BLOCKS];

static void start_pool(uint32_t rest_ms) {
    struct tide_pool_options options = {.workers = 2, .driver = &inbox, .package_cpath = "", .rest_ms = rest_ms};
    struct tide_error err = {0};

    pool = tide_pool_new(&options, &err);
    if (!pool) fail_msg("%s", err.text);
}

static int set_up(void **state) {
    uv_loop_init(&loop);
    tide_inbox_create(&inbox, &loop, &inbox, true);
    return 0;
}

static int tear_down(void **state) {
    tide_pool_delete(pool, 60000);
    tide_inbox_close(&inbox);
    uv_run(&loop, UV_RUN_DEFAULT);
    tide_inbox_destroy(&inbox);
    uv_loop_close(&loop);
    return tide_block_live() != 0;
}

/* Blocks with something between them, so that freeing them alone gives nothing back. */
static void make_blocks(void) {
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = tide_block_new(TIDE_BLOCK_PACKED, 1, BLOCK, NULL);
        for (size_t k = 0; k < BLOCK; k += 4096) blocks[i]->data[k] = 1;
        between[i] = tide_xmalloc(64);
    }
}

static void free_blocks(void) {
    for (int i = 0; i < BLOCKS; i++) tide_block_release(blocks[i]);
}

static void free_between(void) {
    for (int i = 0; i < BLOCKS; i++) tide_free(between[i]);
}

/* Bytes of the process in memory. */
static uint64_t resident(void) {
    unsigned long size, pages;
    FILE *file = fopen("/proc/self/statm", "r");

    assert_non_null(file);
    assert_int_equal(fscanf(file, "%lu %lu", &size, &pages), 2);
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void freed_memory_goes_back_at_rest(void **state) {
    make_blocks();
    assert_false(tide_block_fell());

    uint64_t most = resident();

    free_blocks();
    assert_true(tide_block_fell());
    start_pool(1); /* from here on a worker may take notice */
    tide_pool_wake(pool);
    while (tide_pool_given_back(pool) == 0) sched_yield();
    assert_false(tide_block_fell());
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_in_range(resident(), 1, most - (uint64_t)BLOCKS * BLOCK / 2);
#else
    (void)most;
#endif
    free_between();
}

static void nothing_is_given_back_while_all_is_in_use(void **state) {
    make_blocks();
    start_pool(1);
    tide_pool_wake(pool);
    for (int i = 0; i < 1000; i++) sched_yield();
    assert_int_equal(tide_pool_given_back(pool), 0);
    free_blocks();
    free_between();
}

static void a_pool_that_was_busy_lately_gives_nothing_back(void **state) {
    make_blocks();
    start_pool(3600000);
    free_blocks();
    tide_pool_wake(pool);
    for (int i = 0; i < 1000; i++) sched_yield();
    assert_int_equal(tide_pool_given_back(pool), 0);
    assert_true(tide_block_fell());
    free_between();
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(freed_memory_goes_back_at_rest),
        CHECKED(nothing_is_given_back_while_all_is_in_use),
        CHECKED(a_pool_that_was_busy_lately_gives_nothing_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
