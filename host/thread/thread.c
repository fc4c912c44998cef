/*
 * Threads of the engine: ingest, workers, disk. Started and joined by the driver thread.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* pthread_setname_np */
#endif
#include "thread/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/fault.h"

enum { STACK_SIZE = 8 * 1024 * 1024 };

static void run_thread(void *arg) {
    struct tide_thread *thread = arg;
#ifdef __APPLE__
    pthread_setname_np(thread->name);
#else
    pthread_setname_np(pthread_self(), thread->name);
#endif
    thread->run(thread->arg);
}

/* All but those that a thread causes itself, and abort. */
static void signals_to_block(sigset_t *set) {
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigfillset(set);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(set, synchronous[i]);
}

int tide_thread_start(struct tide_thread *thread, const char *name, void (*run)(void *), void *arg,
                      struct tide_error *err) {
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = STACK_SIZE};
    sigset_t blocked, before;
    thread->run = run;
    thread->arg = arg;
    snprintf(thread->name, sizeof thread->name, "%s", name);
    /* The new thread inherits the mask: blocking around its creation leaves no moment in which it could be the one
     * that a signal reaches. */
    signals_to_block(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int status =
        tide_fault("thread.start") ? UV_EAGAIN : uv_thread_create_ex(&thread->id, &options, run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        return tide_error_set(err, TIDE_ELIMIT,
                              "thread '%s' cannot be started: %s; use fewer workers (local[N]) or raise the limit of "
                              "processes and memory of this user",
                              name, uv_strerror(status));
    return TIDE_OK;
}

/* Held by the thread, and by who starts it: that writes the id, perhaps after the thread has ended. */
struct free_thread {
    struct tide_thread thread;
    void (*run)(void *arg);
    void *arg;
    uint32_t refs;
};

static void release(struct free_thread *free_thread) {
    if (__atomic_sub_fetch(&free_thread->refs, 1, __ATOMIC_ACQ_REL) == 0) tide_free(free_thread);
}

static void run_free(void *arg) {
    struct free_thread *free_thread = arg;

    pthread_detach(pthread_self());
    free_thread->run(free_thread->arg);
    release(free_thread);
}

int tide_thread_start_free(const char *name, void (*run)(void *), void *arg, struct tide_error *err) {
    struct free_thread *free_thread = tide_xcalloc(1, sizeof *free_thread);

    *free_thread = (struct free_thread){.run = run, .arg = arg, .refs = 2};

    int status = tide_thread_start(&free_thread->thread, name, run_free, free_thread, err);

    if (status < 0) release(free_thread);
    release(free_thread);
    return status;
}

void tide_thread_join(struct tide_thread *thread) { uv_thread_join(&thread->id); }
