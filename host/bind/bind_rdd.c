/*
 * Datasets and jobs for Lua: engine:blocks/files/union, the methods of rdds, jobs.
 *
 * Called by Lua on the driver thread. An rdd's userdata has one reference to its node, a job's one to the job. Jobs
 * can be read after their engine was closed (they have ended then); everything else requires an open engine.
 */
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "bind/bind.h"
#include "bind/bind_op.h"
#include "bind/object.h"
#include "driver/event.h"
#include "driver/job.h"
#include "rdd/lineage.h"

/* ---- Making datasets ------------------------------------------------------------------------------------------ */

/* Raises unless the table at `index` is an array of arrays of addresses. Reading such a table raises nothing. */
static void check_addresses(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 1, partitions = lua_objlen(L, index); i <= partitions; i++) {
        lua_rawgeti(L, index, (int)i);
        if (!lua_istable(L, -1))
            luaL_argerror(L, index, lua_pushfstring(L, "partition %d must be an array of block addresses", (int)i));
        for (size_t j = 1, count = lua_objlen(L, -1); j <= count; j++) {
            lua_rawgeti(L, -1, (int)j);

            double address = lua_tonumber(L, -1);

            if (lua_type(L, -1) != LUA_TNUMBER || !(address > 0 && address < (double)TIDE_BIND_MOST))
                luaL_argerror(L, index, lua_pushfstring(L, "partition %d, block %d: not an address", (int)i, (int)j));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (lua_objlen(L, index) > TIDE_RDD_MAX_PARTITIONS)
        luaL_argerror(L, index, lua_pushfstring(L, "at most %d partitions", TIDE_RDD_MAX_PARTITIONS));
}

static int engine_blocks(lua_State *L) {
    tide_bind_engine_of(L, tide_bind_check(L, 1, TIDE_BIND_ENGINE));
    check_addresses(L, 2);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);
    uint32_t count = (uint32_t)lua_objlen(L, 2);
    struct tide_blocks *lists = tide_xcalloc(count > 0 ? count : 1, sizeof *lists);

    for (uint32_t i = 0; i < count; i++) {
        tide_blocks_create(&lists[i]);
        lua_rawgeti(L, 2, (int)i + 1);
        for (size_t j = 1, blocks = lua_objlen(L, -1); j <= blocks; j++) {
            lua_rawgeti(L, -1, (int)j);
            tide_blocks_push(&lists[i], (struct tide_block *)(uintptr_t)lua_tonumber(L, -1));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    object->pointer = tide_rdd_blocks_new(lists, count);
    for (uint32_t i = 0; i < count; i++) tide_blocks_destroy(&lists[i]);
    tide_free(lists);
    return 1;
}

/* Raises unless the table at `index` is an array of {path, offset, length}, after which the file's size and its
 * number as an input that can be read once may follow. */
static void check_splits(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    for (size_t i = 1, count = lua_objlen(L, index); i <= count; i++) {
        lua_rawgeti(L, index, (int)i);
        if (!lua_istable(L, -1))
            luaL_argerror(L, index, lua_pushfstring(L, "entry %d must be {path, offset, length}", (int)i));
        for (int field = 1; field <= 3; field++) {
            int type = field == 1 ? LUA_TSTRING : LUA_TNUMBER;

            lua_rawgeti(L, -1, field);
            if (lua_type(L, -1) != type || (type == LUA_TNUMBER && !(lua_tonumber(L, -1) >= 0)) ||
                (type == LUA_TSTRING && strlen(lua_tostring(L, -1)) != lua_objlen(L, -1)))
                luaL_argerror(L, index, lua_pushfstring(L, "entry %d must be {path, offset, length}", (int)i));
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    if (lua_objlen(L, index) > TIDE_RDD_MAX_PARTITIONS)
        luaL_argerror(L, index, lua_pushfstring(L, "at most %d partitions", TIDE_RDD_MAX_PARTITIONS));
}

static int engine_files(lua_State *L) {
    tide_bind_engine_of(L, tide_bind_check(L, 1, TIDE_BIND_ENGINE));
    check_splits(L, 2);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);
    uint32_t count = (uint32_t)lua_objlen(L, 2);
    struct tide_file_split *splits = tide_xcalloc(count > 0 ? count : 1, sizeof *splits);

    for (uint32_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        lua_rawgeti(L, -1, 1);
        lua_rawgeti(L, -2, 2);
        lua_rawgeti(L, -3, 3);
        splits[i].path = tide_xstrdup(lua_tostring(L, -3));
        splits[i].offset = (uint64_t)lua_tonumber(L, -2);
        splits[i].length = (uint64_t)lua_tonumber(L, -1);
        lua_rawgeti(L, -4, 4);
        lua_rawgeti(L, -5, 5);
        splits[i].size = (uint64_t)lua_tonumber(L, -2);
        splits[i].once = (uint32_t)lua_tonumber(L, -1);
        lua_pop(L, 6);
    }
    object->pointer = tide_rdd_files_new(splits, count);
    tide_free(splits);
    return 1;
}

/* The datasets in the array at `index`, as scratch left on the stack, after the dataset `first` if it is not NULL.
 * All must be of the engine of the object at 1. */
static struct tide_rdd **check_rdds(lua_State *L, int index, struct tide_rdd *first, uint32_t *count) {
    const struct tide_bind_object *self = lua_touserdata(L, 1);

    luaL_checktype(L, index, LUA_TTABLE);

    size_t length = lua_objlen(L, index);
    struct tide_rdd **rdds = lua_newuserdata(L, (length + 1) * sizeof *rdds);

    *count = 0;
    if (first) rdds[(*count)++] = first;
    for (size_t i = 0; i < length; i++) {
        lua_rawgeti(L, index, (int)i + 1);

        const struct tide_bind_object *rdd = tide_bind_test(L, -1, TIDE_BIND_RDD);

        if (!rdd || rdd->handle != self->handle)
            return (
                luaL_argerror(L, index, lua_pushfstring(L, "entry %d is not a dataset of this engine", (int)i + 1)),
                NULL);
        rdds[(*count)++] = rdd->pointer;
        lua_pop(L, 1);
    }
    return rdds;
}

static int engine_union(lua_State *L) {
    tide_bind_engine_of(L, tide_bind_check(L, 1, TIDE_BIND_ENGINE));

    uint32_t count;
    struct tide_rdd **parents = check_rdds(L, 2, NULL, &count);
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);

    object->pointer = tide_rdd_union_auto_new(parents, count);
    if (!object->pointer)
        luaL_error(L, "the union would have more than %d partitions: coalesce its datasets first",
                   TIDE_RDD_MAX_PARTITIONS);
    return 1;
}

/* ---- Datasets ------------------------------------------------------------------------------------------------- */

static int rdd_narrow(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);

    tide_bind_check_ops(L, 2, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);
    struct tide_op *op = tide_bind_new_op(L, 2, lua_toboolean(L, 3) != 0);

    op->indexed = lua_toboolean(L, 4) != 0;
    object->pointer = tide_rdd_narrow_new(rdd, op);
    tide_op_release(op);
    return 1;
}

static int rdd_coalesce(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    int64_t partitions = tide_bind_check_whole(L, 2, 1, TIDE_RDD_MAX_PARTITIONS, "number of partitions");
    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);

    object->pointer = tide_rdd_coalesce_new(rdd, (uint32_t)partitions);
    return 1;
}

