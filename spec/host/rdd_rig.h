/*
 * Small pieces for tests of datasets, stages and jobs: operators with a name, datasets of given sizes, plans as text.
 */
#ifndef RDD_RIG_H
#define RDD_RIG_H

#include "base/buffer.h"
#include "rdd/rdd.h"
#include "task/task.h"

/* The descriptor {name: <name>}. */
struct tide_op *rig_op(const char *name, bool keeps_keys);
/* A packed block (arity 1) with these whole numbers as records. */
struct tide_block *rig_block(const int *numbers, uint32_t count);
/* A BLOCKS dataset; partition i has one block with the numbers first + i × each … */
struct tide_rdd *rig_blocks(uint32_t partitions, uint32_t each, int first);
/* These take the reference to the parent, so that lineages can be written nested. The operator is rig_op(name). */
struct tide_rdd *rig_narrow(struct tide_rdd *take, const char *name);
struct tide_rdd *rig_learned(struct tide_rdd *take, const char *name); /* single values or pairs: to be learned */
struct tide_rdd *rig_keep(struct tide_rdd *take, const char *name);    /* keeps keys */
struct tide_rdd *rig_coalesce(struct tide_rdd *take, uint32_t partitions);
struct tide_rdd *rig_union(struct tide_rdd *take_a, struct tide_rdd *take_b);
struct tide_rdd *rig_indexed(struct tide_rdd *take, const char *name); /* asks for the number of its partition */
struct tide_rdd *rig_zip_union(struct tide_rdd *take_a, struct tide_rdd *take_b);
struct tide_rdd *rig_zip(struct tide_rdd *take_a, struct tide_rdd *take_b, const char *name);
struct tide_rdd *rig_cartesian(struct tide_rdd *take_a, struct tide_rdd *take_b, const char *name);
/* write operator "w", read operator "r" */
struct tide_rdd *rig_shuffle(struct tide_rdd *take, enum tide_route route, uint32_t partitions, bool ascending);

/* A cache with this limit; the caller releases it. */
struct tide_cache *rig_cache(uint64_t limit);
/* What kept datasets and shuffles are made of, by hand: frees the heap array of lists, one for each partition. The
 * first is as if one map task had made them all. */
void rig_settle(struct tide_rdd *rdd, struct tide_blocks *take_lists);
void rig_keep_lists(struct tide_rdd *rdd, struct tide_cache *cache, struct tide_blocks *take_lists);

/* MessagePack as text, appended: [a, b] {k: v} name 12 true nil; a descriptor {name: f} shows as f alone. */
void rig_show(const uint8_t *bytes, size_t size, struct tide_buffer *out);
/* The plan's bytes so shown, zero terminated; the caller frees it (tide_free). */
char *rig_plan(const struct tide_plan *plan);
/* The whole numbers in a list of blocks, "1 2 3"; the caller frees it (tide_free). */
char *rig_numbers(const struct tide_blocks *blocks);

#endif
