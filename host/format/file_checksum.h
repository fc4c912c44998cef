/*
 * Detects changes to a file that the program wrote and reads back later: compares its size and a checksum of all its
 * bytes. Used for files whose format has no checksums of its own: a SequenceFile cut off between two records looks
 * complete.
 *
 * Pure functions; any thread. Fault: checksum.read.
 */
#ifndef TIDE_FORMAT_FILE_CHECKSUM_H
#define TIDE_FORMAT_FILE_CHECKSUM_H

#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"

#endif
