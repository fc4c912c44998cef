--- Operators on single records and on whole partitions.

local check = require "moontide.base.check"
local closure = require "moontide.closure"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"

local Handle = {}

---@class moontide.RDD
local RDD = {}

--- Applies `f` to each record; what it returns is the new record. Two values make a pair, nil is an error.
---
---     words:map(function(word) return word, 1 end)
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(value: any, second: any): any, any on pairs f(key, value)
---@return T
function Handle:map(f)
    return operators.with_function(self, "map", f)
end

--- Applies `f` to each record; it returns an array or an iterator (string.gmatch, pairs(t), a closure) of new records.
--- An iterator of two values makes pairs.
---
---     lines:flatMap(function(line) return line:gmatch("%S+") end)
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(value: any, second: any): any
---@return T
function Handle:flatMap(f)
    return operators.with_function(self, "flatMap", f)
end

--- Keeps the records for which `f` returns a true value.
---
---     lines:filter(function(line) return line:find("ERROR", 1, true) end)
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(value: any, second: any): any
---@return T
function Handle:filter(f)
    return operators.with_function(self, "filter", f, true)
end

-- A function that promises to keep keys may be followed by an operator by key without a shuffle. Only a shuffle would have looked
-- at the keys, so the descriptor says that they are to be checked.
local function on_partitions(handle, name, fn, preserves)
    local scope = operators.begin(handle, name)
    local fields = { fn = operators.package(1, name, fn) }
    preserves = check.boolean(2, name, preserves, false)
    fields.preserves = preserves or nil
    return scope.wrap(operators.narrow(handle, name, name, closure.site(fn), fields, preserves))
end

--- Applies `f` to each partition as a whole, empty ones too. It gets an iterator and returns an array or an iterator.
---
---     numbers:mapPartitions(function(it) local sum = 0; for x in it do sum = sum + x end; return { sum } end)
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(it: function): any on pairs `for k, v in it`
---@param preservesPartitioning? boolean true promises that `f` leaves keys alone, default false
---@return T
function Handle:mapPartitions(f, preservesPartitioning)
    return on_partitions(self, "mapPartitions", f, preservesPartitioning)
end

--- Like mapPartitions; `f` gets the number of the partition, from 0, before the iterator.
---
---     numbers:mapPartitionsWithIndex(function(index, it)
---         local list = {}
---         for x in it do list[#list + 1] = index .. ": " .. x end
---         return list
---     end)
---
--- Spark has it for datasets only. As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(index: integer, it: function): any
---@param preservesPartitioning? boolean true promises that `f` leaves keys alone, default false
---@return T
function Handle:mapPartitionsWithIndex(f, preservesPartitioning)
    return on_partitions(self, "mapPartitionsWithIndex", f, preservesPartitioning)
end

--- One record for each partition: the array of its records. Empty partitions give empty arrays.
---
---     numbers:glom():map(function(list) return #list end)  -- how many records each partition has
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@return T
function Handle:glom()
    return operators.without_function(self, "glom")
end

--- The records of this handle and of others, this one's partitions first; nothing is removed. All are of single values, or all of
--- pairs. Streams need the same slide.
---
---     errors:union(warnings)
---
--- There it takes one. Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param other T of the same context
---@param ... T more of them
---@return T
function Handle:union(other, ...)
    local scope = operators.begin(self, "union")
    return scope.union("union", check.handles("union", getmetatable(self), self, other, ...))
end

--- The same records, spread evenly over `n` partitions; their order is lost.
---
---     lines:repartition(4)
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param n integer partitions, 1 to 100,000
---@return T
function Handle:repartition(n)
    local scope = operators.begin(self, "repartition")
    n = check.partitions(1, "repartition", n)
    return scope.wrap(operators.shuffle(self.node, "repartition", check.site(), "roundrobin", n, operators.ROUTE,
        operators.CONCAT))
end

--- The same records in at most `n` partitions, joining neighbours without a shuffle. It never makes more of them.
---
---     sc:parallelize({ 1, 2, 3, 4 }, 4):coalesce(2):glom():collect()  --> { { 1, 2 }, { 3, 4 } }
---
--- As in Spark 0.9.
---@param n integer partitions, 1 to 100,000
---@param shuffle? boolean true: as repartition, which may also make more of them; default false
---@return moontide.RDD
function RDD:coalesce(n, shuffle)
    local scope = operators.begin(self, "coalesce")
    n = check.partitions(1, "coalesce", n)
    if check.boolean(2, "coalesce", shuffle, false) then
        return self:repartition(n)
    end
    if n >= self.node:partitions() then
        return self
    end
    return scope.wrap(self.node:coalesce(n))
end

local function first(a)
    return a
end

--- Each different record once.
---
---     sc:parallelize({ 1, 2, 1 }):distinct():collect()  --> { 1, 2 } in any order
---
--- As in Spark 0.9.
---@param n? integer partitions, default the context's parallelism
---@return moontide.RDD
function RDD:distinct(n)
    local scope = operators.begin(self, "distinct")
    n = check.partitions(1, "distinct", n, scope.parallelism())
    local site, merge = check.site(), operators.own("distinct", first)
    local merged = operators.shuffle(operators.narrow(self, "pairUp", "distinct", site), "distinct", site, "hash", n,
        { kind = "combine", merge = merge }, { kind = "merge", merge = merge })
    return scope.wrap(merged:narrow(operators.descriptor("unpair", "distinct", site), false))
end

handles.add { Handle = Handle, RDD = RDD }
