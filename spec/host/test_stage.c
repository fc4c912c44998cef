/*
 * rdd/stage and rdd/plans: from lineage to plans and inputs. Plans are checked as text (rdd_rig.h: an operator shows
 * as its name). A test with random lineages compares with a plain recursive reading of the same lineage.
 */
#include "base/alloc.h"
#include "rdd/node.h"
#include "rdd/stage.h"
#include "rdd_rig.h"
#include "store/broadcast.h"
#include "test.h"
#include "wire/unpack.h"

static struct tide_plans *plans;
static struct tide_arities *arities;
static struct tide_op *collect;

static int set_up(void **state) {
    plans = tide_plans_new();
    arities = tide_arities_new();
    collect = rig_op("collect", false);
    return tide_block_live() == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    tide_plans_delete(plans);
    tide_arities_delete(arities);
    tide_op_release(collect);
    return tide_block_live() == 0 ? 0 : -1;
}

static struct tide_stage *cut(struct tide_rdd *rdd) {
    struct tide_sink sink = tide_sink_final(collect);

    return tide_stage_new(plans, arities, rdd, NULL, 0, &sink, false);
}

static void assert_plan(const struct tide_plan *plan, const char *expected) {
    char *text = rig_plan(plan);

    assert_string_equal(text, expected);
    tide_free(text);
}

/* The records of each input of a task, "0 1 | 2 3". */
static void assert_inputs(const struct tide_stage *stage, uint32_t index, const char *expected) {
    struct tide_task *task = tide_stage_task(stage, arities, index);
    struct tide_buffer out;

    assert_true(tide_task_begin(task));

    tide_buffer_create(&out);
    for (uint32_t i = 0; i < task->work.ninputs; i++) {
        char *numbers = rig_numbers(&task->work.inputs[i].blocks);

        assert_int_equal(task->work.inputs[i].kind, TIDE_TASK_INPUT_BLOCKS);
        tide_buffer_format(&out, i > 0 ? " | %s" : "%s", numbers);
        tide_free(numbers);
    }
    tide_buffer_append(&out, "", 1);
    assert_string_equal((char *)out.data, expected);
    assert_int_equal(task->work.partition, stage->parts[index].partition);
    assert_int_equal(task->work.noutputs, stage->outputs);
    tide_buffer_destroy(&out);
    tide_task_delete(task);
}

/* As the scheduler would: output lists with one block for each partition, the number `first` + partition in it. */
static void settle(struct tide_rdd *rdd, int first) {
    struct tide_blocks *outputs = tide_xcalloc(tide_rdd_partitions(rdd), sizeof *outputs);

    for (uint32_t i = 0; i < tide_rdd_partitions(rdd); i++, first++) {
        tide_blocks_create(&outputs[i]);
        tide_blocks_push(&outputs[i], rig_block(&first, 1));
    }
    rig_settle(rdd, outputs);
}

/* ---- Narrow lineage ----------------------------------------------------------------------------------------- */

static void blocks_alone_are_a_leaf(void **state) {
    struct tide_rdd *rdd = rig_blocks(3, 2, 0);
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->count, 3);
    assert_int_equal(stage->outputs, 1);
    assert_int_equal(stage->nneeds, 0);
    assert_plan(stage->parts[0].plan, "[[leaf, nil], collect]");
    assert_inputs(stage, 0, "0 1");
    assert_inputs(stage, 2, "4 5");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void a_stage_keeps_its_dataset(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_blocks(1, 2, 7), "f");
    struct tide_stage *stage = cut(rdd);

    tide_rdd_release(rdd);
    assert_inputs(stage, 0, "7 8");
    tide_stage_delete(stage);
}

