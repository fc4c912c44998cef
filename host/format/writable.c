/*
 * Hadoop's writables (see writable.h). Called on workers for each key and value of SequenceFiles by sequence_writer
 * and sequence_reader, and by worker Lua for Hadoop's text format.
 */
#include "format/writable.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/number_text.h"
#include "wire/big_endian.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* A length field of Hadoop is a Java int. */
#define MAX_SIZE ((uint32_t)INT32_MAX - 64)

static const char PACKAGE[] = "org.apache.hadoop.io.";

static const struct {
    const char *class_name;
    const char *holds; /* for messages */
} kinds[TIDE_WRITABLES] = {
    [TIDE_WRITABLE_UNKNOWN] = {"org.apache.hadoop.io.Writable", "nothing"},
    [TIDE_WRITABLE_TEXT] = {"org.apache.hadoop.io.Text", "strings"},
    [TIDE_WRITABLE_INT] = {"org.apache.hadoop.io.IntWritable", "whole numbers from -2147483648 to 2147483647"},
    [TIDE_WRITABLE_LONG] = {"org.apache.hadoop.io.LongWritable", "whole numbers of 64 bits"},
    [TIDE_WRITABLE_FLOAT] = {"org.apache.hadoop.io.FloatWritable", "numbers up to 3.4e38"},
    [TIDE_WRITABLE_DOUBLE] = {"org.apache.hadoop.io.DoubleWritable", "numbers"},
    [TIDE_WRITABLE_BOOLEAN] = {"org.apache.hadoop.io.BooleanWritable", "true and false"},
    [TIDE_WRITABLE_BYTES] = {"org.apache.hadoop.io.BytesWritable", "strings"},
    [TIDE_WRITABLE_NULL] = {"org.apache.hadoop.io.NullWritable", "moontide.null only"},
};

const char *tide_writable_class(enum tide_writable kind) { return kinds[kind].class_name; }

const char *tide_writable_name(enum tide_writable kind) { return kinds[kind].class_name + sizeof PACKAGE - 1; }

enum tide_writable tide_writable_find(const char *name, size_t size) {
    if (size >= sizeof PACKAGE - 1 && memcmp(name, PACKAGE, sizeof PACKAGE - 1) == 0) {
        name += sizeof PACKAGE - 1;
        size -= sizeof PACKAGE - 1;
    }
    for (int kind = TIDE_WRITABLE_TEXT; kind < TIDE_WRITABLES; kind++) {
        const char *known = tide_writable_name(kind);
        if (strlen(known) == size && memcmp(known, name, size) == 0) return kind;
    }
    return TIDE_WRITABLE_UNKNOWN;
}

/* ---- vints ---------------------------------------------------------------------------------------------------- */

size_t tide_vint_put(uint8_t out[TIDE_VINT_SIZE], int64_t value) {
    if (value >= -112 && value <= 127) {
        out[0] = (uint8_t)value;
        return 1;
    }
    uint64_t bits = value < 0 ? ~(uint64_t)value : (uint64_t)value;
    size_t length = 0;
    while (length < 8 && bits >> (8 * length) != 0) length++;
    out[0] = (uint8_t)((value < 0 ? -120 : -112) - (int)length);
    for (size_t i = 0; i < length; i++) out[1 + i] = (uint8_t)(bits >> (8 * (length - 1 - i)));
    return 1 + length;
}

static int signed_byte(uint8_t byte) { return byte < 128 ? byte : byte - 256; }

size_t tide_vint_size(uint8_t first) {
    int tag = signed_byte(first);

    if (tag >= -112) return 1;
    return (size_t)(tag < -120 ? -119 - tag : -111 - tag);
}

const uint8_t *tide_vint_get(const uint8_t *at, const uint8_t *end, int64_t *value) {
    if (at >= end || (size_t)(end - at) < tide_vint_size(*at)) return NULL;
    int tag = signed_byte(*at);
    size_t size = tide_vint_size(*at);
    if (size == 1) {
        *value = tag;
        return at + 1;
    }
    uint64_t bits = 0;
    for (size_t i = 1; i < size; i++) bits = bits << 8 | at[i];
    *value = (int64_t)(tag < -120 ? ~bits : bits);
    return at + size;
}

