/*
 * The userdata of the C module, checks of arguments, and errors of C as values and as errors of Lua (see object.h).
 */
#include "bind/object.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "vm/gcstress.h"

#define KNOWN "moontide.core.known"
#define ERROR_TEXT "moontide.core.error_text"

static const char *error_text(const struct tide_error *err) {
    return err->text ? err->text : tide_error_name(err->code);
}

/* Called protected: an out-of-memory error of Lua must not leak the text. */
static int push_error_text(lua_State *L) {
    struct tide_error *err = lua_touserdata(L, 1);

    lua_pushstring(L, error_text(err));
    return 1;
}

/* ---- Userdata ------------------------------------------------------------------------------------------------- */

static int object_tostring(lua_State *L) {
    luaL_getmetafield(L, 1, "__moontide");
    lua_pushfstring(L, "moontide %s: %p", lua_tostring(L, -1), lua_touserdata(L, 1));
    return 1;
}

void tide_bind_class(lua_State *L, const char *name, const char *title, const luaL_Reg *methods, lua_CFunction gc) {
    luaL_newmetatable(L, name);
    lua_pushstring(L, title);
    lua_setfield(L, -2, "__moontide");
    lua_pushcfunction(L, object_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_newtable(L);
    tide_gcstress_register(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void tide_bind_add_methods(lua_State *L, const char *name, const luaL_Reg *methods) {
    luaL_getmetatable(L, name);
    lua_getfield(L, -1, "__index");
    tide_gcstress_register(L, methods);
    lua_pop(L, 2);
}

struct tide_bind_object *tide_bind_new(lua_State *L, int parent, const char *name) {
    struct tide_bind_object *from = lua_touserdata(L, parent);

    lua_getfenv(L, parent);

    struct tide_bind_object *object = lua_newuserdata(L, sizeof *object);

    object->pointer = NULL;
    object->handle = from->handle;
    object->handle->refs++;
    luaL_getmetatable(L, name); /* from here on __gc releases the handle */
    lua_setmetatable(L, -2);
    lua_insert(L, -2);
    lua_setfenv(L, -2);
    return object;
}

void tide_bind_push_rdd(lua_State *L, int parent, struct tide_rdd *rdd) {
    struct tide_bind_object *object = tide_bind_new(L, parent, TIDE_BIND_RDD);

    object->pointer = tide_rdd_retain(rdd);
}

void tide_bind_push_rdds(lua_State *L, int parent, struct tide_rdd *const *rdds, uint32_t count) {
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        tide_bind_push_rdd(L, parent, rdds[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
}

void tide_bind_open(lua_State *L) {
    lua_pushcfunction(L, push_error_text);
    lua_setfield(L, LUA_REGISTRYINDEX, ERROR_TEXT);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, KNOWN);
}

/* Keys are numbers: exact for every address, which light userdata is not on all machines. */
bool tide_bind_known(lua_State *L, const void *pointer) {
    lua_getfield(L, LUA_REGISTRYINDEX, KNOWN);
    lua_pushnumber(L, (lua_Number)(uintptr_t)pointer);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1)) return true;
    lua_pop(L, 1);
    return false;
}

void tide_bind_remember(lua_State *L, const void *pointer) {
    lua_getfield(L, LUA_REGISTRYINDEX, KNOWN);
    lua_pushnumber(L, (lua_Number)(uintptr_t)pointer);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

void tide_bind_drop_handle(struct tide_bind_object *object) {
    struct tide_bind_handle *handle = object->handle;

    object->handle = NULL;
    if (handle && --handle->refs == 0) tide_free(handle);
}

/* ---- Arguments ------------------------------------------------------------------------------------------------ */

struct tide_bind_object *tide_bind_test(lua_State *L, int index, const char *name) {
    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index)) return NULL;
    luaL_getmetatable(L, name);

    bool same = lua_rawequal(L, -1, -2);

    lua_pop(L, 2);
    return same ? lua_touserdata(L, index) : NULL;
}

struct tide_bind_object *tide_bind_check(lua_State *L, int index, const char *name) {
    struct tide_bind_object *object = tide_bind_test(L, index, name);

    if (object) return object;

    const char *got = luaL_typename(L, index);

    if (luaL_getmetafield(L, index, "__moontide")) got = lua_tostring(L, -1);
    luaL_getmetatable(L, name);
    lua_getfield(L, -1, "__moontide");
    luaL_argerror(L, index, lua_pushfstring(L, "%s expected, got %s", lua_tostring(L, -1), got));
    return NULL;
}

struct tide_engine *tide_bind_engine_of(lua_State *L, const struct tide_bind_object *object) {
    struct tide_engine *engine = object->handle ? object->handle->engine : NULL;

    if (!engine) luaL_error(L, "the engine has been closed: its datasets, jobs and streams can't be used any more");
    return engine;
}

struct tide_rdd *tide_bind_check_rdd(lua_State *L, int index) {
    struct tide_bind_object *object = tide_bind_check(L, index, TIDE_BIND_RDD);

    tide_bind_engine_of(L, object);
    return object->pointer;
}

struct tide_rdd *tide_bind_check_own_rdd(lua_State *L, int at, int argument) {
    const struct tide_bind_object *self = lua_touserdata(L, 1);
    const struct tide_bind_object *rdd = tide_bind_test(L, at, TIDE_BIND_RDD);

    if (rdd && rdd->handle == self->handle) return rdd->pointer;
    luaL_argerror(L, argument, "dataset of the same engine expected");
    return NULL;
}

/* The value on top as a whole number; `field` NULL: it is argument `index`, else that field of the table there. */
static int64_t check_whole(lua_State *L, int index, int64_t low, int64_t high, const char *what, const char *field) {
    double number = lua_tonumber(L, -1);

    if (lua_type(L, -1) == LUA_TNUMBER && number >= (double)low && number <= (double)high && floor(number) == number)
        return (int64_t)number;

    const char *got = lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1) : luaL_typename(L, -1);

    luaL_argerror(L, index,
                  lua_pushfstring(L, "%s%s must be a whole number from %f to %f, got %s", field ? "field " : "", what,
                                  (lua_Number)low, (lua_Number)high, got));
    return 0;
}

