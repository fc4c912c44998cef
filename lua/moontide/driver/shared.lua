--- Shared variables: broadcast variables, which workers read, and accumulators, which they add to. Both may be used in
--- functions of the script like any other variable; what travels with the function is their number only.
---
---     local stop_words = sc:broadcast({ the = true, a = true })
---     local dropped = sc:accumulator(0)
---     local kept = words:filter(function(word)
---         if stop_words:value()[word] then dropped:add(1) return false end
---         return true
---     end)
---     print(kept:count(), dropped:value())
---
--- A broadcast value is packed once into a block outside of the Lua heap; each worker unpacks it when it uses it first
--- (lua/moontide/closure/shared.lua). The value goes when nothing refers to it any more: neither the script's handle nor a package
--- with its number (host/store/broadcast.h). What tasks add to accumulators comes with their results and is merged here, once for
--- each partition that was computed, however often its task had to be tried. A task that runs again later (a dataset that is
--- not persisted and used by two actions) adds again, as in Spark.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local errors = require "moontide.base.errors"
local copies = require "moontide.closure.shared"
local fast = require "moontide.wire.ffi"
local loop = require "moontide.driver.loop"
local memory = require "moontide.base.memory"
local number_text = require "moontide.base.number_text"
local plain = require "moontide.base.plain"

local ffi, C = fast.ffi, fast.C

local shared = {}

-- Broadcast variables ---------------------------------------------------------------------------------------------

--- A broadcast variable, made by sc:broadcast.
---@class moontide.Broadcast
local Broadcast = {}

local broadcast_class = check.class("Broadcast", "a", Broadcast, {})

local function begin_broadcast(self, name)
    check.self(self, broadcast_class, name)
    if self.held.value == nil then
        check.fail("'%s': the broadcast variable #%d was destroyed%s", name, self.id, self.held.why or "")
    end
end

--- The value. In a worker it is a copy of its own, which the function must not change.
---
---     sc:broadcast({ 1, 2 }):value()  --> { 1, 2 }
---
--- After destroy, or when its context is stopped, it is an error. As in Spark 0.9.
---@return any
function Broadcast:value()
    begin_broadcast(self, "value")
    return self.held.value
end

--- Frees the workers' copies; they get new ones when they use the variable again.
---
---     local names = sc:broadcast({ "ebb" })
---     names:unpersist()
---
--- As in Spark 1.0.
function Broadcast:unpersist()
    begin_broadcast(self, "unpersist")
    C.tide_broadcast_refresh(self.id)
end

--- Frees the value everywhere. Functions that still use it fail from now on. May be called again.
---
--- There is no need to: a variable that neither the script nor an operator's function refers to any more is freed.
---
---     local names = sc:broadcast({ "ebb" })
---     names:destroy()
---
--- As in Spark 1.3.
function Broadcast:destroy()
    check.self(self, broadcast_class, "destroy")
    if self.held.value ~= nil then
        self.held.value = nil
        C.tide_broadcast_remove(self.id)
    end
end

function broadcast_class.__tostring(self)
    return ("Broadcast #%d"):format(self.id)
end

local PLAIN, PACKAGE = 0, 1

-- Whether a value comes out of a record as it went in: no metatables but marks, no tables as keys. Never returns for a cycle: see below.
local function is_plain(value)
    if type(value) ~= "table" then
        return type(value) ~= "function"
    end
    if not plain.mark(value) then
        return false
    end
    for key, element in next, value do
        if type(key) == "table" or not is_plain(element) then
            return false
        end
    end
    return true
end

-- Plain data is packed as records are. Anything else that closures can carry (functions, cyclic or very deep tables, tables with
-- metatables) goes as a package.
local function pack(value)
    local ran, fits = pcall(is_plain, value) -- a cycle overflows the stack
    if ran and fits then
        local ok, address = pcall(codec.block_of, { { PLAIN, value } }, 1, 1, 2)
        if ok then
            return address
        end
        memory.rethrow(address)
    end
    local bytes, message = closure.try_pack_value(value, "broadcast", "the value")
    if not bytes then
        check.fail("%s", message)
    end
    return codec.block_of({ { PACKAGE, bytes } }, 1, 1, 2)
end

-- Handles that were packed. Between packing a function and handing it to the core, where the package keeps what it names, the
-- script may have dropped its handle.
local in_passing = {}

-- Called where no operator is under way.
local function let_go()
    if next(in_passing) then
        in_passing = {}
    end
    copies.tidy()
end

--- Makes a broadcast variable, see Context:broadcast.
---@param state table engine state, see context.lua
---@param value any
---@return moontide.Broadcast
function shared.broadcast(state, value)
    if value == nil then
        check.fail("bad argument #1 to 'broadcast' (the value is nil)")
    end
    let_go()
    local address = pack(value)
    local id = tonumber(C.tide_broadcast_add(codec.block_at(address)))
    local held = { value = value, reference = ffi.gc(C.tide_broadcast_refs_take(id), C.tide_broadcast_refs_delete) }
    local handle = setmetatable({ id = id, held = held }, broadcast_class)
    state.broadcasts = state.broadcasts or setmetatable({}, { __mode = "v" })
    state.broadcasts[id] = held
    return handle
end

