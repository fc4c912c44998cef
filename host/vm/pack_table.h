/*
 * Tables as MessagePack, written in C for lua/moontide/wire/codec.lua: walking a table is what LuaJIT does not compile (or
 * must not, see vm/walk.h), so a whole table in one call is several times as fast as a call for each of its parts.
 */
#ifndef TIDE_VM_PACK_TABLE_H
#define TIDE_VM_PACK_TABLE_H

struct lua_State;

/* packer(array_mt, object_mt, nulls) → pack, scratch. The metatables mark an empty array and an empty object, and so does one with
 * nothing but __jsontype; `nulls` has the tables that stand for an explicit null as keys (lua/moontide/base/plain.lua). An explicit null
 * itself is the light userdata NULL. pack(table) → size: packs it into the scratch buffer (lightuserdata, a struct tide_buffer that
 * lives as long as pack), or nil when only the codec knows what to do: with other metatables, numbers that are cdata,
 * what cannot be packed, deep nesting, many keys, no memory. */
int tide_vm_packer(struct lua_State *L);

#endif
