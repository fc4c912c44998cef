--- RDD: the handle of a dataset. Datasets are immutable and lazy: transformations add a node to the lineage, actions (see
--- actions.lua) compute it. A record is one Lua value, or a pair of two; outside of closures a pair is the table
--- {key, value}.

local actions = require "moontide.operators.actions"
local check = require "moontide.base.check"
local codec = require "moontide.wire.codec"
local elsewhere = require "moontide.operators.elsewhere"
local memory = require "moontide.base.memory"
local operators = require "moontide.operators"
local partitioner = require "moontide.operators.partitioner"
local preview = require "moontide.base.preview"

local rdd = {}

--- A dataset. Misuse is raised at the caller's line: wrong arguments, functions and values that cannot travel to the
--- workers (the message names the variable), a context that is stopped. An action that fails raises a moontide.Error.
---@class moontide.RDD
---@field sc moontide.Context
local RDD = {}

local class = check.class("RDD", "an", RDD, elsewhere.of("RDD"))
rdd.class = class

--- Whether datasets have a method of that name.
---@param name string
---@return boolean
function rdd.has(name)
    return RDD[name] ~= nil
end

-- Records are packed in blocks of this many, so that a cancelled job ends soon and memory is freed piece by piece.
local BLOCK_RECORDS = 16384

--- Part `index` (from 0) of `n` of an array of `length` records holds first…last.
---@param index integer
---@param n integer
---@param length integer
---@return integer first
---@return integer last
function rdd.slice(index, n, length)
    return math.floor(index * length / n) + 1, math.floor((index + 1) * length / n)
end

