/*
 * task/cogroup and task/pairing: records that meet by key or side by side. Results are checked as text, and on random
 * records against a plain model that works on arrays of numbers.
 */
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "kernel/cogroup.h"
#include "kernel/product.h"
#include "rdd_rig.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

/* ---- Records -------------------------------------------------------------------------------------------------- */

static void push_bytes(struct tide_blocks *list, int arity, uint32_t count, struct tide_buffer *bytes) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, arity, bytes->size + 1, NULL);

    if (bytes->size > 0) memcpy(block->data, bytes->data, bytes->size);
    block->size = bytes->size;
    block->count = count;
    tide_blocks_push(list, block);
    tide_buffer_destroy(bytes);
}

/* "a=1 b=2|a=3": pairs of a text and a number, "1 2|3": single numbers; | begins another block. */
static void read_records(struct tide_blocks *list, const char *text) {
    struct tide_buffer bytes;
    uint32_t count = 0;
    int arity = 1;

    tide_blocks_create(list);
    tide_buffer_create(&bytes);
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, " |");
        const char *equals = memchr(at, '=', length);

        if (equals) {
            tide_pack_string(&bytes, at, (size_t)(equals - at));
            arity = 2;
        }
        tide_pack_number(&bytes, atof(equals ? equals + 1 : at));
        count++;
        at += length;
        if (*at == '|') {
            push_bytes(list, arity, count, &bytes);
            tide_buffer_create(&bytes);
            count = 0;
        }
        if (*at != '\0') at++;
    }
    if (count > 0) push_bytes(list, arity, count, &bytes);
    else tide_buffer_destroy(&bytes);
}

static void show_blocks(const struct tide_blocks *list, struct tide_buffer *out) {
    for (uint32_t i = 0; i < list->count; i++) {
        const struct tide_block *block = list->items[i];
        const uint8_t *at = block->data, *end = block->data + block->size;

        assert_int_equal(block->kind, TIDE_BLOCK_PACKED);
        assert_int_equal(block->arity, 2);
        for (uint32_t r = 0; r < block->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);

            if (out->size > 0) tide_buffer_format(out, " ");
            rig_show(at, (size_t)(value - at), out);
            tide_buffer_format(out, "=");
            rig_show(value, (size_t)(next - value), out);
            at = next;
        }
        assert_ptr_equal(at, end);
    }
}

static void assert_blocks(struct tide_blocks *list, const char *expected) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    show_blocks(list, &out);
    tide_buffer_append(&out, "", 1);
    assert_string_equal((char *)out.data, expected);
    tide_buffer_destroy(&out);
    tide_blocks_destroy(list);
}

/* All that a cogroup of these sides makes. */
static int run(int mode, const struct tide_blocks *const *sides, uint32_t count, struct tide_blocks *out) {
    struct tide_cogroup *group = tide_cogroup_new(sides, count, mode);
    struct tide_block *block;
    int more = -1;

    tide_blocks_create(out);
    if (!group) return -1;
    while ((more = tide_cogroup_next(group, &block)) > 0) tide_blocks_push(out, block);
    if (more == 0) assert_int_equal(tide_cogroup_next(group, &block), 0);
    tide_cogroup_delete(group);
    return more;
}

static void assert_meeting(int mode, const char *left, const char *right, const char *expected) {
    struct tide_blocks a, b, out;
    const struct tide_blocks *sides[2] = {&a, &b};

    read_records(&a, left);
    read_records(&b, right);
    assert_int_equal(run(mode, sides, 2, &out), 0);
    assert_blocks(&out, expected);
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
}

