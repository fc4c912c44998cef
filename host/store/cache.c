/*
 * The cache (see cache.h). Workers fill and open entries around each task (task/task.h); the driver passes them on.
 *
 * An entry that is being written can be read from memory until it is on disk. The writing thread holds a reference
 * and is the only one that changes the state meanwhile. The thread that moves an entry out of MEMORY frees its lists,
 * without the lock: no other thread reads them any more.
 *
 * Entries share blocks. store/room.h counts them and chooses victims; on disk too there is one copy of each block
 * (store/copies.h).
 *
 * Freeing space on disk is deferred to tide_cache_tidy: it can take a while, and the last reference is often dropped
 * on the driver's thread. Blocks and copies are never released with the lock held.
 */
#include "store/cache.h"

#include <assert.h>
#include <pthread.h>

#include "base/alloc.h"
#include "base/log.h"
#include "store/copies.h"
#include "store/room.h"
#include "store/spill.h"

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

    if (untidy && !was && cache->wake) cache->wake(cache->arg);
}

/* "partition 3 of dataset #12" */
static int prefix(const struct tide_cached *cached, struct tide_error *err) {
    return tide_error_prefix(err, "%s %u of dataset #%llu", kind_names[cached->options.kind],
                             cached->options.partition, (unsigned long long)cached->options.dataset);
}

/* ---- Memory and disk ---------------------------------------------------------------------------------------- */

static void enter_memory(struct tide_cache *cache, struct tide_cached *cached) {
    set_state(cached, MEMORY);
    tide_list_push(&cache->memory, &cached->link);
}

/* Logs that writing fails: once until it works again, and once a minute at most. */
static void complain(struct tide_cache *cache, const struct tide_cached *cached, struct tide_error *take_err) {
    prefix(cached, take_err);
    tide_log_sparse(&cache->write_failures, TIDE_LOG_WARN, "memory", "%s\n%s", take_err->text,
                    cached->options.recomputable ? "until then such data is computed again whenever it is needed"
                                                 : "until then such data stays in memory beyond the limit");
    tide_error_clear(take_err);
}

/* Notes that there was no room for it. */
static void refuse(struct tide_cache *cache, const struct tide_cached *cached) {
    cache->dropped++;
    cache->refused = cached->options.dataset;
    cache->refused_bytes = cached->footprint;
}

static uint32_t count_blocks(const struct tide_cached *cached) {
    uint32_t count = 0;

    for (uint32_t i = 0; i < cached->options.lists; i++) count += cached->lists[i].count;
    return count;
}

static bool is_claimed(const struct tide_cached *cached) {
    TIDE_EACH_BLOCK(cached, block) {
        if (block->claimed) return true;
    }
    return false;
}

/* Waits until no other thread writes one of the blocks, and claims those that have to be written. Fills in all
 * blocks, and the copies that exist. */
static void claim(struct tide_cache *cache, struct tide_cached *cached, struct tide_block **blocks,
                  struct tide_copy **copies) {
    uint32_t count = 0;

    while (is_claimed(cached)) pthread_cond_wait(&cache->written, &cache->lock);
    TIDE_EACH_BLOCK(cached, block) {
        bool usable = block->copy && !tide_copy_damaged(block->copy);

        copies[count] = usable ? tide_copy_retain(block->copy) : NULL;
        block->claimed = !usable;
        blocks[count++] = block;
    }
}

/* Ends the claims. The blocks refer to the copies that were written. */
static void unclaim(struct tide_cached *cached, struct tide_copy **copies, bool written) {
    uint32_t count = 0;

    TIDE_EACH_BLOCK(cached, block) {
        if (block->claimed && written && !block->copy) block->copy = tide_copy_retain(copies[count]);
        block->claimed = false;
        count++;
    }
}

static void copies_free(struct tide_copy **copies, uint32_t count) {
    for (uint32_t i = 0; copies && i < count; i++) tide_copy_release(copies[i]);
    tide_free(copies);
}

