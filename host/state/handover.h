/*
 * How a store gets from batch to batch: the dataset of a state holds a block to which a pinned version is attached,
 * and so the version lives as long as anybody refers to that dataset. The task of the next batch continues from it.
 *
 *   dataset of T ─► block ─► pin of T ─► store          task of T + 1: begins with the pin, ends with a pin of T + 1
 *
 * One at a time has a store. A task may find that another has it (one that was given up and still runs) or that it
 * was changed since (the batch runs again); it then gets a copy of the version, so that results never depend on it.
 *
 * Thread: any.
 */
#ifndef TIDE_STATE_HANDOVER_H
#define TIDE_STATE_HANDOVER_H

#include "state/ffi.h"

#endif
