/*
 * dstream/file_choice: every file in one batch, whatever is found again; limits; what a checkpoint keeps.
 */
#include "base/alloc.h"
#include "base/log.h"
#include "dstream/file_choice.h"
#include "random_value.h"
#include "test.h"

static const int64_t MS = 1000000;

static struct tide_file_choice *choice_of(uint64_t most_files, uint64_t most_bytes) {
    return tide_file_choice_new(&(struct tide_file_choice_options){
        .created = 500, .memory = 3000, .most_files = most_files, .most_bytes = most_bytes});
}

/* What a look finds: files of one letter each, "a1 b2": their sizes; inode and time are fixed. */
static void offer(struct tide_file_choice *choice, const char *text) {
    struct tide_listed_files found = {0};
    char path[2] = "";

    for (; *text; text += text[2] == ' ' ? 3 : 2) {
        path[0] = text[0];
        tide_listed_files_add(
            &found,
            &(struct tide_listed){.path = path, .size = (uint64_t)(text[1] - '0'), .inode = 7, .mtime = 600 * MS});
    }
    tide_file_choice_offer(choice, &found);
}

static void accept_all(struct tide_file_choice *choice) {
    tide_file_choice_begin(choice);
    for (uint32_t i = 0; i < tide_file_choice_candidates(choice)->count; i++) tide_file_choice_accept(choice, i);
}

static const char *text_of(const struct tide_listed_files *files) {
    static char text[256];

    text[0] = '\0';
    if (!files) return "none";
    for (uint32_t i = 0; i < files->count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d ", files->items[i].path,
                 (int)files->items[i].size);
    return text;
}

static void expect_batch(struct tide_file_choice *choice, int64_t time, const char *found, const char *taken) {
    offer(choice, found);
    accept_all(choice);
    tide_file_choice_settle(choice, time);
    assert_string_equal(text_of(tide_file_choice_files(choice, time)), taken);
    assert_int_equal(tide_file_choice_newest(choice), time);
}

static void the_range_reaches_back_as_far_as_the_memory(void **state) {
    struct tide_file_choice *choice = choice_of(0, 0);
    int64_t after, until;

    tide_file_choice_range(choice, 1000, &after, &until);
    assert_int_equal(after, 500 * MS);
    assert_int_equal(until, 1000 * MS);
    tide_file_choice_range(choice, 10000, &after, &until);
    assert_int_equal(after, 7000 * MS);
    tide_file_choice_delete(choice);
}

static void each_file_is_taken_once(void **state) {
    struct tide_file_choice *choice = choice_of(0, 0);

    tide_log_set_level(TIDE_LOG_OFF);
    expect_batch(choice, 1000, "a1 b2", "a1 b2 ");
    expect_batch(choice, 2000, "a1 b2 c3", "c3 ");
    expect_batch(choice, 3000, "a1 b4 c3", "b4 ");
    expect_batch(choice, 4000, "a1 b4 c3", "");
    assert_string_equal(text_of(tide_file_choice_files(choice, 1000)), "a1 b2 ");
    assert_string_equal(text_of(tide_file_choice_files(choice, 1500)), "none");
    tide_file_choice_forget(choice, 2000);
    assert_string_equal(text_of(tide_file_choice_files(choice, 2000)), "none");
    expect_batch(choice, 5000, "a1 b4 c3", "a1 c3 "); /* only b4 is remembered */
    tide_log_set_level(TIDE_LOG_WARN);
    tide_file_choice_delete(choice);
}

static void a_batch_that_is_not_settled_has_taken_nothing(void **state) {
    struct tide_file_choice *choice = choice_of(0, 0);

    offer(choice, "a1 b2");
    tide_file_choice_accept(choice, 0);
    expect_batch(choice, 2000, "a1 b2", "a1 b2 ");
    offer(choice, "c3 d4");
    tide_file_choice_accept(choice, 1);
    tide_file_choice_begin(choice);
    tide_file_choice_accept(choice, 0);
    tide_file_choice_settle(choice, 3000);
    assert_string_equal(text_of(tide_file_choice_files(choice, 3000)), "c3 ");
    tide_file_choice_delete(choice);
}

