/*
 * From ticks to finished batches: the generation queue, starting and stopping (see runner.h). Called by the bindings,
 * by the clock (ticks) and by the ingest thread's messages (cuts, source reports), all on the driver thread.
 *
 * Each runner with receiver inputs has an ingest thread and an inbox of its own on the driver's loop, so cuts and
 * stops concern its own sources only, and closing the inbox discards every answer that is still on its way.
 *
 * Every entry point ends in `pump`, the one place that decides what comes next.
 */
#include "driver/runner.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/log.h"
#include "clock/boundary.h"
#include "clock/clock.h"
#include "driver/look.h"
#include "driver/output.h"
#include "driver/port.h"
#include "dstream/file_input.h"
#include "dstream/generation.h"
#include "ingest/ingest.h"

enum { PARTITIONS_PER_WORKER = 4 };

/* What the generation of a batch is waiting for. */
enum phase { IDLE, CUTTING, ASKING };

struct tide_runner {
    struct tide_runner_options options;
    enum tide_runner_state state;
    struct tide_graph *graph;
    struct tide_generation *generation;
    struct tide_slice *slice; /* the script is making it; NULL: none. No batch is generated meanwhile */
    struct tide_clock *clock;
    struct tide_port *port;     /* with receiver inputs, from start to STOPPED */
    struct tide_ingest *ingest; /* likewise */
    uint64_t tokens;            /* last token of a transform function */
    char *failure;              /* of the first dataset that failed in this generation and was skipped; or NULL */

    int64_t *ticks; /* nominal times to generate: [first_tick, first_tick + nticks) */
    uint32_t first_tick, nticks, ticks_capacity;

    enum phase phase;
    int64_t time;         /* of the generation in progress, afterwards of the last one */
    struct tide_cut *cut; /* CUTTING: on its way; identifies the answer */
    uint64_t asked;       /* ASKING: token */

    struct tide_look *look;        /* ASKING: the directories of a file stream are looked through first; or NULL */
    struct tide_event *after_look; /* the event that asks then */
    struct tide_log_kind slow_look;

    bool last_cut;     /* STOPPING: the cut on its way is one after the last tick */
    bool nothing_left; /* STOPPING: such a cut brought nothing */
    bool extra_failed; /* STOPPING: a batch after the last tick could not be generated */

    struct tide_outputs outputs;

    struct tide_input_count *lost; /* STOPPED: records received and not processed, one entry for each input */
    uint32_t nlost;
    bool ending; /* cuts that come back now are counted as lost */
};

static void pump(struct tide_runner *runner);

static void enter(struct tide_runner *runner, enum tide_runner_state to) {
    static const unsigned allowed_from[] = {
        [TIDE_RUNNER_ACTIVE] = 1U << TIDE_RUNNER_INITIALIZED,
        [TIDE_RUNNER_STOPPING] = 1U << TIDE_RUNNER_ACTIVE,
        [TIDE_RUNNER_STOPPED] = 1U << TIDE_RUNNER_INITIALIZED | 1U << TIDE_RUNNER_ACTIVE | 1U << TIDE_RUNNER_STOPPING,
    };

    assert(to != TIDE_RUNNER_INITIALIZED && (allowed_from[to] & 1U << runner->state));
    runner->state = to;
}

void tide_runner_output_done(struct tide_runner *runner, uint64_t token, const char *failure) {
    if (tide_outputs_done(&runner->outputs, token, failure)) pump(runner);
}

/* ---- Generation --------------------------------------------------------------------------------------------- */

static void make_room_for_tick(struct tide_runner *runner) {
    if (runner->first_tick + runner->nticks < runner->ticks_capacity) return;
    if (runner->first_tick > runner->ticks_capacity / 2) {
        memmove(runner->ticks, runner->ticks + runner->first_tick, runner->nticks * sizeof *runner->ticks);
        runner->first_tick = 0;
        return;
    }
    TIDE_ARRAY_RESERVE(runner->ticks, runner->ticks_capacity, runner->first_tick + runner->nticks + 1);
}

