/*
 * What enters a store from outside: records of other stores, of snapshots, initial states (see state_store.h). Key
 * groups without rows are built at once: records are sorted by bucket, each page is made with its exact size. Others
 * are changed row by row. Runs on the thread that owns the store.
 */
#include <inttypes.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/error.h"
#include "state/pin.h"
#include "state/reshape.h"
#include "state/rows.h"
#include "state/state_store.h"
#include "wire/key.h"
#include "wire/unpack.h"

enum { PAIR = 0x92, NIL = 0xc0 };
enum { MANY = 256 }; /* records of a bucket: mostly of one key */

static const double STAMP_END = 281474976710656.0; /* 2^48 */

/* The records that are read, and in which order. */
struct load {
    struct tide_state_store *store;
    struct tide_state_change *changes;
    uint32_t *order; /* by key group, then by bucket */
    uint32_t count, capacity;
    uint32_t start[TIDE_KEY_GROUPS + 1]; /* of each key group in `order` */
    bool built[TIDE_KEY_GROUPS];         /* by this load */
};

static void load_destroy(struct load *load) {
    tide_free(load->changes);
    tide_free(load->order);
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

/* What lies beside states in a dataset (kernel/state_rows.h): (nil, [x]), (key, [x, nil, nil]). */
static bool is_result(const uint8_t *value) { return *value == 0x91 || *value == 0x93; }

/* (key, [stamp, value]) or (key, nil). false: it is neither. */
static bool read_stamped(struct tide_state_change *change, const uint8_t *value, const uint8_t *end) {
    if (*value == NIL) {
        change->kind = TIDE_STATE_REMOVE;
        return true;
    }
    if (*value != PAIR) return false;

    struct tide_value stamp = tide_unpack_value(value + 1, end);

    if (stamp.type != TIDE_VALUE_NUMBER || !(stamp.number >= 0) || stamp.number >= STAMP_END) return false;
    change->stamp = stamp.number;
    change->value = stamp.next;
    change->value_size = (uint32_t)(end - stamp.next);
    return true;
}

static int read_record(struct load *load, const uint8_t *key, const uint8_t *value, const uint8_t *end, double stamp,
                       struct tide_error *err) {
    struct tide_state_change change = {.key = key, .stamp = stamp, .key_size = (uint32_t)(value - key)};

    if (stamp >= 0) {
        change.value = value;
        change.value_size = (uint32_t)(end - value);
    } else if (is_result(value)) {
        return TIDE_OK;
    } else if (!read_stamped(&change, value, end)) {
        return tide_error_set(err, TIDE_EINVAL, "a record of a keyed state has no [stamp, value]: it is damaged");
    }
    change.hash = tide_hash_packed(key, change.key_size);
    if (tide_key_group(change.hash) - load->store->first >= load->store->groups) return TIDE_OK;
    if (load->count == UINT32_MAX || !TIDE_ARRAY_RESERVE_TRY(load->changes, load->capacity, load->count + 1))
        return tide_error_set(err, TIDE_ENOMEM, "no memory for the records of a keyed state");
    load->changes[load->count++] = change;
    return TIDE_OK;
}

static int read_records(struct load *load, const struct tide_blocks *records, double stamp, struct tide_error *err) {
    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end), *next = tide_unpack_skip(value, end);
            int code = read_record(load, at, value, next, stamp, err);

            if (code != TIDE_OK) return code;
            at = next;
        }
    }
    return TIDE_OK;
}

/* Sorts by key group, keeping the order of records within each. false: no memory. */
static bool sort_by_group(struct load *load) {
    uint32_t at[TIDE_KEY_GROUPS];

    if (!(load->order = tide_alloc_try((size_t)load->count * sizeof *load->order))) return false;
    for (uint32_t i = 0; i < load->count; i++) load->start[tide_key_group(load->changes[i].hash) + 1]++;
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++) {
        load->start[g + 1] += load->start[g];
        at[g] = load->start[g];
    }
    for (uint32_t i = 0; i < load->count; i++) load->order[at[tide_key_group(load->changes[i].hash)]++] = i;
    return true;
}

/* ---- Building a key group ------------------------------------------------------------------------------------- */

/* The records of a key group, sorted by bucket. */
struct build {
    struct load *load;
    struct tide_buckets *buckets;
    uint32_t group;
    uint32_t *sorted;               /* of changes */
    uint32_t *ends;                 /* of each bucket in `sorted` */
    struct tide_rows_value *values; /* scratch, of a bucket */
    uint32_t values_capacity;
};

static const struct tide_state_change *change_at(const struct build *build, uint32_t at) {
    return &build->load->changes[build->sorted[at]];
}

static bool sort_by_bucket(struct build *build, uint32_t count, const uint32_t *order) {
    uint32_t buckets = build->buckets->count;
    uint32_t *ends = build->ends = tide_alloc_try(((size_t)buckets + 1) * sizeof *ends);

    build->sorted = tide_alloc_try((size_t)count * sizeof *build->sorted);
    if (!ends || !build->sorted) return false;
    memset(ends, 0, ((size_t)buckets + 1) * sizeof *ends);
    for (uint32_t i = 0; i < count; i++) ends[tide_buckets_of(buckets, build->load->changes[order[i]].hash) + 1]++;
    for (uint32_t b = 0; b < buckets; b++) ends[b + 1] += ends[b];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bucket = tide_buckets_of(buckets, build->load->changes[order[i]].hash);

        build->sorted[ends[bucket]++] = order[i]; /* `ends` has starts at first */
    }
    return true;
}