/* ---- Errors --------------------------------------------------------------------------------------------------- */

enum { SHOWN = 60 };

/* A value, for messages: the number 1.5, the string "abc", a table … */
static void describe(const struct tide_value *value, char *text, size_t size) {
    switch (value->type) {
    case TIDE_VALUE_NIL: snprintf(text, size, "nil"); break;
    case TIDE_VALUE_BOOL: snprintf(text, size, "%s", value->boolean ? "true" : "false"); break;
    case TIDE_VALUE_NUMBER: {
        char number[TIDE_NUMBER_TEXT_MAX];
        tide_number_text(value->number, number);
        snprintf(text, size, "the number %s", number);
        break;
    }
    case TIDE_VALUE_INT64: snprintf(text, size, "the number %lld", (long long)value->int64); break;
    case TIDE_VALUE_UINT64: snprintf(text, size, "the number %llu", (unsigned long long)value->uint64); break;
    case TIDE_VALUE_STRING: {
        char shown[SHOWN + 1];
        size_t length = value->size < SHOWN ? value->size : SHOWN;
        for (size_t i = 0; i < length; i++) shown[i] = (char)(value->data[i] < ' ' ? '.' : value->data[i]);
        shown[length] = '\0';
        snprintf(text, size, "the string \"%s%s\"", shown, value->size > SHOWN ? "…" : "");
        break;
    }
    case TIDE_VALUE_EXT: snprintf(text, size, "null"); break;
    default: snprintf(text, size, "a table"); break;
    }
}

static int unfit(enum tide_writable kind, const struct tide_value *value, struct tide_error *err) {
    char text[SHOWN + 40];

    describe(value, text, sizeof text);
    return tide_error_set(err, TIDE_EINVAL, "%s: %s holds %s", text, tide_writable_name(kind), kinds[kind].holds);
}

static int no_memory(struct tide_error *err) { return tide_error_set(err, TIDE_ENOMEM, "out of memory"); }

/* ---- Packed values as writables ------------------------------------------------------------------------------- */

/* A value that fits its kind. */
struct fitting {
    int64_t whole;       /* INT, LONG, BOOLEAN */
    double number;       /* FLOAT, DOUBLE */
    const uint8_t *data; /* TEXT, BYTES */
    uint32_t size;
};

static bool to_whole(const struct tide_value *value, int64_t *whole) {
    const double limit = 9223372036854775808.0;

    if (value->type == TIDE_VALUE_INT64) {
        *whole = value->int64;
        return true;
    }
    if (value->type != TIDE_VALUE_NUMBER || value->number != floor(value->number)) return false;
    if (!(value->number >= -limit && value->number < limit)) return false;
    *whole = (int64_t)value->number;
    return true;
}

static bool to_number(const struct tide_value *value, double *number) {
    switch (value->type) {
    case TIDE_VALUE_NUMBER: *number = value->number; return true;
    case TIDE_VALUE_INT64:
        *number = (double)value->int64;
        return *number < 9223372036854775808.0 && (int64_t)*number == value->int64;
    case TIDE_VALUE_UINT64:
        *number = (double)value->uint64;
        return *number < 18446744073709551616.0 && (uint64_t)*number == value->uint64;
    default: return false;
    }
}

