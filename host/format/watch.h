/*
 * Tells which names in some directories were touched: made, moved in, written and closed, or given other times. Over
 * inotify, on file systems of this machine, whose changes the kernel sees. What it tells is a hint: whoever uses it
 * looks at everything now and then all the same.
 *
 * Thread: the owner's. Fault: watch.new.
 */
#ifndef TIDE_FORMAT_WATCH_H
#define TIDE_FORMAT_WATCH_H

#include <stdbool.h>

struct tide_watch;

struct tide_watch *tide_watch_new(void);          /* NULL: the system has none to give */
void tide_watch_delete(struct tide_watch *watch); /* NULL is fine */
/* From now on. false: changes of this directory are not told. */
bool tide_watch_add(struct tide_watch *watch, const char *path);
enum tide_watch_told {
    TIDE_WATCH_NAMES,       /* all that was touched */
    TIDE_WATCH_DIRECTORIES, /* the same, and that a directory was made, moved or removed */
    TIDE_WATCH_MISSED       /* not all of it */
};

/* Calls `touched` for each name that was touched since the last call, more than once perhaps. */
enum tide_watch_told tide_watch_read(struct tide_watch *watch,
                                     void (*touched)(void *arg, const char *directory, const char *name), void *arg);

#endif