static void chains_run_from_source_to_result(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_keep(rig_narrow(rig_blocks(2, 1, 0), "first"), "second"), "third");
    struct tide_stage *stage = cut(rdd);

    assert_plan(stage->parts[0].plan, "[[chain, [leaf, nil], [first, second, third]], collect]");
    assert_ptr_equal(stage->parts[0].plan, stage->parts[1].plan);
    assert_inputs(stage, 1, "1");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void files_become_file_inputs(void **state) {
    struct tide_file_split splits[2] = {{.path = tide_xstrdup("/tmp/a"), .offset = 0, .length = 10},
                                        {.path = tide_xstrdup("/tmp/a"), .offset = 10, .length = 7}};
    struct tide_rdd *rdd = rig_narrow(tide_rdd_files_new(splits, 2), "f");
    struct tide_stage *stage = cut(rdd);
    struct tide_task *task = tide_stage_task(stage, arities, 1);

    assert_plan(task->work.plan, "[[chain, [leaf, nil], [f]], collect]");
    assert_int_equal(task->work.ninputs, 1);
    assert_int_equal(task->work.inputs[0].kind, TIDE_TASK_INPUT_FILE);
    assert_string_equal(task->work.inputs[0].path, "/tmp/a");
    assert_int_equal(task->work.inputs[0].offset, 10);
    assert_int_equal(task->work.inputs[0].length, 7);
    assert_int_equal(task->work.inputs[0].partition, 1);
    tide_task_delete(task);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void union_partitions_are_those_of_the_parents(void **state) {
    struct tide_rdd *a = rig_narrow(rig_blocks(2, 1, 0), "f"), *b = rig_blocks(1, 2, 10);
    struct tide_rdd *rdd = rig_narrow(rig_union(a, b), "g");
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->count, 3);
    assert_plan(stage->parts[0].plan, "[[chain, [leaf, nil], [f, g]], collect]");
    assert_ptr_equal(stage->parts[0].plan, stage->parts[1].plan);
    assert_plan(stage->parts[2].plan, "[[chain, [leaf, nil], [g]], collect]");
    assert_inputs(stage, 1, "1");
    assert_inputs(stage, 2, "10 11");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void coalesce_concatenates_runs(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_coalesce(rig_narrow(rig_blocks(5, 1, 0), "f"), 2), "g");
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->count, 2);
    assert_plan(stage->parts[0].plan, "[[chain, [concat, [[2, [chain, [leaf, nil], [f]]]]], [g]], collect]");
    assert_plan(stage->parts[1].plan, "[[chain, [concat, [[3, [chain, [leaf, nil], [f]]]]], [g]], collect]");
    assert_inputs(stage, 0, "0 | 1");
    assert_inputs(stage, 1, "2 | 3 | 4");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void coalesce_tells_different_nodes_apart(void **state) {
    struct tide_rdd *a = rig_narrow(rig_blocks(2, 1, 0), "f"), *b = rig_blocks(3, 1, 10),
                    *c = rig_narrow(rig_blocks(1, 1, 20), "f");
    struct tide_rdd *rdd = rig_coalesce(rig_union(rig_union(a, b), c), 1);
    struct tide_stage *stage = cut(rdd);

    /* The two f are two operators: their runs are apart anyhow, one has three plain leaves between. */
    assert_plan(
        stage->parts[0].plan,
        "[[concat, [[2, [chain, [leaf, nil], [f]]], [3, [leaf, nil]], [1, [chain, [leaf, nil], [f]]]]], collect]");
    assert_inputs(stage, 0, "0 | 1 | 10 | 11 | 12 | 20");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void coalesce_of_single_partitions_vanishes(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_coalesce(rig_narrow(rig_blocks(3, 1, 0), "f"), 3), "g");
    struct tide_stage *stage = cut(rdd);

    assert_plan(stage->parts[1].plan, "[[chain, [leaf, nil], [f, g]], collect]");
    assert_inputs(stage, 1, "1");
    tide_stage_delete(stage);

    struct tide_rdd *uneven = rig_coalesce(tide_rdd_retain(rdd), 2); /* 1 and 2 partitions */

    stage = cut(uneven);
    assert_plan(stage->parts[0].plan, "[[chain, [leaf, nil], [f, g]], collect]");
    assert_plan(stage->parts[1].plan, "[[concat, [[2, [chain, [leaf, nil], [f, g]]]]], collect]");
    tide_stage_delete(stage);
    tide_rdd_release(uneven);
    tide_rdd_release(rdd);
}

static void coalesced_datasets_nest(void **state) {
    struct tide_rdd *inner = rig_narrow(rig_coalesce(rig_narrow(rig_blocks(4, 1, 0), "f"), 2), "g");
    struct tide_rdd *rdd = rig_narrow(rig_coalesce(rig_union(inner, rig_blocks(1, 1, 9)), 1), "h");
    struct tide_stage *stage = cut(rdd);

    assert_plan(
        stage->parts[0].plan,
        "[[chain, [concat, [[2, [chain, [concat, [[2, [chain, [leaf, nil], [f]]]]], [g]]], [1, [leaf, nil]]]], [h]], "
        "collect]");
    assert_inputs(stage, 0, "0 | 1 | 2 | 3 | 9");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void chosen_partitions_in_the_order_asked(void **state) {
    struct tide_rdd *rdd = rig_blocks(5, 1, 0);
    struct tide_sink sink = tide_sink_final(collect);
    uint32_t chosen[] = {4, 1};
    struct tide_stage *stage = tide_stage_new(plans, arities, rdd, chosen, 2, &sink, false);

    assert_int_equal(stage->count, 2);
    assert_int_equal(stage->parts[0].partition, 4);
    assert_inputs(stage, 0, "4");
    assert_inputs(stage, 1, "1");
    tide_stage_delete(stage);
    stage = tide_stage_new(plans, arities, rdd, chosen, 0, &sink, false);
    assert_int_equal(stage->count, 0);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void no_partitions_no_parts(void **state) {
    struct tide_rdd *rdd = rig_narrow(rig_coalesce(tide_rdd_union_new(NULL, 0), 3), "f");
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->count, 0);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

/* ---- Shuffles ----------------------------------------------------------------------------------------------- */

static void a_shuffle_is_a_leaf_and_a_need(void **state) {
    struct tide_rdd *shuffled = rig_shuffle(rig_narrow(rig_blocks(3, 1, 0), "f"), TIDE_ROUTE_HASH, 2, true);
    struct tide_rdd *rdd = rig_narrow(rig_union(tide_rdd_retain(shuffled), rig_blocks(1, 1, 50)), "g");
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->nneeds, 1);
    assert_ptr_equal(stage->needs[0].rdd, shuffled);
    assert_plan(stage->parts[0].plan, "[[chain, [leaf, r], [g]], collect]");
    assert_plan(stage->parts[2].plan, "[[chain, [leaf, nil], [g]], collect]");
    settle(shuffled, 100);
    assert_inputs(stage, 0, "100");
    assert_inputs(stage, 1, "101");
    assert_inputs(stage, 2, "50");
    tide_stage_delete(stage);

    stage = cut(rdd);
    assert_int_equal(stage->nneeds, 0);
    tide_stage_delete(stage);
    tide_rdd_release(shuffled);
    tide_rdd_release(rdd);
}

static void needs_are_those_of_the_chosen_partitions(void **state) {
    struct tide_rdd *a = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 2, true);
    struct tide_rdd *b = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 2, true);
    struct tide_rdd *rdd = rig_union(tide_rdd_retain(a), tide_rdd_retain(b));
    struct tide_sink sink = tide_sink_final(collect);
    uint32_t chosen[] = {3, 2};
    struct tide_stage *stage = tide_stage_new(plans, arities, rdd, chosen, 2, &sink, false);

    assert_int_equal(stage->nneeds, 1);
    assert_ptr_equal(stage->needs[0].rdd, b);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
    tide_rdd_release(a);
    tide_rdd_release(b);
}

