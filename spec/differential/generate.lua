-- Makes random pipelines: a list of nodes, each an input or an operator applied to earlier nodes.
--
--     { op = "reduceByKey", from = { 3 }, fn = { "add", 2 }, n = 2,      what the two sides read
--       type = { k = "str", v = "int" }, slide = 2, exact = false, … }     what the generator knows about the result
--
-- exact: it is defined which record is where; sorted: the order of the keys is; parts: the number of partitions; hash:
-- equal keys are in one partition. Times are counted in batches.

local functions = require "spec.differential.functions"
local random = require "spec.differential.random"

local generate = {}

local fits = functions.fits

local function is_pair(node)
    return node.type.k ~= nil
end

local function same_type(a, b)
    return a.t == b.t and a.k == b.k and a.v == b.v
end

local function keyable(kind)
    return fits("key", kind)
end

-- The type of the tables that pairs are outside of closures.
local function table_type(node)
    if not is_pair(node) then
        return node.type.t
    end
    return keyable(node.type.k) and node.type.k ~= "tuple" and (node.type.v == "int" or node.type.v == "str") and "tuple"
        or "any"
end

local Maker = {}
Maker.__index = Maker

--- A function of this kind that takes `given`; nil when there is none.
function Maker:fn(kind, given, also)
    local names = {}
    for name, entry in pairs(functions[kind]) do
        if (given == nil or fits(entry.from, given)) and (not also or also(entry)) then
            names[#names + 1] = name
        end
    end
    if #names == 0 then
        return nil
    end
    table.sort(names)
    local name = self.random:pick(names)
    return { name, self.random:from(0, 6) }, functions[kind][name]
end

--- An earlier node that suits.
function Maker:other(suits)
    local list = {}
    for _, node in ipairs(self.nodes) do
        if suits(node) then
            list[#list + 1] = node
        end
    end
    return #list > 0 and self.random:pick(list) or nil
end

local function result(a, fields)
    fields.from = fields.from or { a.id }
    fields.slide = fields.slide or a.slide
    fields.type = fields.type or a.type
    return fields
end

-- One partition in, one out.
local function narrow(a, fields)
    local keeps = fields.keeps
    fields.keeps = nil
    fields = result(a, fields)
    fields.exact, fields.parts = a.exact, a.parts
    fields.hash = keeps and a.hash or nil
    fields.sorted = keeps == "order" and a.sorted or nil
    return fields
end

local function shuffled(a, fields)
    fields.hash = true
    fields.parts = fields.n
    return result(a, fields)
end

local makers, order, throwing = {}, {}, {}

-- Operators appear when the library has all the methods they need.
local function operator(name, needs, make, weight)
    makers[name] = { name = name, needs = needs, make = make, weight = weight or 1 }
    order[#order + 1] = name
end

-- Functions that fail on some records or batches: for programs that pass over them (onError = "skip").
local function throws(name, make, weight)
    makers[name] = { name = name, needs = {}, make = make, weight = weight }
    throwing[#throwing + 1] = name
end

local function partitions(g)
    return g.random:from(1, 4)
end

operator("map", { "stream:map" }, function(g, a)
    if is_pair(a) then
        if g.random:once_in(3) and keyable(a.type.v) then
            return narrow(a, { op = "swap", type = { k = a.type.v, v = a.type.k } })
        end
        local fn, entry = g:fn("from_pair")
        local t = entry.t == "k" and a.type.k or entry.t == "v" and a.type.v or entry.t
        return narrow(a, { op = "fromPair", fn = fn, type = { t = t } })
    elseif g.random:below(3) > 0 then
        local fn, entry = g:fn("to_pair", a.type.t)
        local function of(kind) return kind == "=" and a.type.t or kind end
        return fn and narrow(a, { op = "toPair", fn = fn, type = { k = of(entry.k), v = of(entry.v) } })
    end
    local fn, entry = g:fn("values", a.type.t)
    return narrow(a, { op = "map", fn = fn, type = { t = entry.to } })
end, 5)

operator("filter", { "stream:filter" }, function(g, a)
    if is_pair(a) then
        return narrow(a, { op = "filter", kind = "pair_predicates", fn = g:fn("pair_predicates"), keeps = "order" })
    end
    return narrow(a, { op = "filter", kind = "predicates", fn = g:fn("predicates", a.type.t) })
end, 2)

operator("flatMap", { "stream:flatMap" }, function(g, a)
    if is_pair(a) then
        return nil
    end
    if g.random:once_in(2) then
        local fn, entry = g:fn("many_pairs", a.type.t)
        local v = entry.v == "=" and a.type.t or entry.v
        return narrow(a, { op = "flatMap", kind = "many_pairs", fn = fn, type = { k = entry.k, v = v } })
    end
    local fn, entry = g:fn("many", a.type.t)
    return narrow(a, { op = "flatMap", kind = "many", fn = fn, type = { t = entry.to == "=" and a.type.t or entry.to } })
end, 2)

operator("mapPartitions", { "stream:mapPartitions" }, function(g, a)
    if a.exact and a.type.t == "int" and g.random:once_in(2) then
        return narrow(a, { op = "sumPartitions", type = { t = "int" } })
    elseif a.exact and not is_pair(a) and g.random:once_in(2) and a.type.t ~= "any" then
        return narrow(a, { op = "lastOfPartition" })
    end
    local preserves = g.random:once_in(2)
    return narrow(a, { op = "samePartitions", preserves = preserves, keeps = preserves and "order" or nil })
end)

operator("glom", { "stream:glom" }, function(_, a)
    return a.exact and narrow(a, { op = "glom", type = { t = "any" } })
end)

operator("mapValues", { "stream:mapValues" }, function(g, a)
    if not is_pair(a) then
        return nil
    end
    local fn, entry = g:fn("values", a.type.v)
    return narrow(a, { op = "mapValues", fn = fn, type = { k = a.type.k, v = entry.to }, keeps = "order" })
end, 2)

operator("flatMapValues", { "stream:flatMapValues" }, function(g, a)
    if not is_pair(a) then
        return nil
    end
    local fn, entry = g:fn("many", a.type.v)
    local v = entry.to == "=" and a.type.v or entry.to
    return narrow(a, { op = "flatMapValues", fn = fn, type = { k = a.type.k, v = v }, keeps = "order" })
end, 2)

operator("union", { "stream:union" }, function(g, a)
    local b = g:other(function(node) return node.slide == a.slide and same_type(node.type, a.type) end)
    local how = g.random:pick { "method", "context", "transform" }
    return b and result(a, { op = "union", how = how, from = { a.id, b.id }, exact = a.exact and b.exact,
        parts = not (a.hash and b.hash) and a.parts and b.parts and a.parts + b.parts or nil })
end, 3)

operator("repartition", { "stream:repartition" }, function(g, a)
    local n = partitions(g)
    return result(a, { op = "repartition", n = n, parts = n })
end)

operator("count", { "stream:count" }, function(_, a)
    return result(a, { op = "count", type = { t = "int" }, exact = true, parts = 1 })
end)

operator("reduce", { "stream:reduce" }, function(g, a)
    local fn = g:fn("merges", is_pair(a) and "any" or a.type.t)
    return result(a, { op = "reduce", fn = fn, exact = true, parts = 1 })
end)

operator("countByValue", { "stream:countByValue" }, function(g, a)
    local kind = table_type(a)
    if not keyable(kind) then
        return nil
    end
    return shuffled(a, { op = "countByValue", n = partitions(g), type = { k = kind, v = "int" } })
end)

local function by_key(a)
    return is_pair(a) and keyable(a.type.k)
end

operator("reduceByKey", { "stream:reduceByKey" }, function(g, a)
    local fn = by_key(a) and g:fn("merges", a.type.v)
    return fn and shuffled(a, { op = "reduceByKey", fn = fn, n = partitions(g) })
end, 3)

operator("groupByKey", { "stream:groupByKey" }, function(g, a)
    return by_key(a) and shuffled(a, { op = "groupByKey", n = partitions(g), type = { k = a.type.k, v = "list" } })
end, 2)

operator("combineByKey", { "stream:combineByKey" }, function(g, a)
    return by_key(a) and shuffled(a, { op = "combineByKey", n = partitions(g), type = { k = a.type.k, v = "list" } })
end)

-- Datasets in transform ------------------------------------------------------------------------------------------

operator("keyBy", { "rdd:keyBy" }, function(g, a)
    if is_pair(a) then
        return nil
    end
    return narrow(a, { op = "keyBy", c = g.random:from(0, 4), type = { k = "int", v = a.type.t } })
end)

operator("keys", { "rdd:keys" }, function(_, a)
    return is_pair(a) and narrow(a, { op = "keys", type = { t = a.type.k } })
end)

operator("values", { "rdd:values" }, function(_, a)
    return is_pair(a) and narrow(a, { op = "values", type = { t = a.type.v } })
end)

operator("distinct", { "rdd:distinct" }, function(g, a)
    if not keyable(table_type(a)) then
        return nil
    end
    local n = partitions(g)
    return result(a, { op = "distinct", n = n, parts = n })
end)

operator("sortByKey", { "rdd:sortByKey" }, function(g, a)
    if not is_pair(a) or a.type.k ~= "int" and a.type.k ~= "str" then
        return nil
    end
    local ascending = g.random:once_in(2)
    return result(a, { op = "sortByKey", ascending = ascending, n = partitions(g), sorted = ascending and 1 or -1 })
end, 2)

operator("coalesce", { "rdd:coalesce" }, function(g, a)
    return result(a, { op = "coalesce", n = partitions(g) })
end)

operator("timed", { "rdd:map" }, function(_, a)
    return a.type.t == "int" and narrow(a, { op = "timed" })
end)

operator("counted", { "rdd:count" }, function(_, a)
    return result(a, { op = "counted", type = { t = "int" }, exact = true, parts = 1 })
end)

operator("folded", { "rdd:fold" }, function(_, a)
    return a.type.t == "int" and result(a, { op = "folded", exact = true, parts = 1 })
end)

operator("numbered", { "rdd:mapPartitionsWithIndex" }, function(_, a)
    return a.exact and not is_pair(a) and narrow(a, { op = "numbered", type = { k = "int", v = a.type.t } })
end)

operator("zipWithIndex", { "rdd:zipWithIndex" }, function(_, a)
    return a.exact and not is_pair(a) and narrow(a, { op = "zipWithIndex", type = { k = a.type.t, v = "int" } })
end)

operator("groupBy", { "rdd:groupBy" }, function(g, a)
    return not is_pair(a) and shuffled(a, { op = "groupBy", c = g.random:from(0, 4), n = partitions(g),
        type = { k = "int", v = "list" } })
end)

operator("sortBy", { "rdd:sortBy" }, function(g, a)
    return not is_pair(a) and result(a, { op = "sortBy", ascending = g.random:once_in(2), n = partitions(g) })
end)

operator("foldByKey", { "rdd:foldByKey" }, function(g, a)
    return by_key(a) and a.type.v == "int" and shuffled(a, { op = "foldByKey", n = partitions(g) })
end)

operator("aggregateByKey", { "rdd:aggregateByKey" }, function(g, a)
    return by_key(a) and shuffled(a, { op = "aggregateByKey", n = partitions(g), type = { k = a.type.k, v = "int" } })
end)

operator("cartesian", { "rdd:cartesian" }, function(g, a)
    local b = g:other(function(node) return node.slide == a.slide and not is_pair(node) end)
    return b and not is_pair(a) and result(a, { op = "cartesian", from = { a.id, b.id },
        type = { k = a.type.t, v = b.type.t } })
end)

operator("zip", { "rdd:zip" }, function(_, a)
    return a.exact and not is_pair(a) and narrow(a, { op = "zip", from = { a.id, a.id },
        type = { k = a.type.t, v = a.type.t } })
end)

for _, name in ipairs { "subtract", "intersection" } do
    operator(name, { "rdd:" .. name }, function(g, a)
        local b = g:other(function(node) return node.slide == a.slide and same_type(node.type, a.type) end)
        return b and keyable(table_type(a)) and result(a, { op = name, from = { a.id, b.id }, n = partitions(g) })
    end)
end

operator("subtractByKey", { "rdd:subtractByKey" }, function(g, a)
    local b = by_key(a) and g:other(function(node) return node.slide == a.slide and node.type.k == a.type.k end)
    return b and shuffled(a, { op = "subtractByKey", from = { a.id, b.id }, n = partitions(g) })
end)

operator("partitionBy", { "rdd:partitionBy" }, function(g, a)
    return by_key(a) and shuffled(a, { op = "partitionBy", n = partitions(g) })
end)

operator("top", { "rdd:top" }, function(g, a)
    return (a.type.t == "int" or a.type.t == "str") and result(a, { op = "top", n = partitions(g), exact = true, parts = 1 })
end)

operator("treeReduce", { "rdd:treeReduce" }, function(_, a)
    return a.type.t == "int" and result(a, { op = "treeReduce", exact = true, parts = 1 })
end)

operator("rddPersist", { "rdd:persist" }, function(_, a)
    return narrow(a, { op = "rddPersist", keeps = "order" })
end)

-- Two streams by key --------------------------------------------------------------------------------------------

local function joined(a, b)
    local plain = { int = true, str = true }
    return plain[a.type.v] and plain[b.type.v] and "tuple" or "any"
end

for _, name in ipairs { "join", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "cogroup" } do
    local function make(op)
        return function(g, a)
            local b = by_key(a) and g:other(function(node) return node.slide == a.slide and node.type.k == a.type.k end)
            return b and shuffled(a, { op = op, kind = name, from = { a.id, b.id }, n = partitions(g),
                type = { k = a.type.k, v = name == "join" and joined(a, b) or "any" } })
        end
    end
    operator(name, { "stream:" .. name }, make("joined"), 2)
    operator("rdd-" .. name, { "rdd:" .. name }, make("joinedRdds"))
end

-- Windows ---------------------------------------------------------------------------------------------------------

local MOST_SLIDE = 4

local function window(g, a)
    local slide = a.slide * g.random:pick { 1, 1, 2, 3 }
    if slide > MOST_SLIDE then
        slide = a.slide
    end
    return a.slide * g.random:from(1, 4), slide
end

operator("window", { "stream:window" }, function(g, a)
    local w, s = window(g, a)
    return result(a, { op = "window", window = w, slide = s, exact = a.exact })
end, 4)

operator("reduceByWindow", { "stream:reduceByWindow" }, function(g, a)
    local w, s = window(g, a)
    if a.type.t == "int" and g.random:once_in(2) then
        return result(a, { op = "reduceByWindowInverse", window = w, slide = s })
    end
    return result(a, { op = "reduceByWindow", fn = g:fn("merges", is_pair(a) and "any" or a.type.t), window = w, slide = s })
end, 2)

operator("countByWindow", { "stream:countByWindow" }, function(g, a)
    local w, s = window(g, a)
    return result(a, { op = "countByWindow", window = w, slide = s, type = { t = "int" } })
end, 2)

operator("countByValueAndWindow", { "stream:countByValueAndWindow" }, function(g, a)
    local w, s = window(g, a)
    local kind = table_type(a)
    return keyable(kind) and shuffled(a, { op = "countByValueAndWindow", window = w, slide = s, n = partitions(g),
        type = { k = kind, v = "int" } })
end, 2)

operator("reduceByKeyAndWindow", { "stream:reduceByKeyAndWindow" }, function(g, a)
    local w, s = window(g, a)
    local fn = by_key(a) and g:fn("merges", a.type.v)
    return fn and shuffled(a, { op = "reduceByKeyAndWindow", fn = fn, window = w, slide = s, n = partitions(g) })
end, 3)

operator("inverse", { "stream:reduceByKeyAndWindow" }, function(g, a)
    local w, s = window(g, a)
    return by_key(a) and a.type.v == "int" and shuffled(a, { op = "reduceByKeyAndWindowInverse", window = w, slide = s,
        n = partitions(g), filtered = g.random:once_in(2) })
end, 4)

operator("groupByKeyAndWindow", { "stream:groupByKeyAndWindow" }, function(g, a)
    local w, s = window(g, a)
    return by_key(a) and shuffled(a, { op = "groupByKeyAndWindow", window = w, slide = s, n = partitions(g),
        type = { k = a.type.k, v = "list" } })
end, 2)

-- State -----------------------------------------------------------------------------------------------------------

operator("updateStateByKey", { "stream:updateStateByKey" }, function(g, a)
    if not by_key(a) then
        return nil
    end
    local fn, entry = g:fn("updates", a.type.v)
    return shuffled(a, { op = "updateStateByKey", fn = fn, n = partitions(g), type = { k = a.type.k, v = entry.to },
        initial = entry.to == "int" and g.random:once_in(3) and g:pairs_of(a.type.k, 3) or nil })
end, 4)

operator("mapWithState", { "stream:mapWithState" }, function(g, a)
    if not by_key(a) then
        return nil
    end
    local fn, entry = g:fn("with_state", a.type.v)
    local snapshots = g.random:once_in(3)
    local t = entry.t == "=" and a.type.k or entry.t
    local made = t and { t = t } or { k = a.type.k, v = entry.v }
    if snapshots then
        made = { k = a.type.k, v = entry.state }
    end
    return result(a, { op = "mapWithState", fn = fn, n = partitions(g), type = made, snapshots = snapshots,
        timeout = g.random:once_in(2) and a.slide * g.random:from(1, 3) or nil,
        initial = g.random:once_in(3) and g:pairs_of(a.type.k, 3) or nil })
end, 4)

operator("persist", { "stream:persist" }, function(_, a)
    return a.op ~= "input" and a.op ~= "persist" and not a.op:find("[wW]indow") and not a.op:find("State")
        and narrow(a, { op = "persist", keeps = "order" }) or nil
end)

-- Failures --------------------------------------------------------------------------------------------------------

throws("picky", function(g, a)
    return narrow(a, { op = "picky", c = g.random:from(0, 6), keeps = "order" })
end, 10)

throws("pickyTransform", function(g, a)
    return narrow(a, { op = "pickyTransform", c = g.random:from(0, 3), keeps = "order" })
end, 4)

-- Inputs ----------------------------------------------------------------------------------------------------------

local WORDS = { "", "a", "b", "a b", "ab ab", "x1 y2", "b a\0c", "zz", "A", "é", "a1b2" }
local NUMBERS = { 0, 1, 2, 3, -1, -7, 5, 8, 13, 0.5, 100000, 2 ^ 33, -2 ^ 31 }

function Maker:value(kind)
    if kind == "str" then
        return self.random:pick(WORDS)
    elseif kind == "tuple" then
        return { self:value("int"), self:value("str") }
    end
    return self.random:pick(NUMBERS)
end

--- Up to `most` pairs of different keys with whole numbers.
function Maker:pairs_of(kind, most)
    local list, seen = {}, {}
    for _ = 1, most do
        local key = self:value(kind)
        local text = functions.show(key)
        if not seen[text] then
            seen[text] = true
            list[#list + 1] = { key, self.random:from(0, 9) }
        end
    end
    return list
end

local INPUT_TYPES = {
    { t = "int" }, { t = "int" }, { t = "str" }, { t = "tuple" }, { k = "str", v = "int" }, { k = "int", v = "int" },
    { k = "int", v = "str" }, { k = "tuple", v = "int" },
}

local function input(g, batches, most)
    local kind = g.random:pick(INPUT_TYPES)
    local list = {}
    local has_none = g.random:once_in(4)
    for index = 1, g.random:from(0, batches) do
        local records = {}
        if has_none and g.random:once_in(4) then
            records = "none"
        elseif not g.random:once_in(4) then
            for at = 1, g.random:from(1, most) do
                records[at] = kind.t and g:value(kind.t) or { g:value(kind.k), g:value(kind.v) }
            end
        end
        list[index] = records
    end
    return { type = kind, batches = list }
end

local function add(g, node)
    node.id = #g.nodes + 1
    g.nodes[node.id] = node
    return node
end

-- The names of the operators that can be used, as often as they weigh.
local function usable(has, without, skip)
    local names = {}
    local all_names = { unpack(order) }
    for _, name in ipairs(skip and throwing or {}) do
        all_names[#all_names + 1] = name
    end
    for _, name in ipairs(all_names) do
        local all = not (without and without[name])
        for _, method in ipairs(makers[name].needs) do
            all = all and has(method)
        end
        for _ = 1, all and makers[name].weight or 0 do
            names[#names + 1] = name
        end
    end
    return names
end

--- Makes the pipeline of a seed.
---@param seed integer
---@param has fun(method: string): boolean whether the library has "stream:map", "rdd:subtract" …
---@param without? table<string, boolean> operators to leave out
---@param skip? boolean functions may fail, and what fails is passed over
---@return table program
function generate.program(seed, has, without, skip)
    local g = setmetatable({ random = random.new(seed), nodes = {} }, Maker)
    local batches = g.random:from(2, 8)
    local program = {
        seed = seed, batches = batches, partitions = partitions(g), master = g.random:pick { "local[1]", "local[2]" },
        inputs = {}, nodes = g.nodes, outputs = {}, skip = skip,
    }
    for index = 1, g.random:from(1, 3) do
        program.inputs[index] = input(g, batches, 8)
        add(g, { op = "input", input = index, from = {}, type = program.inputs[index].type, slide = 1, exact = true,
            parts = program.partitions })
    end
    local names = usable(has, without, skip)
    local top, wanted, tries = g.random:pick(g.nodes), g.random:from(3, 8), 0
    while wanted > 0 and tries < 200 do
        tries = tries + 1
        local name = g.random:pick(names)
        local node = makers[name].make(g, top)
        if node then
            node.drawn = name
            top = add(g, node)
            wanted = wanted - 1
        elseif g.random:once_in(12) then
            top = g.random:pick(g.nodes)
        end
    end
    program.outputs[1] = #g.nodes
    if g.random:once_in(4) then
        program.outputs[2] = g.random:from(1, #g.nodes)
    end
    return program
end

--- All operators, with the methods they need.
function generate.operators()
    local list = {}
    for _, name in ipairs(order) do
        list[#list + 1] = { name = name, needs = makers[name].needs }
    end
    return list
end

return generate
