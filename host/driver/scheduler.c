/*
 * From jobs to tasks and back.
 *
 * A job's last stage is a run; every shuffle and persistent dataset it needs and nobody has computed yet is a run too, with an
 * edge from the one that waits to the one it waits for. A run that waits for nothing sends its tasks to the executor, all at once; the executor's
 * queue makes it first come first served among all jobs. Tasks come back one by one through the inbox (on_task).
 *
 * Everything that could go deep (chains of shuffles, failures passed on from run to run) goes through work lists. The
 * `done` callbacks run when the scheduler's own state is in order, from the loop only, and may start, cancel and release
 * jobs as they like.
 *
 * Driver thread.
 */
#include "driver/scheduler.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/log.h"
#include "driver/run.h"
#include "rdd/guard.h"
#include "rdd/node.h"
#include "rdd/plans.h"
#include "rdd/range.h"
#include "rdd/stage.h"

struct tide_scheduler {
    struct tide_executor executor;
    struct tide_inbox *inbox;
    struct tide_run_means means;
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
    bool reporting;   /* report_ended is at work further up the stack */
    bool woken;       /* `wake` is in the inbox */
    bool losses;      /* some guard has been lost */
    bool guards_left; /* a guard was set apart or lost, and runs may have to take back what they made through it */
    struct tide_message wake;
};

static void on_task(struct tide_message *message, void *owner);

/* ---- Runs ----------------------------------------------------------------------------------------------------- */

static struct tide_run *run_new(struct tide_scheduler *scheduler, int64_t batch_time) {
    struct tide_run *run = tide_run_new(&scheduler->means, batch_time);

    run->scheduler = scheduler;
    tide_list_push(&scheduler->runs, &run->link);
    return run;
}

/* Frees what a run does not need to wait for its last tasks, and the run itself when there are none. */
static void run_end(struct tide_run *run) {
    tide_run_end(run);
    if (run->outstanding == 0) tide_free(run);
}

/* The run that computes this now; a new one joins `fresh`, its stage still to be cut. */
static struct tide_run *needed_run(struct tide_scheduler *scheduler, const struct tide_stage_need *need,
                                   int64_t batch_time, struct tide_list *fresh) {
    void **running = need->kept ? &need->rdd->keeping : &need->rdd->as.shuffle.running;
    struct tide_run *run = *running;

    if (run) return run;
    run = run_new(scheduler, batch_time);
    run->target = tide_rdd_retain(need->rdd);
    run->keeps = need->kept;
    if (need->rdd->kind == TIDE_RDD_GUARD) run->batch_time = need->rdd->as.guard.time;
    *running = run;
    tide_list_push(fresh, &run->queued);
    return run;
}

/* Looks for what was lost before its stage is cut: perhaps guards above that are lost with it, perhaps the run can't be computed. Costs
 * a walk once something was lost, nothing before. */
static void look_for_losses(struct tide_run *run) {
    struct tide_rdd *root = tide_run_root(run);
    struct tide_error why = {0};
    const struct tide_rdd *missing;
    bool lost = true;

    while (run->scheduler->losses && root && lost && run->doomed.code == TIDE_OK &&
           (missing = tide_guards_missing(root, run->keeps, &why))) {
        lost = tide_guards_lose(root, run->keeps, missing, &why, &run->scheduler->watch);
        run->scheduler->guards_left = true;
        if (!lost) tide_error_copy(&run->doomed, &why);
        tide_error_clear(&why);
    }
}

/* The stage of `run` has been cut: ties it to the runs it needs, or makes it ready. */
static void run_tie(struct tide_run *run, struct tide_list *fresh) {
    struct tide_scheduler *scheduler = run->scheduler;

    for (uint32_t i = 0; i < run->stage->nneeds; i++) {
        const struct tide_stage_need *need = &run->stage->needs[i];

        tide_run_wait(run, needed_run(scheduler, need, need->time >= 0 ? need->time : run->batch_time, fresh));
    }
    if (tide_list_empty(&run->needs)) tide_list_push(&scheduler->ready, &run->queued);
}

