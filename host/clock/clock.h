/*
 * The batch clock: the only place that reads time. Two kinds: clock_uv (wall clock for names, monotonic clock for
 * waiting) and clock_manual (moves on request; for tests).
 *
 * The real clock is the wall clock as it was read at the last batch boundary, carried forward by the monotonic one.
 * At a boundary it follows the wall clock, only forward: after a step forward (NTP, a laptop that wakes up) the
 * batches in between are made at once, with their nominal times; after a step back the clock continues unchanged
 * until the wall clock has caught up. So no batch is skipped or repeated. Each step is logged once. A step over more
 * than 10,000 batches is not followed.
 *
 * A recurring tick: `start(first, period, fn)`: fn runs on the driver thread once for each boundary reached, with its
 * nominal time, in order, none skipped or merged after a stall. No drift: each wait is computed from the nominal
 * time. Thread: driver only.
 */
#ifndef TIDE_CLOCK_CLOCK_H
#define TIDE_CLOCK_CLOCK_H

#include <stdint.h>
#include <uv.h>

#include "clock/ffi.h"

struct tide_clock;

struct tide_clock *tide_clock_uv_new(uv_loop_t *loop);
/* The wall clock is read with `wall` instead (nanoseconds since the epoch, any thread): for tests. */
void tide_clock_uv_read(struct tide_clock *clock, int64_t (*wall)(void *arg), void *arg);
struct tide_clock *tide_clock_manual_new(int64_t start_ms);

/* Milliseconds since the epoch. */
int64_t tide_clock_now(struct tide_clock *clock);
/* Starts ticking at first, first + period, …; one ticker a clock. period >= 1. */
void tide_clock_start(struct tide_clock *clock, int64_t first, int64_t period, void (*fn)(int64_t time, void *arg),
                      void *arg);
/* Stops ticking; returns the nominal time of the last tick fired (first - period when none was). */
int64_t tide_clock_stop(struct tide_clock *clock);
/* Manual clock only: moves forward and fires every boundary reached. TIDE_EINVAL on a uv clock or backwards. */
int tide_clock_advance(struct tide_clock *clock, int64_t ms);
/* Closes its handles; memory is freed when the loop has run their close callbacks. */
void tide_clock_close(struct tide_clock *clock);

/* Consistent times of one activity: the wall clock at its start, carried forward by the monotonic clock, so that
 * differences are right even if the wall clock is set. Any thread. */
struct tide_stopwatch {
    int64_t wall_ms;
    uint64_t monotonic_ns;
};

void tide_stopwatch_start(struct tide_stopwatch *watch);
int64_t tide_stopwatch_ms(const struct tide_stopwatch *watch); /* since the epoch */
/* The same, but a manual clock's own time. */
int64_t tide_clock_reading(struct tide_clock *clock, const struct tide_stopwatch *watch);

/* The wall clock, for measurements. */
int64_t tide_clock_wall_ms(void);

#endif
