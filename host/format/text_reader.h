/*
 * Reads the lines that begin inside a byte range of a file, as text blocks. Ranges that touch divide a file's
 * lines among them without loss or doubling. What has no ranges (gzip, pipes) is read from end to end. Not thread-safe; worker.
 */
#ifndef TIDE_FORMAT_TEXT_READER_H
#define TIDE_FORMAT_TEXT_READER_H

#include <stdint.h>

#include "base/error.h"
#include "format/byte_source.h"
#include "format/ffi.h"
#include "store/block.h"

/* NULL and err: the file can't be opened. A file whose name ends in .gz is unpacked, and read from its beginning to its end, whatever
 * the range. */
struct tide_text_reader *tide_text_reader_new(const char *path, uint64_t offset, uint64_t length,
                                              struct tide_error *err);

#endif
