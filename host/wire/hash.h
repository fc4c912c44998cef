/*
 * Hash of a key and the key group it falls in. The same on every machine: XXH3-64 over the key's canonical payload
 * (string: its bytes; number: its double, -0 as 0, little endian; anything else: its packed bytes, with numbers in
 * them in the form of wire/key.h), seeded by the payload class. Equal Lua keys give equal hashes whatever their
 * packed form.
 */
#ifndef TIDE_WIRE_HASH_H
#define TIDE_WIRE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "wire/ffi.h"

enum { TIDE_KEY_GROUPS = 128 };
enum tide_key_class { TIDE_KEY_STRING = 1, TIDE_KEY_NUMBER = 2, TIDE_KEY_OTHER = 3 };

uint64_t tide_hash_string(const void *data, size_t size);
uint64_t tide_hash_number(double value);
/* Hash of a packed key span [data, data+size), one MessagePack value. */
uint64_t tide_hash_packed(const uint8_t *data, size_t size);
/* Content id of bytes (XXH3-128), e.g. of plans. */
void tide_hash_content(const void *data, size_t size, uint64_t id[2]);

/* Checksum (XXH3-64) of bytes that come piece by piece; the same for any division into pieces. */
struct tide_hasher;
struct tide_hasher *tide_hasher_new(void); /* NULL: out of memory */
void tide_hasher_add(struct tide_hasher *hasher, const void *data, size_t size);
uint64_t tide_hasher_value(const struct tide_hasher *hasher);
void tide_hasher_delete(struct tide_hasher *hasher); /* NULL is fine */

static inline uint32_t tide_key_group(uint64_t hash) { return (uint32_t)(hash >> 32) % TIDE_KEY_GROUPS; }
/* A partition owns a contiguous range of key groups. */
static inline uint32_t tide_key_partition(uint64_t hash, uint32_t partitions) {
    return tide_key_group(hash) * partitions / TIDE_KEY_GROUPS;
}

#endif
