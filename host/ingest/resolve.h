/*
 * Looking up names of hosts. Each look-up has a thread of its own, so that names that take long (a resolver that does
 * not answer: up to half a minute) delay neither the loop, nor each other, nor a stop meanwhile. The threads are
 * bounded in number for the whole process: TIDE_RESOLVE_MOST; later look-ups wait for one that ends,
 * which a warning says.
 *
 * Thread: the loop's. A thread that is in the middle of a look-up when it is cancelled, or when the process ends, is
 * left behind: it touches nothing but what belongs to the look-up.
 */
#ifndef TIDE_INGEST_RESOLVE_H
#define TIDE_INGEST_RESOLVE_H

#include <uv.h>

enum { TIDE_RESOLVE_MOST = 64 };

struct tide_resolve;

/* status: 0, or libuv's code (UV_EAI_NONAME …) with found NULL. `found` belongs to the receiver: uv_freeaddrinfo. */
typedef void (*tide_resolve_done)(void *arg, int status, struct addrinfo *found);

/* `done` runs exactly once unless cancelled, never inside this call. Texts are copied. NULL, with *status set, when
 * there is no handle or no thread for it. */
struct tide_resolve *tide_resolve_new(uv_loop_t *loop, const char *host, int port, tide_resolve_done done, void *arg,
                                      int *status);
/* `done` will not be called any more. Not after `done` has run. Never waits. */
void tide_resolve_cancel(struct tide_resolve *resolve);

#endif
