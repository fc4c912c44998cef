/*
 * driver/runner.c: from ticks to finished batches, on a manual clock, with the test in the place of the script: it
 * takes the events and answers them. No workers, no Lua; sources are the test's own, and once a real socket.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "capture.h"
#include "clock/clock.h"
#include "driver/runner.h"
#include "ingest_rig.h"
#include "stream_rig.h"
#include "test.h"

static const uint64_t PATIENCE_NS = UINT64_C(60) * 1000 * 1000 * 1000;

struct bench {
    uv_loop_t loop;
    struct tide_events events;
    struct tide_runner *runner;
    struct tide_graph *graph;
    struct tide_op *op;
    struct tide_event *last; /* the event taken last */
};

static void create_with(struct bench *bench, struct tide_runner_options options) {
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    tide_events_create(&bench->events);
    options.loop = &bench->loop;
    options.events = &bench->events;
    options.workers = 2;
    if (!options.batch) options.batch = 1000;
    bench->runner = tide_runner_new(&options);
    bench->graph = tide_runner_graph(bench->runner);
    bench->op = op_of("operator");
    bench->last = NULL;
}

static void create(struct bench *bench) {
    create_with(bench, (struct tide_runner_options){.manual_clock = true, .manual_start = 10500});
}

static void close_runner(struct bench *bench) {
    tide_runner_delete(bench->runner);
    bench->runner = NULL;
    uv_run(&bench->loop, UV_RUN_DEFAULT);
}

/* Nothing may be left: no handle, no event of the graph, no block. */
static void destroy(struct bench *bench) {
    tide_event_delete(bench->last);
    if (bench->runner) close_runner(bench);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
    assert_null(tide_events_pop(&bench->events));
    tide_events_destroy(&bench->events);
    tide_op_release(bench->op);
    assert_int_equal(tide_block_live(), 0);
}

/* ---- In the place of the script ----------------------------------------------------------------------------- */

static struct tide_event *take(struct bench *bench) {
    tide_event_delete(bench->last);
    bench->last = tide_events_pop(&bench->events);
    if (bench->last) assert_ptr_equal(bench->last->graph, bench->graph);
    return bench->last;
}

/* Turns the loop until there is an event. */
static struct tide_event *await(struct bench *bench) {
    uint64_t started = uv_hrtime();

    while (tide_list_empty(&bench->events.queue)) {
        uv_run(&bench->loop, UV_RUN_ONCE);
        if (uv_hrtime() - started > PATIENCE_NS) fail_msg("no event came");
    }
    return take(bench);
}

static void until_idle(struct bench *bench) {
    uint64_t started = uv_hrtime();

    while (!tide_runner_idle(bench->runner)) {
        uv_run(&bench->loop, UV_RUN_ONCE);
        if (uv_hrtime() - started > PATIENCE_NS) fail_msg("not idle");
    }
}

static void expect_nothing(struct bench *bench) { assert_null(take(bench)); }

static uint64_t expect_output(struct bench *bench, uint32_t output, int64_t time, const char *text) {
    struct tide_event *event = take(bench);

    assert_non_null(event);
    assert_int_equal(event->kind, TIDE_EVENT_OUTPUT);
    assert_int_equal(event->node, output);
    assert_int_equal(event->time, time);
    assert_int_equal(event->nrdds, 1);
    assert_string_equal(text_of(event->rdds[0]), text);
    return event->token;
}

static void done(struct bench *bench, uint64_t token) { tide_runner_output_done(bench->runner, token, NULL); }

static void expect_drained(struct bench *bench) {
    struct tide_event *event = take(bench);

    assert_non_null(event);
    assert_int_equal(event->kind, TIDE_EVENT_DRAINED);
    assert_int_equal(tide_runner_state(bench->runner), TIDE_RUNNER_STOPPED);
    expect_nothing(bench);
}

static void expect_generation_error(struct bench *bench, int64_t time, int code, const char *text) {
    struct tide_event *event = take(bench);

    assert_non_null(event);
    assert_int_equal(event->kind, TIDE_EVENT_GENERATION);
    assert_int_equal(event->time, time);
    assert_int_equal(event->error.code, code);
    assert_non_null(strstr(event->error.text, text));
}

static void expect_listener(struct bench *bench, const char *name, int64_t time) {
    struct tide_event *event = take(bench);

    assert_non_null(event);
    assert_int_equal(event->kind, TIDE_EVENT_LISTENER);
    assert_string_equal(event->name, name);
    assert_int_equal(event->time, time);
}

static void expect_receiver(struct bench *bench, uint32_t source, const char *name, int code, const char *text) {
    struct tide_event *event = take(bench);

    assert_non_null(event);
    assert_int_equal(event->kind, TIDE_EVENT_RECEIVER);
    assert_int_equal(event->node, source);
    assert_string_equal(event->name, name);
    assert_int_equal(event->error.code, code);
    assert_non_null(strstr(event->error.text, text));
}

static void advance(struct bench *bench, int64_t ms) { assert_int_equal(tide_runner_advance(bench->runner, ms), 0); }

