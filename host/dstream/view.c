/*
 * What the script sees of a stream that keeps more than it shows: a GATHER operator over its dataset. Called through its
 * table of operations by generation.c, on the driver thread.
 */
#include "dstream/stream.h"

struct front {
    struct tide_stream stream;
    struct tide_op *op;
};

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct tide_rdd *behind = parents[0];

    if (behind) *out = tide_rdd_gather_new(&behind, 1, ((struct front *)stream)->op);
    return TIDE_OK;
}

static void destroy(struct tide_stream *stream) { tide_op_release(((struct front *)stream)->op); }

static const struct tide_stream_ops FRONT_OPS = {
    .name = "front",
    .needs = tide_stream_needs_parents,
    .compute = compute,
    .destroy = destroy,
};

struct tide_stream *tide_stream_front(struct tide_stream *behind, struct tide_op *op, struct tide_error *err) {
    struct front *front =
        (struct front *)tide_stream_new(behind->graph, &FRONT_OPS, sizeof *front, &behind, 1, 0, err);

    if (!front) return NULL;
    front->op = tide_op_retain(op);
    front->stream.arity = tide_arity_after(op, behind->arity);
    return &front->stream;
}
