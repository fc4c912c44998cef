/*
 * The common part of all kinds of stream: parents, slide and the datasets in memory. Called by the kinds,
 * graph.c and generation.c, on the driver thread.
 *
 * Datasets are kept in a small array in ascending order of time: batches come in order, lookups are nearly always
 * for one of the newest times, and forgetting takes a run off the front, so that a steady stream allocates
 * nothing.
 */
#include "dstream/stream.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "wire/pack.h"

static bool parents_fit(const struct tide_graph *graph, const struct tide_stream_ops *ops,
                        struct tide_stream *const *parents, uint32_t nparents, struct tide_error *err) {
    if (nparents == 0) {
        tide_error_set(err, TIDE_EINVAL, "%s: needs at least one stream", ops->name);
        return false;
    }
    for (uint32_t i = 0; i < nparents; i++) {
        if (parents[i]->graph != graph) {
            tide_error_set(err, TIDE_EINVAL,
                           "%s: stream number %" PRIu32
                           " belongs to another streaming context; all streams must come "
                           "from the same one",
                           ops->name, i + 1);
            return false;
        }
        if (parents[i]->slide != parents[0]->slide) {
            tide_error_set(err, TIDE_EINVAL,
                           "%s: all streams must have the same slide duration, but the first has %" PRId64
                           " ms and number %" PRIu32 " has %" PRId64 " ms; window() the others to the same slide",
                           ops->name, parents[0]->slide, i + 1, parents[i]->slide);
            return false;
        }
    }
    return true;
}

struct tide_stream *tide_stream_new(struct tide_graph *graph, const struct tide_stream_ops *ops, size_t size,
                                    struct tide_stream *const *parents, uint32_t nparents, int64_t slide,
                                    struct tide_error *err) {
    assert(size >= sizeof(struct tide_stream));
    if (graph->sealed) {
        tide_error_set(err, TIDE_ESTATE,
                       "%s: inputs, transformations and output operations can't be added after start() or stop(); "
                       "declare them before, or make a new StreamingContext",
                       ops->name);
        return NULL;
    }
    if (ops->needs && !parents_fit(graph, ops, parents, nparents, err)) return NULL;
    struct tide_stream *stream = tide_xcalloc(1, size);
    stream->base = stream->forgotten = stream->kept_from = INT64_MIN;
    stream->ops = ops;
    stream->graph = graph;
    stream->id = graph->nstreams;
    if (ops->needs) {
        stream->parents = tide_xmemdup(parents, nparents * sizeof *parents);
        stream->nparents = nparents;
        stream->slide = slide ? slide : parents[0]->slide;
    } else {
        stream->slide = slide ? slide : graph->batch;
    }
    TIDE_ARRAY_RESERVE(graph->streams, graph->streams_capacity, graph->nstreams + 1);
    graph->streams[graph->nstreams++] = stream;
    return stream;
}

void tide_stream_delete(struct tide_stream *stream) {
    tide_stream_forget(stream, INT64_MAX);
    if (stream->ops->destroy) stream->ops->destroy(stream);
    tide_arity_release(stream->arity);
    tide_free(stream->slots);
    tide_free(stream->readers);
    tide_free(stream->parents);
    tide_free(stream->name);
    tide_free(stream);
}

uint32_t tide_stream_find(const struct tide_stream *stream, int64_t time) {
    uint32_t low = 0, high = stream->ndatasets;

    if (high > 0 && stream->datasets[high - 1].time < time) return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (stream->datasets[middle].time < time) low = middle + 1;
        else high = middle;
    }
    return low;
}

static struct tide_dataset *entry_of(const struct tide_stream *stream, int64_t time) {
    uint32_t at = tide_stream_find(stream, time);

    return at < stream->ndatasets && stream->datasets[at].time == time ? &stream->datasets[at] : NULL;
}

static bool has_failed(const struct tide_dataset *entry) {
    return entry->failed || (entry->guard && tide_rdd_lost(entry->guard));
}

struct tide_rdd *tide_stream_dataset(const struct tide_stream *stream, int64_t time) {
    const struct tide_dataset *entry = entry_of(stream, time);

    return entry && !has_failed(entry) ? entry->rdd : NULL;
}

bool tide_stream_failed(const struct tide_stream *stream, int64_t time) {
    const struct tide_dataset *entry = entry_of(stream, time);

    return entry && has_failed(entry);
}

/* A dataset of blocks can't fail, and needs no guard. */
struct tide_rdd *tide_stream_guarded(struct tide_stream *stream, int64_t time) {
    struct tide_dataset *entry = entry_of(stream, time);

