/*
 * format/sequence_file, sequence_writer, sequence_reader: the bytes of a file, everything back, ranges that divide a
 * file at any offset, damage at any byte, a full disk, memory that runs out.
 */
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/fault.h"
#include "format/sequence_file.h"
#include "format/sequence_reader.h"
#include "format/sequence_writer.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static char directory[64], path[96];
static struct tide_error err;

static int create(void **state) {
    /* Files are written by the thousand: in memory where that can be had. */
    snprintf(directory, sizeof directory, "%s/moontide-sequence.XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/file", directory);
    return 0;
}

static int destroy(void **state) {
    unlink(path);
    rmdir(directory);
    tide_error_clear(&err);
    tide_fault_clear();
    assert_int_equal(tide_block_live(), 0);
    return 0;
}

/* ---- Files -------------------------------------------------------------------------------------------------- */

static void write_file(const void *data, size_t size) {
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

static void read_file(struct tide_buffer *out) {
    FILE *file = fopen(path, "rb");

    assert_non_null(file);
    out->size = 0;
    for (;;) {
        size_t got = fread(tide_buffer_reserve(out, 4096), 1, 4096, file);
        if (got == 0) break;
        out->size += got;
    }
    fclose(file);
}

static uint64_t file_size(void) {
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return (uint64_t)status.st_size;
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

static struct tide_sequence_writer *open_writer(enum tide_writable key, enum tide_writable value, bool compress) {
    struct tide_sequence_writer *writer = tide_sequence_writer_new(path, key, value, compress, &err);

    if (!writer) fail_msg("%s", err.text);
    return writer;
}

static void close_writer(struct tide_sequence_writer *writer) {
    if (tide_sequence_writer_finish(writer, false, &err) != 0) fail_msg("%s", err.text);
    tide_sequence_writer_delete(writer);
}

/* Record i: a key that tells it, and a value whose length varies. */
static void make_record(uint32_t i, uint32_t length, struct tide_buffer *out) {
    char text[4096];

    out->size = 0;
    tide_pack_number(out, i);
    assert_true(length < sizeof text);
    for (uint32_t at = 0; at < length; at++) text[at] = (char)('a' + (i * 7 + at * at) % 26);
    tide_pack_string(out, text, length);
}

static uint32_t length_of(uint32_t i, uint32_t largest) {
    return largest == 0 ? 0 : (i * 2654435761u >> 7) % largest;
}

static void write_records(uint32_t count, uint32_t largest, bool compress) {
    struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_INT, TIDE_WRITABLE_TEXT, compress);
    struct tide_buffer record;

    tide_buffer_create(&record);
    for (uint32_t i = 0; i < count; i++) {
        make_record(i, length_of(i, largest), &record);
        assert_int_equal(tide_sequence_writer_add(writer, record.data, record.size, &err), 0);
    }
    tide_buffer_destroy(&record);
    close_writer(writer);
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* Reads a range into `out`, all its blocks' data one behind the other; the number of records, or TIDE_E*. */
static int64_t read_range(uint64_t offset, uint64_t length, enum tide_sequence_form form, struct tide_buffer *out) {
    struct tide_sequence_reader *reader = tide_sequence_reader_new(path, offset, length, form, &err);

    if (!reader) return err.code;
    struct tide_block *block;
    int64_t records = 0;
    int more;
    while ((more = tide_sequence_reader_next(reader, &block, &err)) == 1) {
        assert_true(block->count > 0);
        assert_int_equal(block->kind, TIDE_BLOCK_PACKED);
        if (form == TIDE_SEQUENCE_PAIRS) assert_int_equal(block->arity, 2);
        const uint8_t *at = block->data, *end = block->data + block->size;
        for (uint64_t i = 0; i < (uint64_t)block->count * block->arity; i++) at = tide_unpack_skip(at, end);
        assert_ptr_equal(at, end);
        records += block->count;
        tide_buffer_append(out, block->data, block->size);
        tide_block_release(block);
    }
    tide_sequence_reader_delete(reader);
    return more < 0 ? more : records;
}

/* The records of `data` are those of write_records from number `first` on. */
static void expect_records(const struct tide_buffer *data, uint32_t first, uint32_t count, uint32_t largest) {
    const uint8_t *at = data->data, *end = data->data + data->size;
    struct tide_buffer record;

    tide_buffer_create(&record);
    for (uint32_t i = first; i < first + count; i++) {
        make_record(i, length_of(i, largest), &record);
        struct tide_value key = tide_unpack_value(at, end);
        assert_int_equal(key.type, TIDE_VALUE_NUMBER);
        assert_true(key.number == i);
        struct tide_value value = tide_unpack_value(key.next, end);
        assert_int_equal(value.type, TIDE_VALUE_STRING);
        assert_int_equal(value.size, length_of(i, largest));
        if (value.size > 0) assert_memory_equal(value.data, record.data + record.size - value.size, value.size);
        at = value.next;
    }
    assert_ptr_equal(at, end);
    tide_buffer_destroy(&record);
}

static void expect_error(int code, const char *expected) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    int64_t got = read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out);
    tide_buffer_destroy(&out);
    assert_int_equal(got, code);
    char text[512];
    snprintf(text, sizeof text, "%s: %s", path, expected);
    assert_string_equal(err.text, text);
}

