/*
 * Graphs for Lua: engine:graph{}, the methods of graphs: declaring, starting, answering, stopping.
 *
 * Called by Lua on the driver thread. A graph's userdata owns its runner and is a member of the engine:
 * closing the engine deletes the runner and leaves an empty userdata. The graph's environment table, which its
 * streams share, references the engine's and the graph's userdata: a stream keeps its graph alive, and both keep
 * the engine alive.
 *
 * Answering, stopping and closing a closed graph does nothing: such a call is late, not wrong. Everything else
 * raises on a closed graph.
 */
#include "bind/bind_graph.h"

#include <string.h>

#include "base/alloc.h"
#include "bind/bind.h"
#include "bind/bind_op.h"
#include "bind/object.h"
#include "driver/runner.h"
#include "dstream/graph.h"
#include "ingest/socket.h"

enum { FAMILY_ENGINE = 1, FAMILY_GRAPH = 2 }; /* slots of a graph's environment table */

struct graph {
    struct tide_runner *runner; /* NULL once closed */
    struct tide_engine_member member;
};

/* ---- Checks --------------------------------------------------------------------------------------------------- */

struct tide_runner *tide_bind_test_runner(lua_State *L, int index) {
    const struct graph *graph = tide_bind_check(L, index, TIDE_BIND_GRAPH)->pointer;

    return graph ? graph->runner : NULL;
}

struct tide_runner *tide_bind_check_runner(lua_State *L, int index) {
    struct tide_runner *runner = tide_bind_test_runner(L, index);

    if (!runner) luaL_error(L, "the graph has been closed");
    return runner;
}

struct tide_graph *tide_bind_check_graph(lua_State *L, int index) {
    return tide_runner_graph(tide_bind_check_runner(L, index));
}

void tide_bind_push_graph_of(lua_State *L, int stream) {
    lua_getfenv(L, stream);
    lua_rawgeti(L, -1, FAMILY_GRAPH);
    lua_remove(L, -2);
}

struct tide_stream *tide_bind_check_stream(lua_State *L, int index) {
    struct tide_stream *stream = tide_bind_check(L, index, TIDE_BIND_STREAM)->pointer;

    tide_bind_push_graph_of(L, index);
    if (!stream || !tide_bind_test_runner(L, -1)) luaL_error(L, "the graph of this stream has been closed");
    lua_pop(L, 1);
    return stream;
}

/* The array of streams at `index`, as scratch left on the stack. */
static struct tide_stream **check_streams(lua_State *L, int index, uint32_t *count) {
    luaL_checktype(L, index, LUA_TTABLE);

    size_t length = lua_objlen(L, index);
    struct tide_stream **streams = lua_newuserdata(L, (length ? length : 1) * sizeof *streams);

    for (size_t i = 0; i < length; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        if (!tide_bind_test(L, -1, TIDE_BIND_STREAM))
            luaL_argerror(L, index, lua_pushfstring(L, "entry %d is not a stream", (int)i + 1));
        streams[i] = tide_bind_check_stream(L, lua_gettop(L));
        lua_pop(L, 1);
    }
    *count = (uint32_t)length;
    return streams;
}

int tide_bind_answer_stream(lua_State *L, struct tide_bind_object *object, struct tide_stream *stream,
                            struct tide_error *err) {
    object->pointer = stream;
    return stream ? 1 : tide_bind_refuse(L, err);
}

/* ---- Life of a graph ------------------------------------------------------------------------------------------ */

static void close_graph(void *arg) {
    struct graph *graph = arg;

    tide_engine_leave(&graph->member);
    tide_runner_delete(graph->runner);
    graph->runner = NULL;
}

static bool is_manual(lua_State *L, int table) {
    lua_getfield(L, table, "clock");

    const char *name = lua_isnil(L, -1) ? "wall" : lua_tostring(L, -1);
    bool manual = name && strcmp(name, "manual") == 0;

    if (!name || (!manual && strcmp(name, "wall") != 0))
        luaL_argerror(L, table, "field clock must be \"wall\" or \"manual\"");
    lua_pop(L, 1);
    return manual;
}