    if (!entry || !entry->rdd || has_failed(entry)) return NULL;
    if (!stream->graph->skipping || tide_rdd_kind(entry->rdd) == TIDE_RDD_BLOCKS) return entry->rdd;
    if (!entry->guard) entry->guard = tide_rdd_guard_new(entry->rdd, time, stream->graph);
    return entry->guard;
}

/* Makes room for one more at the end. Free room at the front is used when it is as large as the rest, so that moving
 * costs no more than adding. */
static void make_room(struct tide_stream *stream) {
    size_t before = stream->slots ? (size_t)(stream->datasets - stream->slots) : 0;

    if (before + stream->ndatasets < stream->capacity) return;
    if (before > 0 && before >= stream->ndatasets) {
        memmove(stream->slots, stream->datasets, stream->ndatasets * sizeof *stream->slots);
        stream->datasets = stream->slots;
        return;
    }
    TIDE_ARRAY_RESERVE(stream->slots, stream->capacity, (uint32_t)before + stream->ndatasets + 1);
    stream->datasets = stream->slots + before;
}

static void put_entry(struct tide_stream *stream, struct tide_dataset entry) {
    uint32_t at = tide_stream_find(stream, entry.time);

    assert(at == stream->ndatasets || stream->datasets[at].time != entry.time);
    make_room(stream);
    if (entry.time < stream->kept_from) stream->kept_from = entry.time;
    memmove(stream->datasets + at + 1, stream->datasets + at, (stream->ndatasets - at) * sizeof *stream->datasets);
    stream->datasets[at] = entry;
    stream->ndatasets++;
}

/* A named stream's datasets show its name in their lineage, unless they are datasets of the script. */
static void name_dataset(const struct tide_stream *stream, struct tide_rdd *rdd) {
    if (stream->name && stream->nparents > 0 && !stream->adopts && !tide_rdd_name(rdd))
        tide_rdd_set_name(rdd, stream->name);
}

void tide_stream_put(struct tide_stream *stream, int64_t time, struct tide_rdd *rdd) {
    name_dataset(stream, rdd);
    if (stream->level) tide_rdd_persist(rdd, stream->level, stream->truncate);
    put_entry(stream, (struct tide_dataset){.time = time, .rdd = tide_rdd_retain(rdd)});
}

void tide_stream_fail(struct tide_stream *stream, int64_t time) {
    put_entry(stream, (struct tide_dataset){.time = time, .failed = true});
}

static void release_dataset(const struct tide_stream *stream, struct tide_dataset *entry) {
    if (entry->rdd && stream->level) tide_rdd_unpersist(entry->rdd);
    tide_rdd_release(entry->rdd);
    tide_rdd_release(entry->guard);
    entry->rdd = entry->guard = NULL;
}

static void remove_run(struct tide_stream *stream, uint32_t from, uint32_t count) {
    stream->graph->visits += count;
    for (uint32_t i = 0; i < count; i++) release_dataset(stream, &stream->datasets[from + i]);
    stream->ndatasets -= count;
    if (from == 0) stream->datasets += count;
    else if (stream->ndatasets > from)
        memmove(stream->datasets + from, stream->datasets + from + count,
                (stream->ndatasets - from) * sizeof *stream->datasets);
}

void tide_stream_release_dataset(struct tide_stream *stream, uint32_t index) {
    struct tide_dataset *entry = &stream->datasets[index];

    entry->failed = has_failed(entry);
    release_dataset(stream, entry);
}

bool tide_stream_was_released(const struct tide_stream *stream, int64_t time) {
    const struct tide_dataset *entry = entry_of(stream, time);

    return entry && !entry->rdd && !entry->failed;
}

void tide_stream_drop(struct tide_stream *stream, int64_t time) {
    uint32_t at = tide_stream_find(stream, time);

    if (at < stream->ndatasets && stream->datasets[at].time == time) remove_run(stream, at, 1);
}

void tide_stream_forget(struct tide_stream *stream, int64_t limit) {
    uint32_t count = 0;

    while (count < stream->ndatasets && stream->datasets[count].time <= limit) count++;
    if (count) remove_run(stream, 0, count);
}

struct tide_rdd *tide_stream_adopt(struct tide_stream *stream, struct tide_rdd *rdd) {
    if (tide_arity_accept(stream->arity, tide_rdd_arity(rdd))) return tide_rdd_retain(rdd);

    /* Its arity is not known, or differs: the run that computes it will compare. */
    struct tide_rdd *over = tide_rdd_union_new(&rdd, 1);

    tide_rdd_set_arity(over, stream->arity);
    return over;
}

bool tide_stream_lost(const struct tide_stream *stream, int64_t time) {
    const struct tide_dataset *entry = entry_of(stream, time);

    if (!entry) return false;
    return has_failed(entry) || (entry->rdd && time <= stream->graph->done && tide_rdd_failed(entry->rdd));
}

