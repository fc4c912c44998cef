/*
 * The cache of kept blocks (see cache.h). Filled and opened by workers around each task (task/task.h), handed around by the driver.
 *
 * A thing that is being written stays readable in memory until it is on disk; whoever writes it holds a reference and is the
 * only one who may change its state meanwhile. Lists are freed by whoever has taken the state away from MEMORY, without the lock:
 * nobody looks at them any more then.
 *
 * Giving space on disk back is put off for tide_cache_tidy: it can take a while, and the last reference often goes on the
 * driver's thread.
 */
#include "store/cache.h"

#include <assert.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"
#include "store/spill.h"

enum state { EMPTY, MEMORY, WRITING, DISK, GONE };

struct tide_cached {
    struct tide_list link; /* in cache->memory, on_disk or garbage */
    struct tide_cache *cache;
    struct tide_cached_options options;
    uint32_t refs;
    uint32_t state;     /* written with the lock; atomic for those who ask without */
    uint64_t footprint; /* of the lists in memory */
    uint64_t bytes;
    int64_t records;
    struct tide_extent extent; /* once it is written: until the end, also when it turned out to be damaged */
    uint64_t *ends;            /* with it */
    struct tide_blocks lists[];
};

struct tide_cache {
    uint32_t refs;
    uint64_t limit;
    struct tide_spill *spill;
    pthread_mutex_t lock;   /* guards the rest; `wake` may take a lock inside */
    pthread_cond_t written; /* somebody is done with writing a victim */
    uint32_t writing;       /* victims being written */
    void (*wake)(void *arg);
    void *arg;
    struct tide_list memory;  /* least recently opened first; before them those that have to go to disk */
    struct tide_list on_disk; /* in no order */
    struct tide_list garbage; /* nobody's any more, but with an extent */
    uint64_t used;            /* bytes of those in memory or being written */
    uint64_t peak, spilled, dropped;
    uint64_t refused, refused_bytes; /* the dataset that found no room last, and for how much */
    bool untidy;                     /* atomic for those who ask without the lock */
    bool failing;                    /* the last attempt to write failed */
    bool closed;
};

static const char *const kind_names[] = {"partition", "map output", "received partition"};

static void lists_free(struct tide_cached *cached) {
    for (uint32_t i = 0; i < cached->options.lists; i++) tide_blocks_destroy(&cached->lists[i]);
}

static void set_state(struct tide_cached *cached, enum state state) {
    __atomic_store_n(&cached->state, state, __ATOMIC_RELEASE);
}

static enum state state_of(const struct tide_cached *cached) {
    return __atomic_load_n(&cached->state, __ATOMIC_ACQUIRE);
}

static void set_untidy(struct tide_cache *cache, bool untidy) {
    bool was = __atomic_exchange_n(&cache->untidy, untidy, __ATOMIC_RELAXED);

    if (untidy && !was && cache->wake != NULL) cache->wake(cache->arg);
}

/* "partition 3 of dataset #12" */
static int prefix(const struct tide_cached *cached, struct tide_error *err) {
    return tide_error_prefix(err, "%s %u of dataset #%llu", kind_names[cached->options.kind],
                             cached->options.partition, (unsigned long long)cached->options.dataset);
}

/* ---- Memory and disk ------------------------------------------------------------------------------------------ */

static void enter_memory(struct tide_cache *cache, struct tide_cached *cached) {
    set_state(cached, MEMORY);
    tide_list_push(&cache->memory, &cached->link);
}

/* Reserves room: from here on it counts. */
static void count_in(struct tide_cache *cache, uint64_t bytes) {
    cache->used += bytes;
    if (cache->used > cache->peak) cache->peak = cache->used;
}

/* Says once that writing fails, until it works again. */
static void complain(const struct tide_cached *cached, struct tide_error *take_err) {
    prefix(cached, take_err);
    tide_log(TIDE_LOG_WARN, "memory", "%s\n%s", take_err->text,
             cached->options.recomputable ? "until then such data is computed again whenever it is needed"
                                          : "until then such data stays in memory beyond the limit");
    tide_error_clear(take_err);
}

