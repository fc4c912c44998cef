--- Operators by key that RDD and DStream have beyond those of operators.lua.

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local closure = require "moontide.closure"
local codec = require "moontide.wire.codec"
local memory = require "moontide.base.memory"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"
local preview = require "moontide.base.preview"
local random = require "moontide.base.random"
local text_form = require "moontide.base.text_form"

local keyed = {}

--- Brings the records to the partition of their key; what is partitioned so already stays as it is.
---@param node userdata of a stream or dataset
---@param name string
---@param site string
---@param by moontide.Partitioner
---@return userdata node
function keyed.spread(node, name, site, by)
    return node:shuffle(operators.by_key(name, site, by))
end

local partitioning = operators.partitioning

function keyed.partitionBy(handle, n, f)
    local scope = operators.begin(handle, "partitionBy")
    local by = partitioning(handle, 1, "partitionBy", n)
    if f ~= nil then
        check.func(2, "partitionBy", f)
        if by.package then
            check.fail("bad argument #2 to 'partitionBy' (the partitioner has a function already)")
        end
        by = partitioner.constructor(by.count, f)
    end
    return scope.wrap(keyed.spread(handle.node, "partitionBy", check.site(), by))
end

-- seq merges values into something that begins as `zero`, comb merges these.
local function by_key_from(handle, name, zero, seq, comb, seq_role, comb_role, n)
    local scope = operators.begin(handle, name)
    local zero_bytes = operators.zero(name, zero)
    local merge = operators.package(2, name, seq, seq_role)
    local merge_both = comb == seq and merge or operators.package(3, name, comb, comb_role)
    n = partitioning(handle, comb == seq and 3 or 4, name, n)
    local combine = { kind = "combine", zero = zero_bytes, merge = merge }
    return scope.wrap(operators.shuffle(handle.node, name, closure.site(seq), "hash", n, combine,
        { kind = "merge", merge = merge_both }, combine))
end

function keyed.foldByKey(handle, zero, fn, n)
    return by_key_from(handle, "foldByKey", zero, fn, fn, "f", "f", n)
end

function keyed.aggregateByKey(handle, zero, seq, comb, n)
    return by_key_from(handle, "aggregateByKey", zero, seq, comb, "seqOp", "combOp", n)
end

local function lookup_node(rdd, key)
    local site = check.site()
    local keep
    if type(key) == "table" then
        local bytes = codec.pack_key(key)
        keep = operators.own("lookup", function(k)
            return type(k) == "table" and codec.same_key(codec.pack(k), bytes)
        end)
    else
        keep = operators.own("lookup", function(k)
            return k == key
        end)
    end
    local found = operators.narrow(rdd, "filter", "lookup", site, { fn = keep }, true)
    return found:narrow(operators.descriptor("values", "lookup", site), false)
end

-- Sorts each partition by what `key` makes of the keys. The records travel as values meanwhile; as they come back in the partitions
-- where they were, the nodes say that keys are kept.
local function sort_within(node, name, key, sort)
    local site = closure.site(key)
    local wrapped = node:narrow(operators.descriptor("map", name, site,
        { fn = operators.own(name, function(k, v) return key(k), { k, v } end) }), true)
    local sorted = wrapped:zip({}, operators.descriptor(sort.kind, name, site, sort), true)
    return sorted:narrow(operators.descriptor("unwrap", name, site), true)
end

local function sample_by_key(with_replacement, fractions, seed)
    return function(index, it)
        local draw = random.new(seed, index)
        local function fraction_of(key)
            local fraction = fractions[key]
            if fraction == nil then
                error("no fraction is given for the key " .. text_form.value(key), 0)
            end
            return fraction
        end
        if not with_replacement then
            return function()
                for key, value in it do
                    if draw() < fraction_of(key) then
                        return key, value
                    end
                end
            end
        end
        local key, value, left = nil, nil, 0
        return function()
            while left == 0 do
                key, value = it()
                if key == nil then
                    return nil
                end
                left = random.poisson(draw, fraction_of(key))
            end
            left = left - 1
            return key, value
        end
    end
end

local function check_fractions(fractions, with_replacement)
    if type(fractions) ~= "table" or check.type_name(fractions) ~= "table" then
        check.bad_argument(2, "sampleByKey", "table from key to fraction", fractions)
    end
    for key, fraction in pairs(fractions) do
        if type(fraction) ~= "number" or fraction ~= fraction or fraction < 0 or not with_replacement and fraction > 1 then
            check.fail("bad argument #2 to 'sampleByKey' (key %s: a fraction %s expected, got %s)", text_form.value(key),
                with_replacement and "of at least 0" or "from 0 to 1", preview(fraction))
        end
    end