/* ---- The bytes ---------------------------------------------------------------------------------------------- */

#define TEXT_CLASS "\x19org.apache.hadoop.io.Text"
#define INT_CLASS "\x20org.apache.hadoop.io.IntWritable"
#define DEFAULT_CODEC "\x2aorg.apache.hadoop.io.compress.DefaultCodec"
#define NO_METADATA "\0\0\0\0"
#define SYNC "0123456789abcdef"
#define ESCAPE "\xff\xff\xff\xff"
#define PLAIN_HEADER "SEQ\6" TEXT_CLASS INT_CLASS "\0\0" NO_METADATA SYNC
#define RECORD_HEADER "SEQ\6" TEXT_CLASS INT_CLASS "\1\0" DEFAULT_CODEC NO_METADATA SYNC
#define BLOCK_HEADER "SEQ\6" TEXT_CLASS INT_CLASS "\1\1" DEFAULT_CODEC NO_METADATA SYNC
#define BYTES(text) (text), sizeof(text) - 1

static void a_plain_file_byte_for_byte(void **state) {
    struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_TEXT, TIDE_WRITABLE_INT, false);

    assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa2\x61\x62\x05", 4, &err), 0);
    assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa0\xff", 2, &err), 0);
    close_writer(writer);

    struct tide_buffer file;
    tide_buffer_create(&file);
    read_file(&file);
    size_t head = sizeof PLAIN_HEADER - 1 - TIDE_SEQUENCE_SYNC;
    assert_memory_equal(file.data, PLAIN_HEADER, head);
    static const char records[] = "\0\0\0\x07\0\0\0\x03\x02"
                                  "ab\0\0\0\5"
                                  "\0\0\0\x05\0\0\0\1\0\xff\xff\xff\xff";
    assert_int_equal(file.size, head + TIDE_SEQUENCE_SYNC + sizeof records - 1);
    assert_memory_equal(file.data + head + TIDE_SEQUENCE_SYNC, records, sizeof records - 1);
    tide_buffer_destroy(&file);
}

/* Appends a vint and the zlib stream of some bytes. */
static void append_zipped(struct tide_buffer *out, const void *data, size_t size, bool with_length) {
    uint8_t zipped[512];
    uLongf length = sizeof zipped;

    assert_int_equal(compress(zipped, &length, data, size), Z_OK);
    if (with_length) tide_buffer_append(out, &(uint8_t){(uint8_t)length}, 1);
    tide_buffer_append(out, zipped, length);
}

