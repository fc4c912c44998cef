/*
 * store/lines: separators at every split position, long lines, binary bytes, takes at every position, memory that
 * runs out at every allocation, and random schedules; always against a model that looks at the whole text at once.
 */
#include "base/fault.h"
#include "store/budget.h"
#include "store/lines.h"
#include "test.h"

/* ---- What came out, and the model --------------------------------------------------------------------------- */

/* Lines one after the other, each as "length:bytes;" so that two results can be compared as bytes. Over-long lines
 * are listed apart as "length:head;". */
struct text {
    char *bytes;
    size_t size, capacity;
};

struct result {
    struct text lines, long_lines;
    size_t count, long_count;
};

static void put(struct text *text, const void *bytes, size_t size) {
    if (text->size + size > text->capacity) {
        text->capacity = (text->size + size) * 2;
        text->bytes = realloc(text->bytes, text->capacity);
        assert_non_null(text->bytes);
    }
    if (size) memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
}

static void put_entry(struct text *text, uint64_t length, const void *bytes, size_t size) {
    char head[32];

    put(text, head, (size_t)snprintf(head, sizeof head, "%llu:", (unsigned long long)length));
    put(text, bytes, size);
    put(text, ";", 1);
}

static void result_destroy(struct result *result) {
    free(result->lines.bytes);
    free(result->long_lines.bytes);
    memset(result, 0, sizeof *result);
}

static void on_long_line(void *arg, const uint8_t *head, size_t head_size, uint64_t length) {
    struct result *result = arg;

    put_entry(&result->long_lines, length, head, head_size);
    result->long_count++;
}

static void model_line(struct result *result, const char *line, size_t length, uint32_t max_line) {
    if (length <= max_line) {
        put_entry(&result->lines, length, line, length);
        result->count++;
    } else {
        on_long_line(result, (const uint8_t *)line, length < 64 ? length : 64, length);
    }
}

static void model(struct result *result, const char *text, size_t size, uint32_t max_line) {
    size_t start = 0;

    for (size_t i = 0; i < size; i++) {
        if (text[i] != '\n' && text[i] != '\r') continue;
        model_line(result, text + start, i - start, max_line);
        if (text[i] == '\r' && i + 1 < size && text[i + 1] == '\n') i++;
        start = i + 1;
    }
    if (start < size) model_line(result, text + start, size - start, max_line);
}

static void collect(struct result *result, struct tide_blocks *blocks) {
    for (uint32_t i = 0; i < blocks->count; i++) {
        const struct tide_block *block = blocks->items[i];
        assert_int_equal(block->kind, TIDE_BLOCK_TEXT);
        assert_int_equal(block->arity, 1);
        assert_true(block->count > 0);
        assert_true(block->size <= block->capacity);
        for (uint32_t l = 0; l < block->count; l++) {
            struct tide_line line = block->lines[l];
            assert_true((uint64_t)line.offset + line.length <= block->size);
            put_entry(&result->lines, line.length, block->data + line.offset, line.length);
            result->count++;
        }
    }
    tide_blocks_destroy(blocks);
}

static void take(struct tide_lines *lines, struct result *result) {
    struct tide_blocks out;

    tide_blocks_create(&out);
    assert_true(tide_lines_take(lines, &out));
    collect(result, &out);
}

static void feed(struct tide_lines *lines, const char *text, size_t size) {
    while (size > 0) {
        size_t room = 0;
        uint8_t *space = tide_lines_space(lines, &room);
        assert_non_null(space);
        assert_true(room > 0);
        if (room > size) room = size;
        memcpy(space, text, room);
        assert_true(tide_lines_commit(lines, room));
        text += room;
        size -= room;
    }
}

static void begin(struct tide_lines *lines, struct result *result, uint32_t max_line, uint32_t block_size) {
    memset(result, 0, sizeof *result);
    tide_lines_create(lines, max_line, block_size, NULL);
    lines->on_long_line = on_long_line;
    lines->arg = result;
}

static void end(struct tide_lines *lines, struct result *result) {
    assert_true(tide_lines_finish(lines));
    take(lines, result);
    assert_null(lines->current);
    tide_lines_destroy(lines);
    assert_int_equal(tide_block_live(), 0);
    assert_int_equal(tide_block_live_bytes(), 0);
}

