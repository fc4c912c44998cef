/*
 * From jobs to tasks and back.
 *
 * The last stage of a job is a run (driver/stage_run.h). Every shuffle and persistent dataset that it needs and that
 * is not computed yet is a run too, with an edge from the run that waits to the run it waits for. A run that waits
 * for nothing sends all its tasks to the executor, whose queue serves all jobs first come first served. Tasks come
 * back one by one through the inbox (on_task).
 *
 * Everything that could go deep (chains of shuffles, failures passed on from run to run) goes through work lists. The
 * `done` callbacks run from the loop only, when the scheduler's own state is in order, and may start, cancel and
 * release jobs as they like.
 *
 * Driver thread.
 */
#include "driver/scheduler.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/log.h"
#include "driver/job_body.h"
#include "driver/stage_run.h"
#include "rdd/guard.h"
#include "rdd/node.h"
#include "rdd/plans.h"
#include "rdd/stage.h"

struct tide_scheduler {
    struct tide_executor executor;
    struct tide_inbox *inbox;
    struct tide_stage_run_resources resources;
    struct tide_list runs;  /* not freed yet */
    struct tide_list ready; /* runs that wait for nothing, to be sent to the executor */
    struct tide_list jobs;  /* running */
    struct tide_list ended; /* jobs whose `done` is to be called */
    uint32_t job_count;     /* running or not reported yet */
    uint32_t max_failures;  /* of one task */
    void (*updated)(struct tide_block *take, void *arg);
    void *updated_arg;
    struct tide_guard_watch watch;
    bool closed;
    bool reporting;   /* report_ended is running, further up the stack */
    bool woken;       /* `wake` is in the inbox */
    bool losses;      /* some guard has been lost */
    bool guards_left; /* a guard was set apart or lost: runs may have to take back results made through it */
    struct tide_message wake;
};

static void on_task(struct tide_message *message, void *owner);

/* ---- Runs --------------------------------------------------------------------------------------------------- */

static struct tide_stage_run *run_add(struct tide_scheduler *scheduler, struct tide_stage_run *run) {
    run->scheduler = scheduler;
    tide_list_push(&scheduler->runs, &run->link);
    return run;
}

/* Releases everything except what running tasks still read, and frees the run when no task is outstanding. */
static void run_end(struct tide_stage_run *run) {
    tide_stage_run_end(run);
    if (run->outstanding == 0) tide_free(run);
}

/* The run that computes this now; a new one joins `fresh`, its stage still to be cut. */
static struct tide_stage_run *needed_run(struct tide_scheduler *scheduler, const struct tide_stage_need *need,
                                         int64_t batch_time, struct tide_list *fresh) {
    struct tide_stage_run *run = need->cached ? need->rdd->caching : need->rdd->as.shuffle.running;

    if (run) return run;
    run = run_add(scheduler, tide_stage_run_for_need(&scheduler->resources, need, batch_time));
    tide_list_push(fresh, &run->queued);
    return run;
}

/* Before a stage is cut: if datasets that it needs are lost, either the guards above them are lost too, or the run
 * can't be computed. Costs a walk of the lineage once something was lost, nothing before. */
static void look_for_losses(struct tide_stage_run *run) {
    struct tide_rdd *root = tide_stage_run_root(run);
    struct tide_error why = {0};
    const struct tide_rdd *missing;
    bool lost = true;

    while (run->scheduler->losses && root && lost && run->doomed.code == TIDE_OK &&
           (missing = tide_guards_missing(root, run->caches, &why))) {
        lost = tide_guards_lose(root, run->caches, missing, &why, &run->scheduler->watch);
        run->scheduler->guards_left = true;
        if (!lost) tide_error_copy(&run->doomed, &why);
        tide_error_clear(&why);
    }
}

/* The stage of `run` has been cut: ties it to the runs it needs, or makes it ready. */
static void run_tie(struct tide_stage_run *run, struct tide_list *fresh) {
    struct tide_scheduler *scheduler = run->scheduler;

    for (uint32_t i = 0; i < run->stage->nneeds; i++) {
        const struct tide_stage_need *need = &run->stage->needs[i];

        tide_stage_run_wait(run, needed_run(scheduler, need, need->time >= 0 ? need->time : run->batch_time, fresh));
    }
    if (tide_list_empty(&run->needs)) tide_list_push(&scheduler->ready, &run->queued);
}

