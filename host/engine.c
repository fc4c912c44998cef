/*
 * Wires the layers into one running engine, and ends them in the right order.
 *
 * Called by the bindings (and by C programs through tide.h) on the driver thread. The loop runs inside
 * tide_engine_turn only; workers reach it through the inbox. Order of the end: members (graphs, with their ingest
 * threads), jobs, workers, their last messages, handles, loop, cached data on disk.
 */
#include "engine.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/machine.h"

/* Default limit of received data: this part of the limit of cached data. */
enum { RECEIVED_PART = 4 };

struct tide_engine {
    uv_loop_t loop;
    struct tide_inbox inbox;
    struct tide_cache *cache;
    struct tide_budget *budget;
    struct tide_pool *pool;
    struct tide_scheduler *scheduler;
    struct tide_events events;
    struct tide_list members;
    uv_timer_t timeout;   /* bounds a turn */
    uv_timer_t limit;     /* interrupts tasks that take too long */
    int64_t task_timeout; /* ms; 0: none */
    uv_prepare_t prepare; /* keeps a turn from waiting when there are events */
    uv_poll_t signals;
    int signal_fd; /* -1: not watching */
    int signal_count;
    bool fell; /* the last answer of tide_block_fell */
};

static const struct tide_signals *process_signals;

const char *tide_version(void) { return TIDE_VERSION; }

/* ---- The loop ------------------------------------------------------------------------------------------------- */

static void on_limit(uv_timer_t *timer) {
    struct tide_engine *engine = timer->data;

    tide_pool_limit(engine->pool, engine->task_timeout);
}

static void on_timeout(uv_timer_t *timer) { (void)timer; /* only wakes the loop */ }

/* Runs after the loop's timers and before it waits: events caused by timers must not wait for another event. */
static void on_prepare(uv_prepare_t *prepare) {
    struct tide_engine *engine = prepare->data;

    if (!tide_list_empty(&engine->events.queue)) uv_stop(&engine->loop);
}

static int waiting_events(const struct tide_engine *engine) {
    int count = 0;

    TIDE_LIST_EACH(link, &engine->events.queue) count++;
    return count;
}

/* Idle workers do not notice that the driver has released memory: wake them. */
static void tell_fall(struct tide_engine *engine) {
    bool fell = tide_block_fell();

    if (fell && !engine->fell) tide_pool_wake(engine->pool);
    engine->fell = fell;
}

int tide_engine_turn(struct tide_engine *engine, int64_t timeout_ms) {
    tell_fall(engine);
    if (!tide_list_empty(&engine->events.queue)) return waiting_events(engine);
    if (timeout_ms == 0) {
        uv_run(&engine->loop, UV_RUN_NOWAIT);
        return waiting_events(engine);
    }
    if (timeout_ms > 0) {
        uv_update_time(&engine->loop); /* the script may have been busy for long */
        uv_timer_start(&engine->timeout, on_timeout, (uint64_t)timeout_ms, 0);
    }
    uv_run(&engine->loop, UV_RUN_ONCE);
    uv_timer_stop(&engine->timeout);
    return waiting_events(engine);
}

/* ---- Parts ---------------------------------------------------------------------------------------------------- */

uv_loop_t *tide_engine_loop(struct tide_engine *engine) { return &engine->loop; }

struct tide_inbox *tide_engine_inbox(struct tide_engine *engine) {
    return &engine->inbox;
}

struct tide_pool *tide_engine_pool(struct tide_engine *engine) {
    return engine->pool;
}

struct tide_cache *tide_engine_cache(struct tide_engine *engine) {
    return engine->cache;
}

struct tide_budget *tide_engine_budget(struct tide_engine *engine) {
    return engine->budget;
}

struct tide_scheduler *tide_engine_scheduler(struct tide_engine *engine) {
    return engine->scheduler;
}

struct tide_events *tide_engine_events(struct tide_engine *engine) {
    return &engine->events;
}

uint32_t tide_engine_workers(const struct tide_engine *engine) { return tide_pool_workers(engine->pool); }

bool tide_engine_describe(struct tide_engine *engine, uint32_t index, char *text, size_t size) {
    return tide_pool_describe(engine->pool, index, text, size);
}

/* ---- Members -------------------------------------------------------------------------------------------------- */

void tide_engine_join(struct tide_engine *engine, struct tide_engine_member *member) {
    tide_list_push(&engine->members, &member->link);
}

void tide_engine_leave(struct tide_engine_member *member) { tide_list_remove(&member->link); }

/* ---- Signals -------------------------------------------------------------------------------------------------- */

void tide_engine_set_signals(const struct tide_signals *signals) { process_signals = signals; }

