/*
 * Windows made from the window before: leaving datasets are subtracted, entering ones are added. Called through its
 * table of operations by generation.c, on the driver thread.
 *
 * The dataset of T holds, for each key, its value and the number of the parent's datasets in the window that have it.
 * It is made by a ZIP operator from three inputs: the own dataset of T - slide, the parent's datasets that leave, and
 * those that enter. Once computed it releases its inputs, so lineage does not grow.
 *
 *     T - slide - length        T - slide       T
 *           |---- before ------------|
 *                    |---- now ---------------|      slide <= length
 *            leaving                  entering
 *
 * Where failures are skipped, the next window is not made from one that could not be computed but anew: from all
 * datasets of the parent in it, and from the last window that could be computed, which has the keys that stay with
 * their neutral value.
 */
#include "base/alloc.h"
#include "dstream/stream.h"

struct inverse_window {
    struct tide_stream stream;
    struct tide_op *op;
    struct tide_op *anew; /* makes a window from all its parts */
    int64_t length;
    uint32_t partitions;
};

static int64_t not_before_zero(const struct tide_stream *stream, int64_t time) {
    return time > stream->graph->zero ? time : stream->graph->zero;
}

/* Adds the parent's datasets in (from, to] that can exist; returns their number. */
static uint32_t add_needs(struct tide_stream *stream, int64_t from, int64_t to, struct tide_needs *list) {
    struct tide_stream *parent = stream->parents[0];
    uint32_t count = 0;

    for (int64_t t = not_before_zero(stream, from) + parent->slide; t <= to; t += parent->slide, count++)
        if (list) tide_needs_add(list, parent, t);
    return count;
}

static uint32_t add_leaving(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    int64_t length = ((struct inverse_window *)stream)->length;

    return add_needs(stream, time - stream->slide - length, time - length, list);
}

static void needs(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    tide_needs_add(list, stream, tide_stream_before(stream, time)); /* before the first batch: there is none */
    add_leaving(stream, time, list);
    add_needs(stream, time - stream->slide, time, list);
}

static struct tide_rdd *zip_union(const struct inverse_window *window, struct tide_rdd *const *datasets,
                                  uint32_t count) {
    struct tide_rdd **present = tide_xcalloc(count > 0 ? count : 1, sizeof(struct tide_rdd *));
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        if (datasets[i]) present[found++] = datasets[i];

    struct tide_rdd *result =
        found > 0 ? tide_rdd_zip_union_new(present, found) : tide_rdd_empty_new(window->partitions);

    tide_free(present);
    return result;
}

/* The inputs of a window that is made anew. The datasets are in memory: each was needed when it entered a window. */
static void inputs_anew(struct inverse_window *window, int64_t time, struct tide_rdd **inputs) {
    struct tide_stream *stream = &window->stream, *parent = stream->parents[0];
    struct tide_rdd *base = tide_stream_base(stream, time);
    struct tide_rdd **parts = tide_xcalloc((size_t)(window->length / parent->slide) + 1, sizeof(struct tide_rdd *));
    uint32_t count = 0;

    for (int64_t t = not_before_zero(stream, time - window->length) + parent->slide; t <= time; t += parent->slide)
        parts[count++] = tide_stream_guarded(parent, t);
    inputs[0] = base ? tide_rdd_retain(base) : tide_rdd_empty_new(window->partitions);
    inputs[1] = tide_rdd_empty_new(window->partitions);
    inputs[2] = zip_union(window, parts, count);
    tide_free(parts);
}

static bool follows_a_gap(const struct tide_stream *stream, int64_t time) {
    int64_t before = time - stream->slide;

    return stream->graph->skipping && before > stream->graph->zero && tide_stream_before(stream, time) != before;
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct inverse_window *window = (struct inverse_window *)stream;

    if (follows_a_gap(stream, time)) {
        struct tide_rdd *anew[3];

        inputs_anew(window, time, anew);
        *out = tide_rdd_zip_new(anew, 3, window->anew);
        for (int i = 0; i < 3; i++) tide_rdd_release(anew[i]);
        return TIDE_OK;
    }

    /* The dataset before may have failed in the meantime. */
    struct tide_rdd *before = stream->graph->skipping ? tide_stream_base(stream, time) : parents[0];
    uint32_t leaving = add_leaving(stream, time, NULL);
    struct tide_rdd *inputs[3] = {
        before ? tide_rdd_retain(before) : tide_rdd_empty_new(window->partitions),
        zip_union(window, parents + 1, leaving),
        zip_union(window, parents + 1 + leaving, count - 1 - leaving),
    };

    *out = tide_rdd_zip_new(inputs, 3, window->op);
    for (int i = 0; i < 3; i++) tide_rdd_release(inputs[i]);
    return TIDE_OK;
}

static void remake(struct tide_stream *stream, int64_t time, struct tide_rdd *dataset) {
    struct inverse_window *window = (struct inverse_window *)stream;
    struct tide_rdd *inputs[3];

    inputs_anew(window, time, inputs);
    tide_rdd_zip_remake(dataset, inputs, 3, window->anew);
    for (int i = 0; i < 3; i++) tide_rdd_release(inputs[i]);
}

static int64_t parent_remember(const struct tide_stream *stream) {
    return stream->remember + ((const struct inverse_window *)stream)->length;
}

static void destroy(struct tide_stream *stream) {
    tide_op_release(((struct inverse_window *)stream)->op);
    tide_op_release(((struct inverse_window *)stream)->anew);
}

static const struct tide_stream_ops INVERSE_WINDOW_OPS = {
    .name = "inverse_window",
    .needs = needs,
    .compute = compute,
    .parent_remember = parent_remember,
    .remake = remake,
    .destroy = destroy,
    .partial = true,
};

struct tide_stream *tide_stream_inverse_window(struct tide_stream *parent, int64_t length, int64_t slide,
                                               uint32_t partitions, struct tide_op *op, struct tide_op *anew,
                                               struct tide_error *err) {
    if (slide == 0) slide = parent->slide;
    if (!tide_stream_fits(parent, "window: the window duration", length, err)) return NULL;
    if (!tide_stream_fits(parent, "window: the slide duration", slide, err)) return NULL;
    if (slide > length) {
        tide_error_set(err, TIDE_EINVAL,
                       "window: an inverse is of no use when the window slides by more than its length");
        return NULL;
    }

    struct inverse_window *window = (struct inverse_window *)tide_stream_new(parent->graph, &INVERSE_WINDOW_OPS,
                                                                             sizeof *window, &parent, 1, slide, err);

    if (!window) return NULL;
    window->op = tide_op_retain(op);
    window->stream.arity = tide_arity_after(op, parent->arity);
    window->anew = tide_op_retain(anew);
    window->length = length;
    window->partitions = partitions;
    window->stream.must_checkpoint = tide_stream_usual_checkpoint(slide);
    tide_stream_persist(&window->stream, TIDE_LEVEL_MEMORY, true, NULL);
    tide_stream_keep_for_window(parent);
    return &window->stream;
}
