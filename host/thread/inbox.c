/*
 * The one way from thread to thread. Posts come from any thread; drain, close and destroy belong to the thread of the
 * loop. The wake-up is only sent when the queue was empty: it delivers everything queued, so more would be empty
 * turns. It is sent under the lock, so that a close on the owner's side cannot slip in between.
 */
#include "thread/inbox.h"

#include "base/error.h"

static void on_wake(uv_async_t *async) {
    struct tide_inbox *inbox = async->data;

    tide_inbox_drain(inbox);
}

int tide_inbox_create(struct tide_inbox *inbox, uv_loop_t *loop, void *owner, bool keep_alive) {
    inbox->head = inbox->tail = NULL;
    inbox->closed = false;
    inbox->owner = owner;
    if (uv_mutex_init(&inbox->lock) != 0) return TIDE_ENOMEM;
    if (uv_async_init(loop, &inbox->async, on_wake) != 0) {
        uv_mutex_destroy(&inbox->lock);
        return TIDE_EIO;
    }
    inbox->async.data = inbox;
    if (!keep_alive) uv_unref((uv_handle_t *)&inbox->async);
    return TIDE_OK;
}

void tide_inbox_post(struct tide_inbox *inbox, struct tide_message *message) {
    message->next = NULL;
    uv_mutex_lock(&inbox->lock);
    bool closed = inbox->closed;
    if (!closed) {
        bool was_empty = !inbox->head;
        if (was_empty) inbox->head = message;
        else inbox->tail->next = message;
        inbox->tail = message;
        if (was_empty) uv_async_send(&inbox->async);
    }
    uv_mutex_unlock(&inbox->lock);
    if (closed) message->deliver(message, NULL);
}

static struct tide_message *take_all(struct tide_inbox *inbox, bool close) {
    uv_mutex_lock(&inbox->lock);
    struct tide_message *first = inbox->head;
    inbox->head = inbox->tail = NULL;
    if (close) inbox->closed = true;
    uv_mutex_unlock(&inbox->lock);
    return first;
}

/* `closed` is written by this thread only, so this thread may look at it without the lock: a delivery that closes
 * the inbox turns the rest of the batch into leftovers. */
static unsigned deliver_all(struct tide_inbox *inbox, struct tide_message *message) {
    unsigned count = 0;

    while (message) {
        struct tide_message *next = message->next;
        message->next = NULL;
        message->deliver(message, inbox->closed ? NULL : inbox->owner);
        message = next;
        count++;
    }
    return count;
}

unsigned tide_inbox_drain(struct tide_inbox *inbox) { return deliver_all(inbox, take_all(inbox, false)); }

void tide_inbox_close(struct tide_inbox *inbox) {
    if (inbox->closed) return;
    struct tide_message *left = take_all(inbox, true);
    uv_close((uv_handle_t *)&inbox->async, NULL);
    deliver_all(inbox, left);
}

void tide_inbox_destroy(struct tide_inbox *inbox) { uv_mutex_destroy(&inbox->lock); }
