/*
 * A number as text for people: the shortest text that reads back as the same double, whole numbers up to 2^63 in
 * full, "inf", "-inf" and "nan". -0 is "0". The same as lua/moontide/base/number_text.lua, which writes data. Any
 * thread.
 */
#ifndef TIDE_BASE_NUMBER_TEXT_H
#define TIDE_BASE_NUMBER_TEXT_H

enum { TIDE_NUMBER_TEXT_MAX = 32 }; /* bytes with the final 0 */

void tide_number_text(double value, char text[TIDE_NUMBER_TEXT_MAX]);

#endif
