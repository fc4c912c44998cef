/*
 * Facts and ledgers, and the messages when two do not agree.
 *
 * Called by the constructors of nodes and streams, by stages (rdd/stage.c) and runs (driver/). Driver thread.
 */
#include "rdd/arity.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <string.h>

#include "base/alloc.h"
#include "base/array.h"
#include "base/buffer.h"
#include "rdd/node.h"

#define ADVICE                                                                                                       \
    "a dataset or stream is of one kind: return pairs always or never (a pair is two returned values, and its "      \
    "value can't be "                                                                                                \
    "nil)"

static atomic_uint_fast64_t last_mark; /* of a ledger */

/* ---- Facts -------------------------------------------------------------------------------------------------- */

struct tide_arity *tide_arity_new(struct tide_op *op) {
    struct tide_arity *arity = tide_xcalloc(1, sizeof *arity);

    arity->refs = 1;
    arity->op = op ? tide_op_retain(op) : NULL;
    return arity;
}

struct tide_arity *tide_arity_known(enum tide_arity_value value, struct tide_op *op) {
    struct tide_arity *arity = tide_arity_new(op);

    arity->value = (uint8_t)value;
    return arity;
}

struct tide_arity *tide_arity_retain(struct tide_arity *arity) {
    if (arity) arity->refs++;
    return arity;
}

void tide_arity_release(struct tide_arity *arity) {
    if (!arity || --arity->refs > 0) return;
    tide_op_release(arity->op);
    tide_free(arity->name);
    tide_free(arity->label);
    tide_free(arity->first);
    tide_free(arity);
}

struct tide_arity *tide_arity_after(struct tide_op *op, struct tide_arity *parent) {
    if (!op || op->makes == TIDE_MAKES_THE_SAME) return tide_arity_retain(parent);
    return tide_arity_known((enum tide_arity_value)op->makes, op);
}

/* A combining map side makes pairs, whatever reads them. */
struct tide_arity *tide_arity_shuffled(const struct tide_exchange *exchange, struct tide_arity *parent) {
    bool writes = exchange->write && exchange->write->makes != TIDE_MAKES_THE_SAME;

    return tide_arity_after(writes ? exchange->write : exchange->read, parent);
}

struct tide_arity *tide_arity_of_blocks(const struct tide_blocks *lists, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t j = 0; j < lists[i].count; j++) {
            const struct tide_block *block = lists[i].items[j];

            if (block->count == 0) continue;
            return tide_arity_known(block->arity == 2 ? TIDE_ARITY_PAIR : TIDE_ARITY_SINGLE, NULL);
        }
    return NULL;
}

struct tide_arity *tide_arity_union(struct tide_rdd *const *parts, uint32_t count) {
    struct tide_arity *one = NULL;

    for (uint32_t i = 0; i < count; i++) {
        struct tide_arity *part = parts[i]->arity;

        if (!part || part == one) continue;
        if (!one) one = part;
        else if (one->value == TIDE_ARITY_UNKNOWN || one->value != part->value) return tide_arity_new(NULL);
    }
    return tide_arity_retain(one);
}

static char *copy(const char *text) { return text ? tide_xstrdup(text) : NULL; }

void tide_arity_label(struct tide_arity *arity, const char *label, const char *first) {
    tide_free(arity->label);
    tide_free(arity->first);
    arity->label = copy(label);
    arity->first = copy(first);
}

void tide_arity_name(struct tide_arity *arity, const char *name) {
    tide_free(arity->name);
    arity->name = copy(name);
}

/* ---- Nodes -------------------------------------------------------------------------------------------------- */

struct tide_arity *tide_rdd_arity(const struct tide_rdd *rdd) {
    return rdd->arity;
}

void tide_rdd_set_arity(struct tide_rdd *rdd, struct tide_arity *arity) {
    struct tide_arity *old = rdd->arity;

    /* Only a job finds out whether its records are like that. */
    if (rdd->known_records > 0 && (!old || old->value != arity->value)) rdd->known_records = -1;
    rdd->arity = tide_arity_retain(arity);
    tide_arity_release(old);
}

/* ---- Messages ----------------------------------------------------------------------------------------------- */

