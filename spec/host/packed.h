/*
 * Packed records for the specs of kernels: values in every form that MessagePack allows, and blocks made of them.
 */
#ifndef SPEC_PACKED_H
#define SPEC_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "store/block.h"

enum { NUMBER_FORMS = 11, TEXT_FORMS = 7 };

/* Appends the number in one of its forms (fixint, uint8 … uint64, int8 … int64, float, double). false: it has no such
 * form. */
bool packed_number(struct tide_buffer *out, double value, int form);
/* Appends text as fixstr, str8, str16, str32, bin8, bin16 or bin32. false: it is too long for the form. */
bool packed_text(struct tide_buffer *out, const char *text, size_t size, int form);
/* An integer in the int64 and the uint64 form. */
void packed_int64(struct tide_buffer *out, int64_t value);
void packed_uint64(struct tide_buffer *out, uint64_t value);

/* A block with what is in `bytes`, which is emptied. */
struct tide_block *packed_block(struct tide_buffer *bytes, uint32_t count, int arity);
/* A list of blocks from text: "a=1 b=2|a=3" pairs of a text and a number, "1 2|3" numbers; | begins another block. */
void packed_read(struct tide_blocks *list, const char *text);
/* Records of a keyed state: "a=1,5 b=2,6" is (a, [1, 5]) and (b, [2, 6]), in one block. */
void packed_states(struct tide_blocks *list, const char *text);
/* The records as text, "a=1 b=[1, 2]" or "1 2"; blocks are divided by " | ". Free it with tide_free. */
char *packed_show(const struct tide_blocks *blocks);
/* Fails the test unless the blocks show as `text`. */
void packed_expect(const struct tide_blocks *blocks, const char *text);

#endif
