/*
 * The arity of datasets and streams (rdd/arity.h) for Lua: methods added to the classes of bind_rdd.c and
 * bind_stream.c.
 *
 * Called by Lua on the driver thread.
 */
#include "bind/bind.h"
#include "bind/bind_graph.h"
#include "bind/object.h"
#include "dstream/graph.h"
#include "rdd/arity.h"

/* The fact of the dataset or stream at `index`; NULL: it never has records. */
static struct tide_arity *check_arity(lua_State *L, int index) {
    if (tide_bind_test(L, index, TIDE_BIND_STREAM)) return tide_stream_arity(tide_bind_check_stream(L, index));
    return tide_rdd_arity(tide_bind_check_rdd(L, index));
}

/* node:arity() → 1: single values, 2: pairs, 0: not known */
static int node_arity(lua_State *L) {
    const struct tide_arity *arity = check_arity(L, 1);

    lua_pushnumber(L, arity ? arity->value : TIDE_ARITY_UNKNOWN);
    return 1;
}

/* node:madeBy(label, record): the origin of its records and one of them, for messages; both may be nil */
static int node_made_by(lua_State *L) {
    struct tide_arity *arity = check_arity(L, 1);
    const char *label = luaL_optstring(L, 2, NULL), *first = luaL_optstring(L, 3, NULL);

    if (arity) tide_arity_label(arity, label, first);
    return 0;
}

/* node:joinedBy(name): the name in messages of the union that it is */
static int node_joined_by(lua_State *L) {
    struct tide_arity *arity = check_arity(L, 1);
    const char *name = luaL_checkstring(L, 2);

    if (arity) tide_arity_name(arity, name);
    return 0;
}

/* node:clash(other) → why the two can't be joined, or nil when nothing is known against it */
static int node_clash(lua_State *L) {
    struct tide_arity *both[2] = {check_arity(L, 1), check_arity(L, 2)};
    struct tide_error err = {0};

    if (tide_arity_agree(both, 2, NULL, &err) == TIDE_OK) return 0;
    tide_bind_failure(L, &err);
    lua_pop(L, 1);
    return 1;
}

void tide_bind_arity(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"arity", node_arity}, {"madeBy", node_made_by}, {"joinedBy", node_joined_by}, {"clash", node_clash},
        {NULL, NULL},
    };

    tide_bind_add_methods(L, TIDE_BIND_RDD, methods);
    tide_bind_add_methods(L, TIDE_BIND_STREAM, methods);
}
