/*
 * What the inputs of a graph bring to a batch, for listeners. Called by driver/runner.c when a batch is submitted: the inputs' datasets
 * are in memory then. Driver thread.
 */
#include <stdbool.h>

#include "dstream/stream.h"

static bool is_used_input(const struct tide_stream *stream) { return stream->nparents == 0 && stream->reached; }

uint32_t tide_graph_inputs(const struct tide_graph *graph) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < graph->nstreams; i++) count += is_used_input(graph->streams[i]);
    return count;
}

/* The newest datasets are last. */
static int64_t records_of(const struct tide_stream *stream, int64_t time) {
    for (uint32_t i = stream->ndatasets; i > 0 && stream->datasets[i - 1].time >= time; i--) {
        if (stream->datasets[i - 1].time != time) continue;
        const struct tide_rdd *rdd = stream->datasets[i - 1].rdd;
        int64_t records = rdd ? tide_rdd_known_records(rdd) : 0;
        return records > 0 ? records : 0;
    }
    return 0;
}

static const struct tide_stream *used_input(const struct tide_graph *graph, uint32_t index) {
    for (uint32_t i = 0; i < graph->nstreams; i++)
        if (is_used_input(graph->streams[i]) && index-- == 0) return graph->streams[i];
    return NULL;
}

int64_t tide_graph_input(const struct tide_graph *graph, uint32_t index, int64_t time, uint32_t *id) {
    const struct tide_stream *stream = used_input(graph, index);

    if (!stream) return 0;
    *id = stream->id;
    return records_of(stream, time);
}

int64_t tide_graph_input_leftovers(const struct tide_graph *graph, uint32_t index, uint32_t *id) {
    const struct tide_stream *stream = used_input(graph, index);

    if (!stream) return 0;
    *id = stream->id;
    return tide_input_is_receiver(stream) ? tide_input_leftovers(stream) : 0;
}
