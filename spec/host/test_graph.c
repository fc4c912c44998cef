/*
 * dstream: declaring streams, which datasets a batch demands and in which order they are made, what is
 * remembered. Times are given, nothing ticks here.
 */
#include "base/alloc.h"
#include "dstream/generation.h"
#include "dstream/graph.h"
#include "stream_rig.h"
#include "test.h"

static struct tide_op *op;
static struct tide_exchange *exchange;

static int set_up(void **state) {
    op = op_of("operator");
    exchange = tide_exchange_new(TIDE_ROUTE_HASH, 2, true, op, op);
    return 0;
}

static int tear_down(void **state) {
    tide_exchange_release(exchange);
    tide_op_release(op);
    assert_int_equal(tide_block_live(), 0);
    return 0;
}

static void expect_error(struct tide_error *err, int code, const char *text) {
    assert_int_equal(err->code, code);
    assert_non_null(strstr(err->text, text));
    tide_error_clear(err);
}

static struct tide_stream *narrow(struct tide_stream *parent) {
    struct tide_stream *stream = tide_stream_narrow(parent, op, NULL);

    assert_non_null(stream);
    return stream;
}

static struct tide_stream *join2(struct tide_stream *a, struct tide_stream *b) {
    struct tide_stream *parents[] = {a, b};
    struct tide_stream *stream = tide_stream_union(tide_stream_graph(a), parents, 2, NULL);

    assert_non_null(stream);
    return stream;
}

static void output(struct tide_stream *stream) {
    uint32_t number;

    assert_int_equal(tide_stream_output(stream, &number, NULL), 0);
}

static void push(struct tide_stream *queue, uint32_t first, uint32_t count) {
    struct tide_rdd *rdd = rdd_of(first, count);

    assert_int_equal(tide_stream_push(queue, rdd, NULL), 0);
    tide_rdd_release(rdd);
}

static void begin(struct tide_graph *graph) { assert_int_equal(tide_graph_begin(graph, 0, NULL), 0); }

/* Generates batch `time` and returns the result of the run. The generation is left open. */
static int run(struct tide_generation *generation, int64_t time, struct tide_error *err) {
    tide_generation_begin(generation, time);
    return tide_generation_run(generation, err);
}

/* Generates a batch that must succeed and compares the first output's dataset. */
static void expect_batch(struct tide_generation *generation, int64_t time, const char *text) {
    assert_int_equal(run(generation, time, NULL), TIDE_GENERATION_DONE);
    assert_string_equal(text_of(tide_generation_output(generation, 0)), text);
    tide_generation_end(generation);
}

/* ---- Declaring ---------------------------------------------------------------------------------------------- */

static void streams_are_numbered_in_order(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *mapped = narrow(queue);
    struct tide_stream *reduced = tide_stream_shuffled(mapped, exchange, NULL);
    struct tide_stream *joined = join2(mapped, reduced);
    struct tide_stream *transformed = tide_stream_transform(graph, &joined, 1, NULL);
    struct tide_stream *all[] = {queue, mapped, reduced, joined, transformed};
    const char *kinds[] = {"queue", "narrow", "shuffled", "union", "transform"};

    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(tide_stream_id(all[i]), i);
        assert_int_equal(tide_stream_slide(all[i]), 1000);
        assert_string_equal(tide_stream_kind(all[i]), kinds[i]);
        assert_ptr_equal(tide_graph_stream(graph, i), all[i]);
    }
    assert_null(tide_graph_stream(graph, 5));
    uint32_t first, second;
    assert_int_equal(tide_stream_output(reduced, &first, NULL), 0);
    assert_int_equal(tide_stream_output(reduced, &second, NULL), 0);
    assert_int_equal(first, 0);
    assert_int_equal(second, 1);
    tide_graph_delete(graph);
}

