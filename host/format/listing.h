/*
 * Looks again and again for files that are new in some directories. What was seen stays known, so that a look costs
 * one pass over the names: the system is asked (stat) only for files that are new, have another inode, or were not
 * yet too old at the last look. Where the system tells what is touched (format/watch.h) most looks cost not even the
 * pass.
 *
 * Thread: a look may run on any thread, one at a time; retain and release: any. Errors of a look: TIDE_ENOTFOUND (no
 * directory is there), TIDE_EIO (one can't be listed; what is in others was found).
 */
#ifndef TIDE_FORMAT_LISTING_H
#define TIDE_FORMAT_LISTING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* A file as it was when it was looked at; its content is another one when any of this is. */
struct tide_listed {
    char *path; /* heap */
    uint64_t size, inode;
    int64_t mtime; /* ns since the epoch */
};

struct tide_listed_files {
    struct tide_listed *items;
    uint32_t count, capacity;
};

/* Appends a file; the path is copied. */
void tide_listed_files_add(struct tide_listed_files *files, const struct tide_listed *file);
void tide_listed_files_destroy(struct tide_listed_files *files);
/* Whether there is another file at the path now; then it is that one from now on. false also when there is none. */
bool tide_listed_update(struct tide_listed *file);

struct tide_listing_options {
    const char *const *patterns; /* paths of directories, or patterns with * ? []; copied */
    uint32_t npatterns;
    uint32_t depth; /* levels of directories below them that are listed too; links to directories are not followed */
    bool all; /* names of the usual rule are listed too: ".…" "_…" "….tmp" "…._COPYING_" "….swp" "…~" */
};

struct tide_listing;

struct tide_listing *tide_listing_new(const struct tide_listing_options *options);
struct tide_listing *tide_listing_retain(struct tide_listing *listing);
void tide_listing_release(struct tide_listing *listing); /* NULL is fine */

/* Fills the empty list with the files with after < mtime <= until (ns), by age and then by path. Blocks as long as
 * the file system does. `after` should not fall from look to look. */
int tide_listing_look(struct tide_listing *listing, int64_t after, int64_t until, struct tide_listed_files *found,
                      struct tide_error *err);
/* How many files the system was asked for in all looks, and how many looks listed everything. */
uint64_t tide_listing_asked(const struct tide_listing *listing);
uint64_t tide_listing_passes(const struct tide_listing *listing);

#endif
