/*
 * What Lua sees of thread/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_THREAD_FFI_H
#define TIDE_THREAD_FFI_H

#include <stdbool.h>

/* Whether so much of the calling thread's stack is in use that no coroutine (with a Lua stack of its own) may
 * begin. */
bool tide_thread_stack_is_short(void);

#endif
