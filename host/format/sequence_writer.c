/*
 * Records to SequenceFiles (see sequence_writer.h). Called by worker Lua through FFI
 * (lua/moontide/worker/sequence.lua): once for each record of saveAsHadoopFile, once for each group of records of
 * saveAsObjectFile.
 */
#include "format/sequence_writer.h"

#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "format/part_file.h"
#include "format/sequence_file.h"
#include "wire/hash.h"
#include "wire/unpack.h"

enum {
    OUT_TARGET = 64 * 1024,     /* bytes collected for a write */
    SYNC_INTERVAL = 100 * 1024, /* least distance of sync markers, in files without blocks: Hadoop's value */
    BLOCK_TARGET = 1000000      /* bytes of keys and values in a compressed block: Hadoop's value */
};

struct tide_sequence_writer {
    int fd;
    char *path;
    struct tide_sequence_header header;
    struct tide_buffer out; /* not written yet */
    uint64_t written;
    struct tide_hasher *hasher; /* of the bytes written */
    uint64_t synced;            /* position after the last marker, or 0 */
    struct tide_buffer record;  /* the record being added, without blocks */
    /* The block being filled. */
    struct tide_buffer key_sizes, keys, value_sizes, values;
    uint32_t records;
    z_stream zip;
    bool zips; /* deflateEnd is due */
};

static int no_memory(const struct tide_sequence_writer *writer, struct tide_error *err) {
    return tide_error_set(err, TIDE_ENOMEM, "cannot write %s: out of memory", writer->path);
}

static uint64_t position(const struct tide_sequence_writer *writer) { return writer->written + writer->out.size; }

/* ---- Bytes to the file ---------------------------------------------------------------------------------------- */

static int flush(struct tide_sequence_writer *writer, struct tide_error *err) {
    size_t size = writer->out.size;

    tide_hasher_add(writer->hasher, writer->out.data, size);
    int code = tide_part_file_write(writer->fd, writer->path, writer->out.data, size, writer->written,
                                    "sequence.write", err);
    if (code != 0) return code;
    writer->written += size;
    writer->out.size = 0;
    return 0;
}

static int append(struct tide_sequence_writer *writer, const void *data, size_t size, struct tide_error *err) {
    if (!tide_buffer_reserve_try(&writer->out, size)) return no_memory(writer, err);
    tide_buffer_append(&writer->out, data, size);
    return writer->out.size >= OUT_TARGET ? flush(writer, err) : 0;
}

static int append_marker(struct tide_sequence_writer *writer, struct tide_error *err) {
    int code = append(writer, writer->header.marker, TIDE_SEQUENCE_MARKER, err);

    writer->synced = position(writer);
    return code;
}

static int append_vint(struct tide_sequence_writer *writer, int64_t value, struct tide_error *err) {
    uint8_t bytes[TIDE_VINT_SIZE];

    return append(writer, bytes, tide_vint_put(bytes, value), err);
}

/* ---- Blocks --------------------------------------------------------------------------------------------------- */

/* Appends `plain` to the output as a vint and a zlib stream, and empties it. */
static int append_zipped(struct tide_sequence_writer *writer, struct tide_buffer *plain, struct tide_error *err) {
    struct tide_buffer *zipped = &writer->record;
    z_stream *zip = &writer->zip;

    deflateReset(zip);
    zipped->size = 0;
    zip->next_in = plain->data;
    zip->avail_in = (uInt)plain->size;
    int state = Z_OK;
    while (state != Z_STREAM_END) {
        if (!tide_buffer_reserve_try(zipped, plain->size / 2 + 64)) return no_memory(writer, err);
        size_t left = zipped->capacity - zipped->size;
        uInt room = left < INT32_MAX ? (uInt)left : INT32_MAX;
        zip->next_out = zipped->data + zipped->size;
        zip->avail_out = room;
        state = deflate(zip, Z_FINISH);
        zipped->size += room - zip->avail_out;
        if (state == Z_STREAM_ERROR) {
            return tide_error_set(err, TIDE_ESTATE, "cannot write %s: compression failed: %s", writer->path,
                                  zip->msg ? zip->msg : "unknown reason");
        }
    }
    if (zipped->size > INT32_MAX)
        return tide_error_set(err, TIDE_ELIMIT, "cannot write %s: a block is over 2 GiB", writer->path);
    plain->size = 0;
    int code = append_vint(writer, (int64_t)zipped->size, err);
    return code != 0 ? code : append(writer, zipped->data, zipped->size, err);
}

