/*
 * Bytes in, text blocks out. The socket source (ingest thread) and the file reader (worker threads) each own
 * their `struct tide_lines`; nothing here is shared.
 *
 * The current block looks like this, all of it in received order:
 *
 *     | complete lines, listed in block->lines | unfinished line | room for the next read |
 *     0                                    line_start           size                  capacity
 *
 * A block leaves (seal) with complete lines only; the unfinished line moves to the front of the next one. Two
 * rules keep memory in proportion to what was received: new blocks are sized from recent traffic, and a block
 * that is less than half full of lines is handed on as a copy of the right size.
 *
 * Every step can be repeated: when memory is gone, `scanned` and `line_start` say how far the search for
 * separators got, and the next call continues from there.
 */
#include "store/lines.h"

#include <string.h>

#include "base/alloc.h"
#include "store/budget.h"

enum {
    SMALLEST_BLOCK = 4096,
    BLOCKS_PER_TAKE = 4, /* aim: some blocks in each batch, so that several workers have something to do */
    LEAST_ROOM = 16      /* a block with less than 1/16 of its capacity left is not read into any more */
};

/* Offsets in a block are 32 bits, and a block doubles while an unfinished line grows. */
static const uint32_t LONGEST_LINE = UINT32_C(1) << 30;

void tide_lines_create(struct tide_lines *lines, uint32_t max_line, uint32_t block_size, struct tide_share *share) {
    memset(lines, 0, sizeof *lines);
    lines->share = tide_share_retain(share);
    lines->max_line = max_line == 0 || max_line > LONGEST_LINE ? LONGEST_LINE : max_line;
    lines->block_size = block_size == 0 ? TIDE_BLOCK_TARGET : block_size;
    if (lines->block_size > LONGEST_LINE) lines->block_size = LONGEST_LINE;
    tide_blocks_create(&lines->sealed);
}

void tide_lines_destroy(struct tide_lines *lines) {
    tide_block_release(lines->current);
    lines->current = NULL;
    tide_blocks_destroy(&lines->sealed);
    tide_share_release(lines->share);
    lines->share = NULL;
}

/* How large the next block should be: a fraction of what a take brings, but never small enough to make reading
 * slow nor larger than block_size. Doubles with the traffic, so a burst is at full blocks after a few reads. */
static size_t fitting_capacity(const struct tide_lines *lines) {
    uint64_t traffic = lines->arrived > lines->traffic ? lines->arrived : lines->traffic;
    size_t capacity = SMALLEST_BLOCK;

    while (capacity < lines->block_size && (uint64_t)capacity * BLOCKS_PER_TAKE < traffic) capacity *= 2;
    return capacity < lines->block_size ? capacity : lines->block_size;
}

static bool room_left(const struct tide_block *block) {
    uint64_t room = block->capacity - block->size;

    return room > 0 && room >= block->capacity / LEAST_ROOM;
}

static bool add_line(struct tide_block *block, size_t offset, size_t length) {
    if (block->count == block->line_slots) return tide_block_add_line(block, (uint32_t)offset, (uint32_t)length);
    block->lines[block->count].offset = (uint32_t)offset;
    block->lines[block->count].length = (uint32_t)length;
    block->count++;
    return true;
}

/* ---- Over-long lines ---------------------------------------------------------------------------------------- */

/* `size` more bytes of a line that will not be delivered. */
static void skip_bytes(struct tide_lines *lines, const uint8_t *bytes, size_t size) {
    if (lines->skipping == 0) lines->long_head_size = 0;
    size_t room = sizeof lines->long_head - lines->long_head_size;
    size_t head = size < room ? size : room;
    memcpy(lines->long_head + lines->long_head_size, bytes, head);
    lines->long_head_size += head;
    lines->skipping += size;
}

static void skip_end(struct tide_lines *lines) {
    uint64_t length = lines->skipping;

    lines->skipping = 0;
    if (lines->on_long_line) lines->on_long_line(lines->arg, lines->long_head, lines->long_head_size, length);
}

/* ---- The search for separators ------------------------------------------------------------------------------ */

static size_t find(const uint8_t *data, size_t from, size_t end, int separator) {
    const uint8_t *found = from < end ? memchr(data + from, separator, end - from) : NULL;

    return found ? (size_t)(found - data) : end;
}

/*
 * Lists every line that ended in the bytes not searched yet. Two cursors, the next \n and the next \r, each run
 * over the bytes once: text without \r costs one memchr for all of it and one per line.
 */
static bool scan(struct tide_lines *lines) {
    struct tide_block *block = lines->current;

    if (!block || lines->scanned == block->size) return true;
    const uint8_t *data = block->data;
    size_t end = block->size;
    if (lines->after_cr) {
        if (data[lines->scanned] == '\n') lines->line_start = ++lines->scanned;
        lines->after_cr = false;
    }
    size_t start = lines->line_start;
    size_t newline = find(data, lines->scanned, end, '\n');
    size_t carriage = find(data, lines->scanned, end, '\r');
    for (;;) {
        size_t separator = newline < carriage ? newline : carriage;
        if (separator == end) break;
        size_t length = separator - start;
        if (lines->skipping > 0 || length > lines->max_line) {
            skip_bytes(lines, data + start, length);
            skip_end(lines);
        } else if (!add_line(block, start, length)) {
            lines->line_start = lines->scanned = start;
            return false;
        }
        start = separator + 1;
        if (separator == carriage) {
            if (start == end) lines->after_cr = true;
            else if (data[start] == '\n') start++;
            carriage = find(data, start, end, '\r');
        }
        if (newline < start) newline = find(data, start, end, '\n');
    }
    lines->line_start = start;
    lines->scanned = end;
    if (lines->skipping > 0 || end - start > lines->max_line) {
        skip_bytes(lines, data + start, end - start);
        block->size = lines->scanned = start;
    }
    return true;
}

