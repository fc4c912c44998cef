/*
 * mapWithState: keyed state of which only what changes is touched. Called through its table of operations by generation.c, on
 * the driver thread.
 *
 * The dataset of T holds both the state after the batch and what the function made of its records (host/kernel/state_delta.h tells
 * them apart), so that the function runs once, however many streams read them (view.c). It is made by a ZIP operator of
 * the parent's dataset of T, of the own one of T - slide, of the time T (see state.c), and in the first batch of the initial
 * state. There is one in every batch; a parent without a dataset is as good as an empty one.
 */
#include <inttypes.h>

#include "dstream/stream.h"

enum { CHECKPOINT_SLIDES = 10 };

struct map_with_state {
    struct tide_stream stream;
    struct tide_op *op;
    struct tide_rdd *initial; /* partitioned as the state, or NULL */
    uint32_t partitions;
};

static void needs(struct tide_stream *stream, int64_t time, struct tide_needs *list) {
    tide_needs_add(list, stream->parents[0], time);
    tide_needs_add(list, stream, tide_stream_before(stream, time));
}

/* The number of inputs; 0: no memory. */
static uint32_t inputs_of(struct map_with_state *map, int64_t time, struct tide_rdd *values, struct tide_rdd *before,
                          struct tide_rdd **inputs) {
    inputs[0] = values ? tide_rdd_retain(values) : tide_rdd_empty_new(map->partitions);
    inputs[1] = before ? tide_rdd_retain(before) : tide_rdd_empty_new(map->partitions);
    inputs[2] = tide_stream_constant(time, map->partitions);
    inputs[3] = !before && map->initial ? tide_rdd_retain(map->initial) : NULL;
    return !inputs[2] ? 0 : inputs[3] ? 4 : 3;
}

static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    struct map_with_state *map = (struct map_with_state *)stream;

    /* The one before may have failed in the meantime. */
    struct tide_rdd *before = stream->graph->skipping ? tide_stream_base(stream, time) : parents[1], *inputs[4];
    uint32_t ninputs = inputs_of(map, time, parents[0], before, inputs);

    if (ninputs > 0) *out = tide_rdd_zip_new(inputs, ninputs, map->op);
    if (*out) tide_rdd_set_arity(*out, stream->arity);
    for (int i = 0; i < 4; i++) tide_rdd_release(inputs[i]);
    if (*out) return TIDE_OK;
    return tide_error_set(err, TIDE_ENOMEM, "mapWithState: no memory for the datasets of batch %" PRId64 " ms", time);
}

static void remake(struct tide_stream *stream, int64_t time, struct tide_rdd *dataset) {
    struct map_with_state *map = (struct map_with_state *)stream;
    struct tide_rdd *inputs[4];
    uint32_t ninputs =
        inputs_of(map, time, tide_stream_guarded(stream->parents[0], time), tide_stream_base(stream, time), inputs);

    if (ninputs > 0) tide_rdd_zip_remake(dataset, inputs, ninputs, map->op);
    for (int i = 0; i < 4; i++) tide_rdd_release(inputs[i]);
}

/* A batch is done: from now on the state goes on from there. */
static void forget(struct tide_stream *stream, int64_t time) {
    struct map_with_state *map = (struct map_with_state *)stream;

    if (time < INT64_MAX && !tide_stream_has_base(stream)) return;
    tide_rdd_release(map->initial);
    map->initial = NULL;
}

static void destroy(struct tide_stream *stream) {
    tide_op_release(((struct map_with_state *)stream)->op);
    tide_rdd_release(((struct map_with_state *)stream)->initial);
}

static const struct tide_stream_ops MAP_WITH_STATE_OPS = {
    .name = "map_with_state",
    .needs = needs,
    .compute = compute,
    .remake = remake,
    .forget = forget,
    .destroy = destroy,
    .partial = true,
};

struct tide_stream *tide_stream_map_with_state(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                               struct tide_rdd *initial, struct tide_error *err) {
    if (!tide_stream_initial_fits("mapWithState", initial, partitions, err)) return NULL;

    struct map_with_state *map =
        (struct map_with_state *)tide_stream_new(parent->graph, &MAP_WITH_STATE_OPS, sizeof *map, &parent, 1, 0, err);

    if (!map) return NULL;
    map->op = tide_op_retain(op);
    map->stream.arity = tide_arity_after(op, parent->arity);
    map->initial = initial ? tide_rdd_retain(initial) : NULL;
    map->partitions = partitions;
    map->stream.must_checkpoint = CHECKPOINT_SLIDES * parent->slide;
    tide_stream_persist(&map->stream, TIDE_LEVEL_MEMORY, true, NULL);
    return &map->stream;
}
