/*
 * Listing directories (see listing.h). Made by the bindings, kept by dstream/file_input.c, and used by driver/look.c
 * on a thread of its own.
 *
 * A file is old when its time of modification is not after `after`. An old file is not asked for again as long as its
 * name has the same inode: one that is replaced (rename) is noticed, one that is rewritten in place only where the
 * directory is watched (format/watch.h).
 *
 * Where all directories are watched, a look asks for the names that were touched and for the files that were not old
 * yet. Everything is listed in a quarter of the time that a file may be found in, so that none depends on the watch.
 */
#include "format/listing.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/buffer.h"
#include "format/file_table.h"
#include "format/watch.h"

struct tide_listing {
    uint32_t refs;
    char **patterns;
    uint32_t npatterns;
    uint32_t depth;
    bool all;
    struct tide_file_table known; /* inode: of the name; mark: the look that saw it last */
    int64_t looks;
    uint64_t asked, passes;

    struct tide_watch *watch;       /* of all directories since the last full look; NULL: not of all */
    int64_t listed;                 /* `until` of that look */
    struct top *tops;               /* where the patterns led then, one for each */
    struct tide_file_entry **young; /* not old at the last look */
    uint32_t nyoung, young_capacity;
};

/* The identity of a directory. */
struct top {
    dev_t device;
    ino_t inode;
};

/* One look. */
struct look {
    struct tide_listing *listing;
    int64_t after, until;
    struct tide_listed_files *found;
    struct tide_buffer path; /* of what is being looked at, terminated */
    bool any;                /* a directory was there */
    bool touched;            /* through the watch: its names are asked for whatever is known of them */
    int status;
    struct tide_error *err;
};

/* ---- Files found ----------------------------------------------------------------------------------------------- */

void tide_listed_files_add(struct tide_listed_files *files, const struct tide_listed *file) {
    TIDE_ARRAY_RESERVE(files->items, files->capacity, files->count + 1);
    files->items[files->count] = *file;
    files->items[files->count++].path = tide_xstrdup(file->path);
}

void tide_listed_files_destroy(struct tide_listed_files *files) {
    for (uint32_t i = 0; i < files->count; i++) tide_free(files->items[i].path);
    tide_free(files->items);
    *files = (struct tide_listed_files){0};
}

static int64_t mtime_of(const struct stat *status) {
    return (int64_t)status->st_mtim.tv_sec * 1000000000 + status->st_mtim.tv_nsec;
}

bool tide_listed_update(struct tide_listed *file) {
    struct tide_listed now = *file;
    struct stat status;

    if (stat(file->path, &status) != 0) return false;
    now.size = (uint64_t)status.st_size;
    now.inode = (uint64_t)status.st_ino;
    now.mtime = mtime_of(&status);

    bool same = now.size == file->size && now.inode == file->inode && now.mtime == file->mtime;

    *file = now;
    return !same;
}

static int by_age(const void *a, const void *b) {
    const struct tide_listed *first = a, *second = b;

    if (first->mtime != second->mtime) return first->mtime < second->mtime ? -1 : 1;
    return strcmp(first->path, second->path);
}

/* ---- Life ------------------------------------------------------------------------------------------------------ */

struct tide_listing *tide_listing_new(const struct tide_listing_options *options) {
    struct tide_listing *listing = tide_xcalloc(1, sizeof *listing);

    listing->refs = 1;
    listing->npatterns = options->npatterns;
    listing->patterns = tide_xcalloc(options->npatterns, sizeof *listing->patterns);
    for (uint32_t i = 0; i < options->npatterns; i++) listing->patterns[i] = tide_xstrdup(options->patterns[i]);
    listing->depth = options->depth;
    listing->all = options->all;
    listing->tops = tide_xcalloc(options->npatterns, sizeof *listing->tops);
    tide_file_table_create(&listing->known);
    return listing;
}