static void start(struct bench *bench) {
    struct tide_error err = {0};

    if (tide_runner_start(bench->runner, &err) < 0) fail_msg("%s", err.text);
}

static void stop(struct bench *bench, bool graceful) { tide_runner_stop(bench->runner, graceful); }

static struct tide_stream *queue_of(struct bench *bench) { return tide_stream_queue(bench->graph, true, NULL, NULL); }

static void output(struct tide_stream *stream) {
    uint32_t number;

    assert_int_equal(tide_stream_output(stream, &number, NULL), 0);
}

static void push(struct tide_stream *queue, uint32_t first, uint32_t count) {
    struct tide_rdd *rdd = rdd_of(first, count);

    assert_int_equal(tide_stream_push(queue, rdd, NULL), 0);
    tide_rdd_release(rdd);
}

static void expect_error(struct tide_error *err, int code, const char *text) {
    assert_int_equal(err->code, code);
    assert_non_null(strstr(err->text, text));
    tide_error_clear(err);
}

/* ---- Ticks and outputs -------------------------------------------------------------------------------------- */

static void the_first_batch_is_strictly_after_now(void **state) {
    static const struct {
        int64_t start, batch, first;
    } cases[] = {{10500, 1000, 11000}, {10000, 1000, 11000}, {10999, 1000, 11000}, {0, 700, 700}, {7, 1, 8}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bench bench;
        create_with(&bench, (struct tide_runner_options){
                                .manual_clock = true, .manual_start = cases[i].start, .batch = cases[i].batch});
        output(queue_of(&bench));
        assert_int_equal(tide_graph_zero(bench.graph), -1);
        start(&bench);
        assert_int_equal(tide_graph_zero(bench.graph), cases[i].first - cases[i].batch);
        assert_true(tide_runner_idle(bench.runner));
        advance(&bench, cases[i].first - cases[i].start - 1);
        expect_nothing(&bench);
        assert_true(tide_runner_idle(bench.runner));
        advance(&bench, 1);
        assert_false(tide_runner_idle(bench.runner));
        done(&bench, expect_output(&bench, 0, cases[i].first, "|"));
        assert_true(tide_runner_idle(bench.runner));
        destroy(&bench);
    }
}

static void outputs_run_one_by_one_in_order(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *a = queue_of(&bench), *b = queue_of(&bench);
    output(b);
    output(a);
    output(b);
    for (uint32_t i = 1; i <= 3; i++) push(a, i, 1), push(b, 10 * i, 1);
    start(&bench);
    advance(&bench, 3000); /* three ticks missed: three batches with their own names */
    const char *texts[][2] = {{"1|", "10|"}, {"2|", "20|"}, {"3|", "30|"}};
    for (int batch = 0; batch < 3; batch++) {
        for (uint32_t i = 0; i < 3; i++) {
            uint64_t token = expect_output(&bench, i, 11000 + batch * 1000, texts[batch][i != 1]);
            assert_int_equal(bench.last->info.output, i);
            expect_nothing(&bench);
            assert_false(tide_runner_idle(bench.runner));
            done(&bench, token + 1000); /* nobody's token */
            expect_nothing(&bench);
            done(&bench, token);
            done(&bench, token); /* answered twice */
        }
    }
    expect_nothing(&bench);
    assert_true(tide_runner_idle(bench.runner));
    destroy(&bench);
}

static void outputs_may_run_at_the_same_time(void **state) {
    struct bench bench;

    create_with(&bench, (struct tide_runner_options){.manual_clock = true, .concurrent = 3});
    struct tide_stream *queue = queue_of(&bench);
    output(queue);
    output(queue);
    for (uint32_t i = 1; i <= 3; i++) push(queue, i, 1);
    start(&bench);
    advance(&bench, 3000);
    uint64_t first = expect_output(&bench, 0, 1000, "1|");
    uint64_t second = expect_output(&bench, 1, 1000, "1|");
    uint64_t third = expect_output(&bench, 0, 2000, "2|");
    expect_nothing(&bench);
    done(&bench, third);
    uint64_t fourth = expect_output(&bench, 1, 2000, "2|");
    done(&bench, fourth); /* the second batch is finished before the first */
    uint64_t fifth = expect_output(&bench, 0, 3000, "3|");
    done(&bench, first);
    uint64_t sixth = expect_output(&bench, 1, 3000, "3|");
    done(&bench, second);
    done(&bench, fifth);
    expect_nothing(&bench);
    done(&bench, sixth);
    assert_true(tide_runner_idle(bench.runner));
    destroy(&bench);
}