/* ---- Handing on --------------------------------------------------------------------------------------------- */

static struct tide_block *new_block(const struct tide_lines *lines, size_t capacity) {
    return tide_block_new(TIDE_BLOCK_TEXT, 1, capacity, lines->share);
}

/* The unfinished line becomes the beginning of `block`, which becomes the current one. */
static void move_tail(struct tide_lines *lines, struct tide_block *block, size_t tail) {
    memmove(block->data, lines->current->data + lines->line_start, tail);
    block->size = tail;
    lines->current = block;
    lines->line_start = 0;
    lines->scanned = tail;
}

/* Complete lines as a block of just their size; NULL when memory is gone. */
static struct tide_block *copy_complete(const struct tide_lines *lines) {
    const struct tide_block *from = lines->current;
    struct tide_block *block = new_block(lines, lines->line_start);

    if (!block) return NULL;
    memcpy(block->data, from->data, lines->line_start);
    block->size = lines->line_start;
    for (uint32_t i = 0; i < from->count; i++) {
        if (!add_line(block, from->lines[i].offset, from->lines[i].length)) {
            tide_block_release(block);
            return NULL;
        }
    }
    return block;
}

/* Moves the complete lines of the current block to `sealed`. Afterwards current holds the unfinished line only, or
 * is NULL. false when memory is gone; then nothing has changed. */
static bool seal(struct tide_lines *lines) {
    struct tide_block *block = lines->current;
    size_t tail = block->size - lines->line_start;

    if (lines->line_start < block->capacity / 2) {
        struct tide_block *copy = copy_complete(lines);
        if (!copy) return false;
        tide_blocks_push(&lines->sealed, copy);
        block->count = 0;
        move_tail(lines, block, tail);
        return true;
    }
    struct tide_block *next = NULL;
    if (tail > 0) {
        size_t capacity = fitting_capacity(lines);
        next = new_block(lines, capacity < 2 * tail ? 2 * tail : capacity);
        if (!next) return false;
        move_tail(lines, next, tail);
    }
    block->size -= tail;
    tide_blocks_push(&lines->sealed, block);
    lines->current = next;
    lines->line_start = 0;
    lines->scanned = tail;
    return true;
}

static void drop_current(struct tide_lines *lines) {
    tide_block_release(lines->current);
    lines->current = NULL;
    lines->line_start = lines->scanned = 0;
}

/* Less arrives than before, or nothing: an unfinished line need not sit in a large block. Failing is harmless. */
static void shrink(struct tide_lines *lines) {
    struct tide_block *block = lines->current;
    size_t tail = block->size - lines->line_start;
    size_t wanted = tail + (lines->arrived > 0 ? fitting_capacity(lines) : SMALLEST_BLOCK);

    if (block->capacity <= 2 * wanted) return;
    struct tide_block *smaller = new_block(lines, wanted);
    if (!smaller) return;
    move_tail(lines, smaller, tail);
    tide_block_release(block);
}

/* ---- The interface ------------------------------------------------------------------------------------------ */

uint8_t *tide_lines_space(struct tide_lines *lines, size_t *size) {
    if (!scan(lines)) return NULL;
    struct tide_block *block = lines->current;
    if (block && block->count > 0 && (!room_left(block) || block->size >= lines->block_size)) {
        if (!seal(lines)) return NULL;
        block = lines->current;
    }
    if (!block) {
        block = lines->current = new_block(lines, fitting_capacity(lines));
        if (!block) return NULL;
    }
    if (!room_left(block)) {
        /* An unfinished line fills the block, or the remains of a skipped one lie before it. */
        if (lines->line_start > 0) move_tail(lines, block, block->size - lines->line_start);
        if (!room_left(block) && !tide_block_reserve(block, block->capacity)) return NULL;
    }
    *size = block->capacity - block->size;
    return block->data + block->size;
}

bool tide_lines_commit(struct tide_lines *lines, size_t size) {
    if (lines->current) lines->current->size += size;
    lines->arrived += size;
    return scan(lines);
}

bool tide_lines_finish(struct tide_lines *lines) {
    if (!scan(lines)) return false;
    if (lines->skipping > 0) skip_end(lines);
    struct tide_block *block = lines->current;
    if (block && block->size > lines->line_start) {
        if (!add_line(block, lines->line_start, block->size - lines->line_start)) return false;
        lines->line_start = lines->scanned = block->size;
    }
    lines->after_cr = false;
    return true;
}

bool tide_lines_take(struct tide_lines *lines, struct tide_blocks *out) {
    bool complete = scan(lines);

    if (complete && lines->current && lines->current->count > 0) complete = seal(lines);
    tide_blocks_move(out, &lines->sealed);
    if (!complete) return false;
    if (lines->current) {
        if (lines->current->size == lines->line_start) drop_current(lines);
        else shrink(lines);
    }
    lines->traffic = lines->traffic / 2 > lines->arrived ? lines->traffic / 2 : lines->arrived;
    lines->arrived = 0;
    return true;
}
