/*
 * What Lua sees of store/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_STORE_FFI_H
#define TIDE_STORE_FFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- store/block.h ------------------------------------------------------------------------------------------ */

enum { TIDE_BLOCK_TEXT = 1, TIDE_BLOCK_PACKED = 2 };
enum { TIDE_BLOCK_SLACK = 16, TIDE_BLOCK_TARGET = 256 * 1024 };

struct tide_line {
    uint32_t offset;
    uint32_t length;
};

struct tide_share;
struct tide_copy;

struct tide_block {
    uint32_t refs;
    uint8_t kind;
    uint8_t arity;       /* 0 while empty and unknown */
    uint16_t firm;       /* counts in its share until it is freed, whether or not it has been read */
    uint32_t count;      /* records */
    uint32_t line_slots; /* capacity of lines (text) */
    uint64_t size;       /* bytes used in data */
    uint64_t capacity;   /* bytes usable in data, slack not counted */
    uint8_t *data;
    struct tide_line *lines;
    struct tide_share *share; /* or NULL */
    struct tide_copy *copy;   /* of it on disk (store/copies.h), or NULL. This and what follows is the cache's: */
    uint32_t kept;            /* how many things in the cache hold it in memory */
    uint32_t met;             /* scratch */
    bool counted;             /* its bytes are in the cache's count */
    bool claimed;             /* a thread is writing it */
    void *attached;           /* lives as long as the block; NULL: nothing (tide_block_attach) */
    void (*detach)(void *attached);
    uint64_t attached_bytes; /* of memory that it stands for */
};

/* NULL when memory is gone. Reference count 1. `capacity` at least. share may be NULL; it is retained. */
struct tide_block *tide_block_new(int kind, int arity, size_t capacity, struct tide_share *share);
struct tide_block *tide_block_retain(struct tide_block *block);
void tide_block_release(struct tide_block *block); /* NULL is fine */
/* Writer only: makes room for `extra` more bytes (at least doubling); data may move. false: no memory. */
bool tide_block_reserve(struct tide_block *block, size_t extra);

/* A list of references: one partition of a dataset. Each entry holds a reference. */
struct tide_blocks {
    struct tide_block **items;
    uint32_t count;
    uint32_t capacity;
};

void tide_blocks_create(struct tide_blocks *blocks);
void tide_blocks_destroy(struct tide_blocks *blocks);                            /* releases all */
void tide_blocks_push(struct tide_blocks *blocks, struct tide_block *take);      /* takes the reference */
void tide_blocks_append(struct tide_blocks *to, const struct tide_blocks *from); /* retains each */
void tide_blocks_move(struct tide_blocks *to, struct tide_blocks *from);         /* appends and empties from */
uint64_t tide_blocks_records(const struct tide_blocks *blocks);

/* ---- store/broadcast.h -------------------------------------------------------------------------------------- */

/* Takes the reference to the block. Returns the number (from 1) and one reference to it. */
uint32_t tide_broadcast_add(struct tide_block *take);
/* A reference to the block, the caller's; NULL when it was removed or never existed. */
struct tide_block *tide_broadcast_get(uint32_t number);
/* Makes workers decode the value again when they next need it. false: no such number. */
bool tide_broadcast_refresh(uint32_t number);
/* Frees the value although there are references to the number. false: no such number. */
bool tide_broadcast_remove(uint32_t number);
/* The number of values, for tests. */
uint32_t tide_broadcast_count(void);
/* Changes with every refresh and whenever a value is freed: while it is the same, decoded values are valid. */
uint32_t tide_broadcast_epoch(void);

enum { TIDE_BROADCAST_GONE = 0xffffffff };

/* The epoch of the last refresh of this number (0: never); TIDE_BROADCAST_GONE: no such number. */
uint32_t tide_broadcast_refreshed(uint32_t number);

/*
 * References to the values that closure packages name: held by operators, partitioners, plans, values and objects of
 * the driver's Lua state. Numbers are found in the bytes of the package. Immutable.
 */
struct tide_broadcast_refs;

/* Holds the values that packages among the bytes name until _delete. NULL: none. Bytes that look like a package by
 * chance keep a value longer than needed, which is harmless. */
struct tide_broadcast_refs *tide_broadcast_refs_new(const void *bytes, size_t size);
/* Takes over one reference, as tide_broadcast_add returns it. */
struct tide_broadcast_refs *tide_broadcast_refs_take(uint32_t number);
void tide_broadcast_refs_delete(struct tide_broadcast_refs *refs); /* NULL is fine */

#endif
