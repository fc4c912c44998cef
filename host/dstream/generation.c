/*
 * Demand and run of one batch's datasets (see generation.h). Called by driver/runner.c on the driver thread.
 *
 *   needs   one entry per output and per (child step, parent, time). The needs of one step are neighbours. A need is
 *           either settled (`rdd`, NULL = no dataset) or points to the step that will settle it.
 *   steps   one entry per (stream, time) to compute, in the order found.
 *   order   indexes of steps, parents before children: the order of running.
 *
 * A hash table over the steps makes one step of a pair that is wanted twice. All of this keeps its memory from
 * batch to batch, so that a steady stream allocates nothing here.
 */
#include "dstream/generation.h"

#include <assert.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/array.h"
#include "clock/boundary.h"
#include "dstream/stream.h"

enum { NO_STEP = UINT32_MAX };

struct need {
    struct tide_stream *stream;
    int64_t time;
    struct tide_rdd *rdd; /* retained */
    uint32_t step;        /* NO_STEP: settled */
};

struct tide_needs {
    struct need *items;
    uint32_t count, capacity;
};

struct step {
    struct tide_stream *stream;
    int64_t time;
    struct tide_rdd *rdd; /* retained; the result */
    uint32_t first_need, nneeds;
    uint32_t slot; /* where the table points to it */
};

/* A step whose needs are being resolved. */
struct visit {
    uint32_t step;
    uint32_t next_need;
};

struct tide_generation {
    struct tide_graph *graph;
    int64_t time;
    struct tide_needs needs;
    uint32_t *outputs; /* index of each output's need, or NO_STEP when it is not valid at this time */
    uint32_t outputs_capacity;
    struct step *steps;
    uint32_t nsteps, steps_capacity;
    uint32_t *table; /* open addressing, at most half full: index of a step, or NO_STEP */
    uint32_t slots;  /* a power of two, or 0 */
    uint32_t *order;
    uint32_t norder, order_capacity;
    struct visit *stack;
    uint32_t stack_capacity;
    struct tide_rdd **parents; /* borrowed: what the current step is computed from */
    uint32_t nparents, parents_capacity;
    uint32_t next; /* position in order of the step to run */
    bool asks;
    struct tide_stream *released; /* the stream of a wanted dataset that was released already; NULL: none */
    int64_t released_time;
};

struct tide_generation *tide_generation_new(struct tide_graph *graph) {
    struct tide_generation *generation = tide_xcalloc(1, sizeof *generation);
    generation->graph = graph;
    return generation;
}

void tide_generation_delete(struct tide_generation *generation) {
    if (!generation) return;
    tide_generation_end(generation);
    tide_free(generation->needs.items);
    tide_free(generation->outputs);
    tide_free(generation->steps);
    tide_free(generation->table);
    tide_free(generation->order);
    tide_free(generation->stack);
    tide_free(generation->parents);
    tide_free(generation);
}

void tide_generation_end(struct tide_generation *generation) {
    for (uint32_t i = 0; i < generation->needs.count; i++) tide_rdd_release(generation->needs.items[i].rdd);
    for (uint32_t i = 0; i < generation->nsteps; i++) {
        tide_rdd_release(generation->steps[i].rdd);
        generation->table[generation->steps[i].slot] = NO_STEP;
    }
    generation->needs.count = 0;
    generation->nsteps = generation->norder = generation->next = 0;
    generation->nparents = 0;
    generation->asks = false;
    generation->released = NULL;
}

/* ---- Demand ------------------------------------------------------------------------------------------------- */

void tide_needs_add(struct tide_needs *needs, struct tide_stream *parent, int64_t time) {
    TIDE_ARRAY_RESERVE(needs->items, needs->capacity, needs->count + 1);
    needs->items[needs->count++] = (struct need){.stream = parent, .time = time, .step = NO_STEP};
}

void tide_stream_needs_parents(struct tide_stream *stream, int64_t time, struct tide_needs *needs) {
    for (uint32_t i = 0; i < stream->nparents; i++) tide_needs_add(needs, stream->parents[i], time);
}

/* The slot that points to the step of this pair, or the empty one where it would be. */
static uint32_t find_slot(const struct tide_generation *generation, const struct tide_stream *stream, int64_t time) {
    uint64_t hash = ((uint64_t)time * UINT64_C(0x9E3779B97F4A7C15) ^ stream->id) * UINT64_C(0xD6E8FEB86659FD93);
    uint32_t mask = generation->slots - 1, slot = (uint32_t)(hash >> 32) & mask;

    for (; generation->table[slot] != NO_STEP; slot = (slot + 1) & mask) {
        const struct step *step = &generation->steps[generation->table[slot]];
        if (step->stream == stream && step->time == time) break;
    }
    return slot;
}

