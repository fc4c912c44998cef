/*
 * rdd/rdd, rdd/lineage and rdd/range: what nodes know of themselves, reference counts, very long lineages, text for
 * people, bounds of range shuffles. Every test starts and ends with no live block.
 */
#include "base/alloc.h"
#include "rdd/lineage.h"
#include "rdd/node.h"
#include "rdd/range.h"
#include "rdd_rig.h"
#include "test.h"
#include "wire/pack.h"

enum { LONG = 100000 };

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

/* ---- Making a node from something else ---------------------------------------------------------------------- */

static struct tide_blocks *empty_lists(uint32_t count) {
    struct tide_blocks *lists = tide_xcalloc(count, sizeof *lists);

    for (uint32_t i = 0; i < count; i++) tide_blocks_create(&lists[i]);
    return lists;
}

static void a_zip_node_is_remade_until_it_is_computed(void **state) {
    struct tide_op *op = tide_op_new("x", 1, true), *other = tide_op_new("y", 1, true);
    struct tide_rdd *a = rig_blocks(2, 3, 0), *b = tide_rdd_empty_new(2), *wide = rig_blocks(3, 1, 0);
    struct tide_rdd *first[] = {a, b}, *second[] = {b};
    struct tide_rdd *made = tide_rdd_zip_new(first, 2, op);
    int computation;

    tide_rdd_persist(made, 1, true);
    made->failed = true;
    assert_true(tide_rdd_failed(made));
    assert_false(tide_rdd_zip_remake(made, &wide, 1, other)); /* of other partitions */
    assert_false(tide_rdd_zip_remake(a, second, 1, other));   /* no zip node */
    assert_int_equal(a->refs, 2);

    assert_true(tide_rdd_zip_remake(made, second, 1, other));
    assert_false(tide_rdd_failed(made));
    assert_int_equal(a->refs, 1); /* what it was made from before is let go */
    assert_int_equal(tide_rdd_children(made, 0), 1);
    assert_ptr_equal(made->as.many.op, other);
    assert_int_equal(tide_rdd_key_partitions(made), 2);

    made->caching = &computation;
    assert_false(tide_rdd_zip_remake(made, first, 2, op)); /* it is being computed */
    made->caching = NULL;
    made->failed = true;

    struct tide_cache *cache = rig_cache(UINT64_MAX);

    rig_keep_lists(made, cache, empty_lists(2));
    tide_cache_release(cache);
    assert_false(tide_rdd_failed(made));
    assert_false(tide_rdd_zip_remake(made, first, 2, op)); /* it is computed */

    struct tide_rdd *all[] = {a, b, wide, made};

    for (int i = 0; i < 4; i++) tide_rdd_release(all[i]);
    tide_op_release(op);
    tide_op_release(other);
}

/* ---- What nodes know ---------------------------------------------------------------------------------------- */

static void blocks_tell_their_records(void **state) {
    struct tide_rdd *rdd = rig_blocks(3, 4, 0), *none = tide_rdd_blocks_new(NULL, 0);

    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_BLOCKS);
    assert_int_equal(tide_rdd_partitions(rdd), 3);
    assert_int_equal(tide_rdd_known_records(rdd), 12);
    assert_int_equal(tide_rdd_key_partitions(rdd), 0);
    assert_true(tide_rdd_id(none) > tide_rdd_id(rdd));
    assert_int_equal(tide_rdd_partitions(none), 0);
    assert_int_equal(tide_rdd_known_records(none), 0);
    tide_rdd_release(rdd);
    tide_rdd_release(none);
}

static void blocks_are_moved_in(void **state) {
    int numbers[] = {1, 2};
    struct tide_blocks lists[2];
    struct tide_block *block = rig_block(numbers, 2);

    tide_blocks_create(&lists[0]);
    tide_blocks_create(&lists[1]);
    tide_blocks_push(&lists[1], block);

    struct tide_rdd *rdd = tide_rdd_blocks_new(lists, 2);

    assert_int_equal(lists[1].count, 0);
    assert_int_equal(block->refs, 1);
    assert_ptr_equal(rdd->as.blocks.lists[1].items[0], block);
    tide_blocks_destroy(&lists[0]);
    tide_blocks_destroy(&lists[1]);
    tide_rdd_release(rdd);
}

