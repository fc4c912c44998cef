/*
 * Cuts datasets into stages: from narrow lineage to plans and inputs.
 *
 * Called by stage runs (driver/stage_run.c) for every job and every shuffle of every batch, so it has to be fast: for
 * each partition the lineage is written as a shape (rdd/plans.h), which is compared with the shape of the partition
 * before; only new shapes are looked up. Driver thread. Lineage may be very long (thousands of narrow nodes) and
 * nested (a coalesced dataset in a coalesced dataset …): the walk has its own stack.
 */
#include "rdd/stage.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "rdd/node.h"
#include "task/counts.h"

/* A growing array of words: the two stacks of the walk, and the shape. */
struct words {
    uint64_t *items;
    uint32_t count;
    uint32_t capacity;
};

/* The operators between a node and its reader: the words of cutter.ops from `from` to `to`. */
struct above {
    uint32_t from, to;
    uint64_t first_input; /* of the node, for operators that get the number of the partition */
};

/* A node whose children are being written, one after the other: a COALESCE or ZIP_UNION as a concatenation of runs, a
 * ZIP or CARTESIAN child by child. */
struct frame {
    struct tide_rdd *rdd;
    uint32_t partition;
    uint32_t next, to; /* children still to do */
    bool runs;
    struct tide_rdd *child; /* the one being written, for those without runs */
    uint64_t child_input;
    uint32_t child_partition;
    uint32_t child_node;        /* how many nodes with children were begun before it */
    uint32_t seen;              /* how many children were complete when the run began */
    uint32_t reach;             /* the first of the children that the run, or the node, names */
    uint32_t concat;            /* position of the number of runs in the shape */
    uint32_t run;               /* where the run being written begins */
    uint32_t run_before;        /* where the run before it begins; 0: there is none */
    uint32_t slot, slot_before; /* where the slots of these begin */
    struct above above;
    int64_t time; /* of the guard above it */
};

struct cutter {
    struct tide_stage *stage;
    struct words shape;
    struct words ops;   /* operators met on the way down, the last one to run first: op, partition, fact, op, … */
    struct words slots; /* of the part being written: indexes of facts */
    struct tide_arities *arities;
    struct words seen; /* complete children of ZIP and CARTESIAN nodes, in this order: they may come again */
    uint64_t part;     /* mark of the partition's plan */
    uint32_t root_partition;
    uint32_t nodes; /* with children, begun */
    struct frame *frames;
    uint32_t nframes, frame_slots;
    uint64_t input_slots;
    uint32_t need_slots, guard_slots;
    uint64_t mark;
    struct tide_rdd *through; /* persistent, but computed here; or NULL */
    int64_t time;             /* of the nearest guard above the current node; -1: none */
    bool again;
    bool guarded; /* the part being written */
};

/* ---- Sinks -------------------------------------------------------------------------------------------------- */

struct tide_sink tide_sink_final(struct tide_op *op) {
    return (struct tide_sink){.kind = TIDE_SINK_FINAL, .op = op, .outputs = 1};
}

struct tide_sink tide_sink_cache(struct tide_op *op) {
    return (struct tide_sink){.kind = TIDE_SINK_CACHE, .op = op, .outputs = 1};
}

struct tide_sink tide_sink_map(const struct tide_exchange *exchange) {
    struct tide_sink sink = tide_sink_route(exchange);

    if (exchange->route == TIDE_ROUTE_RANGE && exchange->partitions > 1) {
        sink.kind = TIDE_SINK_SAMPLE;
        sink.outputs = 2;
    } else if (exchange->route == TIDE_ROUTE_RANGE) {
        sink.route = TIDE_ROUTE_SINGLE; /* one partition: there are no bounds to find */
    }
    return sink;
}

struct tide_sink tide_sink_route(const struct tide_exchange *exchange) {
    return (struct tide_sink){
        .kind = TIDE_SINK_SHUFFLE,
        .op = exchange->write,
        .route = exchange->route,
        .ascending = exchange->ascending,
        .outputs = exchange->partitions,
    };
}

/* ---- Writing shapes ----------------------------------------------------------------------------------------- */

static void put(struct words *words, uint64_t word) {
    TIDE_ARRAY_RESERVE(words->items, words->capacity, words->count + 1);
    words->items[words->count++] = word;
}