static void make_room_in_table(struct tide_generation *generation) {
    if ((generation->nsteps + 1) * 2 <= generation->slots) return;
    generation->slots = generation->slots ? generation->slots * 2 : 64;
    generation->table = tide_xrealloc(generation->table, generation->slots * sizeof *generation->table);
    for (uint32_t i = 0; i < generation->slots; i++) generation->table[i] = NO_STEP;
    for (uint32_t i = 0; i < generation->nsteps; i++) {
        struct step *step = &generation->steps[i];
        step->slot = find_slot(generation, step->stream, step->time);
        generation->table[step->slot] = i;
    }
}

static uint32_t add_step(struct tide_generation *generation, struct tide_stream *stream, int64_t time,
                         uint32_t slot) {
    TIDE_ARRAY_RESERVE(generation->steps, generation->steps_capacity, generation->nsteps + 1);
    uint32_t at = generation->nsteps++;
    generation->table[slot] = at;
    struct step *step = &generation->steps[at];
    *step = (struct step){.stream = stream, .time = time, .slot = slot, .first_need = generation->needs.count};
    if (stream->ops->needs) stream->ops->needs(stream, time, &generation->needs);
    step->nneeds = generation->needs.count - step->first_need;
    return at;
}

/* Settles the need from memory, or finds the step that will settle it; returns that step if it is new. */
static uint32_t resolve(struct tide_generation *generation, uint32_t index) {
    struct need *need = &generation->needs.items[index];
    struct tide_stream *stream = need->stream;
    int64_t time = need->time;

    generation->graph->visits++;
    if (!tide_boundary_valid(time, stream->slide, generation->graph->zero)) return NO_STEP;
    struct tide_rdd *rdd = tide_stream_dataset(stream, time);
    if (rdd) {
        need->rdd = tide_rdd_retain(rdd);
        return NO_STEP;
    }
    if (tide_stream_failed(stream, time)) return NO_STEP;
    if (tide_stream_was_released(stream, time)) {
        generation->released = stream;
        generation->released_time = time;
        return NO_STEP;
    }
    make_room_in_table(generation);
    uint32_t slot = find_slot(generation, stream, time);
    bool fresh = generation->table[slot] == NO_STEP;
    uint32_t step = fresh ? add_step(generation, stream, time, slot) : generation->table[slot];
    generation->needs.items[index].step = step; /* `need` may have moved */
    return fresh ? step : NO_STEP;
}

/* Depth first from one need; puts the new steps in order, parents first. */
static void demand(struct tide_generation *generation, uint32_t need) {
    uint32_t depth = 0;

    for (uint32_t fresh = resolve(generation, need);;) {
        if (fresh != NO_STEP) {
            TIDE_ARRAY_RESERVE(generation->stack, generation->stack_capacity, depth + 1);
            generation->stack[depth++] = (struct visit){.step = fresh};
        }
        if (depth == 0) return;
        struct visit *top = &generation->stack[depth - 1];
        struct step *step = &generation->steps[top->step];
        if (top->next_need < step->nneeds) {
            fresh = resolve(generation, step->first_need + top->next_need++);
            continue;
        }
        TIDE_ARRAY_RESERVE(generation->order, generation->order_capacity, generation->norder + 1);
        generation->order[generation->norder++] = top->step;
        depth--;
        fresh = NO_STEP;
    }
}

void tide_generation_begin(struct tide_generation *generation, int64_t time) {
    struct tide_graph *graph = generation->graph;

    assert(graph->zero >= 0 && generation->nsteps == 0 && generation->needs.count == 0);
    generation->time = time;
    TIDE_ARRAY_RESERVE(generation->outputs, generation->outputs_capacity, graph->noutputs);
    for (uint32_t i = 0; i < graph->noutputs; i++) {
        struct tide_stream *stream = graph->outputs[i];
        generation->outputs[i] = NO_STEP;
        if (!tide_boundary_valid(time, stream->slide, graph->zero)) continue;
        generation->outputs[i] = generation->needs.count;
        tide_needs_add(&generation->needs, stream, time);
        demand(generation, generation->outputs[i]);
    }
}

uint32_t tide_generation_want(struct tide_generation *generation, struct tide_stream *stream, int64_t time) {
    uint32_t want = generation->needs.count;

    assert(generation->graph->zero >= 0 && generation->next == 0);
    tide_needs_add(&generation->needs, stream, time);
    demand(generation, want);
    return want;
}

/* ---- Run ---------------------------------------------------------------------------------------------------- */

static struct tide_rdd *answer_of(const struct tide_generation *generation, uint32_t need) {
    const struct need *item = &generation->needs.items[need];

    return item->step == NO_STEP ? item->rdd : generation->steps[item->step].rdd;
}