static void on_signals(uv_poll_t *poll, int status, int events) {
    struct tide_engine *engine = poll->data;
    uint8_t bytes[16];
    ssize_t count;

    (void)events;
    if (status < 0) return;
    while ((count = read(engine->signal_fd, bytes, sizeof bytes)) > 0)
        for (ssize_t i = 0; i < count; i++) {
            struct tide_event *event = tide_event_new(TIDE_EVENT_SIGNAL);

            event->signals = ++engine->signal_count;
            tide_events_push(&engine->events, event);
        }
}

int tide_engine_watch_signals(struct tide_engine *engine, struct tide_error *err) {
    if (engine->signal_fd >= 0) return TIDE_OK;
    if (!process_signals)
        return tide_error_set(err, TIDE_ESTATE,
                              "this process does not hand signals to engines: only the moontide program does; "
                              "stop the engine from the script instead");

    int fd = process_signals->attach();

    if (fd < 0) return tide_error_set(err, TIDE_ELIMIT, "too many engines watch signals in this process");

    int status = uv_poll_init(&engine->loop, &engine->signals, fd);

    if (status < 0) {
        process_signals->detach(fd);
        return tide_error_set(err, TIDE_EIO, "signals can't be watched: %s", uv_strerror(status));
    }
    engine->signal_fd = fd;
    engine->signals.data = engine;
    uv_poll_start(&engine->signals, UV_READABLE, on_signals);
    return TIDE_OK;
}

void tide_engine_signal_handled(struct tide_engine *engine) {
    if (engine->signal_fd >= 0) process_signals->handled();
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

/* Every handle must be closing by now. An open one would keep the loop running for ever: a mistake of its owner. */
static void on_leaked_handle(uv_handle_t *handle, void *arg) {
    (void)arg;
    if (uv_is_closing(handle)) return;
    tide_log(TIDE_LOG_ERROR, "engine", "a %s handle was left open", uv_handle_type_name(uv_handle_get_type(handle)));
#ifdef __SANITIZE_ADDRESS__
    abort();
#endif
    uv_close(handle, NULL);
}

/* Another process that shares stdout may have made it non-blocking: stdio then treats a full pipe as an error and
 * loses its buffer. Opening stdout again gives a blocking description without changing the shared one; where that is
 * not possible (sockets, pipes without a reader) the shared one is changed. */
static void block_on_stdout(void) {
    int flags = fcntl(STDOUT_FILENO, F_GETFL);

    if (flags < 0 || !(flags & O_NONBLOCK)) return;

    int fd = open("/proc/self/fd/1", (flags & (O_ACCMODE | O_APPEND)) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

    if (fd >= 0) {
        (void)dup2(fd, STDOUT_FILENO);
        close(fd);
    }
    (void)fcntl(STDOUT_FILENO, F_SETFL, flags & ~O_NONBLOCK);
}

void tide_engine_keep_standard_streams(void) {
    block_on_stdout();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
        /* The lowest free number, and so this one. */
        if (open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd) return;
    }
}

/* libuv aborts when the first loop of a process gets no descriptors for its pipe: check for free descriptors
 * first. */
static int init_loop(uv_loop_t *loop) {
    enum { NEEDED = 8 };
    int taken[NEEDED], n = 0, status = 0;

    tide_engine_keep_standard_streams();
    while (n < NEEDED && (taken[n] = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)) >= 0) n++;
    if (n < NEEDED) status = UV_EMFILE;
    while (n > 0) close(taken[--n]);
    return status == 0 ? uv_loop_init(loop) : status;
}

static void close_loop(uv_loop_t *loop) {
    int status;

    uv_walk(loop, on_leaked_handle, NULL);
    uv_run(loop, UV_RUN_DEFAULT);
    status = uv_loop_close(loop);
    assert(status == 0);
    (void)status;
}

static void submit_to_pool(void *self, struct tide_task *task) { tide_pool_submit(self, task); }

static void on_untidy(void *pool) { tide_pool_wake(pool); }

/* Half of the memory: the other half is for the tasks' own data, the Lua states, and the system's cache of files. */
static uint64_t default_memory_limit(void) {
    uint64_t total = tide_machine_memory("");

    return total > 0 ? total / 2 : UINT64_C(1) << 30;
}

static void on_updates(struct tide_block *take, void *arg) {
    struct tide_event *event = tide_event_new(TIDE_EVENT_UPDATES);

    event->block = take;
    tide_events_push(arg, event);
}

/* The owner of guards is the graph that made them (dstream/stream.c). */
static void on_lost(void *owner, int64_t time, const struct tide_error *err, void *arg) {
    struct tide_event *event = tide_event_new(TIDE_EVENT_LOST);

    event->graph = owner;
    event->time = time;
    tide_error_copy(&event->error, err);
    tide_events_push(arg, event);
}

struct tide_engine *tide_engine_new(const struct tide_engine_options *options, struct tide_error *err) {
    struct tide_engine *engine = tide_xcalloc(1, sizeof *engine);
    int status = init_loop(&engine->loop);
    bool inbox = false;

