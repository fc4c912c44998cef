/*
 * Walking Lua tables from C (see walk.h). Called from Lua on whichever thread owns the state; stateless.
 */
#include "vm/walk.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdbool.h>

#include "vm/pack_table.h"

/* next(table, key) → key, value | nil */
static int walk_next(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (lua_next(L, 1)) return 2;
    lua_pushnil(L);
    return 1;
}

/* array_length(table) → its length when every key is a positive whole number and few are missing (nils inside of an
 * array), nil for any other table; 0 when it is empty. */
static int walk_array_length(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    double count = 0, largest = 0;
    lua_settop(L, 1);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        double key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (key < 1 || key != floor(key)) return 0;
        count++;
        if (key > largest) largest = key;
    }
    if (largest > 2 * count + 8) return 0;
    lua_pushnumber(L, largest);
    return 1;
}

/* keys(table) → array of its keys, their number */
static int walk_keys(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    int count = 0;
    lua_settop(L, 1);
    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, 1)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, 2, ++count);
    }
    lua_pushinteger(L, count);
    return 2;
}

/* Whether the table on top of the stack has more than two entries. */
static bool has_third(lua_State *L) {
    int table = lua_gettop(L);

    lua_pushnil(L);
    for (int n = 0; n < 3; n++) {
        if (!lua_next(L, table)) return false;
        lua_settop(L, table + 1);
    }
    return true;
}

/* Whether it has an entry behind that of 2, where `{key, value, name = 1}` has its fields: a third of the time. */
static bool has_more(lua_State *L) {
    lua_rawgeti(L, -1, 2);
    if (lua_isnil(L, -1)) return false; /* no pair, which packing refuses */
    lua_pop(L, 1);
    lua_pushinteger(L, 2);
    return lua_next(L, -2);
}

/* beyond_pair(records, first, last) → index of the first of these records that is a table with more than two entries;
 * nil: none is. Of a long list the first records are looked at in full, the others only behind the value: a table
 * that keeps 1 and 2 among its named fields, as `{[1] = key, [2] = value, name = 1}` does, may pass there. */
static int walk_beyond_pair(lua_State *L) {
    enum { IN_FULL = 1024 };

    luaL_checktype(L, 1, LUA_TTABLE);

    int first = (int)luaL_checkinteger(L, 2), last = (int)luaL_checkinteger(L, 3);

    for (int i = first; i <= last; i++) {
        lua_settop(L, 1);
        lua_rawgeti(L, 1, i);
        if (lua_type(L, -1) == LUA_TTABLE && (i <= IN_FULL ? has_third(L) : has_more(L))) {
            lua_pushinteger(L, i);
            return 1;
        }
    }
    return 0;
}

int tide_vm_open_walk(lua_State *L) {
    static const luaL_Reg functions[] = {{"next", walk_next},        {"array_length", walk_array_length},
                                         {"keys", walk_keys},        {"beyond_pair", walk_beyond_pair},
                                         {"packer", tide_vm_packer}, {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}
