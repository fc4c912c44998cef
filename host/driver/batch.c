/*
 * Batches: the generation queue, the batch queue, starting and stopping (see batch.h). Called by the bindings, by
 * the clock (ticks) and by the ingest thread's messages (cuts, source reports), all on the driver thread.
 *
 * Each runner with receiver inputs has an ingest thread and an inbox of its own on the driver's loop, so cuts and
 * stops concern its own sources only, and closing the inbox disposes of every answer still on its way.
 *
 * Whatever happens ends in `pump`, the one place that decides what comes next.
 */
#include "driver/batch.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"
#include "clock/boundary.h"
#include "clock/clock.h"
#include "dstream/generation.h"
#include "ingest/ingest.h"
#include "thread/inbox.h"

enum { PARTITIONS_PER_WORKER = 4 };

struct batch;

/* One output operation of one batch. */
struct output_run {
    struct tide_list link; /* in runner->running */
    struct batch *batch;
    struct tide_rdd *rdd;
    uint64_t token;
    uint32_t output; /* number of the output operation */
    int64_t start;
};

struct batch {
    struct tide_list link;
    int64_t time;
    struct tide_batch_info info;
    uint32_t count, next, ended; /* outputs; the next one to start; how many have ended */
    bool failed;
    struct tide_input_info *inputs;
    uint32_t ninputs;
    struct output_run outputs[];
};

/* Where messages of the ingest thread arrive. Outlives the runner until its handles are closed. */
struct port {
    struct tide_inbox inbox;
    uv_check_t closer; /* never started: its close callbacks tell that the inbox's handle is closed */
    bool closed_once;
};

/* What the generation of a batch is waiting for. */
enum phase { IDLE, CUTTING, ASKING };

struct tide_batch_runner {
    struct tide_batch_options options;
    enum tide_batch_state state;
    struct tide_graph *graph;
    struct tide_generation *generation;
    struct tide_generation *slice; /* what the script has asked for by itself; NULL: nothing */
    uint32_t *wants;               /* of the slice, one for each time */
    uint32_t nwants, wants_capacity;
    struct tide_clock *clock;
    struct port *port;          /* with receiver inputs, from start to STOPPED */
    struct tide_ingest *ingest; /* likewise */
    bool listening;
    uint64_t tokens; /* last token given out */

    int64_t *ticks; /* nominal times to generate: [first_tick, first_tick + nticks) */
    uint32_t first_tick, nticks, ticks_capacity;

    enum phase phase;
    int64_t time;         /* of the generation in progress, afterwards of the last one */
    struct tide_cut *cut; /* CUTTING: on its way; identifies the answer */
    uint64_t asked;       /* ASKING: token */

    bool last_cut;     /* STOPPING: the cut on its way is one after the last tick */
    bool nothing_left; /* STOPPING: such a cut brought nothing */
    bool extra_failed; /* STOPPING: a batch after the last tick could not be generated */

    struct tide_list batches; /* submitted, not finished, in order */
    struct tide_list running; /* output_runs */
    uint32_t nrunning;
};

static void pump(struct tide_batch_runner *runner);

static void enter(struct tide_batch_runner *runner, enum tide_batch_state to) {
    static const unsigned allowed_from[] = {
        [TIDE_BATCH_ACTIVE] = 1U << TIDE_BATCH_INITIALIZED,
        [TIDE_BATCH_STOPPING] = 1U << TIDE_BATCH_ACTIVE,
        [TIDE_BATCH_STOPPED] = 1U << TIDE_BATCH_INITIALIZED | 1U << TIDE_BATCH_ACTIVE | 1U << TIDE_BATCH_STOPPING,
    };
    assert(to != TIDE_BATCH_INITIALIZED && (allowed_from[to] & 1U << runner->state));
    runner->state = to;
}

/* ---- Events -------------------------------------------------------------------------------------------------
 * */

