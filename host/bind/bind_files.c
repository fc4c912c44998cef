/*
 * File streams for Lua: graph:files{}, and what the script's side does for each batch: look, candidate, accept,
 * settle, files. Their state for checkpoints: fileState.
 *
 * Called by Lua on the driver thread.
 */
#include <string.h>

#include "bind/bind.h"
#include "bind/bind_graph.h"
#include "bind/object.h"
#include "dstream/file_input.h"

static const double HALF = 4294967296.0; /* 2^32: inodes cross in two numbers */

static struct tide_stream *check_files(lua_State *L, int index) {
    struct tide_stream *stream = tide_bind_check_stream(L, index);

    if (!tide_file_input_choice(stream)) luaL_argerror(L, index, "a file stream expected");
    return stream;
}

static struct tide_file_choice *check_choice(lua_State *L) { return tide_file_input_choice(check_files(L, 1)); }

static int64_t check_time(lua_State *L, int index) {
    return tide_bind_check_whole(L, index, 0, TIDE_BIND_MOST, "time");
}

/* The patterns in the table at the top, as scratch left on the stack. */
static const char **check_patterns(lua_State *L, int table, uint32_t *count) {
    lua_getfield(L, table, "patterns");
    luaL_checktype(L, -1, LUA_TTABLE);
    *count = (uint32_t)lua_objlen(L, -1);

    const char **patterns = lua_newuserdata(L, (*count + 1) * sizeof *patterns);

    for (uint32_t i = 0; i < *count; i++) {
        lua_rawgeti(L, -2, (int)i + 1);
        patterns[i] = luaL_checkstring(L, -1); /* the table keeps it alive */
        lua_pop(L, 1);
    }
    if (*count == 0) luaL_argerror(L, table, "field patterns is empty");
    return patterns;
}

/* graph:files{patterns=, depth=, all=, created=, memory=, mostFiles=, mostBytes=, arity=, label=} → stream */
static int graph_files(lua_State *L) {
    struct tide_graph *graph = tide_bind_check_graph(L, 1);
    struct tide_error err = {0};

    luaL_checktype(L, 2, LUA_TTABLE);

    struct tide_listing_options listed = {
        .depth = (uint32_t)tide_bind_field_whole(L, 2, "depth", 0, 1000, 0),
        .all = tide_bind_field_boolean(L, 2, "all", false),
    };
    struct tide_file_input_options options = {
        .arity = (enum tide_arity_value)tide_bind_field_whole(L, 2, "arity", 0, 2, 0),
        .choice =
            {
                .created = tide_bind_field_whole(L, 2, "created", 0, TIDE_BIND_MOST, INT64_MIN),
                .memory = tide_bind_field_whole(L, 2, "memory", 1, TIDE_BIND_MOST, INT64_MIN),
                .most_files = (uint64_t)tide_bind_field_whole(L, 2, "mostFiles", 0, TIDE_BIND_MOST, 0),
                .most_bytes = (uint64_t)tide_bind_field_whole(L, 2, "mostBytes", 0, TIDE_BIND_MOST, 0),
            },
    };

    lua_getfield(L, 2, "label");
    options.label = luaL_checkstring(L, -1);
    listed.patterns = check_patterns(L, 2, &listed.npatterns);

    struct tide_bind_object *object = tide_bind_new(L, 1, TIDE_BIND_STREAM);

    options.listing = tide_listing_new(&listed);

    struct tide_stream *stream = tide_stream_files(graph, &options, &err);

    tide_listing_release(options.listing);
    return tide_bind_answer_stream(L, object, stream, &err);
}

/* ---- A batch --------------------------------------------------------------------------------------------------- */

/* stream:look(time) → how many candidates there are, none of them accepted; nil: the batch is settled */
static int stream_look(lua_State *L) {
    struct tide_stream *stream = check_files(L, 1);
    struct tide_file_choice *choice = tide_file_input_choice(stream);
    int64_t time = check_time(L, 2);

    if (tide_file_choice_files(choice, time)) {
        tide_file_choice_update(choice, time);
        return 0;
    }
    tide_file_input_look(stream, time);
    tide_file_choice_begin(choice);
    lua_pushnumber(L, tide_file_choice_candidates(choice)->count);
    return 1;
}

