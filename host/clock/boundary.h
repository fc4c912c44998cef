/*
 * When batches begin and end: pure arithmetic on milliseconds since the Unix epoch, no clock read.
 * Spark: Time.floor/until/to, RecurringTimer.getStartTime/getRestartTime (semantics of the grid:
 * first boundary strictly after now).
 */
#ifndef TIDE_CLOCK_BOUNDARY_H
#define TIDE_CLOCK_BOUNDARY_H

#include <stdbool.h>
#include <stdint.h>

/* (floor(now / period) + 1) * period */
int64_t tide_boundary_first(int64_t now, int64_t period);
/* First boundary strictly after now on the grid that starts at zero. */
int64_t tide_boundary_restart(int64_t now, int64_t period, int64_t zero);
/* Largest zero + k * step <= time. Correct for time < zero too. */
int64_t tide_boundary_floor(int64_t time, int64_t step, int64_t zero);
bool tide_boundary_on_grid(int64_t time, int64_t step, int64_t zero);
/* A stream has a dataset at t only if t > zero and (t - zero) is a multiple of its slide. */
bool tide_boundary_valid(int64_t time, int64_t slide, int64_t zero);

#endif