/* The same for `run` and every run it turns out to need. */
static void run_tie_all(struct tide_run *run) {
    struct tide_list fresh;
    struct tide_list *link;

    tide_list_create(&fresh);
    run_tie(run, &fresh);
    while ((link = tide_list_pop(&fresh))) {
        struct tide_run *next = TIDE_CONTAINER_OF(link, struct tide_run, queued);

        look_for_losses(next);
        tide_run_cut_target(next);
        run_tie(next, &fresh);
    }
}

/* ---- Sending tasks -------------------------------------------------------------------------------------------- */

static void submit(struct tide_run *run, struct tide_task *task, uint32_t index) {
    tide_run_prepare(run, task, index);
    task->message.deliver = on_task;
    run->outstanding++;
    run->scheduler->executor.submit(run->scheduler->executor.self, task);
}

/* What has got lost is to be computed again, when what it needs is there. */
static void run_again(struct tide_run *run) {
    if (run->nlost > 0 && !run->stage) look_for_losses(run);
    if (tide_run_cut_lost(run)) run_tie_all(run);
}

/* Second phase of a range shuffle: the records of each map task, now with the bounds known. */
static int run_route(struct tide_run *run, struct tide_error *err) {
    const struct tide_exchange *exchange = run->target->as.shuffle.exchange;
    struct tide_cached **sampled;
    struct tide_range_sample *samples = tide_xcalloc(run->tasks, sizeof *samples);

    assert(run->made && run->outputs);
    for (uint32_t i = 0; i < run->tasks; i++)
        samples[i] = (struct tide_range_sample){.keys = &run->outputs[i],
                                                .records = (uint64_t)tide_cached_records(run->made[i])};

    struct tide_block *bounds = tide_range_bounds(samples, run->tasks, exchange->partitions, err);

    tide_free(samples);
    if (!bounds) return err->code;

    struct tide_plan *plan = tide_stage_route_plan(run->means->plans, exchange);

    sampled = tide_run_begin_routing(run);
    for (uint32_t i = 0; i < run->tasks; i++) {
        struct tide_task *task = tide_task_new(plan, 2, run->lists);

        task->work.partition = run->numbers[i];
        tide_task_read(task, 0, sampled[i], 0);
        tide_blocks_push(&task->work.inputs[1].blocks, tide_block_retain(bounds));
        submit(run, task, i);
        tide_cached_release(sampled[i]);
    }
    tide_free(sampled);
    tide_plan_release(plan);
    tide_block_release(bounds);
    return TIDE_OK;
}

/* ---- Accumulators --------------------------------------------------------------------------------------------- */

/* What a task that succeeded has added to accumulators goes to the script. */
static void tell_updates(struct tide_scheduler *scheduler, struct tide_block *take) {
    if (!take) return;
    if (scheduler->updated) scheduler->updated(take, scheduler->updated_arg);
    else tide_block_release(take);
}

/* Nothing is taken back any more. */
static void tell_held(struct tide_run *run) {
    for (uint32_t i = 0; i < run->nheld; i++) tell_updates(run->scheduler, run->held[i].updates);
    run->nheld = 0;
}

/* ---- Ending --------------------------------------------------------------------------------------------------- */

/* The job is over; `done` is called by report_ended. */
static void job_end(struct tide_job *job, struct tide_error *take_err) {
    job->run = NULL;
    job->ended = true;
    tide_error_move(&job->error, take_err);
    tide_list_remove(&job->link);
    tide_list_push(&job->scheduler->ended, &job->link);
}

