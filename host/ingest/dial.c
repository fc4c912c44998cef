/*
 * See dial.h. Used by ingest/socket.c on the ingest thread.
 *
 * One timer drives it: its first shot (0 ms) begins the work, so that nothing is reported inside tide_dial_new, and
 * later ones are the time limit of the address being tried. Every attempt, good or bad, ends in on_connect; a
 * time limit closes the handle, which makes libuv call on_connect with UV_ECANCELED.
 *
 * Life: `uses` counts what libuv may still call back (timer, connect request). The handles of failed
 * attempts are separate memory and free themselves.
 */
#include "ingest/dial.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "ingest/resolve.h"

enum { FAULT_STATUS = 1 }; /* an injected failure; libuv's own are negative */

struct tide_dial {
    uv_loop_t *loop;
    char *host;
    int port;
    uint64_t timeout_ms;
    tide_dial_done done; /* NULL: finished or cancelled */
    void *arg;
    unsigned uses;
    uv_timer_t timer;
    struct tide_resolve *lookup; /* under way */
    uv_connect_t connect;
    uv_tcp_t *tcp; /* being connected */
    bool timed_out;
    struct addrinfo *found, *next;
    /* What went wrong so far. */
    unsigned tried;
    int first_status;
    bool mixed;
    struct tide_buffer reasons; /* "address: reason, …" */
};

static void try_next(struct tide_dial *dial);

static const char *reason(int status) { return status == FAULT_STATUS ? "injected fault" : uv_strerror(status); }

static int code_of(int status) {
    if (status == FAULT_STATUS) return TIDE_EFAULT;
    if (status == UV_ENOMEM || status == UV_EAI_MEMORY) return TIDE_ENOMEM;
    return status == UV_ETIMEDOUT ? TIDE_ETIMEOUT : TIDE_EIO;
}

/* ---- Life --------------------------------------------------------------------------------------------------- */

static void release(struct tide_dial *dial) {
    if (--dial->uses > 0) return;
    if (dial->found) uv_freeaddrinfo(dial->found);
    tide_buffer_destroy(&dial->reasons);
    tide_free(dial->host);
    tide_free(dial);
}

static void on_timer_closed(uv_handle_t *handle) { release(handle->data); }

static void on_tcp_closed(uv_handle_t *handle) { tide_free(handle); }

static void close_tcp(struct tide_dial *dial) {
    if (dial->tcp) uv_close((uv_handle_t *)dial->tcp, on_tcp_closed);
    dial->tcp = NULL;
}

/* Releases everything; nothing more is reported. */
static void end(struct tide_dial *dial) {
    dial->done = NULL;
    if (dial->lookup) tide_resolve_cancel(dial->lookup);
    dial->lookup = NULL;
    close_tcp(dial);
    uv_close((uv_handle_t *)&dial->timer, on_timer_closed);
}

static void finish(struct tide_dial *dial, uv_tcp_t *tcp, struct tide_error *err) {
    tide_dial_done done = dial->done;
    void *arg = dial->arg;

    end(dial);
    done(arg, tcp, err);
    tide_error_clear(err);
}

/* ---- Trying addresses --------------------------------------------------------------------------------------- */

static void note_failure(struct tide_dial *dial, int status) {
    char address[INET6_ADDRSTRLEN] = "?";

    uv_ip_name(dial->next->ai_addr, address, sizeof address);
    if (dial->tried == 0) dial->first_status = status;
    else if (status != dial->first_status) dial->mixed = true;
    tide_buffer_format(&dial->reasons, "%s%s: %s", dial->tried > 0 ? ", " : "", address, reason(status));
    dial->tried++;
    dial->next = dial->next->ai_next;
}

static void give_up(struct tide_dial *dial) {
    struct tide_error err = {0};

    if (dial->mixed) {
        tide_error_set(&err, code_of(dial->first_status), "%.*s", (int)dial->reasons.size,
                       (const char *)dial->reasons.data);
    } else {
        tide_error_set(&err, code_of(dial->first_status), "%s", reason(dial->first_status));
    }
    finish(dial, NULL, &err);
}

