/*
 * Streams over several batches for Lua: windows and state, and what concerns how long datasets are kept.
 *
 * Methods that are added to the classes of bind_stream.c, which holds the checks. Called by Lua on the driver thread.
 */
#include "bind/bind.h"
#include "driver/runner.h"
#include "dstream/generation.h"
#include "dstream/graph.h"

/* Milliseconds cross as numbers, which are exact up to here. */
#define MOST (INT64_C(1) << 53)

/* stream:window(length, slide, single) → stream */
static int stream_window(lua_State *L) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t length = tide_bind_check_whole(L, 2, 0, MOST, "window length");
    int64_t slide = tide_bind_check_whole(L, 3, 0, MOST, "window slide");
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);

    return tide_bind_answer_stream(L, object,
                                   tide_stream_window(parent, length, slide, lua_toboolean(L, 4) != 0, &err), &err);
}

/* stream:mergeWindow(length, slide, partitions, op, merges) → stream; merges: nil, "zip" or "narrow" */
static int stream_merge_window(lua_State *L) {
    static const char *const merges[] = {
        [TIDE_MERGES_NOT] = "none", [TIDE_MERGES] = "zip", [TIDE_MERGES_NARROW] = "narrow", NULL};
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t length = tide_bind_check_whole(L, 2, 0, MOST, "window length");
    int64_t slide = tide_bind_check_whole(L, 3, 0, MOST, "window slide");
    int64_t partitions = tide_bind_check_whole(L, 4, 1, TIDE_RDD_MAX_PARTITIONS, "number of partitions");
    enum tide_merging merging = (enum tide_merging)luaL_checkoption(L, 6, "none", merges);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_check_op(L, 5, true);
    struct tide_stream *stream =
        tide_stream_merge_window(parent, length, slide, (uint32_t)partitions, op, merging, &err);

    tide_op_release(op);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:inverseWindow(length, slide, partitions, op, anew) → stream */
static int stream_inverse_window(lua_State *L) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t length = tide_bind_check_whole(L, 2, 0, MOST, "window length");
    int64_t slide = tide_bind_check_whole(L, 3, 0, MOST, "window slide");
    int64_t partitions = tide_bind_check_whole(L, 4, 1, TIDE_RDD_MAX_PARTITIONS, "number of partitions");
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_check_op(L, 5, true), *anew = tide_bind_check_op(L, 6, true);
    struct tide_stream *stream =
        tide_stream_inverse_window(parent, length, slide, (uint32_t)partitions, op, anew, &err);

    tide_op_release(op);
    tide_op_release(anew);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:front(op, keeps_keys) → stream */
static int stream_view(lua_State *L) {
    struct tide_stream *behind = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_check_op(L, 2, lua_toboolean(L, 3) != 0);
    struct tide_stream *stream = tide_stream_view(behind, op, &err);

    tide_op_release(op);
    return tide_bind_answer_stream(L, object, stream, &err);
}

typedef struct tide_stream *state_constructor(struct tide_stream *parent, uint32_t partitions, struct tide_op *op,
                                              struct tide_rdd *initial, struct tide_error *err);

static int new_state(lua_State *L, state_constructor *construct) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t partitions = tide_bind_check_whole(L, 2, 1, TIDE_RDD_MAX_PARTITIONS, "number of partitions");
    struct tide_rdd *initial = lua_isnoneornil(L, 4) ? NULL : tide_bind_check_rdd(L, 4);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_check_op(L, 3, true);
    struct tide_stream *stream = construct(parent, (uint32_t)partitions, op, initial, &err);

    tide_op_release(op);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:state(partitions, op, initial) → stream */
static int stream_state(lua_State *L) { return new_state(L, tide_stream_state); }

/* stream:mapState(partitions, op, initial) → stream */
static int stream_map_state(lua_State *L) { return new_state(L, tide_stream_map_with_state); }

/* stream:kind() → text */
static int stream_kind(lua_State *L) {
    lua_pushstring(L, tide_stream_kind(tide_bind_check_stream(L, 1)));
    return 1;
}

/* stream:remember() → ms, known once the graph has begun */
static int stream_remember(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_stream_remember(tide_bind_check_stream(L, 1)));
    return 1;
}

/* stream:dataset(time) → rdd in memory, or nil */
static int stream_dataset(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_rdd *rdd = tide_stream_dataset(stream, tide_bind_check_whole(L, 2, 0, MOST, "time"));

    if (rdd) tide_bind_push_rdd(L, 1, rdd);
    else lua_pushnil(L);
    return 1;
}

