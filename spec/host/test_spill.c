/*
 * Blocks written to disk and read back, and everything a disk can do about it. Bytes are damaged one by one in a copy
 * of what was written.
 */
#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/spill.h"
#include "test.h"

enum { FRAME = 40 };

static char directory[64];
static struct tide_spill *spill;

static int set_up(void **state) {
    struct tide_error err = {0};

    snprintf(directory, sizeof directory, "/tmp/moontide-test-XXXXXX");
    if (!mkdtemp(directory)) return -1;
    spill = tide_spill_new(directory, &err);
    return spill && tide_block_live() == 0 ? 0 : -1;
}

static int tear_down(void **state) {
    tide_fault_clear();

    bool clean = tide_spill_bytes(spill) == 0 && tide_block_live() == 0;

    tide_spill_delete(spill);
    return clean && rmdir(directory) == 0 ? 0 : -1;
}

/* ---- Blocks ------------------------------------------------------------------------------------------------- */

static struct tide_block *packed(uint32_t count, uint8_t first) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, count + 100, NULL);

    for (uint32_t i = 0; i < count; i++) block->data[i] = (uint8_t)((first + i) % 128);
    block->size = block->count = count;
    return block;
}

static struct tide_block *text(const char *content) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_TEXT, 0, strlen(content), NULL);

    block->size = strlen(content);
    memcpy(block->data, content, block->size);
    for (const char *at = content; *at != '\0';) {
        uint32_t length = (uint32_t)strcspn(at, "\n");

        tide_block_add_line(block, (uint32_t)(at - content), length);
        at += length + (at[length] == '\n');
    }
    return block;
}

static void assert_same(const struct tide_block *a, const struct tide_block *b) {
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->arity, b->arity);
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->size, b->size);
    assert_memory_equal(a->data, b->data, a->size);
    for (uint32_t i = 0; a->kind == TIDE_BLOCK_TEXT && i < a->count; i++) {
        assert_int_equal(a->lines[i].offset, b->lines[i].offset);
        assert_int_equal(a->lines[i].length, b->lines[i].length);
    }
    for (uint32_t i = 0; i < TIDE_BLOCK_SLACK; i++) assert_int_equal(b->data[b->capacity + i], 0);
}

static int files_in_directory(void) {
    DIR *folder = opendir(directory);
    int count = 0;

    while (readdir(folder)) count++;
    closedir(folder);
    return count - 2; /* . and .. */
}

/* ---- There and back ----------------------------------------------------------------------------------------- */

static void what_is_written_is_read(void **state) {
    struct tide_blocks lists[3] = {{0}}, got = {0};
    struct tide_extent extents[2];
    uint64_t ends[3];
    struct tide_error err = {0};

    for (uint8_t i = 0; i < 200; i++) tide_blocks_push(&lists[0], packed(i * 37u, i));
    tide_blocks_push(&lists[2], text("one\n\ntwo three\nlast"));
    tide_blocks_push(&lists[2], packed(300000, 5));
    tide_blocks_push(&lists[2], text(""));
    for (int i = 0; i < 2; i++) assert_int_equal(tide_spill_write(spill, lists, 3, &extents[i], ends, &err), 0);
    assert_int_equal(ends[0], ends[1]);
    assert_int_equal(tide_spill_bytes(spill), 2 * ends[2]);
    assert_int_equal(files_in_directory(), 0);

    for (int i = 0; i < 2; i++) {
        for (uint32_t list = 0; list < 3; list++) {
            uint64_t from = list > 0 ? ends[list - 1] : 0;

            assert_int_equal(tide_spill_read(spill, &extents[i], from, ends[list], &got, &err), 0);
            assert_int_equal(got.count, lists[list].count);
            for (uint32_t k = 0; k < got.count; k++) assert_same(lists[list].items[k], got.items[k]);
            tide_blocks_destroy(&got);
        }
        tide_spill_free(spill, &extents[i]);
        tide_spill_free(spill, &extents[i]);
    }
    assert_int_equal(tide_spill_bytes(spill), 0);
    for (uint32_t list = 0; list < 3; list++) tide_blocks_destroy(&lists[list]);
}

static void files_end_with_their_extents(void **state) {
    struct tide_blocks list = {0}, got = {0};
    struct tide_extent extents[4];
    uint64_t end;
    struct tide_error err = {0};

    tide_blocks_push(&list, packed(1000, 1));
    tide_fault_arm("spill.full", 0, -1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tide_spill_write(spill, &list, 1, &extents[i], &end, &err), 0);
        for (int k = 0; k < i; k++) assert_ptr_not_equal(extents[i].file, extents[k].file);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(tide_spill_read(spill, &extents[i], 0, end, &got, &err), 0);
        assert_int_equal(got.count, i + 1);
        tide_spill_free(spill, &extents[i]);
    }

    /* The last one is empty again and goes on. */
    struct tide_spill_file *last = NULL;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(tide_spill_write(spill, &list, 1, &extents[0], &end, &err), 0);
        if (i == 1) assert_ptr_equal(extents[0].file, last);
        assert_int_equal(extents[0].offset, 0);
        last = extents[0].file;
        tide_spill_free(spill, &extents[0]);
    }
    tide_blocks_destroy(&got);
    tide_blocks_destroy(&list);
}

/* ---- Disks that fail ---------------------------------------------------------------------------------------- */