static int rdd_shuffle(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    struct tide_bind_exchange checked;

    lua_settop(L, 2);
    tide_bind_check_exchange(L, 2, &checked);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);
    struct tide_exchange *exchange = tide_bind_new_exchange(&checked);

    object->pointer = tide_rdd_partitioned_new(rdd, exchange);
    tide_exchange_release(exchange);
    return 1;
}

static int rdd_zip(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);

    lua_settop(L, 4);

    uint32_t count;
    struct tide_rdd **parents = check_rdds(L, 2, rdd, &count);

    for (uint32_t i = 1; i < count; i++)
        if (tide_rdd_partitions(parents[i]) != tide_rdd_partitions(rdd))
            luaL_argerror(L, 2,
                          lua_pushfstring(L, "entry %d has %d partitions, the dataset itself has %d", (int)i,
                                          (int)tide_rdd_partitions(parents[i]), (int)tide_rdd_partitions(rdd)));

    tide_bind_check_ops(L, 3, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);
    struct tide_op *op = tide_bind_new_op(L, 3, lua_toboolean(L, 4) != 0);

    object->pointer = tide_rdd_zip_new(parents, count, op);
    tide_op_release(op);
    return 1;
}

static int rdd_cartesian(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1), *other = tide_bind_check_rdd(L, 2);

    if (((struct tide_bind_object *)lua_touserdata(L, 1))->handle !=
        ((struct tide_bind_object *)lua_touserdata(L, 2))->handle)
        luaL_argerror(L, 2, "dataset of the same engine expected");
    if ((uint64_t)tide_rdd_partitions(rdd) * tide_rdd_partitions(other) > TIDE_RDD_MAX_PARTITIONS)
        luaL_error(L, "the product would have more than %d partitions: coalesce its datasets first",
                   TIDE_RDD_MAX_PARTITIONS);

    tide_bind_check_ops(L, 3, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_RDD);
    struct tide_op *op = tide_bind_new_op(L, 3, false);

    object->pointer = tide_rdd_cartesian_new(rdd, other, op);
    tide_op_release(op);
    return 1;
}

