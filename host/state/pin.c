/*
 * Pins and what dies under them (see pin.h). Called by the store's owner; readers look up pages under its lock.
 */
#include "state/pin.h"

#include "base/alloc.h"
#include "base/array.h"

struct tide_state_pin *tide_pin_new(struct tide_state_store *store) {
    struct tide_state_pin *pin;

    if (!TIDE_ARRAY_RESERVE_TRY(store->pins, store->pins_capacity, store->npins + 1)) return NULL;
    if (!(pin = tide_alloc_try(sizeof *pin))) return NULL;
    *pin = (struct tide_state_pin){.store = store, .refs = 1, .rows = store->rows, .version = store->version};
    for (uint32_t g = 0; g < TIDE_KEY_GROUPS; g++) pin->count[g] = store->group[g] ? store->group[g]->count : 0;
    pin->epoch = store->epoch++;
    store->pins[store->npins++] = pin;
    store->newest = pin;
    store->pinned = pin->epoch;
    return pin;
}

struct tide_old *tide_pin_bury(struct tide_state_store *store, struct tide_arena_item *item, uint64_t born,
                               uint32_t group, uint32_t bucket) {
    struct tide_old *old = tide_old_take(&store->olds);

    *old = (struct tide_old){
        .item = item,
        .next = store->newest->dead,
        .born = born,
        .died = store->epoch,
        .group = group,
        .bucket = bucket,
    };
    store->newest->dead = old;
    tide_arena_set_kind(item, TIDE_ARENA_OLD);
    return old;
}

const struct tide_page *tide_pin_page(const struct tide_state_pin *pin, uint32_t group, uint32_t bucket) {
    const struct tide_buckets *buckets = pin->store->group[group];

    if (*tide_buckets_born(buckets, bucket) <= pin->epoch) return *tide_buckets_page(buckets, bucket);

    const struct tide_old *old = *tide_buckets_chain(buckets, bucket);

    while (old && old->born > pin->epoch) old = old->prev;
    return old && pin->epoch < old->died ? (const struct tide_page *)old->item : NULL;
}

/* ---- Letting go ----------------------------------------------------------------------------------------------- */

static void unlink_page(struct tide_state_store *store, struct tide_old *old) {
    tide_body_lock(store);

    struct tide_old **link = tide_buckets_chain(store->group[old->group], old->bucket);

    while (*link != old) link = &(*link)->prev;
    *link = old->prev;
    tide_body_unlock(store);
}

static void forget(struct tide_state_store *store, struct tide_old *old) {
    if (old->bucket != TIDE_OLD_NO_BUCKET) unlink_page(store, old);
    tide_arena_free(&store->arena, old->item);
    tide_old_give_back(&store->olds, old);
}

/* Empties the dead list of pin `at`. Returns what is left of `most`. */
static uint32_t drain(struct tide_state_store *store, uint32_t at, uint32_t most) {
    struct tide_state_pin *pin = store->pins[at], *older = at > 0 ? store->pins[at - 1] : NULL;

    for (; pin->dead && most > 0; most--) {
        struct tide_old *old = pin->dead;

        pin->dead = old->next;
        if (older && old->born <= older->epoch) {
            old->next = older->dead;
            older->dead = old;
        } else {
            forget(store, old);
        }
    }
    return most;
}

static bool is_held(const struct tide_state_pin *pin) { return __atomic_load_n(&pin->refs, __ATOMIC_ACQUIRE) > 0; }

static void find_newest(struct tide_state_store *store) {
    store->newest = NULL;
    store->pinned = 0;
    for (uint32_t i = store->npins; i > 0 && !store->newest; i--)
        if (is_held(store->pins[i - 1])) store->newest = store->pins[i - 1];
    if (store->newest) store->pinned = store->newest->epoch;
}

static void take_out(struct tide_state_store *store, uint32_t at) {
    tide_free(store->pins[at]);
    for (store->npins--; at < store->npins; at++) store->pins[at] = store->pins[at + 1];
}

void tide_pin_sweep(struct tide_state_store *store, uint32_t most) {
    bool freed = false;

    if (store->npins == 0) return;
    find_newest(store);
    for (uint32_t i = store->npins; i > 0 && most > 0; i--) {
        if (is_held(store->pins[i - 1])) continue;
        freed = true;
        most = drain(store, i - 1, most);
        if (!store->pins[i - 1]->dead) take_out(store, i - 1);
    }
    if (freed) tide_arena_retry(&store->arena);
    if (store->npins == 0) tide_old_trim(&store->olds);
}
