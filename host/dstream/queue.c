/*
 * Inputs without a receiver: datasets given by the script. `queue` takes them in the order pushed; `replay` has a
 * list of the dataset of each batch. Called by the bindings (push) and by generation.c, on the driver thread.
 *
 * Spark 2.x: with nothing queued a batch gets the default dataset, or an empty one of one partition.
 */
#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "dstream/stream.h"

/* ---- queue -------------------------------------------------------------------------------------------------- */

struct queue {
    struct tide_stream stream;
    bool one_at_a_time;
    int64_t newest;             /* latest time a dataset was made for */
    struct tide_rdd *otherwise; /* with nothing queued */
    struct tide_rdd **items;    /* retained; the queued ones are [first, first + count) */
    uint32_t first, count, capacity;
};

static struct tide_rdd *take_one(struct queue *queue) {
    struct tide_rdd *rdd = queue->items[queue->first++];

    queue->count--;
    return rdd;
}

static struct tide_rdd *take_all(struct queue *queue) {
    if (queue->count == 1) return take_one(queue);
    struct tide_rdd *all = tide_rdd_union_new(queue->items + queue->first, queue->count);
    if (!all) return NULL;
    while (queue->count) tide_rdd_release(take_one(queue));
    return all;
}

static int queue_compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                         struct tide_rdd **out, struct tide_error *err) {
    struct queue *queue = (struct queue *)stream;

    if (time <= queue->newest) return TIDE_OK; /* that batch had none; queued datasets belong to later batches */
    queue->newest = time;
    if (queue->count == 0) *out = tide_rdd_retain(queue->otherwise);
    else *out = queue->one_at_a_time ? take_one(queue) : take_all(queue);
    if (*out) return TIDE_OK;
    return tide_error_set(
        err, TIDE_ELIMIT,
        "queueStream: the queued datasets have too many partitions together; use oneAtATime, or push "
        "datasets of fewer partitions");
}

static void queue_destroy(struct tide_stream *stream) {
    struct queue *queue = (struct queue *)stream;

    while (queue->count) tide_rdd_release(take_one(queue));
    tide_rdd_release(queue->otherwise);
    tide_free(queue->items);
}

static const struct tide_stream_ops QUEUE_OPS = {
    .name = "queue",
    .compute = queue_compute,
    .destroy = queue_destroy,
};

struct tide_stream *tide_stream_queue(struct tide_graph *graph, bool one_at_a_time, struct tide_rdd *otherwise,
                                      struct tide_error *err) {
    struct queue *queue = (struct queue *)tide_stream_new(graph, &QUEUE_OPS, sizeof *queue, NULL, 0, 0, err);

    if (!queue) return NULL;
    queue->stream.arity = tide_arity_new(NULL);
    queue->stream.adopts = true;
    queue->one_at_a_time = one_at_a_time;
    queue->newest = INT64_MIN;
    queue->otherwise = otherwise ? tide_rdd_retain(otherwise) : tide_stream_empty(1);
    return &queue->stream;
}

static void make_room(struct queue *queue) {
    if (queue->first + queue->count < queue->capacity) return;
    if (queue->first > queue->capacity / 2) {
        memmove(queue->items, queue->items + queue->first, queue->count * sizeof(struct tide_rdd *));
        queue->first = 0;
        return;
    }
    TIDE_ARRAY_RESERVE(queue->items, queue->capacity, queue->first + queue->count + 1);
}

int tide_stream_push(struct tide_stream *stream, struct tide_rdd *rdd, struct tide_error *err) {
    if (stream->ops != &QUEUE_OPS) {
        return tide_error_set(err, TIDE_EINVAL, "push: only a queue stream takes datasets, this is a %s stream",
                              stream->ops->name);
    }
    struct queue *queue = (struct queue *)stream;
    make_room(queue);
    queue->items[queue->first + queue->count++] = tide_rdd_retain(rdd);
    return TIDE_OK;
}

/* ---- replay ------------------------------------------------------------------------------------------------- */

struct replay {
    struct tide_stream stream;
    struct tide_rdd **entries; /* retained, or NULL: no dataset in that batch */
    uint32_t count;
    struct tide_rdd *otherwise; /* past the end */
};

static int replay_compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                          struct tide_rdd **out, struct tide_error *err) {
    struct replay *replay = (struct replay *)stream;
    int64_t batch = (time - stream->graph->zero) / stream->graph->batch;

    assert(batch >= 1);
    struct tide_rdd *rdd = batch <= replay->count ? replay->entries[batch - 1] : replay->otherwise;
    if (rdd) *out = tide_rdd_retain(rdd);
    return TIDE_OK;
}

static void replay_destroy(struct tide_stream *stream) {
    struct replay *replay = (struct replay *)stream;

    for (uint32_t i = 0; i < replay->count; i++) tide_rdd_release(replay->entries[i]);
    tide_rdd_release(replay->otherwise);
    tide_free(replay->entries);
}

static const struct tide_stream_ops REPLAY_OPS = {
    .name = "replay",
    .compute = replay_compute,
    .destroy = replay_destroy,
};

struct tide_stream *tide_stream_replay(struct tide_graph *graph, struct tide_rdd *const *entries, uint32_t count,
                                       struct tide_rdd *otherwise, struct tide_error *err) {
    struct replay *replay = (struct replay *)tide_stream_new(graph, &REPLAY_OPS, sizeof *replay, NULL, 0, 0, err);

    if (!replay) return NULL;
    replay->entries = tide_xcalloc(count ? count : 1, sizeof(struct tide_rdd *));
    replay->stream.arity = tide_arity_new(NULL);
    replay->stream.adopts = true;
    replay->count = count;
    for (uint32_t i = 0; i < count; i++) replay->entries[i] = entries[i] ? tide_rdd_retain(entries[i]) : NULL;
    replay->otherwise = otherwise ? tide_rdd_retain(otherwise) : tide_stream_empty(1);
    return &replay->stream;
}
