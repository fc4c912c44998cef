/*
 * A directory of part files that appears complete or not at all: the output of saveAs… and of checkpoints of
 * datasets.
 *
 *   DIR/_temporary/attempt-RANDOM/part-NNNNN   while tasks write; the attempt belongs to this writer alone
 *   DIR/part-NNNNN …                           renamed by the commit, when all parts are complete
 *   DIR/_SUCCESS                               written last
 *
 * One writer at a time: begin locks DIR (flock); the lock ends with the process. On file systems without locks, the
 * commit detects other writers: it removes only files older than the attempt, replaces none, and checks its own
 * files, by inode, before and after it writes _SUCCESS. So _SUCCESS never covers parts of two writers. Attempts of
 * other writers are never removed, except those left by processes that have ended, which the lock proves.
 *
 * A second run of a batch after a crash replaces the output of the first. Output that another process completed after
 * this program began is not from an earlier run: begin refuses to replace it.
 *
 * Thread: begin, clear, abort, end: driver. commit: a worker, because it waits for the disk; its arguments are plain
 * data.
 * Errors: TIDE_EIO, text for people. Faults: output.lock (locks are unsupported), output.rename, output.success,
 * directory.sync; output.crash kills the process after the renames and before _SUCCESS.
 */
#ifndef TIDE_FORMAT_OUTPUT_DIRECTORY_H
#define TIDE_FORMAT_OUTPUT_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"

#endif
