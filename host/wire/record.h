/*
 * Whether Lua can hold a packed value that comes from a file. MessagePack has more values than Lua; those packed by
 * this program can always be held. Pure; any thread.
 */
#ifndef TIDE_WIRE_RECORD_H
#define TIDE_WIRE_RECORD_H

#include <stdint.h>

#include "wire/ffi.h"

/* Skips one value. NULL: it is incomplete (*why is NULL), or can't be held: *why is the reason, the end of "it has
 * …". */
const uint8_t *tide_record_pass(const uint8_t *at, const uint8_t *end, const char **why);

#endif
