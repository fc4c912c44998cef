/*
 * Choosing files (see file_choice.h). Called by dstream/file_input.c and by the bindings, on the driver thread.
 */
#include "dstream/file_choice.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/log.h"
#include "format/file_table.h"

static const int64_t WAITS = INT64_MAX; /* mark of an entry whose file waits; of others, the batch that took it */

struct batch {
    int64_t time;
    struct tide_listed_files files;
};

struct tide_file_choice {
    struct tide_file_choice_options options;
    struct tide_file_table memory; /* what was taken, and what waits */
    struct batch *batches;         /* in ascending order of time */
    uint32_t nbatches, batches_capacity;
    int64_t newest;
    struct tide_listed_files candidates, accepted, waiting;
    struct tide_log_kind changed;
};

/* ---- Life ------------------------------------------------------------------------------------------------------ */

struct tide_file_choice *tide_file_choice_new(const struct tide_file_choice_options *options) {
    struct tide_file_choice *choice = tide_xcalloc(1, sizeof *choice);

    choice->options = *options;
    choice->newest = INT64_MIN;
    tide_file_table_create(&choice->memory);
    return choice;
}

void tide_file_choice_delete(struct tide_file_choice *choice) {
    for (uint32_t i = 0; i < choice->nbatches; i++) tide_listed_files_destroy(&choice->batches[i].files);
    tide_free(choice->batches);
    tide_listed_files_destroy(&choice->candidates);
    tide_listed_files_destroy(&choice->accepted);
    tide_listed_files_destroy(&choice->waiting);
    tide_file_table_destroy(&choice->memory);
    tide_free(choice);
}

/* ---- Memory ---------------------------------------------------------------------------------------------------- */

static bool is_same(const struct tide_file_entry *entry, const struct tide_listed *file) {
    return entry->size == file->size && entry->mtime == file->mtime && entry->inode == file->inode;
}

static void remember(struct tide_file_choice *choice, const struct tide_listed *file, int64_t mark) {
    struct tide_file_entry *entry = tide_file_table_put(&choice->memory, file->path);

    entry->size = file->size;
    entry->mtime = file->mtime;
    entry->inode = file->inode;
    entry->mark = mark;
}

/* Takes the path. */
static void append(struct tide_listed_files *files, struct tide_listed *take) {
    TIDE_ARRAY_RESERVE(files->items, files->capacity, files->count + 1);
    files->items[files->count++] = *take;
    take->path = NULL;
}

/* A file that waits was written anew: it is read as it is now. */
static void refresh_waiting(struct tide_file_choice *choice, struct tide_file_entry *entry,
                            const struct tide_listed *file) {
    struct tide_listed_files *waiting = &choice->waiting;
    uint32_t at = 0;

    while (at < waiting->count && strcmp(waiting->items[at].path, file->path) != 0) at++;
    if (at == waiting->count) return;
    waiting->items[at].size = entry->size = file->size;
    waiting->items[at].mtime = entry->mtime = file->mtime;
    waiting->items[at].inode = entry->inode = file->inode;
}

/* ---- Choosing -------------------------------------------------------------------------------------------------- */

void tide_file_choice_range(const struct tide_file_choice *choice, int64_t time, int64_t *after, int64_t *until) {
    int64_t oldest = time - choice->options.memory;

    if (oldest < choice->options.created) oldest = choice->options.created;
    *after = oldest * 1000000;
    *until = time * 1000000;
}

void tide_file_choice_offer(struct tide_file_choice *choice, struct tide_listed_files *take) {
    tide_listed_files_destroy(&choice->candidates);
    tide_listed_files_destroy(&choice->accepted);
    for (uint32_t i = 0; i < take->count; i++) {
        struct tide_listed *file = &take->items[i];
        struct tide_file_entry *entry = tide_file_table_find(&choice->memory, file->path);

        if (entry && is_same(entry, file)) continue;
        if (entry && entry->mark == WAITS) refresh_waiting(choice, entry, file);
        else append(&choice->candidates, file);
    }
    tide_listed_files_destroy(take);
}

const struct tide_listed_files *tide_file_choice_candidates(const struct tide_file_choice *choice) {
    return &choice->candidates;
}

void tide_file_choice_begin(struct tide_file_choice *choice) { tide_listed_files_destroy(&choice->accepted); }

static void tell_changed(struct tide_file_choice *choice, const struct tide_listed *file) {
    const struct tide_file_entry *entry = tide_file_table_find(&choice->memory, file->path);

    if (!entry) return;
    tide_log_sparse(&choice->changed, TIDE_LOG_WARN, "files",
                    "%s has changed since batch %" PRId64
                    " ms took it, and is read again as a whole: write files under "
                    "a name that is left out (.name, name.tmp) and rename them when they are complete",
                    file->path, entry->mark);
}

void tide_file_choice_accept(struct tide_file_choice *choice, uint32_t candidate) {
    tell_changed(choice, &choice->candidates.items[candidate]);
    tide_listed_files_add(&choice->accepted, &choice->candidates.items[candidate]);
}

/* The batch of that time, a new one where there is none. */
static struct batch *batch_of(struct tide_file_choice *choice, int64_t time) {
    uint32_t at = choice->nbatches;

    while (at > 0 && choice->batches[at - 1].time >= time) at--;
    if (at < choice->nbatches && choice->batches[at].time == time) return &choice->batches[at];
    TIDE_ARRAY_RESERVE(choice->batches, choice->batches_capacity, choice->nbatches + 1);

