--- Keyed state (lua/moontide/operators/state.lua). The inputs are the records of the batch, the state before it, and its time; the first
--- batch of mapWithState has the initial state as a fourth.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local arity = require "moontide.worker.arity"
local failure = require "moontide.worker.failure"
local kinds = require "moontide.worker.kinds"
local block_lists = require "moontide.worker.block_lists"
local loops = require "moontide.worker.loops"
local deltas = require "moontide.worker.state_delta"
local records = require "moontide.worker.state_records"
local skipping = require "moontide.worker.skipping"
local stores = require "moontide.worker.state_store"
local surplus = require "moontide.worker.surplus"

local ffi, C = fast.ffi, fast.C

local state = {}

local no_memory = failure.no_memory

local function time_of(list) return (codec.decode(list.items[0].data, 0)) end

-- updateStateByKey ----------------------------------------------------------------------------------------------

-- `block` holds (key, [[values], [states before]]). The packed key is copied.
local UPDATE = [[
return function(block, time, out)
    local data, pos = block.data, 0
    for i = 0, block.count - 1 do
        local from = pos
        local key, sides
        if wants_key then
            key, pos = decode(data, pos)
        else
            pos = skip(data, pos)
        end
        local size = pos - from
        sides, pos = decode(data, pos)
        local new, more = update(sides[1], sides[2][1], time, key)
        if more ~= nil then second(new, more) end
        if new ~= nil then append(out, data + from, size, new) end
    end
end]]

-- The same with onError = "skip".
local UPDATE_SKIPPING = [[
return function(block, time, out, report)
    local data, pos = block.data, 0
    for i = 0, block.count - 1 do
        local from = pos
        local key
        key, pos = decode(data, pos)
        local size, at = pos - from, pos
        local sides
        sides, pos = decode(data, at)
        local ok, new, more = pcall(update, sides[1], sides[2][1], time, key)
        if ok and more ~= nil then ok, new = pcall(second, new, more) end
        local why = new
        if ok and new ~= nil then ok, why = pcall(append, out, data + from, size, new) end
        if not ok then
            report(why, key)
            local old = decode(data, at)[2][1] -- the function may have changed the other one
            if old ~= nil then append(out, data + from, size, old) end
        end
    end
end]]

local function takes_key(fn)
    local info = debug.getinfo(fn, "u")
    return info.nparams == nil or info.nparams > 3 or info.isvararg
end

kinds.register("inputs", "updateState", function(op, lists)
    local both = { lists[1], lists[2] }
    block_lists.need_pairs(op, both)
    local update = loops.of(op, "update", op.skip and UPDATE_SKIPPING or UPDATE, {
        decode = codec.decode, skip = deltas.skip, append = deltas.append, update = op.fn, wants_key = takes_key(op.fn),
        pcall = pcall, second = function(a, b) surplus.second(op, a, b) end,
    })
    local sides = ffi.new("const struct tide_blocks *[2]", both)
    local kernel = C.tide_cogroup_new(sides, 2, C.TIDE_COGROUP)
    if kernel == nil then
        no_memory()
    end
    ffi.gc(kernel, C.tide_cogroup_delete)
    local time, out, slot = time_of(lists[3]), block_lists.new(), ffi.new "struct tide_block *[1]"
    local report = op.skip and skipping.reporter(op, time)
    while true do
        if not C.tide_cogroup_next(kernel, slot) then
            no_memory()
        end
        if slot[0] == nil then
            return out
        end
        local block = ffi.gc(slot[0], C.tide_block_release)
        update(block, time, out, report)
        C.tide_block_release(ffi.gc(block, nil))
    end
end)

-- mapWithState --------------------------------------------------------------------------------------------------

-- Raises at the line of the script that called the method. A tail call leaves no such line: the message then has none.
local function misuse(text)
    local caller = debug.getinfo(3, "S")
    error(text, caller and caller.source:sub(1, 7) ~= "=stage#" and 3 or 0)
end

--- What the script's function gets as its third argument: the state of its key. Good for that call only.
---@class moontide.State
local State = {}
State.__index = State
state.State = State

--- Whether the key has a state.
---
---     if not state:exists() then state:update(0) end
---
--- As in Spark 1.6.
---@return boolean
function State:exists() return self.has end

--- The state; an error when the key has none.
---
---     if state:exists() then return key, state:get() end
---
--- As in Spark 1.6.
---@return any
function State:get()
    if not self.has then
        misuse("state:get(): the key has no state; ask state:exists() before, or use state:getOption()")
    end
    return self.value
end

--- The state, or nil when the key has none.
---
---     state:update((state:getOption() or 0) + value)
---
--- As in Spark 1.6.
---@return any
function State:getOption()
    if self.has then
        return self.value
    end
    return nil
end

--- Whether the function is called because the key has been idle for longer than the timeout. Its value is nil then, and the
--- state goes after the call.
---
---     if state:isTimingOut() then return key, state:get() end
---
--- As in Spark 1.6.
---@return boolean
function State:isTimingOut() return self.timing_out end

--- Sets the state. After remove(), and while it times out, it is an error.
---
---     state:update((state:getOption() or 0) + value)
---
--- As in Spark 1.6.
---@param value any not nil
function State:update(value)
    if self.timing_out then
        misuse("state:update(): the state is timing out and cannot be changed")
    end
    if self.removed then
        misuse("state:update(): the state has been removed in this call")
    end
    if value == nil then
        misuse("state:update(): the value is nil; state:remove() takes the state away")
    end
    self.value, self.has, self.updated = value, true, true
end

