/*
 * kernel/sort_by_key: against qsort of the decoded keys, stable in both directions; samples.
 */
#include <math.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "kernel/sort_by_key.h"
#include "packed.h"
#include "random_value.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_blocks in, out;
static struct tide_buffer bytes;

static int create(void **state) {
    tide_blocks_create(&in);
    tide_blocks_create(&out);
    tide_buffer_create(&bytes);
    return 0;
}

static int destroy(void **state) {
    tide_fault_clear();
    tide_blocks_destroy(&in);
    tide_blocks_destroy(&out);
    tide_buffer_destroy(&bytes);
    return tide_block_live() != 0;
}

/* ---- The same order, said plainly --------------------------------------------------------------------------- */

struct key {
    int rank; /* boolean 1, number 2, string 3 */
    double number;
    char text[64];
    size_t size;
    uint32_t sequence;
};

static int by_value(const struct key *a, const struct key *b) {
    if (a->rank != b->rank) return a->rank < b->rank ? -1 : 1;
    if (a->rank < 3) {
        if (isnan(a->number) || isnan(b->number)) return !!isnan(a->number) - !!isnan(b->number);
        return (a->number > b->number) - (a->number < b->number);
    }
    for (size_t i = 0; i < a->size && i < b->size; i++) {
        uint8_t x = (uint8_t)a->text[i], y = (uint8_t)b->text[i];
        if (x != y) return x < y ? -1 : 1;
    }
    return (a->size > b->size) - (a->size < b->size);
}

static int ascending(const void *left, const void *right) {
    const struct key *a = left, *b = right;
    int order = by_value(a, b);

    return order ? order : a->sequence < b->sequence ? -1 : 1;
}

static int descending(const void *left, const void *right) {
    const struct key *a = left, *b = right;
    int order = by_value(b, a);

    return order ? order : a->sequence < b->sequence ? -1 : 1;
}

/* Of the first `kinds` kinds below, or strings alone when that is 0. */
static void random_key(struct key *key, uint64_t *seed, int kinds) {
    static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e300, -1e-300, 9007199254740992.0};
    static const char prefix[] = "http://example.org/a/long/common/prefix/";

    memset(key, 0, sizeof *key);
    switch (kinds == 0 ? 2 + random_below(seed, 2) : random_below(seed, (uint32_t)kinds)) {
    case 0:
        key->rank = 2;
        key->number = (double)random_below(seed, 200) - 100;
        if (random_below(seed, 3) == 0) key->number /= 7;
        break;
    case 1:
        key->rank = 2;
        key->number = special[random_below(seed, sizeof special / sizeof *special)];
        break;
    case 2: /* few different bytes, zeroes among them, about as long as the part that is compared at once */
        key->rank = 3;
        key->size = random_below(seed, 12);
        for (size_t i = 0; i < key->size; i++) key->text[i] = "\0\1a\xff"[random_below(seed, 4)];
        break;
    case 3:
        key->rank = 3;
        key->size = random_below(seed, sizeof prefix);
        memcpy(key->text, prefix, key->size);
        if (random_below(seed, 2)) key->text[key->size++] = (char)random_below(seed, 256);
        break;
    default: key->rank = 1; key->number = random_below(seed, 2);
    }
}

static void pack_key(const struct key *key, uint64_t *seed) {
    if (key->rank == 1) tide_pack_bool(&bytes, key->number != 0);
    else if (key->rank == 2)
        while (!packed_number(&bytes, key->number, isnan(key->number) ? 10 : (int)random_below(seed, NUMBER_FORMS)))
            continue;
    else
        while (!packed_text(&bytes, key->text, key->size, (int)random_below(seed, TEXT_FORMS))) continue;
}

