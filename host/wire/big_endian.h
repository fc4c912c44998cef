/*
 * Big-endian loads, as MessagePack and Hadoop's formats have numbers: from any address, on machines of either order.
 * A load and a swap rather than shifts of bytes, because these are on hot paths and compilers do not see through
 * all the shifts. Header only.
 */
#ifndef TIDE_WIRE_BIG_ENDIAN_H
#define TIDE_WIRE_BIG_ENDIAN_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define TIDE_BIG16(bits) (bits)
#define TIDE_BIG32(bits) (bits)
#define TIDE_BIG64(bits) (bits)
#else
#define TIDE_BIG16(bits) __builtin_bswap16(bits)
#define TIDE_BIG32(bits) __builtin_bswap32(bits)
#define TIDE_BIG64(bits) __builtin_bswap64(bits)
#endif

static inline uint16_t tide_load_big16(const uint8_t *at) {
    uint16_t bits;

    memcpy(&bits, at, sizeof bits);
    return TIDE_BIG16(bits);
}

static inline uint32_t tide_load_big32(const uint8_t *at) {
    uint32_t bits;

    memcpy(&bits, at, sizeof bits);
    return TIDE_BIG32(bits);
}

static inline uint64_t tide_load_big64(const uint8_t *at) {
    uint64_t bits;

    memcpy(&bits, at, sizeof bits);
    return TIDE_BIG64(bits);
}

#endif
