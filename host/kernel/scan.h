/*
 * Finding runs of bytes of one class, the heart of splitting text into words or fields. For worker Lua through
 * FFI: lua/moontide/worker/scan.lua builds string.gmatch on it, because LuaJIT does not compile the library's own.
 */
#ifndef TIDE_KERNEL_SCAN_H
#define TIDE_KERNEL_SCAN_H

#include <stddef.h>
#include <stdint.h>

#include "kernel/ffi.h"

#endif
