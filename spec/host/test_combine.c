/*
 * kernel/combine: keys that are equal in Lua are one entry, all others are not; order, growth, and what is left when
 * memory is gone.
 */
#include "base/fault.h"
#include "kernel/combine.h"
#include "packed.h"
#include "random_value.h"
#include "test.h"
#include "wire/hash.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_combine *combine;
static struct tide_buffer key;

static int create(void **state) {
    combine = tide_combine_new();
    tide_buffer_create(&key);
    return !combine;
}

static int destroy(void **state) {
    tide_fault_clear();
    tide_combine_delete(combine);
    tide_buffer_destroy(&key);
    return 0;
}

/* The entry of what is in `key`, which is emptied. */
static uint32_t look_up(void) {
    uint32_t entry = tide_combine_packed(combine, key.data, key.size);

    key.size = 0;
    return entry;
}

static void numbers_meet_in_every_form(void **state) {
    static const double numbers[] = {0,     1,      -1,      31,           -32,          -33,
                                     127,   128,    255,     256,          -128,         -129,
                                     65535, 65536,  -32768,  -32769,       2147483647.0, -2147483648.0,
                                     0.5,   -1e300, 1048576, 4294967295.0, 4294967296.0, 9007199254740992.0};

    for (uint32_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_int_equal(tide_combine_number(combine, numbers[i]), i);
        assert_int_equal(combine->fresh, 1);
        int forms = 0;
        for (int form = 0; form < NUMBER_FORMS; form++) {
            if (!packed_number(&key, numbers[i], form)) continue;
            assert_int_equal(look_up(), i);
            assert_int_equal(combine->fresh, 0);
            forms++;
        }
        assert_true(forms >= 1);
        assert_int_equal(combine->count, i + 1);
        /* It is kept in the form in which it is written. */
        uint8_t canonical[TIDE_PACKED_NUMBER_MAX];
        size_t size = tide_pack_number_at(canonical, numbers[i]);
        uint32_t kept_size;
        const uint8_t *kept = tide_combine_key(combine, i, &kept_size);
        assert_int_equal(kept_size, size);
        assert_memory_equal(kept, canonical, size);
        assert_true(tide_combine_hash(combine, i) == tide_hash_number(numbers[i]));
    }
}

static void minus_zero_is_zero(void **state) {
    assert_int_equal(tide_combine_number(combine, -0.0), 0);
    assert_int_equal(tide_combine_number(combine, 0), 0);
    packed_number(&key, -0.0, 10);
    assert_int_equal(look_up(), 0);
    uint32_t size;
    const uint8_t *kept = tide_combine_key(combine, 0, &size);
    assert_int_equal(size, 1);
    assert_int_equal(kept[0], 0);
}

static void strings_meet_in_every_form(void **state) {
    static const size_t sizes[] = {0, 1, 31, 32, 255, 256, 65535, 65536};
    char *text = malloc(65536);

    for (size_t i = 0; i < 65536; i++) text[i] = (char)(i * 11);
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(tide_combine_string(combine, text, sizes[i]), i);
        assert_int_equal(combine->fresh, 1);
        for (int form = 0; form < TEXT_FORMS; form++) {
            if (!packed_text(&key, text, sizes[i], form)) continue;
            assert_int_equal(look_up(), i);
        }
        uint32_t size;
        const uint8_t *kept = tide_combine_key(combine, i, &size);
        struct tide_value value = tide_unpack_value(kept, kept + size);
        assert_int_equal(value.type, TIDE_VALUE_STRING);
        assert_int_equal(value.size, sizes[i]);
        assert_ptr_equal(value.next, kept + size);
        tide_pack_string(&key, text, sizes[i]);
        assert_int_equal(size, key.size);
        assert_memory_equal(kept, key.data, size);
        key.size = 0;
    }
    free(text);
}

