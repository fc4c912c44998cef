/*
 * format/listing: which files a look finds, and how often the system is asked for them. On a directory in /tmp, with
 * times that are set.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "format/listing.h"
#include "test.h"

static const int64_t MS = 1000000;

static char top[64];
static struct tide_listing *listing;

static int create(void **state) {
    snprintf(top, sizeof top, "/tmp/moontide-listing-XXXXXX");
    return mkdtemp(top) ? 0 : 1;
}

static int destroy(void **state) {
    char command[96];

    tide_listing_release(listing);
    listing = NULL;
    snprintf(command, sizeof command, "rm -rf %s", top);
    return system(command);
}

static const char *in_top(const char *name) {
    static char path[2][256];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", top, name);
    return path[turn];
}

static void put(const char *name, const char *text, int64_t ms) {
    struct timespec times[2] = {{.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * MS}};
    int fd = open(in_top(name), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    times[1] = times[0];
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    assert_int_equal(utimensat(AT_FDCWD, in_top(name), times, 0), 0);
}

static void make_directory(const char *name) { assert_int_equal(mkdir(in_top(name), 0700), 0); }

static void list(const char *pattern, uint32_t depth, bool all) {
    const char *patterns[] = {pattern};

    tide_listing_release(listing);
    listing = tide_listing_new(
        &(struct tide_listing_options){.patterns = patterns, .npatterns = 1, .depth = depth, .all = all});
}

/* The names that a look finds, each followed by a space; without the directory at the top. */
static const char *look(int64_t after_ms, int64_t until_ms) {
    static char text[1024];
    struct tide_listed_files found = {0};

    text[0] = '\0';
    assert_int_equal(tide_listing_look(listing, after_ms * MS, until_ms * MS, &found, NULL), TIDE_OK);
    for (uint32_t i = 0; i < found.count; i++) {
        strncat(text, found.items[i].path + strlen(top) + 1, sizeof text - strlen(text) - 2);
        strcat(text, " ");
    }
    tide_listed_files_destroy(&found);
    return text;
}

static uint64_t asked_since(uint64_t *before) {
    uint64_t asked = tide_listing_asked(listing) - *before;

    *before += asked;
    return asked;
}

static void files_are_found_by_their_time_and_in_its_order(void **state) {
    put("at", "", 1000);
    put("b", "", 1002);
    put("a", "", 1002);
    put("c", "", 1001);
    put("late", "", 2001);
    list(top, 0, false);
    assert_string_equal(look(1000, 2000), "c a b ");
    assert_string_equal(look(1001, 3000), "a b late ");
    assert_string_equal(look(3000, 4000), "");
}

static void an_old_file_is_asked_for_once(void **state) {
    uint64_t before = 0;

    put("old", "", 500);
    put("young", "", 1500);
    put("future", "", 9000);
    list(top, 0, false);
    assert_string_equal(look(1000, 2000), "young ");
    assert_int_equal(asked_since(&before), 3);
    assert_string_equal(look(1000, 2000), "young ");
    assert_int_equal(asked_since(&before), 2); /* it may be written anew as long as it may be taken */
    assert_string_equal(look(2000, 3000), "");
    assert_int_equal(asked_since(&before), 1); /* the one of the future */
}

static void a_file_that_is_replaced_is_asked_for_again(void **state) {
    uint64_t before = 0;

    put("name", "one", 500);
    list(top, 0, false);
    assert_string_equal(look(1000, 2000), "");
    put("other", "two", 1500);
    assert_int_equal(rename(in_top("other"), in_top("name")), 0);
    asked_since(&before);
    assert_string_equal(look(1000, 2000), "name ");
    assert_int_equal(asked_since(&before), 1);
    unlink(in_top("name"));
    assert_string_equal(look(1000, 2000), "");
    put("name", "three", 1600);
    assert_string_equal(look(1000, 2000), "name ");
}

