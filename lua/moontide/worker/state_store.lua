--- A state store within a task, through FFI (host/state/state_store.h, host/state/handover.h).
---
---     local store = stores.open(before, before, -1, execution.cleanup)
---     local found = store:find(delta)          -- the states of the keys of a delta, by entry
---     store:begin(time)
---     store:write(has_of, values, fresh, time)
---     store:commit(out, most)                  -- `out` gets the block that the next batch opens; the delta is freed
---
--- If the task fails anywhere between, its cleanup rolls the batch back.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local block_lists = require "moontide.worker.block_lists"
local deltas = require "moontide.worker.state_delta"
local failure = require "moontide.worker.failure"

local ffi, C = fast.ffi, fast.C

local stores = {}

local Store = {}
Store.__index = Store

local no_memory = failure.no_memory
local ALL_GROUPS = 128 -- a partitioner of the script may give a partition any key
local VALUE_BYTES = 256 * 1024 -- of values that are put together, about
local FAR = 2 ^ 40 -- so far the span of a key may reach: it is sound
local PUT, STAMP, REMOVE = C.TIDE_STATE_PUT, C.TIDE_STATE_STAMP, C.TIDE_STATE_REMOVE
local ABSENT = C.TIDE_STATE_ABSENT

local function close(self)
    local store = self.store
    self.store = nil
    if store == nil then
        return
    end
    if self.open then
        C.tide_state_store_rollback(store)
    end
    C.tide_handover_end(store)
end

-- A store with these records, which all have the stamp `time` or, if that is -1, one each.
local function new(records, time)
    local store = C.tide_state_store_new(0, ALL_GROUPS)
    if store ~= nil and C.tide_state_store_load(store, records, time, nil) ~= 0 then
        C.tide_state_store_release(store)
        no_memory()
    end
    return store
end

--- The store that a dataset's partition holds; without one a new store with records.
---@param before ffi.cdata* list of blocks
---@param records ffi.cdata* list of pairs, of which the last of a key counts; read when `before` holds no store
---@param time number their last update; -1: they are (key, [last update, state])
---@param cleanup function[] of the task
---@return table
function stores.open(before, records, time, cleanup)
    local pin = C.tide_handover_pin(before)
    local store
    if pin ~= nil then
        store = C.tide_handover_begin(pin)
    else
        store = new(records, time)
    end
    if store == nil then
        no_memory()
    end
    local self = setmetatable({ store = store, open = false }, Store)
    cleanup[#cleanup + 1] = function() close(self) end
    return self
end

--- Whether a dataset's partition holds a store.
---@param before ffi.cdata* list of blocks
---@return boolean
function stores.hold(before) return C.tide_handover_pin(before) ~= nil end

-- Arrays that are used again and again, so that tasks leave no garbage: those of a batch are large. Dropped when they are much too
-- large for a task.
local USUAL = 1024
local room, all_changes, all_found = 0, nil, nil

local function arrays(count)
    if room < count or room > USUAL and count < room / 8 then
        room = math.max(USUAL, count + count / 4)
        all_changes, all_found = ffi.new("struct tide_state_change[?]", room), ffi.new("struct tide_state_found[?]", room)
    end
    return all_changes, all_found
end

--- The states of the keys of a delta, by entry: good until the store is written to.
---@param delta ffi.cdata* struct tide_state_delta
---@return ffi.cdata* found struct tide_state_found[]
function Store:find(delta)
    local count = delta.keys.count
    local changes, found = arrays(count)
    for entry = 0, count - 1 do
        local key = C.tide_state_delta_key(delta, entry)
        changes[entry].key = key
        changes[entry].key_size = C.tide_unpack_skip(key, key + FAR) - key
    end
    C.tide_state_store_find(self.store, changes, count, found)
    self.delta, self.changes, self.found = delta, changes, found
    return found
end

function Store:begin(version)
    C.tide_state_store_begin(self.store, version)
    self.open = true
end

local value_writer = codec.writer()

-- Until here `number` of a packed value is its place in the writer, whose memory may have moved.
local function apply(store, changes, count)
    local data = value_writer.data
    for at = 0, count - 1 do
        if changes[at].value_size > 0 then
            changes[at].value = data + changes[at].number
        end
    end
    if not C.tide_state_store_apply(store, changes, count) then
        no_memory()
    end
    value_writer.pos = 0
end

-- Makes changes[at] the change of the key of changes[entry], which may be the same.
local function set(changes, at, entry, kind, time, value)
    local change, w = changes[at], value_writer
    change.key, change.key_size = changes[entry].key, changes[entry].key_size
    change.kind, change.stamp, change.value, change.value_size = kind, time, nil, 0
    if type(value) == "number" then
        change.number = value
    elseif kind == PUT then
        change.number = w.pos
        codec.put(w, value)
        change.value_size = w.pos - change.number
    end
end

--- Puts, stamps and removes keys of the delta that was looked up.
---@param has_of table<integer, boolean> whether the key has a state now, by entry
---@param values table<integer, any>
---@param fresh table<integer, integer> 2: it has this value; 1: it was only seen
---@param time number
function Store:write(has_of, values, fresh, time)
    local w, changes, count = value_writer, self.changes, 0
    w.pos = 0
    for entry = 0, self.delta.keys.count - 1 do
        local seen = fresh[entry]
        local kind = seen == 2 and PUT or seen == 1 and STAMP or REMOVE
        if seen or (not has_of[entry] and self.found[entry].kind ~= ABSENT) then
            set(changes, count, entry, kind, time, values[entry])
            count = count + 1
        end
        if w.pos > VALUE_BYTES then
            apply(self.store, changes, count)
            count = 0
        end
    end
    apply(self.store, changes, count)
end

--- Removes the keys with a last update before `limit`.
---@param limit number
---@return ffi.cdata* list of pairs (key, state)
function Store:expire(limit)
    local due = block_lists.new()
    if not C.tide_state_store_expire(self.store, limit, due) then
        no_memory()
    end
    return due
end

-- `read` appends the records of a key group.
local function read_all(read, from, out)
    for group = 0, ALL_GROUPS - 1 do
        if not read(from, group, out) then
            no_memory()
        end
    end
end

--- The batch counts. `out` gets a block that stands for the version or, above `most` bytes, its records, which may go to disk.
---@param out ffi.cdata* list of blocks
---@param most number
function Store:commit(out, most)
    local store = self.store
    deltas.free(self.delta)
    C.tide_state_store_commit(store)
    self.open = false
    if C.tide_state_store_bytes(store) > most then
        read_all(C.tide_state_store_read, store, out)
    else
        local pin = C.tide_state_store_pin(store)
        if pin == nil or not C.tide_handover_pack(pin, out) then
            no_memory()
        end
    end
    close(self)
end

--- Appends pairs of key and state of the store that a dataset's partition holds.
---@param held ffi.cdata* list of blocks
---@param stamped? boolean the pairs are (key, { last update, state })
---@param out ffi.cdata* list of blocks
---@return boolean holds false: it holds no store
function stores.show(held, stamped, out)
    local pin = C.tide_handover_pin(held)
    if pin == nil then
        return false
    end
    if stamped then
        read_all(C.tide_state_pin_read, pin, out)
    elseif not C.tide_state_pin_values(pin, out) then
        no_memory()
    end
    return true
end

return stores
