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
#include <stdint.h>

#include "store/ffi.h"

/* false: no such number. */
bool tide_broadcast_retain(uint32_t number);
/* Does nothing if the number was removed. */
void tide_broadcast_release(uint32_t number);

#endif
