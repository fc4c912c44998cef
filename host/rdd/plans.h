/*
 * Shapes of plans, and the plans made of them. A shape is a plan as a sequence of words (operators as pointers):
 * cheap to write for every partition of every batch and cheap to compare. The bytes that workers read are made once
 * per distinct shape; the plans of recent shapes are cached, because every batch has the same ones.
 *
 * task/task.h documents the grammar of plans. A shape has the same parts, each opened by its code (enum tide_word):
 *   node:  LEAF read-op-or-0 | CHAIN node OPS n op… | CONCAT m (RUN n node)… (m runs) | ZIP op m child… (m children)
 *   child: node | SAME nodes-back inputs-back
 *   op:    the pointer | INDEXED difference pointer | NUMBERED difference pointer
 *   sink:  FINAL op | SHUFFLE write-op route ascending | SAMPLE write-op
 *
 * Thread: driver only.
 */
#ifndef TIDE_RDD_PLANS_H
#define TIDE_RDD_PLANS_H

#include <stdint.h>

#include "task/task.h"

enum tide_word {
    TIDE_WORD_LEAF = 1,
    TIDE_WORD_CHAIN,
    TIDE_WORD_OPS,
    TIDE_WORD_CONCAT,
    TIDE_WORD_RUN,
    TIDE_WORD_ZIP,
    TIDE_WORD_SAME,
    TIDE_WORD_INDEXED,
    TIDE_WORD_NUMBERED,
    TIDE_WORD_FINAL,
    TIDE_WORD_SHUFFLE,
    TIDE_WORD_SAMPLE
};

struct tide_plans;

struct tide_plans *tide_plans_new(void);
void tide_plans_delete(struct tide_plans *plans);

/* The plan of a shape: the same struct for equal words until tide_plans_trim drops it. A new reference. */
struct tide_plan *tide_plans_get(struct tide_plans *plans, const uint64_t *words, uint32_t count);

/* Drops the least recently used plans beyond a fixed number and size, and those that hold a broadcast variable which
 * has no other user. Called between stages, so that all partitions of a stage share plans. */
void tide_plans_trim(struct tide_plans *plans);

/* The number of cached plans. */
uint32_t tide_plans_count(const struct tide_plans *plans);

#endif