static void agrees_with_qsort(void **state) {
    enum { RECORDS = 2000 };
    static struct key keys[RECORDS];
    for (int round = 0; round < 24; round++) {
        uint64_t seed = (uint64_t)round + 1;
        int kinds = round % 6;
        uint32_t in_block = 0;
        bool up = round / 6 % 2 == 0;
        for (uint32_t i = 0; i < RECORDS; i++) {
            random_key(&keys[i], &seed, kinds);
            keys[i].sequence = i;
            pack_key(&keys[i], &seed);
            tide_pack_number(&bytes, i);
            in_block++;
            if (random_below(&seed, 200) == 0 || i + 1 == RECORDS) {
                tide_blocks_push(&in, packed_block(&bytes, in_block, 2));
                in_block = 0;
            }
        }
        qsort(keys, RECORDS, sizeof *keys, up ? ascending : descending);
        assert_true(tide_sort_by_key(&in, up, &out));
        uint32_t seen = 0;
        for (uint32_t b = 0; b < out.count; b++) {
            const uint8_t *at = out.items[b]->data, *end = at + out.items[b]->size;
            assert_int_equal(out.items[b]->arity, 2);
            for (uint32_t r = 0; r < out.items[b]->count; r++, seen++) {
                struct tide_value value = tide_unpack_value(tide_unpack_skip(at, end), end);
                if (value.number != keys[seen].sequence)
                    fail_msg("round %d: record %g at place %u, not %u", round, value.number, seen,
                             keys[seen].sequence);
                at = value.next;
            }
            assert_ptr_equal(at, end);
        }
        assert_int_equal(seen, RECORDS);
        tide_blocks_destroy(&in);
        tide_blocks_destroy(&out);
    }
}

/* Records of any kind, whole: neither key nor value changes, and tide_unpack_compare is the order. */
static void sorts_values_of_any_kind(void **state) {
    uint64_t seed = 77;

    for (int round = 0; round < 10; round++) {
        uint32_t count = random_below(&seed, 400);
        for (uint32_t i = 0; i < count; i++) {
            random_value(&bytes, &seed, 3);
            tide_pack_number(&bytes, i);
        }
        tide_blocks_push(&in, packed_block(&bytes, count, 2));
        assert_true(tide_sort_by_key(&in, true, &out));
        assert_int_equal(tide_blocks_records(&out), count);
        assert_int_equal(tide_blocks_bytes(&out), tide_blocks_bytes(&in));
        const uint8_t *last = NULL, *last_end = NULL;
        double last_number = -1;
        for (uint32_t b = 0; b < out.count; b++) {
            const uint8_t *at = out.items[b]->data, *end = at + out.items[b]->size;
            while (at < end) {
                const uint8_t *value = tide_unpack_skip(at, end);
                struct tide_value number = tide_unpack_value(value, end);
                int order = last ? tide_unpack_compare(last, last_end, at, value) : -1;
                assert_true(order < 0 || (order == 0 && last_number < number.number));
                last = at;
                last_end = value;
                last_number = number.number;
                at = number.next;
            }
        }
        tide_blocks_destroy(&in);
        tide_blocks_destroy(&out);
    }
}

static void large_integers_keep_their_order(void **state) {
    const int64_t exact = INT64_C(1) << 53;

    packed_int64(&bytes, exact + 3);
    tide_pack_text(&bytes, "3");
    tide_pack_number(&bytes, (double)(exact + 2));
    tide_pack_text(&bytes, "2");
    packed_uint64(&bytes, UINT64_MAX);
    tide_pack_text(&bytes, "most");
    packed_int64(&bytes, INT64_MIN);
    tide_pack_text(&bytes, "least");
    packed_uint64(&bytes, (uint64_t)exact + 1);
    tide_pack_text(&bytes, "1");
    tide_pack_number(&bytes, 5);
    tide_pack_text(&bytes, "five");
    tide_blocks_push(&in, packed_block(&bytes, 6, 2));
    assert_true(tide_sort_by_key(&in, true, &out));
    const char *expected[] = {"least", "five", "1", "2", "3", "most"};
    const uint8_t *at = out.items[0]->data, *end = at + out.items[0]->size;
    for (int i = 0; i < 6; i++) {
        struct tide_value value = tide_unpack_value(tide_unpack_skip(at, end), end);
        assert_int_equal(value.size, strlen(expected[i]));
        assert_memory_equal(value.data, expected[i], value.size);
        at = value.next;
    }
}

static void nothing_makes_nothing(void **state) {
    assert_true(tide_sort_by_key(&in, true, &out));
    assert_true(tide_sort_by_key_sample(&in, 10, &out));
    tide_blocks_push(&in, packed_block(&bytes, 0, 0));
    assert_true(tide_sort_by_key(&in, false, &out));
    assert_true(tide_sort_by_key_sample(&in, 10, &out));
    assert_int_equal(out.count, 0);
}

