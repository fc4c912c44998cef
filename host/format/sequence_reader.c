/*
 * Ranges of SequenceFiles (see sequence_reader.h). Called by worker Lua through FFI
 * (lua/moontide/worker/sequence.lua).
 *
 * Files may be damaged: every length is checked against the size of the file before memory is allocated for it. `in`
 * is a window that slides over the file; it holds the current record or block.
 */
#include "format/sequence_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "format/sequence_file.h"
#include "wire/big_endian.h"
#include "wire/record.h"

enum { READ_SIZE = 64 * 1024, MAX_PLAIN = INT32_MAX, EITHER_HEADER = 15 + 32 /* zlib or gzip */ };

/* The contents of a compressed block, and the position of its next record. */
struct unzipped {
    struct tide_buffer key_sizes, keys, value_sizes, values;
    const uint8_t *key_size, *key, *value_size, *value;
    int64_t left; /* records */
    uint64_t at;  /* where the block begins in the file */
};

struct tide_sequence_reader {
    int fd;
    char *path;
    enum tide_sequence_form form;
    struct tide_sequence_header header;
    uint64_t file_size;
    uint64_t end; /* of the range */
    bool finished;
    struct tide_buffer in; /* the window */
    size_t in_at;          /* its first unread byte */
    uint64_t in_offset;    /* where in the file the window begins */
    struct unzipped block;
    struct tide_buffer value; /* a decompressed single value */
    z_stream zip;
    bool zips;                /* inflateEnd is due */
    struct tide_block *out;   /* being filled, or NULL */
    struct tide_block *ready; /* the previous one, when the arity has changed */
    uint64_t mixed_at;        /* where the arity of an object file changes; 0: nowhere */
    struct tide_error failed; /* returned after the records before it */
};

static uint64_t position(const struct tide_sequence_reader *reader) { return reader->in_offset + reader->in_at; }

/* ---- Errors --------------------------------------------------------------------------------------------------- */

static int no_memory(const struct tide_sequence_reader *reader, uint64_t at, struct tide_error *err) {
    return tide_error_set(err, TIDE_ENOMEM, "%s: at byte %llu: out of memory while reading it", reader->path,
                          (unsigned long long)at);
}

static int corrupt(const struct tide_sequence_reader *reader, uint64_t at, const char *what, struct tide_error *err) {
    return tide_error_set(err, TIDE_ECORRUPT, "%s: at byte %llu: %s; the file is damaged", reader->path,
                          (unsigned long long)at, what);
}

static int cut_short(const struct tide_sequence_reader *reader, uint64_t at, struct tide_error *err) {
    return tide_error_set(
        err, TIDE_ECORRUPT,
        "%s: at byte %llu: the record there is longer than the file, which ends at byte %llu: it was not "
        "written to its end, or is damaged",
        reader->path, (unsigned long long)at, (unsigned long long)reader->file_size);
}

/* ---- The window ----------------------------------------------------------------------------------------------- */

static int read_more(struct tide_sequence_reader *reader, size_t size, struct tide_error *err) {
    while (size > 0) {
        uint64_t from = reader->in_offset + reader->in.size;
        ssize_t got = pread(reader->fd, reader->in.data + reader->in.size, size, (off_t)from);
        if (tide_fault("sequence.read")) {
            got = -1;
            errno = EIO;
        }
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            return tide_error_set(err, TIDE_EIO, "%s: reading at byte %llu: %s", reader->path,
                                  (unsigned long long)from,
                                  got < 0 ? strerror(errno) : "the file has become shorter");
        }
        reader->in.size += (size_t)got;
        size -= (size_t)got;
    }
    return 0;
}

/* Extends the window to `need` bytes from the position. 1: done. 0: the file has fewer. Negative: TIDE_E*. */
static int look(struct tide_sequence_reader *reader, uint64_t need, struct tide_error *err) {
    size_t have = reader->in.size - reader->in_at;

    if (have >= need) return 1;
    if (need > reader->file_size - position(reader)) return 0;
    /* Discards bytes already read, unless moving the rest costs more than it frees. */
    if (reader->in_at > have || reader->in_at > READ_SIZE) {
        memmove(reader->in.data, reader->in.data + reader->in_at, have);
        reader->in_offset += reader->in_at;
        reader->in_at = 0;
        reader->in.size = have;
    }
    uint64_t more = need - have, left = reader->file_size - reader->in_offset - reader->in.size;
    if (more < READ_SIZE) more = left < READ_SIZE ? left : READ_SIZE;
    if (!tide_buffer_reserve_try(&reader->in, more)) return no_memory(reader, position(reader), err);
    int code = read_more(reader, more, err);
    return code != 0 ? code : 1;
}

