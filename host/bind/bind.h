/*
 * The C module "moontide.core" (core.c), and what its opener calls: each of the files of bind/ registers its classes,
 * or adds methods to classes that are there. Thread: driver only.
 */
#ifndef TIDE_BIND_BIND_H
#define TIDE_BIND_BIND_H

#include <lua.h>

int luaopen_moontide_core(lua_State *L);

/* In this order. */
void tide_bind_engine(lua_State *L);
void tide_bind_rdd(lua_State *L);
void tide_bind_graph(lua_State *L);
void tide_bind_stream(lua_State *L);
void tide_bind_slice(lua_State *L);
void tide_bind_arity(lua_State *L);
void tide_bind_files(lua_State *L);

/* core.engine{…} */
int tide_bind_engine_new(lua_State *L);

#endif
