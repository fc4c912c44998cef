/*
 * thread/inbox: order per producer, nothing lost, nothing delivered to an owner that is gone.
 */
#include "test.h"
#include "thread/inbox.h"
#include "thread/thread.h"

enum { PRODUCERS = 4, EACH = 5000 };

struct note {
    struct tide_message message;
    int producer;
    int number;
};

struct owner {
    struct tide_inbox inbox;
    int next[PRODUCERS];
    int received;
    int close_at; /* close the inbox when so many have come */
};

static int disposed; /* with owner NULL; any thread */
static int out_of_order;

static void deliver(struct tide_message *message, void *arg) {
    struct note *note = (struct note *)message;
    struct owner *owner = arg;

    if (owner) {
        if (owner->next[note->producer]++ != note->number) out_of_order++;
        if (++owner->received == owner->close_at) tide_inbox_close(&owner->inbox);
    } else {
        __atomic_fetch_add(&disposed, 1, __ATOMIC_RELAXED);
    }
    free(note);
}

static void post(struct tide_inbox *inbox, int producer, int number) {
    struct note *note = malloc(sizeof *note);

    *note = (struct note){.message = {.deliver = deliver}, .producer = producer, .number = number};
    tide_inbox_post(inbox, &note->message);
}

struct producer {
    struct tide_thread thread;
    struct tide_inbox *inbox;
    int id;
};

static void produce(void *arg) {
    struct producer *producer = arg;

    for (int i = 0; i < EACH; i++) post(producer->inbox, producer->id, i);
}

static void setup(uv_loop_t *loop, struct owner *owner, bool keep_alive) {
    *owner = (struct owner){0};
    disposed = out_of_order = 0;
    assert_int_equal(uv_loop_init(loop), 0);
    assert_int_equal(tide_inbox_create(&owner->inbox, loop, owner, keep_alive), 0);
}

static void teardown(uv_loop_t *loop, struct owner *owner) {
    uv_run(loop, UV_RUN_DEFAULT);
    tide_inbox_destroy(&owner->inbox);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void run_producers(uv_loop_t *loop, struct owner *owner) {
    struct producer producers[PRODUCERS];

    for (int i = 0; i < PRODUCERS; i++) {
        producers[i] = (struct producer){.inbox = &owner->inbox, .id = i};
        assert_int_equal(tide_thread_start(&producers[i].thread, "producer", produce, &producers[i], NULL), 0);
    }
    uv_run(loop, UV_RUN_DEFAULT); /* until the inbox is closed by the message that says so */
    for (int i = 0; i < PRODUCERS; i++) tide_thread_join(&producers[i].thread);
}

static void keeps_the_order_of_each_producer(void **state) {
    uv_loop_t loop;
    struct owner owner;

    setup(&loop, &owner, true);
    owner.close_at = PRODUCERS * EACH;
    run_producers(&loop, &owner);
    assert_int_equal(owner.received, PRODUCERS * EACH);
    assert_int_equal(out_of_order, 0);
    assert_int_equal(disposed, 0);
    teardown(&loop, &owner);
}

static void a_close_under_fire_loses_nothing(void **state) {
    uv_loop_t loop;
    struct owner owner;

    setup(&loop, &owner, true);
    owner.close_at = EACH / 2;
    run_producers(&loop, &owner);
    assert_int_equal(owner.received, EACH / 2);
    assert_int_equal(out_of_order, 0);
    assert_int_equal(disposed, PRODUCERS * EACH - EACH / 2);
    teardown(&loop, &owner);
}

static void disposes_of_what_is_queued_at_close(void **state) {
    uv_loop_t loop;
    struct owner owner;

    setup(&loop, &owner, true);
    for (int i = 0; i < 5; i++) post(&owner.inbox, 0, i);
    tide_inbox_close(&owner.inbox);
    assert_int_equal(disposed, 5);
    assert_int_equal(owner.received, 0);
    post(&owner.inbox, 0, 5);
    assert_int_equal(disposed, 6);
    tide_inbox_close(&owner.inbox); /* a second close is nothing */
    assert_int_equal(tide_inbox_drain(&owner.inbox), 0);
    teardown(&loop, &owner);
    assert_int_equal(owner.received, 0);
}

static void drains_what_is_queued_now(void **state) {
    uv_loop_t loop;
    struct owner owner;

    setup(&loop, &owner, true);
    assert_int_equal(tide_inbox_drain(&owner.inbox), 0);
    for (int i = 0; i < 3; i++) post(&owner.inbox, 1, i);
    assert_int_equal(tide_inbox_drain(&owner.inbox), 3);
    assert_int_equal(owner.received, 3);
    uv_run(&loop, UV_RUN_NOWAIT); /* the wake-up finds nothing */
    assert_int_equal(owner.received, 3);
    post(&owner.inbox, 1, 3);
    uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(owner.received, 4);
    assert_int_equal(out_of_order, 0);
    tide_inbox_close(&owner.inbox);
    teardown(&loop, &owner);
}

struct chain {
    struct tide_message message;
    int left;
};

static void deliver_chain(struct tide_message *message, void *arg) {
    struct chain *chain = (struct chain *)message;
    struct owner *owner = arg;

    owner->received++;
    if (--chain->left > 0) tide_inbox_post(&owner->inbox, message);
    else tide_inbox_close(&owner->inbox);
}

static void a_delivery_may_post_again(void **state) {
    uv_loop_t loop;
    struct owner owner;
    struct chain chain = {.message = {.deliver = deliver_chain}, .left = 3};

    setup(&loop, &owner, true);
    tide_inbox_post(&owner.inbox, &chain.message);
    assert_int_equal(tide_inbox_drain(&owner.inbox), 1); /* what it posts is for the next time */
    assert_int_equal(owner.received, 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(owner.received, 3);
    teardown(&loop, &owner);
}

static void need_not_keep_the_loop_alive(void **state) {
    uv_loop_t loop;
    struct owner owner;

    setup(&loop, &owner, false);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0); /* returns at once */
    post(&owner.inbox, 0, 0);
    assert_int_equal(tide_inbox_drain(&owner.inbox), 1);
    tide_inbox_close(&owner.inbox);
    teardown(&loop, &owner);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_order_of_each_producer),    cmocka_unit_test(a_close_under_fire_loses_nothing),
        cmocka_unit_test(disposes_of_what_is_queued_at_close), cmocka_unit_test(drains_what_is_queued_now),
        cmocka_unit_test(a_delivery_may_post_again),           cmocka_unit_test(need_not_keep_the_loop_alive),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
