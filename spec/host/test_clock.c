/*
 * clock: nominal times in order, whatever the clock does. The manual clock carries the cases of Spark's
 * RecurringTimerSuite and the ranges of TimeSuite as data; the real one is run for a few milliseconds.
 */
#include "base/error.h"
#include "base/log.h"
#include "clock/boundary.h"
#include "clock/clock.h"
#include "test.h"

enum { MOST_TICKS = 1024 };

struct ticks {
    struct tide_clock *clock;
    int64_t times[MOST_TICKS];
    int64_t seen[MOST_TICKS]; /* what the clock read then */
    int count;
    int stop_after;
    int close_after;
    int stall_at;
    int64_t stall_ms;
    int64_t advance_at_first;
    int64_t stopped;
};

static void on_tick(int64_t time, void *arg) {
    struct ticks *ticks = arg;

    assert_true(ticks->count < MOST_TICKS);
    ticks->seen[ticks->count] = tide_clock_now(ticks->clock);
    ticks->times[ticks->count++] = time;
    if (ticks->advance_at_first && ticks->count == 1)
        assert_int_equal(tide_clock_advance(ticks->clock, ticks->advance_at_first), 0);
    if (ticks->stall_at && ticks->count == ticks->stall_at) {
        uint64_t end = tide_clock_monotonic_ns() + (uint64_t)ticks->stall_ms * 1000000;
        while (tide_clock_monotonic_ns() < end) {}
    }
    if (ticks->stop_after && ticks->count == ticks->stop_after) ticks->stopped = tide_clock_stop(ticks->clock);
    if (ticks->close_after && ticks->count == ticks->close_after) tide_clock_close(ticks->clock);
}

static void check_times(const struct ticks *ticks, int64_t first, int64_t period, int count) {
    assert_int_equal(ticks->count, count);
    for (int i = 0; i < count; i++) assert_int_equal(ticks->times[i], first + i * period);
}

/* RecurringTimerSuite "basic": a jump over several periods fires every missed tick, in order. */
static void a_jump_fires_every_missed_tick(void **state) {
    static const struct {
        int64_t advance;
        int fired;
    } steps[] = {{0, 1}, {100, 2}, {200, 4}};
    struct ticks ticks = {.clock = tide_clock_manual_new(0)};
    tide_clock_start(ticks.clock, 0, 100, on_tick, &ticks);
    assert_int_equal(ticks.count, 0);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        assert_int_equal(tide_clock_advance(ticks.clock, steps[i].advance), 0);
        check_times(&ticks, 0, 100, steps[i].fired);
    }
    assert_int_equal(tide_clock_stop(ticks.clock), 300);
    assert_int_equal(tide_clock_stop(ticks.clock), 300);
    assert_int_equal(tide_clock_advance(ticks.clock, 1000), 0);
    assert_int_equal(ticks.count, 4);
    tide_clock_close(ticks.clock);
}

