/*
 * The table of shared values (see shared.h): a list behind a lock, for there are few of them and each is asked for once per
 * worker. The driver adds and removes, workers get.
 */
#include "store/broadcast.h"

#include <pthread.h>
#include <stddef.h>

#include "base/alloc.h"
#include "store/carried.h"

struct entry {
    struct entry *next;
    struct tide_block *block;
    struct tide_carried *carried; /* a value may be a function that uses another one */
    uint32_t number;
    uint32_t refs;
    uint32_t refreshed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* leaf: guards the rest */
static struct entry *entries;
static uint32_t last_number;
static uint32_t epoch;

/* The link that leads to the entry, or to NULL at the end. */
static struct entry **find(uint32_t number) {
    struct entry **link = &entries;

    while (*link && (*link)->number != number) link = &(*link)->next;
    return link;
}

uint32_t tide_shared_add(struct tide_block *take) {
    struct entry *entry = tide_xcalloc(1, sizeof *entry);

    entry->block = take;
    entry->carried = tide_carried_new(take->data, take->size);
    entry->refs = 1;
    pthread_mutex_lock(&lock);

    uint32_t number = ++last_number;

    entry->number = number;
    entry->next = entries;
    entries = entry;
    pthread_mutex_unlock(&lock);
    return number;
}

struct tide_block *tide_shared_get(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);
    struct tide_block *block = entry ? tide_block_retain(entry->block) : NULL;

    pthread_mutex_unlock(&lock);
    return block;
}

bool tide_shared_refresh(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);

    if (entry) entry->refreshed = __atomic_add_fetch(&epoch, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    return entry;
}

/* Under the lock. The entry, which is the caller's to free once the lock is given back; NULL when the link leads nowhere. */
static struct entry *take_out(struct entry **link) {
    struct entry *entry = *link;

    if (entry) {
        *link = entry->next;
        __atomic_add_fetch(&epoch, 1, __ATOMIC_RELEASE);
    }
    return entry;
}

static void entry_free(struct entry *entry) {
    if (!entry) return;
    tide_block_release(entry->block);
    tide_carried_delete(entry->carried);
    tide_free(entry);
}

bool tide_shared_retain(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);

    if (entry) entry->refs++;
    pthread_mutex_unlock(&lock);
    return entry;
}

void tide_shared_release(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry **link = find(number);
    struct entry *gone = *link && --(*link)->refs == 0 ? take_out(link) : NULL;

    pthread_mutex_unlock(&lock);
    entry_free(gone);
}

bool tide_shared_remove(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *gone = take_out(find(number));

    pthread_mutex_unlock(&lock);
    entry_free(gone);
    return gone;
}

uint32_t tide_shared_count(void) {
    uint32_t count = 0;

    pthread_mutex_lock(&lock);
    for (const struct entry *entry = entries; entry; entry = entry->next) count++;
    pthread_mutex_unlock(&lock);
    return count;
}

uint32_t tide_shared_epoch(void) { return __atomic_load_n(&epoch, __ATOMIC_ACQUIRE); }

uint32_t tide_shared_refreshed(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);
    uint32_t refreshed = entry ? entry->refreshed : UINT32_MAX;

    pthread_mutex_unlock(&lock);
    return refreshed;
}
