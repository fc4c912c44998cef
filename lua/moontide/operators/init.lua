--- The operators that streams and datasets share: each one builds its descriptors (see host/task/task.h and
--- lua/moontide/worker/stage.lua) and hands them to the node under the handle. So `stream:map(f)` and `rdd:map(f)` are the
--- same definition. The files in operators/ build on this one.
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
local memory = require "moontide.base.memory"
local fast = require "moontide.wire.ffi"
local partitioner = require "moontide.operators.partitioner"
local seeding = require "moontide.driver.seeding"

local C = fast.C

local operators = {}

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

-- A function of this library that goes along with an operator. Functions of the script among its upvalues were checked with
-- `package` before.
local function own(name, fn)
    return (closure.pack(fn, name, "f"))
end

operators.own = own

-- Of which kind the records are that operators make, by the kind of the operator: SINGLES, PAIRS, or what their function returns. The
-- others leave records as they are. (host/rdd/ffi.h, lua/moontide/worker/arity.lua)
local LEARNED, SINGLES, PAIRS = C.TIDE_MAKES_LEARNED, C.TIDE_MAKES_SINGLES, C.TIDE_MAKES_PAIRS
local ARITY = {}
for arity, kinds in pairs({
    [LEARNED] = { "map", "flatMap", "mapPartitions", "mapPartitionsWithIndex", "zipPartitions", "mapWithState", "unpair", "unwrap" },
    [SINGLES] = { "range", "keys", "values", "glom", "count", "sum", "stats", "foldPartition", "aggregatePartition", "saveText",
        "saveObjects", "saveCheckpoint", "saveSequence", "saveLines" },
    [PAIRS] = { "mapValues", "flatMapValues", "keyBy", "one", "pairUp", "combine", "merge", "group", "sort", "cogroup", "join",
        "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "subtractByKey", "intersection", "zip", "cartesian", "updateState",
        "mergeParts", "concatLists", "inverse", "windowAnew", "pickState" },
}) do
    for _, kind in ipairs(kinds) do
        ARITY[kind] = arity
    end
end

--- The bytes of an operator descriptor.
---@param kind string
---@param name string the operator as the script called it
---@param site string
---@param fields? table
---@param streams? boolean it is an operator of streams
---@return string
---@return boolean draws its functions may draw random numbers
function operators.descriptor(kind, name, site, fields, streams)
    local descriptor = { kind = kind, name = name, site = site, arity = ARITY[kind] }
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

-- One operator, applied to each partition.
local function narrow(handle, kind, name, site, fields, keeps_keys)
    local bytes, draws = descriptor(kind, name, site, fields, rawget(handle, "slide") ~= nil)
    return handle.node:narrow(bytes, keeps_keys or false, draws or INDEXED[kind] or false)
end

operators.narrow = narrow

local function with_function(handle, kind, fn, keeps_keys)
    local scope = begin(handle, kind)
    local fields = { fn = package(1, kind, fn) }
    return scope.wrap(narrow(handle, kind, kind, closure.site(fn), fields, keeps_keys))
end

local function without_function(handle, kind)
    local scope = begin(handle, kind)
    return scope.wrap(narrow(handle, kind, kind, check.site()))
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

--- A shuffle. `write`, `read` and `in_place` are tables of descriptor fields with their `kind`. `in_place`: what is done
--- instead in a dataset that is co-partitioned; true: nothing (host/rdd/op.h: tide_exchange_set_in_place).
local function shuffle(node, name, site, route, by, write, read, in_place, ascending)
    return node:shuffle(exchange(name, site, route, by, write, read, in_place, ascending))
end

operators.shuffle = shuffle

local ROUTE, CONCAT = { kind = "route" }, { kind = "concat" }

--- The exchange that brings records to the partition of their key, and does nothing where they are there already.
---@param name string operator, for messages
---@param site string "job.lua:12", for messages
---@param by moontide.Partitioner
---@return table exchange
function operators.by_key(name, site, by)
    return exchange(name, site, "hash", by, ROUTE, CONCAT, true)
end

local function add(a, b)
    return a + b
end

local function first(a)
    return a
end

local function one()
    return 1
end

-- Each record → one record -------------------------------------------------------------------------------------

function operators.map(handle, fn)
    return with_function(handle, "map", fn)
end

function operators.flatMap(handle, fn)
    return with_function(handle, "flatMap", fn)
end

function operators.filter(handle, fn)
    return with_function(handle, "filter", fn, true)
end

function operators.mapValues(handle, fn)
    return with_function(handle, "mapValues", fn, true)
end

