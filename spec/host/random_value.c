/*
 * The generator writes bytes by hand: it must not share code with what it tests.
 */
#include "random_value.h"

uint64_t random_next(uint64_t *state) {
    uint64_t x = *state;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    return x * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t random_below(uint64_t *state, uint32_t below) { return (uint32_t)((random_next(state) >> 33) % below); }

static void put(struct tide_buffer *out, uint64_t bits, int width) {
    for (int i = width - 1; i >= 0; i--) {
        uint8_t byte = (uint8_t)(bits >> (8 * i));
        tide_buffer_append(out, &byte, 1);
    }
}

static void put_payload(struct tide_buffer *out, uint64_t *state, uint32_t size) {
    for (uint32_t i = 0; i < size; i++)
        put(out, random_below(state, 4) ? 'a' + random_below(state, 3) : random_next(state), 1);
}

static void put_number(struct tide_buffer *out, uint64_t *state) {
    static const uint8_t tags[] = {0xca, 0xcb, 0xcc, 0xcd, 0xce, 0xcf, 0xd0, 0xd1, 0xd2, 0xd3};
    static const uint8_t widths[] = {4, 8, 1, 2, 4, 8, 1, 2, 4, 8};
    uint32_t which = random_below(state, sizeof tags);
    uint64_t bits = random_next(state);

    if (random_below(state, 2))
        bits = (uint64_t)(int64_t)((int)random_below(state, 11) - 5); /* small, of both signs */
    if (random_below(state, 4) == 0) bits = UINT64_C(1) << 53 | random_below(state, 3);
    if (which == 1 && random_below(state, 2)) {
        static const uint64_t doubles[] = {0,
                                           UINT64_C(1) << 63,
                                           UINT64_C(0x3ff0000000000000),
                                           UINT64_C(0x7ff0000000000000),
                                           UINT64_C(0xfff0000000000000),
                                           UINT64_C(0x7ff8000000000000),
                                           UINT64_C(0x43e0000000000000)};
        bits = doubles[random_below(state, sizeof doubles / sizeof *doubles)];
    }
    put(out, tags[which], 1);
    put(out, bits, widths[which]);
}

void random_value(struct tide_buffer *out, uint64_t *state, int depth) {
    uint32_t kind = random_below(state, depth > 0 ? 14 : 9), size = random_below(state, 5), form;

    switch (kind) {
    case 0: put(out, 0xc0, 1); break;
    case 1: put(out, 0xc2 + random_below(state, 2), 1); break;
    case 2: put(out, random_below(state, 2) ? random_below(state, 0x80) : 0xe0 + random_below(state, 0x20), 1); break;
    case 3:
    case 4: put_number(out, state); break;
    case 5:
    case 6: /* str and bin, in any width */
        form = random_below(state, 7);
        if (form == 0) {
            put(out, 0xa0 + size, 1);
        } else if (form < 4) {
            put(out, 0xd8 + form, 1);
            put(out, size, 1 << (form - 1));
        } else {
            put(out, 0xc0 + form, 1);
            put(out, size, 1 << (form - 4));
        }
        put_payload(out, state, size);
        break;
    case 7: /* fixext */
        form = random_below(state, 5);
        put(out, 0xd4 + form, 1);
        put_payload(out, state, 1 + (1u << form));
        break;
    case 8: /* ext, often the null */
        form = random_below(state, 3);
        if (random_below(state, 2)) size = 0;
        put(out, 0xc7 + form, 1);
        put(out, size, 1 << form);
        put(out, random_below(state, 3), 1);
        put_payload(out, state, size);
        break;
    case 9:
    case 10:
    case 11: /* array */
        form = random_below(state, 3);
        put(out, form == 0 ? 0x90 + size : 0xdb + form, 1);
        if (form) put(out, size, form == 1 ? 2 : 4);
        for (uint32_t i = 0; i < size; i++) random_value(out, state, depth - 1);
        break;
    default: /* map */
        form = random_below(state, 3);
        put(out, form == 0 ? 0x80 + size : 0xdd + form, 1);
        if (form) put(out, size, form == 1 ? 2 : 4);
        for (uint32_t i = 0; i < 2 * size; i++) random_value(out, state, depth - 1);
        break;
    }
}
