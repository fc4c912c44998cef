/*
 * Fuzz target for store/lines: whatever the bytes, the splits and the takes, the lines are those of a model that
 * sees the whole text at once. `make fuzz` runs it.
 *
 * Input: byte 0 longest line - 1, byte 1 block size, byte 2 seed of the splits and takes, the rest is the text.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "driver.h"
#include "store/lines.h"

/* Where in the text the next line to be expected begins. */
struct model {
    const uint8_t *text;
    size_t size, at;
    uint32_t max_line;
};

/* The next line; false at the end of the text. */
static bool next_line(struct model *model, const uint8_t **line, size_t *length) {
    if (model->at == model->size) return false;
    size_t start = model->at, end = start;
    while (end < model->size && model->text[end] != '\n' && model->text[end] != '\r') end++;
    size_t next = end + (end < model->size);
    if (end + 1 < model->size && model->text[end] == '\r' && model->text[end + 1] == '\n') next++;
    model->at = next;
    *line = model->text + start;
    *length = end - start;
    return true;
}

struct run {
    struct model lines, long_lines; /* two walks over the text: one skips the long lines, the other the rest */
};

static void on_long_line(void *arg, const uint8_t *head, size_t head_size, uint64_t length) {
    struct model *model = &((struct run *)arg)->long_lines;
    const uint8_t *expected;
    size_t expected_length;

    do {
        fuzz_require(next_line(model, &expected, &expected_length), "a long line that is none");
    } while (expected_length <= model->max_line);
    fuzz_require(length == expected_length, "length of a long line");
    fuzz_require(head_size == (length < 64 ? length : 64) && memcmp(head, expected, head_size) == 0,
                 "head of a long line");
}

static void take(struct tide_lines *lines, struct run *run) {
    struct tide_blocks blocks;

    tide_blocks_create(&blocks);
    fuzz_require(tide_lines_take(lines, &blocks), "take");
    for (uint32_t b = 0; b < blocks.count; b++) {
        const struct tide_block *block = blocks.items[b];
        for (uint32_t l = 0; l < block->count; l++) {
            const uint8_t *expected;
            size_t length;
            do {
                fuzz_require(next_line(&run->lines, &expected, &length), "a line too many");
            } while (length > run->lines.max_line);
            fuzz_require((uint64_t)block->lines[l].offset + block->lines[l].length <= block->size,
                         "line outside of its block");
            fuzz_require(block->lines[l].length == length, "length of a line");
            fuzz_require(length == 0 || memcmp(block->data + block->lines[l].offset, expected, length) == 0,
                         "bytes of a line");
        }
    }
    tide_blocks_destroy(&blocks);
}

static void check_all_seen(struct model *model, bool long_ones) {
    const uint8_t *line;
    size_t length;

    while (next_line(model, &line, &length))
        fuzz_require((length > model->max_line) != long_ones, "a line is missing");
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    if (size < 3) return 0;
    struct run run = {.lines = {input + 3, size - 3, 0, input[0] + 1u}};
    run.long_lines = run.lines;
    uint32_t random = input[2] * 2654435761u + 1;
    struct tide_lines lines;
    tide_lines_create(&lines, run.lines.max_line, input[1] + 1u, NULL);
    lines.on_long_line = on_long_line;
    lines.arg = &run;
    for (size_t at = 0; at < run.lines.size;) {
        random = random * 1664525 + 1013904223;
        size_t room = 0, part = (random >> 16) % ((input[2] & 15) * 8 + 1) + 1;
        uint8_t *space = tide_lines_space(&lines, &room);
        fuzz_require(space && room > 0, "no space");
        if (part > room) part = room;
        if (part > run.lines.size - at) part = run.lines.size - at;
        memcpy(space, run.lines.text + at, part);
        fuzz_require(tide_lines_commit(&lines, part), "commit");
        at += part;
        if ((random >> 8) % ((input[2] >> 4) + 1u) == 0) take(&lines, &run);
    }
    fuzz_require(tide_lines_finish(&lines), "finish");
    take(&lines, &run);
    check_all_seen(&run.lines, false);
    check_all_seen(&run.long_lines, true);
    tide_lines_destroy(&lines);
    fuzz_require(tide_block_live() == 0, "a block is left");
    return 0;
}

/* Text with more line ends than chance would have. */
size_t fuzz_generate(uint64_t *state, uint8_t *out, size_t most) {
    size_t size = fuzz_below(state, fuzz_below(state, 10) ? 128 : 2048);

    if (size > most) size = most;
    uint32_t rarity = 2 + fuzz_below(state, 64);
    for (size_t i = 0; i < size; i++) {
        uint32_t pick = i < 3 ? 2 : fuzz_below(state, rarity);
        out[i] = pick == 0 ? '\n' : pick == 1 ? '\r' : (uint8_t)fuzz_below(state, 256);
    }
    return size;
}