static const char *kind_of(uint8_t value) { return value == TIDE_ARITY_PAIR ? "pairs" : "single values"; }

static void write_label(struct tide_buffer *out, const struct tide_arity *arity) {
    if (arity->label) tide_buffer_format(out, "%s", arity->label);
    else tide_op_label(arity->op, "an input", out);
}

static void write_side(struct tide_buffer *out, const struct tide_arity *arity, uint8_t value, const char *first) {
    write_label(out, arity);
    tide_buffer_format(out, " makes %s", kind_of(value));
    if (first) tide_buffer_format(out, ", such as %s", first);
}

/* Moves the text to the error. */
static int refuse(struct tide_buffer *text, struct tide_error *err) {
    tide_error_set(err, TIDE_ECLOSURE, "%.*s", (int)text->size, (const char *)text->data);
    tide_buffer_destroy(text);
    return TIDE_ECLOSURE;
}

/* One of two that are joined. */
struct side {
    const struct tide_arity *arity;
    const char *first;
    uint8_t value;
};

static int refuse_join(const char *name, struct side a, struct side b, struct tide_error *err) {
    struct tide_buffer text;

    tide_buffer_create(&text);
    if (name) tide_buffer_format(&text, "%s: ", name);
    tide_buffer_format(&text, "pairs and single values meet in one dataset or stream: ");
    write_side(&text, a.arity, a.value, a.first);
    tide_buffer_format(&text, "; ");
    write_side(&text, b.arity, b.value, b.first);
    tide_buffer_format(&text,
                       "; a dataset or stream is of one kind: make pairs of both, or of neither, with map before");
    return refuse(&text, err);
}

int tide_arity_agree(struct tide_arity *const *parts, uint32_t count, const char *what, struct tide_error *err) {
    const struct tide_arity *one = NULL;

    for (uint32_t i = 0; i < count; i++) {
        const struct tide_arity *part = parts[i];

        if (!part || part->value == TIDE_ARITY_UNKNOWN) continue;
        if (!one) one = part;
        if (one->value != part->value)
            return refuse_join(what, (struct side){one, one->first, one->value},
                               (struct side){part, part->first, part->value}, err);
    }
    return TIDE_OK;
}

/* Becomes known from another fact, whose records are its own. */
static void become(struct tide_arity *arity, const struct tide_arity *other, uint8_t value, const char *first) {
    struct tide_buffer label;

    arity->value = value;
    tide_buffer_create(&label);
    write_label(&label, other);
    tide_buffer_append(&label, "", 1);
    tide_arity_label(arity, (const char *)label.data, first);
    tide_buffer_destroy(&label);
}

bool tide_arity_accept(struct tide_arity *arity, const struct tide_arity *other) {
    if (!other) return true;
    if (other->value == TIDE_ARITY_UNKNOWN) return false;
    if (arity->value == TIDE_ARITY_UNKNOWN) become(arity, other, other->value, other->first);
    return arity->value == other->value;
}

/* ---- Ledgers ------------------------------------------------------------------------------------------------ */

struct entry {
    struct tide_arity *arity; /* retained */
    char *first;              /* as in the fact */
    uint32_t from;            /* of the joined fact that this value is of; NONE: it was reported */
    uint8_t value;            /* as tasks of this run have reported, or a join says */
    bool doubted;             /* not reported since tide_arities_doubt */
};

struct join {
    uint32_t whole, part;
};

struct tide_arities {
    struct entry *items;
    struct join *joins; /* that of the outer dataset before that of the inner one */
    uint32_t count, capacity;
    uint32_t njoins, join_slots;
    uint64_t mark;
};

struct tide_arities *tide_arities_new(void) {
    struct tide_arities *arities = tide_xcalloc(1, sizeof *arities);

    tide_arities_begin(arities);
    return arities;
}

void tide_arities_delete(struct tide_arities *arities) {
    if (!arities) return;
    for (uint32_t i = 0; i < arities->count; i++) {
        tide_arity_release(arities->items[i].arity);
        tide_free(arities->items[i].first);
    }
    tide_free(arities->items);
    tide_free(arities->joins);
    tide_free(arities);
}

