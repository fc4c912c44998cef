/*
 * The header of SequenceFiles (see sequence_file.h). Called by sequence_writer and sequence_reader, on worker
 * threads.
 */
#include "format/sequence_file.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/fault.h"
#include "wire/big_endian.h"

enum { VERSION = 6, SHOWN = 100 };

static const char DEFAULT_CODEC[] = "org.apache.hadoop.io.compress.DefaultCodec";

/* Codecs whose data is a zlib or a gzip stream; zlib detects which. */
static const char *const codecs[] = {
    DEFAULT_CODEC,
    "org.apache.hadoop.io.compress.DeflateCodec",
    "org.apache.hadoop.io.compress.GzipCodec",
};

/* ---- Writing -------------------------------------------------------------------------------------------------- */

static void append_text(struct tide_buffer *out, const char *text) {
    uint8_t length[TIDE_VINT_SIZE];

    tide_buffer_append(out, length, tide_vint_put(length, (int64_t)strlen(text)));
    tide_buffer_append(out, text, strlen(text));
}

static int fill_random(uint8_t *bytes, size_t size, struct tide_error *err) {
    for (size_t done = 0; done < size;) {
        ssize_t got = tide_fault("sequence.random") ? (errno = EIO, -1) : getrandom(bytes + done, size - done, 0);
        if (got > 0) {
            done += (size_t)got;
        } else if (errno != EINTR) {
            return tide_error_set(err, TIDE_EIO, "no random bytes from the system: %s", strerror(errno));
        }
    }
    return 0;
}

int tide_sequence_header_write(struct tide_sequence_header *header, struct tide_buffer *out, struct tide_error *err) {
    static const uint8_t no_metadata[4] = {0, 0, 0, 0};
    size_t start = out->size;

    memset(header->marker, 0xff, 4);
    int code = fill_random(header->marker + 4, TIDE_SEQUENCE_SYNC, err);
    if (code != 0) return code;
    uint8_t flags[2] = {header->compression != TIDE_SEQUENCE_PLAIN, header->compression == TIDE_SEQUENCE_BLOCKS};
    tide_buffer_append(out, (const uint8_t[]){'S', 'E', 'Q', VERSION}, 4);
    append_text(out, tide_writable_class(header->key));
    append_text(out, tide_writable_class(header->value));
    tide_buffer_append(out, flags, sizeof flags);
    if (flags[0]) append_text(out, DEFAULT_CODEC);
    tide_buffer_append(out, no_metadata, sizeof no_metadata);
    tide_buffer_append(out, header->marker + 4, TIDE_SEQUENCE_SYNC);
    header->size = out->size - start;
    return 0;
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* The position in a header that is being read. `code`: 0: no error so far; 1: it needs more bytes; else TIDE_E*. */
struct cursor {
    const uint8_t *start, *at, *end;
    int code;
    struct tide_error *err;
};

static size_t offset_of(const struct cursor *cursor) { return (size_t)(cursor->at - cursor->start); }

static const uint8_t *take(struct cursor *cursor, size_t size) {
    if (cursor->code != 0) return NULL;
    if (offset_of(cursor) + size > TIDE_SEQUENCE_MAX_HEADER) {
        cursor->code = tide_error_set(cursor->err, TIDE_ECORRUPT, "at byte %zu: the header is longer than %d MiB",
                                      offset_of(cursor), TIDE_SEQUENCE_MAX_HEADER >> 20);
        return NULL;
    }
    if ((size_t)(cursor->end - cursor->at) < size) {
        cursor->code = 1;
        return NULL;
    }
    const uint8_t *data = cursor->at;
    cursor->at += size;
    return data;
}

/* A name or an entry of the metadata. */
static const uint8_t *take_text(struct cursor *cursor, const char *what, size_t *size) {
    size_t before = offset_of(cursor);
    const uint8_t *first = take(cursor, 1);

    if (!first) return NULL;
    size_t vint_size = tide_vint_size(*first);
    int64_t length = 0;
    if (vint_size > 1 && !take(cursor, vint_size - 1)) return NULL;
    tide_vint_get(first, first + vint_size, &length);
    if (length < 0 || length > TIDE_SEQUENCE_MAX_HEADER) {
        cursor->code = tide_error_set(cursor->err, TIDE_ECORRUPT, "at byte %zu: %lld cannot be the length of %s",
                                      before, (long long)length, what);
        return NULL;
    }
    *size = (size_t)length;
    return take(cursor, *size);
}

/* A class name as printable text, for a message. */
static void show(char text[SHOWN + 1], const uint8_t *data, size_t size) {
    size_t length = size < SHOWN ? size : SHOWN;

    for (size_t i = 0; i < length; i++) text[i] = (char)(data[i] < ' ' || data[i] > '~' ? '?' : data[i]);
    text[length] = '\0';
}

static enum tide_writable take_class(struct cursor *cursor, const char *what) {
    size_t size = 0, before = offset_of(cursor);
    const uint8_t *name = take_text(cursor, what, &size);

    if (!name) return TIDE_WRITABLE_UNKNOWN;
    enum tide_writable kind = tide_writable_find((const char *)name, size);
    if (kind == TIDE_WRITABLE_UNKNOWN) {
        char text[SHOWN + 1];
        show(text, name, size);
        cursor->code = tide_error_set(cursor->err, TIDE_ECORRUPT,
                                      "at byte %zu: %s is %s, which is not read here (read are Text, IntWritable, "
                                      "LongWritable, FloatWritable, DoubleWritable, BooleanWritable, BytesWritable, "
                                      "NullWritable)",
                                      before, what, text);
    }
    return kind;
}

static bool take_flag(struct cursor *cursor, const char *what) {
    size_t before = offset_of(cursor);
    const uint8_t *flag = take(cursor, 1);

    if (flag && *flag > 1) {
        cursor->code = tide_error_set(cursor->err, TIDE_ECORRUPT,
                                      "at byte %zu: the flag for %s is %u, neither 0 nor 1", before, what, *flag);
    }
    return flag && *flag == 1;
}

static void take_codec(struct cursor *cursor) {
    size_t size = 0, before = offset_of(cursor);
    const uint8_t *name = take_text(cursor, "the codec's class name", &size);

    if (!name) return;
    for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++) {
        if (strlen(codecs[i]) == size && memcmp(codecs[i], name, size) == 0) return;
    }
    char text[SHOWN + 1];
    show(text, name, size);
    cursor->code =
        tide_error_set(cursor->err, TIDE_ECORRUPT,
                       "at byte %zu: it is compressed with %s, which is not read here (read are DefaultCodec, "
                       "DeflateCodec, GzipCodec)",
                       before, text);
}

