--- What the operators of this folder are built with: a handle is checked, functions of the script are packaged, descriptors are
--- made (see lua/moontide/worker/plan.lua), and a node is added under the handle.
---
--- A handle has `node` (the core's stream or dataset, with the methods narrow and shuffle) and `scope`:
---     scope.ready(name)        raises at the caller's line when no operator may be added
---     scope.wrap(node)         the handle for a new node
---     scope.parallelism()      default number of partitions
---     scope.partitioner(nodes) default partitioner of an operator by key on these: what one of them is partitioned by already, so
---                              that it need not be shuffled

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local fast = require "moontide.wire.ffi"
local memory = require "moontide.base.memory"
local partitioner = require "moontide.operators.partitioner"
local seeding = require "moontide.driver.seeding"

local operators = {}

local C = fast.C

--- Checks the receiver of an operator, and that operators may be added.
---@param handle any a stream or dataset
---@param name string operator, for messages
---@return table scope
local function begin(handle, name)
    local scope = type(handle) == "table" and rawget(handle, "scope")
    if not scope or not rawget(handle, "node") then
        check.fail("'%s' was called on %s instead of a stream or dataset: write x:%s(…) with a colon, not x.%s(…)", name,
            handle == nil and "nothing" or "a " .. check.type_name(handle), name, name)
    end
    scope.ready(name)
    return scope
end

operators.begin = begin

--- Packages a function of the script for the workers.
---@param index integer argument number
---@param name string operator
---@param fn any
---@param role? string what the function is called in messages, default "f"
---@return string package
function operators.package(index, name, fn, role)
    check.func(index, name, fn)
    local bytes, message = closure.try_pack(fn, name, role or "f")
    if not bytes then
        check.fail("%s", message)
    end
    return bytes
end

local package = operators.package

--- Packages a function of this library. Functions of the script among its upvalues were checked with `package` before.
---@param name string operator, for messages
---@param fn function
---@return string package
local function own(name, fn)
    return (closure.pack(fn, name, "f"))
end

operators.own = own

-- The kinds of operators, by what their records are: SINGLES, PAIRS, what their function returns, or what they were before (false).
-- (host/rdd/ffi.h, lua/moontide/worker/arity.lua)
local LEARNED, SINGLES, PAIRS = C.TIDE_MAKES_LEARNED, C.TIDE_MAKES_SINGLES, C.TIDE_MAKES_PAIRS
local ARITY = {}
for arity, kinds in pairs({
    [LEARNED] = { "map", "flatMap", "mapPartitions", "mapPartitionsWithIndex", "zipPartitions", "mapWithState", "unpair", "unwrap" },
    [SINGLES] = { "range", "keys", "values", "glom", "count", "sum", "stats", "foldPartition", "aggregatePartition", "saveText",
        "saveObjects", "saveCheckpoint", "saveSequence", "saveLines" },
    [PAIRS] = { "mapValues", "flatMapValues", "keyBy", "one", "pairUp", "combine", "merge", "group", "sort", "cogroup", "join",
        "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "subtractByKey", "intersection", "zip", "cartesian", "updateState",
        "mergeParts", "concatLists", "inverse", "windowAnew", "pickState" },
    [false] = { "filter", "foreach", "foreachPartition", "reducePartition", "pickMapped", "route", "concat", "collect", "take", "discard" },
}) do
    for _, kind in ipairs(kinds) do
        ARITY[kind] = arity
    end
end

--- Every kind that descriptors are made of, with the arity of its records: 0 means what its function returns, false what they were before.
--- What workers do for it is registered in lua/moontide/worker/kinds.lua.
---@type table<string, 0|1|2|false>
operators.kinds = ARITY

--- The bytes of an operator descriptor. Raises for a kind that is not one of operators.kinds.
---@param kind string
---@param name string the operator as the script called it
---@param site string
---@param fields? table
---@param streams? boolean it is an operator of streams
---@return string
---@return boolean draws its functions may draw random numbers
function operators.descriptor(kind, name, site, fields, streams)
    if ARITY[kind] == nil then
        error("moontide: unknown operator kind " .. tostring(kind), 0)
    end
    local descriptor = { kind = kind, name = name, site = site, arity = ARITY[kind] or nil }
    local draws = false
    for field, value in pairs(fields or {}) do
        descriptor[field] = value
        draws = draws or type(value) == "string" and seeding.draws(value)
    end
    if draws then
        descriptor.draw, descriptor.static = seeding.place(streams)
    end
    return codec.pack(descriptor), draws
end

local descriptor = operators.descriptor

-- Operators that are told the number of their partition.
local INDEXED = { mapPartitionsWithIndex = true }

--- One operator, applied to each partition.
---@param handle table
---@param kind string
---@param name string the operator as the script called it
---@param site string
---@param fields? table of the descriptor
---@param keeps_keys? boolean records stay in the partition of their key
---@return userdata node
local function narrow(handle, kind, name, site, fields, keeps_keys)
    local bytes, draws = descriptor(kind, name, site, fields, rawget(handle, "slide") ~= nil)
    return handle.node:narrow(bytes, keeps_keys or false, draws or INDEXED[kind] or false)
end

operators.narrow = narrow

--- An operator on each partition that takes one function; its kind has its name.
---@param handle table
---@param name string
---@param fn any the argument of the script
---@param keeps_keys? boolean records stay in the partition of their key
---@return table handle
function operators.with_function(handle, name, fn, keeps_keys)
    local scope = begin(handle, name)
    local fields = { fn = package(1, name, fn) }
    return scope.wrap(narrow(handle, name, name, closure.site(fn), fields, keeps_keys))
end

--- Likewise without a function.
---@param handle table
---@param name string
---@return table handle
function operators.without_function(handle, name)
    local scope = begin(handle, name)
    return scope.wrap(narrow(handle, name, name, check.site()))
end

-- `by`: a number of partitions, or on route "hash" a partitioner.
local function exchange(name, site, route, by, write, read, in_place, ascending)
    local made = {
        route = route, partitions = by, ascending = ascending ~= false,
        read = (descriptor(read.kind, name, site, read)),
        inPlace = type(in_place) == "table" and (descriptor(in_place.kind, name, site, in_place)) or in_place,
    }
    local fields = write
    if type(by) == "table" then
        made.partitions, made.partitioner, made.identity = by.count, by.descriptor or nil, by.identity or nil
        if by.package then
            fields = { partition = by.package, partitions = by.count }
            for field, value in pairs(write) do fields[field] = value end
        end
    end
    made.write = (descriptor(write.kind, name, site, fields))
    return made
end

--- A shuffle. `write`, `read` and `here` are tables of descriptor fields with their `kind`.
---@param node userdata
---@param name string the operator as the script called it
---@param site string
---@param route "hash"|"range"|"roundrobin"|"single"
---@param by integer|moontide.Partitioner partitions; a partitioner on route "hash"
---@param write table
---@param read table
---@param in_place? table|true what is done instead in a dataset that is co-partitioned; true: nothing (host/rdd/op.h:
---   tide_exchange_set_in_place)
---@param ascending? boolean order of route "range", default true
---@return userdata node
local function shuffle(node, name, site, route, by, write, read, in_place, ascending)
    return node:shuffle(exchange(name, site, route, by, write, read, in_place, ascending))
end

operators.shuffle = shuffle

--- The operator that writes a shuffle's records as they are, and the one that reads them so.
operators.ROUTE, operators.CONCAT = { kind = "route" }, { kind = "concat" }

local ROUTE, CONCAT = operators.ROUTE, operators.CONCAT

--- The exchange that brings records to the partition of their key, and does nothing where they are there already.
---@param name string operator, for messages
---@param site string "job.lua:12", for messages
---@param by moontide.Partitioner
---@return table exchange
function operators.by_key(name, site, by)
    return exchange(name, site, "hash", by, ROUTE, CONCAT, true)
end

--- Brings the records to the partition of their key; what is partitioned so already stays as it is.
---@param node userdata of a stream or dataset
---@param name string operator, for messages
---@param site string
---@param by moontide.Partitioner
---@return userdata node
function operators.spread(node, name, site, by)
    return node:shuffle(operators.by_key(name, site, by))
end

--- Argument `index` of an operator by key: how the records of its result are partitioned.
---@param handle table
---@param index integer
---@param name string
---@param by? integer|moontide.Partitioner
---@return moontide.Partitioner
function operators.partitioning(handle, index, name, by)
    return partitioner.argument(index, name, by, handle.scope.partitioner({ handle.node }))
end

--- Raises when datasets or streams that are to be united are known to be of different kinds.
---@param name string operator
---@param nodes userdata[]
function operators.check_alike(name, nodes)
    local known
    for _, node in ipairs(nodes) do
        local reason = known and known:clash(node)
        if reason then
            check.fail("'%s': %s", name, reason)
        end
        known = known or node:arity() > 0 and node or nil
    end
end

--- Packages a zero value, argument 1 of `name`.
---@param name string operator, for messages
---@param zero any plain data
---@return string package
function operators.zero(name, zero)
    if zero == nil then
        check.fail("bad argument #1 to '%s' (the zero value is nil)", name)
    end
    -- It becomes a record, so it must be plain data.
    local plain, reason = pcall(codec.pack, zero)
    if not plain then
        memory.rethrow(reason)
        check.fail("bad argument #1 to '%s' (the zero value: %s)", name, check.without_position(reason))
    end
    local bytes, message = closure.try_pack_value(zero, name, "the zero value")
    if not bytes then
        check.fail("%s", message)
    end
    return bytes
end

return operators
