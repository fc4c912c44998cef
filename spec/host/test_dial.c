/*
 * ingest/dial: names with several addresses, look-ups that fail or take long, addresses that refuse or do not answer,
 * and cancelling at each point. This program brings its own getaddrinfo, so that what a name means, and when the
 * answer comes, is decided here; the connections are real ones on loopback (127.0.0.1 and 127.0.0.2).
 */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "ingest/dial.h"
#include "ingest/resolve.h"
#include "test.h"

/* ---- Names -------------------------------------------------------------------------------------------------- */

static uv_mutex_t lock;
static uv_cond_t changed;
static int looking, most_looking; /* look-ups of the name "slow" under way; the most there were at a time */
static bool answer;               /* they may end */

static struct addrinfo *address_info(const char *address, const char *service, struct addrinfo *next) {
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in));
    struct sockaddr_in *in = (struct sockaddr_in *)(info + 1);

    info->ai_family = AF_INET;
    info->ai_socktype = SOCK_STREAM;
    info->ai_addr = (struct sockaddr *)in;
    info->ai_addrlen = sizeof *in;
    info->ai_next = next;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)atoi(service));
    if (inet_pton(AF_INET, address, &in->sin_addr) != 1) abort();
    return info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    if (strcmp(name, "missing") == 0) return EAI_NONAME;
    if (strcmp(name, "forgetful") == 0) return EAI_MEMORY;
    if (strcmp(name, "empty") == 0) {
        *found = NULL;
        return 0;
    }
    if (strcmp(name, "slow") == 0) {
        uv_mutex_lock(&lock);
        looking++;
        if (looking > most_looking) most_looking = looking;
        uv_cond_broadcast(&changed);
        while (!answer) uv_cond_wait(&changed, &lock);
        looking--;
        uv_cond_broadcast(&changed);
        uv_mutex_unlock(&lock);
    }
    struct addrinfo *list = address_info("127.0.0.1", service, NULL);
    if (strcmp(name, "both") == 0) list = address_info("127.0.0.2", service, list);
    *found = list;
    return 0;
}

void freeaddrinfo(struct addrinfo *info) {
    while (info) {
        struct addrinfo *next = info->ai_next;
        free(info);
        info = next;
    }
}

/* ---- The rig ------------------------------------------------------------------------------------------------ */

struct dial_result {
    int calls, code;
    char text[200];
    uint32_t peer; /* address connected to, or 0 */
};

static void on_closed(uv_handle_t *handle) { tide_free(handle); }

static void on_done(void *arg, uv_tcp_t *tcp, struct tide_error *err) {
    struct dial_result *result = arg;

    result->calls++;
    result->code = err->code;
    if (err->text) strncpy(result->text, err->text, sizeof result->text - 1);
    if (!tcp) return;
    struct sockaddr_in peer;
    int size = sizeof peer;
    assert_int_equal(uv_tcp_getpeername(tcp, (struct sockaddr *)&peer, &size), 0);
    result->peer = ntohl(peer.sin_addr.s_addr);
    uv_close((uv_handle_t *)tcp, on_closed);
}

/* Runs one dial until nothing of it is left in the loop. */
static struct dial_result dial(const char *host, int port, uint64_t timeout_ms) {
    struct dial_result result = {0};
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    assert_non_null(tide_dial_new(&loop, host, port, timeout_ms, on_done, &result));
    assert_int_equal(result.calls, 0);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(result.calls, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    return result;
}

/* Cancelled after that many turns of the loop, if it is not done by then. */
static void dial_cancelled(const char *host, int port, int turns) {
    struct dial_result result = {0};
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    struct tide_dial *dialed = tide_dial_new(&loop, host, port, 60000, on_done, &result);
    for (int i = 0; i < turns && result.calls == 0; i++) uv_run(&loop, UV_RUN_NOWAIT);
    int calls = result.calls;
    if (calls == 0) tide_dial_cancel(dialed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(result.calls, calls);
    assert_int_equal(uv_loop_close(&loop), 0);
}

/* Listens on address:port (0: any). With `full` connections stay unanswered. */
struct listener {
    int fd, port, clients[8];
};

static struct listener listen_on(const char *address, int port, bool full) {
    struct listener listener = {.port = port};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof in;
    int on = 1;

    inet_pton(AF_INET, address, &in.sin_addr);
    listener.fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(listener.fd, (struct sockaddr *)&in, size), 0);
    assert_int_equal(listen(listener.fd, full ? 0 : 128), 0);
    assert_int_equal(getsockname(listener.fd, (struct sockaddr *)&in, &size), 0);
    listener.port = ntohs(in.sin_port);
    for (int i = 0; i < 8; i++) {
        listener.clients[i] = full ? socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0) : -1;
        if (full) (void)connect(listener.clients[i], (struct sockaddr *)&in, size);
    }
    return listener;
}

