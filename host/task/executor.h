/*
 * The scheduler's view of the workers: a place to send tasks to. task/pool.h is the one implementation; tests have
 * others.
 *
 * Thread: driver.
 */
#ifndef TIDE_TASK_EXECUTOR_H
#define TIDE_TASK_EXECUTOR_H

#include "task/task.h"

struct tide_executor {
    /* Takes the task. It comes back, run or not, through task->message.deliver on the driver's inbox, never from
     * within this call. */
    void (*submit)(void *self, struct tide_task *task);
    void *self;
};

#endif
