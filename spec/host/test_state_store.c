/*
 * state/: what a store promises, one promise a test; with pins that other threads read. The random comparison with a
 * model is in test_state_model.c.
 */
#include <uv.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "packed.h"
#include "state/body.h"
#include "state_rig.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static struct tide_state_store *store;

static int setup(void **state) { return (store = tide_state_store_new(0, TIDE_KEY_GROUPS)) ? 0 : -1; }

static int teardown(void **state) {
    tide_fault_clear();
    tide_state_store_release(store);
    return tide_block_live() == 0 ? 0 : -1;
}

/* ---- Many keys ------------------------------------------------------------------------------------------------ */

static struct tide_buffer many_bytes;

/* Changes of keys "n0", "n1", … as numbers. */
static struct tide_state_change *many(uint32_t count, double number, double stamp) {
    struct tide_state_change *changes = tide_xcalloc(count, sizeof *changes);

    tide_buffer_create(&many_bytes);
    for (uint32_t i = 0; i < count; i++) {
        size_t from = many_bytes.size;

        tide_pack_number(&many_bytes, 1000000.0 + i);
        changes[i] = (struct tide_state_change){.number = number, .stamp = stamp};
        changes[i].key_size = (uint32_t)(many_bytes.size - from);
    }
    for (uint32_t i = 0, at = 0; i < count; at += changes[i++].key_size) changes[i].key = many_bytes.data + at;
    return changes;
}

static void free_many(struct tide_state_change *changes) {
    tide_free(changes);
    tide_buffer_destroy(&many_bytes);
}

static void commit_many(uint32_t count, double number, double stamp) {
    struct tide_state_change *changes = many(count, number, stamp);

    tide_state_store_begin(store, stamp);
    assert_true(tide_state_store_apply(store, changes, count));
    tide_state_store_commit(store);
    free_many(changes);
}

static double sum_of(const struct tide_blocks *records, uint64_t *rows) {
    double sum = 0;

    *rows = 0;
    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++, (*rows)++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            struct tide_value stamp = tide_unpack_value(value + 1, end);

            sum += tide_unpack_value(stamp.next, end).number;
            at = tide_unpack_skip(value, end);
        }
    }
    return sum;
}

static double sum_of_pin(const struct tide_state_pin *pin, uint64_t *rows) {
    struct tide_blocks records;
    double sum;

    tide_blocks_create(&records);
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++)
        if (!tide_state_pin_read(pin, g, &records)) abort();
    sum = sum_of(&records, rows);
    tide_blocks_destroy(&records);
    return sum;
}

/* ---- Conformance: the cases of kind `statemap` --------------------------------------------------------------- */

static struct tide_state_store *on;

static void put(uint32_t key, double number, double stamp) {
    tide_state_store_begin(on, stamp);
    assert_true(rig_put_number(on, key, number, stamp));
    tide_state_store_commit(on);
}

static void take(uint32_t key) {
    tide_state_store_begin(on, 0);
    assert_true(rig_take(on, key));
    tide_state_store_commit(on);
}

static void expect_absent(uint32_t key) { assert_int_equal(rig_find(on, key).kind, TIDE_STATE_ABSENT); }

static void expect_number(uint32_t key, double number) {
    struct tide_state_found found = rig_find(on, key);

    assert_int_equal(found.kind, TIDE_STATE_NUMBER);
    assert_true(found.number == number);
}

struct fact {
    uint32_t key;
    double number, stamp;
};

/* An array, which ends with a fact that does not count, and its length. */
#define FACTS(...)                                                                                                   \
    (const struct fact[]){__VA_ARGS__}, sizeof((const struct fact[]){__VA_ARGS__}) / sizeof(struct fact)

static void expect_model(const struct rig_model *model, const struct fact *wanted, size_t count) {
    struct rig_model expected = {.rows = 0};

    for (size_t i = 0; i + 1 < count; i++) {
        uint8_t packed[TIDE_PACKED_NUMBER_MAX];

        rig_put(&expected, wanted[i].key, packed, (uint32_t)tide_pack_number_at(packed, wanted[i].number),
                wanted[i].stamp);
    }
    rig_compare(&expected, model, "facts");
    rig_clear(&expected);
}

