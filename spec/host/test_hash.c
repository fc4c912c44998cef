/*
 * wire/hash: the values themselves, which are on users' disks and can never change; equal keys in all their packed
 * forms; the partitions' ranges.
 */
#include <math.h>
#include <xxhash.h> /* the library's own functions: hash.c has its own copy compiled in */

#include "base/buffer.h"
#include "test.h"
#include "wire/hash.h"
#include "wire/pack.h"

static void strings_never_change(void **state) {
    static const struct {
        const char *text;
        uint64_t hash;
    } fixed[] = {
        {"", UINT64_C(0x4dc5b0cc826f6703)},
        {"a", UINT64_C(0xd2f6d0996f37a720)},
        {"the", UINT64_C(0xa842d16a4de8ed2b)},
        {"moontide", UINT64_C(0xd51c2a8ac4e3f99a)},
        {"the quick brown fox jumps over the lazy dog", UINT64_C(0xc64714c8bf416cd9)},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) {
        size_t size = strlen(fixed[i].text);
        assert_true(tide_hash_string(fixed[i].text, size) == fixed[i].hash);
        assert_true(XXH3_64bits_withSeed(fixed[i].text, size, TIDE_KEY_STRING) == fixed[i].hash);
    }
    uint8_t bytes[300];
    for (int i = 0; i < 300; i++) bytes[i] = (uint8_t)i;
    assert_true(tide_hash_string(bytes, sizeof bytes) == UINT64_C(0x9a113e70c7037c87));
    assert_true(tide_hash_string(NULL, 0) == fixed[0].hash);
}

static void numbers_never_change(void **state) {
    static const struct {
        double number;
        uint64_t hash;
    } fixed[] = {
        {0, UINT64_C(0x13c3c355e8ded66a)},
        {1, UINT64_C(0x31db1625ebf9a61b)},
        {-1, UINT64_C(0x0d211c90b06555e4)},
        {0.5, UINT64_C(0x784975a72ebfdecc)},
        {255, UINT64_C(0x7500c1fa8b3fccc4)},
        {1e9, UINT64_C(0x8bf0c4f7f9426df1)},
        {9007199254740992.0, UINT64_C(0x458c6face0527446)},
        {1e300, UINT64_C(0x2716a9f6ab317493)},
        {-INFINITY, UINT64_C(0x0d5961f409468cc1)},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        assert_true(tide_hash_number(fixed[i].number) == fixed[i].hash);
    assert_true(tide_hash_number(-0.0) == fixed[0].hash);
    assert_true(tide_hash_number(NAN) == tide_hash_number(-NAN));
    uint8_t one[8] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f}; /* 1.0, little endian */
    assert_true(XXH3_64bits_withSeed(one, 8, TIDE_KEY_NUMBER) == fixed[1].hash);
}

static void other_keys_never_change(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
        uint64_t hash;
    } fixed[] = {
        {"\xc3", 1, UINT64_C(0x528f7881c9bd2bf7)},
        {"\xc2", 1, UINT64_C(0xd8d543bfb448fd45)},
        {"\x92\x01\x02", 3, UINT64_C(0xac1bc7d94189a005)},
        {"\xc7\x00\x01", 3, UINT64_C(0x99e915fed0b339fd)},
        {"\xcf\x00\x20\x00\x00\x00\x00\x00\x01", 9, UINT64_C(0x75a0d967036c5646)},
        {"\xd3\xff\xdf\xff\xff\xff\xff\xff\xff", 9, UINT64_C(0x61c1909aa221095e)},
        {"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", 9, UINT64_C(0xa69296be964db6e3)},
        {"\x80", 1, UINT64_C(0xaa0a61b1e6444943)},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        assert_true(tide_hash_packed((const uint8_t *)fixed[i].bytes, fixed[i].size) == fixed[i].hash);
    uint64_t id[2];
    tide_hash_content("moontide", 8, id);
    assert_true(id[0] == UINT64_C(0x8738d847a8dc96bf));
    assert_true(id[1] == UINT64_C(0x379733bd4f8f74a3));
    XXH128_hash_t reference = XXH3_128bits("moontide", 8);
    assert_true(reference.low64 == id[0] && reference.high64 == id[1]);
}

