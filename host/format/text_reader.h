/*
 * Reads the lines of a text file that begin within a byte range, as text blocks. Adjacent ranges divide the lines of
 * a file among them: each line is read exactly once. Input without ranges (packed, pipes) is read from beginning to
 * end.
 *
 *   range       |-------- offset … offset + length --------|
 *   lines    aaaaaa\n bbbbbb\n cccccc\n dddddd\n eeeeeeeeeeeee\n ffff\n
 *                     ^ first line               ^ last line, read to its end
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

#endif