static void compressed_blocks_from_elsewhere_are_read(void **state) {
    struct tide_buffer file, out;

    tide_buffer_create(&file);
    tide_buffer_create(&out);
    tide_buffer_append(&file, BYTES(BLOCK_HEADER));
    for (int block = 0; block < 2; block++) {
        tide_buffer_append(&file, BYTES(ESCAPE SYNC "\2"));
        append_zipped(&file, "\2\3", 2, true);
        append_zipped(&file, "\1x\2yz", 5, true);
        append_zipped(&file, "\4\4", 2, true);
        append_zipped(&file, "\0\0\0\7\0\0\0\x08", 8, true);
    }
    write_file(file.data, file.size);
    assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out), 4);
    assert_int_equal(out.size, 14);
    assert_memory_equal(out.data, "\xa1x\x07\xa2yz\x08\xa1x\x07\xa2yz\x08", 14);
    tide_buffer_destroy(&file);
    tide_buffer_destroy(&out);
}

static void append_record(struct tide_buffer *file, const char *key, size_t key_size,
                          const struct tide_buffer *value) {
    uint8_t sizes[8];

    tide_put_big32(sizes, (uint32_t)(key_size + value->size));
    tide_put_big32(sizes + 4, (uint32_t)key_size);
    tide_buffer_append(file, sizes, 8);
    tide_buffer_append(file, key, key_size);
    tide_buffer_append(file, value->data, value->size);
}

static void compressed_records_are_read(void **state) {
    struct tide_buffer file, value, out;

    tide_buffer_create(&file);
    tide_buffer_create(&value);
    tide_buffer_create(&out);
    tide_buffer_append(&file, BYTES(RECORD_HEADER));
    append_zipped(&value, "\0\0\0\7", 4, false);
    append_record(&file, BYTES("\1x"), &value);
    tide_buffer_append(&file, BYTES(ESCAPE SYNC));
    value.size = 0;
    append_zipped(&value, "\0\0\1\0", 4, false);
    append_record(&file, BYTES("\0"), &value);
    write_file(file.data, file.size);
    assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out), 2);
    assert_int_equal(out.size, 2 + 1 + 1 + 5);
    assert_memory_equal(out.data, "\xa1x\x07\xa0\xd2\0\0\1\0", 9);

    /* Not every stream that ends is the whole value. */
    file.size = sizeof RECORD_HEADER - 1;
    value.size -= 3;
    append_record(&file, BYTES("\0"), &value);
    write_file(file.data, file.size);
    expect_error(TIDE_ECORRUPT, "at byte 128: compressed data is cut off; the file is damaged");
    file.size = sizeof RECORD_HEADER - 1;
    value.size = 0;
    append_zipped(&value, "\0\0\1\0", 4, false);
    tide_buffer_append(&value, "!", 1);
    append_record(&file, BYTES("\0"), &value);
    write_file(file.data, file.size);
    expect_error(TIDE_ECORRUPT,
                 "at byte 128: there are bytes behind the end of compressed data; the file is damaged");
    file.size = sizeof RECORD_HEADER - 1;
    value.size = 0;
    tide_buffer_append(&value, "no zlib", 7);
    append_record(&file, BYTES("\0"), &value);
    write_file(file.data, file.size);
    expect_error(TIDE_ECORRUPT, "at byte 128: incorrect header check; the file is damaged");
    tide_buffer_destroy(&file);
    tide_buffer_destroy(&value);
    tide_buffer_destroy(&out);
}

static void gzip_and_metadata_are_read(void **state) {
    struct tide_buffer file, value, out;
    uint8_t zipped[128];

    tide_buffer_create(&file);
    tide_buffer_create(&value);
    tide_buffer_create(&out);
    z_stream zip = {0};
    assert_int_equal(deflateInit2(&zip, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    zip.next_in = (uint8_t *)"\0\0\0\7";
    zip.avail_in = 4;
    zip.next_out = zipped;
    zip.avail_out = sizeof zipped;
    assert_int_equal(deflate(&zip, Z_FINISH), Z_STREAM_END);
    tide_buffer_append(&value, zipped, zip.total_out);
    deflateEnd(&zip);

    tide_buffer_append(&file, BYTES("SEQ\6" TEXT_CLASS INT_CLASS "\1\0\x27org.apache.hadoop.io.compress.GzipCodec"));
    tide_buffer_append(&file, BYTES("\0\0\0\2\1a\1b\0\2cd" SYNC));
    append_record(&file, BYTES("\1x"), &value);
    write_file(file.data, file.size);
    assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out), 1);
    assert_memory_equal(out.data, "\xa1x\x07", 3);
    tide_buffer_destroy(&file);
    tide_buffer_destroy(&value);
    tide_buffer_destroy(&out);
}