--- Takes the state away. Twice, or while it times out, it is an error.
---
---     if value == "bye" then state:remove() end
---
--- As in Spark 1.6.
function State:remove()
    if self.timing_out then
        misuse("state:remove(): the state is timing out and goes by itself")
    end
    if self.removed then
        misuse("state:remove(): the state has been removed already")
    end
    self.value, self.has, self.updated, self.removed = nil, false, false, true
end

--- A state as the function gets it.
function state.new(has, value, timing_out)
    return setmetatable({ has = has, value = value, updated = false, removed = false, timing_out = timing_out or false }, State)
end

-- The records in order of arrival. has: by entry, nil = not looked at yet. fresh: 1 = seen now, 2 = has a new value.
local RECORDS = [[
return function(delta, list, found, state, has_of, values, fresh, emit, time, protected)
    local at, map = 0, map or protected
    for b = 0, list.count - 1 do
        local block = list.items[b]
        local data, pos = block.data, 0
        for i = 0, block.count - 1 do
            local key, value
            key, pos = decode(data, pos)
            value, pos = decode(data, pos)
            local entry = delta.order[at]
            at = at + 1
            local has = has_of[entry]
            if has == nil then
                local kind = found[entry].kind
                has = kind ~= 0
                if kind == 1 then
                    values[entry] = found[entry].number
                elseif has then
                    values[entry] = (decode(found[entry].value, 0))
                end
                has_of[entry] = has
            end
            state.has, state.value, state.updated, state.removed = has, values[entry], false, false
            local a, c, x = map(key, value, state, time)
            if state.removed then
                has_of[entry], values[entry], fresh[entry] = false, nil, nil
            elseif state.updated then
                has_of[entry], values[entry], fresh[entry] = true, state.value, 2
            elseif has and timeout and not fresh[entry] then
                fresh[entry] = 1
            end
            if a ~= nil or c ~= nil then emit(a, c, x) end
        end
    end
end]]

-- Keys that have been idle for too long, with their states.
local DUES = [[
return function(list, state, emit, time, protected)
    local map = map or protected
    for b = 0, list.count - 1 do
        local data, pos = list.items[b].data, 0
        for i = 0, list.items[b].count - 1 do
            local a0, b0
            a0, pos = decode(data, pos)
            b0, pos = decode(data, pos)
            state.has, state.value, state.updated, state.removed = true, b0, false, false
            local a, c, x = map(a0, nil, state, time)
            if a ~= nil or c ~= nil then emit(a, c, x) end
        end
    end
end]]

local function emitter(op, out, execution)
    local known = arity.of(execution, op)
    return function(a, b, c)
        if c ~= nil then
            surplus.third(op, a, b, c)
        end
        if a == nil then
            failure.broken(op, "the function returned nil as the key of a pair (nil, " .. failure.preview(b) .. ")")
        end
        local kind = b == nil and 1 or 2
        if kind ~= known then
            known = arity.learn(execution, op, kind, a, b)
        end
        deltas.append_mapped(out, a, b)
    end
end

-- With onError = "skip": functions that report instead of raising. A state that a failing function has changed is as it was.
local function protected(op, time, map, emit)
    local report = skipping.reporter(op, time)
    local last
    return function(key, value, holder, at)
        last = key
        local has, had = holder.has, holder.value
        local ok, a, b, c = pcall(map, key, value, holder, at)
        if ok then
            return a, b, c
        end
        holder.has, holder.value, holder.updated, holder.removed = has, had, false, false
        report(a, key)
    end, function(a, b, c)
        local ok, why = pcall(emit, a, b, c)
        if not ok then
            report(why, last)
        end
    end
end

-- The state before the batch: a store, or records if they are too large for one.
local function open(op, lists, time, limit, cleanup)
    local before, initial = lists[2], lists[4]
    local list, stamp = initial or before, initial and time or -1
    if not stores.hold(before) and records.bytes(list) > op.most / 2 then
        return records.open(list, stamp, limit)
    end
    return stores.open(before, list, stamp, cleanup)
end

kinds.register("inputs", "mapWithState", function(op, lists, execution)
    block_lists.need_pairs(op, { lists[1], lists[4] })
    local time, out = time_of(lists[3]), block_lists.new()
    local limit = op.timeout and time - op.timeout
    local store = open(op, lists, time, limit, execution.cleanup)
    local delta = deltas.new()
    deltas.add(delta, lists[1])
    local found = store:find(delta)

    local map, emit = op.fn, emitter(op, out, execution)
    if op.skip then
        map, emit = protected(op, time, map, emit)
    end
    local constants = { decode = codec.decode, map = not op.skip and map or nil, timeout = op.timeout ~= nil }
    local has_of, values, fresh = {}, {}, {}
    loops.of(op, "records", RECORDS, constants)(delta, lists[1], found, state.new(false), has_of, values, fresh, emit, time,
        map)
    store:begin(time)
    store:write(has_of, values, fresh, time)
    if limit then
        local due = store:expire(limit)
        loops.of(op, "dues", DUES, constants)(due, state.new(true, nil, true), emit, time, map)
        C.tide_blocks_destroy(due)
    end
    store:commit(out, op.most)
    return out
end)

-- What is shown of a state ---------------------------------------------------------------------------------------

-- op.stamped: pairs of key and { last update, state }, which specs look at.
kinds.register("inputs", "pickState", function(op, lists)
    local out = block_lists.new()
    if not stores.show(lists[1], op.stamped, out) and not C.tide_state_rows_project(lists[1], out) then
        no_memory()
    end
    return out
end)

kinds.register("inputs", "pickMapped", function(_, lists)
    local out = block_lists.new()
    if not C.tide_state_rows_project_mapped(lists[1], out) then
        no_memory()
    end
    return out
end)

return state