static int rdd_persist(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    int64_t level = tide_bind_check_whole(L, 2, 1, 31, "storage level");

    tide_rdd_persist(rdd, (uint8_t)level, lua_toboolean(L, 3) != 0);
    return 0;
}

static int rdd_unpersist(lua_State *L) {
    tide_rdd_unpersist(tide_bind_check_rdd(L, 1));
    return 0;
}

static int rdd_storage(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    uint64_t bytes;

    lua_pushnumber(L, tide_rdd_level(rdd));
    lua_pushboolean(L, tide_rdd_available(rdd, &bytes));
    lua_pushnumber(L, (lua_Number)bytes);
    return 3;
}

static int rdd_set_name(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);

    tide_rdd_set_name(rdd, lua_isnoneornil(L, 2) ? NULL : luaL_checkstring(L, 2));
    return 0;
}

static int rdd_name(lua_State *L) {
    const char *name = tide_rdd_name(tide_bind_check_rdd(L, 1));

    if (!name) return 0;
    lua_pushstring(L, name);
    return 1;
}

/* ---- Checkpoints ---------------------------------------------------------------------------------------------- */

/* rdd:checkpoint() → "marked", "writing" or "done", directory, site; nothing when it is not marked.
 * rdd:checkpoint(directory, site) marks it. */
static int rdd_checkpoint(lua_State *L) {
    static const char *const names[] = {
        [TIDE_CHECKPOINT_NONE] = "none",
        [TIDE_CHECKPOINT_MARKED] = "marked",
        [TIDE_CHECKPOINT_WRITING] = "writing",
        [TIDE_CHECKPOINT_DONE] = "done",
    };
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);

    if (!lua_isnoneornil(L, 2)) {
        const char *directory = luaL_checkstring(L, 2), *site = luaL_checkstring(L, 3);

        tide_rdd_checkpoint_mark(rdd, directory, site);
        return 0;
    }
    if (tide_rdd_checkpoint(rdd) == TIDE_CHECKPOINT_NONE) return 0;
    lua_pushstring(L, names[tide_rdd_checkpoint(rdd)]);
    lua_pushstring(L, tide_rdd_checkpoint_directory(rdd));
    lua_pushstring(L, tide_rdd_checkpoint_site(rdd));
    return 3;
}

struct nodes {
    struct tide_rdd **items;
    uint32_t count;
};

static int push_nodes(lua_State *L) {
    const struct nodes *nodes = lua_touserdata(L, 2);

    tide_bind_push_rdds(L, 1, nodes->items, nodes->count);
    return 1;
}

/* rdd:checkpointsDue() → datasets to be written when a job on it has succeeded, or nil */
static int rdd_checkpoints_due(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    struct nodes due;

    lua_pushcfunction(L, push_nodes);
    lua_pushvalue(L, 1);
    lua_pushlightuserdata(L, &due);
    due.count = tide_rdd_checkpoint_due(rdd, &due.items);
    if (due.count == 0) return 0;

    int status = lua_pcall(L, 2, 1, 0);

    tide_free(due.items);
    return status == 0 ? 1 : lua_error(L);
}

static int rdd_checkpoint_begin(lua_State *L) {
    lua_pushboolean(L, tide_rdd_checkpoint_begin(tide_bind_check_rdd(L, 1)));
    return 1;
}

static int rdd_checkpoint_fail(lua_State *L) {
    tide_rdd_checkpoint_fail(tide_bind_check_rdd(L, 1));
    return 0;
}