/* All tasks have succeeded. */
static void run_succeed(struct tide_run *run) {
    struct tide_scheduler *scheduler = run->scheduler;
    struct tide_run_edge *edge;

    tell_held(run);
    if (run->job) {
        struct tide_error none = {0};

        for (uint32_t i = 0; i < run->tasks; i++) tide_blocks_move(&run->job->results[i], &run->outputs[i]);
        job_end(run->job, &none);
    } else if (run->keeps) {
        tide_rdd_keep(run->target, run->made, run->kept, run->tasks);
        tide_free(run->made);
        run->made = NULL;
    } else {
        tide_rdd_settle(run->target, run->made, run->tasks);
        run->made = NULL;
    }
    while ((edge = tide_run_first_waiter(run))) {
        struct tide_run *waiter = edge->waiter;

        tide_run_edge_delete(edge);
        if (tide_list_empty(&waiter->needs)) tide_list_push(&scheduler->ready, &waiter->queued);
    }
    run_end(run);
}

/* Puts a run on the list of those that fail, with its own copy of the reason. */
static void fail_later(struct tide_run *run, const struct tide_error *err, struct tide_list *failing) {
    tide_error_copy(&run->error, err);
    tide_list_remove(&run->queued);
    tide_list_push(failing, &run->queued);
}

/* A run whose `needed` can't be computed goes on without it, if that is behind guards. */
static bool goes_without(struct tide_run *run, struct tide_rdd *needed, const struct tide_error *err) {
    struct tide_rdd *root = tide_run_root(run);

    if (err->code == TIDE_ECANCELLED || !root) return false;
    run->scheduler->guards_left = true;
    return tide_guards_lose(root, run->keeps, needed, err, &run->scheduler->watch);
}

/* What only this run needs is not needed any more. `all`: also what a stream goes on from. */
static void abandon_needs(struct tide_run *run, bool all, struct tide_list *failing) {
    struct tide_error gone = {0};
    struct tide_list *link = run->needs.next;

    tide_error_set(&gone, TIDE_ECANCELLED, "nobody needs it any more");
    while (link != &run->needs) {
        struct tide_run_edge *edge = TIDE_CONTAINER_OF(link, struct tide_run_edge, in_needs);
        struct tide_run *on = edge->on;

        link = link->next;
        if (!all && tide_run_leads_on(on)) continue;
        tide_run_edge_delete(edge);
        if (!tide_run_first_waiter(on) && on->error.code == TIDE_OK) fail_later(on, &gone, failing);
    }
    tide_error_clear(&gone);
}

/* A run can't be computed because of what it waited for. If it waits for a state too, that is computed still: the next batch has to know
 * whether to go on from it or from the one before. */
static void give_up(struct tide_run *run, const struct tide_error *err, struct tide_list *failing) {
    if (run->doomed.code == TIDE_OK) tide_error_copy(&run->doomed, err);
    abandon_needs(run, err->code == TIDE_ECANCELLED, failing);
    if (tide_list_empty(&run->needs)) fail_later(run, &run->doomed, failing);
}

/* The run has failed, and with it what it was to compute. The runs that wait for it fail with the same error, except those that
 * can do without. */
static void pass_on(struct tide_run *run, struct tide_list *failing) {
    struct tide_scheduler *scheduler = run->scheduler;
    struct tide_run_edge *edge;
    bool cancelled = run->error.code == TIDE_ECANCELLED, guard = tide_run_is_guard(run);

    if (run->keeps && !cancelled) run->target->failed = true;
    if (!cancelled) scheduler->losses = scheduler->guards_left = true;
    if (guard && !cancelled) tide_guard_lose(run->target, &run->error, &scheduler->watch);
    while ((edge = tide_run_first_waiter(run))) {
        struct tide_run *waiter = edge->waiter;

        tide_run_edge_delete(edge);
        if (waiter->error.code != TIDE_OK) continue;
        if (cancelled || !((guard && run->target->lost) || goes_without(waiter, run->target, &run->error)))
            give_up(waiter, &run->error, failing);
        else if (tide_list_empty(&waiter->needs)) tide_list_push(&scheduler->ready, &waiter->queued);
    }
}

/* Ends a run with an error, and every run that needs it with the same one. What was computed for these runs only is given
 * up. Tasks that are out are told to stop; they are thrown away when they come back. */
