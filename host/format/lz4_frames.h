/*
 * Unpacks LZ4 frames (the format of the `lz4` program), one after the other, from bytes that come piece by piece.
 *
 * Thread: any, one at a time. Errors: TIDE_ENOMEM, TIDE_ECORRUPT; the text says what is wrong with the bytes.
 */
#ifndef TIDE_FORMAT_LZ4_FRAMES_H
#define TIDE_FORMAT_LZ4_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct tide_lz4_frames;

struct tide_lz4_frames *tide_lz4_frames_new(void);           /* NULL: out of memory */
void tide_lz4_frames_delete(struct tide_lz4_frames *frames); /* NULL is fine */
/* Unpacks from `in` to `out`; *in_size and *out_size are the sizes of both, and become what was used and made. */
int tide_lz4_frames_unpack(struct tide_lz4_frames *frames, const uint8_t *in, size_t *in_size, uint8_t *out,
                           size_t *out_size, struct tide_error *err);
/* Whether a frame has begun and not ended. */
bool tide_lz4_frames_within(const struct tide_lz4_frames *frames);
/* Whether a frame has ended. */
bool tide_lz4_frames_any(const struct tide_lz4_frames *frames);

#endif
