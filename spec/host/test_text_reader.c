/*
 * format/text_reader: adjacent ranges divide a file's lines, each line read exactly once, wherever the file is cut.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "format/text_reader.h"
#include "random_value.h"
#include "test.h"

static const struct tide_byte_source_plan not_listed;

static char path[64];
static struct tide_error err;

static int create(void **state) {
    snprintf(path, sizeof path, "/tmp/moontide-reader-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0) return 1;
    close(fd);
    return 0;
}

static int destroy(void **state) {
    tide_fault_clear();
    tide_error_clear(&err);
    unlink(path);
    return tide_block_live() != 0;
}

static void write_file(const void *data, size_t size) {
    int fd = open(path, O_WRONLY | O_TRUNC);

    assert_int_equal(write(fd, data, size), size);
    close(fd);
}

/* The lines as they are, each followed by a \n. */
static void lines_of(const char *data, size_t size, struct tide_buffer *out) {
    size_t at = 0;

    while (at < size) {
        size_t start = at;
        while (at < size && data[at] != '\n' && data[at] != '\r') at++;
        tide_buffer_append(out, data + start, at - start);
        tide_buffer_append(out, "\n", 1);
        if (at < size && data[at] == '\r' && at + 1 < size && data[at + 1] == '\n') at++;
        at++;
    }
}

/* Appends the lines of a range in the same way; returns the code of the end. */
static int read_range(uint64_t offset, uint64_t length, struct tide_buffer *out) {
    struct tide_text_reader *reader = tide_text_reader_new(path, offset, length, &not_listed, &err);
    struct tide_block *block;
    int more;

    if (!reader) return err.code;
    while ((more = tide_text_reader_next(reader, &block, &err)) > 0) {
        assert_int_equal(block->kind, TIDE_BLOCK_TEXT);
        assert_true(block->count > 0);
        for (uint32_t i = 0; i < block->count; i++) {
            tide_buffer_append(out, block->data + block->lines[i].offset, block->lines[i].length);
            tide_buffer_append(out, "\n", 1);
        }
        tide_block_release(block);
    }
    if (more == 0) assert_int_equal(tide_text_reader_next(reader, &block, &err), 0);
    tide_text_reader_delete(reader);
    return more;
}

/* Every way to cut the file in two or three. */
static void check_all_cuts(const char *data, size_t size, bool in_three) {
    struct tide_buffer expected, seen;

    tide_buffer_create(&expected);
    tide_buffer_create(&seen);
    write_file(data, size);
    lines_of(data, size, &expected);
    for (size_t first = 0; first <= size; first++) {
        for (size_t second = in_three ? first : size; second <= size; second++) {
            seen.size = 0;
            assert_int_equal(read_range(0, first, &seen), 0);
            assert_int_equal(read_range(first, second - first, &seen), 0);
            assert_int_equal(read_range(second, size - second, &seen), 0);
            if (seen.size != expected.size || (seen.size > 0 && memcmp(seen.data, expected.data, seen.size) != 0))
                fail_msg("cut at %zu and %zu: %zu bytes instead of %zu", first, second, seen.size, expected.size);
        }
    }
    tide_buffer_destroy(&expected);
    tide_buffer_destroy(&seen);
}

static void every_cut_of_small_files(void **state) {
    static const char *const files[] = {
        "",
        "a",
        "\n",
        "\r",
        "\r\n",
        "\n\n\n",
        "\r\r\r",
        "\r\n\r\n",
        "a\nb",
        "a\nb\n",
        "a\r\nb\r\n",
        "a\rb\r",
        "\n\r",
        "\n\ra\r\n\nb\r\r\nc",
        "one\ntwo\r\nthree\rfour",
        "\r\n\n\r\r\n",
        "ab\r\n\r\ncd",
        "last\n\nline\r\n",
        "\na",
        "\ra\n",
        "aa\r",
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) check_all_cuts(files[i], strlen(files[i]), true);
}

