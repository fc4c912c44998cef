/*
 * A job computes chosen partitions of one dataset with one sink and collects what the sink made. The
 * scheduler cuts it in stages at shuffles that have no output yet, runs parents first, all ready stages of all
 * jobs share the worker pool first come first served. The driver loop is never blocked.
 *
 * Thread: driver only.
 */
#ifndef TIDE_DRIVER_JOB_H
#define TIDE_DRIVER_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rdd/rdd.h"
#include "store/block.h"

struct tide_scheduler;
struct tide_job;

struct tide_job_options {
    struct tide_rdd *rdd;       /* retained */
    struct tide_op *sink;       /* retained */
    const uint32_t *partitions; /* NULL: all */
    uint32_t npartitions;       /* when partitions is given */
    uint64_t limit;             /* for sink "take" */
    int64_t batch_time;         /* -1 outside a batch */
    void (*done)(struct tide_job *job,
                 void *arg); /* called from the loop, never from within tide_job_start; may release the job */
    void *arg;
};

/* Reference count 2: one for the caller, one for the scheduler until it is done. */
struct tide_job *tide_job_start(struct tide_scheduler *scheduler, const struct tide_job_options *options);
struct tide_job *tide_job_retain(struct tide_job *job);
void tide_job_release(struct tide_job *job);
/* Ends it early: running tasks stop at their next block; done is called with TIDE_ECANCELLED. */
void tide_job_cancel(struct tide_job *job);

bool tide_job_ended(const struct tide_job *job);
const struct tide_error *tide_job_error(const struct tide_job *job); /* code 0 when it succeeded */
uint32_t tide_job_partitions(const struct tide_job *job);
/* What the sink made of the index-th chosen partition; valid while the job is retained. */
const struct tide_blocks *tide_job_result(const struct tide_job *job, uint32_t index);

#endif