static void details_are_those_of_the_file(void **state) {
    struct tide_listed_files found = {0};
    struct stat status;

    put("name", "four", 1500);
    list(top, 0, false);
    assert_int_equal(tide_listing_look(listing, 0, 2000 * MS, &found, NULL), TIDE_OK);
    assert_int_equal(stat(in_top("name"), &status), 0);
    assert_int_equal(found.count, 1);
    assert_int_equal(found.items[0].size, 4);
    assert_int_equal(found.items[0].mtime, 1500 * MS);
    assert_int_equal(found.items[0].inode, status.st_ino);
    tide_listed_files_destroy(&found);
}

static void depth_and_hidden_names(void **state) {
    make_directory("sub");
    make_directory("sub/sub");
    make_directory(".sub");
    make_directory("_sub");
    put("a", "", 1);
    put("a~", "", 1);
    put("sub/b", "", 2);
    put("sub/sub/c", "", 3);
    put(".sub/d", "", 4);
    put("_sub/e", "", 5);
    list(top, 0, false);
    assert_string_equal(look(0, 10), "a ");
    list(top, 1, false);
    assert_string_equal(look(0, 10), "a sub/b ");
    list(top, 2, false);
    assert_string_equal(look(0, 10), "a sub/b sub/sub/c ");
    list(top, 9, true);
    assert_string_equal(look(0, 10), "a a~ sub/b sub/sub/c .sub/d _sub/e ");
    list(in_top("*"), 0, false);
    assert_string_equal(look(0, 10), "sub/b ");
    list(in_top("[_s]*"), 0, false);
    assert_string_equal(look(0, 10), "sub/b ");
    list(in_top("_*"), 0, false);
    assert_string_equal(look(0, 10), "_sub/e ");
}

static void links_to_files_are_followed_and_other_things_left_out(void **state) {
    make_directory("sub");
    put("sub/a", "", 1);
    put("b", "", 2);
    assert_int_equal(symlink(in_top("b"), in_top("link")), 0);
    assert_int_equal(symlink(in_top("sub"), in_top("way")), 0);
    assert_int_equal(symlink(in_top(""), in_top("round")), 0);
    assert_int_equal(symlink("nowhere", in_top("broken")), 0);
    assert_int_equal(mkfifo(in_top("pipe"), 0600), 0);
    list(top, 0, false);
    assert_string_equal(look(0, 10), "b link ");
    list(top, 1, false);
    assert_string_equal(look(0, 10), "sub/a b link ");
}

static void what_is_not_there_is_an_error(void **state) {
    struct tide_listed_files found = {0};
    struct tide_error err = {0};

    list(in_top("none"), 0, false);
    assert_int_equal(tide_listing_look(listing, 0, 1, &found, &err), TIDE_ENOTFOUND);
    assert_non_null(strstr(err.text, "there is no directory /tmp/moontide-listing-"));
    tide_error_clear(&err);
    list(in_top("no*"), 0, false);
    assert_int_equal(tide_listing_look(listing, 0, 1, &found, &err), TIDE_ENOTFOUND);
    tide_error_clear(&err);
    put("none", "", 1);
    list(in_top("none"), 0, false);
    assert_int_equal(tide_listing_look(listing, 0, 1, &found, &err), TIDE_EIO);
    assert_non_null(strstr(err.text, "none can't be listed: Not a directory"));
    tide_error_clear(&err);
    unlink(in_top("none"));
    make_directory("none");
    put("none/a", "", 1);
    assert_string_equal(look(0, 10), "none/a ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_found_by_their_time_and_in_its_order, create, destroy),
        cmocka_unit_test_setup_teardown(an_old_file_is_asked_for_once, create, destroy),
        cmocka_unit_test_setup_teardown(a_file_that_is_replaced_is_asked_for_again, create, destroy),
        cmocka_unit_test_setup_teardown(details_are_those_of_the_file, create, destroy),
        cmocka_unit_test_setup_teardown(depth_and_hidden_names, create, destroy),
        cmocka_unit_test_setup_teardown(links_to_files_are_followed_and_other_things_left_out, create, destroy),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_an_error, create, destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
