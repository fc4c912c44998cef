/*
 * How many records the partitions of a dataset of files turned out to have: tasks find out by reading them. Shared by
 * the dataset and its tasks.
 *
 * Thread: driver only. Reference counted (plain).
 */
#ifndef TIDE_TASK_COUNTS_H
#define TIDE_TASK_COUNTS_H

#include <stdint.h>

struct tide_counts;

struct tide_counts *tide_counts_new(uint32_t partitions);
struct tide_counts *tide_counts_retain(struct tide_counts *counts);
void tide_counts_release(struct tide_counts *counts); /* NULL is fine */
/* A partition was read to its end. */
void tide_counts_set(struct tide_counts *counts, uint32_t partition, int64_t records);
/* The records of all partitions; -1: one of them was not read yet. */
int64_t tide_counts_total(const struct tide_counts *counts);

#endif
