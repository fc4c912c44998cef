/*
 * Records of several sides that meet by key: what cogroup, the joins, subtractByKey and intersection do with one
 * partition. Packed (key, value) blocks of each side come in, packed (key, something) blocks go out; no value is decoded.
 *
 *   COGROUP      (k, [[values of side 0], [values of side 1], …])   keys of any side
 *   JOIN         (k, [v, w])   every v of side 0 with every w of side 1
 *   LEFT_OUTER   the same, and (k, [v]) for each v without a w
 *   RIGHT_OUTER  JOIN, and (k, [nil, w]) for each w without a v
 *   FULL_OUTER   both of these
 *   SUBTRACT     (k, v)        the records of side 0 whose key side 1 has not
 *   INTERSECT    (k, v)        once for each key that all sides have, with the first value of side 0
 *
 * Keys come in the order of their first arrival, those of side 0 first; values of a key keep their order of arrival. The
 * result is made block by block, so that a join that multiplies its records takes no more memory than its input.
 *
 * Thread: the worker that runs the task. The blocks given must live, unchanged, as long as the cogroup. Called by worker
 * Lua through FFI.
 */
#ifndef TIDE_KERNEL_COGROUP_H
#define TIDE_KERNEL_COGROUP_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
