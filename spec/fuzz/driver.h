/*
 * What a fuzz target offers. With libFuzzer only LLVMFuzzerTestOneInput is used; without it, spec/fuzz/driver.c has
 * the main function, which makes inputs with fuzz_generate.
 */
#ifndef SPEC_FUZZ_DRIVER_H
#define SPEC_FUZZ_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Tries one input; anything wrong ends the process with abort. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes an input of at most `most` bytes (FUZZ_MOST), likely to reach far into the target, and gives its size. It
 * depends on the numbers drawn from `state` (fuzz_below) alone, so that an input can be made again. */
size_t fuzz_generate(uint64_t *state, uint8_t *out, size_t most);

enum { FUZZ_MOST = 4096 };

/* 0 … limit - 1. `state` must not be 0. */
static inline uint32_t fuzz_below(uint64_t *state, uint32_t limit) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 33) % limit;
}

/* Ends the process unless `good`. */
static inline void fuzz_require(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

#endif