static void expect_all(const struct fact *wanted, size_t count) {
    struct rig_model model = {.rows = 0};

    rig_read_store(&model, on);
    expect_model(&model, wanted, count);
    rig_clear(&model);
}

static void expect_pinned(const struct tide_state_pin *pin, const struct fact *wanted, size_t count) {
    struct rig_model model = {.rows = 0};

    rig_read_pin(&model, pin);
    expect_model(&model, wanted, count);
    rig_clear(&model);
}

/* getByTime: what is older is what would time out; looked at and rolled back. */
static void expect_older(double limit, uint64_t rows) {
    struct tide_blocks due;

    tide_blocks_create(&due);
    tide_state_store_begin(on, 0);
    assert_true(tide_state_store_expire(on, limit, &due));
    assert_int_equal(tide_blocks_records(&due), rows);
    tide_state_store_rollback(on);
    tide_blocks_destroy(&due);
}

/* statemapsuite-emptystatemap. A store is never the empty map that can't be put to: `put` is an error there only
 * because Spark shares one such object. */
static void an_empty_store(void **state) {
    struct tide_state_pin *copy;

    on = store;
    expect_absent(1);
    expect_older(10000, 0);
    expect_all(FACTS({0}));
    take(1);
    copy = tide_state_store_pin(store);
    expect_pinned(copy, FACTS({0}));
    tide_state_pin_release(copy);
}

/* statemapsuite-put-get-getbytime-getall-remove-with-copy: parent and map are a pinned version and the versions after
 * it, map and child likewise. */
static void versions_stay_as_they_were(void **state) {
    struct tide_state_pin *parent, *map;

    on = store;
    put(1, 100, 1);
    put(2, 200, 2);
    take(1);
    parent = tide_state_store_pin(store);
    expect_absent(1);
    expect_number(2, 200);
    expect_older(10, 1);
    expect_older(2, 0);
    expect_all(FACTS({2, 200, 2}, {0}));
    put(3, 300, 3);
    expect_number(3, 300);
    put(4, 400, 4);
    expect_number(4, 400);
    expect_older(10, 3);
    expect_older(4, 2);
    expect_all(FACTS({2, 200, 2}, {3, 300, 3}, {4, 400, 4}, {0}));
    expect_pinned(parent, FACTS({2, 200, 2}, {0}));
    take(4);
    expect_absent(4);
    take(2);
    expect_absent(2);
    expect_all(FACTS({3, 300, 3}, {0}));
    expect_pinned(parent, FACTS({2, 200, 2}, {0}));
    put(1, 1000, 100);
    put(2, 2000, 200);
    put(3, 3000, 300);
    put(4, 4000, 400);
    expect_number(3, 3000);
    expect_all(FACTS({1, 1000, 100}, {2, 2000, 200}, {3, 3000, 300}, {4, 4000, 400}, {0}));
    expect_pinned(parent, FACTS({2, 200, 2}, {0}));
    take(2);
    map = tide_state_store_pin(store);
    expect_all(FACTS({1, 1000, 100}, {3, 3000, 300}, {4, 4000, 400}, {0}));
    expect_number(1, 1000);
    expect_absent(2);
    expect_number(3, 3000);
    put(2, 20000, 200);
    expect_number(2, 20000);
    expect_pinned(map, FACTS({1, 1000, 100}, {3, 3000, 300}, {4, 4000, 400}, {0}));
    expect_pinned(parent, FACTS({2, 200, 2}, {0}));
    tide_state_pin_release(parent);
    tide_state_pin_release(map);
}

/* statemapsuite-all-possible-sequences-of-operations-with-copies: key id encodes three times three operations, a put
 * for a set bit; a copy after each three. */