static uint64_t packed(const char *bytes, size_t size) { return tide_hash_packed((const uint8_t *)bytes, size); }

static void every_form_of_a_number_has_its_hash(void **state) {
    static const struct {
        double number;
        const char *bytes;
        size_t size;
    } forms[] = {
        {5, "\x05", 1},
        {5, "\xcc\x05", 2},
        {5, "\xcd\x00\x05", 3},
        {5, "\xce\x00\x00\x00\x05", 5},
        {5, "\xcf\x00\x00\x00\x00\x00\x00\x00\x05", 9},
        {5, "\xd0\x05", 2},
        {5, "\xd1\x00\x05", 3},
        {5, "\xd2\x00\x00\x00\x05", 5},
        {5, "\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9},
        {5, "\xca\x40\xa0\x00\x00", 5},
        {5, "\xcb\x40\x14\x00\x00\x00\x00\x00\x00", 9},
        {-1, "\xff", 1},
        {-1, "\xd0\xff", 2},
        {-1, "\xd1\xff\xff", 3},
        {-1, "\xd2\xff\xff\xff\xff", 5},
        {-1, "\xd3\xff\xff\xff\xff\xff\xff\xff\xff", 9},
        {0, "\x00", 1},
        {0, "\xcb\x80\x00\x00\x00\x00\x00\x00\x00", 9},
        {0, "\xca\x80\x00\x00\x00", 5},
        {4294967295.0, "\xce\xff\xff\xff\xff", 5},
        {-2147483648.0, "\xd2\x80\x00\x00\x00", 5},
        {0.5, "\xca\x3f\x00\x00\x00", 5},
        /* beyond 2^53, but a double all the same */
        {9223372036854775808.0, "\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9},
        {-9223372036854775808.0, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", 9},
        {1152921504606846976.0, "\xcf\x10\x00\x00\x00\x00\x00\x00\x00", 9},
        {1152921504606846976.0, "\xd3\x10\x00\x00\x00\x00\x00\x00\x00", 9},
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (packed(forms[i].bytes, forms[i].size) != tide_hash_number(forms[i].number)) print_error("form %zu\n", i);
        assert_true(packed(forms[i].bytes, forms[i].size) == tide_hash_number(forms[i].number));
    }
    /* What no double holds: signed and unsigned forms agree, neighbours do not. */
    assert_true(packed("\xcf\x00\x20\x00\x00\x00\x00\x00\x01", 9) ==
                packed("\xd3\x00\x20\x00\x00\x00\x00\x00\x01", 9));
    assert_true(packed("\xcf\x10\x00\x00\x00\x00\x00\x00\x01", 9) !=
                packed("\xcf\x10\x00\x00\x00\x00\x00\x00\x00", 9));
    assert_true(packed("\xcf\x10\x00\x00\x00\x00\x00\x00\x01", 9) !=
                packed("\xcf\x10\x00\x00\x00\x00\x00\x00\x02", 9));
}

static void every_form_of_a_string_has_its_hash(void **state) {
    uint64_t hash = tide_hash_string("tide", 4);

    assert_true(packed("\xa4tide", 5) == hash);
    assert_true(packed("\xd9\x04tide", 6) == hash);
    assert_true(packed("\xda\x00\x04tide", 7) == hash);
    assert_true(packed("\xdb\x00\x00\x00\x04tide", 9) == hash);
    assert_true(packed("\xc4\x04tide", 6) == hash);
    assert_true(packed("\xc5\x00\x04tide", 7) == hash);
    assert_true(packed("\xc6\x00\x00\x00\x04tide", 9) == hash);
    struct tide_buffer buffer;
    tide_buffer_create(&buffer);
    char text[70000];
    memset(text, 's', sizeof text);
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        buffer.size = 0;
        tide_pack_string(&buffer, text, sizes[i]);
        assert_true(tide_hash_packed(buffer.data, buffer.size) == tide_hash_string(text, sizes[i]));
    }
    tide_buffer_destroy(&buffer);
}

static void classes_are_kept_apart(void **state) {
    /* the string of a number's bytes, a string that looks like a packed array */
    double one = 1;
    assert_true(tide_hash_string(&one, sizeof one) != tide_hash_number(1));
    assert_true(tide_hash_string("\x92\x01\x02", 3) != packed("\x92\x01\x02", 3));
    assert_true(tide_hash_string("1", 1) != tide_hash_number(1));
}

/* Damaged spans have no meaning, but they must be safe: exact memory, for the address sanitizer. */
static void damaged_keys_are_only_bytes(void **state) {
    assert_true(tide_hash_packed(NULL, 0) == tide_hash_packed(NULL, 0));
    for (int tag = 0; tag < 256; tag++) {
        for (size_t size = 1; size <= 10; size++) {
            uint8_t *bytes = malloc(size);
            memset(bytes, 0xff, size);
            bytes[0] = (uint8_t)tag;
            assert_true(tide_hash_packed(bytes, size) == tide_hash_packed(bytes, size));
            free(bytes);
        }
    }
}

static void partitions_cover_the_groups_in_order(void **state) {
    for (uint32_t partitions = 1; partitions <= 300; partitions++) {
        uint32_t last = 0;
        for (uint64_t group = 0; group < TIDE_KEY_GROUPS; group++) {
            uint64_t hash = group << 32 | 0xffffffff;
            assert_int_equal(tide_key_group(hash), group);
            uint32_t partition = tide_key_partition(hash, partitions);
            assert_true(partition < partitions);
            assert_true(partition >= last);
            if (partitions <= TIDE_KEY_GROUPS) assert_true(partition - last <= 1); /* none is left out */
            if (group == 0) assert_int_equal(partition, 0);
            last = partition;
        }
        if (partitions <= TIDE_KEY_GROUPS) assert_int_equal(last, partitions - 1);
    }
    assert_true(tide_key_group(UINT64_MAX) < TIDE_KEY_GROUPS);
}

static void keys_spread_over_the_groups(void **state) {
    enum { KEYS = 64 * TIDE_KEY_GROUPS };
    int strings[TIDE_KEY_GROUPS] = {0}, numbers[TIDE_KEY_GROUPS] = {0};
    for (int i = 0; i < KEYS; i++) {
        struct tide_buffer text;
        tide_buffer_create(&text);
        tide_buffer_format(&text, "user-%d", i);
        strings[tide_key_group(tide_hash_string(text.data, text.size))]++;
        numbers[tide_key_group(tide_hash_number(i))]++;
        tide_buffer_destroy(&text);
    }
    for (int group = 0; group < TIDE_KEY_GROUPS; group++) { /* 64 each; ± 4.5 standard deviations */
        assert_in_range(strings[group], 28, 100);
        assert_in_range(numbers[group], 28, 100);
    }
}

static void a_checksum_does_not_depend_on_the_pieces(void **state) {
    uint8_t bytes[3000];
    uint64_t whole = 0;

    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * i);
    for (size_t piece = sizeof bytes; piece > 0; piece /= 3) {
        struct tide_hasher *hasher = tide_hasher_new();
        for (size_t at = 0; at < sizeof bytes; at += piece)
            tide_hasher_add(hasher, bytes + at, at + piece < sizeof bytes ? piece : sizeof bytes - at);
        if (piece == sizeof bytes) whole = tide_hasher_value(hasher);
        assert_true(tide_hasher_value(hasher) == whole);
        tide_hasher_add(hasher, NULL, 0);
        assert_true(tide_hasher_value(hasher) == whole);
        tide_hasher_add(hasher, bytes, 1);
        assert_true(tide_hasher_value(hasher) != whole);
        tide_hasher_delete(hasher);
    }
    struct tide_hasher *hasher = tide_hasher_new();
    assert_true(tide_hasher_value(hasher) == UINT64_C(0x2d06800538d394c2)); /* XXH3-64 of nothing */
    tide_hasher_delete(hasher);
    tide_hasher_delete(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_never_change),
        cmocka_unit_test(numbers_never_change),
        cmocka_unit_test(other_keys_never_change),
        cmocka_unit_test(every_form_of_a_number_has_its_hash),
        cmocka_unit_test(every_form_of_a_string_has_its_hash),
        cmocka_unit_test(classes_are_kept_apart),
        cmocka_unit_test(damaged_keys_are_only_bytes),
        cmocka_unit_test(partitions_cover_the_groups_in_order),
        cmocka_unit_test(keys_spread_over_the_groups),
        cmocka_unit_test(a_checksum_does_not_depend_on_the_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
