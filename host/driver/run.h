/*
 * What job.c, run.c and scheduler.c share: the bodies of jobs and runs, and what a run does by itself. A run computes one stage: the last one of a job, the map side
 * of a shuffle, or a persistent dataset.
 *
 * Life of a run: WAITING (for the shuffles and persistent datasets it needs) → ACTIVE (its tasks are with the executor; a range shuffle has two
 * such phases) → ENDED (succeeded, failed or cancelled). It is freed when it has ended and its last task has come back.
 *
 * Tasks whose kept inputs have been given up by the cache meanwhile are `lost`: their partitions are cut again, as a stage of their
 * own, which may have needs like the first one, while the other tasks go on.
 *
 * What was made through a guard (rdd/guard.h) that has left the stage since does not count: a run takes back what tasks of it that
 * have ended made through guards, and what other tasks of that round will make is thrown away when they come back. These partitions are
 * lost, too. What they add to accumulators is held back until nothing can be taken back any more.
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
#include "rdd/arity.h"
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

/* What runs are made with; the scheduler's. */
struct tide_run_means {
    struct tide_plans *plans;
    struct tide_cache *cache;
    double seed;          /* of random numbers in tasks */
    struct tide_op *keep; /* sink of the runs that compute persistent datasets */
};

struct tide_run_lost {
    uint32_t index; /* of the task */
    uint32_t partition;
};

/* What a task that has ended made may be taken back. */
struct tide_run_held {
    uint32_t index, partition;
    struct tide_block *updates; /* or NULL */
};

/* `waiter` can't start before `on` has ended. */
struct tide_run_edge {
    struct tide_run *waiter, *on;
    struct tide_list in_needs;     /* waiter->needs */
    struct tide_list in_needed_by; /* on->needed_by */
};

enum tide_run_state { TIDE_RUN_WAITING, TIDE_RUN_ACTIVE, TIDE_RUN_ENDED };

struct tide_run {
    struct tide_scheduler *scheduler;
    const struct tide_run_means *means;
    enum tide_run_state state;
    uint32_t cancelled;   /* its tasks look at this */
    uint64_t mark;        /* number of the walk that saw it last */
    uint32_t outstanding; /* tasks that have not come back */
    uint32_t todo;        /* tasks of this phase that have not succeeded */
    uint32_t tasks;
    uint32_t lists; /* output lists per task in this phase that go to the cache; 0: a job's, which stay with it */
    bool sampling;  /* first phase of a range shuffle */
    struct tide_arities *arities; /* whether records are single values or pairs, as its tasks say */
    int64_t batch_time;
    uint64_t limit;
    struct tide_job *job;    /* of the last stage, else NULL; one of the two */
    struct tide_rdd *target; /* retained: whose map side this is, or … */
    bool may_lose;           /* some task reads what may be given up */
    bool keeps;              /* … which is computed to be kept: */
    uint32_t *kept;          /* these partitions; NULL: all */
    uint32_t nkept;
    struct tide_rdd *root;      /* retained: of a job, as long as it may have to be cut again */
    struct tide_op *sink;       /* likewise */
    struct tide_stage *stage;   /* until its tasks are made */
    uint32_t next;              /* of its parts: the one to make a task of */
    uint32_t *indexes;          /* which task each of its parts is; NULL: part i is task i */
    struct tide_run_lost *lost; /* to be cut again when the stage is done with */
    uint32_t nlost, lost_slots;
    struct tide_rdd **guards; /* retained: that stages of this round were cut through */
    uint32_t nguards;
    uint32_t round, cut_round;  /* from 1, one more when one of these has left; that in which `stage` was cut */
    struct tide_run_held *held; /* tasks of this round that have ended and were made through guards */
    uint32_t nheld, held_slots;
    uint32_t *numbers;           /* partition number of each task, for the second phase */
    struct tide_cached **made;   /* what each task made, unless it is a job's */
    struct tide_blocks *outputs; /* a job: each task's; sampling: its keys; else NULL */
    struct tide_error doomed;    /* why it can't be computed, known before it starts */
    struct tide_error error;     /* why it fails, while that is being passed on */
    struct tide_list needs;      /* edges to the runs it waits for */
    struct tide_list needed_by;  /* edges to the runs that wait for it */
    struct tide_list link;       /* the scheduler's list of runs */
    struct tide_list queued;     /* in one of the scheduler's work lists */
};

