/*
 * store/budget: one limit for several sources. What one may take, what is kept for the others, who is called when,
 * and how the limit follows the batches. Sources are shares, what they received are blocks. Every test starts and
 * ends with no live block.
 */
#include <uv.h>

#include "store/block.h"
#include "store/budget.h"
#include "test.h"

enum { MB = 1 << 20 };

static int no_block_lives(void **state) { return tide_block_live() == 0 && tide_block_live_bytes() == 0 ? 0 : -1; }

/* A source: reads blocks of a size as long as it may. */
struct source {
    struct tide_share *share;
    struct tide_blocks blocks; /* oldest first */
    int calls, *turn, called_at;
};

static void on_room(void *arg) {
    struct source *source = arg;

    source->calls++;
    source->called_at = source->turn ? ++*source->turn : 0;
}

static void open_source(struct source *source, struct tide_budget *budget) {
    *source = (struct source){0};
    source->share = tide_share_new(budget, 1000, on_room, source);
}

static void close_source(struct source *source) {
    tide_share_close(source->share);
    tide_share_release(source->share);
    tide_blocks_destroy(&source->blocks);
}

static void read_block(struct source *source, size_t size) {
    tide_blocks_push(&source->blocks, tide_block_new(TIDE_BLOCK_PACKED, 1, size, source->share));
}

/* Until it must wait; how many blocks. */
static int read_all(struct source *source, size_t size) {
    int count = 0;

    for (; !tide_share_must_wait(source->share, 0); count++) read_block(source, size);
    return count;
}

static void free_oldest(struct source *source, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) tide_block_release(source->blocks.items[i]);
    source->blocks.count -= count;
    memmove(source->blocks.items, source->blocks.items + count,
            source->blocks.count * sizeof source->blocks.items[0]);
}

/* ---- One source --------------------------------------------------------------------------------------------- */

static void calls_once_when_a_small_portion_is_free(void **state) {
    struct tide_budget *budget = tide_budget_new(MB, 0);
    struct source source;

    open_source(&source, budget);
    for (int round = 1; round <= 3; round++) {
        read_all(&source, MB / 64 - 100);
        assert_true(tide_budget_used(budget) >= MB && tide_budget_used(budget) < MB + MB / 64);
        free_oldest(&source, 4);
        assert_int_equal(source.calls, round - 1); /* less than a sixteenth */
        free_oldest(&source, 2);
        assert_int_equal(source.calls, round);
        free_oldest(&source, 20);
        assert_int_equal(source.calls, round);
    }
    free_oldest(&source, source.blocks.count);
    read_block(&source, 2 * MB);
    free_oldest(&source, 1);
    assert_int_equal(source.calls, 3); /* it did not ask */
    close_source(&source);
    assert_int_equal(tide_budget_used(budget), 0);
    tide_budget_release(budget);
}

static void counts_growth_and_lines(void **state) {
    struct tide_budget *budget = tide_budget_new(4000, 0);
    struct source source;

    open_source(&source, budget);
    struct tide_block *block = tide_block_new(TIDE_BLOCK_TEXT, 1, 100, source.share);
    assert_false(tide_share_must_wait(source.share, 0));
    uint64_t used = tide_budget_used(budget);
    for (int i = 0; i < 400; i++) assert_true(tide_block_add_line(block, 0, 0));
    assert_true(tide_budget_used(budget) >= used + 400 * sizeof(struct tide_line));
    assert_int_equal(tide_block_live_bytes(), tide_budget_used(budget));
    assert_int_equal(tide_share_used(source.share), tide_budget_used(budget));
    assert_true(tide_block_reserve(block, 5000));
    assert_true(tide_share_must_wait(source.share, 0));
    tide_block_release(block);
    assert_int_equal(tide_budget_used(budget), 0);
    assert_int_equal(source.calls, 1);
    close_source(&source);
    tide_budget_release(budget);
}

static void outlives_its_owner(void **state) {
    struct tide_budget *budget = tide_budget_new(100, 0);
    struct source source;

    open_source(&source, budget);
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 1000, source.share);
    assert_true(tide_share_must_wait(source.share, 0));
    close_source(&source);
    tide_budget_release(budget); /* the block keeps both */
    tide_block_release(block);
    assert_int_equal(source.calls, 0);
    tide_budget_release(NULL);
    tide_share_release(NULL);
    assert_null(tide_share_retain(NULL));
}

static void the_smallest_limit_lets_one_read_begin(void **state) {
    struct tide_budget *budget = tide_budget_new(1, 0);
    struct source source;

    open_source(&source, budget);
    assert_int_equal(read_all(&source, 1000), 1);
    free_oldest(&source, 1);
    assert_int_equal(source.calls, 1);
    assert_int_equal(read_all(&source, 1000), 1);
    close_source(&source);
    tide_budget_release(budget);
}

