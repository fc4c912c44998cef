/*
 * Blocks on disk (see spill.h). Called by the cache, on workers.
 *
 * Extents are added to one file; when it is full the next one is begun, and the old one is closed with its last
 * extent. Space is allocated under the lock and written without, so writers don't wait for each other.
 *
 * The reader verifies everything: it uses lengths only after `check` matches, and only within the extent, and bytes
 * only after `sum` matches. The blocks it returns are the blocks that were written.
 */
#include "store/spill.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/alloc.h"
#include "base/fault.h"

enum {
    MAGIC = 0x4c505354, /* "TSPL" */
    ALIGNMENT = 4096,
    BLOCKS_PER_WRITE = 64
};

/* The size of a full file: small enough that a few extents hold little space where holes are not possible, large
 * enough that a terabyte needs no more descriptors than a process may have. */
static const uint64_t FULL = UINT64_C(1) << 30;

struct tide_spill_file {
    int fd;
    uint32_t extents; /* not free */
    uint64_t end;
};

struct tide_spill {
    char *directory;
    bool usual;           /* a default one: another may do as well */
    pthread_mutex_t lock; /* leaf: guards the rest and the files */
    struct tide_spill_file *current;
    uint64_t bytes; /* atomic for readers */
};

struct frame {
    uint32_t magic;
    uint8_t kind, arity;
    uint16_t zero;
    uint32_t count, lines;
    uint64_t size;
    uint64_t sum;
    uint64_t check;
};

static uint64_t check_of(const struct frame *frame) { return XXH3_64bits(frame, offsetof(struct frame, check)); }

/* ---- Files -------------------------------------------------------------------------------------------------- */

static int open_in(const char *directory) {
    static const char name[] = "/moontide-spill-XXXXXX";
    size_t length = strlen(directory);
    char *path = tide_xmalloc(length + sizeof name);

    memcpy(path, directory, length);
    memcpy(path + length, name, sizeof name);

    int fd = tide_fault("spill.open") ? (errno = EACCES, -1) : mkostemp(path, O_CLOEXEC);

    if (fd >= 0) unlink(path);
    tide_free(path);
    return fd;
}

/* `what` failed for the reason in errno. */
static int failed(const struct tide_spill *spill, const char *what, struct tide_error *err) {
    const char *reason = strerror(errno);

    return tide_error_set(err, TIDE_EIO,
                          "the spill file in %s can't be %s: %s; make room there, or name another directory with the "
                          "setting spill.directory",
                          spill->directory, what, reason);
}

static int open_file(const struct tide_spill *spill, struct tide_error *err) {
    int fd = open_in(spill->directory);

    if (fd < 0 && spill->usual) fd = open_in("/tmp");
    return fd >= 0 ? fd : failed(spill, "made", err);
}

struct tide_spill *tide_spill_new(const char *directory, struct tide_error *err) {
    struct tide_spill *spill = tide_xcalloc(1, sizeof *spill);

    const char *temporary = getenv("TMPDIR");

    pthread_mutex_init(&spill->lock, NULL);
    if (!directory && temporary && *temporary != '\0') {
        spill->directory = tide_xstrdup(temporary);
        return spill;
    }
    spill->usual = !directory;
    spill->directory = tide_xstrdup(directory ? directory : "/var/tmp");
    if (spill->usual) return spill;

    int fd = open_file(spill, err);

    if (fd >= 0) {
        close(fd);
        return spill;
    }
    tide_spill_delete(spill);
    return NULL;
}

static void file_delete(struct tide_spill_file *file) {
    if (!file) return;
    close(file->fd);
    tide_free(file);
}

void tide_spill_close(struct tide_spill *spill) {
    struct tide_spill_file *empty = NULL;

    pthread_mutex_lock(&spill->lock);
    if (spill->current && spill->current->extents == 0) {
        empty = spill->current;
        spill->current = NULL;
    }
    pthread_mutex_unlock(&spill->lock);
    file_delete(empty);
}

void tide_spill_delete(struct tide_spill *spill) {
    if (!spill) return;
    file_delete(spill->current);
    pthread_mutex_destroy(&spill->lock);
    tide_free(spill->directory);
    tide_free(spill);
}

/* With the lock held: the current file has room for `size` bytes. */
static int begin_file(struct tide_spill *spill, uint64_t size, struct tide_error *err) {
    struct tide_spill_file *file = spill->current;

    bool full = !file || (file->end > 0 && (file->end + size > FULL || tide_fault("spill.full")));

    if (!full) return TIDE_OK;

    int fd = open_file(spill, err);

    if (fd < 0) return fd;
    spill->current = tide_xcalloc(1, sizeof *file);
    spill->current->fd = fd;
    if (file && file->extents == 0) file_delete(file);
    return TIDE_OK;
}