end

--- Adds these operators to the methods of RDD.
---@param RDD table methods
---@param class table
function keyed.install(RDD, class)
    --- Pairs in the partition that the hash of their key says. Operators by key with the same number of partitions, joins
    --- too, then need no shuffle; worth it with persist for a dataset that is used more than once.
    ---
    ---     local users = sc:textFile("users.txt"):map(parse):partitionBy(8):persist()
    ---
    --- With `f`, or a partitioner, that function says the partition: its result, a whole number, modulo `n`.
    ---
    ---     users:partitionBy(4, function(name) return name:byte() end)
    ---
    --- As in Spark 0.9.
    ---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
    ---@param f? fun(key: any): integer default: the hash of the key
    ---@return moontide.RDD
    function RDD:partitionBy(n, f)
        return keyed.partitionBy(self, n, f)
    end

    --- What the pairs are partitioned by, to be given to other operators by key; nil when they are not partitioned by key.
    ---
    ---     sc:parallelizePairs({ { "a", 1 } }):partitionBy(3):partitioner():numPartitions()  --> 3
    ---
    --- As in Spark 0.9.
    ---@return moontide.Partitioner?
    function RDD:partitioner()
        check.self(self, class, "partitioner")
        return partitioner.of(self.node)
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
        return keyed.foldByKey(self, zero, f, n)
    end

    --- Merges the values of each key into something of another kind with `seq`, starting from `zero` (once for each key
    --- and partition), and what the partitions made of a key with `comb`.
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
        return keyed.aggregateByKey(self, zero, seq, comb, n)
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
            return scope.wrap(operators.shuffle(self.node, name, check.site(), "hash", n, { kind = "route" }, sort, sort))
        end
        operators.package(3, name, key, "key")
        return scope.wrap(sort_within(keyed.spread(self.node, name, closure.site(key), n), name, key, sort))
    end

    --- A sample in which each key has a fraction of its own.
    ---
    ---     scores:sampleByKey(false, { ann = 0.5, bob = 1 }, 7)
    ---
    --- A key without a fraction is an error of the job. As in Spark 1.1.
    ---@param withReplacement boolean true: a record may come several times
    ---@param fractions table<any, number> chance of a record (0 to 1), with replacement how often it comes on average
    ---@param seed? integer the same seed gives the same sample, default another one each time
    ---@return moontide.RDD
    function RDD:sampleByKey(withReplacement, fractions, seed)
        local scope = operators.begin(self, "sampleByKey")
        check.boolean(1, "sampleByKey", withReplacement)
        check_fractions(fractions, withReplacement)
        seed = check.integer(3, "sampleByKey", seed, nil, nil, random.seed())
        local pick = operators.own("sampleByKey", sample_by_key(withReplacement, fractions, seed))
        return scope.wrap(operators.narrow(self, "mapPartitionsWithIndex", "sampleByKey", check.site(), { fn = pick }, true))
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
        check.self(self, class, "lookup")
        self.scope.ready("lookup")
        if key == nil or key ~= key then
            check.fail("bad argument #1 to 'lookup' (a key is never %s)", key == nil and "nil" or "NaN")
        end
        local plain, packed = pcall(codec.pack_key, key)
        if not plain then
            memory.rethrow(packed)
            check.fail("bad argument #1 to 'lookup' (%s)", check.without_position(packed))
        end
        key = codec.unpack(packed)
        local by = partitioner.of(self.node)
        return actions.collect(self.scope, lookup_node(self, key), by and { by:getPartition(key) })
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
        check.self(self, class, "reduceByKeyLocally")
        operators.begin(self, "reduceByKeyLocally")
        operators.package(1, "reduceByKeyLocally", f)
        return operators.reduceByKey(self, f):collectAsMap()
    end
end

--- Adds what streams have of these to the methods of DStream.
---@param DStream table methods
function keyed.install_stream(DStream)
    --- The pairs of each batch in the partition that the hash of their key says: joins and operators by key with the same
    --- number of partitions then need no shuffle.
    ---
    ---     events:partitionBy(4)
    ---
    --- As in PySpark 1.2.
    ---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
    ---@param f? fun(key: any): integer default: the hash of the key
    ---@return moontide.DStream
    function DStream:partitionBy(n, f)
        return keyed.partitionBy(self, n, f)
    end
end

return keyed
