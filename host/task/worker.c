/*
 * A worker's LuaJIT state (see worker.h). Worker Lua is entered once per task, through vm/call.
 *
 * Interrupting a closure that does not return: a signal handler on the worker's thread sets a hook, which stops
 * interpreted code, as the luajit program does for Ctrl-C. Hooks do not run inside compiled traces. For a loop that
 * never leaves its trace, worker Lua registers the machine code range and script line of every trace; if the handler
 * finds the program counter inside one of them at the second signal, it jumps out to tide_worker_run. The Lua state
 * can't be used after that: it is set aside and a new one is made. The jump is safe because the machine code of a
 * trace holds no lock of the C library, which is why the program counter is checked.
 */
#include "task/worker.h"

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/stress.h"
#include "clock/clock.h"
#include "task/command.h"
#include "thread/thread.h"
#include "vm/call.h"
#include "vm/modules.h"
#include "vm/vm.h"

enum { INTERRUPT_SIGNAL = SIGURG, FIRST_TRACES = 64 };

struct trace_range {
    uintptr_t start, end;
    char where[112];
};

struct tide_worker {
    lua_State *L;
    int run; /* reference of moontide.worker.run */
    char *package_path, *package_cpath;
    pthread_t thread;
    pthread_mutex_t lock; /* leaf: guards the fields that describe reads */
    bool busy;
    char operators[240];
    int64_t batch_time;
    uint64_t since_ns;
    /* Interrupts: used by the worker's thread and its signal handler only, except `signals` and `overdue_ms`. */
    volatile sig_atomic_t running;
    int signals;        /* sent since the task began (atomic) */
    int64_t overdue_ms; /* the time limit for which they were sent (atomic); 0: another reason */
    sigjmp_buf out;
    const char *volatile trapped_at;
    struct trace_range *traces;
    volatile uint32_t ntraces;
    uint32_t trace_capacity;
    int collected_kb; /* heap size after the last full cycle */
    bool logged;      /* a failure of a finalizer has been logged */
    int code;         /* of the error that the running task is about to raise; 0: TIDE_ECLOSURE */
};

static __thread struct tide_worker *current;
static pthread_once_t handler_once = PTHREAD_ONCE_INIT;

/* States set aside. They stay reachable: their memory can't be freed safely. */
struct abandoned_state {
    struct abandoned_state *next;
    lua_State *L;
    struct trace_range *traces;
};
static struct abandoned_state *abandoned;
static pthread_mutex_t abandoned_lock = PTHREAD_MUTEX_INITIALIZER;

/* Generated code or one of our modules. A script may be in a folder called moontide. */
static bool is_ours(const char *source) {
    if (strncmp(source, "=stage#", 7) == 0) return true;
    if (strncmp(source, "@moontide/", 10) != 0) return false;
    for (const struct tide_embedded_module *module = tide_embedded_modules; module->name; module++) {
        if (strcmp(module->chunk, source) == 0) return true;
    }
    return false;
}

/* Called before each instruction once the task is interrupted. The hook stays until the task has ended: a script that
 * catches the error with pcall gets it again at its next instruction. It raises in code of the script only, so that
 * our own frames below it can clean up. */
static void interrupt(lua_State *L, lua_Debug *ar) {
    for (int level = 0; lua_getstack(L, level, ar); level++) {
        if (!lua_getinfo(L, "Sl", ar) || ar->currentline <= 0 || is_ours(ar->source)) continue;
        lua_pushfstring(L, "interrupted at %s:%d", ar->short_src, ar->currentline);
        lua_error(L);
    }
}

static uintptr_t program_counter(const void *context) {
    const ucontext_t *uc = context;

#if defined(__x86_64__)
    return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)uc->uc_mcontext.pc;
#else
    return 0;
#endif
}

