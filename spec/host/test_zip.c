/*
 * Datasets and streams of several inputs: zip unions, zips, products, exchanges that find their records in place
 * already, and the stream kind "zip". What stages make of them is in test_stage.c.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "dstream/generation.h"
#include "dstream/graph.h"
#include "rdd/lineage.h"
#include "rdd/node.h"
#include "rdd_rig.h"
#include "stream_rig.h"
#include "test.h"

static struct tide_op *op, *here;
static struct tide_exchange *exchange; /* to two partitions by key; "here" where they are there */
static struct tide_exchange *as_is;    /* the same; nothing where they are there */

static int set_up(void **state) {
    op = rig_op("join", true);
    here = rig_op("here", true);
    exchange = tide_exchange_new(TIDE_ROUTE_HASH, 2, true, op, op);
    tide_exchange_set_in_place(exchange, here);
    as_is = tide_exchange_new(TIDE_ROUTE_HASH, 2, true, op, op);
    tide_exchange_set_in_place(as_is, NULL);
    return tide_block_live() == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    tide_exchange_release(exchange);
    tide_exchange_release(as_is);
    tide_op_release(op);
    tide_op_release(here);
    return tide_block_live() == 0 ? 0 : -1;
}

static struct tide_rdd *hashed(uint32_t partitions) {
    return rig_shuffle(rig_blocks(3, 1, 0), TIDE_ROUTE_HASH, partitions, true);
}

static void release(struct tide_rdd *const *rdds, int count) {
    for (int i = 0; i < count; i++) tide_rdd_release(rdds[i]);
}

/* ---- Datasets ----------------------------------------------------------------------------------------------- */

static void zip_unions_need_as_many_partitions(void **state) {
    struct tide_rdd *a = rig_blocks(2, 3, 0), *b = rig_blocks(2, 1, 0), *c = rig_blocks(3, 1, 0);
    struct tide_rdd *rdd = rig_zip_union(tide_rdd_retain(a), tide_rdd_retain(b));

    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_ZIP_UNION);
    assert_int_equal(tide_rdd_partitions(rdd), 2);
    assert_int_equal(tide_rdd_known_records(rdd), 8);
    assert_int_equal(tide_rdd_key_partitions(rdd), 0);
    assert_null(tide_rdd_zip_union_new((struct tide_rdd *[]){a, c}, 2));
    assert_null(tide_rdd_zip_union_new(NULL, 0));
    release((struct tide_rdd *[]){a, b, c, rdd}, 4);
}

static void unions_stay_partitioned_where_all_are_alike(void **state) {
    struct tide_rdd *a = hashed(4), *b = hashed(4), *c = hashed(5), *d = rig_blocks(4, 1, 0);
    struct tide_rdd *alike = tide_rdd_union_auto_new((struct tide_rdd *[]){a, b, a}, 3);
    struct tide_rdd *unlike = tide_rdd_union_auto_new((struct tide_rdd *[]){a, c}, 2);
    struct tide_rdd *plain = tide_rdd_union_auto_new((struct tide_rdd *[]){a, d}, 2);
    struct tide_rdd *none = tide_rdd_union_auto_new((struct tide_rdd *[]){d, d}, 2);

    assert_int_equal(tide_rdd_kind(alike), TIDE_RDD_ZIP_UNION);
    assert_int_equal(tide_rdd_partitions(alike), 4);
    assert_int_equal(tide_rdd_key_partitions(alike), 4);
    assert_int_equal(tide_rdd_partitions(unlike), 9);
    assert_int_equal(tide_rdd_key_partitions(unlike), 0);
    assert_int_equal(tide_rdd_partitions(plain), 8);
    assert_int_equal(tide_rdd_partitions(none), 8);
    release((struct tide_rdd *[]){a, b, c, d, alike, unlike, plain, none}, 8);
}

static void zips_keep_partitioning_if_their_operator_does(void **state) {
    struct tide_rdd *a = hashed(4), *b = hashed(4), *c = hashed(5);
    struct tide_op *loses = rig_op("zip", false);
    struct tide_rdd *keeps = tide_rdd_zip_new((struct tide_rdd *[]){a, b}, 2, op);
    struct tide_rdd *lost = tide_rdd_zip_new((struct tide_rdd *[]){a, b}, 2, loses);

    assert_int_equal(tide_rdd_partitions(keeps), 4);
    assert_int_equal(tide_rdd_key_partitions(keeps), 4);
    assert_int_equal(tide_rdd_key_partitions(lost), 0);
    assert_int_equal(tide_rdd_known_records(keeps), -1);
    assert_null(tide_rdd_zip_new((struct tide_rdd *[]){a, c}, 2, op));
    tide_op_release(loses);
    release((struct tide_rdd *[]){a, b, c, keeps, lost}, 5);
}