/* Of one lane one at a time, and what is behind a waiting one waits too. */
static void outputs_of_a_lane_run_one_after_the_other(void **state) {
    struct bench bench;

    create_with(&bench, (struct tide_runner_options){.manual_clock = true, .concurrent = 3});
    struct tide_stream *queue = queue_of(&bench);
    for (int i = 0; i < 4; i++) output(queue);
    tide_runner_set_lane(bench.runner, 1, 1);
    tide_runner_set_lane(bench.runner, 2, 2);
    tide_runner_set_lane(bench.runner, 3, 1);
    for (uint32_t i = 1; i <= 2; i++) push(queue, i, 1);
    start(&bench);
    advance(&bench, 2000);
    uint64_t free_one = expect_output(&bench, 0, 1000, "1|");
    uint64_t lane_1 = expect_output(&bench, 1, 1000, "1|");
    uint64_t lane_2 = expect_output(&bench, 2, 1000, "1|");
    expect_nothing(&bench);
    done(&bench, free_one);
    expect_nothing(&bench); /* one may run, but the next is of lane 1 */
    done(&bench, lane_1);
    lane_1 = expect_output(&bench, 3, 1000, "1|");
    free_one = expect_output(&bench, 0, 2000, "2|");
    expect_nothing(&bench);
    done(&bench, free_one);
    expect_nothing(&bench);
    tide_runner_output_done(bench.runner, lane_1, "it failed"); /* its lane is free all the same */
    lane_1 = expect_output(&bench, 1, 2000, "2|");
    expect_nothing(&bench); /* lane 2 still runs for the first batch */
    done(&bench, lane_2);
    lane_2 = expect_output(&bench, 2, 2000, "2|");
    done(&bench, lane_1);
    done(&bench, expect_output(&bench, 3, 2000, "2|"));
    expect_nothing(&bench);
    done(&bench, lane_2);
    assert_true(tide_runner_idle(bench.runner));
    destroy(&bench);
}

/* No dataset, no output; no output at all, no batch and no events. */
static void outputs_without_dataset_are_not_called(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_rdd *entries[] = {NULL, rdd_of(1, 1), NULL};
    struct tide_stream *replay = tide_stream_replay(bench.graph, entries, 3, NULL, NULL);
    tide_rdd_release(entries[1]);
    output(tide_stream_narrow(replay, bench.op, NULL));
    output(window_of(replay, 3000, 2000));
    tide_runner_listen(bench.runner, true);
    start(&bench);
    expect_listener(&bench, "onStreamingStarted", 10500);
    advance(&bench, 500);
    expect_nothing(&bench);
    assert_true(tide_runner_idle(bench.runner));
    tide_runner_listen(bench.runner, false);
    advance(&bench, 1000);
    done(&bench, expect_output(&bench, 0, 12000, "1|"));
    done(&bench, expect_output(&bench, 1, 12000, "1|"));
    advance(&bench, 1000);
    expect_nothing(&bench);
    advance(&bench, 1000);
    done(&bench, expect_output(&bench, 0, 14000, "|"));
    uint64_t token = expect_output(&bench, 1, 14000, "1||");
    assert_int_equal(bench.last->info.output, 1);
    done(&bench, token);
    destroy(&bench);
}

static void listeners_hear_everything_in_order(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    output(queue);
    output(queue);
    tide_runner_listen(bench.runner, true);
    start(&bench);
    int64_t before = tide_clock_wall_ms();
    advance(&bench, 1500);
    expect_listener(&bench, "onStreamingStarted", 10500);
    expect_listener(&bench, "onBatchSubmitted", 11000);
    assert_int_equal(bench.last->info.batch_time, 11000);
    assert_true(bench.last->info.submission_time >= before);
    assert_int_equal(bench.last->info.processing_start, -1);
    expect_listener(&bench, "onBatchStarted", 11000);
    assert_true(bench.last->info.processing_start >= bench.last->info.submission_time);
    assert_int_equal(bench.last->info.processing_end, -1);
    expect_listener(&bench, "onOutputOperationStarted", 11000);
    assert_int_equal(bench.last->info.output, 0);
    assert_int_equal(bench.last->info.output_start, 12000); /* the streams' clock */
    assert_int_equal(bench.last->info.output_end, -1);
    uint64_t token = expect_output(&bench, 0, 11000, "|");
    expect_listener(&bench, "onBatchSubmitted", 12000);
    expect_nothing(&bench);
    tide_runner_output_done(bench.runner, token, "job.lua:7: boom");
    expect_listener(&bench, "onOutputOperationCompleted", 11000);
    assert_int_equal(bench.last->node, 0);
    assert_true(bench.last->info.output_end >= bench.last->info.output_start);
    assert_string_equal(bench.last->info.reason, "job.lua:7: boom");
    assert_int_equal(bench.last->error.code, TIDE_ECLOSURE);
    expect_listener(&bench, "onOutputOperationStarted", 11000);
    assert_int_equal(bench.last->info.output, 1);
    done(&bench, expect_output(&bench, 1, 11000, "|"));
    expect_listener(&bench, "onOutputOperationCompleted", 11000);
    assert_null(bench.last->info.reason);
    expect_listener(&bench, "onBatchCompleted", 11000);
    assert_true(bench.last->info.processing_end >= bench.last->info.processing_start);
    assert_int_equal(bench.last->info.records, 0);
    expect_listener(&bench, "onBatchStarted", 12000);
    destroy(&bench);
}