static void known_records_end_at_operators(void **state) {
    struct tide_rdd *a = rig_blocks(2, 5, 0), *b = rig_blocks(1, 1, 0);
    struct tide_rdd *both = rig_union(tide_rdd_retain(a), tide_rdd_retain(b));
    struct tide_rdd *less = rig_coalesce(tide_rdd_retain(both), 2);
    struct tide_rdd *mapped = rig_narrow(tide_rdd_retain(b), "map");
    struct tide_rdd *mixed = rig_union(tide_rdd_retain(mapped), tide_rdd_retain(a));

    assert_int_equal(tide_rdd_known_records(both), 11);
    assert_int_equal(tide_rdd_known_records(less), 11);
    assert_int_equal(tide_rdd_known_records(mapped), -1);
    assert_int_equal(tide_rdd_known_records(mixed), -1);

    struct tide_rdd *all[] = {a, b, both, less, mapped, mixed};

    for (int i = 0; i < 6; i++) tide_rdd_release(all[i]);
}

static void hash_partitioning_is_kept_and_lost(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(2, 1, 0), TIDE_ROUTE_HASH, 5, true);

    assert_int_equal(tide_rdd_partitions(rdd), 5);
    assert_int_equal(tide_rdd_key_partitions(rdd), 5);
    rdd = rig_keep(rdd, "mapValues");
    assert_int_equal(tide_rdd_key_partitions(rdd), 5);
    rdd = rig_coalesce(rdd, 9); /* as many as there are: the same partitions */
    assert_int_equal(tide_rdd_partitions(rdd), 5);
    assert_int_equal(tide_rdd_key_partitions(rdd), 5);

    struct tide_rdd *alone = tide_rdd_union_new(&rdd, 1);

    assert_int_equal(tide_rdd_key_partitions(alone), 5);
    tide_rdd_release(alone);

    struct tide_rdd *fewer = rig_coalesce(tide_rdd_retain(rdd), 2);

    assert_int_equal(tide_rdd_key_partitions(fewer), 0);
    tide_rdd_release(fewer);

    struct tide_rdd *twice = rig_union(tide_rdd_retain(rdd), tide_rdd_retain(rdd));

    assert_int_equal(tide_rdd_partitions(twice), 10);
    assert_int_equal(tide_rdd_key_partitions(twice), 0);
    tide_rdd_release(twice);

    rdd = rig_narrow(rdd, "map");
    assert_int_equal(tide_rdd_key_partitions(rdd), 0);
    tide_rdd_release(rdd);

    enum tide_route others[] = {TIDE_ROUTE_ROUNDROBIN, TIDE_ROUTE_SINGLE, TIDE_ROUTE_RANGE};

    for (int i = 0; i < 3; i++) {
        rdd = rig_shuffle(rig_blocks(1, 1, 0), others[i], 3, true);
        assert_int_equal(tide_rdd_key_partitions(rdd), 0);
        tide_rdd_release(rdd);
    }
}

static void coalesce_cuts_evenly(void **state) {
    for (uint32_t parents = 1; parents <= 20; parents++) {
        struct tide_rdd *base = rig_blocks(parents, 0, 0);

        for (uint32_t n = 1; n <= parents; n++) {
            struct tide_rdd *rdd = rig_coalesce(tide_rdd_retain(base), n);
            uint32_t reached = 0;

            assert_int_equal(tide_rdd_partitions(rdd), n);
            for (uint32_t i = 0; i < n; i++) {
                uint32_t from, to;

                tide_rdd_coalesce_range(rdd, i, &from, &to);
                assert_int_equal(from, reached);
                assert_true(to - from >= parents / n && to - from <= (parents + n - 1) / n);
                reached = to;
            }
            assert_int_equal(reached, parents);
            tide_rdd_release(rdd);
        }
        tide_rdd_release(base);
    }

    struct tide_rdd *rdd = rig_coalesce(rig_blocks(0, 0, 0), 3);

    assert_int_equal(tide_rdd_partitions(rdd), 0);
    tide_rdd_release(rdd);
}

static void union_finds_parents(void **state) {
    uint32_t sizes[] = {0, 2, 0, 0, 3, 1, 0};
    struct tide_rdd *parents[7];

    for (int i = 0; i < 7; i++) parents[i] = rig_blocks(sizes[i], 0, 0);

    struct tide_rdd *rdd = tide_rdd_union_new(parents, 7), *none = tide_rdd_union_new(NULL, 0);
    int expected[][2] = {{1, 0}, {1, 1}, {4, 0}, {4, 1}, {4, 2}, {5, 0}};

    assert_int_equal(tide_rdd_partitions(rdd), 6);
    for (uint32_t i = 0; i < 6; i++) {
        uint32_t local;

        assert_ptr_equal(tide_rdd_union_parent(rdd, i, &local), parents[expected[i][0]]);
        assert_int_equal(local, expected[i][1]);
    }
    assert_int_equal(tide_rdd_partitions(none), 0);
    tide_rdd_release(none);
    tide_rdd_release(rdd);
    for (int i = 0; i < 7; i++) tide_rdd_release(parents[i]);
}