/* The same for `run` and every run it turns out to need. */
static void run_tie_all(struct tide_stage_run *run) {
    struct tide_list fresh;
    struct tide_list *link;

    tide_list_create(&fresh);
    run_tie(run, &fresh);
    while ((link = tide_list_pop(&fresh))) {
        struct tide_stage_run *next = TIDE_CONTAINER_OF(link, struct tide_stage_run, queued);

        look_for_losses(next);
        tide_stage_run_cut_target(next);
        run_tie(next, &fresh);
    }
}

/* ---- Sending tasks ------------------------------------------------------------------------------------------ */

static void submit(struct tide_stage_run *run, struct tide_task *task, uint32_t index) {
    tide_stage_run_prepare(run, task, index);
    task->message.deliver = on_task;
    run->outstanding++;
    run->scheduler->executor.submit(run->scheduler->executor.self, task);
}

/* Cuts a stage of the partitions that are lost; it starts when its needs are computed. */
static void run_again(struct tide_stage_run *run) {
    if (tide_stage_run_has_lost(run)) look_for_losses(run);
    if (tide_stage_run_cut_lost(run)) run_tie_all(run);
}

/* Second phase of a range shuffle. */
static int run_route(struct tide_stage_run *run, struct tide_error *err) {
    struct tide_task **tasks = tide_stage_run_route(run, err);

    if (!tasks) return err->code;
    for (uint32_t i = 0; i < run->tasks; i++) submit(run, tasks[i], i);
    tide_free(tasks);
    return TIDE_OK;
}

/* ---- Accumulators ------------------------------------------------------------------------------------------- */

/* Passes the updates of a task that succeeded to the script. */
static void tell_updates(struct tide_block *take, void *arg) {
    struct tide_scheduler *scheduler = arg;

    if (!take) return;
    if (scheduler->updated) scheduler->updated(take, scheduler->updated_arg);
    else tide_block_release(take);
}

static void tell_held(struct tide_stage_run *run) { tide_stage_run_tell_held(run, tell_updates, run->scheduler); }

/* ---- Ending ------------------------------------------------------------------------------------------------- */

/* The job is over; `done` is called by report_ended. */
static void job_end(struct tide_job *job, struct tide_error *take_err) {
    job->run = NULL;
    job->ended = true;
    tide_error_move(&job->error, take_err);
    tide_list_remove(&job->link);
    tide_list_push(&job->scheduler->ended, &job->link);
}

/* All tasks have succeeded. */
static void run_succeed(struct tide_stage_run *run) {
    struct tide_scheduler *scheduler = run->scheduler;
    struct tide_stage_run_edge *edge;

    tell_held(run);
    if (run->job) {
        struct tide_error none = {0};

        tide_stage_run_collect(run, run->job->results);
        job_end(run->job, &none);
    } else {
        tide_stage_run_settle(run);
    }
    while ((edge = tide_stage_run_first_waiter(run))) {
        struct tide_stage_run *waiter = edge->waiter;

        tide_stage_run_edge_delete(edge);
        if (tide_list_empty(&waiter->needs)) tide_list_push(&scheduler->ready, &waiter->queued);
    }
    run_end(run);
}

/* Puts a run on the list of those that fail, with its own copy of the reason. */
static void fail_later(struct tide_stage_run *run, const struct tide_error *err, struct tide_list *failing) {
    tide_error_copy(&run->error, err);
    tide_list_remove(&run->queued);
    tide_list_push(failing, &run->queued);
}

/* `needed` can't be computed: if it is behind guards, they are lost, and the run continues without it. */
static bool continues_without(struct tide_stage_run *run, struct tide_rdd *needed, const struct tide_error *err) {
    struct tide_rdd *root = tide_stage_run_root(run);

    if (err->code == TIDE_ECANCELLED || !root) return false;
    run->scheduler->guards_left = true;
    return tide_guards_lose(root, run->caches, needed, err, &run->scheduler->watch);
}

/* Fails the runs that only this one needs. all: also those from whose datasets later batches are made. */
static void abandon_needs(struct tide_stage_run *run, bool all, struct tide_list *failing) {
    struct tide_error gone = {0};
    struct tide_list *link = run->needs.next;

    tide_error_set(&gone, TIDE_ECANCELLED, "no job needs it any more");
    while (link != &run->needs) {
        struct tide_stage_run_edge *edge = TIDE_CONTAINER_OF(link, struct tide_stage_run_edge, in_needs);
        struct tide_stage_run *on = edge->on;

        link = link->next;
        if (!all && tide_stage_run_computes_base(on)) continue;
        tide_stage_run_edge_delete(edge);
        if (!tide_stage_run_first_waiter(on) && on->error.code == TIDE_OK) fail_later(on, &gone, failing);
    }
    tide_error_clear(&gone);
}

