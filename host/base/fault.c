/*
 * Named faults for failure specs. Fault points sit in every layer and on every thread, so the question costs one
 * relaxed load as long as nothing is armed; armed processes are tests and may pay for a lock.
 */
#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { ENVIRONMENT_UNREAD = -1, MOST_FAULTS = 16, MOST_NAME = 64 };

struct armed_fault {
    char name[MOST_NAME];
    long skip;
    long times; /* < 0: for ever */
};

static int armed = ENVIRONMENT_UNREAD; /* otherwise the number of armed names */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct armed_fault faults[MOST_FAULTS]; /* a table, because base/alloc.h is above: it asks for faults */

/* With the lock held. */
static struct armed_fault *find(const char *name, size_t size) {
    for (int i = 0; i < armed; i++)
        if (strlen(faults[i].name) == size && memcmp(faults[i].name, name, size) == 0) return &faults[i];
    return NULL;
}

static void set_armed(int count) { __atomic_store_n(&armed, count, __ATOMIC_RELAXED); }

static void arm(const char *name, size_t size, long skip, long times) {
    struct armed_fault *fault = find(name, size);

    if (!fault) {
        if (armed == MOST_FAULTS || size >= MOST_NAME) {
            tide_log(TIDE_LOG_WARN, "fault",
                     "'%.*s' is not armed: at most %d faults with names of less than %d bytes", (int)size, name,
                     MOST_FAULTS, MOST_NAME);
            return;
        }
        fault = &faults[armed];
        memcpy(fault->name, name, size);
        fault->name[size] = 0;
        set_armed(armed + 1);
    }
    fault->skip = skip;
    fault->times = times;
}

/* ":12" at `*at`: moves behind it. False when there is something else. */
static bool parse_count(const char **at, long *value) {
    char *end;

    errno = 0;
    long n = strtol(*at + 1, &end, 10);
    if (end == *at + 1 || errno || (*end && *end != ':' && *end != ',')) return false;
    *value = n;
    *at = end;
    return true;
}

/* With the lock held, once. */
static void read_environment(void) {
    if (armed != ENVIRONMENT_UNREAD) return;
    set_armed(0);
    const char *at = getenv("MOONTIDE_FAULT");
    while (at && *at) {
        const char *entry = at;
        size_t size = strcspn(at, ":,");
        long skip = 0, times = -1;
        bool good = size > 0;
        at += size;
        if (good && *at == ':') good = parse_count(&at, &skip) && skip >= 0;
        if (good && *at == ':') good = parse_count(&at, &times);
        if (good && *at == ':') good = false;
        if (good) {
            arm(entry, size, skip, times);
        } else {
            size_t whole = strcspn(entry, ",");
            tide_log(TIDE_LOG_WARN, "fault", "MOONTIDE_FAULT: '%.*s' is not name[:skip[:times]] and is ignored",
                     (int)whole, entry);
            at = entry + whole;
        }
        if (*at == ',') at++;
    }
}

bool tide_fault(const char *name) {
    if (__atomic_load_n(&armed, __ATOMIC_RELAXED) == 0) return false;
    bool fails = false;
    pthread_mutex_lock(&lock);
    read_environment();
    struct armed_fault *fault = find(name, strlen(name));
    if (fault) {
        if (fault->skip > 0) {
            fault->skip--;
        } else if (fault->times != 0) {
            if (fault->times > 0) fault->times--;
            fails = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return fails;
}

void tide_fault_arm(const char *name, long skip, long times) {
    pthread_mutex_lock(&lock);
    read_environment();
    arm(name, strlen(name), skip, times);
    pthread_mutex_unlock(&lock);
}

void tide_fault_clear(void) {
    pthread_mutex_lock(&lock);
    set_armed(0); /* also when the environment was not read yet: cleared means cleared */
    pthread_mutex_unlock(&lock);
}
