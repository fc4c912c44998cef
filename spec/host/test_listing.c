/*
 * format/listing: which files a look finds, and how often the system is asked for them. On a directory in /tmp, with
 * times that are set.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "format/listing.h"
#include "format/watch.h"
#include "random_value.h"
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
        size_t used = strlen(text);

        snprintf(text + used, sizeof text - used, "%s ", found.items[i].path + strlen(top) + 1);
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
    assert_in_range(asked_since(&before), 1, 2);
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

/* ---- Watching ----------------------------------------------------------------------------------------------- */

/* Whether this file system tells what is touched. */
static bool is_watched(void) {
    struct tide_watch *watch = tide_watch_new();
    bool watched = watch && tide_watch_add(watch, top);

    tide_watch_delete(watch);
    return watched;
}

static void what_is_touched_is_found_without_a_pass(void **state) {
    put("old", "", 100);
    list(top, 0, false);
    assert_string_equal(look(5000, 10000), "");
    assert_int_equal(tide_listing_passes(listing), 1);
    if (!is_watched()) skip();
    put("a", "", 10100);
    assert_string_equal(look(5000, 10200), "a ");
    put("old", "anew", 10250);
    put("future", "", 12000);
    assert_string_equal(look(5000, 10300), "a old ");
    put(".part", "", 10310);
    assert_int_equal(rename(in_top(".part"), in_top("part")), 0);
    unlink(in_top("a"));
    assert_string_equal(look(5000, 10400), "old part ");
    assert_int_equal(tide_listing_passes(listing), 1);
    assert_string_equal(look(8000, 13000), "old part future "); /* a quarter of the time has passed */
    assert_int_equal(tide_listing_passes(listing), 2);
}

static void what_a_watch_does_not_tell_makes_a_pass(void **state) {
    struct tide_listed_files found = {0};

    if (!is_watched()) skip();
    make_directory("in");
    list(in_top("in"), 1, false);
    assert_string_equal(look(0, 10000), "");
    make_directory("in/sub");
    put("in/sub/a", "", 1);
    assert_string_equal(look(0, 10001), "in/sub/a ");
    assert_int_equal(tide_listing_passes(listing), 2);
    put("in/sub/b", "", 2);
    assert_string_equal(look(0, 10002), "in/sub/a in/sub/b ");
    assert_int_equal(tide_listing_passes(listing), 2);
    assert_int_equal(rename(in_top("in/sub"), in_top("in/bus")), 0);
    assert_string_equal(look(0, 10003), "in/bus/a in/bus/b ");
    assert_int_equal(rename(in_top("in"), in_top("out")), 0);
    assert_int_equal(tide_listing_look(listing, 0, 10004 * MS, &found, NULL), TIDE_ENOTFOUND);
    make_directory("in");
    put("in/c", "", 3);
    assert_string_equal(look(0, 10005), "in/c ");
}

static void more_events_than_the_system_keeps_make_a_pass(void **state) {
    struct tide_listed_files found = {0};
    char name[16];

    if (!is_watched()) skip();
    list(top, 0, false);
    assert_string_equal(look(0, 10000), "");
    for (int i = 0; i < 8000; i++) {
        snprintf(name, sizeof name, "%d", i);
        put(name, "", 1);
    }
    assert_int_equal(tide_listing_look(listing, 0, 10001 * MS, &found, NULL), TIDE_OK);
    assert_int_equal(found.count, 8000);
    assert_int_equal(tide_listing_passes(listing), 2);
    tide_listed_files_destroy(&found);
}

/* In place, or without a watch, which would not notice that, as another file. */
static void write_somehow(const char *name, int64_t time, bool watched) {
    int fd = watched ? open(in_top(name), O_WRONLY | O_CREAT, 0600) : -1;

    if (fd >= 0) close(fd);
    if (fd >= 0) put(name, "text", time);
    if (watched) return;
    put(".new", "text", time);
    if (rename(in_top(".new"), in_top(name)) != 0) unlink(in_top(".new"));
}

/* One of a few files or directories at random. */
static void change_something(uint64_t *seed, int64_t now, bool watched) {
    static const char *const directories[] = {"", "a/", "b/", "a/c/"};
    char name[32], other[32];
    int64_t time = now - 3000 + random_below(seed, 4000);

    snprintf(name, sizeof name, "%s%u", directories[random_below(seed, 4)], random_below(seed, 8));
    snprintf(other, sizeof other, "%s%u", directories[random_below(seed, 4)], random_below(seed, 8));
    switch (random_below(seed, 12)) {
    case 0: rename(in_top("a"), in_top("b")); break;
    case 1: rename(in_top("b"), in_top("a")); break;
    case 2: mkdir(in_top("a"), 0700); break;
    case 3: mkdir(in_top("a/c"), 0700); break;
    case 4: rename(in_top("a/c"), in_top("b")); break;
    case 5: unlink(in_top(name)); break;
    case 6:
    case 7: rename(in_top(name), in_top(other)); break;
    default: write_somehow(name, time, watched);
    }
}

/* What a listing finds is what a new one does, whatever happens in between. */
static void looks_agree_with_new_listings(const char *fault) {
    uint64_t seed = 5;

    if (fault) tide_fault_arm(fault, 0, -1);
    list(top, 2, false);

    bool watched = is_watched();

    for (int64_t now = 100000; now < 200000; now += 100) {
        char found[1024];
        struct tide_listing *kept = listing;

        for (uint32_t changes = random_below(&seed, watched ? 6 : 2); changes > 0; changes--)
            change_something(&seed, now, watched);
        snprintf(found, sizeof found, "%s", look(now - 4000, now));
        listing = NULL;
        list(top, 2, false);
        assert_string_equal(found, look(now - 4000, now));
        tide_listing_release(listing);
        listing = kept;
    }
    if (fault) assert_int_equal(tide_listing_passes(listing), 1000);
    else if (watched) assert_in_range(tide_listing_passes(listing), 1, 990);
    tide_fault_clear();
}

static void looks_agree_with_new_ones(void **state) { looks_agree_with_new_listings(NULL); }

static void looks_agree_with_new_ones_without_a_watch(void **state) { looks_agree_with_new_listings("watch.new"); }

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_found_by_their_time_and_in_its_order, create, destroy),
        cmocka_unit_test_setup_teardown(an_old_file_is_asked_for_once, create, destroy),
        cmocka_unit_test_setup_teardown(a_file_that_is_replaced_is_asked_for_again, create, destroy),
        cmocka_unit_test_setup_teardown(details_are_those_of_the_file, create, destroy),
        cmocka_unit_test_setup_teardown(depth_and_hidden_names, create, destroy),
        cmocka_unit_test_setup_teardown(links_to_files_are_followed_and_other_things_left_out, create, destroy),
        cmocka_unit_test_setup_teardown(what_is_not_there_is_an_error, create, destroy),
        cmocka_unit_test_setup_teardown(what_is_touched_is_found_without_a_pass, create, destroy),
        cmocka_unit_test_setup_teardown(what_a_watch_does_not_tell_makes_a_pass, create, destroy),
        cmocka_unit_test_setup_teardown(more_events_than_the_system_keeps_make_a_pass, create, destroy),
        cmocka_unit_test_setup_teardown(looks_agree_with_new_ones, create, destroy),
        cmocka_unit_test_setup_teardown(looks_agree_with_new_ones_without_a_watch, create, destroy),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