/* ---- run.c ---- */

/* The sink of runs that compute persistent datasets; a new reference. */
struct tide_op *tide_run_keep_op(void);
/* WAITING, in no list. */
struct tide_run *tide_run_new(const struct tide_run_means *means, int64_t batch_time);
/* Lets go of all it has, takes it out of the scheduler's lists unless tasks are outstanding, and tells its target that nobody computes
 * it now. Twice is fine. */
void tide_run_end(struct tide_run *run);
/* Cuts its stage for these partitions of a job (NULL: all). again: see tide_stage_new. */
void tide_run_cut(struct tide_run *run, const uint32_t *partitions, uint32_t count, bool again);
/* Cuts the stage of a run that has a target: all that is to be computed of it. */
void tide_run_cut_target(struct tide_run *run);
/* What its stages are cut from, borrowed; NULL: that is not known any more, because nothing it reads can get lost. */
struct tide_rdd *tide_run_root(const struct tide_run *run);
/* Its stage needs nothing any more: it becomes ACTIVE, if it is not. */
void tide_run_begin(struct tide_run *run);
/* The next task of the stage, to be sent as task *index; what it was to read may be lost: then it comes again with the stage that
 * tide_run_cut_lost makes. NULL: that was the last one, and the stage is gone. */
struct tide_task *tide_run_next(struct tide_run *run, uint32_t *index);
/* Fills in what the task is to know, and where what it makes will be kept. */
void tide_run_prepare(struct tide_run *run, struct tide_task *task, uint32_t index);
/* The task could not be run because something it was to read has been given up. */
void tide_run_lose(struct tide_run *run, uint32_t index, uint32_t partition);
/* Cuts a stage of what is lost; false: there is nothing, or a stage that has not begun: it has to be asked again after that. */
bool tide_run_cut_lost(struct tide_run *run);
/* The task, which has come back, was made through a guard that has left since: what it made or met does not count. */
bool tide_run_outdated(const struct tide_run *run, const struct tide_task *task);
/* What a task that succeeded made may have to be taken back, or counts only if the whole run succeeds: takes what it adds to accumulators.
 * false: it counts for good. */
bool tide_run_hold(struct tide_run *run, struct tide_task *task);
/* If guards have left that its stages were cut through, loses all that was made through guards. */
void tide_run_take_back(struct tide_run *run);
/* What the run computes stands behind a guard. */
bool tide_run_is_guard(const struct tide_run *run);
/* The second phase of a range shuffle: as many tasks again, with nothing made yet. Returns what the first phase has made, the
 * caller's. */
struct tide_cached **tide_run_begin_routing(struct tide_run *run);

/* Edges between runs. */
void tide_run_wait(struct tide_run *waiter, struct tide_run *on);
void tide_run_edge_delete(struct tide_run_edge *edge);
/* The first edge to a run that waits for this one; NULL when nobody does. */
struct tide_run_edge *tide_run_first_waiter(struct tide_run *run);
/* It computes what a stream goes on from in later batches, such as a state, or waits for a run that does. */
bool tide_run_leads_on(struct tide_run *run);
/* Records of two kinds met in one task: who made them is told better by what is known and what the task has reported. */
void tide_run_explain_mix(struct tide_run *run, struct tide_task *task);

/* ---- scheduler.c ---- */

/* Makes the run of a new job and starts what can start. On a closed scheduler the job ends at once. */
void tide_scheduler_admit(struct tide_scheduler *scheduler, struct tide_job *job,
                          const struct tide_job_options *options);
/* Ends a running job with this error (taken); `done` is called from the loop. */
void tide_scheduler_withdraw(struct tide_job *job, struct tide_error *take_err);

#endif
