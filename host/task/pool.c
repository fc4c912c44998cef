/*
 * Worker threads and their queue (see pool.h). Any idle worker takes the next task, so that a slow partition never
 * delays tasks queued behind it.
 *
 * Lock order: pool->lock, then a worker's own lock (describe). Tasks are posted to the driver's inbox without a lock.
 */
#include "task/pool.h"

#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/log.h"
#include "clock/clock.h"
#include "task/command.h"
#include "task/worker.h"
#include "thread/thread.h"

enum { INTERRUPT_ROUNDS = 100, INTERRUPT_PAUSE_MS = 20, REST_MS = 2000 };

struct seat {
    struct tide_pool *pool;
    uint32_t index;
    struct tide_thread thread;
    bool started;
    bool left;                  /* abandoned by the delete */
    struct tide_worker *worker; /* set by its thread when ready, NULL again before it ends; under pool->lock */
    bool busy;
    struct tide_error error;
};

struct tide_pool {
    pthread_mutex_t lock;
    pthread_cond_t work;    /* tasks arrived, or ending */
    pthread_cond_t changed; /* a worker got ready, idle, or ended */
    struct tide_task *head, *tail;
    uint32_t waiting; /* workers waiting for work */
    bool ending;
    uint32_t left; /* abandoned seats that have not ended: the last one frees the pool */
    uint32_t count;
    uint32_t starting;
    char *package_path, *package_cpath;
    struct tide_inbox *driver;
    struct tide_cache *cache; /* a reference, or NULL */
    bool untidy;              /* tide_pool_wake was called; no worker has seen it yet */
    uint32_t rest_ms;
    uint32_t given_back;
    uint64_t ended_ns; /* when the last task ended */
    struct seat seats[];
};

static void give_back(struct tide_pool *pool, struct tide_task *task) {
    tide_inbox_post(pool->driver, &task->message);
}

static struct tide_task *take(struct tide_pool *pool) {
    struct tide_task *task = pool->head;

    if (task) {
        pool->head = task->next;
        if (!pool->head) pool->tail = NULL;
        task->next = NULL;
    }
    return task;
}

static void free_pool(struct tide_pool *pool) {
    for (uint32_t i = 0; i < pool->count; i++) tide_error_clear(&pool->seats[i].error);
    pthread_cond_destroy(&pool->work);
    pthread_cond_destroy(&pool->changed);
    pthread_mutex_destroy(&pool->lock);
    tide_free(pool->package_path);
    tide_free(pool->package_cpath);
    tide_cache_release(pool->cache);
    tide_free(pool);
}

static uint32_t busy_workers(const struct tide_pool *pool) {
    uint32_t busy = 0;

    for (uint32_t i = 0; i < pool->count; i++) busy += pool->seats[i].busy;
    return busy;
}

/* The conditions wait on the monotonic clock. */
static struct timespec in_ms(uint64_t ms) {
    uint64_t at = tide_clock_monotonic_ns() + ms * 1000000;

    return (struct timespec){(time_t)(at / 1000000000), (long)(at % 1000000000)};
}

/* ---- Rest ------------------------------------------------------------------------------------------------------
 * 
 * When all workers have been idle for a while, each collects its garbage; if far fewer blocks are alive than before,
 * the C library returns its free memory to the system. Not sooner: the batch of the next second needs the memory
 * again. */

/* With the lock. */
static bool is_at_rest(const struct tide_pool *pool) {
    uint64_t since = tide_clock_monotonic_ns() - pool->ended_ns;

    return !pool->head && !pool->ending && !pool->untidy && busy_workers(pool) == 0 &&
           since >= (uint64_t)pool->rest_ms * 1000000;
}

/* With the lock, which is open during the call. */
static void rest(struct tide_pool *pool, struct tide_worker *worker) {
    pthread_mutex_unlock(&pool->lock);
    tide_worker_rest(worker);

    bool fell = tide_block_fell();

    if (fell) {
        tide_block_given_back();
        malloc_trim(0);
    }
    pthread_mutex_lock(&pool->lock);
    pool->given_back += fell;
}

