/*
 * Plans and tasks as values: creation and release, and what goes to and fro between a task and the cache. Made on the driver
 * thread, read on workers.
 */
#include "task/task.h"

#include <string.h>

#include "base/alloc.h"
#include "store/broadcast.h"
#include "wire/hash.h"

struct tide_plan *tide_plan_new(const void *bytes, size_t size) {
    struct tide_plan *plan = tide_xcalloc(1, sizeof *plan);
    plan->bytes = tide_xmemdup(bytes, size);
    plan->size = (uint32_t)size;
    plan->refs = 1;
    plan->broadcasts = tide_broadcast_refs_new(bytes, size);
    tide_hash_content(bytes, size, plan->id);
    return plan;
}

struct tide_plan *tide_plan_retain(struct tide_plan *plan) {
    __atomic_add_fetch(&plan->refs, 1, __ATOMIC_RELAXED);
    return plan;
}

void tide_plan_release(struct tide_plan *plan) {
    if (!plan || __atomic_sub_fetch(&plan->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
    tide_broadcast_refs_delete(plan->broadcasts);
    tide_free(plan->bytes);
    tide_free(plan);
}

struct tide_task *tide_task_new(struct tide_plan *plan, uint32_t ninputs, uint32_t noutputs) {
    struct tide_task *task = tide_xcalloc(1, sizeof *task);
    task->plan = tide_plan_retain(plan);
    task->ninputs = ninputs;
    task->noutputs = noutputs;
    task->inputs = tide_xcalloc(ninputs ? ninputs : 1, sizeof *task->inputs);
    task->outputs = tide_xcalloc(noutputs ? noutputs : 1, sizeof *task->outputs);
    task->batch_time = -1;
    for (uint32_t i = 0; i < ninputs; i++) {
        tide_blocks_create(&task->inputs[i].blocks);
        task->inputs[i].kind = TIDE_TASK_INPUT_BLOCKS;
    }
    for (uint32_t i = 0; i < noutputs; i++) tide_blocks_create(&task->outputs[i]);
    return task;
}

static void forget_learned(struct tide_task *task) {
    for (uint32_t i = 0; i < task->nslots; i++) {
        tide_free(task->slots[i].seen);
        task->slots[i].seen = NULL;
        task->slots[i].learned = 0;
    }
}

void tide_task_learn(struct tide_task *task, uint32_t slot, int arity, const char *text, size_t size) {
    if (slot >= task->nslots) return;
    tide_free(task->slots[slot].seen);
    task->slots[slot].seen = tide_xmalloc(size + 1);
    memcpy(task->slots[slot].seen, text, size);
    task->slots[slot].seen[size] = '\0';
    task->slots[slot].learned = (uint8_t)arity;
}

struct tide_task *tide_task_again(struct tide_task *failed) {
    struct tide_task *task = tide_task_new(failed->plan, 0, failed->noutputs);

    tide_free(task->inputs);
    task->inputs = failed->inputs;
    task->ninputs = failed->ninputs;
    failed->inputs = NULL;
    failed->ninputs = 0;
    task->reads = failed->reads;
    task->nreads = failed->nreads;
    failed->reads = NULL;
    failed->nreads = 0;
    task->made = failed->made;
    failed->made = NULL;
    task->slots = failed->slots;
    task->nslots = failed->nslots;
    failed->slots = NULL;
    failed->nslots = 0;
    forget_learned(task);
    task->batch_time = failed->batch_time;
    task->limit = failed->limit;
    task->seed = failed->seed;
    task->partition = failed->partition;
    task->attempt = failed->attempt + 1;
    task->round = failed->round;
    return task;
}

void tide_task_read(struct tide_task *task, uint32_t input, struct tide_cached *cached, uint32_t list) {
    if (task->nreads == task->read_slots) {
        task->read_slots = task->read_slots > 0 ? task->read_slots * 2 : 4;
        task->reads = tide_xrealloc(task->reads, task->read_slots * sizeof *task->reads);
    }
    task->reads[task->nreads++] =
        (struct tide_task_read){.cached = tide_cached_retain(cached), .list = list, .input = input};
}

static void drop_read_blocks(struct tide_task *task) {
    for (uint32_t i = 0; i < task->nreads; i++) tide_blocks_destroy(&task->inputs[task->reads[i].input].blocks);
}

bool tide_task_begin(struct tide_task *task) {
    int status = TIDE_OK;

    if (task->made && !tide_cached_wanted(task->made)) return false;
    for (uint32_t i = 0; i < task->nreads && status == TIDE_OK; i++) {
        const struct tide_task_read *read = &task->reads[i];

        status = tide_cached_open(read->cached, read->list, &task->inputs[read->input].blocks, &task->error);
    }
    if (status == TIDE_OK) return true;
    drop_read_blocks(task);
    return false;
}

/* What was received for the task makes room for more of it before the batch ends. */
static void consume_inputs(struct tide_task *task) {
    for (uint32_t i = 0; i < task->ninputs; i++) {
        const struct tide_blocks *blocks = &task->inputs[i].blocks;

        for (uint32_t k = 0; k < blocks->count; k++) tide_block_consumed(blocks->items[k]);
    }
}

void tide_task_end(struct tide_task *task) {
    drop_read_blocks(task);
    if (task->error.code == TIDE_OK) consume_inputs(task);
    if (task->made && task->error.code == TIDE_OK) tide_cached_fill(task->made, task->outputs);
}

void tide_task_delete(struct tide_task *task) {
    if (!task) return;
    tide_block_release(task->updates);
    for (uint32_t i = 0; i < task->nreads; i++) tide_cached_release(task->reads[i].cached);
    tide_free(task->reads);
    tide_cached_release(task->made);
    forget_learned(task);
    for (uint32_t i = 0; i < task->nslots; i++) tide_free(task->slots[i].first);
    tide_free(task->slots);
    for (uint32_t i = 0; i < task->ninputs; i++) {
        tide_blocks_destroy(&task->inputs[i].blocks);
        tide_free(task->inputs[i].path);
    }
    for (uint32_t i = 0; i < task->noutputs; i++) tide_blocks_destroy(&task->outputs[i]);
    tide_free(task->inputs);
    tide_free(task->outputs);
    tide_plan_release(task->plan);
    tide_error_clear(&task->error);
    tide_free(task);
}
