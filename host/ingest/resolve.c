/*
 * See resolve.h. Used by ingest/dial.c on ingest threads.
 *
 *     new ──► waiting ──► a thread takes it ──► getaddrinfo ──► answered ──► done on the loop
 *                │                                  │
 *                └── cancelled: freed at once       └── cancelled: the thread frees it when it comes back
 *
 * A thread looks up one name after the other as long as there are any, and ends. Everything here is under one lock of
 * the process, which is never held for long. The loop's handle is called under that lock, so it is not closed
 * meanwhile.
 */
#include "ingest/resolve.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "base/list.h"
#include "base/log.h"
#include "thread/thread.h"

enum place { WAITING, TAKEN, ANSWERED };

struct tide_resolve {
    struct tide_list link; /* WAITING */
    enum place place;
    bool cancelled;
    char *host;
    char service[8];
    int status;
    struct addrinfo *found;
    uv_async_t *answer; /* memory of its own, freed when closed */
    tide_resolve_done done;
    void *arg;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tide_list waiting = {&waiting, &waiting};
static unsigned threads; /* that look up names, those left behind included: each is one until its resolver gives up */
static bool told;        /* that look-ups wait, since a thread last ended */

static void dispose(struct tide_resolve *resolve) {
    if (resolve->found) uv_freeaddrinfo(resolve->found);
    tide_free(resolve->host);
    tide_free(resolve);
}

/* ---- The threads -------------------------------------------------------------------------------------------- */

/* A resolver that never answers, for tests. */
static void stall(void) {
    for (;;) pause();
}

/* libuv's function without a callback: it works here and now, translates errors and foreign letters, and asks for a
 * loop that it does not run. */
static int look_up(struct tide_resolve *resolve) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
    uv_getaddrinfo_t request;
    uv_loop_t loop;
    int status = uv_loop_init(&loop);

    if (status < 0) return status;
    if (tide_fault("resolve.stall")) stall();
    hints.ai_flags = AI_NUMERICSERV;
    status = uv_getaddrinfo(&loop, &request, NULL, resolve->host, resolve->service, &hints);
    resolve->found = status == 0 ? request.addrinfo : NULL;
    uv_loop_close(&loop);
    return status;
}

/* With the lock. */
static struct tide_resolve *take(void) {
    struct tide_list *link = tide_list_pop(&waiting);
    struct tide_resolve *resolve = link ? TIDE_CONTAINER_OF(link, struct tide_resolve, link) : NULL;

    if (resolve) resolve->place = TAKEN;
    return resolve;
}

static void run(void *arg) {
    struct tide_resolve *resolve;

    (void)arg;
    pthread_mutex_lock(&lock);
    while ((resolve = take())) {
        pthread_mutex_unlock(&lock);
        resolve->status = look_up(resolve);
        pthread_mutex_lock(&lock);
        resolve->place = ANSWERED;
        if (resolve->cancelled) dispose(resolve);
        else uv_async_send(resolve->answer);
    }
    threads--;
    told = false;
    pthread_mutex_unlock(&lock);
}

/* ---- The loop's side ---------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle) { tide_free(handle); }

static void close_answer(struct tide_resolve *resolve) {
    uv_close((uv_handle_t *)resolve->answer, on_closed);
    resolve->answer = NULL;
}

static void on_answer(uv_async_t *answer) {
    struct tide_resolve *resolve = answer->data;

    pthread_mutex_lock(&lock); /* the thread forgets the handle before it is closed */
    close_answer(resolve);

    struct addrinfo *found = resolve->found;

    resolve->found = NULL;
    pthread_mutex_unlock(&lock);
    resolve->done(resolve->arg, resolve->status, found);
    dispose(resolve);
}

static void tell(void) {
    if (told) return;
    told = true;
    tide_log(TIDE_LOG_WARN, "ingest",
             "%d look-ups of host names have no answer yet; further ones wait until one of them ends",
             TIDE_RESOLVE_MOST);
}

/* With the lock. One thread for each name, up to the bound. False when there is none at all. */
static bool start_thread(void) {
    struct tide_error err = {0};

    if (threads >= TIDE_RESOLVE_MOST) {
        tell();
        return true;
    }
    if (tide_thread_start_free("resolver", run, NULL, &err) == TIDE_OK) threads++;
    tide_error_clear(&err);
    return threads > 0;
}

struct tide_resolve *tide_resolve_new(uv_loop_t *loop, const char *host, int port, tide_resolve_done done, void *arg,
                                      int *status) {
    struct tide_resolve *resolve = tide_xcalloc(1, sizeof *resolve);

    resolve->answer = tide_xcalloc(1, sizeof *resolve->answer);
    *status = uv_async_init(loop, resolve->answer, on_answer);
    if (*status < 0) {
        tide_free(resolve->answer);
        dispose(resolve);
        return NULL;
    }
    resolve->answer->data = resolve;
    resolve->host = tide_xstrdup(host);
    snprintf(resolve->service, sizeof resolve->service, "%d", port);
    resolve->done = done;
    resolve->arg = arg;

    pthread_mutex_lock(&lock);
    tide_list_push(&waiting, &resolve->link);
    if (!start_thread()) *status = UV_EAGAIN;
    pthread_mutex_unlock(&lock);
    if (*status == 0) return resolve;
    tide_resolve_cancel(resolve);
    return NULL;
}

void tide_resolve_cancel(struct tide_resolve *resolve) {
    pthread_mutex_lock(&lock);
    close_answer(resolve);
    resolve->cancelled = true;
    tide_list_remove(&resolve->link);
    bool taken = resolve->place == TAKEN;
    pthread_mutex_unlock(&lock);
    if (!taken) dispose(resolve);
}