static void same_text(const struct text *got, const struct text *expected) {
    assert_int_equal(got->size, expected->size);
    if (got->size) assert_memory_equal(got->bytes, expected->bytes, got->size);
}

static void same(const struct result *got, const struct result *expected) {
    assert_int_equal(got->count, expected->count);
    assert_int_equal(got->long_count, expected->long_count);
    same_text(&got->lines, &expected->lines);
    same_text(&got->long_lines, &expected->long_lines);
}

static uint32_t next_random(uint32_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* ---- Separators --------------------------------------------------------------------------------------------- */

static const char *const MIXES[] = {
    "",
    "a",
    "\n",
    "\r",
    "\r\n",
    "\n\r",
    "\r\r\n",
    "\r\n\n",
    "\n\n\n",
    "\r\r\r",
    "\r\n\r\n",
    "a\n",
    "a\r",
    "a\r\n",
    "\na",
    "\ra",
    "\r\na",
    "one\ntwo\rthree\r\nfour",
    "one\n\ntwo\r\rthree\r\n\r\nfour\n",
    "x\r\r\n\n\ry\n\r\nz",
    "no separator at all",
    "\nfirst is empty",
    "last is unterminated\r\nhere",
    "ends in cr\r",
    "ends in crlf\r\n",
    "a\nb\nc\nd\ne\rf\rg\rh\r\ni\r\nj",
};
enum { MIX_COUNT = sizeof MIXES / sizeof *MIXES };

static void test_plain_lines(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 0, 0);
    feed(&lines, "one\ntwo\rthree\r\n\nlast", 20);
    end(&lines, &got);
    assert_int_equal(got.count, 5);
    static const char expected[] = "3:one;3:two;5:three;0:;4:last;";
    assert_int_equal(got.lines.size, sizeof expected - 1);
    assert_memory_equal(got.lines.bytes, expected, sizeof expected - 1);
    result_destroy(&got);
}

/* In two commits cut at every byte, with and without a take between them; then in commits of one byte. */
static void test_every_split(void **state) {
    for (size_t m = 0; m < MIX_COUNT; m++) {
        size_t size = strlen(MIXES[m]);
        struct result expected = {0};
        model(&expected, MIXES[m], size, 1000);
        for (uint32_t block_size = 1; block_size <= 64; block_size *= 2) {
            for (size_t cut = 0; cut <= size; cut++) {
                for (int between = 0; between < 2; between++) {
                    struct tide_lines lines;
                    struct result got;
                    begin(&lines, &got, 1000, block_size);
                    feed(&lines, MIXES[m], cut);
                    if (between) take(&lines, &got);
                    feed(&lines, MIXES[m] + cut, size - cut);
                    end(&lines, &got);
                    same(&got, &expected);
                    result_destroy(&got);
                }
            }
            for (int between = 0; between < 2; between++) {
                struct tide_lines lines;
                struct result got;
                begin(&lines, &got, 1000, block_size);
                for (size_t i = 0; i < size; i++) {
                    feed(&lines, MIXES[m] + i, 1);
                    if (between) take(&lines, &got);
                }
                end(&lines, &got);
                same(&got, &expected);
                result_destroy(&got);
            }
        }
        result_destroy(&expected);
    }
}

/* A line is there as soon as its \r is, and the \n that follows in another commit, block or cut adds none. */
static void test_cr_is_enough(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 0, 0);
    feed(&lines, "abc\r", 4);
    take(&lines, &got);
    assert_int_equal(got.count, 1);
    feed(&lines, "\n", 1);
    take(&lines, &got);
    assert_int_equal(got.count, 1);
    feed(&lines, "\n", 1);
    take(&lines, &got);
    assert_int_equal(got.count, 2);
    end(&lines, &got);
    assert_int_equal(got.count, 2);
    result_destroy(&got);
}

static void test_finish_resets_separators(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 0, 0);
    feed(&lines, "a\r", 2);
    assert_true(tide_lines_finish(&lines));
    assert_true(tide_lines_finish(&lines));
    feed(&lines, "\nb", 2);
    assert_true(tide_lines_finish(&lines));
    feed(&lines, "c", 1);
    end(&lines, &got);
    static const char expected[] = "1:a;0:;1:b;1:c;";
    assert_int_equal(got.lines.size, sizeof expected - 1);
    assert_memory_equal(got.lines.bytes, expected, sizeof expected - 1);
    result_destroy(&got);
}

