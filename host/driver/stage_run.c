/*
 * One stage run (see stage_run.h): its stage, its tasks, their results, what was lost and what is held. Called by the
 * scheduler only. Driver thread.
 */
#include "driver/stage_run.h"

#include <assert.h>

#include "base/alloc.h"
#include "base/array.h"
#include "rdd/guard.h"
#include "rdd/node.h"
#include "rdd/plans.h"
#include "rdd/range.h"
#include "wire/pack.h"

struct lost {
    uint32_t index; /* of the task */
    uint32_t partition;
};

/* A task that has ended and whose results may be taken back. */
struct held {
    uint32_t index, partition;
    struct tide_block *updates; /* or NULL */
};

struct tide_stage_run_own {
    const struct tide_stage_run_resources *resources;
    struct tide_rdd *root; /* retained: of a job, as long as it may have to be cut again */
    struct tide_op *sink;  /* likewise */
    uint64_t limit;
    uint64_t mark;              /* number of the walk that saw it last */
    struct tide_list needed_by; /* edges to the runs that wait for it */
    uint32_t *missing;          /* partitions of a persistent target to compute; NULL: all */
    uint32_t nmissing;
    uint32_t next;               /* part of the stage: the one to make a task of */
    uint32_t *indexes;           /* which task each part of the stage is; NULL: part i is task i */
    uint32_t *numbers;           /* partition number of each task, for the second phase */
    uint32_t todo;               /* tasks of this phase that have not succeeded */
    uint32_t lists;              /* output lists per task in this phase that are cached; 0: a job's, which are not */
    struct tide_cached **made;   /* results of each task, unless it is a job's */
    struct tide_blocks *outputs; /* a job: each task's; sampling: its keys; else NULL */
    bool may_lose;               /* some input may be dropped by the cache, or a guard may be lost */
    struct lost *lost;           /* to be cut again when the stage is done with */
    uint32_t nlost, lost_capacity;
    struct tide_rdd **guards; /* retained: that stages of this round were cut through */
    uint32_t nguards;
    uint32_t round, cut_round; /* from 1, one more when one of these has left; the round in which `stage` was cut */
    struct held *held;         /* tasks of this round */
    uint32_t nheld, held_capacity;
};

static void enter(struct tide_stage_run *run, enum tide_stage_run_state to) {
    assert(to > run->state); /* WAITING, ACTIVE, ENDED, in this order only */
    run->state = to;
}

static struct tide_stage_run *run_new(const struct tide_stage_run_resources *resources, int64_t batch_time) {
    struct tide_stage_run *run = tide_xcalloc(1, sizeof *run);

    run->own = tide_xcalloc(1, sizeof *run->own);
    run->own->resources = resources;
    run->own->round = run->own->cut_round = 1;
    run->batch_time = batch_time;
    run->arities = tide_arities_new();
    tide_list_create(&run->needs);
    tide_list_create(&run->own->needed_by);
    tide_list_create(&run->queued);
    tide_list_create(&run->link);
    return run;
}

struct tide_stage_run *tide_stage_run_for_job(const struct tide_stage_run_resources *resources, struct tide_job *job,
                                              const struct tide_job_options *options) {
    struct tide_stage_run *run = run_new(resources, options->batch_time);

    run->job = job;
    run->own->limit = options->limit;
    run->own->root = tide_rdd_retain(options->rdd);
    run->own->sink = tide_op_retain(options->sink);
    return run;
}

/* Where the target knows which run computes it. */
static void **running(const struct tide_stage_run *run) {
    return run->caches ? &run->target->caching : &run->target->as.shuffle.running;
}

struct tide_stage_run *tide_stage_run_for_need(const struct tide_stage_run_resources *resources,
                                               const struct tide_stage_need *need, int64_t batch_time) {
    struct tide_stage_run *run = run_new(resources, batch_time);

    run->target = tide_rdd_retain(need->rdd);
    run->caches = need->cached;
    if (need->rdd->kind == TIDE_RDD_GUARD) run->batch_time = need->rdd->as.guard.time;
    *running(run) = run;
    return run;
}

struct tide_op *tide_stage_run_cache_op(void) {
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    tide_pack_map(&bytes, 2);
    tide_pack_text(&bytes, "kind");
    tide_pack_text(&bytes, "cache");
    tide_pack_text(&bytes, "name");
    tide_pack_text(&bytes, "persist");

