/*
 * engine: turns of the loop, members, sources' ids, signals, order of the end, two engines side by side.
 */
#include <unistd.h>

#include "clock/clock.h"
#include "engine.h"
#include "rdd_rig.h"
#include "test.h"

static const struct tide_engine_options options = {.workers = 1};
static struct tide_engine *engine;

static int set_up(void **state) {
    struct tide_error err = {0};

    engine = tide_engine_new(&options, &err);
    return engine ? 0 : -1;
}

static int tear_down(void **state) {
    int code = tide_engine_delete(engine, 1000);

    engine = NULL;
    return code == TIDE_OK && tide_block_live() == 0 ? 0 : -1;
}

static void push(uint32_t node) {
    struct tide_event *event = tide_event_new(TIDE_EVENT_DRAINED);

    event->node = node;
    tide_events_push(tide_engine_events(engine), event);
}

/* ---- Turns -------------------------------------------------------------------------------------------------- */

static void a_version_is_told(void **state) { assert_string_equal(tide_version(), TIDE_VERSION); }

/* ---- Limits ------------------------------------------------------------------------------------------------- */

static void received_data_has_a_quarter_of_memory_or_what_is_said(void **state) {
    static const struct {
        uint64_t memory, received, limit;
    } cases[] = {
        {64 << 20, 0, 16 << 20}, {1 << 30, 0, 64 << 20}, {64 << 20, 1 << 20, 1 << 20}, {64 << 20, 1 << 30, 1 << 30}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tide_error err = {0};
        struct tide_engine_options own = {
            .workers = 1, .memory_limit = cases[i].memory, .receive_limit = cases[i].received};
        struct tide_engine *other = tide_engine_new(&own, &err);

        assert_non_null(other);
        assert_int_equal(tide_budget_limit(tide_engine_budget(other)), cases[i].limit);
        assert_ptr_not_equal(tide_engine_budget(other), tide_engine_budget(engine));
        assert_int_equal(tide_engine_delete(other, 1000), TIDE_OK);
    }
}

static void turns_return_at_once_with_events(void **state) {
    push(1);
    push(2);
    assert_int_equal(tide_engine_turn(engine, -1), 2);
    tide_event_delete(tide_events_pop(tide_engine_events(engine)));
    assert_int_equal(tide_engine_turn(engine, -1), 1);
}

static void turns_wait_as_long_as_told(void **state) {
    uint64_t begin = tide_clock_monotonic_ns();

    assert_int_equal(tide_engine_turn(engine, 0), 0);
    assert_int_equal(tide_engine_turn(engine, 20), 0);
    assert_true(tide_clock_monotonic_ns() - begin >= 15000000);
}

static void on_timer(uv_timer_t *timer) { push(*(uint32_t *)timer->data); }

/* A timer that is due when the turn begins: the turn must not wait for anything else. */
static void due_timers_end_a_turn(void **state) {
    uint32_t number = 7;
    uv_timer_t timer;

    uv_timer_init(tide_engine_loop(engine), &timer);
    timer.data = &number;
    uv_timer_start(&timer, on_timer, 0, 0);
    assert_int_equal(tide_engine_turn(engine, -1), 1);
    uv_timer_start(&timer, on_timer, 5, 0);
    assert_int_equal(tide_engine_turn(engine, -1), 1);
    tide_event_delete(tide_events_pop(tide_engine_events(engine)));
    assert_int_equal(tide_engine_turn(engine, -1), 1);
    uv_close((uv_handle_t *)&timer, NULL);
    tide_event_delete(tide_events_pop(tide_engine_events(engine)));
    assert_int_equal(tide_engine_turn(engine, 0), 0);
}

struct note {
    struct tide_message message;
    uint32_t number;
};

static void on_note(struct tide_message *message, void *owner) {
    if (owner) push(((struct note *)message)->number);
}

static void post_note(void *arg) { tide_inbox_post(tide_engine_inbox(engine), &((struct note *)arg)->message); }

static void messages_end_a_turn(void **state) {
    struct note note = {.message.deliver = on_note, .number = 3};
    uv_thread_t thread;

    assert_int_equal(uv_thread_create(&thread, post_note, &note), 0);
    while (tide_engine_turn(engine, -1) == 0) {}
    uv_thread_join(&thread);

    struct tide_event *event = tide_events_pop(tide_engine_events(engine));

    assert_int_equal(event->node, 3);
    tide_event_delete(event);
}

/* ---- Members ------------------------------------------------------------------------------------------------ */

static int closed[3], closes;

static void on_close(void *arg) { closed[closes++] = *(int *)arg; }

static void members_close_in_order(void **state) {
    int numbers[] = {1, 2, 3};
    struct tide_engine_member members[3];

    closes = 0;
    for (int i = 0; i < 3; i++) {
        members[i] = (struct tide_engine_member){.close = on_close, .arg = &numbers[i]};
        tide_engine_join(engine, &members[i]);
    }
    tide_engine_leave(&members[1]);
    tide_engine_leave(&members[1]);
    assert_int_equal(tide_engine_delete(engine, 1000), TIDE_OK);
    assert_int_equal(closes, 2);
    assert_int_equal(closed[0], 1);
    assert_int_equal(closed[1], 3);
    assert_int_equal(set_up(state), 0);
}

/* ---- Signals ------------------------------------------------------------------------------------------------ */

static int ends[2], detached, noticed;

static int attach(void) { return pipe(ends) == 0 ? ends[0] : -1; }