void tide_arities_begin(struct tide_arities *arities) {
    arities->mark = atomic_fetch_add_explicit(&last_mark, 1, memory_order_relaxed) + 1;
    for (uint32_t i = 0; i < arities->count; i++) {
        arities->items[i].arity->mark = arities->mark;
        arities->items[i].arity->index = i;
    }
}

uint32_t tide_arities_index(struct tide_arities *arities, struct tide_arity *arity) {
    if (!arity) return TIDE_ARITY_NONE;
    if (arity->mark == arities->mark) return arity->index;
    TIDE_ARRAY_RESERVE(arities->items, arities->capacity, arities->count + 1);
    arity->mark = arities->mark;
    arity->index = arities->count++;
    arities->items[arity->index] = (struct entry){.arity = tide_arity_retain(arity), .from = TIDE_ARITY_NONE};
    return arity->index;
}

void tide_arities_join(struct tide_arities *arities, struct tide_arity *whole, struct tide_arity *part) {
    if (!whole || !part || whole == part) return;
    if (whole->value != TIDE_ARITY_UNKNOWN && whole->value == part->value) return;

    struct join join = {tide_arities_index(arities, whole), tide_arities_index(arities, part)};
    const struct join *last = arities->njoins > 0 ? &arities->joins[arities->njoins - 1] : NULL;

    if (last && last->whole == join.whole && last->part == join.part) return;
    TIDE_ARRAY_RESERVE(arities->joins, arities->join_slots, arities->njoins + 1);
    assert(arities->joins);
    arities->joins[arities->njoins++] = join;
}

static uint8_t value_of(const struct entry *entry) {
    return entry->arity->value != TIDE_ARITY_UNKNOWN ? entry->arity->value : entry->value;
}

/* The record that its value is known by. */
static const char *first_of(const struct tide_arities *arities, const struct entry *entry) {
    if (entry->arity->value != TIDE_ARITY_UNKNOWN) return entry->arity->first;
    while (entry->from != TIDE_ARITY_NONE) entry = &arities->items[entry->from];
    return entry->arity->value != TIDE_ARITY_UNKNOWN ? entry->arity->first : entry->first;
}

/* The fact whose records its value is known by. */
static const struct tide_arity *maker_of(const struct tide_arities *arities, const struct entry *entry) {
    while (entry->arity->value == TIDE_ARITY_UNKNOWN && entry->from != TIDE_ARITY_NONE)
        entry = &arities->items[entry->from];
    return entry->arity;
}

/* ---- Tasks -------------------------------------------------------------------------------------------------- */

void tide_arities_tell(const struct tide_arities *arities, struct tide_task *task, const uint32_t *indexes,
                       uint32_t count) {
    if (count == 0) return;
    task->work.slots = tide_xcalloc(count, sizeof *task->work.slots);
    task->work.nslots = count;
    for (uint32_t i = 0; i < count; i++) {
        struct tide_task_slot *slot = &task->work.slots[i];

        slot->arity = indexes[i];
        if (slot->arity == TIDE_ARITY_NONE) continue;
        slot->known = value_of(&arities->items[slot->arity]);
        if (slot->known != TIDE_ARITY_UNKNOWN) slot->first = copy(first_of(arities, &arities->items[slot->arity]));
    }
}

/* "("a", 1) in batch 3000 ms, partition 2"; heap. */
static char *sighting(const struct tide_task *task, const char *record) {
    struct tide_buffer text;

    tide_buffer_create(&text);
    tide_buffer_format(&text, "%s in ", record);
    if (task->work.batch_time >= 0) tide_buffer_format(&text, "batch %" PRId64 " ms, ", task->work.batch_time);
    tide_buffer_format(&text, "partition %u", task->work.partition);
    tide_buffer_append(&text, "", 1);
    return (char *)tide_buffer_take(&text, NULL);
}

