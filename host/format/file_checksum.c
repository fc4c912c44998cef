/*
 * Checksums of files (see file_checksum.h). Called by worker Lua through FFI (lua/moontide/worker/sequence.lua)
 * before it reads a part of a checkpoint.
 */
#include "format/file_checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/fault.h"
#include "wire/hash.h"

enum { PIECE = 64 * 1024 };

static int hash_all(int fd, const char *path, uint64_t *hash, struct tide_error *err) {
    struct tide_hasher *hasher = tide_hasher_new();
    uint8_t *piece = tide_xmalloc(PIECE);
    uint64_t at = 0;
    ssize_t got;
    int code = 0;

    if (!hasher) {
        code = tide_error_set(err, TIDE_ENOMEM, "%s: out of memory while checking it", path);
        goto out;
    }
    while ((got = tide_fault("checksum.read") ? (errno = EIO, -1) : read(fd, piece, PIECE)) != 0) {
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            code = tide_error_set(err, TIDE_EIO, "%s: reading at byte %llu: %s", path, (unsigned long long)at,
                                  strerror(errno));
            goto out;
        }
        tide_hasher_add(hasher, piece, (size_t)got);
        at += (uint64_t)got;
    }
    *hash = tide_hasher_value(hasher);
out:
    tide_hasher_delete(hasher);
    tide_free(piece);
    return code;
}

int tide_file_checksum_check(const struct tide_file_checksum *checksum, const char *path, struct tide_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return tide_error_set(err, errno == ENOENT ? TIDE_ENOTFOUND : TIDE_EIO, "%s: %s", path, strerror(errno));

    struct stat status;
    uint64_t hash = 0;
    int code = 0;
    if (fstat(fd, &status) != 0) {
        code = tide_error_set(err, TIDE_EIO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        code = tide_error_set(err, TIDE_ECORRUPT, "%s: it is no file any more", path);
    } else if ((uint64_t)status.st_size != checksum->size) {
        code = tide_error_set(err, TIDE_ECORRUPT, "%s: it has %lld bytes, %llu were written; the file is damaged",
                              path, (long long)status.st_size, (unsigned long long)checksum->size);
    } else {
        code = hash_all(fd, path, &hash, err);
        if (code == 0 && hash != ((uint64_t)checksum->hash[0] << 32 | checksum->hash[1]))
            code = tide_error_set(err, TIDE_ECORRUPT,
                                  "%s: its checksum is not that of what was written; the file is damaged", path);
    }
    close(fd);
    return code;
}
