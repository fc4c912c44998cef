/*
 * Fuzz target for store/spill: on any bytes the reader reads nothing out of bounds, ends, and hands on only blocks
 * whose lines and counts fit them; on failure nothing at all.
 *
 * Input: byte 0: bit 0 says whether frames get right checksums (the reader would not look at them otherwise), bit 1
 * the same for their content; byte 1: how many bytes the file is short of the extent; the rest is the file.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xxhash.h>

#include "driver.h"
#include "store/spill.h"

enum { FRAME = 40, SIZE_AT = 16, SUM_AT = 24, CHECK_AT = 32 };

static uint64_t word_at(const uint8_t *at) {
    uint64_t word;

    memcpy(&word, at, sizeof word);
    return word;
}

/* Makes frames of the bytes, one after the other, as long as there are any. */
static void repair(uint8_t *bytes, size_t size, bool content) {
    const uint32_t magic = 0x4c505354;

    for (size_t at = 0; size - at >= FRAME;) {
        uint8_t *frame = bytes + at;
        uint32_t lines;
        size_t room = size - at - FRAME;

        memcpy(frame, &magic, sizeof magic);
        memcpy(&lines, frame + 12, sizeof lines);

        uint64_t payload = word_at(frame + SIZE_AT) + UINT64_C(8) * lines;

        if (payload > room) payload = room;
        if (content) {
            uint64_t sum = XXH3_64bits(frame + FRAME, payload);

            memcpy(frame + SUM_AT, &sum, sizeof sum);
        }

        uint64_t right = XXH3_64bits(frame, CHECK_AT);

        memcpy(frame + CHECK_AT, &right, sizeof right);
        at += FRAME + payload;
    }
}

static void look_at(const struct tide_block *block) {
    fuzz_require(block->kind == TIDE_BLOCK_TEXT || block->kind == TIDE_BLOCK_PACKED, "kind");
    fuzz_require(block->arity <= 2 && block->size <= block->capacity, "arity or size");
    for (int i = 0; i < TIDE_BLOCK_SLACK; i++) fuzz_require(block->data[block->capacity + i] == 0, "slack");
    if (block->kind == TIDE_BLOCK_PACKED) {
        fuzz_require(block->count <= block->size, "more records than bytes");
        return;
    }
    fuzz_require(block->count <= block->line_slots, "more lines than room");
    for (uint32_t i = 0; i < block->count; i++)
        fuzz_require((uint64_t)block->lines[i].offset + block->lines[i].length <= block->size,
                     "line out of its block");
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    static int fd = -1;
    uint8_t bytes[FUZZ_MOST];

    if (size < 2 || size > FUZZ_MOST) return 0;
    if (fd < 0) fd = memfd_create("fuzz", 0);

    size_t extent = size - 2, file = extent - (input[1] < extent ? input[1] : extent);

    memcpy(bytes, input + 2, extent);
    if (input[0] & 1) repair(bytes, extent, (input[0] & 2) != 0);
    fuzz_require(ftruncate(fd, 0) == 0 && pwrite(fd, bytes, file, 0) == (ssize_t)file, "the file");

    struct tide_blocks blocks = {0};
    struct tide_error err = {0};
    int status = tide_spill_decode(fd, 0, extent, &blocks, &err);

    fuzz_require((status == TIDE_OK) == (err.code == TIDE_OK), "status and error");
    fuzz_require(status == TIDE_OK || blocks.count == 0, "blocks of what failed");
    fuzz_require(status == TIDE_OK || status == TIDE_ECORRUPT, "another failure");
    fuzz_require(status != TIDE_OK || file == extent, "a short file is whole");
    for (uint32_t i = 0; i < blocks.count; i++) look_at(blocks.items[i]);
    tide_blocks_destroy(&blocks);
    tide_error_clear(&err);
    fuzz_require(tide_block_live() == 0, "a block is left");
    return 0;
}

size_t fuzz_generate(uint64_t *state, uint8_t *out, size_t most) {
    size_t size = 2 + fuzz_below(state, (uint32_t)(most < 600 ? most : 600) - 2);

    memset(out, 0, size);
    out[0] = (uint8_t)(fuzz_below(state, 8) ? 3 : fuzz_below(state, 4));
    out[1] = (uint8_t)(fuzz_below(state, 10) ? 0 : fuzz_below(state, 256));
    for (size_t i = 2; i < size; i++)
        if (fuzz_below(state, 4) == 0) out[i] = (uint8_t)fuzz_below(state, fuzz_below(state, 2) ? 4 : 256);
    /* Frames where one would expect them, mostly sensible. */
    for (size_t at = 2; at + FRAME < size;) {
        uint32_t count = fuzz_below(state, 4), bytes = fuzz_below(state, 60);
        uint8_t *frame = out + at;
        bool text = fuzz_below(state, 2) != 0;

        if (fuzz_below(state, 20)) {
            memset(frame, 0, FRAME);
            frame[4] = text ? TIDE_BLOCK_TEXT : TIDE_BLOCK_PACKED;
            frame[5] = (uint8_t)fuzz_below(state, 3);
            frame[8] = (uint8_t)count;
            frame[12] = (uint8_t)(text ? count : 0);
            frame[SIZE_AT] = (uint8_t)bytes;
        }
        at += FRAME + bytes + (text ? 8 * count : 0);
    }
    return size;
}