static void all_sequences_of_operations_with_copies(void **state) {
    enum { OPS = 9, SET = 3, KEYS = 1 << OPS };
    struct rig_model *now = tide_xcalloc(1, sizeof *now), *kept = tide_xcalloc(1, sizeof *kept);
    struct rig_model *found = tide_xcalloc(1, sizeof *found);
    struct tide_state_pin *copy = NULL;
    double time = 0;

    on = store;
    for (int op = 0; op < OPS; op++) {
        tide_state_store_begin(store, time);
        for (uint32_t key = 0; key < KEYS; key++, time++) {
            uint8_t packed[TIDE_PACKED_NUMBER_MAX];

            if (key >> (OPS - 1 - op) & 1) {
                rig_put(now, key, packed, (uint32_t)tide_pack_number_at(packed, time), time);
                assert_true(rig_put_number(store, key, time, time));
            } else {
                rig_remove(now, key);
                assert_true(rig_take(store, key));
            }
        }
        tide_state_store_commit(store);
        rig_read_store(found, store);
        rig_compare(now, found, "the map");
        if (copy) {
            rig_read_pin(found, copy);
            rig_compare(kept, found, "the snapshot before");
        }
        for (int limit = 0; limit <= (int)time + 1; limit += 97) {
            uint64_t older = 0;

            for (uint32_t key = 0; key < KEYS; key++) older += now->values[key] && now->stamps[key] < limit;
            expect_older(limit, older);
        }
        if (op % SET < SET - 1) continue;
        tide_state_pin_release(copy);
        assert_non_null(copy = tide_state_store_pin(store));
        rig_copy(kept, now);
    }
    tide_state_pin_release(copy);
    rig_clear(now);
    rig_clear(kept);
    rig_clear(found);
    tide_free(now);
    tide_free(kept);
    tide_free(found);
}

/* ---- Growth --------------------------------------------------------------------------------------------------- */

static void grows_within_one_batch(void **state) {
    enum { KEYS = 200000 };
    uint32_t largest = 0;

    commit_many(KEYS, 1, 5);
    assert_true(tide_state_store_rows(store) == KEYS);
    assert_true(tide_state_store_version(store) == 5);
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++)
        for (uint32_t b = 0; b < store->group[g]->count; b++) {
            const struct tide_page *page = *tide_buckets_page(store->group[g], b);

            if (page && page->rows > largest) largest = page->rows;
        }
    assert_in_range(largest, 16, 80);
}