--- References to the broadcast variables that a package names, for an object that has the package before the core has it.
---@param package string
---@return ffi.cdata*? references released when they are collected; nil: the package names none
function shared.references(package)
    local references = C.tide_broadcast_refs_new(package, #package)
    return references ~= nil and ffi.gc(references, C.tide_broadcast_refs_delete) or nil
end

-- Accumulators ------------------------------------------------------------------------------------------------------

--- An accumulator, made by sc:accumulator.
---@class moontide.Accumulator
local Accumulator = {}

local accumulator_class = check.class("Accumulator", "an", Accumulator, {})

-- Accumulators by number, as long as the script can still ask for their value.
local accumulators = setmetatable({}, { __mode = "v" })
local last = 0

local function label(id, held)
    return held.name and ("the accumulator '%s'"):format(held.name) or ("the accumulator #%d"):format(id)
end

local function merged(id, held, x)
    local value
    if held.merge then
        value = held.merge(held.value, x)
    else
        if type(x) ~= "number" then
            check.fail("%s adds numbers, got %s (give accumulator a merge function for other values)", label(id, held),
                check.type_name(x))
        end
        value = held.value + x
    end
    if value == nil then
        check.fail("the merge function of %s returned nil", label(id, held))
    end
    return value
end

--- Adds to the value; in workers and in the driver.
---
---     local bad = sc:accumulator(0)
---     lines:foreach(function(line) if #line == 0 then bad:add(1) end end)
---
--- An error: nil, or without a merge function anything but a number. As in Spark 0.9.
---@param x any a number, or what the merge function takes
function Accumulator:add(x)
    check.self(self, accumulator_class, "add")
    if x == nil then
        check.fail("bad argument #1 to 'add' (nothing to add: the value is nil)")
    end
    self.held.value = merged(self.id, self.held, x)
end

--- What was added up to now: by every task that has succeeded. In the driver only.
---
---     sc:accumulator(0):value()  --> 0
---
--- As in Spark 0.9.
---@return any
function Accumulator:value()
    check.self(self, accumulator_class, "value")
    return self.held.value
end

--- The name it was given, or nil.
---
---     sc:accumulator(0, nil, "bad lines"):name()  --> "bad lines"
---
--- As in Spark 0.9.
---@return string?
function Accumulator:name()
    check.self(self, accumulator_class, "name")
    return self.held.name
end

function accumulator_class.__tostring(self)
    local text = type(self.held.value) == "number" and number_text(self.held.value) or type(self.held.value)
    return ("Accumulator %s (%s)"):format(self.held.name and "'" .. self.held.name .. "'" or "#" .. self.id, text)
end

--- Makes an accumulator, see Context:accumulator.
---@param zero any
---@param merge function?
---@param name string?
---@return moontide.Accumulator
function shared.accumulator(zero, merge, name)
    if merge == nil and type(zero) ~= "number" then
        check.fail("bad argument #1 to 'accumulator' (number expected, got %s; other values need a merge function as second "
            .. "argument)", check.type_name(zero))
    elseif zero == nil then
        check.fail("bad argument #1 to 'accumulator' (the zero value is nil)")
    end
    local fits, bytes = pcall(codec.pack, zero)
    if not fits then
        memory.rethrow(bytes)
        check.fail("bad argument #1 to 'accumulator' (the zero value: %s)", check.without_position(bytes))
    end
    if merge ~= nil then
        check.func(2, "accumulator", merge)
        local packed, message = closure.try_pack(merge, "accumulator", "merge")
        if not packed then
            check.fail("%s", message)
        end
    end
    if name ~= nil then
        check.text(3, "accumulator", name, true)
    end
    last = last + 1
    -- The script's own table stays as it is.
    local held = { value = codec.unpack(bytes), zero = bytes, merge = merge, name = name }
    local handle = setmetatable({ id = last, held = held }, accumulator_class)
    accumulators[last] = handle
    return handle
end

--- Merges what a task has reported. Called by the loop.
---@param address integer a block of pairs (number, value); its reference is taken
function shared.merge_updates(address)
    local updates = {}
    codec.append_records(address, updates)
    codec.release(address)
    for _, update in ipairs(updates) do
        local handle = accumulators[update[1]]
        if handle then
            local held = handle.held
            local ok, value = pcall(merged, update[1], held, update[2])
            if ok then
                held.value = value
            else
                require("moontide.core").log("error", "context", ("an update of %s is lost: %s"):format(
                    label(update[1], held), errors.text(value)))
            end
        end
    end
end

-- For closure packages --------------------------------------------------------------------------------------------

--- What a package carries instead of the handle: its class, its number and, of an accumulator, what workers need to add.
---@param value any
---@return string? class nil when it is not a shared variable
---@return integer? id
---@return string? zero
---@return function? merge
function shared.portable(value)
    local metatable = getmetatable(value)
    if metatable == broadcast_class then
        in_passing[value] = true
        return "Broadcast", value.id
    elseif metatable == accumulator_class then
        return "Accumulator", value.id, value.held.zero, value.held.merge
    end
end

--- The context stops: its broadcast variables are gone.
---@param state table engine state
function shared.close(state)
    for id, held in pairs(state.broadcasts or {}) do
        held.value, held.why = nil, " (its context was stopped)"
        C.tide_broadcast_remove(id)
    end
    state.broadcasts = nil
end

closure.portable, loop.merge_updates, loop.let_go = shared.portable, shared.merge_updates, let_go

return shared