/* There was no place for it. */
static void refuse(struct tide_cache *cache, const struct tide_cached *cached) {
    cache->dropped++;
    cache->refused = cached->options.dataset;
    cache->refused_bytes = cached->footprint;
}

/* Writes what is WRITING, without the lock. Afterwards it is DISK, GONE, or (false) still WRITING: it must stay in memory. The
 * lock is held before and after, the lists are still there. */
static bool write_out(struct tide_cache *cache, struct tide_cached *cached) {
    uint64_t *ends = tide_xcalloc(cached->options.lists, sizeof *ends);
    struct tide_extent extent = {0};
    struct tide_error err = {0};

    pthread_mutex_unlock(&cache->lock);

    int status = tide_spill_write(cache->spill, cached->lists, cached->options.lists, &extent, ends, &err);

    pthread_mutex_lock(&cache->lock);

    bool closed = cache->closed, told = cache->failing;

    cache->failing = status != TIDE_OK;
    if (status == TIDE_OK && !closed) {
        cached->extent = extent;
        cached->ends = ends;
        cache->spilled += extent.size;
        set_state(cached, DISK);
        tide_list_push(&cache->on_disk, &cached->link);
        return true;
    }

    bool gone = closed || cached->options.recomputable;

    if (gone) set_state(cached, GONE);
    if (gone && !closed) refuse(cache, cached);
    pthread_mutex_unlock(&cache->lock);
    tide_spill_free(cache->spill, &extent);
    tide_free(ends);
    if (status != TIDE_OK && !told && !closed) complain(cached, &err);
    tide_error_clear(&err);
    pthread_mutex_lock(&cache->lock);
    return gone;
}

/* Takes one out of memory; the lock is held before and after, but not all the time. false: it has to stay. */
static bool evict(struct tide_cache *cache, struct tide_cached *victim) {
    bool away = true;

    tide_cached_retain(victim);
    tide_list_remove(&victim->link);
    if (victim->options.disk || !victim->options.recomputable) {
        set_state(victim, WRITING);
        cache->writing++;
        away = write_out(cache, victim);
        cache->writing--;
        pthread_cond_broadcast(&cache->written);
    } else {
        set_state(victim, GONE);
        cache->dropped++;
    }
    if (away) cache->used -= victim->footprint;
    else enter_memory(cache, victim);
    pthread_mutex_unlock(&cache->lock);
    if (away) lists_free(victim);
    tide_cached_release(victim);
    pthread_mutex_lock(&cache->lock);
    return away;
}

/* The one to go first to make room for `cached`; NULL when not enough could be made. */
static struct tide_cached *find_victim(const struct tide_cache *cache, const struct tide_cached *cached) {
    struct tide_cached *first = NULL;
    uint64_t left = cache->used;

    TIDE_LIST_EACH(link, &cache->memory) {
        struct tide_cached *other = TIDE_CONTAINER_OF(link, struct tide_cached, link);

        if (other->options.dataset == cached->options.dataset && other->options.kind == cached->options.kind)
            continue;
        if (first == NULL) first = other;
        left -= other->footprint;
        if (left + cached->footprint <= cache->limit) return first;
    }
    return NULL;
}

/* With the lock, which it may open meanwhile. */
static bool make_room(struct tide_cache *cache, const struct tide_cached *cached) {
    if (cached->footprint > cache->limit) return false;
    while (cache->used + cached->footprint > cache->limit) {
        struct tide_cached *victim = find_victim(cache, cached);

        if (victim != NULL) {
            if (!evict(cache, victim)) return false;
        } else if (cache->writing > 0) {
            pthread_cond_wait(&cache->written, &cache->lock);
        } else {
            return false;
        }
    }
    return true;
}

/* ---- The cache ------------------------------------------------------------------------------------------------ */

struct tide_cache *tide_cache_new(const struct tide_cache_options *options, struct tide_error *err) {
    struct tide_spill *spill = tide_spill_new(options->directory, err);

    if (spill == NULL) return NULL;

