/*
 * Writing MessagePack into a tide_buffer (over msgpack-c's packer). For plans, messages and native kernels; the
 * per-record hot path is in lua/moontide/wire/codec.lua and follows the same rules:
 *   numbers that are int32 → shortest integer form; other numbers and -0 → float64; int64/uint64 beyond 2^53
 *   → int64/uint64; nil → nil; explicit null → ext type 1, empty; strings → str (any bytes);
 *   {} → map 0; moontide.array{} → array 0; an empty table that is marked as an object → map 0 in the two byte form.
 * Map keys in data are written in sorted order (packed bytes), so that equal tables have equal bytes.
 */
#ifndef TIDE_WIRE_PACK_H
#define TIDE_WIRE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { TIDE_EXT_NULL = 1, TIDE_PACKED_NUMBER_MAX = 9 };

void tide_pack_nil(struct tide_buffer *out);
void tide_pack_bool(struct tide_buffer *out, bool value);
void tide_pack_number(struct tide_buffer *out, double value);
/* The same into memory with room for TIDE_PACKED_NUMBER_MAX bytes; returns how many were written. */
size_t tide_pack_number_at(uint8_t *out, double value);
void tide_pack_int64(struct tide_buffer *out, int64_t value);
void tide_pack_string(struct tide_buffer *out, const char *data, size_t size);
void tide_pack_text(struct tide_buffer *out, const char *zero_terminated);
void tide_pack_array(struct tide_buffer *out, uint32_t count);
void tide_pack_map(struct tide_buffer *out, uint32_t count);

#endif
