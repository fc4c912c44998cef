/*
 * From a tick to a finished batch: one streaming context once its streams are declared.
 *
 *   clock ──tick──► generation queue ──► generation ──► batch queue ──► outputs ──► finished
 *                   (nominal times)      cut, demand,   (submitted)     run by the   forget old
 *                                        run            FIFO            script       datasets
 *
 * One generation at a time, in order of time; at most `concurrent` outputs at a time, batch by batch and within a
 * batch in order of registration, those of one lane one after the other. Generations and outputs overlap: a slow
 * output never delays a tick or a generation. No tick is skipped and no two are merged.
 *
 * The script takes part through events (driver/event.h) and answers them by token: TRANSFORM by
 * tide_runner_transform_done, OUTPUT by tide_runner_output_done. An answer with a token that is not awaited (any
 * more) is ignored.
 *
 * A batch that can't be generated becomes a GENERATION event; its received blocks go to the next batch, the clock
 * continues. With `skips`, only the streams that depend on the dataset that failed are left out, and the batch is
 * done like any other. A batch in which no output has a dataset makes no events at all. Datasets are forgotten only
 * after a batch of which every output succeeded.
 *
 * Life cycle, one way:
 *   INITIALIZED  streams may be declared; start() → ACTIVE, or as before when it fails; stop() → STOPPED
 *   ACTIVE       ticks; stop(graceful) → STOPPING, stop() → STOPPED
 *   STOPPING     no more ticks and no reading of sources; queued ticks are generated, one more batch is made when
 *                received data is left over, all batches are finished → STOPPED; stop() → STOPPED at once
 *   STOPPED      sources, datasets and queues are gone; DRAINED was queued, once
 *
 * Thread: driver only; needs a loop, an event queue and nothing else of an engine.
 */
#ifndef TIDE_DRIVER_RUNNER_H
#define TIDE_DRIVER_RUNNER_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "driver/event.h"
#include "driver/output.h"
#include "driver/slice.h"
#include "dstream/graph.h"

struct tide_runner;

enum tide_runner_state { TIDE_RUNNER_INITIALIZED, TIDE_RUNNER_ACTIVE, TIDE_RUNNER_STOPPING, TIDE_RUNNER_STOPPED };

struct tide_runner_options {
    uv_loop_t *loop; /* borrowed, like events, until tide_runner_delete */
    struct tide_events *events;
    struct tide_cache *cache; /* takes received data of finished batches; borrowed; NULL: it stays in memory */
    uint32_t workers;         /* a receiver's dataset has at most four partitions for each */
    int64_t batch;            /* ms, at least 1 */
    int64_t remember;         /* ms; 0: datasets are kept only as long as needed */
    bool manual_clock;        /* moves by tide_runner_advance only */
    int64_t manual_start;     /* its first reading, at least 0 */
    uint32_t concurrent;      /* outputs at a time; 0: 1 */
    bool skips;               /* batches continue without datasets that fail, and no data is kept for them */
};

struct tide_runner *tide_runner_new(const struct tide_runner_options *options);
/* Ends everything at once without further events, drops the graph's events from the queue and deletes the graph.
 * The loop must run until the handles that close now are closed. NULL is fine. */
void tide_runner_delete(struct tide_runner *runner);

/* The graph to declare streams in; owned by the runner. Its address is the `graph` of all events. */
struct tide_graph *tide_runner_graph(struct tide_runner *runner);

/* Whether it can start, as far as the graph tells. TIDE_EINVAL (tide_graph_check), TIDE_ESTATE (not INITIALIZED). */
int tide_runner_check(struct tide_runner *runner, struct tide_error *err);
/* Checks, starts all sources and the clock. The first batch is the first multiple of the batch interval (since the
 * epoch) strictly after now. As above, and TIDE_EIO, TIDE_ELIMIT (no ingest thread); then nothing has changed. */
int tide_runner_start(struct tide_runner *runner, struct tide_error *err);
/* Graceful: finishes what was received. Otherwise at once: queued generations and batches are dropped, outputs
 * under way are no longer waited for. Queues DRAINED when done (before it returns, if there is nothing to wait
 * for); nothing when it is STOPPED. */
void tide_runner_stop(struct tide_runner *runner, bool graceful);

/* The transform function has ended: its result (retained); or NULL and the text of its failure; or neither, when it
 * returned no dataset, which is a failure too. */
void tide_runner_transform_done(struct tide_runner *runner, uint64_t token, struct tide_rdd *rdd,
                                const char *failure);
/* The output operation has ended; failure: NULL, or the text of the error. */
void tide_runner_output_done(struct tide_runner *runner, uint64_t token, const char *failure);

/* Begins a slice (driver/slice.h), also for times of batches that have not come yet. Until slice_end, which must
 * follow, no batch is generated. TIDE_ESTATE when the context does not run or a transform function is running. */
int tide_runner_slice(struct tide_runner *runner, struct tide_stream *stream, int64_t from, int64_t to,
                      struct tide_error *err);
/* The slice in progress, borrowed; NULL: none, or the context was stopped in the meantime. */
struct tide_slice *tide_runner_slicing(struct tide_runner *runner);
void tide_runner_slice_end(struct tide_runner *runner);

enum tide_runner_state tide_runner_state(const struct tide_runner *runner);
/* The clock's reading, ms since the epoch. */
int64_t tide_runner_now(struct tide_runner *runner);
/* Manual clock: moves it and handles every tick reached. TIDE_EINVAL on a real clock or for ms < 0. */
int tide_runner_advance(struct tide_runner *runner, int64_t ms);
/* No tick, generation or batch is queued or in progress. */
bool tide_runner_idle(const struct tide_runner *runner);
/* STOPPED: records received and not processed, one entry for each input that an output depends on. The records of a
 * batch count until its last output has been started, and are listed as `begun` until that has ended. Borrowed; no
 * entry when it was never started. */
const struct tide_input_count *tide_runner_lost(const struct tide_runner *runner, uint32_t *count);
/* Outputs of one lane (a number from 1 on) never run at the same time: see driver/output.h. */
void tide_runner_set_lane(struct tide_runner *runner, uint32_t output, uint32_t lane);
/* Listener events are made only while listening:
 *   onStreamingStarted, then for each batch onBatchSubmitted, onBatchStarted, for each output
 *   onOutputOperationStarted and onOutputOperationCompleted (info.output: its position in the batch, node: its
 *   number; error and info.reason when it failed), onBatchCompleted. */
void tide_runner_listen(struct tide_runner *runner, bool listen);

#endif
