/*
 * The datasets of several streams, one after the other. Called through its table of operations by generation.c, on
 * the driver thread. Spark 1.6+: a parent without a dataset fails the batch, because a partial union would be wrong.
 * Where failures are skipped, a parent whose dataset has failed is left out.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "dstream/stream.h"

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct tide_rdd **present = tide_xcalloc(count, sizeof(struct tide_rdd *));
    uint32_t found = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (parents[i]) present[found++] = parents[i];
        if (parents[i] || tide_stream_failed(stream->parents[i], time)) continue;
        tide_free(present);
        return tide_error_set(err, TIDE_EGENERATION,
                              "union: stream %" PRIu32 " generated no dataset for batch %" PRId64 " ms",
                              stream->parents[i]->id, time);
    }
    if (found > 0) *out = tide_rdd_union_auto_new(present, found);
    if (*out) tide_rdd_needs_one_of(*out, found);
    tide_free(present);
    if (*out) tide_rdd_set_arity(*out, stream->arity);
    if (*out || found == 0) return TIDE_OK;
    return tide_error_set(err, TIDE_ELIMIT,
                          "union: the datasets for batch %" PRId64 " ms have too many partitions together; "
                          "repartition() the streams first",
                          time);
}

static const struct tide_stream_ops UNION_OPS = {
    .name = "union",
    .needs = tide_stream_needs_parents,
    .compute = compute,
    .partial = true,
};

struct tide_stream *tide_stream_union(struct tide_graph *graph, struct tide_stream *const *parents, uint32_t count,
                                      struct tide_error *err) {
    struct tide_stream *stream =
        tide_stream_new(graph, &UNION_OPS, sizeof(struct tide_stream), parents, count, 0, err);

    if (stream) stream->arity = tide_arity_new(NULL);
    return stream;
}
