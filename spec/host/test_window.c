/*
 * dstream: windows. Which datasets a window is made of, what is shared between windows that overlap, what is kept and
 * let go of. Nothing is computed here: lineage is shown as text.
 */
#include "dstream/generation.h"
#include "dstream/graph.h"
#include "rdd/node.h"
#include "store/block.h"
#include "stream_rig.h"
#include "test.h"

enum { PARTITIONS = 2, MOST = 64 };

static struct tide_op *op, *merge;
static struct tide_exchange *exchange;

static int set_up(void **state) {
    op = op_of("operator");
    merge = op_of("merge");
    merge->keeps_keys = true;
    exchange = tide_exchange_new(TIDE_ROUTE_HASH, PARTITIONS, true, op, op);
    return 0;
}

static int tear_down(void **state) {
    tide_exchange_release(exchange);
    tide_op_release(op);
    tide_op_release(merge);
    assert_int_equal(tide_block_live(), 0);
    return 0;
}

/* ---- Lineage as text: (a b) merged, a b side by side, - nothing, [a;b;c] an operator with several inputs ---- */

struct shown {
    char text[1024];
    size_t size;
};

static void put(struct shown *shown, const char *text) {
    size_t size = strlen(text);

    assert_true(shown->size + size < sizeof shown->text);
    memcpy(shown->text + shown->size, text, size + 1);
    shown->size += size;
}

static void show(struct shown *shown, struct tide_rdd *rdd);

static void show_all(struct shown *shown, struct tide_rdd *rdd, const char *between) {
    for (uint32_t i = 0; i < rdd->as.many.count; i++) {
        if (i > 0) put(shown, between);
        show(shown, rdd->as.many.parents[i]);
    }
}

static void show(struct shown *shown, struct tide_rdd *rdd) {
    switch (rdd->kind) {
    case TIDE_RDD_SHUFFLED: show(shown, rdd->parent); break;
    case TIDE_RDD_ZIP_UNION:
    case TIDE_RDD_UNION: show_all(shown, rdd, " "); break;
    case TIDE_RDD_COALESCE:
        put(shown, "1:");
        show(shown, rdd->parent);
        break;
    case TIDE_RDD_ZIP:
        put(shown, rdd->as.many.count == 1 ? "(" : "[");
        show_all(shown, rdd, ";");
        put(shown, rdd->as.many.count == 1 ? ")" : "]");
        break;
    default:
        if (tide_rdd_known_records(rdd) == 0) {
            put(shown, "-");
        } else {
            char line[64];

            snprintf(line, sizeof line, "%s", text_of(rdd));
            line[strcspn(line, "|")] = '\0';
            put(shown, line);
        }
    }
}

static void expect_shown(struct tide_rdd *rdd, const char *text) {
    struct shown shown = {.size = 0};

    assert_non_null(rdd);
    show(&shown, rdd);
    assert_string_equal(shown.text, text);
}

/* ---- A graph with one window -------------------------------------------------------------------------------- */

struct rig {
    struct tide_graph *graph;
    struct tide_stream *input, *keyed, *window;
    struct tide_generation *generation;
};

/* The input's batch i has the line i, none where `none` says so (bit i). */
static void make_input(struct rig *rig, uint64_t none) {
    struct tide_rdd *entries[MOST];

    rig->graph = tide_graph_new(1000, 0);
    for (uint32_t i = 0; i < MOST; i++) entries[i] = i < 63 && (none >> (i + 1) & 1) ? NULL : rdd_of(i + 1, 1);
    rig->input = tide_stream_replay(rig->graph, entries, MOST, NULL, NULL);
    for (uint32_t i = 0; i < MOST; i++) tide_rdd_release(entries[i]);
    rig->keyed = tide_stream_shuffled(rig->input, exchange, NULL);
}