static void test_binary_bytes(void **state) {
    char text[1024];

    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 7 + i / 256);
    struct result expected = {0}, got;
    model(&expected, text, sizeof text, 1000);
    assert_true(expected.count > 6);
    assert_non_null(memchr(expected.lines.bytes, 0, expected.lines.size));
    for (size_t step = 1; step < 40; step++) {
        struct tide_lines lines;
        begin(&lines, &got, 1000, 32);
        for (size_t i = 0; i < sizeof text; i += step)
            feed(&lines, text + i, sizeof text - i < step ? sizeof text - i : step);
        end(&lines, &got);
        same(&got, &expected);
        result_destroy(&got);
    }
    result_destroy(&expected);
}

/* ---- Long lines --------------------------------------------------------------------------------------------- */

/* Lengths around the limit and around the kept head, each at every split position. */
static void test_long_lines(void **state) {
    static const uint32_t limits[] = {1, 5, 63, 64, 65, 100};

    for (size_t m = 0; m < sizeof limits / sizeof *limits; m++) {
        char text[1200];
        size_t size = 0;
        for (int delta = -1; delta <= 2; delta++) {
            for (size_t i = 0; i < limits[m] + (size_t)(delta + 1) - 1; i++) text[size++] = (char)('a' + i % 26);
            text[size++] = delta & 1 ? '\n' : '\r';
            text[size++] = '\n';
        }
        memset(text + size, 'z', 300);
        size += 300; /* over the limit and unterminated */
        struct result expected = {0}, got;
        model(&expected, text, size, limits[m]);
        assert_true(expected.long_count == 3 && expected.count >= 2);
        for (size_t cut = 0; cut <= size; cut++) {
            struct tide_lines lines;
            begin(&lines, &got, limits[m], cut % 2 ? 16 : 4096);
            feed(&lines, text, cut);
            if (cut % 3 == 0) take(&lines, &got);
            feed(&lines, text + cut, size - cut);
            end(&lines, &got);
            same(&got, &expected);
            result_destroy(&got);
        }
        result_destroy(&expected);
    }
}

/* 64 MB without a separator must not be collected; the line after it is read normally. */
static void test_endless_line_needs_no_memory(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 100000, 0);
    static char chunk[65536];
    memset(chunk, 'x', sizeof chunk);
    for (int i = 0; i < 1024; i++) {
        feed(&lines, chunk, sizeof chunk);
        assert_true(tide_block_live_bytes() < 600000);
    }
    assert_int_equal(got.long_count, 0);
    feed(&lines, "\nnext\n", 6);
    take(&lines, &got);
    assert_int_equal(got.long_count, 1);
    assert_int_equal(got.count, 1);
    assert_memory_equal(got.lines.bytes, "4:next;", 7);
    assert_memory_equal(got.long_lines.bytes, "67108864:xxx", 12);
    end(&lines, &got);
    result_destroy(&got);
}

/* A line much longer than a block is one line. */
static void test_line_longer_than_block(void **state) {
    struct tide_lines lines;
    struct result got, expected = {0};
    size_t size = 3 * TIDE_BLOCK_TARGET;
    char *text = malloc(size);

    assert_non_null(text);
    for (size_t i = 0; i < size; i++) text[i] = (char)('a' + i % 23);
    memcpy(text, "short\n", 6);
    memcpy(text + size - 7, "\nafter\n", 7);
    model(&expected, text, size, 1 << 20);
    assert_int_equal(expected.count, 3);
    begin(&lines, &got, 1 << 20, 0);
    feed(&lines, text, size);
    end(&lines, &got);
    same(&got, &expected);
    result_destroy(&got);
    result_destroy(&expected);
    free(text);
}

/* ---- Blocks and memory -------------------------------------------------------------------------------------- */

