/*
 * Operators, partitioners and exchanges: the descriptions that nodes of lineage and streams share (see op.h).
 *
 * Driver thread only. Values of counted references; nothing here knows a dataset.
 */
#include "rdd/op.h"

#include <assert.h>
#include <string.h>
#include <xxhash.h>

#include "base/alloc.h"
#include "store/broadcast.h"
#include "wire/unpack.h"

static enum tide_makes makes_of(const uint8_t *bytes, size_t size) {
    const uint8_t *end = bytes + size;
    struct tide_value map = tide_unpack_value(bytes, end);
    const uint8_t *at = map.type == TIDE_VALUE_MAP ? map.next : NULL;

    for (uint32_t i = 0; at && i < map.size; i++) {
        struct tide_value key = tide_unpack_value(at, end);
        const uint8_t *value = tide_unpack_skip(at, end);

        if (!value) break;
        if (key.type == TIDE_VALUE_STRING && key.size == 5 && memcmp(key.data, "arity", 5) == 0) {
            struct tide_value makes = tide_unpack_value(value, end);

            if (makes.type == TIDE_VALUE_NUMBER && makes.number >= 0 && makes.number < TIDE_MAKES_THE_SAME)
                return (enum tide_makes)makes.number;
        }
        at = tide_unpack_skip(value, end);
    }
    return TIDE_MAKES_THE_SAME;
}

struct tide_op *tide_op_new(const void *bytes, size_t size, bool keeps_keys) {
    struct tide_op *op = tide_xmalloc(sizeof *op + size);

    assert(size <= UINT32_MAX);
    op->refs = 1;
    op->in_plans = 0;
    op->keeps_keys = keeps_keys;
    op->indexed = false;
    op->makes = (uint8_t)makes_of(bytes, size);
    op->size = (uint32_t)size;
    op->broadcasts = tide_broadcast_refs_new(bytes, size);
    memcpy(op->bytes, bytes, size);
    return op;
}

struct tide_op *tide_op_retain(struct tide_op *op) {
    op->refs++;
    return op;
}

void tide_op_release(struct tide_op *op) {
    if (!op || --op->refs > 0) return;
    tide_broadcast_refs_delete(op->broadcasts);
    tide_free(op);
}

void tide_op_label(const struct tide_op *op, const char *otherwise, struct tide_buffer *out) {
    struct tide_value name = {0}, site = {0};

    if (op) {
        const uint8_t *end = op->bytes + op->size;
        struct tide_value map = tide_unpack_value(op->bytes, end);
        const uint8_t *at = map.type == TIDE_VALUE_MAP ? map.next : NULL;

        for (uint32_t i = 0; at && i < map.size; i++) {
            struct tide_value key = tide_unpack_value(at, end);
            const uint8_t *value = tide_unpack_skip(at, end);

            if (!value) break;
            if (key.type == TIDE_VALUE_STRING && key.size == 4) {
                if (memcmp(key.data, "name", 4) == 0) name = tide_unpack_value(value, end);
                else if (memcmp(key.data, "site", 4) == 0) site = tide_unpack_value(value, end);
            }
            at = tide_unpack_skip(value, end);
        }
    }
    if (name.type == TIDE_VALUE_STRING) tide_buffer_append(out, name.data, name.size);
    else tide_buffer_append(out, otherwise, strlen(otherwise));
    if (site.type == TIDE_VALUE_STRING) tide_buffer_format(out, " (%.*s)", (int)site.size, (const char *)site.data);
}

struct tide_partitioner *tide_partitioner_new(const void *identity, size_t identity_size, const void *bytes,
                                              size_t size) {
    struct tide_partitioner *partitioner = tide_xmalloc(sizeof *partitioner + size);
    XXH128_hash_t id = XXH3_128bits(identity, identity_size);

    assert(size <= UINT32_MAX);
    partitioner->refs = 1;
    partitioner->size = (uint32_t)size;
    partitioner->id[0] = id.high64;
    partitioner->id[1] = id.low64;
    partitioner->broadcasts = tide_broadcast_refs_new(bytes, size);
    memcpy(partitioner->bytes, bytes, size);
    return partitioner;
}

struct tide_partitioner *tide_partitioner_retain(struct tide_partitioner *partitioner) {
    if (partitioner) partitioner->refs++;
    return partitioner;
}

void tide_partitioner_release(struct tide_partitioner *partitioner) {
    if (!partitioner || --partitioner->refs > 0) return;
    tide_broadcast_refs_delete(partitioner->broadcasts);
    tide_free(partitioner);
}

bool tide_partitioner_same(const struct tide_partitioner *a, const struct tide_partitioner *b) {
    if (!a || !b) return a == b;
    return a->id[0] == b->id[0] && a->id[1] == b->id[1];
}

struct tide_exchange *tide_exchange_new(enum tide_route route, uint32_t partitions, bool ascending,
                                        struct tide_op *write, struct tide_op *read) {
    struct tide_exchange *exchange = tide_xmalloc(sizeof *exchange);

    assert(partitions >= 1 && partitions <= TIDE_RDD_MAX_PARTITIONS);
    exchange->refs = 1;
    exchange->route = route;
    exchange->partitions = partitions;
    exchange->ascending = ascending;
    exchange->partitioner = NULL;
    exchange->in_place = false;
    exchange->in_place_op = NULL;
    exchange->write = write ? tide_op_retain(write) : NULL;
    exchange->read = read ? tide_op_retain(read) : NULL;
    return exchange;
}

void tide_exchange_partition_by(struct tide_exchange *exchange, struct tide_partitioner *partitioner) {
    assert(exchange->route == TIDE_ROUTE_HASH && !exchange->partitioner);
    exchange->partitioner = tide_partitioner_retain(partitioner);
}

void tide_exchange_set_in_place(struct tide_exchange *exchange, struct tide_op *op) {
    assert(exchange->route == TIDE_ROUTE_HASH && !exchange->in_place);
    exchange->in_place = true;
    exchange->in_place_op = op ? tide_op_retain(op) : NULL;
}

struct tide_exchange *tide_exchange_retain(struct tide_exchange *exchange) {
    exchange->refs++;
    return exchange;
}

void tide_exchange_release(struct tide_exchange *exchange) {
    if (!exchange || --exchange->refs > 0) return;
    tide_op_release(exchange->write);
    tide_op_release(exchange->read);
    tide_op_release(exchange->in_place_op);
    tide_partitioner_release(exchange->partitioner);
    tide_free(exchange);
}
