/*
 * The batch queue and the outputs that run (see output.h). Called by the runner (driver/runner.c), on the driver
 * thread.
 *
 * The times of one batch are read from one stopwatch, started when it is submitted, so no delay is negative when the
 * wall clock is set meanwhile.
 */
#include "driver/output.h"

#include "base/alloc.h"
#include "base/array.h"
#include "base/error.h"

struct batch;

/* One output operation of one batch. */
struct output_run {
    struct tide_list link; /* in outputs->running */
    struct batch *batch;
    struct tide_rdd *rdd; /* NULL: it has failed */
    uint64_t token;
    uint32_t output; /* number of the output operation */
    int64_t start;
};

struct batch {
    struct tide_list link;
    int64_t time;
    struct tide_stopwatch watch;
    struct tide_batch_info info;
    uint32_t count, next, ended; /* outputs; the next one to start; how many have ended */
    bool failed;
    char *failure; /* why datasets have failed, or NULL */
    struct tide_input_info *inputs;
    uint32_t ninputs;
    struct output_run outputs[];
};

void tide_outputs_create(struct tide_outputs *outputs) {
    if (outputs->concurrent == 0) outputs->concurrent = 1;
    tide_list_create(&outputs->batches);
    tide_list_create(&outputs->running);
}

void tide_outputs_destroy(struct tide_outputs *outputs) {
    tide_outputs_clear(outputs);
    tide_free(outputs->lanes);
}

void tide_outputs_set_lane(struct tide_outputs *outputs, uint32_t output, uint32_t lane) {
    uint32_t before = outputs->nlanes;

    TIDE_ARRAY_RESERVE(outputs->lanes, outputs->nlanes, output + 1);
    for (uint32_t i = before; i < outputs->nlanes; i++) outputs->lanes[i] = 0;
    outputs->lanes[output] = lane;
}

bool tide_outputs_empty(const struct tide_outputs *outputs) { return tide_list_empty(&outputs->batches); }

static void batch_delete(struct batch *batch) {
    for (uint32_t i = 0; i < batch->count; i++) tide_rdd_release(batch->outputs[i].rdd);
    tide_list_remove(&batch->link);
    tide_free(batch->inputs);
    tide_free(batch->failure);
    tide_free(batch);
}

void tide_outputs_clear(struct tide_outputs *outputs) {
    tide_list_create(&outputs->running);
    outputs->nrunning = 0;
    while (!tide_list_empty(&outputs->batches)) {
        batch_delete(TIDE_CONTAINER_OF(outputs->batches.next, struct batch, link));
    }
}

/* ---- Events ------------------------------------------------------------------------------------------------- */

struct tide_event *tide_outputs_event(const struct tide_outputs *outputs, enum tide_event_kind kind, int64_t time) {
    struct tide_event *event = tide_event_new(kind);
    event->graph = outputs->graph;
    event->time = time;
    return event;
}

void tide_event_set_rdds(struct tide_event *event, struct tide_rdd *const *rdds, uint32_t count) {
    event->rdds = tide_xcalloc(count, sizeof(struct tide_rdd *));
    event->nrdds = count;
    for (uint32_t i = 0; i < count; i++) event->rdds[i] = tide_rdd_retain(rdds[i]);
}

void tide_outputs_tell_started(struct tide_outputs *outputs, int64_t now) {
    if (!outputs->listening) return;
    struct tide_event *event = tide_outputs_event(outputs, TIDE_EVENT_LISTENER, now);
    event->name = "onStreamingStarted";
    tide_events_push(outputs->events, event);
}

/* run: NULL for events of the whole batch. ended: -1 while the output runs. */
static void tell(struct tide_outputs *outputs, const char *name, const struct batch *batch,
                 const struct output_run *run, int64_t ended, const char *failure) {
    if (!outputs->listening) return;
    struct tide_event *event = tide_outputs_event(outputs, TIDE_EVENT_LISTENER, batch->time);
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
    tide_events_push(outputs->events, event);
}

/* ---- Submitting --------------------------------------------------------------------------------------------- */

/* Notes the records of each input that are known now; returns their sum. */
static int64_t count_inputs(struct batch *batch, const struct tide_graph *graph) {
    int64_t records = 0;

    for (uint32_t i = 0; i < batch->ninputs; i++) {
        struct tide_input_info *input = &batch->inputs[i];

        if (input->records == 0) input->records = tide_graph_input(graph, i, batch->time, &input->stream);
        records += input->records;
    }
    return records;
}

/* Whether an output is part of the batch: it has a dataset, or its dataset has failed. */
static bool takes_part(const struct tide_generation *generation, uint32_t output) {
    return tide_generation_output(generation, output) || tide_generation_failed(generation, output);
}

void tide_outputs_submit(struct tide_outputs *outputs, const struct tide_generation *generation, int64_t time,
                         const char *failure) {
    uint32_t most = tide_graph_outputs(outputs->graph), count = 0;

    for (uint32_t i = 0; i < most; i++) count += takes_part(generation, i);
    if (count == 0) {
        tide_graph_cache_received(outputs->graph, time);
        return;
    }
    struct batch *batch = tide_xcalloc(1, sizeof *batch + count * sizeof batch->outputs[0]);
    batch->time = time;
    batch->failure = failure ? tide_xstrdup(failure) : NULL;
    batch->ninputs = tide_graph_inputs(outputs->graph);
    batch->inputs = tide_xcalloc(batch->ninputs ? batch->ninputs : 1, sizeof *batch->inputs);
    tide_stopwatch_start(&batch->watch);
    batch->info = (struct tide_batch_info){
        .batch_time = time,
        .submission_time = tide_stopwatch_ms(&batch->watch),
        .processing_start = -1,
        .processing_end = -1,
        .records = count_inputs(batch, outputs->graph),
        .output_start = -1,
        .output_end = -1,
    };
    for (uint32_t i = 0; i < most; i++) {
        if (!takes_part(generation, i)) continue;
        struct tide_rdd *rdd = tide_generation_output(generation, i);
        struct output_run *run = &batch->outputs[batch->count++];
        *run = (struct output_run){.batch = batch, .rdd = rdd ? tide_rdd_retain(rdd) : NULL, .output = i};
        tide_list_create(&run->link);
    }
    tide_list_push(&outputs->batches, &batch->link);
    tell(outputs, "onBatchSubmitted", batch, NULL, -1, NULL);
}

