/*
 * Packed values as keys. Values that are equal in Lua are one key whatever their form, at every depth of a table: -0
 * and 0, the int64, uint64 and double of one whole number, an empty table with and without a mark. NaN is not equal
 * to itself and can't be part of a key. Pure functions, any thread; the spans must be valid.
 */
#ifndef TIDE_WIRE_KEY_H
#define TIDE_WIRE_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire/ffi.h"
#include "wire/unpack.h"

/* Whether NaN is anywhere in it. */
bool tide_key_has_nan(const uint8_t *key, size_t size);

/* Whether it has the form in which keys are stored: no NaN, no -0, no mark on an empty table. (Large whole numbers
 * keep their form, so that scripts get them back unchanged.) */
bool tide_key_is_plain(const uint8_t *key, size_t size);

/* Whether two packed values are one key. */
static inline bool tide_key_same(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size) {
    return (a_size == b_size && memcmp(a, b, a_size) == 0) || tide_unpack_compare(a, a + a_size, b, b + b_size) == 0;
}

/* A container whose hash is not that of its bytes: it holds a number in a form that has others. */
bool tide_key_has_forms(const uint8_t *key, size_t size);

/* The value at `at` (of a container: its head) in the one form that all equal ones are hashed in: returns its bytes,
 * in `form` when they are not those at `at`, their number in `size`, and the byte after the value (the head) in
 * `next`. */
enum { TIDE_KEY_FORM_MAX = 9 };
const uint8_t *tide_key_form(const uint8_t *at, const uint8_t *end, uint8_t form[TIDE_KEY_FORM_MAX], size_t *size,
                             const uint8_t **next);

#endif
