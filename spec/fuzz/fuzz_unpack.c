/*
 * Fuzz target for wire/unpack and the hash of packed keys: on any bytes they read nothing out of bounds, and their
 * answers agree with each other. `make fuzz` runs it.
 *
 * Input: byte 0 says where the rest is cut into two spans.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "driver.h"
#include "wire/hash.h"
#include "wire/unpack.h"

/* What tide_unpack_skip does, on top of tide_unpack_value. */
static const uint8_t *walk(const uint8_t *at, const uint8_t *end) {
    uint64_t pending = 1;

    while (pending > 0) {
        struct tide_value value = tide_unpack_value(at, end);
        if (value.type == TIDE_VALUE_INVALID) return NULL;
        fuzz_require(value.next > at && value.next <= end, "next lies outside the span");
        if (value.type == TIDE_VALUE_STRING || value.type == TIDE_VALUE_EXT) {
            fuzz_require(value.data > at && value.data + value.size == value.next,
                         "the payload lies outside its value");
            volatile uint8_t sum = 0;
            for (uint32_t i = 0; i < value.size; i++) sum ^= value.data[i];
        }
        pending--;
        if (value.type == TIDE_VALUE_ARRAY) pending += value.size;
        if (value.type == TIDE_VALUE_MAP) pending += 2 * (uint64_t)value.size;
        at = value.next;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    /* Two spans, each in memory of its own size, so that a byte too far is an error and not a neighbour. */
    size_t half = data[0] % size, rest = --size - half;
    data++;
    uint8_t *a = malloc(half ? half : 1), *b = malloc(rest ? rest : 1);
    if (!a || !b) abort();
    if (half) memcpy(a, data, half);
    if (rest) memcpy(b, data + half, rest);
    const uint8_t *a_end = a + half, *b_end = b + rest;

    for (const uint8_t *at = b; at <= b_end; at++) {
        const uint8_t *next = tide_unpack_skip(at, b_end);
        fuzz_require(next == walk(at, b_end), "skip and value see different ends");
        fuzz_require(!next || (next > at && next <= b_end), "skip leaves the span");
        if (next && tide_unpack_compare(at, next, at, next) != 0) fuzz_require(0, "a value differs from itself");
        if (next) tide_hash_packed(at, (size_t)(next - at));
    }
    int order = tide_unpack_compare(a, a_end, b, b_end);
    fuzz_require(order >= -1 && order <= 1, "compare gives something else than -1, 0, 1");
    fuzz_require(tide_unpack_compare(b, b_end, a, a_end) == -order, "compare depends on the side");
    const uint8_t *a_next = tide_unpack_skip(a, a_end), *b_next = tide_unpack_skip(b, b_end);
    if (a_next && b_next) {
        struct tide_value x = tide_unpack_value(a, a_end), y = tide_unpack_value(b, b_end);
        if (x.type == TIDE_VALUE_NUMBER && y.type == TIDE_VALUE_NUMBER) {
            fuzz_require((x.number == y.number || (x.number != x.number && y.number != y.number)) == (order == 0),
                         "equal numbers differ, or others do not");
            fuzz_require(order != 0 ||
                             tide_hash_packed(a, (size_t)(a_next - a)) == tide_hash_packed(b, (size_t)(b_next - b)),
                         "equal numbers have different hashes");
        }
    }
    tide_hash_packed(a, half);
    tide_hash_packed(b, rest);
    free(a);
    free(b);
    return 0;
}

/* A small number in any two forms: chance would hardly find them. */
static size_t equal_numbers(uint64_t *state, uint8_t *out) {
    static const uint8_t tags[] = {0xcc, 0xcd, 0xce, 0xcf}, sizes[] = {1, 2, 4, 8};
    uint8_t n = (uint8_t)fuzz_below(state, 256);
    size_t size = 1, half = 0;

    for (int span = 0; span < 2; span++) {
        uint32_t form = fuzz_below(state, 4);
        out[size++] = tags[form];
        memset(out + size, 0, sizes[form]);
        size += sizes[form];
        out[size - 1] = n;
        if (span == 0) half = size;
    }
    out[0] = (uint8_t)(half - 1);
    return size;
}

/* Mostly tags, with small lengths behind them: plain noise would hardly ever nest. */
size_t fuzz_generate(uint64_t *state, uint8_t *out, size_t most) {
    uint32_t kind = fuzz_below(state, 5);

    if (kind == 4) return equal_numbers(state, out);
    size_t size = fuzz_below(state, (fuzz_below(state, 8) ? 24 : 96) + 1);
    for (size_t i = 0; i < size && i < most; i++) {
        switch (kind ? fuzz_below(state, 6) : 6) {
        case 0: out[i] = (uint8_t)(0xc0 + fuzz_below(state, 32)); break;
        case 1: out[i] = (uint8_t)(0x80 + fuzz_below(state, 0x24)); break;
        case 2:
        case 3: out[i] = (uint8_t)fuzz_below(state, 4); break;
        case 4: out[i] = kind == 2 ? (uint8_t)(0x90 + fuzz_below(state, 3)) : 0; break;
        default: out[i] = (uint8_t)fuzz_below(state, 256); break;
        }
    }
    return size;
}