static void put_op(struct words *words, const struct tide_op *op) { put(words, (uint64_t)(uintptr_t)op); }

static void put_sink(struct words *words, const struct tide_sink *sink) {
    switch (sink->kind) {
    case TIDE_SINK_FINAL:
    case TIDE_SINK_CACHE:
        put(words, TIDE_WORD_FINAL);
        put_op(words, sink->op);
        break;
    case TIDE_SINK_SHUFFLE:
        put(words, TIDE_WORD_SHUFFLE);
        put_op(words, sink->op);
        put(words, sink->route);
        put(words, sink->ascending);
        break;
    case TIDE_SINK_SAMPLE:
        put(words, TIDE_WORD_SAMPLE);
        put_op(words, sink->op);
        break;
    }
}

static void put_slot(struct cutter *cutter, struct tide_arity *arity) {
    put(&cutter->slots, tide_arities_index(cutter->arities, arity));
}

/* Writes the operators above a node, in the order in which they run, and pops them. An operator that gets the number
 * of the partition is written with the difference to the number of the node's first input, which is the same for most
 * partitions, so that they still share a plan. */
static void put_above(struct cutter *cutter, const struct above *above) {
    if (above->to > above->from) {
        put(&cutter->shape, TIDE_WORD_OPS);
        put(&cutter->shape, (above->to - above->from) / 3);
        for (uint32_t i = above->to; i > above->from; i -= 3) {
            const uint64_t *words = cutter->ops.items + (i - 3);
            const struct tide_op *op = (struct tide_op *)(uintptr_t)words[0];

            if (op->indexed) {
                bool none = above->first_input == cutter->stage->ninputs; /* all it reads was computed before */

                put(&cutter->shape, none ? TIDE_WORD_NUMBERED : TIDE_WORD_INDEXED);
                put(&cutter->shape,
                    words[1] - (none ? cutter->root_partition : cutter->stage->inputs[above->first_input].partition));
            }
            put_op(&cutter->shape, op);
            if (op->makes == TIDE_MAKES_LEARNED) put_slot(cutter, (struct tide_arity *)(uintptr_t)words[2]);
        }
    }
    cutter->ops.count = above->from;
}

static void add_need(struct cutter *cutter, struct tide_rdd *rdd, bool cached) {
    struct tide_stage *stage = cutter->stage;

    if (rdd->mark == cutter->mark) return;
    rdd->mark = cutter->mark;
    TIDE_ARRAY_RESERVE(stage->needs, cutter->need_slots, stage->nneeds + 1);
    stage->needs[stage->nneeds++] = (struct tide_stage_need){.rdd = rdd, .cached = cached, .time = cutter->time};
}

/* Notes that the part is computed through this guard. */
static void add_guard(struct cutter *cutter, struct tide_rdd *guard) {
    struct tide_stage *stage = cutter->stage;

    cutter->guarded = true;
    if (guard->mark == cutter->mark) return;
    guard->mark = cutter->mark;
    TIDE_ARRAY_RESERVE(stage->guards, cutter->guard_slots, stage->nguards + 1);
    stage->guards[stage->nguards++] = tide_rdd_retain(guard);
}

/* Whether the cached partition is read, not computed. Workers may drop a partition at any time, so this is decided
 * once. */
static bool reads_cached(const struct cutter *cutter, const struct tide_rdd *rdd, uint32_t partition) {
    if (!tide_rdd_persistent(rdd) || rdd == cutter->through) return false;
    return !rdd->cached || tide_cached_available(rdd->cached[partition]) ||
           (!cutter->again && tide_cached_fits(rdd->cached[partition]));
}

