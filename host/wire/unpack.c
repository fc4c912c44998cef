/*
 * Reading MessagePack in place. Called by shuffles, sorting, keyed state and all readers of messages, on
 * any thread. Input may come from the network or a disk, so every length is checked against the bytes left before it
 * is used, and nesting costs no stack: a container only adds to the number of values still to come.
 */
#include "wire/unpack.h"

#include <string.h>

#include "wire/big_endian.h"
#include "wire/pack.h"

/* 1, 2, 4 or 8 byte length. */
static inline uint32_t load_length(const uint8_t *at, unsigned width) {
    return width == 1 ? *at : width == 2 ? tide_load_big16(at) : tide_load_big32(at);
}

const uint8_t *tide_unpack_skip(const uint8_t *at, const uint8_t *end) {
    uint64_t pending = 1; /* values still to skip */

    if (!at) return NULL;
    do {
        uint64_t left = (uint64_t)(end - at);
        if (left < pending || at >= end) return NULL; /* every value takes a byte at least */
        pending--;
        uint8_t tag = *at;
        uint64_t need;
        if (tag <= 0x7f || tag >= 0xe0) {
            need = 1;
        } else if (tag >= 0xa0 && tag <= 0xbf) {
            need = 1u + (tag & 0x1f);
        } else if (tag <= 0x8f) {
            need = 1;
            pending += 2u * (tag & 0x0f);
        } else if (tag <= 0x9f) {
            need = 1;
            pending += tag & 0x0f;
        } else {
            unsigned width;
            switch (tag) {
            case 0xc0:
            case 0xc2:
            case 0xc3: need = 1; break;
            case 0xcc:
            case 0xd0: need = 2; break;
            case 0xcd:
            case 0xd1: need = 3; break;
            case 0xca:
            case 0xce:
            case 0xd2: need = 5; break;
            case 0xcb:
            case 0xcf:
            case 0xd3: need = 9; break;
            case 0xd4:
            case 0xd5:
            case 0xd6:
            case 0xd7:
            case 0xd8: need = 2u + (1u << (tag - 0xd4)); break;
            case 0xd9:
            case 0xda:
            case 0xdb: /* str */
                width = 1u << (tag - 0xd9);
                if (left < 1 + width) return NULL;
                need = 1 + width + (uint64_t)load_length(at + 1, width);
                break;
            case 0xc4:
            case 0xc5:
            case 0xc6: /* bin */
                width = 1u << (tag - 0xc4);
                if (left < 1 + width) return NULL;
                need = 1 + width + (uint64_t)load_length(at + 1, width);
                break;
            case 0xc7:
            case 0xc8:
            case 0xc9: /* ext: length, type, payload */
                width = 1u << (tag - 0xc7);
                if (left < 1 + width) return NULL;
                need = 2 + width + (uint64_t)load_length(at + 1, width);
                break;
            case 0xdc:
            case 0xdd: /* array */
            case 0xde:
            case 0xdf: /* map */
                width = tag & 1 ? 4 : 2;
                need = 1 + width;
                if (left < need) return NULL;
                pending += (uint64_t)load_length(at + 1, width) * (tag >= 0xde ? 2 : 1);
                break;
            default: /* 0xc1 is no value */ return NULL;
            }
        }
        if (left < need) return NULL;
        at += need;
    } while (pending > 0);
    return at;
}

static void set_scalar_number(struct tide_value *value, double number, const uint8_t *next) {
    value->type = TIDE_VALUE_NUMBER;
    value->number = number;
    value->next = next;
}

static void set_uint(struct tide_value *value, uint64_t n, const uint8_t *next) {
    set_scalar_number(value, (double)n, next);
    if (n <= UINT64_C(1) << 53) return;
    value->uint64 = n;
    if (n <= INT64_MAX) {
        value->type = TIDE_VALUE_INT64;
        value->int64 = (int64_t)n;
    } else {
        value->type = TIDE_VALUE_UINT64;
    }
}

static void set_int(struct tide_value *value, int64_t n, const uint8_t *next) {
    if (n >= 0) {
        set_uint(value, (uint64_t)n, next);
        return;
    }
    set_scalar_number(value, (double)n, next);
    if (n >= -(INT64_C(1) << 53)) return;
    value->type = TIDE_VALUE_INT64;
    value->int64 = n;
}

/* Leaves the value invalid when the payload is cut off. */
static void set_bytes(struct tide_value *value, enum tide_value_type type, const uint8_t *data, uint32_t size,
                      const uint8_t *end) {
    if ((uint64_t)(end - data) < size) return;
    value->type = type;
    value->data = data;
    value->size = size;
    value->next = data + size;
}

