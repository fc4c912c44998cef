/*
 * Records of two partitions side by side: zip and cartesian. Results are pairs (a, b); a record that is a pair itself
 * becomes the array [key, value] in there. Nothing is decoded.
 *
 * Thread: the worker that runs the task. Blocks must be packed. Called by worker Lua through FFI.
 */
#ifndef TIDE_KERNEL_PRODUCT_H
#define TIDE_KERNEL_PRODUCT_H

#include <stdbool.h>

#include "store/block.h"

/* Appends (a, b) for the i-th records of both sides, which must have the same number of them. false: no memory (out then
 * holds a part; the task fails). */
bool tide_product_zip(const struct tide_blocks *a, const struct tide_blocks *b, struct tide_blocks *out);

struct tide_product;

/* Every record of a with every record of b, in the order of a. The blocks must live as long as it. NULL: no memory. */
struct tide_product *tide_product_new(const struct tide_blocks *a, const struct tide_blocks *b);
void tide_product_delete(struct tide_product *cartesian); /* NULL is fine */
/* *out is the next block, the caller's, or NULL when there are no more. false: no memory. */
bool tide_product_next(struct tide_product *cartesian, struct tide_block **out);

#endif
