/*
 * Pages under change (see reshape.h). Called by the store's owner.
 */
#include "state/reshape.h"

#include "base/alloc.h"
#include "base/array.h"
#include "state/pin.h"

/* Of 100 bytes of memory so many are to be in use, and so many chunks are walked for that in a commit. While there
 * are pins less is to be had: what they read can't be moved. */
enum { FULL = 75, FULL_PINNED = 50, WALKED = 32, WALKED_PINNED = 8 };

/* ---- Pages in their places ------------------------------------------------------------------------------------ */

static bool is_pinned(const struct tide_state_store *store, const struct tide_buckets *buckets, uint32_t bucket) {
    return store->pinned > 0 && tide_body_is_pinned(store, *tide_buckets_born(buckets, bucket));
}

/* Whether the bucket's page can be replaced: a node is there for it if it is pinned. */
static bool ready(struct tide_state_store *store, uint32_t pages) {
    return store->pinned == 0 || tide_old_ready(&store->olds, pages);
}

void tide_reshape_publish(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t bucket,
                          struct tide_page *page) {
    struct tide_page **place = tide_buckets_page(buckets, bucket), *before = *place;
    bool pinned = is_pinned(store, buckets, bucket);
    uint64_t born = *tide_buckets_born(buckets, bucket);
    struct tide_old *old = NULL;

    if (pinned && before) old = tide_pin_bury(store, &before->item, born, before->group, bucket);
    tide_body_lock(store);
    *place = page;
    if (pinned) *tide_buckets_born(buckets, bucket) = store->epoch;
    if (old) {
        old->prev = *tide_buckets_chain(buckets, bucket);
        *tide_buckets_chain(buckets, bucket) = old;
    }
    tide_body_unlock(store);
    *tide_buckets_oldest(buckets, bucket) = page ? page->oldest : INT64_MAX;
    if (page && page->oldest < buckets->oldest) buckets->oldest = page->oldest;
    if (before && !old) tide_arena_free(&store->arena, &before->item);
}

struct tide_page *tide_reshape_fresh(struct tide_state_store *store, uint32_t slots, uint64_t row_bytes,
                                     uint32_t group, uint32_t bucket) {
    struct tide_arena_item *item =
        tide_arena_alloc(&store->arena, tide_page_bytes(slots, row_bytes), TIDE_ARENA_PAGE);

    return item ? tide_page_create(item, slots, group, bucket) : NULL;
}

/* A little more than is needed now, if rows are added; for many of them a quarter, so that each is copied seldom. */
static void add_slack(uint32_t *rows, uint64_t *row_bytes) {
    uint32_t slack = 1 + *rows / (*rows < 64 ? 16 : 4);

    *row_bytes += *row_bytes / *rows * slack;
    *rows += slack;
}

/* What the batch has taken out of the page may have to go back. */
static void keep_room(const struct tide_page *page, uint32_t *rows, uint64_t *row_bytes) {
    uint64_t room = tide_arena_size(&page->item) - tide_page_start(page);

    if (*rows < page->slots) *rows = page->slots;
    if (*row_bytes < room) *row_bytes = room;
}

struct tide_page *tide_reshape_writable(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t group,
                                        uint32_t bucket, uint32_t slots, uint32_t bytes) {
    struct tide_page *page = *tide_buckets_page(buckets, bucket), *copy;
    bool room = page && tide_page_has_room(page, slots, bytes);

    if (room && !is_pinned(store, buckets, bucket)) return page;

    uint32_t rows = (page ? page->rows : 0) + slots;
    uint64_t row_bytes = (uint64_t)(page ? page->row_bytes : 0) + bytes;

    if (!room && slots > 0) add_slack(&rows, &row_bytes);
    if (page && store->shrunk) keep_room(page, &rows, &row_bytes);
    if (!ready(store, 1) || !(copy = tide_reshape_fresh(store, rows, row_bytes, group, bucket))) return NULL;
    if (page) tide_page_add_all(copy, page);
    tide_reshape_publish(store, buckets, bucket, copy);
    return copy;
}

/* ---- Splits --------------------------------------------------------------------------------------------------- */

/* What goes to which side. */
struct halves {
    uint32_t rows[2];
    uint64_t bytes[2];
    struct tide_page *page[2];
};

static uint64_t row_hash(const uint8_t *row) {
    uint32_t size;
    const uint8_t *key = tide_row_key(row, &size);

    return tide_hash_packed(key, size);
}

