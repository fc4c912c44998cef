/*
 * The bytes of an input file from its beginning to its end: as they are, or unpacked when the file is gzip; of a file, or of what can
 * be read only once (a pipe, a terminal, standard input). Memory is bounded, whatever the file holds.
 *
 * tide_input_file and tide_once_*: any thread. A source: one thread, a worker.
 * Errors: TIDE_ENOTFOUND, TIDE_EIO, TIDE_ECORRUPT (gzip data; the text names the file and the byte in it), TIDE_ESTATE (read already),
 * TIDE_ECANCELLED, TIDE_ENOMEM. Faults: file.read.
 */
#ifndef TIDE_FORMAT_BYTE_SOURCE_H
#define TIDE_FORMAT_BYTE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "format/ffi.h"

#endif
