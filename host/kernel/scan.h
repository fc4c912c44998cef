/*
 * Finds spans of bytes of one class in a text. lua/moontide/worker/scan.lua implements string.gmatch for patterns
 * like "%S+" with it, because LuaJIT does not compile the library's own.
 *
 * Pure; any thread. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_SCAN_H
#define TIDE_KERNEL_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/ffi.h"

#endif