/* rdd:checkpointEnd(parts, descriptor of the operator that reads them) */
static int rdd_checkpoint_end(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1), *parts = tide_bind_check_rdd(L, 2);

    if (tide_rdd_checkpoint(rdd) != TIDE_CHECKPOINT_WRITING)
        return luaL_error(L, "no checkpoint of the dataset has begun");
    if (tide_rdd_partitions(parts) != tide_rdd_partitions(rdd))
        luaL_argerror(L, 2, "dataset of as many partitions expected");

    tide_bind_check_ops(L, 3, 1);

    struct tide_op *read = tide_bind_new_op(L, 3, true);

    tide_rdd_checkpoint_end(rdd, parts, read);
    tide_op_release(read);
    return 0;
}

static int rdd_partitions(lua_State *L) {
    lua_pushnumber(L, tide_rdd_partitions(tide_bind_check_rdd(L, 1)));
    return 1;
}

static int rdd_key_partitions(lua_State *L) {
    lua_pushnumber(L, tide_rdd_key_partitions(tide_bind_check_rdd(L, 1)));
    return 1;
}

/* The descriptor of the partitioner, nil where records lie by key hash or not by key. */
static int rdd_partitioner(lua_State *L) {
    const struct tide_partitioner *partitioner = tide_rdd_partitioner(tide_bind_check_rdd(L, 1));

    if (partitioner) lua_pushlstring(L, (const char *)partitioner->bytes, partitioner->size);
    else lua_pushnil(L);
    return 1;
}

static int rdd_id(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_rdd_id(tide_bind_check_rdd(L, 1)));
    return 1;
}

static int rdd_known_records(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_rdd_known_records(tide_bind_check_rdd(L, 1)));
    return 1;
}

static int push_buffer(lua_State *L) {
    const struct tide_buffer *buffer = lua_touserdata(L, 1);

    lua_pushlstring(L, (const char *)buffer->data, buffer->size);
    return 1;
}

static int rdd_lineage(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    struct tide_buffer text;

    lua_pushcfunction(L, push_buffer);
    tide_buffer_create(&text);
    tide_rdd_lineage(rdd, &text);
    lua_pushlightuserdata(L, &text);

    int status = lua_pcall(L, 1, 1, 0);

    tide_buffer_destroy(&text);
    return status == 0 ? 1 : lua_error(L);
}

static int rdd_gc(lua_State *L) {
    struct tide_bind_object *object = lua_touserdata(L, 1);

    if (object->pointer) tide_rdd_release(object->pointer);
    object->pointer = NULL;
    tide_bind_drop_handle(object);
    return 0;
}

/* ---- Jobs ----------------------------------------------------------------------------------------------------- */

/* Called on the loop; queues an event for the script. */
static void on_job_done(struct tide_job *job, void *arg) {
    struct tide_events *events = arg;
    struct tide_event *event = tide_event_new(TIDE_EVENT_JOB);

    event->job = tide_job_retain(job);
    tide_events_push(events, event);
}

/* The partition numbers in the array at `index` as scratch left on the stack; NULL for nil: all. */
static uint32_t *check_partitions(lua_State *L, int index, const struct tide_rdd *rdd, uint32_t *count) {
    *count = 0;
    if (lua_isnoneornil(L, index)) return NULL;
    luaL_checktype(L, index, LUA_TTABLE);

    size_t length = lua_objlen(L, index);
    uint32_t *numbers = lua_newuserdata(L, (length > 0 ? length : 1) * sizeof *numbers);

    for (size_t i = 0; i < length; i++) {
        lua_rawgeti(L, index, (int)i + 1);

        double number = lua_tonumber(L, -1);

        if (lua_type(L, -1) != LUA_TNUMBER || !(number >= 0 && number < tide_rdd_partitions(rdd)) ||
            number != (double)(uint32_t)number)
            luaL_argerror(L, index,
                          lua_pushfstring(L, "entry %d: the dataset has the partitions 0 to %d", (int)i + 1,
                                          (int)tide_rdd_partitions(rdd) - 1));
        numbers[i] = (uint32_t)number;
        lua_pop(L, 1);
    }
    *count = (uint32_t)length;
    return numbers;
}

static int rdd_job(lua_State *L) {
    struct tide_rdd *rdd = tide_bind_check_rdd(L, 1);
    struct tide_engine *engine = tide_bind_engine_of(L, lua_touserdata(L, 1));

    lua_settop(L, 5);

    struct tide_job_options options = {
        .rdd = rdd,
        .limit = lua_isnil(L, 4) ? 0 : (uint64_t)tide_bind_check_whole(L, 4, 0, TIDE_BIND_MOST, "limit"),
        .batch_time =
            lua_isnil(L, 5) ? -1 : tide_bind_check_whole(L, 5, -TIDE_BIND_MOST, TIDE_BIND_MOST, "batch time"),
        .done = on_job_done,
        .arg = tide_engine_events(engine),
    };

    options.partitions = check_partitions(L, 3, rdd, &options.npartitions);
    tide_bind_check_ops(L, 2, 1);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_JOB);

    options.sink = tide_bind_new_op(L, 2, false);
    object->pointer = tide_scheduler_start(tide_engine_scheduler(engine), &options);
    tide_op_release(options.sink);
    tide_bind_remember(L, object->pointer);
    return 1;
}