local function pack_slices(array, n, arity, add)
    for index = 0, n - 1 do
        local first, last = rdd.slice(index, n, #array)
        local blocks = {}
        add(blocks)
        while first <= last do
            local stop = math.min(last, first + BLOCK_RECORDS - 1)
            blocks[#blocks + 1] = codec.block_of(array, first, stop, arity)
            first = stop + 1
        end
    end
end

--- Packs an array in partitions for engine:blocks. Bad records are an error at the caller's line.
---@param what string function that was called, for messages
---@param array any[]
---@param n integer partitions
---@param arity 1|2
---@return number[][] addresses of blocks
function rdd.pack(what, array, n, arity)
    local partitions = {}
    local ok, message = pcall(pack_slices, array, n, arity, function(blocks)
        partitions[#partitions + 1] = blocks
    end)
    if not ok then
        for _, blocks in ipairs(partitions) do
            for _, address in ipairs(blocks) do
                codec.release(address)
            end
        end
        memory.rethrow(message)
        check.fail("%s: %s", what, check.without_position(message))
    end
    return partitions
end

--- Tells what messages say of a dataset's records: where in the script they come from, and one of them.
---@param node userdata
---@param what string function that was called
---@param array any[]
---@param arity 1|2
function rdd.describe(node, what, array, arity)
    local first = array[1]
    if first ~= nil then
        node:madeBy(("%s (%s)"):format(what, check.site()), arity == 2 and preview(first[1], first[2]) or preview(first))
    end
end

--- Raises when datasets or streams that are to be united are known to be of different kinds.
---@param name string operator
---@param nodes userdata[]
function rdd.check_alike(name, nodes)
    local known
    for _, node in ipairs(nodes) do
        local reason = known and known:clash(node)
        if reason then
            check.fail("'%s': %s", name, reason)
        end
        known = known or node:arity() > 0 and node or nil
    end
end

--- What the handles of one context share.
---@param sc moontide.Context
---@param state table
---@return table scope
function rdd.scope(sc, state)
    local scope = { state = state }

    function scope.ready(name)
        if state.closed or state.closing then
            check.fail("'%s': the context is stopped (stop was called)", name)
        end
    end

    function scope.parallelism()
        return state.parallelism
    end

    function scope.partitioner(nodes)
        local most
        for _, node in ipairs(nodes) do
            if node:keyPartitions() > (most and most:keyPartitions() or 0) then
                most = node
            end
        end
        return most and partitioner.of(most) or partitioner.by_hash(state.parallelism)
    end

    function scope.wrap(node)
        return setmetatable({ sc = sc, scope = scope, node = node }, class)
    end

    function scope.from_array(what, array, n, arity)
        local node = state.engine:blocks(rdd.pack(what, array, n, arity))
        rdd.describe(node, what, array, arity)
        return scope.wrap(node)
    end

    function scope.union(what, rdds)
        if #rdds == 0 then
            check.fail("'%s': the list is empty, at least one dataset is needed", what)
        end
        local nodes = {}
        for index, other in ipairs(rdds) do
            if getmetatable(other) ~= class then
                check.fail("'%s': an RDD expected at position %d, got %s", what, index, check.type_name(other))
            end
            if other.scope ~= scope then
                check.fail("'%s': the dataset at position %d belongs to another Context", what, index)
            end
            nodes[index] = other.node
        end
        rdd.check_alike(what, nodes)
        local node = state.engine:union(nodes)
        if node:arity() == 0 then
            node:joinedBy(("%s (%s)"):format(what, check.site()))
        end
        return scope.wrap(node)
    end

    return scope
end

function class.__tostring(self)
    if self.scope.state.closed then
        return "RDD of a context that is stopped"
    end
    local partitions = self.node:partitions()
    return ("RDD #%d (%d partition%s)"):format(self.node:id(), partitions, partitions == 1 and "" or "s")
end

--- Applies `f` to each record; what it returns is the new record. Two values make a pair, nil is an error.
---
---     words:map(function(word) return word, 1 end)
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any): any, any on pairs f(key, value)
---@return moontide.RDD
function RDD:map(f)
    return operators.map(self, f)
end

--- Applies `f` to each record; it returns an array or an iterator of new records.
---
---     lines:flatMap(function(line) return line:gmatch("%S+") end)
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any): any
---@return moontide.RDD
function RDD:flatMap(f)
    return operators.flatMap(self, f)
end

--- Keeps the records for which `f` returns a true value.
---
---     lines:filter(function(line) return #line > 0 end)
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any): any
---@return moontide.RDD
function RDD:filter(f)
    return operators.filter(self, f)
end

--- Applies `f` to each partition as a whole; empty partitions too. It gets an iterator and returns an array or an
--- iterator.
---
---     numbers:mapPartitions(function(it) local sum = 0; for x in it do sum = sum + x end; return { sum } end)
---
--- As in Spark 0.9.
---@param f fun(it: function): any
---@param preservesPartitioning? boolean true promises that `f` leaves keys alone, default false
---@return moontide.RDD
function RDD:mapPartitions(f, preservesPartitioning)
    return operators.mapPartitions(self, f, preservesPartitioning)
end

--- Like mapPartitions; `f` gets the number of the partition, from 0, before the iterator.
---
---     sc:parallelize({ "a", "b", "c" }, 2):mapPartitionsWithIndex(function(index, it)
---         local list = {}
---         for x in it do list[#list + 1] = index .. x end
---         return list
---     end):collect()  --> { "0a", "1b", "1c" }
---
--- As in Spark 0.9.
---@param f fun(index: integer, it: function): any
---@param preservesPartitioning? boolean true promises that `f` leaves keys alone, default false
---@return moontide.RDD
function RDD:mapPartitionsWithIndex(f, preservesPartitioning)
    return operators.mapPartitionsWithIndex(self, f, preservesPartitioning)
end

--- One record for each partition: the array of its records. Empty partitions give empty arrays.
---
---     sc:parallelize({ 1, 2, 3 }, 2):glom():collect()  --> { { 1 }, { 2, 3 } }
---
--- As in Spark 0.9.
---@return moontide.RDD
function RDD:glom()
    return operators.glom(self)
end

--- Applies `f` to the value of each pair and leaves the key.
---
---     counts:mapValues(function(n) return n * 2 end)
---
--- As in Spark 0.9.
---@param f fun(value: any): any
---@return moontide.RDD
function RDD:mapValues(f)
    return operators.mapValues(self, f)
end

--- Applies `f` to the value of each pair; each value of the array or iterator it returns makes a pair with the key.
---
---     sc:parallelizePairs({ { "k", "x y" } }):flatMapValues(function(text) return text:gmatch("%S+") end):collect()
---         --> { { "k", "x" }, { "k", "y" } }
---
--- As in Spark 0.9.
---@param f fun(value: any): any
---@return moontide.RDD
function RDD:flatMapValues(f)
    return operators.flatMapValues(self, f)
end

--- Pairs (f(x), x).
---
---     sc:parallelize({ "ebb", "flow" }):keyBy(function(word) return #word end):collect()  --> { { 3, "ebb" }, { 4, "flow" } }
---
--- As in Spark 0.9.
---@param f fun(value: any, second: any): any
---@return moontide.RDD
function RDD:keyBy(f)
    return operators.keyBy(self, f)
end

--- The keys of pairs.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }):keys():collect()  --> { "a", "b" }
---
--- Single records are an error of the job. As in Spark 0.9.
---@return moontide.RDD
function RDD:keys()
    return operators.keys(self)
end

--- The values of pairs.
---
---     sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }):values():collect()  --> { 1, 2 }
---
--- Single records are an error of the job. As in Spark 0.9.
---@return moontide.RDD
function RDD:values()
    return operators.values(self)
