/*
 * See budget.h. Asked by ingest threads; refunds come from workers and the driver, whenever blocks are freed.
 *
 * Everything is under one lock: it is taken for each block and each read, not for each record. `waiting` is set by a
 * source's question and taken by exactly one call of on_room.
 */
#include "store/budget.h"

#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/list.h"

enum {
    GUARANTEED = 4, /* 1/4 of the limit is divided among the sources */
    GAP = 16,       /* 1/16 of the limit has to be free before a waiting source is called */
    DECAY = 8       /* the weight of a batch decreases by 1/8 with each later batch */
};

static const uint64_t LEAST_LIMIT = UINT64_C(64) << 20;
static const uint64_t LEAST_MOST = UINT64_C(1) << 20;

struct tide_budget {
    uint32_t refs;
    bool firm;
    uv_mutex_t lock; /* on_room runs under it; an ingest thread's inbox may be locked inside */
    uint64_t limit;
    uint64_t most;
    uint64_t used;
    uint64_t unfinished;
    struct tide_list shares; /* open ones */
    uint32_t count, waiting; /* of the open ones: how many, and how many of them wait */
};

struct tide_share {
    uint32_t refs;
    bool open;
    bool waiting;
    struct tide_budget *budget;
    struct tide_list link;
    uint64_t used;
    uint64_t unfinished;
    uint64_t drained; /* refunded since the last cut */
    uint64_t took;    /* the most that was refunded between two cuts lately */
    uint64_t least;   /* lower bound of the limit while this share is open */
    void (*on_room)(void *arg);
    void *arg;
};

static struct tide_share *share_of(struct tide_list *link) {
    return TIDE_CONTAINER_OF(link, struct tide_share, link);
}

/* ---- Limits: with the lock ---------------------------------------------------------------------------------- */

static uint64_t less(uint64_t a, uint64_t b) { return a > b ? a - b : 0; }

/* The bytes reserved for an open share; never 0, so that a share without blocks may always begin. */
static uint64_t guaranteed(const struct tide_budget *budget) {
    uint64_t each = budget->limit / GUARANTEED / (budget->count ? budget->count : 1);

    return each ? each : 1;
}

static uint64_t counted(const struct tide_share *share) { return less(share->used, share->unfinished); }

/* The bytes of their reserves that the shares have not used. */
static uint64_t reserved(const struct tide_budget *budget) {
    uint64_t each = guaranteed(budget), sum = 0;

    TIDE_LIST_EACH(link, &budget->shares) sum += less(each, counted(share_of(link)));
    return sum;
}

/* `gap`: how much has to be free. `all_reserved` as by reserved(). */
static bool has_room(const struct tide_share *share, uint64_t gap, uint64_t all_reserved) {
    const struct tide_budget *budget = share->budget;
    uint64_t each = guaranteed(budget), own = counted(share);

    if (own + (gap < each / 4 ? gap : each / 4) < each) return true;
    return less(budget->used, budget->unfinished) + gap + all_reserved - less(each, own) < budget->limit;
}

static struct tide_share *next_to_call(const struct tide_budget *budget, uint64_t all_reserved) {
    struct tide_share *least = NULL;

    TIDE_LIST_EACH(link, &budget->shares) {
        struct tide_share *share = share_of(link);

        if (!share->waiting || (least && least->used <= share->used)) continue;
        if (has_room(share, budget->limit / GAP, all_reserved)) least = share;
    }
    return least;
}

static void set_waiting(struct tide_share *share, bool waiting) {
    share->budget->waiting += (uint32_t)waiting - (uint32_t)share->waiting;
    share->waiting = waiting;
}

static void call(struct tide_budget *budget) {
    if (budget->waiting == 0) return;

    uint64_t all_reserved = reserved(budget);
    struct tide_share *share;

    while ((share = next_to_call(budget, all_reserved))) {
        set_waiting(share, false);
        if (share->on_room) share->on_room(share->arg);
    }
}

static void note_unfinished(struct tide_share *share, uint64_t bytes) {
    share->budget->unfinished += bytes - share->unfinished;
    share->unfinished = bytes;
}

/* The limit that follows the batches. */
static void follow(struct tide_budget *budget) {
    uint64_t took = 0, least = LEAST_LIMIT;

    if (budget->firm) return;
    TIDE_LIST_EACH(link, &budget->shares) {
        const struct tide_share *share = share_of(link);

        took += share->took;
        if (share->least > least) least = share->least;
    }
    budget->limit = 2 * took > least ? 2 * took : least;
    if (budget->limit > budget->most) budget->limit = budget->most;
}

