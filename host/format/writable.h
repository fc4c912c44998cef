/*
 * Converts between Hadoop's writables, the form of keys and values in SequenceFiles, and packed values.
 *
 *   Text            vint length, bytes (UTF-8 by convention)    string
 *   IntWritable     4 bytes, big-endian                         whole number
 *   LongWritable    8 bytes, big-endian                         whole number; int64 beyond 2^53
 *   FloatWritable   4 bytes, IEEE 754, big-endian               number, rounded to single precision when written
 *   DoubleWritable  8 bytes, IEEE 754, big-endian               number
 *   BooleanWritable 1 byte                                      true, false
 *   BytesWritable   4 bytes length, bytes                       string
 *   NullWritable    nothing                                     explicit null
 *
 * A vint is one byte for -112…127; else a first byte that tells sign and length (-113…-120: positive, 1…8 bytes
 * follow; -121…-128: negative, the complement follows), and the bytes, big-endian.
 *
 * Pure functions; any thread.
 */
#ifndef TIDE_FORMAT_WRITABLE_H
#define TIDE_FORMAT_WRITABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "format/ffi.h"
#include "store/block.h"

/* "org.apache.hadoop.io.IntWritable"; static memory. */
const char *tide_writable_class(enum tide_writable kind);

/* Appends a packed value as a writable of the kind. The value must be complete (tide_unpack_skip). TIDE_EINVAL: it
 * does not fit ("the number 1.5: IntWritable holds …"); TIDE_ELIMIT: it is too long; TIDE_ENOMEM. On an error `out`
 * is as before. */
int tide_writable_encode(enum tide_writable kind, const uint8_t *packed, const uint8_t *end, struct tide_buffer *out,
                         struct tide_error *err);
/* Appends the value of a writable's bytes to a packed block. TIDE_ECORRUPT: they are not exactly one value of the
 * kind, and the text says why; TIDE_ENOMEM. */
int tide_writable_decode(enum tide_writable kind, const uint8_t *data, size_t size, struct tide_block *out,
                         struct tide_error *err);

enum { TIDE_VINT_SIZE = 9 }; /* bytes at most */

/* Writes a vint to `out` and returns its length. */
size_t tide_vint_put(uint8_t out[TIDE_VINT_SIZE], int64_t value);
/* Length of the vint that starts with this byte. */
size_t tide_vint_size(uint8_t first);
/* Reads a vint and returns the byte after it, or NULL if it is not complete. */
const uint8_t *tide_vint_get(const uint8_t *at, const uint8_t *end, int64_t *value);

static inline void tide_put_big32(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

#endif
