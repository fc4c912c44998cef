/*
 * Hadoop's SequenceFile, version 6: its layout, and reading and writing of its header. Records are written by
 * sequence_writer.h and read by sequence_reader.h.
 *
 *   header   "SEQ" 6
 *            text   class name of the keys              text: vint length, UTF-8 bytes (vints: format/writable.h)
 *            text   class name of the values
 *            byte   1: values are compressed
 *            byte   1: whole blocks are compressed
 *            text   class name of the codec             only when compressed
 *            int32  number of metadata entries; each: text name, text value
 *            16     the file's own sync bytes, random
 *
 *   then, repeated (int32 is big-endian):
 *   records      int32  bytes of key and value          value: a zlib stream of it when compressed
 *                int32  bytes of the key
 *                key, value
 *   or blocks    sync marker
 *                vint   number of records
 *                4 times vint size and a zlib stream: lengths of the keys as vints, keys, lengths of the
 *                values, values
 *
 *   A sync marker (the int32 -1 and the sync bytes) is written between records now and then: a reader that begins in
 *   the middle of a file searches for the next one.
 *
 * Byte ranges divide a file among readers: the records between two sync markers belong to the range in which the
 * first of the two begins; those before the first marker of the file, to the range that begins at 0.
 */
#ifndef TIDE_FORMAT_SEQUENCE_FILE_H
#define TIDE_FORMAT_SEQUENCE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "format/writable.h"

enum {
    TIDE_SEQUENCE_SYNC = 16,                       /* sync bytes */
    TIDE_SEQUENCE_MARKER = 4 + TIDE_SEQUENCE_SYNC, /* escape and sync bytes */
    TIDE_SEQUENCE_MAX_HEADER = 16 * 1024 * 1024    /* with the metadata; a longer one counts as damage */
};

enum tide_sequence_compression { TIDE_SEQUENCE_PLAIN, TIDE_SEQUENCE_RECORDS, TIDE_SEQUENCE_BLOCKS };

struct tide_sequence_header {
    enum tide_writable key, value;
    enum tide_sequence_compression compression;
    uint8_t marker[TIDE_SEQUENCE_MARKER];
    uint64_t size; /* bytes of the header */
};

/* Fills in marker (with new random sync bytes) and size, and appends the header's bytes. TIDE_EIO: no random
 * bytes. */
int tide_sequence_header_write(struct tide_sequence_header *header, struct tide_buffer *out, struct tide_error *err);

/* Reads the header from the first `size` bytes of a file. 1: done. 0: it needs more bytes. TIDE_ECORRUPT: not a
 * header, or one of an unsupported kind; the text says why and at which byte. */
int tide_sequence_header_read(struct tide_sequence_header *header, const uint8_t *data, size_t size,
                              struct tide_error *err);

#endif
