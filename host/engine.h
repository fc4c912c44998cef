/*
 * The inside of an engine, for bind/: its parts, its members, signals. (tide.h has its life cycle.)
 *
 * Thread: the engine's driver thread, except where it says otherwise.
 */
#ifndef TIDE_ENGINE_H
#define TIDE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"
#include "base/list.h"
#include "driver/event.h"
#include "driver/scheduler.h"
#include "store/budget.h"
#include "store/cache.h"
#include "task/pool.h"
#include "thread/inbox.h"
#include "tide.h"

/* Borrowed parts; they live as long as the engine. */
uv_loop_t *tide_engine_loop(struct tide_engine *engine);
struct tide_inbox *tide_engine_inbox(struct tide_engine *engine);
struct tide_pool *tide_engine_pool(struct tide_engine *engine);
struct tide_cache *tide_engine_cache(struct tide_engine *engine);
struct tide_budget *tide_engine_budget(struct tide_engine *engine); /* of received data */
struct tide_scheduler *tide_engine_scheduler(struct tide_engine *engine);
struct tide_events *tide_engine_events(struct tide_engine *engine);
uint32_t tide_engine_workers(const struct tide_engine *engine);

/* A part that must end before the engine: a graph. Embedded in or owned by its creator; `close` may be NULL. */
struct tide_engine_member {
    struct tide_list link;
    /* The engine is being closed: end at once, leave nothing that uses the engine but uv handles that are closing.
     * The member has left the list when this is called. */
    void (*close)(void *arg);
    void *arg;
};

void tide_engine_join(struct tide_engine *engine, struct tide_engine_member *member);
/* Harmless for a member that has left. */
void tide_engine_leave(struct tide_engine_member *member);

/* Text about the task of worker `index`; false when it is idle. */
bool tide_engine_describe(struct tide_engine *engine, uint32_t index, char *text, size_t size);

/*
 * Process signals. The program (main.c) owns them; engines that watch get one byte per SIGINT, SIGTERM or SIGHUP on a
 * descriptor.
 */
struct tide_signals {
    int (*attach)(void);    /* a non-blocking readable descriptor for one engine, or -1 (too many) */
    void (*detach)(int fd); /* closes it */
    void (*handled)(void);  /* the script has polled the signals so far */
};

/* Occupies descriptors 0 to 2 if the process was started with some of them closed: otherwise a file or socket would
 * get such a number, the log would be written into it, and libuv would abort when closing it. Reading then finds the
 * end, writing to stdout fails. Also makes stdout blocking. Called for each new engine, and earlier by the
 * program. */
void tide_engine_keep_standard_streams(void);

/* Once, before any engine is made; static memory. NULL: signals are not handed to engines (the Lua module). */
void tide_engine_set_signals(const struct tide_signals *signals);
/* From now on these signals become TIDE_EVENT_SIGNAL with how many arrived since the first. Twice is fine.
 * TIDE_ESTATE when the process does not hand signals to engines. */
int tide_engine_watch_signals(struct tide_engine *engine, struct tide_error *err);
/* The script has polled such an event. */
void tide_engine_signal_handled(struct tide_engine *engine);

#endif
