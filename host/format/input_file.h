/*
 * Finds out the kind and the size of an input file without reading it. Every path that textFile, wholeTextFiles
 * and the like are given is looked at once by the driver, before its partitions are made.
 *
 * Pure functions; any thread. Errors: TIDE_ENOTFOUND, TIDE_EIO; the text begins with the path.
 */
#ifndef TIDE_FORMAT_INPUT_FILE_H
#define TIDE_FORMAT_INPUT_FILE_H

#include "base/error.h"
#include "format/ffi.h"

#define TIDE_INPUT_FILE_STDIN "/dev/stdin"

enum tide_packing { TIDE_PACKING_NONE, TIDE_PACKING_GZIP, TIDE_PACKING_LZ4 };

/* How the file is packed, as its name says: .gz, .lz4. */
enum tide_packing tide_input_file_packing(const char *path);
/* Sets the error that errno says, and returns its code. */
int tide_input_file_failed(const char *path, struct tide_error *err);

#endif
