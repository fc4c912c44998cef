/*
 * A process that starts another one, the job, again whenever it crashes (`moontide run --supervise`).
 *
 * The supervisor forks and does not exec: the job is a copy of the process as it was, so it has the same arguments,
 * standard streams, working directory and process group. Therefore: before any thread and any engine.
 *
 * A crash is the end by a signal or with an exit code other than 0, except
 *     a stop that was asked for: SIGHUP, SIGINT, SIGTERM (codes 129, 130, 143), or anything after the supervisor has
 *         passed such a signal on;
 *     exit code 2, wrong usage: the next start would end in the same way;
 *     SIGPIPE (code 141): nobody reads the output any more.
 *
 * SIGHUP (unless ignored, as under nohup), SIGINT and SIGTERM are passed on to the job. A signal may reach both
 * processes, as those of the terminal and of `kill -- -GROUP` do: then the job gets it twice, from two senders, and
 * tells them apart by tide_supervisor (host/main.c counts each sender's by itself).
 *
 * The kernel kills the job when the supervisor ends, however that happens: no job lives on alone. Between events the
 * supervisor sleeps in sigwaitinfo. It also waits for processes that it inherits (as process 1 of a container).
 *
 * Thread: main. Errors: a process that cannot be made counts as a crash; each end is logged with what follows.
 */
#ifndef TIDE_PROCESS_SUPERVISOR_H
#define TIDE_PROCESS_SUPERVISOR_H

#include <stdint.h>
#include <sys/types.h>

struct tide_supervision {
    uint64_t wait_ms;      /* before the first restart; doubles with each */
    uint64_t most_wait_ms; /* the longest wait; after a run as long as this it is wait_ms again */
    uint32_t restarts;     /* gives up after so many within window_ms; 0: never */
    uint64_t window_ms;
};

enum { TIDE_SUPERVISE_JOB = -1 };

/* Returns TIDE_SUPERVISE_JOB in each job, where the caller goes on. In the supervisor it returns when there is
 * nothing more to do: the job's last exit code (128 + the signal that ended it), or 128 + the signal that ended a
 * wait. */
int tide_supervise(const struct tide_supervision *how);

/* In a job its supervisor, elsewhere 0. Async-signal-safe. */
pid_t tide_supervisor(void);

#endif
