/*
 * Fuzz target for format/lz4_frames: whatever the bytes, they are unpacked or refused, and to the same bytes however
 * they come in pieces. `make fuzz` runs it.
 *
 * Input: byte 0 seed of the pieces, the rest are packed bytes.
 */
#include <lz4frame.h>
#include <string.h>

#include "driver.h"
#include "format/lz4_frames.h"

enum { MOST_OUT = 1 << 20 };

struct result {
    uint8_t *bytes;
    size_t size;
    bool refused;
};

/* At most so many bytes go in and come out at a time. */
static struct result unpack(const uint8_t *in, size_t size, size_t in_piece, size_t out_piece) {
    struct result result = {.bytes = malloc(MOST_OUT)};
    struct tide_lz4_frames *frames = tide_lz4_frames_new();
    struct tide_error err = {0};
    size_t at = 0;
    bool more = true;

    fuzz_require(result.bytes && frames, "memory");
    while (more && !result.refused && result.size + out_piece <= MOST_OUT) {
        size_t used = size - at < in_piece ? size - at : in_piece, made = out_piece, given = used;

        result.refused = tide_lz4_frames_unpack(frames, in + at, &used, result.bytes + result.size, &made, &err) != 0;
        fuzz_require(result.refused == (err.code != 0) && (!result.refused || err.text), "an error without a text");
        if (result.refused) break;
        fuzz_require(used <= given && made <= out_piece, "more than there is");
        more = used > 0 || made > 0;
        fuzz_require(more || given == 0, "no progress");
        at += used;
        result.size += made;
    }
    tide_error_clear(&err);
    tide_lz4_frames_delete(frames);
    return result;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 1) return 0;

    struct result whole = unpack(input + 1, size - 1, size, 1 << 16);
    struct result pieces = unpack(input + 1, size - 1, input[0] % 13 + 1u, input[0] / 13 + 1u);
    size_t common = whole.size < pieces.size ? whole.size : pieces.size;

    /* A refusal may come before the last bytes, and a long result is not read to its end. */
    fuzz_require(whole.refused || pieces.refused || common == MOST_OUT - (1 << 16) ||
                     whole.size + (1 << 16) > MOST_OUT || whole.size == pieces.size,
                 "another size in pieces");
    fuzz_require(memcmp(whole.bytes, pieces.bytes, common) == 0, "other bytes in pieces");
    free(whole.bytes);
    free(pieces.bytes);
    return 0;
}

/* Frames of text with repeats, some of them with a few wrong bytes, or cut. */
size_t fuzz_generate(uint64_t *state, uint8_t *out, size_t most) {
    size_t size = 1;

    out[0] = (uint8_t)fuzz_below(state, 256);
    do {
        uint8_t text[1024];
        LZ4F_preferences_t preferences = {
            .frameInfo = {.contentChecksumFlag = (LZ4F_contentChecksum_t)fuzz_below(state, 2)}};
        size_t length = fuzz_below(state, sizeof text);

        for (size_t i = 0; i < length; i++)
            text[i] = i > 8 && fuzz_below(state, 8) ? text[i - 8] : (uint8_t)fuzz_below(state, 256);

        size_t made = LZ4F_compressFrame(out + size, most - size, text, length, &preferences);

        if (LZ4F_isError(made)) break;
        size += made;
    } while (fuzz_below(state, 3) == 0);
    for (uint32_t wrong = fuzz_below(state, 4); wrong > 0 && size > 1; wrong--)
        out[1 + fuzz_below(state, (uint32_t)size - 1)] = (uint8_t)fuzz_below(state, 256);
    if (fuzz_below(state, 4) == 0) size = 1 + fuzz_below(state, (uint32_t)size);
    return size;
}
