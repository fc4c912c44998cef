/*
 * Windows over datasets of one record per key: reduceByKeyAndWindow without an inverse, groupByKeyAndWindow. Called
 * through its table of operations by generation.c, on the driver thread.
 *
 * Only the partial results of the parent's datasets are merged, never the records they were made from. Windows that
 * overlap share merges: time is cut in units of gcd(length, slide), and a node of level j stands for 2^j neighbouring
 * units, the first of them a multiple of 2^j. A window is a run of about 2·log2(length / unit) such nodes:
 *
 *     units    0 1 2 3 4 5 6 7 8 9        the window [3, 10)
 *     level 0        3             =      3, [4, 8), [8, 10)
 *     level 1                  8-9
 *     level 2          4-----7
 *
 * A node is made from its two halves when a window first needs it, is persistent, and is released when no later
 * window needs it. A half without datasets is left out; a node with one half is that half; an empty node is stored
 * when its batches are done. A window asks its parent only for datasets that are in no node yet, so the cost of a
 * batch grows with the logarithm of the window's length.
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "dstream/stream.h"

enum { LEVELS = 48 };

struct node {
    int64_t index;        /* of units: [index << level, (index + 1) << level) */
    struct tide_rdd *rdd; /* NULL: it is empty */
    bool own;             /* made here, not a dataset of the parent or another node */
};

/* Nodes of one level in ascending order. */
struct level {
    struct node *nodes; /* somewhere within slots */
    struct node *slots;
    uint32_t count, capacity;
};

struct merge_window {
    struct tide_stream stream;
    struct tide_op *op;
    int64_t length;
    int64_t unit; /* ms; 0: nothing is shared */
    uint32_t partitions;
    bool narrow; /* op is applied to the records of one part after the other; else it is a ZIP operator */
    struct level levels[LEVELS];
};

static int64_t greatest_divisor(int64_t a, int64_t b) {
    while (b != 0) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

/* ---- Nodes -------------------------------------------------------------------------------------------------- */

static uint32_t find(const struct level *level, int64_t index) {
    uint32_t low = 0, high = level->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (level->nodes[middle].index < index) low = middle + 1;
        else high = middle;
    }
    return low;
}

static void release(struct node *node) {
    if (node->own) tide_rdd_unpersist(node->rdd);
    tide_rdd_release(node->rdd);
}

static void remove_nodes(struct level *level, uint32_t from, uint32_t count) {
    if (count == 0) return;
    for (uint32_t i = 0; i < count; i++) release(&level->nodes[from + i]);
    level->count -= count;
    if (from == 0) level->nodes += count;
    else memmove(level->nodes + from, level->nodes + from + count, (level->count - from) * sizeof *level->nodes);
}

/* Makes room for one more at the end. Free room at the front is used when it is as large as the rest. */
static void make_room(struct level *level) {
    size_t before = level->slots ? (size_t)(level->nodes - level->slots) : 0;

    if (before + level->count < level->capacity) return;
    if (before > 0 && before >= level->count) {
        memmove(level->slots, level->nodes, level->count * sizeof *level->slots);
        level->nodes = level->slots;
        return;
    }
    TIDE_ARRAY_RESERVE(level->slots, level->capacity, (uint32_t)before + level->count + 1);
    level->nodes = level->slots + before;
}

/* Takes the reference. */
static void keep_node(struct level *level, int64_t index, struct tide_rdd *take, bool own) {
    uint32_t at = find(level, index);

    make_room(level);
    memmove(level->nodes + at + 1, level->nodes + at, (level->count - at) * sizeof *level->nodes);
    level->nodes[at] = (struct node){.index = index, .rdd = take, .own = own};
    level->count++;
    if (own) tide_rdd_persist(take, TIDE_LEVEL_MEMORY, true);
}

/* One dataset of the parts: a new one of several (*merged), the only part itself, or NULL. A new reference. */
static struct tide_rdd *merge(const struct merge_window *window, struct tide_rdd **parts, uint32_t count,
                              bool *merged) {
    *merged = count > 1;
    if (count == 0) return NULL;
    if (count == 1) return tide_rdd_retain(parts[0]);

    struct tide_rdd *all = tide_rdd_zip_union_new(parts, count);
    struct tide_rdd *result =
        window->narrow ? tide_rdd_narrow_new(all, window->op) : tide_rdd_zip_new(&all, 1, window->op);

    tide_rdd_release(all);
    return result;
}

