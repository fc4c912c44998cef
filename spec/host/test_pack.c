/*
 * wire/pack: the one form of every value, byte for byte, and back through wire/unpack.
 */
#include <math.h>

#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_buffer out;

static int create(void **state) {
    tide_buffer_create(&out);
    return 0;
}

static int destroy(void **state) {
    tide_buffer_destroy(&out);
    return 0;
}

static void expect(const char *bytes, size_t size) {
    assert_int_equal(out.size, size);
    assert_memory_equal(out.data, bytes, size);
    out.size = 0;
}

static void numbers_have_one_form(void **state) {
    static const struct {
        double number;
        const char *bytes;
        size_t size;
    } cases[] = {
        {0, "\x00", 1},
        {-0.0, "\xcb\x80\x00\x00\x00\x00\x00\x00\x00", 9},
        {127, "\x7f", 1},
        {128, "\xcc\x80", 2},
        {255, "\xcc\xff", 2},
        {256, "\xcd\x01\x00", 3},
        {65535, "\xcd\xff\xff", 3},
        {65536, "\xce\x00\x01\x00\x00", 5},
        {2147483647, "\xce\x7f\xff\xff\xff", 5},
        {-1, "\xff", 1},
        {-32, "\xe0", 1},
        {-33, "\xd0\xdf", 2},
        {-128, "\xd0\x80", 2},
        {-129, "\xd1\xff\x7f", 3},
        {-32768, "\xd1\x80\x00", 3},
        {-32769, "\xd2\xff\xff\x7f\xff", 5},
        {-2147483648.0, "\xd2\x80\x00\x00\x00", 5},
        {2147483648.0, "\xcb\x41\xe0\x00\x00\x00\x00\x00\x00", 9},
        {-2147483649.0, "\xcb\xc1\xe0\x00\x00\x00\x20\x00\x00", 9},
        {0.5, "\xcb\x3f\xe0\x00\x00\x00\x00\x00\x00", 9},
        {1e300, "\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c", 9},
        {INFINITY, "\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", 9},
        {-INFINITY, "\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", 9},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tide_pack_number(&out, cases[i].number);
        struct tide_value value = tide_unpack_value(out.data, out.data + out.size);
        assert_int_equal(value.type, TIDE_VALUE_NUMBER);
        assert_true(value.number == cases[i].number);
        expect(cases[i].bytes, cases[i].size);
    }
    tide_pack_number(&out, NAN);
    assert_int_equal(out.size, 9);
    assert_true(isnan(tide_unpack_value(out.data, out.data + 9).number));
}

static void integers_take_the_form_of_the_equal_number(void **state) {
    static const int64_t same[] = {0,
                                   1,
                                   -1,
                                   127,
                                   128,
                                   -32,
                                   -33,
                                   INT32_MAX,
                                   INT32_MIN,
                                   INT64_C(1) << 31,
                                   INT64_C(1) << 53,
                                   -(INT64_C(1) << 53),
                                   INT64_C(123456789012)};
    for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
        struct tide_buffer number;
        tide_buffer_create(&number);
        tide_pack_number(&number, (double)same[i]);
        tide_pack_int64(&out, same[i]);
        expect((char *)number.data, number.size);
        tide_buffer_destroy(&number);
    }
    static const int64_t beyond[] = {(INT64_C(1) << 53) + 1, -(INT64_C(1) << 53) - 1, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        tide_pack_int64(&out, beyond[i]);
        assert_int_equal(out.size, 9);
        assert_int_equal(out.data[0], 0xd3);
        struct tide_value value = tide_unpack_value(out.data, out.data + 9);
        assert_int_equal(value.type, TIDE_VALUE_INT64);
        assert_true(value.int64 == beyond[i]);
        out.size = 0;
    }
}

static void packs_nil_and_booleans(void **state) {
    tide_pack_nil(&out);
    tide_pack_bool(&out, true);
    tide_pack_bool(&out, false);
    expect("\xc0\xc3\xc2", 3);
}

