--- The delta of a keyed state through FFI: the changes of some keys between two versions (host/kernel/state_delta.h).
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local deltas = {}

local no_memory = failure.no_memory

function deltas.new()
    local delta = C.tide_state_delta_new()
    if delta == nil then
        no_memory()
    end
    return ffi.gc(delta, C.tide_state_delta_delete)
end

function deltas.free(delta) C.tide_state_delta_delete(ffi.gc(delta, nil)) end

function deltas.add(delta, list)
    if not C.tide_state_delta_add(delta, list) then
        no_memory()
    end
end

function deltas.scan(delta, state, limit, out)
    if not C.tide_state_delta_scan(delta, state, limit, out) then
        no_memory()
    end
end

--- No more is put: what was written goes to `out`, the delta is gone.
function deltas.finish(delta)
    C.tide_state_delta_finish(delta)
    deltas.free(delta)
end

local value_writer = codec.writer()

--- The key of the entry stays in the state, with this value.
function deltas.put(delta, entry, n, value)
    local w = value_writer
    w.pos = 0
    codec.put(w, value)
    if not C.tide_state_delta_put(delta, entry, n, w.data, w.pos) then
        no_memory()
    end
end

--- The same with the value it has.
function deltas.put_again(delta, entry, n)
    if not C.tide_state_delta_put(delta, entry, n, nil, 0) then
        no_memory()
    end
end

--- Appends a pair whose key is packed already: `size` bytes.
function deltas.append(out, key, size, value)
    local w = value_writer
    w.pos = 0
    codec.put(w, value)
    if not C.tide_state_rows_put(out, key, size, w.data, w.pos) then
        no_memory()
    end
end

local key_writer = codec.writer()

--- Appends what a function of mapWithState returned: one value, or key and value.
function deltas.append_mapped(out, a, b)
    local w = value_writer
    w.pos = 0
    if b == nil then
        codec.put(w, a)
        if not C.tide_state_rows_put_mapped(out, nil, 0, w.data, w.pos) then
            no_memory()
        end
        return
    end
    key_writer.pos = 0
    codec.put_key(key_writer, a)
    codec.put(w, b)
    if not C.tide_state_rows_put_mapped(out, key_writer.data, key_writer.pos, w.data, w.pos) then
        no_memory()
    end
end

--- The key of an entry.
function deltas.key(delta, entry) return (codec.decode(C.tide_state_delta_key(delta, entry), 0)) end

-- So far the span of a value may reach: blocks are sound, and followed by slack.
local FAR = 2 ^ 40

--- Where the value after the one at `pos` begins.
function deltas.skip(data, pos)
    local after = tonumber(C.tide_unpack_skip(data + pos, data + FAR) - data)
    return after -- no tail call, see wire/unpack.lua
end

return deltas
