/*
 * Keyed state: updateStateByKey. Called through its table of operations by generation.c, on the driver thread.
 *
 * The dataset of T is made by a ZIP operator of the parent's dataset of T, of the own one of T - slide, and of the time T
 * (one record in each partition: a task does not know it, because it may run for a later batch). A state that is there goes on
 * in batches without a dataset, as if they were empty; without both there is none. The first state is made from the initial
 * dataset, in the first batch that has a dataset.
 *
 * Own datasets let go of what they were made from once they are computed, so lineage does not grow.
 */
#include <inttypes.h>

#include "dstream/stream.h"

struct state {
    struct tide_stream stream;
    struct tide_op *op;
    struct tide_rdd *initial; /* partitioned as the state, or NULL */
    int64_t none;             /* up to here there is no state: later batches need not look for one */
    uint32_t partitions;
};

static void needs(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    tide_needs_add(list, stream->parents[0], time);

    int64_t before = tide_stream_before(stream, time);

    if (before > ((struct state *)stream)->none) tide_needs_add(list, stream, before);
}

static int inputs_of(struct state *state, int64_t time, struct tide_rdd *values, struct tide_rdd *before,
                     struct tide_rdd **inputs) {
    inputs[0] = values ? tide_rdd_retain(values) : tide_rdd_empty_new(state->partitions);
    inputs[1] = before ? tide_rdd_retain(before) : tide_rdd_empty_new(state->partitions);
    inputs[2] = tide_stream_constant(time, state->partitions);
    return inputs[2] ? 3 : 0;
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct state *state = (struct state *)stream;
    struct tide_rdd *values = parents[0], *before = count > 1 ? parents[1] : NULL;

    if (stream->graph->skipping) before = tide_stream_base(stream, time); /* it may have failed in the meantime */

    if (!values && !before) {
        if (time > state->none) state->none = time;
        return TIDE_OK;
    }
    bool begins = !before; /* there is no state without values then */

    if (!before) before = state->initial;

    struct tide_rdd *inputs[3];

    if (inputs_of(state, time, values, before, inputs)) *out = tide_rdd_zip_new(inputs, 3, state->op);
    if (*out && begins) tide_rdd_needs_one_of(*out, 1);
    for (int i = 0; i < 3; i++) tide_rdd_release(inputs[i]);
    if (*out) return TIDE_OK;
    return tide_error_set(err, TIDE_ENOMEM, "state: no memory for the datasets of batch %" PRId64 " ms", time);
}

static void remake(struct tide_stream *stream, int64_t time, struct tide_rdd *dataset) {
    struct state *state = (struct state *)stream;
    struct tide_rdd *before = tide_stream_base(stream, time), *inputs[3];

    if (inputs_of(state, time, tide_stream_guarded(stream->parents[0], time), before ? before : state->initial,
                  inputs))
        if (tide_rdd_zip_remake(dataset, inputs, 3, state->op) && !before) tide_rdd_needs_one_of(dataset, 1);
    for (int i = 0; i < 3; i++) tide_rdd_release(inputs[i]);
}

/* A batch with a state is done: from now on it goes on from there. */
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

static const struct tide_stream_ops STATE_OPS = {
    .name = "state",
    .needs = needs,
    .compute = compute,
    .remake = remake,
    .forget = forget,
    .destroy = destroy,
    .partial = true,
};

struct tide_stream *tide_stream_state(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                      struct tide_rdd *initial, struct tide_error *err) {
    if (!tide_stream_initial_fits("updateStateByKey", initial, partitions, err)) return NULL;

    struct state *state =
        (struct state *)tide_stream_new(parent->graph, &STATE_OPS, sizeof *state, &parent, 1, 0, err);

    if (!state) return NULL;
    state->op = tide_op_retain(op);
    state->stream.arity = tide_arity_after(op, parent->arity);
    state->initial = initial ? tide_rdd_retain(initial) : NULL;
    state->partitions = partitions;
    state->stream.must_checkpoint = tide_stream_usual_checkpoint(parent->slide);
    tide_stream_persist(&state->stream, TIDE_LEVEL_MEMORY, true, NULL);
    return &state->stream;
}
