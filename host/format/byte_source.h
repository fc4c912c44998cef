/*
 * The bytes of an input file from its beginning to its end: as they are, or unpacked when the file is gzip; of a file, or of what can
 * be read only once (a pipe, a terminal, standard input). Memory is bounded, whatever the file holds.
 *
 * tide_file_look and tide_once_*: any thread. A source: one thread, a worker.
 * Errors: TIDE_ENOTFOUND, TIDE_EIO, TIDE_ECORRUPT (gzip data; the text names the file and the byte in it), TIDE_ESTATE (read already),
 * TIDE_ECANCELLED, TIDE_ENOMEM. Faults: file.read.
 */
#ifndef TIDE_FORMAT_BYTE_SOURCE_H
#define TIDE_FORMAT_BYTE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum tide_file_kind {
    TIDE_FILE_PLAIN = 1,
    TIDE_FILE_DIRECTORY,
    TIDE_FILE_ONCE,    /* a pipe, a terminal: no size, and what was read is gone */
    TIDE_FILE_UNSIZED, /* of /proc: there are bytes, and the system says 0 */
    TIDE_FILE_SOCKET
};

struct tide_file_look {
    uint64_t size;
    uint32_t kind;
};

/* What is at the path, through links. TIDE_ENOTFOUND: nothing. */
int tide_file_look(const char *path, struct tide_file_look *look, struct tide_error *err);
/* Whether the name says that the file is gzip. */
bool tide_is_gzip_name(const char *path);

/* A number for an input that can be read once. */
uint32_t tide_once_new(void);

struct tide_byte_source;

struct tide_byte_plan {
    uint64_t listed;           /* the size that the file had when it was listed; 0: not known */
    uint32_t once;             /* not 0: the number of an input that can be read once */
    const uint32_t *cancelled; /* looked at while waiting for bytes; or NULL */
};

/* Opens the file. A file that is shorter than it was listed is an error. NULL and err. */
struct tide_byte_source *tide_byte_source_new(const char *path, const struct tide_byte_plan *plan,
                                              struct tide_error *err);
/* Reads up to `size` bytes, at least one. 0: the end; negative: TIDE_E*. */
ssize_t tide_byte_source_read(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err);
/* NULL is fine. */
void tide_byte_source_delete(struct tide_byte_source *source);

/* Says that a file became shorter. */
int tide_file_shrank(const char *path, uint64_t now, uint64_t listed, struct tide_error *err);

#endif
