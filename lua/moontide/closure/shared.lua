--- Shared variables as functions in a worker see them (lua/moontide/driver/shared.lua is the driver's side).
---
--- A broadcast variable is unpacked when a function first reads it, and cached for later tasks. Additions to accumulators are collected
--- while a task runs and sent with its result; those of a task that fails are dropped.
local fast = require "moontide.wire.ffi"
local codec = require "moontide.wire.codec"
local memory = require "moontide.base.memory"

local ffi, C = fast.ffi, fast.C

local shared = {}

--- Rebuilds a value that was packed like a function; moontide.closure.unpack sets it.
---@type fun(bytes: string): any, string?
shared.load_package = nil

-- Copies that this worker holds may have this many bytes, packed; more are kept until the task ends.
local MOST_BYTES = 256 * 1024 * 1024

-- Handles by number: functions of one worker share them. Those that no function has any more are collected.
local broadcasts, accumulators = setmetatable({}, { __mode = "v" }), setmetatable({}, { __mode = "v" })

-- Broadcast variables ---------------------------------------------------------------------------------------------

local Broadcast = { __name = "Broadcast" }

local function shown(key) return type(key) == "string" and key:find("^[%a_][%w_]*$") and "." .. key or ("[%s]"):format(tostring(key)) end

-- Fields that a handle has not yet, and methods. Anything else was meant for the value.
function Broadcast.__index(handle, key)
    local method = Broadcast[key]
    if method ~= nil or key == "copy" or key == "id" then
        return method
    end
    error(("a broadcast variable has no field %s: its value is what value() returns, b:value()%s"):format(tostring(key), shown(key)), 2)
end

function Broadcast.__newindex(handle, key, value)
    if key ~= "copy" then
        error(("a broadcast variable cannot be changed (b%s = …): workers have copies of its value, and what they do with these does "
            .. "not reach the driver"):format(shown(key)), 2)
    end
    rawset(handle, key, value)
end

local PACKAGE = 1
local cached, cached_bytes = {}, 0 -- oldest first: { handle, bytes, epoch }
local epoch = 0

local function read(handle, block)
    local kind, at = codec.decode(block.data, 0)
    local value = codec.decode(block.data, at)
    if kind == PACKAGE then
        local why
        value, why = shared.load_package(value)
        if value == nil then
            error(("the broadcast variable #%d: %s"):format(handle.id, why), 0)
        end
    end
    return value
end

local function fetch(handle)
    local now = tonumber(C.tide_broadcast_epoch())
    local block = C.tide_broadcast_get(handle.id)
    if block == nil then
        error(("the broadcast variable #%d was destroyed; a function that is still used needs it"):format(handle.id), 0)
    end
    local bytes = tonumber(block.size)
    local ok, value = pcall(read, handle, block)
    C.tide_block_release(block)
    if not ok then
        error(value, 0)
    end
    handle.copy = value
    cached[#cached + 1] = { handle = handle, bytes = bytes, epoch = now }
    cached_bytes = cached_bytes + bytes
    return value
end

local function check_self(self, class, what, method)
    if getmetatable(self) ~= class then
        error(("write %s:%s(…) with a colon, not %s.%s(…)"):format(what, method, what, method), 3)
    end
end

function Broadcast:value()
    check_self(self, Broadcast, "b", "value")
    local copy = self.copy
    if copy == nil then
        return fetch(self)
    end
    return copy
end

function Broadcast.unpersist() error("a broadcast variable is given up in the driver, not in a worker", 2) end

Broadcast.destroy = Broadcast.unpersist

function Broadcast.__tostring(self) return ("Broadcast #%d"):format(self.id) end

local function drop(stays)
    local kept = {}
    cached_bytes = 0
    for at, entry in ipairs(cached) do
        if stays(entry, at) then
            kept[#kept + 1] = entry
            cached_bytes = cached_bytes + entry.bytes
        else
            entry.handle.copy = nil
        end
    end
    cached = kept
end

--- Drops the copies that unpersist or destroy named since the last call, and the oldest ones when there are too many. Called where no
--- function of the script runs.
---@return boolean changed there were such since the last call
function shared.tidy()
    local now = tonumber(C.tide_broadcast_epoch())
    local changed = now ~= epoch
    if changed then
        epoch = now
        drop(function(entry) return tonumber(C.tide_broadcast_refreshed(entry.handle.id)) <= entry.epoch end)
    end
    if cached_bytes > MOST_BYTES then
        local left = cached_bytes
        drop(function(entry)
            if left <= MOST_BYTES then
                return true
            end
            left = left - entry.bytes
            return false
        end)
    end
    return changed
end

local GONE = C.TIDE_BROADCAST_GONE

--- Whether a broadcast variable is gone for good.
---@param id integer
---@return boolean
function shared.is_gone(id) return C.tide_broadcast_refreshed(id) == GONE end

-- Accumulators ------------------------------------------------------------------------------------------------------

local Accumulator = { __name = "Accumulator" }
Accumulator.__index = Accumulator

local touched = {} -- accumulators that this task has added to

local function label(handle) return ("the accumulator #%d"):format(handle.id) end

function Accumulator:add(x)
    check_self(self, Accumulator, "accumulator", "add")
    local merge = self.merge
    if merge == nil then
        if type(x) ~= "number" then
            error(("%s adds numbers, got %s (give accumulator a merge function for other values)")
                :format(label(self), type(x)), 0)
        end
        if not self.touched then
            self.touched, self.sum = true, codec.unpack(self.zero) * 0
            touched[#touched + 1] = self
        end
        self.sum = self.sum + x
        return
    end
    if x == nil then
        error(("nothing to add to %s: the value is nil"):format(label(self)), 0)
    end
    if not self.touched then
        self.touched, self.sum = true, codec.unpack(self.zero)
        touched[#touched + 1] = self
    end
    local sum = merge(self.sum, x)
    if sum == nil then
        error(("the merge function of %s returned nil"):format(label(self)), 0)
    end
    self.sum = sum
end

function Accumulator:value()
    error(("%s can be read in the driver only: a worker knows nothing but what its own task has added"):format(label(self)), 0)
end

function Accumulator.__tostring(self) return ("Accumulator #%d"):format(self.id) end

-- For the loader of closures (lua/moontide/closure/unpack.lua) ---------------------------------------------------------

local function handle_of(list, class, id)
    local handle = list[id]
    if handle == nil then
        handle = setmetatable({ id = id }, class)
        list[id] = handle
    end
    return handle
end

local met -- numbers of broadcast variables, while packages are loaded for a stage

--- From now on, the broadcast variables that packages name are noted.
function shared.meet() met = {} end

--- Those since `meet`.
---@return integer[] ids
function shared.met()
    local ids = met
    met = nil
    return ids
end

--- The handle for a number in a package.
---@param class string "Broadcast" or "Accumulator"
---@param id integer
---@return table
function shared.handle(class, id)
    if class == "Broadcast" then
        if met then
            met[#met + 1] = id
        end
        return handle_of(broadcasts, Broadcast, id)
    end
    return handle_of(accumulators, Accumulator, id)
end

--- What an accumulator needs to add: the bytes of its zero value, and its merge function.
function shared.complete(handle, zero, merge) handle.zero, handle.merge = zero, merge end

-- For tasks -----------------------------------------------------------------------------------------------------------

local function forget()
    for at = 1, #touched do
        touched[at].touched, touched[at].sum = false, nil
        touched[at] = nil
    end
end

--- A task begins.
---@return boolean changed see tidy
function shared.begin()
    forget()
    return shared.tidy()
end

--- What the task has added: a block of pairs (number, value) whose reference is the caller's, or nil.
function shared.updates()
    if #touched == 0 then
        return nil
    end
    local list = {}
    for at, handle in ipairs(touched) do list[at] = { handle.id, handle.sum } end
    local ok, address = pcall(codec.block_of, list, 1, #list, 2)
    forget()
    if not ok then
        memory.rethrow(address)
        error("what was added to an accumulator can't leave the worker: " .. tostring(address), 0)
    end
    return ffi.cast("struct tide_block *", address)
end

return shared
