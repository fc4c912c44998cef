/*
 * The nodes of chains and dead lists (see old.h). Called by the store's owner.
 */
#include "state/old.h"

#include "base/alloc.h"

enum { SLAB = 128 };

struct tide_old_slab {
    struct tide_old_slab *next;
    struct tide_old olds[SLAB];
};

static bool add_slab(struct tide_olds *olds) {
    struct tide_old_slab *slab = tide_alloc_try(sizeof *slab);

    if (!slab) return false;
    slab->next = olds->slabs;
    olds->slabs = slab;
    for (int i = 0; i < SLAB; i++) {
        slab->olds[i].next = olds->unused;
        olds->unused = &slab->olds[i];
    }
    olds->spare += SLAB;
    olds->total += SLAB;
    return true;
}

bool tide_old_ready(struct tide_olds *olds, uint32_t count) {
    while (olds->spare < olds->reserved + count)
        if (!add_slab(olds)) return false;
    return true;
}

struct tide_old *tide_old_take(struct tide_olds *olds) {
    struct tide_old *old = olds->unused;

    olds->unused = old->next;
    olds->spare--;
    olds->live++;
    return old;
}

void tide_old_give_back(struct tide_olds *olds, struct tide_old *old) {
    old->next = olds->unused;
    olds->unused = old;
    olds->spare++;
    olds->live--;
}

void tide_old_destroy(struct tide_olds *olds) {
    for (struct tide_old_slab *slab = olds->slabs, *next; slab; slab = next) {
        next = slab->next;
        tide_free(slab);
    }
    *olds = (struct tide_olds){0};
}

void tide_old_trim(struct tide_olds *olds) {
    if (olds->live == 0 && olds->reserved == 0) tide_old_destroy(olds);
}

uint64_t tide_old_bytes(const struct tide_olds *olds) { return (uint64_t)olds->total * sizeof(struct tide_old); }
