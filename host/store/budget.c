/*
 * Counting the bytes of live blocks for ingest. The owner (ingest thread) asks whether it is exceeded and then stops
 * reading; whoever frees the block that brings the count down to `low` (a worker, the driver) wakes it.
 *
 * `waiting` is set by the owner's question and taken by exactly one refund: that makes one call per crossing. Setting
 * it and looking at the count again, against counting down and looking at it, are sequentially consistent: one
 * of the two sides must see the other, so no wake-up is lost. The lock only orders on_low against detach.
 */
#include "store/budget.h"

#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"

struct tide_budget {
    uint32_t refs;
    bool waiting;
    uint64_t used;
    uint64_t high;
    uint64_t low;
    uv_mutex_t lock; /* on_low runs under it; the owner's inbox may be locked inside */
    void (*on_low)(void *arg);
    void *arg;
};

struct tide_budget *tide_budget_new(uint64_t high, uint64_t low, void (*on_low)(void *arg), void *arg) {
    struct tide_budget *budget = tide_xcalloc(1, sizeof *budget);
    budget->refs = 1;
    budget->high = high ? high : 1;
    budget->low = low < budget->high ? low : budget->high - 1; /* else it would be exceeded and low at once */
    budget->on_low = on_low;
    budget->arg = arg;
    if (uv_mutex_init(&budget->lock) != 0) abort(); /* memory is gone: as tide_xcalloc */
    return budget;
}

struct tide_budget *tide_budget_retain(struct tide_budget *budget) {
    if (budget) __atomic_fetch_add(&budget->refs, 1, __ATOMIC_RELAXED);
    return budget;
}

void tide_budget_release(struct tide_budget *budget) {
    if (!budget || __atomic_fetch_sub(&budget->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
    uv_mutex_destroy(&budget->lock);
    tide_free(budget);
}

void tide_budget_detach(struct tide_budget *budget) {
    uv_mutex_lock(&budget->lock);
    budget->on_low = NULL;
    uv_mutex_unlock(&budget->lock);
}

uint64_t tide_budget_used(const struct tide_budget *budget) {
    return __atomic_load_n(&budget->used, __ATOMIC_SEQ_CST);
}

/* True for the one that takes the owner's question away. */
static bool stop_waiting(struct tide_budget *budget) {
    return __atomic_exchange_n(&budget->waiting, false, __ATOMIC_SEQ_CST);
}

bool tide_budget_exceeded(struct tide_budget *budget) {
    if (tide_budget_used(budget) < budget->high) return false;
    __atomic_store_n(&budget->waiting, true, __ATOMIC_SEQ_CST);
    if (tide_budget_used(budget) > budget->low) return true;
    /* It fell between the two looks. If a refund took the question, on_low is called and the answer may stay yes. */
    return !stop_waiting(budget);
}

void tide_budget_charge(struct tide_budget *budget, uint64_t bytes) {
    __atomic_fetch_add(&budget->used, bytes, __ATOMIC_SEQ_CST);
}

void tide_budget_refund(struct tide_budget *budget, uint64_t bytes) {
    uint64_t used = __atomic_sub_fetch(&budget->used, bytes, __ATOMIC_SEQ_CST);
    if (used > budget->low || !__atomic_load_n(&budget->waiting, __ATOMIC_SEQ_CST) || !stop_waiting(budget)) return;
    uv_mutex_lock(&budget->lock);
    if (budget->on_low) budget->on_low(budget->arg);
    uv_mutex_unlock(&budget->lock);
}
