/*
 * Datasets made by a function of the script from the parents' datasets. C never calls into Lua, so the stream
 * returns ASKS: the generation waits for the answer (generation.h). Called through its table
 * of operations by generation.c, on the driver thread. Spark 1.6+: a parent without a dataset fails the batch.
 */
#include <inttypes.h>

#include "dstream/stream.h"

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        if (parents[i]) continue;
        return tide_error_set(err, TIDE_EGENERATION,
                              "transform: stream %" PRIu32 " generated no dataset for batch %" PRId64 " ms",
                              stream->parents[i]->id, time);
    }
    return TIDE_STREAM_ASKS;
}

static const struct tide_stream_ops TRANSFORM_OPS = {
    .name = "transform",
    .needs = tide_stream_needs_parents,
    .compute = compute,
};

struct tide_stream *tide_stream_transform(struct tide_graph *graph, struct tide_stream *const *parents,
                                          uint32_t count, struct tide_error *err) {
    struct tide_stream *stream =
        tide_stream_new(graph, &TRANSFORM_OPS, sizeof(struct tide_stream), parents, count, 0, err);

    if (!stream) return NULL;
    stream->arity = tide_arity_new(NULL);
    stream->adopts = true;
    return stream;
}
