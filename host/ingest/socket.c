/*
 * The socket source: keeps one TCP connection to a server of lines, for ever. Runs on the ingest thread; only
 * on_room comes from elsewhere, and it does nothing but post.
 *
 *     NEW ──► DIALING ──► READING ──► HELD      the budget is used up; back when there is room
 *                ▲  │        │  │ ◄─────┘
 *                │  ▼        ▼  └────► STARVED  memory is gone; back after reconnect_ms
 *               WAITING ◄────┘  ◄─────────┘     failed or closed by the server; DIALING after reconnect_ms
 *
 *     any of them ── stop ──► STOPPED ── close ──► freed
 *
 * In HELD and STARVED the connection stays open and is not read, so TCP slows the server down and nothing is lost.
 * What was read stays in `lines` until it is taken, whatever happens to the connection.
 */
#include "ingest/socket.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/log.h"
#include "clock/clock.h"
#include "ingest/dial.h"
#include "store/budget.h"
#include "store/lines.h"

enum {
    DEFAULT_MAX_LINE = 1024 * 1024,
    DEFAULT_RECONNECT_MS = 2000,
    DEFAULT_CONNECT_MS = 10000,
    SMALLEST_BLOCK = 4096,
    MOST_PER_READ = 128 * 1024, /* libuv reads 32 times before it looks at anything else, such as a cut */
    READS_PER_LIMIT = 32,       /* a read is at most 1/32 of the limit: its lines may need 16 times its bytes */
    KEEPALIVE_SECONDS = 60,     /* without it a server that lost its power would be waited for silently */
    LONG_LINES_TOLD = 10,       /* per take; the rest is reported as one number */
    LONG_LINE_PREVIEW = 32      /* bytes */
};

static const uint64_t MOST_OF_ITS_OWN = UINT64_C(256) << 20;

enum state { NEW, DIALING, READING, HELD, STARVED, WAITING, STOPPED };

struct tide_socket {
    struct tide_source source;
    enum state state;
    char *name; /* "localhost:9999" */
    char *host;
    int port;
    uint64_t reconnect_ms;
    uint64_t connect_ms;
    size_t read_size;
    uv_loop_t *loop;        /* NULL until started */
    uv_timer_t timer;       /* WAITING: connect again; STARVED: read again */
    struct tide_dial *dial; /* DIALING */
    uv_tcp_t *tcp;          /* READING, HELD, STARVED; memory of its own, freed when closed */
    struct tide_share *share;
    struct tide_lines lines;
    uint64_t long_lines; /* since the last take */
    bool finished;       /* nothing comes any more */
    uint64_t holds;      /* how often it was held */
    uint64_t hold_told;  /* when that was told, monotonic ms; 0: never */
};

static void connect_now(struct tide_socket *socket);

static struct tide_socket *socket_of(struct tide_source *source) {
    return TIDE_CONTAINER_OF(source, struct tide_socket, source);
}

static void enter(struct tide_socket *socket, enum state to) {
    static const unsigned allowed_from[] = {
        [DIALING] = 1 << NEW | 1 << WAITING,
        [READING] = 1 << DIALING | 1 << HELD | 1 << STARVED,
        [HELD] = 1 << DIALING | 1 << READING | 1 << STARVED,
        [STARVED] = 1 << READING,
        [WAITING] = 1 << NEW | 1 << DIALING | 1 << READING | 1 << HELD | 1 << STARVED | 1 << WAITING,
        [STOPPED] = 1 << NEW | 1 << DIALING | 1 << READING | 1 << HELD | 1 << STARVED | 1 << WAITING,
    };
    assert(allowed_from[to] & 1U << socket->state);
    socket->state = to;
}

/* ---- The budget --------------------------------------------------------------------------------------------- */

/* Any thread. */
static void on_room(void *arg) { tide_source_wake(arg); }

/* A block that holds nothing but an unfinished line: only reading on releases it, so a line longer than the limit
 * must not hold itself up. */
