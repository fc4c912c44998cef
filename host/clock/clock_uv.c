/*
 * The real clock, on the driver's loop.
 *
 * Time is the loop's own millisecond count plus an offset taken from the wall clock once, rounded to a millisecond.
 * So a boundary of the clock is a boundary of libuv's timers, and waiting for it costs no rounding: the timer is set to
 * the nominal time itself, each time anew, which leaves nothing to drift.
 *
 * After a stall the missed ticks fire in runs of at most TICKS_PER_TURN, so that other events (a stop among them) get
 * their turn. libuv would run a timer of 0 ms again in the same turn, hence the wait of at least 1 ms.
 */
#include "clock/clock.h"

#include <time.h>

#include "base/alloc.h"
#include "base/error.h"
#include "clock/kind.h"

enum { TICKS_PER_TURN = 64 };
enum { NS_PER_MS = 1000000 };

struct real_clock {
    struct tide_clock base;
    uv_timer_t timer;
    int64_t offset; /* clock = monotonic milliseconds + offset */
    bool firing;
};

static struct real_clock *real_clock_of(struct tide_clock *clock) { return (struct real_clock *)clock; }

static int64_t now_ms(struct tide_clock *clock) {
    return (int64_t)(uv_hrtime() / NS_PER_MS) + real_clock_of(clock)->offset;
}

static void on_timer(uv_timer_t *timer);

static void arm(struct real_clock *clock) {
    if (!clock->base.ticking) {
        uv_timer_stop(&clock->timer);
        return;
    }
    uv_loop_t *loop = clock->timer.loop;
    uv_update_time(loop); /* the loop's time is as old as the work since it last looked */
    int64_t wait = clock->base.next - clock->offset - (int64_t)uv_now(loop);
    uv_timer_start(&clock->timer, on_timer, wait > 1 ? (uint64_t)wait : 1, 0);
}

static void on_timer(uv_timer_t *timer) {
    struct real_clock *clock = timer->data;
    int64_t now = now_ms(&clock->base);
    clock->firing = true;
    for (int i = 0; i < TICKS_PER_TURN && tide_clock_due(&clock->base, now); i++) tide_clock_tick(&clock->base);
    clock->firing = false;
    if (!uv_is_closing((uv_handle_t *)timer)) arm(clock);
}

static void changed(struct tide_clock *clock) {
    if (!real_clock_of(clock)->firing) arm(real_clock_of(clock)); /* else on_timer does, when the run is over */
}

static int advance(struct tide_clock *clock, int64_t ms) { return TIDE_EINVAL; /* nobody moves the real clock */ }

static void on_closed(uv_handle_t *handle) { tide_free(handle->data); }

static void close_clock(struct tide_clock *clock) {
    uv_handle_t *handle = (uv_handle_t *)&real_clock_of(clock)->timer;
    if (!uv_is_closing(handle)) uv_close(handle, on_closed);
}

static const struct tide_clock_kind real_kind = {false, now_ms, changed, advance, close_clock};

struct tide_clock *tide_clock_uv_new(uv_loop_t *loop) {
    struct real_clock *clock = tide_xcalloc(1, sizeof *clock);
    struct timespec wall;
    clock->base.kind = &real_kind;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t ahead = (int64_t)wall.tv_sec * 1000 * NS_PER_MS + wall.tv_nsec - (int64_t)uv_hrtime();
    clock->offset = (ahead + NS_PER_MS / 2) / NS_PER_MS;
    uv_timer_init(loop, &clock->timer); /* cannot fail */
    clock->timer.data = clock;
    return &clock->base;
}