/* TimeSuite "to" and "until": the ticks of a range. */
static void fires_the_ranges_of_spark(void **state) {
    static const struct {
        int64_t from, now, period;
        int fired;
    } cases[] = {
        {1000, 999, 100, 0},  /* 1000 until 1000 */
        {1000, 1100, 100, 2}, /* 1000 to 1100 by 100 */
        {1000, 1100, 30, 4},  /* 1000 to 1100 by 30: 1090 is the last */
        {1000, 1099, 100, 1}, /* 1000 until 1100 by 100 */
        {1000, 1089, 30, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ticks ticks = {.clock = tide_clock_manual_new(cases[i].now)};
        tide_clock_start(ticks.clock, cases[i].from, cases[i].period, on_tick, &ticks);
        tide_clock_advance(ticks.clock, 0);
        check_times(&ticks, cases[i].from, cases[i].period, cases[i].fired);
        int64_t last = cases[i].from + (cases[i].fired - 1) * cases[i].period;
        assert_int_equal(tide_clock_stop(ticks.clock), last); /* first - period when none fired */
        tide_clock_close(ticks.clock);
    }
}

static void starts_on_the_grid(void **state) {
    struct ticks ticks = {.clock = tide_clock_manual_new(1500)};
    int64_t first = tide_boundary_first(tide_clock_now(ticks.clock), 1000);

    tide_clock_start(ticks.clock, first, 1000, on_tick, &ticks);
    tide_clock_advance(ticks.clock, 499);
    assert_int_equal(ticks.count, 0);
    tide_clock_advance(ticks.clock, 1);
    check_times(&ticks, 2000, 1000, 1);
    assert_int_equal(ticks.seen[0], 2000);
    tide_clock_advance(ticks.clock, 3700);
    check_times(&ticks, 2000, 1000, 4);
    assert_int_equal(ticks.seen[1], 5700); /* the jump is over when its ticks fire */
    tide_clock_close(ticks.clock);
}

static void a_tick_may_stop_the_manual_clock(void **state) {
    struct ticks ticks = {.clock = tide_clock_manual_new(0), .stop_after = 2};

    tide_clock_start(ticks.clock, 10, 10, on_tick, &ticks);
    tide_clock_advance(ticks.clock, 100);
    check_times(&ticks, 10, 10, 2);
    assert_int_equal(ticks.stopped, 20);
    tide_clock_start(ticks.clock, 110, 10, on_tick, &ticks);
    tide_clock_advance(ticks.clock, 10);
    assert_int_equal(ticks.count, 3);
    assert_int_equal(ticks.times[2], 110);
    tide_clock_close(ticks.clock);
}

static void a_tick_may_close_the_manual_clock(void **state) {
    struct ticks ticks = {.clock = tide_clock_manual_new(0), .close_after = 2};

    tide_clock_start(ticks.clock, 10, 10, on_tick, &ticks);
    tide_clock_advance(ticks.clock, 100);
    check_times(&ticks, 10, 10, 2);
}

static void a_tick_may_move_the_manual_clock(void **state) {
    struct ticks ticks = {.clock = tide_clock_manual_new(0), .advance_at_first = 30};

    tide_clock_start(ticks.clock, 10, 10, on_tick, &ticks);
    tide_clock_advance(ticks.clock, 10);
    check_times(&ticks, 10, 10, 4); /* in order, not nested */
    assert_int_equal(tide_clock_now(ticks.clock), 40);
    tide_clock_close(ticks.clock);
}

static void refuses_to_go_backwards(void **state) {
    struct tide_clock *clock = tide_clock_manual_new(500);

    assert_int_equal(tide_clock_advance(clock, -1), TIDE_EINVAL);
    assert_int_equal(tide_clock_now(clock), 500);
    tide_clock_close(clock);
}

static void close_loop(uv_loop_t *loop) {
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void real_ticks(int64_t period, int count, struct ticks *ticks) {
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    ticks->clock = tide_clock_uv_new(&loop);
    ticks->stop_after = count;
    int64_t wall = tide_clock_wall_ms(), now = tide_clock_now(ticks->clock);
    assert_in_range(now - wall + 5, 0, 10);
    assert_int_equal(tide_clock_advance(ticks->clock, 1000), TIDE_EINVAL);
    int64_t first = tide_boundary_first(now, period);
    tide_clock_start(ticks->clock, first, period, on_tick, ticks);
    uv_run(&loop, UV_RUN_DEFAULT); /* returns when the tick has stopped the clock */
    check_times(ticks, first, period, count);
    assert_int_equal(ticks->stopped, ticks->times[count - 1]);
    for (int i = 0; i < count; i++) assert_true(ticks->seen[i] >= ticks->times[i]);
    tide_clock_close(ticks->clock);
    close_loop(&loop);
}

static void the_real_clock_ticks(void **state) {
    struct ticks ticks = {0};

    real_ticks(3, 3, &ticks);
}

static void the_real_clock_holds_one_millisecond(void **state) {
    struct ticks ticks = {0};

    real_ticks(1, 10, &ticks);
}

static void the_real_clock_makes_up_for_a_stall(void **state) {
    struct ticks ticks = {.stall_at = 2, .stall_ms = 6};

    real_ticks(1, 8, &ticks);
    assert_true(ticks.seen[2] >= ticks.times[1] + 6); /* late, but nominal */
}

/* More missed ticks than fire in one turn of the loop: another event gets its turn between them. */
static int ticks_when_idle_ran;

static void on_idle(uv_idle_t *idle) {
    struct ticks *ticks = idle->data;

    if (ticks->count > 0 && ticks_when_idle_ran == 0) ticks_when_idle_ran = ticks->count;
    if (ticks->count == 300) uv_close((uv_handle_t *)idle, NULL);
}

static void missed_ticks_leave_the_loop_alive(void **state) {
    uv_loop_t loop;
    uv_idle_t idle;

    assert_int_equal(uv_loop_init(&loop), 0);
    struct ticks ticks = {.clock = tide_clock_uv_new(&loop), .stop_after = 300};
    uv_idle_init(&loop, &idle);
    idle.data = &ticks;
    uv_idle_start(&idle, on_idle);
    int64_t first = tide_clock_now(ticks.clock) - 1000;
    tide_clock_start(ticks.clock, first, 1, on_tick, &ticks);
    assert_int_equal(ticks.count, 0); /* never from inside start */
    uv_run(&loop, UV_RUN_DEFAULT);
    check_times(&ticks, first, 1, 300);
    assert_in_range(ticks_when_idle_ran, 1, 299);
    tide_clock_close(ticks.clock);
    close_loop(&loop);
}

static void a_tick_may_close_the_real_clock(void **state) {
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    struct ticks ticks = {.clock = tide_clock_uv_new(&loop), .close_after = 2};
    int64_t first = tide_clock_now(ticks.clock) - 10;
    tide_clock_start(ticks.clock, first, 1, on_tick, &ticks);
    close_loop(&loop);
    check_times(&ticks, first, 1, 2);
}

static void a_stopped_real_clock_lets_the_loop_end(void **state) {
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    struct ticks ticks = {.clock = tide_clock_uv_new(&loop)};
    int64_t first = tide_clock_now(ticks.clock) + 3600000;
    tide_clock_start(ticks.clock, first, 1000, on_tick, &ticks);
    assert_int_equal(uv_run(&loop, UV_RUN_NOWAIT), 1); /* ticking keeps it alive */
    assert_int_equal(tide_clock_stop(ticks.clock), first - 1000);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(ticks.count, 0);
    tide_clock_close(ticks.clock);
    close_loop(&loop);
}

static void readings_move_forward(void **state) {
    uint64_t before = tide_clock_monotonic_ns();

    assert_true(tide_clock_monotonic_ns() >= before);
    assert_true(tide_clock_wall_ms() > INT64_C(1600000000000));
}

/* A wall clock that the test sets, on top of the real passing of time. */
struct wall {
    int64_t set_ns;
};

static int64_t read_wall(void *arg) { return (int64_t)tide_clock_monotonic_ns() + ((struct wall *)arg)->set_ns; }

static void run_until(uv_loop_t *loop, const struct ticks *ticks, int count) {
    while (ticks->count < count) uv_run(loop, UV_RUN_ONCE);
}

static void stepped(int64_t ms, int64_t back_ms, int count, struct ticks *ticks, int64_t *first) {
    enum { PERIOD = 10 };
    uv_loop_t loop;
    struct wall wall = {.set_ns = INT64_C(1000000000000) * 1000000};
    assert_int_equal(uv_loop_init(&loop), 0);
    ticks->clock = tide_clock_uv_new(&loop);
    tide_clock_uv_read(ticks->clock, read_wall, &wall);
    *first = tide_boundary_first(tide_clock_now(ticks->clock), PERIOD);
    tide_clock_start(ticks->clock, *first, PERIOD, on_tick, ticks);
    wall.set_ns = (tide_clock_now(ticks->clock) * 1000000) - (int64_t)tide_clock_monotonic_ns();
    run_until(&loop, ticks, 2);
    wall.set_ns += ms * 1000000;
    run_until(&loop, ticks, 4);
    wall.set_ns += back_ms * 1000000;
    run_until(&loop, ticks, count);
    tide_clock_stop(ticks->clock);
    tide_clock_close(ticks->clock);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_step_forward_is_followed_and_no_batch_skipped(void **state) {
    struct ticks ticks = {0};
    int64_t first;

    tide_log_set_level(TIDE_LOG_OFF);
    stepped(5000, 0, 505, &ticks, &first);
    tide_log_set_level(TIDE_LOG_WARN);
    for (int i = 0; i < ticks.count; i++) assert_int_equal(ticks.times[i], first + i * 10);
    assert_true(ticks.count >= 500); /* the batches of five seconds at once */
    assert_true(ticks.seen[ticks.count - 1] >= first + 5000);
}

static void a_step_back_is_not_followed(void **state) {
    struct ticks ticks = {0};
    int64_t first;

    tide_log_set_level(TIDE_LOG_OFF);
    stepped(-3600000, 3600000, 6, &ticks, &first);
    tide_log_set_level(TIDE_LOG_WARN);
    for (int i = 0; i < ticks.count; i++) assert_int_equal(ticks.times[i], first + i * 10);
    for (int i = 1; i < ticks.count; i++) assert_true(ticks.seen[i] >= ticks.seen[i - 1]);
    assert_true(ticks.seen[5] < first + 3600000);
}

static void a_step_over_years_is_not_followed(void **state) {
    struct ticks ticks = {0};
    int64_t first;

    tide_log_set_level(TIDE_LOG_OFF);
    stepped(INT64_C(50) * 365 * 86400 * 1000, 0, 6, &ticks, &first);
    tide_log_set_level(TIDE_LOG_WARN);
    for (int i = 0; i < ticks.count; i++) assert_int_equal(ticks.times[i], first + i * 10);
    assert_true(ticks.count < 1000);
}

static void a_stopwatch_never_runs_backwards(void **state) {
    struct tide_stopwatch watch;

    tide_stopwatch_start(&watch);
    int64_t begun = tide_stopwatch_ms(&watch);
    assert_true(begun >= watch.wall_ms);
    watch.monotonic_ns -= 1500 * UINT64_C(1000000); /* as if it had been started then */
    assert_in_range(tide_stopwatch_ms(&watch) - begun, 1500, 60000);
    struct tide_clock *clock = tide_clock_manual_new(77);
    assert_int_equal(tide_clock_reading(clock, &watch), 77);
    tide_clock_close(clock);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jump_fires_every_missed_tick),
        cmocka_unit_test(fires_the_ranges_of_spark),
        cmocka_unit_test(starts_on_the_grid),
        cmocka_unit_test(a_tick_may_stop_the_manual_clock),
        cmocka_unit_test(a_tick_may_close_the_manual_clock),
        cmocka_unit_test(a_tick_may_move_the_manual_clock),
        cmocka_unit_test(refuses_to_go_backwards),
        cmocka_unit_test(the_real_clock_ticks),
        cmocka_unit_test(the_real_clock_holds_one_millisecond),
        cmocka_unit_test(the_real_clock_makes_up_for_a_stall),
        cmocka_unit_test(missed_ticks_leave_the_loop_alive),
        cmocka_unit_test(a_tick_may_close_the_real_clock),
        cmocka_unit_test(a_stopped_real_clock_lets_the_loop_end),
        cmocka_unit_test(readings_move_forward),
        cmocka_unit_test(a_step_forward_is_followed_and_no_batch_skipped),
        cmocka_unit_test(a_step_back_is_not_followed),
        cmocka_unit_test(a_step_over_years_is_not_followed),
        cmocka_unit_test(a_stopwatch_never_runs_backwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
