/*
 * Copies of blocks on disk (see copies.h). Written and read by the cache on workers; released wherever a block is
 * freed.
 *
 *     unit   = an extent of the spill files, and the number of its copies that have references
 *     copy   = a run of bytes of a unit: one block
 *
 * A unit is in `used` while one of its copies is held, then in `garbage` until it is tidied away.
 */
#include "store/copies.h"

#include <pthread.h>

#include "base/alloc.h"
#include "base/list.h"

/* A block of this size is a unit of its own: rounding to pages costs little then. */
enum { LARGE = 64 * 1024 };

struct unit {
    struct tide_list link; /* in copies->used or garbage */
    struct tide_copies *copies;
    struct tide_extent extent;
    uint32_t held; /* copies; with the lock */
};

struct copy {
    struct tide_copy copy;
    struct unit *unit;
    uint64_t from, to; /* within the extent */
    bool damaged;      /* atomic */
};

struct tide_copies {
    struct tide_spill *spill;
    pthread_mutex_t lock;
    struct tide_list used, garbage;
    void (*tell)(void *arg);
    void *arg;
    uint32_t refs; /* of the owner, and of each unit; with the lock */
    bool closed;
};

struct tide_copies *tide_copies_new(struct tide_spill *take_spill) {
    struct tide_copies *copies = tide_xcalloc(1, sizeof *copies);

    copies->spill = take_spill;
    copies->refs = 1;
    pthread_mutex_init(&copies->lock, NULL);
    tide_list_create(&copies->used);
    tide_list_create(&copies->garbage);
    return copies;
}

void tide_copies_on_garbage(struct tide_copies *copies, void (*garbage)(void *arg), void *arg) {
    pthread_mutex_lock(&copies->lock);
    copies->tell = garbage;
    copies->arg = arg;
    pthread_mutex_unlock(&copies->lock);
}

void tide_copies_release(struct tide_copies *copies) {
    pthread_mutex_lock(&copies->lock);

    bool last = --copies->refs == 0;

    pthread_mutex_unlock(&copies->lock);
    if (!last) return;
    tide_spill_delete(copies->spill);
    pthread_mutex_destroy(&copies->lock);
    tide_free(copies);
}

static struct unit *first_of(const struct tide_list *list) {
    return tide_list_empty(list) ? NULL : TIDE_CONTAINER_OF(list->next, struct unit, link);
}

/* It is in no list any more. */
static void unit_delete(struct unit *unit) {
    struct tide_copies *copies = unit->copies;

    tide_spill_free(copies->spill, &unit->extent);
    tide_free(unit);
    tide_copies_release(copies);
}

bool tide_copies_tidy(struct tide_copies *copies) {
    pthread_mutex_lock(&copies->lock);

    struct unit *unit = first_of(&copies->garbage);

    if (unit) tide_list_remove(&unit->link);
    pthread_mutex_unlock(&copies->lock);
    if (unit) unit_delete(unit);
    return unit;
}

void tide_copies_close(struct tide_copies *copies) {
    pthread_mutex_lock(&copies->lock);
    copies->closed = true;
    TIDE_LIST_EACH(link, &copies->used)
    tide_spill_free(copies->spill, &TIDE_CONTAINER_OF(link, struct unit, link)->extent);
    pthread_mutex_unlock(&copies->lock);
    while (tide_copies_tidy(copies)) {}
    tide_spill_close(copies->spill);
}

uint64_t tide_copies_bytes(const struct tide_copies *copies) { return tide_spill_bytes(copies->spill); }

/* ---- Copies ------------------------------------------------------------------------------------------------- */

static struct copy *copy_of(const struct tide_copy *copy) { return (struct copy *)copy; }

static void copy_delete(struct tide_copy *copy) {
    struct unit *unit = copy_of(copy)->unit;
    struct tide_copies *copies = unit->copies;

    tide_free(copy);
    pthread_mutex_lock(&copies->lock);

    bool unused = --unit->held == 0, closed = copies->closed;

    if (unused) tide_list_remove(&unit->link);
    if (unused && !closed) {
        tide_list_push(&copies->garbage, &unit->link);
        if (copies->tell) copies->tell(copies->arg);
    }
    pthread_mutex_unlock(&copies->lock);
    if (unused && closed) unit_delete(unit);
}

static struct tide_copy *copy_new(struct unit *unit, uint64_t from, uint64_t to) {
    struct copy *copy = tide_xcalloc(1, sizeof *copy);

