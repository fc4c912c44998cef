/*
 * Makes plan bytes from shapes and caches recent plans.
 *
 * Called by stages (rdd/stage.c). Driver thread only. A cached plan holds references to the operators in its shape,
 * so a pointer in a shape never means two operators. The table is a chained hash; a list in order of use decides
 * which plan is dropped first.
 */
#include "rdd/plans.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/list.h"
#include "rdd/rdd.h"
#include "wire/hash.h"
#include "wire/pack.h"

/* Enough for every stage of a large graph; the limit in bytes is there because closures may contain data. */
enum { BUCKETS = 256, KEPT_PLANS = 256, KEPT_BYTES = 8 << 20 };

struct entry {
    struct tide_list recent; /* least recently used first */
    struct entry *next;      /* of the bucket */
    struct tide_plan *plan;
    uint64_t hash;
    uint32_t count;
    bool broadcasts; /* some operator uses broadcast variables */
    uint64_t words[];
};

struct tide_plans {
    struct entry *buckets[BUCKETS];
    struct tide_list recent;
    uint32_t count;
    uint32_t with_broadcasts; /* of these, plans whose operators use broadcast variables */
    uint64_t bytes;
};

static struct tide_op *word_op(uint64_t word) { return (struct tide_op *)(uintptr_t)word; }

/* Opens an operator that gets the number of the partition. */
static bool is_number(uint64_t word) { return word == TIDE_WORD_INDEXED || word == TIDE_WORD_NUMBERED; }

typedef void op_visitor(struct tide_op *op, bool *answer);

/* Calls `visit` for each operator in the shape. */
static void each_op(const uint64_t *words, uint32_t count, op_visitor *visit, bool *answer) {
    uint32_t at = 0;

    while (at < count) {
        switch ((enum tide_word)words[at++]) {
        case TIDE_WORD_CHAIN: break;
        case TIDE_WORD_RUN:
        case TIDE_WORD_CONCAT: at++; break;
        case TIDE_WORD_OPS:
            for (uint64_t n = words[at++]; n > 0; n--) {
                if (is_number(words[at])) at += 2;
                visit(word_op(words[at++]), answer);
            }
            break;
        case TIDE_WORD_ZIP:
            visit(word_op(words[at]), answer);
            at += 2;
            break;
        case TIDE_WORD_SAME: at += 2; break;
        case TIDE_WORD_INDEXED:
        case TIDE_WORD_NUMBERED: break; /* within OPS only */
        case TIDE_WORD_SHUFFLE:
            if (words[at] != 0) visit(word_op(words[at]), answer);
            at += 3;
            break;
        case TIDE_WORD_LEAF:
        case TIDE_WORD_FINAL:
        case TIDE_WORD_SAMPLE:
            if (words[at] != 0) visit(word_op(words[at]), answer);
            at++;
            break;
        }
    }
}

static void hold_op(struct tide_op *op, bool *broadcasts) {
    tide_op_retain(op)->in_plans++;
    if (op->broadcasts) *broadcasts = true;
}

static void let_op_go(struct tide_op *op, bool *unused) {
    (void)unused;
    op->in_plans--;
    tide_op_release(op);
}

static void ask_op(struct tide_op *op, bool *is_over) {
    if (op->broadcasts && op->refs == op->in_plans) *is_over = true;
}

/* ---- Bytes -------------------------------------------------------------------------------------------------- */

/* An operator's own bytes are one MessagePack value: spliced in unread. */
static void write_op(struct tide_buffer *out, uint64_t word) {
    if (word == 0) tide_pack_nil(out);
    else tide_buffer_append(out, word_op(word)->bytes, word_op(word)->size);
}

