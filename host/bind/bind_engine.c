/*
 * The engine for Lua: core.engine{}, its turns, its events as tables, closing it.
 *
 * Called by Lua on the driver thread. The engine's userdata owns the engine; objects see through its handle when it
 * has been closed. An event stays in the queue until its table is complete, so that an error while the table is made
 * loses nothing.
 */
#include <string.h>

#include "base/alloc.h"
#include "bind/bind.h"
#include "bind/object.h"
#include "driver/event.h"
#include "driver/job.h"

/* Default time in ms that running tasks get before they are interrupted. */
enum { CLOSE_TIMEOUT = 1000 };

static struct tide_engine *check_engine(lua_State *L) {
    return tide_bind_engine_of(L, tide_bind_check(L, 1, TIDE_BIND_ENGINE));
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

static const char *field_text(lua_State *L, int table, const char *name) {
    lua_getfield(L, table, name); /* stays on the stack: the text must live */
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_argerror(L, table, lua_pushfstring(L, "field %s must be a string, got %s", name, luaL_typename(L, -1)));
    return lua_tostring(L, -1);
}

int tide_bind_engine_new(lua_State *L) {
    struct tide_error err = {0};

    luaL_checktype(L, 1, LUA_TTABLE);

    struct tide_engine_options options = {
        .workers = (uint32_t)tide_bind_field_whole(L, 1, "workers", 1, 1024, INT64_MIN),
        .package_path = field_text(L, 1, "packagePath"),
        .package_cpath = field_text(L, 1, "packageCpath"),
        .task_timeout = (int64_t)tide_bind_field_whole(L, 1, "taskTimeout", 0, 1e15, 0),
        .max_failures = (uint32_t)tide_bind_field_whole(L, 1, "maxFailures", 1, INT32_MAX, 1),
        .memory_limit = (uint64_t)tide_bind_field_whole(L, 1, "memoryLimit", 1, INT64_C(1) << 53, 0),
        .receive_limit = (uint64_t)tide_bind_field_whole(L, 1, "socketMemory", 1, INT64_C(1) << 53, 0),
        .spill_directory = field_text(L, 1, "spillDirectory"),
    };
    struct tide_bind_object *object = lua_newuserdata(L, sizeof *object);

    object->pointer = NULL;
    object->handle = NULL;
    luaL_getmetatable(L, TIDE_BIND_ENGINE);
    lua_setmetatable(L, -2);
    lua_createtable(L, 1, 0); /* the environment of the whole family: it references the engine */
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);

    object->handle = tide_xcalloc(1, sizeof *object->handle);
    object->handle->refs = 1;
    object->handle->engine = tide_engine_new(&options, &err);
    return object->handle->engine ? 1 : tide_bind_failure(L, &err);
}

static int close_engine(struct tide_bind_object *object, uint64_t timeout_ms) {
    struct tide_engine *engine = object->handle ? object->handle->engine : NULL;

    if (!engine) return TIDE_OK;
    object->handle->engine = NULL;
    return tide_engine_delete(engine, timeout_ms);
}

