/*
 * Finding runs of bytes of one class, the heart of splitting text into words or fields. For worker Lua through
 * FFI: lua/moontide/worker/scan.lua builds string.gmatch on it, because LuaJIT does not compile the library's own.
 */
#ifndef TIDE_KERNEL_SCAN_H
#define TIDE_KERNEL_SCAN_H

#include <stddef.h>
#include <stdint.h>

struct tide_run {
    uint32_t start; /* of the run */
    uint32_t stop;  /* after it */
};

/* The first run of bytes with class[byte] != 0 at or after `from`. Returns 0 when there is none. Pure. */
int tide_scan_run(const uint8_t *class_of, const char *text, uint32_t size, uint32_t from, struct tide_run *run);

#endif