static struct tide_event *event_new(struct tide_batch_runner *runner, enum tide_event_kind kind, int64_t time) {
    struct tide_event *event = tide_event_new(kind);
    event->graph = runner->graph;
    event->time = time;
    return event;
}

static void set_rdds(struct tide_event *event, struct tide_rdd *const *rdds, uint32_t count) {
    event->rdds = tide_xcalloc(count, sizeof(struct tide_rdd *));
    event->nrdds = count;
    for (uint32_t i = 0; i < count; i++) event->rdds[i] = tide_rdd_retain(rdds[i]);
}

static void tell_started(struct tide_batch_runner *runner, int64_t now) {
    if (!runner->listening) return;
    struct tide_event *event = event_new(runner, TIDE_EVENT_LISTENER, now);
    event->name = "onStreamingStarted";
    tide_events_push(runner->options.events, event);
}

/* `run` is NULL for what concerns the whole batch; `ended` is -1 while the output runs. */
static void tell(struct tide_batch_runner *runner, const char *name, const struct batch *batch,
                 const struct output_run *run, int64_t ended, const char *failure) {
    if (!runner->listening) return;
    struct tide_event *event = event_new(runner, TIDE_EVENT_LISTENER, batch->time);
    event->name = name;
    event->info = batch->info;
    if (!run) {
        event->inputs = tide_xmemdup(batch->inputs, batch->ninputs * sizeof *batch->inputs);
        event->ninputs = batch->ninputs;
        event->outputs = tide_xcalloc(batch->count, sizeof *event->outputs);
        event->noutputs = batch->count;
        for (uint32_t i = 0; i < batch->count; i++) event->outputs[i] = batch->outputs[i].output;
    } else {
        event->node = run->output;
        event->info.output = (uint32_t)(run - batch->outputs);
        event->info.output_start = run->start;
        event->info.output_end = ended;
    }
    if (failure) {
        tide_error_set(&event->error, TIDE_ECLOSURE, "%s", failure);
        event->info.reason = event->error.text;
    }
    tide_events_push(runner->options.events, event);
}

/* ---- Outputs ------------------------------------------------------------------------------------------------
 * */

static void batch_delete(struct batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++) tide_rdd_release(batch->outputs[i].rdd);
    tide_list_remove(&batch->link);
    tide_free(batch->inputs);
    tide_free(batch);
}

/* Notes what the inputs bring; the sum of their records. */
static int64_t count_inputs(struct batch *batch, const struct tide_graph *graph) {
    int64_t records = 0;

    batch->ninputs = tide_graph_inputs(graph);
    batch->inputs = tide_xcalloc(batch->ninputs ? batch->ninputs : 1, sizeof *batch->inputs);
    for (uint32_t i = 0; i < batch->ninputs; i++) {
        batch->inputs[i].records = tide_graph_input(graph, i, batch->time, &batch->inputs[i].stream);
        records += batch->inputs[i].records;
    }
    return records;
}

static void submit_batch(struct tide_batch_runner *runner) {
    uint32_t outputs = tide_graph_outputs(runner->graph), count = 0;
    for (uint32_t i = 0; i < outputs; i++) count += tide_generation_output(runner->generation, i) != NULL;
    if (count == 0) {
        tide_graph_rest(runner->graph, runner->time);
        return;
    }
    struct batch *batch = tide_xcalloc(1, sizeof *batch + count * sizeof batch->outputs[0]);
    batch->time = runner->time;
    batch->info = (struct tide_batch_info){
        .batch_time = runner->time,
        .submission_time = tide_clock_wall_ms(),
        .processing_start = -1,
        .processing_end = -1,
        .records = count_inputs(batch, runner->graph),
        .output_start = -1,
        .output_end = -1,
    };
    for (uint32_t i = 0; i < outputs; i++) {
        struct tide_rdd *rdd = tide_generation_output(runner->generation, i);
        if (!rdd) continue;
        struct output_run *run = &batch->outputs[batch->count++];
        *run = (struct output_run){.batch = batch, .rdd = tide_rdd_retain(rdd), .output = i};
    }
    tide_list_push(&runner->batches, &batch->link);
    tell(runner, "onBatchSubmitted", batch, NULL, -1, NULL);
}

