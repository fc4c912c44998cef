/*
 * See rdd_rig.h.
 */
#include "rdd_rig.h"

#include <string.h>

#include "base/alloc.h"
#include "rdd/node.h"
#include "wire/pack.h"
#include "wire/unpack.h"

struct tide_op *rig_op(const char *name, bool keeps_keys) {
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    tide_pack_map(&bytes, 1);
    tide_pack_text(&bytes, "name");
    tide_pack_text(&bytes, name);

    struct tide_op *op = tide_op_new(bytes.data, bytes.size, keeps_keys);

    tide_buffer_destroy(&bytes);
    return op;
}

struct tide_block *rig_block(const int *numbers, uint32_t count) {
    struct tide_block *block = tide_block_new(TIDE_BLOCK_PACKED, 1, 16, NULL);
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    for (uint32_t i = 0; i < count; i++) tide_pack_number(&bytes, numbers[i]);
    tide_block_reserve(block, bytes.size);
    if (bytes.size > 0) memcpy(block->data, bytes.data, bytes.size);
    block->size = bytes.size;
    block->count = count;
    tide_buffer_destroy(&bytes);
    return block;
}

struct tide_cache *rig_cache(uint64_t limit) {
    return tide_cache_new(&(struct tide_cache_options){.limit = limit}, NULL);
}

void rig_settle(struct tide_rdd *rdd, struct tide_blocks *take_lists) {
    struct tide_cache *cache = rig_cache(UINT64_MAX);
    struct tide_cached_options options = {.lists = tide_rdd_partitions(rdd), .memory = true, .disk = true};
    struct tide_cached **maps = tide_xcalloc(1, sizeof *maps);

    maps[0] = tide_cached_new(cache, &options);
    tide_cached_fill(maps[0], take_lists);
    tide_rdd_settle(rdd, maps, 1);
    tide_free(take_lists);
    tide_cache_release(cache);
}

void rig_keep_lists(struct tide_rdd *rdd, struct tide_cache *cache, struct tide_blocks *take_lists) {
    uint32_t count = tide_rdd_partitions(rdd);
    struct tide_cached **made = tide_xcalloc(count, sizeof *made);

    for (uint32_t i = 0; i < count; i++) {
        struct tide_cached_options options = {
            .dataset = tide_rdd_id(rdd), .partition = i, .lists = 1, .memory = true, .recomputable = !rdd->truncate};

        made[i] = tide_cached_new(cache, &options);
        tide_cached_fill(made[i], &take_lists[i]);
    }
    tide_rdd_set_cached(rdd, made, NULL, count);
    tide_free(made);
    tide_free(take_lists);
}

struct tide_rdd *rig_blocks(uint32_t partitions, uint32_t each, int first) {
    struct tide_blocks *lists = tide_xcalloc(partitions + 1, sizeof *lists);
    int *numbers = tide_xcalloc(each + 1, sizeof *numbers);

    for (uint32_t i = 0; i < partitions; i++) {
        tide_blocks_create(&lists[i]);
        for (uint32_t j = 0; j < each; j++) numbers[j] = first++;
        tide_blocks_push(&lists[i], rig_block(numbers, each));
    }

    struct tide_rdd *rdd = tide_rdd_blocks_new(lists, partitions);

    for (uint32_t i = 0; i < partitions; i++) tide_blocks_destroy(&lists[i]);
    tide_free(lists);
    tide_free(numbers);
    return rdd;
}

static struct tide_rdd *narrow(struct tide_rdd *take, const char *name, bool keeps_keys, bool indexed) {
    struct tide_op *op = rig_op(name, keeps_keys);

    op->indexed = indexed;

    struct tide_rdd *rdd = tide_rdd_narrow_new(take, op);

    tide_op_release(op);
    tide_rdd_release(take);
    return rdd;
}

struct tide_rdd *rig_learned(struct tide_rdd *take, const char *name) {
    struct tide_buffer bytes;

    tide_buffer_create(&bytes);
    tide_pack_map(&bytes, 2);
    tide_pack_text(&bytes, "name");
    tide_pack_text(&bytes, name);
    tide_pack_text(&bytes, "arity");
    tide_pack_int64(&bytes, 0);

    struct tide_op *op = tide_op_new(bytes.data, bytes.size, false);
    struct tide_rdd *rdd = tide_rdd_narrow_new(take, op);

    tide_buffer_destroy(&bytes);
    tide_op_release(op);
    tide_rdd_release(take);
    return rdd;
}

struct tide_rdd *rig_narrow(struct tide_rdd *take, const char *name) {
    return narrow(take, name, false, false);
}

struct tide_rdd *rig_keep(struct tide_rdd *take, const char *name) {
    return narrow(take, name, true, false);
}

struct tide_rdd *rig_indexed(struct tide_rdd *take, const char *name) {
    return narrow(take, name, false, true);
}

struct tide_rdd *rig_coalesce(struct tide_rdd *take, uint32_t partitions) {
    struct tide_rdd *rdd = tide_rdd_coalesce_new(take, partitions);

    tide_rdd_release(take);
    return rdd;
}

