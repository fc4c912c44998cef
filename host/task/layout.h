/*
 * Handshake between the C structs and their FFI declarations.
 */
#ifndef TIDE_TASK_LAYOUT_H
#define TIDE_TASK_LAYOUT_H

#include <stddef.h>

/* Size of the which-th struct (of its part that Lua sees) of the list in lua/moontide/wire/ffi.lua; 0 beyond it. */
size_t tide_layout_size(int which);

#endif
