/*
 * MessagePack into a tide_buffer. Called for plans, messages and by native kernels, on any thread that owns the
 * buffer. Each value has exactly one form here, because packed bytes are compared and used as keys: non-negative
 * int32 in the unsigned forms, negative in the signed ones. -0 stays -0: for keys, callers pack 0 instead.
 */
#include "wire/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack/pack.h>

#include "base/log.h"

static int append(void *out, const char *data, size_t size) {
    tide_buffer_append(out, data, size);
    return 0;
}

static inline msgpack_packer packer(struct tide_buffer *out) {
    return (msgpack_packer){.data = out, .callback = append};
}

void tide_pack_nil(struct tide_buffer *out) {
    msgpack_packer to = packer(out);

    msgpack_pack_nil(&to);
}

void tide_pack_bool(struct tide_buffer *out, bool value) {
    msgpack_packer to = packer(out);

    if (value) msgpack_pack_true(&to);
    else msgpack_pack_false(&to);
}

/* `width` bytes, the most significant one first. */
static inline size_t store(uint8_t *out, uint8_t tag, uint64_t bits, int width) {
    *out++ = tag;
    for (int shift = 8 * (width - 1); shift >= 0; shift -= 8) *out++ = (uint8_t)(bits >> shift);
    return 1 + (size_t)width;
}

size_t tide_pack_number_at(uint8_t *out, double value) {
    if (value >= INT32_MIN && value <= INT32_MAX) {
        int32_t n = (int32_t)value;
        if ((double)n == value && (n != 0 || !signbit(value))) {
            if (n >= -32 && n <= INT8_MAX) return store(out, (uint8_t)n, 0, 0);
            if (n > 0) {
                if (n <= UINT8_MAX) return store(out, 0xcc, (uint32_t)n, 1);
                return n <= UINT16_MAX ? store(out, 0xcd, (uint32_t)n, 2) : store(out, 0xce, (uint32_t)n, 4);
            }
            if (n >= INT8_MIN) return store(out, 0xd0, (uint32_t)n, 1);
            return n >= INT16_MIN ? store(out, 0xd1, (uint32_t)n, 2) : store(out, 0xd2, (uint32_t)n, 4);
        }
    }
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return store(out, 0xcb, bits, 8);
}

void tide_pack_number(struct tide_buffer *out, double value) {
    out->size += tide_pack_number_at(tide_buffer_reserve(out, TIDE_PACKED_NUMBER_MAX), value);
}

void tide_pack_int64(struct tide_buffer *out, int64_t value) {
    const int64_t exact = INT64_C(1) << 53;

    if (value >= -exact && value <= exact) {
        tide_pack_number(out, (double)value);
        return;
    }
    msgpack_packer to = packer(out);
    msgpack_pack_fix_int64(&to, value);
}

void tide_pack_string(struct tide_buffer *out, const char *data, size_t size) {
    if (size > UINT32_MAX) {
        /* Such a string cannot come from a block (records end at 4 GiB) nor from a LuaJIT state. */
        tide_log(TIDE_LOG_ERROR, "pack", "a string of %zu bytes is over the 4 GiB that MessagePack can hold", size);
        abort();
    }
    msgpack_packer to = packer(out);
    msgpack_pack_str(&to, size);
    tide_buffer_append(out, data, size);
}

void tide_pack_text(struct tide_buffer *out, const char *zero_terminated) {
    tide_pack_string(out, zero_terminated, strlen(zero_terminated));
}

void tide_pack_array(struct tide_buffer *out, uint32_t count) {
    msgpack_packer to = packer(out);

    msgpack_pack_array(&to, count);
}

void tide_pack_map(struct tide_buffer *out, uint32_t count) {
    msgpack_packer to = packer(out);

    msgpack_pack_map(&to, count);
}