static void map_side_sinks(void **state) {
    struct {
        enum tide_route route;
        uint32_t partitions;
        bool ascending;
        uint32_t outputs;
        const char *plan;
    } cases[] = {
        {TIDE_ROUTE_HASH, 4, true, 4, "[[leaf, nil], [shuffle, w, 0, true]]"},
        {TIDE_ROUTE_ROUNDROBIN, 3, true, 3, "[[leaf, nil], [shuffle, w, 1, true]]"},
        {TIDE_ROUTE_SINGLE, 1, true, 1, "[[leaf, nil], [shuffle, w, 2, true]]"},
        {TIDE_ROUTE_RANGE, 3, false, 2, "[[leaf, nil], [sample, w]]"},
        {TIDE_ROUTE_RANGE, 1, false, 1, "[[leaf, nil], [shuffle, w, 2, false]]"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tide_rdd *rdd =
            rig_shuffle(rig_blocks(1, 1, 0), cases[i].route, cases[i].partitions, cases[i].ascending);
        struct tide_sink sink = tide_sink_map(rdd->as.shuffle.exchange);
        struct tide_stage *stage = tide_stage_new(plans, arities, rdd->parent, NULL, 0, &sink, false);

        assert_plan(stage->parts[0].plan, cases[i].plan);
        assert_int_equal(stage->outputs, cases[i].outputs);
        assert_inputs(stage, 0, "0");
        tide_stage_delete(stage);
        tide_rdd_release(rdd);
    }
}

static void range_shuffles_route_in_a_second_phase(void **state) {
    struct tide_rdd *rdd = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_RANGE, 3, false);
    struct tide_plan *plan = tide_stage_route_plan(plans, rdd->as.shuffle.exchange);

    assert_plan(plan, "[[leaf, nil], [shuffle, w, 3, false]]");
    tide_plan_release(plan);
    tide_rdd_release(rdd);
}

static void operators_may_be_absent(void **state) {
    struct tide_rdd *base = rig_blocks(1, 1, 0);
    struct tide_exchange *exchange = tide_exchange_new(TIDE_ROUTE_HASH, 2, true, NULL, NULL);
    struct tide_rdd *rdd = tide_rdd_shuffled_new(base, exchange);
    struct tide_sink sink = tide_sink_map(exchange);
    struct tide_stage *map = tide_stage_new(plans, arities, base, NULL, 0, &sink, false), *reduce = cut(rdd);

    assert_plan(map->parts[0].plan, "[[leaf, nil], [shuffle, nil, 0, true]]");
    assert_plan(reduce->parts[0].plan, "[[leaf, nil], collect]");
    tide_stage_delete(map);
    tide_stage_delete(reduce);
    tide_exchange_release(exchange);
    tide_rdd_release(base);
    tide_rdd_release(rdd);
}

/* ---- Sharing plans ------------------------------------------------------------------------------------------ */

static void batches_share_plans(void **state) {
    struct tide_op *f = rig_op("f", false);
    struct tide_plan *first = NULL;

    for (int batch = 0; batch < 5; batch++) {
        struct tide_rdd *base = rig_blocks(2, 1, batch);
        struct tide_rdd *rdd = tide_rdd_narrow_new(base, f);
        struct tide_stage *stage = cut(rdd);

        if (batch == 0) first = stage->parts[0].plan;
        assert_ptr_equal(stage->parts[0].plan, first);
        assert_ptr_equal(stage->parts[1].plan, first);
        tide_stage_delete(stage);
        tide_rdd_release(rdd);
        tide_rdd_release(base);
    }
    assert_int_equal(tide_plans_count(plans), 1);
    assert_int_equal(f->refs, 2); /* ours and the kept plan's */
    tide_op_release(f);
}

static void alternating_shapes_share_too(void **state) {
    struct tide_rdd *a = rig_narrow(rig_blocks(1, 1, 0), "f"), *b = rig_blocks(1, 1, 1);
    struct tide_rdd *parents[] = {a, b, a, b};
    struct tide_rdd *rdd = tide_rdd_union_new(parents, 4);
    struct tide_stage *stage = cut(rdd);

    assert_ptr_equal(stage->parts[0].plan, stage->parts[2].plan);
    assert_ptr_equal(stage->parts[1].plan, stage->parts[3].plan);
    assert_ptr_not_equal(stage->parts[0].plan, stage->parts[1].plan);
    assert_int_equal(tide_plans_count(plans), 2);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
    tide_rdd_release(a);
    tide_rdd_release(b);
}