static void on_tick(int64_t time, void *arg) {
    struct tide_runner *runner = arg;

    make_room_for_tick(runner);
    runner->ticks[runner->first_tick + runner->nticks++] = time;
    pump(runner);
}

static void generation_done(struct tide_runner *runner, bool generated) {
    tide_generation_end(runner->generation);
    tide_graph_settle(runner->graph, runner->time, generated);
    tide_free(runner->failure);
    runner->failure = NULL;
    runner->phase = IDLE;
}

/* Takes the error. true: it is skipped, and the generation continues without that dataset. */
static bool generation_failed(struct tide_runner *runner, struct tide_error *err) {
    struct tide_event *event = tide_outputs_event(&runner->outputs, TIDE_EVENT_GENERATION, runner->time);
    bool skipped = tide_generation_skip(runner->generation);

    if (skipped && !runner->failure && err->text) runner->failure = tide_xstrdup(err->text);
    if (!skipped && runner->last_cut) runner->extra_failed = true;
    if (!skipped) generation_done(runner, false);
    tide_error_move(&event->error, err);
    tide_events_push(runner->options.events, event);
    return skipped;
}

static void on_looked(void *arg, struct tide_listed_files *take, struct tide_error *take_err, uint64_t ns) {
    struct tide_runner *runner = arg;
    struct tide_event *event = runner->after_look;
    int64_t ms = (int64_t)(ns / 1000000);

    runner->look = NULL;
    runner->after_look = NULL;
    if (ms > runner->options.batch)
        tide_log_sparse(&runner->slow_look, TIDE_LOG_WARN, "files",
                        "listing the directories of stream %" PRIu32 " took %" PRId64
                        " ms, longer than a batch (%" PRId64 " ms): move files away that were read",
                        event->node, ms, runner->options.batch);
    tide_file_input_looked(tide_graph_stream(runner->graph, event->node), event->time, take, take_err);
    tide_events_push(runner->options.events, event);
}

/* Takes the event, which is pushed when the directories have been looked through. */
static void look_first(struct tide_runner *runner, struct tide_stream *stream, struct tide_event *take) {
    struct tide_error err = {0};
    int64_t after, until;

    tide_file_choice_range(tide_file_input_choice(stream), take->time, &after, &until);
    runner->after_look = take;
    runner->look =
        tide_look_new(runner->options.loop, tide_file_input_listing(stream), after, until, on_looked, runner, &err);
    if (runner->look) return;
    tide_error_clear(&err);
    runner->after_look = NULL;
    tide_file_input_look(stream, take->time);
    tide_events_push(runner->options.events, take);
}

static void ask(struct tide_runner *runner) {
    struct tide_rdd *const *parents;
    uint32_t count;
    struct tide_stream *stream = tide_generation_asks(runner->generation, &parents, &count);
    struct tide_event *event = tide_outputs_event(&runner->outputs, TIDE_EVENT_TRANSFORM, runner->time);

    event->info.batch_time = runner->time;
    runner->phase = ASKING;
    runner->asked = ++runner->tokens;
    event->time = tide_generation_asks_time(runner->generation);
    event->node = tide_stream_id(stream);
    event->token = runner->asked;
    tide_event_set_rdds(event, parents, count);
    if (tide_file_input_wants_look(stream, event->time)) look_first(runner, stream, event);
    else tide_events_push(runner->options.events, event);
}

static void continue_generation(struct tide_runner *runner) {
    struct tide_error err = {0};
    int status;

    while ((status = tide_generation_run(runner->generation, &err)) < 0) {
        if (!generation_failed(runner, &err)) return;
    }
    if (status == TIDE_GENERATION_ASKS) {
        ask(runner);
        return;
    }
    tide_outputs_submit(&runner->outputs, runner->generation, runner->time, runner->failure);
    generation_done(runner, true);
}

static void generate(struct tide_runner *runner, struct tide_cut *cut) {
    tide_graph_allocate(runner->graph, runner->time, cut ? cut->entries : NULL, cut ? cut->count : 0,
                        runner->options.workers * PARTITIONS_PER_WORKER);
    tide_generation_begin(runner->generation, runner->time);
    continue_generation(runner);
}