#ifdef __SANITIZE_THREAD__
__attribute__((no_sanitize_thread)) /* signals come at any moment, also within ThreadSanitizer */
#endif
static void
on_signal(int number, siginfo_t *info, void *context) {
    struct tide_worker *worker = current;

    if (!worker || !worker->running) return;
    int signals = __atomic_load_n(&worker->signals, __ATOMIC_RELAXED);
    if (signals == 0) return; /* sent for the previous task */
    lua_sethook(worker->L, interrupt, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
    if (signals < 2) return; /* the hook comes first */
    uintptr_t pc = program_counter(context);
    for (uint32_t i = 0; i < worker->ntraces; i++) {
        if (pc >= worker->traces[i].start && pc < worker->traces[i].end) {
            worker->running = 0;
            worker->trapped_at = worker->traces[i].where;
            siglongjmp(worker->out, 1);
        }
    }
}

static void install_handler(void) {
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_RESTART | SA_NODEFER;
    sigemptyset(&action.sa_mask);
    sigaction(INTERRUPT_SIGNAL, &action, NULL);
#ifdef __SANITIZE_THREAD__
    /* ThreadSanitizer delays a signal until the thread next calls the C library, which a loop in LuaJIT never does.
     * This replaces its handler and mask by ours in the kernel and keeps its restorer. */
    struct {
        void (*handler)(int, siginfo_t *, void *);
        unsigned long flags;
        void (*restorer)(void);
        unsigned long mask;
    } known;
    syscall(SYS_rt_sigaction, INTERRUPT_SIGNAL, NULL, &known, sizeof(known.mask));
    known.handler = on_signal;
    known.mask = 0;
    syscall(SYS_rt_sigaction, INTERRUPT_SIGNAL, &known, NULL, sizeof(known.mask));
#endif
}

static int make_state(struct tide_worker *worker, struct tide_error *err) {
    struct tide_vm_options options = {TIDE_VM_WORKER, worker->package_path, worker->package_cpath, NULL};

    worker->L = tide_vm_new(&options, err);
    if (!worker->L) return err ? err->code : TIDE_ENOMEM;
    int start = tide_vm_reference(worker->L, "moontide.worker", "start", err);
    if (start < 0) goto fail;
    int code = tide_vm_call_pointer(worker->L, start, worker, err);
    if (code != 0) goto fail;
    worker->run = tide_vm_reference(worker->L, "moontide.worker", "run", err);
    if (worker->run < 0) goto fail;
    worker->collected_kb = lua_gc(worker->L, LUA_GCCOUNT, 0);
    return 0;
fail:
    tide_error_prefix(err, "a worker could not start");
    tide_vm_delete(worker->L);
    worker->L = NULL;
    return err ? err->code : TIDE_ESTATE;
}

struct tide_worker *tide_worker_new(const char *package_path, const char *package_cpath, struct tide_error *err) {
    pthread_once(&handler_once, install_handler);
    struct tide_worker *worker = tide_xcalloc(1, sizeof *worker);
    worker->package_path = package_path ? tide_xstrdup(package_path) : NULL;
    worker->package_cpath = package_cpath ? tide_xstrdup(package_cpath) : NULL;
    worker->thread = pthread_self();
    pthread_mutex_init(&worker->lock, NULL);
    current = worker;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, INTERRUPT_SIGNAL);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    if (make_state(worker, err) != 0) {
        tide_worker_delete(worker);
        return NULL;
    }
    return worker;
}

void tide_worker_delete(struct tide_worker *worker) {
    if (!worker) return;
    if (current == worker) current = NULL;
    tide_vm_delete(worker->L);
    pthread_mutex_destroy(&worker->lock);
    tide_free(worker->traces);
    tide_free(worker->package_path);
    tide_free(worker->package_cpath);
    tide_free(worker);
}

static void set_aside(struct tide_worker *worker) {
    struct abandoned_state *state = tide_xcalloc(1, sizeof *state);

    state->L = worker->L;
    state->traces = worker->traces;
    pthread_mutex_lock(&abandoned_lock);
    state->next = abandoned;
    abandoned = state;
    pthread_mutex_unlock(&abandoned_lock);
    worker->traces = NULL;
    worker->ntraces = worker->trace_capacity = 0;
    worker->L = NULL;
}

static void set_busy(struct tide_worker *worker, bool busy) {
    pthread_mutex_lock(&worker->lock);
    worker->busy = busy;
    if (busy) worker->overdue_ms = 0;
    worker->since_ns = tide_clock_monotonic_ns();
    worker->operators[0] = '\0';
    worker->batch_time = -1;
    pthread_mutex_unlock(&worker->lock);
}

/* A step of a collection; kb 0: a full one. A finalizer of the script that fails belongs to no task: the first is
 * logged. */
static bool collect(struct tide_worker *worker, int kb) {
    struct tide_error err = {0};
    bool ended = tide_vm_collect(worker->L, kb, &err);

    if (err.code != 0 && !worker->logged) {
        worker->logged = true;
        tide_log(TIDE_LOG_WARN, "worker",
                 "a finalizer (__gc, ffi.gc) of the script failed: %s; further failures of this worker's finalizers "
                 "are not told",
                 err.text);
    }
    tide_error_clear(&err);
    return ended;
}

/* A task interrupted by its time limit has failed like any other task, and may be retried. */
static bool took_too_long(struct tide_worker *worker, struct tide_task *task) {
    struct tide_error err = {0};
    int64_t limit = __atomic_load_n(&worker->overdue_ms, __ATOMIC_RELAXED);

    if (limit == 0) return false;
    tide_error_set(&err, TIDE_ETIMEOUT, "the task took longer than task.timeout (%lld ms): %s", (long long)limit,
                   task->error.text);
    tide_error_clear(&task->error);
    tide_error_move(&task->error, &err);
    return true;
}

