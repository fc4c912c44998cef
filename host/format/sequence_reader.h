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
#include "store/block.h"

enum tide_sequence_form { TIDE_SEQUENCE_PAIRS = 1, TIDE_SEQUENCE_OBJECTS = 2 };

struct tide_sequence_reader;

/* Opens the file and reads its header. NULL and err: TIDE_ENOTFOUND, TIDE_EIO, TIDE_ECORRUPT (no SequenceFile, or of a
 * kind that is not read here). */
struct tide_sequence_reader *tide_sequence_reader_new(const char *path, uint64_t offset, uint64_t length,
                                                      enum tide_sequence_form form, struct tide_error *err);
/* 1: the next block, of one arity, is in *block (the caller releases it); 0: the range is at its end; negative: TIDE_E*.
 * Records before a damaged one are given before the error is. */
int tide_sequence_reader_next(struct tide_sequence_reader *reader, struct tide_block **block, struct tide_error *err);
/* At which byte of an object file the group begins that has pairs where the one before has single values, or the other way round; 0 when
 * none did yet. */
uint64_t tide_sequence_reader_mixed_at(const struct tide_sequence_reader *reader);
/* NULL is fine. */
void tide_sequence_reader_delete(struct tide_sequence_reader *reader);

#endif
