/*
 * Commands of the system that a task pipes records through (rdd:pipe). Each is a shell in a process group of its own, so that
 * Ctrl-C in a terminal and signals to our group reach us and not it: what it has begun it finishes. It is ended with
 * all that it started when its task is over: first SIGTERM, a second later SIGKILL.
 *
 * However this process ends, its commands do too: a watcher, a small shell that is started with the first command, knows
 * their groups, and ends them when its end of a pipe tells that nobody holds the other one any more.
 *
 * Thread: a command belongs to the thread that started it, and is named by a number there; one that has ended is unknown. Called
 * by lua/moontide/worker/process.lua through FFI, and by the worker.
 */
#ifndef TIDE_TASK_COMMAND_H
#define TIDE_TASK_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "task/ffi.h"

/* The task of this thread is over: ends what it left. */
void tide_commands_end(void);
/* The watcher goes, if no command is running anywhere. Any thread. */
void tide_commands_rest(void);

#endif
