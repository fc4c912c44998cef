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
#include "format/ffi.h"

#endif
