/*
 * Numbers as text (see number_text.h). Called where messages are made, on any thread.
 */
#include "base/number_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Enough for fractions as people write them; subnormal numbers have fewer digits. */
static int first_digits(double value) { return fabs(value) < 0x1p-1022 ? 1 : 15; }

void tide_number_text(double value, char text[TIDE_NUMBER_TEXT_MAX]) {
    if (value != value) {
        snprintf(text, TIDE_NUMBER_TEXT_MAX, "nan");
    } else if (value == floor(value) && fabs(value) <= 0x1p63) {
        snprintf(text, TIDE_NUMBER_TEXT_MAX, "%.0f", value == 0 ? 0 : value);
    } else {
        int digits = first_digits(value);

        do snprintf(text, TIDE_NUMBER_TEXT_MAX, "%.*g", digits, value);
        while (digits++ < 17 && strtod(text, NULL) != value);
    }
}
