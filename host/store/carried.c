/*
 * Finds shared values in closure packages and keeps them (see carried.h). The bytes are searched for a directory entry as
 * lua/moontide/closure/format.lua writes it: kind, length and name of the class, number in ULEB128.
 */
#include "store/carried.h"

#include <stdbool.h>
#include <string.h>

#include "base/alloc.h"
#include "store/broadcast.h"

struct tide_carried {
    uint32_t count;
    uint32_t numbers[];
};

static const char ENTRY[] = "\x08\x09"
                            "Broadcast";

enum { ENTRY_SIZE = sizeof ENTRY - 1, MOST_DIGITS = 5 };

/* The number at `at`; 0, which is none, when the bytes end before it does. */
static uint32_t read_number(const uint8_t *at, const uint8_t *end) {
    uint32_t number = 0;

    for (int i = 0; i < MOST_DIGITS && at < end; i++, at++) {
        number |= (uint32_t)(*at & 0x7f) << (7 * i);
        if ((*at & 0x80) == 0) return number;
    }
    return 0;
}

/* Where the number of the next entry stands; NULL: there is none. */
static const uint8_t *next_number(const uint8_t *at, const uint8_t *end) {
    if (at == end) return NULL;

    const uint8_t *entry = memmem(at, (size_t)(end - at), ENTRY, ENTRY_SIZE);

    return entry ? entry + ENTRY_SIZE : NULL;
}

static struct tide_carried *with(struct tide_carried *carried, uint32_t number) {
    uint32_t count = carried ? carried->count : 0;

    carried = tide_xrealloc(carried, sizeof *carried + (count + 1) * sizeof carried->numbers[0]);
    carried->numbers[count] = number;
    carried->count = count + 1;
    return carried;
}

struct tide_carried *tide_carried_new(const void *bytes, size_t size) {
    const uint8_t *at = bytes, *end = at + size;
    struct tide_carried *carried = NULL;

    while ((at = next_number(at, end))) {
        uint32_t number = read_number(at, end);

        if (tide_shared_retain(number)) carried = with(carried, number);
    }
    return carried;
}

struct tide_carried *tide_carried_take(uint32_t number) {
    return with(NULL, number);
}

void tide_carried_delete(struct tide_carried *carried) {
    if (!carried) return;
    for (uint32_t i = 0; i < carried->count; i++) tide_shared_release(carried->numbers[i]);
    tide_free(carried);
}
