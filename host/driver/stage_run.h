/*
 * One execution of a stage by the scheduler (a run): the last stage of a job, the map side of a shuffle, or a
 * persistent dataset. A run cuts its stage, makes tasks of it, and keeps account of their results and of what was
 * lost. The order of runs, and sending tasks, is the scheduler's (driver/scheduler.c), its only caller.
 *
 * Life cycle: WAITING (for the shuffles and persistent datasets it needs) → ACTIVE (tasks are with the executor; a
 * range shuffle has two such phases) → ENDED (succeeded, failed or cancelled). The memory is freed when the run has
 * ended and its last task has come back.
 *
 * A task is lost if the cache has dropped a cached input of it: its partition is cut again, as a stage of its own,
 * which may have needs like the first one. The other tasks continue.
 *
 * Records made through a guard (rdd/guard.h) that has left the stage since do not count. The run takes back the
 * results of such tasks; those still running are discarded when they come back. Their partitions are lost too. Their
 * accumulator updates are held until nothing can be taken back any more.
 *
 * Thread: driver only; `cancelled` alone is read by workers.
 */
#ifndef TIDE_DRIVER_STAGE_RUN_H
#define TIDE_DRIVER_STAGE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/list.h"
#include "driver/job.h"
#include "rdd/arity.h"
#include "rdd/rdd.h"
#include "rdd/stage.h"
#include "store/block.h"

struct tide_scheduler;
struct tide_stage_run_own;

/* What runs are made with; owned by the scheduler. */
struct tide_stage_run_resources {
    struct tide_plans *plans;
    struct tide_cache *cache;
    double seed;              /* of random numbers in tasks */
    struct tide_op *cache_op; /* sink of the runs that compute persistent datasets */
};

struct tide_stage_run;

/* `waiter` can't start before `on` has ended. */
struct tide_stage_run_edge {
    struct tide_stage_run *waiter, *on;
    struct tide_list in_needs;     /* waiter->needs */
    struct tide_list in_needed_by; /* on->needed_by */
};

enum tide_stage_run_state { TIDE_STAGE_RUN_WAITING, TIDE_STAGE_RUN_ACTIVE, TIDE_STAGE_RUN_ENDED };

/* The part that the scheduler works with; the rest is private to stage_run.c. */
struct tide_stage_run {
    struct tide_scheduler *scheduler;
    enum tide_stage_run_state state;
    uint32_t cancelled;   /* read by its tasks */
    uint32_t outstanding; /* tasks that have not come back */
    uint32_t tasks;
    bool sampling;                /* first phase of a range shuffle */
    bool caches;                  /* `target` is computed to be cached; else `target` is a shuffle */
    struct tide_job *job;         /* whose last stage this is; else NULL */
    struct tide_rdd *target;      /* retained: persistent dataset or shuffle; NULL: a job's run */
    struct tide_stage *stage;     /* until its tasks are made */
    struct tide_arities *arities; /* whether records are single values or pairs, as its tasks say */
    int64_t batch_time;
    struct tide_error doomed;       /* why it can't be computed, known before it starts */
    struct tide_error error;        /* why it fails, while the failure is passed on */
    struct tide_list needs;         /* edges to the runs it waits for */
    struct tide_list link;          /* the scheduler's list of runs */
    struct tide_list queued;        /* in one of the scheduler's work lists */
    struct tide_stage_run_own *own; /* private; NULL when ENDED */
};

/* The sink of runs that compute persistent datasets; a new reference. */
struct tide_op *tide_stage_run_cache_op(void);

/* The run of a job's last stage, or of a dataset that a stage needs (see tide_stage). WAITING, in no list. */
struct tide_stage_run *tide_stage_run_for_job(const struct tide_stage_run_resources *resources, struct tide_job *job,
                                              const struct tide_job_options *options);
struct tide_stage_run *tide_stage_run_for_need(const struct tide_stage_run_resources *resources,
                                               const struct tide_stage_need *need, int64_t batch_time);
/* Releases everything it has, removes it from the scheduler's lists unless tasks are outstanding, and clears the mark
 * that its target is being computed. Twice is fine. The memory itself is the caller's to free. */