    struct tide_cache *cache = tide_xcalloc(1, sizeof *cache);

    cache->refs = 1;
    cache->limit = options->limit;
    cache->spill = spill;
    pthread_mutex_init(&cache->lock, NULL);
    pthread_cond_init(&cache->written, NULL);
    tide_list_create(&cache->memory);
    tide_list_create(&cache->on_disk);
    tide_list_create(&cache->garbage);
    return cache;
}

void tide_cache_on_untidy(struct tide_cache *cache, void (*wake)(void *arg), void *arg) {
    pthread_mutex_lock(&cache->lock);
    cache->wake = wake;
    cache->arg = arg;
    pthread_mutex_unlock(&cache->lock);
}

struct tide_cache *tide_cache_retain(struct tide_cache *cache) {
    __atomic_add_fetch(&cache->refs, 1, __ATOMIC_RELAXED);
    return cache;
}

void tide_cache_release(struct tide_cache *cache) {
    if (cache == NULL || __atomic_sub_fetch(&cache->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
    tide_spill_delete(cache->spill);
    pthread_cond_destroy(&cache->written);
    pthread_mutex_destroy(&cache->lock);
    tide_free(cache);
}

static void cached_delete(struct tide_cached *cached) {
    struct tide_cache *cache = cached->cache;

    tide_spill_free(cache->spill, &cached->extent);
    tide_free(cached->ends);
    tide_free(cached);
    tide_cache_release(cache);
}

static struct tide_cached *first_of(const struct tide_list *list) {
    return tide_list_empty(list) ? NULL : TIDE_CONTAINER_OF(list->next, struct tide_cached, link);
}

bool tide_cache_tidy(struct tide_cache *cache) {
    bool more = true;

    if (!__atomic_load_n(&cache->untidy, __ATOMIC_RELAXED)) return false;
    pthread_mutex_lock(&cache->lock);

    struct tide_cached *dead = first_of(&cache->garbage), *oldest = first_of(&cache->memory);

    if (dead != NULL) {
        tide_list_remove(&dead->link);
        pthread_mutex_unlock(&cache->lock);
        cached_delete(dead);
        return true;
    }
    if (oldest != NULL && (cache->used > cache->limit || !oldest->options.memory)) more = evict(cache, oldest);
    else more = false;
    if (!more) more = !tide_list_empty(&cache->garbage); /* somebody added to it meanwhile */
    if (!more) set_untidy(cache, false);
    pthread_mutex_unlock(&cache->lock);
    return more;
}

void tide_cache_close(struct tide_cache *cache) {
    struct tide_cached *cached;

    pthread_mutex_lock(&cache->lock);
    cache->closed = true;
    while ((cached = first_of(&cache->on_disk)) != NULL) {
        tide_list_remove(&cached->link);
        set_state(cached, GONE);
        tide_spill_free(cache->spill, &cached->extent);
    }
    while ((cached = first_of(&cache->garbage)) != NULL) {
        tide_list_remove(&cached->link);
        cached_delete(cached); /* not the last reference: the caller has one */
    }
    tide_spill_close(cache->spill);
    pthread_mutex_unlock(&cache->lock);
}

void tide_cache_figures(struct tide_cache *cache, struct tide_cache_figures *figures) {
    pthread_mutex_lock(&cache->lock);
    *figures = (struct tide_cache_figures){
        .limit = cache->limit,
        .memory = cache->used,
        .peak = cache->peak,
        .disk = tide_spill_bytes(cache->spill),
        .spilled = cache->spilled,
        .dropped = cache->dropped,
    };
    pthread_mutex_unlock(&cache->lock);
}

/* ---- What is kept --------------------------------------------------------------------------------------------- */

struct tide_cached *tide_cached_new(struct tide_cache *cache, const struct tide_cached_options *options) {
    struct tide_cached *cached = tide_xcalloc(1, sizeof *cached + options->lists * sizeof cached->lists[0]);

    cached->refs = 1;
    cached->cache = tide_cache_retain(cache);
    cached->options = *options;
    cached->records = -1;
    tide_list_create(&cached->link);
    return cached;
}

struct tide_cached *tide_cached_retain(struct tide_cached *cached) {
    __atomic_add_fetch(&cached->refs, 1, __ATOMIC_RELAXED);
    return cached;
}

/* Gives up a reference that is not the last one; false: it is, or it may become so. */
static bool drop_shared(struct tide_cached *cached) {
    uint32_t refs = __atomic_load_n(&cached->refs, __ATOMIC_RELAXED);

    while (refs > 1)
        if (__atomic_compare_exchange_n(&cached->refs, &refs, refs - 1, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return true;
    return false;
}

/* The last reference goes with the lock, together with the place in the list: whoever finds a thing in a list may retain it. */
void tide_cached_release(struct tide_cached *cached) {
    if (cached == NULL || drop_shared(cached)) return;

    struct tide_cache *cache = cached->cache;

    pthread_mutex_lock(&cache->lock);
    if (__atomic_sub_fetch(&cached->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        pthread_mutex_unlock(&cache->lock);
        return;
    }
    tide_list_remove(&cached->link);
    if (cached->state == MEMORY) cache->used -= cached->footprint;

    bool later = cached->extent.file != NULL && !cache->closed;

    if (later) {
        tide_list_push(&cache->garbage, &cached->link);
        set_untidy(cache, true);
    }
    pthread_mutex_unlock(&cache->lock);
    if (later) return; /* it may be freed by now */
    lists_free(cached);
    cached_delete(cached);
}

/* Takes the lists and what is to be known about them. */
static void take(struct tide_cached *cached, struct tide_blocks *lists) {
    assert(state_of(cached) == EMPTY);
    cached->records = 0;
    for (uint32_t i = 0; i < cached->options.lists; i++) {
        struct tide_blocks *list = &cached->lists[i];

        tide_blocks_move(list, &lists[i]);
        for (uint32_t k = 0; k < list->count; k++) {
            tide_block_discharge(list->items[k]);
            tide_block_trim(list->items[k]);
        }
        cached->records += (int64_t)tide_blocks_records(list);
        cached->bytes += tide_blocks_bytes(list);
        cached->footprint += tide_blocks_footprint(list);
    }
}

/* With the lock: memory gets it, or it is WRITING, or GONE. */
static void admit(struct tide_cache *cache, struct tide_cached *cached) {
    if (cache->closed) {
        set_state(cached, GONE);
    } else if (cached->footprint == 0 || (cached->options.memory && make_room(cache, cached))) {
        count_in(cache, cached->footprint);
        enter_memory(cache, cached);
    } else if (cached->options.disk || !cached->options.recomputable) {
        set_state(cached, WRITING);
    } else {
        set_state(cached, GONE);
        refuse(cache, cached);
    }
}

void tide_cached_fill(struct tide_cached *cached, struct tide_blocks *take_lists) {
    struct tide_cache *cache = cached->cache;

    take(cached, take_lists);
    pthread_mutex_lock(&cache->lock);
    admit(cache, cached);
    if (cached->state == WRITING && !write_out(cache, cached)) {
        count_in(cache, cached->footprint);
        enter_memory(cache, cached);
    }

    bool away = cached->state != MEMORY;

    pthread_mutex_unlock(&cache->lock);
    if (away) lists_free(cached);
}

void tide_cached_put(struct tide_cached *cached, struct tide_blocks *take_lists) {
    struct tide_cache *cache = cached->cache;

    take(cached, take_lists);
    pthread_mutex_lock(&cache->lock);

    bool closed = cache->closed;

    if (closed) {
        set_state(cached, GONE);
    } else {
        count_in(cache, cached->footprint);
        enter_memory(cache, cached);
        if (!cached->options.memory) {
            tide_list_remove(&cached->link);
            tide_list_push_front(&cache->memory, &cached->link);
        }
        if (cache->used > cache->limit || !cached->options.memory) set_untidy(cache, true);
    }
    pthread_mutex_unlock(&cache->lock);
    if (closed) lists_free(cached);
}

/* With the lock: whether there is a place for so much. */
static bool has_place(const struct tide_cache *cache, const struct tide_cached *cached, uint64_t bytes) {
    if (cached->options.disk && !cache->failing) return true;
    return cached->options.memory && cache->used + bytes <= cache->limit;
}

bool tide_cached_wanted(struct tide_cached *cached) {
    struct tide_cache *cache = cached->cache;

    if (!cached->options.recomputable) return true;
    pthread_mutex_lock(&cache->lock);

    bool refused = cache->refused == cached->options.dataset && !has_place(cache, cached, cache->refused_bytes);

    if (refused) {
        set_state(cached, GONE);
        cache->dropped++;
    }
    pthread_mutex_unlock(&cache->lock);
    return !refused;
}

/* ---- Reading -------------------------------------------------------------------------------------------------- */

static int lost(const struct tide_cached *cached, struct tide_error *err) {
    tide_error_set(err, TIDE_ELOST, "it is not kept any more");
    return prefix(cached, err);
}

/* What is on disk can't be read. */
static int unreadable(struct tide_cached *cached, struct tide_error *err) {
    struct tide_cache *cache = cached->cache;

    prefix(cached, err);
    if (err->code == TIDE_ENOMEM) return err->code;
    pthread_mutex_lock(&cache->lock);

    bool recomputable = cached->options.recomputable, first = cached->state == DISK;

    if (recomputable && first) {
        set_state(cached, GONE);
        tide_list_remove(&cached->link);
        cache->dropped++;
    }
    pthread_mutex_unlock(&cache->lock);
    if (!recomputable) {
        struct tide_error cause = {0};

        tide_error_move(&cause, err);
        tide_error_set(err, cause.code, "%s. It can't be computed again: what it was made from is not kept",
                       cause.text);
        tide_error_clear(&cause);
        return err->code;
    }
    if (first) tide_log(TIDE_LOG_WARN, "memory", "%s; it is computed again", err->text);
    return lost(cached, err);
}

int tide_cached_open(struct tide_cached *cached, uint32_t list, struct tide_blocks *out, struct tide_error *err) {
    struct tide_cache *cache = cached->cache;

    assert(list < cached->options.lists);
    pthread_mutex_lock(&cache->lock);

    enum state state = cached->state;

    if (state == MEMORY || state == WRITING) tide_blocks_append(out, &cached->lists[list]);
    if (state == MEMORY && cached->options.memory) {
        tide_list_remove(&cached->link);
        tide_list_push(&cache->memory, &cached->link);
    }
    pthread_mutex_unlock(&cache->lock);
    if (state == MEMORY || state == WRITING) return TIDE_OK;
    if (state != DISK) return lost(cached, err);

    uint64_t from = list > 0 ? cached->ends[list - 1] : 0;
    int status = tide_spill_read(cache->spill, &cached->extent, from, cached->ends[list], out, err);

    return status == TIDE_OK ? status : unreadable(cached, err);
}

bool tide_cached_at_hand(const struct tide_cached *cached) { return state_of(cached) != GONE; }

bool tide_cached_fits(struct tide_cached *cached) {
    struct tide_cache *cache = cached->cache;

    pthread_mutex_lock(&cache->lock);

    bool fits = has_place(cache, cached, cached->records >= 0 ? cached->footprint : cache->refused_bytes);

    if (!fits && cached->options.disk) { /* perhaps the disk works again: one is going to find out */
        cache->refused = 0;
        fits = true;
    }
    pthread_mutex_unlock(&cache->lock);
    return fits;
}

bool tide_cached_hold(struct tide_cached *cached) {
    pthread_mutex_lock(&cached->cache->lock);
    cached->options.recomputable = false;

    bool there = cached->state != GONE;

    pthread_mutex_unlock(&cached->cache->lock);
    return there;
}

int64_t tide_cached_records(const struct tide_cached *cached) { return cached->records; }

uint64_t tide_cached_bytes(const struct tide_cached *cached) { return cached->bytes; }

bool tide_cached_on_disk(const struct tide_cached *cached) { return state_of(cached) == DISK; }
