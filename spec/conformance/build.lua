-- Applies the steps of a pipeline to streams of the public door.
--
-- A method that a class does not have (yet) ends the building with an error value that `build.missing` recognises;
-- which ones these are is asked of the objects themselves.

local cases = require "spec.conformance.cases"
local vocabulary = require "spec.conformance.vocabulary"

local build = {}

local Missing = { __tostring = function(self) return self.name .. " does not exist yet" end }

--- Raises "this feature does not exist yet".
---@param name string
function build.raise_missing(name)
    error(setmetatable({ name = name }, Missing), 0)
end

--- The name of the missing feature, when an error value is one of those above.
---@param err any
---@return string?
function build.missing(err)
    return getmetatable(err) == Missing and err.name or nil
end

-- A class refuses a name it does not know with an error.
local function has(object, name)
    local ok, method = pcall(function() return object[name] end)
    return ok and method ~= nil
end
build.has = has

--- Calls a method, or raises that it is missing.
---@param object table
---@param class string for the message
---@param name string
---@param ... any
function build.call(object, class, name, ...)
    if not has(object, name) then
        build.raise_missing(class .. ":" .. name)
    end
    return object[name](object, ...)
end
local call = build.call

-- What a pipeline is built in: `ssc`, `library` (the module "moontide"), `batch` (ms), `detail` (op_detail),
-- `inputs` (streams), `pairs_of` (per input, whether it holds pairs), `partitions`, and what was found on the way:
-- `problem`, `snapshots`.

local apply

local function number_of(text)
    return text and (tonumber(text) or error("a number expected, got '" .. tostring(text) .. "'", 0)) or nil
end

-- A window's length or slide, given in batches.
local function batches(context, step, name, position)
    local text = step.named[name] or step.args[position]
    return text and number_of(text) * context.batch or nil
end

-- The second operand: `other=[steps]` is the second input, `self=[steps]` the same source, each piped through the
-- steps.
local function operand(context, step)
    if step.named.other then
        if not context.inputs[2] then
            error("'" .. step.name .. "' wants a second input", 0)
        end
        return apply(context, context.inputs[2], context.pairs_of[2], step.named.other)
    end
    local steps = step.named.self or step.branches[1]
    if not steps then
        error("'" .. step.name .. "' has no second operand", 0)
    end
    return apply(context, context.inputs[1], context.pairs_of[1], steps)
end

local function branches(context, step)
    local streams, pairs_out = {}, nil
    for index, steps in ipairs(step.branches) do
        streams[index], pairs_out = apply(context, context.inputs[1], context.pairs_of[1], steps)
    end
    return streams, pairs_out
end

-- A function of transform runs while a batch is generated: what it misses is noted and told after the run.
local function dataset_call(context, rdd, name, ...)
    if not has(rdd, name) then
        context.problem = context.problem or "RDD:" .. name
        return rdd
    end
    return rdd[name](rdd, ...)
end

local transforms = {
    null = function() return nil end,
    cartesian_self = function(context, rdd) return dataset_call(context, rdd, "cartesian", rdd) end,
}

local function initial_rdd(context, initial)
    local list = {}
    for index, pair in ipairs(initial) do
        list[index] = cases.record(pair, context.library)
    end
    return context.ssc.sc:parallelizePairs(list, context.partitions)
end

-- name → function(context, stream, step, pairs_in) → stream, pairs_out
local steps = {}

function steps.map(_, stream, step, pairs_in)
    local fn, pairs_out = vocabulary.unary(step.args[1], pairs_in)
    return call(stream, "DStream", "map", fn), pairs_out
end

function steps.flatMap(_, stream, step, pairs_in)
    local fn, pairs_out = vocabulary.flat(step.args[1], pairs_in)
    return call(stream, "DStream", "flatMap", fn), pairs_out
end

function steps.filter(_, stream, step, pairs_in)
    return call(stream, "DStream", "filter", vocabulary.predicate(step.args[1], pairs_in)), pairs_in
end

function steps.mapPartitions(_, stream, step, pairs_in)
    local fn, pairs_out = vocabulary.partition(step.args[1], pairs_in)
    return call(stream, "DStream", "mapPartitions", fn), pairs_out
end

function steps.mapValues(_, stream, step)
    return call(stream, "DStream", "mapValues", (vocabulary.unary(step.args[1], false))), true
end