/* The run can't be computed because a run that it waited for has failed. A state that it waits for too is computed
 * all the same: the next batch has to know whether it is made from that one or from the one before. */
static void doom(struct tide_stage_run *run, const struct tide_error *err, struct tide_list *failing) {
    if (run->doomed.code == TIDE_OK) tide_error_copy(&run->doomed, err);
    abandon_needs(run, err->code == TIDE_ECANCELLED, failing);
    if (tide_list_empty(&run->needs)) fail_later(run, &run->doomed, failing);
}

/* The run has failed. The runs that wait for it fail with the same error, except those that can continue without its
 * target. */
static void pass_on(struct tide_stage_run *run, struct tide_list *failing) {
    struct tide_scheduler *scheduler = run->scheduler;
    struct tide_stage_run_edge *edge;
    bool cancelled = run->error.code == TIDE_ECANCELLED, guard = tide_stage_run_is_guard(run);

    if (run->caches && !cancelled) run->target->failed = true;
    if (!cancelled) scheduler->losses = scheduler->guards_left = true;
    if (guard && !cancelled) tide_guard_lose(run->target, &run->error, &scheduler->watch);
    while ((edge = tide_stage_run_first_waiter(run))) {
        struct tide_stage_run *waiter = edge->waiter;

        tide_stage_run_edge_delete(edge);
        if (waiter->error.code != TIDE_OK) continue;
        if (cancelled || !((guard && run->target->lost) || continues_without(waiter, run->target, &run->error)))
            doom(waiter, &run->error, failing);
        else if (tide_list_empty(&waiter->needs)) tide_list_push(&scheduler->ready, &waiter->queued);
    }
}

/* Ends a run with an error, and every run that needs it with the same error. Runs that only these need are cancelled.
 * Tasks that are running are asked to stop; they are discarded when they come back. */
static void run_fail(struct tide_stage_run *run, struct tide_error *take_err) {
    struct tide_list failing;
    struct tide_list *link;

    tide_list_create(&failing);
    fail_later(run, take_err, &failing);
    tide_error_clear(take_err);

    while ((link = tide_list_pop(&failing))) {
        struct tide_stage_run *next = TIDE_CONTAINER_OF(link, struct tide_stage_run, queued);

        __atomic_store_n(&next->cancelled, 1, __ATOMIC_RELAXED);
        if (!tide_stage_run_is_guard(next)) tell_held(next); /* a guarded dataset that is left out adds nothing */
        pass_on(next, &failing);
        abandon_needs(next, true, &failing);
        if (next->job) job_end(next->job, &next->error);
        run_end(next);
    }
}

/* ---- Tasks coming back -------------------------------------------------------------------------------------- */

/* Trying the task again can't help. If the failure may come from guarded datasets, these are set apart; else the run
 * fails. */
static void blame(struct tide_stage_run *run, struct tide_task *task) {
    if (task->error.code != TIDE_ECANCELLED && tide_stage_run_set_apart(run)) {
        run->scheduler->guards_left = true;
        tide_stage_run_lose(run, task->index, task->work.partition);
        return;
    }
    run_fail(run, &task->error);
}

/* Its partition is computed again. */
static void task_lost(struct tide_stage_run *run, const struct tide_task *task) {
    tide_stage_run_lose(run, task->index, task->work.partition);
    run_again(run);
}

/* Decides what a failed task means: it is tried again from its inputs, or the run fails with the task's error. A
 * cancelled task is not tried again. */
static void task_failed(struct tide_stage_run *run, struct tide_task *task) {
    uint32_t most = run->scheduler->max_failures, attempt = task->attempt + 1;

    if (task->error.code == TIDE_ELOST && tide_stage_run_root(run)) { /* does not count as a failure */
        task_lost(run, task);
        return;
    }
    if (task->error.code == TIDE_EMIXED) {
        tide_stage_run_explain_mix(run, task);
        blame(run, task);
        return;
    }
    if (attempt < most && task->error.code != TIDE_ECANCELLED) {
        tide_log(TIDE_LOG_WARN, "task", "%s\n  attempt %u of %u; it is tried again", task->error.text, attempt, most);
        submit(run, tide_task_again(task), task->index);
        return;
    }
    if (most > 1 && task->error.code != TIDE_ECANCELLED) {
        struct tide_error err = {0};

        tide_error_set(&err, task->error.code, "%s\n  attempt %u of %u", task->error.text, attempt, most);
        tide_error_clear(&task->error);
        tide_error_move(&task->error, &err);
    }
    blame(run, task);
}