static uint64_t unfinished(const struct tide_socket *socket) {
    const struct tide_block *current = socket->lines.current;

    return current && current->count == 0 ? sizeof *current + TIDE_BLOCK_SLACK + current->capacity : 0;
}

/* Told at most once a minute: a source that is faster than its batches is held again and again. */
static void hold(struct tide_socket *socket) {
    enum { TOLD_EVERY_MS = 60000 };
    uint64_t now = tide_clock_monotonic_ns() / 1000000;
    enter(socket, HELD);
    socket->holds++;
    if (socket->hold_told != 0 && now - socket->hold_told < TOLD_EVERY_MS) return;
    socket->hold_told = now > 0 ? now : 1;
    tide_log(TIDE_LOG_WARN, "socket",
             "%s is read more slowly: received data that no batch has processed yet fills its share of socket.memory "
             "(%" PRIu64 " times so far)",
             socket->name, socket->holds);
}

/* After true, on_room is called when there is room. */
static bool must_hold(struct tide_socket *socket) { return tide_share_must_wait(socket->share, unfinished(socket)); }

/* ---- Failures ----------------------------------------------------------------------------------------------- */

static void on_tcp_closed(uv_handle_t *handle) { tide_free(handle); }

static void close_tcp(struct tide_socket *socket) {
    if (socket->tcp) uv_close((uv_handle_t *)socket->tcp, on_tcp_closed);
    socket->tcp = NULL;
}

static const char *pause_text(const struct tide_socket *socket, char *text, size_t size) {
    uint64_t ms = socket->reconnect_ms;

    if (ms % 1000 == 0) snprintf(text, size, "%" PRIu64 " s", ms / 1000);
    else snprintf(text, size, "%" PRIu64 " ms", ms);
    return text;
}

static void report_failure(struct tide_socket *socket, int code, const char *what, const char *next) {
    char pause[32];

    tide_source_report(&socket->source, TIDE_SOURCE_ERROR, code, "socket %s: %s; %s in %s", socket->name, what, next,
                       pause_text(socket, pause, sizeof pause));
}

static void on_wait_over(uv_timer_t *timer) { connect_now(timer->data); }

