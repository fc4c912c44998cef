--- The C side as LuaJIT sees it: the library, and what host/*/ffi.h declare of it. The library carries these declarations (the
--- module moontide.wire.cdef, made by host/embed.lua), so they are those that it was compiled with. Lua files of another
--- version may use them in another way: they are refused.
local declare = require "moontide.base.declare"
local version = require "moontide.base.version"
local ffi = require "ffi"

local library = package.loaded["moontide.library"] -- host/vm/vm.c
local core
if library == nil then
    core = require "moontide.core"
    library = core.library()
end

local contract = package.preload["moontide.wire.cdef"] and require "moontide.wire.cdef"
local other = contract and contract.version or core and core.version
if not contract or other ~= version then
    error(("moontide: the Lua files are of version %s, and the library they found, %s, is of version %s; install both from the same "
        .. "build, or let LUA_PATH and LUA_CPATH begin with the folders of one build"):format(version,
            library or "the program", other), 0)
end
declare.cdef(contract.text)

declare.cdef [[
struct tide_combine { double *numbers; uint32_t count; uint32_t fresh; };
struct tide_combine *tide_combine_new(void);
void tide_combine_delete(struct tide_combine *combine);
uint32_t tide_combine_string(struct tide_combine *combine, const char *data, size_t size);
uint32_t tide_combine_number(struct tide_combine *combine, double key);
uint32_t tide_combine_packed(struct tide_combine *combine, const uint8_t *data, size_t size);
bool tide_combine_add_string(struct tide_combine *combine, const char *data, size_t size, double value);
bool tide_combine_add_number(struct tide_combine *combine, double key, double value);

struct tide_merge {
    struct tide_combine *combine; const uint8_t *at, *end; const uint8_t *key; const uint8_t *value; double number;
    uint32_t left; uint32_t entry; uint32_t size; uint32_t add; uint32_t general;
};
void tide_merge_begin(struct tide_merge *merge, const struct tide_block *block);
int tide_merge_next(struct tide_merge *merge);

struct tide_router;
struct tide_router *tide_router_new(struct tide_blocks *outputs, uint32_t count, uint32_t arity);
void tide_router_delete(struct tide_router *router);
bool tide_router_hash(struct tide_router *router, const uint8_t *record, size_t key_size, size_t size);
bool tide_router_to(struct tide_router *router, uint32_t partition, const uint8_t *record, size_t size);
bool tide_router_next(struct tide_router *router, const uint8_t *record, size_t size);
bool tide_router_range(struct tide_router *router, const struct tide_block *bounds, bool ascending, const uint8_t *record,
                       size_t key_size, size_t size);
int tide_router_pairs(struct tide_router *router, const struct tide_block *block, const struct tide_block *bounds,
                      bool ascending);
int tide_router_spread(struct tide_router *router, const struct tide_block *block);
bool tide_router_entry(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                       const uint8_t *value, size_t value_size);
bool tide_router_entry_to(struct tide_router *router, const struct tide_combine *combine, uint32_t index,
                          uint32_t partition, const uint8_t *value, size_t value_size);
const uint8_t *tide_router_entry_key(const struct tide_combine *combine, uint32_t index);
bool tide_router_entries(struct tide_router *router, const struct tide_combine *combine);

bool tide_group_blocks(const struct tide_blocks *in, struct tide_blocks *out);
struct tide_cogroup;
struct tide_cogroup *tide_cogroup_new(const struct tide_blocks *const *sides, uint32_t count, int mode);
void tide_cogroup_delete(struct tide_cogroup *cogroup);
bool tide_cogroup_next(struct tide_cogroup *cogroup, struct tide_block **out);
bool tide_product_zip(const struct tide_blocks *a, const struct tide_blocks *b, struct tide_blocks *out);
struct tide_product;
struct tide_product *tide_product_new(const struct tide_blocks *a, const struct tide_blocks *b);
void tide_product_delete(struct tide_product *cartesian);
bool tide_product_next(struct tide_product *cartesian, struct tide_block **out);
bool tide_sort_by_key(const struct tide_blocks *in, bool ascending, struct tide_blocks *out);
bool tide_sort_by_key_has_place(const struct tide_block *block);
bool tide_sort_by_key_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out);


/* Lua only: the bits of a number. */
union moontide_number { double d; uint32_t u[2]; int64_t i; uint64_t q; };
]]

local C = library and ffi.load(library) or ffi.C
if C.tide_stress() then
    C = require("moontide.wire.stress").wrap(C, tonumber(C.tide_stress_draw() % 2147483646ULL) + 1)
end

return { C = C, ffi = ffi }
