/*
 * Spill files: blocks of cache entries (store/cache.h) that have no room in memory.
 *
 * The files have no names: each is unlinked as soon as it has been opened. So the system frees the space however the
 * process ends, and no other process can open them. Blocks that are written together are an extent; freeing it frees
 * its space at once (a hole in the file), and a file whose extents are all free is closed.
 *
 *   file   = extent, extent, …   each at a multiple of 4096
 *   extent = frame, frame, …     the blocks of all lists, one list after the other
 *   frame  = header, data, line entries
 *   header = magic:4 kind:1 arity:1 zero:2 count:4 lines:4 size:8 sum:8 check:8
 *   line   = offset:4 length:4
 *
 *   sum is the XXH3 of data and lines, check that of the 32 bytes before it. Byte order is the machine's, because a
 *   file does not outlive the process. Only the writer knows where lists begin.
 *
 * Thread: any; a short lock, never held while reading or writing. Calls block on the disk: not for the driver's
 * thread. Errors: TIDE_EIO (with the directory and the system's reason), TIDE_ECORRUPT, TIDE_ENOMEM. Faults:
 * spill.open, spill.full, spill.write, spill.read, spill.short, spill.damage.
 */
#ifndef TIDE_STORE_SPILL_H
#define TIDE_STORE_SPILL_H

#include <stdint.h>

#include "base/error.h"
#include "store/block.h"

struct tide_spill;
struct tide_spill_file;

struct tide_extent {
    struct tide_spill_file *file; /* NULL: none */
    uint64_t offset, size;
};

/* directory NULL: $TMPDIR, else /var/tmp, else /tmp, looked for when something is written. A directory that is given
 * must take files: NULL and err if it does not. */
struct tide_spill *tide_spill_new(const char *directory, struct tide_error *err);
/* Closes the file that extents are added to if none is left in it; the next one opens another. */
void tide_spill_close(struct tide_spill *spill);
/* Every extent must be free. */
void tide_spill_delete(struct tide_spill *spill);

/* Writes the lists to one extent. ends[i] = where list i ends, counted from the beginning of the extent. On failure
 * nothing remains on the disk. */
int tide_spill_write(struct tide_spill *spill, const struct tide_blocks *lists, uint32_t count,
                     struct tide_extent *extent, uint64_t *ends, struct tide_error *err);
/* Appends the blocks of the bytes [from, to) of an extent, which must be whole lists, to `out`; nothing on
 * failure. */
int tide_spill_read(struct tide_spill *spill, const struct tide_extent *extent, uint64_t from, uint64_t to,
                    struct tide_blocks *out, struct tide_error *err);
/* Gives the space back. Harmless for none. */
void tide_spill_free(struct tide_spill *spill, struct tide_extent *extent);

/* Bytes of the extents that are not free. */
uint64_t tide_spill_bytes(const struct tide_spill *spill);
/* The same of a file that exists already, for tests of the reader: reads frames from `fd`. */
int tide_spill_decode(int fd, uint64_t from, uint64_t to, struct tide_blocks *out, struct tide_error *err);

#endif
