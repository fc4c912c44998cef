/*
 * format/writable: every kind there and back, byte for byte, its text, values that do not fit, bytes that are none.
 */
#include <math.h>

#include "base/fault.h"
#include "format/writable.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_buffer packed, out;
static struct tide_error err;

static int create(void **state) {
    tide_buffer_create(&packed);
    tide_buffer_create(&out);
    return 0;
}

static int destroy(void **state) {
    tide_buffer_destroy(&packed);
    tide_buffer_destroy(&out);
    tide_error_clear(&err);
    tide_fault_clear();
    assert_int_equal(tide_block_live(), 0);
    return 0;
}

/* ---- Values to write ---------------------------------------------------------------------------------------- */

static void number(double value) {
    packed.size = 0;
    tide_pack_number(&packed, value);
}

/* As worker Lua packs it: tide_pack_number makes no -0. */
static void double_bits(uint64_t bits) {
    packed.size = 0;
    tide_buffer_append(&packed, &(uint8_t){0xcb}, 1);
    for (int i = 7; i >= 0; i--) tide_buffer_append(&packed, &(uint8_t){(uint8_t)(bits >> (8 * i))}, 1);
}

static void whole(int64_t value) {
    packed.size = 0;
    tide_pack_int64(&packed, value);
}

static void string(const char *data, size_t size) {
    packed.size = 0;
    tide_pack_string(&packed, data, size);
}

static void boolean(bool value) {
    packed.size = 0;
    tide_pack_bool(&packed, value);
}

static void bytes(const char *data, size_t size) {
    packed.size = 0;
    tide_buffer_append(&packed, data, size);
}

#define NULL_VALUE "\xc7\x00\x01", 3

/* ---- Checks ------------------------------------------------------------------------------------------------- */

/* The value is these bytes as the kind, which are that value again. */
static void expect(enum tide_writable kind, const char *serialized, size_t size) {
    out.size = 0;
    assert_int_equal(tide_writable_encode(kind, packed.data, packed.data + packed.size, &out, &err), 0);
    assert_int_equal(out.size, size);
    if (size > 0) assert_memory_equal(out.data, serialized, size);

    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 1, NULL);
    assert_int_equal(tide_writable_decode(kind, out.data, out.size, block, &err), 0);
    assert_ptr_equal(tide_unpack_skip(block->data, block->data + block->size), block->data + block->size);
    assert_int_equal(
        tide_unpack_compare(packed.data, packed.data + packed.size, block->data, block->data + block->size), 0);
    tide_block_release(block);
}

static void expect_text(enum tide_writable kind, const char *text) {
    out.size = 0;
    assert_int_equal(tide_writable_text(kind, packed.data, packed.data + packed.size, &out, &err), 0);
    tide_buffer_append(&out, "", 1);
    assert_string_equal((char *)out.data, text);
}

static void expect_unfit(enum tide_writable kind, const char *message) {
    tide_buffer_append(&out, "kept", 4);
    out.size = 4;
    assert_int_equal(tide_writable_encode(kind, packed.data, packed.data + packed.size, &out, &err), TIDE_EINVAL);
    assert_string_equal(err.text, message);
    assert_int_equal(tide_writable_text(kind, packed.data, packed.data + packed.size, &out, &err), TIDE_EINVAL);
    assert_string_equal(err.text, message);
    assert_int_equal(out.size, 4);
}

static void expect_corrupt(enum tide_writable kind, const char *data, size_t size, const char *message) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 1, NULL);

    assert_int_equal(tide_writable_decode(kind, (const uint8_t *)data, size, block, &err), TIDE_ECORRUPT);
    assert_string_equal(err.text, message);
    assert_int_equal(block->size, 0);
    tide_block_release(block);
}

/* ---- Tests -------------------------------------------------------------------------------------------------- */

