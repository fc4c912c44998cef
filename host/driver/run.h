/*
 * What job.c and scheduler.c share: the bodies of jobs and runs. A run computes one stage: the last one of a job, the map side
 * of a shuffle, or a persistent dataset.
 *
 * Life of a run: WAITING (for the shuffles and persistent datasets it needs) → ACTIVE (its tasks are with the executor; a range shuffle has two
 * such phases) → ENDED (succeeded, failed or cancelled). It is freed when it has ended and its last task has come back.
 *
 * Tasks whose kept inputs have been given up by the cache meanwhile are `lost`: their partitions are cut again, as a stage of their
 * own, which may have needs like the first one, while the other tasks go on.
 *
 * Thread: driver only; `cancelled` alone is read by workers.
 */
#ifndef TIDE_DRIVER_RUN_H
#define TIDE_DRIVER_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "driver/job.h"
#include "rdd/rdd.h"
#include "rdd/stage.h"
#include "store/block.h"

struct tide_run;

struct tide_job {
    uint32_t refs;
    bool ended;
    struct tide_scheduler *scheduler; /* NULL once `done` was called */
    struct tide_run *run;             /* NULL once ended */
    struct tide_list link;            /* scheduler's running jobs, then its ended ones */
    struct tide_blocks *results;      /* one list per chosen partition */
    uint32_t partitions;
    struct tide_error error;
    void (*done)(struct tide_job *job, void *arg);
    void *arg;
};

struct tide_run_lost {
    uint32_t index; /* of the task */
    uint32_t partition;
};

enum tide_run_state { TIDE_RUN_WAITING, TIDE_RUN_ACTIVE, TIDE_RUN_ENDED };

struct tide_run {
    struct tide_scheduler *scheduler;
    enum tide_run_state state;
    uint32_t cancelled;   /* its tasks look at this */
    uint32_t outstanding; /* tasks that have not come back */
    uint32_t todo;        /* tasks of this phase that have not succeeded */
    uint32_t tasks;
    uint32_t lists; /* output lists per task in this phase that go to the cache; 0: a job's, which stay with it */
    bool sampling;  /* first phase of a range shuffle */
    uint32_t arity; /* of the records, as the first task told that knew; 0 before */
    uint32_t arity_partition;
    int64_t batch_time;
    uint64_t limit;
    struct tide_job *job;        /* of the last stage, else NULL; one of the two */
    struct tide_rdd *target;     /* retained: whose map side this is, or … */
    bool may_lose;               /* some task reads what may be given up */
    bool keeps;                  /* … which is computed to be kept: */
    uint32_t *kept;              /* these partitions; NULL: all */
    uint32_t nkept;
    struct tide_rdd *root;       /* retained: of a job, as long as it may have to be cut again */
    struct tide_op *sink;        /* likewise */
    struct tide_stage *stage;    /* until its tasks are made */
    uint32_t *indexes;           /* which task each of its parts is; NULL: part i is task i */
    struct tide_run_lost *lost;  /* to be cut again when the stage is done with */
    uint32_t nlost, lost_slots;
    uint32_t *numbers;           /* partition number of each task, for the second phase */
    struct tide_cached **made;   /* what each task made, unless it is a job's */
    struct tide_blocks *outputs; /* a job: each task's; sampling: its keys; else NULL */
    struct tide_error error;     /* why it fails, while that is being passed on */
    struct tide_list needs;      /* edges to the runs it waits for */
    struct tide_list needed_by;  /* edges to the runs that wait for it */
    struct tide_list link;       /* the scheduler's list of runs */
    struct tide_list queued;     /* in one of the scheduler's work lists */
};

/* Makes the run of a new job and starts what can start. On a closed scheduler the job ends at once. */
void tide_scheduler_admit(struct tide_scheduler *scheduler, struct tide_job *job,
                          const struct tide_job_options *options);
/* Ends a running job with this error (taken); `done` is called from the loop. */
void tide_scheduler_withdraw(struct tide_job *job, struct tide_error *take_err);

#endif