static int engine_graph(lua_State *L) {
    struct tide_engine *engine = tide_bind_engine_of(L, tide_bind_check(L, 1, TIDE_BIND_ENGINE));

    luaL_checktype(L, 2, LUA_TTABLE);

    struct tide_runner_options options = {
        .loop = tide_engine_loop(engine),
        .events = tide_engine_events(engine),
        .cache = tide_engine_cache(engine),
        .workers = tide_engine_workers(engine),
        .batch = tide_bind_field_whole(L, 2, "batch", 1, TIDE_BIND_MOST, INT64_MIN),
        .remember = tide_bind_field_whole(L, 2, "remember", 0, TIDE_BIND_MOST, 0),
        .manual_clock = is_manual(L, 2),
        .manual_start = tide_bind_field_whole(L, 2, "start", 0, TIDE_BIND_MOST, 0),
        .concurrent = (uint32_t)tide_bind_field_whole(L, 2, "concurrent", 1, INT32_MAX, 1),
        .skips = tide_bind_field_boolean(L, 2, "skips", false),
    };
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_GRAPH);

    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, FAMILY_ENGINE);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, FAMILY_GRAPH);
    lua_setfenv(L, -2);

    struct graph *graph = tide_xcalloc(1, sizeof *graph);

    graph->runner = tide_runner_new(&options);
    graph->member.close = close_graph;
    graph->member.arg = graph;
    tide_list_create(&graph->member.link);
    tide_engine_join(engine, &graph->member);
    object->pointer = graph;
    tide_bind_remember(L, tide_runner_graph(graph->runner));
    return 1;
}

static int graph_close(lua_State *L) {
    struct graph *graph = tide_bind_check(L, 1, TIDE_BIND_GRAPH)->pointer;

    if (graph) close_graph(graph);
    return 0;
}

static int graph_gc(lua_State *L) {
    struct tide_bind_object *object = lua_touserdata(L, 1);

    if (object->pointer) close_graph(object->pointer);
    tide_free(object->pointer);
    object->pointer = NULL;
    tide_bind_drop_handle(object);
    return 0;
}

/* ---- Declaring ------------------------------------------------------------------------------------------------ */

static int graph_socket(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_error err = {0};

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "host"); /* stays on the stack: the text must live */
    if (lua_type(L, -1) != LUA_TSTRING || strlen(lua_tostring(L, -1)) != lua_objlen(L, -1))
        luaL_argerror(L, 2, "field host must be a host name or an address");

    struct tide_socket_options options = {
        .host = lua_tostring(L, -1),
        .port = (int)tide_bind_field_whole(L, 2, "port", 1, 65535, INT64_MIN),
        .max_line = (uint32_t)tide_bind_field_whole(L, 2, "maxLine", 1, UINT32_MAX, 0),
        .reconnect_ms = (uint64_t)tide_bind_field_whole(L, 2, "reconnect", 1, TIDE_BIND_MOST, 0),
        .batch_ms = (uint64_t)tide_graph_batch(graph),
        .budget = tide_engine_budget(tide_bind_engine_of(L, tide_bind_check(L, 1, TIDE_BIND_GRAPH))),
    };
    uint8_t level = (uint8_t)tide_bind_field_whole(L, 2, "level", 0, 31, 0);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_source *source = tide_socket_source_new(tide_graph_next_id(graph), &options, &err);
    struct tide_stream *stream = source ? tide_stream_receiver(graph, source, &err) : NULL;

    if (stream) tide_stream_set_received_level(stream, level);
    return tide_bind_answer_stream(L, object, stream, &err);
}

static int graph_queue(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_rdd *otherwise = NULL;
    struct tide_error err = {0};

    lua_settop(L, 2);
    if (lua_isnil(L, 2)) {
        lua_newtable(L);
        lua_replace(L, 2);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "default");
    if (!lua_isnil(L, -1)) otherwise = tide_bind_check_own_rdd(L, -1, 2);

    bool one_at_a_time = tide_bind_field_boolean(L, 2, "oneAtATime", true);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);

    return tide_bind_answer_stream(L, object, tide_stream_queue(graph, one_at_a_time, otherwise, &err), &err);
}