static void unfit_parents_are_refused(void **state) {
    struct tide_error err = {0};
    struct tide_graph *graph = tide_graph_new(1000, 0), *other = tide_graph_new(1000, 0);
    struct tide_stream *mine = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *theirs = tide_stream_queue(other, true, NULL, NULL);

    assert_null(tide_stream_union(graph, NULL, 0, &err));
    expect_error(&err, TIDE_EINVAL, "union: needs at least one stream");
    assert_null(tide_stream_transform(graph, NULL, 0, &err));
    expect_error(&err, TIDE_EINVAL, "transform: needs at least one stream");
    struct tide_stream *mixed[] = {mine, theirs};
    assert_null(tide_stream_union(graph, mixed, 2, &err));
    expect_error(&err, TIDE_EINVAL, "stream number 2 belongs to another streaming context");
    mixed[1] = window_of(mine, 3000, 3000);
    assert_null(tide_stream_transform(graph, mixed, 2, &err));
    expect_error(&err, TIDE_EINVAL, "the first has 1000 ms and number 2 has 3000 ms");
    assert_int_equal(tide_stream_push(mixed[1], NULL, &err), TIDE_EINVAL);
    expect_error(&err, TIDE_EINVAL, "push: only a queue stream takes datasets");
    tide_graph_delete(graph);
    tide_graph_delete(other);
}

static void names_are_unique_and_find_what_keeps_state(void **state) {
    struct tide_error err = {0};
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *keeper = narrow(queue), *shown = narrow(keeper), *other = narrow(keeper);

    assert_null(tide_stream_name(shown));
    assert_null(tide_graph_named(graph, "sums"));
    assert_int_equal(tide_stream_set_name(shown, keeper, "sums", &err), 0);
    assert_string_equal(tide_stream_name(shown), "sums");
    assert_ptr_equal(tide_graph_named(graph, "sums"), keeper);
    assert_int_equal(tide_stream_set_name(queue, NULL, "sums", &err), TIDE_EINVAL);
    expect_error(&err, TIDE_EINVAL, "another stream is called 'sums' already");
    assert_int_equal(tide_stream_set_name(shown, NULL, "totals", &err), TIDE_EINVAL);
    expect_error(&err, TIDE_EINVAL, "the stream is called 'sums' already");
    assert_int_equal(tide_stream_set_name(other, keeper, "all", &err), 0);
    assert_string_equal(tide_stream_name(keeper), "sums");
    assert_ptr_equal(tide_graph_named(graph, "all"), other);
    output(other);
    push(queue, 1, 1);
    begin(graph);
    assert_int_equal(tide_stream_set_name(queue, NULL, "lines", &err), TIDE_ESTATE);
    expect_error(&err, TIDE_ESTATE, "can't be named after start()");
    struct tide_generation *generation = tide_generation_new(graph);
    expect_batch(generation, 1000, "1|");
    assert_string_equal(tide_rdd_name(tide_stream_dataset(other, 1000)), "all");
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

static void a_graph_that_has_begun_is_sealed(void **state) {
    struct tide_error err = {0};
    struct supply supply;

    supply_create(&supply);
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    output(queue);
    begin(graph);
    assert_int_equal(tide_graph_begin(graph, 0, &err), TIDE_ESTATE);
    expect_error(&err, TIDE_ESTATE, "started before");
    assert_null(tide_stream_narrow(queue, op, &err));
    expect_error(&err, TIDE_ESTATE, "can't be added after start()");
    assert_null(tide_stream_queue(graph, true, NULL, &err));
    expect_error(&err, TIDE_ESTATE, "can't be added after start()");
    struct tide_source *source = supply_source(&supply, tide_graph_next_id(graph));
    assert_null(tide_stream_receiver(graph, source, &err));
    expect_error(&err, TIDE_ESTATE, "can't be added after start()");
    assert_int_equal(supply.closed, 1);
    uint32_t number;
    assert_int_equal(tide_stream_output(queue, &number, &err), TIDE_ESTATE);
    expect_error(&err, TIDE_ESTATE, "can't be added after start()");
    tide_graph_delete(graph);
    supply_destroy(&supply);
}

static void a_graph_without_output_does_not_begin(void **state) {
    struct tide_error err = {0};
    struct tide_graph *graph = tide_graph_new(1000, 0);

    tide_stream_queue(graph, true, NULL, NULL);
    assert_int_equal(tide_graph_begin(graph, 0, &err), TIDE_EINVAL);
    expect_error(&err, TIDE_EINVAL,
                 "no output operations registered, so nothing to execute; call print(), foreachRDD()");
    tide_graph_delete(graph);
}

static void a_source_makes_a_receiver(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct supply supply;

    supply_create(&supply);
    assert_false(tide_graph_has_receivers(graph));
    assert_non_null(tide_stream_receiver(graph, supply_source(&supply, tide_graph_next_id(graph)), NULL));
    assert_int_equal(tide_graph_next_id(graph), 1);
    assert_true(tide_graph_has_receivers(graph));
    tide_graph_seal(graph);

    struct tide_error err = {0};

    assert_null(tide_stream_receiver(graph, supply_source(&supply, tide_graph_next_id(graph)), &err));
    expect_error(&err, TIDE_ESTATE, "");
    assert_int_equal(supply.closed, 1); /* taken, also where it fails */
    tide_graph_delete(graph);
    assert_int_equal(supply.closed, 2);
    supply_destroy(&supply);
}

/* The example of Spark's remember rules: 1 s batches, 3 s asked for, a window over a window. */
static void windows_make_their_parents_remember(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 3000);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *mapped = narrow(queue);
    struct tide_stream *inner = window_of(mapped, 2000, 1000);
    struct tide_stream *outer = window_of(inner, 4000, 2000);
    struct tide_stream *unused = narrow(queue);

    output(outer);
    begin(graph);
    assert_int_equal(tide_stream_remember(outer), 3000);
    assert_int_equal(tide_stream_remember(inner), 7000);
    assert_int_equal(tide_stream_remember(mapped), 9000);
    assert_int_equal(tide_stream_remember(queue), 9000);
    assert_int_equal(tide_stream_remember(unused), 1000);
    tide_graph_delete(graph);
}

