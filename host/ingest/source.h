/*
 * What a source of data looks like to the ingest thread, and what it reports. A source turns bytes from
 * outside into sealed blocks; it lives on the ingest thread's loop from start to close and never touches Lua.
 *
 * Life cycle: NEW → STARTED (connecting, reading, waiting to reconnect: all inside) → STOPPED → CLOSED.
 * Ownership: the ingest owns its sources; `close` frees the source once its libuv handles are closed.
 */
#ifndef TIDE_INGEST_SOURCE_H
#define TIDE_INGEST_SOURCE_H

#include <uv.h>

#include "base/error.h"
#include "base/list.h"
#include "store/block.h"

struct tide_source;
struct tide_ingest;

/* All run on the ingest thread. */
struct tide_source_ops {
    const char *kind; /* "socket" */
    int (*start)(struct tide_source *source, uv_loop_t *loop, struct tide_error *err);
    /* Appends every complete record received so far to `out` as sealed blocks (references handed over); keeps an
     * unfinished record. */
    void (*take)(struct tide_source *source, struct tide_blocks *out);
    /* There is room in the memory budget: read on. */
    void (*resume)(struct tide_source *source);
    /* No further reading or connecting. What was received stays for one more take. */
    void (*stop)(struct tide_source *source);
    /* After stop, or without any call before it when the source came too late to be started: closes handles and frees
     * the source when they are closed. */
    void (*close)(struct tide_source *source);
    /* After stop: nothing comes any more, so the next take has the unfinished record, too. NULL: there never is
     * one. */
    void (*finish)(struct tide_source *source);
};

struct tide_source {
    const struct tide_source_ops *ops;
    struct tide_ingest *ingest; /* set by tide_ingest_add */
    struct tide_list link;
    uint32_t id; /* stream id of the input, set by the creator */
};

enum tide_source_event_kind {
    TIDE_SOURCE_STARTED, /* connected (again) */
    TIDE_SOURCE_ERROR,   /* something failed; the source continues (reconnects, skips the record …) */
    TIDE_SOURCE_STOPPED
};

/* Reports to the driver; copies the text. Ingest thread. */
void tide_source_report(struct tide_source *source, enum tide_source_event_kind kind, int code, const char *format,
                        ...) __attribute__((format(printf, 4, 5)));

/* Has ops->resume called on the ingest thread soon. Any thread; meant to be called from a share's on_room; the share
 * must be closed before the source is freed. */
void tide_source_wake(struct tide_source *source);

#endif
