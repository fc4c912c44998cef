/*
 * What Lua sees of base/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_BASE_FFI_H
#define TIDE_BASE_FFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- base/error.h --------------------------------------------------------------------------------------------- */

/* The one list of codes; Lua and messages name them without the prefix, "ECLOSED" (base/error.c). */
enum tide_error_code {
    TIDE_OK = 0,
    TIDE_ENOMEM = -1,       /* out of memory */
    TIDE_EINVAL = -2,       /* invalid argument */
    TIDE_EIO = -3,          /* input/output error */
    TIDE_ENOTFOUND = -4,    /* not found */
    TIDE_ECLOSED = -5,      /* closed */
    TIDE_ETIMEOUT = -6,     /* timed out */
    TIDE_ECANCELLED = -7,   /* cancelled */
    TIDE_ECLOSURE = -8,     /* a function of the script failed */
    TIDE_ECORRUPT = -9,     /* corrupt data */
    TIDE_ELIMIT = -10,      /* limit exceeded */
    TIDE_ESTATE = -11,      /* not possible in this state */
    TIDE_EGENERATION = -12, /* a batch could not be generated */
    TIDE_EFAULT = -13,      /* injected fault */
    TIDE_ELOST = -14,       /* cached data is gone and has to be computed again */
    TIDE_EMIXED = -15       /* pairs and single values meet */
};

struct tide_error {
    int code;   /* 0 or TIDE_E* */
    char *text; /* full message for people, NULL when code is 0 */
};

void tide_error_clear(struct tide_error *err);

/* ---- base/buffer.h -------------------------------------------------------------------------------------------- */

struct tide_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

void tide_buffer_destroy(struct tide_buffer *buffer);

/* ---- base/log.h ----------------------------------------------------------------------------------------------- */

enum tide_log_level { TIDE_LOG_DEBUG, TIDE_LOG_INFO, TIDE_LOG_WARN, TIDE_LOG_ERROR, TIDE_LOG_OFF };

/* `area` is the part of the program speaking, e.g. "socket". Newlines inside become "\n    ". */
void tide_log(enum tide_log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- base/stress.h -------------------------------------------------------------------------------------------- */

bool tide_stress(void);
/* The next number of a sequence that the seed determines: one for each Lua state. */
uint64_t tide_stress_draw(void);

/* ---- base/directory.h ----------------------------------------------------------------------------------------- */

/* Makes a directory and those above it. *made (may be NULL): how many were made, which are the innermost ones.
 * `fresh`: the last one must not be there yet. */
int tide_directory_make(const char *path, bool fresh, uint32_t *made, struct tide_error *err);
/* Makes the entries of the `made` innermost directories of a path durable. */
int tide_directory_sync_made(const char *path, uint32_t made, struct tide_error *err);
/* Removes a file or a directory with all that is in it; of a link, the link itself. True: it is gone. */
bool tide_directory_remove(const char *path);
/* Whether files can be made in a directory. */
int tide_directory_probe(const char *path, struct tide_error *err);

#endif
