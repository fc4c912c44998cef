/*
 * Reads an input file from its beginning to its end, unpacking it if its name says gzip or LZ4. Reads pipes,
 * terminals and standard input too, each of them once. Memory use is bounded, whatever the file holds.
 *
 * Thread: tide_byte_source_once: any; a source: one worker.
 * Errors: TIDE_ENOTFOUND, TIDE_EIO, TIDE_ECORRUPT (packed data; the text names the file and the byte in it),
 * TIDE_ESTATE (it was read already), TIDE_ECANCELLED, TIDE_ENOMEM. Fault: file.read.
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
