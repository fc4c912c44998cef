/*
 * The engine and its life cycle, the beginning of a C API. Not installed as long as a C program can
 * neither submit a job nor poll events. Several engines can live in one process. All functions are called
 * on the thread that created the engine (its driver thread).
 */
#ifndef TIDE_TIDE_H
#define TIDE_TIDE_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct tide_engine;
struct tide_error;

struct tide_engine_options {
    uint32_t workers;         /* worker threads, at least 1 */
    const char *package_path; /* Lua search paths for the workers, or NULL */
    const char *package_cpath;
    int64_t task_timeout;  /* ms a task may take before it is interrupted and fails; 0: as long as it likes */
    uint32_t max_failures; /* how often a task may fail before its job does; 0: 1 */
    uint64_t
        memory_limit; /* bytes of kept data in memory; 0: half of the machine's, or of what the process may have */
    uint64_t receive_limit; /* bytes of received data of unfinished batches; 0: follows them (store/budget.h), at most
                               a quarter of memory_limit */
    const char *spill_directory; /* where the rest goes; NULL: $TMPDIR, else /var/tmp, else /tmp */
};

/* Starts worker threads; the ingest thread starts with the first source. NULL and err on failure. */
struct tide_engine *tide_engine_new(const struct tide_engine_options *options, struct tide_error *err);

/* Runs the loop once: waits up to timeout_ms (-1: for ever, 0: not at all) for something to happen and handles it.
 * Returns the number of events waiting to be polled. */
int tide_engine_turn(struct tide_engine *engine, int64_t timeout_ms);

/* Stops everything at once and frees it. Running tasks get timeout_ms before they are interrupted.
 * Returns 0, or TIDE_ETIMEOUT when a worker stuck in a C call had to be left behind. */
int tide_engine_delete(struct tide_engine *engine, uint64_t timeout_ms);

const char *tide_version(void);

#ifdef __cplusplus
}
#endif
#endif