static int take_place(struct tide_spill *spill, uint64_t size, struct tide_extent *extent, struct tide_error *err) {
    pthread_mutex_lock(&spill->lock);

    int status = begin_file(spill, size, err);

    if (status == TIDE_OK) {
        *extent = (struct tide_extent){.file = spill->current, .offset = spill->current->end, .size = size};
        spill->current->extents++;
        spill->current->end = (extent->offset + size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        __atomic_add_fetch(&spill->bytes, size, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&spill->lock);
    return status;
}

void tide_spill_free(struct tide_spill *spill, struct tide_extent *extent) {
    struct tide_spill_file *file = extent->file, *empty = NULL;

    if (!file) return;
    /* Not every file system can do this: the space comes back with the file then. */
    if (extent->size > 0)
        fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)extent->offset, (off_t)extent->size);

    pthread_mutex_lock(&spill->lock);
    __atomic_sub_fetch(&spill->bytes, extent->size, __ATOMIC_RELAXED);
    if (--file->extents == 0) {
        if (file != spill->current) empty = file;
        else if (ftruncate(file->fd, 0) == 0) file->end = 0;
    }
    pthread_mutex_unlock(&spill->lock);
    file_delete(empty);
    *extent = (struct tide_extent){0};
}

uint64_t tide_spill_bytes(const struct tide_spill *spill) { return __atomic_load_n(&spill->bytes, __ATOMIC_RELAXED); }

/* ---- Writing ------------------------------------------------------------------------------------------------ */

static uint64_t lines_size(const struct tide_block *block) {
    return block->kind == TIDE_BLOCK_TEXT ? (uint64_t)block->count * sizeof(struct tide_line) : 0;
}

static uint64_t frame_size(const struct tide_block *block) {
    return sizeof(struct frame) + block->size + lines_size(block);
}

static struct frame frame_of(const struct tide_block *block) {
    struct frame frame = {
        .magic = MAGIC,
        .kind = block->kind,
        .arity = block->arity,
        .count = block->count,
        .lines = block->kind == TIDE_BLOCK_TEXT ? block->count : 0,
        .size = block->size,
    };
    XXH3_state_t sum;

    XXH3_64bits_reset(&sum);
    XXH3_64bits_update(&sum, block->data, block->size);
    if (frame.lines > 0) XXH3_64bits_update(&sum, block->lines, lines_size(block));
    frame.sum = XXH3_64bits_digest(&sum);
    frame.check = check_of(&frame);
    return frame;
}

static int write_all(const struct tide_spill *spill, int fd, struct iovec *parts, int count, uint64_t offset,
                     struct tide_error *err) {
    while (count > 0) {
        ssize_t put = tide_fault("spill.write") ? (errno = ENOSPC, -1) : pwritev(fd, parts, count, (off_t)offset);

        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(spill, "written", err);
        offset += (uint64_t)put;
        for (; count > 0 && (size_t)put >= parts->iov_len; parts++, count--) put -= (ssize_t)parts->iov_len;
        if (count > 0) {
            parts->iov_base = (uint8_t *)parts->iov_base + put;
            parts->iov_len -= (size_t)put;
        }
    }
    return TIDE_OK;
}

/* Some blocks of one list. */
static int write_blocks(const struct tide_spill *spill, int fd, struct tide_block *const *blocks, uint32_t count,
                        uint64_t offset, struct tide_error *err) {
    struct frame frames[BLOCKS_PER_WRITE];
    struct iovec parts[3 * BLOCKS_PER_WRITE];
    int used = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct tide_block *block = blocks[i];

        frames[i] = frame_of(block);
        parts[used++] = (struct iovec){&frames[i], sizeof frames[i]};
        if (block->size > 0) parts[used++] = (struct iovec){block->data, block->size};
        if (frames[i].lines > 0) parts[used++] = (struct iovec){block->lines, lines_size(block)};
    }
    return write_all(spill, fd, parts, used, offset, err);
}

int tide_spill_write(struct tide_spill *spill, const struct tide_blocks *lists, uint32_t count,
                     struct tide_extent *extent, uint64_t *ends, struct tide_error *err) {
    uint64_t size = 0;

    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t k = 0; k < lists[i].count; k++) size += frame_size(lists[i].items[k]);
        ends[i] = size;
    }

    int status = take_place(spill, size, extent, err);
    uint64_t offset = extent->offset;

    if (status != TIDE_OK) return status;
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t from = 0; from < lists[i].count; from += BLOCKS_PER_WRITE) {
            uint32_t some = lists[i].count - from;

            if (some > BLOCKS_PER_WRITE) some = BLOCKS_PER_WRITE;
            status = write_blocks(spill, extent->file->fd, lists[i].items + from, some, offset, err);
            if (status != TIDE_OK) {
                tide_spill_free(spill, extent);
                return status;
            }
            for (uint32_t k = from; k < from + some; k++) offset += frame_size(lists[i].items[k]);
        }
    }
    return TIDE_OK;
}

/* ---- Reading ------------------------------------------------------------------------------------------------ */

