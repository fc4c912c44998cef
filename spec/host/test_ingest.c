/*
 * ingest/ingest: what the thread promises to sources and to the driver, with a source made for the test: order of
 * calls, cuts, wake-ups from other threads, starts that fail, stops at any time. The socket source has tests of its
 * own.
 */
#include "base/alloc.h"
#include "ingest_rig.h"
#include "test.h"

/* ---- A source that writes down what is done to it ----------------------------------------------------------- */

struct probe {
    struct tide_source source;
    char *calls; /* one letter for each call; belongs to the test */
    bool fails;  /* start fails */
    int taken;
    uv_thread_t thread; /* of the first call */
};

static struct probe *probe_of(struct tide_source *source) { return TIDE_CONTAINER_OF(source, struct probe, source); }

static void note(struct probe *probe, char call) {
    uv_thread_t self = uv_thread_self();

    if (!*probe->calls) probe->thread = self;
    size_t size = strlen(probe->calls);
    probe->calls[size] = uv_thread_equal(&probe->thread, &self) ? call : '!';
    probe->calls[size + 1] = 0;
}

static int probe_start(struct tide_source *source, uv_loop_t *loop, struct tide_error *err) {
    note(probe_of(source), 's');
    if (probe_of(source)->fails) return tide_error_set(err, TIDE_ENOTFOUND, "no such device");
    tide_source_report(source, TIDE_SOURCE_STARTED, 0, "probe %u is up", source->id);
    return 0;
}

static void probe_take(struct tide_source *source, struct tide_blocks *out) {
    char text[16];
    int size = snprintf(text, sizeof text, "%d", ++probe_of(source)->taken);
    struct tide_block *block = tide_block_new(TIDE_BLOCK_TEXT, 1, 16, NULL);

    memcpy(block->data, text, (size_t)size);
    block->size = (uint64_t)size;
    tide_block_add_line(block, 0, (uint32_t)size);
    tide_blocks_push(out, block);
}

static void probe_resume(struct tide_source *source) { note(probe_of(source), 'r'); }

static void probe_stop(struct tide_source *source) { note(probe_of(source), 'x'); }

static void probe_close(struct tide_source *source) {
    struct probe *probe = probe_of(source);

    note(probe, 'c');
    tide_free(probe);
}

static const struct tide_source_ops PROBE = {"probe",    probe_start, probe_take, probe_resume,
                                             probe_stop, probe_close, NULL};

static struct tide_source *add_probe(struct rig *rig, uint32_t id, char *calls, bool fails) {
    struct probe *probe = tide_xcalloc(1, sizeof *probe);

    probe->source.ops = &PROBE;
    probe->source.id = id;
    probe->calls = calls;
    probe->fails = fails;
    *calls = 0;
    tide_ingest_add(rig->ingest, &probe->source);
    return &probe->source;
}

/* ---- Tests -------------------------------------------------------------------------------------------------- */

static void test_life(void **state) {
    struct rig rig;
    char calls[16];

    rig_create(&rig);
    add_probe(&rig, 2, calls, false);
    rig_cut(&rig);
    const struct rig_event *up = rig_event(&rig, TIDE_SOURCE_STARTED, 0, NULL, 0);
    assert_non_null(up);
    assert_int_equal(up->source_id, 2);
    assert_string_equal(up->text, "probe 2 is up");
    rig_cut(&rig);
    rig_expect(&rig, 2, "1\n2\n");
    tide_ingest_stop_sources(rig.ingest);
    tide_ingest_stop_sources(rig.ingest);
    rig_cut(&rig); /* a late one is answered as well */
    rig_expect(&rig, 2, "1\n2\n3\n");
    rig_delete_ingest(&rig);
    assert_string_equal(calls, "sxc");
    rig_destroy(&rig);
}

static void test_no_sources(void **state) {
    struct rig rig;

    rig_create(&rig);
    rig_cut(&rig);
    rig_cut(&rig);
    assert_int_equal(rig.answered, 2);
    rig_destroy(&rig);
    rig_create(&rig); /* ended before it did anything */
    rig_destroy(&rig);
}

static void test_entries_in_order_of_adding(void **state) {
    struct rig rig;
    char calls[3][16];

    rig_create(&rig);
    add_probe(&rig, 3, calls[0], false);
    add_probe(&rig, 1, calls[1], false);
    rig_cut(&rig);
    add_probe(&rig, 0, calls[2], false);
    rig_cut(&rig);
    rig_expect(&rig, 3, "1\n2\n");
    rig_expect(&rig, 1, "1\n2\n");
    rig_expect(&rig, 0, "1\n");
    rig_destroy(&rig);
    for (int i = 0; i < 3; i++) assert_string_equal(calls[i], "sxc");
}

static int answers;
static int64_t answered[50];