/* Puts the datasets of the parent in (from, to] into `parts`; returns their number. They are in memory: `needs` named
 * them. */
static uint32_t datasets_in(const struct merge_window *window, int64_t from, int64_t to, struct tide_rdd **parts) {
    struct tide_stream *parent = window->stream.parents[0];
    uint32_t found = 0;

    for (int64_t t = from + parent->slide; t <= to; t += parent->slide) {
        struct tide_rdd *dataset = tide_stream_guarded(parent, t);

        if (dataset) parts[found++] = dataset;
    }
    return found;
}

static const struct node *node_at(struct merge_window *window, uint32_t number, int64_t index) {
    const struct level *level = &window->levels[number];
    uint32_t at = find(level, index);

    window->stream.graph->visits++;
    return at < level->count && level->nodes[at].index == index ? &level->nodes[at] : NULL;
}

/* When the node ends. */
static int64_t end_of(const struct merge_window *window, uint32_t number, int64_t index) {
    return window->stream.graph->zero + ((index + 1) << number) * window->unit;
}

/* The node, made with its halves if necessary; NULL: it is empty. Borrowed. No deeper than LEVELS. */
static struct tide_rdd *node_of(struct merge_window *window, uint32_t number, int64_t index) {
    const struct node *node = node_at(window, number, index);
    struct tide_rdd *made;
    bool merged;

    if (node) return node->rdd;
    if (number == 0) {
        int64_t to = end_of(window, 0, index);
        size_t most = (size_t)(window->unit / window->stream.parents[0]->slide);
        struct tide_rdd **parts = tide_xcalloc(most, sizeof(struct tide_rdd *));

        made = merge(window, parts, datasets_in(window, to - window->unit, to, parts), &merged);
        tide_free(parts);
    } else {
        struct tide_rdd *halves[2];
        uint32_t count = 0;

        for (int half = 0; half < 2; half++) {
            halves[count] = node_of(window, number - 1, 2 * index + half);
            if (halves[count]) count++;
        }
        made = merge(window, halves, count, &merged);
    }
    if (made || end_of(window, number, index) <= window->stream.graph->done)
        keep_node(&window->levels[number], index, made, merged);
    return made;
}

/* Adds the datasets that the node will be made from. */
static void add_needs(struct merge_window *window, uint32_t number, int64_t index, struct tide_needs *list) {
    struct tide_stream *parent = window->stream.parents[0];

    if (node_at(window, number, index)) return;
    for (int64_t half = 0; number > 0 && half < 2; half++) add_needs(window, number - 1, 2 * index + half, list);
    if (number > 0) return;

    int64_t to = end_of(window, 0, index);

    for (int64_t t = to - window->unit + parent->slide; t <= to; t += parent->slide) tide_needs_add(list, parent, t);
}

/* ---- The stream --------------------------------------------------------------------------------------------- */

static int64_t begins(const struct tide_stream *stream, int64_t time) {
    int64_t from = time - ((const struct merge_window *)stream)->length;

    return from > stream->graph->zero ? from : stream->graph->zero;
}

/* The largest node that begins at unit `from` and does not go beyond `to`. */
static uint32_t largest(int64_t from, int64_t to) {
    uint32_t number = 0;

    while (number + 1 < LEVELS && (from & ((INT64_C(2) << number) - 1)) == 0 && (INT64_C(2) << number) <= to - from)
        number++;
    return number;
}

static void needs(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    struct merge_window *window = (struct merge_window *)stream;
    struct tide_stream *parent = stream->parents[0];
    int64_t zero = stream->graph->zero, from = begins(stream, time);

    if (window->unit == 0) {
        for (int64_t t = from + parent->slide; t <= time; t += parent->slide) tide_needs_add(list, parent, t);
        return;
    }
    for (int64_t at = (from - zero) / window->unit, to = (time - zero) / window->unit; at < to;) {
        uint32_t number = largest(at, to);

        add_needs(window, number, at >> number, list);
        at += INT64_C(1) << number;
    }
}