/* ---- There and back ----------------------------------------------------------------------------------------- */

static void records_come_back(void **state) {
    static const struct {
        uint32_t count, largest;
    } cases[] = {{0, 0}, {1, 0}, {1, 50}, {1000, 10}, {3000, 2000}, {30000, 0}};
    struct tide_buffer out;
    tide_buffer_create(&out);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int compressed = 0; compressed < 2; compressed++) {
            write_records(cases[i].count, cases[i].largest, compressed);
            out.size = 0;
            assert_int_equal(read_range(0, file_size(), TIDE_SEQUENCE_PAIRS, &out), cases[i].count);
            expect_records(&out, 0, cases[i].count, cases[i].largest);
        }
    }
    tide_buffer_destroy(&out);
}

static void compression_makes_it_smaller(void **state) {
    write_records(3000, 2000, false);
    uint64_t plain = file_size();
    write_records(3000, 2000, true);
    assert_true(file_size() < plain / 2);
}

/* Ranges that touch give each record once, in order, wherever they are cut. */
static void ranges_divide_a_file(void **state) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    for (int compressed = 0; compressed < 2; compressed++) {
        uint32_t count = compressed ? 8000 : 2000, largest = 800;
        write_records(count, largest, compressed);
        uint64_t size = file_size();
        for (uint32_t ranges = 1; ranges <= 40; ranges += 3) {
            uint32_t first = 0, filled = 0;
            for (uint32_t i = 0; i < ranges; i++) {
                uint64_t from = size * i / ranges, to = size * (i + 1) / ranges;
                out.size = 0;
                int64_t got = read_range(from, to - from, TIDE_SEQUENCE_PAIRS, &out);
                assert_true(got >= 0);
                expect_records(&out, first, (uint32_t)got, largest);
                first += (uint32_t)got;
                filled += got > 0;
            }
            assert_int_equal(first, count);
            if (ranges == 4) assert_int_equal(filled, 4);
        }
    }
    tide_buffer_destroy(&out);
}

/* The same at every single byte, with a file that is small and has many markers. */
static void ranges_are_cut_at_any_byte(void **state) {
    struct tide_buffer file, value, out;

    tide_buffer_create(&file);
    tide_buffer_create(&value);
    tide_buffer_create(&out);
    tide_buffer_append(&file, BYTES(PLAIN_HEADER));
    tide_buffer_append(&value, "\0\0\0\7", 4);
    for (char i = 0; i < 9; i++) {
        append_record(&file, (char[]){1, (char)('a' + i)}, 2, &value);
        if (i % 2 == 0) tide_buffer_append(&file, BYTES(ESCAPE SYNC));
        if (i % 4 == 0) tide_buffer_append(&file, BYTES(ESCAPE SYNC));
    }
    write_file(file.data, file.size);
    for (uint64_t cut = 0; cut <= file.size; cut++) {
        for (uint64_t second = cut; second <= file.size + 1; second += 7) {
            out.size = 0;
            assert_true(read_range(0, cut, TIDE_SEQUENCE_PAIRS, &out) >= 0);
            if (cut > 0) assert_true(out.size >= 3);
            assert_true(cut == 0 || read_range(cut, second - cut, TIDE_SEQUENCE_PAIRS, &out) >= 0);
            assert_true(second == 0 || read_range(second, UINT64_MAX - second, TIDE_SEQUENCE_PAIRS, &out) >= 0);
            if (cut == 0) continue; /* then two of them begin at 0 */
            assert_int_equal(out.size, 9 * 3);
            for (int i = 0; i < 9; i++) assert_int_equal(out.data[3 * i + 1], 'a' + i);
        }
    }
    tide_buffer_destroy(&file);
    tide_buffer_destroy(&value);
    tide_buffer_destroy(&out);
}

