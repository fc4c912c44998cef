/*
 * The only writer to stderr. A message is one line, written with one call, so lines of different
 * threads never mix: "2026-01-31 12:00:00.123 WARN  socket: text". Thread-safe. The level is process
 * wide (it is the process's stderr); default TIDE_LOG_WARN.
 */
#ifndef TIDE_BASE_LOG_H
#define TIDE_BASE_LOG_H

#include <stdint.h>

#include "base/ffi.h"

void tide_log_set_level(enum tide_log_level level);
enum tide_log_level tide_log_get_level(void);
/* "debug" "info" "warn" "error" "off" → level, or -1. */
int tide_log_level_parse(const char *name);

/* A kind of message that can come again and again. The first few are written, then at most one a minute with the
 * number of those left out. Starts zeroed. Any thread. */
enum { TIDE_LOG_FEW = 5 };

struct tide_log_kind {
    uint64_t told_ns; /* monotonic clock */
    uint64_t told;
    uint64_t left_out;
};

void tide_log_sparse(struct tide_log_kind *kind, enum tide_log_level level, const char *area, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
