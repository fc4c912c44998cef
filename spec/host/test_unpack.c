/*
 * wire/unpack: every tag, every truncation, the order of values, and agreement with msgpack-c on random input. Spans
 * are copied into memory of exactly their size, so that the address sanitizer sees any read past the end.
 */
#include <math.h>
#include <msgpack.h>

#include "base/buffer.h"
#include "random_value.h"
#include "test.h"
#include "wire/unpack.h"

struct span {
    uint8_t *data;
    size_t size;
};

static struct span exact(const void *data, size_t size) {
    struct span span = {malloc(size ? size : 1), size};

    if (size) memcpy(span.data, data, size);
    return span;
}

/* Two bytes of payload for everything that has a length; two elements for what has elements. */
static size_t smallest_span(uint8_t tag, uint8_t out[32], enum tide_value_type *type) {
    memset(out, 0, 32);
    out[0] = tag;
    *type = TIDE_VALUE_NUMBER;
    if (tag <= 0x7f || tag >= 0xe0) return 1;
    if (tag <= 0x8f) {
        *type = TIDE_VALUE_MAP;
        return 1 + 2u * (tag & 15);
    }
    if (tag <= 0x9f) {
        *type = TIDE_VALUE_ARRAY;
        return 1 + (tag & 15);
    }
    if (tag <= 0xbf) {
        *type = TIDE_VALUE_STRING;
        return 1 + (tag & 31);
    }
    switch (tag) {
    case 0xc0: *type = TIDE_VALUE_NIL; return 1;
    case 0xc2:
    case 0xc3: *type = TIDE_VALUE_BOOL; return 1;
    case 0xc4:
    case 0xd9:
        *type = TIDE_VALUE_STRING;
        out[1] = 2;
        return 4;
    case 0xc5:
    case 0xda:
        *type = TIDE_VALUE_STRING;
        out[2] = 2;
        return 5;
    case 0xc6:
    case 0xdb:
        *type = TIDE_VALUE_STRING;
        out[4] = 2;
        return 7;
    case 0xc7:
        *type = TIDE_VALUE_EXT;
        out[1] = 2;
        return 5;
    case 0xc8:
        *type = TIDE_VALUE_EXT;
        out[2] = 2;
        return 6;
    case 0xc9:
        *type = TIDE_VALUE_EXT;
        out[4] = 2;
        return 8;
    case 0xca:
    case 0xce:
    case 0xd2: return 5;
    case 0xcb:
    case 0xcf:
    case 0xd3: return 9;
    case 0xcc:
    case 0xd0: return 2;
    case 0xcd:
    case 0xd1: return 3;
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8: *type = TIDE_VALUE_EXT; return 2 + (1u << (tag - 0xd4));
    case 0xdc:
        *type = TIDE_VALUE_ARRAY;
        out[2] = 2;
        return 5;
    case 0xdd:
        *type = TIDE_VALUE_ARRAY;
        out[4] = 2;
        return 7;
    case 0xde:
        *type = TIDE_VALUE_MAP;
        out[2] = 2;
        return 7;
    case 0xdf:
        *type = TIDE_VALUE_MAP;
        out[4] = 2;
        return 9;
    default: *type = TIDE_VALUE_INVALID; return 1;
    }
}

static void knows_every_tag_and_every_truncation(void **state) {
    for (int tag = 0; tag < 256; tag++) {
        uint8_t bytes[64] = {0};
        enum tide_value_type type;
        size_t size = smallest_span((uint8_t)tag, bytes, &type);
        struct span whole = exact(bytes, size);
        const uint8_t *end = whole.data + size;
        struct tide_value value = tide_unpack_value(whole.data, end);
        assert_int_equal(value.type, type);
        assert_ptr_equal(tide_unpack_skip(whole.data, end), type == TIDE_VALUE_INVALID ? NULL : end);
        bool container = type == TIDE_VALUE_ARRAY || type == TIDE_VALUE_MAP;
        if (type != TIDE_VALUE_INVALID && !container) assert_ptr_equal(value.next, end);
        if (type == TIDE_VALUE_STRING || type == TIDE_VALUE_EXT) assert_ptr_equal(value.data + value.size, end);
        for (size_t cut = 0; cut < size; cut++) {
            struct span part = exact(bytes, cut);
            assert_null(tide_unpack_skip(part.data, part.data + cut));
            assert_int_equal(tide_unpack_value(part.data, part.data + cut).type, TIDE_VALUE_INVALID);
            free(part.data);
        }
        free(whole.data);
    }
    assert_null(tide_unpack_skip(NULL, NULL)); /* so that skips can be chained */
    assert_int_equal(tide_unpack_value(NULL, NULL).type, TIDE_VALUE_INVALID);
}