/* The same, where fewer bytes are an error. `at`: where their record or block begins. */
static int need(struct tide_sequence_reader *reader, uint64_t size, uint64_t at, struct tide_error *err) {
    int found = look(reader, size, err);

    return found < 0 ? found : found == 0 ? cut_short(reader, at, err) : 0;
}

static const uint8_t *here(const struct tide_sequence_reader *reader) { return reader->in.data + reader->in_at; }

/* A vint: the number of bytes or records that follow. */
static int take_count(struct tide_sequence_reader *reader, uint64_t at, int64_t *count, struct tide_error *err) {
    int code = need(reader, 1, at, err);

    if (code == 0) code = need(reader, tide_vint_size(*here(reader)), at, err);
    if (code != 0) return code;
    const uint8_t *next = tide_vint_get(here(reader), reader->in.data + reader->in.size, count);
    reader->in_at += (size_t)(next - here(reader));
    return *count < 0 || *count > INT32_MAX ? corrupt(reader, at, "a length is out of range", err) : 0;
}

/* ---- Decompression -------------------------------------------------------------------------------------------- */

/* Replaces the contents of `out` by those of one zlib or gzip stream, which must be exactly `size` bytes long. */
static int inflate_all(struct tide_sequence_reader *reader, const uint8_t *data, size_t size, struct tide_buffer *out,
                       uint64_t at, struct tide_error *err) {
    z_stream *zip = &reader->zip;

    out->size = 0;
    if (size == 0) return 0;
    if (inflateReset(zip) != Z_OK) return corrupt(reader, at, "decompression cannot begin", err);
    zip->next_in = (uint8_t *)(uintptr_t)data;
    zip->avail_in = (uInt)size;
    for (;;) {
        if (out->size > MAX_PLAIN) {
            return tide_error_set(err, TIDE_ELIMIT, "%s: at byte %llu: decompressed, it is over 2 GiB", reader->path,
                                  (unsigned long long)at);
        }
        if (!tide_buffer_reserve_try(out, size < READ_SIZE ? 2 * size + 64 : READ_SIZE))
            return no_memory(reader, at, err);
        size_t left = out->capacity - out->size;
        uInt room = left < INT32_MAX ? (uInt)left : INT32_MAX;
        zip->next_out = out->data + out->size;
        zip->avail_out = room;
        int state = inflate(zip, Z_NO_FLUSH);
        out->size += room - zip->avail_out;
        if (state == Z_STREAM_END) break;
        if (state == Z_MEM_ERROR) return no_memory(reader, at, err);
        /* There is room for output, so the input has ended early. */
        if (state == Z_BUF_ERROR) return corrupt(reader, at, "compressed data is cut off", err);
        if (state != Z_OK) return corrupt(reader, at, zip->msg ? zip->msg : "compressed data can't be read", err);
    }
    return zip->avail_in > 0 ? corrupt(reader, at, "there are bytes behind the end of compressed data", err) : 0;
}

/* ---- Records → blocks ------------------------------------------------------------------------------------------ */

static int begin_out(struct tide_sequence_reader *reader, uint64_t at, struct tide_error *err) {
    if (reader->out) return 0;
    reader->out = tide_block_new(TIDE_BLOCK_PACKED, reader->form == TIDE_SEQUENCE_PAIRS ? 2 : 0, READ_SIZE, NULL);
    return reader->out ? 0 : no_memory(reader, at, err);
}

static int append_pair(struct tide_sequence_reader *reader, const uint8_t *key, size_t key_size, const uint8_t *value,
                       size_t value_size, uint64_t at, struct tide_error *err) {
    uint64_t size = reader->out->size;
    int code = tide_writable_decode(reader->header.key, key, key_size, reader->out, err);
    const char *what = "the key";

    if (code == 0) {
        what = "the value";
        code = tide_writable_decode(reader->header.value, value, value_size, reader->out, err);
    }
    if (code != 0) {
        reader->out->size = size;
        if (code == TIDE_ENOMEM) return no_memory(reader, at, err);
        tide_error_prefix(err, "%s: at byte %llu: %s of the record", reader->path, (unsigned long long)at, what);
        return code;
    }
    reader->out->count++;
    return 0;
}

