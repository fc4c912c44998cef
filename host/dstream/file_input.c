/*
 * The streams of new files (see file_input.h). Called by generation.c through the table of operations, by
 * driver/runner.c around looks, and by the bindings, on the driver thread.
 */
#include "dstream/file_input.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "dstream/stream.h"

struct file_input {
    struct tide_stream stream;
    struct tide_listing *listing;
    struct tide_file_choice *choice;
    int64_t memory;
    int64_t looked; /* the batch that was looked for last */
    char *label;
    char *failure; /* of the last look, told; NULL: none */
};

/* ---- The stream ------------------------------------------------------------------------------------------------ */

/* A batch that is older than one that is settled, and has no list of its own, had no dataset. */
static int compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                   struct tide_rdd **out, struct tide_error *err) {
    const struct file_input *input = (const struct file_input *)stream;

    if (tide_file_choice_files(input->choice, time)) return TIDE_STREAM_ASKS;
    return time > tide_file_choice_newest(input->choice) ? TIDE_STREAM_ASKS : TIDE_OK;
}

/* The lists are kept as long as their files may be found again, and as long as the datasets. */
static void forget(struct tide_stream *stream, int64_t time) {
    struct file_input *input = (struct file_input *)stream;
    int64_t kept = stream->remember > input->memory ? stream->remember : input->memory;

    tide_file_choice_forget(input->choice, time == INT64_MAX ? time : time - kept);
}

static void destroy(struct tide_stream *stream) {
    struct file_input *input = (struct file_input *)stream;

    tide_file_choice_delete(input->choice);
    tide_listing_release(input->listing);
    tide_free(input->label);
    tide_free(input->failure);
}

static const struct tide_stream_ops FILES_OPS = {
    .name = "files",
    .compute = compute,
    .forget = forget,
    .destroy = destroy,
};

struct tide_stream *tide_stream_files(struct tide_graph *graph, const struct tide_file_input_options *options,
                                      struct tide_error *err) {
    struct file_input *input =
        (struct file_input *)tide_stream_new(graph, &FILES_OPS, sizeof *input, NULL, 0, 0, err);

    if (!input) return NULL;
    input->stream.arity =
        options->arity == TIDE_ARITY_UNKNOWN ? tide_arity_new(NULL) : tide_arity_known(options->arity, NULL);
    input->stream.adopts = true;
    input->listing = tide_listing_retain(options->listing);
    input->choice = tide_file_choice_new(&options->choice);
    input->memory = options->choice.memory;
    input->looked = INT64_MIN;
    input->label = tide_xstrdup(options->label);
    return &input->stream;
}

struct tide_file_choice *tide_file_input_choice(struct tide_stream *stream) {
    return stream->ops == &FILES_OPS ? ((struct file_input *)stream)->choice : NULL;
}

struct tide_listing *tide_file_input_listing(struct tide_stream *stream) {
    assert(stream->ops == &FILES_OPS);
    return ((struct file_input *)stream)->listing;
}

/* ---- Looks ----------------------------------------------------------------------------------------------------- */

bool tide_file_input_wants_look(struct tide_stream *stream, int64_t time) {
    const struct file_input *input = (const struct file_input *)stream;

    if (stream->ops != &FILES_OPS || input->looked == time) return false;
    return !tide_file_choice_files(input->choice, time);
}

static void tell(struct file_input *input, const struct tide_error *err) {
    const char *failure = err->code == TIDE_OK ? NULL : err->text;

    if (failure && (!input->failure || strcmp(input->failure, failure) != 0))
        tide_log(TIDE_LOG_WARN, "files", "%s: %s; batches go on without its files until it can be listed",
                 input->label, failure);
    if (!failure && input->failure) tide_log(TIDE_LOG_INFO, "files", "%s: can be listed again", input->label);
    tide_free(input->failure);
    input->failure = failure ? tide_xstrdup(failure) : NULL;
}

void tide_file_input_looked(struct tide_stream *stream, int64_t time, struct tide_listed_files *take,
                            struct tide_error *err) {
    struct file_input *input = (struct file_input *)stream;

    assert(stream->ops == &FILES_OPS);
    input->looked = time;
    tell(input, err);
    tide_error_clear(err);
    tide_file_choice_offer(input->choice, take);
}

void tide_file_input_look(struct tide_stream *stream, int64_t time) {
    struct tide_listed_files found = {0};
    struct tide_error err = {0};
    int64_t after, until;

    if (!tide_file_input_wants_look(stream, time)) return;
    tide_file_choice_range(tide_file_input_choice(stream), time, &after, &until);
    tide_listing_look(tide_file_input_listing(stream), after, until, &found, &err);
    tide_file_input_looked(stream, time, &found, &err);
}
