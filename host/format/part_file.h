/*
 * The files that a task of saveAs… or of a checkpoint writes. Each is made anew in the directory of an attempt
 * (format/output_directory.h), which no other writer has; the commit of the attempt puts it in place. text_writer.h
 * and sequence_writer.h write their formats through it.
 *
 * Not thread-safe; worker. Errors: TIDE_EIO, with the path and the byte in the file. Faults: directory.sync.
 */
#ifndef TIDE_FORMAT_PART_FILE_H
#define TIDE_FORMAT_PART_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Makes the file and opens it for writing: returns its descriptor, or TIDE_E*. Replaces what an earlier attempt of
 * the same task left. Neither of the two directories above it may be a symbolic link. */
int tide_part_file_create(const char *path, struct tide_error *err);
/* Writes all of the bytes; `at` is their place in the file, for messages. `fault`: the name of a fault that fills the
 * disk. */
int tide_part_file_write(int fd, const char *path, const uint8_t *data, size_t size, uint64_t at, const char *fault,
                         struct tide_error *err);
/* Closes the file, also on failure. `sync`: makes it durable first. */
int tide_part_file_close(int fd, const char *path, bool sync, struct tide_error *err);

#endif