/* Counts the records of a group. 0: it is not a group, or *why says what is wrong with a record. No record is nil. */
static uint32_t count_group(const uint8_t *data, const uint8_t *end, const char **why) {
    enum { NIL = 0xc0 };
    *why = NULL;
    if (data == end || (*data != 1 && *data != 2)) return 0;
    uint32_t arity = *data, values = 0;
    for (const uint8_t *at = data + 1; at < end; values++) {
        if (*at == NIL) return 0;
        at = tide_record_pass(at, end, why);
        if (!at) return 0;
    }
    return values % arity == 0 ? values / arity : 0;
}

static int append_group(struct tide_sequence_reader *reader, const uint8_t *value, size_t size, uint64_t at,
                        struct tide_error *err) {
    const uint8_t *data = value + 4, *end = value + size;

    if (size < 4 || tide_load_big32(value) != size - 4) {
        return corrupt(reader, at, "the length inside a BytesWritable does not fit its bytes", err);
    }
    if (size - 4 >= 2 && data[0] == 0xac && data[1] == 0xed) {
        return tide_error_set(err, TIDE_ECORRUPT,
                              "%s: at byte %llu: the object file holds Java objects, which only a JVM can read",
                              reader->path, (unsigned long long)at);
    }
    const char *why;
    uint32_t records = count_group(data, end, &why);
    if (why) {
        return tide_error_set(err, TIDE_ECORRUPT, "%s: at byte %llu: a record of the group there has %s",
                              reader->path, (unsigned long long)at, why);
    }
    if (records == 0) return corrupt(reader, at, "the value is no group of packed records", err);
    if (reader->out->count > 0 && reader->out->arity != data[0]) {
        reader->ready = reader->out;
        reader->out = NULL;
        reader->mixed_at = at;
        int code = begin_out(reader, at, err);
        if (code != 0) return code;
    }
    size_t bytes = size - 5;
    if (!tide_block_reserve(reader->out, bytes)) return no_memory(reader, at, err);
    memcpy(reader->out->data + reader->out->size, data + 1, bytes);
    reader->out->size += bytes;
    reader->out->count += records;
    reader->out->arity = data[0];
    return 0;
}

static int append(struct tide_sequence_reader *reader, const uint8_t *key, size_t key_size, const uint8_t *value,
                  size_t value_size, uint64_t at, struct tide_error *err) {
    if (reader->form == TIDE_SEQUENCE_PAIRS) return append_pair(reader, key, key_size, value, value_size, at, err);
    if (key_size != 0) return corrupt(reader, at, "a NullWritable has bytes", err);
    return append_group(reader, value, value_size, at, err);
}

/* ---- The file's parts ------------------------------------------------------------------------------------------ */

/* Skips the sync marker at the position. 1: done; 0: it belongs to the next range, or the file has ended. */
static int pass_marker(struct tide_sequence_reader *reader, struct tide_error *err) {
    uint64_t at = position(reader);
    int code = need(reader, TIDE_SEQUENCE_MARKER, at, err);

    if (code != 0) return code;
    if (memcmp(here(reader), reader->header.marker, TIDE_SEQUENCE_MARKER) != 0) {
        return corrupt(reader, at, "the sync marker is not that of the file", err);
    }
    if (at >= reader->end) return 0;
    reader->in_at += TIDE_SEQUENCE_MARKER;
    return 1;
}

/* The next record of a file without blocks. 1: appended, or a marker skipped; 0: end; negative: TIDE_E*. */
static int next_record(struct tide_sequence_reader *reader, struct tide_error *err) {
    uint64_t at = position(reader);

    if (at == reader->file_size) return 0;
    int code = need(reader, 4, at, err);
    if (code != 0) return code;
    int32_t size = (int32_t)tide_load_big32(here(reader));
    if (size == -1) return pass_marker(reader, err);
    if (size < 0) return corrupt(reader, at, "the length of a record is negative", err);
    code = need(reader, 8, at, err);
    if (code != 0) return code;
    uint32_t key_size = tide_load_big32(here(reader) + 4);
    if (key_size > (uint32_t)size) return corrupt(reader, at, "the key of a record is longer than the record", err);
    code = need(reader, 8 + (uint64_t)size, at, err);
    if (code != 0) return code;
    const uint8_t *key = here(reader) + 8, *value = key + key_size;
    size_t value_size = (size_t)size - key_size;
    if (reader->header.compression == TIDE_SEQUENCE_RECORDS) {
        code = inflate_all(reader, value, value_size, &reader->value, at, err);
        if (code != 0) return code;
        value = reader->value.data;
        value_size = reader->value.size;
    }
    code = append(reader, key, key_size, value, value_size, at, err);
    if (code != 0) return code;
    reader->in_at += 8 + (size_t)size;
    return 1;
}

