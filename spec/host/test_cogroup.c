/*
 * kernel/cogroup: records of several sides that meet by key. Results are checked as text, and on random records
 * against a plain model that works on arrays of numbers.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "kernel/cogroup.h"
#include "packed.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

/* ---- Records ------------------------------------------------------------------------------------------------ */

static void push_bytes(struct tide_blocks *list, int arity, uint32_t count, struct tide_buffer *bytes) {
    tide_blocks_push(list, packed_block(bytes, count, arity));
    tide_buffer_destroy(bytes);
}

static void assert_blocks(struct tide_blocks *list, const char *expected) {
    packed_expect(list, expected);
    tide_blocks_destroy(list);
}

/* All that a cogroup of these sides makes. false: no memory. */
static bool run(int mode, const struct tide_blocks *const *sides, uint32_t count, struct tide_blocks *out) {
    struct tide_cogroup *group = tide_cogroup_new(sides, count, mode);
    struct tide_block *block = NULL;
    bool ok;

    tide_blocks_create(out);
    if (!group) return false;
    while ((ok = tide_cogroup_next(group, &block)) && block) tide_blocks_push(out, block);
    assert_null(block);
    if (ok) assert_true(tide_cogroup_next(group, &block) && !block);
    tide_cogroup_delete(group);
    return ok;
}

static void assert_meeting(int mode, const char *left, const char *right, const char *expected) {
    struct tide_blocks a, b, out;
    const struct tide_blocks *sides[2] = {&a, &b};

    packed_read(&a, left);
    packed_read(&b, right);
    assert_true(run(mode, sides, 2, &out));
    assert_blocks(&out, expected);
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
}

/* ---- By key ------------------------------------------------------------------------------------------------- */

#define LEFT "a=1 b=2|a=3 c=4"
#define RIGHT "d=40 a=10|b=20 b=21"

static void cogroup_lists_the_values_of_each_side(void **state) {
    assert_meeting(TIDE_COGROUP, LEFT, RIGHT, "a=[[1, 3], [10]] b=[[2], [20, 21]] c=[[4], []] d=[[], [40]]");
    assert_meeting(TIDE_COGROUP, LEFT, "", "a=[[1, 3], []] b=[[2], []] c=[[4], []]");
    assert_meeting(TIDE_COGROUP, "", "", "");
}

static void cogroup_takes_any_number_of_sides(void **state) {
    struct tide_blocks a, b, c, out;
    const struct tide_blocks *sides[3] = {&a, &b, &c};

    packed_read(&a, "x=1");
    packed_read(&b, "");
    packed_read(&c, "y=2 x=3");
    assert_true(run(TIDE_COGROUP, sides, 3, &out));
    assert_blocks(&out, "x=[[1], [], [3]] y=[[], [], [2]]");
    assert_true(run(TIDE_COGROUP, sides, 1, &out));
    assert_blocks(&out, "x=[[1]]");
    assert_true(run(TIDE_COGROUP_INTERSECT, sides, 3, &out));
    assert_blocks(&out, "");
    sides[1] = &c;
    assert_true(run(TIDE_COGROUP_INTERSECT, sides, 3, &out));
    assert_blocks(&out, "x=1");
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
    tide_blocks_destroy(&c);
}

static void joins_combine_all_values(void **state) {
    assert_meeting(TIDE_COGROUP_JOIN, LEFT, RIGHT, "a=[1, 10] a=[3, 10] b=[2, 20] b=[2, 21]");
    assert_meeting(TIDE_COGROUP_JOIN, "k=1 k=2", "k=8 k=9", "k=[1, 8] k=[1, 9] k=[2, 8] k=[2, 9]");
    assert_meeting(TIDE_COGROUP_JOIN, LEFT, "", "");
    assert_meeting(TIDE_COGROUP_JOIN, "", RIGHT, "");
}

static void outer_joins_keep_what_meets_nothing(void **state) {
    assert_meeting(TIDE_COGROUP_LEFT_OUTER, LEFT, RIGHT, "a=[1, 10] a=[3, 10] b=[2, 20] b=[2, 21] c=[4]");
    assert_meeting(TIDE_COGROUP_RIGHT_OUTER, LEFT, RIGHT, "a=[1, 10] a=[3, 10] b=[2, 20] b=[2, 21] d=[nil, 40]");
    assert_meeting(TIDE_COGROUP_FULL_OUTER, LEFT, RIGHT, "a=[1, 10] a=[3, 10] b=[2, 20] b=[2, 21] c=[4] d=[nil, 40]");
    assert_meeting(TIDE_COGROUP_LEFT_OUTER, "k=1 k=2", "", "k=[1] k=[2]");
    assert_meeting(TIDE_COGROUP_RIGHT_OUTER, "", "k=1 k=2", "k=[nil, 1] k=[nil, 2]");
    assert_meeting(TIDE_COGROUP_FULL_OUTER, "", "", "");
}

