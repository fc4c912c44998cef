/*
 * Readers that can do without one of their inputs. A GUARD node stands between the two; while all goes well it is nothing but
 * its parent. When a run fails, the scheduler asks here whether that can be put down to what is behind guards:
 *
 *   a task fails      guards whose records are made within its stage are set apart: each is computed by itself from then on, so
 *                     that it shows whose records are bad
 *   a dataset fails   that the stage needs: the guards that stand before it are lost
 *   a guard fails     that was set apart: it is lost
 *
 * What was made through a guard before it was set apart or lost does not count (driver/stage_run.h), so that it does not matter which task
 * ended first.
 *
 * Thread: driver only.
 */
#ifndef TIDE_RDD_GUARD_H
#define TIDE_RDD_GUARD_H

#include <stdbool.h>

#include "rdd/rdd.h"

/* Told of each guard that is lost. */
struct tide_guard_watch {
    void (*lost)(void *owner, int64_t time, const struct tide_error *err, void *arg); /* NULL: nobody is told */
    void *arg;
};

/* Sets these guards apart, which a stage was cut through: those whose records are computed in it. false: there are none, so that the
 * failure is the stage's own. */
bool tide_guards_set_apart(struct tide_rdd *const *guards, uint32_t count);
/* Whether a guard that a stage was cut through has been set apart or lost since. */
bool tide_guard_left(const struct tide_rdd *guard);
/* `needed` can't be computed: loses the guards before it, seen from `root`. `computed`: the stage is there to keep `root`, which is no
 * guard then but what is computed. false: `root` needs it on another way too. */
bool tide_guards_lose(struct tide_rdd *root, bool computed, const struct tide_rdd *needed,
                      const struct tide_error *err, const struct tide_guard_watch *watch);
/* A node in one stage with `root` that wants one guard at least and has lost them all; *why (a copy) = the error of one of them. NULL:
 * there is none. */
const struct tide_rdd *tide_guards_missing(struct tide_rdd *root, bool computed, struct tide_error *why);
/* The guard itself can't be computed. */
void tide_guard_lose(struct tide_rdd *guard, const struct tide_error *err, const struct tide_guard_watch *watch);

#endif