/* With the lock. true: the pool has been at rest for rest_ms, for the first time since this worker's last task. */
static bool wait_for_work(struct tide_pool *pool, bool rested) {
    struct timespec until = in_ms(pool->rest_ms);
    int status = 0;

    pool->waiting++;
    if (rested) pthread_cond_wait(&pool->work, &pool->lock);
    else status = pthread_cond_timedwait(&pool->work, &pool->lock, &until);
    pool->waiting--;
    return status == ETIMEDOUT && is_at_rest(pool);
}

/* Also between tasks, so that cached data stays within its limit under constant load. */
static void tidy(struct tide_pool *pool) {
    if (!pool->cache) return;
    while (tide_cache_tidy(pool->cache)) {}
}

static void worker_main(void *arg) {
    struct seat *seat = arg;
    struct tide_pool *pool = seat->pool;
    struct tide_error err = {0};
    struct tide_worker *worker = tide_worker_new(pool->package_path, pool->package_cpath, &err);
    bool rested = false;

    pthread_mutex_lock(&pool->lock);
    seat->worker = worker;
    tide_error_move(&seat->error, &err);
    pool->starting--;
    pthread_cond_broadcast(&pool->changed);
    while (worker) {
        struct tide_task *task = take(pool);
        if (task) {
            seat->busy = true;
            pthread_mutex_unlock(&pool->lock);
            task->worker = seat->index;
            tide_worker_run(worker, task);
            give_back(pool, task);
            tidy(pool);
            pthread_mutex_lock(&pool->lock);
            seat->busy = rested = false;
            pool->ended_ns = tide_clock_monotonic_ns();
            pthread_cond_broadcast(&pool->changed);
            continue;
        }
        if (pool->ending) break;
        if (pool->untidy) rested = false;
        pool->untidy = false;
        pthread_mutex_unlock(&pool->lock);
        tidy(pool);
        bool more = tide_worker_collect(worker);
        pthread_mutex_lock(&pool->lock);
        if (pool->head || pool->ending || more || pool->untidy) continue;
        if (!wait_for_work(pool, rested)) continue;
        rested = true;
        rest(pool, worker);
    }
    seat->worker = NULL;
    pthread_mutex_unlock(&pool->lock);
    tide_worker_delete(worker);
    pthread_mutex_lock(&pool->lock);
    bool last = seat->left && --pool->left == 0;
    pthread_mutex_unlock(&pool->lock);
    if (last) free_pool(pool);
}

struct tide_pool *tide_pool_new(const struct tide_pool_options *options, struct tide_error *err) {
    if (options->workers < 1 || options->workers > 1024) {
        tide_error_set(err, TIDE_EINVAL, "the number of workers must be 1 to 1024, got %u", options->workers);
        return NULL;
    }
    struct tide_pool *pool = tide_xcalloc(1, sizeof *pool + options->workers * sizeof(pool->seats[0]));
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->work, &monotonic);
    pthread_cond_init(&pool->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pool->driver = options->driver;
    pool->rest_ms = options->rest_ms > 0 ? options->rest_ms : REST_MS;
    pool->ended_ns = tide_clock_monotonic_ns();
    pool->cache = options->cache ? tide_cache_retain(options->cache) : NULL;
    pool->package_path = options->package_path ? tide_xstrdup(options->package_path) : NULL;
    pool->package_cpath = options->package_cpath ? tide_xstrdup(options->package_cpath) : NULL;
    pool->count = options->workers;
    pthread_mutex_lock(&pool->lock);
    for (uint32_t i = 0; i < pool->count; i++) {
        struct seat *seat = &pool->seats[i];
        char name[16];
        seat->pool = pool;
        seat->index = i;
        snprintf(name, sizeof(name), "worker %u", (i + 1) % 10000);
        if (tide_thread_start(&seat->thread, name, worker_main, seat, &seat->error) == 0) {
            seat->started = true;
            pool->starting++;
        }
    }
    while (pool->starting > 0) pthread_cond_wait(&pool->changed, &pool->lock);
    bool failed = false;
    for (uint32_t i = 0; i < pool->count && !failed; i++) {
        if (pool->seats[i].error.code != 0) {
            tide_error_copy(err, &pool->seats[i].error);
            failed = true;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    if (!failed) return pool;
    tide_pool_delete(pool, 0);
    return NULL;
}

uint32_t tide_pool_workers(const struct tide_pool *pool) { return pool->count; }

void tide_pool_submit(struct tide_pool *pool, struct tide_task *task) {
    task->next = NULL;
    pthread_mutex_lock(&pool->lock);
    if (pool->tail) {
        pool->tail->next = task;
    } else {
        pool->head = task;
    }
    pool->tail = task;
    if (pool->waiting > 0) pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

void tide_pool_wake(struct tide_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    pool->untidy = true;
    if (pool->waiting > 0) pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->lock);
}

uint32_t tide_pool_given_back(struct tide_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    uint32_t given_back = pool->given_back;
    pthread_mutex_unlock(&pool->lock);
    return given_back;
}

bool tide_pool_describe(struct tide_pool *pool, uint32_t index, char *text, size_t size) {
    pthread_mutex_lock(&pool->lock);
    struct tide_worker *worker = pool->seats[index].worker;
    bool busy = worker && pool->seats[index].busy && tide_worker_describe(worker, text, size);
    pthread_mutex_unlock(&pool->lock);
    return busy;
}

void tide_pool_limit(struct tide_pool *pool, int64_t ms) {
    pthread_mutex_lock(&pool->lock);
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->seats[i].busy && pool->seats[i].worker) tide_worker_limit(pool->seats[i].worker, ms);
    }
    pthread_mutex_unlock(&pool->lock);
}

