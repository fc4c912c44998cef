/*
 * ingest/socket against real TCP servers on loopback: lines and cuts, connections closed, reset and refused,
 * restarts, host names, over-long lines. Back-pressure, shortages and stopping: test_socket_limits.c.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ingest_rig.h"
#include "test.h"

/* ---- Lines and cuts ----------------------------------------------------------------------------------------- */

static void serve_basic(struct server *server) {
    int fd = server_accept(server);

    server_send(server, fd, "one\ntwo\r\nthr");
    server_await(server, 1);
    server_send(server, fd, "ee\rfour\r");
    server_await(server, 2);
    server_send(server, fd, "\nfive\nunfinished");
    server_wait_closed(fd);
}

static void test_lines_and_cuts(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    server_must_start(&server, 0, serve_basic);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    wait_until(&rig, rig.lines[1].count == 2);
    rig_expect(&rig, 1, "one\ntwo\n");
    const struct rig_event *up = rig_event(&rig, TIDE_SOURCE_STARTED, 0, NULL, 0);
    char text[64];
    sprintf(text, "connected to 127.0.0.1:%d", server.port);
    assert_non_null(up);
    assert_string_equal(up->text, text);
    assert_int_equal(up->source_id, 1);
    server_allow(&server, 1);
    wait_until(&rig, rig.lines[1].count == 4);
    server_allow(&server, 2);
    wait_until(&rig, rig.lines[1].count == 5);
    /* A stop is not the end of the stream: half a line is not made a record. */
    tide_ingest_stop_sources(rig.ingest);
    rig_cut(&rig);
    rig_expect(&rig, 1, "one\ntwo\nthree\nfour\nfive\n");
    assert_non_null(rig_event(&rig, TIDE_SOURCE_STOPPED, 0, "stopped reading from 127.0.0.1:", 0));
    rig_destroy(&rig);
    server_join(&server);
}

static void test_many_lines_in_order(void **state) {
    struct rig rig;
    struct server first, second;

    rig_create(&rig);
    server_must_start(&first, 0, serve_many);
    server_must_start(&second, 0, serve_many);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", first.port));
    rig_add_socket(&rig, 2, rig_options("127.0.0.1", second.port));
    wait_until(&rig, rig.lines[1].count >= 200000 && rig.lines[2].count >= 200000);
    rig_expect_numbered(&rig, 1, 200000);
    rig_expect_numbered(&rig, 2, 200000);
    /* Two idle cuts later nothing is held. */
    rig_cut(&rig);
    rig_cut(&rig);
    assert_int_equal(tide_block_live(), 0);
    rig_destroy(&rig);
    server_join(&first);
    server_join(&second);
}

/* What was received before a stop stays for one more cut. */
static void test_cut_after_stop(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    server_must_start(&server, 0, serve_basic);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    while (tide_block_live_bytes() == 0 && !rig.event_count) uv_run(&rig.loop, UV_RUN_ONCE);
    while (tide_block_live_bytes() == 0) uv_run(&rig.loop, UV_RUN_NOWAIT); /* read, and not cut yet */
    tide_ingest_stop_sources(rig.ingest);
    rig_cut(&rig);
    rig_expect(&rig, 1, "one\ntwo\n");
    rig_cut(&rig);
    rig_expect(&rig, 1, "one\ntwo\n");
    rig_destroy(&rig);
    server_join(&server);
}

/* Each connection ends its last line, and a separator at the start of the next one is a separator of its own. */
static void test_closed_in_the_middle_of_a_line(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    server_must_start(&server, 0, serve_half_line);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    wait_until(&rig, rig.lines[1].count >= 6);
    rig_expect(&rig, 1, "one\nhalf\n\nwhole\n\nlast\n");
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ECLOSED, NULL, 2));
    char text[100];
    sprintf(text, "socket 127.0.0.1:%d: closed by the server; trying again in 20 ms", server.port);
    assert_string_equal(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ECLOSED, NULL, 0)->text, text);
    assert_non_null(rig_event(&rig, TIDE_SOURCE_STARTED, 0, NULL, 2));
    rig_destroy(&rig);
    server_join(&server);
}

static void serve_reset(struct server *server) {
    int fd = server_accept(server);

    server_send(server, fd, "kept\n");
    server_await(server, 1);
    struct linger hard = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(fd);
    fd = server_accept(server);
    server_send(server, fd, "after\n");
    server_wait_closed(fd);
}

