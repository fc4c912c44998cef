/*
 * Operators and exchanges from arguments. Checking and making are apart, because a check may raise and leak
 * a thing that was made before it: check all arguments, make the userdata, make these. Driver thread only.
 */
#ifndef TIDE_BIND_BIND_OP_H
#define TIDE_BIND_BIND_OP_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "rdd/op.h"

/* Raises unless the `n` arguments from `first` on are operator descriptors: MessagePack bytes of a map, as
 * strings. */
void tide_bind_check_ops(lua_State *L, int first, int n);
/* A new op from an argument that was checked. Raises nothing. */
struct tide_op *tide_bind_new_op(lua_State *L, int index, bool keeps_keys);

/* Bytes of a Lua string that the stack holds; data NULL: absent. */
struct tide_bind_bytes {
    const char *data;
    size_t size;
};

/* The content of an options table {route=, partitions=, ascending=, write=, read=, inPlace=, partitioner=,
 * identity=}. */
struct tide_bind_exchange {
    enum tide_route route;
    uint32_t partitions;
    bool ascending;
    bool may_stay; /* inPlace is there: true, or a descriptor */
    struct tide_bind_bytes write, read, in_place, partitioner, identity;
};

/* Reads the table at `index`; raises when a field is wrong. Leaves the strings that own the bytes on the stack. */
void tide_bind_check_exchange(lua_State *L, int index, struct tide_bind_exchange *checked);
/* Raises nothing. */
struct tide_exchange *tide_bind_new_exchange(const struct tide_bind_exchange *checked);

#endif
