/*
 * Walks a packed value with a stack of the tables it is in (see record.h). Called by format/sequence_reader.c for
 * each record of object files.
 */
#include "wire/record.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "wire/unpack.h"

enum {
    NIL = 0xc0,
    EXT8 = 0xc7,
    FLOAT = 0xca,
    DOUBLE = 0xcb,
    ARRAY16 = 0xdc,
    ARRAY32 = 0xdd,
    MAP16 = 0xde,
    MAP32 = 0xdf
};

/* A table that is being skipped: how many values are left, and whether it is a map, where those at even places are
 * keys. */
struct level {
    uint64_t left;
    bool map;
};

static bool is_map(uint8_t tag) { return (tag & 0xf0) == 0x80 || tag == MAP16 || tag == MAP32; }

static bool is_table(uint8_t tag) { return (tag & 0xe0) == 0x80 || (tag >= ARRAY16 && tag <= MAP32); }

static uint64_t big(const uint8_t *at, size_t size) {
    uint64_t value = 0;

    for (size_t i = 0; i < size; i++) value = value << 8 | at[i];
    return value;
}

/* The head of a table. NULL: it is cut off. */
static const uint8_t *open_table(const uint8_t *at, const uint8_t *end, struct level *level) {
    size_t size = *at < 0xa0 ? 0 : *at == ARRAY16 || *at == MAP16 ? 2 : 4;

    if ((size_t)(end - at) < 1 + size) return NULL;

    uint64_t count = size == 0 ? *at & 0x0f : big(at + 1, size);

    level->map = is_map(*at);
    level->left = level->map ? 2 * count : count;
    return level->left <= (uint64_t)(end - at) ? at + 1 + size : NULL; /* a value takes a byte at least */
}

static bool is_nan(const uint8_t *at) {
    if (*at == FLOAT) return (big(at + 1, 4) & 0x7fffffff) > 0x7f800000;
    return *at == DOUBLE && (big(at + 1, 8) & INT64_MAX) > UINT64_C(0x7ff0000000000000);
}

static bool is_extension(uint8_t tag) { return (tag >= EXT8 && tag <= 0xc9) || (tag >= 0xd4 && tag <= 0xd8); }

/* Why Lua can't hold a complete value that is no table. */
static const char *unfit(const uint8_t *at, bool key) {
    static const uint8_t null[] = {EXT8, 0, 1};

    if (is_extension(*at) && memcmp(at, null, sizeof null) != 0)
        return "a MessagePack extension, which is no value of Lua";
    if (key && *at == NIL) return "a map with nil as a key";
    if (key && is_nan(at)) return "a map with NaN as a key";
    return NULL;
}

/* Skips a value that is no table. NULL as in tide_record_pass. */
static const uint8_t *pass_scalar(const uint8_t *at, const uint8_t *end, bool key, const char **why) {
    /* Most values: small whole numbers and short strings. */
    if (*at <= 0x7f || *at >= 0xe0) return at + 1;
    if (*at >= 0xa0 && *at <= 0xbf) return (size_t)(end - at) > (*at & 0x1fu) ? at + 1 + (*at & 0x1f) : NULL;

    const uint8_t *next = tide_unpack_skip(at, end);

    if (next) *why = unfit(at, key);
    return !*why ? next : NULL;
}

const uint8_t *tide_record_pass(const uint8_t *at, const uint8_t *end, const char **why) {
    struct level levels[TIDE_RECORD_DEPTH + 1], now = {.left = 1};
    size_t depth = 0;

    *why = NULL;
    for (;;) {
        while (now.left == 0) {
            if (depth == 0) return at;
            now = levels[--depth];
        }
        if (at >= end) return NULL;

        bool key = now.map && now.left % 2 == 0;

        now.left--;
        if (!is_table(*at)) {
            at = pass_scalar(at, end, key, why);
        } else {
            if (key) *why = "a map with a table as a key";
            else if (depth == TIDE_RECORD_DEPTH) *why = "tables that are nested more than 100 levels deep";
            if (*why) return NULL;
            levels[depth++] = now;
            at = open_table(at, end, &now);
        }
        if (!at) return NULL;
    }
}
