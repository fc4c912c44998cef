/*
 * Batches on a state store: look-ups, changes, commit and rollback (see state_store.h). Runs on the thread that owns
 * the store; references are released on any.
 */
#include "state/state_store.h"

#include "base/alloc.h"
#include "state/pin.h"
#include "state/pipeline.h"
#include "state/reshape.h"
#include "state/rows.h"

enum { SWEPT = 20000 }; /* most pages and blobs freed in a begin or commit, so that a batch does not wait long */

/* ---- Life ----------------------------------------------------------------------------------------------------- */

struct tide_state_store *tide_state_store_new(uint32_t first, uint32_t groups) {
    struct tide_state_store *store = tide_alloc_try(sizeof *store);

    if (!store) return NULL;
    *store = (struct tide_state_store){
        .refs = 1, .first = first, .groups = groups, .epoch = 1, .version = -1, .claimed = 1};
    tide_arena_create(&store->arena);
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

static void delete (struct tide_state_store *store) {
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++) tide_buckets_delete(store->group[g]);
    for (uint32_t i = 0; i < store->npins; i++) tide_free(store->pins[i]);
    tide_free(store->pins);
    tide_free(store->scratch);
    tide_old_destroy(&store->olds);
    tide_undo_destroy(&store->undo);
    tide_arena_destroy(&store->arena);
    pthread_mutex_destroy(&store->lock);
    tide_free(store);
}

void tide_state_store_release(struct tide_state_store *store) {
    if (store && __atomic_sub_fetch(&store->refs, 1, __ATOMIC_ACQ_REL) == 0) delete (store);
}

double tide_state_store_rows(const struct tide_state_store *store) { return (double)store->rows; }

double tide_state_store_version(const struct tide_state_store *store) { return store->version; }

double tide_state_store_bytes(const struct tide_state_store *store) {
    uint64_t bytes = sizeof *store + tide_arena_bytes(&store->arena) + tide_old_bytes(&store->olds) +
                     store->undo.bytes.capacity + store->scratch_capacity +
                     store->pins_capacity * sizeof *store->pins + store->npins * sizeof **store->pins;

    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++)
        if (store->group[g]) bytes += tide_buckets_bytes(store->group[g]);
    return (double)bytes;
}

/* ---- Pins ----------------------------------------------------------------------------------------------------- */

struct tide_state_pin *tide_state_store_pin(struct tide_state_store *store) {
    struct tide_state_pin *pin = tide_pin_new(store);

    if (pin) __atomic_fetch_add(&store->refs, 1, __ATOMIC_RELAXED);
    return pin;
}

struct tide_state_pin *tide_state_pin_retain(struct tide_state_pin *pin) {
    __atomic_fetch_add(&pin->refs, 1, __ATOMIC_RELAXED);
    return pin;
}

void tide_state_pin_release(struct tide_state_pin *pin) {
    if (!pin) return;

    struct tide_state_store *store = pin->store; /* the owner may free the pin as soon as nobody holds it */

    if (__atomic_sub_fetch(&pin->refs, 1, __ATOMIC_ACQ_REL) == 0) tide_state_store_release(store);
}

double tide_state_pin_rows(const struct tide_state_pin *pin) { return (double)pin->rows; }

double tide_state_pin_version(const struct tide_state_pin *pin) { return pin->version; }

/* ---- Batches -------------------------------------------------------------------------------------------------- */

void tide_state_store_begin(struct tide_state_store *store, double version) {
    tide_pin_sweep(store, SWEPT);
    tide_undo_clear(&store->undo);
    store->batch = version;
    store->open = true;
    store->shrunk = false;
}

/* Old values that the batch has replaced. */
static void retire_blobs(struct tide_state_store *store) {
    uint64_t at = 0;

    for (uint32_t i = 0; i < store->undo.count; i++) {
        const struct tide_undo_record *record = tide_undo_at(&store->undo, at);
        struct tide_blob *blob = tide_undo_blob(record);

        at += tide_undo_size(record);
        if (!blob) continue;
        if (store->pinned > 0 && tide_body_is_pinned(store, blob->born))
            tide_pin_bury(store, &blob->item, blob->born, 0, TIDE_OLD_NO_BUCKET);
        else tide_arena_free(&store->arena, &blob->item);
    }
    store->olds.reserved = 0;
}

void tide_state_store_commit(struct tide_state_store *store) {
    if (store->undo.count > 0) {
        retire_blobs(store);
        store->changed = store->epoch;
    }
    store->open = false;
    store->version = store->batch;
    tide_pin_sweep(store, SWEPT);
    tide_reshape_settle(store);
}

/* Fetches what the record's key needs and returns the record before. */
static uint64_t fetch(const struct tide_state_store *store, uint64_t at, bool row) {
    const struct tide_undo_record *record = tide_undo_at(&store->undo, at);

    if (row) tide_pipeline_fetch_row(store, record->hash);
    else tide_pipeline_fetch_page(store, record->hash);
    return record->before;
}

void tide_state_store_rollback(struct tide_state_store *store) {
    uint64_t at = store->undo.last, page = at, row = at;
    uint32_t count = store->undo.count;

    for (uint32_t i = 0; i < count + TIDE_PIPELINE_PAGE; i++) {
        if (i < count) page = fetch(store, page, false);
        if (i >= TIDE_PIPELINE_ROW && i - TIDE_PIPELINE_ROW < count) row = fetch(store, row, true);
        if (i < TIDE_PIPELINE_PAGE) continue;

        const struct tide_undo_record *record = tide_undo_at(&store->undo, at);

        tide_rows_restore(store, record);
        at = record->before;
    }
    store->olds.reserved = 0;
    tide_undo_clear(&store->undo);
    store->open = false;
}

/* ---- Look-ups and changes ------------------------------------------------------------------------------------- */

struct lookup {
    const struct tide_state_store *store;
    struct tide_state_found *found;
};

static bool find(void *arg, const struct tide_state_change *change, uint32_t index) {
    struct lookup *lookup = arg;

    tide_rows_find(lookup->store, change->hash, change->key, change->key_size, &lookup->found[index]);
    return true;
}

void tide_state_store_find(const struct tide_state_store *store, struct tide_state_change *changes, uint32_t count,
                           struct tide_state_found *found) {
    struct lookup lookup = {store, found};

    tide_pipeline_run(store, changes, count, find, &lookup);
}

static bool apply(void *arg, const struct tide_state_change *change, uint32_t index) {
    struct tide_state_store *store = arg;

    if (tide_key_group(change->hash) - store->first >= store->groups) return true;
    switch ((enum tide_state_change_kind)change->kind) {
    case TIDE_STATE_PUT: return tide_rows_put(store, change);
    case TIDE_STATE_STAMP: return tide_rows_stamp(store, change);
    default: return tide_rows_remove(store, change->hash, change->key, change->key_size);
    }
}

bool tide_state_store_apply(struct tide_state_store *store, struct tide_state_change *changes, uint32_t count) {
    return tide_pipeline_run(store, changes, count, apply, store);
}