static void subtract_keeps_records_of_other_keys(void **state) {
    assert_meeting(TIDE_COGROUP_SUBTRACT, "a=1 b=2|a=3 c=4 a=1", "b=9", "a=1 a=3 a=1 c=4");
    assert_meeting(TIDE_COGROUP_SUBTRACT, LEFT, "", "a=1 a=3 b=2 c=4");
    assert_meeting(TIDE_COGROUP_SUBTRACT, "", RIGHT, "");
}

static void intersect_keeps_each_common_key_once(void **state) {
    assert_meeting(TIDE_COGROUP_INTERSECT, LEFT, RIGHT, "a=1 b=2");
    assert_meeting(TIDE_COGROUP_INTERSECT, LEFT, "", "");
}

/* The same number in another form is the same key. */
static void keys_meet_whatever_their_form(void **state) {
    struct tide_blocks a, b, out;
    const struct tide_blocks *sides[2] = {&a, &b};
    struct tide_buffer bytes;
    static const uint8_t float_seven[] = {0xcb, 0x40, 0x1c, 0, 0, 0, 0, 0, 0, 0x01};

    tide_blocks_create(&a);
    tide_blocks_create(&b);
    tide_buffer_create(&bytes);
    tide_pack_number(&bytes, 7);
    tide_pack_number(&bytes, 0);
    push_bytes(&a, 2, 1, &bytes);
    tide_buffer_create(&bytes);
    tide_buffer_append(&bytes, float_seven, sizeof float_seven);
    push_bytes(&b, 2, 1, &bytes);
    assert_true(run(TIDE_COGROUP_JOIN, sides, 2, &out));
    assert_blocks(&out, "7=[0, 1]");
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
}

/* A join that multiplies comes in many blocks of bounded size. */
static void large_results_come_block_by_block(void **state) {
    enum { MANY = 700 };
    struct tide_blocks side;
    const struct tide_blocks *sides[2] = {&side, &side};
    struct tide_buffer bytes;
    struct tide_block *block;
    uint64_t records = 0;
    uint32_t blocks = 0;

    tide_blocks_create(&side);
    tide_buffer_create(&bytes);
    for (int i = 0; i < MANY; i++) {
        tide_pack_text(&bytes, "key");
        tide_pack_number(&bytes, i);
    }
    push_bytes(&side, 2, MANY, &bytes);

    struct tide_cogroup *group = tide_cogroup_new(sides, 2, TIDE_COGROUP_JOIN);

    while (tide_cogroup_next(group, &block) && block) {
        assert_true(block->size < TIDE_BLOCK_TARGET + 64);
        records += block->count;
        blocks++;
        tide_block_release(block);
    }
    assert_int_equal(records, MANY * MANY);
    assert_true(blocks > 10);
    tide_cogroup_delete(group);
    tide_blocks_destroy(&side);
}

/* ---- Against a model ---------------------------------------------------------------------------------------- */

enum { MOST = 40 };

struct model {
    int keys[MOST], values[MOST];
    int count;
};

static void random_side(struct model *side, struct tide_blocks *list) {
    struct tide_buffer bytes;
    uint32_t count = 0;

    side->count = rand() % MOST;
    tide_blocks_create(list);
    tide_buffer_create(&bytes);
    for (int i = 0; i < side->count; i++) {
        side->keys[i] = rand() % 12;
        side->values[i] = rand() % 1000;
        tide_pack_number(&bytes, side->keys[i]);
        tide_pack_number(&bytes, side->values[i]);
        count++;
        if (rand() % 6 == 0) {
            push_bytes(list, 2, count, &bytes);
            tide_buffer_create(&bytes);
            count = 0;
        }
    }
    push_bytes(list, 2, count, &bytes); /* may be an empty block */
}

static bool has(const struct model *side, int key) {
    for (int i = 0; i < side->count; i++)
        if (side->keys[i] == key) return true;
    return false;
}

static void model_list(const struct model *side, int key, struct tide_buffer *out) {
    bool first = true;

    tide_buffer_format(out, "[");
    for (int i = 0; i < side->count; i++) {
        if (side->keys[i] != key) continue;
        tide_buffer_format(out, first ? "%d" : ", %d", side->values[i]);
        first = false;
    }
    tide_buffer_format(out, "]");
}

