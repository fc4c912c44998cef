/*
 * What the files of bind/ share: userdata of the C module "moontide.core", checks, and the mapping of C values to Lua.
 *
 * Every userdata is a `struct tide_bind_object`: a pointer to what it stands for, and the handle of its engine, which
 * outlives the engine. Its Lua environment table holds the engine's userdata, so nothing is collected before the objects that
 * use it. Metatables carry `__moontide = "RDD"` (…"Job", "Engine", "Graph", "Stream"): closure packing refuses such values by that
 * name.
 *
 * Blocks cross as addresses (numbers). An address that a function returns or is given for good carries a reference: whoever has the
 * number owns it. A borrowed one is an argument of a function that C calls (job:each), with the owner on C's stack for as long
 * as that call lasts; it is never returned, because nothing would keep its owner alive then.
 *
 * Order of work in a binding function, because anything that allocates in Lua may raise: check the arguments, make the
 * userdata (tide_bind_new), call C, put the pointer in.
 *
 * Thread: driver only.
 */
#ifndef TIDE_BIND_BIND_H
#define TIDE_BIND_BIND_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "driver/event.h"
#include "driver/job.h"
#include "engine.h"
#include "rdd/rdd.h"

#define TIDE_BIND_ENGINE "moontide.core.engine"
#define TIDE_BIND_RDD "moontide.core.rdd"
#define TIDE_BIND_JOB "moontide.core.job"
#define TIDE_BIND_GRAPH "moontide.core.graph"
#define TIDE_BIND_STREAM "moontide.core.stream"

struct tide_bind_handle {
    uint32_t refs;
    struct tide_engine *engine; /* NULL once closed */
};

struct tide_bind_object {
    void *pointer; /* struct tide_rdd *, struct tide_job *, …; NULL: released, or never filled in */
    struct tide_bind_handle *handle;
};

/* ---- Making userdata ------------------------------------------------------------------------------------------ */

/* Registers a metatable: `name` is its registry name, `title` what people and __moontide say ("RDD"). `methods` become __index.
 * Adds __tostring ("moontide RDD: …") and `gc`. Leaves nothing on the stack. */
void tide_bind_class(lua_State *L, const char *name, const char *title, const luaL_Reg *methods, lua_CFunction gc);

/* More methods for a class that is registered already. */
void tide_bind_add_methods(lua_State *L, const char *name, const luaL_Reg *methods);

/* Pushes a userdata of class `name` in the family of the object at `parent` (an engine, rdd, job, graph, stream …): the same
 * handle, the same environment. Its pointer is NULL until the caller fills it in. */
struct tide_bind_object *tide_bind_new(lua_State *L, int parent, const char *name);

/* Pushes a userdata for a dataset; retains it. */
void tide_bind_push_rdd(lua_State *L, int parent, struct tide_rdd *rdd);

/* Identity: the userdata that was remembered for `pointer`, if it is alive. tide_bind_known pushes it and returns true, or pushes
 * nothing. tide_bind_remember remembers the userdata on top of the stack. Weak: remembering keeps nothing alive. */
bool tide_bind_known(lua_State *L, const void *pointer);
void tide_bind_remember(lua_State *L, const void *pointer);

/* Gives up the handle in __gc (and the pointer's reference is the caller's business). */
void tide_bind_drop_handle(struct tide_bind_object *object);

/* ---- Checking arguments --------------------------------------------------------------------------------------- */

/* The object at `index`, of class `name`; raises "… expected, got …" otherwise. */
struct tide_bind_object *tide_bind_check(lua_State *L, int index, const char *name);
/* NULL when it is something else. */
struct tide_bind_object *tide_bind_test(lua_State *L, int index, const char *name);
/* The engine behind an object; raises when it has been closed. */
struct tide_engine *tide_bind_engine_of(lua_State *L, const struct tide_bind_object *object);
/* Dataset at `index`; raises when it is none or its engine has been closed. Borrowed. */
struct tide_rdd *tide_bind_check_rdd(lua_State *L, int index);
/* Whole number in [low, high]; raises with `what` in the text. */
int64_t tide_bind_check_whole(lua_State *L, int index, int64_t low, int64_t high, const char *what);
/* The same for field `name` of the table at `table`; nil gives `absent` (raises when absent is INT64_MIN: the field is required). */
int64_t tide_bind_field_whole(lua_State *L, int table, const char *name, int64_t low, int64_t high, int64_t absent);
/* Boolean field; nil gives `absent`. */
bool tide_bind_field_boolean(lua_State *L, int table, const char *name, bool absent);

/* Operator descriptor (MessagePack bytes as a string) at `index`: a new op; the last check of the caller. */
struct tide_op *tide_bind_check_op(lua_State *L, int index, bool keeps_keys);
/* A new exchange from the options table at `index` {route=, partitions=, ascending=, write=, read=, inPlace=}. */
struct tide_exchange *tide_bind_check_exchange(lua_State *L, int index);

/* ---- Answers -------------------------------------------------------------------------------------------------- */

/* Pushes nil, text, code name ("EIO") and clears err. Returns 3: `return tide_bind_failure(L, &err);` */
int tide_bind_failure(lua_State *L, struct tide_error *err);
/* Sets field `name` of the table on top to the error's text and `code_name` to its code name; nothing when there is no error. */
void tide_bind_set_error(lua_State *L, const struct tide_error *err, const char *name, const char *code_name);

/* ---- The other files of bind/ --------------------------------------------------------------------------------- */

/* Each registers its classes. */
void tide_bind_engine(lua_State *L);
void tide_bind_rdd(lua_State *L);
void tide_bind_stream(lua_State *L);

/* Methods that other files add to the class of engines (engine:graph …): ends with {NULL, NULL}. Called from the
 * functions above, after tide_bind_engine. */
void tide_bind_engine_methods(lua_State *L, const luaL_Reg *methods);

/* core.engine{…} */
int tide_bind_engine_new(lua_State *L);

/* bind_stream.c, for other files with methods of graphs and streams: the graph or stream at `index`, which raises when its
 * graph has been closed; the runner of a graph; the result of a constructor, `stream` or why there is none, for the userdata
 * on top; raising what C has against a call. */
struct tide_graph *tide_bind_check_graph(lua_State *L, int index);
struct tide_stream *tide_bind_check_stream(lua_State *L, int index);
struct tide_batch_runner *tide_bind_check_runner(lua_State *L, int index);
struct tide_batch_runner *tide_bind_test_runner(lua_State *L, int index); /* NULL when it is closed */
int tide_bind_answer_stream(lua_State *L, struct tide_bind_object *object, struct tide_stream *stream,
                            struct tide_error *err);
int tide_bind_refuse(lua_State *L, struct tide_error *err);
/* bind_window.c */
void tide_bind_window(lua_State *L);
/* Adds what concerns arity to datasets and streams. */
void tide_bind_arity(lua_State *L);

/* bind_stream.c: pushes the userdata of a graph (the one remembered for it), nil when the script has let go of it. */
void tide_bind_push_graph(lua_State *L, int parent, struct tide_graph *graph);

int luaopen_moontide_core(lua_State *L);

#endif
