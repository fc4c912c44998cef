/*
 * Error values. Every fallible function returns 0 or a negative TIDE_E* code and describes the
 * failure in a `struct tide_error` given by the caller. There is no "last error": errors travel
 * between threads inside messages.
 *
 * Thread: values, no shared state. Ownership: `text` is heap memory of the error value; move it with
 * tide_error_move, free it with tide_error_clear. A zeroed struct is "no error".
 */
#ifndef TIDE_BASE_ERROR_H
#define TIDE_BASE_ERROR_H

/* name, code, plain meaning: the one list of codes; names are visible to Lua as "ECLOSED" etc. */
#define TIDE_ERRORS(X)                                                                                               \
    X(ENOMEM, -1, "out of memory")                                                                                   \
    X(EINVAL, -2, "invalid argument")                                                                                \
    X(EIO, -3, "input/output error")                                                                                 \
    X(ENOTFOUND, -4, "not found")                                                                                    \
    X(ECLOSED, -5, "closed")                                                                                         \
    X(ETIMEOUT, -6, "timed out")                                                                                     \
    X(ECANCELLED, -7, "cancelled")                                                                                   \
    X(ECLOSURE, -8, "a function of the script failed")                                                               \
    X(ECORRUPT, -9, "corrupt data")                                                                                  \
    X(ELIMIT, -10, "limit exceeded")                                                                                 \
    X(ESTATE, -11, "not possible in this state")                                                                     \
    X(EGENERATION, -12, "a batch could not be generated")                                                            \
    X(EFAULT, -13, "injected fault")                                                                                 \
    X(ELOST, -14, "kept data is gone and has to be computed again")                                                  \
    X(EMIXED, -15, "pairs and single values meet")

enum tide_error_code {
    TIDE_OK = 0,
#define TIDE_ERROR_ENUM(name, code, text) TIDE_##name = (code),
    TIDE_ERRORS(TIDE_ERROR_ENUM)
#undef TIDE_ERROR_ENUM
};

struct tide_error {
    int code;   /* 0 or TIDE_E* */
    char *text; /* full message for people, NULL when code is 0 */
};

/* Sets code and formatted text (freeing an older text) and returns code. `err` may be NULL. */
int tide_error_set(struct tide_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the text of an error that is already set. Returns its code. */
int tide_error_prefix(struct tide_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Moves `from` into `to` (freeing what `to` held) and leaves `from` empty. Returns the code moved. */
int tide_error_move(struct tide_error *to, struct tide_error *from);

/* Copies text too. Returns the code. */
int tide_error_copy(struct tide_error *to, const struct tide_error *from);

void tide_error_clear(struct tide_error *err);

/* "ECLOSED" for TIDE_ECLOSED, "EUNKNOWN" for anything else; static memory. */
const char *tide_error_name(int code);

#endif
