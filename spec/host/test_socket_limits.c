/*
 * ingest/socket at its limits: back-pressure, shortage of memory, injected faults, and stopping in every state.
 * Against real TCP servers on loopback.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"
#include "ingest_rig.h"
#include "store/budget.h"
#include "test.h"

/* ---- Back-pressure ------------------------------------------------------------------------------------------ */

enum { FLOOD_LINES = 1500000, FLOOD_HIGH = 1 << 20 };

/* Sends as fast as the client takes it; the flag goes up when nothing could be sent for a while. */
static void serve_flood(struct server *server) {
    int fd = server_accept(server);
    int bounded = 1024 * 1024;

    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bounded, sizeof bounded);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    char chunk[8192];
    size_t size = 0, at = 0;
    for (size_t i = 0; i < FLOOD_LINES || at < size;) {
        if (at == size) {
            for (at = size = 0; i < FLOOD_LINES && size + 32 < sizeof chunk; i++)
                size += (size_t)sprintf(chunk + size, "line %zu\n", i);
        }
        ssize_t sent = send(fd, chunk + at, size - at, MSG_NOSIGNAL);
        if (sent > 0) {
            at += (size_t)sent;
            __atomic_fetch_add(&server->sent, (uint64_t)sent, __ATOMIC_RELAXED);
        } else if (errno == EAGAIN) {
            struct pollfd writable = {.fd = fd, .events = POLLOUT};
            if (poll(&writable, 1, 100) == 0) server_set_flag(server);
        } else {
            break; /* the client stopped */
        }
    }
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    server_wait_closed(fd);
}

static void hold_flood(struct rig *rig, struct server *server) {
    rig_create(rig);
    server_must_start(server, 0, serve_flood);
    struct tide_socket_options options = rig_options("127.0.0.1", server->port);
    options.budget = tide_budget_new(FLOOD_HIGH, 0);
    rig->hold = true;
    rig_add_socket(rig, 1, options);
    tide_budget_release(options.budget);
    wait_until(rig, server_flag(server));
    assert_true(rig->lines[1].count > 0 && rig->lines[1].count < FLOOD_LINES);
    assert_true(tide_block_live_bytes() > FLOOD_HIGH / 2); /* a cut may have trimmed some of what reached the limit */
    assert_true(tide_block_live_bytes() < FLOOD_HIGH + 2 * TIDE_BLOCK_TARGET);
    /* Between the server and us: what the kernel buffers for a socket, and no more. */
    assert_true(__atomic_load_n(&server->sent, __ATOMIC_RELAXED) - rig->lines[1].size < 12 << 20);
}

static void test_held_blocks_slow_the_server_down(void **state) {
    struct rig rig;
    struct server server;

    hold_flood(&rig, &server);
    size_t held = rig.lines[1].count;
    rig_cut(&rig);
    rig_cut(&rig);
    assert_int_equal(rig.lines[1].count, held);
    /* Room wakes the source by itself, and everything arrives, once and in order. */
    rig.hold = false;
    rig_release_held(&rig);
    wait_until(&rig, rig.lines[1].count >= FLOOD_LINES);
    rig_expect_numbered(&rig, 1, FLOOD_LINES);
    uint64_t received = rig.lines[1].size;
    rig_destroy(&rig);
    server_join(&server);
    assert_int_equal(server.sent, received);
}

/* An eighth of the limit is enough: receiving and processing do not take turns. */
static void test_reading_goes_on_in_small_portions(void **state) {
    struct rig rig;
    struct server server;

    hold_flood(&rig, &server);
    size_t held = rig.lines[1].count;
    uint64_t enough = tide_block_live_bytes() - FLOOD_HIGH / 8;
    while (tide_block_live_bytes() > enough) tide_block_release(rig.held.items[--rig.held.count]);
    assert_true(tide_block_live_bytes() > FLOOD_HIGH / 2);
    wait_until(&rig, rig.lines[1].count > held);
    rig_destroy(&rig);
    server_join(&server);
}

static void test_stop_while_held(void **state) {
    struct rig rig;
    struct server server;

    hold_flood(&rig, &server);
    tide_ingest_stop_sources(rig.ingest);
    rig_cut(&rig);
    rig_destroy(&rig); /* the blocks are released when the source is gone */
    server_join(&server);
}

static void serve_wide(struct server *server) {
    int fd = server_accept(server);
    char *line = malloc(300000);

    memset(line, 'w', 300000);
    line[299999] = '\n';
    for (int i = 0; i < 5; i++) server_send_bytes(server, fd, line, 300000);
    free(line);
    server_wait_closed(fd);
}