struct tide_listing *tide_listing_retain(struct tide_listing *listing) {
    __atomic_add_fetch(&listing->refs, 1, __ATOMIC_RELAXED);
    return listing;
}

void tide_listing_release(struct tide_listing *listing) {
    if (!listing || __atomic_sub_fetch(&listing->refs, 1, __ATOMIC_ACQ_REL) > 0) return;
    for (uint32_t i = 0; i < listing->npatterns; i++) tide_free(listing->patterns[i]);
    tide_free(listing->patterns);
    tide_free(listing->tops);
    tide_free(listing->young);
    tide_watch_delete(listing->watch);
    tide_file_table_destroy(&listing->known);
    tide_free(listing);
}

uint64_t tide_listing_asked(const struct tide_listing *listing) { return listing->asked; }

uint64_t tide_listing_passes(const struct tide_listing *listing) { return listing->passes; }

/* ---- Names ----------------------------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *ending) {
    size_t size = strlen(name), length = strlen(ending);

    return size >= length && strcmp(name + size - length, ending) == 0;
}

static bool is_left_out(const struct tide_listing *listing, const char *name) {
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return true;
    if (listing->all) return false;
    return name[0] == '.' || name[0] == '_' || ends_in(name, ".tmp") || ends_in(name, "._COPYING_") ||
           ends_in(name, ".swp") || ends_in(name, "~");
}

static const char *path_of(const struct look *look) { return (const char *)look->path.data; }

/* Makes the path end in this name; returns the length that it had. */
static size_t enter(struct look *look, const char *name) {
    size_t before = look->path.size, size = strlen(name) + 1;

    if (before > 0 && look->path.data[before - 1] != '/') tide_buffer_append(&look->path, "/", 1);
    tide_buffer_append(&look->path, name, size);
    look->path.size--; /* the terminator stays behind it */
    return before;
}

static void leave(struct look *look, size_t before) {
    look->path.size = before;
    look->path.data[before] = '\0';
}

/* ---- Directories ----------------------------------------------------------------------------------------------- */

/* Lists everything else. */
static void note_failure(struct look *look) {
    if (look->status == TIDE_OK)
        look->status = tide_error_set(look->err, TIDE_EIO, "%s can't be listed: %s", path_of(look), strerror(errno));
}

static void end_watch(struct tide_listing *listing) {
    tide_watch_delete(listing->watch);
    listing->watch = NULL;
}

static void list_directory(struct look *look, uint32_t depth);

static void note_file(struct look *look, struct tide_file_entry *entry, const struct stat *status) {
    entry->mtime = INT64_MIN; /* no file: never asked for again */
    if (!S_ISREG(status->st_mode)) return;
    entry->mtime = mtime_of(status);
    if (entry->mtime <= look->after) return;

    struct tide_listing *listing = look->listing;

    TIDE_ARRAY_RESERVE(listing->young, listing->young_capacity, listing->nyoung + 1);
    listing->young[listing->nyoung++] = entry;
    if (entry->mtime > look->until) return;
    tide_listed_files_add(look->found, &(struct tide_listed){
                                           .path = entry->path,
                                           .size = (uint64_t)status->st_size,
                                           .inode = (uint64_t)status->st_ino,
                                           .mtime = entry->mtime,
                                       });
}

/* A way round would be listed again and again. */
static bool is_link(const char *path) {
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode);
}

/* What is no directory by its name's type. */
static void consider(struct look *look, uint64_t inode, uint32_t depth) {
    struct tide_listing *listing = look->listing;
    struct tide_file_entry *entry = tide_file_table_find(&listing->known, path_of(look));
    struct stat status;

    if (entry && entry->mark == listing->looks) return; /* patterns may match a directory twice */
    if (entry && !look->touched && entry->inode == inode && entry->mtime <= look->after) {
        entry->mark = listing->looks;
        return;
    }
    listing->asked++;
    if (stat(path_of(look), &status) != 0) { /* it is gone, or a link to nothing */
        if (entry) entry->inode = 0;
        return;
    }
    if (S_ISDIR(status.st_mode)) {
        if (depth > 0 && !is_link(path_of(look))) list_directory(look, depth - 1);
        return;
    }
    if (!entry) entry = tide_file_table_put(&listing->known, path_of(look));
    entry->mark = listing->looks;
    entry->inode = look->touched ? (uint64_t)status.st_ino : inode;
    note_file(look, entry, &status);
}