static void listener_close(struct listener *listener) {
    for (int i = 0; i < 8; i++)
        if (listener->clients[i] >= 0) close(listener->clients[i]);
    close(listener->fd);
}

static int unused_port(void) {
    struct listener listener = listen_on("127.0.0.1", 0, false);

    listener_close(&listener);
    return listener.port;
}

/* ---- Tests -------------------------------------------------------------------------------------------------- */

static void test_connects(void **state) {
    struct listener listener = listen_on("127.0.0.1", 0, false);

    assert_int_equal(dial("127.0.0.1", listener.port, 60000).peer, INADDR_LOOPBACK);
    assert_int_equal(dial("one", listener.port, 60000).peer, INADDR_LOOPBACK);
    listener_close(&listener);
}

static void test_next_address_after_a_refusal(void **state) {
    struct listener listener = listen_on("127.0.0.1", 0, false);
    struct dial_result result = dial("both", listener.port, 60000);

    assert_int_equal(result.peer, INADDR_LOOPBACK);
    assert_int_equal(result.code, 0);
    listener_close(&listener);
}

static void test_first_address_that_answers(void **state) {
    struct listener listener = listen_on("127.0.0.2", 0, false);

    assert_int_equal(dial("both", listener.port, 60000).peer, INADDR_LOOPBACK + 1);
    listener_close(&listener);
}

static void test_next_address_after_silence(void **state) {
    struct listener listener = listen_on("127.0.0.1", 0, false);
    struct listener silent = listen_on("127.0.0.2", listener.port, true);
    struct dial_result result = dial("both", listener.port, 30);

    assert_int_equal(result.peer, INADDR_LOOPBACK);
    listener_close(&silent);
    listener_close(&listener);
}

static void test_all_addresses_refuse(void **state) {
    struct dial_result result = dial("both", unused_port(), 60000);

    assert_int_equal(result.code, TIDE_EIO);
    assert_string_equal(result.text, "connection refused");
}

static void test_addresses_fail_differently(void **state) {
    struct listener silent = listen_on("127.0.0.2", 0, true);
    struct dial_result result = dial("both", silent.port, 30);

    assert_int_equal(result.code, TIDE_ETIMEOUT);
    assert_string_equal(result.text, "127.0.0.2: connection timed out, 127.0.0.1: connection refused");
    listener_close(&silent);
}

static void test_injected_fault(void **state) {
    struct listener listener = listen_on("127.0.0.1", 0, false);

    tide_fault_arm("socket.connect", 0, 2);
    struct dial_result result = dial("both", listener.port, 60000);
    assert_int_equal(result.code, TIDE_EFAULT);
    assert_string_equal(result.text, "injected fault");
    tide_fault_arm("socket.connect", 0, 1);
    assert_int_equal(dial("both", listener.port, 60000).peer, INADDR_LOOPBACK);
    tide_fault_clear();
    listener_close(&listener);
}

static void test_lookup_fails(void **state) {
    struct dial_result result = dial("missing", 80, 60000);

    assert_int_equal(result.code, TIDE_ENOTFOUND);
    assert_string_equal(result.text, "name look-up failed: unknown node or service");
    result = dial("empty", 80, 60000);
    assert_int_equal(result.code, TIDE_ENOTFOUND);
    result = dial("forgetful", 80, 60000);
    assert_int_equal(result.code, TIDE_ENOMEM);
    assert_string_equal(result.text, "name look-up failed: out of memory");
}

static void test_cancel_at_any_turn(void **state) {
    struct listener listener = listen_on("127.0.0.1", 0, false);
    struct listener silent = listen_on("127.0.0.1", 0, true);
    int refused = unused_port();

    for (int turns = 0; turns < 12; turns++) {
        dial_cancelled("both", listener.port, turns);
        dial_cancelled("127.0.0.1", listener.port, turns);
        dial_cancelled("both", refused, turns);
        dial_cancelled("both", silent.port, turns);
        dial_cancelled("missing", 80, turns);
    }
    listener_close(&silent);
    listener_close(&listener);
}

static void stall_slow_names(void) {
    uv_mutex_lock(&lock);
    answer = false;
    most_looking = 0;
    uv_mutex_unlock(&lock);
}

static void wait_for_looking(int count) {
    uv_mutex_lock(&lock);
    while (looking != count) uv_cond_wait(&changed, &lock);
    uv_mutex_unlock(&lock);
}

static void answer_slow_names(void) {
    uv_mutex_lock(&lock);
    answer = true;
    uv_cond_broadcast(&changed);
    uv_mutex_unlock(&lock);
    wait_for_looking(0);
}