static void put_leaf(struct cutter *cutter, struct tide_rdd *rdd, uint32_t partition, bool cached) {
    struct tide_stage *stage = cutter->stage;
    const struct tide_op *read = NULL;

    if (cached) {
        if (!rdd->cached || !tide_cached_available(rdd->cached[partition])) add_need(cutter, rdd, true);
        stage->may_lose |= !rdd->truncate;
    } else if (rdd->kind == TIDE_RDD_SHUFFLED) {
        read = rdd->as.shuffle.exchange->read;
        if (!tide_rdd_computed(rdd)) add_need(cutter, rdd, false);
    }
    put(&cutter->shape, TIDE_WORD_LEAF);
    put_op(&cutter->shape, read);

    if (stage->ninputs == cutter->input_slots) { /* may be more than 32 bits count */
        cutter->input_slots = cutter->input_slots > 0 ? cutter->input_slots * 2 : 16;
        stage->inputs = tide_xrealloc(stage->inputs, cutter->input_slots * sizeof *stage->inputs);
    }
    tide_rdd_pin(rdd);
    stage->inputs[stage->ninputs++] =
        (struct tide_stage_leaf){.rdd = tide_rdd_retain(rdd), .partition = partition, .cached = cached};
}

/* ---- The walk ----------------------------------------------------------------------------------------------- */

static void begin_run(struct cutter *cutter, struct frame *frame) {
    frame->seen = cutter->seen.count;
    frame->reach = UINT32_MAX;
    frame->run = cutter->shape.count;
    frame->slot = cutter->slots.count;
    put(&cutter->shape, TIDE_WORD_RUN);
    put(&cutter->shape, 1);
}

/* The children of a run that was merged into the equal run before it: they have the numbers of that run's. */
static void merge_seen(struct cutter *cutter, uint32_t from) {
    uint32_t count = cutter->seen.count - from;

    for (uint32_t i = from; i < from + count; i++) {
        struct tide_rdd *rdd = (struct tide_rdd *)(uintptr_t)cutter->seen.items[i];

        if (rdd->cut_number == i) rdd->cut_number -= count;
    }
    cutter->seen.count = from;
}

/* Child number `first` is referred to in the innermost of the first `frames` nodes. */
static void reach(struct cutter *cutter, uint32_t frames, uint32_t first) {
    if (frames > 0 && first < cutter->frames[frames - 1].reach) cutter->frames[frames - 1].reach = first;
}

/* The child of a node without runs is complete: if it comes again, it is referred to, unless it is a single input. */
static void end_child(struct cutter *cutter, const struct frame *frame) {
    struct tide_rdd *rdd = frame->child;

    put(&cutter->seen, (uint64_t)(uintptr_t)rdd);
    if (cutter->nodes == frame->child_node) return;
    rdd->cut_mark = cutter->part;
    rdd->cut_input = frame->child_input;
    rdd->cut_partition = frame->child_partition;
    rdd->cut_number = cutter->seen.count - 1;
}

static bool put_same(struct cutter *cutter, const struct tide_rdd *rdd, uint32_t partition) {
    if (rdd->cut_mark != cutter->part || rdd->cut_partition != partition) return false;
    put(&cutter->shape, TIDE_WORD_SAME);
    put(&cutter->shape, cutter->seen.count - rdd->cut_number);
    put(&cutter->shape, cutter->stage->ninputs - rdd->cut_input);
    reach(cutter, cutter->nframes, rdd->cut_number);
    return true;
}

static bool equal_words(const uint64_t *items, uint32_t a, uint32_t b, uint32_t end) {
    return b - a == end - b && (end == b || memcmp(items + a, items + b, (end - b) * sizeof *items) == 0);
}

/* Whether the run means the same when merged into the one before it: references to earlier children count how far
 * these are back, and the run's own children would be between. */
static bool may_repeat(const struct cutter *cutter, const struct frame *frame) {
    return frame->reach >= frame->seen || cutter->seen.count == frame->seen;
}

/* A run's node is complete: it is merged into the run before it (n + 1) if the two are equal, and their records are
 * known to have the same arity. */
static void end_run(struct cutter *cutter, struct frame *frame) {
    uint64_t *items = cutter->shape.items;

    reach(cutter, cutter->nframes - 1, frame->reach);
    if (may_repeat(cutter, frame) && frame->run_before != 0 &&
        frame->run - frame->run_before == cutter->shape.count - frame->run &&
        memcmp(items + frame->run_before + 2, items + frame->run + 2,
               (cutter->shape.count - frame->run - 2) * sizeof *items) == 0 &&
        equal_words(cutter->slots.items, frame->slot_before, frame->slot, cutter->slots.count)) {
        items[frame->run_before + 1]++;
        cutter->shape.count = frame->run;
        cutter->slots.count = frame->slot;
        merge_seen(cutter, frame->seen);
        return;
    }
    items[frame->concat]++;
    frame->run_before = frame->run;
    frame->slot_before = frame->slot;
}

