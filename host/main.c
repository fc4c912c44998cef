/*
 * The program `moontide`: a Lua state with the command line in it (lua/moontide/cli.lua), the process's signals, the
 * exit code. Nothing else.
 *
 * Signals. SIGINT, SIGTERM and SIGHUP (unless it was ignored before, as under nohup) are counted and reported to each
 * engine that watches, through a pipe of its own; the script decides how to stop. If no engine reacts, the signal
 * ends the process, with 128 + the signal's number:
 *     no engine is watching (a script that runs no context, or has not started one)   at the first signal
 *     the script is busy and does not poll the second signal                          2 s after it
 *     anything                                                                        at the third
 * A job under a supervisor (process/supervisor.h) may get one signal twice: directly, and passed on. The directly
 * received ones and those passed on are counted apart, and the larger number counts.
 * SIGPIPE ends the process without a message, as in other tools, when stdout has no reader any more; for sockets it
 * is an error of the write.
 *
 * Handlers run on the main thread (other threads block these signals, see thread/thread.h), which is the driver
 * thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "bind/bind.h"
#include "engine.h"
#include "process/supervisor.h"
#include "vm/call.h"
#include "vm/vm.h"

enum { MAX_WATCHERS = 16, PATIENCE_SECONDS = 2, EXIT_FAILED = 1 };

/* The two ends of each watching engine's pipe; to_engine is -1 in a free slot. Written by the main thread, on which
 * the handlers run too. */
static struct {
    volatile sig_atomic_t to_engine;
    int from_process;
} watchers[MAX_WATCHERS];

static volatile sig_atomic_t watching;          /* slots in use */
static volatile sig_atomic_t direct, passed_on; /* signals by sender: anybody else, the supervisor */
static volatile sig_atomic_t settled;           /* of the larger number: those before the first engine watches */
static volatile sig_atomic_t received;          /* signals since then */
static volatile sig_atomic_t last_signal;

/* ---- Handlers: async-signal-safe ------------------------------------------------------------------------------ */

/* False: it is one that came the other way before. */
static bool count_signal(const siginfo_t *about) {
    sig_atomic_t before = received;
    pid_t supervisor = tide_supervisor();
    bool from_supervisor = supervisor > 0 && about->si_code == SI_USER && about->si_pid == supervisor;

    if (from_supervisor) passed_on++;
    else direct++;
    received = (direct > passed_on ? direct : passed_on) - settled;
    return received != before;
}

static void on_stop_signal(int number, siginfo_t *about, void *context) {
    int saved = errno;

    (void)context;
    if (!count_signal(about)) return;
    last_signal = number;
    if (watching == 0 || received >= 3) _exit(128 + number);
    for (int i = 0; i < MAX_WATCHERS; i++) {
        if (watchers[i].to_engine < 0) continue;
        /* A full pipe holds signals enough. */
        if (write(watchers[i].to_engine, "!", 1) < 0) continue;
    }
    if (received == 2) alarm(PATIENCE_SECONDS);
    errno = saved;
}

static void on_patience_ended(int number) {
    (void)number;
    _exit(128 + last_signal);
}

static void on_broken_pipe(int number) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    int saved = errno;

    if (poll(&out, 1, 0) == 1 && (out.revents & POLLERR)) _exit(128 + number);
    errno = saved;
}

static void handle(int number, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

/* One after the other: they share their counts. */
static void handle_stop_signal(int number) {
    struct sigaction action = {.sa_sigaction = on_stop_signal, .sa_flags = SA_RESTART | SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGINT);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGHUP);
    sigaction(number, &action, NULL);
}

/* Under nohup SIGHUP stays ignored. */
static bool is_ignored(int number) {
    struct sigaction now;

    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

/* ---- For engines ---------------------------------------------------------------------------------------------- */

static int attach(void) {
    int ends[2];

    for (int i = 0; i < MAX_WATCHERS; i++) {
        if (watchers[i].to_engine >= 0) continue;
        if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return -1;
        watchers[i].from_process = ends[0];
        watchers[i].to_engine = ends[1];
        watching++;
        return ends[0];
    }
    return -1;
}

static void detach(int fd) {
    for (int i = 0; i < MAX_WATCHERS; i++) {
        int to_engine = watchers[i].to_engine;

        if (to_engine < 0 || watchers[i].from_process != fd) continue;
        watchers[i].to_engine = -1;
        close(to_engine);
        close(fd);
        if (--watching == 0) {
            alarm(0);
            settled += received;
            received = 0;
        }
    }
}

static void handled(void) { alarm(0); }

static void take_signals(void) {
    static const struct tide_signals signals = {.attach = attach, .detach = detach, .handled = handled};

    for (int i = 0; i < MAX_WATCHERS; i++) watchers[i].to_engine = -1;
    tide_engine_set_signals(&signals);
    handle(SIGALRM, on_patience_ended);
    handle_stop_signal(SIGINT);
    handle_stop_signal(SIGTERM);
    if (!is_ignored(SIGHUP)) handle_stop_signal(SIGHUP);
    handle(SIGPIPE, on_broken_pipe);
    handle(SIGXFSZ, SIG_IGN); /* a file that may not grow further is an error of the write, like a full disk */
}

/* ---- The program ---------------------------------------------------------------------------------------------- */

/* Flushes stdout; an error (a full disk) is a failure of the program. */
static int finish_output(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    tide_log(TIDE_LOG_ERROR, "moontide", "writing to stdout failed: %s", strerror(errno));
    return code != 0 ? code : EXIT_FAILED;
}

int main(int argc, char **argv) {
    struct tide_vm_options options = {.role = TIDE_VM_DRIVER, .open_core = luaopen_moontide_core};
    struct tide_error err = {0};
    int code = EXIT_FAILED;

    tide_engine_keep_standard_streams();
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    take_signals();

    struct lua_State *L = tide_vm_new(&options, &err);

    if (!L || tide_vm_call_main(L, "moontide.cli", "main", argc, argv, &code, &err) != TIDE_OK) {
        tide_log(TIDE_LOG_ERROR, "moontide", "%s", err.text ? err.text : tide_error_name(err.code));
        code = EXIT_FAILED;
    }
    tide_error_clear(&err);
    tide_vm_delete(L);
    return finish_output(code);
}
