/*
 * Protected calls from C into Lua. Arguments are pushed inside the protected call, so that an error leaks nothing.
 */
#include "vm/call.h"

#include <lauxlib.h>
#include <lua.h>

static int traceback(lua_State *L) {
    if (lua_isstring(L, 1) || luaL_getmetafield(L, 1, "__tostring")) {
        lua_settop(L, 1);
        lua_getglobal(L, "tostring");
        lua_insert(L, 1);
        lua_call(L, 1, 1);
        luaL_traceback(L, L, lua_tostring(L, 1), 1);
    }
    return 1;
}

/* Not protected, so it must not convert a number to a string: that may collect garbage, and finalizers may raise. */
static int take_error(lua_State *L, struct tide_error *err) {
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;

    tide_error_set(err, TIDE_ECLOSURE, "%s", text ? text : "(the error is not a string)");
    lua_pop(L, 1);
    return TIDE_ECLOSURE;
}

/* Calls f with `arg` as light userdata; its error becomes err, with a traceback. */
static int protected(lua_State *L, lua_CFunction f, void *arg, struct tide_error *err) {
    lua_pushcfunction(L, traceback);
    lua_pushcfunction(L, f);
    lua_pushlightuserdata(L, arg);

    int code = lua_pcall(L, 1, 0, -3) == 0 ? TIDE_OK : take_error(L, err);

    lua_pop(L, 1);
    return code;
}

/* Pushes require(module)[function]. */
static void push_function(lua_State *L, const char *module, const char *function) {
    lua_getglobal(L, "require");
    lua_pushstring(L, module);
    lua_call(L, 1, 1);
    if (lua_istable(L, -1)) lua_getfield(L, -1, function);
    else lua_pushnil(L);
    if (!lua_isfunction(L, -1)) luaL_error(L, "module '%s' has no function '%s'", module, function);
    lua_remove(L, -2);
}

struct main_call {
    const char *module, *function;
    int argc;
    char **argv;
    int result;
};

static int call_main(lua_State *L) {
    struct main_call *call = lua_touserdata(L, 1);

    push_function(L, call->module, call->function);
    lua_createtable(L, call->argc, 1);
    for (int i = 0; i < call->argc; i++) {
        lua_pushstring(L, call->argv[i]);
        lua_rawseti(L, -2, i);
    }
    lua_call(L, 1, 1);
    call->result = (int)lua_tointeger(L, -1);
    return 0;
}

int tide_vm_call_main(lua_State *L, const char *module, const char *function, int argc, char **argv, int *result,
                      struct tide_error *err) {
    struct main_call call = {module, function, argc, argv, 0};
    int code = protected(L, call_main, &call, err);

    if (code == TIDE_OK) *result = call.result;
    return code;
}

struct reference_call {
    const char *module, *function;
    int reference;
};

static int make_reference(lua_State *L) {
    struct reference_call *call = lua_touserdata(L, 1);

    push_function(L, call->module, call->function);
    call->reference = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

int tide_vm_reference(lua_State *L, const char *module, const char *function, struct tide_error *err) {
    struct reference_call call = {module, function, 0};
    int code = protected(L, make_reference, &call, err);

    return code == TIDE_OK ? call.reference : code;
}

int tide_vm_call_pointer(lua_State *L, int reference, void *pointer, struct tide_error *err) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
    lua_pushlightuserdata(L, pointer);
    if (lua_pcall(L, 1, 0, 0) != 0) return take_error(L, err);
    return 0;
}

struct collection {
    int kb;
    bool ended;
};

static int collect(lua_State *L) {
    struct collection *collection = lua_touserdata(L, 1);

    collection->ended = lua_gc(L, collection->kb > 0 ? LUA_GCSTEP : LUA_GCCOLLECT, collection->kb) != 0;
    return 0;
}

bool tide_vm_collect(lua_State *L, int kb, struct tide_error *err) {
    struct collection collection = {.kb = kb};

    if (lua_cpcall(L, collect, &collection) != 0) take_error(L, err);
    return collection.ended || kb == 0;
}
