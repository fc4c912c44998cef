/*
 * Blocks and lists of them. Filled by ingest and workers, handed around by the driver, read by workers. Reference
 * counts and the live counters are atomic; everything else belongs to the one writer until the block is handed on.
 * The data always has TIDE_BLOCK_SLACK zero bytes behind its capacity, in text blocks too, so that scanning
 * by words needs no special end.
 */
#include "store/block.h"

#include <string.h>

#include "base/alloc.h"
#include "store/budget.h"
#include "store/copy.h"

enum {
    FEWEST_LINES = 16,
    MOST_FIRST_LINES = 65536,
    BYTES_PER_LINE = 64,
    WORTH_TRIMMING = 4096,
    WORTH_GIVING_BACK = 16 << 20
};

static uint64_t live_blocks;
static uint64_t live_bytes;
static uint64_t most_bytes; /* live at a time, since memory was last returned to the system */

/* The bytes of a block in memory: the unit of budgets and of leak checks. */
static uint64_t footprint(uint64_t capacity, uint32_t line_slots) {
    return sizeof(struct tide_block) + capacity + TIDE_BLOCK_SLACK + (uint64_t)line_slots * sizeof(struct tide_line);
}

static void charge(const struct tide_block *block, uint64_t bytes) {
    uint64_t live = __atomic_add_fetch(&live_bytes, bytes, __ATOMIC_RELAXED);

    if (live > __atomic_load_n(&most_bytes, __ATOMIC_RELAXED)) __atomic_store_n(&most_bytes, live, __ATOMIC_RELAXED);
    if (block->share) tide_share_charge(block->share, bytes);
}

struct tide_block *tide_block_new(int kind, int arity, size_t capacity, struct tide_share *share) {
    if (capacity > SIZE_MAX / 2) return NULL;
    struct tide_block *block = tide_alloc_try(sizeof *block);
    if (!block) return NULL;
    uint8_t *data = tide_alloc_try(capacity + TIDE_BLOCK_SLACK);
    if (!data) {
        tide_free(block);
        return NULL;
    }
    memset(data + capacity, 0, TIDE_BLOCK_SLACK);
    *block = (struct tide_block){
        .refs = 1,
        .kind = (uint8_t)kind,
        .arity = (uint8_t)arity,
        .capacity = capacity,
        .data = data,
        .share = tide_share_retain(share),
        .firm = share && tide_share_is_firm(share),
    };
    __atomic_fetch_add(&live_blocks, 1, __ATOMIC_RELAXED);
    charge(block, footprint(capacity, 0));
    return block;
}

struct tide_block *tide_block_retain(struct tide_block *block) {
    if (block) __atomic_fetch_add(&block->refs, 1, __ATOMIC_RELAXED);
    return block;
}