/* Leaves the value invalid when there are certainly too few bytes for the entries announced. */
static void set_container(struct tide_value *value, enum tide_value_type type, const uint8_t *first, uint32_t count,
                          const uint8_t *end) {
    uint64_t least = type == TIDE_VALUE_MAP ? 2 * (uint64_t)count : count;

    if ((uint64_t)(end - first) < least) return;
    value->type = type;
    value->size = count;
    value->next = first;
}

struct tide_value tide_unpack_value(const uint8_t *at, const uint8_t *end) {
    struct tide_value value = {.type = TIDE_VALUE_INVALID};
    if (!at || at >= end) return value;
    uint8_t tag = *at++;
    uint64_t left = (uint64_t)(end - at);
    uint32_t bits;
    uint64_t long_bits;
    float single;
    double number;
    unsigned width;

    if (tag <= 0x7f) {
        set_scalar_number(&value, tag, at);
        return value;
    }
    if (tag >= 0xe0) {
        set_scalar_number(&value, (int8_t)tag, at);
        return value;
    }
    if (tag <= 0x8f) {
        set_container(&value, TIDE_VALUE_MAP, at, tag & 0x0f, end);
        return value;
    }
    if (tag <= 0x9f) {
        set_container(&value, TIDE_VALUE_ARRAY, at, tag & 0x0f, end);
        return value;
    }
    if (tag <= 0xbf) {
        set_bytes(&value, TIDE_VALUE_STRING, at, tag & 0x1f, end);
        return value;
    }
    switch (tag) {
    case 0xc0:
        value.type = TIDE_VALUE_NIL;
        value.next = at;
        break;
    case 0xc2:
    case 0xc3:
        value.type = TIDE_VALUE_BOOL;
        value.boolean = tag == 0xc3;
        value.next = at;
        break;
    case 0xca:
        if (left < 4) break;
        bits = tide_load_big32(at);
        memcpy(&single, &bits, sizeof single);
        set_scalar_number(&value, single, at + 4);
        break;
    case 0xcb:
        if (left < 8) break;
        long_bits = tide_load_big64(at);
        memcpy(&number, &long_bits, sizeof number);
        set_scalar_number(&value, number, at + 8);
        break;
    case 0xcc:
        if (left >= 1) set_uint(&value, *at, at + 1);
        break;
    case 0xcd:
        if (left >= 2) set_uint(&value, tide_load_big16(at), at + 2);
        break;
    case 0xce:
        if (left >= 4) set_uint(&value, tide_load_big32(at), at + 4);
        break;
    case 0xcf:
        if (left >= 8) set_uint(&value, tide_load_big64(at), at + 8);
        break;
    case 0xd0:
        if (left >= 1) set_int(&value, (int8_t)*at, at + 1);
        break;
    case 0xd1:
        if (left >= 2) set_int(&value, (int16_t)tide_load_big16(at), at + 2);
        break;
    case 0xd2:
        if (left >= 4) set_int(&value, (int32_t)tide_load_big32(at), at + 4);
        break;
    case 0xd3:
        if (left >= 8) set_int(&value, (int64_t)tide_load_big64(at), at + 8);
        break;
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        if (left >= 1) set_bytes(&value, TIDE_VALUE_EXT, at + 1, 1u << (tag - 0xd4), end);
        break;
    case 0xd9:
    case 0xda:
    case 0xdb:
        width = 1u << (tag - 0xd9);
        if (left >= width) set_bytes(&value, TIDE_VALUE_STRING, at + width, load_length(at, width), end);
        break;
    case 0xc4:
    case 0xc5:
    case 0xc6: /* other programs' bin: to Lua any bytes are a string */
        width = 1u << (tag - 0xc4);
        if (left >= width) set_bytes(&value, TIDE_VALUE_STRING, at + width, load_length(at, width), end);
        break;
    case 0xc7:
    case 0xc8:
    case 0xc9:
        width = 1u << (tag - 0xc7);
        if (left >= width + 1) set_bytes(&value, TIDE_VALUE_EXT, at + width + 1, load_length(at, width), end);
        break;
    case 0xdc:
    case 0xdd:
        width = tag & 1 ? 4 : 2;
        if (left >= width) set_container(&value, TIDE_VALUE_ARRAY, at + width, load_length(at, width), end);
        break;
    case 0xde:
    case 0xdf:
        width = tag & 1 ? 4 : 2;
        if (left >= width) set_container(&value, TIDE_VALUE_MAP, at + width, load_length(at, width), end);
        break;
    default: break;
    }
    return value;
}

