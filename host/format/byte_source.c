/*
 * Reads input files from end to end (see byte_source.h). Called by format/text_reader.c for textFile, and by worker Lua through FFI
 * (lua/moontide/worker/raw_files.lua) for wholeTextFiles; tide_file_look by the driver (lua/moontide/driver/files.lua).
 */
#include "format/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/fault.h"

enum { READ_SIZE = 64 * 1024, WAIT_MS = 50, GZIP_ONLY = 15 + 16 };

static const char STDIN[] = "/dev/stdin";

/* ---- What is there ---------------------------------------------------------------------------------------------- */

static int not_read(const char *path, struct tide_error *err) {
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

int tide_file_look(const char *path, struct tide_file_look *look, struct tide_error *err) {
    struct stat status;

    *look = (struct tide_file_look){0, TIDE_FILE_PLAIN};
    if (strcmp(path, STDIN) == 0) {
        look->kind = TIDE_FILE_ONCE;
        return TIDE_OK;
    }
    if (stat(path, &status) != 0) return not_read(path, err);
    if (S_ISDIR(status.st_mode)) look->kind = TIDE_FILE_DIRECTORY;
    if (S_ISSOCK(status.st_mode)) look->kind = TIDE_FILE_SOCKET;
    if (S_ISFIFO(status.st_mode)) look->kind = TIDE_FILE_ONCE;
    if (look->kind != TIDE_FILE_DIRECTORY && faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return not_read(path, err);
    if (S_ISREG(status.st_mode)) look->size = (uint64_t)status.st_size;
    if (S_ISBLK(status.st_mode)) look->size = size_of_device(path);
    if (S_ISCHR(status.st_mode) && strcmp(path, "/dev/null") != 0) look->kind = TIDE_FILE_ONCE;
    if (S_ISREG(status.st_mode) && status.st_size == 0 && has_bytes(path)) look->kind = TIDE_FILE_UNSIZED;
    return TIDE_OK;
}

bool tide_is_gzip_name(const char *path) {
    size_t size = strlen(path);

    return size > 3 && strcasecmp(path + size - 3, ".gz") == 0;
}

int tide_file_shrank(const char *path, uint64_t now, uint64_t listed, struct tide_error *err) {
    return tide_error_set(
        err, TIDE_EIO,
        "%s: it has become shorter since it was listed: it has %llu bytes now, and had %llu; files that are "
        "read must not change: write new ones under other names, and rename them when they are complete",
        path, (unsigned long long)now, (unsigned long long)listed);
}

/* ---- What can be read once -------------------------------------------------------------------------------------- */

static pthread_mutex_t once_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t once_count;
static bool *once_taken; /* by number */

uint32_t tide_once_new(void) {
    pthread_mutex_lock(&once_lock);

    uint32_t number = ++once_count;

    once_taken = tide_xrealloc(once_taken, (number + 1) * sizeof *once_taken);
    once_taken[number] = false;
    pthread_mutex_unlock(&once_lock);
    return number;
}

static bool take_once(uint32_t number) {
    pthread_mutex_lock(&once_lock);

    bool first = number <= once_count && !once_taken[number];

    if (first) once_taken[number] = true;
    pthread_mutex_unlock(&once_lock);
    return first;
}

/* ---- Bytes as they are ------------------------------------------------------------------------------------------ */

struct tide_byte_source {
    int fd;
    char *path;
    struct tide_byte_plan plan;
    uint64_t at; /* of the next byte that comes from the file */
    bool ended;
    bool gzip, within, members; /* within a member of gzip; there was one */
    uint8_t *in;
    z_stream zip;
};

/* Waits until there is something to read, or the other side has closed. */
static int wait_for_bytes(const struct tide_byte_source *source, struct tide_error *err) {
    struct pollfd wait = {.fd = source->fd, .events = POLLIN};

    while (poll(&wait, 1, WAIT_MS) <= 0)
        if (source->plan.cancelled && __atomic_load_n(source->plan.cancelled, __ATOMIC_RELAXED) != 0)
            return tide_error_set(err, TIDE_ECANCELLED, "cancelled while it waited for %s", source->path);
    return TIDE_OK;
}

static ssize_t read_bytes(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err) {
    while (!source->ended) {
        int code = source->plan.once != 0 ? wait_for_bytes(source, err) : TIDE_OK;

        if (code != TIDE_OK) return code;

        ssize_t got = tide_fault("file.read") ? (errno = EIO, -1) : read(source->fd, into, size);

        if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (got < 0)
            return tide_error_set(err, TIDE_EIO, "%s: reading at byte %llu: %s", source->path,
                                  (unsigned long long)source->at, strerror(errno));
        source->at += (uint64_t)got;
        source->ended = got == 0; /* of a terminal, the next one would wait again */
        return got;
    }
    return 0;
}

/* ---- Gzip ------------------------------------------------------------------------------------------------------- */

static int corrupt(const struct tide_byte_source *source, const char *what, struct tide_error *err) {
    return tide_error_set(err, TIDE_ECORRUPT, "%s: at byte %llu: %s", source->path,
                          (unsigned long long)(source->at - source->zip.avail_in), what);
}

/* Some programs fill up the last block of a file with zeros. */
static void skip_padding(z_stream *zip) {
    for (; zip->avail_in > 0 && *zip->next_in == 0; zip->avail_in--) zip->next_in++;
}

/* 1: there are packed bytes; 0: the file is at its end, between two members. */
static int fill(struct tide_byte_source *source, struct tide_error *err) {
    while (source->zip.avail_in == 0) {
        ssize_t got = read_bytes(source, source->in, READ_SIZE, err);

        if (got < 0) return (int)got;
        if (got == 0 && source->within)
            return corrupt(source,
                           "the file ends within its compressed data: it was not written to its end, or is damaged",
                           err);
        if (got == 0 && !source->members)
            return corrupt(source, "the file is empty, and a gzip file is not: it was not written, or is damaged",
                           err);
        if (got == 0) return 0;
        source->zip.next_in = source->in;
        source->zip.avail_in = (uInt)got;
        if (source->members && !source->within) skip_padding(&source->zip);
    }
    return 1;
}

static int bad_data(const struct tide_byte_source *source, int state, struct tide_error *err) {
    if (state == Z_MEM_ERROR)
        return tide_error_set(err, TIDE_ENOMEM, "%s: out of memory while unpacking it", source->path);
    if (!source->members && source->zip.total_out == 0 && source->zip.total_in < 10)
        return corrupt(source, "it is no gzip file, as its name says; rename it, or pack it with gzip", err);
    return tide_error_set(err, TIDE_ECORRUPT,
                          "%s: at byte %llu: compressed data can't be unpacked: %s; the file is damaged",
                          source->path, (unsigned long long)(source->at - source->zip.avail_in),
                          source->zip.msg ? source->zip.msg : "unknown reason");
}

static ssize_t read_gzip(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err) {
    z_stream *zip = &source->zip;

    zip->next_out = into;
    zip->avail_out = size < INT32_MAX ? (uInt)size : INT32_MAX;

    uInt room = zip->avail_out;

    while (zip->avail_out == room) {
        if (source->members && !source->within) skip_padding(zip);

        int code = fill(source, err);

        if (code <= 0) return code;
        if (!source->within) inflateReset(zip);
        source->within = true;

        int state = inflate(zip, Z_NO_FLUSH);

        if (state == Z_STREAM_END) {
            source->within = false;
            source->members = true;
        } else if (state != Z_OK && state != Z_BUF_ERROR) {
            return bad_data(source, state, err);
        }
    }
    return (ssize_t)(room - zip->avail_out);
}

/* ---- Life ------------------------------------------------------------------------------------------------------- */

static int open_once(const char *path, uint32_t number, struct tide_error *err) {
    if (!take_once(number))
        return tide_error_set(
            err, TIDE_ESTATE,
            "%s: it can be read only once, and was read already: keep its records with cache() or persist() "
            "before the first action, or write them to a file and read that",
            path);

    /* Opened by its name, standard input would begin anew when it is a file, and can't be opened when it is a socket. */
    int fd = strcmp(path, STDIN) == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                      : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 ? fd : not_read(path, err);
}

static int open_file(const char *path, uint64_t listed, struct tide_error *err) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return not_read(path, err);
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size < listed) {
        close(fd);
        return tide_file_shrank(path, (uint64_t)status.st_size, listed, err);
    }
    return fd;
}

