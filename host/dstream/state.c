/*
 * Keyed state: updateStateByKey and mapWithState. Called through its tables of operations by generation.c, on the
 * driver thread.
 *
 * The dataset of T is made by a ZIP operator from the parent's dataset of T, the stream's own one of T - slide, and a
 * dataset with the time T (one record in each partition; the task does not know it, because it may run for a later
 * batch). Once computed it releases its inputs, so lineage does not grow.
 *
 *                        updateStateByKey                          mapWithState
 *   the dataset holds    the state                                 the mapped records (host/kernel/state_rows.h)
 *                                                                  and a block that stands for the state
 *                                                                  (host/state/handover.h); views show each
 *   the initial state    replaces the one before in the first      is a fourth input in the first batch
 *                        batch with values
 *   without values       made as if they were empty; no dataset    made as if they were empty: there is a dataset
 *                        if there is no state either               in every batch
 */
#include <inttypes.h>

#include "dstream/stream.h"

enum { CHECKPOINT_SLIDES = 10 }; /* of mapWithState */

struct state {
    struct tide_stream stream;
    struct tide_op *op;
    struct tide_rdd *initial; /* partitioned as the state, or NULL */
    int64_t none;             /* updateStateByKey: no state up to this time, so later batches need not look for one */
    uint32_t partitions;
};

static const struct tide_stream_ops MAP_OPS;

static bool maps(const struct state *state) { return state->stream.ops == &MAP_OPS; }

static void needs(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    int64_t before = tide_stream_before(stream, time);

    tide_needs_add(list, stream->parents[0], time);
    if (before > ((struct state *)stream)->none) tide_needs_add(list, stream, before);
}

/* The number of inputs; 0: no memory. Those that are not NULL are the caller's to release. */
static uint32_t inputs_of(const struct state *state, int64_t time, struct tide_rdd *values, struct tide_rdd *before,
                          struct tide_rdd *inputs[4]) {
    struct tide_rdd *initial = before ? NULL : state->initial;

    if (initial && !maps(state)) before = initial;
    inputs[0] = values ? tide_rdd_retain(values) : tide_rdd_empty_new(state->partitions);
    inputs[1] = before ? tide_rdd_retain(before) : tide_rdd_empty_new(state->partitions);
    inputs[2] = tide_stream_constant(time, state->partitions);
    inputs[3] = initial && maps(state) ? tide_rdd_retain(initial) : NULL;
    return !inputs[2] ? 0 : inputs[3] ? 4 : 3;
}

static void release_inputs(struct tide_rdd *inputs[4]) {
    for (int i = 0; i < 4; i++) tide_rdd_release(inputs[i]);
}

static struct tide_rdd *make(const struct state *state, int64_t time, struct tide_rdd *values,
                             struct tide_rdd *before) {
    struct tide_rdd *inputs[4], *made = NULL;
    uint32_t count = inputs_of(state, time, values, before, inputs);

    if (count > 0) made = tide_rdd_zip_new(inputs, count, state->op);
    if (made && !before && !maps(state)) tide_rdd_needs_one_of(made, 1); /* no state without values then */
    release_inputs(inputs);
    return made;
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct state *state = (struct state *)stream;
    struct tide_rdd *values = parents[0], *before = count > 1 ? parents[1] : NULL;

    if (stream->graph->skipping) before = tide_stream_base(stream, time); /* it may have failed in the meantime */
    if (!values && !before && !maps(state)) {
        if (time > state->none) state->none = time;
        return TIDE_OK;
    }
    *out = make(state, time, values, before);
    if (*out && maps(state)) tide_rdd_set_arity(*out, stream->arity);
    if (*out) return TIDE_OK;
    return tide_error_set(err, TIDE_ENOMEM, "%s: no memory for the datasets of batch %" PRId64 " ms",
                          maps(state) ? "mapWithState" : "state", time);
}

static void remake(struct tide_stream *stream, int64_t time, struct tide_rdd *dataset) {
    struct state *state = (struct state *)stream;
    struct tide_rdd *before = tide_stream_base(stream, time), *inputs[4];
    uint32_t count = inputs_of(state, time, tide_stream_guarded(stream->parents[0], time), before, inputs);

    if (count > 0 && tide_rdd_zip_remake(dataset, inputs, count, state->op) && !before && !maps(state))
        tide_rdd_needs_one_of(dataset, 1);
    release_inputs(inputs);
}

/* A batch with a state is done: later states are made from that one, not from the initial one. */
static void forget(struct tide_stream *stream, int64_t time) {
    struct state *state = (struct state *)stream;

    if (time < INT64_MAX && !tide_stream_has_base(stream)) return;
    tide_rdd_release(state->initial);
    state->initial = NULL;
}

static void destroy(struct tide_stream *stream) {
    tide_op_release(((struct state *)stream)->op);
    tide_rdd_release(((struct state *)stream)->initial);
}

static const struct tide_stream_ops UPDATE_OPS = {
    .name = "state",
    .needs = needs,
    .compute = compute,
    .remake = remake,
    .forget = forget,
    .destroy = destroy,
    .partial = true,
};

static const struct tide_stream_ops MAP_OPS = {
    .name = "map_with_state",
    .needs = needs,
    .compute = compute,
    .remake = remake,
    .forget = forget,
    .destroy = destroy,
    .partial = true,
};

static bool initial_fits(const char *name, const struct tide_rdd *initial, uint32_t partitions,
                         struct tide_error *err) {
    if (!initial || tide_rdd_key_partitions(initial) == partitions) return true;
    tide_error_set(err, TIDE_EINVAL, "%s: the initial state must be partitioned by key in %" PRIu32 " partitions",
                   name, partitions);
    return false;
}

static struct state *state_new(const struct tide_stream_ops *ops, struct tide_stream *parent, uint32_t partitions,
                               struct tide_op *op, struct tide_rdd *initial, struct tide_error *err) {
    struct state *state = (struct state *)tide_stream_new(parent->graph, ops, sizeof *state, &parent, 1, 0, err);

    if (!state) return NULL;
    state->op = tide_op_retain(op);
    state->stream.arity = tide_arity_after(op, parent->arity);
    state->initial = initial ? tide_rdd_retain(initial) : NULL;
    state->none = INT64_MIN;
    state->partitions = partitions;
    return state;
}

struct tide_stream *tide_stream_state(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                      struct tide_rdd *initial, struct tide_error *err) {
    if (!initial_fits("updateStateByKey", initial, partitions, err)) return NULL;

    struct state *state = state_new(&UPDATE_OPS, parent, partitions, op, initial, err);

    if (!state) return NULL;
    state->none = 0;
    state->stream.must_checkpoint = tide_stream_usual_checkpoint(parent->slide);
    tide_stream_persist(&state->stream, TIDE_LEVEL_MEMORY, true, NULL);
    return &state->stream;
}

struct tide_stream *tide_stream_map_with_state(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                               struct tide_rdd *initial, struct tide_error *err) {
    if (!initial_fits("mapWithState", initial, partitions, err)) return NULL;

    struct state *state = state_new(&MAP_OPS, parent, partitions, op, initial, err);

    if (!state) return NULL;
    state->stream.must_checkpoint = CHECKPOINT_SLIDES * parent->slide;
    tide_stream_persist(&state->stream, TIDE_LEVEL_MEMORY, true, NULL);
    return &state->stream;
}
