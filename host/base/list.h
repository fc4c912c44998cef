/*
 * Intrusive doubly linked list: embed a `struct tide_list` in your struct; the same type is the list
 * head. Header only, no allocation, not thread-safe.
 */
#ifndef TIDE_BASE_LIST_H
#define TIDE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct tide_list {
    struct tide_list *next;
    struct tide_list *prev;
};

#define TIDE_CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void tide_list_create(struct tide_list *head) { head->next = head->prev = head; }

static inline bool tide_list_empty(const struct tide_list *head) { return head->next == head; }

static inline void tide_list_push(struct tide_list *head, struct tide_list *node) {
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void tide_list_push_front(struct tide_list *head, struct tide_list *node) {
    node->next = head->next;
    node->prev = head;
    head->next->prev = node;
    head->next = node;
}

/* Takes the node out of whatever list it is in; harmless on a node that is in none but initialised. */
static inline void tide_list_remove(struct tide_list *node) {
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = node->prev = node;
}

/* First node, removed; NULL when empty. */
static inline struct tide_list *tide_list_pop(struct tide_list *head) {
    if (tide_list_empty(head)) return NULL;
    struct tide_list *node = head->next;
    tide_list_remove(node);
    return node;
}

#define TIDE_LIST_EACH(it, head) for (struct tide_list *it = (head)->next; it != (head); it = it->next)

#endif