static int open_part(struct tide_sequence_reader *reader, struct tide_buffer *out, struct tide_error *err) {
    int64_t size;
    uint64_t at = reader->block.at;
    int code = take_count(reader, at, &size, err);

    if (code == 0) code = need(reader, (uint64_t)size, at, err);
    if (code == 0) code = inflate_all(reader, here(reader), (size_t)size, out, at, err);
    if (code == 0) reader->in_at += (size_t)size;
    return code;
}

/* Opens the block at the position. 1: done; 0: end; negative: TIDE_E*. */
static int open_block(struct tide_sequence_reader *reader, struct tide_error *err) {
    struct unzipped *block = &reader->block;

    block->at = position(reader);
    if (block->at == reader->file_size) return 0;
    int code = pass_marker(reader, err);
    if (code <= 0) return code;
    int64_t records;
    code = take_count(reader, block->at, &records, err);
    if (code == 0) code = open_part(reader, &block->key_sizes, err);
    if (code == 0) code = open_part(reader, &block->keys, err);
    if (code == 0) code = open_part(reader, &block->value_sizes, err);
    if (code == 0) code = open_part(reader, &block->values, err);
    if (code != 0) return code;
    block->key_size = block->key_sizes.data;
    block->key = block->keys.data;
    block->value_size = block->value_sizes.data;
    block->value = block->values.data;
    block->left = records;
    return 1;
}

/* The next key or value of a block. false: it is missing. */
static bool take_part(const struct tide_buffer *sizes, const uint8_t **size_at, const struct tide_buffer *parts,
                      const uint8_t **part_at, const uint8_t **part, size_t *size) {
    int64_t length;

    if (sizes->size == 0) return false;
    const uint8_t *next = tide_vint_get(*size_at, sizes->data + sizes->size, &length);
    size_t left = parts->size == 0 ? 0 : (size_t)(parts->data + parts->size - *part_at);
    if (!next || length < 0 || (uint64_t)length > left) return false;
    *size_at = next;
    *part = *part_at;
    *size = (size_t)length;
    if (length > 0) *part_at += length;
    return true;
}

/* The next record of the open block. */
static int next_in_block(struct tide_sequence_reader *reader, struct tide_error *err) {
    struct unzipped *block = &reader->block;
    const uint8_t *key, *value;
    size_t key_size, value_size;

    if (!take_part(&block->key_sizes, &block->key_size, &block->keys, &block->key, &key, &key_size) ||
        !take_part(&block->value_sizes, &block->value_size, &block->values, &block->value, &value, &value_size)) {
        return corrupt(reader, block->at, "a block has fewer keys or values than it says", err);
    }
    block->left--;
    int code = append(reader, key, key_size, value, value_size, block->at, err);
    return code != 0 ? code : 1;
}

static int step(struct tide_sequence_reader *reader, struct tide_error *err) {
    if (reader->header.compression != TIDE_SEQUENCE_BLOCKS) return next_record(reader, err);
    return reader->block.left > 0 ? next_in_block(reader, err) : open_block(reader, err);
}

/* Whether a block can be returned. */
static bool is_full(const struct tide_sequence_reader *reader) {
    return reader->ready || reader->out->size >= TIDE_BLOCK_TARGET;
}

