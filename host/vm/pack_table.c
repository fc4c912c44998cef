/*
 * Tables as MessagePack (see pack_table.h). Called from Lua on whichever thread owns the state. The form is that of
 * wire/pack.h: arrays with nils inside, maps with their keys in order.
 */
#include "vm/pack_table.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "wire/pack.h"

enum { BUFFER = lua_upvalueindex(1), NULL_VALUE = lua_upvalueindex(2), ARRAY_MT = lua_upvalueindex(3) };
enum { MAX_DEPTH = 16, MAX_KEYS = 64, KEEP_CAPACITY = 1 << 20, MAX_HEAD = 5 };

/* Of one key of a map: in the order of type names, then of values. */
struct key {
    const char *text; /* NULL for a number */
    size_t size;
    double number;
    int index; /* where it is on the stack */
};

static int compare_keys(const void *left, const void *right) {
    const struct key *a = left, *b = right;

    if (a->text == NULL || b->text == NULL) {
        if (a->text != NULL) return 1;
        if (b->text != NULL) return -1;
        return (a->number > b->number) - (a->number < b->number);
    }

    size_t size = a->size < b->size ? a->size : b->size;
    int order = memcmp(a->text, b->text, size);

    return order != 0 ? order : (a->size > b->size) - (a->size < b->size);
}

static bool put_value(lua_State *L, struct tide_buffer *out, int index, int depth);

static bool put_array(lua_State *L, struct tide_buffer *out, int table, uint32_t count, int depth) {
    if (!tide_buffer_reserve_try(out, MAX_HEAD)) return false;
    tide_pack_array(out, count);
    for (uint32_t i = 1; i <= count; i++) {
        lua_rawgeti(L, table, (int)i);
        if (!put_value(L, out, lua_gettop(L), depth + 1)) return false;
        lua_pop(L, 1);
    }
    return true;
}

static bool put_map(lua_State *L, struct tide_buffer *out, int table, uint32_t count, int depth) {
    struct key keys[MAX_KEYS];
    uint32_t n = 0;

    if (count > MAX_KEYS || !lua_checkstack(L, MAX_KEYS + 8)) return false;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        struct key *key = &keys[n++];

        lua_pop(L, 1);
        *key = (struct key){.index = lua_gettop(L)};
        if (lua_type(L, -1) == LUA_TSTRING) key->text = lua_tolstring(L, -1, &key->size);
        else if (lua_type(L, -1) == LUA_TNUMBER) key->number = lua_tonumber(L, -1);
        else return false;
        lua_pushvalue(L, -1);
    }
    if (n > 1) qsort(keys, n, sizeof *keys, compare_keys);
    if (!tide_buffer_reserve_try(out, MAX_HEAD)) return false;
    tide_pack_map(out, n);
    for (uint32_t i = 0; i < n; i++) {
        if (!put_value(L, out, keys[i].index, depth + 1)) return false;
        lua_pushvalue(L, keys[i].index);
        lua_rawget(L, table);
        if (!put_value(L, out, lua_gettop(L), depth + 1)) return false;
        lua_pop(L, 1);
    }
    return true;
}

/* The number of keys of a table, and its length when every key is a positive whole number and few are missing, else 0. The
 * same rule as array_length in vm/walk.c. */
static uint32_t measure(lua_State *L, int table, double *length) {
    uint32_t count = 0;
    double largest = 0;
    bool array = true;

    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        count++;
        if (!array) continue;

        double key = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;

        if (key < 1 || key != floor(key)) array = false;
        else if (key > largest) largest = key;
    }
    *length = array && largest <= 2.0 * count + 8 ? largest : 0;
    return count;
}

static bool put_table(lua_State *L, struct tide_buffer *out, int table, int depth) {
    bool marked = false;

    if (depth > MAX_DEPTH || !lua_checkstack(L, 8)) return false;
    if (lua_rawequal(L, table, NULL_VALUE)) {
        static const uint8_t null[] = {0xc7, 0, TIDE_EXT_NULL};

        if (!tide_buffer_reserve_try(out, sizeof null)) return false;
        tide_buffer_append(out, null, sizeof null);
        return true;
    }
    if (lua_getmetatable(L, table)) {
        marked = lua_rawequal(L, -1, ARRAY_MT);
        lua_pop(L, 1);
        if (!marked) return false;
    }

    double length;
    uint32_t count = measure(L, table, &length);
    int top = lua_gettop(L);
    bool done = length > 0 || (count == 0 && marked) ? put_array(L, out, table, (uint32_t)length, depth)
                                                     : put_map(L, out, table, count, depth);

    lua_settop(L, top);
    return done;
}

static bool put_value(lua_State *L, struct tide_buffer *out, int index, int depth) {
    size_t size;
    const char *text;

    switch (lua_type(L, index)) {
    case LUA_TTABLE: return put_table(L, out, index, depth);
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &size);
        if (!tide_buffer_reserve_try(out, size + MAX_HEAD)) return false;
        tide_pack_string(out, text, size);
        return true;
    default: break;
    }
    if (!tide_buffer_reserve_try(out, TIDE_PACKED_NUMBER_MAX)) return false;
    switch (lua_type(L, index)) {
    case LUA_TNUMBER: tide_pack_number(out, lua_tonumber(L, index)); return true;
    case LUA_TBOOLEAN: tide_pack_bool(out, lua_toboolean(L, index)); return true;
    case LUA_TNIL: tide_pack_nil(out); return true;
    default: return false;
    }
}

static int pack(lua_State *L) {
    struct tide_buffer *out = lua_touserdata(L, BUFFER);

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (out->capacity > KEEP_CAPACITY) {
        tide_buffer_destroy(out);
        tide_buffer_create(out);
    }
    out->size = 0;
    if (put_table(L, out, 1, 0)) lua_pushnumber(L, (lua_Number)out->size);
    else lua_pushnil(L);
    return 1;
}

/* The buffers of all states, so that those of a state that is left behind (task/worker.c) stay within reach. On the heap, and
 * not in Lua's memory: ThreadSanitizer does not see that Lua gives that back between two threads. */
struct scratch {
    struct tide_buffer buffer; /* first: pack knows nothing else of it */
    struct scratch *next;
};

static struct scratch *scratches;
static pthread_mutex_t scratches_lock = PTHREAD_MUTEX_INITIALIZER;

static struct tide_buffer *scratch_new(void) {
    struct scratch *scratch = tide_xcalloc(1, sizeof *scratch);

    tide_buffer_create(&scratch->buffer);
    pthread_mutex_lock(&scratches_lock);
    scratch->next = scratches;
    scratches = scratch;
    pthread_mutex_unlock(&scratches_lock);
    return &scratch->buffer;
}

static int destroy(lua_State *L) {
    struct scratch *scratch = lua_touserdata(L, BUFFER), **at = &scratches;

    pthread_mutex_lock(&scratches_lock);
    while (*at != scratch) at = &(*at)->next;
    *at = scratch->next;
    pthread_mutex_unlock(&scratches_lock);
    tide_buffer_destroy(&scratch->buffer);
    tide_free(scratch);
    return 0;
}

int tide_vm_packer(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);

    struct tide_buffer *out = scratch_new();

    lua_pushlightuserdata(L, out);
    lua_insert(L, 1);
    lua_newuserdata(L, 1); /* upvalue 4 of pack: goes with it, and takes the buffer along */
    lua_newtable(L);
    lua_pushlightuserdata(L, out);
    lua_pushcclosure(L, destroy, 1);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, pack, 4);
    lua_pushlightuserdata(L, out);
    return 2;
}
