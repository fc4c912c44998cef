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
struct tide_plan { uint64_t id[2]; uint8_t *bytes; uint32_t size; uint32_t refs; struct tide_broadcast_refs *broadcasts; };
struct tide_task_input {
    struct tide_blocks blocks; char *path; uint64_t offset; uint64_t length; uint32_t kind; uint32_t reserved;
    uint64_t size; uint32_t once;
};
struct tide_task_slot { char *first; char *seen; uint32_t arity; uint8_t known; uint8_t learned; };
struct tide_task {
    struct tide_plan *plan; struct tide_task_input *inputs; struct tide_blocks *outputs; int64_t batch_time; uint64_t limit;
    uint64_t records_in; uint64_t records_out; uint32_t ninputs; uint32_t noutputs; uint32_t partition; uint32_t nslots;
    struct tide_task_slot *slots; struct tide_block *updates; double seed; const uint32_t *cancelled;
};

void tide_task_learn(struct tide_task *task, uint32_t slot, int arity, const char *text, size_t size);

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
int tide_cogroup_next(struct tide_cogroup *cogroup, struct tide_block **out);
bool tide_product_zip(const struct tide_blocks *a, const struct tide_blocks *b, struct tide_blocks *out);
struct tide_product;
struct tide_product *tide_product_new(const struct tide_blocks *a, const struct tide_blocks *b);
void tide_product_delete(struct tide_product *cartesian);
int tide_product_next(struct tide_product *cartesian, struct tide_block **out);
bool tide_sort_by_key(const struct tide_blocks *in, bool ascending, struct tide_blocks *out);
bool tide_sort_by_key_has_place(const struct tide_block *block);
bool tide_sort_by_key_sample(const struct tide_blocks *in, uint32_t wanted, struct tide_blocks *out);

void tide_worker_note(void *worker, const char *operators, int64_t batch_time);
void tide_worker_code(void *worker, int code);
void tide_worker_trace(void *worker, uintptr_t start, size_t size, const char *where);
void tide_worker_forget_traces(void *worker);
size_t tide_layout_size(int which);

/* Lua only: the bits of a number. */
union moontide_number { double d; uint32_t u[2]; int64_t i; uint64_t q; };
]]

local C = library and ffi.load(library) or ffi.C
if C.tide_stress() then
    C = require("moontide.wire.stress").wrap(C, tonumber(C.tide_stress_draw() % 2147483646ULL) + 1)
end

-- Both halves must agree on every struct: a mismatch would corrupt memory silently.
for which, name in pairs { [3] = "tide_task_input", [4] = "tide_merge", [5] = "tide_plan", [6] = "tide_task", [7] = "tide_combine", [8] = "tide_task_slot" } do
    local here, there = ffi.sizeof("struct " .. name), tonumber(C.tide_layout_size(which))
    if here ~= there then
        error(("moontide: the Lua modules and the library are of different versions (struct %s: %d and %d bytes); "
            .. "install both from the same build"):format(name, here, there))
    end
end

return { C = C, ffi = ffi, INPUT_FILE = 2 }
