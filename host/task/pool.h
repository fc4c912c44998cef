/*
 * The worker threads. Each has a LuaJIT state of its own (task/worker.h); all take tasks from one queue, run them and
 * post them to the driver's inbox.
 *
 * Thread: driver, except where a function says otherwise.
 */
#ifndef TIDE_TASK_POOL_H
#define TIDE_TASK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "task/task.h"
#include "thread/inbox.h"

struct tide_pool;

struct tide_pool_options {
    uint32_t workers;          /* 1…1024 */
    struct tide_inbox *driver; /* gets the tasks that have ended */
    const char *package_path;  /* Lua search paths of the driver, for modules of scripts; copied; may be NULL */
    const char *package_cpath;
    struct tide_cache *cache; /* tidied by idle workers; borrowed; may be NULL */
    uint32_t rest_ms;         /* when all workers have been idle this long, they give memory back; 0: 2000 */
};

/* Starts the threads and waits until all states are ready. NULL and err: the first failure. */
struct tide_pool *tide_pool_new(const struct tide_pool_options *options, struct tide_error *err);
uint32_t tide_pool_workers(const struct tide_pool *pool);
/* Takes the task; it comes back through task->message.deliver. */
void tide_pool_submit(struct tide_pool *pool, struct tide_task *task);
/* Wakes a worker to tidy the cache. Any thread. */
void tide_pool_wake(struct tide_pool *pool);
/* How often workers have given memory back to the system. Any thread. */
uint32_t tide_pool_given_back(struct tide_pool *pool);
/* Describes the task that worker `index` is running ("map (job.lua:12), batch 1000 ms, for 12.0 s"). false: it is
 * idle. */
bool tide_pool_describe(struct tide_pool *pool, uint32_t index, char *text, size_t size);
/* Interrupts tasks that have run longer than `ms`: they fail with TIDE_ETIMEOUT and the script line they were at. To
 * be repeated (tide_worker_signal). */
void tide_pool_limit(struct tide_pool *pool, int64_t ms);
/* Interrupts running tasks: they fail with TIDE_ECANCELLED and the script line they were at. Queued tasks come back
 * with TIDE_ECANCELLED. */
void tide_pool_interrupt(struct tide_pool *pool);
/* Cancels queued tasks, waits up to `timeout_ms` for running ones, interrupts the rest and ends the threads. false: a
 * worker is stuck in a C function; it is abandoned with its memory. */
bool tide_pool_delete(struct tide_pool *pool, uint64_t timeout_ms);

#endif
