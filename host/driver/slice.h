/*
 * Slices: the datasets of one stream at several times that the script asks for, outside of batches. A slice is made
 * by a generation of its own: tide_generation_run of tide_slice_generation until it is done, with answers where it
 * asks.
 *
 * Thread: driver only.
 */
#ifndef TIDE_DRIVER_SLICE_H
#define TIDE_DRIVER_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#include "dstream/generation.h"
#include "dstream/graph.h"

struct tide_slice;

/* All times of the stream from `from` to `to` (ms), both included and rounded down to its grid. guarded: the datasets
 * as tide_stream_guarded gives them. The graph has begun. */
struct tide_slice *tide_slice_new(struct tide_stream *stream, int64_t from, int64_t to, bool guarded);
void tide_slice_delete(struct tide_slice *slice); /* NULL is fine */
struct tide_generation *tide_slice_generation(struct tide_slice *slice);

/* When the generation is done: the number of times, and the dataset of each, borrowed; NULL: none at that time. */
uint32_t tide_slice_count(const struct tide_slice *slice);
struct tide_rdd *tide_slice_at(const struct tide_slice *slice, uint32_t index);

#endif
