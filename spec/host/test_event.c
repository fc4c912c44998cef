/*
 * driver/event: order, what a queue owns, forgetting a graph. Every test starts and ends with no live block.
 */
#include "base/alloc.h"
#include "driver/event.h"
#include "rdd_rig.h"
#include "test.h"

static int no_block_lives(void **state) { return tide_block_live() == 0 ? 0 : -1; }

static struct tide_event *event(enum tide_event_kind kind, uint32_t node) {
    struct tide_event *made = tide_event_new(kind);

    made->node = node;
    return made;
}

static void new_events_know_nothing(void **state) {
    struct tide_event *made = tide_event_new(TIDE_EVENT_LISTENER);

    assert_int_equal(made->kind, TIDE_EVENT_LISTENER);
    assert_int_equal(made->time, -1);
    assert_int_equal(made->info.batch_time, -1);
    assert_int_equal(made->info.submission_time, -1);
    assert_int_equal(made->info.processing_start, -1);
    assert_int_equal(made->info.processing_end, -1);
    assert_int_equal(made->info.output_start, -1);
    assert_int_equal(made->info.output_end, -1);
    assert_null(made->graph);
    assert_null(made->job);
    assert_int_equal(made->error.code, 0);
    tide_event_delete(made);
    tide_event_delete(NULL);
}

static void first_in_first_out(void **state) {
    struct tide_events events;

    tide_events_create(&events);
    assert_null(tide_events_pop(&events));
    for (uint32_t i = 0; i < 5; i++) tide_events_push(&events, event(TIDE_EVENT_OUTPUT, i));
    for (uint32_t i = 0; i < 3; i++) {
        struct tide_event *next = tide_events_pop(&events);

        assert_int_equal(next->node, i);
        tide_event_delete(next);
    }
    tide_events_push(&events, event(TIDE_EVENT_OUTPUT, 5));
    for (uint32_t i = 3; i < 6; i++) {
        struct tide_event *next = tide_events_pop(&events);

        assert_int_equal(next->node, i);
        tide_event_delete(next);
    }
    assert_null(tide_events_pop(&events));
    tide_events_destroy(&events);
}

static void events_own_datasets_and_errors(void **state) {
    struct tide_events events;
    struct tide_rdd *rdd = rig_blocks(1, 3, 0);

    tide_events_create(&events);
    for (uint32_t i = 0; i < 2; i++) {
        struct tide_event *made = event(TIDE_EVENT_TRANSFORM, i);

        made->rdds = tide_xcalloc(3, sizeof(struct tide_rdd *)); /* one of them: no dataset */
        made->nrdds = 3;
        made->rdds[0] = tide_rdd_retain(rdd);
        made->rdds[2] = tide_rdd_retain(rdd);
        tide_error_set(&made->error, TIDE_EIO, "reason %u", i);
        tide_events_push(&events, made);
    }
    tide_event_delete(tide_events_pop(&events));
    tide_rdd_release(rdd);
    assert_int_equal(tide_block_live(), 1);
    tide_events_destroy(&events);
    assert_int_equal(tide_block_live(), 0);
}

static void a_graph_is_forgotten(void **state) {
    struct tide_events events;
    int place[2];
    struct tide_graph *graphs[] = {(struct tide_graph *)&place[0], NULL, (struct tide_graph *)&place[1]};

    tide_events_create(&events);
    for (uint32_t i = 0; i < 9; i++) {
        struct tide_event *made = event(TIDE_EVENT_DRAINED, i);

        made->graph = graphs[i % 3];
        tide_events_push(&events, made);
    }
    tide_events_forget(&events, graphs[0]);

    uint32_t left[] = {1, 2, 4, 5, 7, 8};

    for (int i = 0; i < 6; i++) {
        struct tide_event *next = tide_events_pop(&events);

        assert_int_equal(next->node, left[i]);
        tide_event_delete(next);
    }
    assert_null(tide_events_pop(&events));
    tide_events_forget(&events, graphs[2]);
    tide_events_destroy(&events);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, no_block_lives, no_block_lives)
    const struct CMUnitTest tests[] = {
        CHECKED(new_events_know_nothing),
        CHECKED(first_in_first_out),
        CHECKED(events_own_datasets_and_errors),
        CHECKED(a_graph_is_forgotten),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
