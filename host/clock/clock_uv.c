/*
 * The real clock, on the driver's loop.
 *
 * Time is the loop's own millisecond count plus an offset taken from the wall clock, rounded to a millisecond; it is
 * corrected at each boundary (follow), and only grows. So a boundary of the clock is a boundary of libuv's timers,
 * and waiting for it costs no rounding: the timer is set to the nominal time itself, each time anew, so nothing
 * drifts.
 *
 * After a stall the missed ticks fire in runs of at most TICKS_PER_TURN, so that other events (a stop among them) get
 * their turn. libuv would run a timer of 0 ms again in the same turn, hence the wait of at least 1 ms.
 */
#include "clock/clock.h"

#include <inttypes.h>
#include <time.h>

#include "base/alloc.h"
#include "base/error.h"
#include "base/log.h"
#include "clock/kind.h"

enum { TICKS_PER_TURN = 64 };
enum { NS_PER_MS = 1000000 };
enum { STEP_MS = 50 };          /* smaller differences are regulation of the wall clock, and not logged */
enum { MOST_FOLLOWED = 10000 }; /* batches */

struct real_clock {
    struct tide_clock base;
    uv_timer_t timer;
    int64_t offset; /* clock = monotonic milliseconds + offset */
    int64_t ahead;  /* how far the wall clock was ahead of this one at the last boundary; mostly 0 */
    bool firing;
    int64_t (*wall)(void *arg);
    void *wall_arg;
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
    uv_update_time(loop); /* the loop's time is as old as its current callback */
    int64_t wait = clock->base.next - clock->offset - (int64_t)uv_now(loop);
    uv_timer_start(&clock->timer, on_timer, wait > 1 ? (uint64_t)wait : 1, 0);
}

static int64_t wall_ns(void *arg) {
    struct timespec wall;

    clock_gettime(CLOCK_REALTIME, &wall);
    return (int64_t)wall.tv_sec * 1000 * NS_PER_MS + wall.tv_nsec;
}

/* The offset of a clock made now. */
static int64_t offset_now(const struct real_clock *clock) {
    return (clock->wall(clock->wall_arg) - (int64_t)uv_hrtime() + NS_PER_MS / 2) / NS_PER_MS;
}

static void tell_step(int64_t step, const char *consequence) {
    tide_log(TIDE_LOG_WARN, "clock", "the wall clock was set %s by %" PRId64 " ms: %s", step > 0 ? "forward" : "back",
             step > 0 ? step : -step, consequence);
}

static void follow(struct real_clock *clock) {
    int64_t ahead = offset_now(clock) - clock->offset, step = ahead - clock->ahead;
    bool follows = ahead > 0 && ahead / clock->base.period <= MOST_FOLLOWED;

    if (follows) clock->offset += ahead;
    clock->ahead = follows ? 0 : ahead;
    if (step > -STEP_MS && step < STEP_MS) return;
    tell_step(step, follows     ? "batch times follow, and the batches in between are made now"
                    : ahead > 0 ? "that is too far for batch times to follow; start the program again"
                    : step > 0  ? "batch times were ahead of it, and go on"
                                : "batch times go on until it has caught up");
}

static void on_timer(uv_timer_t *timer) {
    struct real_clock *clock = timer->data;

    if (tide_clock_due(&clock->base, now_ms(&clock->base))) follow(clock);
    int64_t now = now_ms(&clock->base);
    clock->firing = true;
    for (int i = 0; i < TICKS_PER_TURN && tide_clock_due(&clock->base, now); i++) tide_clock_tick(&clock->base);
    clock->firing = false;
    if (!uv_is_closing((uv_handle_t *)timer)) arm(clock);
}

static void changed(struct tide_clock *clock) {
    if (!real_clock_of(clock)->firing) arm(real_clock_of(clock)); /* otherwise on_timer does, after its ticks */
}

static int advance(struct tide_clock *clock, int64_t ms) { return TIDE_EINVAL; /* the real clock can't be moved */ }

static void on_closed(uv_handle_t *handle) { tide_free(handle->data); }

static void close_clock(struct tide_clock *clock) {
    uv_handle_t *handle = (uv_handle_t *)&real_clock_of(clock)->timer;

    if (!uv_is_closing(handle)) uv_close(handle, on_closed);
}

static const struct tide_clock_kind real_kind = {false, now_ms, changed, advance, close_clock};

struct tide_clock *tide_clock_uv_new(uv_loop_t *loop) {
    struct real_clock *clock = tide_xcalloc(1, sizeof *clock);
    clock->base.kind = &real_kind;
    clock->wall = wall_ns;
    clock->offset = offset_now(clock);
    uv_timer_init(loop, &clock->timer); /* cannot fail */
    clock->timer.data = clock;
    return &clock->base;
}

void tide_clock_uv_read(struct tide_clock *clock, int64_t (*wall)(void *arg), void *arg) {
    real_clock_of(clock)->wall = wall;
    real_clock_of(clock)->wall_arg = arg;
}
