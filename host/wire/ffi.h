/*
 * What Lua sees of wire/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_WIRE_FFI_H
#define TIDE_WIRE_FFI_H

#include <stddef.h>
#include <stdint.h>

/* ---- wire/hash.h ---------------------------------------------------------------------------------------------- */

/* The partition that owns the key group of a packed key: data … data + size, one MessagePack value. */
uint32_t tide_hash_partition(const uint8_t *data, size_t size, uint32_t partitions);

/* ---- wire/key.h ----------------------------------------------------------------------------------------------- */

/* Brings a key into the form in which keys are stored, in place. Returns the new size, which is never larger; 0 when
 * it contains NaN. */
size_t tide_key_make_plain(uint8_t *key, size_t size);

/* ---- wire/record.h -------------------------------------------------------------------------------------------- */

enum { TIDE_RECORD_DEPTH = 100 }; /* tables within tables */

/* ---- wire/unpack.h -------------------------------------------------------------------------------------------- */

/* The byte after the value that starts at `at`; nested values are skipped without recursion. */
const uint8_t *tide_unpack_skip(const uint8_t *at, const uint8_t *end);
/* Total order over values for sorting: nil < null < false < true < numbers < strings (bytes) < arrays (element by
 * element) < maps; NaN sorts after all numbers. Both spans must be valid. */
int tide_unpack_compare(const uint8_t *a, const uint8_t *a_end, const uint8_t *b, const uint8_t *b_end);

#endif