void tide_runner_transform_done(struct tide_runner *runner, uint64_t token, struct tide_rdd *rdd,
                                const char *failure) {
    if (runner->phase != ASKING || runner->asked != token) return;
    if (rdd && !failure) {
        tide_generation_answer(runner->generation, rdd);
        continue_generation(runner);
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
        if (generation_failed(runner, &err)) continue_generation(runner);
    }
    pump(runner);
}

/* ---- Slices ------------------------------------------------------------------------------------------------- */

int tide_runner_slice(struct tide_runner *runner, struct tide_stream *stream, int64_t from, int64_t to,
                      struct tide_error *err) {
    if (runner->state == TIDE_RUNNER_INITIALIZED || tide_graph_zero(runner->graph) < 0)
        return tide_error_set(err, TIDE_ESTATE, "the context has not been started, so there are no batches yet");
    if (runner->state == TIDE_RUNNER_STOPPED)
        return tide_error_set(err, TIDE_ESTATE, "the context was stopped, and its datasets are gone");
    if (runner->phase == ASKING || runner->slice)
        return tide_error_set(err, TIDE_ESTATE,
                              "a transform function is running; call it from foreachRDD or from the main script");
    runner->slice = tide_slice_new(stream, from, to, runner->options.skips);
    return TIDE_OK;
}

struct tide_slice *tide_runner_slicing(struct tide_runner *runner) {
    return runner->slice;
}

void tide_runner_slice_end(struct tide_runner *runner) {
    if (!runner->slice) return;
    tide_slice_delete(runner->slice);
    runner->slice = NULL;
    if (runner->state != TIDE_RUNNER_STOPPED) pump(runner);
}

/* ---- Cuts --------------------------------------------------------------------------------------------------- */

static bool brought_nothing(const struct tide_cut *cut) {
    for (uint32_t i = 0; i < cut->count; i++) {
        if (cut->entries[i].blocks.count > 0) return false;
    }
    return true;
}

static void count_cut(struct tide_runner *runner, const struct tide_cut *cut) {
    for (uint32_t i = 0; i < cut->count; i++)
        for (uint32_t k = 0; k < runner->nlost; k++)
            if (runner->lost[k].stream == cut->entries[i].source_id)
                runner->lost[k].waiting += (int64_t)tide_blocks_records(&cut->entries[i].blocks);
}