static void vints_are_those_of_hadoop(void **state) {
    static const struct {
        int64_t value;
        const char *bytes;
        size_t size;
    } cases[] = {
        {0, "\x00", 1},
        {127, "\x7f", 1},
        {-112, "\x90", 1},
        {128, "\x8f\x80", 2},
        {-113, "\x87\x70", 2},
        {255, "\x8f\xff", 2},
        {256, "\x8e\x01\x00", 3},
        {-256, "\x87\xff", 2},
        {-257, "\x86\x01\x00", 3},
        {INT32_MAX, "\x8c\x7f\xff\xff\xff", 5},
        {INT32_MIN, "\x84\x7f\xff\xff\xff", 5},
        {INT64_MAX, "\x88\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
        {INT64_MIN, "\x80\x7f\xff\xff\xff\xff\xff\xff\xff", 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t written[TIDE_VINT_SIZE];
        size_t size = tide_vint_put(written, cases[i].value);
        assert_int_equal(size, cases[i].size);
        assert_memory_equal(written, cases[i].bytes, size);
        assert_int_equal(tide_vint_size(written[0]), size);
        int64_t value = 1;
        assert_ptr_equal(tide_vint_get(written, written + size, &value), written + size);
        assert_true(value == cases[i].value);
        for (size_t cut = 0; cut < size; cut++) assert_null(tide_vint_get(written, written + cut, &value));
    }
}

static void vints_of_all_sizes_come_back(void **state) {
    for (int bits = 0; bits < 64; bits++) {
        for (int difference = -2; difference <= 2; difference++) {
            for (int sign = -1; sign <= 1; sign += 2) {
                int64_t value = (int64_t)((UINT64_C(1) << bits) + (uint64_t)(int64_t)difference);
                if (sign < 0) value = (int64_t)(0 - (uint64_t)value);
                uint8_t written[TIDE_VINT_SIZE];
                size_t size = tide_vint_put(written, value);
                int64_t read;
                assert_ptr_equal(tide_vint_get(written, written + size, &read), written + size);
                assert_true(read == value);
            }
        }
    }
}

static void names_and_classes(void **state) {
    for (int kind = TIDE_WRITABLE_TEXT; kind < TIDE_WRITABLES; kind++) {
        const char *name = tide_writable_name(kind), *class_name = tide_writable_class(kind);
        assert_int_equal(tide_writable_find(name, strlen(name)), kind);
        assert_int_equal(tide_writable_find(class_name, strlen(class_name)), kind);
        assert_int_equal(tide_writable_find(class_name, strlen(class_name) - 1), TIDE_WRITABLE_UNKNOWN);
    }
    assert_string_equal(tide_writable_class(TIDE_WRITABLE_INT), "org.apache.hadoop.io.IntWritable");
    assert_int_equal(tide_writable_find("", 0), TIDE_WRITABLE_UNKNOWN);
    assert_int_equal(tide_writable_find("text", 4), TIDE_WRITABLE_UNKNOWN);
    assert_int_equal(tide_writable_find("org.apache.hadoop.io.", 21), TIDE_WRITABLE_UNKNOWN);
}

static void strings(void **state) {
    char text[70000];

    string("", 0);
    expect(TIDE_WRITABLE_TEXT, "\0", 1);
    expect(TIDE_WRITABLE_BYTES, "\0\0\0\0", 4);
    string("a\0\xff", 3);
    expect(TIDE_WRITABLE_TEXT, "\3a\0\xff", 4);
    expect(TIDE_WRITABLE_BYTES, "\0\0\0\3a\0\xff", 7);
    static const size_t sizes[] = {31, 32, 127, 128, 255, 256, 65535, 65536, 69000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i];
        memset(text, 'x', sizeof text);
        size_t head = tide_vint_put((uint8_t *)text, (int64_t)size);
        string(text + head, size);
        expect(TIDE_WRITABLE_TEXT, text, head + size);
    }
}

static void whole_numbers(void **state) {
    number(0);
    expect(TIDE_WRITABLE_INT, "\0\0\0\0", 4);
    expect(TIDE_WRITABLE_LONG, "\0\0\0\0\0\0\0\0", 8);
    number(-1);
    expect(TIDE_WRITABLE_INT, "\xff\xff\xff\xff", 4);
    expect(TIDE_WRITABLE_LONG, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
    number(200);
    expect(TIDE_WRITABLE_INT, "\0\0\0\xc8", 4);
    number(INT32_MIN);
    expect(TIDE_WRITABLE_INT, "\x80\0\0\0", 4);
    number(4294967296.0);
    expect(TIDE_WRITABLE_LONG, "\0\0\0\1\0\0\0\0", 8);
    whole(INT64_MAX);
    expect(TIDE_WRITABLE_LONG, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
    whole(INT64_MIN);
    expect(TIDE_WRITABLE_LONG, "\x80\0\0\0\0\0\0\0", 8);
    number(1152921504606846976.0);
    expect(TIDE_WRITABLE_LONG, "\x10\0\0\0\0\0\0\0", 8);
    double_bits(UINT64_C(1) << 63);
    expect(TIDE_WRITABLE_INT, "\0\0\0\0", 4);
}

static void real_numbers(void **state) {
    number(1.5);
    expect(TIDE_WRITABLE_FLOAT, "\x3f\xc0\0\0", 4);
    expect(TIDE_WRITABLE_DOUBLE, "\x3f\xf8\0\0\0\0\0\0", 8);
    number(3);
    expect(TIDE_WRITABLE_DOUBLE, "\x40\x08\0\0\0\0\0\0", 8);
    number(INFINITY);
    expect(TIDE_WRITABLE_FLOAT, "\x7f\x80\0\0", 4);
    expect(TIDE_WRITABLE_DOUBLE, "\x7f\xf0\0\0\0\0\0\0", 8);
    number(NAN);
    out.size = 0;
    assert_int_equal(tide_writable_encode(TIDE_WRITABLE_FLOAT, packed.data, packed.data + packed.size, &out, &err),
                     0);
    assert_memory_equal(out.data, "\x7f\xc0\0\0", 4);
    /* Rounded, not refused. */
    number(0.1);
    out.size = 0;
    assert_int_equal(tide_writable_encode(TIDE_WRITABLE_FLOAT, packed.data, packed.data + packed.size, &out, &err),
                     0);
    assert_memory_equal(out.data, "\x3d\xcc\xcc\xcd", 4);
    whole(INT64_C(1) << 60);
    expect(TIDE_WRITABLE_DOUBLE, "\x43\xb0\0\0\0\0\0\0", 8);
}

static void minus_zero_stays(void **state) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 1, NULL);

    double_bits(UINT64_C(1) << 63);
    expect(TIDE_WRITABLE_DOUBLE, "\x80\0\0\0\0\0\0\0", 8);
    assert_int_equal(tide_writable_decode(TIDE_WRITABLE_DOUBLE, out.data, out.size, block, &err), 0);
    assert_memory_equal(block->data, packed.data, 9);
    tide_block_release(block);
}

static void booleans_and_null(void **state) {
    boolean(true);
    expect(TIDE_WRITABLE_BOOLEAN, "\1", 1);
    boolean(false);
    expect(TIDE_WRITABLE_BOOLEAN, "\0", 1);
    bytes(NULL_VALUE);
    expect(TIDE_WRITABLE_NULL, "", 0);
}

static void what_does_not_fit_is_told(void **state) {
    number(1.5);
    expect_unfit(TIDE_WRITABLE_INT, "the number 1.5: IntWritable holds whole numbers from -2147483648 to 2147483647");
    expect_unfit(TIDE_WRITABLE_TEXT, "the number 1.5: Text holds strings");
    expect_unfit(TIDE_WRITABLE_NULL, "the number 1.5: NullWritable holds moontide.null only");
    number(2147483648.0);
    expect_unfit(TIDE_WRITABLE_INT,
                 "the number 2147483648: IntWritable holds whole numbers from -2147483648 to 2147483647");
    number(9223372036854775808.0);
    expect_unfit(TIDE_WRITABLE_LONG, "the number 9223372036854775808: LongWritable holds whole numbers of 64 bits");
    number(NAN);
    expect_unfit(TIDE_WRITABLE_LONG, "the number nan: LongWritable holds whole numbers of 64 bits");
    number(1e39);
    expect_unfit(TIDE_WRITABLE_FLOAT, "the number 1e+39: FloatWritable holds numbers up to 3.4e38");
    whole(INT64_MAX);
    expect_unfit(TIDE_WRITABLE_DOUBLE, "the number 9223372036854775807: DoubleWritable holds numbers");
    expect_unfit(TIDE_WRITABLE_BOOLEAN, "the number 9223372036854775807: BooleanWritable holds true and false");
    bytes("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9);
    expect_unfit(TIDE_WRITABLE_LONG, "the number 18446744073709551615: LongWritable holds whole numbers of 64 bits");
    string("a\n\"", 3);
    expect_unfit(TIDE_WRITABLE_DOUBLE, "the string \"a.\"\": DoubleWritable holds numbers");
    string("0123456789012345678901234567890123456789012345678901234567890123", 64);
    expect_unfit(TIDE_WRITABLE_INT, "the string \"012345678901234567890123456789012345678901234567890123456789…\": "
                                    "IntWritable holds whole numbers from -2147483648 to 2147483647");
    boolean(true);
    expect_unfit(TIDE_WRITABLE_INT, "true: IntWritable holds whole numbers from -2147483648 to 2147483647");
    bytes("\x93\1\2\3", 4);
    expect_unfit(TIDE_WRITABLE_TEXT, "a table: Text holds strings");
    bytes("\xc0", 1);
    expect_unfit(TIDE_WRITABLE_NULL, "nil: NullWritable holds moontide.null only");
    bytes(NULL_VALUE);
    expect_unfit(TIDE_WRITABLE_BYTES, "null: BytesWritable holds strings");
}

static void bytes_that_are_no_value(void **state) {
    expect_corrupt(TIDE_WRITABLE_INT, "\0\0\0", 3, "3 bytes are no IntWritable, which has 4");
    expect_corrupt(TIDE_WRITABLE_LONG, "\0\0\0\0", 4, "4 bytes are no LongWritable, which has 8");
    expect_corrupt(TIDE_WRITABLE_FLOAT, "", 0, "0 bytes are no FloatWritable, which has 4");
    expect_corrupt(TIDE_WRITABLE_DOUBLE, "\0\0\0\0\0\0\0\0\0", 9, "9 bytes are no DoubleWritable, which has 8");
    expect_corrupt(TIDE_WRITABLE_BOOLEAN, "", 0, "0 bytes are no BooleanWritable, which has 1");
    expect_corrupt(TIDE_WRITABLE_NULL, "\0", 1, "1 bytes are no NullWritable, which has 0");
    expect_corrupt(TIDE_WRITABLE_TEXT, "", 0, "the length inside a Text does not fit its 0 bytes");
    expect_corrupt(TIDE_WRITABLE_TEXT, "\2a", 2, "the length inside a Text does not fit its 2 bytes");
    expect_corrupt(TIDE_WRITABLE_TEXT, "\1ab", 3, "the length inside a Text does not fit its 3 bytes");
    expect_corrupt(TIDE_WRITABLE_TEXT, "\x8f", 1, "the length inside a Text does not fit its 1 bytes");
    expect_corrupt(TIDE_WRITABLE_TEXT, "\xff", 1, "the length inside a Text does not fit its 1 bytes");
    expect_corrupt(TIDE_WRITABLE_BYTES, "\0\0\0", 3, "the length inside a BytesWritable does not fit its 3 bytes");
    expect_corrupt(TIDE_WRITABLE_BYTES, "\xff\xff\xff\xff", 4,
                   "the length inside a BytesWritable does not fit its 4 bytes");
}

static void texts_are_those_of_java(void **state) {
    static const struct {
        double number;
        const char *as_double, *as_float;
    } cases[] = {
        {0, "0.0", "0.0"},
        {1, "1.0", "1.0"},
        {-1.5, "-1.5", "-1.5"},
        {0.1, "0.1", "0.1"},
        {100, "100.0", "100.0"},
        {1234.5, "1234.5", "1234.5"},
        {9999999, "9999999.0", "9999999.0"},
        {10000000, "1.0E7", "1.0E7"},
        {123456789, "1.23456789E8", "1.2345679E8"},
        {0.001, "0.001", "0.001"},
        {0.00123, "0.00123", "0.00123"},
        {0.00099, "9.9E-4", "9.9E-4"},
        {1e-5, "1.0E-5", "1.0E-5"},
        {-2.5e-10, "-2.5E-10", "-2.5E-10"},
        {1e21, "1.0E21", "1.0E21"},
        {3.141592653589793, "3.141592653589793", "3.1415927"},
        {INFINITY, "Infinity", "Infinity"},
        {-INFINITY, "-Infinity", "-Infinity"},
        {NAN, "NaN", "NaN"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        number(cases[i].number);
        expect_text(TIDE_WRITABLE_DOUBLE, cases[i].as_double);
        expect_text(TIDE_WRITABLE_FLOAT, cases[i].as_float);
    }
    number(1.7976931348623157e308);
    expect_text(TIDE_WRITABLE_DOUBLE, "1.7976931348623157E308");
    double_bits(1);
    expect_text(TIDE_WRITABLE_DOUBLE, "4.9E-324");
    double_bits(UINT64_C(1) << 63);
    expect_text(TIDE_WRITABLE_DOUBLE, "-0.0");
    expect_text(TIDE_WRITABLE_LONG, "0");
    whole(INT64_MIN);
    expect_text(TIDE_WRITABLE_LONG, "-9223372036854775808");
    number(-7);
    expect_text(TIDE_WRITABLE_INT, "-7");
    boolean(true);
    expect_text(TIDE_WRITABLE_BOOLEAN, "true");
    boolean(false);
    expect_text(TIDE_WRITABLE_BOOLEAN, "false");
    string("a b", 3);
    expect_text(TIDE_WRITABLE_TEXT, "a b");
    expect_text(TIDE_WRITABLE_BYTES, "61 20 62");
    string("\xff", 1);
    expect_text(TIDE_WRITABLE_BYTES, "ff");
    string("", 0);
    expect_text(TIDE_WRITABLE_BYTES, "");
    bytes(NULL_VALUE);
    expect_text(TIDE_WRITABLE_NULL, "");
}

static void memory_that_runs_out_is_an_error(void **state) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 0, NULL);

    string("abc", 3);
    tide_fault_arm("alloc", 0, -1);
    assert_int_equal(tide_writable_encode(TIDE_WRITABLE_TEXT, packed.data, packed.data + packed.size, &out, &err),
                     TIDE_ENOMEM);
    assert_int_equal(tide_writable_text(TIDE_WRITABLE_BYTES, packed.data, packed.data + packed.size, &out, &err),
                     TIDE_ENOMEM);
    assert_int_equal(tide_writable_decode(TIDE_WRITABLE_TEXT, (const uint8_t *)"\3abc", 4, block, &err), TIDE_ENOMEM);
    assert_int_equal(tide_writable_decode(TIDE_WRITABLE_NULL, NULL, 0, block, &err), TIDE_ENOMEM);
    tide_fault_clear();
    assert_int_equal(out.size, 0);
    assert_int_equal(block->size, 0);
    tide_block_release(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vints_are_those_of_hadoop),
        cmocka_unit_test(vints_of_all_sizes_come_back),
        cmocka_unit_test(names_and_classes),
        cmocka_unit_test_setup_teardown(strings, create, destroy),
        cmocka_unit_test_setup_teardown(whole_numbers, create, destroy),
        cmocka_unit_test_setup_teardown(real_numbers, create, destroy),
        cmocka_unit_test_setup_teardown(minus_zero_stays, create, destroy),
        cmocka_unit_test_setup_teardown(booleans_and_null, create, destroy),
        cmocka_unit_test_setup_teardown(what_does_not_fit_is_told, create, destroy),
        cmocka_unit_test_setup_teardown(bytes_that_are_no_value, create, destroy),
        cmocka_unit_test_setup_teardown(texts_are_those_of_java, create, destroy),
        cmocka_unit_test_setup_teardown(memory_that_runs_out_is_an_error, create, destroy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
