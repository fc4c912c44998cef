/*
 * Random MessagePack values for the specs of wire/: any valid form, not only the ones that the project writes.
 */
#ifndef SPEC_RANDOM_VALUE_H
#define SPEC_RANDOM_VALUE_H

#include <stdint.h>

#include "base/buffer.h"

/* A repeatable sequence: the same seed gives the same numbers. `state` must not be 0. */
uint64_t random_next(uint64_t *state);
/* 0 … below - 1 */
uint32_t random_below(uint64_t *state, uint32_t below);
/* Appends one value, containers at most `depth` deep. */
void random_value(struct tide_buffer *out, uint64_t *state, int depth);

#endif