static void products_multiply_partitions(void **state) {
    struct tide_rdd *a = rig_blocks(3, 1, 0), *b = rig_blocks(4, 1, 0), *huge = rig_coalesce(rig_blocks(1, 1, 0), 1);
    struct tide_rdd *rdd = tide_rdd_cartesian_new(a, b, op);
    uint32_t local;

    assert_int_equal(tide_rdd_partitions(rdd), 12);
    assert_ptr_equal(tide_rdd_child(rdd, 7, 0, &local), a);
    assert_int_equal(local, 1);
    assert_ptr_equal(tide_rdd_child(rdd, 7, 1, &local), b);
    assert_int_equal(local, 3);
    assert_int_equal(tide_rdd_children(rdd, 7), 2);
    release((struct tide_rdd *[]){huge}, 1);
    huge = rig_blocks(2000, 0, 0);
    assert_null(tide_rdd_cartesian_new(huge, huge, op));
    release((struct tide_rdd *[]){a, b, rdd, huge}, 4);
}

static void records_in_place_are_not_shuffled(void **state) {
    struct tide_rdd *two = hashed(2), *three = hashed(3);
    struct tide_rdd *merged = tide_rdd_partitioned_new(two, exchange), *same = tide_rdd_partitioned_new(two, as_is);
    struct tide_rdd *moved = tide_rdd_partitioned_new(three, as_is);

    assert_int_equal(tide_rdd_kind(merged), TIDE_RDD_ZIP);
    assert_int_equal(tide_rdd_key_partitions(merged), 2);
    assert_ptr_equal(same, two);
    assert_int_equal(tide_rdd_kind(moved), TIDE_RDD_SHUFFLED);
    assert_int_equal(tide_rdd_key_partitions(moved), 2);
    release((struct tide_rdd *[]){two, three, merged, same, moved}, 5);
}

static void long_lineages_of_zips_are_released(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0);

    for (int i = 0; i < 20000; i++) rdd = rig_zip(rdd, rig_blocks(1, 1, 0), "g");
    tide_rdd_release(rdd);
}

static void lineage_shows_all_parents(void **state) {
    struct tide_rdd *a = rig_blocks(2, 1, 0), *b = rig_blocks(2, 1, 0);
    struct tide_rdd *rdd =
        rig_cartesian(rig_zip(a, b, "zip"), rig_zip_union(rig_blocks(1, 1, 0), rig_blocks(1, 1, 0)), "x");
    struct tide_buffer text;
    const char *tails[] = {" x\n", " zip\n", " blocks, 2 records\n", " union, partition by partition\n"};

    tide_rdd_set_name(rdd, "everything");
    assert_string_equal(tide_rdd_name(rdd), "everything");
    tide_buffer_create(&text);
    tide_rdd_lineage(rdd, &text);
    tide_buffer_append(&text, "", 1);
    assert_non_null(strstr((char *)text.data, "(2) #"));
    assert_non_null(strstr((char *)text.data, " everything, x\n"));
    for (int i = 0; i < 4; i++) assert_non_null(strstr((char *)text.data, tails[i]));
    tide_buffer_destroy(&text);
    tide_rdd_set_name(rdd, NULL);
    assert_null(tide_rdd_name(rdd));
    tide_rdd_release(rdd);
}

/* ---- Streams ------------------------------------------------------------------------------------------------ */

static void output(struct tide_stream *stream) {
    uint32_t number;

    assert_int_equal(tide_stream_output(stream, &number, NULL), 0);
}

/* The dataset of the only output of the batch at 1000, retained; NULL and the error when it can't be made. */
static struct tide_rdd *generate(struct tide_graph *graph, struct tide_error *err) {
    struct tide_generation *generation = tide_generation_new(graph);
    struct tide_rdd *rdd = NULL;

    assert_int_equal(tide_graph_begin(graph, 0, NULL), 0);
    tide_generation_begin(generation, 1000);
    if (tide_generation_run(generation, err) == TIDE_GENERATION_DONE)
        rdd = tide_rdd_retain(tide_generation_output(generation, 0));
    tide_generation_end(generation);
    tide_generation_delete(generation);
    return rdd;
}

