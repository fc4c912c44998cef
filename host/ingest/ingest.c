/*
 * The ingest thread: one uv loop that runs all sources of an engine. The driver talks to it through its inbox only;
 * every function of the driver posts one of the messages below, and their order is the order of effects:
 *
 *     add ──► starts a source        cut ──► takes from every source, goes back to the driver with the answer
 *     wake ─► resumes a source       stop ─► stops all sources        end ──► closes everything, the loop runs out
 *
 * The inbox's handle is what keeps the loop alive while there is no source. A message that arrives after the end
 * is delivered with owner NULL: it frees what it carries, and a cut still goes back, empty.
 */
#include "ingest/ingest.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/log.h"
#include "thread/thread.h"

struct tide_ingest {
    struct tide_thread thread;
    uv_loop_t loop;
    struct tide_inbox inbox;
    struct tide_inbox *driver;
    void (*on_event)(struct tide_message *message, void *owner);
    struct tide_list sources; /* ingest thread */
    bool stopped;             /* sources that come now are not started */
};

struct source_message {
    struct tide_message message;
    struct tide_source *source;
};

struct wake_message {
    struct tide_message message;
    uint32_t source_id; /* not a pointer: the source may be gone by then */
};

/* ---- Events ------------------------------------------------------------------------------------------------- */

void tide_source_event_delete(struct tide_source_event *event) {
    if (!event) return;
    tide_error_clear(&event->error);
    tide_free(event);
}

void tide_source_report(struct tide_source *source, enum tide_source_event_kind kind, int code, const char *format,
                        ...) {
    struct tide_source_event *event = tide_xcalloc(1, sizeof *event);

    event->message.deliver = source->ingest->on_event;
    event->source_id = source->id;
    event->kind = kind;
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = tide_xcalloc(1, size < 0 ? 1 : (size_t)size + 1);
    if (size > 0) vsnprintf(text, (size_t)size + 1, format, again);
    va_end(again);
    event->error.code = code;
    event->error.text = text;
    tide_inbox_post(source->ingest->driver, &event->message);
}

/* ---- Sources ------------------------------------------------------------------------------------------------ */

static void on_add(struct tide_message *message, void *owner) {
    struct tide_ingest *ingest = owner;
    struct source_message *add = (struct source_message *)message;
    struct tide_source *source = add->source;

    tide_free(add);
    if (!ingest) {
        source->ops->close(source);
        return;
    }
    tide_list_push(&ingest->sources, &source->link);
    if (ingest->stopped) return;
    struct tide_error err = {0};
    if (source->ops->start(source, &ingest->loop, &err) < 0) {
        tide_source_report(source, TIDE_SOURCE_ERROR, err.code, "%s source did not start: %s", source->ops->kind,
                           err.text ? err.text : tide_error_name(err.code));
    }
    tide_error_clear(&err);
}

void tide_ingest_add(struct tide_ingest *ingest, struct tide_source *source) {
    struct source_message *add = tide_xcalloc(1, sizeof *add);

    add->message.deliver = on_add;
    add->source = source;
    source->ingest = ingest;
    tide_inbox_post(&ingest->inbox, &add->message);
}

static void on_wake(struct tide_message *message, void *owner) {
    struct tide_ingest *ingest = owner;
    struct wake_message *wake = (struct wake_message *)message;

    if (ingest) {
        TIDE_LIST_EACH(link, &ingest->sources) {
            struct tide_source *source = TIDE_CONTAINER_OF(link, struct tide_source, link);
            if (source->id == wake->source_id) source->ops->resume(source);
        }
    }
    tide_free(wake);
}

void tide_source_wake(struct tide_source *source) {
    struct wake_message *wake = tide_xcalloc(1, sizeof *wake);

    wake->message.deliver = on_wake;
    wake->source_id = source->id;
    tide_inbox_post(&source->ingest->inbox, &wake->message);
}

static void stop_sources(struct tide_ingest *ingest) {
    if (ingest->stopped) return;
    ingest->stopped = true;
    TIDE_LIST_EACH(link, &ingest->sources) {
        struct tide_source *source = TIDE_CONTAINER_OF(link, struct tide_source, link);
        source->ops->stop(source);
    }
}

static void on_stop_sources(struct tide_message *message, void *owner) {
    tide_free(message);
    if (owner) stop_sources(owner);
}

void tide_ingest_stop_sources(struct tide_ingest *ingest) {
    struct tide_message *message = tide_xcalloc(1, sizeof *message);

    message->deliver = on_stop_sources;
    tide_inbox_post(&ingest->inbox, message);
}

