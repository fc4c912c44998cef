/*
 * base/list: the intrusive list.
 */
#include "base/list.h"
#include "test.h"

struct item {
    int number;
    struct tide_list link;
};

static int numbers(const struct tide_list *head) {
    int all = 0;

    TIDE_LIST_EACH(it, head) all = all * 10 + TIDE_CONTAINER_OF(it, struct item, link)->number;
    return all;
}

static void keeps_order(void **state) {
    struct tide_list head;
    struct item items[5] = {{.number = 1}, {.number = 2}, {.number = 3}, {.number = 4}, {.number = 5}};

    tide_list_create(&head);
    assert_true(tide_list_empty(&head));
    assert_null(tide_list_pop(&head));
    tide_list_push(&head, &items[1].link);
    tide_list_push(&head, &items[2].link);
    tide_list_push_front(&head, &items[0].link);
    tide_list_push(&head, &items[3].link);
    assert_false(tide_list_empty(&head));
    assert_int_equal(numbers(&head), 1234);
    tide_list_remove(&items[1].link);
    assert_int_equal(numbers(&head), 134);
    tide_list_remove(&items[1].link); /* already out: harmless */
    assert_int_equal(numbers(&head), 134);
    assert_ptr_equal(tide_list_pop(&head), &items[0].link);
    tide_list_push(&head, &items[0].link); /* a popped node can go in again */
    assert_int_equal(numbers(&head), 341);
    tide_list_push(&head, &items[4].link);
    for (int i = 0; i < 4; i++) assert_non_null(tide_list_pop(&head));
    assert_true(tide_list_empty(&head));
    assert_null(tide_list_pop(&head));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_order)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