function operators.flatMapValues(handle, fn)
    return with_function(handle, "flatMapValues", fn, true)
end

function operators.keyBy(handle, fn)
    return with_function(handle, "keyBy", fn)
end

function operators.keys(handle)
    return without_function(handle, "keys")
end

function operators.values(handle)
    return without_function(handle, "values")
end

-- Whole partitions ---------------------------------------------------------------------------------------------

function operators.glom(handle)
    return without_function(handle, "glom")
end

-- Spark's second argument says that the function leaves keys alone; ours are checked by nothing either.
local function whole_partitions(handle, name, fn, preserves)
    local scope = begin(handle, name)
    local fields = { fn = package(1, name, fn) }
    preserves = check.boolean(2, name, preserves, false)
    fields.preserves = preserves or nil -- what it makes may be grouped without a shuffle, which would look at the keys
    return scope.wrap(narrow(handle, name, name, closure.site(fn), fields, preserves))
end

function operators.mapPartitions(handle, fn, preserves)
    return whole_partitions(handle, "mapPartitions", fn, preserves)
end

function operators.mapPartitionsWithIndex(handle, fn, preserves)
    return whole_partitions(handle, "mapPartitionsWithIndex", fn, preserves)
end

-- By key -------------------------------------------------------------------------------------------------------

--- Argument `index` of an operator by key: how the records of its result are partitioned.
---@param handle table
---@param index integer
---@param name string
---@param by? integer|moontide.Partitioner
---@return moontide.Partitioner
function operators.partitioning(handle, index, name, by)
    return partitioner.argument(index, name, by, handle.scope.partitioner({ handle.node }))
end

local partitioning = operators.partitioning

function operators.reduceByKey(handle, fn, n)
    local scope = begin(handle, "reduceByKey")
    local merge = package(1, "reduceByKey", fn)
    n = partitioning(handle, 2, "reduceByKey", n)
    local read = { kind = "merge", merge = merge }
    return scope.wrap(shuffle(handle.node, "reduceByKey", closure.site(fn), "hash", n,
        { kind = "combine", merge = merge }, read, read))
end

function operators.groupByKey(handle, n)
    local scope = begin(handle, "groupByKey")
    n = partitioning(handle, 1, "groupByKey", n)
    local group = { kind = "group" }
    return scope.wrap(shuffle(handle.node, "groupByKey", check.site(), "hash", n, ROUTE, group, group))
end

function operators.combineByKey(handle, create, merge_value, merge_combiners, n)
    local scope = begin(handle, "combineByKey")
    local create_bytes = package(1, "combineByKey", create, "createCombiner")
    local merge = package(2, "combineByKey", merge_value, "mergeValue")
    local merge_both = package(3, "combineByKey", merge_combiners, "mergeCombiners")
    n = partitioning(handle, 4, "combineByKey", n)
    local combine = { kind = "combine", create = create_bytes, merge = merge }
    return scope.wrap(shuffle(handle.node, "combineByKey", closure.site(create), "hash", n, combine,
        { kind = "merge", merge = merge_both }, combine))
end

function operators.countByValue(handle, n)
    local scope = begin(handle, "countByValue")
    n = check.partitions(1, "countByValue", n, scope.parallelism())
    local site, merge = check.site(), own("countByValue", add)
    local ones = narrow(handle, "one", "countByValue", site)
    return scope.wrap(shuffle(ones, "countByValue", site, "hash", n, { kind = "combine", merge = merge },
        { kind = "merge", merge = merge }))
end

function operators.distinct(handle, n)
    local scope = begin(handle, "distinct")
    n = check.partitions(1, "distinct", n, scope.parallelism())
    local site, merge = check.site(), own("distinct", first)
    local pairs_node = narrow(handle, "pairUp", "distinct", site)
    local merged = shuffle(pairs_node, "distinct", site, "hash", n, { kind = "combine", merge = merge },
        { kind = "merge", merge = merge })
    return scope.wrap(merged:narrow(descriptor("unpair", "distinct", site), false))
end

function operators.sortByKey(handle, ascending, n, key)
    local scope = begin(handle, "sortByKey")
    ascending = check.boolean(1, "sortByKey", ascending, true)
    n = check.partitions(2, "sortByKey", n, scope.parallelism())
    if key ~= nil then
        package(3, "sortByKey", key, "key")
        return operators.sort_by(handle, "sortByKey", key, function(k) return key(k) end, ascending, n)
    end
    return scope.wrap(shuffle(handle.node, "sortByKey", check.site(), "range", n, ROUTE,
        { kind = "sort", ascending = ascending }, nil, ascending))
