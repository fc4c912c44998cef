/*
 * Tables as MessagePack, written in C for lua/moontide/wire/codec.lua: LuaJIT does not compile the walk of a table
 * (or must not, see vm/walk.h), so one call for a whole table is several times as fast as a call for each part.
 */
#ifndef TIDE_VM_PACK_TABLE_H
#define TIDE_VM_PACK_TABLE_H

struct lua_State;

/* packer(array_mt, object_mt, nulls) → pack, scratch. The metatables mark an empty array and an empty object; one
 * whose only field is __jsontype does too. The keys of `nulls` are tables that represent an explicit null
 * (lua/moontide/base/plain.lua); an explicit null itself is the light userdata NULL. pack(table) → size: packs it
 * into the scratch buffer (lightuserdata, a struct tide_buffer that lives as long as pack), or nil for cases left to
 * the codec: other metatables, numbers that are cdata, values that can't be packed, deep nesting, many keys, no
 * memory. */
int tide_vm_packer(struct lua_State *L);

#endif