static void push_frame(struct cutter *cutter, struct tide_rdd *rdd, uint32_t partition, struct above above) {
    TIDE_ARRAY_RESERVE(cutter->frames, cutter->frame_slots, cutter->nframes + 1);

    struct frame *frame = &cutter->frames[cutter->nframes++];

    cutter->nodes++;
    *frame = (struct frame){.rdd = rdd,
                            .partition = partition,
                            .to = tide_rdd_children(rdd, partition),
                            .reach = UINT32_MAX,
                            .above = above,
                            .time = cutter->time};
    frame->runs = rdd->kind == TIDE_RDD_COALESCE || rdd->kind == TIDE_RDD_ZIP_UNION;
    if (frame->runs) {
        put(&cutter->shape, TIDE_WORD_CONCAT);
        frame->concat = cutter->shape.count;
        put(&cutter->shape, 0);
    } else {
        put(&cutter->shape, TIDE_WORD_ZIP);
        put_op(&cutter->shape, rdd->as.many.op);
        put(&cutter->shape, frame->to);
        if (rdd->as.many.op->makes == TIDE_MAKES_LEARNED) put_slot(cutter, rdd->arity);
    }
}

/* Whether the records of the parent are those of the dataset, unchanged. */
static void join(const struct cutter *cutter, const struct tide_rdd *whole, const struct tide_rdd *part) {
    tide_arities_join(cutter->arities, whole->arity, part->arity);
}

/* Goes down from partition *partition of *rdd to the first node that data comes from or that joins several
 * partitions, collecting operators on the way. true: its cached partition is read. */
static bool descend(struct cutter *cutter, struct tide_rdd **rdd, uint32_t *partition) {
    while (!reads_cached(cutter, *rdd, *partition)) {
        const struct tide_rdd *node = *rdd;

        switch (node->kind) {
        case TIDE_RDD_NARROW:
            put_op(&cutter->ops, node->as.op);
            put(&cutter->ops, *partition);
            put(&cutter->ops, (uint64_t)(uintptr_t)node->arity);
            *rdd = node->parent;
            break;
        case TIDE_RDD_UNION:
            *rdd = tide_rdd_union_parent(node, *partition, partition);
            join(cutter, node, *rdd);
            break;
        case TIDE_RDD_GUARD:
            cutter->time = node->as.guard.time;
            cutter->stage->may_lose = true;
            if (node != cutter->through) add_guard(cutter, *rdd);
            *rdd = node->parent;
            break;
        case TIDE_RDD_COALESCE:
        case TIDE_RDD_ZIP_UNION:
            if (tide_rdd_children(node, *partition) > 1) return false;
            *rdd = tide_rdd_child(node, *partition, 0, partition);
            join(cutter, node, *rdd);
            break;
        default: return false;
        }
    }
    return true;
}

static bool has_children(const struct tide_rdd *rdd) {
    return rdd->kind == TIDE_RDD_COALESCE || rdd->kind >= TIDE_RDD_ZIP_UNION;
}

/* A node is complete. */
static void end_node(struct cutter *cutter) {
    struct frame *frame = cutter->nframes > 0 ? &cutter->frames[cutter->nframes - 1] : NULL;

    if (!frame) return;
    if (frame->runs) end_run(cutter, frame);
    else end_child(cutter, frame);
}

/* The next node to write; the nodes around the last one may be complete with it. false: all are. */
static bool next_child(struct cutter *cutter, struct tide_rdd **rdd, uint32_t *partition) {
    while (cutter->nframes > 0) {
        struct frame *frame = &cutter->frames[cutter->nframes - 1];

        if (frame->next == frame->to) {
            put_above(cutter, &frame->above);
            cutter->nframes--;
            reach(cutter, cutter->nframes, frame->reach);
            end_node(cutter);
            continue;
        }
        *rdd = tide_rdd_child(frame->rdd, frame->partition, frame->next++, partition);
        if (!frame->runs && put_same(cutter, *rdd, *partition)) continue;
        if (frame->runs) begin_run(cutter, frame);
        frame->child = *rdd;
        frame->child_partition = *partition;
        frame->child_input = cutter->stage->ninputs;
        frame->child_node = cutter->nodes;
        cutter->time = frame->time;
        if (frame->runs) join(cutter, frame->rdd, *rdd);
        return true;
    }
    return false;
}

