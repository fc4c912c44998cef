/*
 * The ticker that both kinds of clock share, and the readings for measurements. Called by the driver thread.
 */
#include "clock/clock.h"

#include <assert.h>
#include <time.h>

#include "clock/kind.h"

int64_t tide_clock_now(struct tide_clock *clock) { return clock->kind->now(clock); }

void tide_clock_start(struct tide_clock *clock, int64_t first, int64_t period, void (*fn)(int64_t time, void *arg),
                      void *arg) {
    assert(period >= 1 && fn);
    clock->ticking = true;
    clock->next = first;
    clock->period = period;
    clock->fn = fn;
    clock->arg = arg;
    clock->kind->changed(clock);
}

int64_t tide_clock_stop(struct tide_clock *clock) {
    if (clock->ticking) {
        clock->ticking = false;
        clock->kind->changed(clock);
    }
    return clock->next - clock->period;
}

int tide_clock_advance(struct tide_clock *clock, int64_t ms) { return clock->kind->advance(clock, ms); }

void tide_clock_close(struct tide_clock *clock) {
    clock->ticking = false;
    clock->kind->close(clock);
}

void tide_clock_tick(struct tide_clock *clock) {
    int64_t time = clock->next;

    clock->next += clock->period; /* before the call: a stop inside the tick must see this one as fired */
    clock->fn(time, clock->arg);
}

void tide_stopwatch_start(struct tide_stopwatch *watch) {
    watch->wall_ms = tide_clock_wall_ms();
    watch->monotonic_ns = tide_clock_monotonic_ns();
}

int64_t tide_stopwatch_ms(const struct tide_stopwatch *watch) {
    return watch->wall_ms + (int64_t)((tide_clock_monotonic_ns() - watch->monotonic_ns) / 1000000);
}

int64_t tide_clock_reading(struct tide_clock *clock, const struct tide_stopwatch *watch) {
    return clock->kind->manual ? tide_clock_now(clock) : tide_stopwatch_ms(watch);
}

int64_t tide_clock_wall_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

uint64_t tide_clock_monotonic_ns(void) { return uv_hrtime(); }

int64_t tide_clock_file_ns(void) {
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}
