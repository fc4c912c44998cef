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

/* Entry index of the key, made if new (fresh = 1, its number undefined). */
uint32_t tide_combine_string(struct tide_combine *combine, const char *data, size_t size);
uint32_t tide_combine_number(struct tide_combine *combine, double key); /* not NaN */
/* `data` is one packed value in canonical form (as the writer makes it). */
uint32_t tide_combine_packed(struct tide_combine *combine, const uint8_t *data, size_t size);

/* number of the key += value (or = value when new): the whole of a map-side sum in one call. false: no memory. */
bool tide_combine_add_string(struct tide_combine *combine, const char *data, size_t size, double value);
bool tide_combine_add_number(struct tide_combine *combine, double key, double value);

/* ---- kernel/merge.h -------------------------------------------------------------------------------------------- */

enum tide_merge_step {
    TIDE_MERGE_NOMEM = -1,
    TIDE_MERGE_END = 0,    /* the block is done */
    TIDE_MERGE_NUMBER = 1, /* entry has a value already; `number` is to be merged in */
    TIDE_MERGE_FRESH = 2,  /* new entry; its value is not a number: `value`, `size` */
    TIDE_MERGE_VALUE = 3   /* entry has a value already; `value`, `size` is to be merged in */
};

struct tide_merge {
    struct tide_combine *combine;
    const uint8_t *at, *end;
    const uint8_t *key; /* of the record that the last step was about */
    const uint8_t *value;
    double number;
    uint32_t left; /* records left in the block */
    uint32_t entry;
    uint32_t size;
    uint32_t add;     /* 1: merging numbers is adding them: never returns TIDE_MERGE_NUMBER … */
    uint32_t general; /* … unless 1: some entries hold values that are not numbers */
};

void tide_merge_begin(struct tide_merge *merge, const struct tide_block *block);
int tide_merge_next(struct tide_merge *merge);

/* ---- kernel/router.h ------------------------------------------------------------------------------------------- */

struct tide_router;

/* Routes to outputs[0 … count-1], records of this arity. The outputs must stay in place until the delete. Round robin begins
 * at outputs[0]; the reading side makes the sizes even across tasks (rdd/node.h, shifts). */
struct tide_router *tide_router_new(struct tide_blocks *outputs, uint32_t count, uint32_t arity);
/* Seals what is open, in partition order, and frees the router. */
void tide_router_delete(struct tide_router *router);

/* record = size bytes, of which the first key_size are the packed key. */
bool tide_router_hash(struct tide_router *router, const uint8_t *record, size_t key_size, size_t size);
/* To that partition, which must be below count. */
bool tide_router_to(struct tide_router *router, uint32_t partition, const uint8_t *record, size_t size);
bool tide_router_next(struct tide_router *router, const uint8_t *record, size_t size);
/* bounds: a packed block (arity 1) of ascending keys; partition i gets keys <= bounds[i]. */
bool tide_router_range(struct tide_router *router, const struct tide_block *bounds, bool ascending,
                       const uint8_t *record, size_t key_size, size_t size);
/* All records of a packed block, as the functions above do one by one; `bounds` NULL: by key hash. 1: done; 0: a key
 * has NaN in it and so no place or group; -1: no memory. */
int tide_router_pairs(struct tide_router *router, const struct tide_block *block, const struct tide_block *bounds,
                      bool ascending);
int tide_router_spread(struct tide_router *router, const struct tide_block *block);
/* Entry `index` of a combine table with its number, or with a packed value when value is not NULL, by key hash. */
bool tide_router_entry(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                       const uint8_t *value, size_t value_size);
/* The same to a partition that somebody else chose, which must be below count. */
bool tide_router_entry_to(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                          uint32_t partition, const uint8_t *value, size_t value_size);
/* The packed key of an entry, for who chooses its partition. Good until the table gets another key. */
const uint8_t *tide_router_entry_key(const struct tide_combine *combine, uint32_t index);
/* All entries with their numbers. */
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

/* Reads all sides. Every block is packed and of arity 2; all modes but COGROUP and INTERSECT take two sides. NULL: no
 * memory. */
struct tide_cogroup *tide_cogroup_new(const struct tide_blocks *const *sides, uint32_t count, int mode);
void tide_cogroup_delete(struct tide_cogroup *cogroup); /* NULL is fine */

/* *out is the next block, the caller's, or NULL when there are no more. false: no memory. */
bool tide_cogroup_next(struct tide_cogroup *cogroup, struct tide_block **out);

/* ---- kernel/product.h ------------------------------------------------------------------------------------------ */

/* Appends (a, b) for the i-th records of both sides, which must have the same number of them. false: no memory (out then
 * holds a part; the task fails). */
bool tide_product_zip(const struct tide_blocks *a, const struct tide_blocks *b, struct tide_blocks *out);

struct tide_product;

/* Every record of a with every record of b, in the order of a. The blocks must live as long as it. NULL: no memory. */
struct tide_product *tide_product_new(const struct tide_blocks *a, const struct tide_blocks *b);
void tide_product_delete(struct tide_product *cartesian); /* NULL is fine */
/* *out is the next block, the caller's, or NULL when there are no more. false: no memory. */
bool tide_product_next(struct tide_product *cartesian, struct tide_block **out);

/* ---- kernel/sort_by_key.h -------------------------------------------------------------------------------------- */

/* Appends the records of `in` (packed, arity 2) to `out` in key order (tide_unpack_compare); records of equal keys keep their
 * order. false: memory is gone. */
bool tide_sort_by_key(const struct tide_blocks *in, bool ascending, struct tide_blocks *out);