/* ---- Demand and run ----------------------------------------------------------------------------------------- */

static void expect_steps(const struct tide_generation *generation, uint32_t count, const uint32_t *ids) {
    assert_int_equal(tide_generation_steps(generation), count);
    for (uint32_t i = 0; i < count; i++) {
        int64_t time;
        assert_int_equal(tide_stream_id(tide_generation_step(generation, i, &time)), ids[i]);
    }
}

static void parents_come_before_children_outputs_in_order(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *a = tide_stream_queue(graph, true, NULL, NULL); /* 0 */
    struct tide_stream *b = tide_stream_queue(graph, true, NULL, NULL); /* 1 */
    struct tide_stream *c = narrow(a);                                  /* 2 */

    narrow(a);                                                       /* 3: nobody wants it */
    struct tide_stream *d = join2(b, c);                             /* 4 */
    struct tide_stream *e = tide_stream_shuffled(c, exchange, NULL); /* 5 */
    output(d);
    output(e);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    assert_int_equal(run(generation, 1000, NULL), TIDE_GENERATION_DONE);
    expect_steps(generation, 5, (uint32_t[]){1, 0, 2, 4, 5});
    assert_int_equal(tide_rdd_partitions(tide_generation_output(generation, 1)), 2);
    tide_generation_end(generation);
    /* Another look at the same batch computes nothing. */
    assert_int_equal(run(generation, 1000, NULL), TIDE_GENERATION_DONE);
    expect_steps(generation, 0, NULL);
    assert_ptr_equal(tide_generation_output(generation, 1), tide_stream_dataset(e, 1000));
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

static void two_outputs_share_one_dataset(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *mapped = narrow(queue);

    output(mapped);
    output(mapped);
    push(queue, 1, 2);
    push(queue, 3, 1);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    assert_int_equal(run(generation, 1000, NULL), TIDE_GENERATION_DONE);
    assert_int_equal(tide_generation_steps(generation), 2);
    assert_ptr_equal(tide_generation_output(generation, 0), tide_generation_output(generation, 1));
    assert_string_equal(text_of(tide_generation_output(generation, 0)), "1 2|");
    tide_generation_end(generation);
    expect_batch(generation, 2000, "3|");
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

/* A replay with holes: None goes through narrow and shuffle, windows skip it, union and transform fail. */
static void none_is_not_empty(void **state) {
    struct tide_error err = {0};
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_rdd *entries[] = {rdd_of(1, 2), NULL, rdd_of(0, 0)};
    struct tide_stream *replay = tide_stream_replay(graph, entries, 3, NULL, NULL);

    tide_rdd_release(entries[0]);
    tide_rdd_release(entries[2]);
    output(tide_stream_shuffled(narrow(replay), exchange, NULL));
    output(window_of(replay, 2000, 1000));
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    const char *texts[][2] = {{"1 2|", "1 2|"}, {"none", "1 2|"}, {"|", "|"}, {"|", "||"}};
    for (int batch = 1; batch <= 4; batch++) {
        assert_int_equal(run(generation, batch * 1000, NULL), TIDE_GENERATION_DONE);
        assert_string_equal(text_of(tide_generation_output(generation, 0)), texts[batch - 1][0]);
        assert_string_equal(text_of(tide_generation_output(generation, 1)), texts[batch - 1][1]);
        tide_generation_end(generation);
    }
    /* None is not kept: it is asked again, and only once for all who want it. */
    assert_null(tide_stream_dataset(replay, 2000));
    tide_generation_begin(generation, 2000);
    expect_steps(generation, 3, (uint32_t[]){0, 1, 2});
    tide_generation_delete(generation);
    tide_graph_delete(graph);

    for (int kind = 0; kind < 2; kind++) {
        graph = tide_graph_new(1000, 0);
        struct tide_rdd *hole = NULL;
        replay = tide_stream_replay(graph, &hole, 1, NULL, NULL);
        struct tide_stream *mapped = narrow(replay);
        output(kind == 0 ? tide_stream_union(graph, &mapped, 1, NULL)
                         : tide_stream_transform(graph, &mapped, 1, NULL));
        begin(graph);
        generation = tide_generation_new(graph);
        assert_int_equal(run(generation, 1000, &err), TIDE_EGENERATION);
        expect_error(&err, TIDE_EGENERATION,
                     kind == 0 ? "union: stream 1 generated no dataset for batch 1000 ms"
                               : "transform: stream 1 generated no dataset for batch 1000 ms");
        tide_generation_delete(generation);
        tide_graph_delete(graph);
    }
}

static void replay_past_the_end_gives_the_default(void **state) {
    struct tide_graph *graph = tide_graph_new(500, 0);
    struct tide_rdd *entry = rdd_of(1, 1), *otherwise = rdd_of(9, 1);

    output(tide_stream_replay(graph, &entry, 1, otherwise, NULL));
    tide_rdd_release(entry);
    tide_rdd_release(otherwise);
    assert_int_equal(tide_graph_begin(graph, 10500, NULL), 0);
    struct tide_generation *generation = tide_generation_new(graph);
    expect_batch(generation, 11000, "1|");
    expect_batch(generation, 11500, "9|");
    expect_batch(generation, 12000, "9|");
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

static void queues_give_one_or_all(void **state) {
    for (int one_at_a_time = 0; one_at_a_time < 2; one_at_a_time++) {
        struct tide_graph *graph = tide_graph_new(1000, 0);
        struct tide_rdd *otherwise = rdd_of(100, 1);
        struct tide_stream *queue = tide_stream_queue(graph, one_at_a_time, one_at_a_time ? otherwise : NULL, NULL);
        tide_rdd_release(otherwise);
        output(queue);
        push(queue, 1, 2);
        begin(graph);
        push(queue, 3, 2);
        struct tide_generation *generation = tide_generation_new(graph);
        expect_batch(generation, 1000, one_at_a_time ? "1 2|" : "1 2|3 4|");
        push(queue, 5, 1);
        expect_batch(generation, 2000, one_at_a_time ? "3 4|" : "5|");
        expect_batch(generation, 3000, one_at_a_time ? "5|" : "|");
        expect_batch(generation, 4000, one_at_a_time ? "100|" : "|");
        tide_generation_delete(generation);
        tide_graph_delete(graph);
    }
}

static void a_queue_filled_for_long_keeps_its_order(void **state) {
    struct tide_graph *graph = tide_graph_new(1, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);

    output(queue);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    uint32_t pushed = 0;
    for (uint32_t taken = 0; taken < 500; taken++) {
        while (pushed < taken + 1 + taken % 7 || (taken < 20 && pushed < 40)) push(queue, pushed++, 1);
        char text[16];
        snprintf(text, sizeof text, "%u|", taken);
        expect_batch(generation, taken + 1, text);
        tide_graph_forget(graph, taken + 1);
    }
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

/* Slide of three batches: nothing in between, and what was not asked for in between is made then, oldest first. */
static void a_slide_of_several_batches(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *window = window_of(queue, 2000, 3000);

    output(narrow(window));
    for (uint32_t i = 1; i <= 6; i++) push(queue, i, 1);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    expect_batch(generation, 1000, "none");
    expect_batch(generation, 2000, "none");
    expect_batch(generation, 3000, "1|2|");
    expect_batch(generation, 4000, "none");
    expect_batch(generation, 6000, "3|4|");
    assert_int_equal(window_computed(window), 2);
    /* A time that was passed over has no dataset: it would take what belongs to later batches. */
    assert_int_equal(run(generation, 4000, NULL), TIDE_GENERATION_DONE);
    tide_generation_end(generation);
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

static void a_transform_waits_for_its_answer(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *a = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *b = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *both[] = {b, a};
    struct tide_stream *transform = tide_stream_transform(graph, both, 2, NULL);

    output(narrow(transform));
    push(a, 1, 1);
    push(b, 2, 1);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    assert_int_equal(run(generation, 1000, NULL), TIDE_GENERATION_ASKS);
    struct tide_rdd *const *parents;
    uint32_t count;
    assert_ptr_equal(tide_generation_asks(generation, &parents, &count), transform);
    assert_int_equal(count, 2);
    assert_string_equal(text_of(parents[0]), "2|");
    assert_string_equal(text_of(parents[1]), "1|");
    struct tide_rdd *answer = rdd_of(7, 1);
    tide_generation_answer(generation, answer);
    tide_rdd_release(answer);
    assert_int_equal(tide_generation_run(generation, NULL), TIDE_GENERATION_DONE);
    assert_string_equal(text_of(tide_generation_output(generation, 0)), "7|");
    assert_ptr_equal(tide_stream_dataset(transform, 1000), answer);
    tide_generation_end(generation);
    /* Given up while it asks. */
    assert_int_equal(run(generation, 2000, NULL), TIDE_GENERATION_ASKS);
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

/* Depth of the graph and length of the history are no limits, and time grows with them, not with their square. */
static void deep_graphs_and_long_histories(void **state) {
    enum { DEPTH = 100000, HISTORY = 5000 };
    struct tide_graph *graph = tide_graph_new(1, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *stream = queue;
    for (int i = 0; i < DEPTH; i++) stream = narrow(stream);
    output(stream);
    struct tide_stream *window = window_of(queue, HISTORY, HISTORY);
    output(window);
    push(queue, 1, 1);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    expect_batch(generation, 1, "1|");
    assert_int_equal(run(generation, HISTORY, NULL), TIDE_GENERATION_DONE);
    assert_int_equal(tide_generation_steps(generation), DEPTH + 1 + HISTORY - 2 + 1);
    assert_int_equal(tide_rdd_partitions(tide_generation_output(generation, 1)), 2);
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

/* ---- Forgetting --------------------------------------------------------------------------------------------- */

static void old_datasets_are_forgotten(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_stream *mapped = narrow(queue);

    output(mapped);
    output(window_of(queue, 3000, 1000));
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    for (int64_t time = 1000; time <= 9000; time += 1000) {
        push(queue, (uint32_t)time, 1);
        assert_int_equal(run(generation, time, NULL), TIDE_GENERATION_DONE);
        tide_generation_end(generation);
        tide_graph_forget(graph, time);
    }
    for (int64_t time = 1000; time <= 9000; time += 1000) {
        assert_int_equal(tide_stream_dataset(mapped, time) ? 1 : 0, time > 9000 - 1000);
        assert_int_equal(tide_stream_dataset(queue, time) ? 1 : 0, time > 9000 - 4000);
    }
    assert_int_equal(tide_block_live(), 4);
    tide_graph_forget_all(graph);
    assert_int_equal(tide_block_live(), 0);
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

/* ---- Received blocks ---------------------------------------------------------------------------------------- */

struct receiver {
    struct supply supply;
    struct tide_graph *graph;
    struct tide_stream *stream;
    struct tide_generation *generation;
};

static void receiver_create(struct receiver *receiver) {
    supply_create(&receiver->supply);
    receiver->graph = tide_graph_new(1000, 0);
    receiver->stream = tide_stream_receiver(receiver->graph, supply_source(&receiver->supply, 0), NULL);
    receiver->generation = tide_generation_new(receiver->graph);
}

static void receiver_destroy(struct receiver *receiver) {
    tide_generation_delete(receiver->generation);
    tide_graph_delete(receiver->graph);
    assert_int_equal(receiver->supply.closed, 1);
    supply_destroy(&receiver->supply);
}

/* Gives `blocks` blocks of `each` lines to the batch. */
static int64_t allocate(struct receiver *receiver, int64_t time, uint32_t first, uint32_t blocks, uint32_t each,
                        uint32_t partitions) {
    struct tide_cut_entry entries[2] = {{.source_id = 77}, {.source_id = 0}};

    for (uint32_t i = 0; i < blocks; i++) {
        tide_blocks_push(&entries[1].blocks, block_of(first + i * each, each));
    }
    int64_t records = tide_graph_allocate(receiver->graph, time, entries, 2, partitions);
    tide_blocks_destroy(&entries[0].blocks);
    tide_blocks_destroy(&entries[1].blocks);
    return records;
}

static void received_blocks_become_the_dataset(void **state) {
    struct receiver receiver;

    receiver_create(&receiver);
    output(receiver.stream);
    begin(receiver.graph);
    assert_int_equal(allocate(&receiver, 1000, 1, 3, 2, 8), 6);
    expect_batch(receiver.generation, 1000, "1 2|3 4|5 6|");
    tide_graph_settle(receiver.graph, 1000, true);
    assert_int_equal(tide_graph_leftovers(receiver.graph), 0);
    /* Nothing received: a dataset, without any partition. */
    assert_int_equal(tide_graph_allocate(receiver.graph, 2000, NULL, 0, 8), 0);
    expect_batch(receiver.generation, 2000, "");
    tide_graph_settle(receiver.graph, 2000, true);
    assert_int_equal(tide_block_live(), 3);
    tide_graph_forget(receiver.graph, 2000);
    assert_int_equal(tide_block_live(), 0);
    receiver_destroy(&receiver);
}

static void many_blocks_share_partitions_in_order(void **state) {
    struct receiver receiver;

    receiver_create(&receiver);
    output(receiver.stream);
    begin(receiver.graph);
    assert_int_equal(allocate(&receiver, 1000, 10, 10, 1, 4), 10);
    expect_batch(receiver.generation, 1000, "10 11|12 13 14|15 16|17 18 19|");
    tide_graph_settle(receiver.graph, 1000, true);
    /* One block far larger than the others: as even as neighbours allow, and no partition is empty. */
    struct tide_cut_entry entry = {.source_id = 0};
    for (uint32_t i = 0; i < 3; i++) tide_blocks_push(&entry.blocks, block_of(i, 1));
    tide_blocks_push(&entry.blocks, block_of(100, 50));
    for (uint32_t i = 3; i < 6; i++) tide_blocks_push(&entry.blocks, block_of(i, 1));
    assert_int_equal(tide_graph_allocate(receiver.graph, 2000, &entry, 1, 3), 56);
    tide_blocks_destroy(&entry.blocks);
    assert_int_equal(run(receiver.generation, 2000, NULL), TIDE_GENERATION_DONE);
    const char *text = text_of(tide_generation_output(receiver.generation, 0));
    assert_true(strncmp(text, "0 1 2|100 101 ", 14) == 0);
    assert_non_null(strstr(text, " 149|3 4 5|"));
    tide_generation_end(receiver.generation);
    tide_graph_settle(receiver.graph, 2000, true);
    receiver_destroy(&receiver);
}

static void blocks_nobody_wants_are_let_go(void **state) {
    struct receiver receiver;

    receiver_create(&receiver);
    output(tide_stream_queue(receiver.graph, true, NULL, NULL));
    begin(receiver.graph);
    assert_int_equal(allocate(&receiver, 1000, 1, 3, 2, 8), 0);
    assert_int_equal(tide_block_live(), 0);
    receiver_destroy(&receiver);
}

/* The batch fails: its records are in the next one, first, and a window sees each of them once. */
static void a_failed_batch_leaves_its_blocks_to_the_next(void **state) {
    struct tide_error err = {0};
    struct receiver receiver;

    receiver_create(&receiver);
    struct tide_rdd *entries[] = {rdd_of(50, 1), NULL, NULL, rdd_of(60, 1)};
    struct tide_stream *replay = tide_stream_replay(receiver.graph, entries, 4, NULL, NULL);
    tide_rdd_release(entries[0]);
    tide_rdd_release(entries[3]);
    struct tide_stream *mapped = narrow(receiver.stream);
    struct tide_stream *joined = join2(mapped, replay);
    output(mapped);
    output(joined);
    output(window_of(mapped, 4000, 1000));
    begin(receiver.graph);
    assert_int_equal(allocate(&receiver, 1000, 1, 1, 1, 8), 1);
    expect_batch(receiver.generation, 1000, "1|");
    tide_graph_settle(receiver.graph, 1000, true);
    for (uint32_t i = 2; i <= 3; i++) {
        assert_int_equal(allocate(&receiver, i * 1000, i, 1, 1, 8), i - 1);
        assert_int_equal(run(receiver.generation, i * 1000, &err), TIDE_EGENERATION);
        expect_error(&err, TIDE_EGENERATION, "union: stream 1");
        tide_generation_end(receiver.generation);
        tide_graph_settle(receiver.graph, i * 1000, false);
        assert_int_equal(tide_graph_leftovers(receiver.graph), i - 1);
        assert_null(tide_stream_dataset(mapped, i * 1000));
        assert_string_equal(text_of(tide_stream_dataset(receiver.stream, i * 1000)), "");
    }
    assert_int_equal(allocate(&receiver, 4000, 4, 1, 1, 8), 3);
    assert_int_equal(run(receiver.generation, 4000, NULL), TIDE_GENERATION_DONE);
    assert_string_equal(text_of(tide_generation_output(receiver.generation, 0)), "2|3|4|");
    assert_string_equal(text_of(tide_generation_output(receiver.generation, 1)), "2|3|4|60|");
    assert_string_equal(text_of(tide_generation_output(receiver.generation, 2)), "1|2|3|4|");
    tide_generation_end(receiver.generation);
    tide_graph_settle(receiver.graph, 4000, true);
    assert_int_equal(tide_graph_leftovers(receiver.graph), 0);
    receiver_destroy(&receiver);
}

/* A failed batch does not make a queue hand out the same place twice. */
static void a_failed_batch_keeps_what_the_queue_gave(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_rdd *entries[] = {NULL, rdd_of(60, 1)};
    struct tide_stream *replay = tide_stream_replay(graph, entries, 2, NULL, NULL);

    tide_rdd_release(entries[1]);
    struct tide_stream *window = window_of(narrow(queue), 2000, 1000);
    output(window);
    output(join2(queue, replay));
    push(queue, 1, 1);
    push(queue, 2, 1);
    begin(graph);
    struct tide_generation *generation = tide_generation_new(graph);
    assert_int_equal(run(generation, 1000, NULL), TIDE_EGENERATION);
    tide_generation_end(generation);
    tide_graph_settle(graph, 1000, false);
    assert_null(tide_stream_dataset(window, 1000));
    expect_batch(generation, 2000, "1|2|");
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_numbered_in_order),
        cmocka_unit_test(unfit_parents_are_refused),
        cmocka_unit_test(names_are_unique_and_find_what_keeps_state),
        cmocka_unit_test(a_graph_that_has_begun_is_sealed),
        cmocka_unit_test(a_graph_without_output_does_not_begin),
        cmocka_unit_test(a_source_makes_a_receiver),
        cmocka_unit_test(windows_make_their_parents_remember),
        cmocka_unit_test(parents_come_before_children_outputs_in_order),
        cmocka_unit_test(two_outputs_share_one_dataset),
        cmocka_unit_test(none_is_not_empty),
        cmocka_unit_test(replay_past_the_end_gives_the_default),
        cmocka_unit_test(queues_give_one_or_all),
        cmocka_unit_test(a_queue_filled_for_long_keeps_its_order),
        cmocka_unit_test(a_slide_of_several_batches),
        cmocka_unit_test(a_transform_waits_for_its_answer),
        cmocka_unit_test(deep_graphs_and_long_histories),
        cmocka_unit_test(old_datasets_are_forgotten),
        cmocka_unit_test(received_blocks_become_the_dataset),
        cmocka_unit_test(many_blocks_share_partitions_in_order),
        cmocka_unit_test(blocks_nobody_wants_are_let_go),
        cmocka_unit_test(a_failed_batch_leaves_its_blocks_to_the_next),
        cmocka_unit_test(a_failed_batch_keeps_what_the_queue_gave),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
