/*
 * What every file of bind/ needs: userdata of the C module "moontide.core", checks of arguments, answers.
 *
 * Every userdata is a `struct tide_bind_object`: a pointer to the object of C, and the handle of its engine, which
 * outlives the engine. Its Lua environment table holds the engine's userdata, so nothing is collected before the
 * objects that use it. Metatables carry `__moontide = "RDD"` (…"Job", "Engine", "Graph", "Stream"): closure packing
 * refuses such values by that name.
 *
 * Blocks cross as addresses (numbers). An address that a function returns, or takes for good, carries a reference. A
 * borrowed one is an argument of a Lua function that C calls (job:each): its owner is on C's stack for as long as
 * that call lasts. Borrowed addresses are never returned, because nothing would keep their owner alive.
 *
 * Order of work in a binding function: check all arguments (tide_bind_check_*, which may raise and own nothing), make
 * the userdata (tide_bind_new, which may raise for lack of memory), make what C needs, call C, fill the userdata. A
 * reference that C owns is never held across a call that may raise.
 *
 * Thread: driver only.
 */
#ifndef TIDE_BIND_OBJECT_H
#define TIDE_BIND_OBJECT_H

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "engine.h"
#include "rdd/rdd.h"

#define TIDE_BIND_ENGINE "moontide.core.engine"
#define TIDE_BIND_RDD "moontide.core.rdd"
#define TIDE_BIND_JOB "moontide.core.job"
#define TIDE_BIND_GRAPH "moontide.core.graph"
#define TIDE_BIND_STREAM "moontide.core.stream"

/* Milliseconds, tokens and addresses cross as numbers, which are exact up to here. */
#define TIDE_BIND_MOST (INT64_C(1) << 53)

struct tide_bind_handle {
    uint32_t refs;
    struct tide_engine *engine; /* NULL once closed */
};

struct tide_bind_object {
    void *pointer; /* struct tide_rdd *, struct tide_job *, …; NULL: released, or never filled in */
    struct tide_bind_handle *handle;
};

/* Prepares a state, once, before the classes. */
void tide_bind_open(lua_State *L);

/* ---- Making userdata ------------------------------------------------------------------------------------------ */

/* Registers a metatable: `name` is its registry name, `title` its name in messages and in __moontide ("RDD").
 * `methods` become __index. Adds __tostring ("moontide RDD: …") and `gc`. Leaves nothing on the stack. */
void tide_bind_class(lua_State *L, const char *name, const char *title, const luaL_Reg *methods, lua_CFunction gc);

/* More methods for a class that is registered already. */
void tide_bind_add_methods(lua_State *L, const char *name, const luaL_Reg *methods);

/* Pushes a userdata of class `name` with the handle and the environment of the object at `parent` (an engine, rdd,
 * job, graph or stream). Its pointer is NULL until the caller fills it in. */
struct tide_bind_object *tide_bind_new(lua_State *L, int parent, const char *name);

/* Pushes a userdata for a dataset; retains it. */
void tide_bind_push_rdd(lua_State *L, int parent, struct tide_rdd *rdd);
/* Pushes an array of such userdata. */
void tide_bind_push_rdds(lua_State *L, int parent, struct tide_rdd *const *rdds, uint32_t count);

/* Identity: tide_bind_remember remembers the userdata on top of the stack for `pointer`, without keeping it alive;
 * tide_bind_known pushes it and returns true, or pushes nothing when it has been collected. */
bool tide_bind_known(lua_State *L, const void *pointer);
void tide_bind_remember(lua_State *L, const void *pointer);

/* For __gc: releases the handle. Releasing the pointer is up to the caller. */
void tide_bind_drop_handle(struct tide_bind_object *object);

/* ---- Checking arguments --------------------------------------------------------------------------------------- */

/* The object at `index`, of class `name`; raises "… expected, got …" otherwise. */
struct tide_bind_object *tide_bind_check(lua_State *L, int index, const char *name);
/* NULL when it is something else. */
struct tide_bind_object *tide_bind_test(lua_State *L, int index, const char *name);
/* The engine behind an object; raises when it has been closed. */
struct tide_engine *tide_bind_engine_of(lua_State *L, const struct tide_bind_object *object);
/* The dataset at `index`, borrowed; raises when it is none or its engine has been closed. */
struct tide_rdd *tide_bind_check_rdd(lua_State *L, int index);
/* The dataset at stack index `at` (which argument `argument` contains), borrowed; raises unless it belongs to the
 * engine of the object at 1. */
struct tide_rdd *tide_bind_check_own_rdd(lua_State *L, int at, int argument);
/* Whole number in [low, high]; raises with `what` in the text. */
int64_t tide_bind_check_whole(lua_State *L, int index, int64_t low, int64_t high, const char *what);
/* The same for field `name` of the table at `table`; nil gives `absent` (INT64_MIN: the field is required). */
int64_t tide_bind_field_whole(lua_State *L, int table, const char *name, int64_t low, int64_t high, int64_t absent);
/* Boolean field; nil gives `absent`. */
bool tide_bind_field_boolean(lua_State *L, int table, const char *name, bool absent);

/* ---- Answers -------------------------------------------------------------------------------------------------- */

/* Field `name` of the table on top. */
void tide_bind_set_number(lua_State *L, const char *name, double number);

/* Pushes nil, text, code name ("EIO") and clears err. Returns 3: `return tide_bind_failure(L, &err);` */
int tide_bind_failure(lua_State *L, struct tide_error *err);
/* Raises err's text and clears err: for calls that C refuses. */
int tide_bind_refuse(lua_State *L, struct tide_error *err);
/* Sets field `name` of the table on top to the error's text and `code_name` to its code name; nothing when there is
 * no error. */
void tide_bind_set_error(lua_State *L, const struct tide_error *err, const char *name, const char *code_name);

#endif
