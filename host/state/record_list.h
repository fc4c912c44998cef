/*
 * Rows as packed records in blocks: (key, [stamp, value]), (key, value), or (key, nil) for a key that is gone. This
 * is the form in which states leave a store and come back, whatever the layout of pages.
 *
 * Thread: whose the list is. false: no memory; the records before are in the list.
 */
#ifndef TIDE_STATE_RECORD_LIST_H
#define TIDE_STATE_RECORD_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "state/page.h"
#include "store/block.h"

/* Appends to a list of blocks; the last block is pushed by _finish, which must be called, also after a failure. */
struct tide_record_list {
    struct tide_blocks *out;
    struct tide_block *block;
};

bool tide_record_list_row(struct tide_record_list *list, const uint8_t *row);   /* (key, [stamp, value]) */
bool tide_record_list_value(struct tide_record_list *list, const uint8_t *row); /* (key, value) */
bool tide_record_list_gone(struct tide_record_list *list, const uint8_t *key, uint32_t key_size);
bool tide_record_list_page(struct tide_record_list *list, const struct tide_page *page);
void tide_record_list_finish(struct tide_record_list *list);

#endif