/* Notes for each row of the page which of the two buckets it belongs to. false: no memory. */
static bool divide(struct tide_state_store *store, const struct tide_page *page, uint32_t last,
                   struct halves *halves) {
    if (!TIDE_ARRAY_RESERVE_TRY(store->scratch, store->scratch_capacity, page->rows)) return false;
    for (uint32_t i = 0; i < page->rows; i++) {
        const uint8_t *row = tide_page_row(page, i);
        bool side = tide_buckets_of(last + 1, row_hash(row)) == last;

        store->scratch[i] = side;
        halves->rows[side]++;
        halves->bytes[side] += tide_row_size(row);
    }
    return true;
}

static bool make_halves(struct tide_state_store *store, uint32_t group, const uint32_t bucket[2],
                        struct halves *halves) {
    for (int side = 0; side < 2; side++) {
        if (halves->rows[side] == 0) continue;
        halves->page[side] = tide_reshape_fresh(store, halves->rows[side], halves->bytes[side], group, bucket[side]);
        if (halves->page[side]) continue;
        if (side == 1 && halves->page[0]) tide_arena_free(&store->arena, &halves->page[0]->item);
        return false;
    }
    return true;
}

/* The buckets below `last` make bucket `last`. false: no memory. */
static bool split(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t group) {
    uint32_t last = buckets->count, bucket[2] = {tide_buckets_partner(last), last};
    struct tide_page *page = *tide_buckets_page(buckets, bucket[0]);
    struct halves halves = {.rows = {0}};

    tide_body_lock(store);
    bool prepared = tide_buckets_prepare(buckets, last);
    tide_body_unlock(store);
    if (!prepared || !ready(store, 1)) return false;
    if (page && (!divide(store, page, last, &halves) || !make_halves(store, group, bucket, &halves))) return false;
    for (uint32_t i = 0; page && i < page->rows; i++)
        tide_page_add(halves.page[store->scratch[i]], tide_page_tags(page)[i], tide_page_row(page, i));
    tide_body_lock(store);
    tide_buckets_open(buckets, last);
    buckets->count = last + 1;
    tide_body_unlock(store);
    if (!page) return true;
    tide_reshape_publish(store, buckets, bucket[1], halves.page[1]);
    tide_reshape_publish(store, buckets, bucket[0], halves.page[0]);
    return true;
}

void tide_reshape_grow(struct tide_state_store *store, uint32_t group) {
    struct tide_buckets *buckets = store->group[group];

    while (buckets->rows > (uint64_t)buckets->count * TIDE_BUCKETS_ROWS)
        if (!split(store, buckets, group)) return;
}

/* ---- Merges --------------------------------------------------------------------------------------------------- */

static bool merge(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t group) {
    uint32_t last = buckets->count - 1, into = tide_buckets_partner(last);
    struct tide_page *a = *tide_buckets_page(buckets, into), *b = *tide_buckets_page(buckets, last), *both = NULL;

    if (!ready(store, 2)) return false;
    if (b && b->rows > 0) {
        both = tide_reshape_fresh(store, (a ? a->rows : 0) + b->rows, (uint64_t)(a ? a->row_bytes : 0) + b->row_bytes,
                                  group, into);
        if (!both) return false;
        if (a) tide_page_add_all(both, a);
        tide_page_add_all(both, b);
        tide_reshape_publish(store, buckets, into, both);
    }
    tide_reshape_publish(store, buckets, last, NULL);
    tide_body_lock(store);
    buckets->count = last;
    tide_body_unlock(store);
    return true;
}

static void shrink(struct tide_state_store *store, uint32_t group) {
    struct tide_buckets *buckets = store->group[group];
    bool merged = false;

    while (buckets->count > 1 && buckets->rows < (uint64_t)(buckets->count - 1) * TIDE_BUCKETS_ROWS / 4 * 3) {
        if (!merge(store, buckets, group)) return;
        merged = true;
    }
    if (merged && store->npins == 0 && store->olds.live == 0) tide_buckets_trim(buckets);
}

/* ---- Whole key groups ----------------------------------------------------------------------------------------- */

static void count_buckets(struct tide_state_store *store, struct tide_buckets *buckets, uint32_t count) {
    tide_body_lock(store);
    tide_buckets_open(buckets, count - 1);
    buckets->count = count;
    tide_body_unlock(store);
}

