/*
 * dstream: what a batch costs besides its tasks, by count and not by clock: windows of an hour at 100 ms batches.
 * What is looked at for one batch does not grow with the 36,000 datasets in the window.
 */
#include "dstream/generation.h"
#include "dstream/graph.h"
#include "rdd/node.h"
#include "stream_rig.h"
#include "test.h"

enum { BATCH = 100, BATCHES = 36000, HOUR = BATCH * BATCHES, PARTITIONS = 1 };

static struct tide_op *op;
static struct tide_exchange *exchange;
static struct tide_cache *cache;

static int set_up(void **state) {
    struct tide_error err = {0};

    op = op_of("operator");
    op->keeps_keys = true;
    exchange = tide_exchange_new(TIDE_ROUTE_HASH, PARTITIONS, true, op, op);
    cache = tide_cache_new(&(struct tide_cache_options){.limit = UINT64_C(1) << 40}, &err);
    return cache ? 0 : -1;
}

static int tear_down(void **state) {
    tide_exchange_release(exchange);
    tide_op_release(op);
    tide_cache_release(cache);
    return 0;
}

/* As if a job had computed it: an empty partition is kept. */
static void complete(struct tide_rdd *rdd) {
    if (!tide_rdd_persistent(rdd) || rdd->cached) return;

    struct tide_blocks nothing = {0};
    struct tide_cached *cached = tide_cached_new(cache, &(struct tide_cached_options){.lists = 1, .memory = true});

    tide_cached_fill(cached, &nothing);
    tide_rdd_set_cached(rdd, &cached, NULL, 1);
}

static void complete_at(struct tide_graph *graph, int64_t time) {
    for (uint32_t i = 0; i < tide_graph_streams(graph); i++) {
        struct tide_rdd *rdd = tide_stream_dataset(tide_graph_stream(graph, i), time);

        if (rdd) complete(rdd);
    }
}

/* Runs the batches from *batch on; the most that was looked at for one, of every `of` the average. */
static uint64_t cost(struct tide_graph *graph, struct tide_generation *generation, int64_t *batch, int count,
                     int of) {
    uint64_t most = 0;

    for (int i = 0; i < count; i += of) {
        uint64_t before = tide_graph_visits(graph);

        for (int k = 0; k < of; k++, ++*batch) {
            int64_t time = *batch * BATCH;

            tide_generation_begin(generation, time);
            assert_int_equal(tide_generation_run(generation, NULL), TIDE_GENERATION_DONE);
            tide_generation_end(generation);
            tide_graph_settle(graph, time, true);
            complete_at(graph, time);
            tide_graph_forget(graph, time);
        }

        uint64_t average = (tide_graph_visits(graph) - before) / (uint64_t)of;

        if (average > most) most = average;
    }
    return most;
}

/* The cost of a batch in a window of an hour, at its begin and when it is full and slides; `make` makes the streams
 * over the input. */
static void expect_cost(void (*make)(struct tide_stream *input), bool skipping, uint64_t most) {
    struct tide_graph *graph = tide_graph_new(BATCH, 0);
    int64_t batch = 1;

    tide_graph_set_checkpointing(graph, true);
    tide_graph_set_skipping(graph, skipping);
    make(tide_stream_shuffled(tide_stream_queue(graph, true, NULL, NULL), exchange, NULL));
    assert_int_equal(tide_graph_begin(graph, 0, NULL), 0);

    struct tide_generation *generation = tide_generation_new(graph);

    assert_in_range(cost(graph, generation, &batch, BATCHES + 4000, 100), 1, most);
    assert_in_range(cost(graph, generation, &batch, 400, 1), 1, 4 * most);
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

static void output(struct tide_stream *stream) {
    uint32_t number;

    assert_non_null(stream);
    assert_int_equal(tide_stream_output(stream, &number, NULL), 0);
}

static void merge(struct tide_stream *input) {
    output(tide_stream_merge_window(input, HOUR, BATCH, PARTITIONS, op, TIDE_MERGES, NULL));
}

static void merge_narrow(struct tide_stream *input) {
    output(tide_stream_merge_window(input, HOUR, BATCH, PARTITIONS, op, TIDE_MERGES_NARROW, NULL));
}

static void inverse(struct tide_stream *input) {
    output(tide_stream_view(tide_stream_inverse_window(input, HOUR, BATCH, PARTITIONS, op, op, NULL), op, NULL));
}

static void states(struct tide_stream *input) {
    output(tide_stream_state(input, PARTITIONS, op, NULL, NULL));
    output(tide_stream_view(tide_stream_map_with_state(input, PARTITIONS, op, NULL, NULL), op, NULL));
}

static void a_merging_window_looks_at_a_few_nodes(void **state) {
    expect_cost(merge, false, 100);
    expect_cost(merge, true, 100);
    expect_cost(merge_narrow, false, 100);
}

static void an_inverse_window_looks_at_its_neighbours(void **state) {
    expect_cost(inverse, false, 50);
    expect_cost(inverse, true, 50);
}

static void states_look_at_the_one_before(void **state) {
    expect_cost(states, false, 50);
    expect_cost(states, true, 50);
}

/* It holds all its batches, so it is linear in them; not more than that. */
static void plain(struct tide_stream *input) { output(tide_stream_window(input, 1000 * BATCH, BATCH, false, NULL)); }

static void a_plain_window_looks_at_each_of_its_datasets_once(void **state) { expect_cost(plain, false, 1100); }

/* An hour of nothing: what is empty is known to be. */
static void empty_batches_are_not_looked_at_again(void **state) {
    struct tide_graph *graph = tide_graph_new(BATCH, 0);
    struct tide_rdd *none[1] = {NULL};
    int64_t batch = 1;
    struct tide_rdd **entries = test_calloc(BATCHES, sizeof none[0]);

    entries[0] = rdd_of(1, 1);
    merge(tide_stream_shuffled(tide_stream_replay(graph, entries, BATCHES, NULL, NULL), exchange, NULL));
    tide_rdd_release(entries[0]);
    test_free(entries);
    assert_int_equal(tide_graph_begin(graph, 0, NULL), 0);

    struct tide_generation *generation = tide_generation_new(graph);

    assert_in_range(cost(graph, generation, &batch, BATCHES + 400, 100), 1, 100);
    tide_generation_delete(generation);
    tide_graph_delete(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merging_window_looks_at_a_few_nodes),
        cmocka_unit_test(an_inverse_window_looks_at_its_neighbours),
        cmocka_unit_test(states_look_at_the_one_before),
        cmocka_unit_test(a_plain_window_looks_at_each_of_its_datasets_once),
        cmocka_unit_test(empty_batches_are_not_looked_at_again),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
