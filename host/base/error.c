/*
 * Error values: a code and one heap text for people. Called by every layer on every thread; nothing is shared,
 * so there is nothing to lock. Texts are control-sized and come from the aborting allocator.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

static char *format_text(const char *format, va_list args) {
    va_list again;

    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    /* A format that cannot be printed (an invalid wide string) still has to leave a trace of itself. */
    if (length < 0) return tide_xstrdup(format);
    char *text = tide_xmalloc((size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

int tide_error_set(struct tide_error *err, int code, const char *format, ...) {
    if (!err) return code;
    if (code == TIDE_OK) {
        tide_error_clear(err);
        return code;
    }
    va_list args;
    va_start(args, format);
    char *text = format_text(format, args); /* before the old text goes: it may be one of the arguments */
    va_end(args);
    tide_free(err->text);
    err->text = text;
    err->code = code;
    return code;
}

int tide_error_prefix(struct tide_error *err, const char *format, ...) {
    if (!err || err->code == TIDE_OK) return TIDE_OK;
    va_list args;
    va_start(args, format);
    char *context = format_text(format, args);
    va_end(args);
    const char *old = err->text ? err->text : tide_error_name(err->code);
    size_t size = strlen(context) + strlen(": ") + strlen(old) + 1;
    char *text = tide_xmalloc(size);
    snprintf(text, size, "%s: %s", context, old);
    tide_free(context);
    tide_free(err->text);
    err->text = text;
    return err->code;
}

int tide_error_move(struct tide_error *to, struct tide_error *from) {
    int code = from->code;

    if (to == from) return code;
    if (!to) {
        tide_error_clear(from);
        return code;
    }
    tide_free(to->text);
    *to = *from;
    from->code = TIDE_OK;
    from->text = NULL;
    return code;
}

int tide_error_copy(struct tide_error *to, const struct tide_error *from) {
    if (!to || to == from) return from->code;
    char *text = from->text ? tide_xstrdup(from->text) : NULL;
    tide_free(to->text);
    to->text = text;
    to->code = from->code;
    return to->code;
}

void tide_error_clear(struct tide_error *err) {
    if (!err) return;
    tide_free(err->text);
    err->text = NULL;
    err->code = TIDE_OK;
}

const char *tide_error_name(int code) {
#define NAME(name) [-TIDE_##name] = #name
    static const char *const names[] = {
        NAME(ENOMEM),   NAME(EINVAL),      NAME(EIO),      NAME(ENOTFOUND), NAME(ECLOSED),
        NAME(ETIMEOUT), NAME(ECANCELLED),  NAME(ECLOSURE), NAME(ECORRUPT),  NAME(ELIMIT),
        NAME(ESTATE),   NAME(EGENERATION), NAME(EFAULT),   NAME(ELOST),     NAME(EMIXED),
    };
#undef NAME

    return code < 0 && code >= TIDE_EMIXED ? names[-code] : "EUNKNOWN";
}
