/*
 * Fuzz target for store/lines: whatever the bytes, the splits and the takes, the lines are those of a model that
 * sees the whole text at once.
 *
 *     clang -g -fsanitize=fuzzer,address,undefined -Ihost spec/fuzz/fuzz_lines.c host/base/…c host/store/…c -luv
 *     gcc -g -DTIDE_FUZZ_MAIN …the same without fuzzer…; ./a.out [rounds [seed]]      (generated inputs)
 *
 * Input: byte 0 longest line - 1, byte 1 block size, byte 2 seed of the splits and takes, the rest is the text.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void check(bool good, const char *what) {
    if (good) return;
    fprintf(stderr, "fuzz_lines: %s\n", what);
    abort();
}

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
        check(next_line(model, &expected, &expected_length), "a long line that is none");
    } while (expected_length <= model->max_line);
    check(length == expected_length, "length of a long line");
    check(head_size == (length < 64 ? length : 64) && memcmp(head, expected, head_size) == 0, "head of a long line");
}

static void take(struct tide_lines *lines, struct run *run) {
    struct tide_blocks blocks;
    tide_blocks_create(&blocks);
    check(tide_lines_take(lines, &blocks), "take");
    for (uint32_t b = 0; b < blocks.count; b++) {
        const struct tide_block *block = blocks.items[b];
        for (uint32_t l = 0; l < block->count; l++) {
            const uint8_t *expected;
            size_t length;
            do {
                check(next_line(&run->lines, &expected, &length), "a line too many");
            } while (length > run->lines.max_line);
            check((uint64_t)block->lines[l].offset + block->lines[l].length <= block->size,
                  "line outside of its block");
            check(block->lines[l].length == length, "length of a line");
            check(length == 0 || memcmp(block->data + block->lines[l].offset, expected, length) == 0,
                  "bytes of a line");
        }
    }
    tide_blocks_destroy(&blocks);
}

static void check_all_seen(struct model *model, bool long_ones) {
    const uint8_t *line;
    size_t length;
    while (next_line(model, &line, &length)) check((length > model->max_line) != long_ones, "a line is missing");
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
        check(space && room > 0, "no space");
        if (part > room) part = room;
        if (part > run.lines.size - at) part = run.lines.size - at;
        memcpy(space, run.lines.text + at, part);
        check(tide_lines_commit(&lines, part), "commit");
        at += part;
        if ((random >> 8) % ((input[2] >> 4) + 1u) == 0) take(&lines, &run);
    }
    check(tide_lines_finish(&lines), "finish");
    take(&lines, &run);
    check_all_seen(&run.lines, false);
    check_all_seen(&run.long_lines, true);
    tide_lines_destroy(&lines);
    check(tide_block_live() == 0, "a block is left");
    return 0;
}

#ifdef TIDE_FUZZ_MAIN
int main(int argc, char **argv) {
    unsigned long rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 20000;
    uint32_t random = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 1;
    uint8_t input[2048];
    for (unsigned long round = 0; round < rounds; round++) {
        size_t size = (random = random * 1664525 + 1013904223) >> 16;
        size %= round % 10 ? 128 : sizeof input;
        uint32_t rarity = ((random >> 8) & 63) + 2;
        for (size_t i = 0; i < size; i++) {
            random = random * 1664525 + 1013904223;
            uint32_t pick = (random >> 16) % rarity;
            input[i] = i < 3       ? (uint8_t)(random >> 24)
                       : pick == 0 ? '\n'
                       : pick == 1 ? '\r'
                                   : (uint8_t)(random >> 24);
        }
        LLVMFuzzerTestOneInput(input, size);
    }
    printf("fuzz_lines: %lu inputs\n", rounds);
    return 0;
}
#endif