static void start_output(struct tide_batch_runner *runner, struct batch *batch) {
    int64_t now = tide_clock_wall_ms();
    if (batch->next == 0) {
        batch->info.processing_start = now;
        tell(runner, "onBatchStarted", batch, NULL, -1, NULL);
    }
    struct output_run *run = &batch->outputs[batch->next++];
    run->token = ++runner->tokens;
    run->start = tide_clock_now(runner->clock);
    tide_list_push(&runner->running, &run->link);
    runner->nrunning++;
    tell(runner, "onOutputOperationStarted", batch, run, -1, NULL);
    struct tide_event *event = event_new(runner, TIDE_EVENT_OUTPUT, batch->time);
    event->node = run->output;
    event->token = run->token;
    event->info = batch->info;
    event->info.output = (uint32_t)(run - batch->outputs);
    event->info.output_start = run->start;
    set_rdds(event, &run->rdd, 1);
    tide_events_push(runner->options.events, event);
}

static void start_outputs(struct tide_batch_runner *runner) {
    struct tide_list *link = runner->batches.next;
    while (runner->nrunning < runner->options.concurrent && link != &runner->batches) {
        struct batch *batch = TIDE_CONTAINER_OF(link, struct batch, link);
        if (batch->next < batch->count) start_output(runner, batch);
        else link = link->next;
    }
}

void tide_batch_runner_output_done(struct tide_batch_runner *runner, uint64_t token, const char *failure) {
    struct output_run *run = NULL;
    TIDE_LIST_EACH(link, &runner->running) {
        struct output_run *candidate = TIDE_CONTAINER_OF(link, struct output_run, link);
        if (candidate->token == token) run = candidate;
    }
    if (!run) return;
    struct batch *batch = run->batch;
    int64_t now = tide_clock_wall_ms();
    tide_list_remove(&run->link);
    runner->nrunning--;
    tide_rdd_release(run->rdd);
    run->rdd = NULL;
    batch->failed |= failure != NULL;
    batch->ended++;
    tell(runner, "onOutputOperationCompleted", batch, run, tide_clock_now(runner->clock), failure);
    if (batch->ended == batch->count) {
        batch->info.processing_end = now;
        tell(runner, "onBatchCompleted", batch, NULL, -1, NULL);
        if (runner->options.skips) tide_graph_pass(runner->graph, batch->time);
        if (!batch->failed || runner->options.skips) tide_graph_forget(runner->graph, batch->time);
        tide_graph_rest(runner->graph, batch->time);
        batch_delete(batch);
    }
    pump(runner);
}

/* ---- Generation ---------------------------------------------------------------------------------------------
 * */

static void make_room_for_tick(struct tide_batch_runner *runner) {
    if (runner->first_tick + runner->nticks < runner->ticks_capacity) return;
    if (runner->first_tick > runner->ticks_capacity / 2) {
        memmove(runner->ticks, runner->ticks + runner->first_tick, runner->nticks * sizeof *runner->ticks);
        runner->first_tick = 0;
        return;
    }
    runner->ticks_capacity = runner->ticks_capacity ? runner->ticks_capacity * 2 : 16;
    runner->ticks = tide_xrealloc(runner->ticks, runner->ticks_capacity * sizeof *runner->ticks);
}

static void on_tick(int64_t time, void *arg) {
    struct tide_batch_runner *runner = arg;
    make_room_for_tick(runner);
    runner->ticks[runner->first_tick + runner->nticks++] = time;
    pump(runner);
}

