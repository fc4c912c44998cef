/*
 * Calls from C into Lua. All are protected: a Lua error becomes a struct tide_error with message and traceback.
 * Called on the thread that owns the state.
 */
#ifndef TIDE_VM_CALL_H
#define TIDE_VM_CALL_H

#include <stdbool.h>

#include "base/error.h"

struct lua_State;

/* require(module)[function](argv table: [0] … [argc-1]) → its integer result (0 when it returns nothing). Errors:
 * TIDE_ECLOSURE. */
int tide_vm_call_main(struct lua_State *L, const char *module, const char *function, int argc, char **argv,
                      int *result, struct tide_error *err);

/* require(module)[function] is kept as a reference for tide_vm_call_pointer. Negative on failure. */
int tide_vm_reference(struct lua_State *L, const char *module, const char *function, struct tide_error *err);

/* Calls the referenced function with one light userdata. A raised error becomes err, with code TIDE_ECLOSURE; a
 * raised string is used as it is (the callee composes complete messages). */
int tide_vm_call_pointer(struct lua_State *L, int reference, void *pointer, struct tide_error *err);

/* Collects garbage: as much as allocating `kb` more would cause, or all of it when kb is 0. An error of a finalizer
 * becomes err (TIDE_ECLOSURE); the next call continues after it. true: the collection is complete. */
bool tide_vm_collect(struct lua_State *L, int kb, struct tide_error *err);

#endif
