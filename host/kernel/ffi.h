/*
 * What Lua sees of kernel/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_KERNEL_FFI_H
#define TIDE_KERNEL_FFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/ffi.h"

/* ---- kernel/combine.h ------------------------------------------------------------------------------------------ */

/* In place of an entry's index. */
enum { TIDE_COMBINE_NOMEM = 0xffffffff };

struct tide_combine {
    double *numbers; /* by entry index */
    uint32_t count;
    uint32_t fresh; /* 1: the last look-up made the entry */
};

struct tide_combine *tide_combine_new(void); /* NULL: no memory */
void tide_combine_delete(struct tide_combine *combine);

/* The entry of the key; a new one (fresh = 1, its number undefined) if it has none. */
uint32_t tide_combine_string(struct tide_combine *combine, const char *data, size_t size);
uint32_t tide_combine_number(struct tide_combine *combine, double key); /* not NaN */
/* `data`: a packed value in canonical form, as wire/pack.h writes it. */
uint32_t tide_combine_packed(struct tide_combine *combine, const uint8_t *data, size_t size);

/* Adds the value to the key's number, or sets it if the key is new: a map-side sum in one call. false: no memory. */
bool tide_combine_add_string(struct tide_combine *combine, const char *data, size_t size, double value);
bool tide_combine_add_number(struct tide_combine *combine, double key, double value);

/* ---- kernel/merge.h -------------------------------------------------------------------------------------------- */

enum tide_merge_step {
    TIDE_MERGE_NOMEM = -1,
    TIDE_MERGE_END = 0,    /* the block has ended */
    TIDE_MERGE_NUMBER = 1, /* merge `number` into the value of the entry */
    TIDE_MERGE_FRESH = 2,  /* store `value`, `size`, which is not a number, for the new entry */
    TIDE_MERGE_VALUE = 3   /* merge `value`, `size` into the value of the entry */
};

struct tide_merge {
    struct tide_combine *combine;
    const uint8_t *at, *end;
    const uint8_t *key; /* of the record of the last step */
    const uint8_t *value;
    double number;
    uint32_t left; /* records left in the block */
    uint32_t entry;
    uint32_t size;
    uint32_t add;     /* 1: numbers are added here, and TIDE_MERGE_NUMBER is not returned … */
    uint32_t general; /* … unless 1: entries may hold values that are not numbers */
};

void tide_merge_begin(struct tide_merge *merge, const struct tide_block *block);
int tide_merge_next(struct tide_merge *merge);

/* ---- kernel/router.h ------------------------------------------------------------------------------------------- */

struct tide_router;

/* Routes records of this arity to outputs[0 … count-1], which must stay in place until the delete. Round robin begins
 * at outputs[0]; the reading side evens out the sizes across tasks (rdd/node.h, shifts). */
struct tide_router *tide_router_new(struct tide_blocks *outputs, uint32_t count, uint32_t arity);
/* Appends the open blocks to the outputs and frees the router. */
void tide_router_delete(struct tide_router *router);

/* A record of `size` bytes that begins with its packed key, key_size bytes, by the hash of the key. */
bool tide_router_hash(struct tide_router *router, const uint8_t *record, size_t key_size, size_t size);
/* To this partition, which must be below count. */
bool tide_router_to(struct tide_router *router, uint32_t partition, const uint8_t *record, size_t size);
bool tide_router_next(struct tide_router *router, const uint8_t *record, size_t size);
/* `bounds`: a packed block (arity 1) of ascending keys; partition i gets keys <= bounds[i]. */
bool tide_router_range(struct tide_router *router, const struct tide_block *bounds, bool ascending,
                       const uint8_t *record, size_t key_size, size_t size);
/* All pairs of a packed block, by range, or by hash if `bounds` is NULL. 1: done; 0: a key contains NaN, so it has no
 * range or group; -1: no memory. */
int tide_router_pairs(struct tide_router *router, const struct tide_block *block, const struct tide_block *bounds,
                      bool ascending);
/* All records of a packed block, in turn. 1: done; -1: no memory. */
int tide_router_spread(struct tide_router *router, const struct tide_block *block);
/* Entry `index` of a combine table, by hash: its key with `value`, or with its number if `value` is NULL. */
bool tide_router_entry(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                       const uint8_t *value, size_t value_size);
/* The same, to this partition, which must be below count. */
bool tide_router_entry_to(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                          uint32_t partition, const uint8_t *value, size_t value_size);
/* The packed key of an entry, for partitioners written in Lua. Valid until the table gets another key. */
const uint8_t *tide_router_entry_key(const struct tide_combine *combine, uint32_t index);
/* All entries with their numbers, by hash. */
bool tide_router_entries(struct tide_router *router, const struct tide_combine *combine);

