--- Operators by key on datasets and streams of pairs, and those of datasets by a key that a function computes. For joins see
--- joins.lua.

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"
local totals = require "moontide.operators.totals"

local partitioning = operators.partitioning

local Handle = {}

---@class moontide.RDD
local RDD = {}

-- Keys and values -------------------------------------------------------------------------------------------------

--- Applies `f` to the value of each pair and leaves the key.
---
---     counts:mapValues(function(n) return n * 2 end)
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(value: any): any
---@return T
function Handle:mapValues(f)
    return operators.with_function(self, "mapValues", f, true)
end

--- Applies `f` to the value of each pair; each value of the array or iterator it returns makes a pair with the key.
---
---     files:flatMapValues(function(text) return text:gmatch("%S+") end)
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(value: any): any
---@return T
function Handle:flatMapValues(f)
    return operators.with_function(self, "flatMapValues", f, true)
end

--- Pairs (f(x), x).
---
---     sc:parallelize({ "ebb", "flow" }):keyBy(function(word) return #word end):collect()  --> { { 3, "ebb" }, { 4, "flow" } }
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any): any
---@return moontide.RDD
function RDD:keyBy(f)
    return operators.with_function(self, "keyBy", f)
end

--- The keys of pairs.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }):keys():collect()  --> { "a", "b" }
---
--- Single records are an error of the job. As in Spark 0.9.
---@return moontide.RDD
function RDD:keys()
    return operators.without_function(self, "keys")
end

--- The values of pairs.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }):values():collect()  --> { 1, 2 }
---
--- Single records are an error of the job. As in Spark 0.9.
---@return moontide.RDD
function RDD:values()
    return operators.without_function(self, "values")
end

-- Merging and grouping --------------------------------------------------------------------------------------------