void tide_block_release(struct tide_block *block) {
    if (!block || __atomic_fetch_sub(&block->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
    uint64_t bytes = tide_block_footprint(block);
    struct tide_share *share = block->share;
    tide_copy_release(block->copy);
    if (block->attached) block->detach(block->attached);
    tide_free(block->data);
    tide_free(block->lines);
    tide_free(block);
    __atomic_fetch_sub(&live_bytes, bytes, __ATOMIC_RELAXED);
    __atomic_fetch_sub(&live_blocks, 1, __ATOMIC_RELAXED);
    if (share) {
        tide_share_refund(share, bytes);
        tide_share_release(share);
    }
}

bool tide_block_reserve(struct tide_block *block, size_t extra) {
    if (block->capacity - block->size >= extra) return true;
    if (extra > SIZE_MAX / 4 || block->capacity > SIZE_MAX / 4) return false;
    uint64_t capacity = block->capacity * 2;
    if (capacity < block->size + extra) capacity = block->size + extra;
    uint8_t *data = tide_realloc_try(block->data, capacity + TIDE_BLOCK_SLACK);
    if (!data) return false;
    memset(data + capacity, 0, TIDE_BLOCK_SLACK);
    charge(block, capacity - block->capacity);
    block->data = data;
    block->capacity = capacity;
    return true;
}

bool tide_block_add_line(struct tide_block *block, uint32_t offset, uint32_t length) {
    if (block->count == block->line_slots) {
        uint64_t slots = (uint64_t)block->line_slots * 2;
        if (slots == 0) slots = block->capacity / BYTES_PER_LINE;
        if (slots > MOST_FIRST_LINES && block->line_slots == 0) slots = MOST_FIRST_LINES;
        if (slots < FEWEST_LINES) slots = FEWEST_LINES;
        if (slots > UINT32_MAX) slots = UINT32_MAX;
        if (slots == block->line_slots) return false;
        struct tide_line *lines = tide_realloc_try(block->lines, slots * sizeof *lines);
        if (!lines) return false;
        charge(block, (slots - block->line_slots) * sizeof *lines);
        block->lines = lines;
        block->line_slots = (uint32_t)slots;
    }
    block->lines[block->count++] = (struct tide_line){offset, length};
    return true;
}

bool tide_block_reserve_lines(struct tide_block *block, uint32_t count) {
    if (count <= block->line_slots) return true;
    struct tide_line *lines = tide_realloc_try(block->lines, (uint64_t)count * sizeof *lines);
    if (!lines) return false;
    charge(block, (uint64_t)(count - block->line_slots) * sizeof *lines);
    block->lines = lines;
    block->line_slots = count;
    return true;
}

void tide_block_trim(struct tide_block *block) {
    uint64_t waste = block->capacity - block->size;

    if (waste < WORTH_TRIMMING || waste < block->size / 8 || __atomic_load_n(&block->refs, __ATOMIC_ACQUIRE) != 1)
        return;
    uint8_t *data = tide_realloc_try(block->data, block->size + TIDE_BLOCK_SLACK);
    if (!data) return;
    memset(data + block->size, 0, TIDE_BLOCK_SLACK);
    __atomic_fetch_sub(&live_bytes, waste, __ATOMIC_RELAXED);
    if (block->share) tide_share_refund(block->share, waste);
    block->data = data;
    block->capacity = block->size;
}

void tide_block_attach(struct tide_block *block, void *take, uint64_t bytes, void (*detach)(void *attached)) {
    block->attached = take;
    block->attached_bytes = bytes;
    block->detach = detach;
    charge(block, bytes);
}

void tide_block_discharge(struct tide_block *block) {
    struct tide_share *share = __atomic_exchange_n(&block->share, NULL, __ATOMIC_ACQ_REL);

    if (!share) return;
    tide_share_refund(share, tide_block_footprint(block));
    tide_share_release(share);
}

void tide_block_consumed(struct tide_block *block) {
    if (!block->firm) tide_block_discharge(block);
}

uint64_t tide_block_footprint(const struct tide_block *block) {
    return footprint(block->capacity, block->line_slots) + block->attached_bytes;
}

uint64_t tide_block_live(void) { return __atomic_load_n(&live_blocks, __ATOMIC_RELAXED); }

uint64_t tide_block_live_bytes(void) { return __atomic_load_n(&live_bytes, __ATOMIC_RELAXED); }

bool tide_block_fell(void) {
    uint64_t live = tide_block_live_bytes(), most = __atomic_load_n(&most_bytes, __ATOMIC_RELAXED);

    return most > live + WORTH_GIVING_BACK && most > live + live / 4;
}

void tide_block_given_back(void) { __atomic_store_n(&most_bytes, tide_block_live_bytes(), __ATOMIC_RELAXED); }

void tide_blocks_create(struct tide_blocks *blocks) { *blocks = (struct tide_blocks){0}; }

void tide_blocks_destroy(struct tide_blocks *blocks) {
    for (uint32_t i = 0; i < blocks->count; i++) tide_block_release(blocks->items[i]);
    tide_free(blocks->items);
    tide_blocks_create(blocks);
}

static void make_room(struct tide_blocks *blocks, uint32_t extra) {
    if (blocks->capacity - blocks->count >= extra) return;
    uint32_t capacity = blocks->capacity ? blocks->capacity * 2 : 4;
    if (capacity < blocks->count + extra) capacity = blocks->count + extra;
    blocks->items = tide_xrealloc(blocks->items, capacity * sizeof(struct tide_block *));
    blocks->capacity = capacity;
}

void tide_blocks_push(struct tide_blocks *blocks, struct tide_block *take) {
    make_room(blocks, 1);
    blocks->items[blocks->count++] = take;
}

void tide_blocks_append(struct tide_blocks *to, const struct tide_blocks *from) {
    uint32_t count = from->count; /* read once: `from` may be `to` */

    make_room(to, count);
    for (uint32_t i = 0; i < count; i++) to->items[to->count++] = tide_block_retain(from->items[i]);
}

void tide_blocks_move(struct tide_blocks *to, struct tide_blocks *from) {
    if (to == from) return;
    if (to->count == 0) {
        struct tide_blocks empty = *to;
        *to = *from;
        *from = empty;
        return;
    }
    make_room(to, from->count);
    if (from->count) memcpy(to->items + to->count, from->items, from->count * sizeof(struct tide_block *));
    to->count += from->count;
    from->count = 0;
}

uint64_t tide_blocks_records(const struct tide_blocks *blocks) {
    uint64_t sum = 0;

    for (uint32_t i = 0; i < blocks->count; i++) sum += blocks->items[i]->count;
    return sum;
}

uint64_t tide_blocks_footprint(const struct tide_blocks *blocks) {
    uint64_t sum = 0;

    for (uint32_t i = 0; i < blocks->count; i++) sum += tide_block_footprint(blocks->items[i]);
    return sum;
}

uint64_t tide_blocks_bytes(const struct tide_blocks *blocks) {
    uint64_t sum = 0;

    for (uint32_t i = 0; i < blocks->count; i++) sum += blocks->items[i]->size;
    return sum;
}
