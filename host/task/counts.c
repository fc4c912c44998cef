/*
 * Records by partition (see counts.h). Made by rdd/rdd.c, filled in by the scheduler when tasks have succeeded.
 */
#include "task/counts.h"

#include "base/alloc.h"

struct tide_counts {
    uint32_t refs;
    uint32_t unknown; /* partitions that were not read yet */
    int64_t sum;      /* of the others */
    int64_t records[];
};

struct tide_counts *tide_counts_new(uint32_t partitions) {
    struct tide_counts *counts = tide_xcalloc(1, sizeof *counts + partitions * sizeof counts->records[0]);

    counts->refs = 1;
    counts->unknown = partitions;
    for (uint32_t i = 0; i < partitions; i++) counts->records[i] = -1;
    return counts;
}

struct tide_counts *tide_counts_retain(struct tide_counts *counts) {
    counts->refs++;
    return counts;
}

void tide_counts_release(struct tide_counts *counts) {
    if (counts && --counts->refs == 0) tide_free(counts);
}

void tide_counts_set(struct tide_counts *counts, uint32_t partition, int64_t records) {
    if (counts->records[partition] < 0) counts->unknown--;
    else counts->sum -= counts->records[partition];
    counts->records[partition] = records;
    counts->sum += records;
}

int64_t tide_counts_total(const struct tide_counts *counts) { return counts->unknown > 0 ? -1 : counts->sum; }