static struct tide_stream *replay(struct tide_graph *graph, struct tide_rdd *take) {
    struct tide_stream *stream = tide_stream_replay(graph, &take, 1, NULL, NULL);

    tide_rdd_release(take);
    return stream;
}

static void streams_are_brought_together_by_key(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *a = replay(graph, hashed(2)), *b = replay(graph, hashed(3));
    struct tide_stream *all[] = {a, b, b};
    struct tide_stream *joined = tide_stream_zip(graph, all, 3, op, as_is, NULL);

    assert_string_equal(tide_stream_kind(joined), "zip");
    output(joined);

    struct tide_rdd *rdd = generate(graph, NULL);

    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_ZIP);
    assert_int_equal(tide_rdd_key_partitions(rdd), 2);
    assert_ptr_equal(rdd->as.many.parents[0], tide_stream_dataset(a, 1000));
    assert_int_equal(tide_rdd_kind(rdd->as.many.parents[1]), TIDE_RDD_SHUFFLED);
    assert_ptr_equal(rdd->as.many.parents[1], rdd->as.many.parents[2]);
    tide_rdd_release(rdd);
    tide_graph_delete(graph);
}

static void streams_without_a_dataset_fail_the_batch(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_rdd *hole = NULL;
    struct tide_stream *all[] = {replay(graph, hashed(2)), tide_stream_replay(graph, &hole, 1, NULL, NULL)};
    struct tide_error err = {0};

    output(tide_stream_zip(graph, all, 2, op, as_is, NULL));
    assert_null(generate(graph, &err));
    assert_int_equal(err.code, TIDE_EGENERATION);
    assert_non_null(strstr(err.text, "join: stream 1 generated no dataset for batch 1000 ms"));
    tide_error_clear(&err);
    tide_graph_delete(graph);
}

static void streams_side_by_side_need_as_many_partitions(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *all[] = {replay(graph, rig_blocks(2, 1, 0)), replay(graph, rig_blocks(3, 1, 0))};
    struct tide_error err = {0};

    output(tide_stream_zip(graph, all, 2, op, NULL, NULL));
    assert_null(generate(graph, &err));
    assert_int_equal(err.code, TIDE_EGENERATION);
    assert_non_null(strstr(err.text, "different numbers of partitions"));
    tide_error_clear(&err);
    tide_graph_delete(graph);
}

static void unions_of_partitioned_streams_stay_so(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *all[] = {replay(graph, hashed(2)), replay(graph, hashed(2))};

    output(tide_stream_union(graph, all, 2, NULL));

    struct tide_rdd *rdd = generate(graph, NULL);

    assert_int_equal(tide_rdd_key_partitions(rdd), 2);
    tide_rdd_release(rdd);
    tide_graph_delete(graph);
}

static void streams_persist_their_datasets(void **state) {
    struct tide_graph *graph = tide_graph_new(1000, 0);
    struct tide_stream *stream = tide_stream_narrow(replay(graph, hashed(2)), op, NULL);
    struct tide_error err = {0};

    assert_int_equal(tide_stream_level(stream), 0);
    assert_int_equal(tide_stream_persist(stream, TIDE_LEVEL_MEMORY, false, NULL), 0);
    assert_int_equal(tide_stream_level(stream), TIDE_LEVEL_MEMORY);
    output(stream);

    struct tide_rdd *rdd = generate(graph, NULL);

    assert_int_equal(tide_rdd_level(rdd), TIDE_LEVEL_MEMORY);
    assert_int_equal(tide_stream_persist(stream, 0, false, &err), TIDE_ESTATE);
    tide_error_clear(&err);
    tide_graph_forget_all(graph);
    assert_int_equal(tide_rdd_level(rdd), 0);
    tide_rdd_release(rdd);
    tide_graph_delete(graph);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(zip_unions_need_as_many_partitions),
        CHECKED(unions_stay_partitioned_where_all_are_alike),
        CHECKED(zips_keep_partitioning_if_their_operator_does),
        CHECKED(products_multiply_partitions),
        CHECKED(records_in_place_are_not_shuffled),
        CHECKED(long_lineages_of_zips_are_released),
        CHECKED(lineage_shows_all_parents),
        CHECKED(streams_are_brought_together_by_key),
        CHECKED(streams_without_a_dataset_fail_the_batch),
        CHECKED(streams_side_by_side_need_as_many_partitions),
        CHECKED(unions_of_partitioned_streams_stay_so),
        CHECKED(streams_persist_their_datasets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