static void what_is_over_the_limits_waits_in_order(void **state) {
    struct tide_file_choice *choice = choice_of(2, 9);

    expect_batch(choice, 1000, "a1 b2 c3 d9 e1 f1", "a1 b2 ");
    expect_batch(choice, 2000, "a1 b2 c3 d9 e1 f1", "c3 ");
    tide_file_choice_forget(choice, 2000);
    expect_batch(choice, 3000, "g1", "d9 ");
    expect_batch(choice, 4000, "e5", "e5 f1 "); /* e was written anew while it waited */
    expect_batch(choice, 5000, "", "g1 ");
    expect_batch(choice, 6000, "", "");
    tide_file_choice_delete(choice);
}

static void add(struct tide_listed_files *files, const char *path, uint64_t size) {
    tide_listed_files_add(files,
                          &(struct tide_listed){.path = (char *)path, .size = size, .inode = 7, .mtime = 600 * MS});
}

static void what_is_set_counts_as_taken(void **state) {
    struct tide_file_choice *choice = choice_of(1, 0);
    struct tide_listed_files files = {0};

    add(&files, "w", 1);
    tide_file_choice_set_waiting(choice, &files);
    add(&files, "b", 2);
    tide_file_choice_set_files(choice, 2000, &files);
    add(&files, "a", 1);
    tide_file_choice_set_files(choice, 1000, &files);
    tide_file_choice_set_created(choice, 42);
    assert_int_equal(tide_file_choice_created(choice), 42);
    assert_int_equal(tide_file_choice_batches(choice), 2);
    assert_int_equal(tide_file_choice_batch(choice, 0), 1000);
    assert_int_equal(tide_file_choice_newest(choice), 2000);
    assert_string_equal(text_of(tide_file_choice_waiting(choice)), "w1 ");
    expect_batch(choice, 3000, "a1 b2 c3 w1", "w1 ");
    expect_batch(choice, 4000, "a1 b2 c3 w1", "c3 ");
    tide_file_choice_delete(choice);
}

/* Files appear at random, under random limits, and are found as long as they are young: each is taken once, none is
 * lost. */
static void none_is_lost_and_none_taken_twice(void **state) {
    enum { FILES = 400, BATCHES = 1500, WINDOW = 3 };
    uint64_t seed = 11;

    for (int round = 0; round < 20; round++) {
        struct tide_file_choice *choice = choice_of(1 + random_below(&seed, 4), 20 + random_below(&seed, 30));
        uint32_t taken[FILES] = {0}, next = 0;

        for (int64_t batch = 1; batch <= BATCHES; batch++) {
            struct tide_listed_files found = {0};
            char path[16];
            int64_t young = (batch - WINDOW) * 1000;

            next += next < FILES ? random_below(&seed, 3) : 0;
            if (next > FILES) next = FILES;
            for (uint32_t i = 0; i < next; i++) {
                int64_t born = (int64_t)(i + 1) * 400; /* found while young, also late */

                if (born <= young && batch % 7 != 0 && i + 5 < next) continue;
                snprintf(path, sizeof path, "%u", i);
                tide_listed_files_add(
                    &found, &(struct tide_listed){.path = path, .size = i % 25, .inode = i, .mtime = born * MS});
            }
            tide_file_choice_offer(choice, &found);
            accept_all(choice);
            tide_file_choice_settle(choice, batch * 1000);

            const struct tide_listed_files *files = tide_file_choice_files(choice, batch * 1000);

            for (uint32_t i = 0; i < files->count; i++) taken[atoi(files->items[i].path)]++;
        }
        for (uint32_t i = 0; i < next; i++) assert_int_equal(taken[i], 1);
        assert_int_equal(tide_file_choice_waiting(choice)->count, 0);
        tide_file_choice_delete(choice);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_range_reaches_back_as_far_as_the_memory),
        cmocka_unit_test(each_file_is_taken_once),
        cmocka_unit_test(a_batch_that_is_not_settled_has_taken_nothing),
        cmocka_unit_test(what_is_over_the_limits_waits_in_order),
        cmocka_unit_test(what_is_set_counts_as_taken),
        cmocka_unit_test(none_is_lost_and_none_taken_twice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