    struct batch *batch = &choice->batches[at];

    memmove(batch + 1, batch, (choice->nbatches++ - at) * sizeof *batch);
    *batch = (struct batch){.time = time};
    if (time > choice->newest) choice->newest = time;
    return batch;
}

static bool has_room(const struct tide_file_choice *choice, const struct tide_listed_files *files, uint64_t bytes,
                     const struct tide_listed *file) {
    const struct tide_file_choice_options *options = &choice->options;

    if (files->count == 0) return true;
    if (options->most_files > 0 && files->count >= options->most_files) return false;
    return options->most_bytes == 0 || bytes + file->size <= options->most_bytes;
}

/* Moves files from the front of `from` as long as there is room; returns how many. */
static uint32_t fill(struct tide_file_choice *choice, struct batch *batch, struct tide_listed_files *from,
                     uint64_t *bytes) {
    uint32_t moved = 0;

    for (; moved < from->count; moved++) {
        struct tide_listed *file = &from->items[moved];

        if (!has_room(choice, &batch->files, *bytes, file)) break;
        *bytes += file->size;
        remember(choice, file, batch->time);
        append(&batch->files, file);
    }
    return moved;
}

static void remove_first(struct tide_listed_files *files, uint32_t count) {
    files->count -= count;
    if (count > 0) memmove(files->items, files->items + count, files->count * sizeof *files->items);
}

void tide_file_choice_settle(struct tide_file_choice *choice, int64_t time) {
    struct batch *batch = batch_of(choice, time);
    uint64_t bytes = 0;

    remove_first(&choice->waiting, fill(choice, batch, &choice->waiting, &bytes));

    uint32_t taken = choice->waiting.count > 0 ? 0 : fill(choice, batch, &choice->accepted, &bytes);

    for (uint32_t i = taken; i < choice->accepted.count; i++) {
        remember(choice, &choice->accepted.items[i], WAITS);
        append(&choice->waiting, &choice->accepted.items[i]);
    }
    tide_listed_files_destroy(&choice->accepted);
    tide_listed_files_destroy(&choice->candidates);
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static struct batch *find_batch(const struct tide_file_choice *choice, int64_t time) {
    for (uint32_t i = choice->nbatches; i > 0 && choice->batches[i - 1].time >= time; i--)
        if (choice->batches[i - 1].time == time) return &choice->batches[i - 1];
    return NULL;
}

const struct tide_listed_files *tide_file_choice_files(const struct tide_file_choice *choice, int64_t time) {
    const struct batch *batch = find_batch(choice, time);

    return batch ? &batch->files : NULL;
}

void tide_file_choice_update(struct tide_file_choice *choice, int64_t time) {
    struct batch *batch = find_batch(choice, time);

    for (uint32_t i = 0; batch && i < batch->files.count; i++) {
        struct tide_listed *file = &batch->files.items[i];
        const struct tide_file_entry *entry = tide_file_table_find(&choice->memory, file->path);

        if (!tide_listed_update(file)) continue;
        tide_log_sparse(&choice->changed, TIDE_LOG_WARN, "files",
                        "%s has changed since batch %" PRId64
                        " ms read it: the batch is run again with the file as it "
                        "is now",
                        file->path, time);
        if (entry && entry->mark == time) remember(choice, file, time);
    }
}

int64_t tide_file_choice_newest(const struct tide_file_choice *choice) { return choice->newest; }

void tide_file_choice_forget(struct tide_file_choice *choice, int64_t time) {
    uint32_t count = 0;
    bool files = false;

    for (; count < choice->nbatches && choice->batches[count].time <= time; count++) {
        files = files || choice->batches[count].files.count > 0;
        tide_listed_files_destroy(&choice->batches[count].files);
    }
    if (count == 0) return;
    choice->nbatches -= count;
    memmove(choice->batches, choice->batches + count, choice->nbatches * sizeof *choice->batches);
    if (files) tide_file_table_sweep(&choice->memory, time < INT64_MAX ? time + 1 : time);
}

/* ---- Checkpoints ----------------------------------------------------------------------------------------------- */

int64_t tide_file_choice_created(const struct tide_file_choice *choice) { return choice->options.created; }

void tide_file_choice_set_created(struct tide_file_choice *choice, int64_t created) {
    choice->options.created = created;
}

uint32_t tide_file_choice_batches(const struct tide_file_choice *choice) { return choice->nbatches; }

int64_t tide_file_choice_batch(const struct tide_file_choice *choice, uint32_t index) {
    return choice->batches[index].time;
}

const struct tide_listed_files *tide_file_choice_waiting(const struct tide_file_choice *choice) {
    return &choice->waiting;
}

static void set(struct tide_file_choice *choice, struct tide_listed_files *into, int64_t mark,
                struct tide_listed_files *take) {
    tide_listed_files_destroy(into);
    for (uint32_t i = 0; i < take->count; i++) {
        const struct tide_file_entry *entry = tide_file_table_find(&choice->memory, take->items[i].path);

        if (!entry || entry->mark <= mark) remember(choice, &take->items[i], mark);
    }
    *into = *take;
    *take = (struct tide_listed_files){0};
}

void tide_file_choice_set_files(struct tide_file_choice *choice, int64_t time, struct tide_listed_files *take) {
    set(choice, &batch_of(choice, time)->files, time, take);
}

void tide_file_choice_set_waiting(struct tide_file_choice *choice, struct tide_listed_files *take) {
    set(choice, &choice->waiting, WAITS, take);
}