static void model_key(int mode, const struct model *a, const struct model *b, int key, struct tide_buffer *out) {
    const char *gap = out->size > 0 ? " " : "";
    bool left = has(a, key), right = has(b, key);

    if (mode == TIDE_COGROUP) {
        tide_buffer_format(out, "%s%d=[", gap, key);
        model_list(a, key, out);
        tide_buffer_format(out, ", ");
        model_list(b, key, out);
        tide_buffer_format(out, "]");
        return;
    }
    if (mode == TIDE_COGROUP_INTERSECT && left && right) {
        for (int i = 0; i < a->count; i++) {
            if (a->keys[i] != key) continue;
            tide_buffer_format(out, "%s%d=%d", gap, key, a->values[i]);
            return;
        }
    }
    for (int i = 0; i < a->count && mode != TIDE_COGROUP_INTERSECT; i++) {
        if (a->keys[i] != key) continue;
        if (mode == TIDE_COGROUP_SUBTRACT && !right)
            tide_buffer_format(out, "%s%d=%d", out->size > 0 ? " " : "", key, a->values[i]);
        else if (!right && (mode == TIDE_COGROUP_LEFT_OUTER || mode == TIDE_COGROUP_FULL_OUTER))
            tide_buffer_format(out, "%s%d=[%d]", out->size > 0 ? " " : "", key, a->values[i]);
        for (int j = 0; j < b->count && mode != TIDE_COGROUP_SUBTRACT; j++)
            if (b->keys[j] == key)
                tide_buffer_format(out, "%s%d=[%d, %d]", out->size > 0 ? " " : "", key, a->values[i], b->values[j]);
    }
    if (left || (mode != TIDE_COGROUP_RIGHT_OUTER && mode != TIDE_COGROUP_FULL_OUTER)) return;
    for (int j = 0; j < b->count; j++)
        if (b->keys[j] == key) tide_buffer_format(out, "%s%d=[nil, %d]", out->size > 0 ? " " : "", key, b->values[j]);
}

static void model_run(int mode, const struct model *a, const struct model *b, struct tide_buffer *out) {
    bool seen[12] = {false};

    for (int i = 0; i < a->count; i++) {
        if (!seen[a->keys[i]]) model_key(mode, a, b, a->keys[i], out);
        seen[a->keys[i]] = true;
    }
    for (int i = 0; i < b->count; i++) {
        if (!seen[b->keys[i]]) model_key(mode, a, b, b->keys[i], out);
        seen[b->keys[i]] = true;
    }
    tide_buffer_append(out, "", 1);
}

static void random_sides_meet_as_in_the_model(void **state) {
    srand(20140527);
    for (int round = 0; round < 700; round++) {
        struct model left, right;
        struct tide_blocks a, b, out;
        const struct tide_blocks *sides[2] = {&a, &b};
        struct tide_buffer expected;
        int mode = round % 7;

        random_side(&left, &a);
        random_side(&right, &b);
        tide_buffer_create(&expected);
        model_run(mode, &left, &right, &expected);
        assert_true(run(mode, sides, 2, &out));
        assert_blocks(&out, (char *)expected.data);
        tide_buffer_destroy(&expected);
        tide_blocks_destroy(&a);
        tide_blocks_destroy(&b);
    }
}

/* ---- Without memory ----------------------------------------------------------------------------------------- */

static void running_out_of_memory_is_reported(void **state) {
    struct tide_blocks a, b;
    const struct tide_blocks *sides[2] = {&a, &b};
    bool done = false;

    packed_read(&a, LEFT);
    packed_read(&b, RIGHT);
    for (int nth = 1; !done; nth++) {
        struct tide_blocks out;

        assert_true(nth < 200);
        tide_fault_arm("alloc", nth - 1, 1);

        done = run(TIDE_COGROUP_FULL_OUTER, sides, 2, &out);
        tide_fault_clear();
        tide_blocks_destroy(&out);
    }
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, no_block_lives, no_block_lives)
    const struct CMUnitTest tests[] = {
        CHECKED(cogroup_lists_the_values_of_each_side),
        CHECKED(cogroup_takes_any_number_of_sides),
        CHECKED(joins_combine_all_values),
        CHECKED(outer_joins_keep_what_meets_nothing),
        CHECKED(subtract_keeps_records_of_other_keys),
        CHECKED(intersect_keeps_each_common_key_once),
        CHECKED(keys_meet_whatever_their_form),
        CHECKED(large_results_come_block_by_block),
        CHECKED(random_sides_meet_as_in_the_model),
        CHECKED(running_out_of_memory_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
