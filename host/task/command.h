/*
 * Shell commands that a task pipes records through (rdd:pipe). Each runs in a process group of its own, so that
 * Ctrl-C in a terminal and signals to our group reach this process and not the command. At the end of its task the
 * whole group is ended: with SIGTERM, and a second later with SIGKILL.
 *
 * A watcher, a small shell started with the first command, knows the groups of all commands and reads from a pipe.
 * When this process ends, however it ends, the pipe closes and the watcher ends the commands.
 *
 * Thread: a command belongs to the thread that started it, which names it by a number; the number of a command that
 * has ended is unknown. Called by lua/moontide/worker/process.lua through FFI, and by the worker.
 */
#ifndef TIDE_TASK_COMMAND_H
#define TIDE_TASK_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "task/ffi.h"

/* Ends the commands that the task of this thread has left running. */
void tide_command_end_all(void);
/* Ends the watcher if no command is running. Any thread. */
void tide_command_rest(void);

#endif