bool tide_reshape_open(struct tide_state_store *store, uint32_t group, uint32_t count) {
    struct tide_buckets *buckets = store->group[group];

    if (!buckets && !(buckets = store->group[group] = tide_buckets_new())) return false;
    if (!tide_reshape_clear(store, group)) return false;
    tide_body_lock(store);
    bool prepared = tide_buckets_prepare(buckets, count - 1);
    tide_body_unlock(store);
    if (prepared) count_buckets(store, buckets, count);
    return prepared;
}

static void free_blobs(struct tide_state_store *store, const struct tide_page *page) {
    for (uint32_t i = 0; i < page->rows; i++) {
        const uint8_t *row = tide_page_row(page, i);

        if (tide_row_kind(row) >= TIDE_ROW_BLOB) tide_arena_free(&store->arena, &tide_row_blob(row)->item);
    }
}

bool tide_reshape_clear(struct tide_state_store *store, uint32_t group) {
    struct tide_buckets *buckets = store->group[group];

    if (!buckets) return true;
    for (uint32_t b = 0; b < buckets->count; b++) {
        struct tide_page *page = *tide_buckets_page(buckets, b);

        if (!page) continue;
        if (is_pinned(store, buckets, b) && !ready(store, 1)) return false;
        free_blobs(store, page);
        tide_reshape_publish(store, buckets, b, NULL);
    }
    store->rows -= buckets->rows;
    buckets->rows = 0;
    buckets->oldest = INT64_MAX;
    count_buckets(store, buckets, 1);
    return true;
}

/* ---- Moves ---------------------------------------------------------------------------------------------------- */

static void move_page(struct tide_state_store *store, struct tide_page *page) {
    struct tide_buckets *buckets = store->group[page->group];
    struct tide_page *copy;

    if (is_pinned(store, buckets, page->bucket)) return;
    if (page->rows == 0) {
        tide_reshape_publish(store, buckets, page->bucket, NULL);
        return;
    }
    copy = tide_reshape_fresh(store, page->rows, page->row_bytes, page->group, page->bucket);
    if (!copy) return;
    tide_page_add_all(copy, page);
    tide_reshape_publish(store, buckets, page->bucket, copy);
}

/* The row that refers to the blob; NULL: none that may be changed. */
static uint8_t *row_of(const struct tide_state_store *store, const struct tide_blob *blob) {
    struct tide_buckets *buckets = tide_body_buckets(store, blob->hash);
    uint32_t bucket = tide_buckets_of(buckets->count, blob->hash);
    struct tide_page *page = *tide_buckets_page(buckets, bucket);

    for (uint32_t i = 0; page && !is_pinned(store, buckets, bucket) && i < page->rows; i++) {
        uint8_t *row = tide_page_row(page, i);

        if (tide_row_kind(row) >= TIDE_ROW_BLOB && tide_row_blob(row) == blob) return row;
    }
    return NULL;
}

static void move_blob(struct tide_state_store *store, struct tide_blob *blob) {
    uint8_t *row = row_of(store, blob);
    struct tide_blob *copy;

    if (!row || (store->pinned > 0 && tide_body_is_pinned(store, blob->born))) return;
    copy = (struct tide_blob *)tide_arena_alloc(&store->arena, tide_arena_size(&blob->item), TIDE_ARENA_BLOB);
    if (!copy) return;
    memcpy(&copy->born, &blob->born, tide_arena_size(&blob->item) - sizeof blob->item);
    memcpy(row + TIDE_ROW_HEAD, &copy, sizeof copy);
    tide_arena_free(&store->arena, &blob->item);
}

static void move(void *arg, struct tide_arena_item *item) {
    if (tide_arena_kind(item) == TIDE_ARENA_PAGE) move_page(arg, (struct tide_page *)item);
    if (tide_arena_kind(item) == TIDE_ARENA_BLOB) move_blob(arg, (struct tide_blob *)item);
}

static void evacuate(struct tide_state_store *store) {
    bool pinned = store->npins > 0;
    uint32_t left = pinned ? WALKED_PINNED : WALKED, full = pinned ? FULL_PINNED : FULL, chunk;

    for (; left > 0 && (chunk = tide_arena_sparse(&store->arena, full)) != TIDE_ARENA_NONE; left--)
        tide_arena_evacuate(&store->arena, chunk, move, store);
}

void tide_reshape_settle(struct tide_state_store *store) {
    for (uint32_t g = store->first; g < store->first + store->groups; g++) {
        if (!store->group[g]) continue;
        tide_reshape_grow(store, g);
        shrink(store, g);
    }
    evacuate(store);
}
