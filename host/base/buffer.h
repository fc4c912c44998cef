/*
 * A growing run of bytes. Not thread-safe. In place: _create/_destroy. Growth aborts when memory is
 * gone (control-sized data only; bulk data lives in store/block.h), except through tide_buffer_reserve_try.
 */
#ifndef TIDE_BASE_BUFFER_H
#define TIDE_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ffi.h"

void tide_buffer_create(struct tide_buffer *buffer);
/* Makes room for `extra` more bytes and returns the place to write them (size is not changed). */
uint8_t *tide_buffer_reserve(struct tide_buffer *buffer, size_t extra);
/* The same for sizes that come from data: false, and nothing changed, when memory is gone. */
bool tide_buffer_reserve_try(struct tide_buffer *buffer, size_t extra);
void tide_buffer_append(struct tide_buffer *buffer, const void *data, size_t size);
void tide_buffer_format(struct tide_buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Hands the bytes to the caller (free with tide_free) and leaves the buffer empty. */
uint8_t *tide_buffer_take(struct tide_buffer *buffer, size_t *size);

#endif
