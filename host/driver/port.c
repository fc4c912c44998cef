/*
 * A runner's inbox (see port.h). Called by driver/runner.c, on the driver thread.
 *
 * The inbox does not report when its handle is closed. libuv closes handles in rounds: a handle closed within a round
 * is closed in the next one. So after a second round of our own every handle that closed with the port is done.
 */
#include "driver/port.h"

#include <stdbool.h>

#include "base/alloc.h"

struct tide_port {
    struct tide_inbox inbox;
    uv_check_t closer; /* never started; its close callbacks count the rounds */
    bool closed_once;
};

struct tide_port *tide_port_new(uv_loop_t *loop, void *owner, struct tide_error *err) {
    struct tide_port *port = tide_xcalloc(1, sizeof *port);
    int status = tide_inbox_create(&port->inbox, loop, owner, true);

    if (status < 0) {
        tide_error_set(err, status, "no inbox for received data (%s); is the limit of open files reached?",
                       tide_error_name(status));
        tide_free(port);
        return NULL;
    }
    uv_check_init(loop, &port->closer); /* cannot fail */
    port->closer.data = port;
    return port;
}

struct tide_inbox *tide_port_inbox(struct tide_port *port) {
    return &port->inbox;
}

static void on_closed(uv_handle_t *handle) {
    struct tide_port *port = handle->data;

    if (!port->closed_once) {
        port->closed_once = true;
        uv_check_init(handle->loop, &port->closer);
        uv_close((uv_handle_t *)&port->closer, on_closed);
        return;
    }
    tide_inbox_destroy(&port->inbox);
    tide_free(port);
}

void tide_port_close(struct tide_port *port) {
    tide_inbox_close(&port->inbox);
    uv_close((uv_handle_t *)&port->closer, on_closed);
}