/* All tasks of the last phase have succeeded: so does the run, unless single values and pairs were mixed. */
static void run_finish(struct tide_stage_run *run) {
    struct tide_error err = {0};

    if (tide_arities_settle(run->arities, &err) == TIDE_OK) run_succeed(run);
    else run_fail(run, &err);
}

static void task_succeeded(struct tide_stage_run *run, struct tide_task *task) {
    struct tide_error err = {0};

    if (tide_arities_hear(run->arities, task, &task->error) != TIDE_OK) {
        blame(run, task);
        return;
    }
    tide_task_count(task);
    if (!tide_stage_run_hold(run, task)) tell_updates(task->work.updates, run->scheduler);
    task->work.updates = NULL;
    if (!tide_stage_run_accept(run, task)) return;
    if (run->sampling) tell_held(run);
    if (!run->sampling) run_finish(run);
    else if (run_route(run, &err) != TIDE_OK) run_fail(run, &err);
}

/* Sends the tasks of a run that waits for nothing. The stage is no longer needed then; each task owns its inputs. */
static void run_start(struct tide_stage_run *run) {
    struct tide_error err = {0};
    struct tide_task *task;
    uint32_t index;

    tide_stage_run_begin(run);
    if (tide_arities_check(run->arities, &err) != TIDE_OK) {
        run_fail(run, &err);
        return;
    }
    while ((task = tide_stage_run_next(run, &index))) submit(run, task, index);
    run_again(run);
    if (run->tasks == 0) run_finish(run);
}

/* Guards have been set apart or lost: results made through them do not count, and are computed again. */
static void take_back(struct tide_scheduler *scheduler) {
    while (scheduler->guards_left) {
        scheduler->guards_left = false;
        for (struct tide_list *link = scheduler->runs.next; link != &scheduler->runs; link = link->next) {
            struct tide_stage_run *run = TIDE_CONTAINER_OF(link, struct tide_stage_run, link);

            if (run->state == TIDE_STAGE_RUN_ENDED) continue;
            tide_stage_run_take_back(run);
            run_again(run);
        }
    }
}

static struct tide_list *next_ready(struct tide_scheduler *scheduler) {
    take_back(scheduler);
    return tide_list_pop(&scheduler->ready);
}

/* Starts the runs that are ready. A run without partitions succeeds on the spot and may make others ready. */
static void start_ready(struct tide_scheduler *scheduler) {
    struct tide_list *link;

    while ((link = next_ready(scheduler))) {
        struct tide_stage_run *run = TIDE_CONTAINER_OF(link, struct tide_stage_run, queued);

        if (run->doomed.code != TIDE_OK) {
            run_fail(run, &run->doomed);
            continue;
        }
        run_start(run);
    }
}

static void report_ended(struct tide_scheduler *scheduler) {
    struct tide_list *link;

    if (scheduler->reporting) return;
    scheduler->reporting = true;
    while ((link = tide_list_pop(&scheduler->ended))) {
        struct tide_job *job = TIDE_CONTAINER_OF(link, struct tide_job, link);

        scheduler->job_count--;
        job->scheduler = NULL;
        if (job->done) job->done(job, job->arg);
        tide_job_release(job);
    }
    scheduler->reporting = false;
}

static void on_wake(struct tide_message *message, void *owner) {
    struct tide_scheduler *scheduler = TIDE_CONTAINER_OF(message, struct tide_scheduler, wake);

    scheduler->woken = false;
    if (owner) report_ended(scheduler);
}

/* A public function that the loop did not call may have ended jobs: they are reported from the loop. */
static void report_later(struct tide_scheduler *scheduler) {
    if (scheduler->woken || scheduler->reporting || tide_list_empty(&scheduler->ended)) return;
    scheduler->woken = true;
    scheduler->wake.deliver = on_wake;
    tide_inbox_post(scheduler->inbox, &scheduler->wake);
}

static void on_task(struct tide_message *message, void *owner) {
    struct tide_task *task = TIDE_CONTAINER_OF(message, struct tide_task, message);
    struct tide_stage_run *run = task->owner;

    if (!owner) { /* the engine is gone; this may be another thread */
        tide_task_delete(task);
        return;
    }

    struct tide_scheduler *scheduler = run->scheduler;

    run->outstanding--;
    if (run->state == TIDE_STAGE_RUN_ENDED) run_end(run);
    else if (tide_stage_run_outdated(run, task)) task_lost(run, task);
    else if (task->error.code != TIDE_OK) task_failed(run, task);
    else task_succeeded(run, task);
    tide_task_delete(task);
    start_ready(scheduler);
    report_ended(scheduler);
}

