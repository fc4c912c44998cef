/*
 * The worker threads: each has a LuaJIT state made by the one constructor (vm/vm.h). They take tasks from
 * one queue (any idle worker takes the next), run them, and post them back to the driver's inbox.
 *
 * Thread: functions are called by the driver.
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
    struct tide_inbox *driver; /* where ended tasks are posted */
    const char
        *package_path; /* Lua search paths of the driver, so that scripts' own modules load; copied; may be NULL */
    const char *package_cpath;
    struct tide_cache *cache; /* tidied by workers with nothing else to do; borrowed; may be NULL */
    uint32_t rest_ms;         /* workers that have all had nothing to do for so long give memory back; 0: 2000 */
};

/* Starts the threads; returns when every worker state is ready, or the first failure. */
struct tide_pool *tide_pool_new(const struct tide_pool_options *options, struct tide_error *err);
uint32_t tide_pool_workers(const struct tide_pool *pool);
/* Takes the task until it comes back through task->message.deliver. */
void tide_pool_submit(struct tide_pool *pool, struct tide_task *task);
/* The cache wants to be tidied. Any thread. */
void tide_pool_wake(struct tide_pool *pool);
/* How often memory was given back to the system. Any thread. */
uint32_t tide_pool_given_back(struct tide_pool *pool);
/* What worker `index` runs at the moment, as text for people ("map (job.lua:12), batch 1000 ms, for 12.0 s"); false when idle. */
bool tide_pool_describe(struct tide_pool *pool, uint32_t index, char *text, size_t size);
/* Asks tasks that have taken longer than `ms` to break off: they fail with TIDE_ETIMEOUT and the script line they were at. To be
 * repeated, see tide_worker_signal. */
void tide_pool_limit(struct tide_pool *pool, int64_t ms);
/* Tries to break off what runs now (closures that do not return): the tasks come back failed with TIDE_ECANCELLED and
 * the script line they were at. Queued tasks come back TIDE_ECANCELLED too. */
void tide_pool_interrupt(struct tide_pool *pool);
/* Ends the threads: waits for running tasks up to `timeout_ms`, then interrupts; returns false when a worker could not be ended (it is
 * stuck in a C call) and had to be left behind with its memory. Queued tasks are delivered back cancelled first. */
bool tide_pool_delete(struct tide_pool *pool, uint64_t timeout_ms);

#endif
