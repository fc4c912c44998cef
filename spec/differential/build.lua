-- A pipeline as a program for the library: each node becomes a stream.

local functions = require "spec.differential.functions"
local handles = require "moontide.operators.handles"
local moontide = require "moontide"
local testing = require "moontide.testing"

local build = {}

local BATCH = 1000 -- ms

--- Whether the library has a method: "stream:map", "rdd:subtract".
---@param name string
function build.has(name)
    local kind, method = name:match("^(%a+):(%w+)$")
    local class = handles[kind == "rdd" and "RDD" or "DStream"]
    local ok, value = pcall(class.__index, nil, method)
    return ok and type(value) == "function"
end

local function fn_of(node, kind)
    return functions.make(kind, node.fn[1], node.fn[2])
end

local function same_partition(it)
    return it
end

local function sum_partition(it)
    local sum = 0
    for x in it do
        sum = sum + x
    end
    return { sum }
end

local function last_of_partition(it)
    local last
    for x in it do
        last = x
    end
    return { last }
end

local function both_sorted(sides)
    return { functions.sorted(sides[1]), functions.sorted(sides[2]) }
end

local function sort_values(stream)
    return stream:mapValues(functions.sorted)
end

-- f(stream, node, second stream, ssc) → stream
local ops = {}

function ops.map(a, node) return a:map(fn_of(node, "values")) end
function ops.toPair(a, node) return a:map(fn_of(node, "to_pair")) end
function ops.fromPair(a, node) return a:map(fn_of(node, "from_pair")) end
function ops.swap(a) return a:map(functions.swap) end
function ops.filter(a, node) return a:filter(fn_of(node, node.kind)) end
function ops.flatMap(a, node) return a:flatMap(fn_of(node, node.kind)) end
function ops.mapValues(a, node) return a:mapValues(fn_of(node, "values")) end
function ops.flatMapValues(a, node) return a:flatMapValues(fn_of(node, "many")) end
function ops.samePartitions(a, node) return a:mapPartitions(same_partition, node.preserves) end
function ops.sumPartitions(a) return a:mapPartitions(sum_partition) end
function ops.lastOfPartition(a) return a:mapPartitions(last_of_partition) end
function ops.glom(a) return a:glom() end
function ops.repartition(a, node) return a:repartition(node.n) end
function ops.count(a) return a:count() end
function ops.reduce(a, node) return a:reduce(fn_of(node, "merges")) end
function ops.countByValue(a, node) return a:countByValue(node.n) end
function ops.reduceByKey(a, node) return a:reduceByKey(fn_of(node, "merges"), node.n) end
function ops.groupByKey(a, node) return sort_values(a:groupByKey(node.n)) end
function ops.persist(a) return a:persist() or a end

function ops.combineByKey(a, node)
    local f = functions.combine
    return a:combineByKey(f.create, f.add, f.merge, node.n)
end

function ops.picky(a, node)
    local c, refuses = node.c, functions.refuses
    return a:filter(function(x)
        if refuses(x, c) then
            error("this record is refused")
        end
        return true
    end)
end

function ops.pickyTransform(a, node)
    return a:transform(function(rdd, time)
        if time / BATCH % 4 == node.c then
            error("this batch is refused")
        end
        return rdd
    end)
end

function ops.union(a, node, b, ssc)
    if node.how == "context" then
        return ssc:union { a, b }
    elseif node.how == "transform" then
        return a:transformWith(b, function(x, y) return x:union(y) end)
    end
    return a:union(b)
end

-- Operators on datasets: f(rdd, node, second rdd, time) → rdd
local datasets = {}