static void run_fail(struct tide_run *run, struct tide_error *take_err) {
    struct tide_list failing;
    struct tide_list *link;

    tide_list_create(&failing);
    fail_later(run, take_err, &failing);
    tide_error_clear(take_err);

    while ((link = tide_list_pop(&failing))) {
        struct tide_run *next = TIDE_CONTAINER_OF(link, struct tide_run, queued);

        __atomic_store_n(&next->cancelled, 1, __ATOMIC_RELAXED);
        if (!tide_run_is_guard(next)) tell_held(next); /* what is done without adds nothing */
        pass_on(next, &failing);
        abandon_needs(next, true, &failing);
        if (next->job) job_end(next->job, &next->error);
        run_end(next);
    }
}

/* ---- Tasks coming back ---------------------------------------------------------------------------------------- */

/* What this task has met can't be undone by running it again. Perhaps records that can be done without are to blame. */
static void blame(struct tide_run *run, struct tide_task *task) {
    if (task->error.code != TIDE_ECANCELLED && tide_guards_set_apart(run->guards, run->nguards)) {
        run->scheduler->guards_left = true;
        tide_run_lose(run, task->index, task->work.partition);
        return;
    }
    run_fail(run, &task->error);
}

/* It is made again, from what there is now. */
static void task_lost(struct tide_run *run, const struct tide_task *task) {
    tide_run_lose(run, task->index, task->work.partition);
    run_again(run);
}

/* The one place where it is decided what a failed task means: it is tried again from its inputs, or the run fails with the
 * task's error. What was broken off is not tried again. */
