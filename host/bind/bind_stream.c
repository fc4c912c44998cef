/*
 * Streams for Lua: the methods that make streams of streams, and those that ask and set.
 *
 * Called by Lua on the driver thread. A stream belongs to its graph (bind_graph.c): its userdata only points to it.
 */
#include <string.h>

#include "bind/bind.h"
#include "bind/bind_graph.h"
#include "bind/bind_op.h"
#include "bind/object.h"
#include "driver/runner.h"
#include "dstream/generation.h"
#include "dstream/graph.h"

static int stream_gc(lua_State *L) {
    tide_bind_drop_handle(lua_touserdata(L, 1));
    return 0;
}

/* ---- Streams made of streams ---------------------------------------------------------------------------------- */

static int stream_narrow(lua_State *L) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};

    tide_bind_check_ops(L, 2, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_new_op(L, 2, lua_toboolean(L, 3) != 0);

    op->indexed = lua_toboolean(L, 4) != 0;

    struct tide_stream *stream = tide_stream_narrow(parent, op, &err);

    tide_op_release(op);
    return tide_bind_answer_stream(L, object, stream, &err);
}

static int stream_shuffle(lua_State *L) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    struct tide_bind_exchange checked;

    lua_settop(L, 2);
    tide_bind_check_exchange(L, 2, &checked);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_exchange *exchange = tide_bind_new_exchange(&checked);
    struct tide_stream *stream = tide_stream_shuffled(parent, exchange, &err);

    tide_exchange_release(exchange);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:window(length, slide, single) → stream */
static int stream_window(lua_State *L) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t length = tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "window length");
    int64_t slide = tide_bind_check_whole(L, 3, 0, TIDE_BIND_MOST, "window slide");
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
    int64_t length = tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "window length");
    int64_t slide = tide_bind_check_whole(L, 3, 0, TIDE_BIND_MOST, "window slide");
    int64_t partitions = tide_bind_check_whole(L, 4, 1, TIDE_RDD_MAX_PARTITIONS, "number of partitions");
    enum tide_merging merging = (enum tide_merging)luaL_checkoption(L, 6, "none", merges);

    tide_bind_check_ops(L, 5, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_new_op(L, 5, true);
    struct tide_stream *stream =
        tide_stream_merge_window(parent, length, slide, (uint32_t)partitions, op, merging, &err);

    tide_op_release(op);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:inverseWindow(length, slide, partitions, op, anew) → stream */
static int stream_inverse_window(lua_State *L) {
    struct tide_stream *parent = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t length = tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "window length");
    int64_t slide = tide_bind_check_whole(L, 3, 0, TIDE_BIND_MOST, "window slide");
    int64_t partitions = tide_bind_check_whole(L, 4, 1, TIDE_RDD_MAX_PARTITIONS, "number of partitions");

    tide_bind_check_ops(L, 5, 2);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_new_op(L, 5, true), *anew = tide_bind_new_op(L, 6, true);
    struct tide_stream *stream =
        tide_stream_inverse_window(parent, length, slide, (uint32_t)partitions, op, anew, &err);

    tide_op_release(op);
    tide_op_release(anew);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:view(op, keeps_keys) → stream */
static int stream_view(lua_State *L) {
    struct tide_stream *behind = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};

    tide_bind_check_ops(L, 2, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_new_op(L, 2, lua_toboolean(L, 3) != 0);
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

    tide_bind_check_ops(L, 3, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);
    struct tide_op *op = tide_bind_new_op(L, 3, true);
    struct tide_stream *stream = construct(parent, (uint32_t)partitions, op, initial, &err);

    tide_op_release(op);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* stream:state(partitions, op, initial) → stream */
static int stream_state(lua_State *L) { return new_state(L, tide_stream_state); }

/* stream:mapState(partitions, op, initial) → stream */
static int stream_map_state(lua_State *L) { return new_state(L, tide_stream_map_with_state); }

/* ---- Asking and setting --------------------------------------------------------------------------------------- */

static int stream_id(lua_State *L) {
    lua_pushnumber(L, tide_stream_id(tide_bind_check_stream(L, 1)));
    return 1;
}

/* stream:named(name, keeper) */
static int stream_named(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    size_t length;
    const char *name = luaL_checklstring(L, 2, &length);
    struct tide_stream *keeper = lua_isnoneornil(L, 3) ? NULL : tide_bind_check_stream(L, 3);

    luaL_argcheck(L, length > 0 && strlen(name) == length, 2, "a name has at least one byte, and no zero byte");
    if (tide_stream_set_name(stream, keeper, name, &err) < 0) return tide_bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* stream:name() → text or nil */
static int stream_name(lua_State *L) {
    lua_pushstring(L, tide_stream_name(tide_bind_check_stream(L, 1)));
    return 1;
}

static int stream_graph(lua_State *L) {
    tide_bind_check(L, 1, TIDE_BIND_STREAM);
    tide_bind_push_graph_of(L, 1);
    return 1;
}

static int stream_slide(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_stream_slide(tide_bind_check_stream(L, 1)));
    return 1;
}

static int stream_level(lua_State *L) {
    lua_pushnumber(L, tide_stream_level(tide_bind_check_stream(L, 1)));
    return 1;
}

static int stream_persist(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    int64_t level = tide_bind_check_whole(L, 2, 0, 31, "storage level");

    if (tide_stream_persist(stream, (uint8_t)level, lua_toboolean(L, 3) != 0, &err) < 0)
        return tide_bind_refuse(L, &err);
    return 0;
}

static int stream_output(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};
    uint32_t output;

    if (tide_stream_output(stream, &output, &err) < 0) return tide_bind_refuse(L, &err);
    lua_pushnumber(L, output);
    return 1;
}

static int stream_push(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};

    if (tide_stream_push(stream, tide_bind_check_own_rdd(L, 2, 2), &err) < 0) return tide_bind_refuse(L, &err);
    return 0;
}

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
    struct tide_rdd *rdd = tide_stream_dataset(stream, tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "time"));

    if (rdd) tide_bind_push_rdd(L, 1, rdd);
    else lua_pushnil(L);
    return 1;
}

/* stream:checkpoint(interval) sets it, 0 takes it away; stream:checkpoint() → ms or nil */
static int stream_checkpoint(lua_State *L) {
    struct tide_stream *stream = tide_bind_check_stream(L, 1);
    struct tide_error err = {0};

    if (lua_isnoneornil(L, 2)) {
        int64_t interval = tide_stream_checkpoint_interval(stream);

        if (interval > 0) lua_pushnumber(L, (lua_Number)interval);
        else lua_pushnil(L);
        return 1;
    }
    if (tide_stream_checkpoint(stream, tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "checkpoint interval"), &err) <
        0)
        return tide_bind_refuse(L, &err);
    return 0;
}

void tide_bind_stream(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"narrow", stream_narrow},
        {"shuffle", stream_shuffle},
        {"window", stream_window},
        {"mergeWindow", stream_merge_window},
        {"inverseWindow", stream_inverse_window},
        {"view", stream_view},
        {"state", stream_state},
        {"mapState", stream_map_state},
        {"id", stream_id},
        {"named", stream_named},
        {"name", stream_name},
        {"graph", stream_graph},
        {"slide", stream_slide},
        {"level", stream_level},
        {"persist", stream_persist},
        {"output", stream_output},
        {"push", stream_push},
        {"kind", stream_kind},
        {"remember", stream_remember},
        {"dataset", stream_dataset},
        {"checkpoint", stream_checkpoint},
        {NULL, NULL},
    };

    tide_bind_class(L, TIDE_BIND_STREAM, "Stream", methods, stream_gc);
}