/* To Lua 2^53 + 2 as int64, as uint64 and as double are equal. */
static void large_integers_meet_in_every_form(void **state) {
    const int64_t exact = INT64_C(1) << 53;

    packed_int64(&key, exact + 1);
    assert_int_equal(look_up(), 0);
    packed_uint64(&key, (uint64_t)exact + 1);
    assert_int_equal(look_up(), 0);
    assert_int_equal(tide_combine_number(combine, (double)(exact + 2)), 1);
    packed_int64(&key, exact + 2);
    assert_int_equal(look_up(), 1);
    packed_uint64(&key, (uint64_t)exact + 2);
    assert_int_equal(look_up(), 1);
    packed_int64(&key, -exact - 1);
    assert_int_equal(look_up(), 2);
    packed_int64(&key, -exact - 2);
    assert_int_equal(look_up(), 3);
    assert_int_equal(tide_combine_number(combine, (double)(-exact - 2)), 3);
    packed_uint64(&key, UINT64_C(1) << 63);
    assert_int_equal(look_up(), 4);
    assert_int_equal(tide_combine_number(combine, 9223372036854775808.0), 4);
    packed_int64(&key, INT64_MIN);
    assert_int_equal(look_up(), 5);
    packed_uint64(&key, UINT64_MAX);
    assert_int_equal(look_up(), 6);
    packed_int64(&key, -1); /* the same 64 bits, but a number */
    assert_int_equal(look_up(), 7);
    assert_int_equal(tide_combine_number(combine, 18446744073709551616.0), 8);
    packed_int64(&key, exact);
    assert_int_equal(look_up(), 9);
    assert_int_equal(tide_combine_number(combine, (double)exact), 9);
    /* Kept as it came first: an int64 does not turn into a double on its way. */
    uint32_t size;
    assert_int_equal(tide_combine_key(combine, 3, &size)[0], 0xd3);
    assert_int_equal(tide_combine_key(combine, 1, &size)[0], 0xcb);
}

static void values_of_different_kinds_never_meet(void **state) {
    static const struct {
        const char *bytes;
        size_t size;
    } keys[] = {
        {"\x01", 1},
        {"\xa1\x01", 2},
        {"\xa1"
         "1",
         2},
        {"\xc3", 1},
        {"\xc2", 1},
        {"\xc7\x00\x01", 3},
        {"\x80", 1},
        {"\x90", 1},
        {"\x91\x01", 2},
        {"\x92\x01\x02", 3},
        {"\x91\xa1\x01", 3},
        {"\x81\x01\x01", 3},
        {"\xa0", 1},
        {"\x00", 1},
    };
    uint32_t count = sizeof keys / sizeof *keys;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < count; i++) {
            assert_int_equal(tide_combine_packed(combine, (const uint8_t *)keys[i].bytes, keys[i].size), i);
            assert_int_equal(combine->fresh, round == 0);
        }
    assert_int_equal(combine->count, count);
}

static void adds_in_one_call(void **state) {
    assert_true(tide_combine_add_string(combine, "a", 1, 2));
    assert_int_equal(combine->fresh, 1);
    assert_true(tide_combine_add_number(combine, 7, -0.0));
    assert_true(tide_combine_add_string(combine, "a", 1, 0.5));
    assert_int_equal(combine->fresh, 0);
    assert_true(tide_combine_add_number(combine, 7, 1));
    assert_int_equal(combine->count, 2);
    assert_true(combine->numbers[0] == 2.5);
    assert_true(combine->numbers[1] == 1);
}

/* Strings and numbers in turn; afterwards every one is where it was. */
static void grows_to_a_million_keys(void **state) {
    enum { KEYS = 1000000 };
    char text[32];
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t entry;
            if (i % 2) entry = tide_combine_string(combine, text, (size_t)sprintf(text, "key %u", i));
            else entry = tide_combine_number(combine, i % 4 ? i * 0.25 : (double)i);
            if (entry != i || combine->fresh != (round == 0)) fail_msg("key %u became entry %u", i, entry);
            if (round == 0) combine->numbers[entry] = i;
            else if (combine->numbers[entry] != i) fail_msg("the number of entry %u is lost", i);
        }
    }
    assert_int_equal(combine->count, KEYS);
}

/* Every allocation fails once: the call says so, what was there stays, and it works again afterwards. */
static void stays_valid_without_memory(void **state) {
    char text[200];
    uint32_t failed = 0;

    memset(text, 'x', sizeof text);
    tide_fault_arm("alloc", 0, -1);
    for (uint32_t i = 0; i < 3000; i++) {
        size_t size = 20 + i % 100;
        memcpy(text, &i, sizeof i);
        uint32_t before = combine->count;
        uint32_t entry = tide_combine_string(combine, text, size);
        while (entry == TIDE_COMBINE_NOMEM) {
            failed++;
            assert_int_equal(combine->count, before);
            for (uint32_t j = 0; j < before; j++) {
                uint32_t length;
                const uint8_t *kept = tide_combine_key(combine, j, &length);
                if (tide_combine_packed(combine, kept, length) != j || combine->fresh)
                    fail_msg("entry %u is lost", j);
                if (combine->numbers[j] != j) fail_msg("the number of entry %u is lost", j);
            }
            assert_false(tide_combine_add_string(combine, text, size, 1));
            /* Let one allocation pass more than before: a growth takes up to three. */
            tide_fault_arm("alloc", (long)(failed % 3), 1);
            entry = tide_combine_string(combine, text, size);
            if (entry == TIDE_COMBINE_NOMEM) {
                tide_fault_clear();
                entry = tide_combine_string(combine, text, size);
                assert_int_not_equal(entry, TIDE_COMBINE_NOMEM);
            }
        }
        assert_int_equal(entry, i);
        combine->numbers[entry] = i;
        tide_fault_arm("alloc", 0, -1);
    }
    assert_true(failed > 10);
    tide_fault_arm("alloc", 0, -1);
    assert_null(tide_combine_new());
    tide_fault_arm("alloc", 1, -1);
    assert_null(tide_combine_new());
}

