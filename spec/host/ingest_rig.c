/*
 * See ingest_rig.h. The rig's functions run on the test's thread, `serve` functions and what they call on the
 * server's.
 */
#include "ingest_rig.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "test.h"

static const uint64_t PATIENCE_NS = UINT64_C(60) * 1000 * 1000 * 1000;

/* ---- The driver's side -------------------------------------------------------------------------------------- */

static void collect(struct rig *rig, uint32_t id, const struct tide_block *block) {
    assert_true(id < 4);
    for (uint32_t i = 0; i < block->count; i++) {
        struct tide_line line = block->lines[i];
        size_t needed = rig->lines[id].size + line.length + 1;
        if (needed > rig->lines[id].capacity) {
            rig->lines[id].capacity = needed * 2;
            rig->lines[id].bytes = tide_xrealloc(rig->lines[id].bytes, needed * 2);
        }
        memcpy(rig->lines[id].bytes + rig->lines[id].size, block->data + line.offset, line.length);
        rig->lines[id].bytes[needed - 1] = '\n';
        rig->lines[id].size = needed;
        rig->lines[id].count++;
    }
}

static void on_cut(struct tide_message *message, void *owner) {
    struct rig *rig = owner;
    struct tide_cut *cut = (struct tide_cut *)message;

    if (rig) {
        assert_int_equal(cut->time, rig->answered + 1);
        rig->answered = cut->time;
        rig->cutting = rig->answered < rig->asked;
        for (uint32_t e = 0; e < cut->count; e++) {
            for (uint32_t b = 0; b < cut->entries[e].blocks.count; b++)
                collect(rig, cut->entries[e].source_id, cut->entries[e].blocks.items[b]);
            if (rig->hold) tide_blocks_append(&rig->held, &cut->entries[e].blocks);
        }
    }
    tide_cut_delete(cut);
}

static void on_event(struct tide_message *message, void *owner) {
    struct rig *rig = owner;
    struct tide_source_event *event = (struct tide_source_event *)message;

    if (rig) {
        rig->events = tide_xrealloc(rig->events, (rig->event_count + 1) * sizeof *rig->events);
        rig->events[rig->event_count++] =
            (struct rig_event){event->source_id, event->kind, event->error.code, event->error.text};
        event->error.text = NULL;
    }
    tide_source_event_delete(event);
}

void rig_create(struct rig *rig) {
    struct tide_error err = {0};

    memset(rig, 0, sizeof *rig);
    assert_int_equal(uv_loop_init(&rig->loop), 0);
    assert_int_equal(tide_inbox_create(&rig->inbox, &rig->loop, rig, true), 0);
    tide_blocks_create(&rig->held);
    rig->ingest = tide_ingest_new(&rig->inbox, on_event, &err);
    assert_non_null(rig->ingest);
}

void rig_delete_ingest(struct rig *rig) {
    tide_ingest_delete(rig->ingest);
    rig->ingest = NULL;
}

void rig_destroy(struct rig *rig) {
    if (rig->ingest) rig_delete_ingest(rig);
    tide_inbox_close(&rig->inbox);
    uv_run(&rig->loop, UV_RUN_DEFAULT);
    tide_inbox_destroy(&rig->inbox);
    assert_int_equal(uv_loop_close(&rig->loop), 0);
    rig_release_held(rig);
    for (int i = 0; i < 4; i++) tide_free(rig->lines[i].bytes);
    for (size_t i = 0; i < rig->event_count; i++) tide_free(rig->events[i].text);
    tide_free(rig->events);
    assert_int_equal(tide_block_live(), 0);
}

void rig_add_socket(struct rig *rig, uint32_t id, struct tide_socket_options options) {
    struct tide_error err = {0};

    if (!options.reconnect_ms) options.reconnect_ms = 20;
    struct tide_source *source = tide_socket_source_new(id, &options, &err);
    assert_non_null(source);
    tide_ingest_add(rig->ingest, source);
}

void rig_cut(struct rig *rig) {
    struct tide_cut *cut = tide_cut_new(++rig->asked);

    cut->message.deliver = on_cut;
    rig->cutting = true;
    tide_ingest_cut(rig->ingest, cut);
    while (rig->cutting) uv_run(&rig->loop, UV_RUN_ONCE);
}

void rig_release_held(struct rig *rig) { tide_blocks_destroy(&rig->held); }

const struct rig_event *rig_event(const struct rig *rig, enum tide_source_event_kind kind, int code, const char *text,
                                  size_t n) {
    for (size_t i = 0; i < rig->event_count; i++) {
        const struct rig_event *event = &rig->events[i];
        if (event->kind != kind || event->code != code || (text && !strstr(event->text, text))) continue;
        if (n-- == 0) return event;
    }
    return NULL;
}

void rig_expect(const struct rig *rig, uint32_t id, const char *text) {
    assert_int_equal(rig->lines[id].size, strlen(text));
    if (*text) assert_memory_equal(rig->lines[id].bytes, text, strlen(text));
}

void rig_check_patience(const struct rig *rig, uint64_t started, const char *waiting_for) {
    if (uv_hrtime() - started < PATIENCE_NS) return;
    for (int i = 0; i < 4; i++)
        print_error("source %d: %zu lines, %zu bytes\n", i, rig->lines[i].count, rig->lines[i].size);
    for (size_t i = 0; i < rig->event_count && i < 20; i++)
        print_error("event %d %d: %s\n", rig->events[i].kind, rig->events[i].code, rig->events[i].text);
    fail_msg("waited a minute in vain for: %s", waiting_for);
}