static void forgetting_waits_for_success(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    output(queue);
    output(queue);
    start(&bench);
    for (int64_t time = 11000; time <= 14000; time += 1000) {
        push(queue, (uint32_t)time, 1);
        advance(&bench, 1000);
        uint64_t token = take(&bench)->token;
        tide_runner_output_done(bench.runner, token, time == 12000 ? "boom" : NULL);
        done(&bench, take(&bench)->token);
        take(&bench);
        assert_non_null(tide_stream_dataset(queue, time));
        assert_int_equal(tide_stream_dataset(queue, time - 1000) ? 1 : 0, time == 12000);
        assert_null(tide_stream_dataset(queue, time - 2000));
    }
    destroy(&bench);
}

/* ---- Generation --------------------------------------------------------------------------------------------- */

static void a_transform_stops_its_batch_and_the_later_ones(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    struct tide_stream *transform = tide_stream_transform(bench.graph, &queue, 1, NULL);
    output(queue);
    output(transform);
    push(queue, 1, 1);
    push(queue, 2, 1);
    start(&bench);
    advance(&bench, 2000);
    struct tide_event *event = take(&bench);
    assert_int_equal(event->kind, TIDE_EVENT_TRANSFORM);
    assert_int_equal(event->node, tide_stream_id(transform));
    assert_int_equal(event->time, 11000);
    assert_int_equal(event->nrdds, 1);
    assert_string_equal(text_of(event->rdds[0]), "1|");
    uint64_t asked = event->token;
    expect_nothing(&bench);
    assert_false(tide_runner_idle(bench.runner));
    struct tide_rdd *answer = rdd_of(5, 1);
    tide_runner_transform_done(bench.runner, asked + 99, answer, NULL);
    expect_nothing(&bench);
    tide_runner_transform_done(bench.runner, asked, answer, NULL);
    tide_runner_transform_done(bench.runner, asked, answer, NULL);
    uint64_t token = expect_output(&bench, 0, 11000, "1|");
    event = take(&bench); /* the next generation does not wait for outputs */
    assert_int_equal(event->kind, TIDE_EVENT_TRANSFORM);
    assert_int_equal(event->time, 12000);
    asked = event->token;
    done(&bench, token);
    done(&bench, expect_output(&bench, 1, 11000, "5|"));
    expect_nothing(&bench);
    tide_runner_transform_done(bench.runner, asked, answer, NULL);
    done(&bench, expect_output(&bench, 0, 12000, "2|"));
    done(&bench, expect_output(&bench, 1, 12000, "5|"));
    assert_true(tide_runner_idle(bench.runner));
    tide_rdd_release(answer);
    destroy(&bench);
}

static void batches_that_fail_are_dropped_and_the_clock_goes_on(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_rdd *entries[] = {NULL, rdd_of(2, 1), rdd_of(3, 1), rdd_of(4, 1)};
    struct tide_stream *replay = tide_stream_replay(bench.graph, entries, 4, NULL, NULL);
    for (int i = 1; i < 4; i++) tide_rdd_release(entries[i]);
    struct tide_stream *transform = tide_stream_transform(bench.graph, &replay, 1, NULL);
    output(replay);
    output(transform);
    start(&bench);
    advance(&bench, 4000);
    expect_generation_error(&bench, 11000, TIDE_EGENERATION,
                            "transform: stream 0 generated no dataset for batch 11000 ms");
    assert_int_equal(take(&bench)->kind, TIDE_EVENT_TRANSFORM);
    tide_runner_transform_done(bench.runner, bench.last->token, NULL, "job.lua:3: no");
    expect_generation_error(&bench, 12000, TIDE_ECLOSURE, "job.lua:3: no");
    assert_int_equal(take(&bench)->kind, TIDE_EVENT_TRANSFORM);
    tide_runner_transform_done(bench.runner, bench.last->token, NULL, NULL);
    expect_generation_error(&bench, 13000, TIDE_EGENERATION,
                            "transform: the function of stream 1 returned no dataset for batch 13000 ms");
    assert_int_equal(take(&bench)->kind, TIDE_EVENT_TRANSFORM);
    tide_runner_transform_done(bench.runner, bench.last->token, bench.last->rdds[0], NULL);
    done(&bench, expect_output(&bench, 0, 14000, "4|"));
    done(&bench, expect_output(&bench, 1, 14000, "4|"));
    destroy(&bench);
}

static void memory_stays_flat_over_many_batches(void **state) {
    struct bench bench;

    create_with(&bench, (struct tide_runner_options){.manual_clock = true, .batch = 1});
    struct tide_stream *queue = queue_of(&bench);
    struct tide_stream *mapped = tide_stream_narrow(queue, bench.op, NULL);
    output(mapped);
    output(window_of(mapped, 5, 1));
    start(&bench);
    for (uint32_t batch = 1; batch <= 20000; batch++) {
        push(queue, batch, 1);
        advance(&bench, 1);
        done(&bench, take(&bench)->token);
        done(&bench, take(&bench)->token);
        expect_nothing(&bench);
        assert_true(tide_block_live() <= 7);
    }
    destroy(&bench);
}