/* ---- Several ------------------------------------------------------------------------------------------------ */

static void a_busy_source_uses_what_others_do_not(void **state) {
    struct tide_budget *budget = tide_budget_new(16 * MB, 0);
    struct source busy, silent;

    open_source(&busy, budget);
    open_source(&silent, budget);
    assert_true(read_all(&busy, MB / 8 - 100) >= 110); /* of 128; it would be 64 if the limit were split */
    close_source(&busy);
    close_source(&silent);
    tide_budget_release(budget);
}

/* Whatever others hold and however slowly they let go of it, each source gets its part, and all together stay within
 * the limit. */
static void a_slow_source_leaves_the_others_their_part(void **state) {
    struct tide_budget *budget = tide_budget_new(16 * MB, 0);
    struct source slow, fast[3];

    open_source(&slow, budget);
    for (int i = 0; i < 3; i++) open_source(&fast[i], budget);
    read_all(&slow, MB / 16 - 100);
    for (int round = 0; round < 100; round++)
        for (int i = 0; i < 3; i++) {
            assert_true(read_all(&fast[i], MB / 16 - 100) >= 14); /* a quarter of 256, divided by 4, is 16 */
            assert_true(tide_budget_used(budget) <= 16 * MB + 4 * MB / 16);
            free_oldest(&fast[i], fast[i].blocks.count);
            assert_int_equal(fast[i].calls, round + 1);
        }
    for (int i = 0; i < 3; i++) close_source(&fast[i]);
    close_source(&slow);
    tide_budget_release(budget);
}

static void who_holds_least_is_called_first(void **state) {
    struct tide_budget *budget = tide_budget_new(16 * MB, 0);
    struct source sources[3];
    int turn = 0;

    for (int i = 0; i < 3; i++) {
        open_source(&sources[i], budget);
        sources[i].turn = &turn;
    }
    for (int i = 0; i < 60; i++) read_block(&sources[0], MB / 16);
    for (int i = 0; i < 40; i++) read_block(&sources[1], MB / 16);
    for (int i = 0; i < 50; i++) read_block(&sources[2], MB / 16);
    read_block(&sources[0], 8 * MB);
    for (int i = 0; i < 3; i++) assert_true(tide_share_must_wait(sources[i].share, 0));
    free_oldest(&sources[2], 1);
    free_oldest(&sources[0], 60); /* it holds the 8 MB still */
    assert_int_equal(sources[1].called_at, 1);
    assert_int_equal(sources[2].called_at, 2);
    assert_int_equal(sources[0].called_at, 3);
    for (int i = 0; i < 3; i++) close_source(&sources[i]);
    tide_budget_release(budget);
}

/* Two that always want more, and one task after the other lets go of what each holds in the order received. */
static void two_busy_sources_come_to_hold_the_same(void **state) {
    struct tide_budget *budget = tide_budget_new(16 * MB, 0);
    struct source a, b;

    open_source(&a, budget);
    open_source(&b, budget);
    read_all(&a, MB / 16);
    read_all(&b, MB / 16);
    assert_true(tide_share_used(a.share) > 4 * tide_share_used(b.share));
    for (int round = 0; round < 200; round++) {
        struct source *larger = tide_share_used(a.share) > tide_share_used(b.share) ? &a : &b;
        struct source *smaller = larger == &a ? &b : &a;
        free_oldest(larger, larger->blocks.count / 8);
        free_oldest(smaller, smaller->blocks.count / 8);
        read_all(smaller, MB / 16); /* it was called first */
        read_all(larger, MB / 16);
    }
    assert_true(tide_share_used(a.share) < 2 * tide_share_used(b.share));
    assert_true(tide_share_used(b.share) < 2 * tide_share_used(a.share));
    close_source(&a);
    close_source(&b);
    tide_budget_release(budget);
}

/* Lines that only reading on can end: three of more than the limit together wait for nobody. */
static void unfinished_lines_hold_nobody_up(void **state) {
    struct tide_budget *budget = tide_budget_new(MB, 0);
    struct source sources[3];

    for (int i = 0; i < 3; i++) open_source(&sources[i], budget);
    for (int i = 0; i < 3; i++) {
        read_block(&sources[i], MB);
        assert_false(tide_share_must_wait(sources[i].share, tide_share_used(sources[i].share)));
    }
    assert_true(tide_share_must_wait(sources[0].share, 0)); /* its line has ended */
    tide_share_cut(sources[0].share, tide_share_used(sources[0].share));
    assert_int_equal(sources[0].calls, 1);
    for (int i = 0; i < 3; i++) close_source(&sources[i]);
    tide_budget_release(budget);
}

