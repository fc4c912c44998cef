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
#include "format/ffi.h"
#include "format/file_checksum.h"
#include "format/writable.h"

#endif