static void does_not_believe_lengths(void **state) {
    static const char *const spans[] = {
        "\xc6\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc9\xff\xff\xff\xff", "\xdd\xff\xff\xff\xff",
        "\xdf\xff\xff\xff\xff", "\xdf\x80\x00\x00\x00", "\xdd\x7f\xff\xff\xff",
    };

    for (size_t i = 0; i < sizeof spans / sizeof *spans; i++) {
        struct span span = exact(spans[i], 5);
        assert_null(tide_unpack_skip(span.data, span.data + 5));
        assert_int_equal(tide_unpack_value(span.data, span.data + 5).type, TIDE_VALUE_INVALID);
        assert_int_equal(tide_unpack_compare(span.data, span.data + 5, span.data, span.data + 5), 0);
        free(span.data);
    }
    /* Containers of containers, each announcing the most: the sum of what is pending must not overflow. */
    uint8_t nest[5 * 2000];
    for (size_t i = 0; i < sizeof nest; i++) nest[i] = i % 5 ? 0xff : 0xdf;
    assert_null(tide_unpack_skip(nest, nest + sizeof nest));
}

static void nesting_costs_no_stack(void **state) {
    enum { DEPTH = 5000000 };
    struct span a = {calloc(1, DEPTH + 1), DEPTH + 1}, b = {calloc(1, DEPTH + 1), DEPTH + 1};
    memset(a.data, 0x91, DEPTH);
    memset(b.data, 0x91, DEPTH);
    a.data[DEPTH] = 1;
    b.data[DEPTH] = 2;
    assert_ptr_equal(tide_unpack_skip(a.data, a.data + a.size), a.data + a.size);
    assert_null(tide_unpack_skip(a.data, a.data + DEPTH));
    assert_int_equal(tide_unpack_compare(a.data, a.data + a.size, b.data, b.data + b.size), -1);
    assert_int_equal(tide_unpack_compare(b.data, b.data + b.size, a.data, a.data + a.size), 1);
    assert_int_equal(tide_unpack_compare(a.data, a.data + a.size, a.data, a.data + a.size), 0);
    free(a.data);
    free(b.data);
}

static void reads_scalars(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        double number;
    } numbers[] = {
        {"\x00", 1, 0},
        {"\x7f", 1, 127},
        {"\xe0", 1, -32},
        {"\xff", 1, -1},
        {"\xcc\xff", 2, 255},
        {"\xcd\xff\xfe", 3, 65534},
        {"\xce\xff\xff\xff\xfe", 5, 4294967294.0},
        {"\xd0\x80", 2, -128},
        {"\xd1\x80\x00", 3, -32768},
        {"\xd2\x80\x00\x00\x00", 5, -2147483648.0},
        {"\xcf\x00\x20\x00\x00\x00\x00\x00\x00", 9, 9007199254740992.0},
        {"\xd3\x00\x20\x00\x00\x00\x00\x00\x00", 9, 9007199254740992.0},
        {"\xd3\xff\xe0\x00\x00\x00\x00\x00\x00", 9, -9007199254740992.0},
        {"\xca\x3f\xc0\x00\x00", 5, 1.5},
        {"\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00", 9, 1.5},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct span span = exact(numbers[i].bytes, numbers[i].size);
        struct tide_value value = tide_unpack_value(span.data, span.data + span.size);
        assert_int_equal(value.type, TIDE_VALUE_NUMBER);
        assert_true(value.number == numbers[i].number);
        free(span.data);
    }
    static const struct {
        const char *bytes;
        int64_t value;
    } wide[] = {
        {"\xcf\x00\x20\x00\x00\x00\x00\x00\x01", (INT64_C(1) << 53) + 1},
        {"\xd3\x00\x20\x00\x00\x00\x00\x00\x01", (INT64_C(1) << 53) + 1},
        {"\xd3\xff\xdf\xff\xff\xff\xff\xff\xff", -(INT64_C(1) << 53) - 1},
        {"\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", INT64_MAX},
        {"\xd3\x80\x00\x00\x00\x00\x00\x00\x00", INT64_MIN},
    };
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        const uint8_t *bytes = (const uint8_t *)wide[i].bytes;
        struct tide_value value = tide_unpack_value(bytes, bytes + 9);
        assert_int_equal(value.type, TIDE_VALUE_INT64);
        assert_true(value.int64 == wide[i].value);
    }
    const uint8_t *bytes = (const uint8_t *)"\xcf\x80\x00\x00\x00\x00\x00\x00\x00";
    struct tide_value value = tide_unpack_value(bytes, bytes + 9);
    assert_int_equal(value.type, TIDE_VALUE_UINT64);
    assert_true(value.uint64 == UINT64_C(1) << 63);
    bytes = (const uint8_t *)"\xc3\xc2";
    assert_true(tide_unpack_value(bytes, bytes + 1).boolean);
    assert_false(tide_unpack_value(bytes + 1, bytes + 2).boolean);
}