static int engine_close(lua_State *L) {
    struct tide_bind_object *object = tide_bind_check(L, 1, TIDE_BIND_ENGINE);
    uint64_t timeout = CLOSE_TIMEOUT;
    struct tide_error err = {0};

    if (!lua_isnoneornil(L, 2)) timeout = (uint64_t)tide_bind_check_whole(L, 2, 0, INT32_MAX, "timeout");
    if (close_engine(object, timeout) != TIDE_OK) {
        tide_error_set(&err, TIDE_ETIMEOUT, "a worker is stuck in a C function and was left behind");
        return tide_bind_failure(L, &err);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int engine_gc(lua_State *L) {
    struct tide_bind_object *object = lua_touserdata(L, 1);

    close_engine(object, CLOSE_TIMEOUT);
    tide_bind_drop_handle(object);
    return 0;
}

/* ---- Turning -------------------------------------------------------------------------------------------------- */

static int engine_turn(lua_State *L) {
    struct tide_engine *engine = check_engine(L);
    int64_t timeout = lua_isnoneornil(L, 2) ? -1 : tide_bind_check_whole(L, 2, -1, INT64_C(1) << 53, "timeout");

    lua_pushnumber(L, tide_engine_turn(engine, timeout));
    return 1;
}

static int engine_workers(lua_State *L) {
    lua_pushnumber(L, tide_engine_workers(check_engine(L)));
    return 1;
}

static int engine_seed(lua_State *L) {
    tide_scheduler_set_seed(tide_engine_scheduler(check_engine(L)), luaL_checknumber(L, 2));
    return 0;
}

static int engine_interrupt(lua_State *L) {
    tide_pool_interrupt(tide_engine_pool(check_engine(L)));
    return 0;
}

static int engine_describe(lua_State *L) {
    struct tide_engine *engine = check_engine(L);
    char text[512];
    int count = 0;

    lua_newtable(L);
    for (uint32_t i = 0; i < tide_engine_workers(engine); i++) {
        if (!tide_engine_describe(engine, i, text, sizeof text)) continue;
        lua_pushstring(L, text);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* Cached data in bytes, in memory and on disk; how often it was spilled or dropped. */
static int engine_memory(lua_State *L) {
    struct tide_cache_figures figures;

    tide_cache_figures(tide_engine_cache(check_engine(L)), &figures);
    lua_createtable(L, 0, 6);
    tide_bind_set_number(L, "limit", (double)figures.limit);
    tide_bind_set_number(L, "memory", (double)figures.memory);
    tide_bind_set_number(L, "peak", (double)figures.peak);
    tide_bind_set_number(L, "disk", (double)figures.disk);
    tide_bind_set_number(L, "spilled", (double)figures.spilled);
    tide_bind_set_number(L, "dropped", (double)figures.dropped);
    return 1;
}

static int engine_watch_signals(lua_State *L) {
    struct tide_error err = {0};

    if (tide_engine_watch_signals(check_engine(L), &err) != TIDE_OK) return tide_bind_failure(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- Events --------------------------------------------------------------------------------------------------- */

static const char *kind_name(enum tide_event_kind kind) {
    switch (kind) {
    case TIDE_EVENT_JOB: return "job";
    case TIDE_EVENT_TRANSFORM: return "transform";
    case TIDE_EVENT_OUTPUT: return "output";
    case TIDE_EVENT_GENERATION: return "generation";
    case TIDE_EVENT_LOST: return "lost";
    case TIDE_EVENT_LISTENER: return "listener";
    case TIDE_EVENT_RECEIVER: return "receiver";
    case TIDE_EVENT_DRAINED: return "drained";
    case TIDE_EVENT_UPDATES: return "updates";
    case TIDE_EVENT_SIGNAL: return "signal";
    }
    return "unknown";
}

static void set_text(lua_State *L, const char *name, const char *text) {
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

/* Times that are not known yet are left out. */
static void set_reading(lua_State *L, const char *name, int64_t reading) {
    if (reading >= 0) tide_bind_set_number(L, name, (double)reading);
}

static void set_rdd(lua_State *L, struct tide_rdd *rdd) {
    if (rdd) tide_bind_push_rdd(L, 1, rdd);
    else lua_pushboolean(L, 0);
}

static void set_rdds(lua_State *L, const struct tide_event *event) {
    lua_createtable(L, (int)event->nrdds, 0);
    for (uint32_t i = 0; i < event->nrdds; i++) {
        set_rdd(L, event->rdds[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "rdds");
}

static void set_job(lua_State *L, struct tide_job *job) {
    if (!tide_bind_known(L, job)) {
        tide_bind_new(L, 1, TIDE_BIND_JOB)->pointer = tide_job_retain(job);
        tide_bind_remember(L, job);
    }
    lua_setfield(L, -2, "job");
}

/* inputs: stream id → records. */
static void set_inputs(lua_State *L, const struct tide_event *event) {
    if (!event->inputs) return;
    lua_createtable(L, 0, (int)event->ninputs);
    for (uint32_t i = 0; i < event->ninputs; i++) {
        lua_pushnumber(L, (double)event->inputs[i].records);
        lua_rawseti(L, -2, (int)event->inputs[i].stream);
    }
    lua_setfield(L, -2, "inputs");
}

/* outputs: numbers of the output operations that run in the batch. */
static void set_outputs(lua_State *L, const struct tide_event *event) {
    if (!event->outputs) return;
    lua_createtable(L, (int)event->noutputs, 0);
    for (uint32_t i = 0; i < event->noutputs; i++) {
        lua_pushnumber(L, event->outputs[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "outputs");
}

/* Names as Spark's BatchInfo and OutputOperationInfo have them. */
static void set_info(lua_State *L, const struct tide_event *event) {
    const struct tide_batch_info *info = &event->info;

    lua_createtable(L, 0, 8);
    if (info->batch_time >= 0) {
        tide_bind_set_number(L, "batchTime", (double)info->batch_time);
        tide_bind_set_number(L, "numRecords", (double)info->records);
        set_reading(L, "submissionTime", info->submission_time);
        set_reading(L, "processingStartTime", info->processing_start);
        set_reading(L, "processingEndTime", info->processing_end);
    } else {
        set_reading(L, "time", event->time);
    }
    set_inputs(L, event);
    set_outputs(L, event);
    if (info->output_start >= 0) {
        tide_bind_set_number(L, "id", info->output);
        set_reading(L, "startTime", info->output_start);
        set_reading(L, "endTime", info->output_end);
    }
    if (info->reason) set_text(L, "failureReason", info->reason);
    lua_setfield(L, -2, "info");
}

/* Nil when the script has released it. */
static void push_graph(lua_State *L, const struct tide_graph *graph) {
    if (!tide_bind_known(L, graph)) lua_pushnil(L);
}

static void push_event(lua_State *L, const struct tide_event *event) {
    lua_createtable(L, 0, 8);
    set_text(L, "kind", kind_name(event->kind));
    if (event->graph) {
        push_graph(L, event->graph);
        lua_setfield(L, -2, "graph");
    }
    tide_bind_set_error(L, &event->error, "error", "code");
    switch (event->kind) {
    case TIDE_EVENT_JOB: set_job(L, event->job); break;
    case TIDE_EVENT_TRANSFORM:
        tide_bind_set_number(L, "node", event->node);
        tide_bind_set_number(L, "time", (double)event->time);
        tide_bind_set_number(L, "batch", (double)event->info.batch_time);
        tide_bind_set_number(L, "token", (double)event->token);
        set_rdds(L, event);
        break;
    case TIDE_EVENT_OUTPUT:
        tide_bind_set_number(L, "node", event->node);
        tide_bind_set_number(L, "time", (double)event->time);
        tide_bind_set_number(L, "token", (double)event->token);
        tide_bind_set_number(L, "id", event->info.output);
        set_rdd(L, event->nrdds > 0 ? event->rdds[0] : NULL);
        lua_setfield(L, -2, "rdd");
        break;
    case TIDE_EVENT_GENERATION:
    case TIDE_EVENT_LOST: tide_bind_set_number(L, "time", (double)event->time); break;
    case TIDE_EVENT_LISTENER:
        set_text(L, "name", event->name);
        tide_bind_set_number(L, "node", event->node);
        tide_bind_set_number(L, "time", (double)event->time);
        set_info(L, event);
        break;
    case TIDE_EVENT_RECEIVER:
        tide_bind_set_number(L, "source", event->node);
        set_text(L, "state", event->name);
        break;
    case TIDE_EVENT_DRAINED: break;
    case TIDE_EVENT_UPDATES: tide_bind_set_number(L, "block", (double)(uintptr_t)event->block); break;
    case TIDE_EVENT_SIGNAL: tide_bind_set_number(L, "count", event->signals); break;
    }
}

static int engine_poll(lua_State *L) {
    struct tide_engine *engine = check_engine(L);
    struct tide_events *events = tide_engine_events(engine);

    if (tide_list_empty(&events->queue)) return 0;

    struct tide_event *event = TIDE_CONTAINER_OF(events->queue.next, struct tide_event, link);

    lua_settop(L, 1);
    push_event(L, event);
    if (event->kind == TIDE_EVENT_SIGNAL) tide_engine_signal_handled(engine);
    event->block = NULL; /* the reference is the script's now */
    tide_event_delete(tide_events_pop(events));
    return 1;
}

/* ---- Class ---------------------------------------------------------------------------------------------------- */

void tide_bind_engine(lua_State *L) {
    static const luaL_Reg methods[] = {
        {"close", engine_close},
        {"turn", engine_turn},
        {"poll", engine_poll},
        {"workers", engine_workers},
        {"seed", engine_seed},
        {"interrupt", engine_interrupt},
        {"describe", engine_describe},
        {"memory", engine_memory},
        {"watchSignals", engine_watch_signals},
        {NULL, NULL},
    };

    tide_bind_class(L, TIDE_BIND_ENGINE, "Engine", methods, engine_gc);
}
