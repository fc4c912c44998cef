/*
 * Directories of parts (see output_directory.h). Called by Lua through FFI: by the driver
 * (lua/moontide/driver/save.lua), and for the commit by a worker (lua/moontide/worker/save.lua).
 */
#include "format/output_directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/directory.h"
#include "base/fault.h"
#include "clock/clock.h"

#define TEMPORARY "_temporary"
#define ATTEMPT "attempt-"
#define SUCCESS "_SUCCESS"

enum { TRIES = 20, PART_NAME = 32, TICK_NS = 10 * 1000 * 1000 };

/* ---- Errors --------------------------------------------------------------------------------------------------- */

static int failed(struct tide_error *err, const char *what, const char *directory, const char *name) {
    const char *reason = strerror(errno);

    return tide_error_set(err, TIDE_EIO, "cannot %s %s%s%s: %s", what, directory, *name ? "/" : "", name, reason);
}

static int another_writer(struct tide_error *err, const char *directory, const char *how) {
    return tide_error_set(
        err, TIDE_EIO,
        "another writer is at work in %s: %s; two jobs, or two copies of one, save under the same name: "
        "stop one of them, or give each a directory or prefix of its own",
        directory, how);
}

static int is_link(struct tide_error *err, const char *directory, const char *name) {
    return tide_error_set(
        err, TIDE_EIO,
        "%s%s%s is a symbolic link or no directory, and is not followed: it may lead anywhere; remove "
        "it, or save somewhere else",
        directory, *name ? "/" : "", name);
}

/* ---- Opening -------------------------------------------------------------------------------------------------- */

/* The directory itself must not be a link; its parents may be. */
static int open_directory(const char *directory, struct tide_error *err) {
    int fd = tide_directory_open_at(AT_FDCWD, directory);

    if (fd >= 0) return fd;
    return errno == ENOTDIR || errno == ELOOP ? is_link(err, directory, "") : failed(err, "open", directory, "");
}

/* TIDE_ENOTFOUND without a text: it does not exist. */
static int open_temporary(int fd, const char *directory, struct tide_error *err) {
    int temporary = tide_directory_open_at(fd, TEMPORARY);

    if (temporary >= 0) return temporary;
    if (errno == ENOENT) return TIDE_ENOTFOUND;
    if (errno == ENOTDIR || errno == ELOOP) return is_link(err, directory, TEMPORARY);
    return failed(err, "open", directory, TEMPORARY);
}

/* 1: locked; 0: another writer has the lock; negative: the file system has no locks. */
static int lock(int fd) {
    if (tide_fault("output.lock")) return -1;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0)
        if (errno != EINTR) return errno == EWOULDBLOCK ? 0 : -1;
    return 1;
}

static void unlock(int fd) {
    /* Closing is not enough: a command that is being started has a copy of the descriptor for a moment. */
    flock(fd, LOCK_UN);
    close(fd);
}

/* ---- Earlier output ------------------------------------------------------------------------------------------- */

static bool all_digits(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9') return false;
    return size > 0;
}

/* part-NNNNN, part-NNNNN.gz */
static bool is_part(const char *name, size_t size) {
    if (size > 3 && memcmp(name + size - 3, ".gz", 3) == 0) size -= 3;
    return size > 5 && memcmp(name, "part-", 5) == 0 && all_digits(name + 5, size - 5);
}

/* Hadoop's checksum files: with those of old parts, Hadoop would refuse the new parts. */
static bool is_checksum(const char *name, size_t size) {
    if (size < 6 || *name != '.' || memcmp(name + size - 4, ".crc", 4) != 0) return false;
    return is_part(name + 1, size - 5) || (size - 5 == strlen(SUCCESS) && memcmp(name + 1, SUCCESS, size - 5) == 0);
}

static bool is_output(const char *name) {
    size_t size = strlen(name);

    return is_part(name, size) || is_checksum(name, size);
}