static void memory_follows_the_data(void **state) {
    enum { KEYS = 200000 };
    double full;
    struct tide_state_change *changes;

    commit_many(KEYS, 1, 1);
    for (int i = 2; i < 12; i++) commit_many(KEYS / 100, 1, i);
    full = tide_state_store_bytes(store);
    assert_true(full / KEYS < 64);
    changes = many(KEYS, 0, 0);
    for (uint32_t i = 0; i < KEYS; i++) changes[i].kind = TIDE_STATE_REMOVE;
    for (uint32_t at = 0; at < KEYS * 9 / 10; at += KEYS / 100) {
        tide_state_store_begin(store, 20);
        assert_true(tide_state_store_apply(store, changes + at, KEYS / 100));
        tide_state_store_commit(store);
    }
    free_many(changes);
    for (int i = 0; i < 20; i++) commit_many(1, 1, 30 + i);
    assert_true(tide_state_store_bytes(store) < full / 5);
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

static void values_may_be_large(void **state) {
    enum { SIZE = 50 << 20 };
    char *text = tide_xmalloc(SIZE);
    struct tide_buffer value;
    struct tide_state_change change = {.key = (const uint8_t *)"\xa1k", .key_size = 2, .stamp = 1};
    struct tide_state_found found;
    struct tide_state_pin *pin;

    memset(text, 'x', SIZE);
    tide_buffer_create(&value);
    tide_pack_string(&value, text, SIZE);
    tide_free(text);
    change.value = value.data;
    change.value_size = (uint32_t)value.size;
    tide_state_store_begin(store, 1);
    assert_true(tide_state_store_apply(store, &change, 1));
    tide_state_store_commit(store);
    tide_state_store_find(store, &change, 1, &found);
    assert_int_equal(found.kind, TIDE_STATE_PACKED);
    assert_int_equal(found.value_size, value.size);
    assert_memory_equal(found.value, value.data, value.size);
    pin = tide_state_store_pin(store);
    change.kind = TIDE_STATE_REMOVE;
    tide_state_store_begin(store, 2);
    assert_true(tide_state_store_apply(store, &change, 1));
    tide_state_store_rollback(store);
    tide_state_store_find(store, &change, 1, &found);
    assert_memory_equal(found.value, value.data, value.size);
    tide_state_store_begin(store, 2);
    assert_true(tide_state_store_apply(store, &change, 1));
    tide_state_store_commit(store);
    assert_true(tide_state_store_bytes(store) > SIZE);
    tide_state_pin_release(pin);
    tide_state_store_begin(store, 3);
    tide_state_store_commit(store);
    assert_true(tide_state_store_bytes(store) < 1 << 20);
    tide_buffer_destroy(&value);
}

static void numbers_come_back_as_they_were(void **state) {
    static const double NUMBERS[] = {0, -1, 127, 128, 255, 65536, 2147483648.0, 9007199254740992.0, 0.1, -1e300};

    on = store;
    for (uint32_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) put(i + 1, NUMBERS[i], 281474976710655.0);
    for (uint32_t i = 0; i < sizeof NUMBERS / sizeof *NUMBERS; i++) {
        assert_true(rig_find(store, i + 1).stamp == 281474976710655.0);
        if ((i + 1) % 8 != 2) expect_number(i + 1, NUMBERS[i]); /* those of large keys are packed */
    }
}

/* ---- Loading -------------------------------------------------------------------------------------------------- */

static void the_last_record_of_a_key_counts(void **state) {
    enum { TIMES = 100000 };
    struct tide_blocks records;
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    for (uint32_t i = 0; i < TIMES; i++) {
        tide_pack_text(&bytes, i % 2 ? "b" : "a");
        tide_pack_number(&bytes, i);
    }
    tide_blocks_create(&records);
    tide_blocks_push(&records, packed_block(&bytes, TIMES, 2));
    tide_buffer_destroy(&bytes);
    assert_int_equal(tide_state_store_load(store, &records, 7, NULL), TIDE_OK);
    assert_true(tide_state_store_rows(store) == 2);
    tide_blocks_destroy(&records);
    packed_read(&records, "a=1 b=2 c=3 a=4");
    assert_int_equal(tide_state_store_load(store, &records, 8, NULL), TIDE_OK);
    tide_blocks_destroy(&records);
    tide_blocks_create(&records);
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++) assert_true(tide_state_store_read(store, g, &records));
    assert_int_equal(tide_blocks_records(&records), 3);
    tide_blocks_destroy(&records);
}

static void damaged_records_change_nothing(void **state) {
    struct tide_blocks records;
    struct tide_error err = {0};

    on = store;
    put(1, 10, 1);
    packed_read(&records, "a=1");
    assert_int_equal(tide_state_store_load(store, &records, -1, &err), TIDE_EINVAL);
    assert_non_null(strstr(err.text, "damaged"));
    tide_error_clear(&err);
    tide_blocks_destroy(&records);
    packed_states(&records, "a=5,1 b=-1,2");
    assert_int_equal(tide_state_store_load(store, &records, -1, &err), TIDE_EINVAL);
    tide_error_clear(&err);
    tide_blocks_destroy(&records);
    expect_all(FACTS({1, 10, 1}, {0}));
}

static void key_groups_can_move(void **state) {
    struct tide_state_store *other = tide_state_store_new(64, 64);
    struct tide_blocks records;

    commit_many(5000, 2, 1);
    tide_blocks_create(&records);
    for (uint32_t g = 64; g < 128; g++) assert_true(tide_state_store_read(store, g, &records));
    assert_int_equal(tide_state_store_load(other, &records, -1, NULL), TIDE_OK);
    tide_state_store_drop(store, 64, 64);
    assert_true(tide_state_store_rows(store) + tide_state_store_rows(other) == 5000);
    assert_true(tide_state_store_rows(store) > 2000 && tide_state_store_rows(other) > 2000);
    rig_check_structure(store);
    tide_blocks_destroy(&records);
    tide_state_store_release(other);
}

