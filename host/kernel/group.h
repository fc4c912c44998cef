/*
 * groupByKey's reading side without Lua: packed (key, value) blocks → packed (key, array of values) blocks. Values
 * of a key keep their order of arrival. Keys come in order of first arrival.
 */
#ifndef TIDE_KERNEL_GROUP_H
#define TIDE_KERNEL_GROUP_H

#include <stdbool.h>

#include "store/block.h"

/* Appends to `out`. false: memory is gone (out then holds a part; the task fails). */
bool tide_group_blocks(const struct tide_blocks *in, struct tide_blocks *out);

#endif
