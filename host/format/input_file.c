/*
 * The kind and size of input files (see input_file.h). Called by the driver (lua/moontide/driver/files.lua) and by
 * workers.
 */
#include "format/input_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

int tide_input_file_failed(const char *path, struct tide_error *err) {
    return tide_error_set(err, errno == ENOENT || errno == ENOTDIR ? TIDE_ENOTFOUND : TIDE_EIO, "%s: %s", path,
                          strerror(errno));
}

static bool has_bytes(const char *path) {
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool some = fd >= 0 && read(fd, &byte, 1) == 1;

    if (fd >= 0) close(fd);
    return some;
}

static uint64_t size_of_device(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;

    if (fd >= 0) close(fd);
    return size > 0 ? (uint64_t)size : 0;
}

int tide_input_file_look(const char *path, struct tide_input_file *look, struct tide_error *err) {
    struct stat status;

    *look = (struct tide_input_file){0, TIDE_INPUT_FILE_PLAIN};
    if (strcmp(path, TIDE_INPUT_FILE_STDIN) == 0) {
        look->kind = TIDE_INPUT_FILE_ONCE;
        return TIDE_OK;
    }
    if (stat(path, &status) != 0) return tide_input_file_failed(path, err);
    if (S_ISDIR(status.st_mode)) look->kind = TIDE_INPUT_FILE_DIRECTORY;
    if (S_ISSOCK(status.st_mode)) look->kind = TIDE_INPUT_FILE_SOCKET;
    if (S_ISFIFO(status.st_mode)) look->kind = TIDE_INPUT_FILE_ONCE;
    if (look->kind != TIDE_INPUT_FILE_DIRECTORY && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return tide_input_file_failed(path, err);
    if (S_ISREG(status.st_mode)) look->size = (uint64_t)status.st_size;
    if (S_ISBLK(status.st_mode)) look->size = size_of_device(path);
    if (S_ISCHR(status.st_mode) && strcmp(path, "/dev/null") != 0) look->kind = TIDE_INPUT_FILE_ONCE;
    if (S_ISREG(status.st_mode) && status.st_size == 0 && has_bytes(path)) look->kind = TIDE_INPUT_FILE_UNSIZED;
    return TIDE_OK;
}

static bool ends_in(const char *path, const char *ending) {
    size_t size = strlen(path), length = strlen(ending);

    return size > length && strcasecmp(path + size - length, ending) == 0;
}

enum tide_packing tide_input_file_packing(const char *path) {
    if (ends_in(path, ".gz")) return TIDE_PACKING_GZIP;
    return ends_in(path, ".lz4") ? TIDE_PACKING_LZ4 : TIDE_PACKING_NONE;
}

int tide_input_file_shrank(const char *path, uint64_t now, uint64_t listed, struct tide_error *err) {
    return tide_error_set(
        err, TIDE_EIO,
        "%s: it has become shorter since it was listed: it has %llu bytes now, and had %llu; files that are "
        "read must not change: write new ones under other names, and rename them when they are complete",
        path, (unsigned long long)now, (unsigned long long)listed);
}