/* ---- Without memory ------------------------------------------------------------------------------------------- */

static void a_batch_without_memory_is_rolled_back(void **state) {
    uint32_t failed = 0;
    struct tide_state_pin *pin = NULL;

    commit_many(2000, 1, 1);
    for (long skip = 0; skip < 20; skip++) {
        struct tide_state_change *changes = many(6000, 2, 2);
        uint64_t rows;
        bool done;

        if (!pin) assert_non_null(pin = tide_state_store_pin(store));
        tide_state_store_begin(store, 2);
        tide_fault_arm("alloc", skip, -1);
        done = tide_state_store_apply(store, changes, 6000);
        tide_state_store_rollback(store);
        tide_fault_clear();
        failed += !done;
        assert_true(tide_state_store_rows(store) == 2000);
        assert_true(tide_state_store_version(store) == 1);
        assert_true(sum_of_pin(pin, &rows) == 2000);
        rig_check_structure(store);
        free_many(changes);
        if (skip % 7 != 0) continue;
        tide_state_pin_release(pin);
        pin = NULL;
    }
    tide_state_pin_release(pin);
    assert_true(failed > 1);
    tide_fault_arm("alloc", 0, -1);
    assert_null(tide_state_store_pin(store));
    assert_null(tide_state_store_new(0, 1));
}

/* ---- Threads -------------------------------------------------------------------------------------------------- */

struct reader {
    uv_thread_t thread;
    struct tide_state_pin *pin;
    double sum, rows;
    bool wrong;
};

static void read_again_and_again(void *arg) {
    struct reader *reader = arg;

    for (int i = 0; i < 5; i++) {
        uint64_t rows;
        double sum = sum_of_pin(reader->pin, &rows);

        if (sum != reader->sum || (double)rows != reader->rows) reader->wrong = true;
    }
    tide_state_pin_release(reader->pin);
}

/* Batch t makes every key of a growing set t, and removes some: each pinned version has one sum. */
static void pins_are_read_beside_the_owner(void **state) {
    enum { BATCHES = 24, STEP = 700, READERS = 3 };
    struct reader readers[READERS] = {{.pin = NULL}};
    double sum = 0, rows = 0;

    for (int t = 1; t <= BATCHES; t++) {
        struct reader *reader = &readers[t % READERS];
        struct tide_state_change *changes = many((uint32_t)t * STEP, t, t);
        uint32_t removed = t % 2 ? STEP : 0;

        for (uint32_t i = 0; i < removed; i++) changes[i].kind = TIDE_STATE_REMOVE;
        if (reader->pin) assert_int_equal(uv_thread_join(&reader->thread), 0);
        assert_false(reader->wrong);
        *reader = (struct reader){.pin = tide_state_store_pin(store), .sum = sum, .rows = rows};
        assert_non_null(reader->pin);
        assert_int_equal(uv_thread_create(&reader->thread, read_again_and_again, reader), 0);
        tide_state_store_begin(store, t);
        assert_true(tide_state_store_apply(store, changes, (uint32_t)t * STEP));
        if (t % 5 == 0) {
            tide_state_store_rollback(store);
            tide_state_store_begin(store, t);
            assert_true(tide_state_store_apply(store, changes, (uint32_t)t * STEP));
        }
        tide_state_store_commit(store);
        rows = (double)t * STEP - removed;
        sum = rows * t;
        free_many(changes);
    }
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(uv_thread_join(&readers[i].thread), 0);
        assert_false(readers[i].wrong);
    }
    assert_true(tide_state_store_rows(store) == rows);
    rig_check_structure(store);
    tide_state_store_begin(store, BATCHES + 1);
    tide_state_store_commit(store);
    assert_int_equal(store->npins, 0);
    assert_int_equal(store->olds.live, 0);
}

