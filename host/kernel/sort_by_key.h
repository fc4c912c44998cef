/*
 * sortByKey's native parts: sorting a partition by key, and sampling keys for the range bounds.
 */
#ifndef TIDE_KERNEL_SORT_BY_KEY_H
#define TIDE_KERNEL_SORT_BY_KEY_H

#include <stdbool.h>

#include "kernel/ffi.h"
#include "store/block.h"

#endif