static int attach_none(void) { return -1; }

static void detach(int fd) {
    assert_int_equal(fd, ends[0]);
    close(ends[0]);
    close(ends[1]);
    detached++;
}

static void handled(void) { noticed++; }

static void signals_become_events(void **state) {
    static const struct tide_signals signals = {.attach = attach, .detach = detach, .handled = handled};
    static const struct tide_signals none = {.attach = attach_none, .detach = detach, .handled = handled};
    struct tide_error err = {0};

    detached = noticed = 0;
    assert_int_equal(tide_engine_watch_signals(engine, &err), TIDE_ESTATE);
    tide_error_clear(&err);
    tide_engine_set_signals(&none);
    assert_int_equal(tide_engine_watch_signals(engine, &err), TIDE_ELIMIT);
    tide_error_clear(&err);
    tide_engine_signal_handled(engine);
    assert_int_equal(noticed, 0);

    tide_engine_set_signals(&signals);
    assert_int_equal(tide_engine_watch_signals(engine, &err), TIDE_OK);
    assert_int_equal(tide_engine_watch_signals(engine, &err), TIDE_OK);
    assert_int_equal(write(ends[1], "!", 1), 1);
    assert_int_equal(tide_engine_turn(engine, -1), 1);

    struct tide_event *event = tide_events_pop(tide_engine_events(engine));

    assert_int_equal(event->kind, TIDE_EVENT_SIGNAL);
    assert_int_equal(event->signals, 1);
    tide_event_delete(event);
    tide_engine_signal_handled(engine);
    assert_int_equal(noticed, 1);

    assert_int_equal(write(ends[1], "!!", 2), 2);
    assert_int_equal(tide_engine_turn(engine, -1), 2);
    for (int i = 2; i <= 3; i++) {
        event = tide_events_pop(tide_engine_events(engine));
        assert_int_equal(event->signals, i);
        tide_event_delete(event);
    }
    assert_int_equal(tide_engine_delete(engine, 1000), TIDE_OK);
    assert_int_equal(detached, 1);
    tide_engine_set_signals(NULL);
    assert_int_equal(set_up(state), 0);
}

/* ---- The end ------------------------------------------------------------------------------------------------ */

static void on_job(struct tide_job *job, void *arg) { *(int *)arg = tide_job_error(job)->code; }

static void jobs_are_cancelled_at_the_end(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 10, 0);
    struct tide_op *sink = rig_op("no such sink", false);
    int code = 1;
    struct tide_job_options job_options = {.rdd = rdd, .sink = sink, .batch_time = -1, .done = on_job, .arg = &code};
    struct tide_job *job = tide_scheduler_start(tide_engine_scheduler(engine), &job_options);

    tide_rdd_release(rdd);
    tide_op_release(sink);
    assert_int_equal(tide_engine_delete(engine, 1000), TIDE_OK);
    assert_int_equal(code, TIDE_ECANCELLED);
    assert_true(tide_job_ended(job));
    tide_job_release(job);
    assert_int_equal(set_up(state), 0);
}

static void queued_events_are_dropped_at_the_end(void **state) {
    struct tide_event *event = tide_event_new(TIDE_EVENT_OUTPUT);

    event->job = NULL;
    tide_error_set(&event->error, TIDE_EIO, "nobody will read this");
    tide_events_push(tide_engine_events(engine), event);
    assert_int_equal(tide_engine_delete(engine, 1000), TIDE_OK);
    assert_int_equal(set_up(state), 0);
}

static void engines_live_side_by_side(void **state) {
    struct tide_error err = {0};
    struct tide_engine_options two = {.workers = 2};
    struct tide_engine *other = tide_engine_new(&two, &err);

    assert_non_null(other);
    assert_int_equal(tide_engine_workers(other), 2);
    assert_int_equal(tide_engine_workers(engine), 1);
    push(1);
    assert_int_equal(tide_engine_turn(other, 0), 0);
    assert_int_equal(tide_engine_turn(engine, 0), 1);
    assert_int_equal(tide_engine_delete(other, 1000), TIDE_OK);
    assert_int_equal(tide_engine_turn(engine, 0), 1);
    assert_int_equal(tide_engine_delete(NULL, 0), TIDE_OK);
}

static void idle_workers_describe_nothing(void **state) {
    char text[100] = "untouched";

    assert_false(tide_engine_describe(engine, 0, text, sizeof text));
}

static void a_bad_number_of_workers_is_refused(void **state) {
    struct tide_engine_options none = {.workers = 0};
    struct tide_error err = {0};

    assert_null(tide_engine_new(&none, &err));
    assert_int_equal(err.code, TIDE_EINVAL);
    assert_non_null(strstr(err.text, "1 to 1024"));
    tide_error_clear(&err);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(a_version_is_told),
        CHECKED(received_data_has_a_quarter_of_memory_or_what_is_said),
        CHECKED(turns_return_at_once_with_events),
        CHECKED(turns_wait_as_long_as_told),
        CHECKED(due_timers_end_a_turn),
        CHECKED(messages_end_a_turn),
        CHECKED(members_close_in_order),
        CHECKED(signals_become_events),
        CHECKED(jobs_are_cancelled_at_the_end),
        CHECKED(queued_events_are_dropped_at_the_end),
        CHECKED(engines_live_side_by_side),
        CHECKED(idle_workers_describe_nothing),
        CHECKED(a_bad_number_of_workers_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
