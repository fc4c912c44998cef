/*
 * Lines of a byte range (see text_reader.h). A range that does not begin at 0 starts one byte early and discards the
 * bytes up to the first line end; at its end, reading continues until the last line is complete. Runs on a worker.
 */
#include "format/text_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "format/input_file.h"
#include "store/lines.h"

enum { MAX_LINE = 256 * 1024 * 1024, TAIL_READ = 4096 };

struct tide_text_reader {
    int fd;
    char *path;
    struct tide_byte_source *source; /* of input without ranges, instead of fd; or NULL */
    uint64_t listed;                 /* size of the file when it was listed; 0: not known */
    uint64_t at;                     /* next byte to read */
    uint64_t end;                    /* end of the range */
    bool skip_first;
    bool finished;
    struct tide_lines lines;
    struct tide_blocks ready;
    uint32_t given;
    uint64_t long_line;
    const uint32_t *cancelled; /* or NULL */
};

static void on_long_line(void *arg, const uint8_t *head, size_t head_size, uint64_t length) {
    struct tide_text_reader *reader = arg;

    reader->long_line = length;
}

struct tide_text_reader *tide_text_reader_new(const char *path, uint64_t offset, uint64_t length,
                                              const struct tide_byte_source_plan *plan, struct tide_error *err) {
    bool whole = plan->once != 0 || tide_input_file_packing(path) != TIDE_PACKING_NONE;
    struct tide_byte_source *source = whole ? tide_byte_source_new(path, plan, err) : NULL;
    int fd = whole ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    if (whole && !source) return NULL;
    if (!whole && fd < 0) {
        tide_error_set(err, errno == ENOENT ? TIDE_ENOTFOUND : TIDE_EIO, "%s: %s", path, strerror(errno));
        return NULL;
    }
    struct tide_text_reader *reader = tide_xcalloc(1, sizeof *reader);
    reader->fd = fd;
    reader->source = source;
    reader->listed = whole ? 0 : plan->listed;
    reader->cancelled = plan->cancelled;
    reader->path = tide_xstrdup(path);
    reader->skip_first = !whole && offset > 0;
    reader->at = reader->skip_first ? offset - 1 : 0;
    reader->end = whole || length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
    tide_lines_create(&reader->lines, MAX_LINE, TIDE_BLOCK_TARGET, NULL);
    reader->lines.on_long_line = on_long_line;
    reader->lines.arg = reader;
    tide_blocks_create(&reader->ready);
    return reader;
}

void tide_text_reader_delete(struct tide_text_reader *reader) {
    if (!reader) return;
    if (reader->fd >= 0) close(reader->fd);
    tide_byte_source_delete(reader->source);
    tide_lines_destroy(&reader->lines);
    tide_blocks_destroy(&reader->ready);
    tide_free(reader->path);
    tide_free(reader);
}

static int shrank(const struct tide_text_reader *reader, struct tide_error *err) {
    struct stat status;
    bool known = fstat(reader->fd, &status) == 0;

    return tide_input_file_shrank(reader->path, known ? (uint64_t)status.st_size : reader->at, reader->listed, err);
}

static ssize_t read_at(struct tide_text_reader *reader, uint8_t *into, size_t size, struct tide_error *err) {
    /* A line may be as long as the file: the search for its end must be cancellable. */
    if (reader->cancelled && __atomic_load_n(reader->cancelled, __ATOMIC_RELAXED) != 0) {
        tide_error_set(err, TIDE_ECANCELLED, "%s: cancelled while it was read", reader->path);
        return TIDE_ECANCELLED;
    }
    if (reader->source) return tide_byte_source_read(reader->source, into, size, err);
    for (;;) {
        ssize_t got = pread(reader->fd, into, size, (off_t)reader->at);
        if (tide_fault("file.read")) {
            got = -1;
            errno = EIO;
        }
        if (got == 0 && reader->at < reader->listed) return shrank(reader, err);
        if (got >= 0) return got;
        if (errno == EINTR) continue;
        return tide_error_set(err, TIDE_EIO, "%s: reading at byte %llu: %s", reader->path,
                              (unsigned long long)reader->at, strerror(errno));
    }
}

