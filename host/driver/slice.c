/*
 * Slices (see slice.h). Made by the runner (driver/runner.c) when the script asks for one, run and read by the
 * bindings. Driver thread.
 */
#include "driver/slice.h"

#include "base/alloc.h"
#include "base/array.h"
#include "clock/boundary.h"

struct tide_slice {
    struct tide_stream *stream;
    struct tide_generation *generation;
    bool guarded;
    int64_t from;    /* the first time */
    uint32_t *wants; /* one for each time */
    uint32_t count, capacity;
};

struct tide_slice *tide_slice_new(struct tide_stream *stream, int64_t from, int64_t to, bool guarded) {
    struct tide_slice *slice = tide_xcalloc(1, sizeof *slice);
    struct tide_graph *graph = tide_stream_graph(stream);
    int64_t slide = tide_stream_slide(stream), zero = tide_graph_zero(graph);

    from = from > zero ? tide_boundary_floor(from, slide, zero) : zero;
    slice->stream = stream;
    slice->guarded = guarded;
    slice->generation = tide_generation_new(graph);
    slice->from = from > zero ? from : zero + slide;
    for (int64_t time = slice->from; time <= to; time += slide) {
        TIDE_ARRAY_RESERVE(slice->wants, slice->capacity, slice->count + 1);
        slice->wants[slice->count++] = tide_generation_want(slice->generation, stream, time);
    }
    return slice;
}

void tide_slice_delete(struct tide_slice *slice) {
    if (!slice) return;
    tide_generation_delete(slice->generation);
    tide_free(slice->wants);
    tide_free(slice);
}

struct tide_generation *tide_slice_generation(struct tide_slice *slice) {
    return slice->generation;
}

uint32_t tide_slice_count(const struct tide_slice *slice) { return slice->count; }

struct tide_rdd *tide_slice_at(const struct tide_slice *slice, uint32_t index) {
    struct tide_rdd *rdd = tide_generation_answer_of(slice->generation, slice->wants[index]);
    int64_t time = slice->from + index * tide_stream_slide(slice->stream);

    return rdd && slice->guarded ? tide_stream_guarded(slice->stream, time) : rdd;
}
