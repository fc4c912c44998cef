/*
 * The arity of datasets: whether their records are single values or pairs. Each dataset, and each stream over all its
 * batches, has one arity. It is stored and compared here only; tasks carry the known arities to workers and bring
 * back the observed ones.
 *
 * A fact (struct tide_arity) belongs to a dataset or a stream and is shared by the nodes that must be alike: a filter
 * has that of its parent, every batch's node of a mapped stream has that of the stream. Facts of operators that
 * always make the same kind are known from the start. The others become known when a run (driver/stage_run.h) that
 * saw records of them has succeeded; the observations of a failed run are discarded, so the outcome does not depend
 * on which task came first.
 *
 * A ledger (struct tide_arities) collects what one run sees: its facts, what its tasks report of them, and which
 * facts must agree because their records go into one union.
 *
 * Thread: driver only. NULL is the fact of a dataset without records: it agrees with every other one and never
 * becomes known.
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
    struct tide_op *op; /* the operator that makes the records, or NULL */
    char *name;         /* of the operator that requires agreement: "union (job.lua:9)"; or NULL */
    char *label;        /* origin of the records without `op`: "parallelize (job.lua:3)"; or NULL */
    char *first;        /* a record it was learned from, for people; or NULL */
    uint64_t mark;      /* number of the ledger that last looked for it … */
    uint32_t index;     /* … and where it has it */
};

/* Reference count 1, not known. op: the operator that makes the records (retained), or NULL. */
struct tide_arity *tide_arity_new(struct tide_op *op);
/* Reference count 1, known. */
struct tide_arity *tide_arity_known(enum tide_arity_value value, struct tide_op *op);
/* The fact for the records that an operator makes from records of fact `parent` (may be NULL): a new one, or the
 * parent's. op NULL: the parent's. A new reference. */
struct tide_arity *tide_arity_after(struct tide_op *op, struct tide_arity *parent);
/* The same for a shuffle. */
struct tide_arity *tide_arity_shuffled(const struct tide_exchange *exchange, struct tide_arity *parent);
/* The fact for the records in these lists; NULL when there are none. */
struct tide_arity *tide_arity_of_blocks(const struct tide_blocks *lists, uint32_t count);
/* The fact for the union of several datasets: the one they share, if they do, else a new one that is not known. A new
 * reference, or NULL when none of them has one. */
struct tide_arity *tide_arity_union(struct tide_rdd *const *parts, uint32_t count);
struct tide_arity *tide_arity_retain(struct tide_arity *arity); /* NULL is fine */
void tide_arity_release(struct tide_arity *arity);
/* For messages: the origin of the records, and one of them. Either may be NULL. Copies. */
void tide_arity_label(struct tide_arity *arity, const char *label, const char *first);
/* For messages: the operator that requires agreement. Copies. */
void tide_arity_name(struct tide_arity *arity, const char *name);
/* TIDE_OK, or TIDE_ECLOSURE when two of these are known and differ. what: the operator that requires agreement:
 * "union"; or NULL. */
int tide_arity_agree(struct tide_arity *const *parts, uint32_t count, const char *what, struct tide_error *err);
/* Whether records of this fact are known to be of the kind that `arity` is, which becomes known by it if it was
 * not. */
bool tide_arity_accept(struct tide_arity *arity, const struct tide_arity *other);

/* ---- Ledgers of runs ---------------------------------------------------------------------------------------- */

struct tide_arities;

enum { TIDE_ARITY_NONE = UINT32_MAX }; /* index of the fact that is NULL */

struct tide_arities *tide_arities_new(void);
void tide_arities_delete(struct tide_arities *arities);
/* Call it before a stage is cut with this ledger: other ledgers may have marked the same facts since. */
void tide_arities_begin(struct tide_arities *arities);
/* The index of a fact; retained the first time. */
uint32_t tide_arities_index(struct tide_arities *arities, struct tide_arity *arity);
/* Records of `part` go into `whole`, as the run will compute it: the two must agree. Either may be NULL. */
void tide_arities_join(struct tide_arities *arities, struct tide_arity *whole, struct tide_arity *part);
/* Gives the task its slots (task/task.h), with the known arities. indexes: of the facts, one for each slot. */
void tide_arities_tell(const struct tide_arities *arities, struct tide_task *task, const uint32_t *indexes,
                       uint32_t count);
/* A task has succeeded: takes its report. TIDE_OK, or TIDE_ECLOSURE when it contradicts a known fact or the report of
 * another task of the run. */
int tide_arities_hear(struct tide_arities *arities, struct tide_task *task, struct tide_error *err);
/* A part of the run is computed in another way. Reports so far are still compared with later ones, but do not become
 * known unless they are repeated. */
void tide_arities_doubt(struct tide_arities *arities);
/* Compares everything known and reported so far, the joins included. TIDE_OK or TIDE_ECLOSURE. */
int tide_arities_check(struct tide_arities *arities, struct tide_error *err);
/* The same; then the reported facts become known. */
int tide_arities_settle(struct tide_arities *arities, struct tide_error *err);

#endif
