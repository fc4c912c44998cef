/*
 * What Lua sees of state/ through FFI, declared once: the modules' headers include it, and host/embed.lua makes
 * the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only: LuaJIT has no preprocessor.
 */
#ifndef TIDE_STATE_FFI_H
#define TIDE_STATE_FFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ffi.h"
#include "store/ffi.h"

/* ---- state/state_store.h -------------------------------------------------------------------------------------- */

struct tide_state_store;
struct tide_state_pin;

enum tide_state_kind { TIDE_STATE_ABSENT = 0, TIDE_STATE_NUMBER = 1, TIDE_STATE_PACKED = 2 };

/* The value of a key. */
struct tide_state_found {
    const uint8_t *value; /* PACKED: good until the next change of the store */
    double number;        /* NUMBER */
    double stamp;
    uint32_t value_size;
    uint32_t kind;
};

enum tide_state_change_kind {
    TIDE_STATE_PUT = 0,   /* the key has this value and this stamp */
    TIDE_STATE_STAMP = 1, /* the key has this stamp, if there is one */
    TIDE_STATE_REMOVE = 2 /* there is no such key */
};

struct tide_state_change {
    const uint8_t *key;   /* packed */
    const uint8_t *value; /* packed; NULL: `number` */
    double number;
    double stamp;  /* a whole number from 0 to 2^48 - 1 */
    uint64_t hash; /* set by the call */
    uint32_t key_size;
    uint32_t value_size;
    uint32_t kind; /* enum tide_state_change_kind */
};

/* For key groups first … first + groups - 1. NULL: no memory. The owner's reference. */
struct tide_state_store *tide_state_store_new(uint32_t first, uint32_t groups);
void tide_state_store_release(struct tide_state_store *store); /* NULL is fine */

double tide_state_store_rows(const struct tide_state_store *store);
/* Bytes of memory. */
double tide_state_store_bytes(const struct tide_state_store *store);
/* Of the last commit; -1: there was none. */
double tide_state_store_version(const struct tide_state_store *store);

void tide_state_store_begin(struct tide_state_store *store, double version);
void tide_state_store_commit(struct tide_state_store *store);
void tide_state_store_rollback(struct tide_state_store *store);

/* Looks up the keys of `changes`, whose other fields are not read; found[i] is set for each. */
void tide_state_store_find(const struct tide_state_store *store, struct tide_state_change *changes, uint32_t count,
                           struct tide_state_found *found);
/* Makes the changes, in order. Keys of key groups that the store does not own are passed over. */
bool tide_state_store_apply(struct tide_state_store *store, struct tide_state_change *changes, uint32_t count);
/* Removes the keys whose stamp is below the limit; appends (key, value) for each to `out`. */
bool tide_state_store_expire(struct tide_state_store *store, double limit, struct tide_blocks *out);

/* Appends (key, [stamp, value]) for each key of a key group, in the order of buckets. */
bool tide_state_store_read(const struct tide_state_store *store, uint32_t group, struct tide_blocks *out);
/* The same for what the batch has changed, which is open or the last one: keys that are gone as (key, nil). Each key
 * once. */
bool tide_state_store_delta(const struct tide_state_store *store, struct tide_blocks *out);
/* Puts (key, [stamp, value]), and removes (key, nil), between batches; arrays of one and of three values are passed
 * over: they are results of mapWithState. `stamp` not negative: the records are (key,
 * value), all with this stamp. The last record of a key counts. All or nothing: TIDE_OK, TIDE_ENOMEM, TIDE_EINVAL. */
int tide_state_store_load(struct tide_state_store *store, const struct tide_blocks *records, double stamp,
                          struct tide_error *err);
/* Removes key groups, between batches: they have moved to another store. No pins may be held. */
void tide_state_store_drop(struct tide_state_store *store, uint32_t first, uint32_t groups);

/* The version of the last commit, between batches. NULL: no memory. */
struct tide_state_pin *tide_state_store_pin(struct tide_state_store *store);
struct tide_state_pin *tide_state_pin_retain(struct tide_state_pin *pin);
void tide_state_pin_release(struct tide_state_pin *pin); /* NULL is fine */
double tide_state_pin_rows(const struct tide_state_pin *pin);
double tide_state_pin_version(const struct tide_state_pin *pin);
/* As tide_state_store_read. */
bool tide_state_pin_read(const struct tide_state_pin *pin, uint32_t group, struct tide_blocks *out);
/* Appends (key, value) for each key of all key groups. */
bool tide_state_pin_values(const struct tide_state_pin *pin, struct tide_blocks *out);

/* ---- state/handover.h ------------------------------------------------------------------------------------------ */

/* Appends a block, which holds no state and one record (nil, nil), to which the pin is attached: it is released with
 * the block. */
bool tide_handover_pack(struct tide_state_pin *take, struct tide_blocks *out);
/* The pin that is attached to a block of the list, borrowed; NULL: there is none. */
struct tide_state_pin *tide_handover_pin(const struct tide_blocks *blocks);
/* A store that holds this version, for the caller alone until tide_handover_end: the pin's own store if nobody has it
 * and nothing was committed since, else a copy. NULL: no memory. */
struct tide_state_store *tide_handover_begin(const struct tide_state_pin *pin);
/* Others may have the store, a new one too. NULL is fine. */
void tide_handover_end(struct tide_state_store *take);

#endif