static void start(struct rig *rig, struct tide_stream *window) {
    uint32_t number;

    assert_non_null(window);
    rig->window = window;
    tide_graph_set_checkpointing(rig->graph, true);
    assert_int_equal(tide_stream_output(window, &number, NULL), 0);
    assert_int_equal(tide_graph_begin(rig->graph, 0, NULL), 0);
    rig->generation = tide_generation_new(rig->graph);
}

static void stop(struct rig *rig) {
    tide_generation_delete(rig->generation);
    tide_graph_delete(rig->graph);
}

/* Generates the batch; the window's dataset, borrowed from the stream. */
static struct tide_rdd *generate(struct rig *rig, int64_t batch) {
    tide_generation_begin(rig->generation, batch * 1000);
    assert_int_equal(tide_generation_run(rig->generation, NULL), TIDE_GENERATION_DONE);
    tide_generation_end(rig->generation);
    return tide_stream_dataset(rig->window, batch * 1000);
}

static void expect_batch(struct rig *rig, int64_t batch, const char *text) {
    expect_shown(generate(rig, batch), text);
    tide_graph_forget(rig->graph, batch * 1000);
}

/* ---- Plain windows ------------------------------------------------------------------------------------------ */

static void a_window_has_the_oldest_first(void **state) {
    struct rig rig;

    make_input(&rig, 1 << 3);
    start(&rig, tide_stream_window(rig.input, 3000, 1000, false, NULL));
    expect_batch(&rig, 1, "1");
    expect_batch(&rig, 2, "1 2");
    expect_batch(&rig, 3, "1 2");
    expect_batch(&rig, 4, "2 4");
    stop(&rig);
}

static void a_window_may_be_one_partition(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_window(rig.input, 2000, 1000, true, NULL));
    expect_batch(&rig, 1, "1");
    assert_int_equal(tide_rdd_partitions(generate(&rig, 2)), 1);
    expect_shown(tide_stream_dataset(rig.window, 2000), "1:1 2");
    stop(&rig);
}

static void a_window_over_nothing_is_empty(void **state) {
    struct rig rig;

    make_input(&rig, ~UINT64_C(0));
    start(&rig, tide_stream_window(rig.input, 2000, 1000, false, NULL));
    assert_int_equal(tide_rdd_partitions(generate(&rig, 1)), 0);
    stop(&rig);
}

static void keyed_datasets_stay_partitioned(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_window(rig.keyed, 2000, 1000, false, NULL));
    generate(&rig, 1);
    assert_int_equal(tide_rdd_key_partitions(generate(&rig, 2)), PARTITIONS);
    stop(&rig);
}

static void a_window_persists_what_it_is_applied_to(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_window(tide_stream_window(rig.keyed, 2000, 1000, false, NULL), 4000, 2000, false, NULL));
    assert_int_equal(tide_stream_level(rig.keyed), TIDE_LEVEL_MEMORY);
    assert_int_equal(tide_stream_level(rig.window), 0);
    assert_int_equal(tide_stream_remember(rig.window), 2000);
    assert_int_equal(tide_stream_remember(rig.keyed), 8000);
    stop(&rig);
}

static void durations_must_fit_the_slide(void **state) {
    struct tide_graph *graph = tide_graph_new(2000, 0);
    struct tide_stream *queue = tide_stream_queue(graph, true, NULL, NULL);
    struct tide_error err = {0};

    assert_null(tide_stream_window(queue, 3000, 0, false, &err));
    assert_string_equal(err.text,
                        "window: the window duration (3000 ms) must be a multiple of the slide duration of the "
                        "stream it is applied to (2000 ms)");
    tide_error_clear(&err);
    assert_null(tide_stream_merge_window(queue, 4000, 1000, 2, merge, true, &err));
    assert_non_null(strstr(err.text, "slide duration (1000 ms)"));
    tide_error_clear(&err);
    assert_null(tide_stream_inverse_window(queue, 2000, 4000, 2, merge, merge, &err));
    assert_int_equal(err.code, TIDE_EINVAL);
    tide_error_clear(&err);
    tide_graph_delete(graph);
}