/* ---- Against a model ---------------------------------------------------------------------------------------- */

enum { MODEL_KEYS = 8192 };

/* Keys of the model are told apart by what they are, not by their bytes. */
struct model_key {
    int kind; /* 0 number, 1 text, 2 integer beyond 2^53 that no double holds, 3 list */
    double number;
    uint64_t bits;
    size_t size;
    char text[40];
    double sum;
};

static struct model_key model[MODEL_KEYS];
static uint32_t model_count;

static uint32_t model_find(const struct model_key *wanted) {
    for (uint32_t i = 0; i < model_count; i++) {
        const struct model_key *it = &model[i];
        if (it->kind == wanted->kind && it->number == wanted->number && it->bits == wanted->bits &&
            it->size == wanted->size && memcmp(it->text, wanted->text, wanted->size) == 0)
            return i;
    }
    if (model_count == MODEL_KEYS) fail_msg("the model is too small");
    model[model_count] = *wanted;
    return model_count++;
}

static void pack_random_form(const struct model_key *wanted, uint64_t *seed) {
    bool done = false;

    while (!done) {
        int form = (int)random_below(seed, NUMBER_FORMS);
        switch (wanted->kind) {
        case 0: done = packed_number(&key, wanted->number, form); break;
        case 1: done = packed_text(&key, wanted->text, wanted->size, form % TEXT_FORMS); break;
        case 2:
            if (form % 2) packed_int64(&key, (int64_t)wanted->bits);
            else packed_uint64(&key, wanted->bits);
            done = true;
            break;
        default:
            tide_pack_array(&key, 2);
            tide_pack_number(&key, wanted->number);
            tide_pack_string(&key, wanted->text, wanted->size);
            done = true;
        }
    }
}

static void agrees_with_a_model(void **state) {
    uint64_t seed = 20;

    model_count = 0;
    for (int step = 0; step < 30000; step++) {
        struct model_key wanted = {.kind = (int)random_below(&seed, 4)};
        if (wanted.kind == 0) {
            wanted.number = (double)random_below(&seed, 600) - 300;
            if (random_below(&seed, 4) == 0) wanted.number *= 16777216.0 * 1024;
            if (random_below(&seed, 4) == 0) wanted.number /= 8;
        } else if (wanted.kind == 2) {
            wanted.bits = (UINT64_C(1) << 53) + 1 + 2 * random_below(&seed, 300);
        } else {
            wanted.number = wanted.kind == 3 ? (double)random_below(&seed, 10) : 0;
            wanted.size = random_below(&seed, wanted.kind == 3 ? 3 : 40);
            for (size_t i = 0; i < wanted.size; i++)
                wanted.text[i] = i < 2 ? (char)('a' + random_below(&seed, 6)) : 'x';
        }
        uint32_t before = model_count, expected = model_find(&wanted), entry;
        double value = random_below(&seed, 100);
        pack_random_form(&wanted, &seed);
        uint32_t way = random_below(&seed, 3);
        if (way == 0 && wanted.kind == 0) {
            entry = expected;
            assert_true(tide_combine_add_number(combine, wanted.number, value));
        } else if (way == 0 && wanted.kind == 1) {
            entry = expected;
            assert_true(tide_combine_add_string(combine, wanted.text, wanted.size, value));
        } else {
            entry = tide_combine_packed(combine, key.data, key.size);
            if (combine->fresh) combine->numbers[entry] = value;
            else combine->numbers[entry] += value;
        }
        model[expected].sum += value;
        if (entry != expected || combine->fresh != (expected == before))
            fail_msg("step %d: entry %u, not %u", step, entry, expected);
        if (tide_combine_hash(combine, entry) != tide_hash_packed(key.data, key.size))
            fail_msg("step %d: another hash", step);
        key.size = 0;
    }
    assert_int_equal(combine->count, model_count);
    assert_true(model_count > 1000);
    for (uint32_t i = 0; i < model_count; i++) assert_true(combine->numbers[i] == model[i].sum);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(numbers_meet_in_every_form),
        TEST(minus_zero_is_zero),
        TEST(strings_meet_in_every_form),
        TEST(large_integers_meet_in_every_form),
        TEST(values_of_different_kinds_never_meet),
        TEST(adds_in_one_call),
        TEST(grows_to_a_million_keys),
        TEST(stays_valid_without_memory),
        TEST(agrees_with_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
