/*
 * What a run does by itself: cutting its stage, making tasks of it, keeping count of what they made and of what was lost on the
 * way. In which order runs go, and where tasks go, is the scheduler's business (scheduler.c), the only caller. Driver
 * thread.
 */
#include "driver/run.h"

#include <assert.h>

#include "base/alloc.h"
#include "rdd/guard.h"
#include "rdd/node.h"
#include "wire/pack.h"

struct tide_run *tide_run_new(const struct tide_run_means *means, int64_t batch_time) {
    struct tide_run *run = tide_xcalloc(1, sizeof *run);

    run->means = means;
    run->state = TIDE_RUN_WAITING;
    run->batch_time = batch_time;
    run->round = run->cut_round = 1;
    run->arities = tide_arities_new();
    tide_list_create(&run->needs);
    tide_list_create(&run->needed_by);
    tide_list_create(&run->queued);
    tide_list_create(&run->link);
    return run;
}

struct tide_op *tide_run_keep_op(void) {
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    tide_pack_map(&bytes, 2);
    tide_pack_text(&bytes, "kind");
    tide_pack_text(&bytes, "keep");
    tide_pack_text(&bytes, "name");
    tide_pack_text(&bytes, "persist");

    struct tide_op *op = tide_op_new(bytes.data, bytes.size, false);

    tide_buffer_destroy(&bytes);
    return op;
}

/* ---- Edges ---------------------------------------------------------------------------------------------------- */

void tide_run_wait(struct tide_run *waiter, struct tide_run *on) {
    struct tide_run_edge *edge = tide_xmalloc(sizeof *edge);

    edge->waiter = waiter;
    edge->on = on;
    tide_list_push(&waiter->needs, &edge->in_needs);
    tide_list_push(&on->needed_by, &edge->in_needed_by);
}

void tide_run_edge_delete(struct tide_run_edge *edge) {
    tide_list_remove(&edge->in_needs);
    tide_list_remove(&edge->in_needed_by);
    tide_free(edge);
}

struct tide_run_edge *tide_run_first_waiter(struct tide_run *run) {
    if (tide_list_empty(&run->needed_by)) return NULL;
    return TIDE_CONTAINER_OF(run->needed_by.next, struct tide_run_edge, in_needed_by);
}

static void push(struct tide_run ***stack, uint32_t *count, uint32_t *room, struct tide_run *run) {
    if (*count == *room) {
        *room = *room > 0 ? *room * 2 : 8;
        *stack = tide_xrealloc(*stack, *room * sizeof(struct tide_run *));
    }
    (*stack)[(*count)++] = run;
}

bool tide_run_leads_on(struct tide_run *run) {
    struct tide_run **stack = NULL;
    uint32_t count = 0, room = 0;
    uint64_t mark = tide_rdd_next_mark();
    bool found = false;

    push(&stack, &count, &room, run);
    while (count > 0 && !found) {
        struct tide_run *next = stack[--count];

        if (next->mark == mark) continue;
        next->mark = mark;
        found = next->keeps && next->target->truncate;
        TIDE_LIST_EACH(link, &next->needs)
        push(&stack, &count, &room, TIDE_CONTAINER_OF(link, struct tide_run_edge, in_needs)->on);
    }
    tide_free(stack);
    return found;
}

/* ---- What is made --------------------------------------------------------------------------------------------- */

static void outputs_free(struct tide_run *run) {
    for (uint32_t i = 0; i < run->tasks; i++) {
        if (run->outputs) tide_blocks_destroy(&run->outputs[i]);
        if (run->made) tide_cached_release(run->made[i]);
    }
    tide_free(run->outputs);
    tide_free(run->made);
    run->outputs = NULL;
    run->made = NULL;
}

static void outputs_new(struct tide_run *run) {
    uint32_t count = run->tasks > 0 ? run->tasks : 1;

    if (run->lists > 0) run->made = tide_xcalloc(count, sizeof *run->made);
    if (run->lists > 0 && !run->sampling) return;
    run->outputs = tide_xcalloc(count, sizeof *run->outputs);
    for (uint32_t i = 0; i < run->tasks; i++) tide_blocks_create(&run->outputs[i]);
}

static void guards_free(struct tide_run *run) {
    for (uint32_t i = 0; i < run->nguards; i++) tide_rdd_release(run->guards[i]);
    tide_free(run->guards);
    run->guards = NULL;
    run->nguards = 0;
}

struct tide_cached **tide_run_begin_routing(struct tide_run *run) {
    struct tide_cached **sampled = run->made;

    run->made = NULL;
    outputs_free(run);
    guards_free(run); /* nothing is taken back any more */
    run->sampling = false;
    run->todo = run->tasks;
    run->lists = run->target->as.shuffle.exchange->partitions;
    outputs_new(run);
    return sampled;
}