static int refuse_both(const struct tide_arity *arity, uint8_t value, const char *first, const char *other,
                       struct tide_error *err) {
    struct tide_buffer text;

    tide_buffer_create(&text);
    write_label(&text, arity);
    tide_buffer_format(&text, ": the function returned pairs and single values: %s", kind_of(value));
    if (first) tide_buffer_format(&text, ", such as %s,", first);
    tide_buffer_format(&text, " and %s", kind_of(value == TIDE_ARITY_PAIR ? TIDE_ARITY_SINGLE : TIDE_ARITY_PAIR));
    if (other) tide_buffer_format(&text, ", such as %s", other);
    tide_buffer_format(&text, "; " ADVICE);
    return refuse(&text, err);
}

static int hear_one(struct tide_arities *arities, const struct tide_task *task, const struct tide_task_slot *slot,
                    struct tide_error *err) {
    struct entry *entry = &arities->items[slot->arity];
    char *first = sighting(task, slot->seen ? slot->seen : "a record");
    int status = TIDE_OK;

    entry->doubted = false;
    if (value_of(entry) == TIDE_ARITY_UNKNOWN) {
        entry->value = slot->learned;
        entry->first = first;
        return TIDE_OK;
    }
    if (value_of(entry) != slot->learned)
        status = refuse_both(entry->arity, value_of(entry), first_of(arities, entry), first, err);
    tide_free(first);
    return status;
}

int tide_arities_hear(struct tide_arities *arities, struct tide_task *task, struct tide_error *err) {
    for (uint32_t i = 0; i < task->work.nslots; i++) {
        const struct tide_task_slot *slot = &task->work.slots[i];

        if (slot->learned == TIDE_ARITY_UNKNOWN || slot->arity == TIDE_ARITY_NONE) continue;
        if (hear_one(arities, task, slot, err) != TIDE_OK) return err->code;
    }
    return TIDE_OK;
}

void tide_arities_doubt(struct tide_arities *arities) {
    for (uint32_t i = 0; i < arities->count; i++)
        arities->items[i].doubted = arities->items[i].value != TIDE_ARITY_UNKNOWN;
}

/* ---- The whole run ------------------------------------------------------------------------------------------ */

static int check_join(struct tide_arities *arities, const struct join *join, struct tide_error *err) {
    struct entry *whole = &arities->items[join->whole];
    const struct entry *part = &arities->items[join->part];
    uint8_t have = value_of(whole), value = value_of(part);

    if (value == TIDE_ARITY_UNKNOWN || value == have) return TIDE_OK;
    if (have == TIDE_ARITY_UNKNOWN) {
        whole->value = value;
        whole->from = join->part;
        return TIDE_OK;
    }
    return refuse_join(whole->arity->name, (struct side){maker_of(arities, whole), first_of(arities, whole), have},
                       (struct side){maker_of(arities, part), first_of(arities, part), value}, err);
}

int tide_arities_check(struct tide_arities *arities, struct tide_error *err) {
    /* Another run may have made known what this one has seen otherwise. */
    for (uint32_t i = 0; i < arities->count; i++) {
        const struct entry *entry = &arities->items[i];
        const struct tide_arity *arity = entry->arity;

        if (entry->value == TIDE_ARITY_UNKNOWN || arity->value == TIDE_ARITY_UNKNOWN || entry->value == arity->value)
            continue;
        return refuse_both(arity, arity->value, arity->first, entry->first, err);
    }
    for (uint32_t i = arities->njoins; i > 0; i--)
        if (check_join(arities, &arities->joins[i - 1], err) != TIDE_OK) return err->code;
    return TIDE_OK;
}

int tide_arities_settle(struct tide_arities *arities, struct tide_error *err) {
    if (tide_arities_check(arities, err) != TIDE_OK) return err->code;
    for (uint32_t i = arities->count; i > 0; i--) {
        struct entry *entry = &arities->items[i - 1];

        if (entry->value == TIDE_ARITY_UNKNOWN || entry->arity->value != TIDE_ARITY_UNKNOWN || entry->doubted)
            continue;
        if (entry->from == TIDE_ARITY_NONE) {
            entry->arity->value = entry->value;
            entry->arity->first = entry->first;
            entry->first = NULL;
        } else {
            become(entry->arity, maker_of(arities, entry), entry->value, first_of(arities, entry));
        }
    }
    return TIDE_OK;
}
