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
    TIDE_WRITABLE_UNKNOWN, /* a class that is not read here */
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
/* The kind of a class name that need not be terminated, with or without the package; TIDE_WRITABLE_UNKNOWN for others. */
enum tide_writable tide_writable_find(const char *name, size_t size);
/* Appends the text that Hadoop shows for a packed value (toString): what TextOutputFormat writes. Nothing for NullWritable.
 * Errors as for tide_writable_encode. */
int tide_writable_text(enum tide_writable kind, const uint8_t *packed, const uint8_t *end, struct tide_buffer *out,
                       struct tide_error *err);

/* ---- format/input_file.h ---------------------------------------------------------------------------------------- */

enum tide_input_file_kind {
    TIDE_INPUT_FILE_PLAIN = 1,
    TIDE_INPUT_FILE_DIRECTORY,
    TIDE_INPUT_FILE_ONCE,    /* a pipe, a terminal: no size, and what was read is gone */
    TIDE_INPUT_FILE_UNSIZED, /* of /proc: there are bytes, and the system says 0 */
    TIDE_INPUT_FILE_SOCKET
};

struct tide_input_file {
    uint64_t size;
    uint32_t kind;
};

/* What is at the path, through links. TIDE_ENOTFOUND: nothing. */
int tide_input_file_look(const char *path, struct tide_input_file *look, struct tide_error *err);
/* Sets the error for a file that has become shorter since it was listed, and returns its code. */
int tide_input_file_shrank(const char *path, uint64_t now, uint64_t listed, struct tide_error *err);

/* ---- format/byte_source.h --------------------------------------------------------------------------------------- */

/* A number for an input that can be read once. */
uint32_t tide_byte_source_once(void);

struct tide_byte_source;

struct tide_byte_source_plan {
    uint64_t listed;           /* the size that the file had when it was listed; 0: not known */
    uint32_t once;             /* not 0: the number of an input that can be read once */
    const uint32_t *cancelled; /* looked at while waiting for bytes; or NULL */
};

/* Opens the file. A file that is shorter than it was listed is an error. NULL and err. */
struct tide_byte_source *tide_byte_source_new(const char *path, const struct tide_byte_source_plan *plan,
                                              struct tide_error *err);
/* Reads up to `size` bytes, at least one. 0: the end; negative: TIDE_E*. */
ssize_t tide_byte_source_read(struct tide_byte_source *source, uint8_t *into, size_t size, struct tide_error *err);
/* NULL is fine. */
void tide_byte_source_delete(struct tide_byte_source *source);

/* ---- format/text_reader.h -------------------------------------------------------------------------------------- */

struct tide_text_reader;

/* As tide_text_reader_new, with what is known of the file: one that became shorter is an error, and what can be read only
 * once is read from its beginning to its end. */
struct tide_text_reader *tide_text_reader_open(const char *path, uint64_t offset, uint64_t length,
                                               const struct tide_byte_source_plan *plan, struct tide_error *err);
/* 1: the next block is in *block (the caller releases it); 0: the range is at its end; negative: TIDE_E*. */
int tide_text_reader_next(struct tide_text_reader *reader, struct tide_block **block, struct tide_error *err);
void tide_text_reader_delete(struct tide_text_reader *reader);

/* ---- format/text_writer.h --------------------------------------------------------------------------------------- */

struct tide_text_writer;

/* NULL and err: it can't be written. */
struct tide_text_writer *tide_text_writer_new(const char *path, bool gzip, struct tide_error *err);
/* Appends a line; the line end is added. After a failure the writer can only be deleted. */
int tide_text_writer_line(struct tide_text_writer *writer, const char *text, size_t size, struct tide_error *err);
/* Writes what is left and closes the file. The writer can only be deleted then. */
int tide_text_writer_finish(struct tide_text_writer *writer, bool sync, struct tide_error *err);
/* Closes the file as it is, unless it was finished. NULL is fine. */
void tide_text_writer_delete(struct tide_text_writer *writer);

/* ---- format/output_directory.h --------------------------------------------------------------------------------- */

enum { TIDE_OUTPUT_DIRECTORY_NAME = 48, TIDE_OUTPUT_DIRECTORY_MARK = 64 };

struct tide_output_directory {
    int fd;        /* the directory, with the lock */
    uint32_t made; /* directories that begin has made: the innermost ones of the path */
    int64_t begun; /* the time of the file system, ns */
    char attempt[TIDE_OUTPUT_DIRECTORY_NAME];
};

/* What is known about a directory that may be there already. */
struct tide_output_directory_rule {
    bool fresh;      /* it must not be there */
    const char *own; /* the mark of the _SUCCESS that this program has put there, or NULL */
    /* When this program began: what it has not put there and is not older is somebody else's. */
    uint64_t since;     /* monotonic, ns; 0: nothing is */
    int64_t since_file; /* tide_clock_file_ns */
};

