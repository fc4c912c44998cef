/*
 * Writes one SequenceFile (layout: format/sequence_file.h), plain or with compressed blocks. Not thread-safe; worker.
 *
 * A writer that reported an error other than TIDE_EINVAL cannot be finished. The file is a part
 * (format/part_file.h): whoever commits the directory puts it in place.
 */
#ifndef TIDE_FORMAT_SEQUENCE_WRITER_H
#define TIDE_FORMAT_SEQUENCE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "format/file_checksum.h"
#include "format/writable.h"

struct tide_sequence_writer;

/* Makes the file anew (tide_part_create). NULL and err: it can't be written. */
struct tide_sequence_writer *tide_sequence_writer_new(const char *path, enum tide_writable key,
                                                      enum tide_writable value, bool compress,
                                                      struct tide_error *err);
/* Appends a record: two packed values, key and value, one behind the other; they must be complete. TIDE_EINVAL: one of them
 * does not fit its writable; the text starts with "the key is …" or "the value is …", and the writer goes on as if
 * nothing had been asked. */
int tide_sequence_writer_add(struct tide_sequence_writer *writer, const uint8_t *record, size_t size,
                             struct tide_error *err);
/* Appends a record of an object file (NullWritable, BytesWritable) with these bytes as its value. */
int tide_sequence_writer_group(struct tide_sequence_writer *writer, const uint8_t *bytes, size_t size,
                               struct tide_error *err);
/* Writes what is left and closes the file; `sync`: makes it durable before. A full disk shows here at the latest. The writer can only
 * be deleted then. */
int tide_sequence_writer_finish(struct tide_sequence_writer *writer, bool sync, struct tide_error *err);
/* After finish: what tells later whether the file is still the one that was written. */
void tide_sequence_writer_checksum(const struct tide_sequence_writer *writer, struct tide_file_checksum *seal);
/* Closes the file as it is, unless it was finished. NULL is fine. */
void tide_sequence_writer_delete(struct tide_sequence_writer *writer);

#endif