static void blocks_are_sealed_when_full(void **state) {
    char *text = calloc(1, TIDE_BLOCK_TARGET + 10);

    for (uint32_t i = 0; i < 300; i++) {
        tide_pack_number(&bytes, 1000 - i);
        tide_pack_string(&bytes, text, i == 150 ? TIDE_BLOCK_TARGET + 10 : 5000);
    }
    free(text);
    tide_blocks_push(&in, packed_block(&bytes, 300, 2));
    assert_true(tide_sort_by_key(&in, true, &out));
    assert_int_equal(tide_blocks_records(&out), 300);
    for (uint32_t b = 0; b < out.count; b++) {
        assert_true(out.items[b]->count > 0);
        assert_true(out.items[b]->size <= TIDE_BLOCK_TARGET || out.items[b]->count == 1);
    }
    assert_true(out.count >= 6 && out.count <= 10);
}

static void samples_evenly(void **state) {
    for (uint32_t i = 0; i < 1000; i++) {
        tide_pack_number(&bytes, i);
        tide_pack_nil(&bytes);
        if (i % 300 == 299 || i == 999) tide_blocks_push(&in, packed_block(&bytes, i % 300 + 1, 2));
    }
    static const uint32_t wanted[] = {1, 7, 64, 999, 1000, 5000};
    for (size_t w = 0; w < sizeof wanted / sizeof *wanted; w++) {
        assert_true(tide_sort_by_key_sample(&in, wanted[w], &out));
        assert_int_equal(out.count, 1);
        const struct tide_block *sample = out.items[0];
        assert_int_equal(sample->arity, 1);
        assert_true(sample->count >= 1 && sample->count <= wanted[w]);
        if (wanted[w] > 1000) assert_int_equal(sample->count, 1000);
        else assert_true(2 * sample->count + 1 >= wanted[w]);
        const uint8_t *at = sample->data, *end = at + sample->size;
        double last = -1, largest_gap = 1000.0 / sample->count + 1;
        while (at < end) {
            struct tide_value key = tide_unpack_value(at, end);
            assert_true(key.number > last && key.number - last <= largest_gap + 1);
            last = key.number;
            at = key.next;
        }
        assert_true(1000 - last <= largest_gap + 1);
        tide_blocks_destroy(&out);
    }
    assert_true(tide_sort_by_key_sample(&in, 0, &out));
    assert_int_equal(out.count, 0);
}

static void reports_when_memory_is_gone(void **state) {
    char text[2000] = "";

    for (uint32_t i = 0; i < 500; i++) {
        tide_pack_string(&bytes, text, i);
        tide_pack_string(&bytes, text, sizeof text);
    }
    tide_blocks_push(&in, packed_block(&bytes, 500, 2));
    int failures = 0;
    for (int what = 0; what < 2; what++) {
        for (long skip = 0;; skip++) {
            tide_fault_arm("alloc", skip, 1);
            bool ok = what ? tide_sort_by_key_sample(&in, 300, &out) : tide_sort_by_key(&in, true, &out);
            tide_fault_clear();
            if (ok) break;
            failures++;
            tide_blocks_destroy(&out);
        }
        tide_blocks_destroy(&out);
    }
    assert_true(failures > 10);
}

static void equal_keys_keep_their_order(void **state) {
    static const double keys[] = {1, 0, -0.0, 1, 0, 1};

    for (int i = 0; i < 6; i++) {
        packed_number(&bytes, keys[i], 10);
        tide_pack_number(&bytes, i);
    }
    tide_blocks_push(&in, packed_block(&bytes, 6, 2));
    assert_true(tide_sort_by_key(&in, false, &out));
    packed_expect(&out, "1=0 1=3 1=5 0=1 -0=2 0=4");
    tide_blocks_destroy(&out);
    assert_true(tide_sort_by_key(&in, true, &out));
    packed_expect(&out, "0=1 -0=2 0=4 1=0 1=3 1=5");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(agrees_with_qsort),
        TEST(sorts_values_of_any_kind),
        TEST(large_integers_keep_their_order),
        TEST(equal_keys_keep_their_order),
        TEST(nothing_makes_nothing),
        TEST(blocks_are_sealed_when_full),
        TEST(samples_evenly),
        TEST(reports_when_memory_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
