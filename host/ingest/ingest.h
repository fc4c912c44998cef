/*
 * The ingest thread: an uv loop that runs the sources. A busy script never stalls it, and it never
 * occupies a worker. It answers *cuts*: at a tick the driver asks for everything received so far.
 *
 * Thread: functions are called by the driver; they post to the ingest thread. Answers are posted to the
 * driver's inbox as messages whose `deliver` the driver has set.
 */
#ifndef TIDE_INGEST_INGEST_H
#define TIDE_INGEST_INGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "ingest/source.h"
#include "store/block.h"
#include "thread/inbox.h"

/* One source's share of a cut. */
struct tide_cut_entry {
    uint32_t source_id;
    struct tide_blocks blocks;
};

/* Request and answer in one. Made and freed by the driver (tide_cut_new/_delete). */
struct tide_cut {
    struct tide_message message; /* deliver is set by the driver before posting and runs there with the answer */
    int64_t time;
    void *token; /* for the driver's use */
    bool last;   /* after tide_ingest_stop_sources: what is unfinished counts as a record */
    struct tide_cut_entry *entries;
    uint32_t count;
    struct tide_ingest *ingest;
    void (*answer)(struct tide_message *message,
                   void *owner); /* keeps the driver's deliver while the request travels */
};

/* What a source reports, as a message to the driver. Freed by the receiver with tide_source_event_delete. */
struct tide_source_event {
    struct tide_message message;
    uint32_t source_id;
    enum tide_source_event_kind kind;
    struct tide_error error; /* text also for STARTED/STOPPED ("connected to localhost:9999") */
};

void tide_source_event_delete(struct tide_source_event *event);

/* Starts the thread. on_event becomes `deliver` of every tide_source_event posted to `driver`. */
struct tide_ingest *tide_ingest_new(struct tide_inbox *driver,
                                    void (*on_event)(struct tide_message *message, void *owner),
                                    struct tide_error *err);
/* Hands a source over; it starts on the ingest thread. A failing start is reported as TIDE_SOURCE_ERROR. */
void tide_ingest_add(struct tide_ingest *ingest, struct tide_source *source);
struct tide_cut *tide_cut_new(int64_t time);
void tide_cut_delete(struct tide_cut *cut);
/* Asks for everything received so far. Answers come in the order asked, one entry for each source in the order they
 * were added, also after tide_ingest_stop_sources. A source that has no memory for a cut reports TIDE_ENOMEM and
 * keeps its data. */
void tide_ingest_cut(struct tide_ingest *ingest, struct tide_cut *cut);
/* Stops reading in all sources; what was received stays for one more cut. */
void tide_ingest_stop_sources(struct tide_ingest *ingest);
/* Stops sources, ends the thread, joins it, frees everything. Cuts asked before are answered. A name look-up under
 * way cannot be interrupted: it is left behind (ingest/resolve.h). */
void tide_ingest_delete(struct tide_ingest *ingest);

#endif