/* Ascending; entries of one level are equal in value. */
static const struct {
    int level;
    const char *bytes;
    size_t size;
} ordered[] = {
    {0, "\xc0", 1},
    {1, "\xc7\x00\x01", 3},
    {1, "\xc8\x00\x00\x01", 4},
    {2, "\xc2", 1},
    {3, "\xc3", 1},
    {4, "\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", 9}, /* -inf */
    {5, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
    {5, "\xcb\xc3\xe0\x00\x00\x00\x00\x00\x00", 9}, /* -2^63 */
    {6, "\xd3\x80\x00\x00\x00\x00\x00\x00\x01", 9},
    {7, "\xd3\xff\xdf\xff\xff\xff\xff\xff\xff", 9}, /* -2^53 - 1 */
    {8, "\xd3\xff\xe0\x00\x00\x00\x00\x00\x00", 9},
    {8, "\xcb\xc3\x40\x00\x00\x00\x00\x00\x00", 9},
    {9, "\xff", 1},
    {9, "\xd0\xff", 2},
    {9, "\xcb\xbf\xf0\x00\x00\x00\x00\x00\x00", 9},
    {10, "\x00", 1},
    {10, "\xcb\x80\x00\x00\x00\x00\x00\x00\x00", 9},
    {10, "\xca\x00\x00\x00\x00", 5},
    {11, "\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", 9},
    {11, "\xca\x3f\x00\x00\x00", 5},
    {12, "\x01", 1},
    {12, "\xcf\x00\x00\x00\x00\x00\x00\x00\x01", 9},
    {13, "\xcb\x43\x40\x00\x00\x00\x00\x00\x00", 9}, /* 2^53 */
    {14, "\xcf\x00\x20\x00\x00\x00\x00\x00\x01", 9}, /* 2^53 + 1, which no double is */
    {15, "\xcb\x43\x40\x00\x00\x00\x00\x00\x01", 9},
    {15, "\xd3\x00\x20\x00\x00\x00\x00\x00\x02", 9},
    {16, "\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
    {17, "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9},
    {17, "\xcb\x43\xe0\x00\x00\x00\x00\x00\x00", 9}, /* 2^63 */
    {18, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9},
    {19, "\xcb\x43\xf0\x00\x00\x00\x00\x00\x00", 9}, /* 2^64 */
    {20, "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9}, /* inf */
    {21, "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", 9},
    {21, "\xca\xff\xc0\x00\x00", 5}, /* NaN */
    {22, "\xa0", 1},
    {22, "\xc4\x00", 2},
    {23, "\xa1\x00", 2},
    {24,
     "\xa1"
     "a",
     2},
    {24,
     "\xd9\x01"
     "a",
     3},
    {25,
     "\xa2"
     "aa",
     3},
    {26,
     "\xa1"
     "b",
     2},
    {27, "\xa1\xff", 2}, /* bytes are unsigned */
    {28, "\x90", 1},
    {28, "\xdc\x00\x00", 3},
    {29, "\x91\xc0", 2},
    {30, "\x91\x01", 2},
    {30, "\xdd\x00\x00\x00\x01\x01", 6},
    {31, "\x92\x01\x01", 3},
    {32, "\x92\x01\x02", 3},
    {33, "\x91\x02", 2},
    {34, "\x91\x90", 2},
    {35, "\x92\x90\x90", 3},
    {36, "\x92\x91\x01\x02", 4}, /* the inner arrays differ in size: what follows has no say */
    {37, "\x92\x92\x01\x01\x01", 5},
    {38, "\x80", 1},
    {38, "\xde\x00\x00", 3},
    {39, "\x81\x01\x05", 3},
    {40, "\x82\x01\x05\x02\x05", 5},
    {41, "\x81\x01\x06", 3},
    {42, "\x81\x02\x00", 3},
    {43, "\xd4\x00\x00", 3},
    {44, "\xd4\x01\x00", 3}, /* type 1 with a payload is no null */
    {45, "\xd4\x01\x01", 3},
};

static void orders_values(void **state) {
    size_t count = sizeof ordered / sizeof *ordered;

    for (size_t i = 0; i < count; i++) {
        struct span a = exact(ordered[i].bytes, ordered[i].size);
        assert_ptr_equal(tide_unpack_skip(a.data, a.data + a.size), a.data + a.size);
        for (size_t j = 0; j < count; j++) {
            struct span b = exact(ordered[j].bytes, ordered[j].size);
            int expected = (ordered[i].level > ordered[j].level) - (ordered[i].level < ordered[j].level);
            int got = tide_unpack_compare(a.data, a.data + a.size, b.data, b.data + b.size);
            if (got != expected) print_error("entries %zu and %zu\n", i, j);
            assert_int_equal(got, expected);
            free(b.data);
        }
        free(a.data);
    }
}

static void random_values_are_totally_ordered(void **state) {
    uint64_t seed = 20240601;

    enum { VALUES = 120 };
    struct span spans[VALUES];
    for (int i = 0; i < VALUES; i++) {
        struct tide_buffer buffer;
        tide_buffer_create(&buffer);
        random_value(&buffer, &seed, 3);
        spans[i] = exact(buffer.data, buffer.size);
        tide_buffer_destroy(&buffer);
    }
    static int order[VALUES][VALUES];
    for (int i = 0; i < VALUES; i++)
        for (int j = 0; j < VALUES; j++)
            order[i][j] = tide_unpack_compare(spans[i].data, spans[i].data + spans[i].size, spans[j].data,
                                              spans[j].data + spans[j].size);
    for (int i = 0; i < VALUES; i++) {
        assert_int_equal(order[i][i], 0);
        for (int j = 0; j < VALUES; j++) {
            assert_int_equal(order[i][j], -order[j][i]);
            for (int k = 0; k < VALUES; k++)
                if (order[i][j] <= 0 && order[j][k] <= 0) assert_true(order[i][k] <= 0);
        }
    }
    for (int i = 0; i < VALUES; i++) free(spans[i].data);
}

/* Walks our view along msgpack-c's objects. */
static const uint8_t *same_as(const msgpack_object *object, const uint8_t *at, const uint8_t *end) {
    struct tide_value value = tide_unpack_value(at, end);

    switch (object->type) {
    case MSGPACK_OBJECT_NIL: assert_int_equal(value.type, TIDE_VALUE_NIL); break;
    case MSGPACK_OBJECT_BOOLEAN:
        assert_int_equal(value.type, TIDE_VALUE_BOOL);
        assert_int_equal(value.boolean, object->via.boolean);
        break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (value.type == TIDE_VALUE_NUMBER) assert_true((uint64_t)value.number == object->via.u64);
        else if (value.type == TIDE_VALUE_INT64) assert_true((uint64_t)value.int64 == object->via.u64);
        else assert_true(value.type == TIDE_VALUE_UINT64 && value.uint64 == object->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        if (value.type == TIDE_VALUE_NUMBER) assert_true((int64_t)value.number == object->via.i64);
        else assert_true(value.type == TIDE_VALUE_INT64 && value.int64 == object->via.i64);
        break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        assert_int_equal(value.type, TIDE_VALUE_NUMBER);
        assert_true(value.number == object->via.f64 || (isnan(value.number) && isnan(object->via.f64)));
        break;
    case MSGPACK_OBJECT_STR:
    case MSGPACK_OBJECT_BIN: /* str and bin share their layout in the union */
        assert_int_equal(value.type, TIDE_VALUE_STRING);
        assert_int_equal(value.size, object->via.str.size);
        if (value.size) assert_memory_equal(value.data, object->via.str.ptr, value.size);
        break;
    case MSGPACK_OBJECT_EXT:
        assert_int_equal(value.type, TIDE_VALUE_EXT);
        assert_int_equal(value.size, object->via.ext.size);
        assert_int_equal((int8_t)value.data[-1], object->via.ext.type);
        if (value.size) assert_memory_equal(value.data, object->via.ext.ptr, value.size);
        break;
    case MSGPACK_OBJECT_ARRAY:
        assert_int_equal(value.type, TIDE_VALUE_ARRAY);
        assert_int_equal(value.size, object->via.array.size);
        at = value.next;
        for (uint32_t i = 0; i < value.size; i++) at = same_as(&object->via.array.ptr[i], at, end);
        return at;
    case MSGPACK_OBJECT_MAP:
        assert_int_equal(value.type, TIDE_VALUE_MAP);
        assert_int_equal(value.size, object->via.map.size);
        at = value.next;
        for (uint32_t i = 0; i < value.size; i++) {
            at = same_as(&object->via.map.ptr[i].key, at, end);
            at = same_as(&object->via.map.ptr[i].val, at, end);
        }
        return at;
    default: fail_msg("msgpack-c gave a type of its own: %d", (int)object->type);
    }
    return value.next;
}

static void agrees_with_msgpack_c_on_valid_input(void **state) {
    uint64_t seed = 7;

    for (int i = 0; i < 4000; i++) {
        struct tide_buffer buffer;
        tide_buffer_create(&buffer);
        random_value(&buffer, &seed, 4);
        size_t size = buffer.size;
        struct span span = exact(buffer.data, size);
        msgpack_unpacked unpacked;
        size_t offset = 0;
        msgpack_unpacked_init(&unpacked);
        assert_int_equal(msgpack_unpack_next(&unpacked, (char *)span.data, size, &offset), MSGPACK_UNPACK_SUCCESS);
        assert_int_equal(offset, size);
        assert_ptr_equal(tide_unpack_skip(span.data, span.data + size), span.data + size);
        assert_ptr_equal(same_as(&unpacked.data, span.data, span.data + size), span.data + size);
        msgpack_unpacked_destroy(&unpacked);
        free(span.data);
        if (size < 200) {
            for (size_t cut = 0; cut < size; cut++) {
                span = exact(buffer.data, cut);
                assert_null(tide_unpack_skip(span.data, span.data + cut));
                free(span.data);
            }
        }
        tide_buffer_destroy(&buffer);
    }
}

static void agrees_with_msgpack_c_on_damaged_input(void **state) {
    uint64_t seed = 99;
    int valid = 0, invalid = 0;

    for (int i = 0; i < 20000; i++) {
        struct tide_buffer buffer;
        tide_buffer_create(&buffer);
        random_value(&buffer, &seed, 3);
        uint32_t changes = 1 + random_below(&seed, 3);
        for (uint32_t c = 0; c < changes; c++)
            buffer.data[random_below(&seed, (uint32_t)buffer.size)] = (uint8_t)random_next(&seed);
        struct span span = exact(buffer.data, buffer.size);
        tide_buffer_destroy(&buffer);
        /* msgpack-c allocates what a head announces before it looks for the elements: leave the huge ones out. */
        bool huge = false;
        for (size_t at = 0; at < span.size; at++) huge |= span.data[at] >= 0xdc && span.data[at] <= 0xdf;
        if (!huge) {
            msgpack_unpacked unpacked;
            size_t offset = 0;
            msgpack_unpacked_init(&unpacked);
            bool good =
                msgpack_unpack_next(&unpacked, (char *)span.data, span.size, &offset) == MSGPACK_UNPACK_SUCCESS;
            const uint8_t *next = tide_unpack_skip(span.data, span.data + span.size);
            assert_ptr_equal(next, good ? span.data + offset : NULL);
            if (good) assert_ptr_equal(same_as(&unpacked.data, span.data, span.data + span.size), next);
            msgpack_unpacked_destroy(&unpacked);
            if (good) valid++;
            else invalid++;
        }
        free(span.data);
    }
    assert_true(valid > 1000);
    assert_true(invalid > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_every_tag_and_every_truncation),
        cmocka_unit_test(does_not_believe_lengths),
        cmocka_unit_test(nesting_costs_no_stack),
        cmocka_unit_test(reads_scalars),
        cmocka_unit_test(orders_values),
        cmocka_unit_test(random_values_are_totally_ordered),
        cmocka_unit_test(agrees_with_msgpack_c_on_valid_input),
        cmocka_unit_test(agrees_with_msgpack_c_on_damaged_input),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
