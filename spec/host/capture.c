/*
 * stderr into memory, for the specs of the log.
 */
#include "capture.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int saved = -1;
static int ends[2];
static pthread_t reader;
static char *text;
static size_t text_size;

static void must(bool good, const char *what) {
    if (good) return;
    perror(what);
    abort();
}

static void *read_all(void *arg) {
    char piece[4096];
    ssize_t n;

    while ((n = read(ends[0], piece, sizeof piece)) > 0) {
        text = realloc(text, text_size + (size_t)n + 1);
        must(text, "realloc");
        for (ssize_t i = 0; i < n; i++) text[text_size++] = piece[i];
    }
    return NULL;
}

void capture_start(void) {
    text = calloc(1, 1);
    text_size = 0;
    must(pipe(ends) == 0, "pipe");
    saved = dup(STDERR_FILENO);
    must(saved >= 0, "dup");
    must(dup2(ends[1], STDERR_FILENO) >= 0, "dup2");
    close(ends[1]);
    must(pthread_create(&reader, NULL, read_all, NULL) == 0, "pthread_create");
}

char *capture_stop(size_t *size) {
    dup2(saved, STDERR_FILENO); /* closes the last writing end: the reader sees the end */
    close(saved);
    pthread_join(reader, NULL);
    close(ends[0]);
    text[text_size] = 0;
    if (size) *size = text_size;
    return text;
}
