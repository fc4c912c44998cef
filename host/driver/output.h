/*
 * The batch queue of one streaming context: batches from their generation until their last output operation has
 * ended, and the listener events about them. At most `concurrent` outputs run at a time, batch by batch and within a
 * batch in the order of their registration.
 *
 * Outputs may be given a lane: those of one lane never run at the same time, so they run in order of batch time. One
 * that waits for its lane holds up those behind it, so that outputs start in one order whatever their lanes.
 *
 * An output whose dataset has failed (dstream/graph.h) is not run; listeners see it start and end, with the reason.
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
    bool skips; /* a batch with an output that failed is done all the same */
    bool listening;
    uint64_t tokens;          /* last token given out */
    struct tide_list batches; /* submitted, not finished, in order */
    struct tide_list running; /* outputs */
    uint32_t nrunning;
    uint32_t *lanes; /* by the number of the output; 0, like one beyond the end: none */
    uint32_t nlanes;
};

/* Records that an input has brought to batches which are not finished. */
struct tide_input_count {
    uint32_t stream; /* its id */
    uint32_t batches;
    int64_t records;
    int64_t first, last; /* times of those batches */
    int64_t waiting;     /* records that are in no batch yet */
    int64_t begun;       /* records of batches whose outputs have all been started; not part of the above */
    int64_t begun_time;  /* of the last of these batches, and the token of its last output */
    uint64_t begun_token;
};

/* Zeroed but for graph, clock, events, concurrent and skips. */
void tide_outputs_create(struct tide_outputs *outputs);
void tide_outputs_destroy(struct tide_outputs *outputs);
/* Gives an output a lane, any number from 1 on. */
void tide_outputs_set_lane(struct tide_outputs *outputs, uint32_t output, uint32_t lane);
/* Drops queued batches, and no longer waits for outputs that run. */
void tide_outputs_clear(struct tide_outputs *outputs);
bool tide_outputs_empty(const struct tide_outputs *outputs);

/* An event of this graph, to be filled in and pushed. */
struct tide_event *tide_outputs_event(const struct tide_outputs *outputs, enum tide_event_kind kind, int64_t time);
/* Its datasets (retained). */
void tide_event_set_rdds(struct tide_event *event, struct tide_rdd *const *rdds, uint32_t count);
/* The listener event onStreamingStarted. */
void tide_outputs_tell_started(struct tide_outputs *outputs, int64_t now);

/* Queues a batch that was generated. Without any dataset for its outputs it is finished at once. failure: why
 * datasets of it have failed, or NULL. */
void tide_outputs_submit(struct tide_outputs *outputs, const struct tide_generation *generation, int64_t time,
                         const char *failure);
/* Starts outputs, as many as may run. */
void tide_outputs_start(struct tide_outputs *outputs);
/* The output has ended; failure: NULL, or the text of the error. false: no such output runs. */
bool tide_outputs_done(struct tide_outputs *outputs, uint64_t token, const char *failure);

/* Adds the records that the input has brought to the batches that are not finished. */
void tide_outputs_count(const struct tide_outputs *outputs, struct tide_input_count *count);
/* Adds a batch. */
void tide_input_count_add(struct tide_input_count *count, int64_t time, int64_t records);

#endif
