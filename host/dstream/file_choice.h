/*
 * Which files each batch of a file stream reads.
 *
 * Batch T takes the files that were modified after max(created, T - memory) and not after T, and that no batch has
 * taken before. A file is another one when its size, its time of modification or its inode is. The batches of the
 * last `memory` are remembered, which is as far back as files are looked for. What is over the limits of a batch
 * waits, in order, and is taken by later ones, however old it is by then.
 *
 *     range ──► a look (format/listing.h) ──► offer ──► accept those that the script's filter lets through ──► settle
 *
 * What is settled for a batch stays so: asked again for the same batch, it is the same list. A batch that is not
 * settled after its offer has taken nothing.
 *
 * Thread: driver only.
 */
#ifndef TIDE_DSTREAM_FILE_CHOICE_H
#define TIDE_DSTREAM_FILE_CHOICE_H

#include <stdint.h>

#include "format/listing.h"

struct tide_file_choice;

struct tide_file_choice_options {
    int64_t created;                 /* ms; 0: files from before the stream count too */
    int64_t memory;                  /* ms */
    uint64_t most_files, most_bytes; /* of a batch, which takes one file at least; 0: no limit */
};

struct tide_file_choice *tide_file_choice_new(const struct tide_file_choice_options *options);
void tide_file_choice_delete(struct tide_file_choice *choice);

/* The times (ns) of the files that batch `time` may take, for tide_listing_look. */
void tide_file_choice_range(const struct tide_file_choice *choice, int64_t time, int64_t *after, int64_t *until);
/* Takes what a look has found; what is new among it are the candidates from now on. */
void tide_file_choice_offer(struct tide_file_choice *choice, struct tide_listed_files *take);
/* The candidates, borrowed until the next offer. */
const struct tide_listed_files *tide_file_choice_candidates(const struct tide_file_choice *choice);
/* None of them is accepted any more. */
void tide_file_choice_begin(struct tide_file_choice *choice);
void tide_file_choice_accept(struct tide_file_choice *choice, uint32_t candidate);
/* The batch takes what waits and what was accepted, up to the limits. */
void tide_file_choice_settle(struct tide_file_choice *choice, int64_t time);

/* The files of a batch, borrowed; NULL: it is not settled. */
const struct tide_listed_files *tide_file_choice_files(const struct tide_file_choice *choice, int64_t time);
/* Before the files of a batch are read again: those that have changed since are read as they are now, which a warning
 * says. Asks the system for each. */
void tide_file_choice_update(struct tide_file_choice *choice, int64_t time);
/* The time of the newest batch that is settled; INT64_MIN: none is. */
int64_t tide_file_choice_newest(const struct tide_file_choice *choice);
/* Forgets the batches up to this one. */
void tide_file_choice_forget(struct tide_file_choice *choice, int64_t time);

/* ---- For a checkpoint: all of it is `created`, the batches and what waits ------------------------------------- */

int64_t tide_file_choice_created(const struct tide_file_choice *choice);
void tide_file_choice_set_created(struct tide_file_choice *choice, int64_t created);
/* The batches that are settled: their number, and the time of the i-th, in ascending order. */
uint32_t tide_file_choice_batches(const struct tide_file_choice *choice);
int64_t tide_file_choice_batch(const struct tide_file_choice *choice, uint32_t index);
/* What waits, borrowed. */
const struct tide_listed_files *tide_file_choice_waiting(const struct tide_file_choice *choice);
/* Settles a batch with these files, taken, in place of what it has. */
void tide_file_choice_set_files(struct tide_file_choice *choice, int64_t time, struct tide_listed_files *take);
/* These files, taken, wait in place of those that did. */
void tide_file_choice_set_waiting(struct tide_file_choice *choice, struct tide_listed_files *take);

#endif
