/*
 * kernel/scan: spans of one class of bytes, against a plain search.
 */
#include "kernel/scan.h"
#include "random_value.h"
#include "test.h"

static void finds_words(void **state) {
    uint8_t word[256];

    memset(word, 1, sizeof word);
    word[' '] = word['\t'] = 0;
    const char *text = "  one\ttwo  three";
    uint32_t size = (uint32_t)strlen(text);
    struct tide_span run;
    assert_int_equal(tide_scan_run(word, text, size, 0, &run), 1);
    assert_int_equal(run.start, 2);
    assert_int_equal(run.stop, 5);
    assert_int_equal(tide_scan_run(word, text, size, run.stop, &run), 1);
    assert_int_equal(run.start, 6);
    assert_int_equal(run.stop, 9);
    assert_int_equal(tide_scan_run(word, text, size, 7, &run), 1);
    assert_int_equal(run.start, 7);
    assert_int_equal(tide_scan_run(word, text, size, 9, &run), 1);
    assert_int_equal(run.start, 11);
    assert_int_equal(run.stop, size);
    assert_int_equal(tide_scan_run(word, text, size, size, &run), 0);
    assert_int_equal(tide_scan_run(word, "   ", 3, 0, &run), 0);
    assert_int_equal(tide_scan_run(word, "", 0, 0, &run), 0);
}

/* Texts end where their memory ends, for the sanitizer. */
static void agrees_with_a_plain_search(void **state) {
    uint64_t seed = 2;

    for (int round = 0; round < 3000; round++) {
        uint8_t class_of[256];
        uint32_t size = random_below(&seed, 60), density = 1 + random_below(&seed, 8);
        char *text = malloc(size ? size : 1);
        for (int i = 0; i < 256; i++) class_of[i] = random_below(&seed, 8) < density;
        for (uint32_t i = 0; i < size; i++) text[i] = (char)random_below(&seed, 256);
        for (uint32_t from = 0; from <= size; from++) {
            struct tide_span run = {0, 0};
            uint32_t start = from, stop;
            while (start < size && !class_of[(uint8_t)text[start]]) start++;
            for (stop = start; stop < size && class_of[(uint8_t)text[stop]];) stop++;
            assert_int_equal(tide_scan_run(class_of, text, size, from, &run), start < size);
            if (start == size) continue;
            assert_int_equal(run.start, start);
            assert_int_equal(run.stop, stop);
        }
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_words),
        cmocka_unit_test(agrees_with_a_plain_search),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
