/*
 * Fuzz target for wire/unpack and the hash of packed keys: on any bytes they read nothing out of bounds, and their
 * answers agree with each other. With libFuzzer:
 *
 *   clang -std=gnu11 -g -Ihost -fsanitize=fuzzer,address,undefined spec/fuzz/fuzz_unpack.c host/wire/unpack.c \
 *       host/wire/hash.c -o fuzz_unpack && ./fuzz_unpack
 *
 * Without it, over a fixed corpus of generated inputs (the argument is their number, 100000 if missing):
 *
 *   gcc -std=gnu11 -g -Ihost -DTIDE_FUZZ_MAIN -fsanitize=address,undefined spec/fuzz/fuzz_unpack.c host/wire/unpack.c \
 *       host/wire/hash.c -o fuzz_unpack && ./fuzz_unpack
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire/hash.h"
#include "wire/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int good, const char *what) {
    if (good) return;
    fprintf(stderr, "fuzz_unpack: %s\n", what);
    abort();
}

/* What tide_unpack_skip does, on top of tide_unpack_value. */
static const uint8_t *walk(const uint8_t *at, const uint8_t *end) {
    uint64_t pending = 1;
    while (pending > 0) {
        struct tide_value value = tide_unpack_value(at, end);
        if (value.type == TIDE_VALUE_INVALID) return NULL;
        require(value.next > at && value.next <= end, "next lies outside the span");
        if (value.type == TIDE_VALUE_STRING || value.type == TIDE_VALUE_EXT) {
            require(value.data > at && value.data + value.size == value.next, "the payload lies outside its value");
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
    /* Two spans, each in memory of its own size, so that a byte too far is an error and not a neighbour. */
    size_t half = size ? data[0] % (size + 1) : 0;
    uint8_t *a = malloc(half ? half : 1), *b = malloc(size - half ? size - half : 1);
    if (!a || !b) abort();
    if (half) memcpy(a, data, half);
    if (size - half) memcpy(b, data + half, size - half);
    const uint8_t *a_end = a + half, *b_end = b + (size - half);

    for (const uint8_t *at = b; at <= b_end; at++) {
        const uint8_t *next = tide_unpack_skip(at, b_end);
        require(next == walk(at, b_end), "skip and value see different ends");
        require(!next || (next > at && next <= b_end), "skip leaves the span");
        if (next && tide_unpack_compare(at, next, at, next) != 0) require(0, "a value differs from itself");
        if (next) tide_hash_packed(at, (size_t)(next - at));
    }
    int order = tide_unpack_compare(a, a_end, b, b_end);
    require(order >= -1 && order <= 1, "compare gives something else than -1, 0, 1");
    require(tide_unpack_compare(b, b_end, a, a_end) == -order, "compare depends on the side");
    const uint8_t *a_next = tide_unpack_skip(a, a_end), *b_next = tide_unpack_skip(b, b_end);
    if (a_next && b_next && order == 0 && tide_unpack_value(a, a_end).type == TIDE_VALUE_NUMBER)
        require(tide_hash_packed(a, (size_t)(a_next - a)) == tide_hash_packed(b, (size_t)(b_next - b)),
                "equal numbers have different hashes");
    tide_hash_packed(a, half);
    tide_hash_packed(b, size - half);
    free(a);
    free(b);
    return 0;
}

#ifdef TIDE_FUZZ_MAIN
static uint64_t sequence = UINT64_C(88172645463325252);

static uint32_t below(uint32_t limit) {
    sequence ^= sequence << 13;
    sequence ^= sequence >> 7;
    sequence ^= sequence << 17;
    return (uint32_t)(sequence >> 33) % limit;
}

/* Mostly tags, with small lengths behind them: plain noise would hardly ever nest. */
static size_t generate(uint8_t *out, size_t most) {
    size_t size = below((uint32_t)most + 1);
    uint32_t kind = below(4);
    for (size_t i = 0; i < size; i++) {
        switch (kind ? below(6) : 6) {
        case 0: out[i] = (uint8_t)(0xc0 + below(32)); break;
        case 1: out[i] = (uint8_t)(0x80 + below(0x24)); break;
        case 2:
        case 3: out[i] = (uint8_t)below(4); break;
        case 4: out[i] = kind == 2 ? (uint8_t)(0x90 + below(3)) : 0; break;
        default: out[i] = (uint8_t)below(256); break;
        }
    }
    return size;
}

int main(int argc, char **argv) {
    long count = argc > 1 ? atol(argv[1]) : 100000;
    uint8_t input[96];
    for (long i = 0; i < count; i++) LLVMFuzzerTestOneInput(input, generate(input, i % 8 ? 24 : sizeof input));
    /* Two equal numbers in any two forms, which chance would not find: n as a pair of spans cut by its first byte. */
    for (uint32_t n = 0; n < 256; n++) {
        uint8_t unsigned_forms[][9] = {{0xcc, (uint8_t)n}, {0xcd, 0, (uint8_t)n}, {0xce, 0, 0, 0, (uint8_t)n}};
        size_t sizes[] = {2, 3, 5};
        for (int x = 0; x < 3; x++)
            for (int y = 0; y < 3; y++) {
                uint8_t *p = unsigned_forms[x], *q = unsigned_forms[y];
                require(tide_unpack_compare(p, p + sizes[x], q, q + sizes[y]) == 0, "forms of a number differ");
                require(tide_hash_packed(p, sizes[x]) == tide_hash_packed(q, sizes[y]), "forms hash differently");
            }
    }
    printf("fuzz_unpack: %ld inputs\n", count);
    return 0;
}
#endif