static int end_block(struct tide_sequence_writer *writer, struct tide_error *err) {
    struct tide_buffer *parts[] = {&writer->key_sizes, &writer->keys, &writer->value_sizes, &writer->values};

    if (writer->records == 0) return 0;
    int code = append_marker(writer, err);
    if (code == 0) code = append_vint(writer, writer->records, err);
    for (int i = 0; i < 4 && code == 0; i++) code = append_zipped(writer, parts[i], err);
    writer->records = 0;
    return code;
}

static bool append_size(struct tide_buffer *sizes, size_t size) {
    if (!tide_buffer_reserve_try(sizes, TIDE_VINT_SIZE)) return false;
    sizes->size += tide_vint_put(sizes->data + sizes->size, (int64_t)size);
    return true;
}

/* ---- Records -------------------------------------------------------------------------------------------------- */

/* Completes a record whose key and value are the last bytes of the buffers for keys and values (without blocks, both
 * are `record`). */
static int end_record(struct tide_sequence_writer *writer, size_t key_size, size_t value_size,
                      struct tide_error *err) {
    if (key_size + value_size > INT32_MAX) {
        return tide_error_set(err, TIDE_ELIMIT,
                              "cannot write %s: a record of %zu bytes is over the 2 GiB of the format", writer->path,
                              key_size + value_size);
    }
    if (writer->header.compression == TIDE_SEQUENCE_BLOCKS) {
        if (!append_size(&writer->key_sizes, key_size) || !append_size(&writer->value_sizes, value_size)) {
            return no_memory(writer, err);
        }
        writer->records++;
        return writer->keys.size + writer->values.size >= BLOCK_TARGET ? end_block(writer, err) : 0;
    }
    int code = position(writer) >= writer->synced + SYNC_INTERVAL ? append_marker(writer, err) : 0;
    uint8_t sizes[8];
    tide_put_big32(sizes, (uint32_t)(key_size + value_size));
    tide_put_big32(sizes + 4, (uint32_t)key_size);
    if (code == 0) code = append(writer, sizes, sizeof sizes, err);
    if (code == 0) code = append(writer, writer->record.data, writer->record.size, err);
    return code;
}

/* Encodes a key or a value. One that does not fit is no failure of the file. */
static int add_half(struct tide_sequence_writer *writer, enum tide_writable kind, const char *what,
                    const uint8_t *packed, const uint8_t *end, struct tide_buffer *into, struct tide_error *err) {
    int code = tide_writable_encode(kind, packed, end, into, err);

    if (code == TIDE_EINVAL || code == TIDE_ELIMIT) {
        tide_error_set(err, TIDE_EINVAL, "the %s is %s", what, err ? err->text : "");
        return TIDE_EINVAL;
    }
    return code == TIDE_ENOMEM ? no_memory(writer, err) : code;
}

int tide_sequence_writer_add(struct tide_sequence_writer *writer, const uint8_t *record, size_t size,
                             struct tide_error *err) {
    bool blocks = writer->header.compression == TIDE_SEQUENCE_BLOCKS;
    const uint8_t *end = record + size;
    const uint8_t *second = tide_unpack_skip(record, end);

    if (!second || tide_unpack_skip(second, end) != end) {
        return tide_error_set(err, TIDE_EINVAL, "the record is not two packed values");
    }
    writer->record.size = 0;
    struct tide_buffer *keys = blocks ? &writer->keys : &writer->record;
    struct tide_buffer *values = blocks ? &writer->values : &writer->record;
    size_t key_start = keys->size;
    int code = add_half(writer, writer->header.key, "key", record, second, keys, err);
    if (code != 0) return code;
    size_t key_size = keys->size - key_start, value_start = values->size;
    code = add_half(writer, writer->header.value, "value", second, end, values, err);
    if (code != 0) {
        keys->size = key_start;
        return code;
    }
    return end_record(writer, key_size, values->size - value_start, err);
}