static void equal_bytes_have_equal_ids(void **state) {
    struct tide_rdd *a = rig_narrow(rig_blocks(1, 0, 0), "f"), *b = rig_narrow(rig_blocks(1, 0, 0), "f");
    struct tide_rdd *c = rig_narrow(rig_blocks(1, 0, 0), "g");
    struct tide_stage *stages[] = {cut(a), cut(b), cut(c)};

    assert_memory_equal(stages[0]->parts[0].plan->id, stages[1]->parts[0].plan->id, 16);
    assert_memory_not_equal(stages[0]->parts[0].plan->id, stages[2]->parts[0].plan->id, 16);
    for (int i = 0; i < 3; i++) tide_stage_delete(stages[i]);
    tide_rdd_release(a);
    tide_rdd_release(b);
    tide_rdd_release(c);
}

static void old_plans_are_let_go(void **state) {
    struct tide_op *first = rig_op("first", false), *other = rig_op("used", false);
    struct tide_rdd *base = rig_blocks(1, 0, 0);
    struct tide_rdd *old = tide_rdd_narrow_new(base, first), *used = tide_rdd_narrow_new(base, other);

    tide_stage_delete(cut(old));
    for (int i = 0; i < 2000; i++) {
        char name[16];

        snprintf(name, sizeof name, "op%d", i);

        struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(base), name);

        tide_stage_delete(cut(rdd));
        tide_stage_delete(cut(used));
        tide_rdd_release(rdd);
    }
    assert_true(tide_plans_count(plans) <= 300);
    assert_int_equal(first->refs, 2); /* ours and the node's: the plan is gone */
    assert_int_equal(other->refs, 3); /* this one is in use, so it is kept */
    tide_rdd_release(old);
    tide_rdd_release(used);
    tide_rdd_release(base);
    tide_op_release(first);
    tide_op_release(other);
}

/* The plan is kept as long as a dataset may need it again, and not longer, for a broadcast variable is kept with
 * it. */
static void plans_do_not_keep_what_nothing_else_uses(void **state) {
    uint32_t number = tide_broadcast_add(tide_block_new(TIDE_BLOCK_PACKED, 1, 16, NULL));
    char name[] = "\x08\tBroadcast?";

    assert_true(number < 128);
    name[strlen(name) - 1] = (char)number;

    struct tide_rdd *base = rig_blocks(1, 0, 0), *user = rig_narrow(tide_rdd_retain(base), name);
    struct tide_rdd *twice = rig_narrow(tide_rdd_retain(user), "f");

    tide_broadcast_release(number);
    tide_stage_delete(cut(user));
    tide_stage_delete(cut(twice)); /* a second plan with the same operator */
    tide_stage_delete(cut(base));
    assert_int_equal(tide_plans_count(plans), 3);
    tide_rdd_release(twice);
    tide_stage_delete(cut(base));
    assert_int_equal(tide_plans_count(plans), 3);
    tide_rdd_release(user);
    assert_int_equal(tide_broadcast_count(), 1);
    tide_stage_delete(cut(base));
    assert_int_equal(tide_plans_count(plans), 1);
    assert_int_equal(tide_broadcast_count(), 0);
    tide_rdd_release(base);
}

static void large_plans_are_let_go(void **state) {
    char *name = tide_xmalloc(1 << 20);

    memset(name, 'x', 1 << 20);
    name[(1 << 20) - 1] = '\0';
    for (int i = 0; i < 50; i++) {
        struct tide_rdd *rdd = rig_narrow(rig_blocks(1, 0, 0), name);

        tide_stage_delete(cut(rdd));
        tide_rdd_release(rdd);
    }
    assert_in_range(tide_plans_count(plans), 1, 20);
    tide_free(name);
}

/* ---- Depth -------------------------------------------------------------------------------------------------- */

static void very_long_chains(void **state) {
    enum { LONG = 100000 };
    struct tide_op *op = rig_op("f", false);
    struct tide_rdd *rdd = rig_blocks(2, 1, 0);

    for (int i = 0; i < LONG; i++) {
        struct tide_rdd *next = tide_rdd_narrow_new(rdd, op);

        tide_rdd_release(rdd);
        rdd = next;
    }

    struct tide_stage *stage = cut(rdd);
    const struct tide_plan *plan = stage->parts[0].plan;
    struct tide_value outer = tide_unpack_value(plan->bytes, plan->bytes + plan->size);

    assert_ptr_equal(plan, stage->parts[1].plan);
    assert_true(plan->size >= LONG * op->size);
    assert_int_equal(outer.size, 2);
    assert_ptr_equal(tide_unpack_skip(plan->bytes, plan->bytes + plan->size), plan->bytes + plan->size);
    assert_inputs(stage, 1, "1");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
    tide_op_release(op);
}

