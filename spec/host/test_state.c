/*
 * dstream: keyed state. What its datasets are made of batch by batch, when there is none, what must be so at the start. And
 * task/delta: a state that changes in some keys.
 */
#include "base/buffer.h"
#include "dstream/generation.h"
#include "dstream/graph.h"
#include "kernel/lists.h"
#include "kernel/state_delta.h"
#include "rdd/node.h"
#include "store/block.h"
#include "stream_rig.h"
#include "test.h"
#include "wire/pack.h"
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

/* ---- Checkpoint intervals -------------------------------------------------------------------------------------- */

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

/* ---- Deltas --------------------------------------------------------------------------------------------------- */

/* A block of pairs: texts of one letter as keys, and values that `write` packs. */
struct pairs {
    struct tide_buffer bytes;
    uint32_t count;
};

static void pairs_into(struct pairs *pairs, struct tide_blocks *blocks) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 2, pairs->bytes.size, NULL);

    memcpy(block->data, pairs->bytes.data, pairs->bytes.size);
    block->size = pairs->bytes.size;
    block->count = pairs->count;
    tide_blocks_push(blocks, block);
    tide_buffer_destroy(&pairs->bytes);
}

/* "a=1 b=2": numbers. */
static void numbers(struct tide_blocks *blocks, const char *text) {
    struct pairs pairs = {.count = 0};

    tide_blocks_create(blocks);
    tide_buffer_create(&pairs.bytes);
    for (const char *at = text; *at; at += at[3] ? 4 : 3, pairs.count++) {
        tide_pack_string(&pairs.bytes, at, 1);
        tide_pack_number(&pairs.bytes, at[2] - '0');
    }
    pairs_into(&pairs, blocks);
}

/* "a=1,5": state records with n 1 and x 5. */
static void states(struct tide_blocks *blocks, const char *text) {
    struct pairs pairs = {.count = 0};

    tide_blocks_create(blocks);
    tide_buffer_create(&pairs.bytes);
    for (const char *at = text; *at; at += at[5] ? 6 : 5, pairs.count++) {
        tide_pack_string(&pairs.bytes, at, 1);
        tide_pack_array(&pairs.bytes, 2);
        tide_pack_number(&pairs.bytes, at[2] - '0');
        tide_pack_number(&pairs.bytes, at[4] - '0');
    }
    pairs_into(&pairs, blocks);
}

static const uint8_t *show_value(char *out, size_t *size, const uint8_t *at, const uint8_t *end) {
    struct tide_value value = tide_unpack_value(at, end);

    switch (value.type) {
    case TIDE_VALUE_STRING: *size += (size_t)sprintf(out + *size, "%.*s", (int)value.size, value.data); break;
    case TIDE_VALUE_NUMBER: *size += (size_t)sprintf(out + *size, "%g", value.number); break;
    case TIDE_VALUE_NIL: *size += (size_t)sprintf(out + *size, "nil"); break;
    case TIDE_VALUE_ARRAY:
        at = value.next;
        for (uint32_t i = 0; i < value.size; i++) {
            if (i > 0) out[(*size)++] = ',';
            at = show_value(out, size, at, end);
        }
        return at;
    default: fail_msg("a value of another type");
    }
    return value.next;
}

static void expect_blocks(struct tide_blocks *blocks, const char *text) {
    char out[512] = "";
    size_t size = 0;

    for (uint32_t b = 0; b < blocks->count; b++) {
        const struct tide_block *block = blocks->items[b];
        const uint8_t *at = block->data, *end = at + block->size;

        for (uint32_t i = 0; i < block->count; i++) {
            if (size > 0) out[size++] = ' ';
            at = show_value(out, &size, at, end);
            if (block->arity == 2) {
                out[size++] = '=';
                at = show_value(out, &size, at, end);
            }
            out[size] = '\0';
        }
        assert_ptr_equal(at, end);
    }
    assert_string_equal(out, text);
    tide_blocks_destroy(blocks);
}

