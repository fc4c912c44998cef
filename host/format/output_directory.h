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

enum { TIDE_OUTPUT_DIRECTORY_NAME = 48, TIDE_OUTPUT_DIRECTORY_MARK = 64 };

struct tide_output_directory {
    int fd;        /* the directory, with the lock */
    uint32_t made; /* directories that begin has made: the innermost ones of the path */
    int64_t begun; /* the time of the file system, ns */
    char attempt[TIDE_OUTPUT_DIRECTORY_NAME];
};

/* What is known about a directory that may be there already. */
struct tide_output_directory_rule {
    bool fresh;      /* it must not be there */
    const char *own; /* the mark of the _SUCCESS that this program has put there, or NULL */
    /* When this program began: what it has not put there and is not older is somebody else's. */
    uint64_t since;     /* monotonic, ns; 0: nothing is */
    int64_t since_file; /* tide_clock_file_ns */
};

struct tide_output_directory_parts {
    uint32_t count;
    uint32_t made; /* as begin has given it */
    int64_t begun; /* and this */
    bool gzip, sync;
};

/* Makes the directory and those above it, takes the lock and makes an attempt. On failure nothing is left. */
int tide_output_directory_begin(struct tide_output_directory *output, const char *directory,
                                const struct tide_output_directory_rule *rule, struct tide_error *err);
/* Puts exactly the parts 0 … count-1 in place of what is there, and _SUCCESS, whose mark it gives. On failure none of them stays. */
int tide_output_directory_commit(const char *directory, const char *attempt,
                                 const struct tide_output_directory_parts *parts,
                                 char mark[TIDE_OUTPUT_DIRECTORY_MARK], struct tide_error *err);
/* Takes away the attempt, and the directories that begin has made if they are empty, and gives the lock back. Tasks of the attempt
 * that are still at work find no place for a new part. */
void tide_output_directory_abort(struct tide_output_directory *output, const char *directory);
/* Gives the lock back, after a commit. Harmless the second time. */
void tide_output_directory_end(struct tide_output_directory *output);
/* Takes away the output of an earlier run, and the directory if nothing else is in it. */
int tide_output_directory_clear(const char *directory, const struct tide_output_directory_rule *rule,
                                struct tide_error *err);

#endif