/* One unfinished line above the limit must not wait for itself. */
static void test_line_larger_than_the_budget(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    server_must_start(&server, 0, serve_wide);
    struct tide_socket_options options = rig_options("127.0.0.1", server.port);
    options.budget = tide_budget_new(50000, 0);
    rig_add_socket(&rig, 1, options);
    tide_budget_release(options.budget);
    wait_until(&rig, rig.lines[1].count == 5);
    assert_int_equal(rig.lines[1].size, 5 * 300000);
    rig_destroy(&rig);
    server_join(&server);
}

/* ---- Memory and faults -------------------------------------------------------------------------------------- */

static void test_memory_is_gone(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    tide_fault_arm("alloc", 0, -1);
    server_must_start(&server, 0, serve_many);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOMEM, NULL, 2));
    assert_non_null(strstr(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOMEM, NULL, 0)->text,
                           ": out of memory for received data, not reading; trying again in 20 ms"));
    assert_int_equal(rig.lines[1].count, 0);
    tide_fault_clear();
    wait_until(&rig, rig.lines[1].count >= 200000);
    rig_expect_numbered(&rig, 1, 200000);
    assert_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ECLOSED, NULL, 0));
    rig_destroy(&rig);
    server_join(&server);
}

/* Shortages that come and go while data flows, in reads and in cuts. */
static void test_memory_comes_and_goes(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    tide_fault_arm("alloc", 5, 3);
    server_must_start(&server, 0, serve_many);
    struct tide_socket_options options = rig_options("127.0.0.1", server.port);
    options.reconnect_ms = 1;
    rig_add_socket(&rig, 1, options);
    for (int round = 0; rig.lines[1].count < 200000; round++) {
        rig_cut(&rig);
        if (round % 5 == 0) tide_fault_arm("alloc", round % 7, 1 + round % 3);
    }
    tide_fault_clear();
    rig_expect_numbered(&rig, 1, 200000);
    assert_non_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOMEM, NULL, 0));
    rig_destroy(&rig);
    server_join(&server);
}

static void test_last_line_while_memory_is_gone(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    tide_fault_arm("alloc", 2, -1); /* the block is there, its list of lines is not */
    server_must_start(&server, 0, serve_half_line);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOMEM, NULL, 4));
    tide_fault_clear();
    wait_until(&rig, rig.lines[1].count >= 6);
    rig_expect(&rig, 1, "one\nhalf\n\nwhole\n\nlast\n");
    rig_destroy(&rig);
    server_join(&server);
}

static void serve_twice(struct server *server) {
    int fd = server_accept(server);

    server_send(server, fd, "first\n");
    server_wait_closed(fd);
    fd = server_accept(server);
    server_send(server, fd, "second\n");
    server_wait_closed(fd);
}

static void test_faults(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    tide_fault_arm("socket.connect", 0, 2);
    tide_fault_arm("socket.read", 0, 1);
    server_must_start(&server, 0, serve_twice);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    wait_until(&rig, rig.lines[1].count == 2);
    rig_expect(&rig, 1, "first\nsecond\n");
    assert_non_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EFAULT, "injected fault; trying again in 20 ms", 2));
    assert_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EFAULT, NULL, 3));
    tide_fault_clear();
    rig_destroy(&rig);
    server_join(&server);
}

/* ---- Stopping in every state -------------------------------------------------------------------------------- */

/* A port whose queue of connections is full, so that a further one stays unanswered. */
struct full_port {
    int listener, port, clients[8];
};

static void full_port_create(struct full_port *full) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    full->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(full->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(full->listener, 0), 0);
    assert_int_equal(getsockname(full->listener, (struct sockaddr *)&address, &size), 0);
    full->port = ntohs(address.sin_port);
    for (int i = 0; i < 8; i++) {
        full->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        /* The first fill the queue, the others stay on their way: either is fine. */
        int code = connect(full->clients[i], (struct sockaddr *)&address, size);
        assert_true(code == 0 || errno == EINPROGRESS);
    }
}

static void full_port_destroy(struct full_port *full) {
    for (int i = 0; i < 8; i++) close(full->clients[i]);
    close(full->listener);
}