static uint32_t nodes_in(struct merge_window *window, int64_t from, int64_t to, struct tide_rdd **parts) {
    uint32_t found = 0;

    while (from < to) {
        uint32_t number = largest(from, to);
        struct tide_rdd *node = node_of(window, number, from >> number);

        assert(found < 2 * LEVELS);
        if (node) parts[found++] = node;
        from += INT64_C(1) << number;
    }
    return found;
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct merge_window *window = (struct merge_window *)stream;
    struct tide_rdd **parts = tide_xcalloc(count + 2 * LEVELS, sizeof(struct tide_rdd *));
    int64_t zero = stream->graph->zero, first = begins(stream, time);
    uint32_t found = window->unit == 0
                         ? datasets_in(window, first, time, parts)
                         : nodes_in(window, (first - zero) / window->unit, (time - zero) / window->unit, parts);
    bool merged;

    /* Always a new dataset: its storage level differs from that of the part. */
    if (found == 1) *out = tide_rdd_zip_union_new(parts, 1);
    else *out = merge(window, parts, found, &merged);
    if (!*out) *out = tide_rdd_empty_new(window->partitions);
    tide_free(parts);
    return TIDE_OK;
}

static int64_t parent_remember(const struct tide_stream *stream) {
    return stream->remember + ((const struct merge_window *)stream)->length;
}

/* The batch could not be generated, and the next one gets other datasets: every node over that time is made again. */
static void settle(struct tide_stream *stream, int64_t time, bool generated) {
    struct merge_window *window = (struct merge_window *)stream;

    if (generated || window->unit == 0 || time <= stream->graph->zero) return;

    int64_t index = (time - stream->graph->zero - 1) / window->unit;

    for (uint32_t i = 0; i < LEVELS; i++) {
        struct level *level = &window->levels[i];
        uint32_t at = find(level, index >> i);

        if (at < level->count && level->nodes[at].index == index >> i) remove_nodes(level, at, 1);
    }
}

/* Nodes that begin before the next window does. */
static void forget(struct tide_stream *stream, int64_t time) {
    struct merge_window *window = (struct merge_window *)stream;

    if (window->unit == 0) return;

    int64_t bound = INT64_MAX; /* first unit of the next window */

    if (time < INT64_MAX) {
        int64_t past = time - stream->graph->zero;

        bound = past - past % stream->slide + stream->slide - window->length;
        if (bound <= 0) return;
        bound /= window->unit;
    }
    for (uint32_t i = 0; i < LEVELS; i++) {
        struct level *level = &window->levels[i];
        uint32_t count = 0;

        while (count < level->count && level->nodes[count].index << i < bound) count++;
        stream->graph->visits += count;
        remove_nodes(level, 0, count);
    }
}

static void destroy(struct tide_stream *stream) {
    struct merge_window *window = (struct merge_window *)stream;

    for (uint32_t i = 0; i < LEVELS; i++) {
        remove_nodes(&window->levels[i], 0, window->levels[i].count);
        tide_free(window->levels[i].slots);
    }
    tide_op_release(window->op);
}

static const struct tide_stream_ops MERGE_WINDOW_OPS = {
    .name = "merge_window",
    .needs = needs,
    .compute = compute,
    .parent_remember = parent_remember,
    .settle = settle,
    .forget = forget,
    .destroy = destroy,
    .partial = true,
};

struct tide_stream *tide_stream_merge_window(struct tide_stream *parent, int64_t length, int64_t slide,
                                             uint32_t partitions, struct tide_op *op, enum tide_merging merging,
                                             struct tide_error *err) {
    if (slide == 0) slide = parent->slide;
    if (!tide_stream_fits(parent, "window: the window duration", length, err)) return NULL;
    if (!tide_stream_fits(parent, "window: the slide duration", slide, err)) return NULL;

    struct merge_window *window = (struct merge_window *)tide_stream_new(parent->graph, &MERGE_WINDOW_OPS,
                                                                         sizeof *window, &parent, 1, slide, err);

    if (!window) return NULL;
    window->op = tide_op_retain(op);
    window->stream.arity = tide_arity_after(op, parent->arity);
    window->length = length;
    window->unit = merging != TIDE_MERGES_NOT && length > slide ? greatest_divisor(length, slide) : 0;
    window->narrow = merging == TIDE_MERGES_NARROW;
    window->partitions = partitions;
    tide_stream_keep_for_window(parent);
    return &window->stream;
}
