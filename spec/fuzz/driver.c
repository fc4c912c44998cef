/*
 * Runs a fuzz target without libFuzzer, on inputs that the target itself generates:
 *
 *     fuzz_lines [--inputs N] [--seconds N] [--seed S] [--first N] [--corpus DIRECTORY] [file…]
 *
 * Without options: 10000 inputs of seed 1, the same ones each time. --seconds goes on for that long instead. Each
 * input has a number, and one that fails is tried again alone with --first NUMBER --inputs 1. With --corpus the
 * inputs are written to files (for libFuzzer to begin with) and not tried; files given are tried as they are. Built
 * by `make fuzz` under the sanitizers and by `make test`; spec/fuzz_spec.lua runs it there.
 */
#ifndef FUZZ_WITH_LIBFUZZER

#include "driver.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct run {
    const char *program, *corpus;
    uint64_t inputs, seconds, seed, first;
};

/* How to try the failing input again, ready for on_abort: it must not call printf. */
static char again[256];

static void on_abort(int number) {
    ssize_t written = write(STDERR_FILENO, again, strlen(again));

    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

static void usage(const char *program) {
    fprintf(stderr, "usage: %s [--inputs N] [--seconds N] [--seed S] [--first N] [--corpus DIRECTORY] [file...]\n",
            program);
    exit(2);
}

static uint64_t number(const char *text, const char *program) {
    char *end;
    unsigned long long value = text ? strtoull(text, &end, 10) : 0;

    if (!text || *text == '\0' || *text == '-' || *end != '\0') usage(program);
    return value;
}

/* Neighbouring numbers give unrelated states; never 0. */
static uint64_t state_of(uint64_t seed, uint64_t input) {
    uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + input;

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (x ^ (x >> 31)) | 1;
}

/* In memory of its own size, so that a byte too far is an error and not a neighbour. */
static void try(const uint8_t *bytes, size_t size) {
    uint8_t *data = malloc(size ? size : 1);

    if (!data) abort();
    memcpy(data, bytes, size);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static void try_file(const char *path) {
    snprintf(again, sizeof again, "fuzz: failed on the file %s\n", path);
    FILE *file = fopen(path, "rb");
    fuzz_require(file, "the file cannot be opened");
    uint8_t *bytes = NULL;
    size_t size = 0, got;
    do {
        bytes = realloc(bytes, size + FUZZ_MOST);
        if (!bytes) abort();
        got = fread(bytes + size, 1, FUZZ_MOST, file);
        size += got;
    } while (got > 0);
    fclose(file);
    try(bytes, size);
    free(bytes);
}

static void write_input(const struct run *run, uint64_t input, const uint8_t *bytes, size_t size) {
    char path[512];

    snprintf(path, sizeof path, "%s/generated-%" PRIu64 "-%" PRIu64, run->corpus, run->seed, input);
    FILE *file = fopen(path, "wb");
    fuzz_require(file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0,
                 "an input cannot be written to the corpus");
}

static uint64_t generate(const struct run *run) {
    static uint8_t bytes[FUZZ_MOST];
    time_t end = time(NULL) + (time_t)run->seconds;
    uint64_t tried = 0;

    for (uint64_t input = run->first; run->seconds ? time(NULL) < end : tried < run->inputs; input++, tried++) {
        uint64_t state = state_of(run->seed, input);
        snprintf(again, sizeof again,
                 "fuzz: try it again with: %s --seed %" PRIu64 " --first %" PRIu64 " --inputs 1\n", run->program,
                 run->seed, input);
        size_t size = fuzz_generate(&state, bytes, sizeof bytes);
        fuzz_require(size <= sizeof bytes, "an input is longer than it may be");
        if (run->corpus) write_input(run, input, bytes, size);
        else try(bytes, size);
    }
    return tried;
}

int main(int argc, char **argv) {
    struct run run = {.program = argv[0], .inputs = 10000, .seed = 1};
    int at = 1;

    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at += 2) {
        const char *option = argv[at] + 2, *value = argv[at + 1];
        if (strcmp(option, "inputs") == 0) run.inputs = number(value, run.program);
        else if (strcmp(option, "seconds") == 0) run.seconds = number(value, run.program);
        else if (strcmp(option, "seed") == 0) run.seed = number(value, run.program);
        else if (strcmp(option, "first") == 0) run.first = number(value, run.program);
        else if (strcmp(option, "corpus") == 0 && value) run.corpus = value;
        else usage(run.program);
    }
    signal(SIGABRT, on_abort);
    uint64_t tried = 0;
    for (int file = at; file < argc; file++, tried++) try_file(argv[file]);
    if (at == argc) tried = generate(&run);
    const char *slash = strrchr(run.program, '/');
    printf("%s: %" PRIu64 " inputs%s\n", slash ? slash + 1 : run.program, tried, run.corpus ? " written" : "");
    return 0;
}

#endif
