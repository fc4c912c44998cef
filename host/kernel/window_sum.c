/*
 * Windows of sums (see window_sum.h). Runs on a worker.
 *
 * Two ways: all sides are folded range by range (window_fold.h); or, if few keys of a large state change, only those
 * are put in a table and the rest of the state is copied, whole blocks by reference (state_delta.h).
 */
#include "kernel/window_sum.h"

#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "kernel/window_fold.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* If fewer than 1/RARE of the keys change, the state is copied and changed, not folded. */
enum { RARE = 256 };

static void empty(struct tide_blocks *blocks) {
    tide_blocks_destroy(blocks);
    tide_blocks_create(blocks);
}

/* ---- Range by range ------------------------------------------------------------------------------------------- */

/* Applies a key's changes. With a delta, keys without partial sums are left open in it. */
static bool slide_key(struct tide_window_fold *fold, uint32_t key, struct tide_state_delta *delta) {
    double leaving = fold->values[2 * key], entering = fold->values[2 * key + 1];
    uint32_t left = fold->counts[2 * key], came = fold->counts[2 * key + 1];

    if (fold->there[key]) {
        if (left > 0) fold->x[key] -= leaving;
        if (came > 0) fold->x[key] += entering;
        fold->n[key] += (double)came - left;
    } else if (came > 0) {
        fold->there[key] = 1;
        fold->x[key] = entering;
        fold->n[key] = came;
    } else {
        return true;
    }
    if (!delta || fold->n[key] > 0 || left + came == 0) return true;
    fold->there[key] = 0;
    return tide_state_delta_leave_open(delta, fold->keys[key].key, fold->keys[key].size, fold->x[key]);
}

/* Folds all ranges. `states`: an inverse window; otherwise only `entering` has records. */
static int fold_all(struct tide_window_fold *fold, bool states, struct tide_state_delta *delta) {
    int status;

    while ((status = tide_window_fold_read(fold)) == TIDE_WINDOW_FOLD_RANGE) {
        for (uint32_t i = 0; states && i < fold->count; i++)
            if (!slide_key(fold, i, delta)) return TIDE_WINDOW_FOLD_NO_MEMORY;
        if (!tide_window_fold_write(fold, states)) return TIDE_WINDOW_FOLD_NO_MEMORY;
    }
    return status;
}

static int fold_sides(const struct tide_blocks *state, const struct tide_blocks *leaving,
                      const struct tide_blocks *entering, struct tide_state_delta *delta, struct tide_blocks *out) {
    for (int order = 0;; order++) {
        struct tide_window_fold *fold;
        int status = tide_window_fold_open(&fold, state, leaving, entering, true, order != 0);

        if (status != TIDE_WINDOW_FOLD_DONE) return status;
        status = fold_all(fold, state, delta);
        if (status == TIDE_WINDOW_FOLD_DONE) tide_window_fold_finish(fold, out);
        else tide_window_fold_delete(fold);
        if (status != TIDE_WINDOW_FOLD_OUT_OF_ORDER) return status;
        if (delta) delta->opens = 0;
    }
}

int tide_window_sum_merge(const struct tide_blocks *in, struct tide_blocks *out) {
    return fold_sides(NULL, NULL, in, NULL, out);
}

/* ---- Few changes ---------------------------------------------------------------------------------------------- */

/* The partial sums of one key that leave or enter a window. */
struct change {
    double sum;
    uint32_t count;
};