static void a_patch_changes_the_keys_it_is_told(void **state) {
    struct tide_blocks records, before, out;
    struct tide_state_delta *delta = tide_state_delta_new();
    const uint8_t seven = 7;

    numbers(&records, "b=1 x=1 b=2");
    states(&before, "a=5,1 b=5,2 c=1,3 d=5,4");
    tide_blocks_create(&out);
    assert_true(tide_state_delta_add(delta, &records));
    assert_int_equal(delta->records, 3);
    assert_int_equal(delta->order[0], 0);
    assert_int_equal(delta->order[1], 1);
    assert_int_equal(delta->order[2], 0);
    assert_true(tide_state_delta_scan(delta, &before, 2, &out));
    assert_non_null(delta->old[0].value);
    assert_true(delta->old[0].n == 5);
    assert_null(delta->old[1].value);
    assert_int_equal(delta->dues, 1); /* c */
    assert_true(tide_state_delta_put(delta, 0, 9, NULL, 0));
    assert_true(tide_state_delta_put(delta, 1, 8, &seven, 1));
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    expect_blocks(&out, "a=5,1 d=5,4 b=9,2 x=8,7");
    tide_blocks_destroy(&records);
    tide_blocks_destroy(&before);
}

static void a_large_block_without_changes_is_shared(void **state) {
    struct tide_blocks records, before, out;
    struct tide_state_delta *delta = tide_state_delta_new();
    struct pairs pairs = {.count = 0};

    tide_buffer_create(&pairs.bytes);
    for (; pairs.bytes.size < TIDE_BLOCK_TARGET; pairs.count++) {
        tide_pack_number(&pairs.bytes, pairs.count);
        tide_pack_array(&pairs.bytes, 2);
        tide_pack_number(&pairs.bytes, 1);
        tide_pack_number(&pairs.bytes, 2);
    }
    tide_blocks_create(&before);
    pairs_into(&pairs, &before);
    numbers(&records, "a=1");
    tide_blocks_create(&out);
    assert_true(tide_state_delta_add(delta, &records));
    assert_true(tide_state_delta_scan(delta, &before, -1, &out));
    tide_state_delta_finish(delta);
    tide_state_delta_delete(delta);
    assert_int_equal(out.count, 1);
    assert_ptr_equal(out.items[0], before.items[0]);
    tide_blocks_destroy(&out);
    tide_blocks_destroy(&before);
    tide_blocks_destroy(&records);
}

static void states_and_results_are_told_apart(void **state) {
    struct tide_blocks both, out;
    const uint8_t key[] = {0xa1, 'k'}, value = 5;

    states(&both, "a=1,2");
    assert_true(tide_state_rows_put_mapped(&both, NULL, 0, &value, 1));
    assert_true(tide_state_rows_put_mapped(&both, NULL, 0, key, 2));
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project(&both, &out));
    expect_blocks(&out, "a=2");
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project_mapped(&both, &out));
    expect_blocks(&out, "5 k");
    tide_blocks_destroy(&both);

    tide_blocks_create(&both);
    assert_true(tide_state_rows_put_mapped(&both, key, 2, &value, 1));
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project_mapped(&both, &out));
    expect_blocks(&out, "k=5");
    tide_blocks_create(&out);
    assert_true(tide_state_rows_project(&both, &out));
    expect_blocks(&out, "");
    tide_blocks_destroy(&both);
}

static void lists_of_a_key_become_one(void **state) {
    struct tide_blocks in, out;

    states(&in, "a=1,2 b=3,4 a=5,6");
    tide_blocks_create(&out);
    assert_true(tide_group_concat(&in, &out));
    expect_blocks(&out, "a=1,2,5,6 b=3,4");
    tide_blocks_destroy(&in);
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
        cmocka_unit_test(a_patch_changes_the_keys_it_is_told),
        cmocka_unit_test(a_large_block_without_changes_is_shared),
        cmocka_unit_test(states_and_results_are_told_apart),
        cmocka_unit_test(lists_of_a_key_become_one),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