static void on_ordered_cut(struct tide_message *message, void *owner) {
    struct tide_cut *cut = (struct tide_cut *)message;

    assert_non_null(owner);
    assert_ptr_equal(cut->token, &answers);
    assert_int_equal(cut->count, 1);
    assert_int_equal(cut->entries[0].source_id, 1);
    assert_int_equal(cut->entries[0].blocks.count, 1);
    answered[answers++] = cut->time;
    tide_cut_delete(cut);
}

/* Asked without waiting: answered one by one in that order, also those still under way at the end. */
static void test_cuts_are_answered_in_order(void **state) {
    struct rig rig;
    char calls[16];

    rig_create(&rig);
    answers = 0;
    add_probe(&rig, 1, calls, false);
    for (int i = 0; i < 50; i++) {
        struct tide_cut *cut = tide_cut_new(1000 - i);
        cut->message.deliver = on_ordered_cut;
        cut->token = &answers;
        tide_ingest_cut(rig.ingest, cut);
        if (i == 25) tide_ingest_stop_sources(rig.ingest);
    }
    rig_delete_ingest(&rig);
    uv_run(&rig.loop, UV_RUN_ONCE);
    assert_int_equal(answers, 50);
    for (int i = 0; i < 50; i++) assert_int_equal(answered[i], 1000 - i);
    rig_destroy(&rig);
}

static void test_start_fails(void **state) {
    struct rig rig;
    char calls[16], other[16];

    rig_create(&rig);
    add_probe(&rig, 1, calls, true);
    add_probe(&rig, 2, other, false);
    rig_cut(&rig);
    const struct rig_event *event = rig_event(&rig, TIDE_SOURCE_ERROR, TIDE_ENOTFOUND, NULL, 0);
    assert_non_null(event);
    assert_int_equal(event->source_id, 1);
    assert_string_equal(event->text, "probe source did not start: no such device");
    assert_non_null(rig_event(&rig, TIDE_SOURCE_STARTED, 0, "probe 2", 0));
    rig_destroy(&rig);
    assert_string_equal(calls, "sxc");
    assert_string_equal(other, "sxc");
}

static void test_added_after_stop_is_not_started(void **state) {
    struct rig rig;
    char calls[16];

    rig_create(&rig);
    tide_ingest_stop_sources(rig.ingest);
    add_probe(&rig, 1, calls, false);
    rig_cut(&rig);
    rig_destroy(&rig);
    assert_string_equal(calls, "c");
}

static void wake(void *arg) { tide_source_wake(arg); }

static void test_wake_from_another_thread(void **state) {
    struct rig rig;
    char calls[16], other[16];

    rig_create(&rig);
    struct tide_source *source = add_probe(&rig, 1, calls, false);
    add_probe(&rig, 2, other, false);
    rig_cut(&rig);
    uv_thread_t thread;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(uv_thread_create(&thread, wake, source), 0);
        uv_thread_join(&thread);
    }
    rig_cut(&rig); /* behind the wake-ups in the inbox */
    rig_destroy(&rig);
    assert_string_equal(calls, "srrrxc");
    assert_string_equal(other, "sxc");
}

/* The engine's order of stopping may close the driver's inbox while answers and events are still on their way. */
static void test_driver_gone(void **state) {
    struct rig rig;
    char calls[16];

    rig_create(&rig);
    tide_inbox_close(&rig.inbox);
    add_probe(&rig, 1, calls, true);
    rig_delete_ingest(&rig);
    assert_string_equal(calls, "sxc");
    assert_int_equal(rig.event_count, 0);
    rig_destroy(&rig);
}

static void test_two_ingests(void **state) {
    struct rig first, second;
    char calls[2][16];

    rig_create(&first);
    rig_create(&second);
    add_probe(&first, 1, calls[0], false);
    add_probe(&second, 1, calls[1], false);
    rig_cut(&second);
    rig_cut(&first);
    rig_cut(&second);
    rig_expect(&first, 1, "1\n");
    rig_expect(&second, 1, "1\n2\n");
    rig_delete_ingest(&first);
    rig_cut(&second);
    rig_delete_ingest(&second);
    rig_destroy(&first);
    rig_destroy(&second);
}

static void test_nothing_to_delete(void **state) {
    tide_source_event_delete(NULL);
    tide_cut_delete(NULL);
    tide_ingest_delete(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_life),
        cmocka_unit_test(test_no_sources),
        cmocka_unit_test(test_entries_in_order_of_adding),
        cmocka_unit_test(test_cuts_are_answered_in_order),
        cmocka_unit_test(test_start_fails),
        cmocka_unit_test(test_added_after_stop_is_not_started),
        cmocka_unit_test(test_wake_from_another_thread),
        cmocka_unit_test(test_driver_gone),
        cmocka_unit_test(test_two_ingests),
        cmocka_unit_test(test_nothing_to_delete),
    };
    return cmocka_run_group_tests_name("ingest/ingest", tests, NULL, NULL);
}