static void collect_parents(struct tide_generation *generation, const struct step *step) {
    TIDE_ARRAY_RESERVE(generation->parents, generation->parents_capacity, step->nneeds);
    generation->nparents = step->nneeds;
    for (uint32_t i = 0; i < step->nneeds; i++) {
        struct need *need = &generation->needs.items[step->first_need + i];
        struct tide_rdd *rdd = answer_of(generation, step->first_need + i);

        if (rdd && generation->graph->skipping && step->stream->ops->partial && need->stream != step->stream)
            rdd = tide_stream_guarded(need->stream, need->time);
        generation->parents[i] = rdd;
    }
}

/* Whether one of the datasets that it is made from has failed. */
static bool needs_failed(const struct tide_generation *generation, const struct step *step) {
    for (uint32_t i = 0; generation->graph->skipping && i < step->nneeds; i++) {
        const struct need *need = &generation->needs.items[step->first_need + i];

        if (tide_stream_failed(need->stream, need->time)) return true;
    }
    return false;
}

/* Takes the reference. A step without a dataset fails too if one of its needs has failed. */
static void finish_step(struct tide_generation *generation, struct step *step, struct tide_rdd *take) {
    if (take && step->stream->adopts) {
        struct tide_rdd *made = take;

        take = tide_stream_adopt(step->stream, made);
        tide_rdd_release(made);
    }
    step->rdd = take;
    if (take) tide_stream_put(step->stream, step->time, take);
    else if (needs_failed(generation, step)) tide_stream_fail(step->stream, step->time);
    generation->next++;
}

/* Slices may want released datasets; batches never do (remember.c). */
static int missing(const struct tide_generation *generation, struct tide_error *err) {
    return tide_error_set(err, TIDE_EGENERATION,
                          "stream %" PRIu32 " (%s) has released its dataset of batch %" PRId64
                          " ms: that batch is done, and no later one needs it; for slices, keep datasets with "
                          "ssc:remember(duration) before start()",
                          generation->released->id, generation->released->ops->name, generation->released_time);
}

int tide_generation_run(struct tide_generation *generation, struct tide_error *err) {
    assert(!generation->asks);
    if (generation->released) return missing(generation, err);
    while (generation->next < generation->norder) {
        struct step *step = &generation->steps[generation->order[generation->next]];
        struct tide_rdd *rdd = NULL;
        if (!step->stream->ops->partial && needs_failed(generation, step)) {
            finish_step(generation, step, NULL);
            continue;
        }
        collect_parents(generation, step);
        int status = step->stream->ops->compute(step->stream, step->time, generation->parents, generation->nparents,
                                                &rdd, err);
        if (status < 0) return status;
        if (status == TIDE_STREAM_ASKS) {
            generation->asks = true;
            return TIDE_GENERATION_ASKS;
        }
        finish_step(generation, step, rdd);
    }
    return TIDE_GENERATION_DONE;
}

struct tide_stream *tide_generation_asks(const struct tide_generation *generation, struct tide_rdd *const **parents,
                                         uint32_t *count) {
    assert(generation->asks);
    *parents = generation->parents;
    *count = generation->nparents;
    return generation->steps[generation->order[generation->next]].stream;
}

bool tide_generation_skip(struct tide_generation *generation) {
    if (!generation->graph->skipping || generation->released) return false;
    assert(generation->next < generation->norder);

    const struct step *step = &generation->steps[generation->order[generation->next++]];

    generation->asks = false;
    tide_stream_fail(step->stream, step->time);
    return true;
}

int64_t tide_generation_asks_time(const struct tide_generation *generation) {
    assert(generation->asks);
    return generation->steps[generation->order[generation->next]].time;
}

void tide_generation_answer(struct tide_generation *generation, struct tide_rdd *rdd) {
    assert(generation->asks && rdd);
    generation->asks = false;
    finish_step(generation, &generation->steps[generation->order[generation->next]], tide_rdd_retain(rdd));
}

struct tide_rdd *tide_generation_output(const struct tide_generation *generation, uint32_t output) {
    uint32_t need = generation->outputs[output];
    return need == NO_STEP ? NULL : answer_of(generation, need);
}

bool tide_generation_failed(const struct tide_generation *generation, uint32_t output) {
    return generation->outputs[output] != NO_STEP &&
           tide_stream_failed(generation->graph->outputs[output], generation->time);
}

struct tide_rdd *tide_generation_answer_of(const struct tide_generation *generation, uint32_t want) {
    return answer_of(generation, want);
}

uint32_t tide_generation_steps(const struct tide_generation *generation) { return generation->norder; }

struct tide_stream *tide_generation_step(const struct tide_generation *generation, uint32_t index, int64_t *time) {
    const struct step *step = &generation->steps[generation->order[index]];
    *time = step->time;
    return step->stream;
}