/* Lines of 103 bytes, at least `bytes` of them; returns how many bytes. */
static size_t feed_lines(struct tide_lines *lines, size_t bytes) {
    static const char line[] =
        "abcdefghi jklmnopqrs tuvwxyzabc defghijklm nopqrstuvw xyzabcdefg hijklmnopq rstuvwxyza bcdefghijk lmnop\n";
    size_t fed = 0;

    for (; fed < bytes; fed += sizeof line - 1) feed(lines, line, sizeof line - 1);
    return fed;
}

static void test_take_keeps_unfinished_line(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 0, 0);
    feed(&lines, "a\nb\nunfin", 9);
    take(&lines, &got);
    assert_int_equal(got.count, 2);
    take(&lines, &got);
    assert_int_equal(got.count, 2);
    feed(&lines, "ished\n", 6);
    take(&lines, &got);
    assert_int_equal(got.count, 3);
    assert_memory_equal(got.lines.bytes, "1:a;1:b;10:unfinished;", 22);
    end(&lines, &got);
    result_destroy(&got);
}

/* What a take gives out is in proportion to the bytes received, also when a large block was open. */
static void test_small_takes_hold_little(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 0, 0);
    feed_lines(&lines, 3 << 20); /* full blocks by now */
    take(&lines, &got);
    struct tide_blocks held;
    tide_blocks_create(&held);
    for (int i = 0; i < 100; i++) {
        feed(&lines, "one\ntwo\nthree\nfo", 16);
        assert_true(tide_lines_take(&lines, &held));
        if (i == 0) assert_int_equal(held.items[0]->count, 3);
    }
    assert_int_equal(held.count, 100);
    assert_true(tide_block_live_bytes() < 100 * 1024);
    tide_blocks_destroy(&held);
    end(&lines, &got);
    result_destroy(&got);
}

static void test_idle_holds_little(void **state) {
    struct tide_lines lines;
    struct result got;

    begin(&lines, &got, 0, 0);
    assert_int_equal(tide_block_live(), 0);
    feed_lines(&lines, 3 << 20);
    feed(&lines, "unfinished", 10);
    take(&lines, &got);
    take(&lines, &got);
    assert_true(tide_block_live_bytes() < 10000);
    feed(&lines, "\n", 1);
    take(&lines, &got);
    assert_int_equal(tide_block_live(), 0);
    end(&lines, &got);
    result_destroy(&got);
}

/* Steady batches come as several blocks, large ones as blocks of about the target size. */
static void test_block_sizes(void **state) {
    static const size_t batches[] = {64 * 1024, 200 * 1024, 1024 * 1024, 16 * 1024 * 1024};

    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        struct tide_lines lines;
        struct result got;
        begin(&lines, &got, 0, 0);
        for (int round = 0; round < 3; round++) {
            struct tide_blocks out;
            tide_blocks_create(&out);
            size_t fed = feed_lines(&lines, batches[b]);
            assert_true(tide_lines_take(&lines, &out));
            assert_true(out.count >= 3);
            if (round > 0) assert_true(out.count <= 8 + batches[b] / (TIDE_BLOCK_TARGET / 2));
            uint64_t used = tide_blocks_bytes(&out), slots = tide_blocks_records(&out) * sizeof(struct tide_line);
            assert_int_equal(used, fed); /* no block keeps a part of a line */
            assert_true(tide_block_live_bytes() < used + used / 2 + 2 * slots);
            for (uint32_t i = 0; i < out.count; i++) assert_true(out.items[i]->size <= TIDE_BLOCK_TARGET);
            collect(&got, &out);
        }
        end(&lines, &got);
        result_destroy(&got);
    }
}

static void test_bytes_count_against_the_budget(void **state) {
    struct tide_budget *budget = tide_budget_new(1 << 20, 0);
    struct tide_share *share = tide_share_new(budget, 1000, NULL, NULL);
    struct tide_lines lines;
    struct tide_blocks out;

    tide_blocks_create(&out);
    tide_lines_create(&lines, 0, 0, share);
    feed_lines(&lines, 1 << 20);
    assert_true(tide_share_must_wait(share, 0));
    assert_true(tide_lines_take(&lines, &out));
    tide_lines_destroy(&lines);
    assert_true(tide_budget_used(budget) >= 1 << 20);
    tide_blocks_destroy(&out);
    assert_int_equal(tide_budget_used(budget), 0);
    tide_share_release(share);
    tide_budget_release(budget);
}

