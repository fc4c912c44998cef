/*
 * Directories and files that the program makes and takes away itself, in places where others may write too. What it did not make
 * is never opened for writing, emptied or entered: names are created exclusively, links are not followed, and deleting goes from
 * directory to directory by descriptor. Only what the caller names may lead through links: `/data/out` may be one, `/data/out/_temporary`
 * may not.
 *
 * Threads: any; no state. Calls block on the disk. Errors: TIDE_EIO with the path and the system's reason.
 * Faults: directory.sync.
 */
#ifndef TIDE_BASE_DIRECTORY_H
#define TIDE_BASE_DIRECTORY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/ffi.h"

enum { TIDE_RANDOM_NAME = 32 }; /* characters of a name that nobody can guess */

/* Takes away the `made` innermost directories of a path as long as they are empty. */
void tide_directory_unmake(const char *path, uint32_t made);
/* Opens a directory in `at`; it must be one itself, no link to one. -1 and errno. */
int tide_directory_open_at(int at, const char *name);
/* Removes a file or a directory in `at` with all that is in it; a link itself, never what it points to. Whether it is gone. */
bool tide_directory_remove_at(int at, const char *name);
/* Makes what was changed in an open directory, or in an open file, durable. `path` is for the message. */
int tide_sync(int fd, const char *path, struct tide_error *err);
/* Letters and digits of a random name, with a NUL. */
int tide_random_name(char name[TIDE_RANDOM_NAME + 1], struct tide_error *err);

#endif