struct tide_rdd *rig_union(struct tide_rdd *take_a, struct tide_rdd *take_b) {
    struct tide_rdd *parents[2] = {take_a, take_b};
    struct tide_rdd *rdd = tide_rdd_union_new(parents, 2);

    tide_rdd_release(take_a);
    tide_rdd_release(take_b);
    return rdd;
}

struct tide_rdd *rig_zip_union(struct tide_rdd *take_a, struct tide_rdd *take_b) {
    struct tide_rdd *parents[2] = {take_a, take_b};
    struct tide_rdd *rdd = tide_rdd_zip_union_new(parents, 2);

    tide_rdd_release(take_a);
    tide_rdd_release(take_b);
    return rdd;
}

struct tide_rdd *rig_zip(struct tide_rdd *take_a, struct tide_rdd *take_b, const char *name) {
    struct tide_rdd *parents[2] = {take_a, take_b};
    struct tide_op *op = rig_op(name, true);
    struct tide_rdd *rdd = tide_rdd_zip_new(parents, 2, op);

    tide_op_release(op);
    tide_rdd_release(take_a);
    tide_rdd_release(take_b);
    return rdd;
}

struct tide_rdd *rig_cartesian(struct tide_rdd *take_a, struct tide_rdd *take_b, const char *name) {
    struct tide_op *op = rig_op(name, false);
    struct tide_rdd *rdd = tide_rdd_cartesian_new(take_a, take_b, op);

    tide_op_release(op);
    tide_rdd_release(take_a);
    tide_rdd_release(take_b);
    return rdd;
}

struct tide_rdd *rig_shuffle(struct tide_rdd *take, enum tide_route route, uint32_t partitions, bool ascending) {
    struct tide_op *write = rig_op("w", false), *read = rig_op("r", false);
    struct tide_exchange *exchange = tide_exchange_new(route, partitions, ascending, write, read);
    struct tide_rdd *rdd = tide_rdd_shuffled_new(take, exchange);

    tide_exchange_release(exchange);
    tide_op_release(write);
    tide_op_release(read);
    tide_rdd_release(take);
    return rdd;
}

/* ---- Showing ------------------------------------------------------------------------------------------------ */

static const uint8_t *show(const uint8_t *at, const uint8_t *end, struct tide_buffer *out);

static const uint8_t *show_map(struct tide_value map, const uint8_t *end, struct tide_buffer *out) {
    const uint8_t *at = map.next;
    struct tide_value key = tide_unpack_value(at, end);

    if (map.size == 1 && key.type == TIDE_VALUE_STRING && key.size == 4 && memcmp(key.data, "name", 4) == 0)
        return show(key.next, end, out);
    tide_buffer_append(out, "{", 1);
    for (uint32_t i = 0; i < map.size; i++) {
        if (i > 0) tide_buffer_append(out, ", ", 2);
        at = show(at, end, out);
        tide_buffer_append(out, ": ", 2);
        at = show(at, end, out);
    }
    tide_buffer_append(out, "}", 1);
    return at;
}

static const uint8_t *show(const uint8_t *at, const uint8_t *end, struct tide_buffer *out) {
    struct tide_value value = tide_unpack_value(at, end);

    switch (value.type) {
    case TIDE_VALUE_NIL: tide_buffer_format(out, "nil"); return value.next;
    case TIDE_VALUE_BOOL: tide_buffer_format(out, value.boolean ? "true" : "false"); return value.next;
    case TIDE_VALUE_NUMBER: tide_buffer_format(out, "%g", value.number); return value.next;
    case TIDE_VALUE_STRING: tide_buffer_append(out, value.data, value.size); return value.next;
    case TIDE_VALUE_MAP: return show_map(value, end, out);
    case TIDE_VALUE_ARRAY:
        tide_buffer_append(out, "[", 1);
        at = value.next;
        for (uint32_t i = 0; i < value.size; i++) {
            if (i > 0) tide_buffer_append(out, ", ", 2);
            at = show(at, end, out);
        }
        tide_buffer_append(out, "]", 1);
        return at;
    default: tide_buffer_format(out, "?"); return end;
    }
}

void rig_show(const uint8_t *bytes, size_t size, struct tide_buffer *out) {
    const uint8_t *end = bytes + size;

    if (show(bytes, end, out) != end) tide_buffer_format(out, " and bytes left over");
}

static char *finish(struct tide_buffer *out) {
    size_t size;

    tide_buffer_append(out, "", 1);
    return (char *)tide_buffer_take(out, &size);
}

char *rig_plan(const struct tide_plan *plan) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    rig_show(plan->bytes, plan->size, &out);
    return finish(&out);
}

char *rig_numbers(const struct tide_blocks *blocks) {
    struct tide_buffer out;

    tide_buffer_create(&out);
    for (uint32_t i = 0; i < blocks->count; i++) {
        const uint8_t *at = blocks->items[i]->data, *end = at + blocks->items[i]->size;

        while (at < end) {
            struct tide_value value = tide_unpack_value(at, end);

            tide_buffer_format(&out, out.size > 0 ? " %g" : "%g", value.number);
            at = value.next;
        }
    }
    return finish(&out);
}
