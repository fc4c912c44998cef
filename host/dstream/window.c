/*
 * The datasets of the parent in the last `length` ms, oldest first. Called through its table of operations by
 * generation.c, on the driver thread. The first windows are partial. Datasets that were not generated are left out,
 * and a window without any is an empty dataset. The parent's datasets are read several times, so it becomes
 * persistent.
 */
#include "base/alloc.h"
#include "dstream/stream.h"

struct window {
    struct tide_stream stream;
    int64_t length;
    bool single;
};

static void needs(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    struct tide_stream *parent = stream->parents[0];
    int64_t from = time - ((struct window *)stream)->length;

    if (from < stream->graph->zero) from = stream->graph->zero;
    for (int64_t t = from + parent->slide; t <= time; t += parent->slide) tide_needs_add(list, parent, t);
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct tide_rdd **present = tide_xcalloc(count > 0 ? count : 1, sizeof(struct tide_rdd *));
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++)
        if (parents[i]) present[found++] = parents[i];
    *out = found > 0 ? tide_rdd_union_auto_new(present, found) : tide_stream_empty(0);
    tide_free(present);
    if (!*out) {
        return tide_error_set(
            err, TIDE_ELIMIT,
            "window: the datasets of the window have too many partitions together; repartition() the "
            "stream first, or coalesce what comes before it");
    }
    if (((struct window *)stream)->single && tide_rdd_partitions(*out) > 1) {
        struct tide_rdd *all = *out;

        *out = tide_rdd_coalesce_new(all, 1);
        tide_rdd_release(all);
    }
    return TIDE_OK;
}

static int64_t parent_remember(const struct tide_stream *stream) {
    return stream->remember + ((const struct window *)stream)->length;
}

static const struct tide_stream_ops WINDOW_OPS = {
    .name = "window",
    .needs = needs,
    .compute = compute,
    .parent_remember = parent_remember,
    .partial = true,
};

struct tide_stream *tide_stream_window(struct tide_stream *parent, int64_t length, int64_t slide, bool single,
                                       struct tide_error *err) {
    if (slide == 0) slide = parent->slide;
    if (!tide_stream_fits(parent, "window: the window duration", length, err)) return NULL;
    if (!tide_stream_fits(parent, "window: the slide duration", slide, err)) return NULL;

    struct window *window =
        (struct window *)tide_stream_new(parent->graph, &WINDOW_OPS, sizeof *window, &parent, 1, slide, err);

    if (!window) return NULL;
    window->length = length;
    window->stream.arity = tide_arity_retain(parent->arity);
    window->single = single;
    window->stream.persists = parent;
    tide_stream_keep_for_window(parent);
    return &window->stream;
}
