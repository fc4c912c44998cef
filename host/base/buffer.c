/*
 * The growing run of bytes under plans, messages and texts. One owner at a time, any thread.
 */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"

enum { SMALLEST = 64 };

void tide_buffer_create(struct tide_buffer *buffer) {
    buffer->data = NULL;
    buffer->size = 0;
    buffer->capacity = 0;
}

void tide_buffer_destroy(struct tide_buffer *buffer) {
    tide_free(buffer->data);
    tide_buffer_create(buffer);
}

uint8_t *tide_buffer_reserve(struct tide_buffer *buffer, size_t extra) {
    if (!buffer->data || buffer->capacity - buffer->size < extra) {
        if (extra > SIZE_MAX / 2 - buffer->size) {
            tide_log(TIDE_LOG_ERROR, "memory", "a buffer of %zu bytes cannot grow by %zu; the process ends here",
                     buffer->size, extra);
            abort();
        }
        size_t capacity = buffer->capacity < SMALLEST ? SMALLEST : buffer->capacity * 2;
        if (capacity < buffer->size + extra) capacity = buffer->size + extra;
        buffer->data = tide_xrealloc(buffer->data, capacity);
        buffer->capacity = capacity;
    }
    return buffer->data + buffer->size;
}

bool tide_buffer_reserve_try(struct tide_buffer *buffer, size_t extra) {
    if (buffer->data && buffer->capacity - buffer->size >= extra) return true;
    if (extra > SIZE_MAX / 2 - buffer->size || buffer->capacity > SIZE_MAX / 2) return false;
    size_t capacity = buffer->capacity < SMALLEST ? SMALLEST : buffer->capacity * 2;
    if (capacity < buffer->size + extra) capacity = buffer->size + extra;
    uint8_t *data = tide_realloc_try(buffer->data, capacity);
    if (!data) return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void tide_buffer_append(struct tide_buffer *buffer, const void *data, size_t size) {
    if (size == 0) return;
    memcpy(tide_buffer_reserve(buffer, size), data, size);
    buffer->size += size;
}

void tide_buffer_format(struct tide_buffer *buffer, const char *format, ...) {
    va_list args, again;

    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length > 0) {
        /* The zero that vsnprintf adds lies behind `size`: later appends overwrite it. */
        vsnprintf((char *)tide_buffer_reserve(buffer, (size_t)length + 1), (size_t)length + 1, format, again);
        buffer->size += (size_t)length;
    }
    va_end(again);
}

uint8_t *tide_buffer_take(struct tide_buffer *buffer, size_t *size) {
    uint8_t *data = buffer->data;

    if (size) *size = buffer->size;
    tide_buffer_create(buffer);
    return data;
}