function steps.flatMapValues(_, stream, step)
    return call(stream, "DStream", "flatMapValues", (vocabulary.flat(step.args[1], false))), true
end

function steps.reduce(_, stream, step)
    return call(stream, "DStream", "reduce", vocabulary.binary(step.args[1])), false
end

function steps.reduceByKey(_, stream, step)
    return call(stream, "DStream", "reduceByKey", vocabulary.binary(step.args[1]), number_of(step.args[2])), true
end

-- combineByKey(create, merge value, merge combiners); with one word, that function does both merges.
function steps.combineByKey(_, stream, step)
    local args = step.args
    if args[1] == "tostring" then -- then `add` puts texts together
        local function join(a, b) return a .. tostring(b) end
        return call(stream, "DStream", "combineByKey", vocabulary.unary("tostring", false), join, join, number_of(args[4])), true
    end
    local create = args[2] and vocabulary.unary(args[1], false) or vocabulary.unary("ident", false)
    local merge_value = vocabulary.binary(args[2] or args[1])
    local merge = vocabulary.binary(args[3] or args[2] or args[1])
    return call(stream, "DStream", "combineByKey", create, merge_value, merge, number_of(args[4])), true
end

function steps.transform(context, stream, step, pairs_in)
    local word = step.args[1]
    local method, argument = word:match("^(%w+):(.+)$")
    local known = transforms[word]
    local fn, pairs_out
    if method == "map" then
        fn, pairs_out = vocabulary.unary(argument, pairs_in)
    elseif method == "flatMap" then
        fn, pairs_out = vocabulary.flat(argument, pairs_in)
    elseif method == "filter" then
        fn, pairs_out = vocabulary.predicate(argument, pairs_in), pairs_in
    elseif method then
        fn, pairs_out = vocabulary.binary(argument), pairs_in
    end
    return call(stream, "DStream", "transform", function(rdd)
        if known then
            return known(context, rdd)
        end
        return dataset_call(context, rdd, method or word, fn)
    end), method and pairs_out or word == "cartesian_self" or pairs_in
end

function steps.transformWith(context, stream, step, pairs_in)
    local other = operand(context, step)
    local method = step.args[1]
    return call(stream, "DStream", "transformWith", other, function(a, b)
        return dataset_call(context, a, method, b)
    end), method ~= "union" or pairs_in
end

function steps.union(context, stream, step, pairs_in)
    return call(stream, "DStream", "union", (operand(context, step))), pairs_in
end

for _, name in ipairs({ "join", "leftOuterJoin", "rightOuterJoin", "fullOuterJoin", "cogroup" }) do
    steps[name] = function(context, stream, step)
        return call(stream, "DStream", name, operand(context, step), number_of(step.args[1])), true
    end
end

steps["ctx.union"] = function(context, _, step)
    local streams, pairs_out = branches(context, step)
    return call(context.ssc, "StreamingContext", "union", streams), pairs_out
end

steps["ctx.transform_union"] = function(context, _, step)
    local streams, pairs_out = branches(context, step)
    return call(context.ssc, "StreamingContext", "transform", streams, function(rdds)
        local all = rdds[1]
        for index = 2, #rdds do
            all = dataset_call(context, all, "union", rdds[index])
        end
        return all
    end), pairs_out
end

function steps.window(context, stream, step, pairs_in)
    return call(stream, "DStream", "window", batches(context, step, "window", 1), batches(context, step, "slide", 2)),
        pairs_in
end

function steps.countByWindow(context, stream, step)
    return call(stream, "DStream", "countByWindow", batches(context, step, "window", 1),
        batches(context, step, "slide", 2)), false
end

function steps.countByValueAndWindow(context, stream, step)
    return call(stream, "DStream", "countByValueAndWindow", batches(context, step, "window", 1),
        batches(context, step, "slide", 2), number_of(step.args[3])), true
end

function steps.groupByKeyAndWindow(context, stream, step)
    return call(stream, "DStream", "groupByKeyAndWindow", batches(context, step, "window", 1),
        batches(context, step, "slide", 2), number_of(step.args[3])), true
end

function steps.reduceByWindow(context, stream, step, pairs_in)
    local f, inverse = vocabulary.binary(step.args[1]), step.args[2] and vocabulary.binary(step.args[2])
    local window, slide = batches(context, step, "window"), batches(context, step, "slide")
    if inverse then
        return call(stream, "DStream", "reduceByWindow", f, inverse, window, slide), pairs_in
    end
    return call(stream, "DStream", "reduceByWindow", f, window, slide), pairs_in
