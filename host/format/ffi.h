/*
 * What Lua sees of format/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_FORMAT_FFI_H
#define TIDE_FORMAT_FFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ffi.h"
#include "store/ffi.h"

/* ---- format/writable.h ----------------------------------------------------------------------------------------- */

enum tide_writable {
    TIDE_WRITABLE_UNKNOWN, /* a class that is not supported */
    TIDE_WRITABLE_TEXT,
    TIDE_WRITABLE_INT,
    TIDE_WRITABLE_LONG,
    TIDE_WRITABLE_FLOAT,
    TIDE_WRITABLE_DOUBLE,
    TIDE_WRITABLE_BOOLEAN,
    TIDE_WRITABLE_BYTES,
    TIDE_WRITABLE_NULL,
    TIDE_WRITABLES
};

/* "IntWritable"; static memory. */
const char *tide_writable_name(enum tide_writable kind);
/* The kind of a class name that need not be terminated, with or without the package; TIDE_WRITABLE_UNKNOWN for
 * others. */
enum tide_writable tide_writable_find(const char *name, size_t size);
/* Appends the text of a packed value as Hadoop's toString makes it and TextOutputFormat writes it; no bytes for
 * NullWritable. Errors as for tide_writable_encode. */
int tide_writable_text(enum tide_writable kind, const uint8_t *packed, const uint8_t *end, struct tide_buffer *out,
                       struct tide_error *err);

/* ---- format/input_file.h --------------------------------------------------------------------------------------- */

enum tide_input_file_kind {
    TIDE_INPUT_FILE_PLAIN = 1,
    TIDE_INPUT_FILE_DIRECTORY,
    TIDE_INPUT_FILE_ONCE,    /* a pipe, a terminal: no size, and bytes can be read only once */
    TIDE_INPUT_FILE_UNSIZED, /* of /proc: it has bytes, although its size is 0 */
    TIDE_INPUT_FILE_SOCKET
};

struct tide_input_file {
    uint64_t size;
    uint32_t kind;
};

/* Kind and size of the file at the path; follows links. */
int tide_input_file_look(const char *path, struct tide_input_file *look, struct tide_error *err);
/* Sets the error for a file that has become shorter since it was listed, and returns its code. */
int tide_input_file_shrank(const char *path, uint64_t now, uint64_t listed, struct tide_error *err);

/* ---- format/byte_source.h -------------------------------------------------------------------------------------- */

/* A new number for an input that can be read only once. */
uint32_t tide_byte_source_once(void);

struct tide_byte_source;

struct tide_byte_source_plan {
    uint64_t listed;           /* size of the file when it was listed; 0: not known */
    uint32_t once;             /* the number of an input that can be read only once; 0: any number of times */
    const uint32_t *cancelled; /* checked while waiting for bytes; may be NULL */
};

/* Opens the file. It is an error if the file is shorter than listed. NULL and err. */
struct tide_byte_source *tide_byte_source_new(const char *path, const struct tide_byte_source_plan *plan,
                                              struct tide_error *err);
/* Reads up to `size` bytes, at least one. 0: the end; negative: TIDE_E*. */
ssize_t tide_byte_source_read(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err);
/* NULL is fine. */
void tide_byte_source_delete(struct tide_byte_source *source);

/* ---- format/text_reader.h -------------------------------------------------------------------------------------- */

struct tide_text_reader;

/* Opens the file. It is an error if it is shorter than listed (`plan`). A file that is packed (.gz, .lz4), and an
 * input that can be read only once, is read from its beginning to its end, whatever the range. NULL and err. */
struct tide_text_reader *tide_text_reader_new(const char *path, uint64_t offset, uint64_t length,
                                              const struct tide_byte_source_plan *plan, struct tide_error *err);
/* 1: *block is the next block, the caller's; 0: the range has ended; negative: TIDE_E*. */
int tide_text_reader_next(struct tide_text_reader *reader, struct tide_block **block, struct tide_error *err);
void tide_text_reader_delete(struct tide_text_reader *reader);

/* ---- format/text_writer.h -------------------------------------------------------------------------------------- */

struct tide_text_writer;

/* NULL and err: the file can't be written. */
struct tide_text_writer *tide_text_writer_new(const char *path, bool gzip, struct tide_error *err);
/* Appends a line; the line end is added. After a failure the writer can only be deleted. */
int tide_text_writer_line(struct tide_text_writer *writer, const char *text, size_t size, struct tide_error *err);
/* Writes the rest and closes the file; `sync`: makes it durable first. The writer can only be deleted afterwards. */
int tide_text_writer_finish(struct tide_text_writer *writer, bool sync, struct tide_error *err);
/* Closes the file as it is, unless it was finished. NULL is fine. */
void tide_text_writer_delete(struct tide_text_writer *writer);

/* ---- format/output_directory.h --------------------------------------------------------------------------------- */

enum { TIDE_OUTPUT_DIRECTORY_NAME = 48, TIDE_OUTPUT_DIRECTORY_MARK = 64 };

struct tide_output_directory {
    int fd;        /* the directory, locked */
    uint32_t made; /* number of directories that begin made: the innermost ones of the path */
    int64_t begun; /* when, by the clock of the file system, ns */
    char attempt[TIDE_OUTPUT_DIRECTORY_NAME];
};