/* Takes the error. */
static void generation_failed(struct tide_batch_runner *runner, struct tide_error *err) {
    int64_t time;
    const struct tide_stream *stream = tide_generation_current(runner->generation, &time);

    if (runner->options.skips && time < runner->time) tide_graph_give_up(runner->graph, stream, time);
    tide_generation_end(runner->generation);
    tide_graph_settle(runner->graph, runner->time, false);
    if (runner->last_cut) runner->extra_failed = true;
    struct tide_event *event = event_new(runner, TIDE_EVENT_GENERATION, runner->time);
    tide_error_move(&event->error, err);
    tide_events_push(runner->options.events, event);
    runner->phase = IDLE;
}

static void go_on(struct tide_batch_runner *runner) {
    struct tide_error err = {0};
    int status = tide_generation_run(runner->generation, &err);
    if (status < 0) {
        generation_failed(runner, &err);
        return;
    }
    if (status == TIDE_GENERATION_ASKS) {
        struct tide_rdd *const *parents;
        uint32_t count;
        struct tide_stream *stream = tide_generation_asks(runner->generation, &parents, &count);
        struct tide_event *event = event_new(runner, TIDE_EVENT_TRANSFORM, runner->time);
        event->info.batch_time = runner->time;
        runner->phase = ASKING;
        runner->asked = ++runner->tokens;
        event->time = tide_generation_asks_time(runner->generation);
        event->node = tide_stream_id(stream);
        event->token = runner->asked;
        set_rdds(event, parents, count);
        tide_events_push(runner->options.events, event);
        return;
    }
    submit_batch(runner);
    tide_generation_end(runner->generation);
    tide_graph_settle(runner->graph, runner->time, true);
    runner->phase = IDLE;
}

static void generate(struct tide_batch_runner *runner, struct tide_cut *cut) {
    tide_graph_allocate(runner->graph, runner->time, cut ? cut->entries : NULL, cut ? cut->count : 0,
                        runner->options.workers * PARTITIONS_PER_WORKER);
    tide_generation_begin(runner->generation, runner->time);
    go_on(runner);
}

void tide_batch_runner_transform_done(struct tide_batch_runner *runner, uint64_t token, struct tide_rdd *rdd,
                                      const char *failure) {
    if (runner->phase != ASKING || runner->asked != token) return;
    if (rdd && !failure) {
        tide_generation_answer(runner->generation, rdd);
        go_on(runner);
    } else {
        struct tide_error err = {0};
        struct tide_rdd *const *parents;
        uint32_t count;
        uint32_t stream = tide_stream_id(tide_generation_asks(runner->generation, &parents, &count));
        if (failure) tide_error_set(&err, TIDE_ECLOSURE, "%s", failure);
        else
            tide_error_set(&err, TIDE_EGENERATION,
                           "transform: the function of stream %" PRIu32 " returned no dataset for batch %" PRId64
                           " ms; return an RDD, an empty one if there is nothing",
                           stream, runner->time);
        generation_failed(runner, &err);
    }
    pump(runner);
}

/* ---- Slices -------------------------------------------------------------------------------------------------
 * */

int tide_batch_runner_slice(struct tide_batch_runner *runner, struct tide_stream *stream, int64_t from, int64_t to,
                            struct tide_error *err) {
    int64_t slide = tide_stream_slide(stream), zero = tide_graph_zero(runner->graph);

    if (runner->state == TIDE_BATCH_INITIALIZED || zero < 0)
        return tide_error_set(err, TIDE_ESTATE, "the context has not been started, so there are no batches yet");
    if (runner->state == TIDE_BATCH_STOPPED)
        return tide_error_set(err, TIDE_ESTATE, "the context was stopped, and its datasets are gone");
    if (runner->phase == ASKING || runner->slice)
        return tide_error_set(err, TIDE_ESTATE,
                              "a transform function is running; call it from foreachRDD or from the main script");
    runner->slice = tide_generation_new(runner->graph);
    runner->nwants = 0;
    from = from > zero ? tide_boundary_floor(from, slide, zero) : zero;
    for (int64_t t = from > zero ? from : zero + slide; t <= to; t += slide) {
        if (runner->nwants == runner->wants_capacity) {
            runner->wants_capacity = runner->wants_capacity ? runner->wants_capacity * 2 : 16;
            runner->wants = tide_xrealloc(runner->wants, runner->wants_capacity * sizeof *runner->wants);
        }
        runner->wants[runner->nwants++] = tide_generation_want(runner->slice, stream, t);
    }
    return TIDE_OK;
}