static void a_directory_that_is_of_no_use_is_refused(void **state) {
    struct tide_error err = {0};

    assert_null(tide_spill_new("/nowhere/at/all", &err));
    assert_int_equal(err.code, TIDE_EIO);
    assert_non_null(strstr(err.text, "spill file in /nowhere/at/all can't be made: No such file or directory"));
    assert_non_null(strstr(err.text, "setting spill.directory"));
    tide_error_clear(&err);
    tide_fault_arm("spill.open", 0, 1);
    assert_null(tide_spill_new(directory, &err));
    assert_non_null(strstr(err.text, "Permission denied"));
    tide_error_clear(&err);
}

static void a_full_disk_leaves_nothing_behind(void **state) {
    struct tide_blocks lists[2] = {{0}};
    struct tide_extent extent = {0};
    uint64_t ends[2];
    struct tide_error err = {0};

    for (int i = 0; i < 100; i++) tide_blocks_push(&lists[1], packed(100, 1));
    for (int skip = 0; skip < 2; skip++) {
        tide_fault_arm("spill.write", skip, 1);
        assert_int_equal(tide_spill_write(spill, lists, 2, &extent, ends, &err), TIDE_EIO);
        assert_non_null(strstr(err.text, directory));
        assert_non_null(strstr(err.text, "No space left on device; make room there"));
        assert_null(extent.file);
        assert_int_equal(tide_spill_bytes(spill), 0);
    }
    assert_int_equal(tide_spill_write(spill, lists, 2, &extent, ends, &err), 0);
    tide_spill_free(spill, &extent);
    tide_error_clear(&err);
    tide_blocks_destroy(&lists[1]);
}

static void what_cannot_be_read_is_said(void **state) {
    static const struct {
        const char *fault, *text;
        int code;
    } cases[] = {
        {"spill.read", "can't be read at byte 0: Input/output error; check the disk", TIDE_EIO},
        {"spill.short", "damaged at byte 0: the file ends there", TIDE_ECORRUPT},
        {"spill.damage", "damaged at byte 0: its checksum is another one", TIDE_ECORRUPT},
        {"alloc", "out of memory for a spilled block of 50 bytes", TIDE_ENOMEM},
    };
    struct tide_blocks list = {0}, got = {0};
    struct tide_extent extent;
    uint64_t end;

    tide_blocks_push(&list, packed(50, 1));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct tide_error err = {0};

        assert_int_equal(tide_spill_write(spill, &list, 1, &extent, &end, &err), 0);
        tide_fault_arm(cases[i].fault, 0, 1);
        assert_int_equal(tide_spill_read(spill, &extent, 0, end, &got, &err), cases[i].code);
        assert_non_null(strstr(err.text, cases[i].text));
        assert_int_equal(got.count, 0);
        assert_int_equal(tide_spill_read(spill, &extent, 0, end, &got, &err), 0);
        tide_blocks_destroy(&got);
        tide_error_clear(&err);
        tide_spill_free(spill, &extent);
    }
    tide_blocks_destroy(&list);
}

static void every_damaged_byte_is_noticed(void **state) {
    struct tide_blocks list = {0}, got = {0};
    struct tide_extent extent;
    uint64_t end;
    struct tide_error err = {0};
    uint8_t bytes[400];

    tide_blocks_push(&list, text("a line\nand another"));
    tide_blocks_push(&list, packed(60, 3));
    assert_int_equal(tide_spill_write(spill, &list, 1, &extent, &end, &err), 0);
    assert_int_equal(end, 2 * FRAME + 18 + 2 * 8 + 60);

    /* Its descriptor is the newest one of this process that is a file of the directory. */
    int fd = -1;

    for (int number = 0; number < 64; number++) {
        char link[64], target[256] = "";

        snprintf(link, sizeof link, "/proc/self/fd/%d", number);
        if (readlink(link, target, sizeof target - 1) > 0 && strncmp(target, directory, strlen(directory)) == 0)
            fd = number;
    }
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, bytes, end, 0), end);

    int copy = memfd_create("copy", 0);

    assert_int_equal(write(copy, bytes, end), end);
    assert_int_equal(tide_spill_decode(copy, 0, end, &got, &err), 0);
    assert_int_equal(got.count, 2);
    tide_blocks_destroy(&got);
    for (uint64_t i = 0; i < end; i++) {
        uint8_t wrong = (uint8_t)(bytes[i] + 1);

        assert_int_equal(pwrite(copy, &wrong, 1, (off_t)i), 1);
        assert_int_equal(tide_spill_decode(copy, 0, end, &got, &err), TIDE_ECORRUPT);
        assert_int_equal(got.count, 0);
        assert_int_equal(pwrite(copy, &bytes[i], 1, (off_t)i), 1);
    }
    for (uint64_t size = 1; size < end; size++) {
        if (size == FRAME + 18 + 2 * 8) continue; /* the first block alone */
        assert_int_equal(tide_spill_decode(copy, 0, size, &got, &err), TIDE_ECORRUPT);
    }
    assert_int_equal(ftruncate(copy, (off_t)end - 1), 0);
    assert_int_equal(tide_spill_decode(copy, 0, end, &got, &err), TIDE_ECORRUPT);
    tide_error_clear(&err);
    close(copy);
    tide_spill_free(spill, &extent);
    tide_blocks_destroy(&list);
}

int main(void) {
#define CHECKED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CHECKED(what_is_written_is_read),
        CHECKED(files_end_with_their_extents),
        CHECKED(a_directory_that_is_of_no_use_is_refused),
        CHECKED(a_full_disk_leaves_nothing_behind),
        CHECKED(what_cannot_be_read_is_said),
        CHECKED(every_damaged_byte_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
