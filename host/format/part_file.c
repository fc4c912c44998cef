/*
 * Part files (see part_file.h). Called by format/sequence_writer.c and format/text_writer.c on a worker.
 */
#include "format/part_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/directory.h"
#include "base/fault.h"

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

int tide_part_file_create(const char *path, struct tide_error *err) {
    char *directory = tide_xstrdup(path), *name = cut(directory);
    int at = !name ? open(*path == '/' ? "/" : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : open_attempt(directory);
    int fd = at < 0 ? -1 : create_at(at, name ? name : *path == '/' ? path + 1 : path);

    if (fd < 0) tide_error_set(err, TIDE_EIO, "cannot write %s: %s", path, strerror(errno));
    if (at >= 0) close(at);
    tide_free(directory);
    return fd < 0 ? TIDE_EIO : fd;
}

int tide_part_file_write(int fd, const char *path, const uint8_t *data, size_t size, uint64_t at, const char *fault,
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

int tide_part_file_close(int fd, const char *path, bool sync, struct tide_error *err) {
    int code = sync ? tide_sync(fd, path, err) : TIDE_OK;
    int closed = close(fd);

    if (code == TIDE_OK && closed != 0)
        code = tide_error_set(err, TIDE_EIO, "cannot write %s: %s", path, strerror(errno));
    return code;
}