static void take_metadata(struct cursor *cursor) {
    size_t size, before = offset_of(cursor);
    const uint8_t *bytes = take(cursor, 4);

    if (!bytes) return;
    int32_t count = (int32_t)tide_load_big32(bytes);
    if (count < 0) {
        cursor->code = tide_error_set(cursor->err, TIDE_ECORRUPT,
                                      "at byte %zu: %d cannot be a number of metadata entries", before, count);
    }
    for (int32_t i = 0; i < count && cursor->code == 0; i++) {
        take_text(cursor, "a metadata name", &size);
        take_text(cursor, "a metadata value", &size);
    }
}

static void take_magic(struct cursor *cursor) {
    size_t left = (size_t)(cursor->end - cursor->at);

    if (memcmp(cursor->at, "SEQ", left < 3 ? left : 3) != 0) {
        char text[SHOWN + 1];
        show(text, cursor->at, left < 8 ? left : 8);
        cursor->code =
            tide_error_set(cursor->err, TIDE_ECORRUPT,
                           "at byte 0: it is no SequenceFile, which begins with SEQ; it begins with %s", text);
        return;
    }
    const uint8_t *magic = take(cursor, 4);
    if (magic && magic[3] != VERSION) {
        cursor->code = tide_error_set(cursor->err, TIDE_ECORRUPT,
                                      "at byte 3: it is a SequenceFile of version %u; version %d is read here",
                                      magic[3], VERSION);
    }
}

int tide_sequence_header_read(struct tide_sequence_header *header, const uint8_t *data, size_t size,
                              struct tide_error *err) {
    struct cursor cursor = {data, data, data + size, 0, err};

    if (size == 0) return 0;
    take_magic(&cursor);
    header->key = take_class(&cursor, "the class of the keys");
    header->value = take_class(&cursor, "the class of the values");
    bool compressed = take_flag(&cursor, "compression");
    bool blocks = take_flag(&cursor, "compressed blocks");
    if (compressed) take_codec(&cursor);
    if (blocks && !compressed && cursor.code == 0) {
        return tide_error_set(err, TIDE_ECORRUPT, "at byte %zu: blocks without compression do not exist",
                              offset_of(&cursor));
    }
    header->compression = blocks ? TIDE_SEQUENCE_BLOCKS : compressed ? TIDE_SEQUENCE_RECORDS : TIDE_SEQUENCE_PLAIN;
    take_metadata(&cursor);
    const uint8_t *sync = take(&cursor, TIDE_SEQUENCE_SYNC);
    if (cursor.code != 0) return cursor.code == 1 ? 0 : cursor.code;
    memset(header->marker, 0xff, 4);
    memcpy(header->marker + 4, sync, TIDE_SEQUENCE_SYNC);
    header->size = offset_of(&cursor);
    return 1;
}
