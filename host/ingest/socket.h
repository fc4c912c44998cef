/*
 * socketTextStream's source: a TCP client that reads lines. Separators \n, \r\n, \r are dropped (a \r\n split over
 * two reads is one separator); an unterminated last line is delivered at end of stream. Refused connection, failed
 * name look-up, end of stream and I/O errors are reported and followed by a new attempt after `reconnect_ms`, for
 * ever. Every address of a host name is tried in turn (IPv6 and IPv4). A line longer than `max_line` bytes is
 * reported (TIDE_ELIMIT, with its first bytes and length) and skipped; the next line is read normally. While the
 * budget has no room for what this source would bring (store/budget.h), the socket is not read, so the peer is slowed
 * down by TCP. Guide: "Input Sources"; Spark 1.0+ for the reconnect.
 */
#ifndef TIDE_INGEST_SOCKET_H
#define TIDE_INGEST_SOCKET_H

#include "ingest/source.h"

struct tide_budget;

struct tide_socket_options {
    const char *host;           /* name or address; copied */
    int port;                   /* 1…65535 */
    uint32_t max_line;          /* bytes; default 1 MiB when 0 */
    uint64_t reconnect_ms;      /* default 2000 when 0 */
    uint64_t connect_ms;        /* how long one address may take to answer; default 10000 when 0 */
    uint64_t batch_ms;          /* what a cut covers */
    struct tide_budget *budget; /* shared with the engine's other sources; retained. NULL: one of its own */
};

/* TIDE_EINVAL for an empty host or bad port; nothing is connected yet. */
struct tide_source *tide_socket_source_new(uint32_t id, const struct tide_socket_options *options,
                                           struct tide_error *err);

#endif
