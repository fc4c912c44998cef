/*
 * Writes one SequenceFile (layout: format/sequence_file.h), plain or with compressed blocks, through a part file
 * (format/part_file.h).
 *
 * Not thread-safe; worker. After an error other than TIDE_EINVAL a writer can't be finished.
 */
#ifndef TIDE_FORMAT_SEQUENCE_WRITER_H
#define TIDE_FORMAT_SEQUENCE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"
#include "format/file_checksum.h"
#include "format/writable.h"

#endif