static void union_refuses_too_many_partitions(void **state) {
    struct tide_rdd *rdd = rig_blocks(2, 0, 0);

    while (tide_rdd_partitions(rdd) < TIDE_RDD_MAX_PARTITIONS) rdd = rig_union(tide_rdd_retain(rdd), rdd);

    struct tide_rdd *parents[2] = {rdd, rdd};

    assert_int_equal(rdd->refs, 1);
    assert_null(tide_rdd_union_new(parents, 2));
    assert_int_equal(rdd->refs, 1);
    tide_rdd_release(rdd);
}

/* ---- References --------------------------------------------------------------------------------------------- */

static void operators_are_counted(void **state) {
    struct tide_op *op = rig_op("f", true);
    struct tide_rdd *base = rig_blocks(1, 0, 0);
    struct tide_rdd *a = tide_rdd_narrow_new(base, op), *b = tide_rdd_narrow_new(base, op);
    struct tide_exchange *exchange = tide_exchange_new(TIDE_ROUTE_HASH, 2, true, op, NULL);

    assert_int_equal(op->refs, 4);
    assert_int_equal(base->refs, 3);
    tide_exchange_release(tide_exchange_retain(exchange));
    assert_int_equal(op->refs, 4);
    tide_exchange_release(exchange);
    tide_rdd_release(a);
    tide_rdd_release(b);
    assert_int_equal(op->refs, 1);
    assert_int_equal(base->refs, 1);
    tide_op_release(op);
    tide_op_release(NULL);
    tide_exchange_release(NULL);
    tide_rdd_release(base);
    tide_rdd_release(NULL);
}

static void long_lineages_are_released(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0);

    for (int i = 0; i < LONG; i++) {
        switch (i % 4) {
        case 0: rdd = rig_narrow(rdd, "f"); break;
        case 1: rdd = rig_coalesce(rdd, 1); break;
        case 2: rdd = rig_shuffle(rdd, TIDE_ROUTE_SINGLE, 1, true); break;
        case 3: rdd = rig_coalesce(rig_union(rdd, rig_blocks(1, 1, i)), 1); break;
        }
    }
    assert_int_equal(tide_block_live(), 1 + LONG / 4);
    tide_rdd_release(rdd);
    assert_int_equal(tide_block_live(), 0);
}

static void a_node_in_the_middle_outlives_its_children(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0), *middle = NULL;

    for (int i = 0; i < 1000; i++) {
        rdd = rig_narrow(rdd, "f");
        if (i == 500) middle = tide_rdd_retain(rdd);
    }
    tide_rdd_release(rdd);
    assert_int_equal(middle->refs, 1);
    assert_int_equal(tide_block_live(), 1);
    tide_rdd_release(middle);
}

static void a_settled_shuffle_lets_its_input_go(void **state) {
    int numbers[] = {1, 2, 3};
    struct tide_rdd *rdd = rig_shuffle(rig_narrow(rig_blocks(4, 100, 0), "f"), TIDE_ROUTE_HASH, 2, true);
    struct tide_blocks *outputs = tide_xcalloc(2, sizeof *outputs);

    assert_false(tide_rdd_computed(rdd));
    assert_int_equal(tide_block_live(), 4);
    tide_blocks_create(&outputs[0]);
    tide_blocks_create(&outputs[1]);
    tide_blocks_push(&outputs[1], rig_block(numbers, 3));
    rig_settle(rdd, outputs);
    assert_true(tide_rdd_computed(rdd));
    assert_int_equal(tide_block_live(), 1);
    assert_int_equal(tide_rdd_key_partitions(rdd), 2);
    tide_rdd_release(rdd);
}

static void files_own_their_paths(void **state) {
    struct tide_file_split splits[2] = {{.path = tide_xstrdup("/a"), .offset = 0, .length = 10},
                                        {.path = tide_xstrdup("/b"), .offset = 10, .length = 20}};
    struct tide_rdd *rdd = tide_rdd_files_new(splits, 2);

    assert_null(splits[0].path);
    assert_string_equal(rdd->as.files.splits[1].path, "/b");
    assert_int_equal(tide_rdd_known_records(rdd), -1);
    tide_rdd_release(rdd);
}