static void nothing_is_kept_for_a_source_that_is_gone(void **state) {
    struct tide_budget *budget = tide_budget_new(16 * MB, 0);
    struct source busy, other;

    open_source(&busy, budget);
    open_source(&other, budget);
    int count = read_all(&busy, MB / 16);
    close_source(&other);
    assert_int_equal(busy.calls, 1);
    count += read_all(&busy, MB / 16);
    assert_true(count >= 255);
    close_source(&busy);
    tide_budget_release(budget);
}

static void two_engines_have_their_own(void **state) {
    struct tide_budget *budgets[2] = {tide_budget_new(MB, 0), tide_budget_new(MB, 0)};
    struct source sources[2];

    for (int i = 0; i < 2; i++) open_source(&sources[i], budgets[i]);
    read_all(&sources[0], MB / 16);
    assert_true(read_all(&sources[1], MB / 16) >= 15);
    for (int i = 0; i < 2; i++) close_source(&sources[i]);
    for (int i = 0; i < 2; i++) tide_budget_release(budgets[i]);
}

/* ---- The limit that follows the batches --------------------------------------------------------------------- */

static void take_batch(struct source *source, size_t megabytes) {
    for (size_t i = 0; i < megabytes; i++) read_block(source, MB);
    for (uint32_t i = 0; i < source->blocks.count; i++) tide_block_consumed(source->blocks.items[i]);
    free_oldest(source, source->blocks.count);
    tide_share_cut(source->share, 0);
}

static void the_limit_is_what_two_batches_took_lately(void **state) {
    struct tide_budget *budget = tide_budget_new(0, 256 * MB);
    struct source source;

    open_source(&source, budget);
    assert_int_equal(tide_budget_limit(budget), 64 * MB);
    take_batch(&source, 10);
    assert_int_equal(tide_budget_limit(budget), 64 * MB);
    take_batch(&source, 50);
    assert_true(tide_budget_limit(budget) > 100 * MB && tide_budget_limit(budget) < 101 * MB);
    tide_share_cut(source.share, 0); /* batches in which nothing could be taken: a slow one is at work */
    tide_share_cut(source.share, 0);
    assert_true(tide_budget_limit(budget) > 100 * MB);
    take_batch(&source, 200);
    assert_int_equal(tide_budget_limit(budget), 256 * MB);
    for (int i = 0; i < 40; i++) take_batch(&source, 40);
    assert_true(tide_budget_limit(budget) > 80 * MB && tide_budget_limit(budget) < 81 * MB);
    close_source(&source);
    tide_budget_release(budget);
}

static void the_limit_is_larger_for_longer_batches(void **state) {
    struct tide_budget *budget = tide_budget_new(0, 1024 * (uint64_t)MB);
    struct tide_share *share = tide_share_new(budget, 10000, NULL, NULL);

    assert_int_equal(tide_budget_limit(budget), 640 * MB);
    tide_share_release(share);
    assert_int_equal(tide_budget_limit(budget), 64 * MB);
    tide_budget_release(budget);
}

static void sources_of_one_engine_add_up(void **state) {
    struct tide_budget *budget = tide_budget_new(0, 1024 * (uint64_t)MB);
    struct source a, b;

    open_source(&a, budget);
    open_source(&b, budget);
    take_batch(&a, 30);
    take_batch(&b, 40);
    assert_true(tide_budget_limit(budget) > 140 * MB && tide_budget_limit(budget) < 141 * MB);
    close_source(&a);
    close_source(&b);
    tide_budget_release(budget);
}

static void a_small_part_of_memory_is_the_limit_all_the_same(void **state) {
    struct tide_budget *budget = tide_budget_new(0, 10 * MB);

    assert_int_equal(tide_budget_limit(budget), 10 * MB);
    tide_budget_release(budget);
    budget = tide_budget_new(0, 0);
    assert_int_equal(tide_budget_limit(budget), MB);
    tide_budget_release(budget);
}

/* Under the limit that follows, what tasks have read makes room before the batch ends; an absolute limit is one of
 * memory. */
static void what_a_task_has_read_counts_under_an_absolute_limit_only(void **state) {
    for (int absolute = 0; absolute < 2; absolute++) {
        struct tide_budget *budget = tide_budget_new(absolute ? MB : 0, MB);
        struct source source;
        open_source(&source, budget);
        read_all(&source, MB / 32);
        uint64_t used = tide_budget_used(budget);
        for (uint32_t i = 0; i < source.blocks.count; i++) tide_block_consumed(source.blocks.items[i]);
        assert_int_equal(tide_budget_used(budget), absolute ? used : 0);
        assert_int_equal(source.calls, absolute ? 0 : 1);
        tide_block_consumed(source.blocks.items[0]); /* by a second output */
        for (uint32_t i = 0; i < source.blocks.count; i++) tide_block_discharge(source.blocks.items[i]);
        assert_int_equal(tide_budget_used(budget), 0);
        close_source(&source);
        tide_budget_release(budget);
    }
}