int64_t tide_bind_check_whole(lua_State *L, int index, int64_t low, int64_t high, const char *what) {
    lua_pushvalue(L, index);

    int64_t number = check_whole(L, index, low, high, what, NULL);

    lua_pop(L, 1);
    return number;
}

int64_t tide_bind_field_whole(lua_State *L, int table, const char *name, int64_t low, int64_t high, int64_t absent) {
    int64_t number = absent;

    lua_getfield(L, table, name);
    if (!lua_isnil(L, -1) || absent == INT64_MIN) number = check_whole(L, table, low, high, name, name);
    lua_pop(L, 1);
    return number;
}

bool tide_bind_field_boolean(lua_State *L, int table, const char *name, bool absent) {
    lua_getfield(L, table, name);
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
        luaL_argerror(L, table, lua_pushfstring(L, "field %s must be a boolean, got %s", name, luaL_typename(L, -1)));

    bool value = lua_isnil(L, -1) ? absent : lua_toboolean(L, -1) != 0;

    lua_pop(L, 1);
    return value;
}

/* ---- Answers -------------------------------------------------------------------------------------------------- */

void tide_bind_set_number(lua_State *L, const char *name, double number) {
    lua_pushnumber(L, number);
    lua_setfield(L, -2, name);
}

int tide_bind_failure(lua_State *L, struct tide_error *err) {
    const char *name = tide_error_name(err->code);

    lua_pushnil(L);
    lua_getfield(L, LUA_REGISTRYINDEX, ERROR_TEXT); /* not a new closure, which may raise */
    lua_pushlightuserdata(L, err);

    int status = lua_pcall(L, 1, 1, 0);

    tide_error_clear(err);
    if (status != 0) lua_error(L);
    lua_pushstring(L, name);
    return 3;
}

int tide_bind_refuse(lua_State *L, struct tide_error *err) {
    tide_bind_failure(L, err);
    lua_pop(L, 1);
    return lua_error(L);
}

void tide_bind_set_error(lua_State *L, const struct tide_error *err, const char *name, const char *code_name) {
    if (err->code == TIDE_OK && !err->text) return;
    lua_pushstring(L, error_text(err));
    lua_setfield(L, -2, name);
    if (err->code == TIDE_OK) return;
    lua_pushstring(L, tide_error_name(err->code));
    lua_setfield(L, -2, code_name);
}