static void every_cut_of_random_files(void **state) {
    uint64_t seed = 6;

    for (int round = 0; round < 40; round++) {
        char data[40];
        size_t size = random_below(&seed, sizeof data);
        for (size_t i = 0; i < size; i++) data[i] = "\n\r\r\nab\0c"[random_below(&seed, 8)];
        check_all_cuts(data, size, false);
    }
}

/* Lines that are longer than what is read at once, and files of many blocks. */
static void ranges_of_large_files(void **state) {
    static const size_t longest[] = {50, 3000, 20000, 600000};
    uint64_t seed = 9;

    for (size_t round = 0; round < 4; round++) {
        struct tide_buffer data, expected, seen;
        tide_buffer_create(&data);
        tide_buffer_create(&expected);
        tide_buffer_create(&seen);
        while (data.size < 1500000) {
            size_t length = random_below(&seed, (uint32_t)longest[round]);
            memset(tide_buffer_reserve(&data, length), (int)('a' + random_below(&seed, 26)), length);
            data.size += length;
            tide_buffer_append(&data, "\n\r\r\n", 1 + random_below(&seed, 4));
        }
        write_file(data.data, data.size);
        lines_of((char *)data.data, data.size, &expected);
        uint64_t at = 0;
        while (at < data.size) {
            uint64_t length = random_below(&seed, 400000);
            assert_int_equal(read_range(at, length, &seen), 0);
            at += length;
        }
        assert_int_equal(seen.size, expected.size);
        assert_memory_equal(seen.data, expected.data, seen.size);
        tide_buffer_destroy(&data);
        tide_buffer_destroy(&expected);
        tide_buffer_destroy(&seen);
    }
}

static void ranges_beyond_the_end_are_empty(void **state) {
    struct tide_buffer seen;

    tide_buffer_create(&seen);
    write_file("one\ntwo", 7);
    assert_int_equal(read_range(7, 100, &seen), 0);
    assert_int_equal(read_range(8, 100, &seen), 0);
    assert_int_equal(read_range(1000, 100, &seen), 0);
    assert_int_equal(read_range(5, 0, &seen), 0);
    assert_int_equal(seen.size, 0);
    assert_int_equal(read_range(4, UINT64_MAX, &seen), 0); /* to the end, wherever it is */
    assert_int_equal(seen.size, 4);
    assert_memory_equal(seen.data, "two\n", 4);
    tide_buffer_destroy(&seen);
}

static void says_what_is_wrong_with_the_file(void **state) {
    struct tide_buffer seen;

    tide_buffer_create(&seen);
    unlink(path);
    assert_int_equal(read_range(0, 10, &seen), TIDE_ENOTFOUND);
    assert_non_null(strstr(err.text, path));
    assert_non_null(strstr(err.text, "No such file"));
    snprintf(path, sizeof path, "/tmp");
    assert_int_equal(read_range(0, 10, &seen), TIDE_EIO);
    assert_string_equal(err.text, "/tmp: reading at byte 0: Is a directory");
    path[0] = '\0';
    assert_int_equal(read_range(0, 10, &seen), TIDE_ENOTFOUND);
    tide_buffer_destroy(&seen);
}

/* Cut down between two reads: what is left is read, and the end is the end. */
static void a_file_may_shrink(void **state) {
    enum { LINES = 60000, LINE = 16 };
    struct tide_buffer data, seen;
    tide_buffer_create(&data);
    tide_buffer_create(&seen);
    for (int i = 0; i < LINES; i++) tide_buffer_format(&data, "line %-10d\n", i);
    assert_int_equal(data.size, LINES * LINE);
    write_file(data.data, data.size);
    struct tide_text_reader *reader = tide_text_reader_new(path, 0, data.size, &not_listed, &err);
    struct tide_block *block;
    uint64_t lines = 0;
    assert_int_equal(tide_text_reader_next(reader, &block, &err), 1);
    lines += block->count;
    tide_block_release(block);
    assert_true(lines < LINES / 2);
    assert_int_equal(truncate(path, 30000 * LINE - 3), 0);
    while (tide_text_reader_next(reader, &block, &err) > 0) {
        lines += block->count;
        tide_block_release(block);
    }
    assert_int_equal(err.code, 0);
    assert_int_equal(lines, 30000);
    tide_text_reader_delete(reader);

    /* Gone altogether before the range begins. */
    reader = tide_text_reader_new(path, 20000 * LINE, 1000, &not_listed, &err);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(tide_text_reader_next(reader, &block, &err), 0);
    tide_text_reader_delete(reader);
    tide_buffer_destroy(&data);
    tide_buffer_destroy(&seen);
}