/* ---- Windows that share merges ------------------------------------------------------------------------------ */

static void windows_that_overlap_share_nodes(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 4000, 1000, PARTITIONS, merge, true, NULL));
    expect_batch(&rig, 1, "1");
    expect_batch(&rig, 2, "(1 2)");
    expect_batch(&rig, 3, "((1 2) 3)");
    expect_batch(&rig, 4, "((1 2) (3 4))");

    struct tide_rdd *four = generate(&rig, 5);

    expect_shown(four, "(2 (3 4) 5)");
    tide_graph_forget(rig.graph, 5000);
    expect_batch(&rig, 6, "((3 4) (5 6))");
    expect_batch(&rig, 7, "(4 (5 6) 7)");
    expect_batch(&rig, 8, "((5 6) (7 8))");
    stop(&rig);
}

/* The node over batches 3 and 4, in the windows of the batches 4 and 5. */
static void a_shared_node_is_one_dataset(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 4000, 1000, PARTITIONS, merge, true, NULL));
    for (int64_t batch = 1; batch < 4; batch++) generate(&rig, batch);

    struct tide_rdd *fourth = generate(&rig, 4), *fifth = generate(&rig, 5);
    struct tide_rdd *whole = fourth->as.many.parents[0]; /* node [0, 4) under a dataset of its own */
    struct tide_rdd *halves = whole->as.many.parents[0];
    struct tide_rdd *parts = fifth->as.many.parents[0];

    assert_ptr_equal(halves->as.many.parents[1], parts->as.many.parents[1]);
    assert_int_equal(tide_rdd_level(parts->as.many.parents[1]), TIDE_LEVEL_MEMORY);
    assert_true(parts->as.many.parents[1]->truncate);
    assert_int_equal(tide_rdd_level(fourth), 0);
    assert_int_equal(tide_rdd_key_partitions(fifth), PARTITIONS);
    stop(&rig);
}

static void nodes_go_when_no_window_wants_them(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 4000, 1000, PARTITIONS, merge, true, NULL));
    for (int64_t batch = 1; batch < 4; batch++) generate(&rig, batch);

    struct tide_rdd *node = tide_rdd_retain(generate(&rig, 4)->as.many.parents[0]); /* [0, 4) */

    assert_int_equal(node->refs, 3); /* the stream's node, the window's dataset, ours */
    tide_graph_forget(rig.graph, 4000);
    assert_int_equal(node->refs, 2); /* the fifth window begins behind its begin */
    assert_int_equal(tide_rdd_level(node), 0);
    generate(&rig, 5);
    tide_graph_forget(rig.graph, 5000);
    assert_int_equal(node->refs, 1);
    tide_rdd_release(node);
    stop(&rig);
}

static void units_are_as_long_as_length_and_slide_allow(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 6000, 4000, PARTITIONS, merge, true, NULL));
    expect_batch(&rig, 4, "((1 2) (3 4))");
    expect_batch(&rig, 8, "((3 4) ((5 6) (7 8)))");
    stop(&rig);
}

static void without_overlap_nothing_is_shared(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 3000, 3000, PARTITIONS, merge, true, NULL));
    expect_batch(&rig, 3, "(1 2 3)");
    expect_batch(&rig, 6, "(4 5 6)");
    stop(&rig);
    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 1000, 3000, PARTITIONS, merge, true, NULL));
    expect_batch(&rig, 3, "3");
    assert_null(tide_stream_dataset(rig.keyed, 2000));
    expect_batch(&rig, 6, "6");
    stop(&rig);
}

static void missing_datasets_are_left_out_of_nodes(void **state) {
    struct rig rig;

    make_input(&rig, 1 << 2 | 1 << 3 | 1 << 4 | 1 << 5 | 1 << 6);
    start(&rig, tide_stream_merge_window(rig.keyed, 4000, 1000, PARTITIONS, merge, true, NULL));
    expect_batch(&rig, 1, "1");
    expect_batch(&rig, 2, "1");
    expect_batch(&rig, 4, "1");
    generate(&rig, 5);
    expect_shown(generate(&rig, 6), "-");
    assert_int_equal(tide_rdd_key_partitions(tide_stream_dataset(rig.window, 6000)), PARTITIONS);
    expect_batch(&rig, 8, "(7 8)");
    stop(&rig);
}

