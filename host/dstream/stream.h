/*
 * The common part of all kinds of stream. Private to dstream/: each kind has a file of its own that embeds `struct
 * tide_stream` as first member and has a table of operations; stream.c stores the datasets, generation.c calls the
 * operations. Thread: driver only.
 */
#ifndef TIDE_DSTREAM_STREAM_H
#define TIDE_DSTREAM_STREAM_H

#include "dstream/graph.h"
#include "rdd/arity.h"

struct tide_needs;

enum { TIDE_STREAM_ASKS = 1 };

struct tide_stream_ops {
    const char *name;
    /* Adds the (parent, time) pairs of the datasets that compute(time) gets, in that order
     * (tide_needs_add). NULL: an input, which has no parents. */
    void (*needs)(struct tide_stream *stream, int64_t time, struct tide_needs *needs);
    /* Makes the dataset of a valid time that is not in memory. parents[i] is the dataset of the i-th need, or NULL.
     * Returns 0 with *out = a new reference, or NULL for no dataset; TIDE_STREAM_ASKS when the script has to make it;
     * or an error, which fails the batch. */
    int (*compute)(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err);
    /* How long parents must remember so that this stream can compute. NULL: as long as the stream itself. */
    int64_t (*parent_remember)(const struct tide_stream *stream);
    /* The batch was generated, or not: then datasets made from the blocks of that time must be forgotten (and an
     * input takes the blocks back). After success it is called only where there are receivers. */
    void (*settle)(struct tide_stream *stream, int64_t time, bool generated);
    /* Batch `time` is done (INT64_MAX: all are): releases what the kind itself holds and does not need for later
     * ones. */
    void (*forget)(struct tide_stream *stream, int64_t time);
    /* For kinds that make a dataset from their own one before: `dataset`, of that time and not computed, depends on
     * one that has failed; makes it from tide_stream_base instead. NULL for other kinds. */
    void (*remake)(struct tide_stream *stream, int64_t time, struct tide_rdd *dataset);
    /* Works without the dataset of a parent that has failed, as if there were none at that time. Other kinds have no
     * dataset then. */
    bool partial;
    /* Releases what the kind itself holds; the memory is freed by the caller. NULL: nothing. */
    void (*destroy)(struct tide_stream *stream);
};

struct tide_dataset {
    int64_t time;
    struct tide_rdd *rdd; /* retained; NULL: it has failed, or was released (remember.c). "No dataset" has no entry */
    struct tide_rdd *guard; /* retained: for readers that can do without it (tide_stream_guarded); NULL: not made */
    bool failed;            /* it could not be made */
};

struct tide_stream {
    const struct tide_stream_ops *ops;
    struct tide_graph *graph;
    struct tide_stream **parents;
    uint32_t nparents;
    uint32_t id;
    char *name;    /* given by the script, or NULL */
    uint8_t level; /* storage level of its datasets; 0: none */
    bool truncate;
    bool adopts; /* its datasets are made by the script (tide_stream_put is given what tide_stream_adopt returns) */
    struct tide_arity *arity; /* of the records of all its datasets */
    int64_t slide;
    int64_t remember; /* ms; 0 until the graph has begun */
    int64_t due;      /* the part of it during which datasets are never released early (remember.c) */
    int64_t base;     /* kinds with ops->remake: the last complete dataset of a batch that is done; INT64_MIN: none */
    int64_t forgotten;            /* datasets up to this time were forgotten, and none is needed */
    int64_t kept_from;            /* earlier datasets were released or forgotten */
    struct tide_stream **readers; /* children that some output depends on, itself not */
    uint32_t nreaders, readers_capacity;
    bool windowed;                 /* a window reads it: its datasets are never dropped */
    int64_t checkpoint;            /* ms between two of its datasets that go into a checkpoint; 0: none do */
    int64_t must_checkpoint;       /* the same where the script does not say; 0: it need not be */
    struct tide_stream *persists;  /* whose storage level is meant when the script sets this one's; NULL: its own */
    bool reached;                  /* some output depends on it; known once the graph has begun */
    struct tide_dataset *datasets; /* in ascending order of time; somewhere within slots */
    struct tide_dataset *slots;
    uint32_t ndatasets, capacity;
};

struct tide_graph {
    int64_t batch;
    int64_t remember;
    int64_t zero;
    bool sealed;
    bool skipping;      /* failures are skipped (tide_graph_set_skipping) */
    int64_t done;       /* the outputs of batches up to this one have ended */
    bool checkpointing; /* there is a directory for checkpoints */
    struct tide_stream **streams;
    uint32_t nstreams, streams_capacity;
    struct tide_stream **outputs; /* borrowed from streams */
    uint32_t noutputs, outputs_capacity;
    uint32_t nreceivers;
    struct tide_cache *cache; /* borrowed, or NULL */
    uint64_t visits;          /* see tide_graph_visits */
};

