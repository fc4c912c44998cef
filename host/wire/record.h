/*
 * Tells whether a packed value from elsewhere is one that Lua can hold. What is packed here always is; files may hold more, as
 * MessagePack has more. Pure; any thread.
 */
#ifndef TIDE_WIRE_RECORD_H
#define TIDE_WIRE_RECORD_H

#include <stdint.h>

#include "wire/ffi.h"

/* Passes one value. NULL: it is not complete (then *why is NULL), or can't be held: *why says so, as the end of "it has …". */
const uint8_t *tide_record_pass(const uint8_t *at, const uint8_t *end, const char **why);

#endif
