/*
 * Fuzz target for format/sequence_reader, and with it sequence_file and writable: on any bytes it reads nothing out
 * of bounds, ends, gives whole packed records, and ranges that divide a file that can be read give as many as the
 * whole. `make fuzz` runs it. Input: the bytes of a file.
 */
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver.h"
#include "format/sequence_file.h"
#include "format/sequence_reader.h"
#include "format/sequence_writer.h"
#include "wire/unpack.h"

/* A file in memory that has a path. */
static char path[64];
static int file = -1;

static void make_file(void) {
    if (file >= 0) return;
    file = memfd_create("fuzz", MFD_CLOEXEC);
    fuzz_require(file >= 0, "no file in memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
}

static void check_block(const struct tide_block *block) {
    fuzz_require(block->count > 0 && (block->arity == 1 || block->arity == 2), "a block without records or arity");
    const uint8_t *at = block->data, *end = block->data + block->size;
    for (uint64_t i = 0; i < (uint64_t)block->count * block->arity && at; i++) at = tide_unpack_skip(at, end);
    fuzz_require(at == end, "a block is not made of whole records");
}

/* The number of records in a range, or negative. */
static int64_t read_range(uint64_t offset, uint64_t length, enum tide_sequence_form form) {
    struct tide_error err = {0};
    struct tide_block *block;
    int64_t records = 0;
    int more = -1;
    struct tide_sequence_reader *reader = tide_sequence_reader_new(path, offset, length, form, &err);

    while (reader && (more = tide_sequence_reader_next(reader, &block, &err)) == 1) {
        check_block(block);
        records += block->count;
        tide_block_release(block);
    }
    fuzz_require(more >= 0 || (err.text && strncmp(err.text, path, strlen(path)) == 0), "an error without the path");
    tide_error_clear(&err);
    tide_sequence_reader_delete(reader);
    return more < 0 ? more : records;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    make_file();
    fuzz_require(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size,
                 "the file can't be written");
    for (int form = TIDE_SEQUENCE_PAIRS; form <= TIDE_SEQUENCE_OBJECTS; form++) {
        int64_t all = read_range(0, UINT64_MAX, form);
        if (size < 2) continue;
        uint64_t cut = 1 + (data[size - 1] * 257u + data[size / 2]) % (size - 1);
        int64_t first = read_range(0, cut, form), second = read_range(cut, UINT64_MAX, form);
        /* A range may begin inside a record that holds the marker's bytes: only chance makes such files. */
        if (all >= 0 && first >= 0 && second >= 0) fuzz_require(first + second >= all, "ranges lose records");
    }
    fuzz_require(tide_block_live() == 0, "a block is left");
    return 0;
}

/* A file of a few records that the writer made. It makes its file itself, so there must be none of that name before.
 * Returns its size. */
static size_t write_valid(uint64_t *state, uint8_t *out, size_t most) {
    static const uint8_t records[][8] = {"\xa1x\xa2yz", "\xa0\xa0", "\xa3\0\1\2\xa1y"};
    static const uint8_t sizes[] = {5, 2, 6};
    int groups = fuzz_below(state, 2) == 0;
    enum tide_writable key = groups ? TIDE_WRITABLE_NULL : TIDE_WRITABLE_TEXT;
    struct tide_error err = {0};
    char directory[] = "/tmp/moontide-fuzz-XXXXXX", part[sizeof directory + 8];

    fuzz_require(mkdtemp(directory), "no directory");
    snprintf(part, sizeof part, "%s/part", directory);

    struct tide_sequence_writer *writer =
        tide_sequence_writer_new(part, key, TIDE_WRITABLE_BYTES, fuzz_below(state, 2) == 0, &err);
    fuzz_require(writer, "no writer");
    for (uint32_t i = fuzz_below(state, 12); i > 0; i--) {
        uint32_t which = fuzz_below(state, 3);
        int code = groups ? tide_sequence_writer_group(writer, (const uint8_t *)"\2\5\xa1y", 4, &err)
                          : tide_sequence_writer_add(writer, records[which], sizes[which], &err);
        fuzz_require(code == 0, "a record is not written");
    }
    fuzz_require(tide_sequence_writer_finish(writer, false, &err) == 0, "a file is not finished");
    tide_sequence_writer_delete(writer);

    int made = open(part, O_RDONLY | O_CLOEXEC);
    ssize_t size = made >= 0 ? read(made, out, most) : -1;

    fuzz_require(size > 0, "no file");
    close(made);
    unlink(part);
    rmdir(directory);
    return (size_t)size;
}

/* A file of the writer, damaged in a few places. */
size_t fuzz_generate(uint64_t *state, uint8_t *out, size_t most) {
    ssize_t size = (ssize_t)write_valid(state, out, most);

    for (uint32_t i = fuzz_below(state, 4); i > 0; i--) {
        size_t at = fuzz_below(state, (uint32_t)size);
        switch (fuzz_below(state, 5)) {
        case 0: out[at] ^= (uint8_t)(1u << fuzz_below(state, 8)); break;
        case 1: out[at] = (uint8_t)fuzz_below(state, 256); break;
        case 2: size = (ssize_t)(at > 0 ? at : 1); break;
        case 3:
            memset(out + at, fuzz_below(state, 2) ? 0xff : 0, (size_t)size - at < 4 ? (size_t)size - at : 4);
            break;
        default: memmove(out + at, out + fuzz_below(state, (uint32_t)at + 1), (size_t)size - at); break;
        }
    }
    return (size_t)size;
}