/* ---- Jobs --------------------------------------------------------------------------------------------------- */

/* Makes the run of a new job and starts what can start. */
static void admit(struct tide_scheduler *scheduler, struct tide_job *job, const struct tide_job_options *options) {
    struct tide_stage_run *run = run_add(scheduler, tide_stage_run_for_job(&scheduler->resources, job, options));

    job->run = run;
    tide_list_push(&scheduler->jobs, &job->link);
    look_for_losses(run);
    tide_stage_run_cut(run, options->partitions, options->npartitions);
    run_tie_all(run);
    start_ready(scheduler);
}

struct tide_job *tide_scheduler_start(struct tide_scheduler *scheduler, const struct tide_job_options *options) {
    struct tide_job *job = tide_job_new(scheduler, options);

    scheduler->job_count++;
    if (scheduler->closed) {
        struct tide_error err = {0};

        tide_error_set(&err, TIDE_ECANCELLED, "the job was cancelled: the engine is closing");
        job_end(job, &err);
    } else {
        admit(scheduler, job, options);
    }
    report_later(scheduler);
    return job;
}

void tide_scheduler_cancel(struct tide_job *job) {
    struct tide_error err = {0};

    if (job->ended) return;

    struct tide_scheduler *scheduler = job->scheduler;

    tide_error_set(&err, TIDE_ECANCELLED, "the job was cancelled");
    run_fail(job->run, &err);
    report_later(scheduler);
}

/* ---- Life --------------------------------------------------------------------------------------------------- */

struct tide_scheduler *tide_scheduler_new(const struct tide_executor *executor, struct tide_cache *cache,
                                          struct tide_inbox *inbox) {
    struct tide_scheduler *scheduler = tide_xcalloc(1, sizeof *scheduler);

    scheduler->executor = *executor;
    scheduler->resources.cache = tide_cache_retain(cache);
    scheduler->inbox = inbox;
    scheduler->max_failures = 1;
    scheduler->resources.plans = tide_plans_new();
    scheduler->resources.cache_op = tide_stage_run_cache_op();
    tide_list_create(&scheduler->runs);
    tide_list_create(&scheduler->ready);
    tide_list_create(&scheduler->jobs);
    tide_list_create(&scheduler->ended);
    return scheduler;
}

void tide_scheduler_set_max_failures(struct tide_scheduler *scheduler, uint32_t max_failures) {
    assert(max_failures >= 1);
    scheduler->max_failures = max_failures;
}

void tide_scheduler_set_seed(struct tide_scheduler *scheduler, double seed) { scheduler->resources.seed = seed; }

void tide_scheduler_on_updates(struct tide_scheduler *scheduler, void (*updated)(struct tide_block *take, void *arg),
                               void *arg) {
    scheduler->updated = updated;
    scheduler->updated_arg = arg;
}

void tide_scheduler_on_lost(struct tide_scheduler *scheduler,
                            void (*lost)(void *owner, int64_t time, const struct tide_error *err, void *arg),
                            void *arg) {
    scheduler->watch = (struct tide_guard_watch){.lost = lost, .arg = arg};
}

void tide_scheduler_close(struct tide_scheduler *scheduler) {
    scheduler->closed = true;
    while (!tide_list_empty(&scheduler->jobs)) {
        struct tide_error err = {0};

        tide_error_set(&err, TIDE_ECANCELLED, "the job was cancelled: the engine is closing");
        run_fail(TIDE_CONTAINER_OF(scheduler->jobs.next, struct tide_job, link)->run, &err);
    }
    report_ended(scheduler);
}

uint32_t tide_scheduler_delete(struct tide_scheduler *scheduler) {
    uint32_t lost = 0;
    struct tide_list *link;

    if (!scheduler) return 0;
    assert(scheduler->closed);
    report_ended(scheduler);
    /* Runs that are left have tasks running, which still read `cancelled`: they are not freed. */
    while ((link = tide_list_pop(&scheduler->runs)))
        lost += TIDE_CONTAINER_OF(link, struct tide_stage_run, link)->outstanding;
    tide_plans_delete(scheduler->resources.plans);
    tide_op_release(scheduler->resources.cache_op);
    tide_cache_release(scheduler->resources.cache);
    tide_free(scheduler);
    return lost;
}

uint32_t tide_scheduler_jobs(const struct tide_scheduler *scheduler) { return scheduler->job_count; }