/* ---- Threads ------------------------------------------------------------------------------------------------ */

/* A source that waits for on_room whenever it must, against threads that free: a lost wake-up would hang it. The
 * limits are met by every single block, so that owner and threads meet at the crossing each time. */
struct stream {
    uv_mutex_t lock;
    uv_cond_t changed;
    bool room;
    bool done;
    struct tide_blocks queue;
    struct tide_share *share;
};

static void on_stream_room(void *arg) {
    struct stream *stream = arg;

    uv_mutex_lock(&stream->lock);
    stream->room = true;
    uv_cond_broadcast(&stream->changed);
    uv_mutex_unlock(&stream->lock);
}

static void consume(void *arg) {
    struct stream *stream = arg;

    for (;;) {
        uv_mutex_lock(&stream->lock);
        while (stream->queue.count == 0 && !stream->done) uv_cond_wait(&stream->changed, &stream->lock);
        if (stream->queue.count == 0) {
            uv_mutex_unlock(&stream->lock);
            return;
        }
        struct tide_block *block = stream->queue.items[--stream->queue.count];
        uv_mutex_unlock(&stream->lock);
        tide_block_release(block);
    }
}

static void never_loses_a_wake_up(void **state) {
    struct stream stream = {0};
    uv_thread_t consumers[2];
    int timeouts = 0;

    uv_mutex_init(&stream.lock);
    uv_cond_init(&stream.changed);
    tide_blocks_create(&stream.queue);
    struct tide_budget *budget = tide_budget_new(700, 0);
    stream.share = tide_share_new(budget, 1000, on_stream_room, &stream);
    for (int i = 0; i < 2; i++) uv_thread_create(&consumers[i], consume, &stream);
    for (int i = 0; i < 20000 && !timeouts; i++) {
        uv_mutex_lock(&stream.lock);
        stream.room = false; /* before the question: a wake-up between the two must not be wiped out */
        uv_mutex_unlock(&stream.lock);
        if (tide_share_must_wait(stream.share, 0)) {
            uv_mutex_lock(&stream.lock);
            while (!stream.room && !timeouts)
                timeouts += uv_cond_timedwait(&stream.changed, &stream.lock, UINT64_C(10000000000)) == UV_ETIMEDOUT;
            uv_mutex_unlock(&stream.lock);
        }
        struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 700, stream.share);
        uv_mutex_lock(&stream.lock);
        tide_blocks_push(&stream.queue, block);
        uv_cond_broadcast(&stream.changed);
        uv_mutex_unlock(&stream.lock);
    }
    uv_mutex_lock(&stream.lock);
    stream.done = true;
    uv_cond_broadcast(&stream.changed);
    uv_mutex_unlock(&stream.lock);
    for (int i = 0; i < 2; i++) uv_thread_join(&consumers[i]);
    tide_share_close(stream.share);
    assert_int_equal(timeouts, 0);
    assert_int_equal(tide_budget_used(budget), 0);
    tide_share_release(stream.share);
    tide_budget_release(budget);
    tide_blocks_destroy(&stream.queue);
    uv_cond_destroy(&stream.changed);
    uv_mutex_destroy(&stream.lock);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, no_block_lives, no_block_lives)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(calls_once_when_a_small_portion_is_free),
        TEST(counts_growth_and_lines),
        TEST(outlives_its_owner),
        TEST(the_smallest_limit_lets_one_read_begin),
        TEST(a_busy_source_uses_what_others_do_not),
        TEST(a_slow_source_leaves_the_others_their_part),
        TEST(who_holds_least_is_called_first),
        TEST(two_busy_sources_come_to_hold_the_same),
        TEST(unfinished_lines_hold_nobody_up),
        TEST(nothing_is_kept_for_a_source_that_is_gone),
        TEST(two_engines_have_their_own),
        TEST(the_limit_is_what_two_batches_took_lately),
        TEST(the_limit_is_larger_for_longer_batches),
        TEST(sources_of_one_engine_add_up),
        TEST(a_small_part_of_memory_is_the_limit_all_the_same),
        TEST(what_a_task_has_read_counts_under_an_absolute_limit_only),
        TEST(never_loses_a_wake_up),
    };
    return cmocka_run_group_tests_name("store/budget", tests, NULL, NULL);
}
