/*
 * base/error: texts are formatted, prefixed, moved and copied; names match codes.
 */
#include "base/error.h"
#include "test.h"

static void sets_code_and_text(void **state) {
    struct tide_error err = {0};

    assert_int_equal(tide_error_set(&err, TIDE_EINVAL, "port %d: %s", 70000, "too large"), TIDE_EINVAL);
    assert_int_equal(err.code, TIDE_EINVAL);
    assert_string_equal(err.text, "port 70000: too large");
    tide_error_set(&err, TIDE_EIO, "second");
    assert_int_equal(err.code, TIDE_EIO);
    assert_string_equal(err.text, "second");
    tide_error_clear(&err);
    assert_int_equal(err.code, 0);
    assert_null(err.text);
    tide_error_clear(&err);
}

static void may_quote_its_own_text(void **state) {
    struct tide_error err = {0};

    tide_error_set(&err, TIDE_EIO, "disk");
    tide_error_set(&err, TIDE_ECORRUPT, "journal: %s", err.text);
    assert_string_equal(err.text, "journal: disk");
    tide_error_prefix(&err, "after %s", err.text);
    assert_string_equal(err.text, "after journal: disk: journal: disk");
    tide_error_clear(&err);
}

static void long_texts_are_not_cut(void **state) {
    char *longer = malloc(100001);

    memset(longer, 'x', 100000);
    longer[100000] = 0;
    struct tide_error err = {0};
    tide_error_set(&err, TIDE_EIO, "%s", longer);
    assert_int_equal(strlen(err.text), 100000);
    tide_error_prefix(&err, "%s", longer);
    assert_int_equal(strlen(err.text), 200002);
    tide_error_clear(&err);
    free(longer);
}

static void works_without_a_place_to_report(void **state) {
    assert_int_equal(tide_error_set(NULL, TIDE_ETIMEOUT, "x"), TIDE_ETIMEOUT);
    assert_int_equal(tide_error_prefix(NULL, "x"), 0);
    tide_error_clear(NULL);
}

static void prefix_leaves_success_alone(void **state) {
    struct tide_error err = {0};

    assert_int_equal(tide_error_prefix(&err, "context"), 0);
    assert_null(err.text);
    tide_error_set(&err, TIDE_OK, "nothing happened");
    assert_int_equal(err.code, 0);
    assert_null(err.text);
}

static void prefix_puts_context_first(void **state) {
    struct tide_error err = {0};

    tide_error_set(&err, TIDE_ENOTFOUND, "no such file");
    assert_int_equal(tide_error_prefix(&err, "textFile \"%s\"", "a.txt"), TIDE_ENOTFOUND);
    assert_string_equal(err.text, "textFile \"a.txt\": no such file");
    tide_error_clear(&err);
}

static void moves(void **state) {
    struct tide_error from = {0}, to = {0};

    tide_error_set(&to, TIDE_EIO, "old");
    tide_error_set(&from, TIDE_ECLOSED, "new");
    char *text = from.text;
    assert_int_equal(tide_error_move(&to, &from), TIDE_ECLOSED);
    assert_ptr_equal(to.text, text);
    assert_int_equal(from.code, 0);
    assert_null(from.text);
    assert_int_equal(tide_error_move(&to, &to), TIDE_ECLOSED);
    assert_string_equal(to.text, "new");
    assert_int_equal(tide_error_move(NULL, &to), TIDE_ECLOSED);
    assert_int_equal(to.code, 0);
    assert_null(to.text);
    assert_int_equal(tide_error_move(&from, &to), 0);
}

static void copies(void **state) {
    struct tide_error from = {0}, to = {0};

    tide_error_set(&from, TIDE_ELIMIT, "line over 1 MiB");
    assert_int_equal(tide_error_copy(&to, &from), TIDE_ELIMIT);
    assert_ptr_not_equal(to.text, from.text);
    assert_string_equal(to.text, from.text);
    assert_int_equal(tide_error_copy(NULL, &from), TIDE_ELIMIT);
    assert_int_equal(tide_error_copy(&to, &to), TIDE_ELIMIT);
    tide_error_clear(&from);
    assert_string_equal(to.text, "line over 1 MiB");
    assert_int_equal(tide_error_copy(&to, &from), 0);
    assert_null(to.text);
}

static void names_every_code(void **state) {
    assert_string_equal(tide_error_name(TIDE_ENOMEM), "ENOMEM");
    assert_string_equal(tide_error_name(TIDE_ECLOSED), "ECLOSED");
    assert_string_equal(tide_error_name(TIDE_EFAULT), "EFAULT");
    assert_string_equal(tide_error_name(0), "EUNKNOWN");
    assert_string_equal(tide_error_name(7), "EUNKNOWN");
    assert_string_equal(tide_error_name(-1000), "EUNKNOWN");
    for (int code = -1; code >= TIDE_EMIXED; code--) assert_string_not_equal(tide_error_name(code), "EUNKNOWN");
    assert_string_equal(tide_error_name(TIDE_EMIXED), "EMIXED");
    assert_string_equal(tide_error_name(TIDE_EMIXED - 1), "EUNKNOWN");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sets_code_and_text),
        cmocka_unit_test(may_quote_its_own_text),
        cmocka_unit_test(long_texts_are_not_cut),
        cmocka_unit_test(works_without_a_place_to_report),
        cmocka_unit_test(prefix_leaves_success_alone),
        cmocka_unit_test(prefix_puts_context_first),
        cmocka_unit_test(moves),
        cmocka_unit_test(copies),
        cmocka_unit_test(names_every_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