/* Discards the end of the line that began in the previous range. */
static int skip_to_line(struct tide_text_reader *reader, struct tide_error *err) {
    uint8_t chunk[TAIL_READ];
    bool cr = false;

    for (;;) {
        ssize_t got = read_at(reader, chunk, sizeof(chunk), err);
        if (got < 0) return (int)got;
        if (got == 0) return 0;
        for (ssize_t i = 0; i < got; i++) {
            if (cr) {
                reader->at += (uint64_t)i + (chunk[i] == '\n');
                return 0;
            }
            if (chunk[i] == '\n') {
                reader->at += (uint64_t)i + 1;
                return 0;
            }
            cr = chunk[i] == '\r';
        }
        reader->at += (uint64_t)got;
    }
}

static bool line_open(const struct tide_text_reader *reader) {
    const struct tide_lines *lines = &reader->lines;

    if (lines->skipping > 0) return true;
    return lines->current && lines->current->size > lines->line_start;
}

static int no_memory(struct tide_text_reader *reader, struct tide_error *err) {
    return tide_error_set(err, TIDE_ENOMEM, "%s: out of memory while reading at byte %llu", reader->path,
                          (unsigned long long)reader->at);
}

/* Reads past the end of the range until the open line is complete. */
static int read_tail(struct tide_text_reader *reader, struct tide_error *err) {
    while (line_open(reader)) {
        uint8_t chunk[TAIL_READ];
        ssize_t got = read_at(reader, chunk, sizeof(chunk), err);
        if (got < 0) return (int)got;
        if (got == 0) break;
        size_t use = 0;
        while (use < (size_t)got && chunk[use] != '\n' && chunk[use] != '\r') use++;
        bool found = use < (size_t)got;
        size_t give = found ? use + 1 : use;
        for (size_t done = 0; done < give;) {
            size_t room;
            uint8_t *space = tide_lines_space(&reader->lines, &room);
            if (!space) return no_memory(reader, err);
            if (room > give - done) room = give - done;
            memcpy(space, chunk + done, room);
            if (!tide_lines_commit(&reader->lines, room)) return no_memory(reader, err);
            done += room;
        }
        reader->at += give;
        if (found) break;
    }
    if (!tide_lines_finish(&reader->lines)) return no_memory(reader, err);
    reader->finished = true;
    return 0;
}

static int fill(struct tide_text_reader *reader, struct tide_error *err) {
    if (reader->skip_first) {
        reader->skip_first = false;
        int code = skip_to_line(reader, err);
        if (code != 0) return code;
        if (reader->at >= reader->end) {
            reader->finished = true;
            return 0;
        }
    }
    size_t filled = 0;
    while (filled < TIDE_BLOCK_TARGET && reader->at < reader->end) {
        size_t room;
        uint8_t *space = tide_lines_space(&reader->lines, &room);
        if (!space) return no_memory(reader, err);
        if (room > reader->end - reader->at) room = reader->end - reader->at;
        ssize_t got = read_at(reader, space, room, err);
        if (got < 0) return (int)got;
        if (got == 0) {
            reader->end = reader->at; /* the file's end; or it became shorter and its former size is not known */
            break;
        }
        reader->at += (uint64_t)got;
        filled += (size_t)got;
        if (!tide_lines_commit(&reader->lines, (size_t)got)) return no_memory(reader, err);
    }
    if (reader->at >= reader->end) {
        int code = read_tail(reader, err);
        if (code != 0) return code;
    }
    if (reader->long_line > 0) {
        return tide_error_set(
            err, TIDE_ELIMIT,
            "%s: a line of %llu bytes is longer than the limit of %d (wholeTextFiles reads a file as one record)",
            reader->path, (unsigned long long)reader->long_line, MAX_LINE);
    }
    if (!tide_lines_take(&reader->lines, &reader->ready)) return no_memory(reader, err);
    return 0;
}

int tide_text_reader_next(struct tide_text_reader *reader, struct tide_block **block, struct tide_error *err) {
    while (reader->given == reader->ready.count) {
        tide_blocks_destroy(&reader->ready);
        tide_blocks_create(&reader->ready);
        reader->given = 0;
        if (reader->finished) return 0;
        int code = fill(reader, err);
        if (code != 0) return code;
    }
    *block = tide_block_retain(reader->ready.items[reader->given++]);
    return 1;
}
