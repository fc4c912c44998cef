/*
 * Bytes of input files (see byte_source.h). Called by format/text_reader.c for textFile, and by worker Lua through
 * FFI (lua/moontide/worker/byte_source.lua) for wholeTextFiles.
 */
#include "format/byte_source.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "format/input_file.h"
#include "format/lz4_frames.h"

enum { READ_SIZE = 64 * 1024, WAIT_MS = 50, GZIP_ONLY = 15 + 16 };

/* ---- Input that can be read once ------------------------------------------------------------------------------- */

static pthread_mutex_t once_lock = PTHREAD_MUTEX_INITIALIZER;
static uint32_t once_count;
static bool *once_taken; /* by number */

uint32_t tide_byte_source_once(void) {
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

/* ---- Bytes as they are ----------------------------------------------------------------------------------------- */

struct tide_byte_source {
    int fd;
    char *path;
    struct tide_byte_source_plan plan;
    uint64_t at; /* of the next byte to read from the file */
    bool ended;
    enum tide_packing packing;
    bool within, members; /* inside a member of gzip; a member has ended */
    uint8_t *in;          /* packed bytes */
    z_stream zip;
    struct tide_lz4_frames *lz4;
    const uint8_t *next; /* of the packed bytes for lz4 */
    size_t left;
};

/* Waits until bytes can be read or the other side has closed. */
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
        source->ended = got == 0; /* on a terminal, another read would wait again */
        return got;
    }
    return 0;
}

/* ---- Packed bytes ---------------------------------------------------------------------------------------------- */

static unsigned long long packed_at(const struct tide_byte_source *source) {
    return source->at - source->zip.avail_in - source->left;
}

static int corrupt(const struct tide_byte_source *source, const char *what, struct tide_error *err) {
    return tide_error_set(err, TIDE_ECORRUPT, "%s: at byte %llu: %s", source->path, packed_at(source), what);
}

/* The file has ended, before anything of it or between two parts. */
static int check_end(const struct tide_byte_source *source, bool within, bool any, const char *empty,
                     struct tide_error *err) {
    if (within)
        return corrupt(source,
                       "the file ends within its compressed data: it was not written to its end, or is damaged", err);
    return any ? TIDE_OK : corrupt(source, empty, err);
}

/* ---- Gzip ------------------------------------------------------------------------------------------------------ */

/* Some programs pad the last block of a file with zeros. */
static void skip_padding(z_stream *zip) {
    for (; zip->avail_in > 0 && *zip->next_in == 0; zip->avail_in--) zip->next_in++;
}

/* 1: there are compressed bytes; 0: the file has ended, between two members. */
static int fill(struct tide_byte_source *source, struct tide_error *err) {
    while (source->zip.avail_in == 0) {
        ssize_t got = read_bytes(source, source->in, READ_SIZE, err);

        if (got < 0) return (int)got;
        if (got == 0)
            return check_end(source, source->within, source->members,
                             "the file is empty, and a gzip file is not: it was not written, or is damaged", err);
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
                          source->path, packed_at(source), source->zip.msg ? source->zip.msg : "unknown reason");
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

/* ---- LZ4 ------------------------------------------------------------------------------------------------------- */

/* 1: there are compressed bytes; 0: the file has ended, between two frames. */
static int fill_lz4(struct tide_byte_source *source, struct tide_error *err) {
    if (source->left > 0) return 1;

    ssize_t got = read_bytes(source, source->in, READ_SIZE, err);

    if (got < 0) return (int)got;
    if (got == 0)
        return check_end(source, tide_lz4_frames_within(source->lz4), tide_lz4_frames_any(source->lz4),
                         "the file is empty, and an LZ4 file is not: it was not written, or is damaged", err);
    source->next = source->in;
    source->left = (size_t)got;
    return 1;
}

static ssize_t read_lz4(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err) {
    size_t made = 0;

    while (made == 0) {
        int code = fill_lz4(source, err);

        if (code <= 0) return code;

        size_t used = source->left;

        made = size;
        code = tide_lz4_frames_unpack(source->lz4, source->next, &used, into, &made, err);
        if (code != TIDE_OK) return tide_error_prefix(err, "%s: at byte %llu", source->path, packed_at(source));
        source->next += used;
        source->left -= used;
    }
    return (ssize_t)made;
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

static int open_once(const char *path, uint32_t number, struct tide_error *err) {
    if (!take_once(number))
        return tide_error_set(
            err, TIDE_ESTATE,
            "%s: it can be read only once, and was read already: keep its records with cache() or persist() "
            "before the first action, or write them to a file and read that",
            path);

    /* Opening standard input by name would start at its beginning if it is a file, and fail if it is a socket. */
    int fd = strcmp(path, TIDE_INPUT_FILE_STDIN) == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                                                      : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    return fd >= 0 ? fd : tide_input_file_failed(path, err);
}

static int open_file(const char *path, uint64_t listed, struct tide_error *err) {
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) return tide_input_file_failed(path, err);
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (uint64_t)status.st_size < listed) {
        close(fd);
        return tide_input_file_shrank(path, (uint64_t)status.st_size, listed, err);
    }
    return fd;
}

/* false: out of memory. */
static bool start_unpacking(struct tide_byte_source *source, enum tide_packing packing) {
    if (packing == TIDE_PACKING_NONE) return true;
    source->in = tide_xmalloc(READ_SIZE);
    if (packing == TIDE_PACKING_LZ4) return (source->lz4 = tide_lz4_frames_new());
    if (inflateInit2(&source->zip, GZIP_ONLY) == Z_OK) source->packing = packing;
    return source->packing == packing;
}

struct tide_byte_source *tide_byte_source_new(const char *path, const struct tide_byte_source_plan *plan,
                                              struct tide_error *err) {
    int fd = plan->once != 0 ? open_once(path, plan->once, err) : open_file(path, plan->listed, err);

    if (fd < 0) return NULL;

    struct tide_byte_source *source = tide_xcalloc(1, sizeof *source);

    source->fd = fd;
    source->path = tide_xstrdup(path);
    source->plan = *plan;
    if (start_unpacking(source, tide_input_file_packing(path))) return source;
    tide_error_set(err, TIDE_ENOMEM, "%s: out of memory while unpacking it", path);
    tide_byte_source_delete(source);
    return NULL;
}

ssize_t tide_byte_source_read(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err) {
    if (source->packing == TIDE_PACKING_GZIP) return read_gzip(source, into, size, err);
    return source->lz4 ? read_lz4(source, into, size, err) : read_bytes(source, into, size, err);
}

void tide_byte_source_delete(struct tide_byte_source *source) {
    if (!source) return;
    close(source->fd);
    if (source->packing == TIDE_PACKING_GZIP) inflateEnd(&source->zip);
    tide_lz4_frames_delete(source->lz4);
    tide_free(source->in);
    tide_free(source->path);
    tide_free(source);
}