/* Which existing output may be replaced. */
struct tide_output_directory_rule {
    bool fresh;      /* none: the directory must not exist */
    const char *own; /* mark of the _SUCCESS that this program wrote there, or NULL */
    /* When this program began. Output completed later by another process is not replaced. */
    uint64_t since;     /* monotonic, ns; 0: replace it whatever its age */
    int64_t since_file; /* tide_clock_file_ns */
};

struct tide_output_directory_parts {
    uint32_t count;
    uint32_t made; /* of the begin */
    int64_t begun; /* of the begin */
    bool gzip, sync;
};

/* Makes the directory and its parents, locks it and makes an attempt. On failure it removes what it made. */
int tide_output_directory_begin(struct tide_output_directory *output, const char *directory,
                                const struct tide_output_directory_rule *rule, struct tide_error *err);
/* Replaces the previous output by parts 0 … count-1 and _SUCCESS, and fills in its mark. On failure it removes them
 * all. */
int tide_output_directory_commit(const char *directory, const char *attempt,
                                 const struct tide_output_directory_parts *parts,
                                 char mark[TIDE_OUTPUT_DIRECTORY_MARK], struct tide_error *err);
/* Removes the attempt and, if they are empty, the directories that begin made; unlocks. Tasks of the attempt that are
 * still running can't create parts any more. */
void tide_output_directory_abort(struct tide_output_directory *output, const char *directory);
/* Unlocks, after a commit. May be called twice. */
void tide_output_directory_end(struct tide_output_directory *output);
/* Removes the output of an earlier run, and the directory if it is empty then. */
int tide_output_directory_clear(const char *directory, const struct tide_output_directory_rule *rule,
                                struct tide_error *err);

/* ---- format/file_checksum.h ------------------------------------------------------------------------------------ */

struct tide_file_checksum {
    uint64_t size;
    uint32_t hash[2]; /* XXH3-64, high half first: halves are numbers that Lua holds exactly */
};

/* Reads the file once. TIDE_ENOTFOUND, TIDE_EIO: it can't be read; TIDE_ECORRUPT: size or checksum differ. The text
 * begins with the path. */
int tide_file_checksum_check(const struct tide_file_checksum *checksum, const char *path, struct tide_error *err);

/* ---- format/sequence_writer.h ---------------------------------------------------------------------------------- */

struct tide_sequence_writer;

/* Makes the file anew (tide_part_file_create). NULL and err: it can't be written. */
struct tide_sequence_writer *tide_sequence_writer_new(const char *path, enum tide_writable key,
                                                      enum tide_writable value, bool compress,
                                                      struct tide_error *err);
/* Appends a record: a packed key and the packed value after it, both complete. TIDE_EINVAL: one of them does not fit
 * its writable; the text starts with "the key is …" or "the value is …", and the writer is as before. */
int tide_sequence_writer_add(struct tide_sequence_writer *writer, const uint8_t *record, size_t size,
                             struct tide_error *err);
/* Appends a record of an object file (NullWritable, BytesWritable) with these bytes as its value. */
int tide_sequence_writer_group(struct tide_sequence_writer *writer, const uint8_t *bytes, size_t size,
                               struct tide_error *err);
/* Writes the rest and closes the file; `sync`: makes it durable first. Reports a full disk at the latest. The writer
 * can only be deleted afterwards. */
int tide_sequence_writer_finish(struct tide_sequence_writer *writer, bool sync, struct tide_error *err);
/* After finish: size and checksum of the file. */
void tide_sequence_writer_checksum(const struct tide_sequence_writer *writer, struct tide_file_checksum *checksum);
/* Closes the file as it is, unless it was finished. NULL is fine. */
void tide_sequence_writer_delete(struct tide_sequence_writer *writer);

/* ---- format/sequence_reader.h ---------------------------------------------------------------------------------- */

/* Records in a value of an object file. */
enum { TIDE_SEQUENCE_GROUP = 10 };

enum tide_sequence_form { TIDE_SEQUENCE_PAIRS = 1, TIDE_SEQUENCE_OBJECTS = 2 };

struct tide_sequence_reader;

/* Opens the file and reads its header. NULL and err: TIDE_ENOTFOUND, TIDE_EIO, TIDE_ECORRUPT (not a SequenceFile, or
 * one of an unsupported kind). */
struct tide_sequence_reader *tide_sequence_reader_new(const char *path, uint64_t offset, uint64_t length,
                                                      enum tide_sequence_form form, struct tide_error *err);
/* 1: *block is the next block, the caller's, all of one arity; 0: the range has ended; negative: TIDE_E*. Returns the
 * records before a damaged one first, then the error. */
int tide_sequence_reader_next(struct tide_sequence_reader *reader, struct tide_block **block, struct tide_error *err);
/* Where in an object file the first group begins that has pairs after single values, or single values after pairs; 0:
 * nowhere so far. */
uint64_t tide_sequence_reader_mixed_at(const struct tide_sequence_reader *reader);
/* NULL is fine. */
void tide_sequence_reader_delete(struct tide_sequence_reader *reader);

#endif
