/*
 * See stream_rig.h. The source's operations run on the ingest thread, everything else on the test's.
 */
#include "stream_rig.h"

#include "base/alloc.h"
#include "dstream/stream.h"
#include "rdd/node.h"
#include "test.h"

/* ---- Datasets ----------------------------------------------------------------------------------------------- */

struct tide_block *block_of(uint32_t first, uint32_t count) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_TEXT, 1, 16, NULL);
    for (uint32_t i = 0; i < count; i++) {
        char line[16];
        int size = snprintf(line, sizeof line, "%u", first + i);
        assert_true(tide_block_reserve(block, (size_t)size + 1));
        memcpy(block->data + block->size, line, (size_t)size);
        block->data[block->size + (size_t)size] = '\n';
        assert_true(tide_block_add_line(block, (uint32_t)block->size, (uint32_t)size));
        block->size += (size_t)size + 1;
    }
    return block;
}

struct tide_rdd *rdd_of(uint32_t first, uint32_t count) {
    struct tide_blocks list;
    tide_blocks_create(&list);
    if (count) tide_blocks_push(&list, block_of(first, count));
    struct tide_rdd *rdd = tide_rdd_blocks_new(&list, 1);
    tide_blocks_destroy(&list);
    return rdd;
}

struct tide_op *op_of(const char *name) {
    return tide_op_new(name, strlen(name), false);
}

struct text {
    char bytes[4096];
    size_t size;
};