void tide_worker_run(struct tide_worker *worker, struct tide_task *task) {
    task->started_ns = tide_clock_monotonic_ns();
    if (task->work.cancelled && __atomic_load_n(task->work.cancelled, __ATOMIC_RELAXED)) {
        tide_error_set(&task->error, TIDE_ECANCELLED, "cancelled before it ran");
        task->ended_ns = task->started_ns;
        return;
    }
    if ((!worker->L && make_state(worker, &task->error) != 0) || !tide_task_begin(task)) {
        task->ended_ns = tide_clock_monotonic_ns();
        return;
    }
    set_busy(worker, true);
    __atomic_store_n(&worker->signals, 0, __ATOMIC_RELAXED);
    if (tide_stress()) collect(worker, 0);
    if (sigsetjmp(worker->out, 0) == 0) {
        worker->running = 1;
        worker->code = 0;
        if (tide_vm_call_pointer(worker->L, worker->run, task, &task->error) != 0 && worker->code != 0)
            task->error.code = worker->code;
        worker->running = 0;
        if (__atomic_load_n(&worker->signals, __ATOMIC_RELAXED) != 0) {
            lua_sethook(worker->L, NULL, 0, 0);
            if (task->error.code != 0 && !took_too_long(worker, task)) {
                task->error.code = TIDE_ECANCELLED;
                tide_log(TIDE_LOG_WARN, "worker", "%s", task->error.text);
            }
        }
    } else {
        const char *where = worker->trapped_at; /* empty: one of our own loops, which calls functions of the script */
        pthread_mutex_lock(&worker->lock);
        tide_error_set(&task->error, TIDE_ECANCELLED, "interrupted%s%s\n  operators: %s",
                       *where ? " in the loop at " : "", where, worker->operators);
        pthread_mutex_unlock(&worker->lock);
        if (!took_too_long(worker, task)) tide_log(TIDE_LOG_WARN, "worker", "%s", task->error.text);
        set_aside(worker);
    }
    if (tide_stress() && worker->L) collect(worker, 0);
    tide_command_end_all();
    if (task->error.code != 0) tide_thread_trim_stack(); /* it may have been endless recursion */
    tide_task_end(task);
    set_busy(worker, false);
    task->ended_ns = tide_clock_monotonic_ns();
}

bool tide_worker_collect(struct tide_worker *worker) {
    if (!worker->L) return false;
    int used = lua_gc(worker->L, LUA_GCCOUNT, 0);
    if (used < worker->collected_kb + worker->collected_kb / 4 + 512) return false;
    if (!collect(worker, 200)) return true;
    worker->collected_kb = lua_gc(worker->L, LUA_GCCOUNT, 0);
    return false;
}

void tide_worker_rest(struct tide_worker *worker) {
    if (!worker->L || lua_gc(worker->L, LUA_GCCOUNT, 0) <= worker->collected_kb) return;
    collect(worker, 0);
    worker->collected_kb = lua_gc(worker->L, LUA_GCCOUNT, 0);
}

bool tide_worker_describe(struct tide_worker *worker, char *text, size_t size) {
    pthread_mutex_lock(&worker->lock);
    bool busy = worker->busy;
    if (busy) {
        double seconds = (double)(tide_clock_monotonic_ns() - worker->since_ns) / 1e9;
        if (worker->batch_time >= 0) {
            snprintf(text, size, "%s, batch %lld ms, for %.1f s", worker->operators, (long long)worker->batch_time,
                     seconds);
        } else {
            snprintf(text, size, "%s, for %.1f s", worker->operators, seconds);
        }
    }
    pthread_mutex_unlock(&worker->lock);
    return busy;
}

void tide_worker_limit(struct tide_worker *worker, int64_t ms) {
    pthread_mutex_lock(&worker->lock); /* so that the signal is sent before the task ends and another begins */
    if (worker->busy && tide_clock_monotonic_ns() - worker->since_ns >= (uint64_t)ms * 1000000) {
        __atomic_store_n(&worker->overdue_ms, ms, __ATOMIC_RELAXED);
        tide_worker_signal(worker);
    }
    pthread_mutex_unlock(&worker->lock);
}

void tide_worker_signal(struct tide_worker *worker) {
    __atomic_add_fetch(&worker->signals, 1, __ATOMIC_RELAXED);
    pthread_kill(worker->thread, INTERRUPT_SIGNAL);
}

void tide_worker_note(struct tide_worker *worker, const char *operators, int64_t batch_time) {
    pthread_mutex_lock(&worker->lock);
    snprintf(worker->operators, sizeof(worker->operators), "%s", operators);
    worker->batch_time = batch_time;
    pthread_mutex_unlock(&worker->lock);
}

void tide_worker_code(struct tide_worker *worker, int code) { worker->code = code; }

void tide_worker_trace(struct tide_worker *worker, uintptr_t start, size_t size, const char *where) {
    if (worker->ntraces == worker->trace_capacity) {
        /* The handler may read the array at any time: publish the new one before freeing the old. */
        uint32_t capacity = worker->trace_capacity ? worker->trace_capacity * 2 : FIRST_TRACES;
        struct trace_range *grown = tide_xcalloc(capacity, sizeof *grown);
        if (worker->ntraces > 0) memcpy(grown, worker->traces, worker->ntraces * sizeof *grown);
        struct trace_range *old = worker->traces;
        worker->traces = grown;
        worker->trace_capacity = capacity;
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        tide_free(old);
    }
    struct trace_range *range = &worker->traces[worker->ntraces];
    range->start = start;
    range->end = start + size;
    snprintf(range->where, sizeof(range->where), "%s", where);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    worker->ntraces++;
}

void tide_worker_forget_traces(struct tide_worker *worker) { worker->ntraces = 0; }
