/*
 * Guards: nodes between a dataset and a reader that can do without it. Until a failure, a GUARD node is the same as
 * its parent. When a run fails, the scheduler decides here whether guarded datasets are the reason:
 *
 *   a task fails      guards whose records are made within its stage are set apart: each is computed by itself from
 *                     then on, which shows whose records are bad
 *   a dataset fails   that the stage needs: the guards between the stage and the dataset are lost
 *   a guard fails     that was set apart: it is lost
 *
 * Results made through a guard before it was set apart or lost do not count (driver/stage_run.h), so the outcome does
 * not depend on which task ended first.
 *
 * Thread: driver only.
 */
#ifndef TIDE_RDD_GUARD_H
#define TIDE_RDD_GUARD_H

#include <stdbool.h>

#include "rdd/rdd.h"

/* Called for each guard that is lost. */
struct tide_guard_watch {
    void (*lost)(void *owner, int64_t time, const struct tide_error *err, void *arg); /* NULL: no call */
    void *arg;
};

/* Of the guards that a stage was cut through, sets those apart whose records are computed in it. false: there are
 * none, the failure is the stage's own. */
bool tide_guards_set_apart(struct tide_rdd *const *guards, uint32_t count);
/* Whether a guard that a stage was cut through has been set apart or lost since. */
bool tide_guard_left(const struct tide_rdd *guard);
/* `needed` can't be computed: marks the guards between `root` and it as lost. computed: the stage computes `root` to
 * cache it, so `root` does not count as a guard. false: `root` needs it on an unguarded path too. */
bool tide_guards_lose(struct tide_rdd *root, bool computed, const struct tide_rdd *needed,
                      const struct tide_error *err, const struct tide_guard_watch *watch);
/* A node in one stage with `root` that needs one guard at least and has lost all of them; *why (a copy) = the error
 * of one. NULL: none. */
const struct tide_rdd *tide_guards_missing(struct tide_rdd *root, bool computed, struct tide_error *why);
/* The guard itself can't be computed. */
void tide_guard_lose(struct tide_rdd *guard, const struct tide_error *err, const struct tide_guard_watch *watch);

#endif