/* One pass: every array's length is known when its opening word is met. */
static void write_bytes(struct tide_buffer *out, const uint64_t *words, uint32_t count) {
    uint32_t at = 0;

    tide_pack_array(out, 2);
    while (at < count) {
        switch ((enum tide_word)words[at++]) {
        case TIDE_WORD_LEAF:
            tide_pack_array(out, 2);
            tide_pack_text(out, "leaf");
            write_op(out, words[at++]);
            break;
        case TIDE_WORD_CHAIN:
            tide_pack_array(out, 3);
            tide_pack_text(out, "chain");
            break;
        case TIDE_WORD_OPS:
            tide_pack_array(out, (uint32_t)words[at]);
            for (uint64_t n = words[at++]; n > 0; n--) {
                bool of_task = words[at] == TIDE_WORD_NUMBERED;

                if (is_number(words[at])) {
                    tide_pack_array(out, of_task ? 3 : 2);
                    tide_pack_int64(out, (int64_t)words[at + 1]);
                    at += 2;
                }
                write_op(out, words[at++]);
                if (of_task) tide_pack_bool(out, true);
            }
            break;
        case TIDE_WORD_ZIP:
            tide_pack_array(out, 3);
            tide_pack_text(out, "zip");
            write_op(out, words[at]);
            tide_pack_array(out, (uint32_t)words[at + 1]);
            at += 2;
            break;
        case TIDE_WORD_SAME:
            tide_pack_array(out, 3);
            tide_pack_text(out, "same");
            tide_pack_int64(out, (int64_t)words[at]);
            tide_pack_int64(out, (int64_t)words[at + 1]);
            at += 2;
            break;
        case TIDE_WORD_INDEXED:
        case TIDE_WORD_NUMBERED: break;
        case TIDE_WORD_CONCAT:
            tide_pack_array(out, 2);
            tide_pack_text(out, "concat");
            tide_pack_array(out, (uint32_t)words[at++]);
            break;
        case TIDE_WORD_RUN:
            tide_pack_array(out, 2);
            tide_pack_int64(out, (int64_t)words[at++]);
            break;
        case TIDE_WORD_FINAL: write_op(out, words[at++]); break;
        case TIDE_WORD_SHUFFLE:
            tide_pack_array(out, 4);
            tide_pack_text(out, "shuffle");
            write_op(out, words[at]);
            tide_pack_int64(out, (int64_t)words[at + 1]);
            tide_pack_bool(out, words[at + 2] != 0);
            at += 3;
            break;
        case TIDE_WORD_SAMPLE:
            tide_pack_array(out, 2);
            tide_pack_text(out, "sample");
            write_op(out, words[at++]);
            break;
        }
    }
}

/* ---- The cache ---------------------------------------------------------------------------------------------- */

struct tide_plans *tide_plans_new(void) {
    struct tide_plans *plans = tide_xcalloc(1, sizeof *plans);

    tide_list_create(&plans->recent);
    return plans;
}

static void entry_delete(struct tide_plans *plans, struct entry *entry) {
    struct entry **link = &plans->buckets[entry->hash % BUCKETS];

    while (*link != entry) link = &(*link)->next;
    *link = entry->next;
    tide_list_remove(&entry->recent);
    plans->count--;
    plans->bytes -= entry->plan->size;
    plans->with_broadcasts -= entry->broadcasts;
    each_op(entry->words, entry->count, let_op_go, NULL);
    tide_plan_release(entry->plan);
    tide_free(entry);
}

void tide_plans_delete(struct tide_plans *plans) {
    if (!plans) return;
    while (!tide_list_empty(&plans->recent))
        entry_delete(plans, TIDE_CONTAINER_OF(plans->recent.next, struct entry, recent));
    tide_free(plans);
}

struct tide_plan *tide_plans_get(struct tide_plans *plans, const uint64_t *words, uint32_t count) {
    size_t size = (size_t)count * sizeof *words;
    uint64_t hash = tide_hash_string(words, size);
    struct entry *entry = plans->buckets[hash % BUCKETS];

    while (entry && (entry->hash != hash || entry->count != count || memcmp(entry->words, words, size) != 0))
        entry = entry->next;

    if (!entry) {
        struct tide_buffer bytes;

        tide_buffer_create(&bytes);
        write_bytes(&bytes, words, count);

        entry = tide_xmalloc(sizeof *entry + size);
        entry->plan = tide_plan_new(bytes.data, bytes.size);
        entry->hash = hash;
        entry->count = count;
        memcpy(entry->words, words, size);
        entry->broadcasts = false;
        each_op(words, count, hold_op, &entry->broadcasts);
        plans->with_broadcasts += entry->broadcasts;
        entry->next = plans->buckets[hash % BUCKETS];
        plans->buckets[hash % BUCKETS] = entry;
        plans->count++;
        plans->bytes += entry->plan->size;
        tide_buffer_destroy(&bytes);
    } else {
        tide_list_remove(&entry->recent);
    }
    tide_list_push(&plans->recent, &entry->recent);
    return tide_plan_retain(entry->plan);
}

/* A shape with an operator that only cached plans refer to never comes again. The search for such plans is worth it
 * where they hold a broadcast variable. */
static void drop_carriers(struct tide_plans *plans) {
    struct tide_list *next;

    for (struct tide_list *at = plans->recent.next; at != &plans->recent; at = next) {
        struct entry *entry = TIDE_CONTAINER_OF(at, struct entry, recent);
        bool is_over = false;

        next = at->next;
        if (entry->broadcasts) each_op(entry->words, entry->count, ask_op, &is_over);
        if (is_over) entry_delete(plans, entry);
    }
}

void tide_plans_trim(struct tide_plans *plans) {
    if (plans->with_broadcasts > 0) drop_carriers(plans);
    while (plans->count > KEPT_PLANS || (plans->bytes > KEPT_BYTES && plans->count > 1))
        entry_delete(plans, TIDE_CONTAINER_OF(plans->recent.next, struct entry, recent));
}

uint32_t tide_plans_count(const struct tide_plans *plans) { return plans->count; }
