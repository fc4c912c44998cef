/*
 * Connecting to a host by name: looks the name up (unless it is a numeric address) and tries every address in turn
 * until one answers. Used by sources that are TCP clients.
 *
 * Thread: the loop's. A dial frees itself after `done` or cancel, once libuv has closed its handles; the loop has to
 * run for that.
 */
#ifndef TIDE_INGEST_DIAL_H
#define TIDE_INGEST_DIAL_H

#include <uv.h>

#include "base/error.h"

struct tide_dial;

/* `tcp` is connected, in heap memory that the receiver owns: uv_close it and tide_free it in the close callback. Or
 * NULL, and `err` says why: TIDE_ENOTFOUND (name look-up), TIDE_ETIMEOUT, TIDE_ENOMEM, TIDE_EIO; when addresses
 * failed for different reasons its text lists them. The receiver may move `err`. */
typedef void (*tide_dial_done)(void *arg, uv_tcp_t *tcp, struct tide_error *err);

/* `done` runs exactly once unless cancelled, never inside this call. `host` is copied. */
struct tide_dial *tide_dial_new(uv_loop_t *loop, const char *host, int port, uint64_t timeout_ms, tide_dial_done done,
                                void *arg);
/* `done` will not be called any more. Not after `done` has run. */
void tide_dial_cancel(struct tide_dial *dial);

#endif
