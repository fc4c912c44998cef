/*
 * Writes lines of text to a part file (format/part_file.h), plain or compressed with gzip.
 *
 * Not thread-safe; worker. Errors: TIDE_EIO, with the path and the byte in the file; TIDE_ENOMEM.
 * Faults: part.write (the disk is full), directory.sync.
 */
#ifndef TIDE_FORMAT_TEXT_WRITER_H
#define TIDE_FORMAT_TEXT_WRITER_H

#include "base/error.h"
#include "format/ffi.h"

#endif