/* Every allocation of a run fails once, then twice in a row: the caller tries again and loses nothing. */
static void test_memory_runs_out(void **state) {
    char text[6000];
    size_t size = 0;

    for (uint32_t seed = 1; size + 80 < sizeof text;) {
        size_t length = next_random(&seed) % 60;
        memset(text + size, 'a' + (int)(size % 26), length);
        size += length;
        if (size % 3 == 0) text[size++] = '\r';
        if (size % 3 != 1) text[size++] = '\n';
    }
    struct result expected = {0};
    model(&expected, text, size, 50);
    assert_true(expected.long_count > 0);
    bool failed = true;
    for (long skip = 0; failed; skip++) {
        struct tide_lines lines;
        struct result got;
        failed = false;
        begin(&lines, &got, 50, 256);
        tide_fault_arm("alloc", skip, 1 + skip % 2);
        for (size_t at = 0, step = 0; at < size; step++) {
            size_t room = 0;
            uint8_t *space = tide_lines_space(&lines, &room);
            if (!space) {
                failed = true;
                continue;
            }
            if (room > size - at) room = size - at;
            if (room > step % 90 + 1) room = step % 90 + 1;
            memcpy(space, text + at, room);
            at += room;
            if (!tide_lines_commit(&lines, room)) failed = true;
            if (step % 7 == 0) {
                struct tide_blocks out;
                tide_blocks_create(&out);
                if (!tide_lines_take(&lines, &out)) failed = true;
                collect(&got, &out);
            }
        }
        while (!tide_lines_finish(&lines)) failed = true;
        struct tide_blocks out;
        tide_blocks_create(&out);
        while (!tide_lines_take(&lines, &out)) failed = true;
        collect(&got, &out);
        tide_fault_clear();
        end(&lines, &got);
        same(&got, &expected);
        result_destroy(&got);
        assert_true(skip > 20 || failed);
    }
    result_destroy(&expected);
}

/* ---- At random ---------------------------------------------------------------------------------------------- */

static void test_random(void **state) {
    static char text[20000];

    for (uint32_t round = 1; round <= 1500; round++) {
        uint32_t seed = round * 2654435761u;
        size_t size = next_random(&seed) % (round % 50 ? 600 : sizeof text);
        uint32_t rarity = next_random(&seed) % 60 + 2;
        for (size_t i = 0; i < size; i++) {
            uint32_t pick = next_random(&seed) % rarity;
            text[i] = pick == 0 ? '\n' : pick == 1 ? '\r' : (char)next_random(&seed);
        }
        uint32_t max_line = next_random(&seed) % 200 + 1;
        struct result expected = {0}, got;
        struct tide_lines lines;
        model(&expected, text, size, max_line);
        begin(&lines, &got, max_line, next_random(&seed) % 512);
        uint32_t chunk = next_random(&seed) % 300 + 1, takes = next_random(&seed) % 10 + 1;
        for (size_t at = 0; at < size;) {
            size_t part = next_random(&seed) % chunk + 1;
            if (part > size - at) part = size - at;
            feed(&lines, text + at, part);
            at += part;
            if (next_random(&seed) % takes == 0) take(&lines, &got);
        }
        end(&lines, &got);
        same(&got, &expected);
        result_destroy(&got);
        result_destroy(&expected);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_lines),
        cmocka_unit_test(test_every_split),
        cmocka_unit_test(test_cr_is_enough),
        cmocka_unit_test(test_finish_resets_separators),
        cmocka_unit_test(test_binary_bytes),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_endless_line_needs_no_memory),
        cmocka_unit_test(test_line_longer_than_block),
        cmocka_unit_test(test_take_keeps_unfinished_line),
        cmocka_unit_test(test_small_takes_hold_little),
        cmocka_unit_test(test_idle_holds_little),
        cmocka_unit_test(test_block_sizes),
        cmocka_unit_test(test_bytes_count_against_the_budget),
        cmocka_unit_test(test_memory_runs_out),
        cmocka_unit_test(test_random),
    };
    return cmocka_run_group_tests_name("store/lines", tests, NULL, NULL);
}