static struct tide_job *check_job(lua_State *L) { return tide_bind_check(L, 1, TIDE_BIND_JOB)->pointer; }

static int job_ended(lua_State *L) {
    lua_pushboolean(L, tide_job_ended(check_job(L)));
    return 1;
}

static int job_error(lua_State *L) {
    const struct tide_error *err = tide_job_error(check_job(L));

    if (err->code == TIDE_OK) return 0;
    lua_pushstring(L, err->text ? err->text : tide_error_name(err->code));
    lua_pushstring(L, tide_error_name(err->code));
    return 2;
}

static struct tide_job *check_ended_job(lua_State *L) {
    struct tide_job *job = check_job(L);

    if (!tide_job_ended(job)) luaL_error(L, "the job has not ended: its results come with its event");
    return job;
}

static int job_partitions(lua_State *L) {
    lua_pushnumber(L, tide_job_partitions(check_ended_job(L)));
    return 1;
}

/* job:each(f) calls f(address, partition) for every block of its results, partitions from 1. The addresses are
 * borrowed from the job, which is an argument of this call and so alive until it returns; no other function returns
 * them. */
static int job_each(lua_State *L) {
    struct tide_job *job = check_ended_job(L);

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    for (uint32_t i = 0; i < tide_job_partitions(job); i++) {
        const struct tide_blocks *blocks = tide_job_result(job, i);

        for (uint32_t j = 0; j < blocks->count; j++) {
            lua_pushvalue(L, 2);
            lua_pushnumber(L, (lua_Number)(uintptr_t)blocks->items[j]);
            lua_pushnumber(L, i + 1);
            lua_call(L, 2, 0);
        }
    }
    return 0;
}

static int job_cancel(lua_State *L) {
    tide_scheduler_cancel(check_job(L));
    return 0;
}

static int job_gc(lua_State *L) {
    struct tide_bind_object *object = lua_touserdata(L, 1);

    if (object->pointer) tide_job_release(object->pointer);
    object->pointer = NULL;
    tide_bind_drop_handle(object);
    return 0;
}

void tide_bind_rdd(lua_State *L) {
    static const luaL_Reg engine_methods[] = {
        {"blocks", engine_blocks},
        {"files", engine_files},
        {"union", engine_union},
        {NULL, NULL},
    };
    static const luaL_Reg rdd_methods[] = {
        {"narrow", rdd_narrow},
        {"coalesce", rdd_coalesce},
        {"shuffle", rdd_shuffle},
        {"zip", rdd_zip},
        {"cartesian", rdd_cartesian},
        {"persist", rdd_persist},
        {"unpersist", rdd_unpersist},
        {"storage", rdd_storage},
        {"checkpoint", rdd_checkpoint},
        {"checkpointsDue", rdd_checkpoints_due},
        {"checkpointBegin", rdd_checkpoint_begin},
        {"checkpointFail", rdd_checkpoint_fail},
        {"checkpointEnd", rdd_checkpoint_end},
        {"setName", rdd_set_name},
        {"name", rdd_name},
        {"partitions", rdd_partitions},
        {"keyPartitions", rdd_key_partitions},
        {"partitioner", rdd_partitioner},
        {"id", rdd_id},
        {"knownRecords", rdd_known_records},
        {"lineage", rdd_lineage},
        {"job", rdd_job},
        {NULL, NULL},
    };
    static const luaL_Reg job_methods[] = {
        {"ended", job_ended}, {"error", job_error},   {"partitions", job_partitions},
        {"each", job_each},   {"cancel", job_cancel}, {NULL, NULL},
    };

    tide_bind_add_methods(L, TIDE_BIND_ENGINE, engine_methods);
    tide_bind_class(L, TIDE_BIND_RDD, "RDD", rdd_methods, rdd_gc);
    tide_bind_class(L, TIDE_BIND_JOB, "Job", job_methods, job_gc);
}
