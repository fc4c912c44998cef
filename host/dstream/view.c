/*
 * A view: a stream that shows part of what its parent keeps, by a ZIP operator over its dataset. Called through its
 * table of operations by generation.c, on the driver thread.
 */
#include "dstream/stream.h"

struct view {
    struct tide_stream stream;
    struct tide_op *op;
};

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct tide_rdd *kept = parents[0];

    if (kept) *out = tide_rdd_zip_new(&kept, 1, ((struct view *)stream)->op);
    return TIDE_OK;
}

static void destroy(struct tide_stream *stream) { tide_op_release(((struct view *)stream)->op); }

static const struct tide_stream_ops VIEW_OPS = {
    .name = "view",
    .needs = tide_stream_needs_parents,
    .compute = compute,
    .destroy = destroy,
};

struct tide_stream *tide_stream_view(struct tide_stream *parent, struct tide_op *op, struct tide_error *err) {
    struct view *view = (struct view *)tide_stream_new(parent->graph, &VIEW_OPS, sizeof *view, &parent, 1, 0, err);

    if (!view) return NULL;
    view->op = tide_op_retain(op);
    view->stream.arity = tide_arity_after(op, parent->arity);
    return &view->stream;
}
