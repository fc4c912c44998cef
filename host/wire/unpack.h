/*
 * Reading MessagePack spans without building objects. All functions check against `end` and never read
 * past it; NULL means truncated or invalid. Pure functions, any thread.
 */
#ifndef TIDE_WIRE_UNPACK_H
#define TIDE_WIRE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/ffi.h"

enum tide_value_type {
    TIDE_VALUE_INVALID,
    TIDE_VALUE_NIL,
    TIDE_VALUE_BOOL,
    TIDE_VALUE_NUMBER, /* every integer that a double holds exactly, and every float */
    TIDE_VALUE_INT64,  /* integers beyond 2^53, as int64 */
    TIDE_VALUE_UINT64, /* integers beyond 2^63 */
    TIDE_VALUE_STRING,
    TIDE_VALUE_ARRAY,
    TIDE_VALUE_MAP,
    TIDE_VALUE_EXT
};

struct tide_value {
    enum tide_value_type type;
    bool boolean;
    double number;
    int64_t int64;
    uint64_t uint64;
    const uint8_t *data; /* string / ext payload */
    uint32_t size;       /* string / ext payload bytes, array / map entries */
    const uint8_t *next; /* string, ext, scalars: byte after the value; array, map: first element */
};

/* Describes the value at `at`; type TIDE_VALUE_INVALID when truncated or invalid. */
struct tide_value tide_unpack_value(const uint8_t *at, const uint8_t *end);

#endif
