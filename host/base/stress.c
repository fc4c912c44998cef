/*
 * The switch of memory stress. The environment is read once; threads that ask at the same time read it several times,
 * with the same result.
 */
#include "base/stress.h"

#include <stdlib.h>

enum { UNREAD, OFF, ON };

static int state = UNREAD;
static uint64_t seed;
static uint64_t drawn;

static int read_environment(void) {
    const char *text = getenv("MOONTIDE_GCSTRESS");
    int found = text && *text ? ON : OFF;

    if (found == ON) __atomic_store_n(&seed, strtoull(text, NULL, 10), __ATOMIC_RELAXED);
    __atomic_store_n(&state, found, __ATOMIC_RELEASE);
    return found;
}

bool tide_stress(void) {
    int known = __atomic_load_n(&state, __ATOMIC_ACQUIRE);

    return (known == UNREAD ? read_environment() : known) == ON;
}

/* Mixes as SplitMix64 does. */
uint64_t tide_stress_draw(void) {
    uint64_t count = __atomic_add_fetch(&drawn, 1, __ATOMIC_RELAXED);
    uint64_t z = __atomic_load_n(&seed, __ATOMIC_RELAXED) + count * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}
