/*
 * Operators and exchanges from what Lua says of them (see bind_op.h).
 */
#include "bind/bind_op.h"

#include <string.h>

#include "bind/object.h"
#include "wire/unpack.h"

/* Descriptors are spliced into plans unread, so what is no single MessagePack map must not get in. */
static const char *check_descriptor(lua_State *L, int at, int argument, size_t *size) {
    if (lua_type(L, at) != LUA_TSTRING)
        luaL_argerror(L, argument, lua_pushfstring(L, "operator descriptor expected, got %s", luaL_typename(L, at)));

    const char *bytes = lua_tolstring(L, at, size);
    const uint8_t *begin = (const uint8_t *)bytes;

    if (*size > UINT32_MAX || tide_unpack_value(begin, begin + *size).type != TIDE_VALUE_MAP ||
        tide_unpack_skip(begin, begin + *size) != begin + *size)
        luaL_argerror(L, argument, "operator descriptor expected: one MessagePack map");
    return bytes;
}

struct tide_op *tide_bind_check_op(lua_State *L, int index, bool keeps_keys) {
    size_t size = 0;
    const char *bytes = check_descriptor(L, index, index, &size);

    return tide_op_new(bytes, size, keeps_keys);
}

/* Field `name` as a descriptor, left on the stack; NULL when it is absent. */
static const char *field_descriptor(lua_State *L, int table, const char *name, size_t *size) {
    *size = 0;
    lua_getfield(L, table, name);
    return lua_isnil(L, -1) ? NULL : check_descriptor(L, lua_gettop(L), table, size);
}

struct tide_exchange *tide_bind_check_exchange(lua_State *L, int index) {
    static const char *const names[] = {"hash", "roundrobin", "single", "range", NULL};
    static const enum tide_route routes[] = {TIDE_ROUTE_HASH, TIDE_ROUTE_ROUNDROBIN, TIDE_ROUTE_SINGLE,
                                             TIDE_ROUTE_RANGE};
    int route = 0;

    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "route");
    for (const char *name = lua_tostring(L, -1); names[route]; route++)
        if (name && strcmp(name, names[route]) == 0) break;
    if (!names[route])
        luaL_argerror(L, index, "field route must be \"hash\", \"roundrobin\", \"single\" or \"range\"");
    lua_pop(L, 1);

    int64_t partitions = tide_bind_field_whole(L, index, "partitions", 1, TIDE_RDD_MAX_PARTITIONS,
                                               routes[route] == TIDE_ROUTE_SINGLE ? 1 : INT64_MIN);
    bool ascending = tide_bind_field_boolean(L, index, "ascending", true);
    size_t write_size, read_size;
    const char *write = field_descriptor(L, index, "write", &write_size);
    const char *read = field_descriptor(L, index, "read", &read_size);

    lua_getfield(L, index, "inPlace");

    bool as_is = lua_isboolean(L, -1) && lua_toboolean(L, -1) && routes[route] == TIDE_ROUTE_HASH;
    bool stays = as_is || (lua_isstring(L, -1) && routes[route] == TIDE_ROUTE_HASH);

    if (!lua_isnil(L, -1) && !stays)
        luaL_argerror(L, index, "field inPlace goes with route \"hash\": true or a descriptor");

    size_t here_size = 0;
    const char *here = stays && !as_is ? check_descriptor(L, lua_gettop(L), index, &here_size) : NULL;

    /* Of a partitioner of the script: its descriptor, and what makes it the same as another. */
    size_t by_size, identity_size = 0;
    const char *by = field_descriptor(L, index, "partitioner", &by_size);

    lua_getfield(L, index, "identity");

    const char *identity = lua_tolstring(L, -1, &identity_size);

    if (by && (!identity || routes[route] != TIDE_ROUTE_HASH))
        luaL_argerror(L, index, "field partitioner goes with route \"hash\" and a field identity");

    /* Nothing raises from here on. */
    struct tide_op *write_op = write ? tide_op_new(write, write_size, false) : NULL;
    struct tide_op *read_op = read ? tide_op_new(read, read_size, false) : NULL;
    struct tide_exchange *exchange =
        tide_exchange_new(routes[route], (uint32_t)partitions, ascending, write_op, read_op);

    if (by) {
        struct tide_partitioner *partitioner = tide_partitioner_new(identity, identity_size, by, by_size);

        tide_exchange_partition_by(exchange, partitioner);
        tide_partitioner_release(partitioner);
    }
    if (stays) {
        struct tide_op *here_op = here ? tide_op_new(here, here_size, true) : NULL;

        tide_exchange_set_in_place(exchange, here_op);
        tide_op_release(here_op);
    }
    tide_op_release(write_op);
    tide_op_release(read_op);
    lua_pop(L, 5);
    return exchange;
}
