-- Warms a worker up with what passes through every kind of loop, and prints the places of Moontide's own code that LuaJIT has
-- given up. A script of its own because it depends on the process: spec/blacklist_spec.lua runs it in several.
local moontide = require "moontide"

local RECORDS, KEYS = tonumber(arg and arg[1]) or 24000, tonumber(arg and arg[2]) or 20000
local ROUNDS = tonumber(arg and arg[3]) or 6

local sc = moontide.Context("local[1]", "blacklist")
local numbers = sc:range(0, RECORDS, 1, 1):cache()
local lines = numbers:map(function(i) return ("w%d x%d w%d"):format(i % 500, i % 300, i % 7) end):cache()
local tables = numbers:filter(function(i) return i % 3 == 0 end):map(function(i)
    return i % 1000, { user = "u" .. i % 500, tags = { "a", i }, hit = i % 2 == 0 and { x = i } or nil }
end)
local function add(a, b) return a + b end

local jobs = {
    words = lines:flatMap(function(line) return line:gmatch "%S+" end):map(function(word) return word, 1 end):reduceByKey(add),
    longest = lines:flatMap(function(line) return line:gmatch "%S+" end):map(function(word) return word, #word end)
        :reduceByKey(math.max),
    tables = tables:groupByKey():mapValues(function(list) return #list end),
    placed = tables:partitionBy(3):mapValues(function(t) return t.user end),
    join = numbers:map(function(i) return i, i + 0.5 end):join(numbers:map(function(i) return i * 2, "right " .. i end)),
    cogroup = numbers:map(function(i) return i % 5000, i end):cogroup(numbers:map(function(i) return i % 7000, { i } end)),
    sorted = numbers:map(function(i) return (i * 7919) % RECORDS, { i } end):sortByKey(),
    partitions = numbers:mapPartitions(function(it)
        return function()
            local x = it()
            return x and x * 2
        end
    end),
    distinct = numbers:map(function(i) return { i % 100 } end):distinct(),
}
local order = {}
for name in pairs(jobs) do order[#order + 1] = name end
table.sort(order)
for _ = 1, ROUNDS do
    for _, name in ipairs(order) do jobs[name]:count() end
    for _, name in ipairs(order) do jobs[name]:foreach(function() end) end
    lines:map(function(line) return line .. "!" end):takeSample(false, 10, 1)
end

-- Keyed state: every key, then a few, then other ones.
local testing = require "moontide.testing"
local batches = {}
for batch = 1, ROUNDS do
    local list = {}
    for i = 1, batch % 2 == 1 and KEYS or KEYS / 10 do list[i] = { "key" .. i * batch % KEYS, i } end
    batches[batch] = list
end
local states = {
    update = function(_, stream)
        return stream:updateStateByKey(function(values, sum)
            for _, v in ipairs(values) do sum = (sum or 0) + v end
            return sum
        end)
    end,
    tables = function(_, stream)
        return stream:updateStateByKey(function(values, state)
            return { n = (state and state.n or 0) + #values }
        end)
    end,
    mapped = function(_, stream)
        return stream:mapWithState(moontide.StateSpec.func(function(key, value, state)
            state:update((state:getOption() or 0) + value)
            return key, state:get()
        end))
    end,
    window = function(_, stream)
        return stream:reduceByKeyAndWindow(function(a, b) return math.max(a, b) end, 3000, 1000)
    end,
}

local function given_up() return { require("moontide.worker").given_up() } end

local function report(what, places)
    for place, count in pairs(places) do print(what, place, count) end
end

local probe = sc:parallelize({ 1 }, 1):mapPartitions(given_up):first()
report("batch", probe)
assert(sc:stop())

for name, build in pairs(states) do
    local last
    local result = testing.run { inputs = { batches }, pairs = { true }, partitions = 1, master = "local[1]", batches = ROUNDS + 2,
        build = function(ssc, stream)
            local made = build(ssc, stream)
            made:foreachRDD(function(rdd)
                last = rdd.sc and rdd.sc:parallelize({ 1 }, 1):mapPartitions(given_up):first() or last
            end)
            return made
        end }
    assert(result.error == nil, tostring(result.error))
    report(name, assert(last, name))
end
print "done"
