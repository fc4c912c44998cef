/*
 * The datasets of several streams, one after the other. Called through its table of operations by generation.c,
 * on the driver thread. Spark 1.6+: a parent without a dataset fails the batch, because half a union is no union.
 */
#include <inttypes.h>

#include "dstream/stream.h"

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    for (uint32_t i = 0; i < count; i++) {
        if (parents[i]) continue;
        return tide_error_set(err, TIDE_EGENERATION,
                              "union: stream %" PRIu32 " generated no dataset for batch %" PRId64 " ms",
                              stream->parents[i]->id, time);
    }
    *out = tide_rdd_together_new((struct tide_rdd **)parents, count);
    if (*out) return TIDE_OK;
    return tide_error_set(err, TIDE_ELIMIT,
                          "union: the datasets for batch %" PRId64 " ms have too many partitions together; "
                          "repartition() the streams first",
                          time);
}

static const struct tide_stream_ops UNION_OPS = {
    .name = "union",
    .needs = tide_stream_needs_parents,
    .compute = compute,
};

struct tide_stream *tide_stream_union(struct tide_graph *graph, struct tide_stream *const *parents, uint32_t count,
                                      struct tide_error *err) {
    return tide_stream_new(graph, &UNION_OPS, sizeof(struct tide_stream), parents, count, 0, err);
}
