/*
 * Makes and removes the program's own directories and files in places where others may write too. Files of others are
 * never written, emptied or entered: names are created exclusively, links are not followed, and deleting walks
 * directories by descriptor. Only the path given by the caller may contain links: `/data/out` may be one,
 * `/data/out/_temporary` may not.
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

enum { TIDE_RANDOM_NAME = 32 }; /* characters of a name that can't be guessed */

/* Removes the `made` innermost directories of a path, as long as they are empty. */
void tide_directory_unmake(const char *path, uint32_t made);
/* Opens a directory in `at`; a link is refused. -1 and errno. */
int tide_directory_open_at(int at, const char *name);
/* Removes a file or a directory in `at` with all that is in it; of a link, the link itself. True: it is gone. */
bool tide_directory_remove_at(int at, const char *name);
/* Syncs an open directory or file to disk. `path` is for the message. */
int tide_sync(int fd, const char *path, struct tide_error *err);
/* Letters and digits of a random name, with a NUL. */
int tide_random_name(char name[TIDE_RANDOM_NAME + 1], struct tide_error *err);

#endif
