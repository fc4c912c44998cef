/*
 * Checkpoints of nodes: which ones are due, and what cutting the lineage leaves. No job runs here; pins stand for the
 * stages that wait to read from a node.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "rdd/lineage.h"
#include "rdd/node.h"
#include "rdd_rig.h"
#include "test.h"

static struct tide_op *read_op;

static int set_up(void **state) {
    read_op = rig_op("read", false);
    return tide_block_live() == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    tide_op_release(read_op);
    return tide_block_live() == 0 ? 0 : -1;
}

static struct tide_rdd *marked(struct tide_rdd *rdd) {
    tide_rdd_checkpoint_mark(rdd, "/ck/rdd", "job.lua:1");
    return rdd;
}

static void finish(struct tide_rdd *rdd) {
    struct tide_rdd *parts = rig_blocks(tide_rdd_partitions(rdd), 1, 50);

    tide_rdd_checkpoint_end(rdd, parts, read_op);
    tide_rdd_release(parts);
}

static void write_now(struct tide_rdd *rdd) {
    assert_true(tide_rdd_checkpoint_begin(rdd));
    finish(rdd);
}

/* Lists with one record each, as a job would have made them. */
static void keep(struct tide_rdd *rdd) {
    struct tide_blocks *lists = tide_xcalloc(tide_rdd_partitions(rdd), sizeof *lists);

    for (uint32_t i = 0; i < tide_rdd_partitions(rdd); i++) {
        int number = (int)i;

        tide_blocks_create(&lists[i]);
        tide_blocks_push(&lists[i], rig_block(&number, 1));
    }

    struct tide_cache *cache = rig_cache(UINT64_MAX);

    rig_keep_lists(rdd, cache, lists);
    tide_cache_release(cache);
}

static void assert_due(struct tide_rdd *root, struct tide_rdd *first, struct tide_rdd *second) {
    struct tide_rdd **due;
    uint32_t count = tide_rdd_checkpoint_due(root, &due);

    assert_int_equal(count, (first ? 1 : 0) + (second ? 1 : 0));
    if (first) assert_ptr_equal(due[0], first);
    if (second) assert_ptr_equal(due[1], second);
    tide_free(due);
}

static void assert_reads_files(struct tide_rdd *rdd) {
    assert_int_equal(tide_rdd_checkpoint(rdd), TIDE_CHECKPOINT_DONE);
    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_NARROW);
    assert_ptr_equal(rdd->as.op, read_op);
    assert_int_equal(tide_rdd_kind(rdd->parent), TIDE_RDD_BLOCKS);
}

static void a_mark_goes_through_its_states(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_blocks(2, 1, 0), "f");

    assert_int_equal(tide_rdd_checkpoint(rdd), TIDE_CHECKPOINT_NONE);
    assert_null(tide_rdd_checkpoint_directory(rdd));
    assert_null(tide_rdd_checkpoint_site(rdd));
    assert_false(tide_rdd_checkpoint_begin(rdd));
    marked(rdd);
    tide_rdd_checkpoint_mark(rdd, "/other", "other.lua:2");
    assert_string_equal(tide_rdd_checkpoint_directory(rdd), "/ck/rdd");
    assert_string_equal(tide_rdd_checkpoint_site(rdd), "job.lua:1");
    tide_rdd_checkpoint_fail(rdd);
    assert_int_equal(tide_rdd_checkpoint(rdd), TIDE_CHECKPOINT_MARKED);
    assert_true(tide_rdd_checkpoint_begin(rdd));
    assert_false(tide_rdd_checkpoint_begin(rdd));
    tide_rdd_checkpoint_fail(rdd);
    assert_int_equal(tide_rdd_checkpoint(rdd), TIDE_CHECKPOINT_NONE);
    write_now(marked(rdd));
    assert_reads_files(rdd);
    tide_rdd_checkpoint_fail(rdd);
    assert_int_equal(tide_rdd_checkpoint(rdd), TIDE_CHECKPOINT_DONE);
    tide_rdd_release(rdd);
}

