/*
 * Pins of a store: which versions are read, and what is kept for them. The rules are in state/state_store.h, the
 * lists in state/old.h.
 *
 * Thread: the store's owner, but for tide_pin_page.
 */
#ifndef TIDE_STATE_PIN_H
#define TIDE_STATE_PIN_H

#include <stdbool.h>
#include <stdint.h>

#include "state/body.h"

/* The current state becomes a version. NULL: no memory. */
struct tide_state_pin *tide_pin_new(struct tide_state_store *store);
/* Frees what pins that were let go of kept: up to `most` pages and blobs, and finds the newest pin. */
void tide_pin_sweep(struct tide_state_store *store, uint32_t most);
/* The item is replaced, but pinned: it is kept for the newest pin. Takes a node (tide_old_ready). */
struct tide_old *tide_pin_bury(struct tide_state_store *store, struct tide_arena_item *item, uint64_t born,
                               uint32_t group, uint32_t bucket);
/* The page of a bucket in a pinned version; NULL: it has no rows. Under the store's lock; any thread. */
const struct tide_page *tide_pin_page(const struct tide_state_pin *pin, uint32_t group, uint32_t bucket);

#endif
