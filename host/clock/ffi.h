/*
 * What Lua sees of clock/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_CLOCK_FFI_H
#define TIDE_CLOCK_FFI_H

#include <stdint.h>

/* For measurements (listener events, benches). */
uint64_t tide_clock_monotonic_ns(void);
/* The wall clock as local file systems stamp files, which is a tick behind at most; ns. */
int64_t tide_clock_file_ns(void);

#endif
