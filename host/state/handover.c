/*
 * Stores between tasks (see handover.h). Runs on workers.
 */
#include "state/handover.h"

#include "state/body.h"
#include "state/state_store.h"

static void detach(void *attached) {
    struct tide_state_pin *pin = attached;

    __atomic_sub_fetch(&pin->store->charged, pin->charged, __ATOMIC_RELAXED);
    tide_state_pin_release(pin);
}

/* What the blocks of other versions do not count yet. The last version of a store counts what it took more. */
static uint64_t charge(struct tide_state_pin *pin) {
    uint64_t bytes = (uint64_t)tide_state_store_bytes(pin->store);
    uint64_t charged = __atomic_load_n(&pin->store->charged, __ATOMIC_RELAXED);

    pin->charged = bytes > charged ? bytes - charged : 0;
    __atomic_add_fetch(&pin->store->charged, pin->charged, __ATOMIC_RELAXED);
    return pin->charged;
}

/* Called by the owner, who alone may ask for the store's bytes. */
bool tide_handover_pack(struct tide_state_pin *take, struct tide_blocks *out) {
    static const uint8_t NILS[] = {0xc0, 0xc0};
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 2, sizeof NILS, NULL);

    if (!block) {
        tide_state_pin_release(take);
        return false;
    }
    memcpy(block->data, NILS, sizeof NILS);
    block->size = sizeof NILS;
    block->count = 1;
    tide_block_attach(block, take, charge(take), detach);
    tide_blocks_push(out, block);
    return true;
}

struct tide_state_pin *tide_handover_pin(const struct tide_blocks *blocks) {
    for (uint32_t i = blocks->count; i > 0; i--)
        if (blocks->items[i - 1]->detach == detach) return blocks->items[i - 1]->attached;
    return NULL;
}

static bool claim(struct tide_state_store *store) {
    uint32_t nobody = 0;

    return __atomic_compare_exchange_n(&store->claimed, &nobody, 1, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static struct tide_state_store *copy(const struct tide_state_pin *pin) {
    struct tide_state_store *store = tide_state_store_new(pin->store->first, pin->store->groups);
    struct tide_blocks records;

    for (uint32_t g = 0; store && g < TIDE_KEY_GROUPS; g++) {
        tide_blocks_create(&records);
        if (!tide_state_pin_read(pin, g, &records) || tide_state_store_load(store, &records, -1, NULL) != TIDE_OK) {
            tide_state_store_release(store);
            store = NULL;
        }
        tide_blocks_destroy(&records);
    }
    if (store) store->version = pin->version;
    return store;
}

struct tide_state_store *tide_handover_begin(const struct tide_state_pin *pin) {
    struct tide_state_store *store = pin->store;

    if (!claim(store)) return copy(pin);
    if (!store->open && store->changed <= pin->epoch) {
        __atomic_fetch_add(&store->refs, 1, __ATOMIC_RELAXED);
        return store;
    }
    __atomic_store_n(&store->claimed, 0, __ATOMIC_RELEASE);
    return copy(pin);
}

void tide_handover_end(struct tide_state_store *take) {
    if (!take) return;
    __atomic_store_n(&take->claimed, 0, __ATOMIC_RELEASE);
    tide_state_store_release(take);
}
