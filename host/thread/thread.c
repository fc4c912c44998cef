/*
 * Threads of the engine: ingest, workers, disk. Started and joined by the driver thread.
 */
#include "thread/thread.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"

/*
 * A Lua stack ends after 65,500 slots. The C stack needed until then depends on the recursion: string.gsub that calls
 * itself through its function needs most, 9.2 KB a level and 82 MB in all (interpreted; 58 MB compiled; load 4 MB,
 * string.format 4 MB, table.sort 1.5 MB). Each coroutine has a Lua stack of its own, so none begins when much of the
 * thread's stack is in use (lua/moontide/worker/coroutines.lua; a coroutine that resumes another takes 80 bytes).
 * This is address space: untouched pages take no memory. Where so much is refused, threads use a smaller stack.
 */
enum { STACK_SIZE = 128 * 1024 * 1024, SMALL_STACK_SIZE = 8 * 1024 * 1024, COROUTINES_BEGIN_WITHIN = 1024 * 1024 };
enum { STAYS_MAPPED = 256 * 1024 }; /* of a stack that is trimmed */

static void run_thread(void *arg) {
    struct tide_thread *thread = arg;

#ifdef __APPLE__
    pthread_setname_np(thread->name);
#else
    pthread_setname_np(pthread_self(), thread->name);
#endif
    thread->run(thread->arg);
}

/* All signals except abort and those that a thread causes itself. */
static void signals_to_block(sigset_t *set) {
    static const int synchronous[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};

    sigfillset(set);
    for (size_t i = 0; i < sizeof synchronous / sizeof *synchronous; i++) sigdelset(set, synchronous[i]);
}

static int create(struct tide_thread *thread, size_t stack_size) {
    uv_thread_options_t options = {.flags = UV_THREAD_HAS_STACK_SIZE, .stack_size = stack_size};

    if (stack_size == STACK_SIZE && tide_fault("thread.stack")) return UV_EAGAIN;
    return uv_thread_create_ex(&thread->id, &options, run_thread, thread);
}

int tide_thread_start(struct tide_thread *thread, const char *name, void (*run)(void *), void *arg,
                      struct tide_error *err) {
    sigset_t blocked, before;

    thread->run = run;
    thread->arg = arg;
    snprintf(thread->name, sizeof thread->name, "%s", name);
    /* The new thread inherits the mask: with signals blocked around its creation, none can be delivered to it. */
    signals_to_block(&blocked);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    int status = UV_EAGAIN;
    if (!tide_fault("thread.start")) {
        status = create(thread, STACK_SIZE);
        if (status != 0) status = create(thread, SMALL_STACK_SIZE);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0)
        return tide_error_set(err, TIDE_ELIMIT,
                              "thread '%s' cannot be started: %s; use fewer workers (local[N]) or raise the limit of "
                              "processes and memory of this user",
                              name, uv_strerror(status));
    return TIDE_OK;
}

/* Referenced by the thread and by its starter, which writes the id, perhaps after the thread has ended. */
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

/* The lowest address of the calling thread's stack. */
static uintptr_t stack_end(size_t *size) {
    static __thread uintptr_t end;
    static __thread size_t known;
    pthread_attr_t attributes;
    void *low;

    if (end == 0 && pthread_getattr_np(pthread_self(), &attributes) == 0) {
        if (pthread_attr_getstack(&attributes, &low, &known) == 0) end = (uintptr_t)low;
        pthread_attr_destroy(&attributes);
    }
    *size = known;
    return end;
}

static uintptr_t stack_top(void) { return (uintptr_t)__builtin_frame_address(0); }

bool tide_thread_stack_is_short(void) {
    size_t size;
    uintptr_t left = stack_top() - stack_end(&size);
    size_t most = size / 2 < COROUTINES_BEGIN_WITHIN ? size / 2 : COROUTINES_BEGIN_WITHIN;

    return left < size - most;
}

void tide_thread_trim_stack(void) {
    size_t size;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), end = stack_end(&size);
    uintptr_t to = (stack_top() - STAYS_MAPPED) & ~(page - 1);

    if (end != 0 && to > end) madvise((void *)end, to - end, MADV_DONTNEED);
}