static uint32_t check_candidate(lua_State *L, const struct tide_listed_files *candidates) {
    return (uint32_t)tide_bind_check_whole(L, 2, 1, candidates->count, "candidate") - 1;
}

/* stream:candidate(i) → path */
static int stream_candidate(lua_State *L) {
    const struct tide_listed_files *candidates = tide_file_choice_candidates(check_choice(L));

    lua_pushstring(L, candidates->items[check_candidate(L, candidates)].path);
    return 1;
}

/* stream:accept(i) */
static int stream_accept(lua_State *L) {
    struct tide_file_choice *choice = check_choice(L);

    tide_file_choice_accept(choice, check_candidate(L, tide_file_choice_candidates(choice)));
    return 0;
}

/* stream:settle(time) */
static int stream_settle(lua_State *L) {
    struct tide_file_choice *choice = check_choice(L);
    int64_t time = check_time(L, 2);

    if (tide_file_choice_files(choice, time)) return luaL_error(L, "settle: the batch is settled");
    tide_file_choice_settle(choice, time);
    return 0;
}

/* stream:files(time) → { { path, size }, … }; nil: the batch is not settled */
static int stream_files(lua_State *L) {
    const struct tide_listed_files *files = tide_file_choice_files(check_choice(L), check_time(L, 2));

    if (!files) return 0;
    lua_createtable(L, (int)files->count, 0);
    for (uint32_t i = 0; i < files->count; i++) {
        lua_createtable(L, 2, 0);
        lua_pushstring(L, files->items[i].path);
        lua_rawseti(L, -2, 1);
        lua_pushnumber(L, (lua_Number)files->items[i].size);
        lua_rawseti(L, -2, 2);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* rdd:tellRecords(n): how many records it has, for listeners */
static int rdd_tell_records(lua_State *L) {
    tide_rdd_tell_records(tide_bind_check_rdd(L, 1), tide_bind_check_whole(L, 2, 0, TIDE_BIND_MOST, "records"));
    return 0;
}

/* stream:filesAsked() → how many files the system was asked for so far */
static int stream_files_asked(lua_State *L) {
    lua_pushnumber(L, (lua_Number)tide_listing_asked(tide_file_input_listing(check_files(L, 1))));
    return 1;
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

/* Each file as { path, size, mtime in seconds, its nanoseconds, inode / 2^32, the rest of it }. */
static void push_state_of(lua_State *L, const struct tide_listed_files *files) {
    lua_createtable(L, (int)files->count, 0);
    for (uint32_t i = 0; i < files->count; i++) {
        const struct tide_listed *file = &files->items[i];
        const int64_t seconds = file->mtime / 1000000000;
        const double fields[] = {(double)file->size, (double)seconds, (double)(file->mtime % 1000000000),
                                 (double)(file->inode >> 32), (double)(uint32_t)file->inode};

        lua_createtable(L, 6, 0);
        lua_pushstring(L, file->path);
        lua_rawseti(L, -2, 1);
        for (int k = 0; k < 5; k++) {
            lua_pushnumber(L, fields[k]);
            lua_rawseti(L, -2, k + 2);
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* only: the batch whose files are wanted; -1: all */
static int get_state(lua_State *L, struct tide_file_choice *choice, int64_t only) {
    lua_createtable(L, 0, 3);
    tide_bind_set_number(L, "created", (double)tide_file_choice_created(choice));
    lua_createtable(L, (int)tide_file_choice_batches(choice), 0);
    for (uint32_t i = 0, found = 0; i < tide_file_choice_batches(choice); i++) {
        int64_t time = tide_file_choice_batch(choice, i);

        if (only >= 0 && time != only) continue;
        lua_createtable(L, 0, 2);
        tide_bind_set_number(L, "time", (double)time);
        push_state_of(L, tide_file_choice_files(choice, time));
        lua_setfield(L, -2, "files");
        lua_rawseti(L, -2, (int)++found);
    }
    lua_setfield(L, -2, "batches");
    push_state_of(L, tide_file_choice_waiting(choice));
    lua_setfield(L, -2, "waiting");
    return 1;
}

static double check_field(lua_State *L, int file, int field) {
    lua_rawgeti(L, file, field);
    if (lua_type(L, -1) != LUA_TNUMBER) luaL_error(L, "fileState: a file is {path, size, s, ns, inode, inode}");

    double value = lua_tonumber(L, -1);

    lua_pop(L, 1);
    return value;
}

/* The file in the table at `index`; its path is borrowed. */
static struct tide_listed check_file(lua_State *L, int index) {
    luaL_checktype(L, index, LUA_TTABLE);
    lua_rawgeti(L, index, 1);

    const char *path = luaL_checkstring(L, -1);

    lua_pop(L, 1);
    return (struct tide_listed){
        .path = (char *)path,
        .size = (uint64_t)check_field(L, index, 2),
        .mtime = (int64_t)check_field(L, index, 3) * 1000000000 + (int64_t)check_field(L, index, 4),
        .inode = (uint64_t)(check_field(L, index, 5) * HALF) + (uint64_t)check_field(L, index, 6),
    };
}

/* Calls `add` for each file of the array in field `name` of the table at the top; raises for what is no file. */
static void read_files(lua_State *L, const char *name, struct tide_listed_files *files) {
    lua_getfield(L, -1, name);
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 1, count = (int)lua_objlen(L, -1); i <= count; i++) {
        lua_rawgeti(L, -1, i);

        struct tide_listed file = check_file(L, lua_gettop(L));

        if (files) tide_listed_files_add(files, &file);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static int64_t check_batch(lua_State *L) {
    luaL_checktype(L, -1, LUA_TTABLE);
    return tide_bind_field_whole(L, lua_gettop(L), "time", 0, TIDE_BIND_MOST, INT64_MIN);
}

/* With `choice` NULL nothing is set, but raised what is wrong: after that, nothing is. */
static void read_state(lua_State *L, struct tide_file_choice *choice) {
    int64_t created = tide_bind_field_whole(L, 2, "created", 0, TIDE_BIND_MOST, INT64_MIN);
    struct tide_listed_files files = {0};

    lua_pushvalue(L, 2);
    read_files(L, "waiting", choice ? &files : NULL);
    if (choice) tide_file_choice_set_created(choice, created);
    if (choice) tide_file_choice_set_waiting(choice, &files);
    lua_getfield(L, 2, "batches");
    luaL_checktype(L, -1, LUA_TTABLE);
    for (int i = 1, count = (int)lua_objlen(L, -1); i <= count; i++) {
        lua_rawgeti(L, -1, i);

        int64_t time = check_batch(L);

        read_files(L, "files", choice ? &files : NULL);
        if (choice) tide_file_choice_set_files(choice, time, &files);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

/* stream:fileState() → { created=, batches={ { time=, files={…} }, … }, waiting={…} }; with a time the batches
 * are that one alone; with a table it is set: its batches are added to those that there are */
static int stream_file_state(lua_State *L) {
    struct tide_file_choice *choice = check_choice(L);

    if (lua_isnoneornil(L, 2)) return get_state(L, choice, -1);
    if (lua_type(L, 2) == LUA_TNUMBER) return get_state(L, choice, check_time(L, 2));
    luaL_checktype(L, 2, LUA_TTABLE);
    read_state(L, NULL);
    read_state(L, choice);
    return 0;
}

void tide_bind_files(lua_State *L) {
    static const luaL_Reg graph_methods[] = {{"files", graph_files}, {NULL, NULL}};
    static const luaL_Reg stream_methods[] = {
        {"look", stream_look},
        {"candidate", stream_candidate},
        {"accept", stream_accept},
        {"settle", stream_settle},
        {"files", stream_files},
        {"filesAsked", stream_files_asked},
        {"fileState", stream_file_state},
        {NULL, NULL},
    };

    static const luaL_Reg rdd_methods[] = {{"tellRecords", rdd_tell_records}, {NULL, NULL}};

    tide_bind_add_methods(L, TIDE_BIND_RDD, rdd_methods);
    tide_bind_add_methods(L, TIDE_BIND_GRAPH, graph_methods);
    tide_bind_add_methods(L, TIDE_BIND_STREAM, stream_methods);
}