static bool is_attempt(const char *name) {
    return strncmp(name, ATTEMPT, strlen(ATTEMPT)) == 0 && strlen(name) >= strlen(ATTEMPT) + TIDE_RANDOM_NAME;
}

/* Removes the entries for which `chosen` is true. */
static void remove_entries(int fd, bool (*chosen)(const char *name)) {
    int again = tide_directory_open_at(fd, ".");
    DIR *list = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;

    if (!list) {
        if (again >= 0) close(again);
        return;
    }
    while ((entry = readdir(list)))
        if (chosen(entry->d_name)) tide_directory_remove_at(fd, entry->d_name);
    closedir(list);
}

/* Holding the lock: every attempt left belongs to a process that has ended. */
static void remove_dead_attempts(int fd) {
    int temporary = tide_directory_open_at(fd, TEMPORARY);

    if (temporary < 0) return;
    remove_entries(temporary, is_attempt);
    close(temporary);
    unlinkat(fd, TEMPORARY, AT_REMOVEDIR);
}

/* Identifies a _SUCCESS file. */
static void mark_of(const struct stat *status, char mark[TIDE_OUTPUT_DIRECTORY_MARK]) {
    snprintf(mark, TIDE_OUTPUT_DIRECTORY_MARK, "%llx:%llx:%llx", (unsigned long long)status->st_ino,
             (unsigned long long)status->st_ctim.tv_sec, (unsigned long long)status->st_ctim.tv_nsec);
}

static int64_t nanoseconds(struct timespec time) { return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec; }

/* When this program began, by the clock of the file system, which shows `now`. A local file system has the machine's
 * clock. With another machine's clock, or after a clock change, the result is in doubt by one tick (two, where the
 * unit is a second). */
static int64_t beginning(const struct tide_output_directory_rule *rule, int64_t now) {
    int64_t here = tide_clock_file_ns(), away = now - here;
    int64_t doubt = now % 1000000000 == 0 ? INT64_C(2000000000) : TICK_NS;

    if (away >= -TICK_NS && away <= TICK_NS && here >= rule->since_file) return rule->since_file;
    return now - (int64_t)(tide_clock_monotonic_ns() - rule->since) + doubt;
}

/* Whether another process has completed the directory since this program began. */
static bool completed_by_another(int fd, const struct tide_output_directory_rule *rule, int64_t now) {
    struct stat status;
    char mark[TIDE_OUTPUT_DIRECTORY_MARK];

    if (rule->since == 0 || fstatat(fd, SUCCESS, &status, AT_SYMLINK_NOFOLLOW) != 0) return false;
    mark_of(&status, mark);
    if (rule->own && strcmp(mark, rule->own) == 0) return false;
    return nanoseconds(status.st_ctim) >= beginning(rule, now);
}

/* ---- Begin ---------------------------------------------------------------------------------------------------- */

/* Makes the attempt. TIDE_ENOTFOUND without a text: the directory has been removed meanwhile. */
static int make_attempt(struct tide_output_directory *output, const char *directory, struct tide_error *err) {
    char name[TIDE_RANDOM_NAME + 1];
    int code = tide_random_name(name, err);
    struct stat status;

    if (code != TIDE_OK) return code;
    snprintf(output->attempt, sizeof output->attempt, ATTEMPT "%s", name);
    if (mkdirat(output->fd, TEMPORARY, 0777) != 0 && errno != EEXIST)
        return errno == ENOENT ? TIDE_ENOTFOUND : failed(err, "make the directory", directory, TEMPORARY);

    int temporary = open_temporary(output->fd, directory, err);

    if (temporary < 0) return temporary;
    if (mkdirat(temporary, output->attempt, 0777) != 0 ||
        fstatat(temporary, output->attempt, &status, AT_SYMLINK_NOFOLLOW) != 0)
        code = errno == ENOENT ? TIDE_ENOTFOUND : failed(err, "make a directory in", directory, TEMPORARY);
    else output->begun = nanoseconds(status.st_ctim);
    close(temporary);
    return code;
}