static void become_disk(struct tide_cache *cache, struct tide_cached *cached, struct tide_copy **take_copies) {
    uint32_t *ends = tide_xcalloc(cached->options.lists, sizeof *ends), end = 0;

    for (uint32_t i = 0; i < cached->options.lists; i++) ends[i] = end += cached->lists[i].count;
    cached->copies = take_copies;
    cached->ends = ends;
    set_state(cached, DISK);
    tide_list_push(&cache->on_disk, &cached->link);
}

/* Writes an entry that is WRITING, without the lock. Afterwards it is DISK, GONE, or (false) still WRITING: it must
 * stay in memory. The lock is held before and after; the lists are not freed. */
static bool write_out(struct tide_cache *cache, struct tide_cached *cached) {
    uint32_t count = count_blocks(cached);
    struct tide_block **blocks = tide_xcalloc(count > 0 ? count : 1, sizeof(struct tide_block *));
    struct tide_copy **copies = tide_xcalloc(count > 0 ? count : 1, sizeof(struct tide_copy *));
    struct tide_error err = {0};
    uint64_t bytes = 0;

    claim(cache, cached, blocks, copies);
    pthread_mutex_unlock(&cache->lock);

    int status = tide_copies_write(cache->copies, blocks, count, copies, &bytes, &err);

    pthread_mutex_lock(&cache->lock);

    bool closed = cache->closed, told = cache->failing;

    tide_free(blocks);
    unclaim(cached, copies, status == TIDE_OK);
    pthread_cond_broadcast(&cache->written);
    cache->failing = status != TIDE_OK;
    if (status == TIDE_OK && !closed) {
        cache->spilled += bytes;
        become_disk(cache, cached, copies);
        return true;
    }

    bool gone = closed || cached->options.recomputable;

    if (gone) set_state(cached, GONE);
    if (gone && !closed) refuse(cache, cached);
    pthread_mutex_unlock(&cache->lock);
    copies_free(copies, count);
    if (status != TIDE_OK && !told && !closed) complain(cache, cached, &err);
    tide_error_clear(&err);
    pthread_mutex_lock(&cache->lock);
    return gone;
}

/* Removes an entry from memory; the lock is held before and after, but not all the time. false: it has to stay. */
static bool evict(struct tide_cache *cache, struct tide_cached *victim) {
    bool left = true;

    tide_cached_retain(victim);
    tide_list_remove(&victim->link);
    if (victim->options.disk || !victim->options.recomputable) {
        set_state(victim, WRITING);
        cache->writing++;
        left = write_out(cache, victim);
        cache->writing--;
        pthread_cond_broadcast(&cache->written);
    } else {
        set_state(victim, GONE);
        cache->dropped++;
    }
    if (left) tide_room_leave(cache, victim);
    else enter_memory(cache, victim);
    pthread_mutex_unlock(&cache->lock);
    if (left) lists_free(victim);
    tide_cached_release(victim);
    pthread_mutex_lock(&cache->lock);
    return left;
}

/* ---- Making room -------------------------------------------------------------------------------------------- */

/* With the lock, which it may release meanwhile. tide_room_hold was called for the entry. */
static bool make_room(struct tide_cache *cache, const struct tide_cached *cached) {
    for (;;) {
        uint64_t wanted = tide_room_addition(cached);

        if (cache->used + wanted <= cache->limit) return true;
        if (wanted > cache->limit) return false;

        struct tide_cached *victim = tide_room_victim(cache, cached, wanted);

        if (victim) {
            if (!evict(cache, victim)) return false;
        } else if (cache->writing > 0) {
            pthread_cond_wait(&cache->written, &cache->lock);
        } else {
            return false;
        }
    }
}

/* ---- The cache ---------------------------------------------------------------------------------------------- */

static void on_garbage(void *arg) {
    struct tide_cache *cache = arg;

    pthread_mutex_lock(&cache->lock);
    set_untidy(cache, true);
    pthread_mutex_unlock(&cache->lock);
}

