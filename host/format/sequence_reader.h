/*
 * Reads the records of one byte range of a SequenceFile (layout and rule of ranges: format/sequence_file.h), plain, with
 * compressed values, or with compressed blocks, as packed blocks. Not thread-safe; worker.
 *
 * As pairs: each record is a key and a value, of the writables of format/writable.h.
 * As objects: the file is an object file, which holds packed records in groups. Its keys are NullWritable; each value is a
 *   BytesWritable with a run of MessagePack values: the arity of the group's records, 1 or 2 (so the first byte tells
 *   it), then for each record that many values. A pair is a record of arity 2, key first.
 *
 * All errors start with the path and say at which byte the record (or block of records) begins that can't be read.
 */
#ifndef TIDE_FORMAT_SEQUENCE_READER_H
#define TIDE_FORMAT_SEQUENCE_READER_H

#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"
#include "store/block.h"

#endif