static void the_nearest_ones_are_due(void **state) {
    struct tide_rdd *far = marked(rig_narrow(rig_blocks(2, 1, 0), "far"));
    struct tide_rdd *near = marked(rig_narrow(tide_rdd_retain(far), "near"));
    struct tide_rdd *side = marked(rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 2, true));
    struct tide_rdd *both = rig_union(rig_keep(tide_rdd_retain(near), "k"), tide_rdd_retain(side));
    struct tide_rdd *twice = rig_union(tide_rdd_retain(both), rig_coalesce(tide_rdd_retain(near), 1));
    struct tide_rdd *plain = rig_blocks(1, 1, 0);

    assert_due(plain, NULL, NULL);
    assert_due(near, near, NULL);
    assert_due(far, far, NULL);
    assert_due(twice, near, side);
    assert_true(tide_rdd_checkpoint_begin(near));
    assert_due(twice, side, NULL); /* what is being written hides what is above */
    write_now(side);
    assert_due(twice, NULL, NULL);
    tide_rdd_checkpoint_fail(near);
    assert_due(twice, far, NULL);
    tide_rdd_release(plain);
    tide_rdd_release(twice);
    tide_rdd_release(both);
    tide_rdd_release(side);
    tide_rdd_release(near);
    tide_rdd_release(far);
}

static void every_kind_lets_go_of_what_it_came_from(void **state) {
    struct tide_rdd *nodes[] = {
        rig_blocks(4, 1, 0),
        rig_narrow(rig_blocks(4, 1, 0), "f"),
        rig_union(rig_blocks(2, 1, 0), rig_blocks(2, 1, 0)),
        rig_coalesce(rig_blocks(8, 1, 0), 4),
        rig_shuffle(rig_blocks(3, 1, 0), TIDE_ROUTE_HASH, 4, true),
        rig_zip_union(rig_blocks(4, 1, 0), rig_blocks(4, 1, 0)),
        rig_zip(rig_blocks(4, 1, 0), rig_blocks(4, 1, 0), "g"),
        rig_cartesian(rig_blocks(2, 1, 0), rig_blocks(2, 1, 0), "c"),
    };

    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        uint64_t id = tide_rdd_id(nodes[i]);
        uint32_t hashed = tide_rdd_key_partitions(nodes[i]);

        tide_rdd_set_name(nodes[i], "mine");
        write_now(marked(nodes[i]));
        assert_reads_files(nodes[i]);
        assert_int_equal(tide_rdd_id(nodes[i]), id);
        assert_int_equal(tide_rdd_partitions(nodes[i]), 4);
        assert_int_equal(tide_rdd_key_partitions(nodes[i]), hashed);
        assert_int_equal(tide_rdd_known_records(nodes[i]), -1);
        assert_string_equal(tide_rdd_name(nodes[i]), "mine");
    }
    assert_int_equal(tide_block_live(), 4 * sizeof nodes / sizeof nodes[0]);
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) tide_rdd_release(nodes[i]);
}

static void lineage_stays_while_a_stage_waits_for_the_node(void **state) {
    struct tide_rdd *rdd = marked(rig_shuffle(rig_blocks(3, 1, 0), TIDE_ROUTE_HASH, 2, true));

    tide_rdd_pin(rdd);
    tide_rdd_pin(rdd);
    write_now(rdd);
    assert_int_equal(tide_rdd_checkpoint(rdd), TIDE_CHECKPOINT_DONE);
    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_SHUFFLED);
    tide_rdd_unpin(rdd);
    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_SHUFFLED);
    tide_rdd_unpin(rdd);
    assert_reads_files(rdd);
    assert_int_equal(tide_block_live(), 2);
    tide_rdd_release(rdd);
}

