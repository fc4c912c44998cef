/*
 * The C module "moontide.core": its opener, its plain functions, and the helpers that the files of bind/ share.
 *
 * Called by Lua on the driver thread. Everything here is check → call → map; nothing owned by C is held while something
 * that may raise is called.
 */
#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/machine.h"
#include "bind/bind.h"
#include "clock/clock.h"
#include "store/block.h"
#include "tide.h"
#include "vm/gcstress.h"
#include "vm/vm.h"
#include "vm/walk.h"
#include "wire/unpack.h"

#define KNOWN "moontide.core.known"

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
    luaL_getmetatable(L, name); /* from here on __gc gives the handle back */
    lua_setmetatable(L, -2);
    lua_insert(L, -2);
    lua_setfenv(L, -2);
    return object;
}

void tide_bind_push_rdd(lua_State *L, int parent, struct tide_rdd *rdd) {
    tide_bind_new(L, parent, TIDE_BIND_RDD)->pointer = tide_rdd_retain(rdd);
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

/* Descriptors are spliced into plans unread, so what is no single MessagePack map must not get in. */
static const char *check_descriptor(lua_State *L, int at, int argument, size_t *size) {
    if (lua_type(L, at) != LUA_TSTRING)
        luaL_argerror(L, argument, lua_pushfstring(L, "operator descriptor expected, got %s", luaL_typename(L, at)));

    const char *bytes = lua_tolstring(L, at, size);
    const uint8_t *begin = (const uint8_t *)bytes;

    if (*size > UINT32_MAX || tide_unpack_value(begin, begin + *size).type != TIDE_VALUE_MAP ||
        tide_unpack_skip(begin, begin + *size) != begin + *size)
        luaL_argerror(L, argument, "operator descriptor expected: one MessagePack map");
    return bytes;
}

struct tide_op *tide_bind_check_op(lua_State *L, int index, bool keeps_keys) {
    size_t size = 0;
    const char *bytes = check_descriptor(L, index, index, &size);

    return tide_op_new(bytes, size, keeps_keys);
}

/* Field `name` as a descriptor, left on the stack; NULL when it is absent. */
static const char *field_descriptor(lua_State *L, int table, const char *name, size_t *size) {
    *size = 0;
    lua_getfield(L, table, name);
    return lua_isnil(L, -1) ? NULL : check_descriptor(L, lua_gettop(L), table, size);
}

struct tide_exchange *tide_bind_check_exchange(lua_State *L, int index) {
    static const char *const names[] = {"hash", "roundrobin", "single", "range", NULL};
    static const enum tide_route routes[] = {TIDE_ROUTE_HASH, TIDE_ROUTE_ROUNDROBIN, TIDE_ROUTE_SINGLE,
                                             TIDE_ROUTE_RANGE};
    int route = 0;

    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "route");
    for (const char *name = lua_tostring(L, -1); names[route]; route++)
        if (name && strcmp(name, names[route]) == 0) break;
    if (!names[route])
        luaL_argerror(L, index, "field route must be \"hash\", \"roundrobin\", \"single\" or \"range\"");
    lua_pop(L, 1);

    int64_t partitions = tide_bind_field_whole(L, index, "partitions", 1, TIDE_RDD_MAX_PARTITIONS,
                                               routes[route] == TIDE_ROUTE_SINGLE ? 1 : INT64_MIN);
    bool ascending = tide_bind_field_boolean(L, index, "ascending", true);
    size_t write_size, read_size;
    const char *write = field_descriptor(L, index, "write", &write_size);
    const char *read = field_descriptor(L, index, "read", &read_size);

    lua_getfield(L, index, "inPlace");

    bool as_is = lua_isboolean(L, -1) && lua_toboolean(L, -1) && routes[route] == TIDE_ROUTE_HASH;
    bool stays = as_is || (lua_isstring(L, -1) && routes[route] == TIDE_ROUTE_HASH);

    if (!lua_isnil(L, -1) && !stays)
        luaL_argerror(L, index, "field inPlace goes with route \"hash\": true or a descriptor");

    size_t here_size = 0;
    const char *here = stays && !as_is ? check_descriptor(L, lua_gettop(L), index, &here_size) : NULL;

    /* Of a partitioner of the script: its descriptor, and what makes it the same as another. */
    size_t by_size, identity_size = 0;
    const char *by = field_descriptor(L, index, "partitioner", &by_size);

    lua_getfield(L, index, "identity");

    const char *identity = lua_tolstring(L, -1, &identity_size);

    if (by && (!identity || routes[route] != TIDE_ROUTE_HASH))
        luaL_argerror(L, index, "field partitioner goes with route \"hash\" and a field identity");

    /* Nothing raises from here on. */
    struct tide_op *write_op = write ? tide_op_new(write, write_size, false) : NULL;
    struct tide_op *read_op = read ? tide_op_new(read, read_size, false) : NULL;
    struct tide_exchange *exchange =
        tide_exchange_new(routes[route], (uint32_t)partitions, ascending, write_op, read_op);

    if (by) {
        struct tide_partitioner *partitioner = tide_partitioner_new(identity, identity_size, by, by_size);

        tide_exchange_partition_by(exchange, partitioner);
        tide_partitioner_release(partitioner);
    }
    if (stays) {
        struct tide_op *here_op = here ? tide_op_new(here, here_size, true) : NULL;

        tide_exchange_set_in_place(exchange, here_op);
        tide_op_release(here_op);
    }
    tide_op_release(write_op);
    tide_op_release(read_op);
    lua_pop(L, 5);
    return exchange;
}

