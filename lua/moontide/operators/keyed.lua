-- Operators by key that RDD and DStream have beyond those of operators.lua.

local actions = require "moontide.actions"
local check = require "moontide.check"
local closure = require "moontide.closure"
local codec = require "moontide.worker.codec"
local operators = require "moontide.operators"
local random = require "moontide.random"

local keyed = {}

local KEY_GROUPS = 128 -- host/wire/hash.h

--- Brings the records to the partition of their key; what is partitioned so already stays as it is.
--- @param node userdata of a stream or dataset
--- @param name string
--- @param site string
--- @param n integer
--- @return userdata node
function keyed.spread(node, name, site, n)
    return node:shuffle(operators.by_key(name, site, n))
end

local function partitions(handle, index, name, n)
    return check.partitions(index, name, n, handle.scope.partitions({ handle.node }))
end

function keyed.partitionBy(handle, n)
    local scope = operators.begin(handle, "partitionBy")
    n = partitions(handle, 1, "partitionBy", n)
    return scope.wrap(keyed.spread(handle.node, "partitionBy", check.site(), n))
end

-- seq merges values into something that begins as `zero`, comb merges these.
local function by_key_from(handle, name, zero, seq, comb, seq_role, comb_role, n)
    local scope = operators.begin(handle, name)
    local zero_bytes = operators.zero(name, zero)
    local merge = operators.package(2, name, seq, seq_role)
    local merge_both = comb == seq and merge or operators.package(3, name, comb, comb_role)
    n = partitions(handle, comb == seq and 3 or 4, name, n)
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