/* ---- kernel/group.h -------------------------------------------------------------------------------------------- */

/* Every block is packed and of arity 2. */
bool tide_group_blocks(const struct tide_blocks *in, struct tide_blocks *out);
/* The same, and every value is an array. */
bool tide_group_concat(const struct tide_blocks *in, struct tide_blocks *out);

/* ---- kernel/cogroup.h ------------------------------------------------------------------------------------------ */

enum tide_cogroup_mode {
    TIDE_COGROUP,
    TIDE_COGROUP_JOIN,
    TIDE_COGROUP_LEFT_OUTER,
    TIDE_COGROUP_RIGHT_OUTER,
    TIDE_COGROUP_FULL_OUTER,
    TIDE_COGROUP_SUBTRACT,
    TIDE_COGROUP_INTERSECT
};

struct tide_cogroup;

/* Reads all sides. Every block is packed and of arity 2. All modes except COGROUP and INTERSECT have two sides. NULL:
 * no memory. */
struct tide_cogroup *tide_cogroup_new(const struct tide_blocks *const *sides, uint32_t count, int mode);
void tide_cogroup_delete(struct tide_cogroup *cogroup); /* NULL is fine */

/* *out is the next block, the caller's, or NULL when there are no more. false: no memory. */
bool tide_cogroup_next(struct tide_cogroup *cogroup, struct tide_block **out);

/* ---- kernel/product.h ------------------------------------------------------------------------------------------ */

/* Appends (a, b) for the i-th records of both sides, which must have the same number of records. false: no memory
 * (`out` then holds a part of the result, and the task fails). */
bool tide_product_zip(const struct tide_blocks *a, const struct tide_blocks *b, struct tide_blocks *out);

struct tide_product;

/* Pairs every record of a with every record of b, in the order of a. The blocks must live as long as the product.
 * NULL: no memory. */
struct tide_product *tide_product_new(const struct tide_blocks *a, const struct tide_blocks *b);
void tide_product_delete(struct tide_product *product); /* NULL is fine */
/* *out is the next block, the caller's, or NULL when there are no more. false: no memory. */
bool tide_product_next(struct tide_product *product, struct tide_block **out);

/* ---- kernel/sort_by_key.h -------------------------------------------------------------------------------------- */

/* Appends the records of `in` (packed, arity 2) to `out` in the order of their keys (tide_unpack_compare). Stable.
 * false: no memory. */
bool tide_sort_by_key(const struct tide_blocks *in, bool ascending, struct tide_blocks *out);

/* Whether every key of the packed pairs can be sorted: none contains NaN. */
bool tide_sort_by_key_has_place(const struct tide_block *block);

/* Appends one packed block (arity 1) of up to `wanted` keys, taken evenly from the packed pairs of `in`; no block if
 * there are no records. false: no memory. */
bool tide_sort_by_key_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out);

/* ---- kernel/state_rows.h --------------------------------------------------------------------------------------- */

/* Appends the pair to the last block of `out`, which must not be shared, or to a new one. */
bool tide_state_rows_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *value,
                         size_t size);
/* Appends the row of a result. key NULL: a single value. */
bool tide_state_rows_put_mapped(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *x,
                                size_t size);

bool tide_state_rows_project(const struct tide_blocks *in, struct tide_blocks *out);
bool tide_state_rows_project_mapped(const struct tide_blocks *in, struct tide_blocks *out);

/* ---- kernel/state_delta.h -------------------------------------------------------------------------------------- */

struct tide_state_delta_old {
    const uint8_t *value; /* x; NULL: the key is not in the state */
    double n;
    uint32_t size; /* of x */
};

struct tide_state_delta_due {
    const uint8_t *key;   /* packed; the value follows it */
    const uint8_t *value; /* x */
};

struct tide_state_delta {
    struct tide_combine *keys;        /* the keys added */
    struct tide_state_delta_old *old; /* by entry of keys; after the scan */
    struct tide_state_delta_due
        *due;        /* keys that were not added, with n below the limit: they have not been copied */
    uint32_t *order; /* entry of each record added, in order */
    uint32_t *open;  /* entries that are left to the caller to put, their sums in keys->numbers */
    uint32_t records, dues, opens;
};

struct tide_state_delta *tide_state_delta_new(void);          /* NULL: no memory */
void tide_state_delta_delete(struct tide_state_delta *delta); /* NULL is fine */

