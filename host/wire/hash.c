/*
 * Hashes of keys and of content. tide_hash_* of keys run once per record on worker threads; pure functions. The
 * values are written into checkpoints (through key groups) and determine the partition of a key, so they can never
 * change: spec/host/test_hash.c fixes some of them.
 *
 * A packed integer that a double holds exactly is hashed as that double, whatever its form. One that no double holds
 * (beyond 2^53, to Lua an int64 or uint64) cannot equal any Lua number; it is hashed over its 64 bits, because
 * rounding it would give whole runs of neighbouring ids one hash. The same holds inside of tables: each value in them
 * is hashed in the one form of wire/key.h; when all have it, as nearly always, that is the hash of the bytes.
 */
#include "wire/hash.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "wire/big_endian.h"
#include "wire/key.h"

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define LITTLE64(bits) __builtin_bswap64(bits)
#else
#define LITTLE64(bits) (bits)
#endif

static inline uint64_t hash_bits(uint64_t bits, enum tide_key_class class) {
    bits = LITTLE64(bits);
    return XXH3_64bits_withSeed(&bits, sizeof bits, class);
}

static inline uint64_t hash_double(double value) {
    uint64_t bits;

    if (value == 0) value = 0;                         /* -0 */
    if (value != value) bits = UINT64_C(0x7ff8) << 48; /* one NaN: refusing NaN keys is up to the caller */
    else memcpy(&bits, &value, sizeof bits);
    return hash_bits(bits, TIDE_KEY_NUMBER);
}

static inline uint64_t hash_unsigned(uint64_t n) {
    double value = (double)n;

    /* (double)UINT64_MAX is 2^64, which must not be converted back. */
    if (value < 18446744073709551616.0 && (uint64_t)value == n) return hash_double(value);
    return hash_bits(n, TIDE_KEY_OTHER);
}

static inline uint64_t hash_signed(int64_t n) {
    if (n >= 0) return hash_unsigned((uint64_t)n);
    double value = (double)n; /* never below -2^63 */
    if ((int64_t)value == n) return hash_double(value);
    return hash_bits((uint64_t)n, TIDE_KEY_OTHER);
}

uint64_t tide_hash_string(const void *data, size_t size) { return XXH3_64bits_withSeed(data, size, TIDE_KEY_STRING); }

uint64_t tide_hash_number(double value) { return hash_double(value); }

/* A container that holds numbers which have several forms. */
static uint64_t hash_forms(const uint8_t *data, size_t size) {
    const uint8_t *end = data + size;
    XXH3_state_t state;

    XXH3_INITSTATE(&state);
    XXH3_64bits_reset_withSeed(&state, TIDE_KEY_OTHER);
    while (data < end) {
        uint8_t form[TIDE_KEY_FORM_MAX];
        size_t length;
        const uint8_t *next, *bytes = tide_key_form(data, end, form, &length, &next);

        XXH3_64bits_update(&state, bytes, length);
        data = next;
    }
    return XXH3_64bits_digest(&state);
}

uint64_t tide_hash_packed(const uint8_t *data, size_t size) {
    if (size == 0) return XXH3_64bits_withSeed(NULL, 0, TIDE_KEY_OTHER);
    uint8_t tag = *data;
    uint32_t word;
    uint64_t bits;
    float single;
    double value;
    if (tag >= 0xa0 && tag <= 0xbf) {
        if (size == 1u + (tag & 0x1f)) return tide_hash_string(data + 1, size - 1);
    } else if (tag <= 0x7f) {
        if (size == 1) return hash_double(tag);
    } else if (tag >= 0xe0) {
        if (size == 1) return hash_double((int8_t)tag);
    } else {
        switch (tag) {
        case 0xd9:
        case 0xc4:
            if (size >= 2 && size - 2 == data[1]) return tide_hash_string(data + 2, size - 2);
            break;
        case 0xda:
        case 0xc5:
            if (size >= 3 && size - 3 == tide_load_big16(data + 1)) return tide_hash_string(data + 3, size - 3);
            break;
        case 0xdb:
        case 0xc6:
            if (size >= 5 && size - 5 == tide_load_big32(data + 1)) return tide_hash_string(data + 5, size - 5);
            break;
        case 0xca:
            if (size != 5) break;
            word = tide_load_big32(data + 1);
            memcpy(&single, &word, sizeof single);
            return hash_double(single);
        case 0xcb:
            if (size != 9) break;
            bits = tide_load_big64(data + 1);
            memcpy(&value, &bits, sizeof value);
            return hash_double(value);
        case 0xcc:
            if (size == 2) return hash_double(data[1]);
            break;
        case 0xcd:
            if (size == 3) return hash_double(tide_load_big16(data + 1));
            break;
        case 0xce:
            if (size == 5) return hash_double(tide_load_big32(data + 1));
            break;
        case 0xcf:
            if (size == 9) return hash_unsigned(tide_load_big64(data + 1));
            break;
        case 0xd0:
            if (size == 2) return hash_double((int8_t)data[1]);
            break;
        case 0xd1:
            if (size == 3) return hash_double((int16_t)tide_load_big16(data + 1));
            break;
        case 0xd2:
            if (size == 5) return hash_double((int32_t)tide_load_big32(data + 1));
            break;
        case 0xd3:
            if (size == 9) return hash_signed((int64_t)tide_load_big64(data + 1));
            break;
        default: break;
        }
    }
    if (tide_key_has_forms(data, size)) return hash_forms(data, size);
    /* Containers, booleans, null; and spans that are not one whole value, for which any result will do. */
    return XXH3_64bits_withSeed(data, size, TIDE_KEY_OTHER);
}

void tide_hash_content(const void *data, size_t size, uint64_t id[2]) {
    XXH128_hash_t hash = XXH3_128bits(data, size);

    id[0] = hash.low64;
    id[1] = hash.high64;
}

/* ---- Piece by piece ------------------------------------------------------------------------------------------- */

/* struct tide_hasher is XXH3's own state, which it allocates itself because it must be aligned to 64 bytes. */

struct tide_hasher *tide_hasher_new(void) {
    XXH3_state_t *state = XXH3_createState();

    if (state) XXH3_64bits_reset(state);
    return (struct tide_hasher *)state;
}

void tide_hasher_add(struct tide_hasher *hasher, const void *data, size_t size) {
    XXH3_64bits_update((XXH3_state_t *)hasher, data, size);
}

uint64_t tide_hasher_value(const struct tide_hasher *hasher) {
    return XXH3_64bits_digest((const XXH3_state_t *)hasher);
}

void tide_hasher_delete(struct tide_hasher *hasher) { XXH3_freeState((XXH3_state_t *)hasher); }

uint32_t tide_hash_partition(const uint8_t *data, size_t size, uint32_t partitions) {
    return tide_key_partition(tide_hash_packed(data, size), partitions);
}
