/*
 * One operator reads the same partition of the datasets of several streams: join, cogroup … With an exchange, every
 * dataset that is not yet partitioned by key as the exchange says is shuffled first, so that equal keys meet in one
 * partition. Called through its table of operations by generation.c, on the driver thread. Spark 1.6+: a parent
 * without a dataset fails the batch.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "dstream/stream.h"

struct zip {
    struct tide_stream stream;
    struct tide_op *op;
    struct tide_exchange *exchange; /* or NULL: the datasets have as many partitions each */
};

/* What the script called it, for messages: "join (job.lua:12)". */
static int missing(const struct zip *zip, uint32_t parent, int64_t time, struct tide_error *err) {
    struct tide_buffer label;

    tide_buffer_create(&label);
    tide_op_label(zip->op, "zip", &label);
    tide_error_set(err, TIDE_EGENERATION,
                   "%.*s: stream %" PRIu32 " generated no dataset for batch %" PRId64 " ms, so there is nothing to "
                   "combine the other with",
                   (int)label.size, (const char *)label.data, zip->stream.parents[parent]->id, time);
    tide_buffer_destroy(&label);
    return TIDE_EGENERATION;
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct zip *zip = (struct zip *)stream;

    for (uint32_t i = 0; i < count; i++)
        if (!parents[i]) return missing(zip, i, time, err);

    struct tide_rdd **sides = tide_xcalloc(count, sizeof(struct tide_rdd *));

    for (uint32_t i = 0; i < count; i++) {
        uint32_t same = 0; /* a stream joined with itself is shuffled once */

        while (parents[same] != parents[i]) same++;
        if (same < i) sides[i] = tide_rdd_retain(sides[same]);
        else if (zip->exchange) sides[i] = tide_rdd_partitioned_new(parents[i], zip->exchange);
        else sides[i] = tide_rdd_retain(parents[i]);
    }
    *out = tide_rdd_zip_new(sides, count, zip->op);
    for (uint32_t i = 0; i < count; i++) tide_rdd_release(sides[i]);
    tide_free(sides);
    if (*out) return TIDE_OK;
    return tide_error_set(err, TIDE_EGENERATION,
                          "the datasets to combine for batch %" PRId64 " ms have different numbers of partitions",
                          time);
}

static void destroy(struct tide_stream *stream) {
    struct zip *zip = (struct zip *)stream;

    tide_op_release(zip->op);
    tide_exchange_release(zip->exchange);
}

static const struct tide_stream_ops ZIP_OPS = {
    .name = "zip",
    .needs = tide_stream_needs_parents,
    .compute = compute,
    .destroy = destroy,
};

struct tide_stream *tide_stream_zip(struct tide_graph *graph, struct tide_stream *const *parents, uint32_t count,
                                    struct tide_op *op, struct tide_exchange *exchange, struct tide_error *err) {
    struct zip *zip = (struct zip *)tide_stream_new(graph, &ZIP_OPS, sizeof *zip, parents, count, 0, err);

    if (!zip) return NULL;
    zip->op = tide_op_retain(op);
    zip->stream.arity = tide_arity_after(op, parents[0]->arity);
    zip->exchange = exchange ? tide_exchange_retain(exchange) : NULL;
    return &zip->stream;
}
