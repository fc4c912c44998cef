/*
 * Runs jobs (driver/job.h): cuts them in stages, runs the shuffles they need first, hands the tasks of every ready stage
 * to the executor, first come first served, and takes the results back. One per engine. The loop is never blocked.
 *
 * A shuffle is computed once and kept in the cache by its node, and so is a persistent dataset; jobs that need the same one while
 * it runs share it. What the cache has given up is computed again; that is no failure of a task.
 *
 * Thread: driver only. Tasks come back through the inbox whose owner must not be NULL while the scheduler lives.
 */
#ifndef TIDE_DRIVER_SCHEDULER_H
#define TIDE_DRIVER_SCHEDULER_H

#include <stdint.h>

#include "driver/job.h"
#include "store/cache.h"
#include "task/executor.h"
#include "thread/inbox.h"

/* Copies the interface, borrows what is behind it and the inbox; retains the cache. */
struct tide_scheduler *tide_scheduler_new(const struct tide_executor *executor, struct tide_cache *cache,
                                          struct tide_inbox *inbox);

/* How often a task may fail before its job does, at least 1 (the default: no second try). A task is tried again from its inputs. */
void tide_scheduler_set_max_failures(struct tide_scheduler *scheduler, uint32_t max_failures);

/* What random numbers in tasks follow from, from now on. */
void tide_scheduler_set_seed(struct tide_scheduler *scheduler, double seed);

/* `updated` is told what each task has added to accumulators, once for each partition of a stage whatever became of its other
 * attempts, before the job that waits for it ends; what was made through a guard that is lost adds
 * nothing. It takes the block. NULL: such blocks are dropped. */
void tide_scheduler_on_updates(struct tide_scheduler *scheduler, void (*updated)(struct tide_block *take, void *arg),
                               void *arg);

/* `lost` is told of each guard (tide_rdd_guard_new) that is lost, and why. */
void tide_scheduler_on_lost(struct tide_scheduler *scheduler,
                            void (*lost)(void *owner, int64_t time, const struct tide_error *err, void *arg),
                            void *arg);

/* Cancels every job and calls their `done` before it returns; jobs that `done` starts end the same way. Further
 * tide_job_start calls give jobs that are cancelled at once. Tasks that still run are told to stop. */
void tide_scheduler_close(struct tide_scheduler *scheduler);

/* After tide_scheduler_close, the end of the executor, a last tide_inbox_drain and tide_inbox_close: frees it. Returns how many tasks
 * never came back (their workers were left behind); the little memory those tasks still look at is left to them. */
uint32_t tide_scheduler_delete(struct tide_scheduler *scheduler);

/* Jobs not ended yet. */
uint32_t tide_scheduler_jobs(const struct tide_scheduler *scheduler);

#endif
