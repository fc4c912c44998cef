/*
 * Numbers of walks over lineage: a walk marks the nodes that it has seen with its number. Driver thread; the counter
 * is atomic because every engine has a driver thread of its own.
 */
#include <stdatomic.h>

#include "rdd/node.h"

static atomic_uint_fast64_t last;

uint64_t tide_rdd_next_mark(void) { return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1; }
