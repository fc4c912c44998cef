/*
 * For the specs of state/: keys by number, a model of a state, and what a store holds, read back into a model.
 */
#ifndef SPEC_STATE_RIG_H
#define SPEC_STATE_RIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "state/state_store.h"

/* Few key groups, so that each has many buckets. */
enum { RIG_KEYS = 3000, RIG_GROUPS = 8 };

/* A state, simple: the value of each key, packed, in heap memory that models share; NULL: there is none. */
struct rig_value {
    uint32_t refs;
    uint32_t size;
    uint8_t bytes[];
};

struct rig_model {
    struct rig_value *values[RIG_KEYS];
    double stamps[RIG_KEYS];
    uint32_t rows;
};

/* Appends key 0 … RIG_KEYS - 1: text, a number, a list, or a text of some hundred bytes; in one of the forms that are
 * one key. */
void rig_key(struct tide_buffer *out, uint32_t key, uint32_t form);

void rig_put(struct rig_model *model, uint32_t key, const uint8_t *value, uint32_t size, double stamp);
void rig_remove(struct rig_model *model, uint32_t key);
void rig_copy(struct rig_model *to, const struct rig_model *from);
void rig_clear(struct rig_model *model);
/* Fails the test unless both hold the same. */
void rig_compare(const struct rig_model *wanted, const struct rig_model *found, const char *where);

/* Applies (key, [stamp, value]) and (key, nil). Fails the test if a key is there twice. */
void rig_read(struct rig_model *model, const struct tide_blocks *records);
/* All of a store, or of a pin. */
void rig_read_store(struct rig_model *model, const struct tide_state_store *store);
void rig_read_pin(struct rig_model *model, const struct tide_state_pin *pin);

/* Puts a number, removes, within a batch. */
bool rig_put_number(struct tide_state_store *store, uint32_t key, double number, double stamp);
bool rig_take(struct tide_state_store *store, uint32_t key);
struct tide_state_found rig_find(const struct tide_state_store *store, uint32_t key);

/* Fails the test unless every row is where it belongs, counters are right, and no bound is too high. */
void rig_check_structure(const struct tide_state_store *store);

#endif