static void ticks_queue_up_while_the_script_is_slow(void **state) {
    struct bench bench;

    create_with(&bench, (struct tide_runner_options){.manual_clock = true, .batch = 1});
    struct tide_stream *queue = queue_of(&bench);
    output(tide_stream_transform(bench.graph, &queue, 1, NULL));
    start(&bench);
    for (int i = 0; i < 200; i++) {
        advance(&bench, 2);                                        /* two ticks come, one is answered */
        if (take(&bench)->kind == TIDE_EVENT_OUTPUT) take(&bench); /* the first one, never answered */
        assert_int_equal(bench.last->kind, TIDE_EVENT_TRANSFORM);
        assert_int_equal(bench.last->time, i + 1);
        tide_runner_transform_done(bench.runner, bench.last->token, bench.last->rdds[0], NULL);
    }
    stop(&bench, false);
    while (take(&bench)->kind != TIDE_EVENT_DRAINED) continue;
    destroy(&bench);
}

/* ---- Starting and stopping ---------------------------------------------------------------------------------- */

static void start_is_for_fresh_contexts_with_outputs(void **state) {
    struct tide_error err = {0};
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    assert_int_equal(tide_runner_start(bench.runner, &err), TIDE_EINVAL);
    expect_error(&err, TIDE_EINVAL, "no output operations registered");
    assert_int_equal(tide_runner_state(bench.runner), TIDE_RUNNER_INITIALIZED);
    advance(&bench, 5000);
    expect_nothing(&bench);
    output(queue);
    start(&bench); /* the same one, corrected */
    tide_runner_stop(bench.runner, false);
    assert_int_equal(tide_runner_start(bench.runner, &err), TIDE_ESTATE);
    expect_error(&err, TIDE_ESTATE, "make a new StreamingContext");
    destroy(&bench);

    create(&bench);
    output(queue_of(&bench));
    assert_int_equal(tide_runner_state(bench.runner), TIDE_RUNNER_INITIALIZED);
    start(&bench);
    assert_int_equal(tide_runner_state(bench.runner), TIDE_RUNNER_ACTIVE);
    assert_int_equal(tide_runner_start(bench.runner, &err), TIDE_ESTATE);
    expect_error(&err, TIDE_ESTATE, "already been started");
    assert_int_equal(tide_runner_state(bench.runner), TIDE_RUNNER_ACTIVE);
    assert_int_equal(tide_runner_advance(bench.runner, -1), TIDE_EINVAL);
    destroy(&bench);
}

static void stop_before_start(void **state) {
    for (int graceful = 0; graceful < 2; graceful++) {
        struct bench bench;
        create(&bench);
        struct tide_stream *queue = queue_of(&bench);
        output(queue);
        stop(&bench, graceful);
        expect_drained(&bench);
        stop(&bench, !graceful);
        expect_nothing(&bench); /* nothing more to say */
        assert_null(tide_stream_narrow(queue, bench.op, NULL));
        destroy(&bench);
    }
}

static void an_immediate_stop_drops_what_is_queued(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    output(queue);
    push(queue, 1, 1);
    push(queue, 2, 1);
    start(&bench);
    advance(&bench, 2000);
    uint64_t token = expect_output(&bench, 0, 11000, "1|");
    stop(&bench, false);
    expect_drained(&bench);
    done(&bench, token);
    advance(&bench, 5000);
    expect_nothing(&bench);
    destroy(&bench);
}

static void an_immediate_stop_while_a_function_is_asked(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    output(tide_stream_transform(bench.graph, &queue, 1, NULL));
    push(queue, 1, 1);
    start(&bench);
    advance(&bench, 3000);
    struct tide_event *event = take(&bench);
    assert_int_equal(event->kind, TIDE_EVENT_TRANSFORM);
    stop(&bench, false);
    tide_runner_transform_done(bench.runner, event->token, event->rdds[0], NULL);
    expect_drained(&bench);
    destroy(&bench);
}

static void a_graceful_stop_finishes_what_was_ticked(void **state) {
    struct bench bench;

    create(&bench);
    struct tide_stream *queue = queue_of(&bench);
    output(queue);
    output(tide_stream_transform(bench.graph, &queue, 1, NULL));
    for (uint32_t i = 1; i <= 3; i++) push(queue, i, 1);
    start(&bench);
    advance(&bench, 2000);
    struct tide_event *event = take(&bench);
    assert_int_equal(event->kind, TIDE_EVENT_TRANSFORM);
    stop(&bench, true);
    assert_int_equal(tide_runner_state(bench.runner), TIDE_RUNNER_STOPPING);
    advance(&bench, 5000); /* no tick after the stop */
    tide_runner_transform_done(bench.runner, event->token, event->rdds[0], NULL);
    uint64_t token = expect_output(&bench, 0, 11000, "1|");
    event = take(&bench);
    assert_int_equal(event->kind, TIDE_EVENT_TRANSFORM);
    assert_int_equal(event->time, 12000);
    tide_runner_transform_done(bench.runner, event->token, event->rdds[0], NULL);
    stop(&bench, true);
    done(&bench, token);
    done(&bench, expect_output(&bench, 1, 11000, "1|"));
    done(&bench, expect_output(&bench, 0, 12000, "2|"));
    assert_false(tide_runner_idle(bench.runner));
    done(&bench, expect_output(&bench, 1, 12000, "2|"));
    expect_drained(&bench);
    assert_true(tide_runner_idle(bench.runner));
    destroy(&bench);
}