struct tide_generation *tide_batch_runner_slicing(struct tide_batch_runner *runner) {
    return runner->slice;
}

uint32_t tide_batch_runner_sliced(const struct tide_batch_runner *runner) { return runner->nwants; }

struct tide_rdd *tide_batch_runner_slice_at(const struct tide_batch_runner *runner, uint32_t index) {
    return tide_generation_answer_of(runner->slice, runner->wants[index]);
}

void tide_batch_runner_slice_end(struct tide_batch_runner *runner) {
    if (!runner->slice) return;
    tide_generation_delete(runner->slice);
    runner->slice = NULL;
    if (runner->state != TIDE_BATCH_STOPPED) pump(runner);
}

/* ---- Cuts ---------------------------------------------------------------------------------------------------
 * */

static bool brought_nothing(const struct tide_cut *cut) {
    for (uint32_t i = 0; i < cut->count; i++) {
        if (cut->entries[i].blocks.count > 0) return false;
    }
    return true;
}

static void on_cut(struct tide_message *message, void *owner) {
    struct tide_cut *cut = TIDE_CONTAINER_OF(message, struct tide_cut, message);
    struct tide_batch_runner *runner = owner;
    if (!runner || runner->phase != CUTTING || runner->cut != cut) {
        tide_cut_delete(cut); /* stopped in the meantime */
        return;
    }
    runner->cut = NULL;
    bool leftovers = tide_graph_leftovers(runner->graph) > 0 && !runner->extra_failed;
    if (runner->last_cut && brought_nothing(cut) && !leftovers) {
        runner->nothing_left = true;
        runner->phase = IDLE;
    } else {
        runner->time = cut->time;
        generate(runner, cut);
    }
    tide_cut_delete(cut);
    pump(runner);
}

static void ask_cut(struct tide_batch_runner *runner, int64_t time) {
    runner->phase = CUTTING;
    runner->cut = tide_cut_new(time);
    runner->cut->message.deliver = on_cut;
    tide_ingest_cut(runner->ingest, runner->cut);
}

/* A source reports. */
static void on_source(struct tide_message *message, void *owner) {
    static const char *const names[] = {
        [TIDE_SOURCE_STARTED] = "started",
        [TIDE_SOURCE_ERROR] = "error",
        [TIDE_SOURCE_STOPPED] = "stopped",
    };
    struct tide_source_event *report = TIDE_CONTAINER_OF(message, struct tide_source_event, message);
    struct tide_batch_runner *runner = owner;
    if (runner) {
        struct tide_event *event = event_new(runner, TIDE_EVENT_RECEIVER, tide_clock_wall_ms());
        event->node = report->source_id;
        event->name = names[report->kind];
        tide_error_move(&event->error, &report->error);
        tide_events_push(runner->options.events, event);
    }
    tide_source_event_delete(report);
}

/* ---- What comes next ----------------------------------------------------------------------------------------
 * */

static bool start_generation(struct tide_batch_runner *runner) {
    if (runner->phase != IDLE || runner->slice) return false;
    if (runner->nticks > 0) {
        runner->time = runner->ticks[runner->first_tick++];
        runner->nticks--;
        if (runner->ingest) ask_cut(runner, runner->time);
        else generate(runner, NULL);
        return true;
    }
    if (runner->state != TIDE_BATCH_STOPPING || !runner->ingest || runner->nothing_left) return false;
    /* Sources have stopped: what they still hold makes batches at the next nominal times, until a cut is empty.
     * */
    runner->last_cut = true;
    ask_cut(runner, runner->time + runner->options.batch);
    return true;
}