int64_t tide_stream_before(const struct tide_stream *stream, int64_t time) {
    int64_t before = time - stream->slide;

    if (!stream->graph->skipping) return before;
    if (!tide_stream_lost(stream, before)) return before;
    for (uint32_t i = tide_stream_find(stream, before); i > 0; i--) {
        const struct tide_dataset *dataset = &stream->datasets[i - 1];

        if (dataset->rdd && !tide_stream_lost(stream, dataset->time)) return dataset->time;
    }
    return stream->graph->zero;
}

struct tide_rdd *tide_stream_base(const struct tide_stream *stream, int64_t time) {
    return tide_stream_dataset(stream, tide_stream_before(stream, time));
}

bool tide_stream_has_base(const struct tide_stream *stream) {
    if (!stream->graph->skipping) return stream->ndatasets > 0;
    for (uint32_t i = stream->ndatasets; i > 0; i--) { /* a released dataset has such a one after it */
        const struct tide_dataset *dataset = &stream->datasets[i - 1];

        if (!has_failed(dataset) && (!dataset->rdd || tide_rdd_available(dataset->rdd, NULL))) return true;
    }
    return false;
}

struct tide_rdd *tide_stream_empty(uint32_t partitions) {
    struct tide_blocks *lists = partitions ? tide_xcalloc(partitions, sizeof *lists) : NULL;
    struct tide_rdd *rdd = tide_rdd_blocks_new(lists, partitions);
    tide_free(lists);
    return rdd;
}

struct tide_rdd *tide_stream_constant(int64_t time, uint32_t partitions) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, TIDE_PACKED_NUMBER_MAX, NULL);

    if (!block) return NULL;
    block->size = tide_pack_number_at(block->data, (double)time);
    block->count = 1;

    struct tide_blocks *lists = tide_xcalloc(partitions, sizeof *lists);

    for (uint32_t i = 0; i < partitions; i++) {
        tide_blocks_create(&lists[i]);
        tide_blocks_push(&lists[i], tide_block_retain(block));
    }
    tide_block_release(block);

    struct tide_rdd *rdd = tide_rdd_blocks_new(lists, partitions);

    tide_free(lists);
    return rdd;
}

int tide_stream_persist(struct tide_stream *stream, uint8_t level, bool truncate, struct tide_error *err) {
    if (stream->graph->sealed) {
        return tide_error_set(
            err, TIDE_ESTATE,
            "the storage level of a stream can't be changed after start() or stop(); set it before");
    }
    if (stream->persists) stream = stream->persists;
    stream->level = level;
    stream->truncate = truncate || stream->must_checkpoint > 0 || stream->windowed;
    return TIDE_OK;
}

void tide_stream_keep_for_window(struct tide_stream *stream) {
    stream->windowed = true;
    tide_stream_persist(stream, TIDE_LEVEL_MEMORY, true, NULL);
}

int tide_stream_checkpoint(struct tide_stream *stream, int64_t interval, struct tide_error *err) {
    if (stream->graph->sealed) {
        return tide_error_set(err, TIDE_ESTATE,
                              "the checkpoint interval of a stream can't be changed after start() or stop(); set it "
                              "before");
    }
    if (interval > 0) tide_stream_persist(stream, TIDE_LEVEL_MEMORY, true, NULL);
    stream->checkpoint = interval;
    return TIDE_OK;
}

int64_t tide_stream_checkpoint_interval(const struct tide_stream *stream) { return stream->checkpoint; }

bool tide_stream_fits(const struct tide_stream *parent, const char *what, int64_t length, struct tide_error *err) {
    if (length >= 0 && length % parent->slide == 0) return true;
    tide_error_set(err, TIDE_EINVAL,
                   "%s (%" PRId64
                   " ms) must be a multiple of the slide duration of the stream it is applied to (%" PRId64 " ms)",
                   what, length, parent->slide);
    return false;
}

int64_t tide_stream_usual_checkpoint(int64_t slide) {
    const int64_t least = 10000;

    return (least + slide - 1) / slide * slide;
}

struct tide_arity *tide_stream_arity(const struct tide_stream *stream) {
    return stream->arity;
}

uint8_t tide_stream_level(const struct tide_stream *stream) { return stream->level; }

uint32_t tide_stream_id(const struct tide_stream *stream) { return stream->id; }

int64_t tide_stream_slide(const struct tide_stream *stream) { return stream->slide; }

struct tide_graph *tide_stream_graph(const struct tide_stream *stream) {
    return stream->graph;
}

const char *tide_stream_kind(const struct tide_stream *stream) { return stream->ops->name; }

int64_t tide_stream_remember(const struct tide_stream *stream) { return stream->remember; }