int tide_sequence_writer_group(struct tide_sequence_writer *writer, const uint8_t *bytes, size_t size,
                               struct tide_error *err) {
    bool blocks = writer->header.compression == TIDE_SEQUENCE_BLOCKS;
    struct tide_buffer *values = blocks ? &writer->values : &writer->record;

    writer->record.size = 0;
    if (size > INT32_MAX - 64) {
        return tide_error_set(err, TIDE_ELIMIT,
                              "cannot write %s: %d records of together %zu bytes are over the 2 GiB of the format",
                              writer->path, TIDE_SEQUENCE_GROUP, size);
    }
    if (!tide_buffer_reserve_try(values, size + 4)) return no_memory(writer, err);
    tide_put_big32(values->data + values->size, (uint32_t)size);
    values->size += 4;
    tide_buffer_append(values, bytes, size);
    return end_record(writer, 0, size + 4, err);
}

/* ---- Life ----------------------------------------------------------------------------------------------------- */

struct tide_sequence_writer *tide_sequence_writer_new(const char *path, enum tide_writable key,
                                                      enum tide_writable value, bool compress,
                                                      struct tide_error *err) {
    int fd = tide_part_file_create(path, err);

    if (fd < 0) return NULL;
    struct tide_sequence_writer *writer = tide_xcalloc(1, sizeof *writer);
    writer->fd = fd;
    writer->path = tide_xstrdup(path);
    writer->hasher = tide_hasher_new();
    writer->header.key = key;
    writer->header.value = value;
    writer->header.compression = compress ? TIDE_SEQUENCE_BLOCKS : TIDE_SEQUENCE_PLAIN;
    if (!writer->hasher) {
        no_memory(writer, err);
        goto fail;
    }
    if (compress && deflateInit(&writer->zip, Z_DEFAULT_COMPRESSION) != Z_OK) {
        no_memory(writer, err);
        goto fail;
    }
    writer->zips = compress;
    if (tide_sequence_header_write(&writer->header, &writer->out, err) != 0) {
        tide_error_prefix(err, "cannot write %s", path);
        goto fail;
    }
    return writer;
fail:
    tide_sequence_writer_delete(writer);
    return NULL;
}

int tide_sequence_writer_finish(struct tide_sequence_writer *writer, bool sync, struct tide_error *err) {
    int code = end_block(writer, err);

    if (code == 0) code = flush(writer, err);
    if (code != 0) return code;
    int fd = writer->fd;
    writer->fd = -1;
    return tide_part_file_close(fd, writer->path, sync, err);
}

void tide_sequence_writer_checksum(const struct tide_sequence_writer *writer, struct tide_file_checksum *checksum) {
    uint64_t hash = tide_hasher_value(writer->hasher);

    *checksum = (struct tide_file_checksum){writer->written, {(uint32_t)(hash >> 32), (uint32_t)hash}};
}

void tide_sequence_writer_delete(struct tide_sequence_writer *writer) {
    if (!writer) return;
    if (writer->fd >= 0) close(writer->fd);
    if (writer->zips) deflateEnd(&writer->zip);
    tide_hasher_delete(writer->hasher);
    tide_buffer_destroy(&writer->out);
    tide_buffer_destroy(&writer->record);
    tide_buffer_destroy(&writer->key_sizes);
    tide_buffer_destroy(&writer->keys);
    tide_buffer_destroy(&writer->value_sizes);
    tide_buffer_destroy(&writer->values);
    tide_free(writer->path);
    tide_free(writer);
}