struct tide_cache *tide_cache_new(const struct tide_cache_options *options, struct tide_error *err) {
    struct tide_spill *spill = tide_spill_new(options->directory, err);

    if (!spill) return NULL;

    struct tide_cache *cache = tide_xcalloc(1, sizeof *cache);

    cache->refs = 1;
    cache->limit = options->limit;
    cache->copies = tide_copies_new(spill);
    tide_copies_on_garbage(cache->copies, on_garbage, cache);
    pthread_mutex_init(&cache->lock, NULL);
    pthread_cond_init(&cache->written, NULL);
    tide_list_create(&cache->memory);
    tide_list_create(&cache->on_disk);
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
    if (!cache || __atomic_sub_fetch(&cache->refs, 1, __ATOMIC_ACQ_REL) != 0) return;
    tide_copies_on_garbage(cache->copies, NULL, NULL);
    tide_copies_close(cache->copies);
    tide_copies_release(cache->copies);
    pthread_cond_destroy(&cache->written);
    pthread_mutex_destroy(&cache->lock);
    tide_free(cache);
}

static void cached_delete(struct tide_cached *cached) {
    struct tide_cache *cache = cached->cache;

    copies_free(cached->copies,
                cached->copies && cached->options.lists > 0 ? cached->ends[cached->options.lists - 1] : 0);
    tide_free(cached->ends);
    tide_free(cached);
    tide_cache_release(cache);
}

static struct tide_cached *first_of(const struct tide_list *list) {
    return tide_list_empty(list) ? NULL : TIDE_CONTAINER_OF(list->next, struct tide_cached, link);
}

bool tide_cache_tidy(struct tide_cache *cache) {
    if (!__atomic_load_n(&cache->untidy, __ATOMIC_RELAXED)) return false;
    if (tide_copies_tidy(cache->copies)) return true;
    pthread_mutex_lock(&cache->lock);

    struct tide_cached *victim = first_of(&cache->memory);

    if (victim && victim->options.memory)
        victim = cache->used > cache->limit ? tide_room_victim(cache, NULL, 0) : NULL;

    bool more = victim && evict(cache, victim);

    if (!more) set_untidy(cache, false);
    pthread_mutex_unlock(&cache->lock);
    /* Another thread may have added work meanwhile. */
    if (!more && (more = tide_copies_tidy(cache->copies))) __atomic_store_n(&cache->untidy, true, __ATOMIC_RELAXED);
    return more;
}

void tide_cache_close(struct tide_cache *cache) {
    struct tide_cached *cached;

    pthread_mutex_lock(&cache->lock);
    cache->closed = true;
    while ((cached = first_of(&cache->on_disk))) {
        tide_list_remove(&cached->link);
        set_state(cached, GONE);
    }
    pthread_mutex_unlock(&cache->lock);
    tide_copies_close(cache->copies);
}

void tide_cache_figures(struct tide_cache *cache, struct tide_cache_figures *figures) {
    pthread_mutex_lock(&cache->lock);
    *figures = (struct tide_cache_figures){
        .limit = cache->limit,
        .memory = cache->used,
        .peak = cache->peak,
        .disk = tide_copies_bytes(cache->copies),
        .spilled = cache->spilled,
        .dropped = cache->dropped,
    };
    pthread_mutex_unlock(&cache->lock);
}

/* ---- Entries ------------------------------------------------------------------------------------------------ */

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