/* ---- Text --------------------------------------------------------------------------------------------------- */

static char *lineage(struct tide_rdd *rdd) {
    struct tide_buffer out;
    size_t size;

    tide_buffer_create(&out);
    tide_rdd_lineage(rdd, &out);
    tide_buffer_append(&out, "", 1);
    return (char *)tide_buffer_take(&out, &size);
}

static void assert_lineage(struct tide_rdd *rdd, const char *expected) {
    char *text = lineage(rdd);

    assert_string_equal(text, expected);
    tide_free(text);
}

static void lineage_reads_from_result_to_source(void **state) {
    struct tide_rdd *blocks = rig_blocks(2, 5, 0), *other = rig_blocks(1, 4, 0);
    uint64_t id = tide_rdd_id(blocks);
    char expected[400];
    struct tide_rdd *rdd = rig_union(rig_narrow(tide_rdd_retain(blocks), "map"), other);

    rdd = rig_shuffle(rig_coalesce(rdd, 2), TIDE_ROUTE_RANGE, 4, true);
    rdd = rig_narrow(rig_union(rdd, blocks), "keys");
    /* ids in the order of making: blocks, other, map, union, coalesce, shuffle, union, keys */
    snprintf(
        expected, sizeof expected,
        "(6) #%d keys\n(6) #%d union\n+-(4) #%d r, shuffle by key order\n  +-(2) #%d coalesce\n    (3) #%d union\n"
        "    +-(2) #%d map\n      (2) #%d blocks, 10 records\n    +-(1) #%d blocks, 4 records\n+-#%d, see above\n",
        (int)id + 7, (int)id + 6, (int)id + 5, (int)id + 4, (int)id + 3, (int)id + 2, (int)id, (int)id + 1, (int)id);
    assert_lineage(rdd, expected);
    tide_rdd_release(rdd);
}

static void labels_come_from_descriptors(void **state) {
    struct tide_buffer bytes, out;

    tide_buffer_create(&bytes);
    tide_buffer_create(&out);
    tide_pack_map(&bytes, 3);
    tide_pack_text(&bytes, "site");
    tide_pack_text(&bytes, "job.lua:12");
    tide_pack_text(&bytes, "fn");
    tide_pack_string(&bytes, "\0name", 5);
    tide_pack_text(&bytes, "name");
    tide_pack_text(&bytes, "flatMap");

    struct tide_op *op = tide_op_new(bytes.data, bytes.size, false), *cut = tide_op_new(bytes.data, 8, false);

    tide_op_label(op, "operator", &out);
    tide_op_label(cut, " operator", &out);
    tide_op_label(NULL, " nothing", &out);
    tide_buffer_append(&out, "", 1);
    assert_string_equal((char *)out.data, "flatMap (job.lua:12) operator nothing");
    tide_op_release(op);
    tide_op_release(cut);
    tide_buffer_destroy(&bytes);
    tide_buffer_destroy(&out);
}

static void shared_nodes_are_written_once(void **state) {
    struct tide_rdd *rdd = rig_blocks(0, 0, 0);

    for (int i = 0; i < 60; i++) rdd = rig_union(tide_rdd_retain(rdd), rdd); /* 2^60 ways down */

    char *text = lineage(rdd);
    int lines = 0;

    for (const char *at = text; *at != '\0'; at++) lines += *at == '\n';
    assert_int_equal(lines, 1 + 2 * 60);
    tide_free(text);
    tide_rdd_release(rdd);
}

static void long_lineages_are_written(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0);

    for (int i = 0; i < LONG; i++) rdd = rig_narrow(rdd, "f");

    char *text = lineage(rdd);

    assert_non_null(strstr(text, "blocks, 1 records\n"));
    tide_free(text);
    tide_rdd_release(rdd);
}

/* ---- Bounds ------------------------------------------------------------------------------------------------- */

static struct tide_blocks list_of(const int *numbers, uint32_t count) {
    struct tide_blocks list;

    tide_blocks_create(&list);
    tide_blocks_push(&list, rig_block(numbers, count));
    return list;
}