end

function steps.reduceByKeyAndWindow(context, stream, step)
    local f, inverse = vocabulary.binary(step.args[1]), step.args[2] and vocabulary.binary(step.args[2])
    local window, slide = batches(context, step, "window"), batches(context, step, "slide")
    if inverse then
        local filter = step.named.filter and vocabulary.predicate(step.named.filter, true) or nil
        return call(stream, "DStream", "reduceByKeyAndWindow", f, inverse, window, slide, nil, filter), true
    end
    return call(stream, "DStream", "reduceByKeyAndWindow", f, window, slide), true
end

function steps.updateStateByKey(context, stream, step)
    local initial = context.detail.initial_state
    local options = initial and { initial = initial_rdd(context, initial) } or nil
    return call(stream, "DStream", "updateStateByKey", vocabulary.update(step.args[1]), options), true
end

-- What `expire2` keeps is a table: only its count is compared.
function steps.stateCounter(_, stream)
    return call(stream, "DStream", "mapValues", function(state) return state.count end), true
end

function steps.mapWithState(context, stream, step)
    if not has(context.library, "StateSpec") then
        build.raise_missing("StateSpec")
    end
    local fn, pairs_out = vocabulary.mapping(step.args[1])
    local spec = context.library.StateSpec.func(fn)
    if context.detail.initial_state then
        spec = spec:initialState(initial_rdd(context, context.detail.initial_state))
    end
    if context.detail.timeout_ms then
        spec = spec:timeout(context.detail.timeout_ms)
    end
    local mapped = call(stream, "DStream", "mapWithState", spec)
    if context.detail.checkpoint_every then
        call(mapped, "DStream", "checkpoint", context.detail.checkpoint_every * context.batch)
    end
    context.snapshots = call(mapped, "DStream", "stateSnapshots")
    return mapped, pairs_out
end

-- The interval in batches, or as a duration: checkpoint(3), checkpoint(3 s).
function steps.checkpoint(context, stream, step, pairs_in)
    local text = step.named.interval or step.args[1]
    local number, unit = text:match("^([%d%.]+) ?(%a*)$")
    local interval = unit == "ms" and tonumber(number) or unit == "s" and tonumber(number) * 1000
        or tonumber(number) < 100 and tonumber(number) * context.batch or tonumber(number)
    return call(stream, "DStream", "checkpoint", interval), pairs_in
end

-- Methods whose arguments are numbers, and what their results are (nil: what came in).
local plain = { repartition = false, glom = "single", count = "single", countByValue = "pairs", groupByKey = "pairs",
    persist = false, cache = false, partitionBy = "pairs" }

local function apply_plain(stream, step, pairs_in)
    local numbers = {}
    for index, text in ipairs(step.args) do
        numbers[index] = number_of(text)
    end
    local result = plain[step.name]
    local out = call(stream, "DStream", step.name, unpack(numbers))
    if result then
        return out, result == "pairs"
    end
    return out, pairs_in
end

--- Pipes a stream through steps.
---@param context table
---@param stream table
---@param pairs_in boolean
---@param list table[] as made by pipeline.parse
---@return table stream
---@return boolean pairs_out
function apply(context, stream, pairs_in, list)
    for _, step in ipairs(list) do
        if steps[step.name] then
            stream, pairs_in = steps[step.name](context, stream, step, pairs_in)
        elseif plain[step.name] ~= nil then
            stream, pairs_in = apply_plain(stream, step, pairs_in)
        else
            error("the vocabulary has no step '" .. step.name .. "'", 0)
        end
    end
    return stream, pairs_in
end
build.apply = apply

--- Whether the result depends on how the input is cut, so that only the case's own number of partitions will do.
---@param list table[]
---@return boolean
function build.depends_on_partitions(list)
    local own_number = false
    for _, step in ipairs(list) do
        for _, branch in ipairs(step.branches) do
            if build.depends_on_partitions(branch) then
                return true
            end
        end
        for _, branch in pairs(step.named) do
            if type(branch) == "table" and build.depends_on_partitions(branch) then
                return true
            end
        end
        if step.name == "repartition" or step.name == "partitionBy" then
            own_number = true
        elseif (step.name == "mapPartitions" or step.name == "glom") and not own_number then
            return true
        end
    end
    return false
end

return build
