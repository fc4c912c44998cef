/*
 * Operators and exchanges from arguments (see bind_op.h).
 */
#include "bind/bind_op.h"

#include <string.h>

#include "bind/object.h"
#include "wire/unpack.h"

/* ---- Operators ------------------------------------------------------------------------------------------------ */

/* Descriptors are copied into plans unread: only a single MessagePack map may get there. */
static struct tide_bind_bytes check_descriptor(lua_State *L, int at, int argument) {
    if (lua_type(L, at) != LUA_TSTRING)
        luaL_argerror(L, argument, lua_pushfstring(L, "operator descriptor expected, got %s", luaL_typename(L, at)));

    struct tide_bind_bytes bytes;

    bytes.data = lua_tolstring(L, at, &bytes.size);

    const uint8_t *begin = (const uint8_t *)bytes.data, *end = begin + bytes.size;

    if (bytes.size > UINT32_MAX || tide_unpack_value(begin, end).type != TIDE_VALUE_MAP ||
        tide_unpack_skip(begin, end) != end)
        luaL_argerror(L, argument, "operator descriptor expected: one MessagePack map");
    return bytes;
}

void tide_bind_check_ops(lua_State *L, int first, int n) {
    for (int index = first; index < first + n; index++) check_descriptor(L, index, index);
}

struct tide_op *tide_bind_new_op(lua_State *L, int index, bool keeps_keys) {
    size_t size;
    const char *bytes = lua_tolstring(L, index, &size);

    return tide_op_new(bytes, size, keeps_keys);
}

/* ---- Exchanges ------------------------------------------------------------------------------------------------ */

static enum tide_route check_route(lua_State *L, int table) {
    static const char *const names[] = {[TIDE_ROUTE_HASH] = "hash",
                                        [TIDE_ROUTE_ROUNDROBIN] = "roundrobin",
                                        [TIDE_ROUTE_SINGLE] = "single",
                                        [TIDE_ROUTE_RANGE] = "range"};
    size_t route = 0, count = sizeof names / sizeof *names;

    lua_getfield(L, table, "route");

    const char *name = lua_tostring(L, -1);

    while (route < count && !(name && strcmp(name, names[route]) == 0)) route++;
    if (route == count)
        luaL_argerror(L, table, "field route must be \"hash\", \"roundrobin\", \"single\" or \"range\"");
    lua_pop(L, 1);
    return (enum tide_route)route;
}

/* Left on the stack. */
static struct tide_bind_bytes field_descriptor(lua_State *L, int table, const char *name) {
    struct tide_bind_bytes absent = {0};

    lua_getfield(L, table, name);
    return lua_isnil(L, -1) ? absent : check_descriptor(L, lua_gettop(L), table);
}

static void check_in_place(lua_State *L, int table, struct tide_bind_exchange *checked) {
    lua_getfield(L, table, "inPlace");

    bool as_is = lua_isboolean(L, -1) && lua_toboolean(L, -1);

    checked->may_stay = checked->route == TIDE_ROUTE_HASH && (as_is || lua_isstring(L, -1));
    if (!lua_isnil(L, -1) && !checked->may_stay)
        luaL_argerror(L, table, "field inPlace goes with route \"hash\": true or a descriptor");
    if (checked->may_stay && !as_is) checked->in_place = check_descriptor(L, lua_gettop(L), table);
}

/* A partitioner of the script: its descriptor, and its identity, which is equal for equal partitioners. */
static void check_partitioner(lua_State *L, int table, struct tide_bind_exchange *checked) {
    checked->partitioner = field_descriptor(L, table, "partitioner");
    lua_getfield(L, table, "identity");
    checked->identity.data = lua_tolstring(L, -1, &checked->identity.size);
    if (checked->partitioner.data && (!checked->identity.data || checked->route != TIDE_ROUTE_HASH))
        luaL_argerror(L, table, "field partitioner goes with route \"hash\" and a field identity");
}

void tide_bind_check_exchange(lua_State *L, int index, struct tide_bind_exchange *checked) {
    *checked = (struct tide_bind_exchange){0};
    luaL_checktype(L, index, LUA_TTABLE);
    checked->route = check_route(L, index);
    checked->partitions = (uint32_t)tide_bind_field_whole(L, index, "partitions", 1, TIDE_RDD_MAX_PARTITIONS,
                                                          checked->route == TIDE_ROUTE_SINGLE ? 1 : INT64_MIN);
    checked->ascending = tide_bind_field_boolean(L, index, "ascending", true);
    checked->write = field_descriptor(L, index, "write");
    checked->read = field_descriptor(L, index, "read");
    check_in_place(L, index, checked);
    check_partitioner(L, index, checked);
}

static struct tide_op *op_of(struct tide_bind_bytes bytes, bool keeps_keys) {
    return bytes.data ? tide_op_new(bytes.data, bytes.size, keeps_keys) : NULL;
}

struct tide_exchange *tide_bind_new_exchange(const struct tide_bind_exchange *checked) {
    struct tide_op *write = op_of(checked->write, false), *read = op_of(checked->read, false);
    struct tide_exchange *exchange =
        tide_exchange_new(checked->route, checked->partitions, checked->ascending, write, read);

    if (checked->partitioner.data) {
        struct tide_partitioner *partitioner = tide_partitioner_new(
            checked->identity.data, checked->identity.size, checked->partitioner.data, checked->partitioner.size);

        tide_exchange_partition_by(exchange, partitioner);
        tide_partitioner_release(partitioner);
    }
    if (checked->may_stay) {
        struct tide_op *in_place = op_of(checked->in_place, true);

        tide_exchange_set_in_place(exchange, in_place);
        tide_op_release(in_place);
    }
    tide_op_release(write);
    tide_op_release(read);
    return exchange;
}
