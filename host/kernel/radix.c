/*
 * Radix sort from the lowest digit to the highest (see radix.h). Digits that all keys share are skipped: half of
 * them, for small whole numbers. Runs on workers.
 */
#include "kernel/radix.h"

#include <stdbool.h>
#include <string.h>

enum { DIGIT_BITS = 11, DIGITS = 6, VALUES = 1 << DIGIT_BITS };

static uint32_t digit_of(uint64_t key, unsigned shift) { return (uint32_t)(key >> shift) & (VALUES - 1); }

/* Turns the counts of digits into places. false: all keys have the same digit. */
static bool make_places(uint32_t *places, uint32_t count, uint32_t common) {
    uint32_t sum = 0;

    if (places[common] == count) return false;
    for (uint32_t v = 0; v < VALUES; v++) {
        uint32_t these = places[v];

        places[v] = sum;
        sum += these;
    }
    return true;
}

struct tide_radix_item *tide_radix_sort(struct tide_radix_item *items, struct tide_radix_item *spare, uint32_t count,
                                        unsigned from_bit) {
    uint32_t places[DIGITS][VALUES];
    unsigned digits = (64 - from_bit + DIGIT_BITS - 1) / DIGIT_BITS;

    if (count < 2) return items;
    memset(places, 0, digits * sizeof places[0]);
    for (uint32_t i = 0; i < count; i++)
        for (unsigned d = 0; d < digits; d++) places[d][digit_of(items[i].key, from_bit + d * DIGIT_BITS)]++;
    for (unsigned d = 0; d < digits; d++) {
        unsigned shift = from_bit + d * DIGIT_BITS;

        if (!make_places(places[d], count, digit_of(items[0].key, shift))) continue;
        for (uint32_t i = 0; i < count; i++) spare[places[d][digit_of(items[i].key, shift)]++] = items[i];

        struct tide_radix_item *other = items;

        items = spare;
        spare = other;
    }
    return items;
}
