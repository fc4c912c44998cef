/*
 * The table of broadcast variables: a list behind a lock, because there are few and a worker asks for each once. The
 * driver adds and removes, workers get.
 *
 * References of closure packages: their bytes are searched for a directory entry as lua/moontide/closure/format.lua
 * writes it: kind, length and name of the class, number in ULEB128.
 */
#include "store/broadcast.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"

struct entry {
    struct entry *next;
    struct tide_block *block;
    struct tide_broadcast_refs *broadcasts; /* a value may be a function that uses other values */
    uint32_t number;
    uint32_t refs;
    uint32_t refreshed;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards the rest; no other lock is taken under it */
static struct entry *entries;                            /* newest first */
static uint32_t last_number;
static uint32_t epoch;

/* The link that leads to the entry, or to NULL at the end. */
static struct entry **find(uint32_t number) {
    struct entry **link = &entries;

    while (*link && (*link)->number != number) link = &(*link)->next;
    return link;
}

uint32_t tide_broadcast_add(struct tide_block *take) {
    struct entry *entry = tide_xcalloc(1, sizeof *entry);

    entry->block = take;
    entry->broadcasts = tide_broadcast_refs_new(take->data, take->size);
    entry->refs = 1;
    pthread_mutex_lock(&lock);

    uint32_t number = ++last_number;

    entry->number = number;
    entry->next = entries;
    entries = entry;
    pthread_mutex_unlock(&lock);
    return number;
}

struct tide_block *tide_broadcast_get(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);
    struct tide_block *block = entry ? tide_block_retain(entry->block) : NULL;

    pthread_mutex_unlock(&lock);
    return block;
}

bool tide_broadcast_refresh(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);

    if (entry) entry->refreshed = __atomic_add_fetch(&epoch, 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    return entry;
}

/* Under the lock. Returns the entry, for the caller to free after unlocking; NULL at the end of the list. */
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
    tide_broadcast_refs_delete(entry->broadcasts);
    tide_free(entry);
}

bool tide_broadcast_retain(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);

    if (entry) entry->refs++;
    pthread_mutex_unlock(&lock);
    return entry;
}

void tide_broadcast_release(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry **link = find(number);
    struct entry *gone = *link && --(*link)->refs == 0 ? take_out(link) : NULL;

    pthread_mutex_unlock(&lock);
    entry_free(gone);
}

bool tide_broadcast_remove(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *gone = take_out(find(number));

    pthread_mutex_unlock(&lock);
    entry_free(gone);
    return gone;
}

uint32_t tide_broadcast_count(void) {
    uint32_t count = 0;

    pthread_mutex_lock(&lock);
    for (const struct entry *entry = entries; entry; entry = entry->next) count++;
    pthread_mutex_unlock(&lock);
    return count;
}

uint32_t tide_broadcast_epoch(void) { return __atomic_load_n(&epoch, __ATOMIC_ACQUIRE); }

uint32_t tide_broadcast_refreshed(uint32_t number) {
    pthread_mutex_lock(&lock);

    struct entry *entry = *find(number);
    uint32_t refreshed = entry ? entry->refreshed : TIDE_BROADCAST_GONE;

    pthread_mutex_unlock(&lock);
    return refreshed;
}

/* ---- References of closure packages ------------------------------------------------------------------------- */

struct tide_broadcast_refs {
    uint32_t count;
    uint32_t numbers[];
};

static const char ENTRY[] = "\x08\x09"
                            "Broadcast";

enum { ENTRY_SIZE = sizeof ENTRY - 1, MOST_DIGITS = 5 };

/* The number at `at`; 0, which no value has, if the bytes end within it. */
static uint32_t read_number(const uint8_t *at, const uint8_t *end) {
    uint32_t number = 0;

    for (int i = 0; i < MOST_DIGITS && at < end; i++, at++) {
        number |= (uint32_t)(*at & 0x7f) << (7 * i);
        if ((*at & 0x80) == 0) return number;
    }
    return 0;
}

/* The number of the next entry; NULL: there is no further entry. */
static const uint8_t *next_number(const uint8_t *at, const uint8_t *end) {
    if (at == end) return NULL;

    const uint8_t *entry = memmem(at, (size_t)(end - at), ENTRY, ENTRY_SIZE);

    return entry ? entry + ENTRY_SIZE : NULL;
}

static struct tide_broadcast_refs *with(struct tide_broadcast_refs *refs, uint32_t number) {
    uint32_t count = refs ? refs->count : 0;

    refs = tide_xrealloc(refs, sizeof *refs + (count + 1) * sizeof refs->numbers[0]);
    refs->numbers[count] = number;
    refs->count = count + 1;
    return refs;
}

struct tide_broadcast_refs *tide_broadcast_refs_new(const void *bytes, size_t size) {
    const uint8_t *at = bytes, *end = at + size;
    struct tide_broadcast_refs *refs = NULL;

    while ((at = next_number(at, end))) {
        uint32_t number = read_number(at, end);

        if (tide_broadcast_retain(number)) refs = with(refs, number);
    }
    return refs;
}

struct tide_broadcast_refs *tide_broadcast_refs_take(uint32_t number) {
    return with(NULL, number);
}

void tide_broadcast_refs_delete(struct tide_broadcast_refs *refs) {
    if (!refs) return;
    for (uint32_t i = 0; i < refs->count; i++) tide_broadcast_release(refs->numbers[i]);
    tide_free(refs);
}