/* ---- Object files ------------------------------------------------------------------------------------------- */

static void groups_come_back(void **state) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    for (int compressed = 0; compressed < 2; compressed++) {
        struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_NULL, TIDE_WRITABLE_BYTES, compressed);
        assert_int_equal(tide_sequence_writer_group(writer, (const uint8_t *)"\1\5\6\xa1x", 5, &err), 0);
        assert_int_equal(tide_sequence_writer_group(writer, (const uint8_t *)"\1\7", 2, &err), 0);
        assert_int_equal(tide_sequence_writer_group(writer, (const uint8_t *)"\2\xa1k\x92\1\xc0", 6, &err), 0);
        close_writer(writer);
        out.size = 0;
        assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_OBJECTS, &out), 5);
        assert_int_equal(out.size, 10);
        assert_memory_equal(out.data, "\5\6\xa1x\7\xa1k\x92\1\xc0", 10);
        /* As a SequenceFile it has three records. */
        out.size = 0;
        assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out), 3);
        assert_memory_equal(out.data, "\xc7\0\1\xa5\1\5\6\xa1x", 9);
    }
    tide_buffer_destroy(&out);
}

static void expect_no_group(const char *bytes, size_t size, const char *expected) {
    struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_NULL, TIDE_WRITABLE_BYTES, false);
    struct tide_buffer out;

    tide_buffer_create(&out);
    assert_int_equal(tide_sequence_writer_group(writer, (const uint8_t *)"\1\5", 2, &err), 0);
    assert_int_equal(tide_sequence_writer_group(writer, (const uint8_t *)bytes, size, &err), 0);
    close_writer(writer);
    assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_OBJECTS, &out), TIDE_ECORRUPT);
    assert_int_equal(out.size, 1); /* the record before */
    assert_non_null(strstr(err.text, expected));
    assert_non_null(strstr(err.text, path));
    tide_buffer_destroy(&out);
}

static void values_that_are_no_group_are_refused(void **state) {
    static const char no_group[] = ": at byte 109: the value is no group of packed records; the file is damaged";

    expect_no_group(BYTES(""), no_group);
    expect_no_group(BYTES("\1"), no_group);
    expect_no_group(BYTES("\3\1\1\1"), no_group);
    expect_no_group(BYTES("\2\1\1\1"), no_group);
    expect_no_group(BYTES("\1\xa3xy"), no_group);
    expect_no_group(BYTES("\1\xc0"), no_group);
    expect_no_group(BYTES("\1\xc1"), no_group);
    expect_no_group(BYTES("\xac\xed\0\5ur"),
                    ": at byte 109: the object file holds Java objects, which only a JVM can read");
    write_records(1, 10, false);
    struct tide_buffer out;
    tide_buffer_create(&out);
    assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_OBJECTS, &out), TIDE_ECORRUPT);
    assert_non_null(strstr(err.text,
                           ": at byte 4: it is no object file, which has NullWritable and BytesWritable; it has "
                           "IntWritable and Text: read it with sequenceFile"));
    tide_buffer_destroy(&out);
}

/* ---- Records that do not fit -------------------------------------------------------------------------------- */

static void the_writer_goes_on_after_a_record_that_does_not_fit(void **state) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    for (int compressed = 0; compressed < 2; compressed++) {
        struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_TEXT, TIDE_WRITABLE_INT, compressed);
        assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa1x\1", 3, &err), 0);
        assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\1\1", 2, &err), TIDE_EINVAL);
        assert_string_equal(err.text, "the key is the number 1: Text holds strings");
        assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa1y\xa1z", 4, &err), TIDE_EINVAL);
        assert_string_equal(err.text,
                            "the value is the string \"z\": IntWritable holds whole numbers from -2147483648 to "
                            "2147483647");
        assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa1x", 2, &err), TIDE_EINVAL);
        assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa1x\1\1", 4, &err), TIDE_EINVAL);
        assert_int_equal(tide_sequence_writer_add(writer, (const uint8_t *)"\xa1y\2", 3, &err), 0);
        close_writer(writer);
        out.size = 0;
        assert_int_equal(read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out), 2);
        assert_memory_equal(out.data, "\xa1x\1\xa1y\2", 6);
    }
    tide_buffer_destroy(&out);
}

