/*
 * The clock of tests: tide_clock_advance moves it, on the calling thread. Time jumps first, then the boundaries
 * passed fire, as after a stall. A start never fires by itself, even when its first boundary is already
 * reached; the next advance does (also one of 0 ms).
 */
#include "clock/clock.h"

#include "base/alloc.h"
#include "base/error.h"
#include "clock/kind.h"

struct manual_clock {
    struct tide_clock base;
    int64_t now;
    bool firing;
    bool closed;
};

static struct manual_clock *manual_clock_of(struct tide_clock *clock) { return (struct manual_clock *)clock; }

static int64_t now_ms(struct tide_clock *clock) { return manual_clock_of(clock)->now; }

static void changed(struct tide_clock *clock) {}

static int advance(struct tide_clock *base, int64_t ms) {
    struct manual_clock *clock = manual_clock_of(base);

    if (ms < 0) return TIDE_EINVAL;
    clock->now += ms;
    if (clock->firing) return TIDE_OK; /* called from a tick: the outer call continues to the new time */
    clock->firing = true;
    while (tide_clock_due(base, clock->now)) tide_clock_tick(base);
    clock->firing = false;
    if (clock->closed) tide_free(clock);
    return TIDE_OK;
}

static void close_clock(struct tide_clock *base) {
    struct manual_clock *clock = manual_clock_of(base);

    clock->closed = true;
    if (!clock->firing) tide_free(clock);
}

static const struct tide_clock_kind manual_kind = {true, now_ms, changed, advance, close_clock};

struct tide_clock *tide_clock_manual_new(int64_t start_ms) {
    struct manual_clock *clock = tide_xcalloc(1, sizeof *clock);
    clock->base.kind = &manual_kind;
    clock->now = start_ms;
    return &clock->base;
}