/* Where what the task makes will be kept. Map outputs can't be computed again: what they are made from is let go of. */
static struct tide_cached *made_new(const struct tide_run *run, const struct tide_task *task) {
    const struct tide_rdd *rdd = run->target;
    uint8_t level = run->keeps ? rdd->level : TIDE_LEVEL_MEMORY | TIDE_LEVEL_DISK;

    struct tide_cached_options options = {
        .kind = run->keeps ? TIDE_CACHED_PARTITION : TIDE_CACHED_MAP_OUTPUT,
        .dataset = rdd->id,
        .partition = task->work.partition,
        .lists = run->lists,
        .memory =
            level == 0 || (level & TIDE_LEVEL_MEMORY) != 0, /* 0: unpersisted, but there are jobs that wait for it */
        .disk = (level & TIDE_LEVEL_DISK) != 0,
        .recomputable = run->keeps && !rdd->truncate,
    };

    return tide_cached_new(run->means->cache, &options);
}

void tide_run_prepare(struct tide_run *run, struct tide_task *task, uint32_t index) {
    task->work.batch_time = run->batch_time;
    task->work.seed = run->means->seed;
    task->work.limit = run->limit;
    task->work.cancelled = &run->cancelled;
    task->owner = run;
    task->index = index;
    if (run->lists > 0 && !task->made) task->made = made_new(run, task);
}

/* ---- Stages --------------------------------------------------------------------------------------------------- */

/* The guards of the stage are known beyond its life. */
static void take_guards(struct tide_run *run) {
    const struct tide_stage *stage = run->stage;

    if (stage->nguards == 0) return;
    run->guards = tide_xrealloc(run->guards, (run->nguards + stage->nguards) * sizeof(struct tide_rdd *));
    for (uint32_t i = 0; i < stage->nguards; i++) run->guards[run->nguards++] = tide_rdd_retain(stage->guards[i]);
}

void tide_run_cut(struct tide_run *run, const uint32_t *partitions, uint32_t count, bool again) {
    struct tide_rdd *root = run->root;
    struct tide_sink sink;

    if (run->keeps) {
        root = run->target;
        sink = tide_sink_keep(run->means->keep);
    } else if (run->target) {
        root = run->target->parent;
        sink = tide_sink_map(run->target->as.shuffle.exchange);
        run->sampling = sink.kind == TIDE_SINK_SAMPLE;
    } else {
        sink = tide_sink_final(run->sink);
    }
    run->stage = tide_stage_new(run->means->plans, run->arities, root, partitions, count, &sink, again);
    run->next = 0;
    run->cut_round = run->round;
    take_guards(run);
}

struct tide_rdd *tide_run_root(const struct tide_run *run) {
    if (!run->target) return run->root;
    return run->keeps ? run->target : run->target->parent;
}

void tide_run_cut_target(struct tide_run *run) {
    struct tide_rdd *rdd = run->target;

    if (run->keeps && rdd->kept) { /* all but what there is or would find no room */
        run->kept = tide_xcalloc(rdd->partitions, sizeof *run->kept);
        for (uint32_t i = 0; i < rdd->partitions; i++)
            if (!tide_cached_at_hand(rdd->kept[i]) && tide_cached_fits(rdd->kept[i])) run->kept[run->nkept++] = i;
    }
    tide_run_cut(run, run->kept, run->nkept, false);
}

void tide_run_begin(struct tide_run *run) {
    const struct tide_stage *stage = run->stage;

    assert(stage);
    if (run->state == TIDE_RUN_ACTIVE) return;
    run->state = TIDE_RUN_ACTIVE;
    run->tasks = run->todo = stage->count;
    if (!run->job) run->lists = run->sampling ? 1 : stage->outputs;
    outputs_new(run);
    if (!run->sampling) return;
    run->numbers = tide_xcalloc(stage->count > 0 ? stage->count : 1, sizeof *run->numbers);
    for (uint32_t i = 0; i < stage->count; i++) run->numbers[i] = stage->parts[i].partition;
}

static void root_free(struct tide_run *run) {
    tide_op_release(run->sink);
    run->sink = NULL;
    if (run->root) tide_rdd_release(run->root);
    run->root = NULL;
}

static void stage_free(struct tide_run *run) {
    tide_stage_delete(run->stage);
    run->stage = NULL;
    tide_free(run->indexes);
    run->indexes = NULL;
}

struct tide_task *tide_run_next(struct tide_run *run, uint32_t *index) {
    struct tide_stage *stage = run->stage;

