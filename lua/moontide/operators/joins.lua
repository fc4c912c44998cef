--- Joins and what is related to them, of datasets and of streams: records of several sides that have the same key meet.
--- Sides that are partitioned by key alike are not shuffled.

local check = require "moontide.base.check"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"

local Handle = {}

---@class moontide.RDD
local RDD = {}

-- The other sides must be sides of the same kind and context.
local function check_side(handle, index, name, other)
    check.handle(index, name, other, getmetatable(handle))
    if other.scope ~= handle.scope then
        check.fail("bad argument #%d to '%s' (it belongs to another %s)", index, name,
            handle.scope.life and "StreamingContext" or "Context")
    end
    return other
end

-- Sides may be shuffled in different stages; one dataset that occurs twice is shuffled once.
local function gather_rdds(sides, name, site, n, op)
    local nodes, made = {}, {}
    for index, handle in ipairs(sides) do
        made[handle] = made[handle] or operators.spread(handle.node, name, site, n)
        nodes[index] = made[handle]
    end
    return table.remove(nodes, 1):zip(nodes, op, true)
end

local function gather(kind, name, sides, n)
    local handle = sides[1]
    local scope, site = handle.scope, check.site()
    local op = operators.descriptor(kind, name, site)
    if scope.life then
        local nodes = scope.nodes(name, sides)
        return scope.wrap(scope.life.graph:zip(nodes, op, true, operators.by_key(name, site, n)))
    end
    return scope.wrap(gather_rdds(sides, name, site, n, op))
end

-- Default of n: what a side is partitioned by already, else key hash in the context's parallelism.
local function partitions(sides, index, name, n)
    local nodes = {}
    for at, handle in ipairs(sides) do
        nodes[at] = handle.node
    end
    return partitioner.argument(index, name, n, sides[1].scope.partitioner(nodes))
end

local function with_one(name, handle, other, n)
    operators.begin(handle, name)
    local sides = { handle, check_side(handle, 1, name, other) }
    return gather(name, name, sides, partitions(sides, 2, name, n))
end

-- (other, other, …, n)
local function with_several(name, handle, ...)
    operators.begin(handle, name)
    local sides, count = { handle }, select("#", ...)
    local n
    if count > 1 then
        local last = select(count, ...)
        if type(last) == "number" or last == nil or getmetatable(last) == partitioner.class then
            n, count = last, count - 1
        end
    end
    for index = 1, math.max(count, 1) do
        sides[index + 1] = check_side(handle, index, name, (select(index, ...)))
    end
    return gather("cogroup", name, sides, partitions(sides, count + 1, name, n))
end

--- Pairs (k, {v, w}) of every value `v` here with every value `w` of `other` that has the same key. Of streams: batch by
--- batch, both need the same slide.
---
---     clicks:join(users)  -- ("u1", { click, user })
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param other T pairs, of the same context
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism, or those a dataset has by key already
---@return T
function Handle:join(other, n)
    return with_one("join", self, other, n)
end

--- Like join; values here that meet no value of `other` are kept as (k, {v}), with nothing in second place.
---
---     clicks:leftOuterJoin(users):mapValues(function(t) return t[2] or "unknown" end)
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param other T pairs, of the same context
---@param n? integer|moontide.Partitioner partitions, default as for join
---@return T
function Handle:leftOuterJoin(other, n)
    return with_one("leftOuterJoin", self, other, n)
end

--- Like join; values of `other` that meet no value here are kept as (k, {nil, w}).
---
---     clicks:rightOuterJoin(users):filter(function(user, t) return t[1] == nil end)  -- users without clicks
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param other T pairs, of the same context
---@param n? integer|moontide.Partitioner partitions, default as for join
---@return T
function Handle:rightOuterJoin(other, n)
    return with_one("rightOuterJoin", self, other, n)
end

--- Like join; values of either side that meet none of the other are kept, as (k, {v}) or (k, {nil, w}).
---
---     clicks:fullOuterJoin(users)
---
--- As in Spark 1.2.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param other T pairs, of the same context
---@param n? integer|moontide.Partitioner partitions, default as for join
---@return T
function Handle:fullOuterJoin(other, n)
    return with_one("fullOuterJoin", self, other, n)
end

--- For each key of any side, the values of all sides: (k, {vs, ws, …}), where a side without the key has an empty array.
---
---     a:cogroup(b)        -- ("k", { { 1, 2 }, { "x" } })
---     a:cogroup(b, c, 4)  -- ("k", { { 1, 2 }, { "x" }, {} }) in 4 partitions
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param ... T|integer|moontide.Partitioner one or several others, and then perhaps the partitions
---@return T
function Handle:cogroup(...)
    return with_several("cogroup", self, ...)
end

--- Another name of cogroup.
---
---     a:groupWith(b)
---
--- As in Spark 0.9.
---@param ... moontide.RDD|integer|moontide.Partitioner one or several others, and then perhaps the partitions
---@return moontide.RDD
function RDD:groupWith(...)
    return with_several("groupWith", self, ...)
end

--- The pairs whose key `other` does not have; pairs of a key stay in their order.
---
---     users:subtractByKey(banned)
---
--- As in Spark 0.9.
---@param other moontide.RDD pairs, of the same context
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:subtractByKey(other, n)
    return with_one("subtractByKey", self, other, n)
end

-- Whole records as keys: pairUp and unpair, see worker/generate.lua.
local function by_record(kind, handle, other, n)
    local scope = operators.begin(handle, kind)
    check_side(handle, 1, kind, other)
    n = partitioner.argument(2, kind, n, partitioner.by_hash(scope.parallelism()))
    local site, nodes = check.site(), {}
    local op = operators.descriptor(kind == "subtract" and "subtractByKey" or kind, kind, site)
    for index, side in ipairs({ handle, other }) do
        nodes[index] = operators.spread(operators.narrow(side, "pairUp", kind, site), kind, site, n)
    end
    local met = nodes[1]:zip({ nodes[2] }, op, true)
    return scope.wrap(met:narrow(operators.descriptor("unpair", kind, site), false))
end

--- The records that `other` does not have. A record that is here several times stays so.
---
---     sc:parallelize({ 1, 1, 2 }):subtract(sc:parallelize({ 2, 3 })):collect()  --> { 1, 1 }
---
--- As in Spark 0.9.
---@param other moontide.RDD of the same context
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:subtract(other, n)
    return by_record("subtract", self, other, n)
end

--- The records that both datasets have, each once.
---
---     sc:parallelize({ 1, 2, 2, 3 }):intersection(sc:parallelize({ 2, 3, 4 })):collect()  --> { 2, 3 } in any order
---
--- As in Spark 1.0.
---@param other moontide.RDD of the same context
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:intersection(other, n)
    return by_record("intersection", self, other, n)
end

handles.add { Handle = Handle, RDD = RDD }