void tide_stage_run_end(struct tide_stage_run *run);

/* Cuts its stage for these partitions of a job (NULL: all). */
void tide_stage_run_cut(struct tide_stage_run *run, const uint32_t *partitions, uint32_t count);
/* Cuts the stage of a run that has a target: all partitions that are to be computed. */
void tide_stage_run_cut_target(struct tide_stage_run *run);
/* What its stages are cut from, borrowed; NULL: forgotten, because no input of it can get lost. */
struct tide_rdd *tide_stage_run_root(const struct tide_stage_run *run);

/* All needs of its stage are computed: it becomes ACTIVE, if it is not. */
void tide_stage_run_begin(struct tide_stage_run *run);
/* The next task of the stage, to be sent as task *index; a task whose input is lost comes again with the stage that
 * tide_stage_run_cut_lost makes. NULL: that was the last one, and the stage is gone. */
struct tide_task *tide_stage_run_next(struct tide_stage_run *run, uint32_t *index);
/* Fills in the surroundings of the task, and where its results will be cached. */
void tide_stage_run_prepare(struct tide_stage_run *run, struct tide_task *task, uint32_t index);
/* The second phase of a range shuffle: bounds from the sampled keys, and one task for each of the first phase, which
 * read the results of that. A heap array of run->tasks tasks, or NULL and an error. */
struct tide_task **tide_stage_run_route(struct tide_stage_run *run, struct tide_error *err);

/* Takes the results of a task that has succeeded. true: all tasks of this phase have. */
bool tide_stage_run_accept(struct tide_stage_run *run, struct tide_task *task);
/* All have: moves the results to the job's, one list per partition. */
void tide_stage_run_collect(struct tide_stage_run *run, struct tide_blocks *results);
/* All have: caches the target, or settles it as a shuffle. */
void tide_stage_run_settle(struct tide_stage_run *run);

/* The task of this partition could not run, because an input of it is lost. */
void tide_stage_run_lose(struct tide_stage_run *run, uint32_t index, uint32_t partition);
/* Whether partitions are lost and a stage of them can be cut now (no other stage is in progress). */
bool tide_stage_run_has_lost(const struct tide_stage_run *run);
/* Cuts that stage; false: tide_stage_run_has_lost is false. */
bool tide_stage_run_cut_lost(struct tide_stage_run *run);

/* The task, which has come back, was made through a guard that has left since: its results do not count. */
bool tide_stage_run_outdated(const struct tide_stage_run *run, const struct tide_task *task);
/* The results of a task that succeeded may have to be taken back, or count only if the whole run succeeds: takes its
 * accumulator updates. false: they count for good. */
bool tide_stage_run_hold(struct tide_stage_run *run, struct tide_task *task);
/* Nothing is taken back any more: passes on the updates that were held; `tell` takes the block. */
void tide_stage_run_tell_held(struct tide_stage_run *run, void (*tell)(struct tide_block *take, void *arg),
                              void *arg);
/* If guards have left that its stages were cut through, loses everything that was made through guards. */
void tide_stage_run_take_back(struct tide_stage_run *run);
/* Whether the run computes the dataset behind a guard. */
bool tide_stage_run_is_guard(const struct tide_stage_run *run);
/* Sets the guards apart whose records are computed in its stage. false: there are none. */
bool tide_stage_run_set_apart(struct tide_stage_run *run);

/* Edges between runs. */
void tide_stage_run_wait(struct tide_stage_run *waiter, struct tide_stage_run *on);
void tide_stage_run_edge_delete(struct tide_stage_run_edge *edge);
/* The first edge to a run that waits for this one; NULL: none. */
struct tide_stage_run_edge *tide_stage_run_first_waiter(struct tide_stage_run *run);
/* Whether it computes a dataset from which later batches are made, such as a state, or waits for a run that does. */
bool tide_stage_run_computes_base(struct tide_stage_run *run);

/* Single values and pairs met in one task: replaces the error by one that names the operators, from what is known and
 * what the task has reported. */
void tide_stage_run_explain_mix(struct tide_stage_run *run, struct tide_task *task);

#endif
