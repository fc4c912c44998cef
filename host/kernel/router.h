/*
 * The writing side of a shuffle: sends packed records to the partition they belong to, each partition's records
 * collected in its own blocks of the task's outputs.
 *
 * Not thread-safe: one task, one worker. Functions return false when memory is gone.
 */
#ifndef TIDE_KERNEL_ROUTER_H
#define TIDE_KERNEL_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/combine.h"
#include "store/block.h"

struct tide_router;

/* Routes to outputs[0 … count-1], records of this arity. The outputs must stay in place until the delete. Round robin begins
 * at outputs[0]; the reading side makes the sizes even across tasks (rdd/node.h, shifts). */
struct tide_router *tide_router_new(struct tide_blocks *outputs, uint32_t count, uint32_t arity);
/* Seals what is open, in partition order, and frees the router. */
void tide_router_delete(struct tide_router *router);

/* record = size bytes, of which the first key_size are the packed key. */
bool tide_router_hash(struct tide_router *router, const uint8_t *record, size_t key_size, size_t size);
/* To that partition, which must be below count. */
bool tide_router_to(struct tide_router *router, uint32_t partition, const uint8_t *record, size_t size);
bool tide_router_next(struct tide_router *router, const uint8_t *record, size_t size);
/* bounds: a packed block (arity 1) of ascending keys; partition i gets keys <= bounds[i]. */
bool tide_router_range(struct tide_router *router, const struct tide_block *bounds, bool ascending,
                       const uint8_t *record, size_t key_size, size_t size);
/* All records of a packed block, as the functions above do one by one; `bounds` NULL: by key hash. 1: done; 0: a key
 * has NaN in it and so no place or group; -1: no memory. */
int tide_router_pairs(struct tide_router *router, const struct tide_block *block, const struct tide_block *bounds,
                      bool ascending);
int tide_router_spread(struct tide_router *router, const struct tide_block *block);
/* Entry `index` of a combine table with its number, or with a packed value when value is not NULL, by key hash. */
bool tide_router_entry(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                       const uint8_t *value, size_t value_size);
/* The same to a partition that somebody else chose, which must be below count. */
bool tide_router_entry_to(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                          uint32_t partition, const uint8_t *value, size_t value_size);
/* The packed key of an entry, for who chooses its partition. Good until the table gets another key. */
const uint8_t *tide_router_entry_key(const struct tide_combine *combine, uint32_t index);
/* All entries with their numbers. */
bool tide_router_entries(struct tide_router *router, const struct tide_combine *combine);

#endif