    struct tide_op *op = tide_op_new(bytes.data, bytes.size, false);

    tide_buffer_destroy(&bytes);
    return op;
}

/* ---- Edges -------------------------------------------------------------------------------------------------- */

void tide_stage_run_wait(struct tide_stage_run *waiter, struct tide_stage_run *on) {
    struct tide_stage_run_edge *edge = tide_xmalloc(sizeof *edge);

    edge->waiter = waiter;
    edge->on = on;
    tide_list_push(&waiter->needs, &edge->in_needs);
    tide_list_push(&on->own->needed_by, &edge->in_needed_by);
}

void tide_stage_run_edge_delete(struct tide_stage_run_edge *edge) {
    tide_list_remove(&edge->in_needs);
    tide_list_remove(&edge->in_needed_by);
    tide_free(edge);
}

struct tide_stage_run_edge *tide_stage_run_first_waiter(struct tide_stage_run *run) {
    if (tide_list_empty(&run->own->needed_by)) return NULL;
    return TIDE_CONTAINER_OF(run->own->needed_by.next, struct tide_stage_run_edge, in_needed_by);
}

bool tide_stage_run_computes_base(struct tide_stage_run *run) {
    struct tide_stage_run **stack = NULL;
    uint32_t count = 0, capacity = 0;
    uint64_t mark = tide_rdd_next_mark();
    bool found = false;

    TIDE_ARRAY_RESERVE(stack, capacity, count + 1);
    stack[count++] = run;
    while (count > 0 && !found) {
        struct tide_stage_run *next = stack[--count];

        if (next->own->mark == mark) continue;
        next->own->mark = mark;
        found = next->caches && next->target->truncate;
        TIDE_LIST_EACH(link, &next->needs) {
            TIDE_ARRAY_RESERVE(stack, capacity, count + 1);
            stack[count++] = TIDE_CONTAINER_OF(link, struct tide_stage_run_edge, in_needs)->on;
        }
    }
    tide_free(stack);
    return found;
}

/* ---- Results ------------------------------------------------------------------------------------------------ */

static void outputs_free(struct tide_stage_run *run) {
    for (uint32_t i = 0; i < run->tasks; i++) {
        if (run->own->outputs) tide_blocks_destroy(&run->own->outputs[i]);
        if (run->own->made) tide_cached_release(run->own->made[i]);
    }
    tide_free(run->own->outputs);
    tide_free(run->own->made);
    run->own->outputs = NULL;
    run->own->made = NULL;
}

static void outputs_new(struct tide_stage_run *run) {
    uint32_t count = run->tasks > 0 ? run->tasks : 1;

    if (run->own->lists > 0) run->own->made = tide_xcalloc(count, sizeof *run->own->made);
    if (run->own->lists > 0 && !run->sampling) return;
    run->own->outputs = tide_xcalloc(count, sizeof *run->own->outputs);
    for (uint32_t i = 0; i < run->tasks; i++) tide_blocks_create(&run->own->outputs[i]);
}

static void guards_free(struct tide_stage_run *run) {
    for (uint32_t i = 0; i < run->own->nguards; i++) tide_rdd_release(run->own->guards[i]);
    tide_free(run->own->guards);
    run->own->guards = NULL;
    run->own->nguards = 0;
}

/* Where the results of the task will be cached. Map outputs can't be recomputed: their parents have been released. */
static struct tide_cached *made_new(const struct tide_stage_run *run, const struct tide_task *task) {
    const struct tide_rdd *rdd = run->target;
    uint8_t level = run->caches ? rdd->level : TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK;

    struct tide_cached_options options = {
        .kind = run->caches ? TIDE_CACHED_PARTITION : TIDE_CACHED_MAP_OUTPUT,
        .dataset = rdd->id,
        .partition = task->work.partition,
        .lists = run->own->lists,
        .memory = level == 0 || (level & TIDE_LEVEL_MEMORY) != 0, /* 0: unpersisted, but jobs wait for it */
        .disk = (level & TIDE_LEVEL_DISK) != 0,
        .recomputable = run->caches && !rdd->truncate,
    };

    return tide_cached_new(run->own->resources->cache, &options);
}

