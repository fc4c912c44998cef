/*
 * The inbox of one runner: messages of its ingest thread arrive here, on the driver's loop. It is closed with the
 * runner and outlives it until its handles are closed.
 *
 * Thread: driver only, except for posting to the inbox.
 */
#ifndef TIDE_DRIVER_PORT_H
#define TIDE_DRIVER_PORT_H

#include <uv.h>

#include "base/error.h"
#include "thread/inbox.h"

struct tide_port;

/* `owner` is what messages are delivered to. NULL and an error when the system gives no handle. */
struct tide_port *tide_port_new(uv_loop_t *loop, void *owner, struct tide_error *err);
struct tide_inbox *tide_port_inbox(struct tide_port *port);
/* Messages that arrive later have no owner. The memory is freed by the loop. */
void tide_port_close(struct tide_port *port);

#endif
