/*
 * One worker: a LuaJIT state and the means to run a task in it, to say what it is doing, and to break it off.
 *
 * Thread: created, run and destroyed on the worker's own thread; tide_worker_describe and tide_worker_signal may be called
 * from another thread while it lives.
 */
#ifndef TIDE_TASK_WORKER_H
#define TIDE_TASK_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "task/ffi.h"
#include "task/task.h"

/* Makes the state; call on the worker's thread. NULL and err on failure. Paths may be NULL. */
struct tide_worker *tide_worker_new(const char *package_path, const char *package_cpath, struct tide_error *err);
void tide_worker_delete(struct tide_worker *worker);
/* Runs the task; its outputs, counts and error are set. */
void tide_worker_run(struct tide_worker *worker, struct tide_task *task);
/* A bit of garbage collection; false when there is nothing left to collect for now. */
bool tide_worker_collect(struct tide_worker *worker);
/* A full collection, if there may be anything to collect: for a worker that has had nothing to do for a while. */
void tide_worker_rest(struct tide_worker *worker);

/* Any thread: what runs now; false when idle. */
bool tide_worker_describe(struct tide_worker *worker, char *text, size_t size);
/* Any thread: asks the running closure to break off. To be repeated until the task is back: interpreted code stops at its next
 * instruction, compiled code at the second call or soon after, a C function that blocks not at all. */
void tide_worker_signal(struct tide_worker *worker);
/* The same when the running task has taken longer than `ms`, which then fails with TIDE_ETIMEOUT. */
void tide_worker_limit(struct tide_worker *worker, int64_t ms);

#endif
