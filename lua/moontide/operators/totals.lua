--- One result for a whole dataset, and for each batch of a stream: counts, reduce, fold and aggregate, as datasets. Streams have them
--- as operators; the actions of datasets (actions.lua) collect them.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"

local totals = {}

---@class moontide.DStream
local DStream = {}

-- `kind` in each partition, everything to one partition, `final` there.
local function single(handle, name, site, kind, fields, final, final_fields)
    local parts = operators.narrow(handle, kind, name, site, fields)
    local in_one = operators.shuffle(parts, name, site, "single", 1, operators.ROUTE, operators.CONCAT)
    return handle.scope.wrap(in_one:narrow(operators.descriptor(final, name, site, final_fields), false))
end

--- A node with the number of records of each partition.
---@param handle table
---@param site string for messages
---@return userdata node
function totals.of_partitions(handle, site)
    return operators.narrow(handle, "count", "count", site)
end

--- The records reduced to one; none for an empty dataset.
---@param handle table
---@param fn function
---@return table handle
function totals.reduce(handle, fn)
    operators.begin(handle, "reduce")
    local fields = { fn = operators.package(1, "reduce", fn) }
    return single(handle, "reduce", closure.site(fn), "reducePartition", fields, "reducePartition", fields)
end

--- One record; the zero value is used once in each partition and once more for the partitions together.
---@param handle table
---@param zero any
---@param fn function
---@return table handle
function totals.fold(handle, zero, fn)
    operators.begin(handle, "fold")
    local fields = { zero = operators.zero("fold", zero), fn = operators.package(2, "fold", fn) }
    return single(handle, "fold", closure.site(fn), "foldPartition", fields, "foldPartition", fields)
end

--- Likewise, with one function for records and one for the results of partitions.
---@param handle table
---@param zero any
---@param seq function
---@param comb function
---@return table handle
function totals.aggregate(handle, zero, seq, comb)
    operators.begin(handle, "aggregate")
    local zero_bytes = operators.zero("aggregate", zero)
    local fields = { zero = zero_bytes, fn = operators.package(2, "aggregate", seq, "seqOp") }
    return single(handle, "aggregate", closure.site(seq), "aggregatePartition", fields, "foldPartition",
        { zero = zero_bytes, fn = operators.package(3, "aggregate", comb, "combOp") })
end

local function add(a, b)
    return a + b
end

local function one()
    return 1
end

--- Pairs of each different record and how often it occurs.
---@param handle table
---@param n? integer partitions
---@return table handle
function totals.by_value(handle, n)
    local scope = operators.begin(handle, "countByValue")
    n = check.partitions(1, "countByValue", n, scope.parallelism())
    local site, merge = check.site(), operators.own("countByValue", add)
    local ones = operators.narrow(handle, "one", "countByValue", site)
    return scope.wrap(operators.shuffle(ones, "countByValue", site, "hash", n, { kind = "combine", merge = merge },
        { kind = "merge", merge = merge }))
end

--- Pairs of each key and how often it occurs, for countByKey.
---@param handle table of pairs
---@return table handle
function totals.by_key(handle)
    local scope = operators.begin(handle, "countByKey")
    local site, merge = check.site(), operators.own("countByKey", add)
    local ones = operators.narrow(handle, "mapValues", "countByKey", site, { fn = operators.own("countByKey", one) }, true)
    local read = { kind = "merge", merge = merge }
    return scope.wrap(operators.shuffle(ones, "countByKey", site, "hash", scope.partitioner({ handle.node }),
        { kind = "combine", merge = merge }, read, read))
end

--- One number for each batch: how many records it has; 0 for an empty batch.
---
---     lines:count():print()
---
--- Guide: "Transformations".
---@return moontide.DStream
function DStream:count()
    operators.begin(self, "count")
    return single(self, "count", check.site(), "count", nil, "sum")
end

--- One record for each batch: all its records merged by `f`, which must be associative and commutative. An empty batch
--- gives an empty dataset.
---
---     numbers:reduce(function(a, b) return math.max(a, b) end)
---
--- Guide: "Transformations".
---@param f fun(a: any, b: any): any
---@return moontide.DStream
function DStream:reduce(f)
    return totals.reduce(self, f)
end

--- Pairs of each different record and how often it occurs in the batch.
---
---     words:countByValue():print()
---
--- Guide: "Transformations".
---@param n? integer partitions, default the context's parallelism
---@return moontide.DStream
function DStream:countByValue(n)
    return totals.by_value(self, n)
end

handles.add { DStream = DStream }

return totals