static void connect_later(struct tide_socket *socket, int code, const char *what) {
    close_tcp(socket);
    enter(socket, WAITING);
    tide_lines_finish(&socket->lines); /* without memory: tried again by take and connect_now */
    report_failure(socket, code, what, "trying again");
    uv_timer_start(&socket->timer, on_wait_over, socket->reconnect_ms, 0);
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static void read_on(struct tide_socket *socket);

static void on_starved_over(uv_timer_t *timer) { read_on(timer->data); }

static void starve(struct tide_socket *socket) {
    uv_read_stop((uv_stream_t *)socket->tcp);
    enter(socket, STARVED);
    report_failure(socket, TIDE_ENOMEM, "out of memory for received data, not reading", "trying again");
    uv_timer_start(&socket->timer, on_starved_over, socket->reconnect_ms, 0);
}

static void on_space(uv_handle_t *handle, size_t suggested, uv_buf_t *space) {
    struct tide_socket *socket = handle->data;
    size_t size = 0;

    space->base = (char *)tide_lines_space(&socket->lines, &size);
    space->len = size < socket->read_size ? size : socket->read_size; /* 0 without base: libuv reports UV_ENOBUFS */
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *space) {
    struct tide_socket *socket = stream->data;

    if (got == UV_ENOBUFS) {
        starve(socket);
        return;
    }
    if (got == UV_EOF) {
        connect_later(socket, TIDE_ECLOSED, "closed by the server");
        return;
    }
    if (got < 0) {
        connect_later(socket, got == UV_ETIMEDOUT ? TIDE_ETIMEOUT : TIDE_EIO, uv_strerror((int)got));
        return;
    }
    if (got == 0) return;
    bool kept = tide_lines_commit(&socket->lines, (size_t)got);
    if (tide_fault("socket.read")) {
        connect_later(socket, TIDE_EFAULT, "injected fault");
        return;
    }
    if (!kept) {
        starve(socket);
        return;
    }
    if (must_hold(socket)) {
        uv_read_stop(stream);
        hold(socket);
    }
}

/* Goes on with an open connection: after connecting, a fall of the budget, or a shortage of memory. */
static void read_on(struct tide_socket *socket) {
    if (must_hold(socket)) {
        if (socket->state != HELD) hold(socket);
        return;
    }
    enter(socket, READING);
    int status = uv_read_start((uv_stream_t *)socket->tcp, on_space, on_read);
    if (status < 0) connect_later(socket, TIDE_EIO, uv_strerror(status));
}

/* ---- Connecting --------------------------------------------------------------------------------------------- */

static void on_dialed(void *arg, uv_tcp_t *tcp, struct tide_error *err) {
    struct tide_socket *socket = arg;

    socket->dial = NULL;
    if (!tcp) {
        connect_later(socket, err->code, err->text);
        return;
    }
    socket->tcp = tcp;
    tcp->data = socket;
    uv_tcp_keepalive(tcp, 1, KEEPALIVE_SECONDS);
    tide_source_report(&socket->source, TIDE_SOURCE_STARTED, 0, "connected to %s", socket->name);
    read_on(socket);
}

/* A new connection begins a new line, so the last line of the old one must be settled first. */
static void connect_now(struct tide_socket *socket) {
    if (!tide_lines_finish(&socket->lines)) {
        connect_later(socket, TIDE_ENOMEM, "out of memory for received data");
        return;
    }
    enter(socket, DIALING);
    socket->dial = tide_dial_new(socket->loop, socket->host, socket->port, socket->connect_ms, on_dialed, socket);
}

/* ---- Over-long lines ---------------------------------------------------------------------------------------- */

static void on_long_line(void *arg, const uint8_t *head, size_t head_size, uint64_t length) {
    struct tide_socket *socket = arg;

    if (socket->long_lines++ >= LONG_LINES_TOLD) return;
    char preview[LONG_LINE_PREVIEW * 4 + 1] = "";
    size_t at = 0;
    for (size_t i = 0; i < head_size && i < LONG_LINE_PREVIEW; i++) {
        bool plain = head[i] >= ' ' && head[i] < 127 && head[i] != '"' && head[i] != '\\';
        at += (size_t)snprintf(preview + at, sizeof preview - at, plain ? "%c" : "\\x%02x", head[i]);
    }
    tide_source_report(&socket->source, TIDE_SOURCE_ERROR, TIDE_ELIMIT,
                       "socket %s: a line of %" PRIu64 " bytes was skipped, the limit is %" PRIu32
                       " (it begins \"%s\")",
                       socket->name, length, socket->lines.max_line, preview);
}

static void report_untold_lines(struct tide_socket *socket) {
    if (socket->long_lines > LONG_LINES_TOLD) {
        tide_source_report(&socket->source, TIDE_SOURCE_ERROR, TIDE_ELIMIT,
                           "socket %s: %" PRIu64 " more lines over the limit of %" PRIu32 " bytes were skipped",
                           socket->name, socket->long_lines - LONG_LINES_TOLD, socket->lines.max_line);
    }
    socket->long_lines = 0;
}

/* ---- What the ingest thread calls --------------------------------------------------------------------------- */

static int start(struct tide_source *source, uv_loop_t *loop, struct tide_error *err) {
    struct tide_socket *socket = socket_of(source);

    socket->loop = loop;
    uv_timer_init(loop, &socket->timer);
    socket->timer.data = socket;
    connect_now(socket);
    return 0;
}

static void resume(struct tide_source *source) {
    struct tide_socket *socket = socket_of(source);

    if (socket->state == HELD) read_on(socket);
}

static void take(struct tide_source *source, struct tide_blocks *out) {
    struct tide_socket *socket = socket_of(source);

    report_untold_lines(socket);
    bool over = socket->state == WAITING || socket->finished; /* nothing will complete the last line */
    bool kept = over ? tide_lines_finish(&socket->lines) : true;
    if (!tide_lines_take(&socket->lines, out) || !kept) {
        tide_source_report(source, TIDE_SOURCE_ERROR, TIDE_ENOMEM,
                           "socket %s: out of memory while cutting a batch; its last lines come with the next one",
                           socket->name);
    }
    tide_share_cut(socket->share, unfinished(socket));
}

static void stop(struct tide_source *source) {
    struct tide_socket *socket = socket_of(source);

    if (socket->state == STOPPED) return;
    enter(socket, STOPPED);
    if (socket->dial) tide_dial_cancel(socket->dial);
    socket->dial = NULL;
    close_tcp(socket);
    if (socket->loop) uv_timer_stop(&socket->timer);
    tide_source_report(source, TIDE_SOURCE_STOPPED, 0, "stopped reading from %s", socket->name);
}

static void finish(struct tide_source *source) { socket_of(source)->finished = true; }

static void delete_socket(struct tide_socket *socket) {
    tide_lines_destroy(&socket->lines);
    tide_share_release(socket->share);
    tide_free(socket->name);
    tide_free(socket->host);
    tide_free(socket);
}

static void on_timer_closed(uv_handle_t *handle) { delete_socket(handle->data); }

static void close_source(struct tide_source *source) {
    struct tide_socket *socket = socket_of(source);

    /* Blocks outlive the source; from here on none of them may wake it. */
    tide_share_close(socket->share);
    if (socket->loop) uv_close((uv_handle_t *)&socket->timer, on_timer_closed);
    else delete_socket(socket);
}

static const struct tide_source_ops SOCKET_OPS = {
    .kind = "socket",
    .start = start,
    .take = take,
    .resume = resume,
    .stop = stop,
    .finish = finish,
    .close = close_source,
};

static uint64_t between(uint64_t value, uint64_t least, uint64_t most) {
    return value < least ? least : value > most ? most : value;
}

struct tide_source *tide_socket_source_new(uint32_t id, const struct tide_socket_options *options,
                                           struct tide_error *err) {
    if (!options->host || !*options->host) {
        tide_error_set(err, TIDE_EINVAL,
                       "socket: the host is empty; give a name or an address such as \"localhost\"");
        return NULL;
    }
    if (options->port < 1 || options->port > 65535) {
        tide_error_set(err, TIDE_EINVAL, "socket %s: port %d is not in 1 to 65535", options->host, options->port);
        return NULL;
    }
    struct tide_socket *socket = tide_xcalloc(1, sizeof *socket);
    socket->source.ops = &SOCKET_OPS;
    socket->source.id = id;
    tide_list_create(&socket->source.link);
    socket->host = tide_xstrdup(options->host);
    socket->port = options->port;
    struct tide_buffer name;
    tide_buffer_create(&name);
    tide_buffer_format(&name, strchr(options->host, ':') ? "[%s]:%d" : "%s:%d", options->host, options->port);
    tide_buffer_append(&name, "", 1);
    socket->name = (char *)tide_buffer_take(&name, NULL);
    tide_buffer_destroy(&name);
    socket->reconnect_ms = options->reconnect_ms ? options->reconnect_ms : DEFAULT_RECONNECT_MS;
    socket->connect_ms = options->connect_ms ? options->connect_ms : DEFAULT_CONNECT_MS;
    struct tide_budget *budget =
        options->budget ? tide_budget_retain(options->budget) : tide_budget_new(0, MOST_OF_ITS_OWN);
    uint64_t limit = tide_budget_limit(budget);
    socket->share = tide_share_new(budget, options->batch_ms, on_room, &socket->source);
    tide_budget_release(budget);
    /* A low limit also means small blocks and reads, or the first one would already exceed it. */
    uint64_t block_size = between(limit / 4, SMALLEST_BLOCK, TIDE_BLOCK_TARGET);
    socket->read_size = between(limit / READS_PER_LIMIT, SMALLEST_BLOCK, MOST_PER_READ);
    tide_lines_create(&socket->lines, options->max_line ? options->max_line : DEFAULT_MAX_LINE, (uint32_t)block_size,
                      socket->share);
    socket->lines.on_long_line = on_long_line;
    socket->lines.arg = socket;
    return &socket->source;
}