/* ---- Damage ------------------------------------------------------------------------------------------------- */

static void expect_error_of(const void *data, size_t size, const char *expected) {
    write_file(data, size);
    expect_error(TIDE_ECORRUPT, expected);
}

static void foreign_files_are_named(void **state) {
    expect_error_of(BYTES(""), "at byte 0: the file is empty; a SequenceFile has a header at least");
    expect_error_of(BYTES("hello, world"),
                    "at byte 0: it is no SequenceFile, which begins with SEQ; it begins with hello, w");
    expect_error_of(BYTES("SE"),
                    "at byte 0: the file ends at byte 2, inside its header; it was not written to its end");
    expect_error_of(BYTES("SEQ\4"), "at byte 3: it is a SequenceFile of version 4; version 6 is read here");
    expect_error_of(
        BYTES("SEQ\6\7foo.Bar" INT_CLASS),
        "at byte 4: the class of the keys is foo.Bar, which is not read here (read are Text, IntWritable, "
        "LongWritable, FloatWritable, DoubleWritable, BooleanWritable, BytesWritable, NullWritable)");
    expect_error_of(BYTES("SEQ\6\xff"), "at byte 4: -1 cannot be the length of the class of the keys");
    expect_error_of(BYTES("SEQ\6" TEXT_CLASS INT_CLASS "\2"),
                    "at byte 63: the flag for compression is 2, neither 0 nor 1");
    expect_error_of(BYTES("SEQ\6" TEXT_CLASS INT_CLASS "\0\1"),
                    "at byte 65: blocks without compression do not exist");
    expect_error_of(
        BYTES("SEQ\6" TEXT_CLASS INT_CLASS "\1\0\x29org.apache.hadoop.io.compress.SnappyCodec"),
        "at byte 65: it is compressed with org.apache.hadoop.io.compress.SnappyCodec, which is not read here "
        "(read are DefaultCodec, DeflateCodec, GzipCodec)");
    expect_error_of(BYTES("SEQ\6" TEXT_CLASS INT_CLASS "\0\0\xff\xff\xff\xff"),
                    "at byte 65: -1 cannot be a number of metadata entries");
    unlink(path);
    expect_error(TIDE_ENOTFOUND, "No such file or directory");
    assert_int_equal(mkdir(path, 0700), 0);
    expect_error(TIDE_EIO, "it is not a regular file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_error(TIDE_EIO, "it is not a regular file");
}

static void damaged_records_are_named(void **state) {
    expect_error_of(
        BYTES(PLAIN_HEADER "\0\0"),
        "at byte 85: the record there is longer than the file, which ends at byte 87: it was not written to its "
        "end, or is damaged");
    expect_error_of(
        BYTES(PLAIN_HEADER "\0\0\0\7\0\0\0\3\2ab\0\0\0\5\0\0\0\7\0\0\0\3\2ab\0"),
        "at byte 100: the record there is longer than the file, which ends at byte 112: it was not written to "
        "its end, or is damaged");
    expect_error_of(
        BYTES(PLAIN_HEADER "\x7f\xff\xff\xff\0\0\0\3\2ab\0\0\0\5"),
        "at byte 85: the record there is longer than the file, which ends at byte 100: it was not written to "
        "its end, or is damaged");
    expect_error_of(BYTES(PLAIN_HEADER "\xff\xff\xff\xfe\0\0\0\3"),
                    "at byte 85: the length of a record is negative; the file is damaged");
    expect_error_of(BYTES(PLAIN_HEADER "\0\0\0\7\0\0\0\x08\2ab\0\0\0\5"),
                    "at byte 85: the key of a record is longer than the record; the file is damaged");
    expect_error_of(BYTES(PLAIN_HEADER "\0\0\0\7\0\0\0\xff\2ab\0\0\0\5"),
                    "at byte 85: the key of a record is longer than the record; the file is damaged");
    expect_error_of(BYTES(PLAIN_HEADER "\0\0\0\7\0\0\0\3\3ab\0\0\0\5"),
                    "at byte 85: the key of the record: the length inside a Text does not fit its 3 bytes");
    expect_error_of(BYTES(PLAIN_HEADER "\0\0\0\7\0\0\0\2\1ab\0\0\0\5"),
                    "at byte 85: the value of the record: 5 bytes are no IntWritable, which has 4");
    expect_error_of(BYTES(PLAIN_HEADER ESCAPE "0123456789abcdeX"),
                    "at byte 85: the sync marker is not that of the file; the file is damaged");
    expect_error_of(BYTES(BLOCK_HEADER "\0\0\0\7\0\0\0\3\2ab\0\0\0\5......"),
                    "at byte 128: the sync marker is not that of the file; the file is damaged");
    expect_error_of(BYTES(BLOCK_HEADER ESCAPE SYNC "\xff......"),
                    "at byte 128: a length is out of range; the file is damaged");
    expect_error_of(BYTES(BLOCK_HEADER ESCAPE SYNC "\1\0\0\0\0"),
                    "at byte 128: a block has fewer keys or values than it says; the file is damaged");
}

/* Whatever is cut off and whatever is changed: an error with the path, or records; never more, never a crash. */
static void damage_anywhere_does_no_harm(void **state) {
    struct tide_buffer file, out;

    tide_buffer_create(&file);
    tide_buffer_create(&out);
    for (int compressed = 0; compressed < 2; compressed++) {
        write_records(6, 40, compressed);
        read_file(&file);
        for (size_t size = 0; size < file.size; size++) {
            write_file(file.data, size);
            out.size = 0;
            int64_t got = read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out);
            if (got >= 0) {
                assert_true(got < 6);
                expect_records(&out, 0, (uint32_t)got, 40);
            } else {
                assert_int_equal(got, TIDE_ECORRUPT);
                assert_memory_equal(err.text, path, strlen(path));
            }
        }
        for (size_t at = 0; at < file.size; at++) {
            for (int change = 1; change < 256; change = change * 2 + 1) {
                file.data[at] ^= (uint8_t)change;
                write_file(file.data, file.size);
                for (int form = TIDE_SEQUENCE_PAIRS; form <= TIDE_SEQUENCE_OBJECTS; form++) {
                    out.size = 0;
                    int64_t got = read_range(0, UINT64_MAX, form, &out);
                    if (got < 0) assert_memory_equal(err.text, path, strlen(path));
                    out.size = 0;
                    read_range(at, UINT64_MAX, form, &out);
                }
                file.data[at] ^= (uint8_t)change;
            }
        }
    }
    tide_buffer_destroy(&file);
    tide_buffer_destroy(&out);
}

