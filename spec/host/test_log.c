/*
 * base/log: one line per message with stamp, level and area; nothing below the level; threads never mix.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "capture.h"
#include "test.h"

static void has_stamp_level_and_area(void **state) {
    capture_start();
    tide_log(TIDE_LOG_WARN, "socket", "port %d is closed", 9999);
    tide_log(TIDE_LOG_ERROR, "worker", "gone");
    char *text = capture_stop(NULL);
    regex_t shape;
    assert_int_equal(regcomp(&shape,
                             "^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3} WARN  socket: port "
                             "9999 is closed\n[-0-9]{10} [:0-9]{8}\\.[0-9]{3} ERROR worker: gone\n$",
                             REG_EXTENDED | REG_NOSUB),
                     0);
    int match = regexec(&shape, text, 0, NULL, 0);
    regfree(&shape);
    if (match != 0) print_error("got: %s\n", text);
    assert_int_equal(match, 0);
    free(text);
}

static void keeps_quiet_below_the_level(void **state) {
    assert_int_equal(tide_log_get_level(), TIDE_LOG_WARN);
    capture_start();
    tide_log(TIDE_LOG_INFO, "a", "hidden");
    tide_log_set_level(TIDE_LOG_DEBUG);
    tide_log(TIDE_LOG_DEBUG, "a", "shown");
    tide_log_set_level(TIDE_LOG_OFF);
    tide_log(TIDE_LOG_ERROR, "a", "hidden");
    tide_log(TIDE_LOG_OFF, "a", "hidden");
    tide_log_set_level(TIDE_LOG_WARN);
    char *text = capture_stop(NULL);
    assert_null(strstr(text, "hidden"));
    assert_non_null(strstr(text, "DEBUG a: shown\n"));
    free(text);
}

static void sparse_messages_come_once_a_minute_after_the_first_few(void **state) {
    struct tide_log_kind kind = {0}, other = {0};

    capture_start();
    for (int i = 0; i < 1000; i++) tide_log_sparse(&kind, TIDE_LOG_WARN, "a", "message %d", i);
    tide_log_sparse(&other, TIDE_LOG_WARN, "b", "another kind");
    tide_log_sparse(&other, TIDE_LOG_INFO, "b", "below the level");
    kind.told_ns -= UINT64_C(61000000000); /* a minute ago */
    for (int i = 1000; i < 1003; i++) tide_log_sparse(&kind, TIDE_LOG_WARN, "a", "message %d", i);
    char *text = capture_stop(NULL);
    int lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')); at++) lines++;
    assert_int_equal(lines, TIDE_LOG_FEW + 3);
    assert_non_null(strstr(text, "a: message 0\n"));
    assert_non_null(strstr(text, "a: message 4\n"));
    assert_null(strstr(text, "a: message 5\n"));
    assert_non_null(strstr(text, "b: another kind\n"));
    assert_non_null(strstr(text, "a: message 1000\n"));
    assert_non_null(strstr(text, "a: 995 more messages like this one since the last\n"));
    assert_int_equal(kind.left_out, 2);
    free(text);
}

static void parses_levels(void **state) {
    assert_int_equal(tide_log_level_parse("debug"), TIDE_LOG_DEBUG);
    assert_int_equal(tide_log_level_parse("info"), TIDE_LOG_INFO);
    assert_int_equal(tide_log_level_parse("warn"), TIDE_LOG_WARN);
    assert_int_equal(tide_log_level_parse("error"), TIDE_LOG_ERROR);
    assert_int_equal(tide_log_level_parse("off"), TIDE_LOG_OFF);
    assert_int_equal(tide_log_level_parse("WARN"), -1);
    assert_int_equal(tide_log_level_parse(""), -1);
    assert_int_equal(tide_log_level_parse(NULL), -1);
}

static void indents_what_follows_a_newline(void **state) {
    capture_start();
    tide_log(TIDE_LOG_ERROR, "job", "failed\nat line 3\nat line 9\n\n");
    char *text = capture_stop(NULL);
    assert_non_null(strstr(text, "ERROR job: failed\n    at line 3\n    at line 9\n"));
    assert_null(strstr(text, "9\n\n"));
    free(text);
}

static void long_messages_are_whole(void **state) {
    enum { SIZE = 300000 };
    char *longer = malloc(SIZE + 1);
    memset(longer, 'x', SIZE);
    for (int i = 100; i < SIZE; i += 100) longer[i] = '\n';
    longer[SIZE] = 0;
    capture_start();
    errno = ENOENT;
    tide_log(TIDE_LOG_ERROR, "job", "%s", longer);
    int after = errno;
    size_t size;
    char *text = capture_stop(&size);
    assert_int_equal(after, ENOENT);
    size_t head = strlen("2026-01-31 12:00:00.123 ERROR job: ");
    assert_int_equal(size, head + SIZE + 4 * (SIZE / 100 - 1) + 1);
    assert_int_equal(text[size - 1], '\n');
    assert_int_equal(text[size - 2], 'x');
    free(text);
    free(longer);
}

static void a_full_stderr_does_not_hang(void **state) {
    int ends[2], saved = dup(STDERR_FILENO);

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
    char page[4096] = {0};
    while (write(ends[1], page, sizeof page) > 0) {}
    dup2(ends[1], STDERR_FILENO);
    tide_log(TIDE_LOG_ERROR, "a", "nobody reads this");
    close(ends[0]); /* and a stderr nobody will ever read again */
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    tide_log(TIDE_LOG_ERROR, "a", "nor this");
    signal(SIGPIPE, before);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
}

enum { THREADS = 4, LINES = 100, WIDTH = 6000 }; /* wider than PIPE_BUF */

static void *write_lines(void *arg) {
    char letter = (char)('a' + (intptr_t)arg);
    char *body = malloc(WIDTH + 1);

    memset(body, letter, WIDTH);
    body[WIDTH] = 0;
    for (int i = 0; i < LINES; i++) tide_log(TIDE_LOG_ERROR, "thread", "%s", body);
    free(body);
    return NULL;
}

static void lines_of_threads_never_mix(void **state) {
    pthread_t threads[THREADS];

    capture_start();
    for (intptr_t i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, write_lines, (void *)i);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    char *text = capture_stop(NULL);
    int counts[THREADS] = {0}, lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char *body = strstr(line, "ERROR thread: ");
        assert_non_null(body);
        body += strlen("ERROR thread: ");
        assert_int_equal(strlen(body), WIDTH);
        for (int i = 0; i < WIDTH; i++) assert_int_equal(body[i], body[0]);
        counts[body[0] - 'a']++;
        lines++;
    }
    assert_int_equal(lines, THREADS * LINES);
    for (int i = 0; i < THREADS; i++) assert_int_equal(counts[i], LINES);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_stamp_level_and_area),
        cmocka_unit_test(keeps_quiet_below_the_level),
        cmocka_unit_test(sparse_messages_come_once_a_minute_after_the_first_few),
        cmocka_unit_test(parses_levels),
        cmocka_unit_test(indents_what_follows_a_newline),
        cmocka_unit_test(long_messages_are_whole),
        cmocka_unit_test(a_full_stderr_does_not_hang),
        cmocka_unit_test(lines_of_threads_never_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
