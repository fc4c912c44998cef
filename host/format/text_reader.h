/*
 * Reads the lines of a text file that begin within a byte range, as text blocks. Adjacent ranges divide the lines of
 * a file among them: each line is read exactly once. Input without ranges (gzip, pipes) is read from beginning to
 * end.
 *
 *   range       |-------- offset … offset + length --------|
 *   lines    aaaaaa\n bbbbbb\n cccccc\n dddddd\n eeeeeeeeeeeee\n ffff\n
 *                     ^ first line                         ^ last line, read to its end
 *
 * Not thread-safe; worker.
 */
#ifndef TIDE_FORMAT_TEXT_READER_H
#define TIDE_FORMAT_TEXT_READER_H

#include <stdint.h>

#include "base/error.h"
#include "format/byte_source.h"
#include "format/ffi.h"
#include "store/block.h"

/* NULL and err: the file can't be opened. A file whose name ends in .gz is decompressed and read from its beginning
 * to its end, whatever the range. */
struct tide_text_reader *tide_text_reader_new(const char *path, uint64_t offset, uint64_t length,
                                              struct tide_error *err);

#endif
