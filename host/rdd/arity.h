/*
 * The arity of datasets: whether their records are single values or pairs. Each dataset, and each stream over all its batches, is
 * of one arity. This is the one place where that is known and compared; workers are told what is known and report what they see.
 *
 * A fact (struct tide_arity) belongs to a dataset or a stream and is shared by the nodes that must be alike: a filter has that of
 * its parent, every batch's node of a mapped stream has that of the stream. Facts of operators that always make the same kind
 * are known from the start. The others become known when a run (driver/stage_run.h) that saw records of them has succeeded: what a
 * failed run has seen teaches nothing, so that the outcome does not depend on which task came first.
 *
 * A ledger (struct tide_arities) collects what one run sees: its facts, what its tasks report of them, and which facts
 * must agree because their records go into one union.
 *
 * Thread: driver only. NULL stands for the fact of a dataset without records: it fits everything, and nothing is learned of it.
 */
#ifndef TIDE_RDD_ARITY_H
#define TIDE_RDD_ARITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "rdd/op.h"
#include "rdd/rdd.h"
#include "task/task.h"

enum tide_arity_value { TIDE_ARITY_UNKNOWN = 0, TIDE_ARITY_SINGLE = 1, TIDE_ARITY_PAIR = 2 };

struct tide_arity {
    uint32_t refs;
    uint8_t value;      /* enum tide_arity_value */
    struct tide_op *op; /* what makes the records, or NULL */
    char *name;         /* what brings records together that are to agree: "union (job.lua:9)"; or NULL */
    char *label;        /* what makes the records where it is no operator: "parallelize (job.lua:3)"; or NULL */
    char *first;        /* a record it was learned from, for people; or NULL */
    uint64_t mark;      /* number of the ledger that last looked for it … */
    uint32_t index;     /* … and where it has it */
};

/* Reference count 1, not known. op: what makes the records (retained), or NULL. */
struct tide_arity *tide_arity_new(struct tide_op *op);
/* Reference count 1, known. */
struct tide_arity *tide_arity_known(enum tide_arity_value value, struct tide_op *op);
/* The fact for what an operator makes of records of fact `parent` (may be NULL): a new one, or the parent's. op NULL: the parent's. A
 * new reference. */
struct tide_arity *tide_arity_after(struct tide_op *op, struct tide_arity *parent);
/* The same for what a shuffle makes. */
struct tide_arity *tide_arity_shuffled(const struct tide_exchange *exchange, struct tide_arity *parent);
/* The fact for the records in these lists; NULL when there are none. */
struct tide_arity *tide_arity_of_blocks(const struct tide_blocks *lists, uint32_t count);
/* The fact for the records of several datasets together: the one they share, if they do, else a new one that is not known. A new
 * reference, or NULL when none of them has one. */
struct tide_arity *tide_arity_union(struct tide_rdd *const *parts, uint32_t count);
struct tide_arity *tide_arity_retain(struct tide_arity *arity); /* NULL is fine */
void tide_arity_release(struct tide_arity *arity);
/* Names who makes the records and shows one of them. Either may be NULL. Copies. */
void tide_arity_label(struct tide_arity *arity, const char *label, const char *first);
/* Names what brings records together; for messages. Copies. */
void tide_arity_name(struct tide_arity *arity, const char *name);
/* TIDE_OK, or TIDE_ECLOSURE when two of these are known and differ; `what` is what brings them together: "union"; or NULL. */
int tide_arity_agree(struct tide_arity *const *parts, uint32_t count, const char *what, struct tide_error *err);
/* Whether records of this fact are known to be of the kind that `arity` is, which becomes known by it if it was not. */
bool tide_arity_accept(struct tide_arity *arity, const struct tide_arity *other);

/* ---- What one run sees ------------------------------------------------------------------------------------------ */

struct tide_arities;

enum { TIDE_ARITY_NONE = UINT32_MAX }; /* index of the fact that is NULL */

struct tide_arities *tide_arities_new(void);
void tide_arities_delete(struct tide_arities *arities);
/* To be called before a stage is cut with this ledger: others have looked for the same facts since. */
void tide_arities_begin(struct tide_arities *arities);
/* The index of a fact; retained the first time. */
uint32_t tide_arities_index(struct tide_arities *arities, struct tide_arity *arity);
/* Records of `part` go into `whole`, as the run will compute it: the two must agree. Either may be NULL. */
void tide_arities_join(struct tide_arities *arities, struct tide_arity *whole, struct tide_arity *part);
/* Gives the task its slots (task/task.h), with what is known. indexes: of the facts, one for each slot. */
void tide_arities_tell(const struct tide_arities *arities, struct tide_task *task, const uint32_t *indexes,
                       uint32_t count);
/* A task has succeeded: takes what it reports. TIDE_OK, or TIDE_ECLOSURE when that contradicts what is known or what another task of
 * the run has reported. */
int tide_arities_hear(struct tide_arities *arities, struct tide_task *task, struct tide_error *err);
/* A part of the run is to be computed in another way. What was reported so far still counts against what comes, but does not become
 * known unless it is reported again. */
void tide_arities_doubt(struct tide_arities *arities);
/* Whether everything known and reported so far agrees, the joins included; the same results. */
int tide_arities_check(struct tide_arities *arities, struct tide_error *err);
/* The same; then what was reported is known. */
int tide_arities_settle(struct tide_arities *arities, struct tide_error *err);

#endif