static void test_connection_reset(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    server_must_start(&server, 0, serve_reset);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", server.port));
    wait_until(&rig, rig.lines[1].count == 1);
    server_allow(&server, 1);
    wait_until(&rig, rig.lines[1].count == 2);
    rig_expect(&rig, 1, "kept\nafter\n");
    assert_non_null(
        rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EIO, "connection reset by peer; trying again in 20 ms", 0));
    rig_destroy(&rig);
    server_join(&server);
}

/* ---- Reconnecting ------------------------------------------------------------------------------------------- */

static void serve_first_half(struct server *server) {
    int fd = server_accept(server);

    server_send_numbered(server, fd, 0, 50000);
    close(server->listener);
    server->listener = -1;
    close(fd);
}

static void serve_second_half(struct server *server) {
    int fd = server_accept(server);

    server_send_numbered(server, fd, 50000, 50000);
    server_wait_closed(fd);
}

static void test_server_restarts(void **state) {
    struct rig rig;
    struct server server;

    rig_create(&rig);
    server_must_start(&server, 0, serve_first_half);
    int port = server.port;
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", port));
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EIO, "connection refused", 2));
    server_join(&server);
    assert_non_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ECLOSED, "closed by the server", 0));
    rig_expect_numbered(&rig, 1, 50000);
    server_must_start(&server, port, serve_second_half);
    wait_until(&rig, rig.lines[1].count >= 100000);
    rig_expect_numbered(&rig, 1, 100000);
    assert_non_null(rig_event(&rig, TIDE_SOURCE_STARTED, 0, NULL, 1));
    assert_null(rig_event(&rig, TIDE_SOURCE_STARTED, 0, NULL, 2));
    rig_destroy(&rig);
    server_join(&server);
}

static void test_nobody_listens(void **state) {
    struct rig rig;
    char text[100];
    int port = unused_port();

    rig_create(&rig);
    rig_add_socket(&rig, 1, rig_options("127.0.0.1", port));
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EIO, NULL, 3));
    sprintf(text, "socket 127.0.0.1:%d: connection refused; trying again in 20 ms", port);
    for (size_t i = 0; i < rig.event_count; i++) assert_string_equal(rig.events[i].text, text);
    rig_destroy(&rig);
}

static void test_waiting_time_in_words(void **state) {
    struct rig rig;
    int port = unused_port();

    rig_create(&rig);
    struct tide_socket_options options = rig_options("127.0.0.1", port);
    options.reconnect_ms = 2000;
    rig_add_socket(&rig, 1, options);
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EIO, "connection refused; trying again in 2 s", 0));
    rig_destroy(&rig); /* while it waits */
}

/* ---- Names and addresses ------------------------------------------------------------------------------------ */

static void hello_from(const char *host, int family) {
    struct rig rig;
    struct server server;

    if (!server_start(&server, family, 0, serve_hello)) skip();
    rig_create(&rig);
    rig_add_socket(&rig, 1, rig_options(host, server.port));
    wait_until(&rig, rig.lines[1].count == 1);
    rig_expect(&rig, 1, "hello\n");
    assert_non_null(rig_event(&rig, TIDE_SOURCE_STARTED, 0, strchr(host, ':') ? "connected to [::1]:" : host, 0));
    assert_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_EIO, NULL, 0));
    rig_destroy(&rig);
    server_join(&server);
}

/* The name may stand for ::1 as well, where nobody listens: the next address is tried without a report. */
static void test_localhost(void **state) { hello_from("localhost", AF_INET); }

static void test_ipv6_address(void **state) { hello_from("::1", AF_INET6); }

/* Only where the name has both addresses. */
static void test_localhost_over_ipv6(void **state) {
    struct addrinfo hints = {.ai_family = AF_INET6, .ai_socktype = SOCK_STREAM}, *found = NULL;

    if (getaddrinfo("localhost", NULL, &hints, &found) != 0) skip();
    struct sockaddr_in6 *address = (struct sockaddr_in6 *)found->ai_addr;
    bool loopback = IN6_IS_ADDR_LOOPBACK(&address->sin6_addr);
    freeaddrinfo(found);
    if (!loopback) skip();
    hello_from("localhost", AF_INET6);
}

static void test_bad_host_name(void **state) {
    struct rig rig;

    rig_create(&rig);
    rig_add_socket(&rig, 1,
                   rig_options("no..such..host", 9999)); /* an empty label: refused without asking any server */
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOTFOUND, NULL, 1));
    const char *text = rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOTFOUND, NULL, 0)->text;
    assert_non_null(strstr(text, "socket no..such..host:9999: name look-up failed: "));
    assert_non_null(strstr(text, "; trying again in 20 ms"));
    rig_destroy(&rig);
}

