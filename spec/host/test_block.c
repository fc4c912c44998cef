/*
 * store/block: room and slack, lines, references from threads, lists, exhaustion (budgets: test_budget.c). Every test
 * starts and ends with no live block.
 */
#include <uv.h>

#include "base/fault.h"
#include "store/block.h"
#include "store/budget.h"
#include "test.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 && tide_block_live_bytes() == 0 ? 0 : -1; }

static void slack_is_zero(const struct tide_block *block) {
    for (int i = 0; i < TIDE_BLOCK_SLACK; i++) assert_int_equal(block->data[block->capacity + (size_t)i], 0);
}

static void starts_empty(void **state) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 2, 1000, NULL);

    assert_non_null(block);
    assert_int_equal(block->refs, 1);
    assert_int_equal(block->kind, TIDE_BLOCK_PACKED);
    assert_int_equal(block->arity, 2);
    assert_int_equal(block->count, 0);
    assert_int_equal(block->size, 0);
    assert_true(block->capacity >= 1000);
    assert_null(block->lines);
    assert_null(block->share);
    slack_is_zero(block);
    assert_int_equal(tide_block_live(), 1);
    assert_true(tide_block_live_bytes() >= 1000);
    tide_block_release(block);
    tide_block_release(NULL);
    assert_null(tide_block_retain(NULL));
}

static void grows_and_keeps_slack(void **state) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 0, NULL);

    for (int i = 0; i < 3000; i++) {
        assert_true(tide_block_reserve(block, 7));
        memset(block->data + block->size, 0xff, 7);
        block->data[block->size] = (uint8_t)i;
        block->size += 7;
        slack_is_zero(block);
    }
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(block->data[7 * i], (uint8_t)i);
        assert_int_equal(block->data[7 * i + 6], 0xff);
    }
    uint64_t before = block->capacity;
    assert_true(tide_block_reserve(block, before - block->size + 1));
    assert_true(block->capacity >= 2 * before);
    assert_false(tide_block_reserve(block, SIZE_MAX));
    assert_false(tide_block_reserve(block, SIZE_MAX / 2));
    assert_int_equal(block->size, 21000);
    tide_block_release(block);
    assert_null(tide_block_new(TIDE_BLOCK_PACKED, 1, SIZE_MAX, NULL));
    assert_null(tide_block_new(TIDE_BLOCK_PACKED, 1, SIZE_MAX - TIDE_BLOCK_SLACK, NULL));
}

static void takes_lines(void **state) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_TEXT, 1, 100, NULL);

    for (uint32_t i = 0; i < 5000; i++) assert_true(tide_block_add_line(block, i * 3, i));
    assert_int_equal(block->count, 5000);
    assert_true(block->line_slots >= 5000);
    for (uint32_t i = 0; i < 5000; i++) {
        assert_int_equal(block->lines[i].offset, i * 3);
        assert_int_equal(block->lines[i].length, i);
    }
    assert_true(tide_block_live_bytes() >= 5000 * sizeof(struct tide_line));
    tide_block_release(block);
}

static void reports_that_memory_is_gone(void **state) {
    for (long skip = 0; skip < 2; skip++) {
        tide_fault_arm("alloc", skip, 1);
        assert_null(tide_block_new(TIDE_BLOCK_PACKED, 1, 64, NULL));
        assert_int_equal(tide_block_live(), 0);
    }
    struct tide_budget *budget = tide_budget_new(1000, 0);
    struct tide_share *share = tide_share_new(budget, 1000, NULL, NULL);
    tide_fault_clear();
    struct tide_block *block = tide_block_new(TIDE_BLOCK_TEXT, 1, 4, share);
    memcpy(block->data, "tide", 4);
    block->size = 4;
    uint64_t used = tide_budget_used(budget);
    tide_fault_arm("alloc", 0, -1);
    assert_false(tide_block_reserve(block, 100));
    assert_false(tide_block_add_line(block, 0, 4));
    assert_true(tide_block_reserve(block, 0)); /* room that is there needs no memory */
    assert_null(tide_block_new(TIDE_BLOCK_TEXT, 1, 4, share));
    assert_int_equal(tide_budget_used(budget), used);
    tide_fault_clear();
    assert_int_equal(block->count, 0);
    assert_memory_equal(block->data, "tide", 4);
    assert_true(tide_block_reserve(block, 100));
    assert_true(tide_block_add_line(block, 0, 4));
    assert_memory_equal(block->data, "tide", 4);
    tide_block_release(block);
    assert_int_equal(tide_budget_used(budget), 0);
    tide_share_release(share);
    tide_budget_release(budget);
}

enum { THREADS = 4, TURNS = 20000 };

static void retain_and_release(void *arg) {
    struct tide_block *block = arg;

    for (int i = 0; i < TURNS; i++) {
        tide_block_retain(block);
        if (block->data[0] == 'x') tide_block_release(block);
    }
    tide_block_release(block); /* the reference this thread was given */
}

static void is_shared_by_threads(void **state) {
    uv_thread_t threads[THREADS];
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 100, NULL);

    block->data[0] = 'x';
    block->size = 1;
    for (int i = 0; i < THREADS; i++) uv_thread_create(&threads[i], retain_and_release, tide_block_retain(block));
    tide_block_release(block); /* whoever is last frees it */
    for (int i = 0; i < THREADS; i++) uv_thread_join(&threads[i]);
}

static struct tide_block *block_of(uint32_t count, uint64_t size) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, size, NULL);

    block->count = count;
    block->size = size;
    return block;
}

static void lists_hold_references(void **state) {
    struct tide_blocks a, b, c;

    tide_blocks_create(&a);
    tide_blocks_create(&b);
    tide_blocks_create(&c);
    for (uint32_t i = 1; i <= 10; i++) tide_blocks_push(&a, block_of(i, 10));
    assert_int_equal(a.count, 10);
    assert_int_equal(tide_blocks_records(&a), 55);
    assert_int_equal(tide_blocks_bytes(&a), 100);
    assert_int_equal(tide_blocks_records(&b), 0);

    tide_blocks_append(&b, &a);
    assert_int_equal(b.count, 10);
    assert_ptr_equal(b.items[3], a.items[3]);
    assert_int_equal(a.items[3]->refs, 2);
    tide_blocks_append(&b, &b);
    assert_int_equal(b.count, 20);
    assert_int_equal(a.items[3]->refs, 3);
    assert_ptr_equal(b.items[13], a.items[3]);

    tide_blocks_move(&c, &a); /* into an empty one */
    assert_int_equal(c.count, 10);
    assert_int_equal(a.count, 0);
    tide_blocks_push(&a, block_of(100, 1));
    tide_blocks_move(&c, &a); /* behind others */
    assert_int_equal(c.count, 11);
    assert_int_equal(c.items[10]->count, 100);
    assert_int_equal(a.count, 0);
    tide_blocks_move(&c, &a); /* nothing */
    tide_blocks_move(&c, &c);
    tide_blocks_append(&c, &a);
    assert_int_equal(c.count, 11);
    assert_int_equal(tide_blocks_records(&c), 155);

    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
    assert_int_equal(tide_block_live(), 11);
    assert_int_equal(c.items[3]->refs, 1);
    tide_blocks_destroy(&c);
    assert_int_equal(c.count, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, no_block_lives, no_block_lives)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(starts_empty),         TEST(grows_and_keeps_slack), TEST(takes_lines), TEST(reports_that_memory_is_gone),
        TEST(is_shared_by_threads), TEST(lists_hold_references),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
