/*
 * The C module "moontide.core": its opener and its plain functions.
 *
 * Called by Lua on the driver thread.
 */
#include "base/log.h"
#include "base/machine.h"
#include "bind/bind.h"
#include "bind/object.h"
#include "clock/clock.h"
#include "process/supervisor.h"
#include "store/block.h"
#include "tide.h"
#include "vm/gcstress.h"
#include "vm/vm.h"
#include "vm/walk.h"

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

static int core_library(lua_State *L) { return tide_vm_push_library(L) ? 1 : 0; }

static int core_live_blocks(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_block_live());
    lua_pushnumber(L, (lua_Number)tide_block_live_bytes());
    return 2;
}

static int core_live_rdds(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_rdd_live());
    return 1;
}

/* Processors and bytes of memory (0: not known) that the process may use. Tests give a folder to read instead of
 * "/". */
static int core_machine(lua_State *L) {
    const char *root = luaL_optstring(L, 1, "");

    lua_pushnumber(L, (lua_Number)tide_machine_processors(root));
    lua_pushnumber(L, (lua_Number)tide_machine_memory(root));
    return 2;
}

/* Before any engine: the process must have no other thread. Nothing in a job; in the supervisor, at its end, the exit
 * code. */
static int core_supervise(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);

    struct tide_supervision how = {
        .wait_ms = (uint64_t)tide_bind_field_whole(L, 1, "wait", 0, TIDE_BIND_MOST, INT64_MIN),
        .most_wait_ms = (uint64_t)tide_bind_field_whole(L, 1, "mostWait", 0, TIDE_BIND_MOST, INT64_MIN),
        .restarts = (uint32_t)tide_bind_field_whole(L, 1, "restarts", 0, 1000, INT64_MIN),
        .window_ms = (uint64_t)tide_bind_field_whole(L, 1, "window", 0, TIDE_BIND_MOST, INT64_MIN),
    };
    int code = tide_supervise(&how);

    if (code == TIDE_SUPERVISE_JOB) return 0;
    lua_pushinteger(L, code);
    return 1;
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
        {"supervise", core_supervise},
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
    tide_bind_open(L);
    tide_bind_engine(L);
    tide_bind_rdd(L);
    tide_bind_graph(L);
    tide_bind_stream(L);
    tide_bind_slice(L);
    tide_bind_arity(L);
    tide_bind_files(L);

    lua_newtable(L);
    tide_gcstress_register(L, functions);
    lua_pushstring(L, tide_version());
    lua_setfield(L, -2, "version");
    return 1;
}