--- Merges the values of each key with `f`, which must be associative and commutative. Of streams: in each batch.
---
---     ones:reduceByKey(function(a, b) return a + b end)
---
--- Guide: "Transformations".
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param f fun(a: any, b: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return T
function Handle:reduceByKey(f, n)
    local scope = operators.begin(self, "reduceByKey")
    local merge = operators.package(1, "reduceByKey", f)
    n = partitioning(self, 2, "reduceByKey", n)
    local read = { kind = "merge", merge = merge }
    return scope.wrap(operators.shuffle(self.node, "reduceByKey", closure.site(f), "hash", n,
        { kind = "combine", merge = merge }, read, read))
end

--- Pairs of each key and the array of its values, in no particular order. Of streams: in each batch.
---
---     scores:groupByKey():mapValues(function(values) return #values end)
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return T
function Handle:groupByKey(n)
    local scope = operators.begin(self, "groupByKey")
    n = partitioning(self, 1, "groupByKey", n)
    local group = { kind = "group" }
    return scope.wrap(operators.shuffle(self.node, "groupByKey", check.site(), "hash", n, operators.ROUTE, group, group))
end

--- Merges the values of each key to something of another kind. Of streams: in each batch.
---
---     scores:combineByKey(function(x) return { x, 1 } end,
---         function(c, x) return { c[1] + x, c[2] + 1 } end,
---         function(a, b) return { a[1] + b[1], a[2] + b[2] } end)
---
--- As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param createCombiner fun(value: any): any
---@param mergeValue fun(combiner: any, value: any): any
---@param mergeCombiners fun(a: any, b: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return T
function Handle:combineByKey(createCombiner, mergeValue, mergeCombiners, n)
    local name = "combineByKey"
    local scope = operators.begin(self, name)
    local create = operators.package(1, name, createCombiner, "createCombiner")
    local merge = operators.package(2, name, mergeValue, "mergeValue")
    local merge_both = operators.package(3, name, mergeCombiners, "mergeCombiners")
    n = partitioning(self, 4, name, n)
    local combine = { kind = "combine", create = create, merge = merge }
    return scope.wrap(operators.shuffle(self.node, name, closure.site(createCombiner), "hash", n, combine,
        { kind = "merge", merge = merge_both }, combine))
end

-- `seq` merges values into a copy of `zero`, `comb` merges the results.
local function from_zero(handle, name, zero, seq, comb, seq_role, comb_role, n)
    local scope = operators.begin(handle, name)
    local zero_bytes = operators.zero(name, zero)
    local merge = operators.package(2, name, seq, seq_role)
    local merge_both = comb == seq and merge or operators.package(3, name, comb, comb_role)
    n = partitioning(handle, comb == seq and 3 or 4, name, n)
    local combine = { kind = "combine", zero = zero_bytes, merge = merge }
    return scope.wrap(operators.shuffle(handle.node, name, closure.site(seq), "hash", n, combine,
        { kind = "merge", merge = merge_both }, combine))
end

--- Merges the values of each key with `f`, starting from `zero` (once for each key and partition).
---
---     sales:foldByKey(0, function(sum, price) return sum + price end)
---
--- As in Spark 0.9.
---@param zero any plain data
---@param f fun(a: any, b: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:foldByKey(zero, f, n)
    return from_zero(self, "foldByKey", zero, f, f, "f", "f", n)
end

--- Merges the values of each key into something of another kind with `seq`, starting from `zero` (once for each key
--- and partition), and the results of the partitions with `comb`.
---
---     sc:parallelizePairs({ { "ann", 3 }, { "bob", 5 }, { "ann", 9 } })
---         :aggregateByKey(0, function(most, n) return math.max(most, n) end, math.max):collect()
---         --> { { "ann", 9 }, { "bob", 5 } } in any order
---
--- As in Spark 1.1.
---@param zero any plain data; each key gets a copy
---@param seq fun(acc: any, value: any): any
---@param comb fun(a: any, b: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:aggregateByKey(zero, seq, comb, n)
    return from_zero(self, "aggregateByKey", zero, seq, comb, "seqOp", "combOp", n)
end

--- Pairs of each value of `f` and the array of records that have it; pairs are {k, v} in there.
---
---     words:groupBy(function(word) return #word end)
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:groupBy(f, n)
    local scope = operators.begin(self, "groupBy")
    local fields = { fn = operators.package(1, "groupBy", f) }
    n = partitioner.argument(2, "groupBy", n, partitioner.by_hash(scope.parallelism()))
    local site = closure.site(f)
    local by_key = operators.narrow(self, "keyBy", "groupBy", site, fields)
    return scope.wrap(operators.shuffle(by_key, "groupBy", site, "hash", n, operators.ROUTE, { kind = "group" }))
end

-- Partitions ------------------------------------------------------------------------------------------------------

--- The pairs in the partition that the hash of their key says. Operators by key with the same number of partitions, joins
--- too, then need no shuffle; worth it with persist for a dataset that is used more than once.
---
---     users:partitionBy(8)
---
--- With `f`, or a partitioner, that function says the partition: its result, a whole number, modulo `n`.
---
---     users:partitionBy(4, function(name) return name:byte() end)
---
--- A function beside a partitioner that has one is an error. As in Spark 0.9.
---@generic T: moontide.RDD|moontide.DStream
---@param self T
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@param f? fun(key: any): integer default: the hash of the key
---@return T
function Handle:partitionBy(n, f)
    local scope = operators.begin(self, "partitionBy")
    local by = partitioning(self, 1, "partitionBy", n)
    if f ~= nil then
        check.func(2, "partitionBy", f)
        if by.package then
            check.fail("bad argument #2 to 'partitionBy' (the partitioner has a function already)")
        end
        by = partitioner.constructor(by.count, f)
    end
    return scope.wrap(operators.spread(self.node, "partitionBy", check.site(), by))
end

--- What the pairs are partitioned by, for other operators by key; nil when they are not partitioned by key.
---
---     sc:parallelizePairs({ { "a", 1 } }):partitionBy(3):partitioner():numPartitions()  --> 3
---
--- As in Spark 0.9.
---@return moontide.Partitioner?
function RDD:partitioner()
    check.self(self, handles.RDD, "partitioner")
    return partitioner.of(self.node)
end

-- Order -----------------------------------------------------------------------------------------------------------

-- The records in the order of `order(record)`. `fn` is the function of the script, already checked, that messages name. The
-- record travels as an array of one or two, by which single values and pairs are told apart again (unwrap).
local function sort_by(handle, name, fn, order, ascending, n)
    local site = closure.site(fn)
    local wrap = operators.own(name, function(a, b)
        local key, more = order(a, b)
        if more ~= nil then
            error(require("moontide.worker.surplus").two(key, more), 0)
        end
        return key, { a, b }
    end)
    local wrapped = operators.narrow(handle, "map", name, site, { fn = wrap })
    local sorted = operators.shuffle(wrapped, name, site, "range", n, operators.ROUTE, { kind = "sort", ascending = ascending },
        nil, ascending)
    return handle.scope.wrap(sorted:narrow(operators.descriptor("unwrap", name, site), false))
end

--- Pairs sorted by key, also across partitions.
---
---     counts:map(function(word, n) return n, word end):sortByKey(false):take(10)
---
--- Numbers come before text, text before arrays. As in Spark 0.9.
---@param ascending? boolean default true
---@param n? integer partitions, default the context's parallelism
---@param key? fun(key: any): any what to sort by instead of the key, default the key
---@return moontide.RDD
function RDD:sortByKey(ascending, n, key)
    local scope = operators.begin(self, "sortByKey")
    ascending = check.boolean(1, "sortByKey", ascending, true)
    n = check.partitions(2, "sortByKey", n, scope.parallelism())
    if key ~= nil then
        operators.package(3, "sortByKey", key, "key")
        return sort_by(self, "sortByKey", key, function(k) return key(k) end, ascending, n)
    end
    return scope.wrap(operators.shuffle(self.node, "sortByKey", check.site(), "range", n, operators.ROUTE,
        { kind = "sort", ascending = ascending }, nil, ascending))
end

--- The records in the order of `f(record)`, also across partitions. Records of equal keys keep their order.
---
---     sc:parallelizePairs({ { "a", 2 }, { "b", 9 }, { "c", 4 } })
---         :sortBy(function(key, n) return n end, false):keys():collect()  --> { "b", "c", "a" }
---
--- The order is that of sortByKey: numbers before text before arrays. As in Spark 1.1.
---@param f fun(value: any, second: any): any
---@param ascending? boolean default true
---@param n? integer partitions, default as many as here
---@return moontide.RDD
function RDD:sortBy(f, ascending, n)
    operators.begin(self, "sortBy")
    operators.package(1, "sortBy", f)
    ascending = check.boolean(2, "sortBy", ascending, true)
    n = check.partitions(3, "sortBy", n, math.max(1, self.node:partitions()))
    return sort_by(self, "sortBy", f, f, ascending, n)
end

-- Sorts each partition by `key(k)`. The pairs travel as values meanwhile; they come back in the partitions where they were, so the
-- nodes say that keys are kept.
local function sort_within(node, name, key, sort)
    local site = closure.site(key)
    local wrapped = node:narrow(operators.descriptor("map", name, site,
        { fn = operators.own(name, function(k, v) return key(k), { k, v } end) }), true)
    local sorted = wrapped:zip({}, operators.descriptor(sort.kind, name, site, sort), true)
    return sorted:narrow(operators.descriptor("unwrap", name, site), true)
end

--- The pairs in partitions by key, sorted by key within each of them: cheaper than sortByKey where no order across
--- partitions is needed.
---
---     scores:repartitionAndSortWithinPartitions(1):keys():collect()  --> { "ann", "ann", "bob" }
---
--- As in Spark 1.2.
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@param ascending? boolean default true
---@param key? fun(key: any): any what to sort by instead of the key, default the key
---@return moontide.RDD
function RDD:repartitionAndSortWithinPartitions(n, ascending, key)
    local name = "repartitionAndSortWithinPartitions"
    local scope = operators.begin(self, name)
    n = partitioning(self, 1, name, n)
    ascending = check.boolean(2, name, ascending, true)
    local sort = { kind = "sort", ascending = ascending }
    if key == nil then
        return scope.wrap(operators.shuffle(self.node, name, check.site(), "hash", n, operators.ROUTE, sort, sort))
    end
    operators.package(3, name, key, "key")
    return scope.wrap(sort_within(operators.spread(self.node, name, closure.site(key), n), name, key, sort))
end

-- Actions ---------------------------------------------------------------------------------------------------------

local function values_of_key(rdd, key)
    local site = check.site()
    local matches
    if type(key) == "table" then
        local bytes = codec.pack_key(key)
        matches = operators.own("lookup", function(k)
            return type(k) == "table" and codec.same_key(codec.pack(k), bytes)
        end)
    else
        matches = operators.own("lookup", function(k)
            return k == key
        end)
    end
    local found = operators.narrow(rdd, "filter", "lookup", site, { fn = matches }, true)
    return found:narrow(operators.descriptor("values", "lookup", site), false)
end

--- Action: the values of one key. Only one partition is computed if the dataset is partitioned by key (partitionBy,
--- reduceByKey, joins …).
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 } }):lookup("a")  --> { 1, 3 }
---
--- An error for nil, NaN and what cannot be a record. As in Spark 0.9.
---@param key any what a record may be; a table is compared by its contents
---@return any[] in the order of partitions and records; empty when the key is not there
function RDD:lookup(key)
    local scope = handles.begin(self, handles.RDD, "lookup")
    key = codec.unpack(partitioner.packed_key("lookup", key)) -- as it comes out of a record
    local by = partitioner.of(self.node)
    return actions.collect(scope, values_of_key(self, key), by and { by:getPartition(key) })
end

--- Action: the values of each key merged by `f`, as a table.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 1 }, { "a", 2 } })
---         :reduceByKeyLocally(function(a, b) return a + b end)  --> { a = 3, b = 1 }
---
--- As in Spark 0.9.
---@param f fun(a: any, b: any): any associative and commutative
---@return table<any, any>
function RDD:reduceByKeyLocally(f)
    handles.begin(self, handles.RDD, "reduceByKeyLocally")
    operators.package(1, "reduceByKeyLocally", f)
    return self:reduceByKey(f):collectAsMap()
end

--- Action: how often each key occurs.
---
---     sc:parallelizePairs({ { "a", 1 }, { "a", 5 } }):countByKey()  --> { a = 2 }
---
--- As in Spark 0.9.
---@return table<any, integer>
function RDD:countByKey()
    handles.begin(self, handles.RDD, "countByKey")
    return totals.by_key(self):collectAsMap()
end

handles.add { Handle = Handle, RDD = RDD }
