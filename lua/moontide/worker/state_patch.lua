--- A keyed state that changes in some keys, from Lua: host/kernel/state_patch.h.
local declare = require "moontide.base.declare"
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"

local ffi, C = fast.ffi, fast.C

declare.cdef [[
struct tide_patch_old { const uint8_t *value; double n; uint32_t size; uint32_t reserved; };
struct tide_patch_due { const uint8_t *key; const uint8_t *value; };
struct tide_patch {
    struct tide_combine *keys; struct tide_patch_old *old; struct tide_patch_due *due; uint32_t *order; uint32_t *open;
    uint32_t records; uint32_t dues; uint32_t opens; uint32_t reserved;
    void *out; void *block; uint32_t old_slots; uint32_t due_slots; uint32_t order_slots; uint32_t open_slots;
};
struct tide_patch *tide_patch_new(void);
void tide_patch_delete(struct tide_patch *patch);
size_t tide_patch_size(void);
bool tide_patch_add(struct tide_patch *patch, const struct tide_blocks *records);
bool tide_patch_scan(struct tide_patch *patch, const struct tide_blocks *state, double limit, struct tide_blocks *out);
bool tide_patch_put(struct tide_patch *patch, uint32_t entry, double n, const uint8_t *value, size_t size);
void tide_patch_finish(struct tide_patch *patch);
int tide_sums_merge(const struct tide_blocks *in, struct tide_blocks *out);
int tide_sums_slide(struct tide_patch *patch, const struct tide_blocks *state, const struct tide_blocks *leaving,
                    const struct tide_blocks *entering, bool asks, struct tide_blocks *out);
bool tide_sums_rare(const struct tide_blocks *state, const struct tide_blocks *leaving,
                    const struct tide_blocks *entering);
bool tide_pick_state(const struct tide_blocks *in, struct tide_blocks *out);
bool tide_pick_mapped(const struct tide_blocks *in, struct tide_blocks *out);
bool tide_pairs_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *value, size_t size);
bool tide_mapped_put(struct tide_blocks *out, const uint8_t *key, size_t key_size, const uint8_t *x, size_t size);
const uint8_t *tide_patch_key(const struct tide_patch *patch, uint32_t entry);
const uint8_t *tide_unpack_skip(const uint8_t *at, const uint8_t *end);
]]

if ffi.sizeof "struct tide_patch" ~= tonumber(C.tide_patch_size()) then
    error("moontide: the Lua modules and the library are of different versions (struct tide_patch); "
        .. "install both from the same build", 0)
end

local patches = {}

local function no_memory() error("out of memory", 0) end

function patches.new()
    local patch = C.tide_patch_new()
    if patch == nil then
        no_memory()
    end
    return ffi.gc(patch, C.tide_patch_delete)
end

function patches.free(patch) C.tide_patch_delete(ffi.gc(patch, nil)) end

function patches.add(patch, list)
    if not C.tide_patch_add(patch, list) then
        no_memory()
    end
end

function patches.scan(patch, state, limit, out)
    if not C.tide_patch_scan(patch, state, limit, out) then
        no_memory()
    end
end

--- No more is put: what was written goes to `out`, the patch is gone.
function patches.finish(patch)
    C.tide_patch_finish(patch)
    patches.free(patch)
end

local value_writer = codec.writer()

--- The key of the entry stays in the state, with this value.
function patches.put(patch, entry, n, value)
    local w = value_writer
    w.pos = 0
    codec.put(w, value)
    if not C.tide_patch_put(patch, entry, n, w.data, w.pos) then
        no_memory()
    end
end

--- The same with the value it has.
function patches.put_again(patch, entry, n)
    if not C.tide_patch_put(patch, entry, n, nil, 0) then
        no_memory()
    end
end

--- Appends a pair whose key is packed already: `size` bytes.
function patches.append(out, key, size, value)
    local w = value_writer
    w.pos = 0
    codec.put(w, value)
    if not C.tide_pairs_put(out, key, size, w.data, w.pos) then
        no_memory()
    end
end

local key_writer = codec.writer()

--- Appends what a function of mapWithState returned: one value, or key and value.
function patches.append_mapped(out, a, b)
    local w = value_writer
    w.pos = 0
    if b == nil then
        codec.put(w, a)
        if not C.tide_mapped_put(out, nil, 0, w.data, w.pos) then
            no_memory()
        end
        return
    end
    key_writer.pos = 0
    codec.put_key(key_writer, a)
    codec.put(w, b)
    if not C.tide_mapped_put(out, key_writer.data, key_writer.pos, w.data, w.pos) then
        no_memory()
    end
end

--- The key of an entry.
function patches.key(patch, entry) return (codec.decode(C.tide_patch_key(patch, entry), 0)) end

-- So far the span of a value may reach: blocks are sound, and followed by slack.
local FAR = 2 ^ 40

--- Where the value after the one at `pos` begins.
function patches.skip(data, pos)
    local after = tonumber(C.tide_unpack_skip(data + pos, data + FAR) - data)
    return after -- no tail call, see codec.lua
end

return patches
