/*
 * Operators, partitioners and exchanges: the descriptions that nodes of lineage and streams share (see op.h).
 *
 * Driver thread only. Values of counted references; nothing here knows a dataset.
 */
#include "rdd/op.h"

#include <assert.h>
#include <string.h>

#include "base/alloc.h"

struct tide_op *tide_op_new(const void *bytes, size_t size, bool keeps_keys) {
    struct tide_op *op = tide_xmalloc(sizeof *op + size);

    assert(size <= UINT32_MAX);
    op->refs = 1;
    op->keeps_keys = keeps_keys;
    op->indexed = false;
    op->size = (uint32_t)size;
    memcpy(op->bytes, bytes, size);
    return op;
}

struct tide_op *tide_op_retain(struct tide_op *op) {
    op->refs++;
    return op;
}

void tide_op_release(struct tide_op *op) {
    if (op != NULL && --op->refs == 0) tide_free(op);
}

struct tide_exchange *tide_exchange_new(enum tide_route route, uint32_t partitions, bool ascending,
                                        struct tide_op *write, struct tide_op *read) {
    struct tide_exchange *exchange = tide_xmalloc(sizeof *exchange);

    assert(partitions >= 1 && partitions <= TIDE_RDD_MAX_PARTITIONS);
    exchange->refs = 1;
    exchange->route = route;
    exchange->partitions = partitions;
    exchange->ascending = ascending;
    exchange->stays = false;
    exchange->here = NULL;
    exchange->write = write != NULL ? tide_op_retain(write) : NULL;
    exchange->read = read != NULL ? tide_op_retain(read) : NULL;
    return exchange;
}

void tide_exchange_stays(struct tide_exchange *exchange, struct tide_op *here) {
    assert(exchange->route == TIDE_ROUTE_HASH && !exchange->stays);
    exchange->stays = true;
    exchange->here = here != NULL ? tide_op_retain(here) : NULL;
}

struct tide_exchange *tide_exchange_retain(struct tide_exchange *exchange) {
    exchange->refs++;
    return exchange;
}

void tide_exchange_release(struct tide_exchange *exchange) {
    if (exchange == NULL || --exchange->refs > 0) return;
    tide_op_release(exchange->write);
    tide_op_release(exchange->read);
    tide_op_release(exchange->here);
    tide_free(exchange);
}