void tide_stage_run_prepare(struct tide_stage_run *run, struct tide_task *task, uint32_t index) {
    task->work.batch_time = run->batch_time;
    task->work.seed = run->own->resources->seed;
    task->work.limit = run->own->limit;
    task->work.cancelled = &run->cancelled;
    task->owner = run;
    task->index = index;
    if (run->own->lists > 0 && !task->made) task->made = made_new(run, task);
}

bool tide_stage_run_accept(struct tide_stage_run *run, struct tide_task *task) {
    struct tide_stage_run_own *own = run->own;

    if (own->outputs) tide_blocks_move(&own->outputs[task->index], &task->work.outputs[run->sampling ? 1 : 0]);
    if (own->made) {
        own->made[task->index] = task->made;
        task->made = NULL;
    }
    return --own->todo == 0;
}

void tide_stage_run_collect(struct tide_stage_run *run, struct tide_blocks *results) {
    for (uint32_t i = 0; i < run->tasks; i++) tide_blocks_move(&results[i], &run->own->outputs[i]);
}

void tide_stage_run_settle(struct tide_stage_run *run) {
    struct tide_stage_run_own *own = run->own;

    if (run->caches) {
        tide_rdd_set_cached(run->target, own->made, own->missing, run->tasks);
        tide_free(own->made);
    } else {
        tide_rdd_settle(run->target, own->made, run->tasks);
    }
    own->made = NULL;
}

/* ---- The second phase of a range shuffle -------------------------------------------------------------------- */

static struct tide_block *bounds_of(const struct tide_stage_run *run, uint32_t partitions, struct tide_error *err) {
    const struct tide_stage_run_own *own = run->own;
    struct tide_range_sample *samples = tide_xcalloc(run->tasks, sizeof *samples);

    assert(own->made && own->outputs);
    for (uint32_t i = 0; i < run->tasks; i++)
        samples[i] = (struct tide_range_sample){.keys = &own->outputs[i],
                                                .records = (uint64_t)tide_cached_records(own->made[i])};

    struct tide_block *bounds = tide_range_bounds(samples, run->tasks, partitions, err);

    tide_free(samples);
    return bounds;
}

/* From the first phase to the second. Returns the results of the first, the caller's. */
static struct tide_cached **begin_routing(struct tide_stage_run *run, uint32_t partitions) {
    struct tide_cached **sampled = run->own->made;

    run->own->made = NULL;
    outputs_free(run);
    guards_free(run); /* nothing is taken back any more */
    run->sampling = false;
    run->own->todo = run->tasks;
    run->own->lists = partitions;
    outputs_new(run);
    return sampled;
}

struct tide_task **tide_stage_run_route(struct tide_stage_run *run, struct tide_error *err) {
    const struct tide_exchange *exchange = run->target->as.shuffle.exchange;
    struct tide_block *bounds = bounds_of(run, exchange->partitions, err);

    if (!bounds) return NULL;

    struct tide_plan *plan = tide_stage_route_plan(run->own->resources->plans, exchange);
    struct tide_cached **sampled = begin_routing(run, exchange->partitions);
    struct tide_task **tasks = tide_xcalloc(run->tasks, sizeof(struct tide_task *));

    for (uint32_t i = 0; i < run->tasks; i++) {
        tasks[i] = tide_task_new(plan, 2, run->own->lists);
        tasks[i]->work.partition = run->own->numbers[i];
        tide_task_read(tasks[i], 0, sampled[i], 0);
        tide_blocks_push(&tasks[i]->work.inputs[1].blocks, tide_block_retain(bounds));
        tide_cached_release(sampled[i]);
    }
    tide_free(sampled);
    tide_plan_release(plan);
    tide_block_release(bounds);
    return tasks;
}

/* ---- Stages ------------------------------------------------------------------------------------------------- */

/* The guards of the stage are needed beyond its life. */
static void take_guards(struct tide_stage_run *run) {
    const struct tide_stage *stage = run->stage;

    if (stage->nguards == 0) return;
    run->own->guards =
        tide_xrealloc(run->own->guards, (run->own->nguards + stage->nguards) * sizeof(struct tide_rdd *));
    for (uint32_t i = 0; i < stage->nguards; i++)
        run->own->guards[run->own->nguards++] = tide_rdd_retain(stage->guards[i]);
}

