/*
 * See packed.h.
 */
#include "packed.h"

#include "base/alloc.h"
#include "rdd_rig.h"
#include "test.h"
#include "wire/pack.h"
#include "wire/unpack.h"

static void put(struct tide_buffer *out, uint8_t tag, uint64_t bits, int width) {
    uint8_t bytes[9] = {tag};

    for (int i = 0; i < width; i++) bytes[1 + i] = (uint8_t)(bits >> 8 * (width - 1 - i));
    tide_buffer_append(out, bytes, 1 + (size_t)width);
}

static bool put_integer(struct tide_buffer *out, double value, uint8_t tag, int width, double low, double high) {
    if (value < low || value >= high || value != (double)(int64_t)value) return false;
    put(out, tag, (uint64_t)(int64_t)value, width);
    return true;
}

bool packed_number(struct tide_buffer *out, double value, int form) {
    const double two63 = 9223372036854775808.0;
    float single = (float)value;
    uint32_t word;
    uint64_t bits;

    switch (form) {
    case 0:
        if (value < -32 || value > 127 || value != (double)(int)value) return false;
        put(out, (uint8_t)(int)value, 0, 0);
        return true;
    case 1: return put_integer(out, value, 0xcc, 1, 0, 256);
    case 2: return put_integer(out, value, 0xcd, 2, 0, 65536);
    case 3: return put_integer(out, value, 0xce, 4, 0, 4294967296.0);
    case 4: return put_integer(out, value, 0xcf, 8, 0, two63);
    case 5: return put_integer(out, value, 0xd0, 1, -128, 128);
    case 6: return put_integer(out, value, 0xd1, 2, -32768, 32768);
    case 7: return put_integer(out, value, 0xd2, 4, -2147483648.0, 2147483648.0);
    case 8: return put_integer(out, value, 0xd3, 8, -two63, two63);
    case 9:
        if ((double)single != value) return false;
        memcpy(&word, &single, sizeof word);
        put(out, 0xca, word, 4);
        return true;
    default:
        memcpy(&bits, &value, sizeof bits);
        put(out, 0xcb, bits, 8);
        return true;
    }
}

bool packed_text(struct tide_buffer *out, const char *text, size_t size, int form) {
    static const uint8_t tags[] = {0xa0, 0xd9, 0xda, 0xdb, 0xc4, 0xc5, 0xc6};
    static const int widths[] = {0, 1, 2, 4, 1, 2, 4};
    int width = widths[form];

    if (width == 0) {
        if (size > 31) return false;
        put(out, (uint8_t)(0xa0 + size), 0, 0);
    } else {
        if (width < 4 && size >> 8 * width != 0) return false;
        put(out, tags[form], size, width);
    }
    tide_buffer_append(out, text, size);
    return true;
}

void packed_int64(struct tide_buffer *out, int64_t value) { put(out, 0xd3, (uint64_t)value, 8); }

void packed_uint64(struct tide_buffer *out, uint64_t value) { put(out, 0xcf, value, 8); }

struct tide_block *packed_block(struct tide_buffer *bytes, uint32_t count, int arity) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, arity, bytes->size, NULL);

    if (bytes->size > 0) memcpy(block->data, bytes->data, bytes->size);
    block->size = bytes->size;
    block->count = count;
    bytes->size = 0;
    return block;
}

char *packed_show(const struct tide_blocks *blocks) {
    struct tide_buffer out;
    size_t size;

    tide_buffer_create(&out);
    for (uint32_t b = 0; b < blocks->count; b++) {
        const struct tide_block *block = blocks->items[b];
        const uint8_t *at = block->data, *end = block->data + block->size;

        if (b > 0) tide_buffer_append(&out, " |", 2);
        for (uint32_t r = 0; r < block->count; r++) {
            if (out.size > 0) tide_buffer_append(&out, " ", 1);
            for (int part = 0; part < block->arity; part++) {
                const uint8_t *next = tide_unpack_skip(at, end);

                if (part > 0) tide_buffer_append(&out, "=", 1);
                rig_show(at, (size_t)(next - at), &out);
                at = next;
            }
        }
        if (at != end) tide_buffer_format(&out, " and bytes left over");
    }
    tide_buffer_append(&out, "", 1);
    return (char *)tide_buffer_take(&out, &size);
}

void packed_read(struct tide_blocks *list, const char *text) {
    struct tide_buffer bytes;
    uint32_t count = 0;
    int arity = 1;

    tide_blocks_create(list);
    tide_buffer_create(&bytes);
    for (const char *at = text; *at != '\0';) {
        size_t length = strcspn(at, " |");
        const char *equals = memchr(at, '=', length);

        if (equals) {
            tide_pack_string(&bytes, at, (size_t)(equals - at));
            arity = 2;
        }
        tide_pack_number(&bytes, atof(equals ? equals + 1 : at));
        count++;
        at += length;
        if (*at == '|') {
            tide_blocks_push(list, packed_block(&bytes, count, arity));
            count = 0;
        }
        if (*at != '\0') at++;
    }
    if (count > 0) tide_blocks_push(list, packed_block(&bytes, count, arity));
    tide_buffer_destroy(&bytes);
}

void packed_states(struct tide_blocks *list, const char *text) {
    struct tide_buffer bytes;
    uint32_t count = 0;

    tide_blocks_create(list);
    tide_buffer_create(&bytes);
    for (const char *at = text; *at; at += at[5] ? 6 : 5, count++) {
        tide_pack_string(&bytes, at, 1);
        tide_pack_array(&bytes, 2);
        tide_pack_number(&bytes, at[2] - '0');
        tide_pack_number(&bytes, at[4] - '0');
    }
    tide_blocks_push(list, packed_block(&bytes, count, 2));
    tide_buffer_destroy(&bytes);
}

void packed_expect(const struct tide_blocks *blocks, const char *text) {
    char *shown = packed_show(blocks);

    assert_string_equal(shown, text);
    tide_free(shown);
}
