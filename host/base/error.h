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

#include "base/ffi.h"

/* Sets code and formatted text (freeing an older text) and returns code. `err` may be NULL. */
int tide_error_set(struct tide_error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of the text of an error that is already set. Returns its code. */
int tide_error_prefix(struct tide_error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Moves `from` into `to` (freeing what `to` held) and leaves `from` empty. Returns the code moved. */
int tide_error_move(struct tide_error *to, struct tide_error *from);

/* Copies text too. Returns the code. */
int tide_error_copy(struct tide_error *to, const struct tide_error *from);

/* "ECLOSED" for TIDE_ECLOSED, "EUNKNOWN" for anything else; static memory. */
const char *tide_error_name(int code);

#endif
