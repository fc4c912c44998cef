/*
 * One line to stderr per message. Called from every thread, also when memory is gone: the usual message is
 * built on the stack, and a message too long for that is cut when no memory can be had for it.
 *
 * A line is one write(2). That alone keeps lines apart on files and terminals, but a pipe splits writes over
 * PIPE_BUF; the lock covers those. It is a leaf: nothing is called under it but write and poll.
 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { ON_STACK = 2048, STALL_MS = 200 };
#define SPARSE_NS UINT64_C(60000000000)

static const char *const level_names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
static const char *const level_options[] = {"debug", "info", "warn", "error", "off"};

static int current_level = TIDE_LOG_WARN;
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

void tide_log_set_level(enum tide_log_level level) { __atomic_store_n(&current_level, (int)level, __ATOMIC_RELAXED); }

enum tide_log_level tide_log_get_level(void) {
    return (enum tide_log_level)__atomic_load_n(&current_level, __ATOMIC_RELAXED);
}

int tide_log_level_parse(const char *name) {
    if (!name) return -1;
    for (int i = 0; i < (int)(sizeof level_options / sizeof *level_options); i++)
        if (strcmp(name, level_options[i]) == 0) return i;
    return -1;
}

/* Output to a stderr that stays full is dropped: the log must not block the engine for ever. */
static void write_line(const char *line, size_t size) {
    while (size > 0) {
        ssize_t n = write(STDERR_FILENO, line, size);
        if (n >= 0) {
            line += n;
            size -= (size_t)n;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
            if (poll(&fd, 1, STALL_MS) == 0) return;
        } else if (errno != EINTR) {
            return;
        }
    }
}

static size_t write_head(char *out, size_t capacity, enum tide_log_level level, const char *area) {
    struct timespec now;
    struct tm local;
    char stamp[32];

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S", &local);
    int n = snprintf(out, capacity, "%s.%03ld %-5s %s: ", stamp, now.tv_nsec / 1000000, level_names[level], area);
    return n < 0 ? 0 : (size_t)n < capacity ? (size_t)n : capacity - 1;
}

/* Copies `text` indenting what follows a newline; gives up quietly at `capacity`. Returns the bytes used. */
static size_t indent(char *out, size_t capacity, const char *text, size_t size) {
    size_t used = 0;

    for (size_t i = 0; i < size; i++) {
        size_t need = text[i] == '\n' ? 5 : 1;
        if (capacity - used < need) break;
        if (text[i] == '\n') memcpy(out + used, "\n    ", 5);
        else out[used] = text[i];
        used += need;
    }
    return used;
}

/* `args` is used up. */
static void log_line(enum tide_log_level level, const char *area, const char *format, va_list args) {
    if (level < tide_log_get_level() || level >= TIDE_LOG_OFF || (int)level < 0) return;
    int saved = errno; /* the caller may be about to report it */
    char stack_text[ON_STACK], stack_line[ON_STACK + 512];
    char *text = stack_text, *line = stack_line, *heap = NULL;
    size_t line_capacity = sizeof stack_line;

    va_list again;
    va_copy(again, args);
    int length = vsnprintf(stack_text, sizeof stack_text, format, args);
    size_t size = length < 0 ? 0 : (size_t)length;
    if (size >= sizeof stack_text) {
        heap = malloc(size + 1);
        if (heap) {
            text = heap;
            vsnprintf(text, size + 1, format, again);
        } else {
            size = sizeof stack_text - 1;
        }
    }
    va_end(again);

    while (size > 0 && text[size - 1] == '\n') size--;
    size_t newlines = 0;
    for (size_t i = 0; i < size; i++) newlines += text[i] == '\n';
    size_t needed = 512 + size + 4 * newlines;
    char *heap_line = NULL;
    if (needed > line_capacity && (heap_line = malloc(needed))) {
        line = heap_line;
        line_capacity = needed;
    }
    size_t used = write_head(line, 256, level, area ? area : "moontide");
    used += indent(line + used, line_capacity - used - 1, text, size);
    line[used++] = '\n';

    pthread_mutex_lock(&write_lock);
    write_line(line, used);
    pthread_mutex_unlock(&write_lock);
    free(heap_line);
    free(heap);
    errno = saved;
}

void tide_log(enum tide_log_level level, const char *area, const char *format, ...) {
    va_list args;

    va_start(args, format);
    log_line(level, area, format, args);
    va_end(args);
}

/* Whether the kind may be written again; sets *left_out to the number of messages since that were not. */
static bool is_time(struct tide_log_kind *kind, uint64_t *left_out) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;

    pthread_mutex_lock(&lock);
    bool yes = kind->told < TIDE_LOG_FEW || now_ns - kind->told_ns >= SPARSE_NS;
    *left_out = kind->left_out;
    kind->left_out = yes ? 0 : kind->left_out + 1;
    kind->told += yes;
    if (yes) kind->told_ns = now_ns;
    pthread_mutex_unlock(&lock);
    return yes;
}

void tide_log_sparse(struct tide_log_kind *kind, enum tide_log_level level, const char *area, const char *format,
                     ...) {
    if (level < tide_log_get_level()) return;
    uint64_t left_out;
    if (!is_time(kind, &left_out)) return;
    va_list args;
    va_start(args, format);
    log_line(level, area, format, args);
    va_end(args);
    if (left_out > 0) tide_log(level, area, "%" PRIu64 " more messages like this one since the last", left_out);
}