static void task_failed(struct tide_run *run, struct tide_task *task) {
    uint32_t most = run->scheduler->max_failures, attempt = task->attempt + 1;

    if (task->error.code == TIDE_ELOST && (run->root || run->target)) { /* nobody's fault */
        task_lost(run, task);
        return;
    }
    if (task->error.code == TIDE_EMIXED) {
        tide_run_explain_mix(run, task);
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

/* All tasks of the last phase have succeeded, and so does the run, unless what they made does not fit together. */
static void run_finish(struct tide_run *run) {
    struct tide_error err = {0};

    if (tide_arities_settle(run->arities, &err) == TIDE_OK) run_succeed(run);
    else run_fail(run, &err);
}

static void task_succeeded(struct tide_run *run, struct tide_task *task) {
    struct tide_error err = {0};

    if (tide_arities_hear(run->arities, task, &task->error) != TIDE_OK) {
        blame(run, task);
        return;
    }
    if (!tide_run_hold(run, task)) tell_updates(run->scheduler, task->work.updates);
    task->work.updates = NULL;
    if (run->outputs) tide_blocks_move(&run->outputs[task->index], &task->work.outputs[run->sampling ? 1 : 0]);
    if (run->made) {
        run->made[task->index] = task->made;
        task->made = NULL;
    }
    if (--run->todo > 0) return;
    if (run->sampling) tell_held(run);
    if (!run->sampling) run_finish(run);
    else if (run_route(run, &err) != TIDE_OK) run_fail(run, &err);
}

/* Sends the tasks of a run that waits for nothing. The stage has done its duty then; inputs live in the tasks. */
static void run_start(struct tide_run *run) {
    struct tide_error err = {0};
    struct tide_task *task;
    uint32_t index;

    tide_run_begin(run);
    if (tide_arities_check(run->arities, &err) != TIDE_OK) {
        run_fail(run, &err);
        return;
    }
    while ((task = tide_run_next(run, &index))) submit(run, task, index);
    run_again(run);
    if (run->tasks == 0) run_finish(run);
}

/* Guards have been set apart or lost: what was made through them does not count, and is made again. */
static void take_back(struct tide_scheduler *scheduler) {
    while (scheduler->guards_left) {
        scheduler->guards_left = false;
        for (struct tide_list *link = scheduler->runs.next; link != &scheduler->runs; link = link->next) {
            struct tide_run *run = TIDE_CONTAINER_OF(link, struct tide_run, link);

            if (run->state == TIDE_RUN_ENDED) continue;
            tide_run_take_back(run);
            run_again(run);
        }
    }
}

static struct tide_list *next_ready(struct tide_scheduler *scheduler) {
    take_back(scheduler);
    return tide_list_pop(&scheduler->ready);
}

/* Sends what is ready. A run without partitions succeeds on the spot and may make others ready. */
static void start_ready(struct tide_scheduler *scheduler) {
    struct tide_list *link;

    while ((link = next_ready(scheduler))) {
        struct tide_run *run = TIDE_CONTAINER_OF(link, struct tide_run, queued);

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

/* Jobs may have ended while the caller of a public function was not the loop: comes back from there. */
static void report_later(struct tide_scheduler *scheduler) {
    if (scheduler->woken || scheduler->reporting || tide_list_empty(&scheduler->ended)) return;
    scheduler->woken = true;
    scheduler->wake.deliver = on_wake;
    tide_inbox_post(scheduler->inbox, &scheduler->wake);
}

static void on_task(struct tide_message *message, void *owner) {
    struct tide_task *task = TIDE_CONTAINER_OF(message, struct tide_task, message);
    struct tide_run *run = task->owner;

    if (!owner) { /* the engine is gone; perhaps not even on the driver's thread */
        tide_task_delete(task);
        return;
    }

    struct tide_scheduler *scheduler = run->scheduler;

    run->outstanding--;
    if (run->state == TIDE_RUN_ENDED) run_end(run);
    else if (tide_run_outdated(run, task)) task_lost(run, task);
    else if (task->error.code != TIDE_OK) task_failed(run, task);
    else task_succeeded(run, task);
    tide_task_delete(task);
    start_ready(scheduler);
    report_ended(scheduler);
}

/* ---- For job.c ------------------------------------------------------------------------------------------------ */

void tide_scheduler_admit(struct tide_scheduler *scheduler, struct tide_job *job,
                          const struct tide_job_options *options) {
    scheduler->job_count++;
    if (scheduler->closed) {
        struct tide_error err = {0};

        tide_error_set(&err, TIDE_ECANCELLED, "the job was cancelled: the engine is closing");
        job_end(job, &err);
        report_later(scheduler);
        return;
    }

    struct tide_run *run = run_new(scheduler, options->batch_time);

    run->job = job;
    run->limit = options->limit;
    run->root = tide_rdd_retain(options->rdd);
    run->sink = tide_op_retain(options->sink);
    job->run = run;
    tide_list_push(&scheduler->jobs, &job->link);
    look_for_losses(run);
    tide_run_cut(run, options->partitions, options->npartitions, false);
    run_tie_all(run);
    start_ready(scheduler);
    report_later(scheduler);
}

void tide_scheduler_withdraw(struct tide_job *job, struct tide_error *take_err) {
    struct tide_scheduler *scheduler = job->scheduler;

    run_fail(job->run, take_err);
    report_later(scheduler);
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

struct tide_scheduler *tide_scheduler_new(const struct tide_executor *executor, struct tide_cache *cache,
                                          struct tide_inbox *inbox) {
    struct tide_scheduler *scheduler = tide_xcalloc(1, sizeof *scheduler);

    scheduler->executor = *executor;
    scheduler->means.cache = tide_cache_retain(cache);
    scheduler->inbox = inbox;
    scheduler->max_failures = 1;
    scheduler->means.plans = tide_plans_new();
    scheduler->means.keep = tide_run_keep_op();
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

void tide_scheduler_set_seed(struct tide_scheduler *scheduler, double seed) { scheduler->means.seed = seed; }

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
    /* Runs that are left have tasks out, which still look at `cancelled`: left to them. */
    while ((link = tide_list_pop(&scheduler->runs)))
        lost += TIDE_CONTAINER_OF(link, struct tide_run, link)->outstanding;
    tide_plans_delete(scheduler->means.plans);
    tide_op_release(scheduler->means.keep);
    tide_cache_release(scheduler->means.cache);
    tide_free(scheduler);
    return lost;
}

uint32_t tide_scheduler_jobs(const struct tide_scheduler *scheduler) { return scheduler->job_count; }
