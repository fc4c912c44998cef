/*
 * Watching directories (see watch.h). Used by format/listing.c.
 */
#include "format/watch.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdint.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/fault.h"

enum {
    TOUCHED = IN_CREATE | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB,
    GONE = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED,
    XFS_MAGIC = 0x58465342,
};

struct directory {
    int number; /* inotify's; in ascending order */
    char *path;
};

struct tide_watch {
    int fd;
    struct directory *directories;
    uint32_t count, capacity;
};

struct tide_watch *tide_watch_new(void) {
    int fd = tide_fault("watch.new") ? -1 : inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

    if (fd < 0) return NULL;

    struct tide_watch *watch = tide_xcalloc(1, sizeof *watch);

    watch->fd = fd;
    return watch;
}

void tide_watch_delete(struct tide_watch *watch) {
    if (!watch) return;
    close(watch->fd);
    for (uint32_t i = 0; i < watch->count; i++) tide_free(watch->directories[i].path);
    tide_free(watch->directories);
    tide_free(watch);
}

/* File systems whose changes all come through this kernel. */
static bool is_local(const char *path) {
    struct statfs status;

    if (statfs(path, &status) != 0) return false;
    switch ((uint32_t)status.f_type) {
    case EXT4_SUPER_MAGIC:
    case XFS_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case TMPFS_MAGIC:
    case OVERLAYFS_SUPER_MAGIC: return true;
    default: return false;
    }
}

bool tide_watch_add(struct tide_watch *watch, const char *path) {
    if (!is_local(path)) return false;

    int number = inotify_add_watch(watch->fd, path, TOUCHED | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);

    /* One that it has already has another name there. */
    if (number < 0 || (watch->count > 0 && number <= watch->directories[watch->count - 1].number)) return false;
    TIDE_ARRAY_RESERVE(watch->directories, watch->capacity, watch->count + 1);
    watch->directories[watch->count++] = (struct directory){.number = number, .path = tide_xstrdup(path)};
    return true;
}

static const char *path_of(const struct tide_watch *watch, int number) {
    uint32_t low = 0, high = watch->count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (watch->directories[middle].number < number) low = middle + 1;
        else high = middle;
    }
    return low < watch->count && watch->directories[low].number == number ? watch->directories[low].path : NULL;
}

/* Whether it says the same as the one before, which was told; both were there before it was. */
static bool is_repeated(const struct inotify_event *event, const struct inotify_event *before) {
    return before && before->wd == event->wd && before->len > 0 && event->len > 0 &&
           strcmp(before->name, event->name) == 0;
}

/* A directory may be given other times. */
static bool is_of_directories(const struct inotify_event *event) {
    return event->mask & GONE || (event->mask & IN_ISDIR && event->mask & (IN_CREATE | IN_MOVED_TO));
}

enum tide_watch_told tide_watch_read(struct tide_watch *watch,
                                     void (*touched)(void *arg, const char *directory, const char *name), void *arg) {
    _Alignas(struct inotify_event) char buffer[64 * 1024];
    enum tide_watch_told told = TIDE_WATCH_NAMES;
    ssize_t size;

    while ((size = read(watch->fd, buffer, sizeof buffer)) > 0) {
        const struct inotify_event *event, *before = NULL;

        for (char *at = buffer; at < buffer + size; at += sizeof *event + event->len, before = event) {
            event = (const struct inotify_event *)at;

            const char *directory = path_of(watch, event->wd);

            if (event->mask & IN_Q_OVERFLOW) return TIDE_WATCH_MISSED;
            if (is_of_directories(event) || !directory) told = TIDE_WATCH_DIRECTORIES;
            else if (event->len > 0 && !(event->mask & IN_ISDIR) && !is_repeated(event, before))
                touched(arg, directory, event->name);
        }
    }
    return size < 0 && errno == EAGAIN ? told : TIDE_WATCH_MISSED;
}
