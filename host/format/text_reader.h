/*
 * Reads the lines that begin inside a byte range of a file, as text blocks. Ranges that touch divide a file's
 * lines among them without loss or doubling. What has no ranges (gzip, pipes) is read from end to end. Not thread-safe; worker.
 */
#ifndef TIDE_FORMAT_TEXT_READER_H
#define TIDE_FORMAT_TEXT_READER_H

#include <stdint.h>

#include "base/error.h"
#include "format/byte_source.h"
#include "store/block.h"

struct tide_text_reader;

/* NULL and err: the file can't be opened. A file whose name ends in .gz is unpacked, and read from its beginning to its end, whatever
 * the range. */
struct tide_text_reader *tide_text_reader_new(const char *path, uint64_t offset, uint64_t length,
                                              struct tide_error *err);
/* The same with what is known of the file (format/byte_source.h): one that became shorter is an error, and what can be read only once is
 * read from its beginning to its end. */
struct tide_text_reader *tide_text_reader_open(const char *path, uint64_t offset, uint64_t length,
                                               const struct tide_byte_plan *plan, struct tide_error *err);
/* 1: the next block is in *block (the caller releases it); 0: the range is at its end; negative: TIDE_E*. */
int tide_text_reader_next(struct tide_text_reader *reader, struct tide_block **block, struct tide_error *err);
void tide_text_reader_delete(struct tide_text_reader *reader);

#endif