static void a_failed_batch_leaves_no_node_behind(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_merge_window(rig.keyed, 4000, 1000, PARTITIONS, merge, true, NULL));
    for (int64_t batch = 1; batch < 4; batch++) generate(&rig, batch);

    struct tide_rdd *whole = tide_rdd_retain(generate(&rig, 4)->as.many.parents[0]);
    struct tide_rdd *last = tide_rdd_retain(tide_stream_dataset(rig.keyed, 4000));

    tide_graph_settle(rig.graph, 4000, false);
    assert_null(tide_stream_dataset(rig.window, 4000));
    assert_int_equal(whole->refs, 1);
    expect_shown(generate(&rig, 5), "(2 (3 4) 5)");
    assert_ptr_not_equal(tide_stream_dataset(rig.keyed, 4000), last);
    tide_rdd_release(whole);
    tide_rdd_release(last);
    stop(&rig);
}

/* ---- Windows with an inverse -------------------------------------------------------------------------------- */

static void an_inverse_window_takes_what_leaves_and_what_comes(void **state) {
    struct rig rig;

    make_input(&rig, 1 << 3);
    start(&rig, tide_stream_inverse_window(rig.keyed, 2000, 1000, PARTITIONS, merge, merge, NULL));
    expect_shown(generate(&rig, 1), "[-;-;1]");
    expect_shown(generate(&rig, 2), "[[-;-;1];-;2]");
    expect_shown(generate(&rig, 3), "[[[-;-;1];-;2];1;-]");
    assert_int_equal(tide_rdd_key_partitions(tide_stream_dataset(rig.window, 3000)), PARTITIONS);
    assert_true(tide_stream_dataset(rig.window, 3000)->truncate);
    assert_int_equal(tide_stream_checkpoint_interval(rig.window), 10000);
    assert_int_equal(tide_stream_remember(rig.window), 20000);
    assert_int_equal(tide_stream_remember(rig.keyed), 22000);
    stop(&rig);
}

static void an_inverse_window_may_slide_by_several_batches(void **state) {
    struct rig rig;

    make_input(&rig, 0);
    start(&rig, tide_stream_inverse_window(rig.keyed, 3000, 2000, PARTITIONS, merge, merge, NULL));
    expect_shown(generate(&rig, 2), "[-;-;1 2]");
    expect_shown(generate(&rig, 4), "[[-;-;1 2];1;3 4]");
    expect_shown(generate(&rig, 6), "[[[-;-;1 2];1;3 4];2 3;5 6]");
    stop(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_window_has_the_oldest_first),
        cmocka_unit_test(a_window_may_be_one_partition),
        cmocka_unit_test(a_window_over_nothing_is_empty),
        cmocka_unit_test(keyed_datasets_stay_partitioned),
        cmocka_unit_test(a_window_persists_what_it_is_applied_to),
        cmocka_unit_test(durations_must_fit_the_slide),
        cmocka_unit_test(windows_that_overlap_share_nodes),
        cmocka_unit_test(a_shared_node_is_one_dataset),
        cmocka_unit_test(nodes_go_when_no_window_wants_them),
        cmocka_unit_test(units_are_as_long_as_length_and_slide_allow),
        cmocka_unit_test(without_overlap_nothing_is_shared),
        cmocka_unit_test(missing_datasets_are_left_out_of_nodes),
        cmocka_unit_test(a_failed_batch_leaves_no_node_behind),
        cmocka_unit_test(an_inverse_window_takes_what_leaves_and_what_comes),
        cmocka_unit_test(an_inverse_window_may_slide_by_several_batches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
