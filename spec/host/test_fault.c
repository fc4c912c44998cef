/*
 * base/fault: countdowns by name, the environment variable, many threads asking.
 */
#include <pthread.h>

#include "base/fault.h"
#include "capture.h"
#include "test.h"

/* Must run first: the environment is read once. */
static void reads_the_environment(void **state) {
    setenv("MOONTIDE_FAULT", "disk.write,socket.connect:1:2,bad:x,:3,rename:0:1,late:2,long:1:2:3,minus:-1", 1);
    capture_start();
    bool first = tide_fault("disk.write");
    char *text = capture_stop(NULL);
    assert_true(first);
    assert_non_null(strstr(text, "MOONTIDE_FAULT: 'bad:x' is not name[:skip[:times]] and is ignored"));
    assert_non_null(strstr(text, "MOONTIDE_FAULT: ':3' is not"));
    assert_non_null(strstr(text, "MOONTIDE_FAULT: 'long:1:2:3' is not"));
    assert_non_null(strstr(text, "MOONTIDE_FAULT: 'minus:-1' is not"));
    free(text);
    for (int i = 0; i < 10; i++) assert_true(tide_fault("disk.write"));
    assert_false(tide_fault("socket.connect"));
    assert_true(tide_fault("socket.connect"));
    assert_true(tide_fault("socket.connect"));
    assert_false(tide_fault("socket.connect"));
    assert_true(tide_fault("rename"));
    assert_false(tide_fault("rename"));
    assert_false(tide_fault("late"));
    assert_false(tide_fault("late"));
    assert_true(tide_fault("late"));
    assert_true(tide_fault("late"));
    assert_false(tide_fault("bad"));
    assert_false(tide_fault("long"));
    tide_fault_clear();
    assert_false(tide_fault("disk.write"));
}

static void counts_down(void **state) {
    tide_fault_arm("a", 2, 1);
    assert_false(tide_fault("a"));
    assert_false(tide_fault("b"));
    assert_false(tide_fault("a"));
    assert_true(tide_fault("a"));
    assert_false(tide_fault("a"));
    tide_fault_arm("a", 0, -1); /* arming again replaces */
    tide_fault_arm("b", 0, 0);
    for (int i = 0; i < 5; i++) assert_true(tide_fault("a"));
    assert_false(tide_fault("b"));
    tide_fault_clear();
    assert_false(tide_fault("a"));
    tide_fault_clear();
}

enum { THREADS = 4, ASKS = 5000, FAILURES = 1234 };

static void *ask(void *arg) {
    int *failed = arg;

    for (int i = 0; i < ASKS; i++) *failed += tide_fault("shared");
    return NULL;
}

static void threads_share_the_countdown(void **state) {
    pthread_t threads[THREADS];
    int failed[THREADS] = {0}, sum = 0;

    tide_fault_arm("shared", 100, FAILURES);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, ask, &failed[i]);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        sum += failed[i];
    }
    assert_int_equal(sum, FAILURES);
    tide_fault_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_environment),
        cmocka_unit_test(counts_down),
        cmocka_unit_test(threads_share_the_countdown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
