/*
 * One worker: a LuaJIT state that runs tasks one at a time and can be interrupted.
 *
 * Thread: created, run and deleted on the worker's own thread. tide_worker_describe, tide_worker_signal and
 * tide_worker_limit may be called from any thread while it lives.
 */
#ifndef TIDE_TASK_WORKER_H
#define TIDE_TASK_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "task/ffi.h"
#include "task/task.h"

/* Makes the state. Paths may be NULL. NULL and err on failure. */
struct tide_worker *tide_worker_new(const char *package_path, const char *package_cpath, struct tide_error *err);
void tide_worker_delete(struct tide_worker *worker);
/* Runs the task and sets its outputs, counts and error. */
void tide_worker_run(struct tide_worker *worker, struct tide_task *task);
/* A step of garbage collection. false: no more is due. */
bool tide_worker_collect(struct tide_worker *worker);
/* A full collection, if the heap has grown since the last. For a worker that is idle. */
void tide_worker_rest(struct tide_worker *worker);

/* Describes the running task. false: it is idle. */
bool tide_worker_describe(struct tide_worker *worker, char *text, size_t size);
/* Interrupts the running task. To be repeated until the task is back: interpreted code stops at its next instruction,
 * compiled code at the second call or soon after, a C function not before it returns. */
void tide_worker_signal(struct tide_worker *worker);
/* The same if the running task has taken longer than `ms`; it fails with TIDE_ETIMEOUT. */
void tide_worker_limit(struct tide_worker *worker, int64_t ms);

#endif