static int graph_replay(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_error err = {0};

    luaL_checktype(L, 2, LUA_TTABLE);

    struct tide_rdd *otherwise = lua_isnoneornil(L, 3) ? NULL : tide_bind_check_own_rdd(L, 3, 3);
    size_t count = lua_objlen(L, 2);
    struct tide_rdd **entries = lua_newuserdata(L, (count ? count : 1) * sizeof *entries);

    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        entries[i] = NULL;
        if (!lua_isboolean(L, -1) || lua_toboolean(L, -1)) entries[i] = tide_bind_check_own_rdd(L, -1, 2);
        lua_pop(L, 1);
    }

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);

    return tide_bind_answer_stream(L, object, tide_stream_replay(graph, entries, (uint32_t)count, otherwise, &err),
                                   &err);
}

static int graph_union(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_error err = {0};
    uint32_t count;
    struct tide_stream **streams = check_streams(L, 2, &count);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);

    return tide_bind_answer_stream(L, object, tide_stream_union(graph, streams, count, &err), &err);
}

static int graph_transform(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_error err = {0};
    uint32_t count;
    struct tide_stream **streams = check_streams(L, 2, &count);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);

    return tide_bind_answer_stream(L, object, tide_stream_transform(graph, streams, count, &err), &err);
}

static int graph_zip(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_error err = {0};
    struct tide_bind_exchange checked;
    uint32_t count;

    lua_settop(L, 5);

    struct tide_stream **streams = check_streams(L, 2, &count);
    bool exchanged = !lua_isnil(L, 5);

    tide_bind_check_ops(L, 3, 1);
    if (exchanged) tide_bind_check_exchange(L, 5, &checked);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_new_op(L, 3, lua_toboolean(L, 4) != 0);
    struct tide_exchange *exchange = exchanged ? tide_bind_new_exchange(&checked) : NULL;
    struct tide_stream *stream = tide_stream_zip(graph, streams, count, op, exchange, &err);

    tide_op_release(op);
    tide_exchange_release(exchange);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* ---- Running -------------------------------------------------------------------------------------------------- */

static int graph_check(lua_State *L) {
    struct tide_error err = {0};

    if (tide_runner_check(tide_bind_check_runner(L, 1), &err) < 0) return tide_bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int graph_start(lua_State *L) {
    struct tide_error err = {0};

    if (tide_runner_start(tide_bind_check_runner(L, 1), &err) < 0) return tide_bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int graph_transform_done(lua_State *L) {
    struct tide_runner *runner = tide_bind_test_runner(L, 1);
    uint64_t token = (uint64_t)tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "token");
    struct tide_rdd *rdd = lua_isnoneornil(L, 3) ? NULL : tide_bind_check_own_rdd(L, 3, 3);
    const char *failure = luaL_optstring(L, 4, NULL);

    if (runner) tide_runner_transform_done(runner, token, rdd, failure);
    return 0;
}

static int graph_output_done(lua_State *L) {
    struct tide_runner *runner = tide_bind_test_runner(L, 1);
    uint64_t token = (uint64_t)tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "token");
    const char *failure = luaL_optstring(L, 3, NULL);

    if (runner) tide_runner_output_done(runner, token, failure);
    return 0;
}

static int graph_stop(lua_State *L) {
    struct tide_runner *runner = tide_bind_test_runner(L, 1);

    if (runner) tide_runner_stop(runner, lua_toboolean(L, 2) != 0);
    return 0;
}

/* graph:lost() → { {node=, batches=, records=, first=, last=, waiting=, begun=, begunTime=, begunToken=}, … } (see
 * tide_runner_lost) */
static int graph_lost(lua_State *L) {
    const struct tide_runner *runner = tide_bind_test_runner(L, 1);
    uint32_t count = 0, found = 0;
    const struct tide_input_count *lost = runner ? tide_runner_lost(runner, &count) : NULL;

    lua_newtable(L);
    for (uint32_t i = 0; i < count; i++) {
        if (lost[i].records == 0 && lost[i].waiting == 0 && lost[i].begun == 0) continue;
        lua_createtable(L, 0, 6);
        tide_bind_set_number(L, "node", lost[i].stream);
        tide_bind_set_number(L, "batches", lost[i].batches);
        tide_bind_set_number(L, "records", (double)lost[i].records);
        tide_bind_set_number(L, "first", (double)lost[i].first);
        tide_bind_set_number(L, "last", (double)lost[i].last);
        tide_bind_set_number(L, "waiting", (double)lost[i].waiting);
        tide_bind_set_number(L, "begun", (double)lost[i].begun);
        tide_bind_set_number(L, "begunTime", (double)lost[i].begun_time);
        tide_bind_set_number(L, "begunToken", (double)lost[i].begun_token);
        lua_rawseti(L, -2, (int)++found);
    }
    return 1;
}

static int graph_state(lua_State *L) {
    static const char *const names[] = {
        [TIDE_RUNNER_INITIALIZED] = "initialized",
        [TIDE_RUNNER_ACTIVE] = "active",
        [TIDE_RUNNER_STOPPING] = "stopping",
        [TIDE_RUNNER_STOPPED] = "stopped",
    };
    const struct tide_runner *runner = tide_bind_test_runner(L, 1);

    lua_pushstring(L, names[runner ? tide_runner_state(runner) : TIDE_RUNNER_STOPPED]);
    return 1;
}

static int graph_advance(lua_State *L) {
    struct tide_runner *runner = tide_bind_check_runner(L, 1);

    if (tide_runner_advance(runner, tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "advance")) < 0)
        return luaL_error(L, "advance: only a manual clock can be moved");
    return 0;
}