static bool nothing_to_do(const struct tide_batch_runner *runner) {
    return runner->phase == IDLE && runner->nticks == 0 && tide_list_empty(&runner->batches);
}

/* The inbox says nothing when its handle is closed. Closing handles are worked off in rounds: what begins to
 * close inside a round is closed in the next one, so after a second round of our own everything that closed with
 * us is done. */
static void on_port_closed(uv_handle_t *handle) {
    struct port *port = handle->data;
    if (!port->closed_once) {
        port->closed_once = true;
        uv_check_init(handle->loop, &port->closer);
        uv_close((uv_handle_t *)&port->closer, on_port_closed);
        return;
    }
    tide_inbox_destroy(&port->inbox);
    tide_free(port);
}

static void close_port(struct port *port) {
    tide_inbox_close(&port->inbox);
    uv_close((uv_handle_t *)&port->closer, on_port_closed);
}

static struct port *port_new(struct tide_batch_runner *runner, struct tide_error *err) {
    struct port *port = tide_xcalloc(1, sizeof *port);
    int status = tide_inbox_create(&port->inbox, runner->options.loop, runner, true);
    if (status < 0) {
        tide_error_set(err, status, "no inbox for received data (%s); is the limit of open files reached?",
                       tide_error_name(status));
        tide_free(port);
        return NULL;
    }
    uv_check_init(runner->options.loop, &port->closer); /* cannot fail */
    port->closer.data = port;
    return port;
}

/* Into STOPPED, from wherever. What the sources have reported up to now still becomes events. */
static void end(struct tide_batch_runner *runner) {
    enter(runner, TIDE_BATCH_STOPPED);
    tide_clock_stop(runner->clock);
    tide_graph_seal(runner->graph);
    runner->nticks = 0;
    runner->phase = IDLE;
    runner->cut = NULL;
    tide_generation_end(runner->generation);
    tide_generation_delete(runner->slice);
    runner->slice = NULL;
    if (runner->ingest) {
        tide_ingest_delete(runner->ingest);
        runner->ingest = NULL;
        tide_inbox_drain(&runner->port->inbox);
        close_port(runner->port);
        runner->port = NULL;
    }
    tide_list_create(&runner->running);
    runner->nrunning = 0;
    while (!tide_list_empty(&runner->batches)) {
        batch_delete(TIDE_CONTAINER_OF(runner->batches.next, struct batch, link));
    }
    tide_graph_forget_all(runner->graph);
}

static void drained(struct tide_batch_runner *runner) {
    tide_events_push(runner->options.events, event_new(runner, TIDE_EVENT_DRAINED, runner->time));
}

static void pump(struct tide_batch_runner *runner) {
    do start_outputs(runner); /* first, so that workers have something to do meanwhile */
    while (start_generation(runner));
    if (runner->state != TIDE_BATCH_STOPPING || !nothing_to_do(runner)) return;
    int64_t lost = tide_graph_leftovers(runner->graph);
    if (lost > 0) {
        tide_log(TIDE_LOG_WARN, "stream",
                 "%" PRId64 " received records were not processed: the last batches could not be generated", lost);
    }
    end(runner);
    drained(runner);
}

/* ---- Life cycle ---------------------------------------------------------------------------------------------
 * */

struct tide_batch_runner *tide_batch_runner_new(const struct tide_batch_options *options) {
    assert(options->loop && options->events && options->batch >= 1 && options->manual_start >= 0);
    struct tide_batch_runner *runner = tide_xcalloc(1, sizeof *runner);
    runner->options = *options;
    if (runner->options.concurrent == 0) runner->options.concurrent = 1;
    if (runner->options.workers == 0) runner->options.workers = 1;
    runner->graph = tide_graph_new(options->batch, options->remember);
    tide_graph_set_skipping(runner->graph, options->skips);
    tide_graph_set_cache(runner->graph, options->cache);
    runner->generation = tide_generation_new(runner->graph);
    runner->clock =
        options->manual_clock ? tide_clock_manual_new(options->manual_start) : tide_clock_uv_new(options->loop);
    tide_list_create(&runner->batches);
    tide_list_create(&runner->running);
    return runner;
}

