/*
 * Writes parts (see part_file.h). Called by format/sequence_writer.c, and by worker Lua through FFI (lua/moontide/worker/save.lua):
 * once for each record of saveAsTextFile.
 */
#include "format/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/directory.h"
#include "base/fault.h"

enum { GATHERED = 64 * 1024, GZIP_HEADER = 16, WINDOW_BITS = 15, MEMORY_LEVEL = 8 };

/* ---- Files ---------------------------------------------------------------------------------------------------- */

static int not_written(struct tide_error *err, const char *path, uint64_t at, const char *reason) {
    return tide_error_set(err, TIDE_EIO, "cannot write %s at byte %llu: %s", path, (unsigned long long)at, reason);
}

/* Cuts the last component off. NULL: the path has only one. */
static char *cut(char *path) {
    char *slash = strrchr(path, '/');

    if (!slash || slash == path) return NULL;
    *slash = '\0';
    return slash + 1;
}

/* Opens `directory`, whose last two components must be directories themselves. -1 and errno. */
static int open_attempt(char *directory) {
    char *last = cut(directory), *before = last ? cut(directory) : NULL;

    if (!before) {
        if (last) last[-1] = '/';
        return open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }

    int top = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int middle = top < 0 ? -1 : tide_directory_open_at(top, before);
    int fd = middle < 0 ? -1 : tide_directory_open_at(middle, last);
    int reason = errno;

    if (top >= 0) close(top);
    if (middle >= 0) close(middle);
    errno = reason;
    return fd;
}

static int create_at(int at, const char *name) {
    if (unlinkat(at, name, 0) != 0 && errno != ENOENT) return -1;
    return openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

int tide_part_create(const char *path, struct tide_error *err) {
    char *directory = tide_xstrdup(path), *name = cut(directory);
    int at = !name ? open(*path == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : open_attempt(directory);
    int fd = at < 0 ? -1 : create_at(at, name ? name : *path == '/' ? path + 1 : path);

    if (fd < 0) tide_error_set(err, TIDE_EIO, "cannot write %s: %s", path, strerror(errno));
    if (at >= 0) close(at);
    tide_free(directory);
    return fd < 0 ? TIDE_EIO : fd;
}

int tide_part_write(int fd, const char *path, const uint8_t *data, size_t size, uint64_t at, const char *fault,
                    struct tide_error *err) {
    while (size > 0) {
        ssize_t put = tide_fault(fault) ? (errno = ENOSPC, -1) : write(fd, data, size);

        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return not_written(err, path, at, strerror(errno));
        data += put;
        at += (uint64_t)put;
        size -= (size_t)put;
    }
    return TIDE_OK;
}

int tide_part_close(int fd, const char *path, bool sync, struct tide_error *err) {
    int code = sync ? tide_sync(fd, path, err) : TIDE_OK;
    int closed = close(fd);

    if (code == TIDE_OK && closed != 0)
        code = tide_error_set(err, TIDE_EIO, "cannot write %s: %s", path, strerror(errno));
    return code;
}

/* ---- Lines ---------------------------------------------------------------------------------------------------- */

struct tide_text_part {
    int fd;
    char *path;
    bool gzip;
    uint64_t written;
    struct tide_buffer lines; /* not written yet */
    uint8_t *zipped;          /* what comes out of zip, GATHERED bytes */
    z_stream zip;
};

struct tide_text_part *tide_text_part_new(const char *path, bool gzip, struct tide_error *err) {
    int fd = tide_part_create(path, err);

    if (fd < 0) return NULL;

    struct tide_text_part *part = tide_xcalloc(1, sizeof *part);

    part->fd = fd;
    part->path = tide_xstrdup(path);
    if (gzip && deflateInit2(&part->zip, Z_DEFAULT_COMPRESSION, Z_DEFLATED, WINDOW_BITS + GZIP_HEADER, MEMORY_LEVEL,
                             Z_DEFAULT_STRATEGY) != Z_OK) {
        tide_error_set(err, TIDE_ENOMEM, "cannot write %s: out of memory", path);
        tide_text_part_delete(part);
        return NULL;
    }
    part->gzip = gzip;
    if (gzip) part->zipped = tide_xmalloc(GATHERED);
    return part;
}

static int put(struct tide_text_part *part, const uint8_t *data, size_t size, struct tide_error *err) {
    int code = tide_part_write(part->fd, part->path, data, size, part->written, "part.write", err);

    part->written += size;
    return code;
}

static int put_zipped(struct tide_text_part *part, const uint8_t *data, size_t size, int flush,
                      struct tide_error *err) {
    z_stream *zip = &part->zip;
    int state, code = TIDE_OK;

    zip->next_in = (uint8_t *)(uintptr_t)data;
    zip->avail_in = (uInt)size;
    do {
        zip->next_out = part->zipped;
        zip->avail_out = GATHERED;
        state = deflate(zip, flush);
        code = put(part, part->zipped, GATHERED - zip->avail_out, err);
    } while (code == TIDE_OK && (flush == Z_FINISH ? state != Z_STREAM_END : zip->avail_out == 0));
    return code;
}

static int write_bytes(struct tide_text_part *part, const uint8_t *data, size_t size, struct tide_error *err) {
    if (!part->gzip) return put(part, data, size, err);
    while (size > INT32_MAX) {
        int code = put_zipped(part, data, INT32_MAX, Z_NO_FLUSH, err);

        if (code != TIDE_OK) return code;
        data += INT32_MAX;
        size -= INT32_MAX;
    }
    return put_zipped(part, data, size, Z_NO_FLUSH, err);
}

static int flush_lines(struct tide_text_part *part, struct tide_error *err) {
    int code = part->lines.size > 0 ? write_bytes(part, part->lines.data, part->lines.size, err) : TIDE_OK;

    part->lines.size = 0;
    return code;
}

int tide_text_part_line(struct tide_text_part *part, const char *text, size_t size, struct tide_error *err) {
    int code = TIDE_OK;

    if (part->lines.size + size >= GATHERED) code = flush_lines(part, err);
    if (code == TIDE_OK && size >= GATHERED) {
        code = write_bytes(part, (const uint8_t *)text, size, err);
        size = 0;
    }
    if (code != TIDE_OK) return code;
    tide_buffer_append(&part->lines, text, size);
    tide_buffer_append(&part->lines, "\n", 1);
    return TIDE_OK;
}

int tide_text_part_finish(struct tide_text_part *part, bool sync, struct tide_error *err) {
    int code = flush_lines(part, err), fd = part->fd;

    if (code == TIDE_OK && part->gzip) code = put_zipped(part, NULL, 0, Z_FINISH, err);
    if (code != TIDE_OK) return code;
    part->fd = -1;
    return tide_part_close(fd, part->path, sync, err);
}

void tide_text_part_delete(struct tide_text_part *part) {
    if (!part) return;
    if (part->fd >= 0) close(part->fd);
    if (part->gzip) deflateEnd(&part->zip);
    tide_buffer_destroy(&part->lines);
    tide_free(part->zipped);
    tide_free(part->path);
    tide_free(part);
}
