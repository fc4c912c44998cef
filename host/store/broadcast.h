/*
 * Broadcast variables: blocks that every worker of the process can get by number. The driver packs the value once;
 * closures contain only the number, and each worker decodes the value when it first needs it. References are counted:
 * the script's handle has one, and so has everything that holds a closure package with the number in it. The value is
 * freed with the last reference.
 *
 * Numbers are never used again within a process, so they need no engine.
 *
 * Thread: any; a short lock.
 */
#ifndef TIDE_STORE_BROADCAST_H
#define TIDE_STORE_BROADCAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/block.h"

/* Takes the reference to the block. Returns the number (from 1) and one reference to it. */
uint32_t tide_broadcast_add(struct tide_block *take);
/* A reference to the block, the caller's; NULL when it was removed or never existed. */
struct tide_block *tide_broadcast_get(uint32_t number);
/* Makes workers decode the value again when they next need it. false: no such number. */
bool tide_broadcast_refresh(uint32_t number);
/* false: no such number. */
bool tide_broadcast_retain(uint32_t number);
/* Does nothing if the number was removed. */
void tide_broadcast_release(uint32_t number);
/* Frees the value although there are references to the number. false: no such number. */
bool tide_broadcast_remove(uint32_t number);
/* The number of values, for tests. */
uint32_t tide_broadcast_count(void);
/* Changes with every refresh and whenever a value is freed: while it is the same, decoded values are valid. */
uint32_t tide_broadcast_epoch(void);
/* The epoch of the last refresh of this number (0: never); UINT32_MAX: no such number. */
uint32_t tide_broadcast_refreshed(uint32_t number);

/*
 * References to the values that closure packages name: held by operators, partitioners, plans, values and objects of the
 * driver's Lua state. Numbers are found in the bytes of the package. Immutable.
 */
struct tide_broadcast_refs;

/* Holds the values that packages among the bytes name until _delete. NULL: none. Bytes that look like a package by chance
 * keep a value longer than needed, which is harmless. */
struct tide_broadcast_refs *tide_broadcast_refs_new(const void *bytes, size_t size);
/* Takes over one reference, as tide_broadcast_add returns it. */
struct tide_broadcast_refs *tide_broadcast_refs_take(uint32_t number);
void tide_broadcast_refs_delete(struct tide_broadcast_refs *refs); /* NULL is fine */

#endif