static void a_graceful_stop_with_nothing_to_do_is_over_at_once(void **state) {
    struct bench bench;

    create(&bench);
    output(queue_of(&bench));
    start(&bench);
    stop(&bench, true);
    expect_drained(&bench);
    destroy(&bench);
}

static void an_immediate_stop_ends_a_graceful_one(void **state) {
    struct bench bench;

    create(&bench);
    output(queue_of(&bench));
    start(&bench);
    advance(&bench, 1000);
    uint64_t token = expect_output(&bench, 0, 11000, "|");
    stop(&bench, true);
    expect_nothing(&bench);
    stop(&bench, false);
    expect_drained(&bench);
    done(&bench, token);
    expect_nothing(&bench);
    destroy(&bench);
}

static void the_real_clock_ticks(void **state) {
    struct bench bench;

    create_with(&bench, (struct tide_runner_options){.batch = 2});
    output(queue_of(&bench));
    int64_t now = tide_clock_wall_ms();
    start(&bench);
    assert_int_equal(tide_runner_advance(bench.runner, 5), TIDE_EINVAL);
    int64_t time = 0;
    for (int i = 0; i < 10; i++) {
        struct tide_event *event = await(&bench);
        assert_int_equal(event->kind, TIDE_EVENT_OUTPUT);
        assert_int_equal(event->time % 2, 0);
        assert_true(time == 0 ? event->time > now - 2 : event->time == time + 2);
        time = event->time;
        done(&bench, event->token);
    }
    assert_true(tide_runner_now(bench.runner) >= time);
    destroy(&bench);
}

/* ---- Received data ------------------------------------------------------------------------------------------ */

static struct tide_stream *receive(struct bench *bench, struct supply *supply) {
    struct tide_source *source = supply_source(supply, tide_graph_next_id(bench->graph));
    struct tide_stream *stream = tide_stream_receiver(bench->graph, source, NULL);

    assert_non_null(stream);
    return stream;
}

static void a_batch_has_what_came_before_its_cut(void **state) {
    struct bench bench;
    struct supply a, b;

    supply_create(&a);
    supply_create(&b);
    b.silent = true;
    create(&bench);
    struct tide_stream *from_a = receive(&bench, &a), *from_b = receive(&bench, &b);
    output(from_b);
    output(from_a);
    tide_runner_listen(bench.runner, true);
    start(&bench);
    expect_listener(&bench, "onStreamingStarted", 10500);
    tide_runner_listen(bench.runner, false);
    await(&bench);
    assert_string_equal(bench.last->name, "started");
    assert_int_equal(bench.last->node, tide_stream_id(from_a));
    assert_string_equal(bench.last->error.text, "supplying");
    supply_lines(&a, 1, 2, 2);
    supply_lines(&b, 10, 1, 3);
    advance(&bench, 1000);
    assert_false(tide_runner_idle(bench.runner)); /* the cut is on its way */
    await(&bench);
    assert_string_equal(text_of(bench.last->rdds[0]), "10 11 12|");
    assert_int_equal(bench.last->info.records, 7);
    done(&bench, bench.last->token);
    done(&bench, expect_output(&bench, 1, 11000, "1 2|3 4|"));
    expect_nothing(&bench);
    assert_int_equal(tide_block_live(), 3); /* remembered until the next batch is done */
    advance(&bench, 1000);
    await(&bench);
    assert_int_equal(bench.last->info.records, 0);
    assert_int_equal(tide_rdd_partitions(bench.last->rdds[0]), 0);
    done(&bench, bench.last->token);
    done(&bench, expect_output(&bench, 1, 12000, ""));
    assert_int_equal(tide_block_live(), 0);
    destroy(&bench);
    assert_int_equal(a.closed + b.closed, 2);
    supply_destroy(&a);
    supply_destroy(&b);
}

static void a_failed_batch_leaves_its_records_to_the_next(void **state) {
    struct bench bench;
    struct supply supply;

    supply_create(&supply);
    supply.silent = true;
    create(&bench);
    struct tide_stream *received = receive(&bench, &supply);
    struct tide_stream *transform = tide_stream_transform(bench.graph, &received, 1, NULL);
    output(transform);
    start(&bench);
    for (int i = 1; i <= 2; i++) {
        supply_lines(&supply, (uint32_t)i, 1, 1);
        advance(&bench, 1000);
        await(&bench);
        assert_int_equal(bench.last->kind, TIDE_EVENT_TRANSFORM);
        tide_runner_transform_done(bench.runner, bench.last->token, NULL, "no");
        expect_generation_error(&bench, 10000 + i * 1000, TIDE_ECLOSURE, "no");
    }
    supply_lines(&supply, 3, 1, 1);
    advance(&bench, 1000);
    await(&bench);
    tide_runner_transform_done(bench.runner, bench.last->token, bench.last->rdds[0], NULL);
    uint64_t token = expect_output(&bench, 0, 13000, "1|2|3|");
    assert_int_equal(bench.last->info.records, 3);
    done(&bench, token);
    destroy(&bench);
    supply_destroy(&supply);
}

