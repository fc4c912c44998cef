/*
 * The files that workers write for saveAs… and checkpoints: made anew in the directory of an attempt (format/output_directory.h), which nobody
 * else has, and durable before they count. And the parts with lines of text, plain or as gzip.
 *
 * Not thread-safe; worker. Errors: TIDE_EIO, with the path and where in the file; TIDE_ENOMEM.
 * Faults: part.write (the disk is full), directory.sync.
 */
#ifndef TIDE_FORMAT_PART_FILE_H
#define TIDE_FORMAT_PART_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"

/* Makes the file and opens it for writing; what an earlier try of the same task left there goes. The two directories that it is in
 * must be no links. Negative: TIDE_E*. */
int tide_part_create(const char *path, struct tide_error *err);
/* Writes all of the bytes, which begin at `at` in the file. `fault`: the name of a fault that fills the disk. */
int tide_part_write(int fd, const char *path, const uint8_t *data, size_t size, uint64_t at, const char *fault,
                    struct tide_error *err);
/* Closes the file, also when it fails; `sync`: makes it durable before. */
int tide_part_close(int fd, const char *path, bool sync, struct tide_error *err);

#endif
