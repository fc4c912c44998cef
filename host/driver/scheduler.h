/*
 * Runs jobs (driver/job.h): cuts them into stages, runs the shuffles they need first, hands the tasks of every ready
 * stage to the executor, first come first served, and takes the results back. One per engine. The loop is never
 * blocked.
 *
 * A shuffle is computed once and cached by its node, and so is a persistent dataset; jobs that need the same one
 * while it is computed share it. Partitions that the cache has dropped are recomputed; that does not count as a
 * failure of a task.
 *
 * Thread: driver only. Tasks come back through the inbox, whose owner must not be NULL while the scheduler lives.
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

/* Starts a job: reference count 2, one for the caller, one for the scheduler until the job is done. On a closed
 * scheduler the job ends at once, with TIDE_ECANCELLED. */
struct tide_job *tide_scheduler_start(struct tide_scheduler *scheduler, const struct tide_job_options *options);
/* Ends a job early: running tasks stop at their next block; done is called with TIDE_ECANCELLED. Nothing if it has
 * ended. */
void tide_scheduler_cancel(struct tide_job *job);

/* The number of attempts of a task, at least 1 (the default). A task is tried again from its inputs. */
void tide_scheduler_set_max_failures(struct tide_scheduler *scheduler, uint32_t max_failures);

/* Seeds the random numbers of tasks made from now on. */
void tide_scheduler_set_seed(struct tide_scheduler *scheduler, double seed);

/* `updated` receives each partition's accumulator updates exactly once, regardless of retries, before the job that
 * waits for the partition ends; partitions made through a guard that is lost add nothing. It takes the block. NULL:
 * updates are dropped. */
void tide_scheduler_on_updates(struct tide_scheduler *scheduler, void (*updated)(struct tide_block *take, void *arg),
                               void *arg);

/* `lost` is called for each guard (tide_rdd_guard_new) that is lost, with the reason. */
void tide_scheduler_on_lost(struct tide_scheduler *scheduler,
                            void (*lost)(void *owner, int64_t time, const struct tide_error *err, void *arg),
                            void *arg);

/* Cancels every job and calls their `done` before it returns; jobs that `done` starts end the same way, and so do all
 * that are started later. Running tasks are asked to stop. */
void tide_scheduler_close(struct tide_scheduler *scheduler);

/* After tide_scheduler_close, the end of the executor, a last tide_inbox_drain and tide_inbox_close: frees it.
 * Returns how many tasks never came back (their workers were abandoned); the memory that those still read is not
 * freed. */
uint32_t tide_scheduler_delete(struct tide_scheduler *scheduler);

/* Jobs that have not been reported as done. */
uint32_t tide_scheduler_jobs(const struct tide_scheduler *scheduler);

#endif