/* TIDE_ENOTFOUND without a text: try again. */
static int try_begin(struct tide_output_directory *output, const char *directory,
                     const struct tide_output_directory_rule *rule, struct tide_error *err) {
    *output = (struct tide_output_directory){.fd = -1};

    int code = tide_directory_make(directory, rule->fresh, &output->made, err);

    if (code != TIDE_OK) return code;
    output->fd = tide_directory_open_at(AT_FDCWD, directory);
    if (output->fd < 0) return errno == ENOENT ? TIDE_ENOTFOUND : open_directory(directory, err);

    int locked = lock(output->fd);

    if (locked == 0) {
        close(output->fd);
        output->fd = -1;
        return another_writer(err, directory, "it has not finished yet");
    }
    if (locked > 0) remove_dead_attempts(output->fd);
    code = make_attempt(output, directory, err);
    if (code == TIDE_OK && completed_by_another(output->fd, rule, output->begun))
        code = another_writer(err, directory, "it has completed it since this job began, and that is not replaced");
    if (code != TIDE_OK) tide_output_directory_abort(output, directory);
    return code;
}

int tide_output_directory_begin(struct tide_output_directory *output, const char *directory,
                                const struct tide_output_directory_rule *rule, struct tide_error *err) {
    for (int tries = 0; tries < TRIES; tries++) {
        int code = try_begin(output, directory, rule, err);

        if (code != TIDE_ENOTFOUND) return code;
    }
    return another_writer(err, directory, "the directory comes and goes");
}

void tide_output_directory_end(struct tide_output_directory *output) {
    if (output->fd >= 0) unlock(output->fd);
    output->fd = -1;
}

/* Renames the attempt before removing it, so that tasks that are still running can't create parts in it. */
static void remove_attempt(int fd, const char *attempt) {
    char aborted[TIDE_OUTPUT_DIRECTORY_NAME + 8];
    int temporary = tide_directory_open_at(fd, TEMPORARY);

    if (temporary < 0) return;
    snprintf(aborted, sizeof aborted, "%s.ended", attempt);
    if (renameat(temporary, attempt, temporary, aborted) == 0)
        for (int tries = 0; tries < TRIES && !tide_directory_remove_at(temporary, aborted); tries++) continue;
    close(temporary);
    unlinkat(fd, TEMPORARY, AT_REMOVEDIR);
}

void tide_output_directory_abort(struct tide_output_directory *output, const char *directory) {
    if (output->fd < 0) return;
    remove_attempt(output->fd, output->attempt);
    tide_directory_unmake(directory, output->made);
    tide_output_directory_end(output);
}

/* ---- Commit --------------------------------------------------------------------------------------------------- */

struct commit {
    const char *directory;
    const struct tide_output_directory_parts *parts;
    int fd, attempt;
    struct stat *files; /* of the parts, in the attempt */
    struct tide_error *err;
};

static void name_part(const struct commit *commit, uint32_t index, char name[PART_NAME]) {
    snprintf(name, PART_NAME, "part-%05u%s", index, commit->parts->gzip ? ".gz" : "");
}

static int open_attempt(struct commit *commit, const char *name) {
    commit->fd = open_directory(commit->directory, commit->err);
    if (commit->fd < 0) return commit->fd;

    int temporary = open_temporary(commit->fd, commit->directory, commit->err);

    if (temporary >= 0) {
        commit->attempt = tide_directory_open_at(temporary, name);
        close(temporary);
    }
    if (commit->attempt >= 0) return TIDE_OK;
    return temporary < 0 && temporary != TIDE_ENOTFOUND
               ? temporary
               : another_writer(commit->err, commit->directory, "the parts of this one are gone");
}

