/* Numbers as text: the shortest that reads back as the same number. */
#include <float.h>
#include <math.h>

#include "base/number_text.h"
#include "test.h"

static void expect(double value, const char *wanted) {
    char text[TIDE_NUMBER_TEXT_MAX];

    tide_number_text(value, text);
    assert_string_equal(text, wanted);
}

static void shows_fractions_with_all_their_digits_and_no_more(void **state) {
    expect(0.1, "0.1");
    expect(0.1 + 0.2, "0.30000000000000004");
    expect(1530239065.807368, "1530239065.807368");
    expect(14.902199745199999, "14.902199745199999");
    expect(1e300, "1e+300");
    expect(DBL_MIN, "2.2250738585072014e-308");
    expect(5e-324, "5e-324");
}

static void shows_whole_numbers_in_full_up_to_2_to_the_63(void **state) {
    expect(717438855724142592.0, "717438855724142592");
    expect(-0x1p63, "-9223372036854775808");
    expect(0x1p64, "1.8446744073709552e+19");
    expect(-0.0, "0");
}

static void shows_what_is_no_number(void **state) {
    expect(INFINITY, "inf");
    expect(-INFINITY, "-inf");
    expect(NAN, "nan");
    expect(-NAN, "nan");
}

static void reads_back_as_the_same_number(void **state) {
    uint64_t bits = 88172645463325252u;

    for (int i = 0; i < 100000; i++) {
        char text[TIDE_NUMBER_TEXT_MAX];
        double value;

        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (value != value) continue;
        tide_number_text(value, text);
        assert_true(strtod(text, NULL) == value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_fractions_with_all_their_digits_and_no_more),
        cmocka_unit_test(shows_whole_numbers_in_full_up_to_2_to_the_63),
        cmocka_unit_test(shows_what_is_no_number),
        cmocka_unit_test(reads_back_as_the_same_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
