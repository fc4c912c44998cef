/* What every C test includes: cmocka, behind the headers that it needs to have been included before it. */
#ifndef TIDE_SPEC_TEST_H
#define TIDE_SPEC_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#endif
