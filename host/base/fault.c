/*
 * Named faults for failure specs. Fault points sit in every layer and on every thread, so the question costs one
 * relaxed load as long as nothing is armed; armed processes are tests and may pay for a lock.
 */
#include "base/fault.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/list.h"
#include "base/log.h"

struct armed_fault {
    struct tide_list link;
    long skip;
    long times; /* < 0: for ever */
    char name[];
};

enum { ENVIRONMENT_UNREAD = -1 };

static int armed = ENVIRONMENT_UNREAD; /* otherwise the number of armed names */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tide_list faults = {&faults, &faults};

/* With the lock held. */
static struct armed_fault *find(const char *name) {
    TIDE_LIST_EACH(it, &faults) {
        struct armed_fault *fault = TIDE_CONTAINER_OF(it, struct armed_fault, link);
        if (strcmp(fault->name, name) == 0) return fault;
    }
    return NULL;
}

static void set_armed(int count) { __atomic_store_n(&armed, count, __ATOMIC_RELAXED); }

static void arm(const char *name, size_t size, long skip, long times) {
    char *copy = tide_xmalloc(size + 1);

    memcpy(copy, name, size);
    copy[size] = 0;
    struct armed_fault *fault = find(copy);
    if (!fault) {
        fault = tide_xmalloc(sizeof *fault + size + 1);
        memcpy(fault->name, copy, size + 1);
        tide_list_push(&faults, &fault->link);
        set_armed(armed + 1);
    }
    fault->skip = skip;
    fault->times = times;
    tide_free(copy);
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
    struct armed_fault *fault = find(name);
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
    struct tide_list *node;
    while ((node = tide_list_pop(&faults))) tide_free(TIDE_CONTAINER_OF(node, struct armed_fault, link));
    set_armed(0); /* also when the environment was not read yet: cleared means cleared */
    pthread_mutex_unlock(&lock);
}