/* Whether every key of the packed pairs has a place in the order: NaN has none. */
bool tide_sort_by_key_has_place(const struct tide_block *block);

/* Appends one packed block (arity 1) with up to `wanted` keys taken evenly from the packed pairs of `in`; none when there are
 * no records. false: memory is gone. */
bool tide_sort_by_key_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out);

/* ---- kernel/state_rows.h --------------------------------------------------------------------------------------- */

/* The pair as it is, to the last block of `out`, which must not be shared, or to a new one. */
bool tide_state_rows_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *value,
                         size_t size);
/* The row of a result. key NULL: a single value. */
bool tide_state_rows_put_mapped(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *x,
                                size_t size);

bool tide_state_rows_project(const struct tide_blocks *in, struct tide_blocks *out);
bool tide_state_rows_project_mapped(const struct tide_blocks *in, struct tide_blocks *out);

/* ---- kernel/state_delta.h -------------------------------------------------------------------------------------- */

struct tide_state_delta_old {
    const uint8_t *value; /* x in the state; NULL: the state has not the key */
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

/* The packed key of an entry. */
const uint8_t *tide_state_delta_key(const struct tide_state_delta *delta, uint32_t entry);
/* The keys of packed pairs. */
bool tide_state_delta_add(struct tide_state_delta *delta, const struct tide_blocks *records);
/* Once. `out` gets the new state and must live until tide_state_delta_finish. */
bool tide_state_delta_scan(struct tide_state_delta *delta, const struct tide_blocks *state, double limit,
                           struct tide_blocks *out);
/* (key of the entry, [n, x]); value NULL: x as it was. */
bool tide_state_delta_put(struct tide_state_delta *delta, uint32_t entry, double n, const uint8_t *value,
                          size_t size);
void tide_state_delta_finish(struct tide_state_delta *delta);

/* ---- kernel/window_fold.h -------------------------------------------------------------------------------------- */

enum tide_window_fold_status {
    TIDE_WINDOW_FOLD_NO_MEMORY = -1,
    TIDE_WINDOW_FOLD_OTHER = 0, /* some value is no number: the caller has to do it another way */
    TIDE_WINDOW_FOLD_DONE = 1,
    TIDE_WINDOW_FOLD_RANGE = 2,       /* keys are at hand */
    TIDE_WINDOW_FOLD_OUT_OF_ORDER = 3 /* `adds` only: open it anew with `order` */
};

/* A key of the range. */
struct tide_window_fold_key {
    uint64_t hash;
    const uint8_t *key; /* packed */
    uint32_t size;
};

/* What a fold has of a range. Arrays of numbers, not of structs: that is what LuaJIT reads without making an object for each. */
struct tide_window_fold {
    /* by key; `places` are 2 * key for what leaves, 2 * key + 1 for what enters */
    double *values;   /* by place */
    uint32_t *counts; /* by place: values there have been */
    double *x, *n;    /* in the state */
    uint32_t *there;  /* 1: in the state; when it is written: 1: it will be */
    /* meetings: values that are not the first at their place, in the order in which they come */
    uint32_t *met;     /* the place */
    double *newcomers; /* the value */
    uint32_t count;    /* keys */
    uint32_t meetings;
    struct tide_window_fold_key *keys;
    uint32_t at; /* Lua only: the key that is being worked on, for messages */
};

/* DONE, OTHER or NO_MEMORY; *fold is there in the first case only. Sides may be NULL. Without `adds`, all that could stop the
 * fold later is looked for first (so that no function of a script is called twice), and sides are ordered if need be; with it only
 * where `order` says so. */
int tide_window_fold_open(struct tide_window_fold **fold, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool adds,
                          bool order);
/* RANGE, DONE at the end, or what has gone wrong. */
int tide_window_fold_read(struct tide_window_fold *fold);
/* The packed key. */
const uint8_t *tide_window_fold_key(const struct tide_window_fold *fold, uint32_t index);
/* The keys of the range: `states`: (key, [n, x]) of those that are `there`; else of all (key, what enters). false: no memory. */
bool tide_window_fold_write(struct tide_window_fold *fold, bool states);
/* Appends what was written to `out` and deletes the fold. */
void tide_window_fold_finish(struct tide_window_fold *fold, struct tide_blocks *out);
void tide_window_fold_delete(struct tide_window_fold *fold);

/* ---- kernel/window_sum.h --------------------------------------------------------------------------------------- */

/* One pair for each key of `in`: its values added, in the order in which they come. */
int tide_window_sum_merge(const struct tide_blocks *in, struct tide_blocks *out);

/* An inverse window: `state` holds (key, [n, x]) (state_delta.h), n the number of partial results of the key that are in the window
 * and x their sum. Those in `leaving` are taken away, those in `entering` added. With `asks`, keys that have none left are not
 * put but left open: delta->open, to be put by the caller or not. The delta is a new one; tide_state_delta_finish comes afterwards. */
int tide_window_sum_slide(struct tide_state_delta *delta, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool asks,
                          struct tide_blocks *out);

/* Whether so little changes that the state is copied past the changes (state_delta.h) rather than folded with them. */
bool tide_window_sum_rare(const struct tide_blocks *state, const struct tide_blocks *leaving,
                          const struct tide_blocks *entering);

/* ---- kernel/scan.h --------------------------------------------------------------------------------------------- */

struct tide_span {
    uint32_t start; /* of the run */
    uint32_t stop;  /* after it */
};

/* The first run of bytes with class[byte] != 0 at or after `from`. Returns 0 when there is none. Pure. */
int tide_scan_run(const uint8_t *class_of, const char *text, uint32_t size, uint32_t from, struct tide_span *span);

#endif
