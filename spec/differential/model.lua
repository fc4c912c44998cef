-- What a pipeline gives, by the rules of Spark's streams: a small evaluator over plain tables. It shares nothing with
-- the library, computes each dataset from scratch from its parents' (state from the state before), and is as slow and
-- simple as possible.
--
-- A dataset is a list of partitions, each a list of records; a pair is {k, v}. Where the place of records is not
-- defined there is one partition. No dataset is nil, which is not the same as an empty one. Time is counted in batches
-- from 1; the zero time is 0.

local functions = require "spec.differential.functions"
local values = require "spec.differential.values"

local model = {}

local MOST = 3000 -- records of one dataset; more make a pipeline too slow to be worth it

local function fail(kind)
    error({ kind = kind }, 0)
end

local function all_of(dataset)
    local list = {}
    for _, partition in ipairs(dataset) do
        for _, record in ipairs(partition) do
            list[#list + 1] = record
        end
    end
    if #list > MOST then
        fail("big")
    end
    return list
end

local function one(list)
    if #list > MOST then
        fail("big")
    end
    return { list }
end

-- f(record) → list of new records, in each partition.
local function each(dataset, f)
    local made, total = {}, 0
    for index, partition in ipairs(dataset) do
        local list = {}
        for _, record in ipairs(partition) do
            for _, new in ipairs(f(record)) do
                list[#list + 1] = new
            end
        end
        made[index], total = list, total + #list
    end
    if total > MOST then
        fail("big")
    end
    return made
end

local function slices(list, n)
    local made = {}
    for index = 0, n - 1 do
        local part = {}
        for at = math.floor(index * #list / n) + 1, math.floor((index + 1) * #list / n) do
            part[#part + 1] = list[at]
        end
        made[index + 1] = part
    end
    return made
end

-- Groups: keys in the order they come, each with its values.
local function grouped(list)
    local groups, by_text = {}, {}
    for _, record in ipairs(list) do
        local text = values.text(record[1])
        local group = by_text[text]
        if not group then
            group = { key = record[1], text = text, values = {} }
            by_text[text] = group
            groups[#groups + 1] = group
        end
        group.values[#group.values + 1] = record[2]
    end
    return groups, by_text
end

local function reduced(list, f)
    local result = list[1]
    for index = 2, #list do
        result = f(result, list[index])
    end
    return result
end

local function by_key(list, f)
    local made = {}
    for _, group in ipairs(grouped(list)) do
        made[#made + 1] = { group.key, f(group.values) }
    end
    return made
end

local function reduce_by_key(list, f)
    return by_key(list, function(group) return reduced(group, f) end)
end

-- Reads what a function of flatMap returned: an array, or an iterator of one or two values.
local function listed(...)
    local result = ...
    if type(result) == "table" then
        return result
    end
    local list = {}
    for a, b in ... do
        list[#list + 1] = b == nil and a or { a, b }
    end
    return list
end

local function fn_of(node, kind)
    return functions.make(kind, node.fn[1], node.fn[2])
end

-- Operators: f(node, run, t, parent's dataset, second parent's dataset) → dataset. Parents that have none: see `ask`.
local ops = {}

-- One record in, some out ---------------------------------------------------------------------------------------

function ops.map(node, _, _, a)
    local f = fn_of(node, "values")
    return each(a, function(x) return { f(x) } end)
end

function ops.toPair(node, _, _, a)
    local f = fn_of(node, "to_pair")
    return each(a, function(x) return { { f(x) } } end)
end

function ops.fromPair(node, _, _, a)
    local f = fn_of(node, "from_pair")
    return each(a, function(p) return { f(p[1], p[2]) } end)
end

function ops.swap(_, _, _, a)
    return each(a, function(p) return { { p[2], p[1] } } end)
end

function ops.filter(node, _, _, a)
    local f, pair = fn_of(node, node.kind), node.kind == "pair_predicates"
    return each(a, function(x)
        local keep
        if pair then keep = f(x[1], x[2]) else keep = f(x) end
        return keep and { x } or {}
    end)
end

function ops.flatMap(node, _, _, a)
    local f = fn_of(node, node.kind)
    return each(a, function(x) return listed(f(x)) end)
end

function ops.mapValues(node, _, _, a)
    local f = fn_of(node, "values")
    return each(a, function(p) return { { p[1], f(p[2]) } } end)
end

function ops.flatMapValues(node, _, _, a)
    local f = fn_of(node, "many")
    return each(a, function(p)
        local list = {}
        for index, v in ipairs(listed(f(p[2]))) do
            list[index] = { p[1], v }
        end
        return list
    end)
end

function ops.keyBy(node, _, _, a)
    return each(a, function(x) return { { #functions.show(x) % (node.c + 2), x } } end)
end

function ops.keys(_, _, _, a)
    return each(a, function(p) return { p[1] } end)
end

function ops.values(_, _, _, a)
    return each(a, function(p) return { p[2] } end)
end

function ops.timed(_, _, t, a)
    return each(a, function(x) return { x + t * 1000 } end)
end

local function same(_, _, _, a)
    return a
end

ops.samePartitions, ops.persist, ops.rddPersist = same, same, same

-- Whole partitions ----------------------------------------------------------------------------------------------

local function each_partition(a, f)
    local made = {}
    for index, partition in ipairs(a) do
        made[index] = f(partition, index - 1)
    end
    return made
end

function ops.sumPartitions(_, _, _, a)
    return each_partition(a, function(partition)
        local sum = 0
        for _, x in ipairs(partition) do sum = sum + x end
        return { sum }
    end)
end

function ops.lastOfPartition(_, _, _, a)
    return each_partition(a, function(partition) return { partition[#partition] } end)
end

function ops.glom(_, _, _, a)
    return each_partition(a, function(partition) return { partition } end)
end

function ops.numbered(_, _, _, a)
    return each_partition(a, function(partition, index)
        local list = {}
        for at, x in ipairs(partition) do list[at] = { index, x } end
        return list
    end)
end

function ops.zipWithIndex(_, _, _, a)
    local count = 0
    return each(a, function(x)
        count = count + 1
        return { { x, count - 1 } }
    end)
end

function ops.zip(_, _, _, a, b)
    local made = {}
    for index, partition in ipairs(a) do
        made[index] = {}
        for at, x in ipairs(partition) do made[index][at] = { x, b[index][at] } end
    end
    return made
end

-- Everything together ----------------------------------------------------------------------------------------------

-- Pairs are refused by their keys.
function ops.picky(node, run, _, a)
    local pair = run.program.nodes[node.from[1]].type.k ~= nil
    for _, record in ipairs(all_of(a)) do
        if functions.refuses(pair and record[1] or not pair and record, node.c) then
            fail("refused")
        end
    end
    return a
end

function ops.pickyTransform(node, _, t, a)
    if t % 4 == node.c then
        fail("refused")
    end
    return a
end

function ops.union(_, _, _, a, b)
    local made = {}
    for _, dataset in ipairs { a, b } do
        for _, partition in ipairs(dataset) do made[#made + 1] = partition end
    end
    all_of(made)
    return made
end

local function mixed(_, _, _, a)
    return one(all_of(a))
end

ops.repartition, ops.sortByKey, ops.sortBy, ops.coalesce, ops.partitionBy = mixed, mixed, mixed, mixed, mixed

function ops.count(_, _, _, a)
    return { { #all_of(a) } }
end

ops.counted = ops.count

function ops.reduce(node, _, _, a)
    return { { reduced(all_of(a), fn_of(node, "merges")) } }
end

function ops.folded(_, _, _, a)
    local sum = 0
    for _, x in ipairs(all_of(a)) do sum = sum + x end
    return { { sum } }
end

ops.treeReduce = ops.folded

function ops.top(node, _, _, a)
    local list = all_of(a)
    table.sort(list, function(x, y) return x > y end)
    local made = {}
    for index = 1, math.min(node.n, #list) do made[index] = list[index] end
    return { made }
end

-- By key ------------------------------------------------------------------------------------------------------------

function ops.countByValue(_, _, _, a)
    local ones = {}
    for index, x in ipairs(all_of(a)) do ones[index] = { x, 1 } end
    return one(reduce_by_key(ones, functions.sum))
end

function ops.distinct(_, _, _, a)
    local made = {}
    for index, pair in ipairs(ops.countByValue(nil, nil, nil, a)[1]) do made[index] = pair[1] end
    return one(made)
end

function ops.reduceByKey(node, _, _, a)
    return one(reduce_by_key(all_of(a), fn_of(node, "merges")))
end

function ops.groupByKey(_, _, _, a)
    return one(by_key(all_of(a), functions.sorted))
end

ops.combineByKey = ops.groupByKey

function ops.foldByKey(_, _, _, a)
    return one(reduce_by_key(all_of(a), functions.sum))
end

function ops.aggregateByKey(_, _, _, a)
    return one(by_key(all_of(a), function(group) return #group end))
end

function ops.groupBy(node, run, t, a)
    return one(by_key(all_of(ops.keyBy(node, run, t, a)), functions.sorted))
end

-- Two datasets ------------------------------------------------------------------------------------------------------

function ops.cartesian(_, _, _, a, b)
    local left, right, made = all_of(a), all_of(b), {}
    if #left * #right > MOST then
        fail("big")
    end
    for _, x in ipairs(left) do
        for _, y in ipairs(right) do made[#made + 1] = { x, y } end
    end
    return one(made)
end

local function texts_of(list)
    local set = {}
    for _, x in ipairs(list) do set[values.text(x)] = true end
    return set
end

function ops.subtract(_, _, _, a, b)
    local gone = texts_of(all_of(b))
    return one(all_of(each(a, function(x) return gone[values.text(x)] and {} or { x } end)))
end

function ops.intersection(node, run, t, a, b)
    local both = texts_of(all_of(b))
    return each(ops.distinct(node, run, t, a), function(x) return both[values.text(x)] and { x } or {} end)
end

function ops.subtractByKey(_, _, _, a, b)
    local _, gone = grouped(all_of(b))
    return one(all_of(each(a, function(p) return gone[values.text(p[1])] and {} or { p } end)))
end

-- Sides are lists of values; what a join makes of the values of one key.
local sides = {}

function sides.cogroup(left, right)
    return { { functions.sorted(left), functions.sorted(right) } }
end

local function product(left, right)
    if #left * #right > MOST then
        fail("big")
    end
    local made = {}
    for _, v in ipairs(left) do
        for _, w in ipairs(right) do made[#made + 1] = { v, w } end
    end
    return made
end

local function absent_right(left)
    local made = {}
    for index, v in ipairs(left) do made[index] = { v } end
    return made
end

local function absent_left(right)
    local made = {}
    for index, w in ipairs(right) do made[index] = { nil, w } end
    return made
end

sides.join = product

function sides.leftOuterJoin(left, right)
    return #right == 0 and absent_right(left) or product(left, right)
end

function sides.rightOuterJoin(left, right)
    return #left == 0 and absent_left(right) or product(left, right)
end

function sides.fullOuterJoin(left, right)
    return #right == 0 and absent_right(left) or #left == 0 and absent_left(right) or product(left, right)
end

function ops.joined(node, _, _, a, b)
    local left, by_left = grouped(all_of(a))
    local right, by_right = grouped(all_of(b))
    local made = {}
    local function add(group, lefts, rights)
        for _, value in ipairs(sides[node.kind](lefts, rights)) do made[#made + 1] = { group.key, value } end
        if #made > MOST then
            fail("big")
        end
    end
    for _, group in ipairs(left) do
        local other = by_right[group.text]
        add(group, group.values, other and other.values or {})
    end
    for _, group in ipairs(right) do
        if not by_left[group.text] then
            add(group, {}, group.values)
        end
    end
    return one(made)
end

ops.joinedRdds = ops.joined

-- Windows -----------------------------------------------------------------------------------------------------------

-- The parent's datasets of the window that ends at t, oldest first; those that exist.
local function in_window(node, run, t)
    local parent, found = run.program.nodes[node.from[1]], {}
    for time = t - node.window + parent.slide, t, parent.slide do
        local dataset = time > 0 and run.dataset(parent.id, time)
        if dataset then
            found[#found + 1] = dataset
        end
    end
    return found
end

local function window_records(node, run, t)
    local list = {}
    for _, dataset in ipairs(in_window(node, run, t)) do
        for _, record in ipairs(all_of(dataset)) do list[#list + 1] = record end
    end
    if #list > MOST then
        fail("big")
    end
    return list
end

local window_ops = {}

function window_ops.window(node, run, t)
    local made = {}
    for _, dataset in ipairs(in_window(node, run, t)) do
        for _, partition in ipairs(dataset) do made[#made + 1] = partition end
    end
    all_of(made)
    return made
end

function window_ops.reduceByWindow(node, run, t)
    return { { reduced(window_records(node, run, t), fn_of(node, "merges")) } }
end

function window_ops.reduceByKeyAndWindow(node, run, t)
    return one(reduce_by_key(window_records(node, run, t), fn_of(node, "merges")))
end

function window_ops.groupByKeyAndWindow(node, run, t)
    return one(by_key(window_records(node, run, t), functions.sorted))
end

function window_ops.countByValueAndWindow(node, run, t)
    return ops.countByValue(nil, nil, nil, { window_records(node, run, t) })
end

-- With an inverse: every key that was in a window up to now stays, with its neutral value. When windows leave gaps there
-- is no inverse to apply, and each stands for itself.
local function with_inverse(node, run, t, record_of)
    local current = {}
    for index, record in ipairs(window_records(node, run, t)) do current[index] = record_of(record) end
    local list = reduce_by_key(current, functions.sum)
    if node.slide > node.window then
        return list
    end
    local present = texts_of(ops.keys(nil, nil, nil, { list })[1])
    for time = node.slide, t - node.slide, node.slide do
        for _, record in ipairs(window_records(node, run, time)) do
            local pair = record_of(record)
            local text = values.text(pair[1])
            if not present[text] then
                present[text] = true
                list[#list + 1] = { pair[1], 0 }
            end
        end
    end
    return list
end

function window_ops.reduceByKeyAndWindowInverse(node, run, t)
    local list = with_inverse(node, run, t, function(pair) return pair end)
    if not node.filtered then
        return one(list)
    end
    return each({ list }, function(pair) return pair[2] ~= 0 and { pair } or {} end)
end

local function only_value(list)
    return { { list[1] and list[1][2] } }
end

function window_ops.reduceByWindowInverse(node, run, t)
    return only_value(with_inverse(node, run, t, function(x) return { 1, x } end))
end

function window_ops.countByWindow(node, run, t)
    return only_value(with_inverse(node, run, t, function() return { 1, 1 } end))
end

-- State ---------------------------------------------------------------------------------------------------------------

local function initial_of(node)
    return node.initial or {}
end

function window_ops.updateStateByKey(node, run, t)
    local parent, failed = run.dataset(node.from[1], t)
    local memory = run.memory(node)
    local before = run.dataset(node.id, t - node.slide)
    if not parent and not before then
        if failed then
            fail("refused")
        end
        return nil
    end
    local states, olds = {}, {}
    local function learn(list)
        for _, pair in ipairs(list) do
            local text = values.text(pair[1])
            if olds[text] == nil then
                olds[text] = pair[2]
                states[#states + 1] = { key = pair[1], text = text }
            end
        end
    end
    learn(before and all_of(before) or {})
    if parent and not memory.started then
        memory.started = t
    end
    if memory.started == t then
        learn(initial_of(node))
    end
    local groups, by_text = grouped(parent and all_of(parent) or {})
    for _, group in ipairs(groups) do
        if olds[group.text] == nil then
            states[#states + 1] = group
        end
    end
    local update, made = fn_of(node, "updates"), {}
    for _, state in ipairs(states) do
        local group = by_text[state.text]
        local new = update(group and group.values or {}, olds[state.text])
        if new ~= nil then
            made[#made + 1] = { state.key, new }
        end
    end
    return one(made)
end

local State = {}
State.__index = State

function State:exists() return self.value ~= nil end
function State:getOption() return self.value end
function State:get() return assert(self.value) end
function State:isTimingOut() return self.timing_out end

function State:update(value)
    assert(not self.timing_out)
    self.value, self.updated = value, true
end

function State:remove()
    assert(self.value ~= nil and not self.timing_out)
    self.value = nil
end

local function call_with_state(f, made, key, value, state)
    local a, b = f(key, value, state)
    if a ~= nil then
        made[#made + 1] = b == nil and a or { a, b }
    end
end

function window_ops.mapWithState(node, run, t)
    local memory = run.memory(node)
    if t > node.slide then
        run.dataset(node.id, t - node.slide)
    end
    if not memory.kept then
        memory.kept = {}
        for _, pair in ipairs(initial_of(node)) do
            memory.kept[values.text(pair[1])] = { key = pair[1], value = pair[2], time = t }
        end
    end
    local f, made = fn_of(node, "with_state"), {}
    local parent = run.dataset(node.from[1], t)
    for _, pair in ipairs(parent and all_of(parent) or {}) do
        local text = values.text(pair[1])
        local entry = memory.kept[text]
        local state = setmetatable({ value = entry and entry.value, timing_out = false }, State)
        call_with_state(f, made, pair[1], pair[2], state)
        if state.value == nil then
            memory.kept[text] = nil
        elseif state.updated or node.timeout then
            memory.kept[text] = { key = pair[1], value = state.value, time = t }
        end
    end
    local snapshot = {}
    for text, entry in pairs(memory.kept) do
        if node.timeout and entry.time < t - node.timeout then
            memory.kept[text] = nil
            local state = setmetatable({ value = entry.value, timing_out = true }, State)
            call_with_state(f, made, entry.key, nil, state)
        else
            snapshot[#snapshot + 1] = { entry.key, entry.value }
        end
    end
    return node.snapshots and one(snapshot) or one(made)
end

-- Evaluation -----------------------------------------------------------------------------------------------------------

-- Whether an operator needs a dataset of every parent: then a batch without one cannot be generated.
local REFUSES_NONE = {}
for _, name in ipairs { "union", "joined", "keyBy", "keys", "values", "distinct", "sortByKey", "coalesce", "timed", "counted",
    "folded", "numbered", "zipWithIndex", "groupBy", "sortBy", "foldByKey", "aggregateByKey", "cartesian", "zip",
    "subtract", "intersection", "subtractByKey", "partitionBy", "top", "treeReduce", "rddPersist", "joinedRdds",
    "pickyTransform" } do
    REFUSES_NONE[name] = true
end

-- A parent that has failed, where failures are passed over, is left out of a union of streams; others have failed, too.
local function apply(node, run, t)
    local parents, partial = {}, node.op == "union" and node.how ~= "transform"
    for _, id in ipairs(node.from) do
        local dataset, failed = run.dataset(id, t)
        if dataset then
            parents[#parents + 1] = dataset
        elseif failed and not partial then
            fail("refused")
        elseif not failed then
            if REFUSES_NONE[node.op] then
                fail("none")
            end
            return nil
        end
    end
    if #parents == 0 then
        fail("refused")
    end
    return ops[node.op](node, run, t, parents[1], parents[2])
end

local function input_dataset(program, node, t)
    local batch = program.inputs[node.input].batches[t]
    if batch == "none" then
        return nil
    end
    return slices(batch or {}, program.partitions)
end

local FAILED = {} -- in place of a dataset

local function new_run(program)
    local run = { program = program }
    local cache, memories = {}, {}

    local function computed(node, t)
        if node.op == "input" then
            return input_dataset(program, node, t)
        end
        return (window_ops[node.op] or apply)(node, run, t)
    end

    -- Where failures are passed over, a dataset that fails counts as none.
    local function made(node, t)
        if not program.skip then
            return computed(node, t)
        end
        local ok, result = pcall(computed, node, t)
        if not ok and (type(result) ~= "table" or result.kind == "big") then
            error(result, 0)
        end
        return ok and result or not ok and FAILED
    end

    function run.memory(node)
        memories[node.id] = memories[node.id] or {}
        return memories[node.id]
    end

    function run.dataset(id, t)
        local node = program.nodes[id]
        if t <= 0 or t % node.slide ~= 0 then
            return nil
        end
        cache[id] = cache[id] or {}
        local known = cache[id][t]
        if known == nil then
            known = made(node, t) or false
            cache[id][t] = known
        end
        return known ~= FAILED and known or nil, known == FAILED
    end

    return run
end

--- Runs a program.
---@param program table
---@return table? result { outputs = { list of { time, dataset } for each output }, failed = batch or nil }
---@return string? why it was not run
function model.run(program)
    local run, result = new_run(program), { outputs = {} }
    for index in ipairs(program.outputs) do
        result.outputs[index] = {}
    end
    for t = 1, program.batches do
        local made = {}
        local ok, reason = pcall(function()
            for index, id in ipairs(program.outputs) do
                made[index] = run.dataset(id, t) or false
            end
        end)
        if not ok then
            if type(reason) ~= "table" then
                error(reason, 0)
            elseif reason.kind == "big" then
                return nil, "too big"
            end
            result.failed = t
            return result
        end
        for index, dataset in ipairs(made) do
            if dataset then
                table.insert(result.outputs[index], { time = t * 1000, partitions = dataset })
            end
        end
    end
    return result
end

return model