/* Drops a reference if it is not the last one; false: it is, or may become so. */
static bool drop_shared(struct tide_cached *cached) {
    uint32_t refs = __atomic_load_n(&cached->refs, __ATOMIC_RELAXED);

    while (refs > 1)
        if (__atomic_compare_exchange_n(&cached->refs, &refs, refs - 1, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
            return true;
    return false;
}

/* The last reference is dropped with the lock held, and the entry leaves its list then: an entry found in a list can
 * be retained. */
void tide_cached_release(struct tide_cached *cached) {
    if (!cached || drop_shared(cached)) return;

    struct tide_cache *cache = cached->cache;

    pthread_mutex_lock(&cache->lock);
    if (__atomic_sub_fetch(&cached->refs, 1, __ATOMIC_ACQ_REL) != 0) {
        pthread_mutex_unlock(&cache->lock);
        return;
    }
    tide_list_remove(&cached->link);
    if (cached->state == MEMORY) tide_room_leave(cache, cached);
    pthread_mutex_unlock(&cache->lock);
    lists_free(cached);
    cached_delete(cached);
}

/* Takes the lists, and computes their figures. */
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

/* With the lock: the entry enters memory, or becomes WRITING or GONE. */
static void admit(struct tide_cache *cache, struct tide_cached *cached) {
    if (cache->closed) {
        set_state(cached, GONE);
    } else if (tide_room_is_fixed(cached) || cached->footprint == 0 ||
               (cached->options.memory && make_room(cache, cached))) {
        tide_room_count(cache, cached);
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
    tide_room_hold(cached);
    admit(cache, cached);
    if (cached->state == WRITING && !write_out(cache, cached)) {
        tide_room_count(cache, cached);
        enter_memory(cache, cached);
    }

    bool left = cached->state != MEMORY;

    if (left) tide_room_leave(cache, cached);
    pthread_mutex_unlock(&cache->lock);
    if (left) lists_free(cached);
}

void tide_cached_put(struct tide_cached *cached, struct tide_blocks *take_lists) {
    struct tide_cache *cache = cached->cache;

    take(cached, take_lists);
    pthread_mutex_lock(&cache->lock);

    bool closed = cache->closed;

    if (closed) {
        set_state(cached, GONE);
    } else {
        tide_room_hold(cached);
        tide_room_count(cache, cached);
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

/* With the lock: whether there is room for so many bytes. */
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

/* ---- Reading ------------------------------------------------------------------------------------------------ */

static int lost(const struct tide_cached *cached, struct tide_error *err) {
    tide_error_set(err, TIDE_ELOST, "it is not cached any more");
    return prefix(cached, err);
}

/* Reading from disk has failed. */
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
        tide_error_set(err, cause.code, "%s. It can't be computed again: its inputs are gone", cause.text);
        tide_error_clear(&cause);
        return err->code;
    }
    if (first) tide_log_sparse(&cache->read_failures, TIDE_LOG_WARN, "memory", "%s; it is computed again", err->text);
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

    uint32_t from = list > 0 ? cached->ends[list - 1] : 0;
    int status = tide_copies_read(cache->copies, cached->copies + from, cached->ends[list] - from, out, err);

    return status == TIDE_OK ? status : unreadable(cached, err);
}

bool tide_cached_available(const struct tide_cached *cached) { return state_of(cached) != GONE; }

bool tide_cached_fits(struct tide_cached *cached) {
    struct tide_cache *cache = cached->cache;

    pthread_mutex_lock(&cache->lock);

    bool fits = has_place(cache, cached, cached->records >= 0 ? cached->footprint : cache->refused_bytes);

    if (!fits && cached->options.disk) { /* perhaps the disk works again: try one entry */
        cache->refused = 0;
        fits = true;
    }
    pthread_mutex_unlock(&cache->lock);
    return fits;
}

bool tide_cached_forbid_drop(struct tide_cached *cached) {
    pthread_mutex_lock(&cached->cache->lock);
    cached->options.recomputable = false;

    bool available = cached->state != GONE;

    pthread_mutex_unlock(&cached->cache->lock);
    return available;
}

int64_t tide_cached_records(const struct tide_cached *cached) { return cached->records; }

uint64_t tide_cached_bytes(const struct tide_cached *cached) { return cached->bytes; }

bool tide_cached_on_disk(const struct tide_cached *cached) { return state_of(cached) == DISK; }
