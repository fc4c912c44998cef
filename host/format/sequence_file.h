/*
 * Hadoop's SequenceFile, version 6: the layout, and its header. Writing is in sequence_writer.h, reading in
 * sequence_reader.h.
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
 *   then, as often as it takes (int32 is big-endian):
 *   records      int32  bytes of key and value          value: a zlib stream of it when compressed
 *                int32  bytes of the key
 *                key, value
 *   or blocks    sync marker
 *                vint   number of records
 *                4 times vint size and a zlib stream: lengths of the keys as vints, keys, lengths of the values, values
 *
 *   A sync marker, the int32 -1 and the sync bytes, stands now and then between records: a reader that begins in the
 *   middle of a file looks for the next one.
 *
 * A file is divided among readers by byte ranges: what stands between a sync marker and the next one belongs to
 * the range in which the marker begins; what stands before the first marker, to the range that begins at 0.
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
    TIDE_SEQUENCE_MAX_HEADER = 16 * 1024 * 1024    /* metadata included; more is taken for damage */
};

enum tide_sequence_compression { TIDE_SEQUENCE_PLAIN, TIDE_SEQUENCE_RECORDS, TIDE_SEQUENCE_BLOCKS };

struct tide_sequence_header {
    enum tide_writable key, value;
    enum tide_sequence_compression compression;
    uint8_t marker[TIDE_SEQUENCE_MARKER];
    uint64_t size; /* bytes of the header */
};

/* Fills in marker (with new random sync bytes) and size, and appends the header's bytes. TIDE_EIO: no random bytes. */
int tide_sequence_header_write(struct tide_sequence_header *header, struct tide_buffer *out, struct tide_error *err);

/* Reads the header at the start of a file of which the first `size` bytes are there. 1: done. 0: more bytes are needed.
 * TIDE_ECORRUPT: it is none, or one of a kind that is not read here; the text says why and at which byte. */
int tide_sequence_header_read(struct tide_sequence_header *header, const uint8_t *data, size_t size,
                              struct tide_error *err);

#endif