/* ---- Answers -------------------------------------------------------------------------------------------------- */

static const char *error_text(const struct tide_error *err) {
    return err->text ? err->text : tide_error_name(err->code);
}

/* The text is heap memory of C: it is copied under protection, so that running out of memory in Lua loses neither. */
static int push_error_text(lua_State *L) {
    struct tide_error *err = lua_touserdata(L, 1);

    lua_pushstring(L, error_text(err));
    return 1;
}

int tide_bind_failure(lua_State *L, struct tide_error *err) {
    const char *name = tide_error_name(err->code);

    lua_pushnil(L);
    lua_pushcfunction(L, push_error_text);
    lua_pushlightuserdata(L, err);

    int status = lua_pcall(L, 1, 1, 0);

    tide_error_clear(err);
    if (status != 0) lua_error(L);
    lua_pushstring(L, name);
    return 3;
}

void tide_bind_set_error(lua_State *L, const struct tide_error *err, const char *name, const char *code_name) {
    if (err->code == TIDE_OK && !err->text) return;
    lua_pushstring(L, error_text(err));
    lua_setfield(L, -2, name);
    if (err->code == TIDE_OK) return;
    lua_pushstring(L, tide_error_name(err->code));
    lua_setfield(L, -2, code_name);
}

/* ---- Plain functions ------------------------------------------------------------------------------------------ */

static int core_monotonic(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_clock_monotonic_ns() / 1e9);
    return 1;
}

static int core_wall(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_clock_wall_ms());
    return 1;
}

static enum tide_log_level check_level(lua_State *L, int index) {
    int level = tide_log_level_parse(luaL_checkstring(L, index));

    if (level < 0)
        luaL_argerror(
            L, index,
            lua_pushfstring(L, "unknown log level '%s' (debug, info, warn, error, off)", lua_tostring(L, index)));
    return (enum tide_log_level)level;
}

static int core_log(lua_State *L) {
    tide_log(check_level(L, 1), luaL_checkstring(L, 2), "%s", luaL_checkstring(L, 3));
    return 0;
}

static int core_log_level(lua_State *L) {
    tide_log_set_level(check_level(L, 1));
    return 0;
}

/* In the program our symbols are everybody's, and ffi.C finds them. In a module that `require` loaded they are not. */
static int core_library(lua_State *L) {
    Dl_info info;
    char path[PATH_MAX];

    /* Not RTLD_DEFAULT: that also searches the shared object that asks. */
    void *program = dlopen(NULL, RTLD_LAZY);
    void *seen = program ? dlsym(program, "tide_block_new") : NULL;

    if (program) dlclose(program);
    if (seen == (void *)(uintptr_t)tide_block_new) return 0;
    if (dladdr((void *)(uintptr_t)luaopen_moontide_core, &info) == 0 || !realpath(info.dli_fname, path))
        return luaL_error(L, "the file of the C module moontide.core can't be found");
    lua_pushstring(L, path);
    return 1;
}

static int core_live_blocks(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_block_live());
    lua_pushnumber(L, (lua_Number)tide_block_live_bytes());
    return 2;
}

static int core_live_rdds(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_rdd_live());
    return 1;
}

/* What the process may have: processors, and bytes of memory (0: not known). For tests with the folder that stands for "/". */
static int core_machine(lua_State *L) {
    const char *root = luaL_optstring(L, 1, "");

    lua_pushnumber(L, (lua_Number)tide_machine_processors(root));
    lua_pushnumber(L, (lua_Number)tide_machine_memory(root));
    return 2;
}

int luaopen_moontide_core(lua_State *L) {
    static const luaL_Reg functions[] = {
        {"monotonic", core_monotonic},
        {"wall", core_wall},
        {"log", core_log},
        {"logLevel", core_log_level},
        {"library", core_library},
        {"liveBlocks", core_live_blocks},
        {"liveRdds", core_live_rdds},
        {"machine", core_machine},
        {"engine", tide_bind_engine_new},
        {NULL, NULL},
    };

    /* In the program the state's constructor has done these. */
    tide_gcstress_adopt(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushcfunction(L, tide_vm_open_walk);
    lua_setfield(L, -2, "moontide.walk");
    lua_pop(L, 2);
    tide_vm_preload(L, "moontide.wire.cdef");
    lua_newtable(L);
    lua_newtable(L);
    lua_pushliteral(L, "v");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    lua_setfield(L, LUA_REGISTRYINDEX, KNOWN);

    tide_bind_engine(L);
    tide_bind_rdd(L);
    tide_bind_stream(L);
    tide_bind_arity(L);

    lua_newtable(L);
    tide_gcstress_register(L, functions);
    lua_pushstring(L, tide_version());
    lua_setfield(L, -2, "version");
    return 1;
}
