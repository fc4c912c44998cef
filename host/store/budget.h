/*
 * The side of a budget that blocks use; owners find theirs in store/block.h. Private to store/. Any thread.
 */
#ifndef TIDE_STORE_BUDGET_H
#define TIDE_STORE_BUDGET_H

#include <stdint.h>

#include "store/block.h"

void tide_budget_charge(struct tide_budget *budget, uint64_t bytes);
/* May call on_low. */
void tide_budget_refund(struct tide_budget *budget, uint64_t bytes);

#endif
