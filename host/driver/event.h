/*
 * Events: messages from the engine to the script. C never calls into Lua on the driver thread: it queues events, and
 * Lua takes them after each turn of the loop (engine:turn, engine:poll). Queue order is the order in which things
 * happened.
 *
 *   kind        when                                               in Lua
 *   JOB         a job has ended                                    {kind="job", job=}
 *   TRANSFORM   transform function `node` is to run on rdds        {kind="transform", graph=, node=, time=, batch=,
 *                                                                   rdds={…}, token=}
 *   OUTPUT      output operation `node` is to be run on rdds[0]    {kind="output", graph=, node=, time=, rdd=,
 *                                                                   token=, id=}
 *   GENERATION  batch `time` could not be generated                {kind="generation", graph=, time=, code=, error=}
 *   LOST        a dataset of batch `time` has failed; it is skipped {kind="lost", graph=, time=, code=, error=}
 *   LISTENER    a callback of the listeners: name and fields       {kind="listener", graph=, name=, info={…}}
 *   RECEIVER    a source has started, failed or stopped            {kind="receiver", graph=, source=, state=,
 *                                                                   code=, error=}
 *   DRAINED     a stop has finished                                {kind="drained", graph=}
 *   UPDATES     a task has added to accumulators                   {kind="updates", block=address}; Lua gets the
 *                                                                  reference
 *   SIGNAL      the loop got SIGINT, SIGTERM or SIGHUP             {kind="signal", count=}
 *
 * Thread: driver only.
 */
#ifndef TIDE_DRIVER_EVENT_H
#define TIDE_DRIVER_EVENT_H

#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "rdd/rdd.h"

struct tide_job;
struct tide_graph;

enum tide_event_kind {
    TIDE_EVENT_JOB,
    TIDE_EVENT_TRANSFORM,
    TIDE_EVENT_OUTPUT,
    TIDE_EVENT_GENERATION,
    TIDE_EVENT_LOST,
    TIDE_EVENT_LISTENER,
    TIDE_EVENT_RECEIVER,
    TIDE_EVENT_DRAINED,
    TIDE_EVENT_UPDATES,
    TIDE_EVENT_SIGNAL
};

/* Times of one batch in wall clock ms; -1: not yet. */
struct tide_batch_info {
    int64_t batch_time, submission_time, processing_start, processing_end;
    int64_t records; /* sum over inputs */
    uint32_t output; /* index of the output operation, for output events */
    int64_t output_start, output_end;
    const char *reason; /* static text or owned by error */
};

/* The records that one input brings to a batch. */
struct tide_input_info {
    uint32_t stream; /* its id */
    int64_t records; /* 0: not known before they are read */
};

struct tide_event {
    struct tide_list link;
    enum tide_event_kind kind;
    struct tide_graph *graph; /* borrowed; events of a graph are dropped when it goes */
    struct tide_job *job;     /* retained */
    uint32_t node;            /* stream id, output index, source id */
    int64_t time;
    uint64_t token;         /* identifies the answer */
    struct tide_rdd **rdds; /* retained, heap array */
    uint32_t nrdds;
    const char *name; /* static: listener callback name, receiver state */
    struct tide_batch_info info;
    struct tide_input_info *inputs; /* LISTENER, of a batch: heap array */
    uint32_t ninputs;
    uint32_t *outputs; /* LISTENER, of a batch: numbers of its output operations, heap array */
    uint32_t noutputs;
    struct tide_block *block; /* UPDATES: a reference */
    struct tide_error error;
    int signals;
};

struct tide_events {
    struct tide_list queue;
};

void tide_events_create(struct tide_events *events);
void tide_events_destroy(struct tide_events *events);
struct tide_event *tide_event_new(enum tide_event_kind kind);
void tide_event_delete(struct tide_event *event);
void tide_events_push(struct tide_events *events, struct tide_event *take);
struct tide_event *tide_events_pop(struct tide_events *events); /* NULL when empty; caller deletes */
/* Deletes the queued events of this graph. */
void tide_events_forget(struct tide_events *events, const struct tide_graph *graph);

#endif
