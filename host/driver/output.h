/*
 * Batches that have been generated, until their last output operation has ended: the queue of one streaming context, and what
 * its listeners are told of it. At most `concurrent` outputs run at a time, batch by batch and within a batch in the order of
 * their registration.
 *
 * An output whose dataset has failed (dstream/graph.h) is not run; it starts and ends, with the reason, as one that was.
 *
 * Thread: driver only.
 */
#ifndef TIDE_DRIVER_OUTPUT_H
#define TIDE_DRIVER_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "clock/clock.h"
#include "driver/event.h"
#include "dstream/generation.h"

struct tide_outputs {
    struct tide_graph *graph; /* borrowed, like the clock and the events */
    struct tide_clock *clock;
    struct tide_events *events;
    uint32_t concurrent;
    bool skips; /* batches with an output that failed are done all the same */
    bool listening;
    uint64_t tokens;          /* last token given out */
    struct tide_list batches; /* submitted, not finished, in order */
    struct tide_list running; /* outputs */
    uint32_t nrunning;
};

/* What an input has brought to batches. */
struct tide_input_count {
    uint32_t stream; /* its id */
    uint32_t batches;
    int64_t records;
    int64_t first, last; /* times of those batches */
    int64_t waiting;     /* records that have come since, for no batch yet */
    int64_t begun;       /* records of batches whose outputs have all been started; not part of the above */
    int64_t begun_time;  /* of the last of these batches, and the token of its last output */
    uint64_t begun_token;
};

/* Zeroed but for graph, clock, events, concurrent and skips. */
void tide_outputs_create(struct tide_outputs *outputs);
/* Drops what is queued and what runs. */
void tide_outputs_clear(struct tide_outputs *outputs);
bool tide_outputs_empty(const struct tide_outputs *outputs);

/* An event of this graph, to be filled in and pushed. */
struct tide_event *tide_outputs_event(const struct tide_outputs *outputs, enum tide_event_kind kind, int64_t time);
/* Its datasets (retained). */
void tide_event_set_rdds(struct tide_event *event, struct tide_rdd *const *rdds, uint32_t count);
void tide_outputs_tell_started(struct tide_outputs *outputs, int64_t now);

/* A batch was generated. Without any dataset for its outputs nothing happens but that its received data rests; `failure` (may be
 * NULL) says why datasets of it have failed. */
void tide_outputs_submit(struct tide_outputs *outputs, const struct tide_generation *generation, int64_t time,
                         const char *failure);
/* Starts what may be started. */
void tide_outputs_start(struct tide_outputs *outputs);
/* The output has ended; `failure` is NULL or what went wrong. false: no such output runs. */
bool tide_outputs_done(struct tide_outputs *outputs, uint64_t token, const char *failure);

/* Adds to the count of an input what it has brought to the batches that are not finished. */
void tide_outputs_count(const struct tide_outputs *outputs, struct tide_input_count *count);
/* Adds a batch. */
void tide_input_count_add(struct tide_input_count *count, int64_t time, int64_t records);

#endif