/* A look-up that has begun is left behind: the loop ends while it goes on. */
static void test_cancel_during_lookup(void **state) {
    struct dial_result result = {0};
    uv_loop_t loop;

    assert_int_equal(uv_loop_init(&loop), 0);
    stall_slow_names();
    struct tide_dial *dialed = tide_dial_new(&loop, "slow", 80, 60000, on_done, &result);
    uv_run(&loop, UV_RUN_NOWAIT);
    uv_run(&loop, UV_RUN_NOWAIT);
    wait_for_looking(1);
    tide_dial_cancel(dialed);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    answer_slow_names();
    assert_int_equal(result.calls, 0);
}

/* More than libuv's pool has threads. */
static void test_slow_names_do_not_delay_others(void **state) {
    enum { SLOW = 20 };
    struct listener listener = listen_on("127.0.0.1", 0, false);
    struct dial_result slow[SLOW] = {0}, quick = {0};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    stall_slow_names();
    for (int i = 0; i < SLOW; i++) tide_dial_new(&loop, "slow", listener.port, 60000, on_done, &slow[i]);
    uv_run(&loop, UV_RUN_NOWAIT);
    wait_for_looking(SLOW);
    tide_dial_new(&loop, "one", listener.port, 60000, on_done, &quick);
    while (quick.calls == 0) uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(quick.peer, INADDR_LOOPBACK);
    assert_int_equal(dial("one", listener.port, 60000).peer, INADDR_LOOPBACK); /* in another loop too */
    for (int i = 0; i < SLOW; i++) assert_int_equal(slow[i].calls, 0);
    answer_slow_names();
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < SLOW; i++) assert_int_equal(slow[i].peer, INADDR_LOOPBACK);
    assert_int_equal(uv_loop_close(&loop), 0);
    listener_close(&listener);
}

/* The rest waits for a thread; what is cancelled meanwhile never gets one. */
static void test_look_ups_at_a_time_are_bounded(void **state) {
    enum { SLOW = TIDE_RESOLVE_MOST + 30 };
    struct listener listener = listen_on("127.0.0.1", 0, false);
    struct dial_result results[SLOW] = {0};
    struct tide_dial *dials[SLOW];
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    stall_slow_names();
    for (int i = 0; i < SLOW; i++)
        dials[i] = tide_dial_new(&loop, "slow", listener.port, 60000, on_done, &results[i]);
    uv_run(&loop, UV_RUN_NOWAIT);
    wait_for_looking(TIDE_RESOLVE_MOST);
    for (int i = SLOW - 10; i < SLOW; i++) tide_dial_cancel(dials[i]);
    uv_mutex_lock(&lock);
    answer = true;
    uv_cond_broadcast(&changed);
    uv_mutex_unlock(&lock);
    uv_run(&loop, UV_RUN_DEFAULT);
    for (int i = 0; i < SLOW; i++) assert_int_equal(results[i].calls, i < SLOW - 10 ? 1 : 0);
    assert_int_equal(most_looking, TIDE_RESOLVE_MOST);
    wait_for_looking(0);
    assert_int_equal(uv_loop_close(&loop), 0);
    listener_close(&listener);
}

static void test_no_thread_for_a_lookup(void **state) {
    tide_fault_arm("thread.start", 0, 1);
    struct dial_result result = dial("one", 80, 60000);
    tide_fault_clear();
    assert_int_equal(result.code, TIDE_ENOTFOUND);
    assert_non_null(strstr(result.text, "name look-up failed: resource temporarily unavailable"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connects),
        cmocka_unit_test(test_next_address_after_a_refusal),
        cmocka_unit_test(test_first_address_that_answers),
        cmocka_unit_test(test_next_address_after_silence),
        cmocka_unit_test(test_all_addresses_refuse),
        cmocka_unit_test(test_addresses_fail_differently),
        cmocka_unit_test(test_injected_fault),
        cmocka_unit_test(test_lookup_fails),
        cmocka_unit_test(test_cancel_at_any_turn),
        cmocka_unit_test(test_cancel_during_lookup),
        cmocka_unit_test(test_slow_names_do_not_delay_others),
        cmocka_unit_test(test_look_ups_at_a_time_are_bounded),
        cmocka_unit_test(test_no_thread_for_a_lookup),
    };
    if (uv_mutex_init(&lock) != 0 || uv_cond_init(&changed) != 0) return 1;
    int failed = cmocka_run_group_tests_name("ingest/dial", tests, NULL, NULL);
    uv_cond_destroy(&changed);
    uv_mutex_destroy(&lock);
    return failed;
}
