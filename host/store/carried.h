/*
 * References to shared values (store/broadcast.h) by whatever has closure packages: operators, partitioners, plans, shared values
 * themselves, and objects of the driver's Lua state. A package carries a broadcast variable as its number, which is found in the
 * bytes: so whoever has bytes keeps what they name, and says nothing of it.
 *
 * Any thread; immutable once made.
 */
#ifndef TIDE_STORE_CARRIED_H
#define TIDE_STORE_CARRIED_H

#include <stddef.h>
#include <stdint.h>

struct tide_carried;

/* Keeps the shared values that packages among the bytes name until _delete. NULL: they name none. Bytes that only look like it
 * keep a value longer than needed, which does no harm. */
struct tide_carried *tide_carried_new(const void *bytes, size_t size);
/* Takes over a reference to one shared value, as tide_shared_add gives it. */
struct tide_carried *tide_carried_take(uint32_t number);
void tide_carried_delete(struct tide_carried *carried); /* NULL is fine */

#endif