static void on_connect(uv_connect_t *request, int status) {
    struct tide_dial *dial = request->data;

    if (!dial->done) {
        release(dial);
        return;
    }
    dial->uses--; /* the timer still holds it */
    uv_timer_stop(&dial->timer);
    if (dial->timed_out) status = UV_ETIMEDOUT;
    if (status == 0) {
        struct tide_error none = {0};
        uv_tcp_t *tcp = dial->tcp;
        dial->tcp = NULL;
        finish(dial, tcp, &none);
        return;
    }
    close_tcp(dial);
    note_failure(dial, status);
    try_next(dial);
}

static int begin_connect(struct tide_dial *dial, const struct sockaddr *address) {
    if (tide_fault("socket.connect")) return FAULT_STATUS;
    uv_tcp_t *tcp = tide_xcalloc(1, sizeof *tcp);
    int status = uv_tcp_init(dial->loop, tcp);
    if (status < 0) {
        tide_free(tcp);
        return status;
    }
    dial->tcp = tcp;
    dial->timed_out = false;
    dial->connect.data = dial;
    status = uv_tcp_connect(&dial->connect, tcp, address, on_connect);
    if (status < 0) {
        close_tcp(dial);
        return status;
    }
    dial->uses++;
    return 0;
}

static void on_timer(uv_timer_t *timer);

static void try_next(struct tide_dial *dial) {
    while (dial->next) {
        int status = begin_connect(dial, dial->next->ai_addr);
        if (status == 0) {
            uv_timer_start(&dial->timer, on_timer, dial->timeout_ms, 0);
            return;
        }
        note_failure(dial, status);
    }
    give_up(dial);
}

/* ---- Looking up --------------------------------------------------------------------------------------------- */

static void lookup_failed(struct tide_dial *dial, int status) {
    struct tide_error err = {0};
    int code = code_of(status);

    tide_error_set(&err, code == TIDE_EIO ? TIDE_ENOTFOUND : code, "name look-up failed: %s", reason(status));
    finish(dial, NULL, &err);
}

static void on_lookup(void *arg, int status, struct addrinfo *found) {
    struct tide_dial *dial = arg;

    dial->lookup = NULL;
    dial->found = dial->next = found;
    if (status == 0 && !found) status = UV_EAI_NODATA;
    if (status < 0) lookup_failed(dial, status);
    else try_next(dial);
}

static int read_address(struct tide_dial *dial) {
    char service[16];
    uv_getaddrinfo_t request;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};

    snprintf(service, sizeof service, "%d", dial->port);
    hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
    int status = uv_getaddrinfo(dial->loop, &request, NULL, dial->host, service, &hints);
    if (status < 0) return status;
    dial->found = dial->next = request.addrinfo;
    try_next(dial);
    return 0;
}

/* A numeric address goes through getaddrinfo too, but here and now: that does not block. */
static int begin_lookup(struct tide_dial *dial) {
    struct sockaddr_storage address;

    if (uv_ip4_addr(dial->host, dial->port, (struct sockaddr_in *)&address) == 0 ||
        uv_ip6_addr(dial->host, dial->port, (struct sockaddr_in6 *)&address) == 0)
        return read_address(dial);
    int status = 0;
    dial->lookup = tide_resolve_new(dial->loop, dial->host, dial->port, on_lookup, dial, &status);
    return status;
}

static void on_timer(uv_timer_t *timer) {
    struct tide_dial *dial = timer->data;

    if (dial->tcp) {
        dial->timed_out = true;
        close_tcp(dial);
        return;
    }
    int status = begin_lookup(dial);
    if (status < 0) lookup_failed(dial, status);
}

/* ---- The interface ------------------------------------------------------------------------------------------ */

struct tide_dial *tide_dial_new(uv_loop_t *loop, const char *host, int port, uint64_t timeout_ms, tide_dial_done done,
                                void *arg) {
    struct tide_dial *dial = tide_xcalloc(1, sizeof *dial);

    dial->loop = loop;
    dial->host = tide_xstrdup(host);
    dial->port = port;
    dial->timeout_ms = timeout_ms;
    dial->done = done;
    dial->arg = arg;
    tide_buffer_create(&dial->reasons);
    uv_timer_init(loop, &dial->timer);
    dial->timer.data = dial;
    dial->uses = 1;
    uv_timer_start(&dial->timer, on_timer, 0, 0);
    return dial;
}

void tide_dial_cancel(struct tide_dial *dial) { end(dial); }
