/*
 * The sizes of the structs that worker Lua declares again for FFI (lua/moontide/wire/ffi.lua compares them when it
 * loads). Constant; any thread.
 */
#include "task/layout.h"

#include "kernel/merge.h"
#include "store/block.h"
#include "task/task.h"

size_t tide_layout_size(int which) {
    switch (which) {
    case 1: return sizeof(struct tide_block);
    case 2: return sizeof(struct tide_blocks);
    case 3: return sizeof(struct tide_task_input);
    case 4: return sizeof(struct tide_merge);
    case 5: return sizeof(struct tide_plan);
    case 6: /* the part of a task that Lua sees */ return offsetof(struct tide_task, message);
    case 8: return sizeof(struct tide_task_slot);
    case 7: return offsetof(struct tide_combine, entries);
    default: return 0;
    }
}
