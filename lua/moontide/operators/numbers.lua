--- Actions of RDD that sum up: statistics of numbers, the first and last records by an order, reducing in a tree.

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local duration = require "moontide.base.duration"
local handles = require "moontide.operators.handles"
local operators = require "moontide.operators"
local nan = require "moontide.base.nan"
local number_text = require "moontide.base.number_text"
local order = require "moontide.operators.order"
local preview = require "moontide.base.preview"
local statistics = require "moontide.base.statistics"
local totals = require "moontide.operators.totals"

---@class moontide.RDD
local RDD = {}

local class, begin = handles.RDD, handles.begin

-- Statistics -----------------------------------------------------------------------------------------------------

local function stats_of(rdd, name)
    begin(rdd, class, name)
    return statistics.merge(actions.collect(rdd.scope, operators.narrow(rdd, "stats", name, check.site())))
end

--- Action: the numbers added up; 0 when there are none, NaN when one of them is.
---
---     sc:parallelize({ 1, 2, 3 }):sum()  --> 6
---
--- As in Spark 0.9.
---@return number
function RDD:sum()
    begin(self, class, "sum")
    local sum = 0
    for _, part in ipairs(actions.collect(self.scope, operators.narrow(self, "sum", "sum", check.site()))) do
        sum = sum + part
    end
    return sum
end

--- Action: the average of the numbers; NaN when there are none. NaN among them is an error, as in all statistics.
---
---     sc:parallelize({ 1, 2, 3 }):mean()  --> 2
---
--- As in Spark 0.9.
---@return number
function RDD:mean()
    return stats_of(self, "mean").mean
end

--- Action: the variance of the numbers, as the whole population; NaN when there are none.
---
---     sc:parallelize({ 1, 3 }):variance()  --> 1
---
--- As in Spark 0.9.
---@return number
function RDD:variance()
    return stats_of(self, "variance").variance
end

--- Action: the standard deviation of the numbers, as the whole population.
---
---     sc:parallelize({ 1, 3 }):stdev()  --> 1
---
--- As in Spark 0.9.
---@return number
function RDD:stdev()
    return stats_of(self, "stdev").stdev
end

--- Action: the variance of the numbers as a sample (divided by count - 1); NaN for fewer than two.
---
---     sc:parallelize({ 1, 3 }):sampleVariance()  --> 2
---
--- As in Spark 0.9.
---@return number
function RDD:sampleVariance()
    return stats_of(self, "sampleVariance").sampleVariance
end

--- Action: the standard deviation of the numbers as a sample.
---
---     sc:parallelize({ 1, 3 }):sampleStdev() ^ 2 < 2.000001  --> true
---
--- As in Spark 0.9.
---@return number
function RDD:sampleStdev()
    return stats_of(self, "sampleStdev").sampleStdev
end

--- Action: count, sum, mean, min, max, variance, stdev … of the numbers, in one pass. NaN among them is an error; with infinite
--- ones there is no variance (it is NaN).
---
---     local s = sc:parallelize({ 1, 2, 3 }):stats()
---     s.mean  --> 2
---     tostring(s)  --> "(count: 3, mean: 2, stdev: 0.816496580927726, max: 3, min: 1)"
---
--- As in Spark 0.9.
---@return moontide.Stats
function RDD:stats()
    return stats_of(self, "stats")
end

-- How many standard deviations around the mean hold that part of a normal distribution.
local function deviations(confidence)
    local low, high = 0, 10
    for _ = 1, 60 do -- of the integral of the density, by Simpson's rule
        local z, sum, steps = (low + high) / 2, 0, 200
        for index = 0, steps do
            local weight = (index == 0 or index == steps) and 1 or index % 2 == 1 and 4 or 2
            sum = sum + weight * math.exp(-(z * index / steps) ^ 2 / 2)
        end
        if 2 * sum * z / steps / 3 / math.sqrt(2 * math.pi) < confidence then
            low = z
        else
            high = z
        end
    end
    return (low + high) / 2
end

