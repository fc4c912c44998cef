/*
 * One limit for the received data of all sources of an engine, and each source's share of it. A source asks before it
 * reads; when the budget is used up it waits, and is called when there is room again. Blocks count from when they are
 * made until they are freed (or discharged, see store/block.h), wherever they are.
 *
 *     0                                                                                  limit
 *     | used by all shares                                       | gap | reserved for others |
 *
 * A quarter of the limit is divided evenly among the open shares and reserved for each. The rest is for all, first
 * come first served. A waiting source is called when the use is a gap (a sixteenth) below the allowed use, so that
 * reading continues in small portions; the share with the fewest bytes is called first.
 *
 * The limit is fixed by the user, or follows the size of recent batches (see tide_budget_new). Any thread, except
 * where it says otherwise. Reference counted, because blocks outlive their source.
 */
#ifndef TIDE_STORE_BUDGET_H
#define TIDE_STORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct tide_budget;
struct tide_share;

/* limit > 0: so many bytes of blocks, until they are freed. limit 0: twice the bytes of recent batches, at least 64
 * MB (for each second of a batch), at most `most`; blocks then count until a task has read them. */
struct tide_budget *tide_budget_new(uint64_t limit, uint64_t most);
struct tide_budget *tide_budget_retain(struct tide_budget *budget);
void tide_budget_release(struct tide_budget *budget); /* NULL is fine */
uint64_t tide_budget_used(struct tide_budget *budget);
uint64_t tide_budget_limit(struct tide_budget *budget);

/* A source's share. `batch_ms`: how much time its batches cover. on_room is called (any thread, with a lock held,
 * once for each tide_share_must_wait that said yes) when the source may read again; it must only post. */
struct tide_share *tide_share_new(struct tide_budget *budget, uint64_t batch_ms, void (*on_room)(void *arg),
                                  void *arg);
struct tide_share *tide_share_retain(struct tide_share *share);
void tide_share_release(struct tide_share *share); /* NULL is fine */
/* The source has ended: on_room is not called after this returns, and nothing is reserved for it. */
void tide_share_close(struct tide_share *share);
uint64_t tide_share_used(struct tide_share *share);
/* True when the source must not read now; on_room is called when it may. unfinished: bytes of blocks that only the
 * source can free, by reading on; they do not count against any share. The source's thread. */
bool tide_share_must_wait(struct tide_share *share, uint64_t unfinished);
/* A batch was cut. The source's thread. */
void tide_share_cut(struct tide_share *share, uint64_t unfinished);

/* For blocks. */
void tide_share_charge(struct tide_share *share, uint64_t bytes);
void tide_share_refund(struct tide_share *share, uint64_t bytes);
/* Whether blocks count until they are freed. */
bool tide_share_is_firm(const struct tide_share *share);

#endif
