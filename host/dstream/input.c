/*
 * Receiver inputs: the dataset of batch T has the records that the source had received when T was cut. Called by
 * graph.c (blocks on their way into a batch) and by generation.c, on the driver thread; the source itself lives on
 * the ingest thread.
 *
 * While its batch is being generated, a block has two references: the dataset's and that of `pending`. When the batch
 * was generated, `pending` releases it; when it was not, the blocks in `pending` go into the next batch first. After
 * that only the dataset and the jobs that read it refer to the block, so forgetting the dataset frees the memory and
 * lets the source read again (under a budget that follows the batches, this happens when a task has read its blocks).
 * A dataset that is remembered longer than its batch (for a window) goes to the cache, which may spill it, and no
 * longer counts for the source: only a backlog slows it down.
 *
 * Neighbouring blocks share a partition only when there are more blocks than useful tasks: order is preserved, and
 * each partition gets about the same number of bytes.
 */
#include <assert.h>

#include "base/alloc.h"
#include "dstream/stream.h"

struct input {
    struct tide_stream stream;
    struct tide_source *source; /* NULL once handed to the ingest */
    struct tide_blocks pending; /* blocks of the batch being generated, or of one that could not be */
    struct tide_rdd *empty;     /* the dataset of a batch without data: it has no partitions */
    struct tide_blocks *runs;   /* room for the partitions of one dataset, empty between batches */
    uint32_t runs_capacity;
    uint8_t level; /* of data remembered after its batch; 0: memory first, then disk */
};

static struct input *input_of(struct tide_stream *stream) { return (struct input *)stream; }

/* ---- A cut becomes a dataset -------------------------------------------------------------------------------- */

/* Fills runs[] from pending; returns how many are used. */
static uint32_t cut_runs(struct input *input, uint32_t most) {
    const struct tide_blocks *pending = &input->pending;
    uint32_t wanted = pending->count < most ? pending->count : most;

    if (wanted > input->runs_capacity) {
        input->runs = tide_xrealloc(input->runs, wanted * sizeof *input->runs);
        for (uint32_t i = input->runs_capacity; i < wanted; i++) tide_blocks_create(&input->runs[i]);
        input->runs_capacity = wanted;
    }
    /* A block belongs to the run its middle falls into when the bytes are divided evenly; a run that would stay
     * empty is left out. */
    uint64_t total = tide_blocks_bytes(pending) + pending->count, before = 0;
    uint32_t used = 0;
    uint64_t last_share = 0;
    for (uint32_t i = 0; i < pending->count; i++) {
        struct tide_block *block = pending->items[i];
        uint64_t weight = block->size + 1;
        uint64_t share = wanted == pending->count ? i : (2 * before + weight) * wanted / (2 * total);
        if (used == 0 || (share > last_share && used < wanted)) {
            used++;
            last_share = share;
        }
        tide_blocks_push(&input->runs[used - 1], tide_block_retain(block));
        before += weight;
    }
    return used;
}

int64_t tide_input_allocate(struct tide_stream *stream, int64_t time, struct tide_blocks *received,
                            uint32_t partitions) {
    struct input *input = input_of(stream);

    if (!stream->reached) {
        if (received) tide_blocks_destroy(received); /* no output depends on it */
        return 0;
    }
    if (received) tide_blocks_move(&input->pending, received);
    if (input->pending.count == 0) {
        tide_stream_put(stream, time, input->empty);
        return 0;
    }
    uint32_t used = cut_runs(input, partitions ? partitions : 1);
    struct tide_rdd *rdd = tide_rdd_blocks_new(input->runs, used);
    tide_stream_put(stream, time, rdd);
    tide_rdd_release(rdd);
    return (int64_t)tide_blocks_records(&input->pending);
}

static void settle(struct tide_stream *stream, int64_t time, bool generated) {
    struct input *input = input_of(stream);

    if (generated) {
        for (uint32_t i = 0; i < input->pending.count; i++) tide_block_release(input->pending.items[i]);
        input->pending.count = 0;
    } else if (input->pending.count) {
        tide_stream_drop(stream, time);
        tide_stream_put(stream, time, input->empty);
    }
}

void tide_input_cache_received(struct tide_stream *stream, int64_t time) {
    struct tide_rdd *rdd = tide_stream_dataset(stream, time);

    if (rdd) tide_rdd_cache_received(rdd, stream->graph->cache, input_of(stream)->level);
}

int64_t tide_input_leftovers(const struct tide_stream *stream) {
    return (int64_t)tide_blocks_records(&((const struct input *)stream)->pending);
}

void tide_input_forget_all(struct tide_stream *stream) { tide_blocks_destroy(&input_of(stream)->pending); }

/* ---- The stream --------------------------------------------------------------------------------------------- */

/* Datasets come from allocation; a time that was not allocated (a batch before the start of the source) has none. */
static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    return TIDE_OK;
}

static void destroy(struct tide_stream *stream) {
    struct input *input = input_of(stream);

    if (input->source) input->source->ops->close(input->source);
    tide_blocks_destroy(&input->pending);
    tide_rdd_release(input->empty);
    for (uint32_t i = 0; i < input->runs_capacity; i++) tide_blocks_destroy(&input->runs[i]);
    tide_free(input->runs);
}

static const struct tide_stream_ops INPUT_OPS = {
    .name = "receiver",
    .compute = compute,
    .settle = settle,
    .destroy = destroy,
};

struct tide_stream *tide_stream_receiver(struct tide_graph *graph, struct tide_source *take, struct tide_error *err) {
    assert(take->id == graph->nstreams);
    struct input *input = (struct input *)tide_stream_new(graph, &INPUT_OPS, sizeof *input, NULL, 0, 0, err);
    if (!input) {
        take->ops->close(take);
        return NULL;
    }
    input->stream.arity = tide_arity_known(TIDE_ARITY_SINGLE, NULL);
    input->source = take;
    input->empty = tide_stream_empty(0);
    tide_blocks_create(&input->pending);
    graph->nreceivers++;
    return &input->stream;
}

void tide_stream_set_received_level(struct tide_stream *stream, uint8_t level) {
    assert(stream->ops == &INPUT_OPS);
    input_of(stream)->level = level;
}

bool tide_input_is_receiver(const struct tide_stream *stream) { return stream->ops == &INPUT_OPS; }

void tide_input_start(struct tide_stream *stream, struct tide_ingest *ingest) {
    struct input *input = input_of(stream);

    assert(input->source);
    tide_ingest_add(ingest, input->source);
    input->source = NULL;
}