static void what_is_kept_stays_until_it_is_unpersisted(void **state) {
    struct tide_rdd *rdd = marked(rig_narrow(rig_blocks(2, 1, 0), "f"));

    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY, false);
    keep(rdd);
    write_now(rdd);
    assert_reads_files(rdd);
    assert_true(tide_rdd_available(rdd, NULL));
    assert_int_equal(tide_rdd_known_records(rdd), 2);
    assert_int_equal(tide_block_live(), 4);
    tide_rdd_unpersist(rdd);
    assert_false(tide_rdd_available(rdd, NULL));
    assert_int_equal(tide_rdd_known_records(rdd), -1);
    assert_int_equal(tide_block_live(), 2);
    assert_reads_files(rdd);
    tide_rdd_release(rdd);
}

/* A truncated node is BLOCKS already, for good; a checkpoint is something to be computed from again. */
static void a_truncated_node_can_be_unpersisted_again(void **state) {
    struct tide_rdd *rdd = marked(rig_narrow(rig_blocks(2, 1, 0), "f"));

    tide_rdd_persist(rdd, TIDE_LEVEL_MEMORY, true);
    keep(rdd);
    assert_int_equal(tide_rdd_kind(rdd), TIDE_RDD_BLOCKS);
    write_now(rdd);
    assert_reads_files(rdd);
    assert_true(tide_rdd_available(rdd, NULL));
    tide_rdd_pin(rdd);
    tide_rdd_unpersist(rdd);
    assert_non_null(tide_rdd_cached(rdd, 0));
    tide_rdd_unpin(rdd);
    assert_false(tide_rdd_available(rdd, NULL));
    assert_int_equal(tide_block_live(), 2);
    tide_rdd_release(rdd);
}

static void lineage_ends_at_a_checkpoint(void **state) {
    struct tide_rdd *rdd = marked(rig_narrow(rig_blocks(2, 1, 0), "f"));
    struct tide_rdd *after = rig_narrow(tide_rdd_retain(rdd), "g");
    struct tide_buffer text;
    char expected[200];

    tide_buffer_create(&text);
    tide_rdd_lineage(after, &text);
    tide_buffer_append(&text, "", 1);
    assert_non_null(strstr((char *)text.data, " f, to be checkpointed\n"));
    assert_non_null(strstr((char *)text.data, "blocks, 2 records"));
    tide_rdd_pin(rdd); /* to be cut as soon as a stage has read: what it was is not shown any more */
    write_now(rdd);
    for (int i = 0; i < 2; i++) {
        text.size = 0;
        tide_rdd_lineage(after, &text);
        tide_buffer_append(&text, "", 1);
        snprintf(expected, sizeof expected, "(2) #%llu g\n(2) #%llu checkpoint (job.lua:1), files in /ck/rdd\n",
                 (unsigned long long)tide_rdd_id(after), (unsigned long long)tide_rdd_id(rdd));
        assert_string_equal((char *)text.data, expected);
        if (i == 0) tide_rdd_unpin(rdd);
    }
    tide_buffer_destroy(&text);
    tide_rdd_release(after);
    tide_rdd_release(rdd);
}

static void long_lineages_are_cut_without_recursion(void **state) {
    struct tide_rdd *rdd = rig_blocks(1, 1, 0);

    for (int i = 0; i < 200000; i++) rdd = rig_narrow(rdd, "f");
    marked(rdd);
    assert_due(rdd, rdd, NULL);
    write_now(rdd);
    assert_reads_files(rdd);
    tide_rdd_release(rdd);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(a_mark_goes_through_its_states),
        CHECKED(the_nearest_ones_are_due),
        CHECKED(every_kind_lets_go_of_what_it_came_from),
        CHECKED(lineage_stays_while_a_stage_waits_for_the_node),
        CHECKED(what_is_kept_stays_until_it_is_unpersisted),
        CHECKED(a_truncated_node_can_be_unpersisted_again),
        CHECKED(lineage_ends_at_a_checkpoint),
        CHECKED(long_lineages_are_cut_without_recursion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