static int fit(enum tide_writable kind, const uint8_t *packed, const uint8_t *end, struct fitting *fitting,
               struct tide_error *err) {
    struct tide_value value = tide_unpack_value(packed, end);
    bool fits = false;

    switch (kind) {
    case TIDE_WRITABLE_TEXT:
    case TIDE_WRITABLE_BYTES:
        fits = value.type == TIDE_VALUE_STRING;
        if (fits && value.size > MAX_SIZE) {
            return tide_error_set(err, TIDE_ELIMIT, "a string of %u bytes: %s holds at most 2 GiB", value.size,
                                  tide_writable_name(kind));
        }
        fitting->data = value.data;
        fitting->size = value.size;
        break;
    case TIDE_WRITABLE_INT:
        fits = to_whole(&value, &fitting->whole) && fitting->whole >= INT32_MIN && fitting->whole <= INT32_MAX;
        break;
    case TIDE_WRITABLE_LONG: fits = to_whole(&value, &fitting->whole); break;
    case TIDE_WRITABLE_FLOAT:
        fits =
            to_number(&value, &fitting->number) && (!isfinite(fitting->number) || isfinite((float)fitting->number));
        break;
    case TIDE_WRITABLE_DOUBLE: fits = to_number(&value, &fitting->number); break;
    case TIDE_WRITABLE_BOOLEAN:
        fits = value.type == TIDE_VALUE_BOOL;
        fitting->whole = value.boolean;
        break;
    case TIDE_WRITABLE_NULL: fits = value.type == TIDE_VALUE_EXT && value.size == 0; break;
    default: break;
    }
    return fits ? 0 : unfit(kind, &value, err);
}

/* ---- Serialized ----------------------------------------------------------------------------------------------- */

static void put_big64(uint8_t *at, uint64_t value) {
    tide_put_big32(at, (uint32_t)(value >> 32));
    tide_put_big32(at + 4, (uint32_t)value);
}

int tide_writable_encode(enum tide_writable kind, const uint8_t *packed, const uint8_t *end, struct tide_buffer *out,
                         struct tide_error *err) {
    struct fitting fitting = {0};
    int code = fit(kind, packed, end, &fitting, err);

    if (code != 0) return code;
    if (!tide_buffer_reserve_try(out, (size_t)fitting.size + TIDE_VINT_SIZE)) return no_memory(err);
    uint8_t *at = out->data + out->size;
    uint8_t *start = at;
    switch (kind) {
    case TIDE_WRITABLE_TEXT: at += tide_vint_put(at, fitting.size); break;
    case TIDE_WRITABLE_BYTES:
        tide_put_big32(at, fitting.size);
        at += 4;
        break;
    case TIDE_WRITABLE_INT:
        tide_put_big32(at, (uint32_t)fitting.whole);
        at += 4;
        break;
    case TIDE_WRITABLE_LONG:
        put_big64(at, (uint64_t)fitting.whole);
        at += 8;
        break;
    case TIDE_WRITABLE_FLOAT: {
        float number = (float)fitting.number;
        uint32_t bits;
        memcpy(&bits, &number, sizeof bits);
        tide_put_big32(at, bits);
        at += 4;
        break;
    }
    case TIDE_WRITABLE_DOUBLE: {
        uint64_t bits;
        memcpy(&bits, &fitting.number, sizeof bits);
        put_big64(at, bits);
        at += 8;
        break;
    }
    case TIDE_WRITABLE_BOOLEAN: *at++ = (uint8_t)fitting.whole; break;
    default: break;
    }
    if (fitting.size > 0) memcpy(at, fitting.data, fitting.size);
    out->size += (size_t)(at - start) + fitting.size;
    return 0;
}

/* Appends a packed value to the block. */
static int put_packed(struct tide_block *out, struct tide_error *err, const uint8_t *bytes, size_t size) {
    if (!tide_block_reserve(out, size)) return no_memory(err);
    memcpy(out->data + out->size, bytes, size);
    out->size += size;
    return 0;
}

static int put_double(struct tide_block *out, struct tide_error *err, double number) {
    /* Zero is an integer, -0 is not; there is only one NaN. */
    if (number == floor(number) && number >= INT32_MIN && number <= INT32_MAX && !(number == 0 && signbit(number))) {
        int32_t whole = (int32_t)number;
        if (whole >= -32 && whole <= 127) return put_packed(out, err, &(uint8_t){(uint8_t)whole}, 1);
        uint8_t bytes[5] = {0xd2};
        tide_put_big32(bytes + 1, (uint32_t)whole);
        return put_packed(out, err, bytes, sizeof bytes);
    }
    uint8_t bytes[9] = {0xcb};
    uint64_t bits;
    if (isnan(number)) number = NAN;
    memcpy(&bits, &number, sizeof bits);
    put_big64(bytes + 1, bits);
    return put_packed(out, err, bytes, sizeof bytes);
}