/* ---- Disk and memory ---------------------------------------------------------------------------------------- */

static void a_full_disk_is_told(void **state) {
    struct tide_buffer record;

    tide_buffer_create(&record);
    struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_INT, TIDE_WRITABLE_TEXT, false);
    tide_fault_arm("sequence.write", 0, 1);
    make_record(1, 100, &record);
    assert_int_equal(tide_sequence_writer_add(writer, record.data, record.size, &err), 0);
    char expected[200];
    snprintf(expected, sizeof expected, "cannot write %s at byte 0: No space left on device", path);
    assert_int_equal(tide_sequence_writer_finish(writer, false, &err), TIDE_EIO);
    assert_string_equal(err.text, expected);
    tide_sequence_writer_delete(writer);
    unlink(path);

    writer = open_writer(TIDE_WRITABLE_INT, TIDE_WRITABLE_TEXT, false);
    tide_fault_arm("sequence.write", 2, 1);
    int code = 0;
    for (uint32_t i = 0; code == 0; i++) {
        assert_true(i < 1000);
        make_record(i, 1000, &record);
        code = tide_sequence_writer_add(writer, record.data, record.size, &err);
    }
    assert_int_equal(code, TIDE_EIO);
    assert_non_null(strstr(err.text, ": No space left on device"));
    tide_sequence_writer_delete(writer);
    tide_buffer_destroy(&record);
}

