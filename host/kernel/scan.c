/*
 * Spans of bytes (see scan.h). Runs on workers.
 */
#include "kernel/scan.h"

int tide_scan_run(const uint8_t *class_of, const char *text, uint32_t size, uint32_t from, struct tide_span *span) {
    const uint8_t *bytes = (const uint8_t *)text;
    uint32_t at = from;

    while (at < size && !class_of[bytes[at]]) at++;
    if (at >= size) return 0;
    span->start = at++;
    while (at < size && class_of[bytes[at]]) at++;
    span->stop = at;
    return 1;
}