/* again: see tide_stage_new. */
static void cut(struct tide_stage_run *run, const uint32_t *partitions, uint32_t count, bool again) {
    struct tide_rdd *root = run->own->root;
    struct tide_sink sink;

    if (run->caches) {
        root = run->target;
        sink = tide_sink_cache(run->own->resources->cache_op);
    } else if (run->target) {
        root = run->target->parent;
        sink = tide_sink_map(run->target->as.shuffle.exchange);
        run->sampling = sink.kind == TIDE_SINK_SAMPLE;
    } else {
        sink = tide_sink_final(run->own->sink);
    }
    run->stage = tide_stage_new(run->own->resources->plans, run->arities, root, partitions, count, &sink, again);
    run->own->next = 0;
    run->own->cut_round = run->own->round;
    take_guards(run);
}

void tide_stage_run_cut(struct tide_stage_run *run, const uint32_t *partitions, uint32_t count) {
    cut(run, partitions, count, false);
}

struct tide_rdd *tide_stage_run_root(const struct tide_stage_run *run) {
    if (!run->target) return run->own->root;
    return run->caches ? run->target : run->target->parent;
}

void tide_stage_run_cut_target(struct tide_stage_run *run) {
    struct tide_rdd *rdd = run->target;

    if (run->caches && rdd->cached) { /* except partitions that are cached, or would find no room */
        run->own->missing = tide_xcalloc(rdd->partitions, sizeof *run->own->missing);
        for (uint32_t i = 0; i < rdd->partitions; i++)
            if (!tide_cached_available(rdd->cached[i]) && tide_cached_fits(rdd->cached[i]))
                run->own->missing[run->own->nmissing++] = i;
    }
    cut(run, run->own->missing, run->own->nmissing, false);
}

void tide_stage_run_begin(struct tide_stage_run *run) {
    const struct tide_stage *stage = run->stage;

    assert(stage);
    if (run->state == TIDE_STAGE_RUN_ACTIVE) return;
    enter(run, TIDE_STAGE_RUN_ACTIVE);
    run->tasks = run->own->todo = stage->count;
    if (!run->job) run->own->lists = run->sampling ? 1 : stage->outputs;
    outputs_new(run);
    if (!run->sampling) return;
    run->own->numbers = tide_xcalloc(stage->count > 0 ? stage->count : 1, sizeof *run->own->numbers);
    for (uint32_t i = 0; i < stage->count; i++) run->own->numbers[i] = stage->parts[i].partition;
}

static void root_free(struct tide_stage_run *run) {
    tide_op_release(run->own->sink);
    run->own->sink = NULL;
    if (run->own->root) tide_rdd_release(run->own->root);
    run->own->root = NULL;
}

static void stage_free(struct tide_stage_run *run) {
    tide_stage_delete(run->stage);
    run->stage = NULL;
    tide_free(run->own->indexes);
    run->own->indexes = NULL;
}

struct tide_task *tide_stage_run_next(struct tide_stage_run *run, uint32_t *index) {
    struct tide_stage *stage = run->stage;

    while (run->own->next < stage->count) {
        uint32_t part = run->own->next++;
        bool guarded = stage->parts[part].guarded, outdated = guarded && run->own->cut_round != run->own->round;
        struct tide_task *task = outdated ? NULL : tide_stage_task(stage, run->arities, part);

        *index = run->own->indexes ? run->own->indexes[part] : part;
        if (task) {
            task->round = guarded ? run->own->round : 0;
            return task;
        }
        tide_stage_run_lose(run, *index, stage->parts[part].partition);
    }
    /* Inputs go with the tasks that read them if none of these can get lost. */
    run->own->may_lose |= stage->may_lose || run->own->nlost > 0;
    if (!run->own->may_lose) root_free(run);
    stage_free(run);
    return NULL;
}

/* ---- Losses ------------------------------------------------------------------------------------------------- */

void tide_stage_run_lose(struct tide_stage_run *run, uint32_t index, uint32_t partition) {
    struct tide_stage_run_own *own = run->own;

    TIDE_ARRAY_RESERVE(own->lost, own->lost_capacity, own->nlost + 1);
    own->lost[own->nlost++] = (struct lost){.index = index, .partition = partition};
}

bool tide_stage_run_has_lost(const struct tide_stage_run *run) { return run->own->nlost > 0 && !run->stage; }