static void a_line_without_an_end_can_be_given_up(void **state) {
    uint32_t cancelled = 0;
    struct tide_byte_source_plan plan = {.cancelled = &cancelled};
    struct tide_block *block = NULL;
    char text[300000];

    memset(text, 'x', sizeof text);
    write_file(text, sizeof text);
    for (uint64_t offset = 0; offset < 2;
         offset++) { /* looking for the end of a line, and for the end of one before */
        struct tide_text_reader *reader = tide_text_reader_new(path, offset, sizeof text, &plan, &err);

        assert_non_null(reader);
        cancelled = 1;
        assert_int_equal(tide_text_reader_next(reader, &block, &err), TIDE_ECANCELLED);
        assert_non_null(strstr(err.text, "cancelled while it was read"));
        tide_error_clear(&err);
        tide_text_reader_delete(reader);
        cancelled = 0;
    }
}

static void reports_a_failing_disk(void **state) {
    struct tide_buffer data, seen;

    tide_buffer_create(&data);
    tide_buffer_create(&seen);
    for (int i = 0; i < 60000; i++) tide_buffer_format(&data, "%d\n", i);
    write_file(data.data, data.size);
    int failures = 0;
    for (long skip = 0; skip < 30; skip++) {
        tide_fault_arm("file.read", skip, 1);
        seen.size = 0;
        int code = read_range(100, 200000, &seen);
        tide_fault_clear();
        if (code == 0) break;
        assert_int_equal(code, TIDE_EIO);
        assert_memory_equal(err.text, path, strlen(path));
        assert_non_null(strstr(err.text, "Input/output error"));
        tide_error_clear(&err);
        failures++;
    }
    assert_true(failures >= 3 && failures < 30); /* the line before, the range, the end of its last line */
    tide_buffer_destroy(&data);
    tide_buffer_destroy(&seen);
}

static void reports_when_memory_is_gone(void **state) {
    struct tide_buffer data, seen;

    tide_buffer_create(&data);
    tide_buffer_create(&seen);
    for (int i = 0; i < 30000; i++) tide_buffer_format(&data, "%d\n", i);
    write_file(data.data, data.size);
    int failures = 0;
    for (long skip = 0; skip < 200; skip++) {
        seen.size = 0;
        tide_fault_arm("alloc", skip, 1);
        int code = read_range(0, data.size, &seen);
        tide_fault_clear();
        if (code == 0 && skip > 30) break;
        if (code == 0) continue; /* one that it can do without */
        assert_int_equal(code, TIDE_ENOMEM);
        assert_non_null(strstr(err.text, "out of memory"));
        tide_error_clear(&err);
        failures++;
    }
    assert_true(failures > 3);
    assert_int_equal(seen.size, data.size);
    tide_buffer_destroy(&data);
    tide_buffer_destroy(&seen);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_cut_of_small_files),
        TEST(every_cut_of_random_files),
        TEST(ranges_of_large_files),
        TEST(ranges_beyond_the_end_are_empty),
        TEST(says_what_is_wrong_with_the_file),
        TEST(a_file_may_shrink),
        TEST(a_line_without_an_end_can_be_given_up),
        TEST(reports_a_failing_disk),
        TEST(reports_when_memory_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
