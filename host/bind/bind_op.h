/*
 * Operators and exchanges from arguments. Driver thread only.
 */
#ifndef TIDE_BIND_BIND_OP_H
#define TIDE_BIND_BIND_OP_H

#include <lua.h>
#include <stdbool.h>

#include "rdd/op.h"

/* Operator descriptor (MessagePack bytes as a string) at `index`: a new op; the last check of the caller. */
struct tide_op *tide_bind_check_op(lua_State *L, int index, bool keeps_keys);
/* A new exchange from the options table at `index`
 * {route=, partitions=, ascending=, write=, read=, inPlace=, partitioner=, identity=}. */
struct tide_exchange *tide_bind_check_exchange(lua_State *L, int index);

#endif