    if (status < 0) {
        tide_error_set(err, TIDE_EIO, "the engine's event loop can't be made: %s", uv_strerror(status));
        tide_free(engine);
        return NULL;
    }
    engine->signal_fd = -1;
    tide_list_create(&engine->members);
    tide_events_create(&engine->events);
    uv_timer_init(&engine->loop, &engine->timeout);
    uv_timer_init(&engine->loop, &engine->limit);
    engine->limit.data = engine;
    uv_prepare_init(&engine->loop, &engine->prepare);
    engine->prepare.data = engine;
    uv_prepare_start(&engine->prepare, on_prepare);
    uv_unref((uv_handle_t *)&engine->prepare);

    /* Referenced by the inbox: a turn with nothing to do waits instead of spinning. */
    if (tide_inbox_create(&engine->inbox, &engine->loop, engine, true) < 0) {
        tide_error_set(err, TIDE_EIO, "the engine's inbox can't be made");
        goto fail;
    }
    inbox = true;

    struct tide_cache_options cache = {
        .limit = options->memory_limit > 0 ? options->memory_limit : default_memory_limit(),
        .directory = options->spill_directory,
    };

    engine->cache = tide_cache_new(&cache, err);
    if (!engine->cache) goto fail;
    engine->budget = tide_budget_new(options->receive_limit, cache.limit / RECEIVED_PART);

    struct tide_pool_options pool = {
        .workers = options->workers,
        .driver = &engine->inbox,
        .cache = engine->cache,
        .package_path = options->package_path,
        .package_cpath = options->package_cpath,
    };

    engine->pool = tide_pool_new(&pool, err);
    if (!engine->pool) goto fail;

    tide_cache_on_untidy(engine->cache, on_untidy, engine->pool);

    struct tide_executor executor = {.submit = submit_to_pool, .self = engine->pool};

    engine->scheduler = tide_scheduler_new(&executor, engine->cache, &engine->inbox);
    tide_scheduler_on_updates(engine->scheduler, on_updates, &engine->events);
    tide_scheduler_on_lost(engine->scheduler, on_lost, &engine->events);
    if (options->task_timeout > 0) {
        uint64_t often = options->task_timeout < 1000 ? (uint64_t)options->task_timeout / 4 + 1 : 250;

        engine->task_timeout = options->task_timeout;
        uv_timer_start(&engine->limit, on_limit, often, often);
        uv_unref((uv_handle_t *)&engine->limit);
    }
    if (options->max_failures > 0) tide_scheduler_set_max_failures(engine->scheduler, options->max_failures);
    return engine;

fail:
    tide_cache_release(engine->cache);
    tide_budget_release(engine->budget);
    if (inbox) tide_inbox_close(&engine->inbox);
    uv_close((uv_handle_t *)&engine->timeout, NULL);
    uv_close((uv_handle_t *)&engine->limit, NULL);
    uv_close((uv_handle_t *)&engine->prepare, NULL);
    close_loop(&engine->loop);
    if (inbox) tide_inbox_destroy(&engine->inbox);
    tide_free(engine);
    return NULL;
}

int tide_engine_delete(struct tide_engine *engine, uint64_t timeout_ms) {
    struct tide_list *link;
    bool ended;

    if (!engine) return TIDE_OK;
    while ((link = tide_list_pop(&engine->members))) {
        struct tide_engine_member *member = TIDE_CONTAINER_OF(link, struct tide_engine_member, link);

        if (member->close) member->close(member->arg);
    }
    tide_scheduler_close(engine->scheduler);
    tide_cache_on_untidy(engine->cache, NULL, NULL);
    ended = tide_pool_delete(engine->pool, timeout_ms);
    tide_inbox_drain(&engine->inbox);

    tide_events_destroy(&engine->events);
    if (engine->signal_fd >= 0) uv_close((uv_handle_t *)&engine->signals, NULL);
    uv_close((uv_handle_t *)&engine->timeout, NULL);
    uv_close((uv_handle_t *)&engine->limit, NULL);
    uv_close((uv_handle_t *)&engine->prepare, NULL);
    tide_inbox_close(&engine->inbox);
    close_loop(&engine->loop);
    if (engine->signal_fd >= 0) process_signals->detach(engine->signal_fd);
    tide_scheduler_delete(engine->scheduler);
    tide_cache_close(engine->cache);
    tide_cache_release(engine->cache);
    tide_budget_release(engine->budget);

    /* A worker that was left behind posts to the closed inbox if it ever ends: the engine's memory stays
     * allocated. */
    if (!ended) return TIDE_ETIMEOUT;
    tide_inbox_destroy(&engine->inbox);
    tide_free(engine);
    return TIDE_OK;
}