static void append(struct text *text, const void *bytes, size_t size) {
    assert_true(text->size + size < sizeof text->bytes);
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

static void append_lists(struct text *text, const struct tide_rdd *rdd) {
    for (uint32_t p = 0; p < rdd->partitions; p++) {
        size_t before = text->size;
        for (uint32_t b = 0; b < rdd->as.blocks.lists[p].count; b++) {
            const struct tide_block *block = rdd->as.blocks.lists[p].items[b];
            for (uint32_t i = 0; i < block->count; i++) {
                if (text->size > before) append(text, " ", 1);
                append(text, block->data + block->lines[i].offset, block->lines[i].length);
            }
        }
        append(text, "|", 1);
    }
}

static void append_rdd(struct text *text, const struct tide_rdd *rdd) {
    while (rdd->parent) rdd = rdd->parent; /* narrow and shuffled nodes: what they are made from */
    switch (rdd->kind) {
    case TIDE_RDD_BLOCKS: append_lists(text, rdd); break;
    case TIDE_RDD_UNION:
        for (uint32_t i = 0; i < rdd->as.many.count; i++) append_rdd(text, rdd->as.many.parents[i]);
        break;
    default: fail_msg("a dataset of another kind");
    }
}

const char *text_of(struct tide_rdd *rdd) {
    static struct text texts[4];
    static unsigned next;
    struct text *text = &texts[next++ % 4];

    text->size = 0;
    if (!rdd) return "none";
    append_rdd(text, rdd);
    text->bytes[text->size] = '\0';
    return text->bytes;
}

static uint32_t expect_block(const struct tide_block *block, uint32_t next) {
    for (uint32_t i = 0; i < block->count; i++, next++) {
        char line[16];
        int size = snprintf(line, sizeof line, "%u", next);
        assert_int_equal(block->lines[i].length, size);
        assert_memory_equal(block->data + block->lines[i].offset, line, (size_t)size);
    }
    return next;
}

uint32_t expect_lines(const struct tide_rdd *rdd, uint32_t next) {
    assert_int_equal(rdd->kind, TIDE_RDD_BLOCKS);
    for (uint32_t p = 0; p < rdd->partitions; p++) {
        for (uint32_t b = 0; b < rdd->as.blocks.lists[p].count; b++)
            next = expect_block(rdd->as.blocks.lists[p].items[b], next);
    }
    return next;
}

/* ---- A source ----------------------------------------------------------------------------------------------- */

struct supplied {
    struct tide_source source;
    struct supply *supply;
};

static struct supply *supply_of(struct tide_source *source) { return ((struct supplied *)source)->supply; }

static int start(struct tide_source *source, uv_loop_t *loop, struct tide_error *err) {
    if (supply_of(source)->refuse) return tide_error_set(err, TIDE_EIO, "the supply is refused");
    if (!supply_of(source)->silent) tide_source_report(source, TIDE_SOURCE_STARTED, 0, "supplying");
    return 0;
}

static void take(struct tide_source *source, struct tide_blocks *out) {
    uv_mutex_lock(&supply_of(source)->lock);
    tide_blocks_move(out, &supply_of(source)->blocks);
    uv_mutex_unlock(&supply_of(source)->lock);
}

static void resume(struct tide_source *source) {}

static void stop(struct tide_source *source) {
    if (!supply_of(source)->silent) tide_source_report(source, TIDE_SOURCE_STOPPED, 0, "no more supply");
}

static void close_source(struct tide_source *source) {
    supply_of(source)->closed++;
    tide_free(source);
}

static const struct tide_source_ops SUPPLY_OPS = {"supply", start, take, resume, stop, close_source, NULL};

void supply_create(struct supply *supply) {
    *supply = (struct supply){0};
    uv_mutex_init(&supply->lock);
    tide_blocks_create(&supply->blocks);
}

void supply_destroy(struct supply *supply) {
    tide_blocks_destroy(&supply->blocks);
    uv_mutex_destroy(&supply->lock);
}

void supply_lines(struct supply *supply, uint32_t first, uint32_t blocks, uint32_t each) {
    uv_mutex_lock(&supply->lock);
    for (uint32_t i = 0; i < blocks; i++) tide_blocks_push(&supply->blocks, block_of(first + i * each, each));
    uv_mutex_unlock(&supply->lock);
}

struct tide_source *supply_source(struct supply *supply, uint32_t id) {
    struct supplied *supplied = tide_xcalloc(1, sizeof *supplied);
    supplied->source.ops = &SUPPLY_OPS;
    supplied->source.id = id;
    tide_list_create(&supplied->source.link);
    supplied->supply = supply;
    return &supplied->source;
}

/* ---- A window ----------------------------------------------------------------------------------------------- */

struct window {
    struct tide_stream stream;
    int64_t window;
    uint32_t computed;
};

static void window_needs(struct tide_stream *stream, int64_t time, struct tide_needs *needs) {
    struct tide_stream *parent = stream->parents[0];
    int64_t from = time - ((struct window *)stream)->window + parent->slide;

    for (int64_t at = from; at <= time; at += parent->slide) tide_needs_add(needs, parent, at);
}

static int window_compute(struct tide_stream *stream, int64_t time, struct tide_rdd *const *parents, uint32_t count,
                          struct tide_rdd **out, struct tide_error *err) {
    struct tide_rdd **there = tide_xcalloc(count, sizeof(struct tide_rdd *));
    uint32_t nthere = 0;

    for (uint32_t i = 0; i < count; i++) {
        if (parents[i]) there[nthere++] = parents[i];
    }
    *out = tide_rdd_union_new(there, nthere);
    tide_free(there);
    ((struct window *)stream)->computed++;
    return TIDE_OK;
}

static int64_t window_remember(const struct tide_stream *stream) {
    return stream->remember + ((const struct window *)stream)->window;
}

static const struct tide_stream_ops WINDOW_OPS = {
    .name = "window",
    .needs = window_needs,
    .compute = window_compute,
    .parent_remember = window_remember,
};

struct tide_stream *window_of(struct tide_stream *parent, int64_t length, int64_t slide) {
    struct tide_error err = {0};
    struct window *window =
        (struct window *)tide_stream_new(parent->graph, &WINDOW_OPS, sizeof *window, &parent, 1, slide, &err);
    assert_non_null(window);
    window->window = length;
    return &window->stream;
}

uint32_t window_computed(const struct tide_stream *window) { return ((const struct window *)window)->computed; }