struct tide_output_directory_parts {
    uint32_t count;
    uint32_t made; /* as begin has given it */
    int64_t begun; /* and this */
    bool gzip, sync;
};

/* Makes the directory and those above it, takes the lock and makes an attempt. On failure nothing is left. */
int tide_output_directory_begin(struct tide_output_directory *output, const char *directory,
                                const struct tide_output_directory_rule *rule, struct tide_error *err);
/* Puts exactly the parts 0 … count-1 in place of what is there, and _SUCCESS, whose mark it gives. On failure none of them
 * stays. */
int tide_output_directory_commit(const char *directory, const char *attempt,
                                 const struct tide_output_directory_parts *parts,
                                 char mark[TIDE_OUTPUT_DIRECTORY_MARK], struct tide_error *err);
/* Takes away the attempt, and the directories that begin has made if they are empty, and gives the lock back. Tasks of the
 * attempt that are still at work find no place for a new part. */
void tide_output_directory_abort(struct tide_output_directory *output, const char *directory);
/* Gives the lock back, after a commit. Harmless the second time. */
void tide_output_directory_end(struct tide_output_directory *output);
/* Takes away the output of an earlier run, and the directory if nothing else is in it. */
int tide_output_directory_clear(const char *directory, const struct tide_output_directory_rule *rule,
                                struct tide_error *err);

/* ---- format/file_checksum.h ------------------------------------------------------------------------------------ */

struct tide_file_checksum {
    uint64_t size;
    uint32_t hash[2]; /* XXH3-64, high half first: halves are numbers that Lua holds exactly */
};

/* Reads the file once from end to end. TIDE_ENOTFOUND, TIDE_EIO: it can't be read; TIDE_ECORRUPT: it is another one now.
 * The text begins with the path. */
int tide_file_checksum_check(const struct tide_file_checksum *checksum, const char *path, struct tide_error *err);

/* ---- format/sequence_writer.h ---------------------------------------------------------------------------------- */

struct tide_sequence_writer;

/* Makes the file anew (tide_part_file_create). NULL and err: it can't be written. */
struct tide_sequence_writer *tide_sequence_writer_new(const char *path, enum tide_writable key,
                                                      enum tide_writable value, bool compress,
                                                      struct tide_error *err);
/* Appends a record: two packed values, key and value, one behind the other; they must be complete. TIDE_EINVAL: one of them
 * does not fit its writable; the text starts with "the key is …" or "the value is …", and the writer goes on as if
 * nothing had been asked. */
int tide_sequence_writer_add(struct tide_sequence_writer *writer, const uint8_t *record, size_t size,
                             struct tide_error *err);
/* Appends a record of an object file (NullWritable, BytesWritable) with these bytes as its value. */
int tide_sequence_writer_group(struct tide_sequence_writer *writer, const uint8_t *bytes, size_t size,
                               struct tide_error *err);
/* Writes what is left and closes the file; `sync`: makes it durable before. A full disk shows here at the latest. The
 * writer can only be deleted then. */
int tide_sequence_writer_finish(struct tide_sequence_writer *writer, bool sync, struct tide_error *err);
/* After finish: what tells later whether the file is still the one that was written. */
void tide_sequence_writer_checksum(const struct tide_sequence_writer *writer, struct tide_file_checksum *checksum);
/* Closes the file as it is, unless it was finished. NULL is fine. */
void tide_sequence_writer_delete(struct tide_sequence_writer *writer);

/* ---- format/sequence_reader.h ---------------------------------------------------------------------------------- */

/* Records in a value of an object file. */
enum { TIDE_SEQUENCE_GROUP = 10 };

enum tide_sequence_form { TIDE_SEQUENCE_PAIRS = 1, TIDE_SEQUENCE_OBJECTS = 2 };

struct tide_sequence_reader;

/* Opens the file and reads its header. NULL and err: TIDE_ENOTFOUND, TIDE_EIO, TIDE_ECORRUPT (no SequenceFile, or of a
 * kind that is not read here). */
struct tide_sequence_reader *tide_sequence_reader_new(const char *path, uint64_t offset, uint64_t length,
                                                      enum tide_sequence_form form, struct tide_error *err);
/* 1: the next block, of one arity, is in *block (the caller releases it); 0: the range is at its end; negative: TIDE_E*.
 * Records before a damaged one are given before the error is. */
int tide_sequence_reader_next(struct tide_sequence_reader *reader, struct tide_block **block, struct tide_error *err);
/* At which byte of an object file the group begins that has pairs where the one before has single values, or the other way
 * round; 0 when none did yet. */
uint64_t tide_sequence_reader_mixed_at(const struct tide_sequence_reader *reader);
/* NULL is fine. */
void tide_sequence_reader_delete(struct tide_sequence_reader *reader);

#endif