/* ---- Cuts --------------------------------------------------------------------------------------------------- */

struct tide_cut *tide_cut_new(int64_t time) {
    struct tide_cut *cut = tide_xcalloc(1, sizeof *cut);
    cut->time = time;
    return cut;
}

void tide_cut_delete(struct tide_cut *cut) {
    if (!cut) return;
    for (uint32_t i = 0; i < cut->count; i++) tide_blocks_destroy(&cut->entries[i].blocks);
    tide_free(cut->entries);
    tide_free(cut);
}

static void take_all(struct tide_ingest *ingest, struct tide_cut *cut) {
    uint32_t count = 0;

    TIDE_LIST_EACH(link, &ingest->sources) count++;
    if (count == 0) return;
    cut->entries = tide_xcalloc(count, sizeof *cut->entries);
    TIDE_LIST_EACH(link, &ingest->sources) {
        struct tide_source *source = TIDE_CONTAINER_OF(link, struct tide_source, link);
        struct tide_cut_entry *entry = &cut->entries[cut->count++];
        entry->source_id = source->id;
        tide_blocks_create(&entry->blocks);
        if (cut->last && source->ops->finish) source->ops->finish(source);
        source->ops->take(source, &entry->blocks);
    }
}

static void on_cut(struct tide_message *message, void *owner) {
    struct tide_cut *cut = (struct tide_cut *)message;

    if (owner) take_all(owner, cut);
    cut->message.deliver = cut->answer;
    tide_inbox_post(cut->ingest->driver, &cut->message);
}

void tide_ingest_cut(struct tide_ingest *ingest, struct tide_cut *cut) {
    cut->ingest = ingest;
    cut->answer = cut->message.deliver;
    cut->message.deliver = on_cut;
    tide_inbox_post(&ingest->inbox, &cut->message);
}

/* ---- The thread --------------------------------------------------------------------------------------------- */

static void on_end(struct tide_message *message, void *owner) {
    struct tide_ingest *ingest = owner;

    tide_free(message);
    if (!ingest) return;
    stop_sources(ingest);
    for (struct tide_list *link; (link = tide_list_pop(&ingest->sources));) {
        struct tide_source *source = TIDE_CONTAINER_OF(link, struct tide_source, link);
        source->ops->close(source);
    }
    tide_inbox_close(&ingest->inbox);
}

static void run(void *arg) {
    struct tide_ingest *ingest = arg;

    uv_run(&ingest->loop, UV_RUN_DEFAULT);
}

struct tide_ingest *tide_ingest_new(struct tide_inbox *driver,
                                    void (*on_event)(struct tide_message *message, void *owner),
                                    struct tide_error *err) {
    struct tide_ingest *ingest = tide_xcalloc(1, sizeof *ingest);

    ingest->driver = driver;
    ingest->on_event = on_event;
    tide_list_create(&ingest->sources);
    int status = uv_loop_init(&ingest->loop);
    if (status < 0) {
        tide_error_set(err, TIDE_EIO, "ingest: no event loop: %s; is the limit of open files reached?",
                       uv_strerror(status));
        goto no_loop;
    }
    status = tide_inbox_create(&ingest->inbox, &ingest->loop, ingest, true);
    if (status < 0) {
        tide_error_set(err, status, "ingest: no inbox for the event loop (%s); is the limit of open files reached?",
                       tide_error_name(status));
        goto no_inbox;
    }
    if (tide_thread_start(&ingest->thread, "ingest", run, ingest, err) < 0) goto no_thread;
    return ingest;

no_thread:
    tide_inbox_close(&ingest->inbox);
    uv_run(&ingest->loop, UV_RUN_DEFAULT);
    tide_inbox_destroy(&ingest->inbox);
no_inbox:
    uv_loop_close(&ingest->loop);
no_loop:
    tide_free(ingest);
    return NULL;
}

void tide_ingest_delete(struct tide_ingest *ingest) {
    if (!ingest) return;
    struct tide_message *message = tide_xcalloc(1, sizeof *message);
    message->deliver = on_end;
    tide_inbox_post(&ingest->inbox, message);
    tide_thread_join(&ingest->thread);
    tide_inbox_destroy(&ingest->inbox);
    int status = uv_loop_close(&ingest->loop);
    if (status < 0) tide_log(TIDE_LOG_ERROR, "ingest", "event loop not closed cleanly: %s", uv_strerror(status));
    tide_free(ingest);
}