end

--- The records in the order of `order(record)`. The record travels as an array of one or two, which tells single values and pairs
--- apart again (unwrap).
---@param handle table
---@param name string operator, for messages
---@param fn function of the script, already checked: where the operator is said to stand
---@param order function what to sort by, of value or of key and value
---@param ascending boolean
---@param n integer partitions
---@return table handle
function operators.sort_by(handle, name, fn, order, ascending, n)
    local site = closure.site(fn)
    local wrap = own(name, function(a, b)
        local key, more = order(a, b)
        if more ~= nil then
            error(require("moontide.worker.surplus").two(key, more), 0)
        end
        return key, { a, b }
    end)
    local keyed = narrow(handle, "map", name, site, { fn = wrap })
    local sorted = shuffle(keyed, name, site, "range", n, ROUTE, { kind = "sort", ascending = ascending }, nil, ascending)
    return handle.scope.wrap(sorted:narrow(descriptor("unwrap", name, site), false))
end

--- How often each key occurs, for countByKey.
---@param handle table of pairs
---@return table handle of pairs (key, count)
function operators.count_keys(handle)
    local scope = begin(handle, "countByKey")
    local site, merge = check.site(), own("countByKey", add)
    local ones = narrow(handle, "mapValues", "countByKey", site, { fn = own("countByKey", one) }, true)
    local read = { kind = "merge", merge = merge }
    return scope.wrap(shuffle(ones, "countByKey", site, "hash", scope.partitioner({ handle.node }),
        { kind = "combine", merge = merge }, read, read))
end

-- Moving records -----------------------------------------------------------------------------------------------

function operators.repartition(handle, n)
    local scope = begin(handle, "repartition")
    n = check.partitions(1, "repartition", n)
    return scope.wrap(shuffle(handle.node, "repartition", check.site(), "roundrobin", n, ROUTE, CONCAT))
end

-- One record for the whole dataset -----------------------------------------------------------------------------

-- `kind` in each partition, everything to one partition, `final` there.
local function single(handle, name, site, kind, fields, final, final_fields)
    local parts = narrow(handle, kind, name, site, fields)
    local together = shuffle(parts, name, site, "single", 1, ROUTE, CONCAT)
    return handle.scope.wrap(together:narrow(descriptor(final, name, site, final_fields), false))
end

--- One number: how many records there are; 0 for an empty dataset.
function operators.count(handle)
    begin(handle, "count")
    return single(handle, "count", check.site(), "count", nil, "sum")
end

--- The records reduced to one; none for an empty dataset.
function operators.reduce(handle, fn)
    begin(handle, "reduce")
    local fields = { fn = package(1, "reduce", fn) }
    return single(handle, "reduce", closure.site(fn), "reducePartition", fields, "reducePartition", fields)
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

--- One record; the zero value is used once in each partition and once more for the partitions together.
function operators.fold(handle, zero, fn)
    begin(handle, "fold")
    local fields = { zero = operators.zero("fold", zero), fn = package(2, "fold", fn) }
    return single(handle, "fold", closure.site(fn), "foldPartition", fields, "foldPartition", fields)
end

function operators.aggregate(handle, zero, seq, comb)
    begin(handle, "aggregate")
    local zero_bytes = operators.zero("aggregate", zero)
    local fields = { zero = zero_bytes, fn = package(2, "aggregate", seq, "seqOp") }
    return single(handle, "aggregate", closure.site(seq), "aggregatePartition", fields, "foldPartition",
        { zero = zero_bytes, fn = package(3, "aggregate", comb, "combOp") })
end

-- Ends of a chain ----------------------------------------------------------------------------------------------

--- A node that only runs for its effects: foreach, foreachPartition.
---@param handle table
---@param name string "foreach" or "foreachPartition"
---@param fn function
---@return userdata node
function operators.effect(handle, name, fn)
    begin(handle, name)
    local fields = { fn = package(1, name, fn) }
    return narrow(handle, name, name, closure.site(fn), fields)
end

--- A node that writes each partition to a part file of an output.
---@param handle table
---@param name string operator, for messages
---@param site string
---@param saving moontide.Save
---@param compress string? "gz"
---@return userdata node
function operators.save_text(handle, name, site, saving, compress)
    return narrow(handle, "saveText", name, site, { dir = saving.temporary, sync = saving.sync, compress = compress })
end

--- A node with the number of records of each partition.
---@param handle table
---@param site string for messages
---@return userdata node
function operators.partition_counts(handle, site)
    return narrow(handle, "count", "count", site)
end

return operators