static int graph_now(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_runner_now(tide_bind_check_runner(L, 1)));
    return 1;
}

static int graph_idle(lua_State *L) {
    const struct tide_runner *runner = tide_bind_test_runner(L, 1);

    lua_pushboolean(L, !runner || tide_runner_idle(runner));
    return 1;
}

static int graph_remember(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);

    if (tide_graph_zero(graph) >= 0) return luaL_error(L, "remember: the graph has been started");
    tide_graph_set_remember(graph, tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "remember"));
    return 0;
}

static int graph_zero(lua_State *L) {
    int64_t zero = tide_graph_zero(tide_bind_check_graph(L, 1));

    if (zero < 0) return 0;
    lua_pushnumber(L, (lua_Number)zero);
    return 1;
}

/* graph:lane(output, lane) */
static int graph_lane(lua_State *L) {
    struct tide_runner *runner = tide_bind_check_runner(L, 1);
    int64_t outputs = tide_graph_outputs(tide_runner_graph(runner));
    int64_t output = tide_bind_check_whole(L, 2, 0, outputs - 1, "output");

    tide_runner_set_lane(runner, (uint32_t)output, (uint32_t)tide_bind_check_whole(L, 3, 1, UINT32_MAX, "lane"));
    return 0;
}

static int graph_listen(lua_State *L) {
    tide_runner_listen(tide_bind_check_runner(L, 1), lua_toboolean(L, 2) != 0);
    return 0;
}

/* graph:checkpointing(bool) */
static int graph_checkpointing(lua_State *L) {
    tide_graph_set_checkpointing(tide_bind_check_graph(L, 1), lua_toboolean(L, 2) != 0);
    return 0;
}

void tide_bind_graph(lua_State *L) {
    static const luaL_Reg engine_methods[] = {{"graph", engine_graph}, {NULL, NULL}};

    static const luaL_Reg graph_methods[] = {
        {"socket", graph_socket},
        {"queue", graph_queue},
        {"replay", graph_replay},
        {"union", graph_union},
        {"zip", graph_zip},
        {"transform", graph_transform},
        {"check", graph_check},
        {"start", graph_start},
        {"transformDone", graph_transform_done},
        {"outputDone", graph_output_done},
        {"stop", graph_stop},
        {"lost", graph_lost},
        {"state", graph_state},
        {"advance", graph_advance},
        {"now", graph_now},
        {"idle", graph_idle},
        {"zero", graph_zero},
        {"lane", graph_lane},
        {"listen", graph_listen},
        {"remember", graph_remember},
        {"checkpointing", graph_checkpointing},
        {"close", graph_close},
        {NULL, NULL},
    };

    tide_bind_add_methods(L, TIDE_BIND_ENGINE, engine_methods);
    tide_bind_class(L, TIDE_BIND_GRAPH, "Graph", graph_methods, graph_gc);
}
