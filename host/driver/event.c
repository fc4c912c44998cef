/*
 * The queue of events between the engine and the script.
 *
 * Filled by the scheduler's and the graph's callbacks while the loop runs, emptied by the binding (engine:poll).
 * Driver thread only. First in, first out.
 */
#include "driver/event.h"

#include "base/alloc.h"
#include "driver/job.h"
#include "store/block.h"

void tide_events_create(struct tide_events *events) { tide_list_create(&events->queue); }

void tide_events_destroy(struct tide_events *events) {
    struct tide_event *event;

    while ((event = tide_events_pop(events))) tide_event_delete(event);
}

struct tide_event *tide_event_new(enum tide_event_kind kind) {
    struct tide_event *event = tide_xcalloc(1, sizeof *event);

    tide_list_create(&event->link);
    event->kind = kind;
    event->time = -1;
    event->info = (struct tide_batch_info){.batch_time = -1,
                                           .submission_time = -1,
                                           .processing_start = -1,
                                           .processing_end = -1,
                                           .output_start = -1,
                                           .output_end = -1};
    return event;
}

void tide_event_delete(struct tide_event *event) {
    if (!event) return;
    tide_list_remove(&event->link);
    if (event->job) tide_job_release(event->job);
    for (uint32_t i = 0; i < event->nrdds; i++)
        if (event->rdds[i]) tide_rdd_release(event->rdds[i]);
    tide_free(event->rdds);
    tide_free(event->inputs);
    tide_free(event->outputs);
    tide_block_release(event->block);
    tide_error_clear(&event->error);
    tide_free(event);
}

void tide_events_push(struct tide_events *events, struct tide_event *take) {
    tide_list_push(&events->queue, &take->link);
}

struct tide_event *tide_events_pop(struct tide_events *events) {
    struct tide_list *link = tide_list_pop(&events->queue);

    return link ? TIDE_CONTAINER_OF(link, struct tide_event, link) : NULL;
}

void tide_events_forget(struct tide_events *events, const struct tide_graph *graph) {
    struct tide_list *link = events->queue.next;

    while (link != &events->queue) {
        struct tide_event *event = TIDE_CONTAINER_OF(link, struct tide_event, link);

        link = link->next;
        if (event->graph == graph) tide_event_delete(event);
    }
}
