/*
 * Starting and joining named threads with a stack large enough for LuaJIT: endless recursion must reach LuaJIT's
 * limit (an error) before the end of the stack (a crash). Over libuv's threads.
 */
#ifndef TIDE_THREAD_THREAD_H
#define TIDE_THREAD_THREAD_H

#include <stdbool.h>
#include <uv.h>

#include "base/error.h"
#include "thread/ffi.h"

struct tide_thread {
    uv_thread_t id;
    void (*run)(void *arg);
    void *arg;
    char name[16];
};

/* `name` shows in debuggers (at most 15 characters). Signals are blocked in the new thread except the
 * synchronous ones, so that process signals are always handled by the main thread. */
int tide_thread_start(struct tide_thread *thread, const char *name, void (*run)(void *), void *arg,
                      struct tide_error *err);
void tide_thread_join(struct tide_thread *thread);

/* Returns the memory of the unused part of the calling thread's stack to the system. */
void tide_thread_trim_stack(void);
/* Starts a thread that is not joined: the process may end while it runs. */
int tide_thread_start_free(const char *name, void (*run)(void *), void *arg, struct tide_error *err);

#endif
