/*
 * Catches what a test writes to stderr, through a pipe with a thread reading its other end. One capture at a time.
 */
#ifndef SPEC_CAPTURE_H
#define SPEC_CAPTURE_H

#include <stddef.h>

void capture_start(void);
/* Gives stderr back and returns what was written (zero-terminated; free it). `size` may be NULL. */
char *capture_stop(size_t *size);

#endif
