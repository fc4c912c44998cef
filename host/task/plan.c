/*
 * Plans as values (see plan.h). Made on the driver thread, read and released on any.
 */
#include "task/plan.h"

#include "base/alloc.h"
#include "store/broadcast.h"
#include "wire/hash.h"

struct tide_plan *tide_plan_new(const void *bytes, size_t size) {
    struct tide_plan *plan = tide_xcalloc(1, sizeof *plan);

    plan->bytes = tide_xmemdup(bytes, size);
    plan->size = (uint32_t)size;
    plan->refs = 1;
    plan->broadcasts = tide_broadcast_refs_new(bytes, size);
    tide_hash_content(bytes, size, plan->id);
    return plan;
}

struct tide_plan *tide_plan_retain(struct tide_plan *plan) {
    __atomic_add_fetch(&plan->refs, 1, __ATOMIC_RELAXED);
    return plan;
}

void tide_plan_release(struct tide_plan *plan) {
    if (!plan || __atomic_sub_fetch(&plan->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
    tide_broadcast_refs_delete(plan->broadcasts);
    tide_free(plan->bytes);
    tide_free(plan);
}
