/*
 * Reads the records of one byte range of a SequenceFile (layout and rule of ranges: format/sequence_file.h), plain,
 * with compressed values or with compressed blocks, into packed blocks. Two forms:
 *
 *   pairs     each record is a key and a value, of the writables of format/writable.h
 *   objects   an object file: groups of packed records. The keys are NullWritable; each value is a BytesWritable that
 *             holds the arity of the group's records (1 or 2), then the values of each record, a pair's key first
 *
 * Not thread-safe; worker. The text of an error begins with the path and the byte at which the unreadable record (or
 * block of records) begins. Fault: sequence.read.
 */
#ifndef TIDE_FORMAT_SEQUENCE_READER_H
#define TIDE_FORMAT_SEQUENCE_READER_H

#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"
#include "store/block.h"

#endif
