/*
 * Shared values: blocks that every worker of the process may ask for by number. A broadcast variable is packed once by the
 * driver into such a block; closures carry only its number, and each worker decodes it when it needs it first. References are
 * counted: by the script's handle, and by whatever has packages that name the number (store/carried.h). With the last one the
 * value goes.
 *
 * Numbers are unique for the life of the process, so they need no engine and a number that is gone stays gone.
 * Any thread; a short lock.
 */
#ifndef TIDE_STORE_BROADCAST_H
#define TIDE_STORE_BROADCAST_H

#include <stdbool.h>
#include <stdint.h>

#include "store/block.h"

/* Takes the reference to the block. Returns the number, from 1, with one reference to it, the caller's. */
uint32_t tide_shared_add(struct tide_block *take);
/* A reference to the block, the caller's; NULL when it was removed or never existed. */
struct tide_block *tide_shared_get(uint32_t number);
/* Workers are to forget what they have decoded, and decode it again when it is needed again. false: there is no such number. */
bool tide_shared_refresh(uint32_t number);
/* false: there is no such number, and nothing to release. */
bool tide_shared_retain(uint32_t number);
/* Of a number that was removed, it does nothing. */
void tide_shared_release(uint32_t number);
/* Gives the block up, whoever refers to the number. false: it was removed before. */
bool tide_shared_remove(uint32_t number);
/* Values there are at the moment. For tests. */
uint32_t tide_shared_count(void);
/* A value that changes with every refresh, and with every value that goes: as long as it is the same, what a worker has decoded
 * is valid. */
uint32_t tide_shared_epoch(void);
/* The epoch of the last refresh of this number (0: never); UINT32_MAX when it is gone. */
uint32_t tide_shared_refreshed(uint32_t number);

#endif
