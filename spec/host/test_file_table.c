/*
 * format/file_table: what was put is found, and only that, whatever was swept in between; compared with an array.
 */
#include "format/file_table.h"
#include "random_value.h"
#include "test.h"

enum { NAMES = 3000, STEPS = 60000 };

static void put_and_sweep_agree_with_an_array(void **state) {
    static int64_t marks[NAMES]; /* 0: not there */
    struct tide_file_table table;
    uint64_t seed = 7;
    char path[32];

    tide_file_table_create(&table);
    for (int64_t step = 1; step <= STEPS; step++) {
        uint32_t at = random_below(&seed, NAMES);

        snprintf(path, sizeof path, "/some/where/%u", at);

        struct tide_file_entry *entry = tide_file_table_find(&table, path);

        assert_int_equal(entry ? entry->mark : 0, marks[at]);
        if (entry) assert_string_equal(entry->path, path);
        entry = tide_file_table_put(&table, path);
        assert_int_equal(entry->mark, marks[at]);
        entry->mark = marks[at] = step;
        if (random_below(&seed, 1000) > 0) continue;

        int64_t oldest = step - random_below(&seed, 5000);

        tide_file_table_sweep(&table, oldest);
        for (uint32_t i = 0; i < NAMES; i++)
            if (marks[i] < oldest) marks[i] = 0;
    }
    tide_file_table_destroy(&table);
}

static void an_empty_table_has_nothing(void **state) {
    struct tide_file_table table;

    tide_file_table_create(&table);
    assert_null(tide_file_table_find(&table, "a"));
    tide_file_table_sweep(&table, INT64_MAX);
    tide_file_table_put(&table, "")->mark = 1;
    assert_non_null(tide_file_table_find(&table, ""));
    tide_file_table_sweep(&table, INT64_MAX);
    assert_null(tide_file_table_find(&table, ""));
    assert_int_equal(table.count, 0);
    tide_file_table_destroy(&table);
    tide_file_table_destroy(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(put_and_sweep_agree_with_an_array),
        cmocka_unit_test(an_empty_table_has_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
