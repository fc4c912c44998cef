/*
 * A directory of parts that is complete or not there: what saveAs… and checkpoints of datasets write.
 *
 *   DIR/_temporary/attempt-RANDOM/part-NNNNN   while tasks write: made by this attempt, and nobody else can have it
 *   DIR/part-NNNNN …                           renamed by the commit, when all of them are complete
 *   DIR/_SUCCESS                               last
 *
 * One writer at a time: begin takes a lock (flock) on DIR, which goes with the process however it ends. Where the file system has
 * no locks, the commit notices by itself: it removes nothing that is not older than the attempt, replaces nothing, and counts its own
 * files, by inode, before and after _SUCCESS. So no _SUCCESS ever stands over parts of two writers. The attempts of others are never touched, except
 * attempts of this kind that were left by a process that has ended: holding the lock tells.
 *
 * A second run of a batch, after a crash, replaces the output of the first one. What another process has completed *since this one
 * began* is no output of an earlier run: begin refuses it.
 *
 * Fault output.lock: there are no locks.
 *
 * begin, clear, abort and end: driver. commit: a worker, because it waits for the disk: all that it needs to know is plain data.
 * Errors: TIDE_EIO, text for people. Faults: output.rename, output.success, directory.sync; output.crash ends the process as kill -9
 * would, after the renames and before _SUCCESS.
 */
#ifndef TIDE_FORMAT_OUTPUT_DIRECTORY_H
#define TIDE_FORMAT_OUTPUT_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "format/ffi.h"

#endif
