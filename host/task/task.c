/*
 * Tasks as values (see task.h): creation, another attempt, release, and the exchange of blocks with the cache. Made
 * on the driver thread, begun and ended on a worker.
 */
#include "task/task.h"

#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "task/counts.h"

struct tide_task *tide_task_new(struct tide_plan *plan, uint32_t ninputs, uint32_t noutputs) {
    struct tide_task *task = tide_xcalloc(1, sizeof *task);

    task->work.plan = tide_plan_retain(plan);
    task->work.ninputs = ninputs;
    task->work.noutputs = noutputs;
    task->work.inputs = tide_xcalloc(ninputs ? ninputs : 1, sizeof *task->work.inputs);
    task->work.outputs = tide_xcalloc(noutputs ? noutputs : 1, sizeof *task->work.outputs);
    task->work.batch_time = -1;
    for (uint32_t i = 0; i < ninputs; i++) {
        tide_blocks_create(&task->work.inputs[i].blocks);
        task->work.inputs[i].kind = TIDE_TASK_INPUT_BLOCKS;
        task->work.inputs[i].records = -1;
    }
    for (uint32_t i = 0; i < noutputs; i++) tide_blocks_create(&task->work.outputs[i]);
    return task;
}

static void forget_learned(struct tide_task *task) {
    for (uint32_t i = 0; i < task->work.nslots; i++) {
        tide_free(task->work.slots[i].seen);
        task->work.slots[i].seen = NULL;
        task->work.slots[i].learned = 0;
    }
}

void tide_task_learn(struct tide_task_work *work, uint32_t slot, int arity, const char *text, size_t size) {
    if (slot >= work->nslots) return;

    struct tide_task_slot *learned = &work->slots[slot];

    tide_free(learned->seen);
    learned->seen = tide_xmalloc(size + 1);
    memcpy(learned->seen, text, size);
    learned->seen[size] = '\0';
    learned->learned = (uint8_t)arity;
}

struct tide_task *tide_task_again(struct tide_task *failed) {
    struct tide_task *task = tide_task_new(failed->work.plan, 0, failed->work.noutputs);

    tide_free(task->work.inputs);
    task->work.inputs = failed->work.inputs;
    task->work.ninputs = failed->work.ninputs;
    for (uint32_t i = 0; i < task->work.ninputs; i++) task->work.inputs[i].records = -1;
    failed->work.inputs = NULL;
    failed->work.ninputs = 0;
    task->reads = failed->reads;
    task->nreads = failed->nreads;
    task->read_slots = failed->read_slots;
    failed->reads = NULL;
    failed->nreads = failed->read_slots = 0;
    task->made = failed->made;
    failed->made = NULL;
    task->work.slots = failed->work.slots;
    task->work.nslots = failed->work.nslots;
    failed->work.slots = NULL;
    failed->work.nslots = 0;
    forget_learned(task);
    task->work.batch_time = failed->work.batch_time;
    task->work.limit = failed->work.limit;
    task->work.seed = failed->work.seed;
    task->work.partition = failed->work.partition;
    task->attempt = failed->attempt + 1;
    task->round = failed->round;
    return task;
}

void tide_task_read(struct tide_task *task, uint32_t input, struct tide_cached *cached, uint32_t list) {
    TIDE_ARRAY_RESERVE(task->reads, task->read_slots, task->nreads + 1);
    task->reads[task->nreads++] =
        (struct tide_task_read){.cached = tide_cached_retain(cached), .list = list, .input = input};
}

static void drop_read_blocks(struct tide_task *task) {
    for (uint32_t i = 0; i < task->nreads; i++) tide_blocks_destroy(&task->work.inputs[task->reads[i].input].blocks);
}

bool tide_task_begin(struct tide_task *task) {
    int status = TIDE_OK;

    if (task->made && !tide_cached_wanted(task->made)) return false;
    for (uint32_t i = 0; i < task->nreads && status == TIDE_OK; i++) {
        const struct tide_task_read *read = &task->reads[i];

        status = tide_cached_open(read->cached, read->list, &task->work.inputs[read->input].blocks, &task->error);
    }
    if (status == TIDE_OK) return true;
    drop_read_blocks(task);
    return false;
}

/* Frees receivers' budget for the inputs of this task without waiting for the end of the batch. */
static void consume_inputs(struct tide_task *task) {
    for (uint32_t i = 0; i < task->work.ninputs; i++) {
        const struct tide_blocks *blocks = &task->work.inputs[i].blocks;

        for (uint32_t k = 0; k < blocks->count; k++) tide_block_consumed(blocks->items[k]);
    }
}

void tide_task_end(struct tide_task *task) {
    drop_read_blocks(task);
    if (task->error.code == TIDE_OK) consume_inputs(task);
    if (task->made && task->error.code == TIDE_OK) tide_cached_fill(task->made, task->work.outputs);
}

void tide_task_count(const struct tide_task *task) {
    for (uint32_t i = 0; i < task->work.ninputs; i++) {
        const struct tide_task_input *input = &task->work.inputs[i];

        if (input->counts && input->records >= 0) tide_counts_set(input->counts, input->partition, input->records);
    }
}

void tide_task_delete(struct tide_task *task) {
    if (!task) return;
    tide_block_release(task->work.updates);
    for (uint32_t i = 0; i < task->nreads; i++) tide_cached_release(task->reads[i].cached);
    tide_free(task->reads);
    tide_cached_release(task->made);
    forget_learned(task);
    for (uint32_t i = 0; i < task->work.nslots; i++) tide_free(task->work.slots[i].first);
    tide_free(task->work.slots);
    for (uint32_t i = 0; i < task->work.ninputs; i++) {
        tide_blocks_destroy(&task->work.inputs[i].blocks);
        tide_free(task->work.inputs[i].path);
        tide_counts_release(task->work.inputs[i].counts);
    }
    for (uint32_t i = 0; i < task->work.noutputs; i++) tide_blocks_destroy(&task->work.outputs[i]);
    tide_free(task->work.inputs);
    tide_free(task->work.outputs);
    tide_plan_release(task->work.plan);
    tide_error_clear(&task->error);
    tide_free(task);
}