static void what_cannot_be_opened_is_told(void **state) {
    char missing[120], expected[200];

    snprintf(missing, sizeof missing, "%s/none/file", directory);
    assert_null(tide_sequence_writer_new(missing, TIDE_WRITABLE_TEXT, TIDE_WRITABLE_TEXT, true, &err));
    snprintf(expected, sizeof expected, "cannot write %s: No such file or directory", missing);
    assert_string_equal(err.text, expected);
    tide_fault_arm("sequence.random", 0, 1);
    assert_null(tide_sequence_writer_new(path, TIDE_WRITABLE_TEXT, TIDE_WRITABLE_TEXT, false, &err));
    snprintf(expected, sizeof expected, "cannot write %s: no random bytes from the system: Input/output error", path);
    assert_string_equal(err.text, expected);
}

static void a_disk_that_cannot_be_read_is_told(void **state) {
    write_records(10, 10, false);
    tide_fault_arm("sequence.read", 0, 1);
    expect_error(TIDE_EIO, "reading at byte 0: Input/output error");
}

/* Every allocation of writing and of reading fails once. */
static void memory_that_runs_out_is_an_error(void **state) {
    struct tide_buffer record, out;

    tide_buffer_create(&record);
    tide_buffer_create(&out);
    make_record(1, 3000, &record);
    for (int compressed = 0; compressed < 2; compressed++) {
        bool done = false;
        for (long skip = 0; !done; skip++) {
            struct tide_sequence_writer *writer = open_writer(TIDE_WRITABLE_INT, TIDE_WRITABLE_TEXT, compressed);
            tide_fault_arm("alloc", skip, 1);
            int code = tide_sequence_writer_add(writer, record.data, record.size, &err);
            if (code == 0) code = tide_sequence_writer_finish(writer, false, &err);
            done = code == 0;
            if (!done) assert_int_equal(code, TIDE_ENOMEM);
            tide_fault_clear();
            tide_sequence_writer_delete(writer);
            assert_true(skip < 100);
        }
        write_records(500, 300, compressed);
        done = false;
        for (long skip = 0; !done; skip++) {
            out.size = 0;
            tide_fault_arm("alloc", skip, 1);
            int64_t got = read_range(0, UINT64_MAX, TIDE_SEQUENCE_PAIRS, &out);
            tide_fault_clear();
            done = got == 500;
            if (!done) {
                assert_int_equal(got, TIDE_ENOMEM);
                assert_memory_equal(err.text, path, strlen(path));
            }
            assert_true(skip < 1000);
        }
        expect_records(&out, 0, 500, 300);
    }
    tide_buffer_destroy(&record);
    tide_buffer_destroy(&out);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_plain_file_byte_for_byte),
        TEST(compressed_blocks_from_elsewhere_are_read),
        TEST(compressed_records_are_read),
        TEST(gzip_and_metadata_are_read),
        TEST(records_come_back),
        TEST(compression_makes_it_smaller),
        TEST(ranges_divide_a_file),
        TEST(ranges_are_cut_at_any_byte),
        TEST(groups_come_back),
        TEST(values_that_are_no_group_are_refused),
        TEST(the_writer_goes_on_after_a_record_that_does_not_fit),
        TEST(foreign_files_are_named),
        TEST(damaged_records_are_named),
        TEST(damage_anywhere_does_no_harm),
        TEST(a_full_disk_is_told),
        TEST(what_cannot_be_opened_is_told),
        TEST(a_disk_that_cannot_be_read_is_told),
        TEST(memory_that_runs_out_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
