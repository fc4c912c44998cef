/*
 * Tells whether a file is still the one that was written: its size, and a checksum of all its bytes. Kept by the program for
 * files that it reads back later and whose own format could not tell (a SequenceFile has no checksums, and one that is cut off
 * between two records looks complete).
 *
 * Pure functions; any thread.
 */
#ifndef TIDE_FORMAT_FILE_CHECKSUM_H
#define TIDE_FORMAT_FILE_CHECKSUM_H

#include <stdint.h>

#include "base/error.h"

struct tide_file_checksum {
    uint64_t size;
    uint32_t hash[2]; /* XXH3-64, high half first: halves are numbers that Lua holds exactly */
};

/* Reads the file once from end to end. TIDE_ENOTFOUND, TIDE_EIO: it can't be read; TIDE_ECORRUPT: it is another one now. The
 * text begins with the path. */
int tide_file_checksum_check(const struct tide_file_checksum *seal, const char *path, struct tide_error *err);

#endif
