/* Forms of keys: what is equal in Lua has one plain form and one hash, at every depth; NaN is found wherever it
 * is. */
#include <math.h>

#include "base/buffer.h"
#include "test.h"
#include "wire/hash.h"
#include "wire/key.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_buffer buffer;

static int set_up(void **state) {
    tide_buffer_create(&buffer);
    return 0;
}

static int tear_down(void **state) {
    tide_buffer_destroy(&buffer);
    return 0;
}

/* [text, number] */
static void table_of(double number) {
    buffer.size = 0;
    tide_pack_array(&buffer, 2);
    tide_pack_text(&buffer, "\xcb\xcb");
    tide_pack_number(&buffer, number);
}

static void raw(const char *bytes, size_t size) {
    buffer.size = 0;
    tide_buffer_append(&buffer, bytes, size);
}

static uint64_t hash(void) { return tide_hash_packed(buffer.data, buffer.size); }

static void expect_plain_form(const char *bytes, size_t size) {
    assert_false(tide_key_is_plain(buffer.data, buffer.size));

    uint64_t before = hash();

    buffer.size = tide_key_make_plain(buffer.data, buffer.size);
    assert_int_equal(buffer.size, size);
    assert_memory_equal(buffer.data, bytes, size);
    assert_true(tide_key_is_plain(buffer.data, buffer.size));
    assert_true(hash() == before);
}

static void the_usual_keys_are_plain(void **state) {
    table_of(0.5);
    assert_true(tide_key_is_plain(buffer.data, buffer.size));
    assert_int_equal(tide_key_make_plain(buffer.data, buffer.size), buffer.size);
    raw("\x93\x01\xa1x\x80", 5);
    assert_true(tide_key_is_plain(buffer.data, buffer.size));
    raw("\xa9\xcb\x80\0\0\0\0\0\0\0", 10); /* a string that looks like -0 */
    assert_true(tide_key_is_plain(buffer.data, buffer.size));
}

static void minus_zero_becomes_zero(void **state) {
    raw("\xcb\x80\0\0\0\0\0\0\0", 9);
    expect_plain_form("\0", 1);
    table_of(-0.0);
    expect_plain_form("\x92\xa2\xcb\xcb\0", 5);
    raw("\x81\xa1k\x92\xcb\x80\0\0\0\0\0\0\0\xca\x80\0\0\0", 18);
    expect_plain_form("\x81\xa1k\x92\0\0", 6);
}

static void an_empty_table_loses_its_mark(void **state) {
    raw("\x91\xde\0\0", 4);
    expect_plain_form("\x91\x80", 2);
}

static void nan_is_found_at_every_depth(void **state) {
    assert_false(tide_key_has_nan((const uint8_t *)"\x01", 1));
    table_of(1.5);
    assert_false(tide_key_has_nan(buffer.data, buffer.size));
    table_of(NAN);
    assert_true(tide_key_has_nan(buffer.data, buffer.size));
    assert_false(tide_key_is_plain(buffer.data, buffer.size));
    assert_int_equal(tide_key_make_plain(buffer.data, buffer.size), 0);
    raw("\x81\xa1k\x91\x91\xca\x7f\xc0\0\0", 10);
    assert_true(tide_key_has_nan(buffer.data, buffer.size));
    buffer.size = 0;
    tide_pack_number(&buffer, NAN);
    assert_true(tide_key_has_nan(buffer.data, buffer.size));
    assert_int_equal(tide_key_make_plain(buffer.data, buffer.size), 0);
}

static uint64_t hash_of(const char *bytes, size_t size) {
    raw(bytes, size);
    return hash();
}

static void equal_numbers_in_tables_have_one_hash(void **state) {
    /* 2^60 as int64, uint64 and double */
    uint64_t hashed = hash_of("\x91\xd3\x10\0\0\0\0\0\0\0", 10);

    assert_true(hashed == hash_of("\x91\xcf\x10\0\0\0\0\0\0\0", 10));
    table_of(0x1p60);
    buffer.size = 0;
    tide_pack_array(&buffer, 1);
    tide_pack_number(&buffer, 0x1p60);
    assert_true(hashed == hash());
    /* 2^60 + 1, which no double holds; and small numbers in forms that we do not write */
    assert_true(hash_of("\x91\xd3\x10\0\0\0\0\0\0\1", 10) == hash_of("\x91\xcf\x10\0\0\0\0\0\0\1", 10));
    assert_true(hash_of("\x91\xd3\x10\0\0\0\0\0\0\1", 10) != hashed);
    assert_true(hash_of("\x92\xcb\x3f\xf0\0\0\0\0\0\0\xde\0\0", 13) == hash_of("\x92\x01\x80", 3));
    assert_true(hash_of("\x91\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 10) !=
                hash_of("\x91\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 10));
}

static void cut_off_spans_are_safe(void **state) {
    static const char whole[] = "\x93\xcb\x80\0\0\0\0\0\0\0\xd3\x10\0\0\0\0\0\0\0\xde\0\0";

    for (size_t size = 1; size < sizeof whole - 1; size++) {
        uint8_t *copy = malloc(size);

        memcpy(copy, whole, size);
        tide_hash_packed(copy, size);
        tide_key_has_nan(copy, size);
        tide_key_make_plain(copy, size);
        free(copy);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_keys_are_plain),
        cmocka_unit_test(minus_zero_becomes_zero),
        cmocka_unit_test(an_empty_table_loses_its_mark),
        cmocka_unit_test(nan_is_found_at_every_depth),
        cmocka_unit_test(equal_numbers_in_tables_have_one_hash),
        cmocka_unit_test(cut_off_spans_are_safe),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
