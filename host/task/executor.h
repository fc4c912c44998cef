/*
 * Where tasks go to be run. The scheduler knows no more than this; threads of this process (task/pool.h) are the first
 * to stand behind it.
 *
 * Thread: driver.
 */
#ifndef TIDE_TASK_EXECUTOR_H
#define TIDE_TASK_EXECUTOR_H

#include "task/task.h"

struct tide_executor {
    /* Takes the task until it comes back, run or not, through task->message.deliver on the driver's inbox; never from
     * within this call. */
    void (*submit)(void *self, struct tide_task *task);
    void *self;
};

#endif