/* Whether a later record of the bucket has the same key, or the key is gone. */
static bool is_superseded(const struct build *build, uint32_t at, uint32_t end) {
    const struct tide_state_change *change = change_at(build, at);

    for (uint32_t i = at + 1; i < end; i++) {
        const struct tide_state_change *later = change_at(build, i);

        if (later->hash == change->hash && tide_key_same(later->key, later->key_size, change->key, change->key_size))
            return true;
    }
    return change->kind == TIDE_STATE_REMOVE;
}

/* Drops records that do not count from the end of [from, end). Returns the new end. */
static uint32_t compact(struct build *build, uint32_t from, uint32_t end) {
    uint32_t to = from;

    for (uint32_t i = from; i < end; i++)
        if (!is_superseded(build, i, end)) build->sorted[to++] = build->sorted[i];
    return to;
}

/* The values of a bucket, blobs included, and the bytes of its rows. false: no memory; there are no blobs then. */
static bool make_values(struct build *build, uint32_t from, uint32_t end, uint64_t *row_bytes) {
    struct tide_state_store *store = build->load->store;

    if (!TIDE_ARRAY_RESERVE_TRY(build->values, build->values_capacity, end - from)) return false;
    for (uint32_t i = from; i < end; i++) {
        struct tide_rows_value *value = &build->values[i - from];

        const struct tide_state_change *change = change_at(build, i);

        if (!tide_rows_value(store, change, tide_rows_is_far(change->key_size), value)) {
            while (i-- > from) tide_rows_free_value(store, &build->values[i - from]);
            return false;
        }
        *row_bytes += tide_rows_size(value, change->key_size);
    }
    return true;
}

static bool make(struct tide_state_store *store, const struct tide_state_change *change) {
    return change->kind == TIDE_STATE_REMOVE ? tide_rows_remove(store, change->hash, change->key, change->key_size)
                                             : tide_rows_put(store, change);
}

static bool change_bucket(struct build *build, uint32_t from, uint32_t end) {
    for (uint32_t i = from; i < end; i++)
        if (!make(build->load->store, change_at(build, i))) return false;
    return true;
}

static bool build_page(struct build *build, uint32_t bucket, uint32_t from, uint32_t end) {
    struct tide_state_store *store = build->load->store;
    uint64_t row_bytes = 0;

    if (end - from > MANY) return change_bucket(build, from, end);
    end = compact(build, from, end);
    if (from == end) return true;
    if (!make_values(build, from, end, &row_bytes)) return false;

    struct tide_page *page = tide_reshape_fresh(store, end - from, row_bytes, build->group, bucket);

    for (uint32_t i = from; i < end; i++) {
        const struct tide_rows_value *value = &build->values[i - from];
        const struct tide_state_change *change = change_at(build, i);

        if (!page) {
            tide_rows_free_value(store, value);
            continue;
        }
        tide_rows_write(tide_page_append(page, tide_page_tag(change->hash), tide_rows_size(value, change->key_size)),
                        value, change);
        tide_page_note(page, (int64_t)change->stamp);
    }
    if (!page) return false;
    build->buckets->rows += page->rows;
    store->rows += page->rows;
    tide_reshape_publish(store, build->buckets, bucket, page);
    return true;
}

static bool build_pages(struct build *build, uint32_t count, const uint32_t *order) {
    uint32_t buckets = (count + TIDE_BUCKETS_ROWS - 1) / TIDE_BUCKETS_ROWS;

    if (!tide_reshape_open(build->load->store, build->group, buckets)) return false;
    build->buckets = build->load->store->group[build->group];
    if (!sort_by_bucket(build, count, order)) return false;
    for (uint32_t b = 0, from = 0; b < buckets; from = build->ends[b++])
        if (!build_page(build, b, from, build->ends[b])) return false;
    return true;
}

static bool build_group(struct load *load, uint32_t group) {
    struct build build = {.load = load, .group = group};
    bool built;

    load->built[group] = true;
    built = build_pages(&build, load->start[group + 1] - load->start[group], load->order + load->start[group]);
    tide_free(build.sorted);
    tide_free(build.ends);
    tide_free(build.values);
    return built;
}

/* ---- All or nothing ------------------------------------------------------------------------------------------- */

static bool change_group(struct load *load, uint32_t group) {
    for (uint32_t i = load->start[group]; i < load->start[group + 1]; i++)
        if (!make(load->store, &load->changes[load->order[i]])) return false;
    return true;
}

static bool put_groups(struct load *load) {
    if (!sort_by_group(load)) return false;
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++) {
        const struct tide_buckets *buckets = load->store->group[g];

        if (load->start[g] == load->start[g + 1]) continue;
        if (buckets && buckets->rows > 0 ? !change_group(load, g) : !build_group(load, g)) return false;
    }
    return true;
}

static void take_back(struct load *load) {
    tide_state_store_rollback(load->store);
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++)
        if (load->built[g]) (void)tide_reshape_clear(load->store, g); /* these pages are not pinned */
}

int tide_state_store_load(struct tide_state_store *store, const struct tide_blocks *records, double stamp,
                          struct tide_error *err) {
    struct load load = {.store = store};
    int code = read_records(&load, records, stamp, err);

    if (code == TIDE_OK) {
        tide_state_store_begin(store, store->version);
        if (put_groups(&load)) {
            tide_state_store_commit(store);
            tide_undo_clear(&store->undo);
            store->changed = store->epoch;
        } else {
            take_back(&load);
            code = tide_error_set(err, TIDE_ENOMEM, "no memory for %" PRIu32 " records of a keyed state", load.count);
        }
    }
    load_destroy(&load);
    return code;
}

void tide_state_store_drop(struct tide_state_store *store, uint32_t first, uint32_t groups) {
    store->changed = store->epoch;
    tide_pin_sweep(store, UINT32_MAX);
    tide_undo_clear(&store->undo);
    for (uint32_t g = first; g < first + groups; g++) (void)tide_reshape_clear(store, g);
}