static void very_deep_nests(void **state) {
    enum { DEEP = 3000 };
    struct tide_rdd *rdd = rig_blocks(DEEP, 0, 0);
    struct tide_sink sink = tide_sink_final(collect);
    uint32_t last = 0;

    /* One partition less each time: the last one joins two, of which the second is such a one again. */
    for (uint32_t n = DEEP - 1; n >= 1; n--) rdd = rig_narrow(rig_coalesce(rdd, n), "f");

    struct tide_stage *stage = tide_stage_new(plans, arities, rdd, &last, 1, &sink, false);
    const struct tide_plan *plan = stage->parts[0].plan;

    assert_int_equal(stage->parts[0].leaves, DEEP);
    assert_ptr_equal(tide_unpack_skip(plan->bytes, plan->bytes + plan->size), plan->bytes + plan->size);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

/* ---- Several inputs ----------------------------------------------------------------------------------------- */

static void zip_unions_concatenate_partition_by_partition(void **state) {
    struct tide_rdd *a = rig_narrow(rig_blocks(2, 1, 0), "f"), *b = rig_blocks(2, 2, 10);
    struct tide_rdd *rdd = rig_narrow(rig_zip_union(a, b), "g");
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->count, 2);
    assert_plan(stage->parts[1].plan,
                "[[chain, [concat, [[1, [chain, [leaf, nil], [f]]], [1, [leaf, nil]]]], [g]], collect]");
    assert_ptr_equal(stage->parts[0].plan, stage->parts[1].plan);
    assert_inputs(stage, 0, "0 | 10 11");
    assert_inputs(stage, 1, "1 | 12 13");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void equal_parents_of_a_zip_union_are_one_run(void **state) {
    struct tide_rdd *rdd =
        rig_zip_union(rig_blocks(1, 1, 0), rig_zip_union(rig_blocks(1, 1, 1), rig_blocks(1, 1, 2)));
    struct tide_stage *stage = cut(rdd);

    assert_plan(stage->parts[0].plan, "[[concat, [[1, [leaf, nil]], [1, [concat, [[2, [leaf, nil]]]]]]], collect]");
    assert_inputs(stage, 0, "0 | 1 | 2");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void zips_have_a_node_for_each_parent(void **state) {
    struct tide_rdd *shuffled = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 2, true);
    struct tide_rdd *rdd =
        rig_narrow(rig_zip(rig_narrow(rig_blocks(2, 1, 5), "f"), tide_rdd_retain(shuffled), "join"), "g");
    struct tide_stage *stage = cut(rdd);

    assert_plan(stage->parts[0].plan, "[[chain, [zip, join, [[chain, [leaf, nil], [f]], [leaf, r]]], [g]], collect]");
    assert_ptr_equal(stage->parts[0].plan, stage->parts[1].plan);
    assert_int_equal(stage->nneeds, 1);
    assert_ptr_equal(stage->needs[0].rdd, shuffled);
    assert_false(stage->needs[0].cached);
    settle(shuffled, 20);
    assert_inputs(stage, 0, "5 | 20");
    assert_inputs(stage, 1, "6 | 21");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
    tide_rdd_release(shuffled);
}

static void products_pair_partitions(void **state) {
    struct tide_rdd *rdd = rig_cartesian(rig_blocks(2, 1, 0), rig_blocks(3, 1, 10), "x");
    struct tide_stage *stage = cut(rdd);

    assert_int_equal(stage->count, 6);
    assert_plan(stage->parts[0].plan, "[[zip, x, [[leaf, nil], [leaf, nil]]], collect]");
    assert_inputs(stage, 0, "0 | 10");
    assert_inputs(stage, 2, "0 | 12");
    assert_inputs(stage, 4, "1 | 11");
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

static void operators_may_ask_for_their_partition(void **state) {
    struct tide_rdd *a = rig_indexed(rig_blocks(2, 1, 0), "i"), *b = rig_indexed(rig_blocks(2, 1, 2), "k");
    struct tide_rdd *rdd = rig_indexed(rig_union(a, b), "j");
    struct tide_stage *stage = cut(rdd);

    assert_plan(stage->parts[0].plan, "[[chain, [leaf, nil], [[0, i], [0, j]]], collect]");
    assert_ptr_equal(stage->parts[0].plan, stage->parts[1].plan);
    assert_plan(stage->parts[2].plan, "[[chain, [leaf, nil], [[0, k], [2, j]]], collect]");
    assert_ptr_equal(stage->parts[2].plan, stage->parts[3].plan);
    tide_stage_delete(stage);
    tide_rdd_release(rdd);
}

/* ---- Persistence -------------------------------------------------------------------------------------------- */

static void persistent_datasets_are_leaves(void **state) {
    struct tide_rdd *kept = rig_narrow(rig_blocks(2, 1, 0), "f");
    struct tide_rdd *rdd = rig_narrow(tide_rdd_retain(kept), "g");
    struct tide_stage *before = cut(rdd);

    tide_rdd_persist(kept, TIDE_LEVEL_MEMORY, false);

    struct tide_stage *stage = cut(rdd);
    struct tide_sink sink = tide_sink_cache(collect);
    struct tide_stage *own = tide_stage_new(plans, arities, kept, NULL, 0, &sink, false);

    assert_plan(before->parts[0].plan, "[[chain, [leaf, nil], [f, g]], collect]");
    assert_plan(stage->parts[0].plan, "[[chain, [leaf, nil], [g]], collect]");
    assert_int_equal(stage->nneeds, 1);
    assert_ptr_equal(stage->needs[0].rdd, kept);
    assert_true(stage->needs[0].cached);
    assert_plan(own->parts[0].plan, "[[chain, [leaf, nil], [f]], collect]");
    assert_int_equal(own->nneeds, 0);

    struct tide_blocks *lists = tide_xcalloc(2, sizeof *lists);
    int number = 7;

    for (uint32_t i = 0; i < 2; i++) tide_blocks_create(&lists[i]);
    tide_blocks_push(&lists[1], rig_block(&number, 1));
    struct tide_cache *cache = rig_cache(UINT64_MAX);

    rig_keep_lists(kept, cache, lists);
    tide_cache_release(cache);
    assert_inputs(stage, 0, "");
    assert_inputs(stage, 1, "7");
    assert_inputs(before, 1, "1");
    tide_stage_delete(stage);
    stage = cut(rdd);
    assert_int_equal(stage->nneeds, 0);
    tide_stage_delete(stage);
    tide_stage_delete(before);
    tide_stage_delete(own);
    tide_rdd_release(rdd);
    tide_rdd_release(kept);
}

static void persistent_shuffles_need_their_map_side_first(void **state) {
    struct tide_rdd *shuffled = rig_shuffle(rig_blocks(1, 1, 0), TIDE_ROUTE_HASH, 1, true);
    struct tide_sink sink = tide_sink_cache(collect);

    tide_rdd_persist(shuffled, TIDE_LEVEL_MEMORY, false);

    struct tide_stage *outer = cut(shuffled), *own = tide_stage_new(plans, arities, shuffled, NULL, 0, &sink, false);

    assert_plan(outer->parts[0].plan, "[[leaf, nil], collect]");
    assert_true(outer->needs[0].cached);
    assert_plan(own->parts[0].plan, "[[leaf, r], collect]");
    assert_int_equal(own->nneeds, 1);
    assert_false(own->needs[0].cached);
    tide_stage_delete(outer);
    tide_stage_delete(own);
    tide_rdd_release(shuffled);
}

/* ---- Against a plain reading -------------------------------------------------------------------------------- */

/* What partition `partition` computes, as text: a leaf is its first record, an operator follows what it is applied
 * to, joined partitions stand in parentheses. */
static void read_lineage(const struct tide_rdd *rdd, uint32_t partition, struct tide_buffer *out) {
    switch (rdd->kind) {
    case TIDE_RDD_NARROW:
        read_lineage(rdd->parent, partition, out);
        tide_buffer_format(out, ".");
        rig_show(rdd->as.op->bytes, rdd->as.op->size, out);
        if (rdd->as.op->indexed) tide_buffer_format(out, "@%u", partition);
        break;
    case TIDE_RDD_UNION: {
        uint32_t local;
        const struct tide_rdd *parent = tide_rdd_union_parent(rdd, partition, &local);

        read_lineage(parent, local, out);
        break;
    }
    case TIDE_RDD_COALESCE: {
        uint32_t from, to;

        tide_rdd_coalesce_range(rdd, partition, &from, &to);
        if (to - from > 1) tide_buffer_format(out, "(");
        for (uint32_t i = from; i < to; i++) {
            if (i > from) tide_buffer_format(out, " ");
            read_lineage(rdd->parent, i, out);
        }
        if (to - from > 1) tide_buffer_format(out, ")");
        break;
    }
    case TIDE_RDD_ZIP_UNION:
        tide_buffer_format(out, "(");
        read_lineage(rdd->as.many.parents[0], partition, out);
        tide_buffer_format(out, " ");
        read_lineage(rdd->as.many.parents[1], partition, out);
        tide_buffer_format(out, ")");
        break;
    case TIDE_RDD_ZIP:
    case TIDE_RDD_CARTESIAN: {
        const struct tide_rdd *left = rdd->as.many.parents[0], *right = rdd->as.many.parents[1];
        bool product = rdd->kind == TIDE_RDD_CARTESIAN;

        rig_show(rdd->as.many.op->bytes, rdd->as.many.op->size, out);
        tide_buffer_format(out, "<");
        read_lineage(left, product ? partition / right->partitions : partition, out);
        tide_buffer_format(out, ", ");
        read_lineage(right, product ? partition % right->partitions : partition, out);
        tide_buffer_format(out, ">");
        break;
    }
    default: {
        char *numbers = rig_numbers(&rdd->as.blocks.lists[partition]);

        tide_buffer_format(out, "%s", numbers);
        tide_free(numbers);
    }
    }
}

/* Children of zips, in the order in which they end: they may be named again. */
static struct { const uint8_t *begin, *end; } children[4096];
static uint32_t nchildren;

static void add_child(const uint8_t *begin, const uint8_t *end) {
    for (uint32_t i = 0; i < nchildren; i++)
        if (children[i].begin == begin) return;
    assert_true(nchildren < sizeof children / sizeof children[0]);
    children[nchildren].begin = begin;
    children[nchildren++].end = end;
}

/* The n-th back of those that end before `at`. */
static const uint8_t *child_back(const uint8_t *at, uint32_t n) {
    uint32_t i = nchildren;

    while (i > 0 && (children[i - 1].end > at || --n > 0)) i--;
    assert_true(i > 0);
    return children[i - 1].begin;
}

/* The same from the plan and the inputs. */
static const uint8_t *read_plan(const uint8_t *at, const uint8_t *end, const struct tide_task *task, uint32_t *input,
                                struct tide_buffer *out) {
    struct tide_value array = tide_unpack_value(at, end), kind = tide_unpack_value(array.next, end);

    if (memcmp(kind.data, "leaf", 4) == 0) {
        assert_in_range(*input, 0, task->work.ninputs - 1);

        char *numbers = rig_numbers(&task->work.inputs[(*input)++].blocks);

        tide_buffer_format(out, "%s", numbers);
        tide_free(numbers);
    } else if (memcmp(kind.data, "same", 4) == 0) {
        struct tide_value back = tide_unpack_value(kind.next, end), inputs = tide_unpack_value(back.next, end);
        uint32_t from = *input - (uint32_t)inputs.number;

        read_plan(child_back(at, (uint32_t)back.number), end, task, &from, out);
    } else if (memcmp(kind.data, "chain", 5) == 0) {
        uint32_t first = *input;
        const uint8_t *op = read_plan(kind.next, end, task, input, out);
        struct tide_value ops = tide_unpack_value(op, end);

        op = ops.next;
        assert_true(ops.size > 0);
        for (uint32_t i = 0; i < ops.size; i++) {
            const uint8_t *next = tide_unpack_skip(op, end);
            struct tide_value indexed = tide_unpack_value(op, end), difference = {0};

            if (indexed.type == TIDE_VALUE_ARRAY) {
                difference = tide_unpack_value(indexed.next, end);
                op = difference.next;
            }
            bool of_task = indexed.type == TIDE_VALUE_ARRAY && indexed.size == 3;

            tide_buffer_format(out, ".");
            rig_show(op, (size_t)(next - of_task - op), out);
            if (indexed.type == TIDE_VALUE_ARRAY)
                tide_buffer_format(out, "@%d",
                                   (int)(of_task ? task->work.partition : task->work.inputs[first].partition) +
                                       (int)difference.number);
            op = next;
        }
    } else if (memcmp(kind.data, "zip", 3) == 0) {
        const uint8_t *op = kind.next, *list = tide_unpack_skip(op, end);
        struct tide_value nodes = tide_unpack_value(list, end);
        const uint8_t *node = nodes.next;

        rig_show(op, (size_t)(list - op), out);
        for (uint32_t i = 0; i < nodes.size; i++) {
            tide_buffer_format(out, i == 0 ? "<" : ", ");
            const uint8_t *begin = node;

            node = read_plan(begin, end, task, input, out);
            if (memcmp(tide_unpack_value(tide_unpack_value(begin, end).next, end).data, "same", 4) != 0)
                add_child(begin, node);
        }
        tide_buffer_format(out, ">");
    } else {
        struct tide_value runs = tide_unpack_value(kind.next, end);
        const uint8_t *run = runs.next;
        bool first = true;

        assert_memory_equal(kind.data, "concat", 6);
        tide_buffer_format(out, "(");
        for (uint32_t i = 0; i < runs.size; i++) {
            struct tide_value pair = tide_unpack_value(run, end), times = tide_unpack_value(pair.next, end);

            for (int j = 0; j < (int)times.number; j++) {
                tide_buffer_format(out, first ? "" : " ");
                first = false;
                read_plan(times.next, end, task, input, out);
            }
            run = tide_unpack_skip(run, end);
        }
        tide_buffer_format(out, ")");
    }
    return tide_unpack_skip(at, end);
}

static struct tide_rdd *random_lineage(int depth, int *serial) {
    char name[16];

    switch (depth > 0 ? rand() % 12 : 0) {
    case 0: *serial += 10; return rig_blocks((uint32_t)(rand() % 5), 1, *serial);
    case 1:
    case 2:
    case 3:
        snprintf(name, sizeof name, "%c", 'a' + rand() % 3);
        return rig_narrow(random_lineage(depth - 1, serial), name);
    case 4:
    case 5: return rig_coalesce(random_lineage(depth - 1, serial), 1 + (uint32_t)(rand() % 4));
    case 6: {
        struct tide_rdd *rdd = random_lineage(depth - 1, serial);

        return rig_union(tide_rdd_retain(rdd), rdd);
    }
    case 7: return rig_indexed(random_lineage(depth - 1, serial), "i");
    case 8:
    case 9: {
        struct tide_rdd *rdd = random_lineage(depth - 1, serial);
        struct tide_rdd *other = rand() % 2 == 0 ? rig_indexed(tide_rdd_retain(rdd), "j") : tide_rdd_retain(rdd);

        return rand() % 2 == 0 ? rig_zip_union(rdd, other) : rig_zip(other, rdd, "g");
    }
    case 10:
        *serial += 10;
        return rig_cartesian(random_lineage(depth - 1, serial), rig_blocks(1 + (uint32_t)(rand() % 3), 1, *serial),
                             "p");
    default: {
        struct tide_rdd *a = random_lineage(depth - 1, serial), *b = random_lineage(depth - 1, serial);

        return rig_union(a, b);
    }
    }
}

/* r = r joined with r, n times: as many nodes as there are in the lineage, and one input. */
static void a_shared_parent_stands_once(void **state) {
    struct tide_rdd *rdd = rig_zip(rig_blocks(2, 1, 10), rig_blocks(2, 1, 20), "g");
    uint64_t before = 0;

    for (int n = 1; n <= 200; n++) {
        rdd = rig_zip(rig_narrow(tide_rdd_retain(rdd), "a"), rdd, "g");
        if (n % 2 == 0) rdd = rig_zip(tide_rdd_retain(rdd), rdd, "g");
        if (n % 3 == 0) rdd = rig_zip(rig_zip_union(tide_rdd_retain(rdd), rdd), tide_rdd_retain(rdd), "g");
        if (n % 20 > 0) continue;

        struct tide_stage *stage = cut(rdd);

        assert_int_equal(stage->count, 2);
        assert_true(stage->parts[0].plan == stage->parts[1].plan);
        assert_in_range(stage->parts[0].plan->size - before, 1, 200 * 20);
        assert_in_range(stage->parts[0].leaves, 2, 2 * (uint32_t)n + 2);
        before = stage->parts[0].plan->size;
        tide_stage_delete(stage);
    }
    tide_rdd_release(rdd);
}

/* Plans and inputs of all partitions mean what the lineage says. Returns how many there are. */
static int check_parts(struct tide_rdd *rdd) {
    struct tide_stage *stage = cut(rdd);
    int parts = (int)stage->count;

    for (uint32_t i = 0; i < stage->count; i++) {
        struct tide_task *task = tide_stage_task(stage, arities, i);
        struct tide_buffer expected, got;
        uint32_t input = 0;

        nchildren = 0;
        assert_true(tide_task_begin(task));

        tide_buffer_create(&expected);
        tide_buffer_create(&got);
        read_lineage(rdd, i, &expected);
        read_plan(task->work.plan->bytes + 1, task->work.plan->bytes + task->work.plan->size, task, &input, &got);
        tide_buffer_append(&expected, "", 1);
        tide_buffer_append(&got, "", 1);
        assert_string_equal((char *)got.data, (char *)expected.data);
        assert_int_equal(input, task->work.ninputs);
        tide_buffer_destroy(&expected);
        tide_buffer_destroy(&got);
        tide_task_delete(task);
    }
    tide_stage_delete(stage);
    return parts;
}

static struct tide_rdd *zip_of(struct tide_op *op, struct tide_rdd *a, struct tide_rdd *b) {
    struct tide_rdd *parents[2] = {a, b};

    return tide_rdd_zip_new(parents, 2, op);
}

/* As in batches of a stream: operators are the same. The second and the third run look alike, but what comes again in
 * them does not. */
static void runs_that_name_different_children_differ(void **state) {
    struct tide_op *op = rig_op("g", true), *other = rig_op("h", true);
    struct tide_rdd *b[7];

    for (int i = 0; i < 7; i++) b[i] = rig_blocks(1, 1, 10 * i);

    struct tide_rdd *z = zip_of(other, b[0], b[1]), *c = zip_of(op, b[2], b[3]), *d = zip_of(op, b[4], b[5]);
    struct tide_rdd *runs[3] = {zip_of(op, b[6], z), zip_of(op, z, c), zip_of(op, c, d)};

    struct tide_rdd *all = rig_coalesce(rig_union(rig_union(runs[0], runs[1]), runs[2]), 1);
    assert_int_equal(check_parts(all), 1);
    tide_rdd_release(all);
    for (int i = 0; i < 7; i++) tide_rdd_release(b[i]);
    tide_rdd_release(z);
    tide_rdd_release(c);
    tide_rdd_release(d);
    tide_op_release(op);
    tide_op_release(other);
}

/* Three children of one dataset, again and again: two of them read nothing but what the first one has read. */
static void shared_parents_of_shared_children(void **state) {
    struct tide_rdd *rdd = rig_zip(rig_blocks(2, 1, 10), rig_blocks(2, 1, 20), "g");
    uint64_t before = 0;

    for (int n = 1; n <= 100; n++) {
        struct tide_rdd *b = rig_narrow(tide_rdd_retain(rdd), "b"), *c = rig_narrow(tide_rdd_retain(rdd), "c");

        rdd = rig_zip(rig_zip(rig_narrow(rdd, "a"), b, "g"), c, "h");
        if (n == 5) assert_int_equal(check_parts(rdd), 2);
        if (n % 20 > 0) continue;

        struct tide_stage *stage = cut(rdd);

        assert_in_range(stage->parts[0].plan->size - before, 1, 200 * 20);
        assert_int_equal(stage->parts[0].leaves, 3 * 2);
        before = stage->parts[0].plan->size;
        tide_stage_delete(stage);
    }
    tide_rdd_release(rdd);
}

static void random_lineages(void **state) {
    int parts = 0;

    srand(20140210);
    for (int round = 0; round < 2000; round++) {
        int serial = 0;
        struct tide_rdd *rdd = random_lineage(8, &serial);

        parts += check_parts(rdd);
        tide_rdd_release(rdd);
    }
    assert_true(parts > 5000);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(blocks_alone_are_a_leaf),
        CHECKED(a_stage_keeps_its_dataset),
        CHECKED(chains_run_from_source_to_result),
        CHECKED(files_become_file_inputs),
        CHECKED(union_partitions_are_those_of_the_parents),
        CHECKED(coalesce_concatenates_runs),
        CHECKED(coalesce_tells_different_nodes_apart),
        CHECKED(coalesce_of_single_partitions_vanishes),
        CHECKED(coalesced_datasets_nest),
        CHECKED(chosen_partitions_in_the_order_asked),
        CHECKED(no_partitions_no_parts),
        CHECKED(a_shuffle_is_a_leaf_and_a_need),
        CHECKED(needs_are_those_of_the_chosen_partitions),
        CHECKED(map_side_sinks),
        CHECKED(range_shuffles_route_in_a_second_phase),
        CHECKED(operators_may_be_absent),
        CHECKED(batches_share_plans),
        CHECKED(alternating_shapes_share_too),
        CHECKED(equal_bytes_have_equal_ids),
        CHECKED(old_plans_are_let_go),
        CHECKED(plans_do_not_keep_what_nothing_else_uses),
        CHECKED(large_plans_are_let_go),
        CHECKED(very_long_chains),
        CHECKED(very_deep_nests),
        CHECKED(zip_unions_concatenate_partition_by_partition),
        CHECKED(equal_parents_of_a_zip_union_are_one_run),
        CHECKED(zips_have_a_node_for_each_parent),
        CHECKED(products_pair_partitions),
        CHECKED(operators_may_ask_for_their_partition),
        CHECKED(persistent_datasets_are_leaves),
        CHECKED(persistent_shuffles_need_their_map_side_first),
        CHECKED(a_shared_parent_stands_once),
        CHECKED(runs_that_name_different_children_differ),
        CHECKED(shared_parents_of_shared_children),
        CHECKED(random_lineages),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
