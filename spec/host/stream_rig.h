/*
 * For the tests of host/dstream and host/driver/runner.c: small datasets whose records are numbers written as
 * lines, a source whose data the test hands out, and a stream kind that reaches back in time as windows do.
 */
#ifndef TIDE_SPEC_STREAM_RIG_H
#define TIDE_SPEC_STREAM_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "dstream/graph.h"
#include "ingest/source.h"
#include "rdd/rdd.h"
#include "store/block.h"

/* A text block of the lines first, first + 1, … (`count` of them). */
struct tide_block *block_of(uint32_t first, uint32_t count);
/* A dataset of one partition with these lines. */
struct tide_rdd *rdd_of(uint32_t first, uint32_t count);
/* The lines of a dataset made of blocks, and of unions, narrow and shuffled nodes of such, as "1 2|3|":
 * partitions end with |. Static memory, good until the next call but three. */
const char *text_of(struct tide_rdd *rdd);
/* Fails unless the lines of a dataset made of blocks are `next`, `next` + 1, …; returns the number after the last. */
uint32_t expect_lines(const struct tide_rdd *rdd, uint32_t next);
struct tide_op *op_of(const char *name);

/* A source that gives what the test has supplied at the next cut. Frees itself when closed. */
struct supply {
    uv_mutex_t lock;
    struct tide_blocks blocks; /* what the next cut gets */
    int closed;                /* how many times its source was closed */
    bool refuse;               /* the source fails to start */
    bool silent;               /* reports nothing */
};

void supply_create(struct supply *supply);
void supply_destroy(struct supply *supply);
/* Lines first … in `blocks` blocks of `each` lines. */
void supply_lines(struct supply *supply, uint32_t first, uint32_t blocks, uint32_t each);
struct tide_source *supply_source(struct supply *supply, uint32_t id);

/* The union of the parent's datasets in the last `length` ms, those there are; every `slide` ms. Counts its
 * computations. */
struct tide_stream *window_of(struct tide_stream *parent, int64_t length, int64_t slide);
uint32_t window_computed(const struct tide_stream *window);

#endif
