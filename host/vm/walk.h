/*
 * Walking Lua tables from C, for Lua. The LuaJIT snapshots of 2022 compile `next` (and pairs) to code that can skip
 * elements; a C function is called from traces, not compiled. More in lua/moontide/base/iterate.lua.
 */
#ifndef TIDE_VM_WALK_H
#define TIDE_VM_WALK_H

struct lua_State;

/* Opener of "moontide.walk": { next = like the library's, array_length = …, keys = …,
 * null = the light userdata NULL, packer = tide_vm_packer }. */
int tide_vm_open_walk(struct lua_State *L);

#endif