static void a_graceful_stop_makes_one_more_batch_of_what_is_left(void **state) {
    for (int ticked = 0; ticked < 2; ticked++) {
        struct bench bench;
        struct supply supply;
        supply_create(&supply);
        create(&bench);
        output(receive(&bench, &supply));
        start(&bench);
        await(&bench);
        assert_string_equal(bench.last->name, "started");
        if (ticked) {
            advance(&bench, 1000);
            await(&bench);
            done(&bench, bench.last->token);
        }
        supply_lines(&supply, 1, 1, 2);
        stop(&bench, true);
        await(&bench);
        assert_string_equal(bench.last->name, "stopped");
        assert_string_equal(await(&bench)->name ? bench.last->name : "output", "output");
        assert_int_equal(bench.last->time, ticked ? 12000 : 11000);
        assert_string_equal(text_of(bench.last->rdds[0]), "1 2|");
        assert_int_equal(tide_runner_state(bench.runner), TIDE_RUNNER_STOPPING);
        done(&bench, bench.last->token);
        await(&bench);
        assert_int_equal(bench.last->kind, TIDE_EVENT_DRAINED);
        expect_nothing(&bench);
        destroy(&bench);
        assert_int_equal(supply.closed, 1);
        supply_destroy(&supply);
    }
}

/* Nothing left: no batch. Left over, but no batch can be made of it: said, and not tried for ever. */
static void a_graceful_stop_never_waits_for_a_batch_that_cannot_come(void **state) {
    for (int left = 0; left < 2; left++) {
        struct bench bench;
        struct supply supply;
        supply_create(&supply);
        supply.silent = true;
        create(&bench);
        struct tide_stream *received = receive(&bench, &supply);
        output(tide_stream_transform(bench.graph, &received, 1, NULL));
        start(&bench);
        if (left) supply_lines(&supply, 1, 1, 5);
        capture_start();
        stop(&bench, true);
        if (left) {
            await(&bench);
            assert_int_equal(bench.last->kind, TIDE_EVENT_TRANSFORM);
            tide_runner_transform_done(bench.runner, bench.last->token, NULL, "no");
            expect_generation_error(&bench, 11000, TIDE_ECLOSURE, "no");
        }
        await(&bench);
        char *said = capture_stop(NULL);
        assert_int_equal(bench.last->kind, TIDE_EVENT_DRAINED);
        if (left) assert_non_null(strstr(said, "5 received records were not processed"));
        else assert_string_equal(said, "");
        free(said);
        destroy(&bench);
        supply_destroy(&supply);
    }
}

static void an_immediate_stop_tells_that_sources_have_stopped(void **state) {
    struct bench bench;
    struct supply supply;

    supply_create(&supply);
    create(&bench);
    output(receive(&bench, &supply));
    start(&bench);
    supply_lines(&supply, 1, 10, 1);
    advance(&bench, 2000); /* a cut on its way, a tick queued */
    stop(&bench, false);
    expect_receiver(&bench, 0, "started", 0, "supplying");
    expect_receiver(&bench, 0, "stopped", 0, "no more supply");
    expect_drained(&bench);
    destroy(&bench);
    supply_destroy(&supply);
}

static void closing_in_the_middle_leaves_nothing(void **state) {
    struct bench bench;
    struct supply supply;

    supply_create(&supply);
    create(&bench);
    output(receive(&bench, &supply));
    start(&bench);
    supply_lines(&supply, 1, 10, 1);
    advance(&bench, 2000);
    close_runner(&bench);
    expect_nothing(&bench);
    destroy(&bench);
    supply_destroy(&supply);
}

static void a_source_that_does_not_start_is_reported(void **state) {
    struct bench bench;
    struct supply supply;

    supply_create(&supply);
    supply.refuse = true;
    create(&bench);
    output(receive(&bench, &supply));
    start(&bench);
    await(&bench);
    assert_string_equal(bench.last->name, "error");
    assert_int_equal(bench.last->error.code, TIDE_EIO);
    assert_non_null(strstr(bench.last->error.text, "the supply is refused"));
    destroy(&bench);
    supply_destroy(&supply);
}

/* Two contexts of one engine: each gets its own records only, and stopping one leaves the other alone. */
static void two_runners_share_a_loop(void **state) {
    struct bench bench;
    struct supply supplies[2];

    create(&bench);
    struct tide_runner *runners[2] = {bench.runner};
    runners[1] = tide_runner_new(&(struct tide_runner_options){
        .loop = &bench.loop, .events = &bench.events, .workers = 1, .batch = 1000, .manual_clock = true});
    for (int i = 0; i < 2; i++) {
        supply_create(&supplies[i]);
        supplies[i].silent = true;
        bench.runner = runners[i];
        bench.graph = tide_runner_graph(runners[i]);
        output(receive(&bench, &supplies[i]));
        start(&bench);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = round; i < 2; i++) {
            supply_lines(&supplies[i], (uint32_t)(100 * i + round), 1, 1);
            bench.runner = runners[i];
            bench.graph = tide_runner_graph(runners[i]);
            advance(&bench, 1000);
            await(&bench);
            assert_string_equal(text_of(bench.last->rdds[0]), i == 0 ? "0|" : round ? "101|" : "100|");
            done(&bench, bench.last->token);
        }
        bench.runner = runners[0];
        bench.graph = tide_runner_graph(runners[0]);
        if (round == 0) {
            stop(&bench, false);
            expect_drained(&bench);
        }
    }
    tide_runner_delete(runners[1]);
    destroy(&bench);
    supply_destroy(&supplies[0]);
    supply_destroy(&supplies[1]);
}