/* The packed key of an entry of `keys`. */
const uint8_t *tide_state_delta_key(const struct tide_state_delta *delta, uint32_t entry);
/* Adds the keys of packed pairs. */
bool tide_state_delta_add(struct tide_state_delta *delta, const struct tide_blocks *records);
/* To be called once. `out` gets the new state and must live until tide_state_delta_finish. */
bool tide_state_delta_scan(struct tide_state_delta *delta, const struct tide_blocks *state, double limit,
                           struct tide_blocks *out);
/* Writes (key of the entry, [n, value]); value NULL: the old x. */
bool tide_state_delta_put(struct tide_state_delta *delta, uint32_t entry, double n, const uint8_t *value,
                          size_t size);
void tide_state_delta_finish(struct tide_state_delta *delta);

/* ---- kernel/window_fold.h -------------------------------------------------------------------------------------- */

enum tide_window_fold_status {
    TIDE_WINDOW_FOLD_NO_MEMORY = -1,
    TIDE_WINDOW_FOLD_OTHER = 0, /* a value is not a number: the caller must combine them in another way */
    TIDE_WINDOW_FOLD_DONE = 1,
    TIDE_WINDOW_FOLD_RANGE = 2,       /* the keys of a range have been read */
    TIDE_WINDOW_FOLD_OUT_OF_ORDER = 3 /* with `adds` only: open it again with `order` */
};

/* A key of the range. */
struct tide_window_fold_key {
    uint64_t hash;
    const uint8_t *key; /* packed */
    uint32_t size;
};

/* The keys of a range. Arrays of numbers, not of structs: LuaJIT reads them without allocating an object for each. */
struct tide_window_fold {
    /* by key. A place is 2 * key for leaving, 2 * key + 1 for entering values */
    double *values;   /* by place */
    uint32_t *counts; /* by place: number of values */
    double *x, *n;    /* in the state */
    uint32_t *there;  /* 1: the key is in the state; before the write: it will be */
    /* meetings: values that are not the first of their place, in order */
    uint32_t *met;     /* the place */
    double *newcomers; /* the value */
    uint32_t count;    /* keys */
    uint32_t meetings;
    struct tide_window_fold_key *keys;
    uint32_t at; /* Lua only: the current key, for messages */
};

/* DONE, OTHER or NO_MEMORY; sets *fold in the first case only. Sides may be NULL. Without `adds`, sides are checked
 * first, so that no function of a script is called twice for a record, and sorted if they are not in order. With
 * `adds`, sides are sorted only if `order` is true. */
int tide_window_fold_open(struct tide_window_fold **fold, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool adds,
                          bool order);
/* RANGE; DONE: no more ranges; or why the fold can't go on. */
int tide_window_fold_read(struct tide_window_fold *fold);
/* The packed key. */
const uint8_t *tide_window_fold_key(const struct tide_window_fold *fold, uint32_t index);
/* Writes the keys of the range. `states`: (key, [n, x]) for those that are `there`; otherwise (key, entering value)
 * for all. false: no memory. */
bool tide_window_fold_write(struct tide_window_fold *fold, bool states);
/* Appends the records written to `out` and deletes the fold. */
void tide_window_fold_finish(struct tide_window_fold *fold, struct tide_blocks *out);
void tide_window_fold_delete(struct tide_window_fold *fold);

/* ---- kernel/window_sum.h --------------------------------------------------------------------------------------- */

/* Appends one pair for each key of `in`: the sum of its values, added in their order. */
int tide_window_sum_merge(const struct tide_blocks *in, struct tide_blocks *out);

/* Slides an inverse window. `state` holds (key, [n, x]) (state_delta.h): x is the sum of the key's n partial sums in
 * the window. Subtracts those in `leaving`, adds those in `entering`. With `asks`, keys without partial sums are left
 * open (delta->open): the caller puts those that stay. `delta` is new; call tide_state_delta_finish afterwards. */
int tide_window_sum_slide(struct tide_state_delta *delta, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool asks,
                          struct tide_blocks *out);

/* Whether so few keys change that the state is copied and changed (state_delta.h), not folded. */
bool tide_window_sum_rare(const struct tide_blocks *state, const struct tide_blocks *leaving,
                          const struct tide_blocks *entering);

/* ---- kernel/scan.h --------------------------------------------------------------------------------------------- */

struct tide_span {
    uint32_t start; /* of its first byte */
    uint32_t stop;  /* of the byte after it */
};

/* The first span of bytes with class_of[byte] != 0 at or after `from`. 0: there is none. Pure. */
int tide_scan_run(const uint8_t *class_of, const char *text, uint32_t size, uint32_t from, struct tide_span *span);

#endif
