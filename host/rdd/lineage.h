/*
 * Lineage as text for people: what a dataset is made of, newest first, one line per node.
 *
 *   (2) #7 sortByKey (job.lua:14), shuffle by key order
 *   +-(3) #6 map (job.lua:13)
 *     (3) #5 union
 *     +-(2) #1 blocks, 10 records
 *     +-(1) #2 blocks, 4 records
 *
 * Thread: driver only.
 */
#ifndef TIDE_RDD_LINEAGE_H
#define TIDE_RDD_LINEAGE_H

#include "base/buffer.h"
#include "rdd/rdd.h"

/* Appends the text. A node met a second time is named, not written out again. */
void tide_rdd_lineage(struct tide_rdd *rdd, struct tide_buffer *out);

#endif