enum { SENT_LINES = 20000 };

static void serve_numbers(struct server *server) {
    int fd = server_accept(server);
    char *text = tide_xmalloc(SENT_LINES * 8);
    size_t size = 0;

    for (int i = 0; i < SENT_LINES; i++) size += (size_t)sprintf(text + size, "%d\n", i);
    for (size_t at = 0; at < size; at += 1000) {
        server_send_bytes(server, fd, text + at, size - at < 1000 ? size - at : 1000);
    }
    tide_free(text);
    server_wait_closed(fd);
}

/* Every line once and in order, whatever batch it came in. */
static void a_socket_loses_nothing(void **state) {
    struct bench bench;
    struct server server;

    assert_true(server_start(&server, AF_INET, 0, serve_numbers));
    create(&bench);
    struct tide_socket_options options = {.host = "127.0.0.1", .port = server.port, .batch_ms = 1000};
    struct tide_source *source = tide_socket_source_new(tide_graph_next_id(bench.graph), &options, NULL);
    struct tide_stream *stream = tide_stream_receiver(bench.graph, source, NULL);

    output(stream);
    start(&bench);
    await(&bench);
    assert_string_equal(bench.last->name, "started");
    uint32_t seen = 0;
    uint64_t began = uv_hrtime();
    int64_t batches = 0, told = 0;
    while (seen < SENT_LINES) {
        advance(&bench, 1000);
        await(&bench);
        assert_int_equal(bench.last->kind, TIDE_EVENT_OUTPUT);
        assert_int_equal(bench.last->time, 11000 + 1000 * batches++);
        seen = expect_lines(bench.last->rdds[0], seen);
        told += bench.last->info.records;
        assert_true(tide_rdd_partitions(bench.last->rdds[0]) <= 8);
        done(&bench, bench.last->token);
        until_idle(&bench);
        if (uv_hrtime() - began > PATIENCE_NS) fail_msg("%u of %d lines came", seen, SENT_LINES);
    }
    assert_int_equal(seen, SENT_LINES);
    assert_int_equal(told, SENT_LINES);
    stop(&bench, true);
    await(&bench);
    assert_string_equal(bench.last->name, "stopped");
    await(&bench);
    assert_int_equal(bench.last->kind, TIDE_EVENT_DRAINED);
    server_join(&server);
    destroy(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_batch_is_strictly_after_now),
        cmocka_unit_test(outputs_run_one_by_one_in_order),
        cmocka_unit_test(outputs_may_run_at_the_same_time),
        cmocka_unit_test(outputs_of_a_lane_run_one_after_the_other),
        cmocka_unit_test(outputs_without_dataset_are_not_called),
        cmocka_unit_test(listeners_hear_everything_in_order),
        cmocka_unit_test(forgetting_waits_for_success),
        cmocka_unit_test(a_transform_stops_its_batch_and_the_later_ones),
        cmocka_unit_test(batches_that_fail_are_dropped_and_the_clock_goes_on),
        cmocka_unit_test(memory_stays_flat_over_many_batches),
        cmocka_unit_test(ticks_queue_up_while_the_script_is_slow),
        cmocka_unit_test(start_is_for_fresh_contexts_with_outputs),
        cmocka_unit_test(stop_before_start),
        cmocka_unit_test(an_immediate_stop_drops_what_is_queued),
        cmocka_unit_test(an_immediate_stop_while_a_function_is_asked),
        cmocka_unit_test(a_graceful_stop_finishes_what_was_ticked),
        cmocka_unit_test(a_graceful_stop_with_nothing_to_do_is_over_at_once),
        cmocka_unit_test(an_immediate_stop_ends_a_graceful_one),
        cmocka_unit_test(the_real_clock_ticks),
        cmocka_unit_test(a_batch_has_what_came_before_its_cut),
        cmocka_unit_test(a_failed_batch_leaves_its_records_to_the_next),
        cmocka_unit_test(a_graceful_stop_makes_one_more_batch_of_what_is_left),
        cmocka_unit_test(a_graceful_stop_never_waits_for_a_batch_that_cannot_come),
        cmocka_unit_test(an_immediate_stop_tells_that_sources_have_stopped),
        cmocka_unit_test(closing_in_the_middle_leaves_nothing),
        cmocka_unit_test(a_source_that_does_not_start_is_reported),
        cmocka_unit_test(two_runners_share_a_loop),
        cmocka_unit_test(a_socket_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