struct tide_byte_source *tide_byte_source_new(const char *path, const struct tide_byte_plan *plan,
                                              struct tide_error *err) {
    int fd = plan->once != 0 ? open_once(path, plan->once, err) : open_file(path, plan->listed, err);

    if (fd < 0) return NULL;

    struct tide_byte_source *source = tide_xcalloc(1, sizeof *source);

    source->fd = fd;
    source->path = tide_xstrdup(path);
    source->plan = *plan;
    if (tide_is_gzip_name(path)) {
        source->in = tide_xmalloc(READ_SIZE);
        source->gzip = inflateInit2(&source->zip, GZIP_ONLY) == Z_OK;
        if (!source->gzip) {
            tide_error_set(err, TIDE_ENOMEM, "%s: out of memory while unpacking it", path);
            tide_byte_source_delete(source);
            return NULL;
        }
    }
    return source;
}

ssize_t tide_byte_source_read(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err) {
    return source->gzip ? read_gzip(source, into, size, err) : read_bytes(source, into, size, err);
}

void tide_byte_source_delete(struct tide_byte_source *source) {
    if (!source) return;
    close(source->fd);
    if (source->gzip) inflateEnd(&source->zip);
    tide_free(source->in);
    tide_free(source->path);
    tide_free(source);
}