static void assert_bounds(const struct tide_range_sample *samples, uint32_t count, uint32_t partitions,
                          const char *expected) {
    struct tide_error err = {0};
    struct tide_blocks list;
    struct tide_block *bounds = tide_range_bounds(samples, count, partitions, &err);

    assert_non_null(bounds);
    assert_int_equal(bounds->kind, TIDE_BLOCK_PACKED);
    tide_blocks_create(&list);
    tide_blocks_push(&list, bounds);

    char *numbers = rig_numbers(&list);

    assert_string_equal(numbers, expected);
    tide_free(numbers);
    tide_blocks_destroy(&list);
}

static void bounds_cut_in_even_parts(void **state) {
    int numbers[] = {8, 3, 12, 1, 5, 10, 2, 7, 4, 11, 6, 9};
    struct tide_blocks list = list_of(numbers, 12);
    struct tide_range_sample sample = {.keys = &list, .records = 12};

    assert_bounds(&sample, 1, 4, "3 6 9");
    assert_bounds(&sample, 1, 3, "4 8");
    assert_bounds(&sample, 1, 2, "6");
    assert_bounds(&sample, 1, 100, "1 2 3 4 5 6 7 8 9 10 11 12");
    tide_blocks_destroy(&list);
}

static void bounds_weigh_by_partition_size(void **state) {
    int low[] = {1, 2, 3, 4}, high[] = {11, 12, 13, 14};
    struct tide_blocks lists[2] = {list_of(low, 4), list_of(high, 4)};
    struct tide_range_sample samples[2] = {{&lists[0], 4}, {&lists[1], 12}};

    /* 16 records: 1 2 3 4 weigh one each, 11 … 14 three each. */
    assert_bounds(samples, 2, 4, "4 12 13");
    assert_bounds(samples, 2, 2, "12");
    samples[0].records = 12;
    samples[1].records = 4;
    assert_bounds(samples, 2, 2, "3");
    tide_blocks_destroy(&lists[0]);
    tide_blocks_destroy(&lists[1]);
}

static void equal_keys_make_one_bound(void **state) {
    int same[] = {7, 7, 7, 7, 7, 7, 7, 9}, none[] = {0};
    struct tide_blocks lists[2] = {list_of(same, 8), list_of(none, 0)};
    struct tide_range_sample samples[2] = {{&lists[0], 8}, {&lists[1], 0}};

    assert_bounds(samples, 2, 4, "7 9");
    assert_bounds(samples + 1, 1, 4, "");
    assert_bounds(NULL, 0, 4, "");
    tide_blocks_destroy(&lists[0]);
    tide_blocks_destroy(&lists[1]);
}

static void broken_samples_are_refused(void **state) {
    int numbers[] = {1000, 1001};
    struct tide_blocks list = list_of(numbers, 2);
    struct tide_range_sample sample = {.keys = &list, .records = 2};
    struct tide_error err = {0};

    list.items[0]->size--;
    assert_null(tide_range_bounds(&sample, 1, 2, &err));
    assert_int_equal(err.code, TIDE_ECORRUPT);
    assert_non_null(strstr(err.text, "sampled key 2 of 2"));
    tide_error_clear(&err);
    list.items[0]->arity = 2;
    assert_null(tide_range_bounds(&sample, 1, 2, &err));
    assert_int_equal(err.code, TIDE_ECORRUPT);
    tide_error_clear(&err);
    tide_blocks_destroy(&list);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, no_block_lives, no_block_lives)
    const struct CMUnitTest tests[] = {
        CHECKED(a_zip_node_is_remade_until_it_is_computed),
        CHECKED(blocks_tell_their_records),
        CHECKED(blocks_are_moved_in),
        CHECKED(known_records_end_at_operators),
        CHECKED(hash_partitioning_is_kept_and_lost),
        CHECKED(coalesce_cuts_evenly),
        CHECKED(union_finds_parents),
        CHECKED(union_refuses_too_many_partitions),
        CHECKED(operators_are_counted),
        CHECKED(long_lineages_are_released),
        CHECKED(a_node_in_the_middle_outlives_its_children),
        CHECKED(a_settled_shuffle_lets_its_input_go),
        CHECKED(files_own_their_paths),
        CHECKED(lineage_reads_from_result_to_source),
        CHECKED(labels_come_from_descriptors),
        CHECKED(shared_nodes_are_written_once),
        CHECKED(long_lineages_are_written),
        CHECKED(bounds_cut_in_even_parts),
        CHECKED(bounds_weigh_by_partition_size),
        CHECKED(equal_keys_make_one_bound),
        CHECKED(broken_samples_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
