/*
 * One operator applied to every partition of the parent's dataset: map, filter, flatMap … Called through its
 * table of operations by generation.c, on the driver thread.
 */
#include "dstream/stream.h"

struct narrow {
    struct tide_stream stream;
    struct tide_op *op;
};

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct narrow *narrow = (struct narrow *)stream;

    if (!parents[0]) return TIDE_OK;
    *out = tide_rdd_narrow_new(parents[0], narrow->op);
    tide_rdd_set_arity(*out, stream->arity);
    return TIDE_OK;
}

static void destroy(struct tide_stream *stream) { tide_op_release(((struct narrow *)stream)->op); }

static const struct tide_stream_ops NARROW_OPS = {
    .name = "narrow",
    .needs = tide_stream_needs_parents,
    .compute = compute,
    .destroy = destroy,
};

struct tide_stream *tide_stream_narrow(struct tide_stream *parent, struct tide_op *op, struct tide_error *err) {
    struct narrow *narrow =
        (struct narrow *)tide_stream_new(parent->graph, &NARROW_OPS, sizeof *narrow, &parent, 1, 0, err);
    if (!narrow) return NULL;
    narrow->op = tide_op_retain(op);
    narrow->stream.arity = tide_arity_after(op, parent->arity);
    return &narrow->stream;
}