function datasets.keyBy(a, node)
    local c = node.c
    return a:keyBy(function(x) return #functions.show(x) % (c + 2) end)
end

function datasets.keys(a) return a:keys() end
function datasets.values(a) return a:values() end
function datasets.distinct(a, node) return a:distinct(node.n) end
function datasets.sortByKey(a, node) return a:sortByKey(node.ascending, node.n) end
function datasets.coalesce(a, node) return a:coalesce(node.n) end
function datasets.timed(a, _, _, time) return a:map(function(x) return x + time end) end
function datasets.zipWithIndex(a) return a:zipWithIndex() end
function datasets.foldByKey(a, node) return a:foldByKey(0, functions.sum, node.n) end
function datasets.cartesian(a, _, b) return a:cartesian(b) end
function datasets.zip(a, _, b) return a:zip(b) end
function datasets.subtract(a, node, b) return a:subtract(b, node.n) end
function datasets.intersection(a, node, b) return a:intersection(b, node.n) end
function datasets.subtractByKey(a, node, b) return a:subtractByKey(b, node.n) end
function datasets.partitionBy(a, node) return a:partitionBy(node.n) end

function datasets.rddPersist(a)
    a:persist()
    return a
end

-- An action inside transform.
function datasets.counted(a) return a:context():parallelize({ a:count() }, 1) end
function datasets.folded(a) return a:context():parallelize({ a:fold(0, functions.sum) }, 1) end
function datasets.top(a, node) return a:context():parallelize(a:top(node.n), 1) end

function datasets.treeReduce(a)
    return a:context():parallelize({ a:isEmpty() and 0 or a:treeReduce(functions.sum) }, 1)
end

function datasets.numbered(a)
    return a:mapPartitionsWithIndex(function(index, it)
        return function()
            local x = it()
            if x ~= nil then
                return index, x
            end
        end
    end)
end

function datasets.groupBy(a, node)
    local c = node.c
    return a:groupBy(function(x) return #functions.show(x) % (c + 2) end, node.n):mapValues(functions.sorted)
end

function datasets.sortBy(a, node)
    return a:sortBy(functions.show, node.ascending, node.n)
end

function datasets.aggregateByKey(a, node)
    return a:aggregateByKey(0, function(count) return count + 1 end, functions.sum, node.n)
end

function datasets.joinedRdds(a, node, b)
    local made = a[node.kind](a, b, node.n)
    return node.kind == "cogroup" and made:mapValues(both_sorted) or made
end

for name, f in pairs(datasets) do
    ops[name] = function(a, node, b)
        if b then
            return a:transformWith(b, function(x, y, time) return f(x, node, y, time) end)
        end
        return a:transform(function(x, time) return f(x, node, nil, time) end)
    end
end

function ops.joined(a, node, b)
    local made = a[node.kind](a, b, node.n)
    return node.kind == "cogroup" and made:mapValues(both_sorted) or made
end

function ops.window(a, node) return a:window(node.window * BATCH, node.slide * BATCH) end

function ops.reduceByWindow(a, node)
    return a:reduceByWindow(fn_of(node, "merges"), node.window * BATCH, node.slide * BATCH)
end

function ops.reduceByWindowInverse(a, node)
    return a:reduceByWindow(functions.sum, functions.subtract, node.window * BATCH, node.slide * BATCH)
end

function ops.countByWindow(a, node) return a:countByWindow(node.window * BATCH, node.slide * BATCH) end

function ops.countByValueAndWindow(a, node)
    return a:countByValueAndWindow(node.window * BATCH, node.slide * BATCH, node.n)
end

function ops.reduceByKeyAndWindow(a, node)
    return a:reduceByKeyAndWindow(fn_of(node, "merges"), node.window * BATCH, node.slide * BATCH, node.n)
end

function ops.reduceByKeyAndWindowInverse(a, node)
    return a:reduceByKeyAndWindow(functions.sum, functions.subtract, node.window * BATCH, node.slide * BATCH, node.n,
        node.filtered and function(_, v) return v ~= 0 end or nil)
end

function ops.groupByKeyAndWindow(a, node)
    return sort_values(a:groupByKeyAndWindow(node.window * BATCH, node.slide * BATCH, node.n))
end

local function initial_rdd(node, ssc)
    return node.initial and ssc.sc:parallelizePairs(node.initial, 2)
end

function ops.updateStateByKey(a, node, _, ssc)
    return a:updateStateByKey(fn_of(node, "updates"), { partitions = node.n, initial = initial_rdd(node, ssc) })
end

function ops.mapWithState(a, node, _, ssc)
    local spec = moontide.StateSpec.func(fn_of(node, "with_state")):numPartitions(node.n)
    if node.initial then
        spec = spec:initialState(initial_rdd(node, ssc))
    end
    if node.timeout then
        spec = spec:timeout(node.timeout * BATCH)
    end
    local made = a:mapWithState(spec)
    return node.snapshots and made:stateSnapshots() or made
end

local function inputs_of(program)
    local inputs, pairs_flags = {}, {}
    for index, input in ipairs(program.inputs) do
        inputs[index] = {}
        for number, batch in ipairs(input.batches) do
            inputs[index][number] = batch == "none" and testing.NONE or batch
        end
        pairs_flags[index] = input.type.k ~= nil
    end
    return inputs, pairs_flags
end

--- Runs a program in the library.
---@param program table
---@return table result as the model's; `error` is the text of a failure
function build.run(program)
    local inputs, pairs_flags = inputs_of(program)
    local result = testing.run {
        batch = BATCH, batches = program.batches, inputs = inputs, pairs = pairs_flags,
        partitions = program.partitions, master = program.master, conf = program.skip and { onError = "skip" } or nil,
        build = function(ssc, ...)
            local given, streams = { ... }, {}
            for id, node in ipairs(program.nodes) do
                streams[id] = node.op == "input" and given[node.input]
                    or ops[node.op](streams[node.from[1]], node, streams[node.from[2]], ssc)
            end
            return streams[program.outputs[1]], streams[program.outputs[2]]
        end,
    }
    local err = result.error
    return {
        outputs = { result.batches, result.second }, error = err and tostring(err),
        failed = err and err.time and err.time / BATCH or err and -1 or nil,
    }
end

return build