/* Notes the inodes of the parts. */
static int look_at_parts(struct commit *commit) {
    char name[PART_NAME];

    for (uint32_t i = 0; i < commit->parts->count; i++) {
        name_part(commit, i, name);
        if (fstatat(commit->attempt, name, &commit->files[i], AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISREG(commit->files[i].st_mode))
            return another_writer(commit->err, commit->directory, "a part of this one is gone");
    }
    return TIDE_OK;
}

static bool is_file(const struct commit *commit, const char *name, const struct stat *file) {
    struct stat status;

    return fstatat(commit->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && status.st_ino == file->st_ino &&
           status.st_dev == file->st_dev;
}

/* Whether another writer has added files since the attempt began; they must not be removed. */
static bool has_newer(const struct commit *commit) {
    int again = tide_directory_open_at(commit->fd, ".");
    DIR *list = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    struct stat status;
    bool newer = false;

    if (!list) {
        if (again >= 0) close(again);
        return true;
    }
    while (!newer && (entry = readdir(list)))
        newer = (strcmp(entry->d_name, SUCCESS) == 0 || is_part(entry->d_name, strlen(entry->d_name))) &&
                fstatat(commit->fd, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
                nanoseconds(status.st_ctim) >= commit->parts->begun;
    closedir(list);
    return newer;
}

/* _SUCCESS first, so that it never covers parts of another output. */
static int remove_previous(const struct commit *commit) {
    if (has_newer(commit)) return another_writer(commit->err, commit->directory, "it has put files there meanwhile");

    bool there = unlinkat(commit->fd, SUCCESS, 0) == 0;

    if (!there && errno != ENOENT) return failed(commit->err, "remove", commit->directory, SUCCESS);
    if (there && commit->parts->sync) {
        int code = tide_sync(commit->fd, commit->directory, commit->err);

        if (code != TIDE_OK) return code;
    }
    remove_entries(commit->fd, is_output);
    return TIDE_OK;
}

static int rename_part(const struct commit *commit, const char *name) {
    if (tide_fault("output.rename")) return errno = EIO, -1;
    if (renameat2(commit->attempt, name, commit->fd, name, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
    return renameat(commit->attempt, name, commit->fd, name);
}

static int rename_parts(const struct commit *commit) {
    char name[PART_NAME];

    for (uint32_t i = 0; i < commit->parts->count; i++) {
        name_part(commit, i, name);
        if (rename_part(commit, name) == 0) continue;
        if (errno == EEXIST) return another_writer(commit->err, commit->directory, "it has put a part there");
        if (errno == ENOENT) return another_writer(commit->err, commit->directory, "a part of this one is gone");
        return failed(commit->err, "put in place", commit->directory, name);
    }
    return TIDE_OK;
}

/* The number of parts in the directory, of whatever output. */
static uint32_t count_parts(int fd) {
    int again = tide_directory_open_at(fd, ".");
    DIR *list = again < 0 ? NULL : fdopendir(again);
    const struct dirent *entry;
    uint32_t count = 0;

    if (!list) {
        if (again >= 0) close(again);
        return UINT32_MAX;
    }
    while ((entry = readdir(list))) count += is_part(entry->d_name, strlen(entry->d_name));
    closedir(list);
    return count;
}

/* The directory must have exactly the parts of this attempt. */
static int check_parts(const struct commit *commit) {
    char name[PART_NAME];

    for (uint32_t i = 0; i < commit->parts->count; i++) {
        name_part(commit, i, name);
        if (!is_file(commit, name, &commit->files[i]))
            return another_writer(commit->err, commit->directory, "it has replaced a part");
    }
    return count_parts(commit->fd) == commit->parts->count
               ? TIDE_OK
               : another_writer(commit->err, commit->directory, "parts of both are there");
}

static int sync_parts(const struct commit *commit) {
    if (!commit->parts->sync) return TIDE_OK;

    int code = tide_sync(commit->fd, commit->directory, commit->err);

    return code == TIDE_OK ? tide_directory_sync_made(commit->directory, commit->parts->made, commit->err) : code;
}

static int put_success(const struct commit *commit, struct stat *file) {
    int fd = tide_fault("output.success")
                 ? (errno = ENOSPC, -1)
                 : openat(commit->fd, SUCCESS, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    int code = TIDE_OK;

    if (fd < 0 && errno == EEXIST)
        return another_writer(commit->err, commit->directory, "it has completed it meanwhile");
    if (fd < 0 || fstat(fd, file) != 0) code = failed(commit->err, "write", commit->directory, SUCCESS);
    else if (commit->parts->sync) code = tide_sync(fd, commit->directory, commit->err);
    if (fd >= 0) close(fd);
    return code;
}

static void take_back(const struct commit *commit, const struct stat *success) {
    char name[PART_NAME];

    if (success->st_ino != 0 && is_file(commit, SUCCESS, success)) unlinkat(commit->fd, SUCCESS, 0);
    for (uint32_t i = 0; i < commit->parts->count; i++) {
        name_part(commit, i, name);
        if (commit->files[i].st_ino != 0 && is_file(commit, name, &commit->files[i])) unlinkat(commit->fd, name, 0);
    }
}

static int put_in_place(const struct commit *commit, const char *attempt, struct stat *success) {
    int code = remove_previous(commit);

    if (code == TIDE_OK) code = rename_parts(commit);
    if (code == TIDE_OK) code = check_parts(commit);
    if (code == TIDE_OK) code = sync_parts(commit);
    if (code != TIDE_OK) return code;
    if (tide_fault("output.crash")) raise(SIGKILL);
    remove_attempt(commit->fd, attempt);
    code = put_success(commit, success);
    if (code == TIDE_OK && commit->parts->sync) code = tide_sync(commit->fd, commit->directory, commit->err);
    return code == TIDE_OK ? check_parts(commit) : code;
}

int tide_output_directory_commit(const char *directory, const char *attempt,
                                 const struct tide_output_directory_parts *parts,
                                 char mark[TIDE_OUTPUT_DIRECTORY_MARK], struct tide_error *err) {
    struct commit commit = {.directory = directory, .parts = parts, .fd = -1, .attempt = -1, .err = err};
    struct stat success = {0};
    int code = open_attempt(&commit, attempt);

    commit.files = tide_xcalloc(parts->count > 0 ? parts->count : 1, sizeof *commit.files);
    if (code == TIDE_OK) code = look_at_parts(&commit);
    if (code == TIDE_OK) {
        code = put_in_place(&commit, attempt, &success);
        if (code != TIDE_OK) take_back(&commit, &success);
        else mark_of(&success, mark);
    }
    if (commit.attempt >= 0) close(commit.attempt);
    if (commit.fd >= 0) close(commit.fd);
    tide_free(commit.files);
    return code;
}

/* ---- Clear ---------------------------------------------------------------------------------------------------- */

int tide_output_directory_clear(const char *directory, const struct tide_output_directory_rule *rule,
                                struct tide_error *err) {
    struct tide_output_directory output = {.fd = tide_directory_open_at(AT_FDCWD, directory)};

    if (output.fd < 0 && errno == ENOENT) return TIDE_OK;
    if (output.fd < 0) return open_directory(directory, err);

    int locked = lock(output.fd), code = TIDE_OK;

    if (locked == 0) {
        close(output.fd);
        return another_writer(err, directory, "it has not finished yet");
    }
    code = make_attempt(&output, directory, err); /* its timestamp is the file system's clock */
    if (code == TIDE_ENOTFOUND) code = TIDE_OK;
    if (code == TIDE_OK && completed_by_another(output.fd, rule, output.begun))
        code = another_writer(err, directory, "it has completed it since this job began, and that is not replaced");
    if (code == TIDE_OK && unlinkat(output.fd, SUCCESS, 0) != 0 && errno != ENOENT)
        code = failed(err, "remove", directory, SUCCESS);
    if (code == TIDE_OK) {
        remove_entries(output.fd, is_output);
        if (locked > 0) remove_dead_attempts(output.fd);
    }
    output.made = code == TIDE_OK ? 1 : 0;
    tide_output_directory_abort(&output, directory);
    return code;
}