/* Writes the shape of one partition and appends its inputs. */
static void put_node(struct cutter *cutter, struct tide_rdd *rdd, uint32_t partition) {
    for (;;) {
        struct above above = {.from = cutter->ops.count, .first_input = cutter->stage->ninputs};

        bool cached = descend(cutter, &rdd, &partition);

        if (rdd->lost) cutter->ops.count = above.from; /* it has no records: no function runs for its partitions */
        above.to = cutter->ops.count;
        if (above.to > above.from) put(&cutter->shape, TIDE_WORD_CHAIN);

        if (has_children(rdd) && !cached) {
            push_frame(cutter, rdd, partition, above);
        } else {
            put_leaf(cutter, rdd, partition, cached);
            put_above(cutter, &above);
            end_node(cutter);
        }
        if (!next_child(cutter, &rdd, &partition)) return;
    }
}

/* Appends the slots of a part, unless they are those of the one before. */
static void keep_slots(struct cutter *cutter, struct tide_stage_part *part, uint64_t *room) {
    struct tide_stage *stage = cutter->stage;
    uint32_t count = cutter->slots.count;
    const struct tide_stage_part *before = part > stage->parts ? part - 1 : part;
    bool same = before->nslots == count;

    for (uint32_t i = 0; same && i < count; i++)
        same = stage->slots[before->first_slot + i] == (uint32_t)cutter->slots.items[i];
    part->nslots = count;
    part->first_slot = same ? before->first_slot : stage->nslots;
    if (same) return;
    if (stage->nslots + count > *room) {
        *room = (stage->nslots + count) * 2;
        stage->slots = tide_xrealloc(stage->slots, *room * sizeof *stage->slots);
    }
    for (uint32_t i = 0; i < count; i++) stage->slots[stage->nslots++] = (uint32_t)cutter->slots.items[i];
}

struct tide_stage *tide_stage_new(struct tide_plans *plans, struct tide_arities *arities, struct tide_rdd *root,
                                  const uint32_t *partitions, uint32_t npartitions, const struct tide_sink *sink,
                                  bool again) {
    struct tide_stage *stage = tide_xcalloc(1, sizeof *stage);
    struct cutter cutter = {.stage = stage, .arities = arities, .mark = tide_rdd_next_mark(), .again = again};
    uint64_t slot_room = 0;
    uint32_t count = partitions ? npartitions : root->partitions;
    uint64_t *before = NULL; /* the shape of the partition before */
    uint32_t before_count = 0;

    stage->root = tide_rdd_retain(root);
    stage->parts = tide_xcalloc(count > 0 ? count : 1, sizeof *stage->parts);
    stage->count = count;
    stage->outputs = sink->outputs;
    if (sink->kind == TIDE_SINK_CACHE) cutter.through = root;
    tide_arities_begin(arities);

    for (uint32_t i = 0; i < count; i++) {
        struct tide_stage_part *part = &stage->parts[i];

        part->partition = partitions ? partitions[i] : i;
        assert(part->partition < root->partitions);
        part->first_leaf = stage->ninputs;
        cutter.shape.count = cutter.slots.count = cutter.seen.count = 0;
        cutter.part = tide_rdd_next_mark();
        cutter.root_partition = part->partition;
        cutter.time = -1;
        cutter.guarded = false;
        put_node(&cutter, root, part->partition);
        put_sink(&cutter.shape, sink);
        part->leaves = (uint32_t)(stage->ninputs - part->first_leaf);
        part->guarded = cutter.guarded;
        keep_slots(&cutter, part, &slot_room);

        if (i > 0 && cutter.shape.count == before_count &&
            memcmp(cutter.shape.items, before, before_count * sizeof *before) == 0) {
            part->plan = tide_plan_retain(stage->parts[i - 1].plan);
            continue;
        }
        part->plan = tide_plans_get(plans, cutter.shape.items, cutter.shape.count);

        struct words spare = {.items = before, .capacity = before_count};

        before = cutter.shape.items;
        before_count = cutter.shape.count;
        cutter.shape = spare;
    }
    tide_plans_trim(plans);

    tide_free(before);
    tide_free(cutter.shape.items);
    tide_free(cutter.ops.items);
    tide_free(cutter.slots.items);
    tide_free(cutter.seen.items);
    tide_free(cutter.frames);
    return stage;
}