/* ---- Running ------------------------------------------------------------------------------------------------ */

static void batch_done(struct tide_outputs *outputs, struct batch *batch) {
    batch->info.processing_end = tide_stopwatch_ms(&batch->watch);
    if (outputs->listening) batch->info.records = count_inputs(batch, outputs->graph); /* files have been read */
    tell(outputs, "onBatchCompleted", batch, NULL, -1, NULL);
    if (outputs->skips) tide_graph_remake(outputs->graph, batch->time);
    if (!batch->failed || outputs->skips) tide_graph_forget(outputs->graph, batch->time);
    tide_graph_cache_received(outputs->graph, batch->time);
    batch_delete(batch);
}

static void end_output(struct tide_outputs *outputs, struct output_run *run, const char *failure) {
    struct batch *batch = run->batch;

    if (failure) batch->failed = true;
    batch->ended++;
    tell(outputs, "onOutputOperationCompleted", batch, run, tide_clock_reading(outputs->clock, &batch->watch),
         failure);
    if (batch->ended == batch->count) batch_done(outputs, batch);
}

static void run_output(struct tide_outputs *outputs, struct output_run *run) {
    run->token = ++outputs->tokens;
    tide_list_push(&outputs->running, &run->link);
    outputs->nrunning++;
    struct tide_event *event = tide_outputs_event(outputs, TIDE_EVENT_OUTPUT, run->batch->time);
    event->node = run->output;
    event->token = run->token;
    event->info = run->batch->info;
    event->info.output = (uint32_t)(run - run->batch->outputs);
    event->info.output_start = run->start;
    tide_event_set_rdds(event, &run->rdd, 1);
    tide_events_push(outputs->events, event);
}

static void start_output(struct tide_outputs *outputs, struct batch *batch) {
    if (batch->next == 0) {
        batch->info.processing_start = tide_stopwatch_ms(&batch->watch);
        tell(outputs, "onBatchStarted", batch, NULL, -1, NULL);
    }
    struct output_run *run = &batch->outputs[batch->next++];
    run->start = tide_clock_reading(outputs->clock, &batch->watch);
    tell(outputs, "onOutputOperationStarted", batch, run, -1, NULL);
    if (run->rdd) run_output(outputs, run);
    else end_output(outputs, run, batch->failure ? batch->failure : "its dataset could not be made");
}

static uint32_t lane_of(const struct tide_outputs *outputs, const struct output_run *run) {
    return run->output < outputs->nlanes ? outputs->lanes[run->output] : 0;
}

/* Whether the next output of the batch has to wait for one of its lane. */
static bool lane_is_taken(const struct tide_outputs *outputs, const struct batch *batch) {
    uint32_t lane = lane_of(outputs, &batch->outputs[batch->next]);

    if (lane == 0) return false;
    TIDE_LIST_EACH(link, &outputs->running) {
        if (lane_of(outputs, TIDE_CONTAINER_OF(link, struct output_run, link)) == lane) return true;
    }
    return false;
}

void tide_outputs_start(struct tide_outputs *outputs) {
    struct tide_list *link = outputs->batches.next;

    while (outputs->nrunning < outputs->concurrent && link != &outputs->batches) {
        struct batch *batch = TIDE_CONTAINER_OF(link, struct batch, link);
        struct tide_list *after = link->next; /* the batch may end with its last output */
        bool last = batch->next + 1 >= batch->count;
        if (batch->next < batch->count) {
            if (lane_is_taken(outputs, batch)) return;
            start_output(outputs, batch);
        }
        if (last) link = after;
    }
}

bool tide_outputs_done(struct tide_outputs *outputs, uint64_t token, const char *failure) {
    struct output_run *run = NULL;

    TIDE_LIST_EACH(link, &outputs->running) {
        struct output_run *candidate = TIDE_CONTAINER_OF(link, struct output_run, link);
        if (candidate->token == token) run = candidate;
    }
    if (!run) return false;
    tide_list_remove(&run->link);
    outputs->nrunning--;
    tide_rdd_release(run->rdd);
    run->rdd = NULL;
    end_output(outputs, run, failure);
    return true;
}

void tide_input_count_add(struct tide_input_count *count, int64_t time, int64_t records) {
    if (records == 0) return;
    if (count->batches++ == 0) count->first = time;
    count->last = time;
    count->records += records;
}

void tide_outputs_count(const struct tide_outputs *outputs, struct tide_input_count *count) {
    TIDE_LIST_EACH(link, &outputs->batches) {
        const struct batch *batch = TIDE_CONTAINER_OF(link, struct batch, link);
        for (uint32_t i = 0; i < batch->ninputs; i++) {
            if (batch->inputs[i].stream != count->stream) continue;
            if (batch->next < batch->count) {
                tide_input_count_add(count, batch->time, batch->inputs[i].records);
            } else {
                count->begun += batch->inputs[i].records;
                count->begun_time = batch->time;
                count->begun_token = batch->outputs[batch->count - 1].token;
            }
        }
    }
}
