/*
 * The ticker that all kinds of clock share. Private to clock/.
 *
 * A kind embeds `struct tide_clock` as its first member and decides when it is time; clock.c keeps the nominal times.
 * Thread: driver only.
 */
#ifndef TIDE_CLOCK_KIND_H
#define TIDE_CLOCK_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "clock/clock.h"

struct tide_clock_kind {
    bool manual;
    int64_t (*now)(struct tide_clock *clock);
    /* The ticker was started or stopped: wait for `next`, or no longer. */
    void (*changed)(struct tide_clock *clock);
    int (*advance)(struct tide_clock *clock, int64_t ms);
    void (*close)(struct tide_clock *clock);
};

struct tide_clock {
    const struct tide_clock_kind *kind;
    bool ticking;
    int64_t next; /* nominal time of the tick to come; next - period is the last one fired, also after a stop */
    int64_t period;
    void (*fn)(int64_t time, void *arg);
    void *arg;
};

static inline bool tide_clock_due(const struct tide_clock *clock, int64_t now) {
    return clock->ticking && clock->next <= now;
}

/* Fires the tick that is due. The callback may stop, start again or close the clock. */
void tide_clock_tick(struct tide_clock *clock);

#endif