/* Cancels all queued tasks. With the lock, which is open meanwhile. */
static void cancel_queued(struct tide_pool *pool) {
    struct tide_task *task = pool->head;

    pool->head = pool->tail = NULL;
    pthread_mutex_unlock(&pool->lock);
    while (task) {
        struct tide_task *next = task->next;
        task->next = NULL;
        tide_error_set(&task->error, TIDE_ECANCELLED, "cancelled before it ran");
        give_back(pool, task);
        task = next;
    }
    pthread_mutex_lock(&pool->lock);
}

/* With the lock. Signals busy workers until they are idle, INTERRUPT_ROUNDS times at most. */
static void interrupt_busy(struct tide_pool *pool) {
    for (int round = 0; round < INTERRUPT_ROUNDS && busy_workers(pool) > 0; round++) {
        for (uint32_t i = 0; i < pool->count; i++) {
            if (pool->seats[i].busy && pool->seats[i].worker) tide_worker_signal(pool->seats[i].worker);
        }
        struct timespec until = in_ms(INTERRUPT_PAUSE_MS);
        pthread_cond_timedwait(&pool->changed, &pool->lock, &until);
    }
}

void tide_pool_interrupt(struct tide_pool *pool) {
    pthread_mutex_lock(&pool->lock);
    cancel_queued(pool);
    interrupt_busy(pool);
    pthread_mutex_unlock(&pool->lock);
}

bool tide_pool_delete(struct tide_pool *pool, uint64_t timeout_ms) {
    if (!pool) return true;
    pthread_mutex_lock(&pool->lock);
    cancel_queued(pool);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    struct timespec until = in_ms(timeout_ms);
    while (busy_workers(pool) > 0 && pthread_cond_timedwait(&pool->changed, &pool->lock, &until) == 0) {}
    interrupt_busy(pool);
    uint32_t stuck = busy_workers(pool);
    pool->left = stuck;
    for (uint32_t i = 0; i < pool->count && stuck > 0; i++) {
        struct seat *seat = &pool->seats[i];
        char text[400];
        if (!seat->busy) continue;
        if (tide_worker_describe(seat->worker, text, sizeof(text)))
            tide_log(TIDE_LOG_ERROR, "worker", "left behind, stuck in a C function: %s", text);
        pthread_detach(seat->thread.id);
        seat->left = true;
    }
    /* An abandoned worker may free the pool as soon as the lock is open. */
    uint32_t count = 0;
    struct tide_thread *threads = tide_xcalloc(pool->count, sizeof *threads);
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->seats[i].started && !pool->seats[i].left) threads[count++] = pool->seats[i].thread;
    }
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < count; i++) tide_thread_join(&threads[i]);
    tide_free(threads);
    if (stuck > 0) return false;
    tide_command_rest();
    free_pool(pool);
    return true;
}
