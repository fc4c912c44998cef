/*
 * base/alloc: no NULL for zero bytes, the bulk family reports exhaustion, the other ends the process with a line.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "capture.h"
#include "test.h"

static void zero_bytes_are_not_exhaustion(void **state) {
    void *blocks[] = {tide_xmalloc(0),   tide_xcalloc(0, 8),        tide_xcalloc(8, 0), tide_xrealloc(NULL, 0),
                      tide_alloc_try(0), tide_realloc_try(NULL, 0), tide_xmemdup("", 0)};

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        assert_non_null(blocks[i]);
        tide_free(blocks[i]);
    }
    tide_free(NULL);
}

static void copies_and_zeroes(void **state) {
    char *text = tide_xstrdup("tide");

    assert_string_equal(text, "tide");
    text = tide_xrealloc(text, 100);
    assert_string_equal(text, "tide");
    tide_free(text);
    uint8_t *bytes = tide_xmemdup("a\0b", 3);
    assert_memory_equal(bytes, "a\0b", 3);
    tide_free(bytes);
    uint64_t *zeroes = tide_xcalloc(16, sizeof *zeroes);
    for (int i = 0; i < 16; i++) assert_int_equal(zeroes[i], 0);
    tide_free(zeroes);
}

static void bulk_memory_fails_when_told(void **state) {
    tide_fault_arm("alloc", 1, 2);
    void *first = tide_alloc_try(10);
    assert_non_null(first);
    assert_null(tide_alloc_try(10));
    assert_null(tide_realloc_try(first, 20));
    void *moved = tide_realloc_try(first, 20); /* the failed one left the memory as it was */
    assert_non_null(moved);
    tide_free(moved);
    tide_fault_arm("alloc", 0, -1);
    void *control = tide_xmalloc(10); /* control structures are not subject to the fault */
    assert_non_null(control);
    tide_free(control);
    tide_fault_clear();
}

static void control_memory_aborts_with_a_line(void **state) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* the sanitizer's own allocator ends the process first */
#else
    volatile size_t size = SIZE_MAX / 4;
    capture_start();
    pid_t child = fork();
    if (child == 0) {
        tide_xmalloc(size);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    char *text = capture_stop(NULL);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(text, "ERROR memory: out of memory"));
    free(text);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zero_bytes_are_not_exhaustion),
        cmocka_unit_test(copies_and_zeroes),
        cmocka_unit_test(bulk_memory_fails_when_told),
        cmocka_unit_test(control_memory_aborts_with_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