static void strings_take_the_shortest_head(void **state) {
    static const struct {
        size_t size;
        const char *head;
        size_t head_size;
    } cases[] = {
        {0, "\xa0", 1},
        {31, "\xbf", 1},
        {32, "\xd9\x20", 2},
        {255, "\xd9\xff", 2},
        {256, "\xda\x01\x00", 3},
        {65535, "\xda\xff\xff", 3},
        {65536, "\xdb\x00\x01\x00\x00", 5},
    };
    char *text = malloc(65536);
    for (size_t i = 0; i < 65536; i++) text[i] = (char)(i * 7); /* any bytes, zeroes too */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tide_pack_string(&out, text, cases[i].size);
        assert_int_equal(out.size, cases[i].head_size + cases[i].size);
        assert_memory_equal(out.data, cases[i].head, cases[i].head_size);
        struct tide_value value = tide_unpack_value(out.data, out.data + out.size);
        assert_int_equal(value.type, TIDE_VALUE_STRING);
        assert_int_equal(value.size, cases[i].size);
        assert_ptr_equal(value.next, out.data + out.size);
        if (cases[i].size) assert_memory_equal(value.data, text, cases[i].size);
        out.size = 0;
    }
    free(text);
    tide_pack_string(&out, NULL, 0);
    tide_pack_text(&out, "tide");
    expect("\xa0\xa4tide", 6);
}

static void containers_take_the_shortest_head(void **state) {
    tide_pack_array(&out, 0);
    tide_pack_array(&out, 15);
    tide_pack_array(&out, 16);
    tide_pack_array(&out, 65535);
    tide_pack_array(&out, 65536);
    expect("\x90\x9f\xdc\x00\x10\xdc\xff\xff\xdd\x00\x01\x00\x00", 13);
    tide_pack_map(&out, 0);
    tide_pack_map(&out, 15);
    tide_pack_map(&out, 16);
    tide_pack_map(&out, 65535);
    tide_pack_map(&out, 65536);
    expect("\x80\x8f\xde\x00\x10\xde\xff\xff\xdf\x00\x01\x00\x00", 13);
}

static void nested_values_come_back(void **state) {
    tide_pack_map(&out, 2);
    tide_pack_text(&out, "kind");
    tide_pack_text(&out, "map");
    tide_pack_text(&out, "sizes");
    tide_pack_array(&out, 3);
    tide_pack_number(&out, 1);
    tide_pack_number(&out, 2.5);
    tide_pack_nil(&out);
    const uint8_t *at = out.data, *end = out.data + out.size;
    assert_ptr_equal(tide_unpack_skip(at, end), end);
    struct tide_value value = tide_unpack_value(at, end);
    assert_int_equal(value.type, TIDE_VALUE_MAP);
    assert_int_equal(value.size, 2);
    value = tide_unpack_value(value.next, end);
    assert_memory_equal(value.data, "kind", 4);
    value = tide_unpack_value(value.next, end);
    assert_memory_equal(value.data, "map", 3);
    value = tide_unpack_value(value.next, end);
    value = tide_unpack_value(value.next, end);
    assert_int_equal(value.type, TIDE_VALUE_ARRAY);
    assert_int_equal(value.size, 3);
    value = tide_unpack_value(value.next, end);
    assert_true(value.number == 1);
    value = tide_unpack_value(value.next, end);
    assert_true(value.number == 2.5);
    value = tide_unpack_value(value.next, end);
    assert_int_equal(value.type, TIDE_VALUE_NIL);
    assert_ptr_equal(value.next, end);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(numbers_have_one_form),
        TEST(integers_take_the_form_of_the_equal_number),
        TEST(packs_nil_and_booleans),
        TEST(strings_take_the_shortest_head),
        TEST(containers_take_the_shortest_head),
        TEST(nested_values_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