void tide_stage_delete(struct tide_stage *stage) {
    if (!stage) return;
    for (uint32_t i = 0; i < stage->count; i++) tide_plan_release(stage->parts[i].plan);
    for (uint64_t i = 0; i < stage->ninputs; i++) {
        tide_rdd_unpin(stage->inputs[i].rdd);
        tide_rdd_release(stage->inputs[i].rdd);
    }
    for (uint32_t i = 0; i < stage->nguards; i++) tide_rdd_release(stage->guards[i]);
    tide_free(stage->guards);
    tide_free(stage->parts);
    tide_free(stage->inputs);
    tide_free(stage->slots);
    tide_free(stage->needs);
    tide_rdd_release(stage->root);
    tide_free(stage);
}

/* ---- Tasks -------------------------------------------------------------------------------------------------- */

static void add_input(struct tide_task *task, uint32_t index, const struct tide_stage_leaf *leaf) {
    struct tide_task_input *input = &task->work.inputs[index];
    const struct tide_rdd *rdd = leaf->rdd;
    struct tide_cached *cached =
        leaf->cached || rdd->kind == TIDE_RDD_BLOCKS ? tide_rdd_cached(rdd, leaf->partition) : NULL;

    input->partition = leaf->partition;
    if (cached) {
        tide_task_read(task, index, cached, 0);
    } else if (rdd->kind == TIDE_RDD_BLOCKS) {
        tide_blocks_append(&input->blocks, &rdd->as.blocks.lists[leaf->partition]);
    } else if (rdd->kind == TIDE_RDD_FILES) {
        const struct tide_file_split *split = &rdd->as.files.splits[leaf->partition];

        input->kind = TIDE_TASK_INPUT_FILE;
        input->path = tide_xstrdup(split->path);
        input->offset = split->offset;
        input->length = split->length;
        input->size = split->size;
        input->once = split->once;
        input->counts = tide_counts_retain(rdd->as.files.counts);
    } else {
        assert(tide_rdd_computed(rdd));
        for (uint32_t i = 0; i < rdd->as.shuffle.nmaps; i++)
            tide_task_read(task, index, rdd->as.shuffle.maps[i], tide_rdd_map_list(rdd, i, leaf->partition));
    }
}

struct tide_task *tide_stage_task(const struct tide_stage *stage, const struct tide_arities *arities,
                                  uint32_t index) {
    const struct tide_stage_part *part = &stage->parts[index];
    const struct tide_stage_leaf *leaves = stage->inputs + part->first_leaf;

    for (uint32_t i = 0; i < part->leaves; i++) {
        const struct tide_cached *cached =
            leaves[i].cached ? tide_rdd_cached(leaves[i].rdd, leaves[i].partition) : NULL;

        if (leaves[i].cached && (!cached || !tide_cached_available(cached))) return NULL;
        /* It has been lost since the stage was cut, and is left out. */
        if (!leaves[i].cached && leaves[i].rdd->kind == TIDE_RDD_SHUFFLED && !tide_rdd_computed(leaves[i].rdd))
            return NULL;
    }

    struct tide_task *task = tide_task_new(part->plan, part->leaves, stage->outputs);

    task->work.partition = part->partition;
    tide_arities_tell(arities, task, stage->slots + part->first_slot, part->nslots);
    for (uint32_t i = 0; i < part->leaves; i++) add_input(task, i, &leaves[i]);
    return task;
}

struct tide_plan *tide_stage_route_plan(struct tide_plans *plans, const struct tide_exchange *exchange) {
    struct tide_sink sink = tide_sink_route(exchange);
    struct words shape = {0};

    put(&shape, TIDE_WORD_LEAF);
    put(&shape, 0);
    put_sink(&shape, &sink);

    struct tide_plan *plan = tide_plans_get(plans, shape.items, shape.count);

    tide_free(shape.items);
    return plan;
}
