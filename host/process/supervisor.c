/*
 * See supervisor.h. Called by the bindings for the command line, on the main thread of a process that has no other.
 *
 * Signals stay blocked and are taken one at a time, together with SIGCHLD, so that none falls between a look at the
 * state and the sleep after it. They are blocked before the first fork; the job gets the former mask back.
 */
#include "process/supervisor.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/log.h"
#include "clock/clock.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2, BY_SIGNAL = 128, TEXT = 96 };

struct supervisor {
    const struct tide_supervision *how;
    sigset_t taken, before; /* signals taken here, blocked; the mask before */
    pid_t job;              /* 0: none is running */
    int status;             /* of the job that ended last, as waitpid gives it */
    int unmade;             /* errno when the last job's process could not be made; else 0 */
    int asked;              /* last signal passed on, or received while waiting; 0: none */
    uint64_t wait_ms;       /* before the next start */
    uint64_t *past;         /* ring of the times of the last how->restarts restarts, ms */
    uint64_t count;         /* restarts so far */
};

static pid_t supervisor_pid;

pid_t tide_supervisor(void) { return supervisor_pid; }

static uint64_t now_ms(void) { return tide_clock_monotonic_ns() / 1000000; }

/* ---- Signals ------------------------------------------------------------------------------------------------ */

static void take_signals(struct supervisor *supervisor) {
    struct sigaction usual = {.sa_handler = SIG_DFL}, hangup;

    sigaction(SIGCHLD, &usual, NULL); /* an ignored one would leave no exit status */
    sigemptyset(&supervisor->taken);
    sigaddset(&supervisor->taken, SIGCHLD);
    sigaddset(&supervisor->taken, SIGINT);
    sigaddset(&supervisor->taken, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hangup) == 0 && hangup.sa_handler != SIG_IGN) sigaddset(&supervisor->taken, SIGHUP);
    sigprocmask(SIG_BLOCK, &supervisor->taken, &supervisor->before);
}

/* The job becomes the caller's, the ends of all other children are forgotten. */
static void reap(struct supervisor *supervisor) {
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != supervisor->job) continue;
        supervisor->job = 0;
        supervisor->status = status;
    }
}

static void on_signal(struct supervisor *supervisor, int number) {
    if (number == SIGCHLD) {
        reap(supervisor);
        return;
    }
    supervisor->asked = number;
    if (supervisor->job == 0) return;
    tide_log(TIDE_LOG_INFO, "supervisor", "SIG%s is passed on to the job", sigabbrev_np(number));
    kill(supervisor->job, number);
}

/* What has ended before SIGCHLD was blocked was not reported. */
static void await_end(struct supervisor *supervisor) {
    reap(supervisor);
    while (supervisor->job != 0) {
        int number = sigwaitinfo(&supervisor->taken, NULL);

        if (number > 0) on_signal(supervisor, number);
    }
}

/* Ends early when a stop is asked for. */
static void pause_for(struct supervisor *supervisor, uint64_t ms) {
    uint64_t now, until = now_ms() + ms;

    while (supervisor->asked == 0 && (now = now_ms()) < until) {
        uint64_t left = until - now;
        struct timespec most = {.tv_sec = (time_t)(left / 1000), .tv_nsec = (long)(left % 1000) * 1000000};
        int number = sigtimedwait(&supervisor->taken, NULL, &most);

        if (number > 0) on_signal(supervisor, number);
    }
}

/* ---- The job ------------------------------------------------------------------------------------------------ */

/* The signal comes when the thread that forked ends, which is the main thread; but not if it has ended already. */
static void become_job(struct supervisor *supervisor, pid_t parent) {
    supervisor_pid = parent;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) raise(SIGKILL);
    sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
}

/* True in the job. */
static bool start_job(struct supervisor *supervisor) {
    pid_t self = getpid(), pid = tide_fault("supervisor.fork") ? (errno = EAGAIN, -1) : fork();

    if (pid == 0) {
        become_job(supervisor, self);
        return true;
    }
    supervisor->job = pid > 0 ? pid : 0;
    supervisor->unmade = pid > 0 ? 0 : errno;
    return false;
}

