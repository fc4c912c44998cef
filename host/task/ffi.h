/*
 * What Lua sees of task/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_TASK_FFI_H
#define TIDE_TASK_FFI_H

#include <stddef.h>
#include <stdint.h>

#include "store/ffi.h"

/* ---- task/plan.h ----------------------------------------------------------------------------------------------- */

/* Immutable, reference counted (atomic). `id` is the content id of the bytes: workers cache compiled plans by it. */
struct tide_plan {
    uint64_t id[2];
    uint8_t *bytes;
    uint32_t size;
    uint32_t refs;
    struct tide_broadcast_refs
        *broadcasts; /* the broadcast variables that it needs (store/broadcast.h); NULL: none */
};

/* ---- task/task.h ----------------------------------------------------------------------------------------------- */

enum { TIDE_TASK_INPUT_BLOCKS = 1, TIDE_TASK_INPUT_FILE = 2 };

struct tide_task_input {
    struct tide_blocks blocks; /* BLOCKS: the records, references held */
    char *path;                /* FILE: a byte range of a text file; lines that begin in it belong to it */
    uint64_t offset;
    uint64_t length;
    uint32_t kind;
    uint32_t partition;         /* its number in the dataset */
    uint64_t size;              /* FILE: size when it was listed; 0: not known */
    uint32_t once;              /* FILE: see tide_byte_source_plan (format/byte_source.h) */
    int64_t records;            /* FILE: set by the worker when it was read to its end; -1: not yet */
    struct tide_counts *counts; /* FILE: for the driver's use (task/counts.h): a reference, or NULL */
};

/* The arity of the records of an operator whose function decides it (its descriptor has arity = 0). Slots are in the
 * order of the plan: the op of a ZIP before those of its children, the ops of a CHAIN after those of its node. */
struct tide_task_slot {
    char *first;     /* text of a record that shows `known`; or NULL */
    char *seen;      /* text of a record that shows `learned`; or NULL */
    uint32_t arity;  /* for the driver's use: its number (rdd/arity.h) */
    uint8_t known;   /* set by the driver: 1, 2; 0: not known yet */
    uint8_t learned; /* set by the worker if not known: 1, 2; 0: no records */
};

/* The part of a task that worker Lua reads and fills in. */
struct tide_task_work {
    struct tide_plan *plan;
    struct tide_task_input *inputs;
    struct tide_blocks *outputs; /* noutputs lists, filled by the worker */
    int64_t batch_time;          /* ms, or -1 outside a batch */
    uint64_t limit;              /* sink "take": records wanted */
    uint64_t records_in;
    uint64_t records_out;
    uint32_t ninputs;
    uint32_t noutputs;
    uint32_t partition;
    uint32_t nslots;
    struct tide_task_slot *slots; /* or NULL when there are none */
    struct tide_block
        *updates; /* pairs (accumulator number, what this task adds to it), made by the worker; NULL: none */
    double seed;  /* of random numbers: the engine's */
    const uint32_t *cancelled; /* not 0: the worker stops between blocks. Set by the driver; may be NULL */
};

/* Fills in what the first record of a slot shows. Copies the text. */
void tide_task_learn(struct tide_task_work *work, uint32_t slot, int arity, const char *text, size_t size);

/* ---- task/worker.h --------------------------------------------------------------------------------------------- */

struct tide_worker;

/* On the worker's thread. */
void tide_worker_note(struct tide_worker *worker, const char *operators, int64_t batch_time);
/* The code of the error that the task is about to raise, if it is not an error of the script. */
void tide_worker_code(struct tide_worker *worker, int code);
/* Registers the machine code of a new trace with the script line at which it starts ("": not a line of a script), so
 * that an interrupt can name the line of a compiled loop. */
void tide_worker_trace(struct tide_worker *worker, uintptr_t start, size_t size, const char *where);
void tide_worker_forget_traces(struct tide_worker *worker);

/* ---- task/command.h -------------------------------------------------------------------------------------------- */

enum {
    TIDE_COMMAND_BROKEN_OFF = -1, /* the task is interrupted, or has ended the command */
    TIDE_COMMAND_NOMEM = -2       /* no memory for a line */
};

/* Runs `line` with /bin/sh and returns its number. Its input is the file `input`, which is removed once it is open,
 * so that it never outlives this process. 0: it can't be started; `why` is the reason. */
uint32_t tide_command_start(const char *line, const char *input, char *why, size_t size);
/* The next line of its output, without the line end; valid until the next call. NULL: the output has ended, and
 * *status is its exit status (0 to 255; 128 + the number of a signal) or one of the above. */
const char *tide_command_line(uint32_t number, size_t *length, int *status);

#endif
