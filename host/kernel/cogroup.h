/*
 * Combines the records of several sides by key: cogroup, the joins, subtractByKey and intersection of one partition.
 * Packed (key, value) blocks of each side in, packed pairs out; no value is decoded.
 *
 *   COGROUP      (k, [[values of side 0], [values of side 1], …])   keys of any side
 *   JOIN         (k, [v, w])   every v of side 0 with every w of side 1
 *   LEFT_OUTER   JOIN, and (k, [v]) for each v without a w
 *   RIGHT_OUTER  JOIN, and (k, [nil, w]) for each w without a v
 *   FULL_OUTER   JOIN, and both of these
 *   SUBTRACT     (k, v)        the records of side 0 whose key is not on side 1
 *   INTERSECT    (k, v)        once for each key that all sides have, with the first value of side 0
 *
 * Keys come in the order of their first arrival, those of side 0 first; the values of a key stay in order. The result
 * is made block by block, so that a join needs no more memory than its input, however many records it has.
 *
 * Thread: the worker that runs the task. Called by worker Lua through FFI. The blocks must live, unchanged, as long
 * as the cogroup.
 */
#ifndef TIDE_KERNEL_COGROUP_H
#define TIDE_KERNEL_COGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