static int exit_code(const struct supervisor *supervisor) {
    int status = supervisor->status;

    if (supervisor->unmade) return EXIT_FAILED;
    return WIFSIGNALED(status) ? BY_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- Texts -------------------------------------------------------------------------------------------------- */

static const char *duration_text(char *text, uint64_t ms) {
    const char *unit = ms < 1000 ? "ms" : ms < 120000 ? "s" : "min";
    uint64_t scale = ms < 1000 ? 1 : ms < 120000 ? 1000 : 60000;

    if (ms % scale == 0) snprintf(text, TEXT, "%llu %s", (unsigned long long)(ms / scale), unit);
    else snprintf(text, TEXT, "%.1f %s", (double)ms / (double)scale, unit);
    return text;
}

static const char *signal_text(char *text, int number) {
    const char *name = sigabbrev_np(number), *meaning = sigdescr_np(number);

    if (name && meaning) snprintf(text, TEXT, "SIG%s (%s)", name, meaning);
    else snprintf(text, TEXT, "signal %d", number);
    return text;
}

/* "the job (process 12) was ended by SIGSEGV (Segmentation fault) after 3.2 s" */
static void describe_end(const struct supervisor *supervisor, pid_t job, uint64_t ran, char *text, size_t size) {
    int status = supervisor->status;
    char how[TEXT], time[TEXT];

    if (supervisor->unmade) {
        snprintf(text, size, "the job could not be started: %s", strerror(supervisor->unmade));
        return;
    }
    duration_text(time, ran);
    if (WIFSIGNALED(status))
        snprintf(text, size, "the job (process %d) was ended by %s after %s", (int)job,
                 signal_text(how, WTERMSIG(status)), time);
    else
        snprintf(text, size, "the job (process %d) ended with exit code %d after %s", (int)job, WEXITSTATUS(status),
                 time);
}

/* ---- What follows ------------------------------------------------------------------------------------------- */

/* Why the job is not started again; NULL: it has crashed. */
static const char *why_over(const struct supervisor *supervisor) {
    if (supervisor->asked) return "it was asked to stop";
    switch (exit_code(supervisor)) {
    case EXIT_USAGE: return "this is wrong usage, and another start would end in the same way";
    case BY_SIGNAL + SIGHUP:
    case BY_SIGNAL + SIGINT:
    case BY_SIGNAL + SIGTERM: return "it was asked to stop";
    case BY_SIGNAL + SIGPIPE: return "nobody reads its output any more";
    default: return NULL;
    }
}

/* Whether as many restarts as are allowed were within the window. */
static bool is_too_often(const struct supervisor *supervisor, uint64_t now) {
    uint32_t most = supervisor->how->restarts;

    return most > 0 && supervisor->count >= most &&
           now - supervisor->past[supervisor->count % most] < supervisor->how->window_ms;
}

static void note_restart(struct supervisor *supervisor, uint64_t now) {
    if (supervisor->how->restarts > 0) supervisor->past[supervisor->count % supervisor->how->restarts] = now;
    supervisor->count++;
}

static uint64_t next_wait(struct supervisor *supervisor, uint64_t ran) {
    const struct tide_supervision *how = supervisor->how;
    uint64_t wait = ran >= how->most_wait_ms ? how->wait_ms : supervisor->wait_ms;

    if (wait > how->most_wait_ms) wait = how->most_wait_ms;
    supervisor->wait_ms = 2 * wait;
    return wait;
}

/* Logs the end and waits. False: the job is not started again. */
static bool is_restarted(struct supervisor *supervisor, pid_t job, uint64_t ran) {
    const char *over = why_over(supervisor);
    char end[3 * TEXT], time[TEXT];

    describe_end(supervisor, job, ran, end, sizeof end);
    if (exit_code(supervisor) == 0 || over) {
        enum tide_log_level level = exit_code(supervisor) == 0 ? TIDE_LOG_INFO : TIDE_LOG_WARN;

        tide_log(level, "supervisor", "%s; it is not started again: %s", end, over ? over : "it is done");
        return false;
    }
    if (is_too_often(supervisor, now_ms())) {
        tide_log(TIDE_LOG_ERROR, "supervisor", "%s; given up: it was started again %u times within %s", end,
                 supervisor->how->restarts, duration_text(time, supervisor->how->window_ms));
        return false;
    }

    uint64_t wait = next_wait(supervisor, ran);

    tide_log(TIDE_LOG_WARN, "supervisor", "%s; restart %llu follows in %s", end,
             (unsigned long long)supervisor->count + 1, duration_text(time, wait));
    pause_for(supervisor, wait);
    note_restart(supervisor, now_ms());
    return supervisor->asked == 0;
}

int tide_supervise(const struct tide_supervision *how) {
    struct supervisor supervisor = {.how = how, .wait_ms = how->wait_ms};
    uint64_t started;
    bool waited;
    pid_t job;

    supervisor.past = tide_xcalloc(how->restarts + 1, sizeof *supervisor.past);
    take_signals(&supervisor);
    do {
        started = now_ms();
        if (start_job(&supervisor)) {
            tide_free(supervisor.past);
            return TIDE_SUPERVISE_JOB;
        }
        job = supervisor.job;
        await_end(&supervisor);
        waited = supervisor.asked == 0;
    } while (is_restarted(&supervisor, job, now_ms() - started));
    tide_free(supervisor.past);
    /* Signals stay blocked: nothing is left that they could stop. */
    return waited && supervisor.asked ? BY_SIGNAL + supervisor.asked : exit_code(&supervisor);
}
