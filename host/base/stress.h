/*
 * Memory stress, for tests: MOONTIDE_GCSTRESS=<seed> makes reads of freed memory show. Freed memory is overwritten
 * first (base/alloc.c), memory that grows always moves, and Lua states collect garbage all the time
 * (vm/gcstress.h). Any thread; one relaxed load when it is off.
 */
#ifndef TIDE_BASE_STRESS_H
#define TIDE_BASE_STRESS_H

#include "base/ffi.h"

/* What freed memory is filled with: as a pointer it is invalid, as MessagePack it is a tag that no value has. */
enum { TIDE_STRESS_FILL = 0xc1 };

#endif
