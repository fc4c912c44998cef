/*
 * A copy of a block on disk, as its holders see it: a reference. store/copies.h makes them and says what they are;
 * this header is below store/block.h, which releases a block's copy with the block.
 *
 * Thread: any. Reference counted.
 */
#ifndef TIDE_STORE_COPY_H
#define TIDE_STORE_COPY_H

#include <stdint.h>

struct tide_copy {
    uint32_t refs;
    void (*destroy)(struct tide_copy *copy); /* the last reference is gone */
};

static inline struct tide_copy *tide_copy_retain(struct tide_copy *copy) {
    __atomic_add_fetch(&copy->refs, 1, __ATOMIC_RELAXED);
    return copy;
}

/* NULL is fine. */
static inline void tide_copy_release(struct tide_copy *copy) {
    if (copy && __atomic_sub_fetch(&copy->refs, 1, __ATOMIC_ACQ_REL) == 0) copy->destroy(copy);
}

#endif