static void test_stop_while_connecting(void **state) {
    struct full_port full;

    full_port_create(&full);
    for (int how = 0; how < 2; how++) {
        struct rig rig;
        rig_create(&rig);
        rig_add_socket(&rig, 1, rig_options("127.0.0.1", full.port));
        rig_cut(&rig);
        rig_cut(&rig);
        rig_cut(&rig); /* several turns of the loop: the request is out, and not answered */
        assert_int_equal(rig.event_count, 0);
        if (how == 0) {
            tide_ingest_stop_sources(rig.ingest);
            rig_cut(&rig);
            assert_non_null(rig_event(&rig, TIDE_SOURCE_STOPPED, 0, NULL, 0));
        }
        rig_destroy(&rig);
    }
    full_port_destroy(&full);
}

static void test_connecting_takes_too_long(void **state) {
    struct full_port full;
    struct rig rig;

    full_port_create(&full);
    rig_create(&rig);
    struct tide_socket_options options = rig_options("127.0.0.1", full.port);
    options.connect_ms = 30;
    rig_add_socket(&rig, 1, options);
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ETIMEOUT, "connection timed out; trying again", 1));
    rig_destroy(&rig);
    full_port_destroy(&full);
}

/* Deleted at once, and after one and more turns: whatever the look-up is doing by then. */
static void test_stop_while_looking_up(void **state) {
    for (int turns = 0; turns < 30; turns++) {
        struct rig rig;
        rig_create(&rig);
        rig_add_socket(&rig, 1, rig_options(turns % 2 ? "localhost" : "no..such..host", unused_port()));
        for (int i = 0; i < turns / 3; i++) rig_cut(&rig);
        if (turns % 3 == 0) tide_ingest_stop_sources(rig.ingest);
        rig_destroy(&rig);
    }
}

static void test_stop_before_start(void **state) {
    struct rig rig;

    rig_create(&rig);
    tide_ingest_stop_sources(rig.ingest);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", 9));
    rig_cut(&rig);
    assert_int_equal(rig.event_count, 0);
    rig_destroy(&rig);
}

static void test_stop_while_waiting(void **state) {
    struct rig rig;

    rig_create(&rig);
    struct tide_socket_options options = rig_options("127.0.0.1", unused_port());
    options.reconnect_ms = 1000 * 1000;
    rig_add_socket(&rig, 1, options);
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EIO, "trying again in 1000 s", 0));
    tide_ingest_stop_sources(rig.ingest);
    rig_cut(&rig);
    rig_destroy(&rig);
}

static void serve_endless(struct server *server) {
    int fd = server_accept(server);
    char line[4096];

    memset(line, 'e', sizeof line);
    line[sizeof line - 1] = '\n';
    struct timeval limit = {.tv_sec = 60};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (send(fd, line, sizeof line, MSG_NOSIGNAL) > 0) continue;
    close(fd);
}

static void test_stop_while_reading(void **state) {
    for (int how = 0; how < 2; how++) {
        struct rig rig;
        struct server server;
        rig_create(&rig);
        server_must_start(&server, 0, serve_endless);
        rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
        wait_until(&rig, rig.lines[1].count > 1000);
        if (how == 0) {
            tide_ingest_stop_sources(rig.ingest);
            rig_cut(&rig);
            size_t count = rig.lines[1].count;
            rig_cut(&rig);
            assert_int_equal(rig.lines[1].count, count);
        }
        rig_destroy(&rig);
        server_join(&server);
    }
}

static void test_stop_while_starved(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    tide_fault_arm("alloc", 0, -1);
    server_must_start(&server, 0, serve_hello);
    struct tide_socket_options options = rig_options("127.0.0.1", server.port);
    options.reconnect_ms = 1000 * 1000;
    rig_add_socket(&rig, 1, options);
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOMEM, NULL, 0));
    tide_fault_clear();
    rig_destroy(&rig);
    server_join(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_blocks_slow_the_server_down),
        cmocka_unit_test(test_reading_goes_on_in_small_portions),
        cmocka_unit_test(test_stop_while_held),
        cmocka_unit_test(test_line_larger_than_the_budget),
        cmocka_unit_test(test_memory_is_gone),
        cmocka_unit_test(test_memory_comes_and_goes),
        cmocka_unit_test(test_last_line_while_memory_is_gone),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_stop_while_connecting),
        cmocka_unit_test(test_connecting_takes_too_long),
        cmocka_unit_test(test_stop_while_looking_up),
        cmocka_unit_test(test_stop_before_start),
        cmocka_unit_test(test_stop_while_waiting),
        cmocka_unit_test(test_stop_while_reading),
        cmocka_unit_test(test_stop_while_starved),
    };
    return cmocka_run_group_tests_name("ingest/socket limits", tests, NULL, NULL);
}