static void list_entry(struct look *look, const struct dirent *entry, uint32_t depth) {
    bool unsure = entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK;
    size_t before;

    if (is_left_out(look->listing, entry->d_name)) return;
    before = enter(look, entry->d_name);
    if (entry->d_type == DT_DIR && depth > 0) list_directory(look, depth - 1);
    if (entry->d_type == DT_REG || unsure) consider(look, entry->d_ino, depth);
    leave(look, before);
}

static void list_directory(struct look *look, uint32_t depth) {
    struct tide_listing *listing = look->listing;
    bool watched = listing->watch && tide_watch_add(listing->watch, path_of(look)); /* before it is read */
    DIR *directory = opendir(path_of(look));
    struct dirent *entry;

    if (!watched) end_watch(listing);
    if (!directory) {
        note_failure(look);
        return;
    }
    look->any = true;
    for (errno = 0; (entry = readdir(directory)); errno = 0) list_entry(look, entry, depth);
    if (errno != 0) note_failure(look);
    closedir(directory);
}

static void list_path(struct look *look, const char *path) {
    leave(look, 0);
    tide_buffer_append(&look->path, path, strlen(path) + 1);
    look->path.size--;
    while (look->path.size > 1 && look->path.data[look->path.size - 1] == '/') leave(look, look->path.size - 1);
    list_directory(look, look->listing->depth);
}

/* ---- Patterns -------------------------------------------------------------------------------------------------- */

/* Whether a wildcard of the pattern stands for a part of the path that begins with "_" (glob leaves out "."). */
static bool is_hidden_match(const char *path, const char *pattern) {
    while (*path && *pattern) {
        size_t length = strcspn(path, "/"), part = strcspn(pattern, "/");
        bool wild = strcspn(pattern, "*?[") < part;

        if (wild && path[0] == '_' && pattern[0] != '_') return true;
        path += length + strspn(path + length, "/");
        pattern += part + strspn(pattern + part, "/");
    }
    return false;
}

static void list_matches(struct look *look, const char *pattern) {
    glob_t matches;

    if (glob(pattern, GLOB_ONLYDIR, NULL, &matches) != 0) return;
    for (size_t i = 0; i < matches.gl_pathc; i++) {
        struct stat status;

        if (!look->listing->all && is_hidden_match(matches.gl_pathv[i], pattern)) continue;
        if (stat(matches.gl_pathv[i], &status) == 0 && S_ISDIR(status.st_mode)) list_path(look, matches.gl_pathv[i]);
    }
    globfree(&matches);
}

static void list_pattern(struct look *look, const char *pattern) {
    struct stat status;

    if (stat(pattern, &status) == 0) list_path(look, pattern);
    else if (strpbrk(pattern, "*?[")) list_matches(look, pattern);
    else if (errno != ENOENT && errno != ENOTDIR) list_path(look, pattern);
}

/* ---- Looks ----------------------------------------------------------------------------------------------------- */

/* Patterns with wildcards may match other directories at any time. */
static bool can_watch(const struct tide_listing *listing) {
    for (uint32_t i = 0; i < listing->npatterns; i++)
        if (strpbrk(listing->patterns[i], "*?[")) return false;
    return true;
}

/* Where the pattern leads now; zero: nowhere. */
static struct top top_of(const char *pattern) {
    struct stat status;

    if (stat(pattern, &status) != 0) return (struct top){0};
    return (struct top){.device = status.st_dev, .inode = status.st_ino};
}

