/*
 * Processors and memory that this process may use, within the limits of its containers (control groups). Both
 * versions of control groups count, alone and side by side, and every group from the process's own up to the mounted
 * root: the smallest limit applies. Files that can't be read or parsed set no limit.
 *
 *   memory: the machine's; v2 memory.max and memory.high; v1 memory.limit_in_bytes
 *   processors: those the process may run on (affinity, and so cpusets); v2 cpu.max; v1 cpu.cfs_quota_us of
 *               cpu.cfs_period_us; parts of a processor count as one
 *
 * `root` is put before every path that is read ("/proc/self/cgroup" and mounts): "" except in tests. Any thread.
 */
#ifndef TIDE_BASE_MACHINE_H
#define TIDE_BASE_MACHINE_H

#include <stdint.h>

/* At least 1. */
uint32_t tide_machine_processors(const char *root);
/* Bytes; 0: not known. */
uint64_t tide_machine_memory(const char *root);
/* The limits alone; UINT64_MAX: none. */
uint64_t tide_cgroup_memory(const char *root);
uint64_t tide_cgroup_processors(const char *root);

#endif