static int put_whole(struct tide_block *out, struct tide_error *err, int64_t whole) {
    const int64_t exact = INT64_C(1) << 53;

    if (whole >= -exact && whole <= exact) return put_double(out, err, (double)whole);
    uint8_t bytes[9] = {0xd3};
    put_big64(bytes + 1, (uint64_t)whole);
    return put_packed(out, err, bytes, sizeof bytes);
}

static int put_string(struct tide_block *out, struct tide_error *err, const uint8_t *data, uint32_t size) {
    if (!tide_block_reserve(out, (size_t)size + 5)) return no_memory(err);
    uint8_t *at = out->data + out->size;
    if (size < 32) {
        *at++ = (uint8_t)(0xa0 + size);
    } else if (size < 256) {
        *at++ = 0xd9;
        *at++ = (uint8_t)size;
    } else {
        *at++ = 0xdb;
        tide_put_big32(at, size);
        at += 4;
    }
    if (size > 0) memcpy(at, data, size);
    out->size = (uint64_t)(at + size - out->data);
    return 0;
}

static int wrong_size(enum tide_writable kind, size_t size, size_t expected, struct tide_error *err) {
    return tide_error_set(err, TIDE_ECORRUPT, "%zu bytes are no %s, which has %zu", size, tide_writable_name(kind),
                          expected);
}

static int decode_string(enum tide_writable kind, const uint8_t *data, size_t size, struct tide_block *out,
                         struct tide_error *err) {
    const uint8_t *end = data + size, *at = NULL;
    int64_t length = -1;

    if (kind == TIDE_WRITABLE_TEXT) {
        at = tide_vint_get(data, end, &length);
    } else if (size >= 4) {
        at = data + 4;
        length = (int32_t)tide_load_big32(data);
    }
    if (!at || length < 0 || length != end - at) {
        return tide_error_set(err, TIDE_ECORRUPT, "the length inside a %s does not fit its %zu bytes",
                              tide_writable_name(kind), size);
    }
    return put_string(out, err, at, (uint32_t)length);
}

int tide_writable_decode(enum tide_writable kind, const uint8_t *data, size_t size, struct tide_block *out,
                         struct tide_error *err) {
    static const uint8_t null_bytes[] = {0xc7, 0, TIDE_EXT_NULL}, false_bytes[] = {0xc2}, true_bytes[] = {0xc3};

    switch (kind) {
    case TIDE_WRITABLE_TEXT:
    case TIDE_WRITABLE_BYTES: return decode_string(kind, data, size, out, err);
    case TIDE_WRITABLE_INT:
        if (size != 4) return wrong_size(kind, size, 4, err);
        return put_whole(out, err, (int32_t)tide_load_big32(data));
    case TIDE_WRITABLE_LONG:
        if (size != 8) return wrong_size(kind, size, 8, err);
        return put_whole(out, err, (int64_t)tide_load_big64(data));
    case TIDE_WRITABLE_FLOAT: {
        if (size != 4) return wrong_size(kind, size, 4, err);
        uint32_t bits = tide_load_big32(data);
        float number;
        memcpy(&number, &bits, sizeof number);
        return put_double(out, err, number);
    }
    case TIDE_WRITABLE_DOUBLE: {
        if (size != 8) return wrong_size(kind, size, 8, err);
        uint64_t bits = tide_load_big64(data);
        double number;
        memcpy(&number, &bits, sizeof number);
        return put_double(out, err, number);
    }
    case TIDE_WRITABLE_BOOLEAN:
        if (size != 1) return wrong_size(kind, size, 1, err);
        return put_packed(out, err, data[0] != 0 ? true_bytes : false_bytes, 1);
    case TIDE_WRITABLE_NULL:
        if (size != 0) return wrong_size(kind, size, 0, err);
        return put_packed(out, err, null_bytes, sizeof null_bytes);
    default: return tide_error_set(err, TIDE_ECORRUPT, "a value of an unknown class");
    }
}

