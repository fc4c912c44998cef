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

enum {
    BUFFER = lua_upvalueindex(1),
    ARRAY_MT = lua_upvalueindex(2),
    OBJECT_MT = lua_upvalueindex(3),
    NULLS = lua_upvalueindex(4)
};
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

    if (!a->text || !b->text) {
        if (a->text) return 1;
        if (b->text) return -1;
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

/* The number of keys of a table, and its length when every key is a positive whole number and few are missing, else
 * 0. The same rule as array_length in vm/walk.c. */
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

static bool put_bytes(struct tide_buffer *out, const void *bytes, size_t size) {
    if (!tide_buffer_reserve_try(out, size)) return false;
    tide_buffer_append(out, bytes, size);
    return true;
}

static bool put_null(struct tide_buffer *out) { return put_bytes(out, (const uint8_t[]){0xc7, 0, TIDE_EXT_NULL}, 3); }

/* The meaning of a table's metatable. */
enum mark { MARK_NONE, MARK_ARRAY, MARK_OBJECT, MARK_NULL, MARK_UNKNOWN };

/* __jsontype of the metatable on top of the stack, if it has no other field. */
static enum mark json_mark(lua_State *L) {
    enum mark mark = MARK_UNKNOWN;

    lua_pushliteral(L, "__jsontype");
    lua_rawget(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING) {
        const char *text = lua_tostring(L, -1);

        if (strcmp(text, "array") == 0) mark = MARK_ARRAY;
        else if (strcmp(text, "object") == 0) mark = MARK_OBJECT;
    }
    lua_pop(L, 1);
    if (mark == MARK_UNKNOWN) return mark;
    lua_pushnil(L);
    lua_next(L, -2);
    lua_pop(L, 1);
    if (lua_next(L, -2)) {
        lua_pop(L, 2);
        return MARK_UNKNOWN;
    }
    return mark;
}

static enum mark mark_of(lua_State *L, int table) {
    enum mark mark;

    if (!lua_getmetatable(L, table)) return MARK_NONE;
    if (lua_rawequal(L, -1, ARRAY_MT)) mark = MARK_ARRAY;
    else if (lua_rawequal(L, -1, OBJECT_MT)) mark = MARK_OBJECT;
    else mark = json_mark(L);
    lua_pop(L, 1);
    if (mark != MARK_UNKNOWN) return mark;
    lua_pushvalue(L, table);
    lua_rawget(L, NULLS);
    if (lua_toboolean(L, -1)) mark = MARK_NULL;
    lua_pop(L, 1);
    return mark;
}

static bool put_table(lua_State *L, struct tide_buffer *out, int table, int depth) {
    if (depth > MAX_DEPTH || !lua_checkstack(L, 8)) return false;

    enum mark mark = mark_of(L, table);

    if (mark == MARK_UNKNOWN) return false;
    if (mark == MARK_NULL) return put_null(out);

    double length;
    uint32_t count = measure(L, table, &length);
    int top = lua_gettop(L);
    bool done;

    if (count == 0 && mark == MARK_OBJECT) done = put_bytes(out, (const uint8_t[]){0xde, 0, 0}, 3);
    else if (length > 0 || (count == 0 && mark == MARK_ARRAY))
        done = put_array(L, out, table, (uint32_t)length, depth);
    else done = put_map(L, out, table, count, depth);
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
    case LUA_TLIGHTUSERDATA: return !lua_touserdata(L, index) && put_null(out);
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

/* The buffers of all states, so that those of a state that is left behind (task/worker.c) stay within reach. On the
 * heap, and not in Lua's memory: ThreadSanitizer does not see that Lua gives that back between two threads. */
struct scratch {
    struct tide_buffer buffer; /* first: pack uses only this */
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
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);

    struct tide_buffer *out = scratch_new();

    lua_pushlightuserdata(L, out);
    lua_insert(L, 1);
    lua_newuserdata(L, 1); /* upvalue 5 of pack: its __gc frees the buffer with pack */
    lua_newtable(L);
    lua_pushlightuserdata(L, out);
    lua_pushcclosure(L, destroy, 1);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pushcclosure(L, pack, 5);
    lua_pushlightuserdata(L, out);
    return 2;
}
