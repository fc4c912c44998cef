/*
 * The grid of batch times. Called by the driver (graph, clock, recovery); pure arithmetic, any thread.
 */
#include "clock/boundary.h"

/* C division truncates towards zero; the grid needs the non-negative remainder. */
static int64_t offset_in(int64_t distance, int64_t step) {
    int64_t rest = distance % step;

    return rest < 0 ? rest + step : rest;
}

int64_t tide_boundary_first(int64_t now, int64_t period) { return tide_boundary_restart(now, period, 0); }

int64_t tide_boundary_restart(int64_t now, int64_t period, int64_t zero) {
    return tide_boundary_floor(now, period, zero) + period;
}

int64_t tide_boundary_floor(int64_t time, int64_t step, int64_t zero) { return time - offset_in(time - zero, step); }

bool tide_boundary_on_grid(int64_t time, int64_t step, int64_t zero) { return (time - zero) % step == 0; }

bool tide_boundary_valid(int64_t time, int64_t slide, int64_t zero) {
    return time > zero && tide_boundary_on_grid(time, slide, zero);
}
