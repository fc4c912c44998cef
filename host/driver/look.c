/*
 * Looks (see look.h). Made by driver/runner.c before it asks the script for the dataset of a file stream.
 *
 *     new ──► the thread looks ──► over: the loop is woken ──► done
 *                   │
 *                   └── cancelled: the thread frees it when it comes back
 *
 * The lock of a look is held for moments only; the loop's handle is called under it, so it is not closed meanwhile.
 */
#include "driver/look.h"

#include <stdbool.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "clock/clock.h"
#include "thread/thread.h"

struct tide_look {
    uv_mutex_t lock;
    bool cancelled, over;
    uv_async_t *answer; /* memory of its own, freed when closed */
    struct tide_listing *listing;
    int64_t after, until;
    struct tide_listed_files found;
    struct tide_error err;
    uint64_t ns;
    tide_look_done done;
    void *arg;
};

static void dispose(struct tide_look *look) {
    tide_listed_files_destroy(&look->found);
    tide_error_clear(&look->err);
    tide_listing_release(look->listing);
    uv_mutex_destroy(&look->lock);
    tide_free(look);
}

/* ---- The thread ------------------------------------------------------------------------------------------------ */

/* A file system that never answers, for tests. */
static void stall(void) {
    for (;;) pause();
}

static void run(void *arg) {
    struct tide_look *look = arg;
    uint64_t start = tide_clock_monotonic_ns();

    if (tide_fault("look.stall")) stall();
    tide_listing_look(look->listing, look->after, look->until, &look->found, &look->err);
    look->ns = tide_clock_monotonic_ns() - start;

    uv_mutex_lock(&look->lock);
    bool cancelled = look->cancelled;
    look->over = true;
    if (!cancelled) uv_async_send(look->answer);
    uv_mutex_unlock(&look->lock);
    if (cancelled) dispose(look);
}

/* ---- The loop's side ------------------------------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle) { tide_free(handle); }

static void close_answer(struct tide_look *look) {
    uv_close((uv_handle_t *)look->answer, on_closed);
    look->answer = NULL;
}

static void on_answer(uv_async_t *answer) {
    struct tide_look *look = answer->data;

    uv_mutex_lock(&look->lock); /* the thread has let go of it after this */
    close_answer(look);
    uv_mutex_unlock(&look->lock);
    look->done(look->arg, &look->found, &look->err, look->ns);
    dispose(look);
}

struct tide_look *tide_look_new(uv_loop_t *loop, struct tide_listing *listing, int64_t after, int64_t until,
                                tide_look_done done, void *arg, struct tide_error *err) {
    struct tide_look *look = tide_xcalloc(1, sizeof *look);

    *look = (struct tide_look){.after = after, .until = until, .done = done, .arg = arg};
    uv_mutex_init(&look->lock);
    look->listing = tide_listing_retain(listing);
    look->answer = tide_xcalloc(1, sizeof *look->answer);
    if (uv_async_init(loop, look->answer, on_answer) != 0) {
        tide_free(look->answer);
        dispose(look);
        tide_error_set(err, TIDE_EIO, "no handle for a listing; is the limit of open files reached?");
        return NULL;
    }
    look->answer->data = look;

    int status = tide_fault("look.start") ? tide_error_set(err, TIDE_EIO, "the fault look.start")
                                          : tide_thread_start_free("listing", run, look, err);

    if (status == TIDE_OK) return look;
    close_answer(look);
    dispose(look);
    return NULL;
}

void tide_look_cancel(struct tide_look *look) {
    uv_mutex_lock(&look->lock);
    close_answer(look);
    look->cancelled = true;
    bool over = look->over;
    uv_mutex_unlock(&look->lock);
    if (over) dispose(look);
}
