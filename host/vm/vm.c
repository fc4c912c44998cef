/*
 * Builds LuaJIT states. Driver and worker states are made here only, so that a closure finds the same environment in
 * both.
 */
#include "vm/vm.h"

#include <dlfcn.h>
#include <lauxlib.h>
#include <lua.h>
#include <luajit.h>
#include <lualib.h>
#include <string.h>

#include "vm/gcstress.h"
#include "vm/modules.h"
#include "vm/walk.h"

/* package.preload entry of an embedded module: upvalue 1 is the module's record. */
static int load_embedded(lua_State *L) {
    const struct tide_embedded_module *module = lua_touserdata(L, lua_upvalueindex(1));

    if (luaL_loadbuffer(L, module->data, module->size, module->chunk) != 0) return lua_error(L);
    lua_pushstring(L, module->name);
    lua_call(L, 1, 1);
    return 1;
}

/* The table package.preload is on top of the stack. */
static void preload(lua_State *L, const struct tide_embedded_module *module) {
    lua_pushlightuserdata(L, (void *)module);
    lua_pushcclosure(L, load_embedded, 1);
    lua_setfield(L, -2, module->name);
}

void tide_vm_preload(lua_State *L, const char *name) {
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    preload(L, tide_embedded_find(name));
    lua_pop(L, 2);
}

static void set_path(lua_State *L, const char *field, const char *value) {
    if (!value) return;
    lua_getglobal(L, "package");
    lua_pushstring(L, value);
    lua_setfield(L, -2, field);
    lua_pop(L, 1);
}

/*
 * Machine code is allocated near the LuaJIT library's own code, a region all states share: each takes at
 * most 8 MB of it. More room for traces and side traces than the defaults, because a worker lives long and runs
 * many different stages.
 */
static const char jit_setup[] =
    "local jit_opt = require 'jit.opt'\n"
    "jit_opt.start('maxmcode=8192', 'sizemcode=256', 'maxtrace=4000', 'maxrecord=8000', 'maxside=200',\n"
    "  'maxsnap=1000', 'loopunroll=20', 'hotloop=40')\n";

const char *tide_vm_push_library(lua_State *L) {
    /* Not RTLD_DEFAULT: that also searches the shared object that asks. */
    void *program = dlopen(NULL, RTLD_LAZY), *seen = program ? dlsym(program, "tide_vm_new") : NULL;
    Dl_info info;

    if (program) dlclose(program);
    if (seen == (void *)tide_vm_new) {
        lua_pushboolean(L, 0);
        return NULL;
    }
    if (dladdr((void *)tide_vm_new, &info) == 0)
        luaL_error(L, "the file of the C module moontide.core can't be found");
    /* Relative or not: the loader finds a loaded object by this name, also after a chdir. */
    lua_pushstring(L, info.dli_fname);
    return lua_tostring(L, -1);
}

static int setup(lua_State *L) {
    const struct tide_vm_options *options = lua_touserdata(L, 1);

    luaL_openlibs(L);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    for (const struct tide_embedded_module *m = tide_embedded_modules; m->name; m++) preload(L, m);
    lua_pushcfunction(L, tide_vm_open_walk);
    lua_setfield(L, -2, "moontide.walk");
    if (options->open_core) {
        lua_pushcfunction(L, options->open_core);
        lua_setfield(L, -2, "moontide.core");
    }
    lua_pop(L, 2);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "loaded");
    tide_vm_push_library(L);
    lua_setfield(L, -2, "moontide.library");
    lua_pop(L, 2);
    set_path(L, "path", options->package_path);
    set_path(L, "cpath", options->package_cpath);
    if (luaL_dostring(L, jit_setup) != 0) return lua_error(L);
    return 0;
}

lua_State *tide_vm_new(const struct tide_vm_options *options, struct tide_error *err) {
    lua_State *L = tide_gcstress_newstate();

    if (!L) {
        tide_error_set(err, TIDE_ENOMEM, "a Lua state could not be created: out of memory");
        return NULL;
    }
    lua_gc(L, LUA_GCSTOP, 0);
    int status = lua_cpcall(L, setup, (void *)options);
    lua_gc(L, LUA_GCRESTART, 0);
    if (status != 0) {
        const char *text = lua_tostring(L, -1);
        tide_error_set(err, TIDE_ESTATE, "a Lua state could not be set up: %s", text ? text : "unknown error");
        tide_gcstress_close(L);
        return NULL;
    }
    return L;
}

void tide_vm_delete(lua_State *L) {
    if (L) tide_gcstress_close(L);
}