/* ---- As text -------------------------------------------------------------------------------------------------- */

/* The number with the fewest digits (at least two) that read back as the same number, as "d.ddde±x". */
static void shortest(double number, bool single, char *text, size_t size) {
    for (int digits = 2;; digits++) {
        snprintf(text, size, "%.*e", digits - 1, number);
        if (single ? strtof(text, NULL) == (float)number : strtod(text, NULL) == number) return;
        if (digits == 17) return;
    }
}

/* Numbers as Java prints them: 1.0, 0.001, 1.0E7, NaN. Java before 19 prints more digits than needed for some. */
static int java_number(double number, bool single, char *out, size_t size) {
    if (isnan(number)) return snprintf(out, size, "NaN");
    if (isinf(number)) return snprintf(out, size, "%sInfinity", number < 0 ? "-" : "");
    const char *sign = signbit(number) ? "-" : "";
    if (number == 0) return snprintf(out, size, "%s0.0", sign);
    char text[40], digits[24];
    double positive = fabs(number);
    shortest(positive, single, text, sizeof text);
    /* text = d.ddde±xx */
    char *mark = strchr(text, 'e');
    int exponent = atoi(mark + 1);
    int count = 0;
    for (const char *at = text; at < mark && count < 20; at++) {
        if (*at >= '0' && *at <= '9') digits[count++] = *at;
    }
    while (count > 1 && digits[count - 1] == '0') count--;
    digits[count] = '\0';
    if (positive < 1e-3 || positive >= 1e7) {
        return snprintf(out, size, "%s%c.%sE%d", sign, digits[0], count > 1 ? digits + 1 : "0", exponent);
    }
    if (exponent < 0) return snprintf(out, size, "%s0.%.*s%s", sign, -exponent - 1, "0000000", digits);
    if (count > exponent + 1) {
        return snprintf(out, size, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
    }
    return snprintf(out, size, "%s%s%.*s.0", sign, digits, exponent + 1 - count, "0000000");
}

static int append_hex(const struct fitting *fitting, struct tide_buffer *out, struct tide_error *err) {
    static const char hex[] = "0123456789abcdef";

    if (!tide_buffer_reserve_try(out, (size_t)fitting->size * 3)) return no_memory(err);
    for (uint32_t i = 0; i < fitting->size; i++) {
        if (i > 0) out->data[out->size++] = ' ';
        out->data[out->size++] = (uint8_t)hex[fitting->data[i] >> 4];
        out->data[out->size++] = (uint8_t)hex[fitting->data[i] & 15];
    }
    return 0;
}

int tide_writable_text(enum tide_writable kind, const uint8_t *packed, const uint8_t *end, struct tide_buffer *out,
                       struct tide_error *err) {
    struct fitting fitting = {0};
    char text[48];
    int length = 0;
    int code = fit(kind, packed, end, &fitting, err);

    if (code != 0) return code;
    switch (kind) {
    case TIDE_WRITABLE_TEXT:
        if (!tide_buffer_reserve_try(out, fitting.size)) return no_memory(err);
        tide_buffer_append(out, fitting.data, fitting.size);
        return 0;
    case TIDE_WRITABLE_BYTES: return append_hex(&fitting, out, err);
    case TIDE_WRITABLE_INT:
    case TIDE_WRITABLE_LONG: length = snprintf(text, sizeof text, "%lld", (long long)fitting.whole); break;
    case TIDE_WRITABLE_FLOAT: length = java_number((float)fitting.number, true, text, sizeof text); break;
    case TIDE_WRITABLE_DOUBLE: length = java_number(fitting.number, false, text, sizeof text); break;
    case TIDE_WRITABLE_BOOLEAN: length = snprintf(text, sizeof text, "%s", fitting.whole ? "true" : "false"); break;
    default: return 0;
    }
    if (!tide_buffer_reserve_try(out, (size_t)length)) return no_memory(err);
    tide_buffer_append(out, text, (size_t)length);
    return 0;
}
