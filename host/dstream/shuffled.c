/*
 * The parent's dataset with its records moved to new partitions: reduceByKey, groupByKey, repartition … A dataset
 * that is co-partitioned is not moved if the exchange works in place. Called through its table of operations by
 * generation.c, on the driver thread.
 */
#include "dstream/stream.h"

struct shuffled {
    struct tide_stream stream;
    struct tide_exchange *exchange;
};

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct shuffled *shuffled = (struct shuffled *)stream;

    if (parents[0]) *out = tide_rdd_partitioned_new(parents[0], shuffled->exchange);
    return TIDE_OK;
}

static void destroy(struct tide_stream *stream) { tide_exchange_release(((struct shuffled *)stream)->exchange); }

static const struct tide_stream_ops SHUFFLED_OPS = {
    .name = "shuffled",
    .needs = tide_stream_needs_parents,
    .compute = compute,
    .destroy = destroy,
};

struct tide_stream *tide_stream_shuffled(struct tide_stream *parent, struct tide_exchange *exchange,
                                         struct tide_error *err) {
    struct shuffled *shuffled =
        (struct shuffled *)tide_stream_new(parent->graph, &SHUFFLED_OPS, sizeof *shuffled, &parent, 1, 0, err);

    if (!shuffled) return NULL;
    shuffled->exchange = tide_exchange_retain(exchange);
    shuffled->stream.arity = tide_arity_shuffled(exchange, parent->arity);
    return &shuffled->stream;
}
