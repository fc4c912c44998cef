/*
 * Seals of files: what was written is recognized, and nothing else is.
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "format/file_checksum.h"
#include "format/sequence_writer.h"
#include "test.h"

static char directory[32], path[64];
static struct tide_error err;

static int set_up(void **state) {
    snprintf(directory, sizeof directory, "/tmp/moontide-seal.XXXXXX");
    if (!mkdtemp(directory)) return -1;
    snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int tear_down(void **state) {
    tide_error_clear(&err);
    tide_fault_clear();
    remove(path);
    return rmdir(directory);
}

/* A SequenceFile of `records` groups of 1000 bytes. */
static struct tide_file_checksum write_file(int records) {
    static const uint8_t bytes[1000] = {1};
    struct tide_file_checksum seal;
    struct tide_sequence_writer *writer =
        tide_sequence_writer_new(path, TIDE_WRITABLE_NULL, TIDE_WRITABLE_BYTES, false, &err);

    assert_non_null(writer);
    for (int i = 0; i < records; i++)
        assert_int_equal(tide_sequence_writer_group(writer, bytes, sizeof bytes, &err), 0);
    assert_int_equal(tide_sequence_writer_finish(writer, false, &err), 0);
    tide_sequence_writer_checksum(writer, &seal);
    tide_sequence_writer_delete(writer);
    return seal;
}

static void assert_broken(const struct tide_file_checksum *seal, int code, const char *reason) {
    assert_int_equal(tide_file_checksum_check(seal, path, &err), code);
    assert_memory_equal(err.text, path, strlen(path));
    assert_non_null(strstr(err.text, reason));
    tide_error_clear(&err);
}

static void what_was_written_is_recognized(void **state) {
    static const int counts[] = {0, 1, 64, 65, 500};

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct tide_file_checksum seal = write_file(counts[i]);
        struct stat status;

        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(seal.size, status.st_size);
        assert_int_equal(tide_file_checksum_check(&seal, path, &err), 0);
    }
}

static void any_other_file_is_not(void **state) {
    struct tide_file_checksum seal = write_file(200);
    static const uint64_t places[] = {0, 70, 65536, 100000};

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        int fd = open(path, O_RDWR);
        uint8_t byte, other;

        assert_int_equal(pread(fd, &byte, 1, (off_t)places[i]), 1);
        other = byte ^ 4;
        assert_int_equal(pwrite(fd, &other, 1, (off_t)places[i]), 1);
        assert_broken(&seal, TIDE_ECORRUPT, "its checksum is not that of what was written; the file is damaged");
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)places[i]), 1);
        assert_int_equal(tide_file_checksum_check(&seal, path, &err), 0);
        close(fd);
    }
    assert_int_equal(truncate(path, (off_t)seal.size - 1), 0);
    assert_broken(&seal, TIDE_ECORRUPT, "were written; the file is damaged");
    assert_int_equal(truncate(path, (off_t)seal.size + 1), 0);
    assert_broken(&seal, TIDE_ECORRUPT, "were written; the file is damaged");
}

static void files_that_cannot_be_read_are_told(void **state) {
    struct tide_file_checksum seal = write_file(1);

    tide_fault_arm("checksum.read", 0, 1);
    assert_broken(&seal, TIDE_EIO, "reading at byte 0: Input/output error");
    assert_int_equal(unlink(path), 0);
    assert_broken(&seal, TIDE_ENOTFOUND, "No such file or directory");
    assert_int_equal(mkdir(path, 0777), 0);
    assert_broken(&seal, TIDE_ECORRUPT, "it is no file");
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(what_was_written_is_recognized),
        CHECKED(any_other_file_is_not),
        CHECKED(files_that_cannot_be_read_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