    copy->copy.refs = 1;
    copy->copy.destroy = copy_delete;
    copy->unit = unit;
    copy->from = from;
    copy->to = to;
    return &copy->copy;
}

bool tide_copy_damaged(const struct tide_copy *copy) {
    return __atomic_load_n(&copy_of(copy)->damaged, __ATOMIC_RELAXED);
}

/* ---- Writing ------------------------------------------------------------------------------------------------ */

/* The number of blocks, from the first one on, that become one unit: none of them has a copy. */
static uint32_t unit_of(struct tide_block *const *blocks, struct tide_copy *const *made, uint32_t count) {
    uint64_t size = 0;
    uint32_t some = 0;

    while (some < count && !made[some] && (some == 0 || size + blocks[some]->size <= LARGE))
        size += blocks[some++]->size;
    return some;
}

static int write_unit(struct tide_copies *copies, struct tide_block *const *blocks, uint32_t count,
                      struct tide_copy **made, struct tide_error *err) {
    struct unit *unit = tide_xcalloc(1, sizeof *unit);
    struct tide_blocks *lists =
        tide_xcalloc(count, sizeof *lists); /* each block is a list, so that its end is known */
    uint64_t *ends = tide_xcalloc(count, sizeof *ends);

    for (uint32_t i = 0; i < count; i++)
        lists[i] = (struct tide_blocks){.items = (struct tide_block **)&blocks[i], .count = 1, .capacity = 1};

    int status = tide_spill_write(copies->spill, lists, count, &unit->extent, ends, err);

    if (status == TIDE_OK) {
        unit->copies = copies;
        unit->held = count;
        for (uint32_t i = 0; i < count; i++) made[i] = copy_new(unit, i > 0 ? ends[i - 1] : 0, ends[i]);
        pthread_mutex_lock(&copies->lock);
        copies->refs++;
        if (copies->closed) tide_spill_free(copies->spill, &unit->extent);
        tide_list_push(&copies->used, &unit->link);
        pthread_mutex_unlock(&copies->lock);
    } else {
        tide_free(unit);
    }
    tide_free(lists);
    tide_free(ends);
    return status;
}

int tide_copies_write(struct tide_copies *copies, struct tide_block *const *blocks, uint32_t count,
                      struct tide_copy **made, uint64_t *written, struct tide_error *err) {
    bool *own = tide_xcalloc(count > 0 ? count : 1, sizeof *own);
    int status = TIDE_OK;
    uint64_t bytes = 0;

    for (uint32_t i = 0, some; i < count && status == TIDE_OK; i += some) {
        some = 1;
        if (made[i]) continue;
        some = unit_of(blocks + i, made + i, count - i);
        status = write_unit(copies, blocks + i, some, made + i, err);
        for (uint32_t k = i; k < i + some && status == TIDE_OK; k++) {
            own[k] = true;
            bytes += copy_of(made[k])->to - copy_of(made[k])->from;
        }
    }
    for (uint32_t i = 0; i < count && status != TIDE_OK; i++) {
        if (!own[i]) continue;
        tide_copy_release(made[i]);
        made[i] = NULL;
    }
    if (status == TIDE_OK) *written += bytes;
    tide_free(own);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

/* Copies that follow one another on disk are read at once. */
static uint32_t run_of(struct tide_copy *const *from, uint32_t count) {
    const struct copy *last = copy_of(from[0]), *next;
    uint32_t some = 1;

    for (; some < count; some++, last = next) {
        next = copy_of(from[some]);
        if (next->unit != last->unit || next->from != last->to) break;
    }
    return some;
}

int tide_copies_read(struct tide_copies *copies, struct tide_copy *const *from, uint32_t count,
                     struct tide_blocks *out, struct tide_error *err) {
    struct tide_blocks blocks;
    int status = TIDE_OK;

    tide_blocks_create(&blocks);
    for (uint32_t i = 0, some; i < count && status == TIDE_OK; i += some) {
        some = run_of(from + i, count - i);

        const struct copy *first = copy_of(from[i]), *last = copy_of(from[i + some - 1]);

        status = tide_spill_read(copies->spill, &first->unit->extent, first->from, last->to, &blocks, err);
        for (uint32_t k = i; k < i + some; k++) {
            if (status == TIDE_OK) blocks.items[k]->copy = tide_copy_retain(from[k]);
            else if (status != TIDE_ENOMEM) __atomic_store_n(&copy_of(from[k])->damaged, true, __ATOMIC_RELAXED);
        }
    }
    if (status == TIDE_OK) tide_blocks_move(out, &blocks);
    tide_blocks_destroy(&blocks);
    return status;
}
