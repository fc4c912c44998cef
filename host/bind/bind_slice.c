/*
 * Slices for Lua: the datasets of a stream within an interval, generated now, outside of any batch.
 *
 * stream:slice begins; graph:sliceStep, sliceAnswer and sliceSkip follow, and at last sliceEnd. Called by Lua on the
 * driver thread.
 */
#include "bind/bind.h"
#include "bind/bind_graph.h"
#include "bind/object.h"
#include "driver/runner.h"
#include "dstream/generation.h"
#include "dstream/graph.h"

/* stream:slice(from, to) → true | nil, text, code: begins; graph:sliceStep() and at last graph:sliceEnd() follow. */
static int stream_slice(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    int64_t from = tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "from"),
            to = tide_bind_check_whole(L, 3, 0, TIDE_BIND_MOST, "to");
    struct tide_error err = {0};

    tide_bind_push_graph_of(L, 1);
    if (tide_runner_slice(tide_bind_check_runner(L, lua_gettop(L)), stream, from, to, &err) < 0)
        return tide_bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static struct tide_slice *check_slice(lua_State *L) {
    struct tide_slice *slice = tide_runner_slicing(tide_bind_check_runner(L, 1));

    if (!slice) luaL_error(L, "the context was stopped");
    return slice;
}

static int push_asks(lua_State *L, struct tide_generation *generation) {
    struct tide_rdd *const *parents;
    uint32_t count;
    struct tide_stream *stream = tide_generation_asks(generation, &parents, &count);

    lua_pushliteral(L, "asks");
    lua_pushnumber(L, tide_stream_id(stream));
    tide_bind_push_rdds(L, 1, parents, count);
    lua_pushnumber(L, (lua_Number)tide_generation_asks_time(generation));
    return 4;
}

/* graph:sliceStep() → "asks", stream id, {rdd, …}, time: graph:sliceAnswer(rdd) is wanted
 *                   | "done", {rdd, …} (those that are) | nil, text, code */
static int graph_slice_step(lua_State *L) {
    struct tide_slice *slice = check_slice(L);
    struct tide_generation *generation = tide_slice_generation(slice);
    struct tide_error err = {0};
    int status = tide_generation_run(generation, &err), found = 0;

    if (status < 0) return tide_bind_failure(L, &err);
    if (status == TIDE_GENERATION_ASKS) return push_asks(L, generation);
    lua_pushliteral(L, "done");
    lua_newtable(L);
    for (uint32_t i = 0; i < tide_slice_count(slice); i++) {
        struct tide_rdd *rdd = tide_slice_at(slice, i);

        if (!rdd) continue;
        tide_bind_push_rdd(L, 1, rdd);
        lua_rawseti(L, -2, ++found);
    }
    return 2;
}

/* graph:sliceAnswer(rdd) */
static int graph_slice_answer(lua_State *L) {
    struct tide_slice *slice = check_slice(L);

    tide_generation_answer(tide_slice_generation(slice), tide_bind_check_rdd(L, 2));
    return 0;
}

/* graph:sliceSkip() → boolean: instead of an answer, or after a failure, where failures are skipped */
static int graph_slice_skip(lua_State *L) {
    lua_pushboolean(L, tide_generation_skip(tide_slice_generation(check_slice(L))));
    return 1;
}

/* graph:sliceEnd() */
static int graph_slice_end(lua_State *L) {
    struct tide_runner *runner = tide_bind_test_runner(L, 1);

    if (runner) tide_runner_slice_end(runner);
    return 0;
}

void tide_bind_slice(lua_State *L) {
    static const luaL_Reg graph_methods[] = {
        {"sliceStep", graph_slice_step},
        {"sliceAnswer", graph_slice_answer},
        {"sliceSkip", graph_slice_skip},
        {"sliceEnd", graph_slice_end},
        {NULL, NULL},
    };
    static const luaL_Reg stream_methods[] = {{"slice", stream_slice}, {NULL, NULL}};

    tide_bind_add_methods(L, TIDE_BIND_GRAPH, graph_methods);
    tide_bind_add_methods(L, TIDE_BIND_STREAM, stream_methods);
}