static void a_pin_may_outlive_its_store(void **state) {
    struct tide_state_pin *pin;
    uint64_t rows;

    commit_many(100, 3, 1);
    pin = tide_state_pin_retain(tide_state_store_pin(store));
    tide_state_pin_release(pin);
    tide_state_store_release(store);
    store = NULL;
    assert_true(sum_of_pin(pin, &rows) == 300);
    assert_true(tide_state_pin_version(pin) == 1 && tide_state_pin_rows(pin) == 100);
    tide_state_pin_release(pin);
}

/* ---- From task to task ---------------------------------------------------------------------------------------- */

static void expect_version(struct tide_state_store *got, double number) {
    on = got;
    expect_number(3, number);
}

static void a_version_is_continued_by_one_at_a_time(void **state) {
    struct tide_state_pin *pin;
    struct tide_state_store *first, *second, *third;

    on = store;
    put(3, 1, 1);
    pin = tide_state_store_pin(store);
    second = tide_handover_begin(pin);
    assert_ptr_not_equal(second, store); /* this test still has it */
    expect_version(second, 1);
    tide_handover_end(second);
    tide_handover_end(store);
    store = NULL;
    first = tide_handover_begin(pin);
    assert_true(tide_state_store_version(first) == 1);
    tide_state_store_begin(first, 2);
    assert_true(rig_put_number(first, 3, 2, 2));
    second = tide_handover_begin(pin);
    assert_ptr_not_equal(first, second);
    tide_state_store_rollback(first);
    tide_handover_end(first);
    third = tide_handover_begin(pin);
    assert_ptr_equal(first, third);
    expect_version(second, 1);
    expect_version(third, 1);
    on = third;
    put(3, 5, 2);
    tide_handover_end(third);
    third = tide_handover_begin(pin); /* changed since: the batch runs again */
    assert_ptr_not_equal(first, third);
    expect_version(third, 1);
    assert_true(tide_state_store_version(third) == 1);
    tide_handover_end(second);
    tide_handover_end(third);
    tide_state_pin_release(pin);
}

static void a_version_lives_as_long_as_its_block(void **state) {
    struct tide_blocks blocks, others;
    struct tide_state_store *next;

    on = store;
    put(3, 1, 1);
    tide_blocks_create(&blocks);
    tide_blocks_create(&others);
    assert_null(tide_handover_pin(&blocks));
    assert_true(tide_handover_pack(tide_state_store_pin(store), &blocks));
    tide_handover_end(store);
    store = NULL;
    tide_blocks_append(&others, &blocks);
    tide_blocks_destroy(&blocks);
    next = tide_handover_begin(tide_handover_pin(&others));
    expect_version(next, 1);
    put(3, 2, 2);
    tide_blocks_create(&blocks);
    assert_true(tide_state_pin_values(tide_handover_pin(&others), &blocks));
    assert_int_equal(tide_blocks_records(&blocks), 1);
    tide_blocks_destroy(&blocks);
    tide_blocks_destroy(&others);
    tide_state_store_begin(next, 3);
    tide_state_store_commit(next);
    assert_int_equal(next->npins, 0);
    tide_handover_end(next);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_empty_store, setup, teardown),
        cmocka_unit_test_setup_teardown(versions_stay_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(all_sequences_of_operations_with_copies, setup, teardown),
        cmocka_unit_test_setup_teardown(grows_within_one_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_follows_the_data, setup, teardown),
        cmocka_unit_test_setup_teardown(values_may_be_large, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_come_back_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_record_of_a_key_counts, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_records_change_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(key_groups_can_move, setup, teardown),
        cmocka_unit_test_setup_teardown(a_batch_without_memory_is_rolled_back, setup, teardown),
        cmocka_unit_test_setup_teardown(pins_are_read_beside_the_owner, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pin_may_outlive_its_store, setup, teardown),
        cmocka_unit_test_setup_teardown(a_version_is_continued_by_one_at_a_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_version_lives_as_long_as_its_block, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