/* Adds a stream of `size` bytes (zeroed beyond the common part) to the graph. `slide` 0: the slide of the
 * parents, of an input the batch interval. NULL when the graph is sealed or, for kinds with `needs`, when the
 * parents do not fit (none, of another graph, of different slides). */
struct tide_stream *tide_stream_new(struct tide_graph *graph, const struct tide_stream_ops *ops, size_t size,
                                    struct tide_stream *const *parents, uint32_t nparents, int64_t slide,
                                    struct tide_error *err);
void tide_stream_delete(struct tide_stream *stream);

/* Stores the dataset (retains). There is none of that time yet. */
void tide_stream_put(struct tide_stream *stream, int64_t time, struct tide_rdd *rdd);
/* For graphs that are skipping: the dataset of that time could not be made, and will not be. */
void tide_stream_fail(struct tide_stream *stream, int64_t time);
/* Whether it could not be made, or is lost. It counts as no dataset. */
bool tide_stream_failed(const struct tide_stream *stream, int64_t time);
/* Forgets the dataset of that time, if any. */
void tide_stream_drop(struct tide_stream *stream, int64_t time);
/* Forgets the datasets with time <= limit. */
void tide_stream_forget(struct tide_stream *stream, int64_t limit);
/* Index of the first dataset with a time >= `time`. */
uint32_t tide_stream_find(const struct tide_stream *stream, int64_t time);
/* Releases a dataset before it is forgotten; its entry stays. */
void tide_stream_release_dataset(struct tide_stream *stream, uint32_t index);
/* Whether the dataset of that time was released. */
bool tide_stream_was_released(const struct tide_stream *stream, int64_t time);
/* A window reads the stream's datasets several times: they are cached, and never dropped. */
void tide_stream_keep_for_window(struct tide_stream *stream);

/* remember.c: how long each stream remembers; the graph begins. */
void tide_graph_decide_remember(struct tide_graph *graph);

/* For streams whose datasets the script makes: the dataset, or a union over it, with the arity of the stream. A new
 * reference. */
struct tide_rdd *tide_stream_adopt(struct tide_stream *stream, struct tide_rdd *rdd);

/* For kinds with ops->remake: whether the dataset of that time could not be computed, and its batch is over. */
bool tide_stream_lost(const struct tide_stream *stream, int64_t time);
/* The time of the own dataset that the one of `time` is made from: one slide earlier or, if that is lost, the time of
 * the last one that is not; the zero time when there is none. */
int64_t tide_stream_before(const struct tide_stream *stream, int64_t time);
/* That dataset when it is in memory, borrowed; else NULL. */
struct tide_rdd *tide_stream_base(const struct tide_stream *stream, int64_t time);
/* Whether there is a dataset from which all later ones are made. */
bool tide_stream_has_base(const struct tide_stream *stream);

/* For ops->needs. */
void tide_needs_add(struct tide_needs *needs, struct tide_stream *parent, int64_t time);
/* `needs` of streams that read all their parents at the same time. */
void tide_stream_needs_parents(struct tide_stream *stream, int64_t time, struct tide_needs *needs);

/* Whether `length` ms are a whole number of the parent's slides. what: for the message, "window: the window
 * length". */
bool tide_stream_fits(const struct tide_stream *parent, const char *what, int64_t length, struct tide_error *err);
/* The default checkpoint interval: the smallest multiple of the slide that is 10 s or more. */
int64_t tide_stream_usual_checkpoint(int64_t slide);

/* A dataset with one record in each partition, the number `time`; a new reference. NULL: no memory. */
struct tide_rdd *tide_stream_constant(int64_t time, uint32_t partitions);
/* A dataset of `partitions` empty partitions; a new reference. */
struct tide_rdd *tide_stream_empty(uint32_t partitions);

/* Receiver inputs (input.c). */
bool tide_input_is_receiver(const struct tide_stream *stream);
void tide_input_start(struct tide_stream *stream, struct tide_ingest *ingest);
int64_t tide_input_allocate(struct tide_stream *stream, int64_t time, struct tide_blocks *received,
                            uint32_t partitions);
void tide_input_cache_received(struct tide_stream *stream, int64_t time);
int64_t tide_input_leftovers(const struct tide_stream *stream);
void tide_input_forget_all(struct tide_stream *stream);

#endif
