/*
 * The body of struct tide_job, for job.c and for the scheduler, which starts, runs and ends jobs. Others see job.h.
 *
 * Thread: driver only.
 */
#ifndef TIDE_DRIVER_JOB_BODY_H
#define TIDE_DRIVER_JOB_BODY_H

#include "base/list.h"
#include "driver/job.h"

struct tide_scheduler;
struct tide_stage_run;

struct tide_job {
    uint32_t refs;
    bool ended;
    struct tide_scheduler *scheduler; /* NULL once `done` was called */
    struct tide_stage_run *run;       /* of its last stage; NULL once ended */
    struct tide_list link;            /* scheduler's running jobs, then its ended ones */
    struct tide_blocks *results;      /* one list per chosen partition */
    uint32_t partitions;
    struct tide_error error;
    void (*done)(struct tide_job *job, void *arg);
    void *arg;
};

/* Reference count 2: one for the caller, one for the scheduler. */
struct tide_job *tide_job_new(struct tide_scheduler *scheduler, const struct tide_job_options *options);

#endif
