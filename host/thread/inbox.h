/*
 * Messages between threads: a thread-safe FIFO with one consumer. Posting is the only
 * cross-thread call. A message is embedded as first member of a larger struct and carries the
 * function that the owner thread runs with it.
 *
 * Lock order: the inbox lock is a leaf; nothing else is locked while holding it.
 */
#ifndef TIDE_THREAD_INBOX_H
#define TIDE_THREAD_INBOX_H

#include <stdbool.h>
#include <uv.h>

struct tide_message {
    struct tide_message *next;
    /* Runs on the owner thread with the inbox's `owner`; takes ownership of the message. */
    void (*deliver)(struct tide_message *message, void *owner);
};

/* On an uv loop: posting wakes the loop, which delivers everything queued, in order. */
struct tide_inbox {
    uv_mutex_t lock;
    struct tide_message *head, *tail;
    bool closed;
    uv_async_t async;
    void *owner;
};

/* Attaches to `loop` (call on the loop's thread or before it runs). The async handle is unreferenced when
 * `keep_alive` is false, so that it does not keep the loop running. */
int tide_inbox_create(struct tide_inbox *inbox, uv_loop_t *loop, void *owner, bool keep_alive);
/* Any thread. After tide_inbox_close the message is delivered inline with owner NULL: deliver must then only free. */
void tide_inbox_post(struct tide_inbox *inbox, struct tide_message *message);
/* Owner thread: delivers what is queued now; returns how many. Also called by the wake-up itself. */
unsigned tide_inbox_drain(struct tide_inbox *inbox);
/* Owner thread: refuses further posts, disposes of queued messages (deliver with owner NULL) and closes the async
 * handle; the loop must run once more before tide_inbox_destroy. */
void tide_inbox_close(struct tide_inbox *inbox);
void tide_inbox_destroy(struct tide_inbox *inbox);

#endif