int tide_sequence_reader_next(struct tide_sequence_reader *reader, struct tide_block **block,
                              struct tide_error *err) {
    int code = begin_out(reader, position(reader), err);

    if (code != 0) return code;
    while (!reader->finished && !is_full(reader)) {
        code = step(reader, &reader->failed);
        reader->finished = code <= 0;
    }
    struct tide_block **give = reader->ready ? &reader->ready : &reader->out;
    if (*give && (*give)->count > 0) {
        *block = *give;
        *give = NULL;
        return 1;
    }
    if (reader->failed.code == 0) return 0;
    return tide_error_copy(err, &reader->failed);
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

static int open_file(struct tide_sequence_reader *reader, struct tide_error *err) {
    struct stat status;

    reader->fd = open(reader->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (reader->fd < 0 || fstat(reader->fd, &status) != 0) {
        return tide_error_set(err, errno == ENOENT ? TIDE_ENOTFOUND : TIDE_EIO, "%s: %s", reader->path,
                              strerror(errno));
    }
    if (!S_ISREG(status.st_mode)) return tide_error_set(err, TIDE_EIO, "%s: it is not a regular file", reader->path);
    reader->file_size = (uint64_t)status.st_size;
    if (reader->file_size == 0) {
        return tide_error_set(err, TIDE_ECORRUPT,
                              "%s: at byte 0: the file is empty; a SequenceFile has a header at least", reader->path);
    }
    return 0;
}

static int read_header(struct tide_sequence_reader *reader, struct tide_error *err) {
    uint64_t want = reader->file_size < READ_SIZE ? reader->file_size : READ_SIZE;

    for (;;) {
        int code = look(reader, want, err);
        if (code < 0) return code;
        code = tide_sequence_header_read(&reader->header, reader->in.data, reader->in.size, err);
        if (code < 0) {
            tide_error_prefix(err, "%s", reader->path);
            return code;
        }
        if (code == 1) return 0;
        if (want == reader->file_size) {
            return tide_error_set(
                err, TIDE_ECORRUPT,
                "%s: at byte 0: the file ends at byte %llu, inside its header; it was not written to its end",
                reader->path, (unsigned long long)reader->file_size);
        }
        want = want * 2 < reader->file_size ? want * 2 : reader->file_size;
    }
}

/* Moves to the first marker at or after `from` that begins before the end of the range. */
static int find_marker(struct tide_sequence_reader *reader, uint64_t from, struct tide_error *err) {
    reader->in_offset = from;
    reader->in.size = reader->in_at = 0;
    for (;;) {
        uint64_t left = reader->file_size - position(reader);
        if (position(reader) >= reader->end || left < TIDE_SEQUENCE_MARKER) break;
        int code = look(reader, left < READ_SIZE ? left : READ_SIZE, err);
        if (code < 0) return code;
        size_t have = reader->in.size - reader->in_at;
        const uint8_t *marker = memmem(here(reader), have, reader->header.marker, TIDE_SEQUENCE_MARKER);
        if (marker) {
            reader->in_at = (size_t)(marker - reader->in.data);
            reader->finished = position(reader) >= reader->end;
            return 0;
        }
        reader->in_at = reader->in.size - (TIDE_SEQUENCE_MARKER - 1);
    }
    reader->finished = true;
    return 0;
}

static int check_form(const struct tide_sequence_reader *reader, struct tide_error *err) {
    const struct tide_sequence_header *header = &reader->header;

    if (reader->form == TIDE_SEQUENCE_PAIRS) return 0;
    if (header->key == TIDE_WRITABLE_NULL && header->value == TIDE_WRITABLE_BYTES) return 0;
    return tide_error_set(
        err, TIDE_ECORRUPT,
        "%s: at byte 4: it is no object file, which has NullWritable and BytesWritable; it has %s and %s: "
        "read it with sequenceFile",
        reader->path, tide_writable_name(header->key), tide_writable_name(header->value));
}

struct tide_sequence_reader *tide_sequence_reader_new(const char *path, uint64_t offset, uint64_t length,
                                                      enum tide_sequence_form form, struct tide_error *err) {
    struct tide_sequence_reader *reader = tide_xcalloc(1, sizeof *reader);

    reader->fd = -1;
    reader->path = tide_xstrdup(path);
    reader->form = form;
    reader->end = length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    if (open_file(reader, err) != 0 || read_header(reader, err) != 0 || check_form(reader, err) != 0) goto fail;
    if (reader->header.compression != TIDE_SEQUENCE_PLAIN) {
        if (inflateInit2(&reader->zip, EITHER_HEADER) != Z_OK) {
            no_memory(reader, 0, err);
            goto fail;
        }
        reader->zips = true;
    }
    reader->in_at = reader->header.size;
    if (offset > 0) {
        uint64_t from = offset > reader->header.size ? offset : reader->header.size;
        if (from > reader->file_size) from = reader->file_size;
        if (find_marker(reader, from, err) != 0) goto fail;
    }
    return reader;
fail:
    tide_sequence_reader_delete(reader);
    return NULL;
}

uint64_t tide_sequence_reader_mixed_at(const struct tide_sequence_reader *reader) { return reader->mixed_at; }

void tide_sequence_reader_delete(struct tide_sequence_reader *reader) {
    if (!reader) return;
    if (reader->fd >= 0) close(reader->fd);
    if (reader->zips) inflateEnd(&reader->zip);
    tide_block_release(reader->out);
    tide_block_release(reader->ready);
    tide_buffer_destroy(&reader->in);
    tide_buffer_destroy(&reader->value);
    tide_buffer_destroy(&reader->block.key_sizes);
    tide_buffer_destroy(&reader->block.keys);
    tide_buffer_destroy(&reader->block.value_sizes);
    tide_buffer_destroy(&reader->block.values);
    tide_error_clear(&reader->failed);
    tide_free(reader->path);
    tide_free(reader);
}