bool tide_stage_run_cut_lost(struct tide_stage_run *run) {
    if (!tide_stage_run_has_lost(run)) return false;

    uint32_t *partitions = tide_xcalloc(run->own->nlost, sizeof *partitions);

    run->own->indexes = tide_xcalloc(run->own->nlost, sizeof *run->own->indexes);
    for (uint32_t i = 0; i < run->own->nlost; i++) {
        run->own->indexes[i] = run->own->lost[i].index;
        partitions[i] = run->own->lost[i].partition;
    }
    cut(run, partitions, run->own->nlost, true);
    run->own->nlost = 0;
    tide_free(partitions);
    return true;
}

/* ---- Guards ------------------------------------------------------------------------------------------------- */

bool tide_stage_run_is_guard(const struct tide_stage_run *run) {
    return run->caches && run->target->kind == TIDE_RDD_GUARD;
}

bool tide_stage_run_outdated(const struct tide_stage_run *run, const struct tide_task *task) {
    return task->round != 0 && task->round != run->own->round;
}

bool tide_stage_run_hold(struct tide_stage_run *run, struct tide_task *task) {
    if (task->round == 0 && !tide_stage_run_is_guard(run)) return false;
    TIDE_ARRAY_RESERVE(run->own->held, run->own->held_capacity, run->own->nheld + 1);
    run->own->held[run->own->nheld++] =
        (struct held){.index = task->index, .partition = task->work.partition, .updates = task->work.updates};
    return true;
}

void tide_stage_run_tell_held(struct tide_stage_run *run, void (*tell)(struct tide_block *take, void *arg),
                              void *arg) {
    for (uint32_t i = 0; i < run->own->nheld; i++)
        if (run->own->held[i].updates) tell(run->own->held[i].updates, arg);
    run->own->nheld = 0;
}

bool tide_stage_run_set_apart(struct tide_stage_run *run) {
    return tide_guards_set_apart(run->own->guards, run->own->nguards);
}

static void take_back_one(struct tide_stage_run *run, const struct held *held) {
    if (run->own->outputs) {
        tide_blocks_destroy(&run->own->outputs[held->index]);
        tide_blocks_create(&run->own->outputs[held->index]);
    }
    if (run->own->made) {
        tide_cached_release(run->own->made[held->index]);
        run->own->made[held->index] = NULL;
    }
    tide_block_release(held->updates);
    run->own->todo++;
    tide_stage_run_lose(run, held->index, held->partition);
}

void tide_stage_run_take_back(struct tide_stage_run *run) {
    bool left = false;

    for (uint32_t i = 0; i < run->own->nguards && !left; i++) left = tide_guard_left(run->own->guards[i]);
    if (!left) return;
    guards_free(run);
    run->own->round++;
    tide_arities_doubt(run->arities);
    for (uint32_t i = 0; i < run->own->nheld; i++) take_back_one(run, &run->own->held[i]);
    run->own->nheld = 0;
}

void tide_stage_run_explain_mix(struct tide_stage_run *run, struct tide_task *task) {
    struct tide_error err = {0};

    if (tide_arities_hear(run->arities, task, &err) != TIDE_OK || tide_arities_check(run->arities, &err) != TIDE_OK) {
        tide_error_clear(&task->error);
        tide_error_move(&task->error, &err);
    }
    task->error.code = TIDE_ECLOSURE;
}

/* ---- The end ------------------------------------------------------------------------------------------------ */

static void own_free(struct tide_stage_run *run) {
    struct tide_stage_run_own *own = run->own;

    for (uint32_t i = 0; i < own->nheld; i++) tide_block_release(own->held[i].updates);
    tide_free(own->held);
    guards_free(run);
    outputs_free(run);
    stage_free(run);
    root_free(run);
    tide_free(own->numbers);
    tide_free(own->lost);
    tide_free(own->missing);
    tide_free(own);
    run->own = NULL;
}

void tide_stage_run_end(struct tide_stage_run *run) {
    if (run->state != TIDE_STAGE_RUN_ENDED) {
        enter(run, TIDE_STAGE_RUN_ENDED);
        tide_list_remove(&run->queued);
        own_free(run);
        tide_arities_delete(run->arities);
        run->arities = NULL;
        tide_error_clear(&run->error);
        tide_error_clear(&run->doomed);
        if (run->target) *running(run) = NULL;
        if (run->target) tide_rdd_release(run->target);
        run->target = NULL;
    }
    if (run->outstanding == 0) tide_list_remove(&run->link);
}
