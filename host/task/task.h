/*
 * One partition of one stage, as plain data: a plan (task/plan.h) and input blocks in, output blocks out. Made by the
 * driver, run by one worker, and sent back to the driver.
 *
 * Thread: whichever has it; a task has one owner at a time. Its `work` is visible to worker Lua through FFI.
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

/* A list of cached data (store/cache.h) that tide_task_begin appends to the blocks of an input. */
struct tide_task_read {
    struct tide_cached *cached; /* a reference */
    uint32_t list;
    uint32_t input;
};

struct tide_task {
    struct tide_task_work work;   /* first: Lua has its address */
    struct tide_message message;  /* deliver: set by the driver, runs there when the task has ended */
    struct tide_task_read *reads; /* in order; their inputs have no other blocks */
    struct tide_cached *made;     /* gets the first lists of outputs; NULL: they stay in the task */
    uint32_t nreads, read_slots;
    struct tide_error error; /* set by the worker on failure; text for people */
    uint64_t started_ns, ended_ns;
    uint32_t worker;  /* which worker ran it */
    void *owner;      /* for the driver's use */
    uint32_t index;   /* for the driver's use */
    uint32_t attempt; /* for the driver's use: earlier attempts at this partition */
    uint32_t round;   /* for the driver's use (driver/stage_run.h) */
    struct tide_task *next;
};

/* With `noutputs` empty lists and `ninputs` empty inputs of kind BLOCKS. Retains the plan. */
struct tide_task *tide_task_new(struct tide_plan *plan, uint32_t ninputs, uint32_t noutputs);
/* Another attempt: takes the inputs of a task that failed. */
struct tide_task *tide_task_again(struct tide_task *failed);
/* Retains cached. */
void tide_task_read(struct tide_task *task, uint32_t input, struct tide_cached *cached, uint32_t list);

/* Called by the worker before and after the work. Begin loads cached inputs. false: the task must not run, because an
 * input can't be loaded (`error` is set; TIDE_ELOST: it must be computed again) or because the cache has no room for
 * the outputs. End moves outputs to the cache and releases the inputs loaded. Both may wait for the disk. */
bool tide_task_begin(struct tide_task *task);
void tide_task_end(struct tide_task *task);
/* On the driver's thread, after success: tells the counts of its inputs what it has read. */
void tide_task_count(const struct tide_task *task);
/* Frees the task with everything it holds. */
void tide_task_delete(struct tide_task *task);

#endif
