/*
 * For files of bind/ with methods of graphs and streams: their checks, and the answers of stream constructors. Driver
 * thread only.
 */
#ifndef TIDE_BIND_BIND_GRAPH_H
#define TIDE_BIND_BIND_GRAPH_H

#include <lua.h>

struct tide_runner;
struct tide_bind_object;
struct tide_error;
struct tide_graph;
struct tide_stream;

/* Each raises when the argument is of another class, or its graph has been closed. Borrowed. */
struct tide_graph *tide_bind_check_graph(lua_State *L, int index);
struct tide_runner *tide_bind_check_runner(lua_State *L, int index); /* of a graph */
struct tide_stream *tide_bind_check_stream(lua_State *L, int index);
/* The graph's runner; NULL when it has been closed. */
struct tide_runner *tide_bind_test_runner(lua_State *L, int index);

/* Pushes the graph's userdata of the stream at index `stream`. */
void tide_bind_push_graph_of(lua_State *L, int stream);

/* Ends a constructor of streams whose userdata is on top: fills in `stream` and returns 1, or raises err when it is
 * NULL. */
int tide_bind_answer_stream(lua_State *L, struct tide_bind_object *object, struct tide_stream *stream,
                            struct tide_error *err);

#endif
