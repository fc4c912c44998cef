/*
 * One partition of one stage, as plain data both ways: plan + input blocks → output blocks. Made by the
 * driver, run by one worker, sent back to the driver. Its `work` is visible to worker Lua through
 * FFI.
 */
#ifndef TIDE_TASK_TASK_H
#define TIDE_TASK_TASK_H

#include <stdint.h>

#include "base/error.h"
#include "store/block.h"
#include "store/cache.h"
#include "task/ffi.h"
#include "task/plan.h"
#include "thread/inbox.h"

/* A list of something kept (store/cache.h), to be appended to the blocks of an input when the task begins. */
struct tide_task_read {
    struct tide_cached *cached; /* a reference */
    uint32_t list;
    uint32_t input;
};

struct tide_task {
    struct tide_task_work work;   /* first: Lua has its address */
    struct tide_message message;  /* deliver: set by the driver, runs there when the task has ended */
    struct tide_task_read *reads; /* in order; the inputs they belong to have no other blocks */
    struct tide_cached *made;     /* where its first lists of outputs go, or NULL: they stay with the task */
    uint32_t nreads, read_slots;
    struct tide_error error; /* set by the worker when it failed; text is complete, for people */
    uint64_t started_ns, ended_ns;
    uint32_t worker;  /* which worker ran it */
    void *owner;      /* for the driver's use */
    uint32_t index;   /* for the driver's use */
    uint32_t attempt; /* for the driver's use: how often this partition was tried before */
    uint32_t round;   /* for the driver's use (driver/stage_run.h) */
    struct tide_task *next;
};

/* noutputs empty lists, ninputs empty inputs of kind BLOCKS; retains the plan. */
struct tide_task *tide_task_new(struct tide_plan *plan, uint32_t ninputs, uint32_t noutputs);
/* A task that does the same again: takes the inputs of one that failed. */
struct tide_task *tide_task_again(struct tide_task *failed);
/* Retains cached. */
void tide_task_read(struct tide_task *task, uint32_t input, struct tide_cached *cached, uint32_t list);

/* Around the work, by whoever does it (task/worker.h). Begin brings the inputs in; false: there is nothing to do, because one of them
 * can't be had (`error` is set, TIDE_ELOST when it has to be computed again) or because there is no room for what would be
 * made. End hands what was made on and lets go of what was brought in. Both may wait for the disk. */
bool tide_task_begin(struct tide_task *task);
void tide_task_end(struct tide_task *task);
/* Frees the task with everything it holds. */
void tide_task_delete(struct tide_task *task);

#endif
