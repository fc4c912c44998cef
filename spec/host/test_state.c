/*
 * dstream/state: the datasets of a keyed state batch by batch, when there is none, and the checks at the
 * start.
 */
#include "dstream/generation.h"
#include "dstream/graph.h"
#include "rdd/node.h"
#include "store/block.h"
#include "stream_rig.h"
#include "test.h"
#include "wire/unpack.h"

enum { PARTITIONS = 2 };

static struct tide_op *op, *keyed_op;
static struct tide_exchange *exchange;

static int set_up(void **state) {
    op = op_of("operator");
    keyed_op = op_of("state");
    keyed_op->keeps_keys = true;
    exchange = tide_exchange_new(TIDE_ROUTE_HASH, PARTITIONS, true, op, op);
    return 0;
}

static int tear_down(void **state) {
    tide_exchange_release(exchange);
    tide_op_release(op);
    tide_op_release(keyed_op);
    assert_int_equal(tide_block_live(), 0);
    return 0;
}

typedef struct tide_stream *constructor(struct tide_stream *, uint32_t, struct tide_op *, struct tide_rdd *,
                                        struct tide_error *);

struct rig {
    struct tide_graph *graph;
    struct tide_stream *keyed, *state;
    struct tide_generation *generation;
};

/* Batch i has a dataset where bit i is set; later ones have none. */
static void start(struct rig *rig, constructor *construct, uint32_t there, struct tide_rdd *initial) {
    struct tide_rdd *entries[30];
    uint32_t number;

    rig->graph = tide_graph_new(1000, 0);
    for (uint32_t i = 0; i < 30; i++) entries[i] = there >> (i + 1) & 1 ? rdd_of(i + 1, 1) : NULL;
    rig->keyed = tide_stream_shuffled(tide_stream_replay(rig->graph, entries, 30, NULL, NULL), exchange, NULL);
    for (uint32_t i = 0; i < 30; i++) tide_rdd_release(entries[i]);
    rig->state = construct(rig->keyed, PARTITIONS, keyed_op, initial, NULL);
    tide_graph_set_checkpointing(rig->graph, true);
    assert_int_equal(tide_stream_output(rig->state, &number, NULL), 0);
    assert_int_equal(tide_graph_begin(rig->graph, 0, NULL), 0);
    rig->generation = tide_generation_new(rig->graph);
}

static void stop(struct rig *rig) {
    tide_generation_delete(rig->generation);
    tide_graph_delete(rig->graph);
}

/* The state's dataset of the batch, or NULL. */
static struct tide_rdd *generate(struct rig *rig, int64_t batch) {
    tide_generation_begin(rig->generation, batch * 1000);
    assert_int_equal(tide_generation_run(rig->generation, NULL), TIDE_GENERATION_DONE);
    tide_generation_end(rig->generation);
    return tide_stream_dataset(rig->state, batch * 1000);
}

static struct tide_rdd *input_of(struct tide_rdd *rdd, uint32_t index) {
    assert_int_equal(rdd->kind, TIDE_RDD_ZIP);
    assert_true(index < rdd->as.many.count);
    return rdd->as.many.parents[index];
}

static void expect_time(struct tide_rdd *rdd, double time) {
    for (uint32_t i = 0; i < PARTITIONS; i++) {
        const struct tide_block *block = rdd->as.blocks.lists[i].items[0];

        assert_int_equal(block->count, 1);
        assert_true(tide_unpack_value(block->data, block->data + block->size).number == time);
    }
}

static void a_state_is_made_of_values_and_the_one_before(void **state) {
    struct rig rig;

    start(&rig, tide_stream_state, 1 << 1 | 1 << 2, NULL);

    struct tide_rdd *first = generate(&rig, 1), *second = generate(&rig, 2), *third = generate(&rig, 3);

    assert_int_equal(tide_rdd_known_records(input_of(first, 1)), 0);
    assert_ptr_equal(input_of(second, 0), tide_stream_dataset(rig.keyed, 2000));
    assert_ptr_equal(input_of(second, 1), first);
    expect_time(input_of(second, 2), 2000);
    assert_int_equal(tide_rdd_known_records(input_of(third, 0)), 0); /* no dataset: as good as an empty one */
    assert_ptr_equal(input_of(third, 1), second);
    assert_int_equal(tide_rdd_key_partitions(third), PARTITIONS);
    assert_true(third->truncate);
    stop(&rig);
}

static void there_is_none_before_the_first_dataset(void **state) {
    struct rig rig;

    start(&rig, tide_stream_state, 1 << 20, NULL);
    for (int64_t batch = 1; batch < 20; batch++) {
        tide_generation_begin(rig.generation, batch * 1000);
        assert_int_equal(tide_generation_run(rig.generation, NULL), TIDE_GENERATION_DONE);
        assert_null(tide_generation_output(rig.generation, 0));
        assert_int_equal(tide_generation_steps(rig.generation),
                         3); /* it does not go back to the beginning each time */
        tide_generation_end(rig.generation);
    }
    assert_non_null(generate(&rig, 20));
    stop(&rig);
}

