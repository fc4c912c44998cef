/*
 * Lines of text to a part file (see text_writer.h). Called by worker Lua through FFI (lua/moontide/worker/save.lua),
 * once for each record of saveAsTextFile.
 */
#include "format/text_writer.h"

#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "format/part_file.h"

enum { GATHERED = 64 * 1024, GZIP_HEADER = 16, WINDOW_BITS = 15, MEMORY_LEVEL = 8 };

struct tide_text_writer {
    int fd;
    char *path;
    bool gzip;
    uint64_t written;
    struct tide_buffer lines; /* not written yet */
    uint8_t *zipped;          /* output of zip, GATHERED bytes */
    z_stream zip;
};

struct tide_text_writer *tide_text_writer_new(const char *path, bool gzip, struct tide_error *err) {
    int fd = tide_part_file_create(path, err);

    if (fd < 0) return NULL;

    struct tide_text_writer *writer = tide_xcalloc(1, sizeof *writer);

    writer->fd = fd;
    writer->path = tide_xstrdup(path);
    if (gzip && deflateInit2(&writer->zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + GZIP_HEADER, MEMORY_LEVEL,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
        tide_error_set(err, TIDE_ENOMEM, "cannot write %s: out of memory", path);
        tide_text_writer_delete(writer);
        return NULL;
    }
    writer->gzip = gzip;
    if (gzip) writer->zipped = tide_xmalloc(GATHERED);
    return writer;
}

static int put(struct tide_text_writer *writer, const uint8_t *data, size_t size, struct tide_error *err) {
    int code = tide_part_file_write(writer->fd, writer->path, data, size, writer->written, "part.write", err);

    writer->written += size;
    return code;
}

static int put_zipped(struct tide_text_writer *writer, const uint8_t *data, size_t size, int flush,
                      struct tide_error *err) {
    z_stream *zip = &writer->zip;
    int state, code = TIDE_OK;

    zip->next_in = (uint8_t *)(uintptr_t)data;
    zip->avail_in = (uInt)size;
    do {
        zip->next_out = writer->zipped;
        zip->avail_out = GATHERED;
        state = deflate(zip, flush);
        code = put(writer, writer->zipped, GATHERED - zip->avail_out, err);
    } while (code == TIDE_OK && (flush == Z_FINISH ? state != Z_STREAM_END : zip->avail_out == 0));
    return code;
}

static int write_bytes(struct tide_text_writer *writer, const uint8_t *data, size_t size, struct tide_error *err) {
    if (!writer->gzip) return put(writer, data, size, err);
    while (size > INT32_MAX) {
        int code = put_zipped(writer, data, INT32_MAX, Z_NO_FLUSH, err);

        if (code != TIDE_OK) return code;
        data += INT32_MAX;
        size -= INT32_MAX;
    }
    return put_zipped(writer, data, size, Z_NO_FLUSH, err);
}

static int flush_lines(struct tide_text_writer *writer, struct tide_error *err) {
    int code = writer->lines.size > 0 ? write_bytes(writer, writer->lines.data, writer->lines.size, err) : TIDE_OK;

    writer->lines.size = 0;
    return code;
}

int tide_text_writer_line(struct tide_text_writer *writer, const char *text, size_t size, struct tide_error *err) {
    int code = TIDE_OK;

    if (writer->lines.size + size >= GATHERED) code = flush_lines(writer, err);
    if (code == TIDE_OK && size >= GATHERED) {
        code = write_bytes(writer, (const uint8_t *)text, size, err);
        size = 0;
    }
    if (code != TIDE_OK) return code;
    tide_buffer_append(&writer->lines, text, size);
    tide_buffer_append(&writer->lines, "\n", 1);
    return TIDE_OK;
}

int tide_text_writer_finish(struct tide_text_writer *writer, bool sync, struct tide_error *err) {
    int code = flush_lines(writer, err), fd = writer->fd;

    if (code == TIDE_OK && writer->gzip) code = put_zipped(writer, NULL, 0, Z_FINISH, err);
    if (code != TIDE_OK) return code;
    writer->fd = -1;
    return tide_part_file_close(fd, writer->path, sync, err);
}

void tide_text_writer_delete(struct tide_text_writer *writer) {
    if (!writer) return;
    if (writer->fd >= 0) close(writer->fd);
    if (writer->gzip) deflateEnd(&writer->zip);
    tide_buffer_destroy(&writer->lines);
    tide_free(writer->zipped);
    tide_free(writer->path);
    tide_free(writer);
}