end

--- The records of this dataset and of others; nothing is removed. All are of single values, or all of pairs.
---
---     sc:parallelize({ 1, 2 }):union(sc:parallelize({ 2, 3 })):collect()  --> { 1, 2, 2, 3 }
---
--- There it takes one. As in Spark 0.9.
---@param other moontide.RDD of the same context
---@param ... moontide.RDD more of them
---@return moontide.RDD
function RDD:union(other, ...)
    local scope = operators.begin(self, "union")
    return scope.union("union", check.handles("union", class, self, other, ...))
end

--- Each different record once.
---
---     sc:parallelize({ 1, 2, 1 }):distinct():collect()  --> { 1, 2 } in any order
---
--- As in Spark 0.9.
---@param n? integer partitions, default the context's parallelism
---@return moontide.RDD
function RDD:distinct(n)
    return operators.distinct(self, n)
end

--- Merges the values of each key with `f`, which must be associative and commutative.
---
---     ones:reduceByKey(function(a, b) return a + b end)
---
--- As in Spark 0.9.
---@param f fun(a: any, b: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:reduceByKey(f, n)
    return operators.reduceByKey(self, f, n)
end

--- Pairs of each key and the array of its values, in no particular order.
---
---     sc:parallelizePairs({ { "a", 1 }, { "a", 2 } }):groupByKey():collect()  --> { { "a", { 1, 2 } } }
---
--- As in Spark 0.9.
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:groupByKey(n)
    return operators.groupByKey(self, n)
end

--- Merges the values of each key to something of another kind.
---
---     scores:combineByKey(function(x) return { x, 1 } end,
---         function(c, x) return { c[1] + x, c[2] + 1 } end,
---         function(a, b) return { a[1] + b[1], a[2] + b[2] } end)
---
--- As in Spark 0.9.
---@param createCombiner fun(value: any): any
---@param mergeValue fun(combiner: any, value: any): any
---@param mergeCombiners fun(a: any, b: any): any
---@param n? integer|moontide.Partitioner partitions, default the context's parallelism
---@return moontide.RDD
function RDD:combineByKey(createCombiner, mergeValue, mergeCombiners, n)
    return operators.combineByKey(self, createCombiner, mergeValue, mergeCombiners, n)
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
    return operators.sortByKey(self, ascending, n, key)
end

--- The same records, spread evenly over `n` partitions; their order is lost.
---
---     numbers:repartition(8):getNumPartitions()  --> 8
---
--- As in Spark 0.9.
---@param n integer partitions, 1 to 100,000
---@return moontide.RDD
function RDD:repartition(n)
    return operators.repartition(self, n)
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
        return operators.repartition(self, n)
    end
    if n >= self.node:partitions() then
        return self
    end
    return scope.wrap(self.node:coalesce(n))
end

--- How many partitions the dataset has.
---
---     sc:parallelize({ 1, 2, 3 }, 2):getNumPartitions()  --> 2
---
--- As in Spark 1.6.
---@return integer
function RDD:getNumPartitions()
    check.self(self, class, "getNumPartitions")
    self.scope.ready("getNumPartitions")
    return self.node:partitions()
end

--- A number that no other dataset of the process has.
---
---     numbers:id() == words:id()  --> false
---
--- As in Spark 0.9.
---@return integer
function RDD:id()
    check.self(self, class, "id")
    self.scope.ready("id")
    return self.node:id()
end

--- The context the dataset belongs to.
---
---     numbers:context() == sc  --> true
---
--- As in Spark 0.9.
---@return moontide.Context
function RDD:context()
    check.self(self, class, "context")
    return self.sc
end

--- How the dataset comes about, one line for each step.
---
---     print(lines:map(parse):reduceByKey(add):toDebugString())
---
--- As in Spark 0.9.
---@return string
function RDD:toDebugString()
    check.self(self, class, "toDebugString")
    self.scope.ready("toDebugString")
    return self.node:lineage()
end

actions.install(RDD, class)
for _, group in ipairs({ "keyed", "joins", "sets", "sampling", "numbers", "storage", "checkpoint" }) do
    require("moontide.operators." .. group).install(RDD, class)
end
require("moontide.operators.files").install_rdd(RDD, class)

return rdd
