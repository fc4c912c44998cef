/*
 * Faults by name, for tests. A fault point asks `tide_fault("socket.connect")`; it answers true when that
 * name was armed and its countdown reached. Armed by tide_fault_arm or the environment variable
 * MOONTIDE_FAULT="name[:skip[:times]],…". One relaxed atomic load when nothing is armed. Thread-safe.
 */
#ifndef TIDE_BASE_FAULT_H
#define TIDE_BASE_FAULT_H

#include <stdbool.h>

bool tide_fault(const char *name);
/* After `skip` passes the next `times` passes fail (times < 0: all). At most 16 names. */
void tide_fault_arm(const char *name, long skip, long times);
void tide_fault_clear(void);

#endif
