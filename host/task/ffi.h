/*
 * What Lua sees of task/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_TASK_FFI_H
#define TIDE_TASK_FFI_H

#include <stddef.h>
#include <stdint.h>

#include "store/ffi.h"

/* ---- task/plan.h ------------------------------------------------------------------------------------------------ */

/* Immutable, reference counted (atomic). `id` is the content id of the bytes: workers cache compiled plans by it. */
struct tide_plan {
    uint64_t id[2];
    uint8_t *bytes;
    uint32_t size;
    uint32_t refs;
    struct tide_broadcast_refs
        *broadcasts; /* the broadcast variables that it needs (store/broadcast.h); NULL: none */
};

/* ---- task/task.h ------------------------------------------------------------------------------------------------ */

enum { TIDE_TASK_INPUT_BLOCKS = 1, TIDE_TASK_INPUT_FILE = 2 };

struct tide_task_input {
    struct tide_blocks blocks; /* BLOCKS: the records, references held */
    char *path;                /* FILE: a byte range of a text file; lines that begin in it belong to it */
    uint64_t offset;
    uint64_t length;
    uint32_t kind;
    uint32_t partition; /* the number of the partition it is of its dataset */
    uint64_t size;      /* FILE: of the file when it was listed; 0: not known */
    uint32_t once;      /* FILE: not 0: it can be read only once (format/byte_source.h) */
};

/* An operator of the plan whose function decides whether records are single values or pairs (its descriptor has arity = 0), in
 * the order of the plan: that of a ZIP before those of its nodes, those of a CHAIN after those of its node. */
struct tide_task_slot {
    char *first;     /* known: a record that it is known by, for people; or NULL */
    char *seen;      /* learned: the record that told; or NULL */
    uint32_t arity;  /* for the driver's use: which one (rdd/arity.h) */
    uint8_t known;   /* set by the driver: 1, 2, or 0 when it is not known yet */
    uint8_t learned; /* set by the worker when it was not: 1 or 2, or 0 when there were no records */
};

/* What the worker's Lua code reads and fills in. */
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
    const uint32_t *cancelled; /* set non-zero by the driver: the worker stops between blocks. May be NULL. */
};

/* The worker has seen the first record of a slot that was not known. Copies the text. */
void tide_task_learn(struct tide_task_work *work, uint32_t slot, int arity, const char *text, size_t size);

/* ---- task/worker.h --------------------------------------------------------------------------------------------- */

struct tide_worker;

/* On the worker's thread. */
void tide_worker_note(struct tide_worker *worker, const char *operators, int64_t batch_time);
/* What the task is about to raise is no mistake of the script: the code for it. */
void tide_worker_code(struct tide_worker *worker, int code);
/* Machine code of a new trace and the script line it starts at ("" when it is not the script's): how a signal finds the line of
 * a loop that is compiled. */
void tide_worker_trace(struct tide_worker *worker, uintptr_t start, size_t size, const char *where);
void tide_worker_forget_traces(struct tide_worker *worker);

/* ---- task/command.h -------------------------------------------------------------------------------------------- */

enum {
    TIDE_COMMAND_BROKEN_OFF = -1, /* ended by us, or the task is being interrupted */
    TIDE_COMMAND_NOMEM = -2       /* a line that no memory is left for */
};

/* Runs `line` with /bin/sh. Its input is the file `input`, which is removed when it is open: nothing of it stays when
 * this process ends before the command does. 0: it can't be started, and `why` says so. */
uint32_t tide_command_start(const char *line, const char *input, char *why, size_t size);
/* The next line of its output, without the end of line, until the next call. NULL when there is none, with *status: how
 * it ended (0 to 255; 128 and the number of a signal), or one of the above. */
const char *tide_command_line(uint32_t number, size_t *length, int *status);

#endif