static void on_cut(struct tide_message *message, void *owner) {
    struct tide_cut *cut = TIDE_CONTAINER_OF(message, struct tide_cut, message);
    struct tide_runner *runner = owner;

    if (runner && runner->ending) count_cut(runner, cut);
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

static void ask_cut(struct tide_runner *runner, int64_t time) {
    runner->phase = CUTTING;
    runner->cut = tide_cut_new(time);
    runner->cut->message.deliver = on_cut;
    runner->cut->last = runner->last_cut;
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
    struct tide_runner *runner = owner;

    if (runner) {
        struct tide_event *event = tide_outputs_event(&runner->outputs, TIDE_EVENT_RECEIVER, tide_clock_wall_ms());
        event->node = report->source_id;
        event->name = names[report->kind];
        tide_error_move(&event->error, &report->error);
        tide_events_push(runner->options.events, event);
    }
    tide_source_event_delete(report);
}

/* ---- What comes next ---------------------------------------------------------------------------------------- */

static bool start_generation(struct tide_runner *runner) {
    if (runner->phase != IDLE || runner->slice) return false;
    if (runner->nticks > 0) {
        runner->time = runner->ticks[runner->first_tick++];
        runner->nticks--;
        if (runner->ingest) ask_cut(runner, runner->time);
        else generate(runner, NULL);
        return true;
    }
    if (runner->state != TIDE_RUNNER_STOPPING || !runner->ingest || runner->nothing_left) return false;
    /* Sources have stopped: the data they still have makes batches at the next nominal times, until a cut is
     * empty. */
    runner->last_cut = true;
    ask_cut(runner, runner->time + runner->options.batch);
    return true;
}

static bool nothing_to_do(const struct tide_runner *runner) {
    return runner->phase == IDLE && runner->nticks == 0 && tide_outputs_empty(&runner->outputs);
}

/* Counts the records that ending now loses, except those that sources still have (end_ingest). */
static void count_lost(struct tide_runner *runner) {
    runner->nlost = tide_graph_inputs(runner->graph);
    runner->lost = tide_xcalloc(runner->nlost ? runner->nlost : 1, sizeof *runner->lost);
    for (uint32_t i = 0; i < runner->nlost; i++) {
        struct tide_input_count *count = &runner->lost[i];
        int64_t pending = tide_graph_input_leftovers(runner->graph, i, &count->stream);
        tide_outputs_count(&runner->outputs, count);
        if (runner->phase == ASKING) tide_input_count_add(count, runner->time, pending);
        else count->waiting += pending; /* of a batch that could not be generated */
    }
}

/* Ends the sources. A last cut brings the data they still have, to be counted. */
static void end_ingest(struct tide_runner *runner) {
    struct tide_cut *last = tide_cut_new(runner->time);

    runner->ending = true;
    last->message.deliver = on_cut;
    last->last = true;
    tide_ingest_stop_sources(runner->ingest);
    tide_ingest_cut(runner->ingest, last);
    tide_ingest_delete(runner->ingest);
    runner->ingest = NULL;
    tide_inbox_drain(tide_port_inbox(runner->port));
    runner->ending = false;
    tide_port_close(runner->port);
    runner->port = NULL;
}

static void end_look(struct tide_runner *runner) {
    if (runner->look) tide_look_cancel(runner->look);
    if (runner->after_look) tide_event_delete(runner->after_look);
    runner->look = NULL;
    runner->after_look = NULL;
}

/* Into STOPPED, from any state. Reports of sources up to now still become events. */
static void end(struct tide_runner *runner) {
    if (runner->state != TIDE_RUNNER_INITIALIZED) count_lost(runner);
    enter(runner, TIDE_RUNNER_STOPPED);
    tide_clock_stop(runner->clock);
    tide_graph_seal(runner->graph);
    end_look(runner);
    runner->nticks = 0;
    runner->phase = IDLE;
    runner->cut = NULL;
    tide_generation_end(runner->generation);
    tide_slice_delete(runner->slice);
    runner->slice = NULL;
    if (runner->ingest) end_ingest(runner);
    tide_outputs_clear(&runner->outputs);
    tide_graph_forget_all(runner->graph);
}

static void drained(struct tide_runner *runner) {
    tide_events_push(runner->options.events, tide_outputs_event(&runner->outputs, TIDE_EVENT_DRAINED, runner->time));
}

static void pump(struct tide_runner *runner) {
    do tide_outputs_start(&runner->outputs); /* first, so that workers are busy meanwhile */
    while (start_generation(runner));
    if (runner->state != TIDE_RUNNER_STOPPING || !nothing_to_do(runner)) return;
    int64_t lost = tide_graph_leftovers(runner->graph);
    if (lost > 0) {
        tide_log(TIDE_LOG_WARN, "stream",
                 "%" PRId64 " received records were not processed: the last batches could not be generated", lost);
    }
    end(runner);
    drained(runner);
}

/* ---- Life cycle --------------------------------------------------------------------------------------------- */

struct tide_runner *tide_runner_new(const struct tide_runner_options *options) {
    assert(options->loop && options->events && options->batch >= 1 && options->manual_start >= 0);
    struct tide_runner *runner = tide_xcalloc(1, sizeof *runner);
    runner->options = *options;
    if (runner->options.workers == 0) runner->options.workers = 1;
    runner->graph = tide_graph_new(options->batch, options->remember);
    tide_graph_set_skipping(runner->graph, options->skips);
    tide_graph_set_cache(runner->graph, options->cache);
    runner->generation = tide_generation_new(runner->graph);
    runner->clock =
        options->manual_clock ? tide_clock_manual_new(options->manual_start) : tide_clock_uv_new(options->loop);
    runner->outputs = (struct tide_outputs){
        .graph = runner->graph,
        .clock = runner->clock,
        .events = options->events,
        .concurrent = options->concurrent,
        .skips = options->skips,
    };
    tide_outputs_create(&runner->outputs);
    return runner;
}

void tide_runner_delete(struct tide_runner *runner) {
    if (!runner) return;
    if (runner->state != TIDE_RUNNER_STOPPED) end(runner);
    tide_events_forget(runner->options.events, runner->graph);
    tide_clock_close(runner->clock);
    tide_generation_delete(runner->generation);
    tide_outputs_destroy(&runner->outputs);
    tide_graph_delete(runner->graph);
    tide_free(runner->ticks);
    tide_free(runner->failure);
    tide_free(runner->lost);
    tide_free(runner);
}

struct tide_graph *tide_runner_graph(struct tide_runner *runner) {
    return runner->graph;
}

/* The thread has no sources yet. */
static int make_ingest(struct tide_runner *runner, struct tide_error *err) {
    if (!tide_graph_has_receivers(runner->graph)) return TIDE_OK;
    struct tide_error own = {0};
    runner->port = tide_port_new(runner->options.loop, runner, &own);
    if (runner->port) runner->ingest = tide_ingest_new(tide_port_inbox(runner->port), on_source, &own);
    if (!runner->ingest) {
        if (runner->port) tide_port_close(runner->port);
        runner->port = NULL;
        int code = own.code;
        if (err) tide_error_move(err, &own);
        else tide_error_clear(&own);
        return code;
    }
    return TIDE_OK;
}

int tide_runner_check(struct tide_runner *runner, struct tide_error *err) {
    if (runner->state == TIDE_RUNNER_STOPPED) {
        return tide_error_set(
            err, TIDE_ESTATE,
            "start: this context was stopped and can't be started again; make a new StreamingContext");
    }
    if (runner->state != TIDE_RUNNER_INITIALIZED) {
        return tide_error_set(err, TIDE_ESTATE, "start: this context has already been started");
    }
    return tide_graph_check(runner->graph, err);
}

int tide_runner_start(struct tide_runner *runner, struct tide_error *err) {
    int status = tide_runner_check(runner, err);

    if (status == TIDE_OK) status = make_ingest(runner, err);
    if (status < 0) return status;

    /* From here on nothing fails. */
    int64_t now = tide_clock_now(runner->clock);
    int64_t first = tide_boundary_first(now, runner->options.batch);

    status = tide_graph_begin(runner->graph, first - runner->options.batch, NULL);
    assert(status == TIDE_OK);
    if (runner->ingest) tide_graph_start_sources(runner->graph, runner->ingest);
    enter(runner, TIDE_RUNNER_ACTIVE);
    runner->time = first - runner->options.batch;
    tide_outputs_tell_started(&runner->outputs, now);
    tide_clock_start(runner->clock, first, runner->options.batch, on_tick, runner);
    return TIDE_OK;
}

void tide_runner_stop(struct tide_runner *runner, bool graceful) {
    if (runner->state == TIDE_RUNNER_STOPPED) return;
    if (!graceful || runner->state == TIDE_RUNNER_INITIALIZED) {
        end(runner);
        drained(runner);
        return;
    }
    if (runner->state == TIDE_RUNNER_STOPPING) return;
    enter(runner, TIDE_RUNNER_STOPPING);
    tide_clock_stop(runner->clock);
    if (runner->ingest) tide_ingest_stop_sources(runner->ingest);
    pump(runner);
}

enum tide_runner_state tide_runner_state(const struct tide_runner *runner) { return runner->state; }

int64_t tide_runner_now(struct tide_runner *runner) { return tide_clock_now(runner->clock); }

int tide_runner_advance(struct tide_runner *runner, int64_t ms) { return tide_clock_advance(runner->clock, ms); }

bool tide_runner_idle(const struct tide_runner *runner) {
    return nothing_to_do(runner) && runner->state != TIDE_RUNNER_STOPPING;
}

const struct tide_input_count *tide_runner_lost(const struct tide_runner *runner, uint32_t *count) {
    *count = runner->nlost;
    return runner->lost;
}

void tide_runner_set_lane(struct tide_runner *runner, uint32_t output, uint32_t lane) {
    tide_outputs_set_lane(&runner->outputs, output, lane);
}

void tide_runner_listen(struct tide_runner *runner, bool listen) { runner->outputs.listening = listen; }
