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

/* Lets `require` find an embedded module in a state that this file did not make. It must be there. */
void tide_vm_preload(struct lua_State *L, const char *name);

#endif
