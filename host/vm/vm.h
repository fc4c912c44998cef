/*
 * The one constructor of LuaJIT states, for the driver of the program and for workers.
 *
 * A state gets the standard libraries, the embedded moontide modules in package.preload, search paths, and a
 * JIT set up for many states in one process (bounded machine code). Ownership: the creator's thread; tide_vm_delete.
 */
#ifndef TIDE_VM_VM_H
#define TIDE_VM_VM_H

#include "base/error.h"

struct lua_State;

enum tide_vm_role { TIDE_VM_DRIVER, TIDE_VM_WORKER };

struct tide_vm_options {
    enum tide_vm_role role;
    const char *package_path; /* NULL: LuaJIT's default */
    const char *package_cpath;
    int (*open_core)(struct lua_State *L); /* opener of "moontide.core", or NULL (workers have none) */
};

struct lua_State *tide_vm_new(const struct tide_vm_options *options, struct tide_error *err);
void tide_vm_delete(struct lua_State *L); /* NULL is fine */

/* Pushes where FFI finds this library's functions, and returns it: NULL and `false` when they are symbols of the
 * program itself, which ffi.C sees; else the path of the shared object for ffi.load, because `require` loads modules
 * with local symbols. Raises when that has no path. States made here have it as
 * package.loaded["moontide.library"]. */
const char *tide_vm_push_library(struct lua_State *L);

/* Lets `require` find an embedded module in a state that this file did not make. It must be there. */
void tide_vm_preload(struct lua_State *L, const char *name);

#endif
