/*
 * File streams: the dataset of a batch has the records of the files that are new in a directory (file_choice.h). The
 * script makes it from the list of the files, so the generation asks (generation.h); before it does, the directories
 * are looked through, which may take long and is up to the driver (driver/look.h).
 *
 * Thread: driver only.
 */
#ifndef TIDE_DSTREAM_FILE_INPUT_H
#define TIDE_DSTREAM_FILE_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "dstream/file_choice.h"
#include "dstream/graph.h"
#include "rdd/arity.h"

struct tide_file_input_options {
    struct tide_listing *listing; /* retained */
    struct tide_file_choice_options choice;
    enum tide_arity_value arity; /* of the records */
    const char *label;           /* "textFileStream (job.lua:3)", for messages; copied */
};

struct tide_stream *tide_stream_files(struct tide_graph *graph, const struct tide_file_input_options *options,
                                      struct tide_error *err);

/* Borrowed; NULL: it is no file stream. */
struct tide_file_choice *tide_file_input_choice(struct tide_stream *stream);
struct tide_listing *tide_file_input_listing(struct tide_stream *stream);
/* Whether it is a file stream whose directories are to be looked through before the script is asked. */
bool tide_file_input_wants_look(struct tide_stream *stream, int64_t time);
/* Looks here and now, if it wants that. */
void tide_file_input_look(struct tide_stream *stream, int64_t time);
/* Gives it what was found, taken, and what went wrong, which is told once until it changes, and cleared. */
void tide_file_input_looked(struct tide_stream *stream, int64_t time, struct tide_listed_files *take,
                            struct tide_error *err);

#endif