static void test_host_name_too_long(void **state) {
    struct rig rig;
    char host[3000];

    memset(host, 'a', sizeof host);
    host[sizeof host - 1] = 0;
    rig_create(&rig);
    rig_add_socket(&rig, 1, rig_options(host, 9999));
    wait_until(&rig, rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOTFOUND, "name look-up failed", 1));
    rig_destroy(&rig);
}

static void refuses(const char *host, int port, const char *text) {
    struct tide_error err = {0};
    struct tide_socket_options options = rig_options(host, port);

    assert_null(tide_socket_source_new(1, &options, &err));
    assert_int_equal(err.code, TIDE_EINVAL);
    assert_string_equal(err.text, text);
    tide_error_clear(&err);
}

static void test_bad_options(void **state) {
    refuses("", 9999, "socket: the host is empty; give a name or an address such as \"localhost\"");
    refuses(NULL, 9999, "socket: the host is empty; give a name or an address such as \"localhost\"");
    refuses("localhost", 0, "socket localhost: port 0 is not in 1 to 65535");
    refuses("localhost", 65536, "socket localhost: port 65536 is not in 1 to 65535");
    refuses("localhost", -1, "socket localhost: port -1 is not in 1 to 65535");
}

/* ---- Long lines --------------------------------------------------------------------------------------------- */

static void serve_long(struct server *server) {
    char line[101];
    int fd = server_accept(server);

    memset(line, 'x', sizeof line);
    memcpy(line, "a\"b\0\xff", 5);
    server_send(server, fd, "before\n");
    server_send_bytes(server, fd, line, 100);
    server_send(server, fd, "\n");
    server_send_bytes(server, fd, line, 101);
    server_send(server, fd, "\r\nafter\n");
    server_await(server, 1);
    for (int i = 0; i < 25; i++) {
        server_send_bytes(server, fd, line, 101);
        server_send(server, fd, "\n");
    }
    server_send(server, fd, "end\n");
    server_wait_closed(fd);
}

static void test_over_long_lines(void **state) {
    struct rig rig;
    struct server server;
    char text[256];

    rig_create(&rig);
    server_must_start(&server, 0, serve_long);
    struct tide_socket_options options = rig_options("127.0.0.1", server.port);
    options.max_line = 100;
    rig_add_socket(&rig, 1, options);
    wait_until(&rig, rig.lines[1].count >= 3);
    assert_memory_equal(rig.lines[1].bytes, "before\na\"b\0\xffxxx", 15);
    assert_int_equal(rig.lines[1].size, 7 + 101 + 6);
    sprintf(text,
            "socket 127.0.0.1:%d: a line of 101 bytes was skipped, the limit is 100 (it begins "
            "\"a\\x22b\\x00\\xff%.27s\")",
            server.port, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    const struct rig_event *event = rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ELIMIT, NULL, 0);
    assert_non_null(event);
    assert_string_equal(event->text, text);
    assert_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ELIMIT, NULL, 1));
    /* A flood of them is counted, all in all 25, without 25 events for one cut. */
    server_allow(&server, 1);
    while (uv_run(&rig.loop, UV_RUN_ONCE), !rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ELIMIT, NULL, 10)) continue;
    wait_until(&rig, rig.lines[1].count >= 4);
    rig_cut(&rig);
    size_t told = 0, counted = 0;
    for (size_t i = 0; i < rig.event_count; i++) {
        if (strstr(rig.events[i].text, "a line of 101 bytes")) told++;
        const char *number = strstr(rig.events[i].text, "more lines over the limit of 100 bytes");
        if (number) counted += strtoul(strstr(rig.events[i].text, ": ") + 2, NULL, 10);
    }
    assert_true(told >= 11);
    assert_int_equal(told + counted, 26);
    assert_null(rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ECLOSED, NULL, 0));
    rig_destroy(&rig);
    server_join(&server);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_and_cuts),      cmocka_unit_test(test_many_lines_in_order),
        cmocka_unit_test(test_cut_after_stop),      cmocka_unit_test(test_closed_in_the_middle_of_a_line),
        cmocka_unit_test(test_connection_reset),    cmocka_unit_test(test_server_restarts),
        cmocka_unit_test(test_nobody_listens),      cmocka_unit_test(test_waiting_time_in_words),
        cmocka_unit_test(test_localhost),           cmocka_unit_test(test_ipv6_address),
        cmocka_unit_test(test_localhost_over_ipv6), cmocka_unit_test(test_bad_host_name),
        cmocka_unit_test(test_host_name_too_long),  cmocka_unit_test(test_bad_options),
        cmocka_unit_test(test_over_long_lines),
    };
    return cmocka_run_group_tests_name("ingest/socket", tests, NULL, NULL);
}
