/*
 * A look through the directories of a file stream (format/listing.h), away from the driver's thread: a directory may
 * have very many files, or be on a server that does not answer.
 *
 * Thread: driver. The thread that looks is left behind when it is cancelled, or when the process ends: it touches
 * nothing but what belongs to the look, and the listing, which it retains. Faults: look.start, look.stall.
 */
#ifndef TIDE_DRIVER_LOOK_H
#define TIDE_DRIVER_LOOK_H

#include <uv.h>

#include "base/error.h"
#include "format/listing.h"

struct tide_look;

/* Takes the files and the error; `ns`: how long it took. */
typedef void (*tide_look_done)(void *arg, struct tide_listed_files *take, struct tide_error *take_err, uint64_t ns);

/* The files with after < mtime <= until. `done` runs exactly once unless cancelled, never inside this call. NULL and
 * an error when there is no handle or no thread for it. */
struct tide_look *tide_look_new(uv_loop_t *loop, struct tide_listing *listing, int64_t after, int64_t until,
                                tide_look_done done, void *arg, struct tide_error *err);
/* `done` will not be called any more. Not after `done` has run. Never waits. */
void tide_look_cancel(struct tide_look *look);

#endif