struct reader {
    int fd;
    uint64_t at, end;
    struct tide_error *err;
};

static int damaged(const struct reader *reader, const char *what) {
    return tide_error_set(reader->err, TIDE_ECORRUPT, "spilled data is damaged at byte %llu: %s; check the disk",
                          (unsigned long long)reader->at, what);
}

static int read_part(const struct reader *reader, uint64_t offset, void *into, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t got = tide_fault("spill.read") ? (errno = EIO, -1)
                      : tide_fault("spill.short")
                          ? 0
                          : pread(reader->fd, (uint8_t *)into + done, size - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return tide_error_set(reader->err, TIDE_EIO,
                                  "spilled data can't be read at byte %llu: %s; check the disk",
                                  (unsigned long long)reader->at, strerror(errno));
        if (got == 0) return damaged(reader, "the file ends there");
        done += (size_t)got;
    }
    return TIDE_OK;
}

static bool frame_fits(const struct frame *frame, uint64_t room) {
    uint64_t lines = (uint64_t)frame->lines * sizeof(struct tide_line);
    bool text = frame->kind == TIDE_BLOCK_TEXT;

    if (frame->size > room || lines > room - frame->size || frame->zero != 0 || frame->arity > 2) return false;
    if (text) return frame->lines == frame->count;
    /* A packed value is a byte at least. */
    return frame->kind == TIDE_BLOCK_PACKED && frame->lines == 0 &&
           (uint64_t)frame->count * (frame->arity == 2 ? 2 : 1) <= frame->size;
}

static bool lines_fit(const struct tide_block *block, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        if ((uint64_t)block->lines[i].offset + block->lines[i].length > block->size) return false;
    return true;
}

static int read_content(struct reader *reader, const struct frame *frame, struct tide_block *block) {
    uint64_t lines = (uint64_t)frame->lines * sizeof(struct tide_line);
    XXH3_state_t sum;
    int status = read_part(reader, reader->at + sizeof *frame, block->data, frame->size);

    if (status == TIDE_OK && lines > 0)
        status = read_part(reader, reader->at + sizeof *frame + frame->size, block->lines, lines);
    if (status != TIDE_OK) return status;
    if (frame->size > 0 && tide_fault("spill.damage")) block->data[frame->size / 2] ^= 1;
    XXH3_64bits_reset(&sum);
    XXH3_64bits_update(&sum, block->data, frame->size);
    if (lines > 0) XXH3_64bits_update(&sum, block->lines, lines);
    if (XXH3_64bits_digest(&sum) != frame->sum) return damaged(reader, "its checksum is another one");
    block->size = frame->size;
    if (!lines_fit(block, frame->lines)) return damaged(reader, "a line is outside of its block");
    block->count = frame->count;
    reader->at += sizeof *frame + frame->size + lines;
    return TIDE_OK;
}

/* The next block, to be appended to `out`. */
static int read_block(struct reader *reader, struct tide_blocks *out) {
    struct frame frame = {0};
    int status;

    if (reader->end - reader->at < sizeof frame) return damaged(reader, "the extent ends within a block");
    status = read_part(reader, reader->at, &frame, sizeof frame);
    if (status != TIDE_OK) return status;
    if (frame.magic != MAGIC || frame.check != check_of(&frame)) return damaged(reader, "no block begins there");
    if (!frame_fits(&frame, reader->end - reader->at - sizeof frame))
        return damaged(reader, "the block does not fit its extent");

    struct tide_block *block = tide_block_new(frame.kind, frame.arity, frame.size, NULL);

    if (!block || !tide_block_reserve_lines(block, frame.lines))
        status = tide_error_set(reader->err, TIDE_ENOMEM, "out of memory for a spilled block of %llu bytes",
                                (unsigned long long)frame.size);
    else status = read_content(reader, &frame, block);
    if (status == TIDE_OK) tide_blocks_push(out, block);
    else tide_block_release(block);
    return status;
}

int tide_spill_decode(int fd, uint64_t from, uint64_t to, struct tide_blocks *out, struct tide_error *err) {
    struct reader reader = {.fd = fd, .at = from, .end = to, .err = err};
    struct tide_blocks blocks;
    int status = TIDE_OK;

    tide_blocks_create(&blocks);
    while (status == TIDE_OK && reader.at < reader.end) status = read_block(&reader, &blocks);
    if (status == TIDE_OK) tide_blocks_move(out, &blocks);
    tide_blocks_destroy(&blocks);
    return status;
}

int tide_spill_read(struct tide_spill *spill, const struct tide_extent *extent, uint64_t from, uint64_t to,
                    struct tide_blocks *out, struct tide_error *err) {
    int status = tide_spill_decode(extent->file->fd, extent->offset + from, extent->offset + to, out, err);

    if (status == TIDE_ECORRUPT || status == TIDE_EIO)
        tide_error_prefix(err, "the spill file in %s", spill->directory);
    return status;
}