    while (run->next < stage->count) {
        uint32_t part = run->next++;
        bool guarded = stage->parts[part].guarded, outdated = guarded && run->cut_round != run->round;
        struct tide_task *task = outdated ? NULL : tide_stage_task(stage, run->arities, part);

        *index = run->indexes ? run->indexes[part] : part;
        if (task) {
            task->round = guarded ? run->round : 0;
            return task;
        }
        tide_run_lose(run, *index, stage->parts[part].partition);
    }
    /* Inputs go with the tasks that read them if none of these can get lost. */
    run->may_lose |= stage->may_lose || run->nlost > 0;
    if (!run->may_lose) root_free(run);
    stage_free(run);
    return NULL;
}

/* ---- Losses --------------------------------------------------------------------------------------------------- */

void tide_run_lose(struct tide_run *run, uint32_t index, uint32_t partition) {
    if (run->nlost == run->lost_slots) {
        run->lost_slots = run->lost_slots > 0 ? run->lost_slots * 2 : 4;
        run->lost = tide_xrealloc(run->lost, run->lost_slots * sizeof *run->lost);
    }
    run->lost[run->nlost++] = (struct tide_run_lost){.index = index, .partition = partition};
}

bool tide_run_cut_lost(struct tide_run *run) {
    if (run->nlost == 0 || run->stage) return false;

    uint32_t *partitions = tide_xcalloc(run->nlost, sizeof *partitions);

    run->indexes = tide_xcalloc(run->nlost, sizeof *run->indexes);
    for (uint32_t i = 0; i < run->nlost; i++) {
        run->indexes[i] = run->lost[i].index;
        partitions[i] = run->lost[i].partition;
    }
    tide_run_cut(run, partitions, run->nlost, true);
    run->nlost = 0;
    tide_free(partitions);
    return true;
}

/* ---- Guards --------------------------------------------------------------------------------------------------- */

bool tide_run_is_guard(const struct tide_run *run) { return run->keeps && run->target->kind == TIDE_RDD_GUARD; }

bool tide_run_outdated(const struct tide_run *run, const struct tide_task *task) {
    return task->round != 0 && task->round != run->round;
}

bool tide_run_hold(struct tide_run *run, struct tide_task *task) {
    if (task->round == 0 && !tide_run_is_guard(run)) return false;
    if (run->nheld == run->held_slots) {
        run->held_slots = run->held_slots > 0 ? run->held_slots * 2 : 4;
        run->held = tide_xrealloc(run->held, run->held_slots * sizeof *run->held);
    }
    run->held[run->nheld++] = (struct tide_run_held){
        .index = task->index, .partition = task->work.partition, .updates = task->work.updates};
    return true;
}

static void take_back_one(struct tide_run *run, const struct tide_run_held *held) {
    if (run->outputs) {
        tide_blocks_destroy(&run->outputs[held->index]);
        tide_blocks_create(&run->outputs[held->index]);
    }
    if (run->made) {
        tide_cached_release(run->made[held->index]);
        run->made[held->index] = NULL;
    }
    tide_block_release(held->updates);
    run->todo++;
    tide_run_lose(run, held->index, held->partition);
}

void tide_run_take_back(struct tide_run *run) {
    bool left = false;

    for (uint32_t i = 0; i < run->nguards && !left; i++) left = tide_guard_left(run->guards[i]);
    if (!left) return;
    guards_free(run);
    run->round++;
    tide_arities_doubt(run->arities);
    for (uint32_t i = 0; i < run->nheld; i++) take_back_one(run, &run->held[i]);
    run->nheld = 0;
}

void tide_run_explain_mix(struct tide_run *run, struct tide_task *task) {
    struct tide_error err = {0};

    if (tide_arities_hear(run->arities, task, &err) != TIDE_OK || tide_arities_check(run->arities, &err) != TIDE_OK) {
        tide_error_clear(&task->error);
        tide_error_move(&task->error, &err);
    }
    task->error.code = TIDE_ECLOSURE;
}

/* ---- The end -------------------------------------------------------------------------------------------------- */

void tide_run_end(struct tide_run *run) {
    run->state = TIDE_RUN_ENDED;
    tide_list_remove(&run->queued);
    for (uint32_t i = 0; i < run->nheld; i++) tide_block_release(run->held[i].updates);
    tide_free(run->held);
    run->held = NULL;
    run->nheld = 0;
    guards_free(run);
    outputs_free(run);
    stage_free(run);
    root_free(run);
    tide_free(run->numbers);
    tide_free(run->lost);
    tide_free(run->kept);
    tide_arities_delete(run->arities);
    run->arities = NULL;
    run->numbers = run->kept = NULL;
    run->lost = NULL;
    tide_error_clear(&run->error);
    tide_error_clear(&run->doomed);
    if (run->target) {
        struct tide_rdd *rdd = run->target;

        run->target = NULL;
        if (run->keeps) rdd->keeping = NULL;
        else rdd->as.shuffle.running = NULL;
        tide_rdd_release(rdd);
    }
    if (run->outstanding == 0) tide_list_remove(&run->link);
}