static bool have_tops_changed(const struct tide_listing *listing) {
    for (uint32_t i = 0; i < listing->npatterns; i++) {
        struct top now = top_of(listing->patterns[i]);

        if (now.device != listing->tops[i].device || now.inode != listing->tops[i].inode) return true;
    }
    return false;
}

static void set_path(struct look *look, const char *path) {
    leave(look, 0);
    enter(look, path);
}

/* It is asked for in the pass that follows. */
static void doubt_touched(void *arg, const char *directory, const char *name) {
    struct look *look = arg;
    struct tide_file_entry *entry;

    set_path(look, directory);
    enter(look, name);
    entry = tide_file_table_find(&look->listing->known, path_of(look));
    if (entry) entry->inode = 0;
}

/* Which files were touched is not known: all are asked for. */
static void doubt_all(struct tide_listing *listing) { tide_file_table_destroy(&listing->known); }

/* Ends the watch without missing what it has to tell. */
static void finish_watch(struct look *look) {
    struct tide_listing *listing = look->listing;

    if (listing->watch && tide_watch_read(listing->watch, doubt_touched, look) == TIDE_WATCH_MISSED)
        doubt_all(listing);
    end_watch(listing);
}

static void look_at_everything(struct look *look) {
    struct tide_listing *listing = look->listing;

    finish_watch(look);
    if (can_watch(listing)) listing->watch = tide_watch_new();
    listing->nyoung = 0;
    listing->listed = look->until;
    listing->passes++;
    for (uint32_t i = 0; i < listing->npatterns; i++) {
        listing->tops[i] = top_of(listing->patterns[i]);
        list_pattern(look, listing->patterns[i]);
    }
    if (look->status != TIDE_OK || !look->any) end_watch(listing);
    tide_file_table_sweep(&listing->known, listing->looks);
}

static void look_at_touched(void *arg, const char *directory, const char *name) {
    struct look *look = arg;

    if (is_left_out(look->listing, name)) return;
    set_path(look, directory);
    enter(look, name);
    consider(look, 0, 0);
}

/* false: everything has to be looked at. */
static bool look_at_watched(struct look *look) {
    struct tide_listing *listing = look->listing;
    struct tide_file_entry **young = listing->young;
    uint32_t count = listing->nyoung;

    if (!listing->watch || look->until - listing->listed > (look->until - look->after) / 4) return false;
    if (have_tops_changed(listing)) return false;
    listing->young = NULL;
    listing->nyoung = listing->young_capacity = 0;
    look->touched = true;

    enum tide_watch_told told = tide_watch_read(listing->watch, look_at_touched, look);

    for (uint32_t i = 0; told == TIDE_WATCH_NAMES && i < count; i++) {
        set_path(look, young[i]->path);
        consider(look, 0, 0);
    }
    tide_free(young);
    look->touched = false;
    if (told == TIDE_WATCH_MISSED) doubt_all(listing);
    return told == TIDE_WATCH_NAMES;
}

int tide_listing_look(struct tide_listing *listing, int64_t after, int64_t until, struct tide_listed_files *found,
                      struct tide_error *err) {
    struct look look = {.listing = listing, .after = after, .until = until, .found = found, .err = err};

    listing->looks++;
    tide_buffer_create(&look.path);
    tide_buffer_append(&look.path, "", 1);
    if (!look_at_watched(&look)) {
        tide_listed_files_destroy(found);
        listing->looks++;
        look_at_everything(&look);
    } else {
        look.any = true;
    }
    tide_buffer_destroy(&look.path);
    if (found->count > 0) qsort(found->items, found->count, sizeof *found->items, by_age);
    if (look.status != TIDE_OK || look.any) return look.status;
    return tide_error_set(err, TIDE_ENOTFOUND, "there is no directory %s%s", listing->patterns[0],
                          listing->npatterns > 1 ? ", or another that the pattern matches" : "");
}
