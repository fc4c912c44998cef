/*
 * Finds a Lua module in the table that host/embed.lua generates.
 *
 * Called by the constructor of a Lua state (driver and workers) when it fills package.preload, and by the searcher of
 * that state. Any thread: the table is constant.
 */
#include "vm/modules.h"

#include <string.h>

const struct tide_embedded_module *tide_embedded_find(const char *name) {
    for (const struct tide_embedded_module *module = tide_embedded_modules; module->name; module++) {
        int order = strcmp(module->name, name);

        if (order == 0) return module;
        if (order > 0) break;
    }
    return NULL;
}
