/*
 * The operators of a stage and the sink of their records, as bytes. Made by the driver (rdd/plans.h), read by worker
 * Lua, which compiles a plan once and finds it again by its content id.
 *
 * Plan bytes (MessagePack): [node, sink]
 *   node = ["leaf", read]              takes the next input; read: descriptor of an exchange, or nil (plain records)
 *        | ["chain", node, [op, …]]    operators applied in order
 *        | ["concat", [[n, node], …]]  each node n times, one after the other; each time it takes its own inputs
 *        | ["zip", op, [child, …]]     computes every child, in this order, to a list of packed blocks; the operator
 *                                      makes records of these lists
 *   child = node | ["same", n, i]      the result of the n-th child back, with the inputs that begin i before the
 *                                      next one; it takes no input itself. Children count when they are complete,
 *                                      each as often as it appears in the plan
 *   sink, op, read                     descriptors (maps) made in Lua, inserted as they are
 *
 * An op of a chain that uses the number of its partition appears as [difference, op]: the number is difference +
 * `partition` of the first input that its part of the plan takes; or as [difference, op, true] if that part takes
 * none: the number is difference + the number of the task's partition.
 *
 * Thread: any. Immutable; the reference count is atomic.
 */
#ifndef TIDE_TASK_PLAN_H
#define TIDE_TASK_PLAN_H

#include <stddef.h>

#include "task/ffi.h"

/* Copies the bytes. The caller has the one reference. */
struct tide_plan *tide_plan_new(const void *bytes, size_t size);
struct tide_plan *tide_plan_retain(struct tide_plan *plan);
void tide_plan_release(struct tide_plan *plan); /* NULL is fine */

#endif