/* stream:checkpoint(interval) sets it; stream:checkpoint() → ms or nil */
static int stream_checkpoint(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};

    if (lua_isnoneornil(L, 2)) {
        int64_t interval = tide_stream_checkpoint_interval(stream);

        if (interval > 0) lua_pushnumber(L, (lua_Number)interval);
        else lua_pushnil(L);
        return 1;
    }
    if (tide_stream_checkpoint(stream, tide_bind_check_whole(L, 2, 1, MOST, "checkpoint interval"), &err) < 0)
        return tide_bind_refuse(L, &err);
    return 0;
}

/* ---- Slices ---------------------------------------------------------------------------------------------------- */

/* stream:slice(from, to) → true | nil, text, code: begins; graph:sliceStep() and at last graph:sliceEnd() follow. */
static int stream_slice(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    int64_t from = tide_bind_check_whole(L, 2, 0, MOST, "from"), to = tide_bind_check_whole(L, 3, 0, MOST, "to");
    struct tide_error err = {0};

    lua_getfield(L, 1, "graph");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (tide_batch_runner_slice(tide_bind_check_runner(L, lua_gettop(L)), stream, from, to, &err) < 0)
        return tide_bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static struct tide_generation *check_slicing(lua_State *L) {
    struct tide_generation *slicing = tide_batch_runner_slicing(tide_bind_check_runner(L, 1));

    if (!slicing) luaL_error(L, "the context was stopped");
    return slicing;
}

static int push_asks(lua_State *L, struct tide_generation *slicing) {
    struct tide_rdd *const *parents;
    uint32_t count;
    struct tide_stream *stream = tide_generation_asks(slicing, &parents, &count);

    lua_pushliteral(L, "asks");
    lua_pushnumber(L, tide_stream_id(stream));
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        tide_bind_push_rdd(L, 1, parents[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_pushnumber(L, (lua_Number)tide_generation_asks_time(slicing));
    return 4;
}

/* graph:sliceStep() → "asks", stream id, {rdd, …}, time: graph:sliceAnswer(rdd) is wanted
 *                   | "done", {rdd, …} (those that are) | nil, text, code */
static int graph_slice_step(lua_State *L) {
    struct tide_batch_runner *runner = tide_bind_check_runner(L, 1);
    struct tide_generation *slicing = check_slicing(L);
    struct tide_error err = {0};
    int status = tide_generation_run(slicing, &err), found = 0;

    if (status < 0) return tide_bind_failure(L, &err);
    if (status == TIDE_GENERATION_ASKS) return push_asks(L, slicing);
    lua_pushliteral(L, "done");
    lua_newtable(L);
    for (uint32_t i = 0; i < tide_batch_runner_sliced(runner); i++) {
        struct tide_rdd *rdd = tide_batch_runner_slice_at(runner, i);

        if (!rdd) continue;
        tide_bind_push_rdd(L, 1, rdd);
        lua_rawseti(L, -2, ++found);
    }
    return 2;
}

/* graph:sliceAnswer(rdd) */
static int graph_slice_answer(lua_State *L) {
    struct tide_generation *slicing = check_slicing(L);

    tide_generation_answer(slicing, tide_bind_check_rdd(L, 2));
    return 0;
}

/* graph:slicePass() → boolean: instead of an answer, or after a failure, where failures are passed over */
static int graph_slice_pass(lua_State *L) {
    lua_pushboolean(L, tide_generation_pass_over(check_slicing(L)));
    return 1;
}

/* graph:sliceEnd() */
static int graph_slice_end(lua_State *L) {
    struct tide_batch_runner *runner = tide_bind_test_runner(L, 1);

    if (runner) tide_batch_runner_slice_end(runner);
    return 0;
}

/* graph:checkpointing(bool) */
static int graph_checkpointing(lua_State *L) {
    tide_graph_set_checkpointing(tide_bind_check_graph(L, 1), lua_toboolean(L, 2) != 0);
    return 0;
}

void tide_bind_window(lua_State *L) {
    static const luaL_Reg graph_methods[] = {
        {"checkpointing", graph_checkpointing}, {"sliceStep", graph_slice_step}, {"sliceAnswer", graph_slice_answer},
        {"slicePass", graph_slice_pass},        {"sliceEnd", graph_slice_end},   {NULL, NULL},
    };

    static const luaL_Reg stream_methods[] = {
        {"window", stream_window},
        {"mergeWindow", stream_merge_window},
        {"inverseWindow", stream_inverse_window},
        {"view", stream_view},
        {"state", stream_state},
        {"mapState", stream_map_state},
        {"slice", stream_slice},
        {"kind", stream_kind},
        {"remember", stream_remember},
        {"dataset", stream_dataset},
        {"checkpoint", stream_checkpoint},
        {NULL, NULL},
    };

    tide_bind_add_methods(L, TIDE_BIND_GRAPH, graph_methods);
    tide_bind_add_methods(L, TIDE_BIND_STREAM, stream_methods);
}
