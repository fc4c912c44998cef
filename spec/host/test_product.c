/*
 * kernel/product: zip and the Cartesian product of two lists of records.
 */
#include "base/fault.h"
#include "kernel/product.h"
#include "packed.h"
#include "test.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

static void assert_blocks(struct tide_blocks *list, const char *expected) {
    packed_expect(list, expected);
    tide_blocks_destroy(list);
}

static void zip_pairs_records_across_blocks(void **state) {
    struct tide_blocks a, b, out;

    packed_read(&a, "1 2|3");
    packed_read(&b, "x=7|y=8 z=9");
    tide_blocks_create(&out);
    assert_true(tide_product_zip(&a, &b, &out));
    assert_blocks(&out, "1=[x, 7] 2=[y, 8] 3=[z, 9]");
    tide_blocks_create(&out);
    assert_true(tide_product_zip(&b, &a, &out));
    assert_blocks(&out, "[x, 7]=1 [y, 8]=2 [z, 9]=3");
    tide_blocks_destroy(&a);
    tide_blocks_destroy(&b);
    packed_read(&a, "");
    tide_blocks_create(&out);
    assert_true(tide_product_zip(&a, &a, &out));
    assert_blocks(&out, "");
    tide_blocks_destroy(&a);
}

static void products_are_in_the_order_of_the_left(void **state) {
    const char *texts[] = {"1 2|3", "x=7|y=8", ""};

    for (int i = 0; i < 9; i++) {
        struct tide_blocks a, b, out;
        struct tide_block *block = NULL;

        packed_read(&a, texts[i / 3]);
        packed_read(&b, texts[i % 3]);
        tide_blocks_create(&out);

        struct tide_product *product = tide_product_new(&a, &b);

        while (tide_product_next(product, &block) && block) tide_blocks_push(&out, block);
        assert_true(tide_product_next(product, &block) && !block);
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

static void running_out_of_memory_is_reported(void **state) {
    struct tide_blocks a, b;
    bool done = false;

    packed_read(&a, "a=1 b=2|a=3");
    packed_read(&b, "a=1 c=2|b=3");
    for (int nth = 1; !done; nth++) {
        struct tide_blocks out;
        struct tide_block *block = NULL;
        bool ok = true;

        tide_blocks_create(&out);
        assert_true(nth < 200);
        tide_fault_arm("alloc", nth - 1, 1);

        struct tide_product *product = tide_product_new(&a, &b);

        while (product && (ok = tide_product_next(product, &block)) && block) tide_blocks_push(&out, block);
        done = product && ok && tide_product_zip(&a, &b, &out);
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
        CHECKED(zip_pairs_records_across_blocks),
        CHECKED(products_are_in_the_order_of_the_left),
        CHECKED(running_out_of_memory_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
