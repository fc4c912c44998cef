/*
 * A job computes chosen partitions of one dataset with one sink and collects the records that the sink lets through.
 * Here it is a value: options, reference count, results. Jobs are started and cancelled in driver/scheduler.h.
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

struct tide_job;

struct tide_job_options {
    struct tide_rdd *rdd;       /* retained */
    struct tide_op *sink;       /* retained */
    const uint32_t *partitions; /* NULL: all */
    uint32_t npartitions;       /* when partitions is given */
    uint64_t limit;             /* for sink "take" */
    int64_t batch_time;         /* -1 outside a batch */
    /* Called from the loop, never from within tide_scheduler_start; may release the job. */
    void (*done)(struct tide_job *job, void *arg);
    void *arg;
};

struct tide_job *tide_job_retain(struct tide_job *job);
void tide_job_release(struct tide_job *job); /* NULL is fine */

bool tide_job_ended(const struct tide_job *job);
const struct tide_error *tide_job_error(const struct tide_job *job); /* code 0 when it succeeded */
uint32_t tide_job_partitions(const struct tide_job *job);
/* The records of the index-th chosen partition; valid while the job is retained. */
const struct tide_blocks *tide_job_result(const struct tide_job *job, uint32_t index);

#endif
