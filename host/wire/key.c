/*
 * The forms of keys (see key.h). Called by shuffles and by worker Lua for each key that is a table, so strings and
 * small whole numbers are skipped quickly. MessagePack writes a container's head and then its elements:
 * one walk over heads and scalars meets every depth.
 */
#include "wire/key.h"

#include <math.h>
#include <string.h>

#include "wire/pack.h"
#include "wire/unpack.h"

enum { FLOAT32 = 0xca, FLOAT64 = 0xcb, UINT64 = 0xcf, INT64 = 0xd3, STRING8 = 0xd9, MAP16 = 0xde, NO_MAP = 0x80 };

/* Findings in a key. */
enum { HAS_NAN = 1, NOT_PLAIN = 2, HAS_FORMS = 4 };

static bool is_container(uint8_t tag) { return (tag >= 0x80 && tag <= 0x9f) || (tag >= 0xdc && tag <= 0xdf); }

static bool is_marked_map(const uint8_t *at, const struct tide_value *value) {
    return value->type == TIDE_VALUE_MAP && value->size == 0 && *at != NO_MAP;
}

static unsigned look_at_number(double number) {
    if (number != number) return HAS_NAN;
    if (number == 0) return NOT_PLAIN | HAS_FORMS; /* 0 itself is written as an integer */
    return number == floor(number) && number >= INT32_MIN && number <= INT32_MAX ? HAS_FORMS : 0;
}

static unsigned look_at_rare(const uint8_t *at, const struct tide_value *value) {
    switch (*at) {
    case FLOAT32: return HAS_FORMS | look_at_number(value->number);
    case FLOAT64: return look_at_number(value->number);
    case INT64:
    case UINT64: return HAS_FORMS;
    default: return is_marked_map(at, value) ? NOT_PLAIN | HAS_FORMS : 0;
    }
}

/* The usual values are skipped by their first bytes. */
static unsigned look(const uint8_t *at, size_t size) {
    const uint8_t *end = at + size;
    unsigned found = 0;

    while (at < end) {
        uint8_t tag = *at;

        if (tag <= 0x9f || tag >= 0xe0) {
            at++;
        } else if (tag <= 0xbf) {
            at += 1 + (tag & 0x1f);
        } else if (tag == STRING8 && end - at >= 2) {
            at += 2 + at[1];
        } else {
            struct tide_value value = tide_unpack_value(at, end);

            if (value.type == TIDE_VALUE_INVALID) return found;
            found |= look_at_rare(at, &value);
            at = value.next;
        }
    }
    return found;
}

/* Only tables and floating point numbers need a search. */
static inline unsigned look_into(const uint8_t *key, size_t size) {
    return is_container(*key) || *key == FLOAT64 || *key == FLOAT32 ? look(key, size) : 0;
}

bool tide_key_has_nan(const uint8_t *key, size_t size) { return (look_into(key, size) & HAS_NAN) != 0; }

bool tide_key_is_plain(const uint8_t *key, size_t size) {
    return (look_into(key, size) & (HAS_NAN | NOT_PLAIN)) == 0;
}

bool tide_key_has_forms(const uint8_t *key, size_t size) {
    return is_container(*key) && (look(key, size) & HAS_FORMS) != 0;
}

size_t tide_key_make_plain(uint8_t *key, size_t size) {
    if (tide_key_is_plain(key, size)) return size;

    const uint8_t *end = key + size;
    uint8_t *out = key;

    for (const uint8_t *at = key; at < end;) {
        struct tide_value value = tide_unpack_value(at, end);
        const uint8_t *next = value.next;

        if (value.type == TIDE_VALUE_INVALID || value.number != value.number) return 0;
        if ((*at == FLOAT64 || *at == FLOAT32) && value.number == 0) {
            *out++ = 0;
        } else if (is_marked_map(at, &value)) {
            *out++ = NO_MAP;
        } else {
            memmove(out, at, (size_t)(next - at));
            out += next - at;
        }
        at = next;
    }
    return (size_t)(out - key);
}

/* A whole number beyond 2^53: the double if there is one, else the signed form if there is one. */
static size_t large_form(const struct tide_value *value, uint8_t *form) {
    bool is_signed = value->type == TIDE_VALUE_INT64;
    double number = is_signed ? (double)value->int64 : (double)value->uint64;
    bool exact = is_signed ? number < 0x1p63 && (int64_t)number == value->int64
                           : number < 0x1p64 && (uint64_t)number == value->uint64;

    if (exact) return tide_pack_number_at(form, number);

    uint64_t bits = is_signed ? (uint64_t)value->int64 : value->uint64;

    form[0] = is_signed ? INT64 : UINT64;
    for (int i = 8; i > 0; i--, bits >>= 8) form[i] = (uint8_t)bits;
    return TIDE_KEY_FORM_MAX;
}

const uint8_t *tide_key_form(const uint8_t *at, const uint8_t *end, uint8_t form[TIDE_KEY_FORM_MAX], size_t *size,
                             const uint8_t **next) {
    struct tide_value value = tide_unpack_value(at, end);

    *next = value.type == TIDE_VALUE_INVALID ? end : value.next;
    *size = (size_t)(*next - at);
    if (value.type == TIDE_VALUE_NUMBER && *at > 0x7f)
        *size = tide_pack_number_at(form, value.number == 0 ? 0 : value.number);
    else if (value.type == TIDE_VALUE_INT64 || value.type == TIDE_VALUE_UINT64) *size = large_form(&value, form);
    else if (is_marked_map(at, &value)) *form = NO_MAP, *size = 1;
    else return at;
    return form;
}