/* ---- Budgets ------------------------------------------------------------------------------------------------ */

struct tide_budget *tide_budget_new(uint64_t limit, uint64_t most) {
    struct tide_budget *budget = tide_xcalloc(1, sizeof *budget);

    budget->refs = 1;
    budget->firm = limit > 0;
    budget->limit = limit;
    budget->most = most > LEAST_MOST ? most : LEAST_MOST;
    tide_list_create(&budget->shares);
    if (uv_mutex_init(&budget->lock) != 0) abort(); /* memory is gone: as tide_xcalloc */
    follow(budget);
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

static uint64_t read_locked(struct tide_budget *budget, const uint64_t *value) {
    uv_mutex_lock(&budget->lock);
    uint64_t result = *value;
    uv_mutex_unlock(&budget->lock);
    return result;
}

uint64_t tide_budget_used(struct tide_budget *budget) { return read_locked(budget, &budget->used); }

uint64_t tide_budget_limit(struct tide_budget *budget) { return read_locked(budget, &budget->limit); }

/* ---- Shares ------------------------------------------------------------------------------------------------- */

struct tide_share *tide_share_new(struct tide_budget *budget, uint64_t batch_ms, void (*on_room)(void *arg),
                                  void *arg) {
    struct tide_share *share = tide_xcalloc(1, sizeof *share);

    share->refs = 1;
    share->open = true;
    share->budget = tide_budget_retain(budget);
    share->least = LEAST_LIMIT * (batch_ms > 1000 ? batch_ms / 1000 : 1);
    share->on_room = on_room;
    share->arg = arg;
    uv_mutex_lock(&budget->lock);
    tide_list_push(&budget->shares, &share->link);
    budget->count++;
    follow(budget);
    uv_mutex_unlock(&budget->lock);
    return share;
}

struct tide_share *tide_share_retain(struct tide_share *share) {
    if (share) __atomic_fetch_add(&share->refs, 1, __ATOMIC_RELAXED);
    return share;
}

void tide_share_release(struct tide_share *share) {
    if (!share || __atomic_fetch_sub(&share->refs, 1, __ATOMIC_ACQ_REL) != 1) return;
    tide_share_close(share);
    tide_budget_release(share->budget);
    tide_free(share);
}

void tide_share_close(struct tide_share *share) {
    struct tide_budget *budget = share->budget;

    uv_mutex_lock(&budget->lock);
    if (share->open) {
        share->open = false;
        set_waiting(share, false);
        note_unfinished(share, 0);
        tide_list_remove(&share->link);
        budget->count--;
        follow(budget);
        call(budget);
    }
    uv_mutex_unlock(&budget->lock);
}

uint64_t tide_share_used(struct tide_share *share) { return read_locked(share->budget, &share->used); }

bool tide_share_must_wait(struct tide_share *share, uint64_t unfinished) {
    struct tide_budget *budget = share->budget;

    uv_mutex_lock(&budget->lock);
    if (share->open) note_unfinished(share, unfinished);
    bool wait = !has_room(share, 0, reserved(budget));
    set_waiting(share, wait && share->open);
    uv_mutex_unlock(&budget->lock);
    return wait;
}

void tide_share_cut(struct tide_share *share, uint64_t unfinished) {
    struct tide_budget *budget = share->budget;

    uv_mutex_lock(&budget->lock);
    if (share->open) note_unfinished(share, unfinished);
    uint64_t faded = share->took - share->took / DECAY;
    /* While nothing is taken, nothing is learned: one slow batch, or a silent source, does not narrow the limit. */
    if (share->drained > 0) share->took = share->drained > faded ? share->drained : faded;
    share->drained = 0;
    follow(budget);
    call(budget);
    uv_mutex_unlock(&budget->lock);
}

void tide_share_charge(struct tide_share *share, uint64_t bytes) {
    uv_mutex_lock(&share->budget->lock);
    share->used += bytes;
    share->budget->used += bytes;
    uv_mutex_unlock(&share->budget->lock);
}

void tide_share_refund(struct tide_share *share, uint64_t bytes) {
    struct tide_budget *budget = share->budget;

    uv_mutex_lock(&budget->lock);
    share->used -= bytes;
    share->drained += bytes;
    budget->used -= bytes;
    call(budget);
    uv_mutex_unlock(&budget->lock);
}

bool tide_share_is_firm(const struct tide_share *share) { return share->budget->firm; }