/* ---- By key --------------------------------------------------------------------------------------------------- */

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

    read_records(&a, "x=1");
    read_records(&b, "");
    read_records(&c, "y=2 x=3");
    assert_int_equal(run(TIDE_COGROUP, sides, 3, &out), 0);
    assert_blocks(&out, "x=[[1], [], [3]] y=[[], [], [2]]");
    assert_int_equal(run(TIDE_COGROUP, sides, 1, &out), 0);
    assert_blocks(&out, "x=[[1]]");
    assert_int_equal(run(TIDE_COGROUP_INTERSECT, sides, 3, &out), 0);
    assert_blocks(&out, "");
    sides[1] = &c;
    assert_int_equal(run(TIDE_COGROUP_INTERSECT, sides, 3, &out), 0);
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
    assert_int_equal(run(TIDE_COGROUP_JOIN, sides, 2, &out), 0);
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

    while (tide_cogroup_next(group, &block) > 0) {
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

/* ---- Against a model ------------------------------------------------------------------------------------------ */

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
        assert_int_equal(run(mode, sides, 2, &out), 0);
        assert_blocks(&out, (char *)expected.data);
        tide_buffer_destroy(&expected);
        tide_blocks_destroy(&a);
        tide_blocks_destroy(&b);
    }
}

/* ---- Side by side --------------------------------------------------------------------------------------------- */

static void zip_pairs_records_across_blocks(void **state) {
    struct tide_blocks a, b, out;

    read_records(&a, "1 2|3");
    read_records(&b, "x=7|y=8 z=9");
    tide_blocks_create(&out);
    assert_true(tide_product_zip(&a, &b, &out));
    assert_blocks(&out, "1=[x, 7] 2=[y, 8] 3=[z, 9]");
    tide_blocks_create(&out);
    assert_true(tide_product_zip(&b, &a, &out));
    assert_blocks(&out, "[x, 7]=1 [y, 8]=2 [z, 9]=3");
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
    read_records(&a, "");
    tide_blocks_create(&out);
    assert_true(tide_product_zip(&a, &a, &out));
    assert_blocks(&out, "");
    tide_blocks_destroy(&a);
}

static void products_are_in_the_order_of_the_left(void **state) {
    const char *texts[] = {"1 2|3", "x=7|y=8", ""};

    for (int i = 0; i < 9; i++) {
        struct tide_blocks a, b, out;
        struct tide_block *block;

        read_records(&a, texts[i / 3]);
        read_records(&b, texts[i % 3]);
        tide_blocks_create(&out);

        struct tide_product *product = tide_product_new(&a, &b);

        while (tide_product_next(product, &block) > 0) tide_blocks_push(&out, block);
        assert_int_equal(tide_product_next(product, &block), 0);
        tide_product_delete(product);
        if (i == 1) assert_blocks(&out, "1=[x, 7] 1=[y, 8] 2=[x, 7] 2=[y, 8] 3=[x, 7] 3=[y, 8]");
        else if (i == 4) assert_blocks(&out, "[x, 7]=[x, 7] [x, 7]=[y, 8] [y, 8]=[x, 7] [y, 8]=[y, 8]");
        else {
            assert_int_equal(tide_blocks_records(&out), tide_blocks_records(&a) * tide_blocks_records(&b));
            tide_blocks_destroy(&out);
        }
        tide_blocks_destroy(&a);
        tide_blocks_destroy(&b);
    }
}

/* ---- Without memory ------------------------------------------------------------------------------------------- */

static void running_out_of_memory_is_reported(void **state) {
    struct tide_blocks a, b;
    const struct tide_blocks *sides[2] = {&a, &b};
    bool done = false;

    read_records(&a, LEFT);
    read_records(&b, RIGHT);
    for (int nth = 1; !done; nth++) {
        struct tide_blocks out;

        assert_true(nth < 200);
        tide_fault_arm("alloc", nth - 1, 1);

        int result = run(TIDE_COGROUP_FULL_OUTER, sides, 2, &out);

        tide_fault_clear();
        done = result == 0;
        tide_blocks_destroy(&out);
    }
    done = false;
    for (int nth = 1; !done; nth++) {
        struct tide_blocks out;
        struct tide_block *block;
        int more = -1;

        tide_blocks_create(&out);
        assert_true(nth < 200);
        tide_fault_arm("alloc", nth - 1, 1);

        struct tide_product *product = tide_product_new(&a, &b);

        while (product && (more = tide_product_next(product, &block)) > 0) tide_blocks_push(&out, block);
        done = tide_product_zip(&a, &b, &out) && more == 0;
        tide_fault_clear();
        tide_product_delete(product);
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
        CHECKED(zip_pairs_records_across_blocks),
        CHECKED(products_are_in_the_order_of_the_left),
        CHECKED(running_out_of_memory_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