void tide_batch_runner_delete(struct tide_batch_runner *runner) {
    if (!runner) return;
    if (runner->state != TIDE_BATCH_STOPPED) end(runner);
    tide_events_forget(runner->options.events, runner->graph);
    tide_clock_close(runner->clock);
    tide_free(runner->wants);
    tide_generation_delete(runner->generation);
    tide_graph_delete(runner->graph);
    tide_free(runner->ticks);
    tide_free(runner);
}

struct tide_graph *tide_batch_runner_graph(struct tide_batch_runner *runner) {
    return runner->graph;
}

static int start_ingest(struct tide_batch_runner *runner, struct tide_error *err) {
    if (!tide_graph_has_receivers(runner->graph)) return TIDE_OK;
    struct tide_error own = {0};
    runner->port = port_new(runner, &own);
    if (runner->port) runner->ingest = tide_ingest_new(&runner->port->inbox, on_source, &own);
    if (!runner->ingest) {
        if (runner->port) close_port(runner->port);
        runner->port = NULL;
        int code = own.code;
        if (err) tide_error_move(err, &own);
        else tide_error_clear(&own);
        return code;
    }
    tide_graph_start_sources(runner->graph, runner->ingest);
    return TIDE_OK;
}

int tide_batch_runner_start(struct tide_batch_runner *runner, struct tide_error *err) {
    if (runner->state == TIDE_BATCH_STOPPED) {
        return tide_error_set(
            err, TIDE_ESTATE,
            "start: this context was stopped and can't be started again; make a new StreamingContext");
    }
    if (runner->state != TIDE_BATCH_INITIALIZED) {
        return tide_error_set(err, TIDE_ESTATE, "start: this context has already been started");
    }
    int64_t now = tide_clock_now(runner->clock);
    int64_t first = tide_boundary_first(now, runner->options.batch);
    int status = tide_graph_begin(runner->graph, first - runner->options.batch, err);
    if (status == TIDE_OK) status = start_ingest(runner, err);
    if (status < 0) {
        end(runner);
        return status;
    }
    enter(runner, TIDE_BATCH_ACTIVE);
    runner->time = first - runner->options.batch;
    tell_started(runner, now);
    tide_clock_start(runner->clock, first, runner->options.batch, on_tick, runner);
    return TIDE_OK;
}

void tide_batch_runner_stop(struct tide_batch_runner *runner, bool graceful) {
    if (runner->state == TIDE_BATCH_STOPPED) return;
    if (!graceful || runner->state == TIDE_BATCH_INITIALIZED) {
        end(runner);
        drained(runner);
        return;
    }
    if (runner->state == TIDE_BATCH_STOPPING) return;
    enter(runner, TIDE_BATCH_STOPPING);
    tide_clock_stop(runner->clock);
    if (runner->ingest) tide_ingest_stop_sources(runner->ingest);
    pump(runner);
}

enum tide_batch_state tide_batch_runner_state(const struct tide_batch_runner *runner) { return runner->state; }

int64_t tide_batch_runner_now(struct tide_batch_runner *runner) { return tide_clock_now(runner->clock); }

int tide_batch_runner_advance(struct tide_batch_runner *runner, int64_t ms) {
    return tide_clock_advance(runner->clock, ms);
}

bool tide_batch_runner_idle(const struct tide_batch_runner *runner) {
    return nothing_to_do(runner) && runner->state != TIDE_BATCH_STOPPING;
}

void tide_batch_runner_listen(struct tide_batch_runner *runner, bool listen) { runner->listening = listen; }
