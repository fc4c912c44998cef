/*
 * What Lua sees of rdd/: the numbers that cross the border in descriptors, declared once: the modules' headers
 * include it, and host/embed.lua makes the text of one ffi.cdef of it (lua/moontide/wire/ffi.lua). Declarations only:
 * LuaJIT has no preprocessor.
 */
#ifndef TIDE_RDD_FFI_H
#define TIDE_RDD_FFI_H

/* ---- rdd/op.h ----------------------------------------------------------------------------------------------- */

/* What an operator says of the records it makes: field "arity" of its descriptor
 * (lua/moontide/operators/init.lua). */
enum tide_makes {
    TIDE_MAKES_LEARNED = 0, /* its function decides */
    TIDE_MAKES_SINGLES = 1,
    TIDE_MAKES_PAIRS = 2,
    TIDE_MAKES_THE_SAME /* no such field: records are of the arity that they had */
};

/* How the records of a shuffle find their new partition. */
enum tide_route {
    TIDE_ROUTE_HASH,       /* by key: by its key group, or by the partitioner of the exchange */
    TIDE_ROUTE_ROUNDROBIN, /* repartition: evenly, whatever the record is */
    TIDE_ROUTE_SINGLE,     /* everything to partition 0 */
    TIDE_ROUTE_RANGE       /* by key order, bounds sampled from the data: sortByKey */
};

/* ---- rdd/rdd.h ---------------------------------------------------------------------------------------------- */

/* Bits of a storage level; 0 is none. */
enum {
    TIDE_LEVEL_MEMORY = 1,
    TIDE_LEVEL_DISK = 2,
    TIDE_LEVEL_OBJECTS = 4,  /* not serialized: accepted, kept as blocks all the same */
    TIDE_LEVEL_TWICE = 8,    /* two replicas: accepted, one is kept */
    TIDE_LEVEL_OFF_HEAP = 16 /* with MEMORY: blocks never are on a heap */
};

#endif
