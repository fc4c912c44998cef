/*
 * Lineage as text (see lineage.h).
 *
 * Called by the binding (rdd:lineage(), toDebugString). Driver thread. The walk has its own stack, because lineage
 * may be long, and marks the nodes it has seen, because a shared node may be reached on very many paths.
 */
#include "rdd/lineage.h"

#include "base/alloc.h"
#include "base/array.h"
#include "rdd/node.h"

struct step {
    struct tide_rdd *rdd;
    uint32_t depth;
    bool branch; /* first line of a parent that is set off from its child */
};

struct steps {
    struct step *items;
    uint32_t count, capacity;
};

static void push(struct steps *steps, struct tide_rdd *rdd, uint32_t depth, bool branch) {
    TIDE_ARRAY_RESERVE(steps->items, steps->capacity, steps->count + 1);
    steps->items[steps->count++] = (struct step){.rdd = rdd, .depth = depth, .branch = branch};
}

static const char *route_text(const struct tide_exchange *exchange) {
    switch (exchange->route) {
    case TIDE_ROUTE_HASH: return exchange->partitioner ? "shuffle by partitioner" : "shuffle by key";
    case TIDE_ROUTE_ROUNDROBIN: return "shuffle evenly";
    case TIDE_ROUTE_SINGLE: return "shuffle to one partition";
    case TIDE_ROUTE_RANGE: return "shuffle by key order";
    }
    return "shuffle";
}

static void write_kind(const struct tide_rdd *rdd, struct tide_buffer *out) {
    switch (rdd->kind) {
    case TIDE_RDD_BLOCKS: tide_buffer_format(out, "blocks, %lld records", (long long)rdd->known_records); break;
    case TIDE_RDD_FILES:
        tide_buffer_format(out, "text files, from %s", rdd->partitions > 0 ? rdd->as.files.splits[0].path : "none");
        break;
    case TIDE_RDD_NARROW: tide_op_label(rdd->as.op, "operator", out); break;
    case TIDE_RDD_UNION: tide_buffer_format(out, "union"); break;
    case TIDE_RDD_ZIP_UNION: tide_buffer_format(out, "union, partition by partition"); break;
    case TIDE_RDD_ZIP: tide_op_label(rdd->as.many.op, "zip", out); break;
    case TIDE_RDD_CARTESIAN: tide_op_label(rdd->as.many.op, "cartesian", out); break;
    case TIDE_RDD_COALESCE: tide_buffer_format(out, "coalesce"); break;
    case TIDE_RDD_GUARD: tide_buffer_format(out, "left out if it fails"); break;
    case TIDE_RDD_SHUFFLED: {
        const struct tide_exchange *exchange = rdd->as.shuffle.exchange;

        tide_op_label(exchange->read ? exchange->read : exchange->write, "shuffle", out);
        tide_buffer_format(out, ", %s%s", route_text(exchange), tide_rdd_computed(rdd) ? ", computed" : "");
        break;
    }
    }
}

static void write_persistence(const struct tide_rdd *rdd, struct tide_buffer *out) {
    char level[TIDE_LEVEL_NAME];
    struct tide_rdd_places places;

    tide_level_name(rdd->level, level);
    tide_buffer_format(out, ", persistent %s", level);
    if (!rdd->cached) return;
    tide_buffer_format(out, ", computed:");
    if (rdd->known_records >= 0) tide_buffer_format(out, " %lld records,", (long long)rdd->known_records);
    tide_rdd_places(rdd, &places);
    if (places.memory > 0 || rdd->partitions == 0)
        tide_buffer_format(out, " %u in memory (%llu bytes),", places.memory,
                           (unsigned long long)places.memory_bytes);
    if (places.disk > 0)
        tide_buffer_format(out, " %u on disk (%llu bytes),", places.disk, (unsigned long long)places.disk_bytes);
    if (places.gone > 0) tide_buffer_format(out, " %u dropped,", places.gone);
    out->size--; /* the last comma */
}

/* Whether its parents are not shown: it is a checkpoint, or becomes one soon. */
static bool is_cut(const struct tide_rdd *rdd) { return tide_rdd_checkpoint(rdd) == TIDE_CHECKPOINT_DONE; }

static void write_line(const struct step *step, bool again, struct tide_buffer *out) {
    const struct tide_rdd *rdd = step->rdd;

    for (uint32_t i = 0; i < step->depth; i++)
        tide_buffer_append(out, step->branch && i + 1 == step->depth ? "+-" : "  ", 2);
    if (again) {
        tide_buffer_format(out, "#%llu, see above\n", (unsigned long long)rdd->id);
        return;
    }
    tide_buffer_format(out, "(%u) #%llu ", rdd->partitions, (unsigned long long)rdd->id);
    if (rdd->name) tide_buffer_format(out, "%s, ", rdd->name);
    if (is_cut(rdd)) {
        tide_buffer_format(out, "checkpoint (%s), files in %s", tide_rdd_checkpoint_site(rdd),
                           tide_rdd_checkpoint_directory(rdd));
    } else {
        write_kind(rdd, out);
        if (rdd->checkpoint) tide_buffer_format(out, ", to be checkpointed");
    }
    if (rdd->level != 0) write_persistence(rdd, out);
    tide_buffer_append(out, "\n", 1);
}

void tide_rdd_lineage(struct tide_rdd *rdd, struct tide_buffer *out) {
    uint64_t mark = tide_rdd_next_mark();
    struct steps steps = {0};

    push(&steps, rdd, 0, false);
    while (steps.count > 0) {
        struct step step = steps.items[--steps.count];
        bool again = step.rdd->mark == mark;

        write_line(&step, again, out);
        if (again) continue;
        step.rdd->mark = mark;
        if (is_cut(step.rdd)) continue;
        if (tide_rdd_has_many(step.rdd)) {
            for (uint32_t i = step.rdd->as.many.count; i > 0; i--)
                push(&steps, step.rdd->as.many.parents[i - 1], step.depth + 1, true);
        } else if (step.rdd->parent) {
            bool shuffled = step.rdd->kind == TIDE_RDD_SHUFFLED;

            push(&steps, step.rdd->parent, step.depth + shuffled, shuffled);
        }
    }
    tide_free(steps.items);
}