-- The partition of `n` that a key belongs to, as host/wire/hash.h says.
local function partition_of(key, n)
    local fast = require "moontide.worker.ffi"
    local bytes = codec.pack(key)
    local hash = fast.C.tide_hash_packed(fast.ffi.cast("const uint8_t *", bytes), #bytes)
    local group = tonumber(fast.ffi.cast("uint32_t", hash / 4294967296ULL)) % KEY_GROUPS
    return math.floor(group * n / KEY_GROUPS)
end

local function lookup_node(rdd, key)
    local site = check.site()
    local keep
    if type(key) == "table" then
        local bytes = codec.pack(key)
        keep = operators.own("lookup", function(k)
            return type(k) == "table" and codec.pack(k) == bytes
        end)
    else
        keep = operators.own("lookup", function(k)
            return k == key
        end)
    end
    local found = operators.narrow(rdd, "filter", "lookup", site, { fn = keep }, true)
    return found:narrow(operators.descriptor("values", "lookup", site), false)
end

local function sample_by_key(with_replacement, fractions, seed)
    return function(index, it)
        local draw = random.new(seed, index)
        local function fraction_of(key)
            local fraction = fractions[key]
            if fraction == nil then
                error("no fraction is given for the key " .. tostring(key), 0)
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
            check.fail("bad argument #2 to 'sampleByKey' (key %s: a fraction %s expected, got %s)", tostring(key),
                with_replacement and "of at least 0" or "from 0 to 1", tostring(fraction))
        end
    end
end

--- Adds these operators to the methods of RDD.
--- @param RDD table methods
--- @param class table
function keyed.install(RDD, class)
    --- Pairs in the partition that the hash of their key says. Operators by key with the same number of partitions, joins
    --- too, then need no shuffle; worth it with persist for a dataset that is used more than once.
    ---
    ---     local users = sc:textFile("users.txt"):map(parse):partitionBy(8):persist()
    ---
    --- As in Spark 0.9.
    --- @param n? integer partitions, default the context's parallelism
    --- @return moontide.RDD
    function RDD:partitionBy(n)
        return keyed.partitionBy(self, n)
    end

    --- Merges the values of each key with `f`, starting from `zero` (once for each key and partition).
    ---
    ---     sales:foldByKey(0, function(sum, price) return sum + price end)
    ---
    --- As in Spark 0.9.
    --- @param zero any plain data
    --- @param f fun(a: any, b: any): any
    --- @param n? integer partitions, default the context's parallelism
    --- @return moontide.RDD
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
    --- @param zero any plain data; each key gets a copy
    --- @param seq fun(acc: any, value: any): any
    --- @param comb fun(a: any, b: any): any
    --- @param n? integer partitions, default the context's parallelism
    --- @return moontide.RDD
    function RDD:aggregateByKey(zero, seq, comb, n)
        return keyed.aggregateByKey(self, zero, seq, comb, n)
    end

    --- The pairs in partitions by key, sorted by key within each of them: cheaper than sortByKey where no order across
    --- partitions is needed.
    ---
    ---     scores:repartitionAndSortWithinPartitions(1):keys():collect()  --> { "ann", "ann", "bob" }
    ---
    --- As in Spark 1.2.
    --- @param n? integer partitions, default the context's parallelism
    --- @param ascending? boolean default true
    --- @return moontide.RDD
    function RDD:repartitionAndSortWithinPartitions(n, ascending)
        local name = "repartitionAndSortWithinPartitions"
        local scope = operators.begin(self, name)
        n = partitions(self, 1, name, n)
        ascending = check.boolean(2, name, ascending, true)
        local sort = { kind = "sort", ascending = ascending }
        return scope.wrap(operators.shuffle(self.node, name, check.site(), "hash", n, { kind = "route" }, sort, sort))
    end

    --- A sample in which each key has a fraction of its own.
    ---
    ---     scores:sampleByKey(false, { ann = 0.5, bob = 1 }, 7)
    ---
    --- A key without a fraction is an error of the job. As in Spark 1.1.
    --- @param withReplacement boolean true: a record may come several times
    --- @param fractions table<any, number> chance of a record (0 to 1), with replacement how often it comes on average
    --- @param seed? integer the same seed gives the same sample, default another one each time
    --- @return moontide.RDD
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
    --- @param key any what a record may be; a table is compared by its contents
    --- @return any[] in the order of partitions and records; empty when the key is not there
    function RDD:lookup(key)
        check.self(self, class, "lookup")
        self.scope.ready("lookup")
        if key == nil or key ~= key then
            check.fail("bad argument #1 to 'lookup' (a key is never %s)", key == nil and "nil" or "NaN")
        end
        local plain, reason = pcall(codec.pack, key)
        if not plain then
            check.fail("bad argument #1 to 'lookup' (%s)", check.without_position(reason))
        end
        local hashed = self.node:hashPartitions()
        return actions.collect(self.scope, lookup_node(self, key), hashed > 0 and { partition_of(key, hashed) } or nil)
    end

    --- Action: the values of each key merged by `f`, as a table.
    ---
    ---     sc:parallelizePairs({ { "a", 1 }, { "b", 1 }, { "a", 2 } })
    ---         :reduceByKeyLocally(function(a, b) return a + b end)  --> { a = 3, b = 1 }
    ---
    --- As in Spark 0.9.
    --- @param f fun(a: any, b: any): any associative and commutative
    --- @return table<any, any>
    function RDD:reduceByKeyLocally(f)
        check.self(self, class, "reduceByKeyLocally")
        operators.begin(self, "reduceByKeyLocally")
        operators.package(1, "reduceByKeyLocally", f)
        return operators.reduceByKey(self, f):collectAsMap()
    end
end

--- Adds what streams have of these to the methods of DStream.
--- @param DStream table methods
function keyed.install_stream(DStream)
    --- The pairs of each batch in the partition that the hash of their key says: joins and operators by key with the same
    --- number of partitions then need no shuffle.
    ---
    ---     events:partitionBy(4)
    ---
    --- As in PySpark 1.2.
    --- @param n? integer partitions, default the context's parallelism
    --- @return moontide.DStream
    function DStream:partitionBy(n)
        return keyed.partitionBy(self, n)
    end
end

return keyed