/* In every ext form the type is the byte before the payload. */
static bool is_null(const struct tide_value *value) { return value->size == 0 && value->data[-1] == TIDE_EXT_NULL; }

static int rank(const struct tide_value *value) {
    switch (value->type) {
    case TIDE_VALUE_INVALID: return 0;
    case TIDE_VALUE_NIL: return 1;
    case TIDE_VALUE_EXT: return is_null(value) ? 2 : 9;
    case TIDE_VALUE_BOOL: return value->boolean ? 4 : 3;
    case TIDE_VALUE_NUMBER:
    case TIDE_VALUE_INT64:
    case TIDE_VALUE_UINT64: return 5;
    case TIDE_VALUE_STRING: return 6;
    case TIDE_VALUE_ARRAY: return 7;
    case TIDE_VALUE_MAP: return 8;
    }
    return 0;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int compare_doubles(double a, double b) {
    if (a != a || b != b) return (a != a) - (b != b);
    return ORDER(a, b);
}

/* An integer beyond 2^53 against a double, exactly: converting the integer would round it. */
static int compare_big(const struct tide_value *big, double b) {
    const double two63 = 9223372036854775808.0, two64 = 18446744073709551616.0;

    if (b != b) return -1;
    if (big->type == TIDE_VALUE_UINT64) {
        if (b >= two64) return -1;
        if (b < two63) return 1;
        /* cppcheck-suppress floatConversionOverflow ; b lies in [2^63, 2^64) here */
        uint64_t whole = (uint64_t)b;
        return ORDER(big->uint64, whole);
    }
    if (b >= two63) return -1;
    if (b < -two63) return 1;
    /* A fraction cannot decide: doubles this far out are whole. */
    return ORDER(big->int64, (int64_t)b);
}

static int compare_numbers(const struct tide_value *a, const struct tide_value *b) {
    if (a->type == TIDE_VALUE_NUMBER && b->type == TIDE_VALUE_NUMBER) return compare_doubles(a->number, b->number);
    if (b->type == TIDE_VALUE_NUMBER) return compare_big(a, b->number);
    if (a->type == TIDE_VALUE_NUMBER) return -compare_big(b, a->number);
    if (a->type != b->type) return a->type == TIDE_VALUE_UINT64 ? 1 : -1;
    return a->type == TIDE_VALUE_UINT64 ? ORDER(a->uint64, b->uint64) : ORDER(a->int64, b->int64);
}

static int compare_bytes(const struct tide_value *a, const struct tide_value *b) {
    uint32_t common = a->size < b->size ? a->size : b->size;

    /* Strings and exts always have data; the analyzer does not follow that through rank(). */
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    int order = common ? memcmp(a->data, b->data, common) : 0;
    return order ? (order > 0) - (order < 0) : ORDER(a->size, b->size);
}

/*
 * Walks both spans side by side. Containers of equal size only add pairs to look at. Once two containers differ in
 * size, values outside of them no longer matter: the pairs they share decide, else their sizes. So no stack is
 * needed.
 */
int tide_unpack_compare(const uint8_t *a, const uint8_t *a_end, const uint8_t *b, const uint8_t *b_end) {
    uint64_t pending = 1;
    int verdict = 0; /* when all pending pairs are equal */

    while (pending > 0) {
        pending--;
        struct tide_value x = tide_unpack_value(a, a_end), y = tide_unpack_value(b, b_end);
        int order = rank(&x) - rank(&y);
        if (order) return ORDER(order, 0);
        switch (x.type) {
        case TIDE_VALUE_INVALID: return 0;
        case TIDE_VALUE_NUMBER:
        case TIDE_VALUE_INT64:
        case TIDE_VALUE_UINT64: order = compare_numbers(&x, &y); break;
        case TIDE_VALUE_STRING: order = compare_bytes(&x, &y); break;
        case TIDE_VALUE_EXT:
            order = ORDER((int8_t)x.data[-1], (int8_t)y.data[-1]);
            if (!order) order = compare_bytes(&x, &y);
            break;
        case TIDE_VALUE_ARRAY:
        case TIDE_VALUE_MAP:
            if (x.size != y.size) {
                verdict = ORDER(x.size, y.size);
                pending = 0;
            }
            pending += (uint64_t)(x.size < y.size ? x.size : y.size) * (x.type == TIDE_VALUE_MAP ? 2 : 1);
            break;
        case TIDE_VALUE_NIL:
        case TIDE_VALUE_BOOL: break;
        }
        if (order) return order;
        a = x.next;
        b = y.next;
    }
    return verdict;
}
