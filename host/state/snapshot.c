/*
 * What leaves a store: key groups of the current state or of a pinned version, the delta of a batch, timeouts (see
 * state_store.h). Pinned versions are read on any thread.
 */
#include "base/alloc.h"
#include "state/pin.h"
#include "state/pipeline.h"
#include "state/record_list.h"
#include "state/rows.h"
#include "state/state_store.h"
#include "wire/key.h"

/* ---- Key groups ----------------------------------------------------------------------------------------------- */

bool tide_state_store_read(const struct tide_state_store *store, uint32_t group, struct tide_blocks *out) {
    const struct tide_buckets *buckets = store->group[group];
    struct tide_record_list list = {.out = out};
    bool done = true;

    for (uint32_t b = 0; done && buckets && b < buckets->count; b++) {
        const struct tide_page *page = *tide_buckets_page(buckets, b);

        done = !page || tide_record_list_page(&list, page);
    }
    tide_record_list_finish(&list);
    return done;
}

enum { PAGES = 64 }; /* looked up at a time: the owner waits no longer than that */

static uint32_t pages_of(const struct tide_state_pin *pin, uint32_t group, uint32_t from,
                         const struct tide_page *pages[PAGES]) {
    uint32_t count = 0;

    pthread_mutex_lock(&pin->store->lock);
    for (; count < PAGES && from + count < pin->count[group]; count++)
        pages[count] = tide_pin_page(pin, group, from + count);
    pthread_mutex_unlock(&pin->store->lock);
    return count;
}

/* `put` appends a page. */
static bool read_pinned(const struct tide_state_pin *pin, uint32_t group, struct tide_record_list *list,
                        bool (*put)(struct tide_record_list *list, const struct tide_page *page)) {
    const struct tide_page *pages[PAGES];
    bool done = true;

    for (uint32_t at = 0, count; done && at < pin->count[group]; at += count) {
        count = pages_of(pin, group, at, pages);
        for (uint32_t i = 0; done && i < count; i++) done = !pages[i] || put(list, pages[i]);
    }
    return done;
}

bool tide_state_pin_read(const struct tide_state_pin *pin, uint32_t group, struct tide_blocks *out) {
    struct tide_record_list list = {.out = out};
    bool done = read_pinned(pin, group, &list, tide_record_list_page);

    tide_record_list_finish(&list);
    return done;
}

static bool put_values(struct tide_record_list *list, const struct tide_page *page) {
    for (uint32_t i = 0; i < page->rows; i++)
        if (!tide_record_list_value(list, tide_page_row(page, i))) return false;
    return true;
}

bool tide_state_pin_values(const struct tide_state_pin *pin, struct tide_blocks *out) {
    struct tide_record_list list = {.out = out};
    bool done = true;

    for (uint32_t g = 0; done && g < TIDE_KEY_GROUPS; g++) done = read_pinned(pin, g, &list, put_values);
    tide_record_list_finish(&list);
    return done;
}

/* ---- Deltas --------------------------------------------------------------------------------------------------- */

/* The undo records that were seen, by hash: where each begins, plus one. */
struct seen {
    const struct tide_undo *undo;
    uint64_t *slots;
    uint64_t mask;
};

static bool seen_create(struct seen *seen, const struct tide_undo *undo) {
    uint64_t slots = 16;

    while (slots < (uint64_t)undo->count * 2) slots *= 2;
    *seen = (struct seen){.undo = undo, .slots = tide_alloc_try(slots * sizeof *seen->slots), .mask = slots - 1};
    if (!seen->slots) return false;
    memset(seen->slots, 0, slots * sizeof *seen->slots);
    return true;
}

static bool is_same(const struct tide_undo_record *a, const struct tide_undo_record *b) {
    return a->hash == b->hash && tide_key_same(tide_undo_key(a), a->key_size, tide_undo_key(b), b->key_size);
}

/* Whether the record is the first one of its key. */
static bool is_first(struct seen *seen, uint64_t at) {
    const struct tide_undo_record *record = tide_undo_at(seen->undo, at);
    uint64_t slot = record->hash & seen->mask;

    for (; seen->slots[slot] > 0; slot = (slot + 1) & seen->mask)
        if (is_same(tide_undo_at(seen->undo, seen->slots[slot] - 1), record)) return false;
    seen->slots[slot] = at + 1;
    return true;
}

static bool put_change(const struct tide_state_store *store, struct tide_record_list *list,
                       const struct tide_undo_record *record) {
    const uint8_t *row = tide_rows_at(store, record->hash, tide_undo_key(record), record->key_size);

    if (row) return tide_record_list_row(list, row);
    return tide_record_list_gone(list, tide_undo_key(record), record->key_size);
}

/* Fetches the page of a record's key. Returns the next record. */
static uint64_t fetch(const struct tide_state_store *store, uint64_t at) {
    const struct tide_undo_record *record = tide_undo_at(&store->undo, at);

    tide_pipeline_fetch_page(store, record->hash);
    return at + tide_undo_size(record);
}

bool tide_state_store_delta(const struct tide_state_store *store, struct tide_blocks *out) {
    struct tide_record_list list = {.out = out};
    struct seen seen;
    bool done = true;
    uint64_t at = 0, ahead = 0;

    if (!seen_create(&seen, &store->undo)) return false;
    for (uint32_t i = 0; i < TIDE_PIPELINE_PAGE && i < store->undo.count; i++) ahead = fetch(store, ahead);
    for (uint32_t i = 0; done && i < store->undo.count; i++) {
        if (store->undo.count - i > TIDE_PIPELINE_PAGE) ahead = fetch(store, ahead);
        if (is_first(&seen, at)) done = put_change(store, &list, tide_undo_at(&store->undo, at));
        at += tide_undo_size(tide_undo_at(&store->undo, at));
    }
    tide_record_list_finish(&list);
    tide_free(seen.slots);
    return done;
}

/* ---- Timeouts ------------------------------------------------------------------------------------------------- */

static bool put_due(void *arg, const uint8_t *row) { return tide_record_list_value(arg, row); }

static bool expire_group(struct tide_state_store *store, uint32_t group, int64_t limit,
                         struct tide_record_list *list) {
    struct tide_buckets *buckets = store->group[group];
    int64_t oldest = INT64_MAX;

    for (uint32_t b = 0; b < buckets->count; b++) {
        const int64_t *bound = tide_buckets_oldest(buckets, b);

        if (*bound < limit && !tide_rows_expire(store, group, b, limit, put_due, list)) return false;
        if (*bound < oldest) oldest = *bound;
    }
    buckets->oldest = oldest;
    return true;
}

/* The first whole number that is not below. */
static int64_t whole(double limit) {
    if (!(limit > 0)) return 0;
    if (limit >= 281474976710656.0) return INT64_C(1) << 48;

    int64_t below = (int64_t)limit;

    return (double)below < limit ? below + 1 : below;
}

bool tide_state_store_expire(struct tide_state_store *store, double limit, struct tide_blocks *out) {
    struct tide_record_list list = {.out = out};
    bool done = true;

    for (uint32_t g = store->first; done && g < store->first + store->groups; g++)
        if (store->group[g] && store->group[g]->oldest < whole(limit))
            done = expire_group(store, g, whole(limit), &list);
    tide_record_list_finish(&list);
    return done;
}
