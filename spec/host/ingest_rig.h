/*
 * For the tests of host/ingest: a rig that plays the driver (an uv loop with an inbox, cuts asked one after the
 * other, lines and events collected) and a TCP server whose behaviour is a function run on a thread of its own.
 *
 * Nothing sleeps: wait_until asks for cuts and turns the driver's loop until its condition is true.
 */
#ifndef TIDE_SPEC_INGEST_RIG_H
#define TIDE_SPEC_INGEST_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "ingest/ingest.h"
#include "ingest/socket.h"

/* ---- The driver's side -------------------------------------------------------------------------------------- */

struct rig_event {
    uint32_t source_id;
    enum tide_source_event_kind kind;
    int code;
    char *text;
};

struct rig {
    uv_loop_t loop;
    struct tide_inbox inbox;
    struct tide_ingest *ingest;
    /* Received lines one after the other, each followed by \n, for each source id 0…3. */
    struct {
        char *bytes;
        size_t size, capacity, count;
    } lines[4];
    struct rig_event *events;
    size_t event_count;
    bool hold; /* keep the blocks of cuts in `held` as well */
    struct tide_blocks held;
    bool cutting;
    int64_t asked, answered; /* times of the last cut asked for and answered */
};

void rig_create(struct rig *rig);
/* Deletes the ingest, if still there, and checks that no block is left. */
void rig_destroy(struct rig *rig);
void rig_delete_ingest(struct rig *rig);
/* A socket source with short times (reconnect after 20 ms) unless `options` says otherwise. */
void rig_add_socket(struct rig *rig, uint32_t id, struct tide_socket_options options);
/* Asks for a cut and runs the loop until it is answered. */
void rig_cut(struct rig *rig);
void rig_release_held(struct rig *rig);
/* The n-th event (from 0) of that kind and code whose text contains `text` (NULL: any), or NULL. */
const struct rig_event *rig_event(const struct rig *rig, enum tide_source_event_kind kind, int code, const char *text,
                                  size_t n);
/* Fails unless source `id` received exactly `text`: its lines, each followed by \n. */
void rig_expect(const struct rig *rig, uint32_t id, const char *text);
/* Fails unless source `id` received exactly the first `count` lines of server_send_numbered. */
void rig_expect_numbered(const struct rig *rig, uint32_t id, size_t count);
struct tide_socket_options rig_options(const char *host, int port);
/* Fails the test, with what was received and reported, when `started` is more than a minute ago. */
void rig_check_patience(const struct rig *rig, uint64_t started, const char *waiting_for);

#define wait_until(rig, condition)                                                                                   \
    for (uint64_t started_ = uv_hrtime(); !(condition); rig_check_patience(rig, started_, #condition)) rig_cut(rig)

/* ---- The server's side -------------------------------------------------------------------------------------- */

struct server {
    int listener;
    int port;
    void (*serve)(struct server *server);
    uv_thread_t thread;
    uv_mutex_t lock;
    uv_cond_t changed;
    int allowed;   /* steps the test has allowed */
    uint64_t sent; /* atomic */
    bool flag;     /* atomic, for the test's use */
};

/* Listens on a free port of 127.0.0.1 or ::1 (or on `port` if not 0) and runs `serve`. False: no such address
 * here. */
bool server_start(struct server *server, int family, int port, void (*serve)(struct server *server));
/* The same on 127.0.0.1, which every machine has. */
void server_must_start(struct server *server, int port, void (*serve)(struct server *server));
/* Waits for `serve` to return, stops listening. */
void server_join(struct server *server);
/* Test: lets the server pass server_await(step). */
void server_allow(struct server *server, int step);
/* Server: waits until the test allows the step. */
void server_await(struct server *server, int step);
int server_accept(struct server *server);
void server_send(struct server *server, int fd, const char *text);
void server_send_bytes(struct server *server, int fd, const void *bytes, size_t size);
/* "line 0" and so on with all kinds of separators, `count` lines from `first`. */
void server_send_numbered(struct server *server, int fd, size_t first, size_t count);
void server_set_flag(struct server *server);
bool server_flag(struct server *server);
/* Waits for the client to close the connection, then closes it too. */
void server_wait_closed(int fd);
/* Behaviours: one line; 200,000 numbered lines and then the flag; three connections that end without a separator
 * ("one" "half", "" "whole", "" "last"). */
void serve_hello(struct server *server);
void serve_many(struct server *server);
void serve_half_line(struct server *server);
/* A port of 127.0.0.1 on which nobody listens. */
int unused_port(void);

#endif
