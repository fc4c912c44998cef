/*
 * Makes and removes directories without following links (see directory.h). Called by format/output_directory.c,
 * format/part_file.c, and by the driver's Lua through FFI (lua/moontide/driver/files.lua).
 */
#include "base/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"

/* Length of the path without its last component; 0: it has one only. */
static size_t parent_length(const char *path, size_t size) {
    while (size > 0 && path[size - 1] == '/') size--;
    while (size > 0 && path[size - 1] != '/') size--;
    while (size > 1 && path[size - 1] == '/') size--;
    return size;
}

static char *copy_of(const char *path, size_t size) {
    char *copy = tide_xmalloc(size + 1);

    memcpy(copy, path, size);
    copy[size] = '\0';
    return copy;
}

int tide_random_name(char name[TIDE_RANDOM_NAME + 1], struct tide_error *err) {
    uint8_t bytes[TIDE_RANDOM_NAME / 2];
    size_t done = 0;

    while (done < sizeof bytes) {
        ssize_t got = getrandom(bytes + done, sizeof bytes - done, 0);

        if (got > 0) done += (size_t)got;
        else if (errno != EINTR)
            return tide_error_set(err, TIDE_EIO, "no random bytes from the system: %s", strerror(errno));
    }
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(name + 2 * i, 3, "%02x", bytes[i]);
    return TIDE_OK;
}

int tide_sync(int fd, const char *path, struct tide_error *err) {
    int done;

    do done = tide_fault("directory.sync") ? (errno = EIO, -1) : fsync(fd);
    while (done != 0 && errno == EINTR);
    /* Some file systems refuse to sync directories, which need no sync there. */
    if (done == 0 || errno == EINVAL || errno == EROFS) return TIDE_OK;
    return tide_error_set(err, TIDE_EIO, "cannot make %s durable (fsync): %s", path, strerror(errno));
}

/* ---- Making --------------------------------------------------------------------------------------------------- */

static int not_made(struct tide_error *err, const char *path, const char *reason) {
    return tide_error_set(err, TIDE_EIO, "cannot make the directory %s: %s", path, reason);
}

/* One directory, whose parent is there. 1: it was made; 0: it was there. */
static int make_one(const char *path, bool fresh, struct tide_error *err) {
    struct stat status;

    if (mkdir(path, 0777) == 0) return 1;
    if (errno != EEXIST) return not_made(err, path, strerror(errno));
    if (fresh) return tide_error_set(err, TIDE_EIO, "%s already exists", path);
    if (stat(path, &status) != 0) return not_made(err, path, strerror(errno));
    return S_ISDIR(status.st_mode) ? 0 : not_made(err, path, "there is a file of that name");
}

int tide_directory_make(const char *path, bool fresh, uint32_t *made, struct tide_error *err) {
    size_t size = strlen(path);
    char *prefix = copy_of(path, size);
    uint32_t count = 0;
    int code = TIDE_OK;

    while (size > 1 && prefix[size - 1] == '/') prefix[--size] = '\0';
    for (size_t end = 1; end <= size && code >= 0; end++) {
        if (end < size && (prefix[end] != '/' || prefix[end - 1] == '/')) continue;
        prefix[end] = '\0';
        code = make_one(prefix, fresh && end == size, err);
        if (code == 1) count++;
        if (code < 0) {
            prefix[parent_length(prefix, end)] = '\0';
            tide_directory_unmake(prefix, count);
            count = 0;
        } else if (end < size) {
            prefix[end] = '/';
        }
    }
    if (made) *made = count;
    tide_free(prefix);
    return code < 0 ? code : TIDE_OK;
}

static int sync_path(const char *path, struct tide_error *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) return tide_error_set(err, TIDE_EIO, "cannot open %s: %s", path, strerror(errno));

    int code = tide_sync(fd, path, err);

    close(fd);
    return code;
}

int tide_directory_sync_made(const char *path, uint32_t made, struct tide_error *err) {
    size_t size = strlen(path);
    int code = TIDE_OK;

    for (; made > 0 && code == TIDE_OK; made--) {
        size = parent_length(path, size);

        char *parent = size > 0 ? copy_of(path, size) : tide_xstrdup(".");

        code = sync_path(parent, err);
        tide_free(parent);
    }
    return code;
}

void tide_directory_unmake(const char *path, uint32_t made) {
    size_t size = strlen(path);

    for (; made > 0 && size > 0; made--) {
        char *directory = copy_of(path, size);
        int removed = rmdir(directory);

        tide_free(directory);
        if (removed != 0) return;
        size = parent_length(path, size);
    }
}

/* ---- Removing ------------------------------------------------------------------------------------------------- */

int tide_directory_open_at(int at, const char *name) {
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Empties the open directory, which is closed. */
static void empty(int fd) {
    DIR *list = fdopendir(fd);
    const struct dirent *entry;

    if (!list) {
        close(fd);
        return;
    }
    while ((entry = readdir(list)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            tide_directory_remove_at(dirfd(list), entry->d_name);
    closedir(list);
}

bool tide_directory_remove_at(int at, const char *name) {
    if (unlinkat(at, name, 0) == 0) return true;
    if (errno == ENOENT) return true;

    int fd = tide_directory_open_at(at, name);

    if (fd < 0) return false;
    empty(fd);
    return unlinkat(at, name, AT_REMOVEDIR) == 0;
}

bool tide_directory_remove(const char *path) { return tide_directory_remove_at(AT_FDCWD, path); }

/* ---- Probing -------------------------------------------------------------------------------------------------- */

int tide_directory_probe(const char *path, struct tide_error *err) {
    char name[TIDE_RANDOM_NAME + 1];
    int code = tide_random_name(name, err);

    if (code != TIDE_OK) return code;

    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int fd = at < 0 ? -1 : openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) code = tide_error_set(err, TIDE_EIO, "cannot write to it: %s: %s", path, strerror(errno));
    else unlinkat(at, name, 0);
    if (fd >= 0) close(fd);
    if (at >= 0) close(at);
    return code;
}