--- Action: about how many records there are, from as many partitions as can be counted in time. They are counted a few at a
--- time, and at least once.
---
---     sc:parallelize({ 1, 2, 3 }):countApprox("1min")  --> 3
---
--- Errors: the confidence is not from 0 to 1. As in Spark 0.9.
---@param timeout number|string duration
---@param confidence? number how likely the count is within the bounds, default 0.95
---@return number about
---@return { low: number, high: number, confidence: number, final: boolean } bounds final: it is the exact count
function RDD:countApprox(timeout, confidence)
    begin(self, class, "countApprox")
    timeout = duration.argument(1, "countApprox", timeout, true)
    if confidence == nil then
        confidence = 0.95
    elseif type(confidence) ~= "number" or not (confidence >= 0 and confidence <= 1) then
        check.fail("bad argument #2 to 'countApprox' (a number from 0 to 1 expected, got %s)", preview(confidence))
    end
    local monotonic = require("moontide.core").monotonic
    local limit = monotonic() + timeout / 1000
    local site, total = check.site(), self.node:partitions()
    local counts = totals.of_partitions(self, site)
    local sum, counted = 0, 0
    repeat
        local chosen = {}
        for partition = counted, math.min(counted + self.scope.parallelism(), total) - 1 do
            chosen[#chosen + 1] = partition
        end
        for _, n in ipairs(actions.collect(self.scope, counts, chosen, "countApprox", site)) do
            sum = sum + n
        end
        counted = counted + #chosen
    until counted == total or monotonic() >= limit
    if counted == total then
        return sum, { low = sum, high = sum, confidence = 1, final = true }
    end
    -- The rest is taken for a sample of the same kind.
    local part = counted / total
    local about = (sum + 1 - part) / part
    local spread = deviations(confidence) * math.sqrt((sum + 1) * (1 - part) / (part * part))
    return math.floor(about + 0.5), { low = math.max(sum, about - spread), high = about + spread, confidence = confidence,
        final = false }
end

local function check_buckets(buckets)
    if type(buckets) == "number" then
        return check.integer(1, "histogram", buckets, 1, 1000000)
    end
    check.array(1, "histogram", buckets)
    if #buckets < 2 then
        check.fail("bad argument #1 to 'histogram' (at least two boundaries are needed, got %d)", #buckets)
    end
    for index, boundary in ipairs(buckets) do
        if type(boundary) ~= "number" or boundary ~= boundary then
            check.fail("bad argument #1 to 'histogram' (boundary %d: number expected, got %s)", index,
                boundary ~= boundary and "NaN" or check.type_name(boundary))
        elseif index > 1 and boundary <= buckets[index - 1] then
            check.fail("bad argument #1 to 'histogram' (the boundaries must ascend, but %s follows %s)", number_text(boundary),
                number_text(buckets[index - 1]))
        end
    end
    return buckets
end

--- Action: how many numbers fall in each bucket. A bucket has its lower boundary and not its upper one; the last one
--- has both. Numbers outside of all buckets are left out; NaN is an error.
---
---     local boundaries, counts = sc:parallelize({ 3, 17, 40, 66, 80 }):histogram(2)  -- of equal width from min to max
---     boundaries  --> { 3, 41.5, 80 }
---     counts      --> { 3, 2 }
---
---     local _, ages = sc:parallelize({ 3, 17, 40, 66, 80 }):histogram({ 0, 18, 65, 120 })
---     ages        --> { 2, 1, 2 }
---
--- A number of buckets for a dataset that is empty, or has infinite numbers, is an error; if all numbers are equal
--- there is one bucket. As in Spark 0.9.
---@param buckets integer|number[] how many, or their ascending boundaries
---@return number[] boundaries
---@return integer[] counts one fewer than the boundaries
function RDD:histogram(buckets)
    begin(self, class, "histogram")
    buckets = check_buckets(buckets)
    if type(buckets) == "number" then
        local s = stats_of(self, "histogram")
        if s.count == 0 or s.sum - s.sum ~= 0 or s.max - s.min == math.huge then
            check.fail("'histogram': the dataset is empty, or has infinite numbers; "
                .. "give the boundaries of the buckets")
        end
        buckets = statistics.even(s.min, s.max, buckets)
    end
    local count = operators.own("histogram", function(it)
        local counts = {}
        for index = 1, #buckets - 1 do
            counts[index] = 0
        end
        for x in it do
            if type(x) ~= "number" then
                error("histogram needs numbers, but a record is " .. tostring(x), 0)
            elseif x ~= x then
                error("histogram: " .. nan.NO_STATISTICS, 0)
            end
            local index = statistics.bucket(buckets, x)
            if index then
                counts[index] = counts[index] + 1
            end
        end
        return { counts }
    end)
    local node = operators.narrow(self, "mapPartitions", "histogram", check.site(), { fn = count })
    local counts = {}
    for index = 1, #buckets - 1 do
        counts[index] = 0
    end
    for _, part in ipairs(actions.collect(self.scope, node)) do
        for index, n in ipairs(part) do
            counts[index] = counts[index] + n
        end
    end
    return buckets, counts
end

-- By order -------------------------------------------------------------------------------------------------------

-- The first (or last) n records by key, in order.
local function first_records(rdd, name, index, n, key, descending)
    begin(rdd, class, name)
    if key ~= nil then
        operators.package(index, name, key, "key")
    end
    if n == 0 then
        return {}
    end
    local pick = operators.own(name, function(it) return order.first(it, n, key, descending) end)
    local site = key and closure.site(key) or check.site()
    -- Each record is an {key, record} array.
    local entries = actions.collect(rdd.scope, operators.narrow(rdd, "mapPartitions", name, site, { fn = pick }))
    order.sort(entries, descending)
    local list = {}
    for at = 1, math.min(n, #entries) do
        list[at] = entries[at][2]
    end
    return list
end

local function only(list, name)
    if #list == 0 then
        check.fail("'%s': the dataset is empty", name)
    end
    return list[1]
end

--- Action: the `n` greatest records, from the greatest on.
---
---     counts:top(10, function(word, n) return n end)
---
--- Records are compared in the order that sortByKey uses, pairs by key and then value; with `key`, what it returns is
--- compared. Of equal records the earlier one comes first. NaN, which has no place in an order, is an error. As in Spark 0.9.
---@param n integer 0 or more
---@param key? fun(value: any, second: any): any default: the record itself
---@return any[]
function RDD:top(n, key)
    check.self(self, class, "top")
    check.integer(1, "top", n, 0)
    return first_records(self, "top", 2, n, key, true)
end

--- Action: the `n` smallest records, from the smallest on.
---
---     sc:parallelize({ 3, 1, 2 }):takeOrdered(2)  --> { 1, 2 }
---
--- As in Spark 0.9.
---@param n integer 0 or more
---@param key? fun(value: any, second: any): any what to compare instead of the record
---@return any[]
function RDD:takeOrdered(n, key)
    check.self(self, class, "takeOrdered")
    check.integer(1, "takeOrdered", n, 0)
    return first_records(self, "takeOrdered", 2, n, key, false)
end

--- Action: the greatest record. An empty dataset is an error.
---
---     sc:parallelizePairs({ { "a", 7 }, { "b", 2 } }):max(function(key, n) return n end)  --> { "a", 7 }
---
--- As in Spark 1.0.
---@param key? fun(value: any, second: any): any what to compare instead of the record
---@return any
function RDD:max(key)
    return only(first_records(self, "max", 1, 1, key, true), "max")
end

--- Action: the smallest record. An empty dataset is an error.
---
---     sc:parallelize({ 3, 1, 2 }):min()  --> 1
---
--- As in Spark 1.0.
---@param key? fun(value: any, second: any): any what to compare instead of the record
---@return any
function RDD:min(key)
    return only(first_records(self, "min", 1, 1, key, false), "min")
end

-- In a tree ------------------------------------------------------------------------------------------------------

-- Merges partial results, at most one in each partition, in rounds of shuffles until few are left.
local function in_tree(node, name, site, merge, depth)
    local count = node:partitions()
    local scale = math.max(math.ceil(count ^ (1 / depth)), 2)
    local op = operators.descriptor("reducePartition", name, site, { fn = merge })
    while count > scale + math.ceil(count / scale) do
        count = math.floor(count / scale)
        node = operators.shuffle(node, name, site, "roundrobin", count, { kind = "route" }, { kind = "concat" })
            :narrow(op, false)
    end
    return operators.shuffle(node, name, site, "single", 1, { kind = "route" }, { kind = "concat" }):narrow(op, false)
end

local function check_depth(index, name, depth)
    return check.integer(index, name, depth, 1, 32, 2)
end

--- Action: as reduce, but the results of many partitions are merged by the workers, in rounds.
---
---     sc:range(1, 101, 1, 8):treeReduce(function(a, b) return a + b end)  --> 5050
---
--- An empty dataset is an error. As in Spark 1.3.
---@param f fun(a: any, b: any): any associative and commutative
---@param depth? integer rounds of merging, 1 to 32, default 2
---@return any
function RDD:treeReduce(f, depth)
    begin(self, class, "treeReduce")
    local fn = operators.package(1, "treeReduce", f)
    depth = check_depth(2, "treeReduce", depth)
    local site = closure.site(f)
    local parts = operators.narrow(self, "reducePartition", "treeReduce", site, { fn = fn })
    return only(actions.collect(self.scope, in_tree(parts, "treeReduce", site, fn, depth)), "treeReduce")
end

--- Action: as aggregate, but the results of many partitions are merged by the workers, in rounds.
---
---     words:treeAggregate(0, function(n, word) return n + #word end, function(a, b) return a + b end)
---
--- As in Spark 1.3.
---@param zero any plain data; used once in each partition
---@param seq fun(acc: any, value: any): any adds a record
---@param comb fun(a: any, b: any): any merges two results
---@param depth? integer rounds of merging, 1 to 32, default 2
---@return any
function RDD:treeAggregate(zero, seq, comb, depth)
    begin(self, class, "treeAggregate")
    local fields = { zero = operators.zero("treeAggregate", zero), fn = operators.package(2, "treeAggregate", seq, "seqOp") }
    local merge = operators.package(3, "treeAggregate", comb, "combOp")
    depth = check_depth(4, "treeAggregate", depth)
    if self.node:partitions() == 0 then
        return codec.unpack(codec.pack(zero)) -- not the script's own table: it may change what it gets
    end
    local site = closure.site(seq)
    local parts = operators.narrow(self, "aggregatePartition", "treeAggregate", site, fields)
    return actions.collect(self.scope, in_tree(parts, "treeAggregate", closure.site(comb), merge, depth))[1]
end

handles.add { RDD = RDD }
