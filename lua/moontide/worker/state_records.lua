--- A keyed state as records in blocks, (key, [last update, state]), for what is too large to stay in memory as a store: blocks may go
--- to disk, and those without changes are shared by versions (host/kernel/state_delta.h). It is used as a store is
--- (worker/state_store.lua), and costs a pass over all records in every batch.
local fast = require "moontide.wire.ffi"
local block_lists = require "moontide.worker.block_lists"
local deltas = require "moontide.worker.state_delta"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local records = {}

local Records = {}
Records.__index = Records

local NEVER = -1 -- a limit of last updates: nothing is that old
local FAR = 2 ^ 40 -- so far the span of a value may reach: it is sound

-- An initial state with its last update.
local function stamped(list, time)
    local out, delta, last = block_lists.new(), deltas.new(), {}
    deltas.add(delta, list)
    deltas.scan(delta, block_lists.new(), NEVER, out)
    local at = 0
    for _, value in block_lists.records(list) do
        last[delta.order[at]] = value
        at = at + 1
    end
    for entry = 0, delta.keys.count - 1 do deltas.put(delta, entry, time, last[entry]) end
    deltas.finish(delta)
    return out
end

--- The bytes of a list.
---@param list ffi.cdata* list of blocks
---@return number
function records.bytes(list)
    local sum = 0
    for at = 0, list.count - 1 do sum = sum + tonumber(list.items[at].size) end
    return sum
end

--- The state in a list of blocks, which has to live as long.
---@param list ffi.cdata* of records, or an initial state
---@param time number the last update of an initial state; -1: the records have theirs
---@param limit? number keys with a last update before that are taken out
---@return table
function records.open(list, time, limit)
    return setmetatable({
        before = time >= 0 and stamped(list, time) or list, limit = limit or NEVER, kept = block_lists.new(),
    }, Records)
end

--- The states of the keys of a delta, by entry.
---@param delta ffi.cdata* struct tide_state_delta
---@return ffi.cdata* found struct tide_state_found[]
function Records:find(delta)
    deltas.scan(delta, self.before, self.limit, self.kept)
    local count = delta.keys.count
    local found = ffi.new("struct tide_state_found[?]", count)
    for entry = 0, count - 1 do
        found[entry].value = delta.old[entry].value
        found[entry].kind = delta.old[entry].value ~= nil and C.TIDE_STATE_PACKED or C.TIDE_STATE_ABSENT
    end
    self.delta = delta
    return found
end

function Records:begin() end

--- Writes the keys of the delta anew.
---@param has_of table<integer, boolean> whether the key has a state now, by entry
---@param values table<integer, any>
---@param fresh table<integer, integer> 2: it has this value; 1: it was only seen
---@param time number
function Records:write(has_of, values, fresh, time)
    local delta = self.delta
    for entry = 0, delta.keys.count - 1 do
        if has_of[entry] then
            local seen = fresh[entry]
            if seen == 2 then
                deltas.put(delta, entry, time, values[entry])
            else
                deltas.put_again(delta, entry, seen == 1 and time or delta.old[entry].n)
            end
        end
    end
end

--- The keys that were taken out.
---@return ffi.cdata* list of pairs (key, state)
function Records:expire()
    local delta, due = self.delta, block_lists.new()
    for at = 0, delta.dues - 1 do
        local key, value = delta.due[at].key, delta.due[at].value
        local key_size, size = C.tide_unpack_skip(key, key + FAR) - key, C.tide_unpack_skip(value, value + FAR) - value
        if not C.tide_state_rows_put(due, key, key_size, value, size) then
            failure.no_memory()
        end
    end
    return due
end

--- `out` gets the records.
---@param out ffi.cdata* list of blocks
function Records:commit(out)
    deltas.finish(self.delta)
    C.tide_blocks_move(out, self.kept)
end

return records