static int sum_up(struct tide_state_delta *delta, const struct tide_blocks *records, struct change **changes,
                  uint32_t *slots) {
    for (uint32_t b = 0; b < records->count; b++) {
        const uint8_t *at = records->items[b]->data, *end = at + records->items[b]->size;

        for (uint32_t r = 0; r < records->items[b]->count; r++) {
            const uint8_t *value = tide_unpack_skip(at, end);
            struct tide_value what = tide_unpack_value(value, end);
            uint32_t had = *slots, entry = tide_combine_packed(delta->keys, at, (size_t)(value - at));

            if (what.type != TIDE_VALUE_NUMBER) return TIDE_WINDOW_FOLD_OTHER;
            if (entry == TIDE_COMBINE_NOMEM) return TIDE_WINDOW_FOLD_NO_MEMORY;
            if (!TIDE_ARRAY_RESERVE_TRY(*changes, *slots, entry + 1)) return TIDE_WINDOW_FOLD_NO_MEMORY;
            memset(*changes + had, 0, (size_t)(*slots - had) * sizeof **changes);

            struct change *change = &(*changes)[entry];

            if (change->count++ == 0) change->sum = what.number;
            else change->sum += what.number;
            at = what.next;
        }
    }
    return TIDE_WINDOW_FOLD_DONE;
}

static bool put_sum(struct tide_state_delta *delta, uint32_t entry, const struct change *leaving,
                    const struct change *entering, bool asks) {
    const struct tide_state_delta_old *old = &delta->old[entry];
    double sum = entering->sum, count = entering->count;
    uint8_t packed[TIDE_PACKED_NUMBER_MAX];

    if (old->value) {
        sum = tide_unpack_value(old->value, old->value + old->size).number;
        if (leaving->count > 0) sum -= leaving->sum;
        if (entering->count > 0) sum += entering->sum;
        count += old->n - leaving->count;
    } else if (entering->count == 0) {
        return true;
    }
    if (asks && count <= 0) {
        uint32_t size;
        const uint8_t *key = tide_combine_key(delta->keys, entry, &size);

        return tide_state_delta_leave_open(delta, key, size, sum);
    }
    return tide_state_delta_put(delta, entry, count, packed, tide_pack_number_at(packed, sum));
}

static bool old_are_numbers(const struct tide_state_delta *delta) {
    for (uint32_t i = 0; i < delta->keys->count; i++) {
        const struct tide_state_delta_old *old = &delta->old[i];

        if (old->value && tide_unpack_value(old->value, old->value + old->size).type != TIDE_VALUE_NUMBER)
            return false;
    }
    return true;
}

static int slide_rare(struct tide_state_delta *delta, const struct tide_blocks *state,
                      const struct tide_blocks *leaving, const struct tide_blocks *entering, bool asks,
                      struct tide_blocks *out) {
    static const struct change none;
    struct change *left = NULL, *came = NULL;
    uint32_t left_slots = 0, came_slots = 0;
    int status = sum_up(delta, leaving, &left, &left_slots);

    if (status == TIDE_WINDOW_FOLD_DONE) status = sum_up(delta, entering, &came, &came_slots);
    if (status == TIDE_WINDOW_FOLD_DONE && !tide_state_delta_scan(delta, state, -1, out))
        status = TIDE_WINDOW_FOLD_NO_MEMORY;
    if (status == TIDE_WINDOW_FOLD_DONE && !old_are_numbers(delta)) {
        empty(out);
        status = TIDE_WINDOW_FOLD_OTHER;
    }
    for (uint32_t i = 0; status == TIDE_WINDOW_FOLD_DONE && i < delta->keys->count; i++)
        if (!put_sum(delta, i, i < left_slots ? &left[i] : &none, i < came_slots ? &came[i] : &none, asks))
            status = TIDE_WINDOW_FOLD_NO_MEMORY;
    tide_free(left);
    tide_free(came);
    return status;
}

bool tide_window_sum_rare(const struct tide_blocks *state, const struct tide_blocks *leaving,
                          const struct tide_blocks *entering) {
    return (tide_blocks_records(leaving) + tide_blocks_records(entering)) * RARE < tide_blocks_records(state);
}

int tide_window_sum_slide(struct tide_state_delta *delta, const struct tide_blocks *state,
                          const struct tide_blocks *leaving, const struct tide_blocks *entering, bool asks,
                          struct tide_blocks *out) {
    if (tide_window_sum_rare(state, leaving, entering)) return slide_rare(delta, state, leaving, entering, asks, out);
    tide_state_delta_begin(delta, out);
    return fold_sides(state, leaving, entering, asks ? delta : NULL, out);
}
