/*
 * One limit for the received data of all sources of an engine, and each source's share of it. A source asks before it
 * reads on; when the budget is used up it waits, and is called when there is room again. Blocks count from the moment
 * they are made until they are freed (or discharged, see store/block.h), wherever they are.
 *
 *     0                                                                                  limit
 *     | in use by anybody                                        | gap | reserved for others |
 *
 * A quarter of the limit is divided evenly among the open shares: that much nobody can take from a source, whatever the
 * others hold. The rest goes to whoever wants it. Who waits is called when the use is a gap (a sixteenth) below
 * what it may be, so that reading goes on in small portions; who holds least is called first.
 *
 * The limit is what the user says, or it follows what two batches took lately (see tide_budget_new).
 * Any thread, except where it says otherwise. Reference counted, because blocks outlive their source.
 */
#ifndef TIDE_STORE_BUDGET_H
#define TIDE_STORE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct tide_budget;
struct tide_share;

/* limit > 0: that many bytes of blocks, until they are freed. limit 0: twice what the tasks of a batch have taken lately, at least
 * 64 MB (for each second of a batch), but never more than `most`; blocks then count until a task is done with them. */
struct tide_budget *tide_budget_new(uint64_t limit, uint64_t most);
struct tide_budget *tide_budget_retain(struct tide_budget *budget);
void tide_budget_release(struct tide_budget *budget); /* NULL is fine */
uint64_t tide_budget_used(struct tide_budget *budget);
uint64_t tide_budget_limit(struct tide_budget *budget);

/* A source's share. `batch_ms`: how much time its batches cover. on_room is called (any thread, with a lock held, once
 * for each tide_share_must_wait that said yes) when the source may go on; it must only post. */
struct tide_share *tide_share_new(struct tide_budget *budget, uint64_t batch_ms, void (*on_room)(void *arg),
                                  void *arg);
struct tide_share *tide_share_retain(struct tide_share *share);
void tide_share_release(struct tide_share *share); /* NULL is fine */
/* The source goes away: on_room will not be called any more after this returns, and nothing is reserved for it. */
void tide_share_close(struct tide_share *share);
uint64_t tide_share_used(struct tide_share *share);
/* True when the source must not read on now; on_room is called when it may. `unfinished`: bytes of blocks that nobody
 * but the source can free, by reading on; they do not count against anybody. The source's thread. */
bool tide_share_must_wait(struct tide_share *share, uint64_t unfinished);
/* A batch was cut. The source's thread. */
void tide_share_cut(struct tide_share *share, uint64_t unfinished);

/* For blocks. */
void tide_share_charge(struct tide_share *share, uint64_t bytes);
void tide_share_refund(struct tide_share *share, uint64_t bytes);
/* Whether blocks count until they are freed. */
bool tide_share_is_firm(const struct tide_share *share);

#endif
