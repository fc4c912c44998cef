--- The C side as LuaJIT sees it: declarations of the structs and functions that the hot path uses, in this one
--- file, and the library they live in. Mirrors host/store/block.h, host/task/*.h; sizes are compared at load.
local declare = require "moontide.base.declare"
local ffi = require "ffi"

declare.cdef [[
struct tide_line { uint32_t offset; uint32_t length; };
struct tide_block {
    uint32_t refs; uint8_t kind; uint8_t arity; uint16_t firm; uint32_t count; uint32_t line_slots;
    uint64_t size; uint64_t capacity; uint8_t *data; struct tide_line *lines; void *share;
    void *copy; uint32_t kept; uint32_t met; bool counted; bool claimed;
};
struct tide_blocks { struct tide_block **items; uint32_t count; uint32_t capacity; };
struct tide_block *tide_block_new(int kind, int arity, size_t capacity, void *share);
struct tide_block *tide_block_retain(struct tide_block *block);
void tide_block_release(struct tide_block *block);
bool tide_block_reserve(struct tide_block *block, size_t extra);
void tide_blocks_create(struct tide_blocks *blocks);
void tide_blocks_destroy(struct tide_blocks *blocks);
void tide_blocks_push(struct tide_blocks *blocks, struct tide_block *take);
void tide_blocks_append(struct tide_blocks *to, const struct tide_blocks *from);
void tide_blocks_move(struct tide_blocks *to, struct tide_blocks *from);
uint64_t tide_blocks_records(const struct tide_blocks *blocks);

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

struct tide_error { int code; char *text; };
void tide_error_clear(struct tide_error *err);
struct tide_text_reader;
struct tide_file_look { uint64_t size; uint32_t kind; };
int tide_file_look(const char *path, struct tide_file_look *look, struct tide_error *err);
int tide_file_shrank(const char *path, uint64_t now, uint64_t listed, struct tide_error *err);
struct tide_byte_plan { uint64_t listed; uint32_t once; const uint32_t *cancelled; };
struct tide_text_reader *tide_text_reader_open(const char *path, uint64_t offset, uint64_t length,
                                               const struct tide_byte_plan *plan, struct tide_error *err);
int tide_text_reader_next(struct tide_text_reader *reader, struct tide_block **block, struct tide_error *err);
void tide_text_reader_delete(struct tide_text_reader *reader);

uint64_t tide_hash_packed(const uint8_t *data, size_t size);
size_t tide_key_make_plain(uint8_t *key, size_t size);
int tide_unpack_compare(const uint8_t *a, const uint8_t *a_end, const uint8_t *b, const uint8_t *b_end);

void tide_worker_note(void *worker, const char *operators, int64_t batch_time);
void tide_worker_code(void *worker, int code);
void tide_worker_trace(void *worker, uintptr_t start, size_t size, const char *where);
void tide_worker_forget_traces(void *worker);
size_t tide_layout_size(int which);

struct tide_block *tide_broadcast_get(uint32_t number);
uint32_t tide_broadcast_add(struct tide_block *take);
bool tide_broadcast_refresh(uint32_t number);
bool tide_broadcast_remove(uint32_t number);
uint32_t tide_broadcast_epoch(void);
uint32_t tide_broadcast_refreshed(uint32_t number);
uint32_t tide_broadcast_count(void);
struct tide_broadcast_refs *tide_broadcast_refs_new(const void *bytes, size_t size);
struct tide_broadcast_refs *tide_broadcast_refs_take(uint32_t number);
void tide_broadcast_refs_delete(struct tide_broadcast_refs *refs);

bool tide_thread_stack_is_short(void);
void tide_log(int level, const char *area, const char *format, ...);

bool tide_stress(void);
uint64_t tide_stress_draw(void);

/* Lua only: the bits of a number. */
union moontide_number { double d; uint32_t u[2]; int64_t i; uint64_t q; };
]]

local library = package.loaded["moontide.library"]
if library == nil then
    library = require("moontide.core").library()
end
local C = library and ffi.load(library) or ffi.C
if C.tide_stress() then
    C = require("moontide.wire.stress").wrap(C, tonumber(C.tide_stress_draw() % 2147483646ULL) + 1)
end

-- Both halves must agree on every struct: a mismatch would corrupt memory silently.
for which, name in ipairs { "tide_block", "tide_blocks", "tide_task_input", "tide_merge", "tide_plan", "tide_task", "tide_combine", "tide_task_slot" } do
    local here, there = ffi.sizeof("struct " .. name), tonumber(C.tide_layout_size(which))
    if here ~= there then
        error(("moontide: the Lua modules and the library are of different versions (struct %s: %d and %d bytes); "
            .. "install both from the same build"):format(name, here, there))
    end
end

return { C = C, ffi = ffi, TEXT = 1, PACKED = 2, INPUT_FILE = 2, BLOCK_TARGET = 256 * 1024 }