struct tide_socket_options rig_options(const char *host, int port) {
    return (struct tide_socket_options){.host = host, .port = port};
}

void rig_expect_numbered(const struct rig *rig, uint32_t id, size_t count) {
    const char *at = rig->lines[id].bytes;

    assert_int_equal(rig->lines[id].count, count);
    for (size_t i = 0; i < count; i++) {
        char line[64];
        size_t size = (size_t)sprintf(line, "line %zu\n", i);
        if (memcmp(at, line, size) != 0) fail_msg("line %zu is %.20s", i, at);
        at += size;
    }
    assert_int_equal(at - rig->lines[id].bytes, rig->lines[id].size);
}

/* ---- The server's side -------------------------------------------------------------------------------------- */

/* cmocka's assertions belong to the test's thread; here a failure of the system ends the program. */
static void must(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "test server: %s: %s\n", what, strerror(errno));
    abort();
}

static int listen_on(int family, int port, int backlog, int *bound) {
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    socklen_t size = family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

    if (family == AF_INET6) {
        ((struct sockaddr_in6 *)&address)->sin6_addr = in6addr_loopback;
        ((struct sockaddr_in6 *)&address)->sin6_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ((struct sockaddr_in *)&address)->sin_port = htons((uint16_t)port);
    }
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0) return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, backlog) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0) {
        close(fd);
        return -1;
    }
    *bound = ntohs(family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                      : ((struct sockaddr_in *)&address)->sin_port);
    return fd;
}

static void run(void *arg) {
    struct server *server = arg;

    server->serve(server);
}

bool server_start(struct server *server, int family, int port, void (*serve)(struct server *server)) {
    memset(server, 0, sizeof *server);
    server->listener = listen_on(family, port, 16, &server->port);
    if (server->listener < 0) return false;
    server->serve = serve;
    must(uv_mutex_init(&server->lock) == 0 && uv_cond_init(&server->changed) == 0, "lock");
    must(uv_thread_create(&server->thread, run, server) == 0, "thread");
    return true;
}

void server_join(struct server *server) {
    server_allow(server, 1000);
    uv_thread_join(&server->thread);
    if (server->listener >= 0) close(server->listener);
    uv_cond_destroy(&server->changed);
    uv_mutex_destroy(&server->lock);
}

void server_allow(struct server *server, int step) {
    uv_mutex_lock(&server->lock);
    server->allowed = step;
    uv_cond_broadcast(&server->changed);
    uv_mutex_unlock(&server->lock);
}

void server_await(struct server *server, int step) {
    uv_mutex_lock(&server->lock);
    while (server->allowed < step) uv_cond_wait(&server->changed, &server->lock);
    uv_mutex_unlock(&server->lock);
}

int server_accept(struct server *server) {
    int fd = accept(server->listener, NULL, NULL);

    must(fd >= 0, "accept");
    return fd;
}

void server_send_bytes(struct server *server, int fd, const void *bytes, size_t size) {
    const char *at = bytes;

    while (size > 0) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return; /* the client may stop at any time */
        must(sent > 0, "send");
        at += sent;
        size -= (size_t)sent;
        __atomic_fetch_add(&server->sent, (uint64_t)sent, __ATOMIC_RELAXED);
    }
}

void server_send(struct server *server, int fd, const char *text) {
    server_send_bytes(server, fd, text, strlen(text));
}

void server_wait_closed(int fd) {
    char byte;

    while (recv(fd, &byte, 1, 0) > 0) continue;
    close(fd);
}

int unused_port(void) {
    int port = 0, fd = listen_on(AF_INET, 0, 1, &port);

    must(fd >= 0, "listen");
    close(fd);
    return port;
}

void server_set_flag(struct server *server) { __atomic_store_n(&server->flag, true, __ATOMIC_RELEASE); }

bool server_flag(struct server *server) { return __atomic_load_n(&server->flag, __ATOMIC_ACQUIRE); }

void server_must_start(struct server *server, int port, void (*serve)(struct server *server)) {
    assert_true(server_start(server, AF_INET, port, serve));
}

void server_send_numbered(struct server *server, int fd, size_t first, size_t count) {
    static const size_t CHUNK = 65536;
    char *chunk = malloc(CHUNK + 64);
    size_t size = 0;

    for (size_t i = first; i < first + count; i++) {
        size += (size_t)sprintf(chunk + size, "line %zu%s", i, i % 3 == 0 ? "\r\n" : i % 3 == 1 ? "\n" : "\r");
        if (size >= CHUNK) {
            server_send_bytes(server, fd, chunk, size);
            size = 0;
        }
    }
    server_send_bytes(server, fd, chunk, size);
    free(chunk);
}

/* ---- Behaviours several tests need -------------------------------------------------------------------------- */

void serve_hello(struct server *server) {
    int fd = server_accept(server);

    server_send(server, fd, "hello\n");
    server_wait_closed(fd);
}

void serve_many(struct server *server) {
    int fd = server_accept(server);

    server_send_numbered(server, fd, 0, 200000);
    server_set_flag(server);
    server_wait_closed(fd);
}

void serve_half_line(struct server *server) {
    for (int i = 0; i < 3; i++) {
        int fd = server_accept(server);
        server_send(server, fd, i == 1 ? "\nwhole\r" : i == 2 ? "\nlast" : "one\nhalf");
        close(fd);
    }
}