static struct tide_rdd *initial_new(void) {
    struct tide_rdd *rdd = rdd_of(100, 1), *keyed = tide_rdd_shuffled_new(rdd, exchange);

    tide_rdd_release(rdd);
    return keyed;
}

static void the_initial_state_enters_with_the_first_dataset(void **state) {
    struct tide_rdd *initial = initial_new();
    struct rig rig;

    start(&rig, tide_stream_state, 1 << 2 | 1 << 3, initial);
    assert_null(generate(&rig, 1));
    assert_ptr_equal(input_of(generate(&rig, 2), 1), initial);
    assert_int_equal(initial->refs, 3);
    tide_graph_settle(rig.graph, 2000, false); /* fails: it has to enter again */
    assert_int_equal(initial->refs, 2);
    assert_ptr_equal(input_of(input_of(generate(&rig, 3), 1), 1), initial);
    tide_graph_forget(rig.graph, 3000);
    assert_int_equal(initial->refs, 2); /* of the lineage only */
    stop(&rig);
    assert_int_equal(initial->refs, 1);
    tide_rdd_release(initial);
}

static void mapping_has_a_dataset_in_every_batch(void **state) {
    struct tide_rdd *initial = initial_new();
    struct rig rig;

    start(&rig, tide_stream_map_with_state, 1 << 2, initial);

    struct tide_rdd *first = generate(&rig, 1), *second = generate(&rig, 2);

    assert_int_equal(first->as.many.count, 4);
    assert_ptr_equal(input_of(first, 3), initial);
    assert_int_equal(second->as.many.count, 3);
    assert_ptr_equal(input_of(second, 1), first);
    expect_time(input_of(second, 2), 2000);
    assert_int_equal(tide_stream_checkpoint_interval(rig.state), 10000);
    stop(&rig);
    tide_rdd_release(initial);
}

static void an_initial_state_must_be_partitioned_alike(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_rdd *initial = initial_new();
    struct tide_error err = {0};

    assert_null(tide_stream_state(queue, PARTITIONS + 1, keyed_op, initial, &err));
    assert_non_null(strstr(err.text, "partitioned by key in 3 partitions"));
    tide_error_clear(&err);
    tide_rdd_release(initial);
    tide_graph_delete(graph);
}

/* ---- Checkpoint intervals ----------------------------------------------------------------------------------- */

static void expect_refused(int64_t interval, bool directory, bool window, const char *text) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *stream = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_error err = {0};
    uint32_t number;

    if (window) stream = tide_stream_window(stream, 2000, 0, false, NULL);
    assert_int_equal(tide_stream_checkpoint(stream, interval, NULL), 0);
    tide_graph_set_checkpointing(graph, directory);
    assert_int_equal(tide_stream_output(stream, &number, NULL), 0);
    assert_int_equal(tide_graph_begin(graph, 0, &err), text ? TIDE_EINVAL : TIDE_OK);
    if (text) assert_non_null(strstr(err.text, text));
    tide_error_clear(&err);
    if (text) { /* corrected, it begins */
        assert_int_equal(tide_stream_checkpoint(stream, 0, NULL), 0);
        assert_int_equal(tide_graph_begin(graph, 0, NULL), 0);
    }
    assert_int_equal(tide_stream_checkpoint(stream, interval, &err), TIDE_ESTATE);
    tide_error_clear(&err);
    tide_graph_delete(graph);
}

static void intervals_are_checked_at_the_start(void **state) {
    expect_refused(2000, true, false, NULL);
    expect_refused(2000, false, false, "The checkpoint directory has not been set");
    expect_refused(500, true, false, "lower than its slide time of 1000 ms");
    expect_refused(1500, true, false, "not a multiple of its slide time");
    expect_refused(2000, true, true, "storage level has not been set");
}

static void the_usual_interval_is_ten_seconds_or_more(void **state) {
    static const int64_t slides[][2] = {{1000, 10000}, {3000, 12000}, {15000, 15000}, {7000, 14000}};

    for (int i = 0; i < 4; i++) {
        struct tide_graph *graph = tide_graph_new(slides[i][0], 0);
        struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
        struct tide_stream *keyed = tide_stream_state(queue, PARTITIONS, keyed_op, NULL, NULL);
        uint32_t number;

        tide_graph_set_checkpointing(graph, true);
        assert_int_equal(tide_stream_output(keyed, &number, NULL), 0);
        assert_int_equal(tide_graph_begin(graph, 0, NULL), 0);
        assert_int_equal(tide_stream_checkpoint_interval(keyed), slides[i][1]);
        tide_graph_delete(graph);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_is_made_of_values_and_the_one_before),
        cmocka_unit_test(there_is_none_before_the_first_dataset),
        cmocka_unit_test(the_initial_state_enters_with_the_first_dataset),
        cmocka_unit_test(mapping_has_a_dataset_in_every_batch),
        cmocka_unit_test(an_initial_state_must_be_partitioned_alike),
        cmocka_unit_test(intervals_are_checked_at_the_start),
        cmocka_unit_test(the_usual_interval_is_ten_seconds_or_more),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
