/*
 * thread/thread: name, stack, signal mask, failure to start.
 */
#include <pthread.h>
#include <signal.h>

#include "base/fault.h"
#include "test.h"
#include "thread/thread.h"

struct report {
    char name[16];
    size_t stack;
    sigset_t mask;
};

static void look_around(void *arg) {
    struct report *report = arg;
    pthread_attr_t attr;

    pthread_getname_np(pthread_self(), report->name, sizeof report->name);
    pthread_getattr_np(pthread_self(), &attr);
    pthread_attr_getstacksize(&attr, &report->stack);
    pthread_attr_destroy(&attr);
    pthread_sigmask(SIG_SETMASK, NULL, &report->mask);
}

static void has_name_stack_and_mask(void **state) {
    struct tide_thread thread;
    struct tide_error err = {0};
    struct report report;

    assert_int_equal(tide_thread_start(&thread, "worker-1-of-many-others", look_around, &report, &err), 0);
    tide_thread_join(&thread);
    assert_string_equal(report.name, "worker-1-of-man");
    assert_true(report.stack >= 128 * 1024 * 1024);
    assert_true(sigismember(&report.mask, SIGINT));
    assert_true(sigismember(&report.mask, SIGTERM));
    assert_true(sigismember(&report.mask, SIGPIPE));
    assert_false(sigismember(&report.mask, SIGSEGV));
    assert_false(sigismember(&report.mask, SIGFPE));
    sigset_t mine;
    pthread_sigmask(SIG_SETMASK, NULL, &mine);
    assert_false(sigismember(&mine, SIGINT)); /* this thread's is as before */
}

static void says_why_it_does_not_start(void **state) {
    struct tide_thread thread;
    struct tide_error err = {0};

    tide_fault_arm("thread.start", 0, 1);
    assert_int_equal(tide_thread_start(&thread, "ingest", look_around, NULL, &err), TIDE_ELIMIT);
    assert_non_null(strstr(err.text, "thread 'ingest' cannot be started"));
    tide_error_clear(&err);
    tide_fault_clear();
}

static void is_short_after_some_of_it(void *arg) {
    volatile char filled[2 * 1024 * 1024];
    bool *answers = arg;

    filled[0] = 1;
    filled[sizeof filled - 1] = 1;
    answers[1] = tide_thread_stack_is_short();
}

static void looks_at_its_stack(void *arg) {
    bool *answers = arg;

    answers[0] = tide_thread_stack_is_short();
    is_short_after_some_of_it(arg);
    tide_thread_trim_stack();
    answers[2] = tide_thread_stack_is_short();
}

static void knows_when_its_stack_is_short(void **state) {
    struct tide_thread thread;
    bool answers[3] = {true, false, true};

    assert_int_equal(tide_thread_start(&thread, "worker", looks_at_its_stack, answers, NULL), 0);
    tide_thread_join(&thread);
    assert_false(answers[0]);
    assert_true(answers[1]);
    assert_false(answers[2]);
}

static void gets_by_with_a_small_stack(void **state) {
    struct tide_thread thread;
    struct report report;

    tide_fault_arm("thread.stack", 0, 1);
    assert_int_equal(tide_thread_start(&thread, "worker", look_around, &report, NULL), 0);
    tide_thread_join(&thread);
    assert_true(report.stack >= 8 * 1024 * 1024 && report.stack < 16 * 1024 * 1024);
    tide_fault_clear();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_name_stack_and_mask),
        cmocka_unit_test(says_why_it_does_not_start),
        cmocka_unit_test(knows_when_its_stack_is_short),
        cmocka_unit_test(gets_by_with_a_small_stack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
