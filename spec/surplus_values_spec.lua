-- Values in excess: what a function returns beyond a value or a pair, and tables with more than a pair in them, are refused, for they
-- would be lost.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local moontide = require "moontide"
local testing = require "moontide.testing"

local message = engine.message

local function two(x) return x, "two" end
local function three(x) return x, "two", "three" end
local function add(a, b) return a + b end

-- An iterator of `n` values at a time over the numbers up to 3.
local function steps(n)
    return function()
        local i = 0
        return function()
            i = i + 1
            if i > 3 then return nil end
            return unpack({ i, "b", "c" }, 1, n)
        end
    end
end

local THIRD = "the function returned a third value: %d+, \".-\", \"%l+\"; a record is one value or a pair: return a table for more"
local SECOND = "the function returned two values, .- where one is taken: return a table for more, such as {a, b}; of a call"
local ARRAYS = "the function returned the array {.-} and, after it, {.-}, which would be lost"

describe("values in excess are refused", function()
    local sc, numbers, pairs_of
    after_each(function() sc, numbers, pairs_of = nil, nil, nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context("local[2]")
        numbers = sc:parallelize({ 1, 2, 3 }, 2)
        pairs_of = sc:parallelizePairs({ { "a", 1 }, { "a", 2 }, { "b", 3 } }, 2)
    end)

    local function refused(pattern, name, rdd)
        for _, action in ipairs({ "collect", "count" }) do
            local text = message(function() return rdd()[action](rdd()) end)
            assert.matches(name .. ".-: " .. pattern, text)
            assert.matches("surplus_values_spec.lua:%d+", text)
        end
    end

    it("by operators that make records", function()
        refused(THIRD, "map", function() return numbers:map(three) end)
        refused(THIRD, "map", function() return numbers:map(two):map(function(k, v) return k, v, "three" end) end)
        refused(THIRD, "flatMap", function() return numbers:flatMap(steps(3)) end)
        refused(ARRAYS, "flatMap", function() return numbers:flatMap(function() return { 1 }, { 2 } end) end)
        refused(THIRD, "mapPartitions", function() return numbers:mapPartitions(steps(3)) end)
        refused(ARRAYS, "mapPartitions", function() return numbers:mapPartitions(function() return { 1 }, { 2 } end) end)
        refused(THIRD, "mapPartitionsWithIndex", function() return numbers:mapPartitionsWithIndex(steps(3)) end)
        refused(THIRD, "zipPartitions", function() return numbers:zipPartitions(numbers, steps(3)) end)
    end)

    it("by operators that take one value", function()
        refused(SECOND, "mapValues", function() return pairs_of:mapValues(two) end)
        refused(SECOND, "flatMapValues", function() return pairs_of:flatMapValues(steps(2)) end)
        refused(ARRAYS, "flatMapValues", function() return pairs_of:flatMapValues(function() return { 1 }, { 2 } end) end)
        refused(SECOND, "keyBy", function() return numbers:keyBy(two) end)
        refused(SECOND, "keyBy", function() return pairs_of:keyBy(two) end)
        refused(SECOND, "groupBy", function() return numbers:groupBy(two) end)
        refused(SECOND, "groupByKey", function()
            return pairs_of:groupByKey(moontide.Partitioner(2, function() return 1, "more" end))
        end)
        refused(SECOND, "reduceByKey", function()
            return pairs_of:reduceByKey(add, moontide.Partitioner(2, function() return 1, "more" end))
        end)
    end)

    it("by functions that say where a record belongs", function()
        local function both(...) return (...), "more" end
        for _, call in ipairs {
            function() return numbers:sortBy(both):collect() end, function() return pairs_of:sortBy(both):collect() end,
            function() return pairs_of:sortByKey(true, 2, both):collect() end,
            function() return numbers:top(2, both) end, function() return pairs_of:top(2, both) end,
            function() return numbers:takeOrdered(2, both) end, function() return numbers:max(both) end,
            function() return numbers:min(both) end,
            function() return moontide.Partitioner(2, function() return 1, "more" end):getPartition("a") end,
        } do
            local text = message(call)
            assert.matches("the function returned two values, %S+ and \"more\", where one is taken: return a table for more, such as {a, b}; of a call",
                text)
            assert.matches("surplus_values_spec.lua:%d+", text)
        end
        assert.same({ 3, 2 }, numbers:top(2, function(x) return (both(x)) end))
    end)

    it("by functions that combine", function()
        local function both(a, b) return a + b, "more" end
        local same = sc:parallelizePairs({ { "a", 1 }, { "a", 2 }, { "a", 3 } }, 1)
        local apart = sc:parallelizePairs({ { "a", 1 }, { "a", 2 } }, 2)
        refused(SECOND, "reduceByKey", function() return same:reduceByKey(both) end)
        refused(SECOND, "reduceByKey", function() return apart:reduceByKey(both) end)
        refused(SECOND, "combineByKey", function() return same:combineByKey(two, add, add) end)
        refused(SECOND, "foldByKey", function() return same:foldByKey(0, both) end)
        assert.matches("reduce: " .. SECOND, message(function() sc:parallelize({ 1, 2 }, 1):reduce(both) end))
        assert.matches("fold: " .. SECOND, message(function() numbers:fold(0, both) end))
        assert.matches("aggregate: " .. SECOND, message(function() numbers:aggregate(0, both, add) end))
        assert.matches("reduce: the function returned the table {\"a\", 1, 2} for a pair",
            message(function() same:coalesce(1):reduce(function() return { "a", 1, 2 } end) end))
    end)

    it("by parallelizePairs and union", function()
        local text = message(function() sc:parallelizePairs({ { "a", 1 }, { "b", 2, 3 } }) end)
        assert.matches("record 2.- a pair is {key, value}, and it has a third element, which would be lost", text)
        text = message(function() sc:parallelizePairs({ { "a", 1 }, { "b", 2, name = "lost" } }) end)
        assert.matches("surplus_values_spec.lua:%d+: parallelizePairs: record 2: a pair is {key, value}, and it has the field 'name', "
            .. "which would be lost", text)
        assert.matches("record 1: .- the field 'name'", message(function()
            sc:parallelizePairs({ { name = "lost", [2] = 2, [1] = "b" } })
        end))
        assert.matches("record 1: .- the field %[4%]", message(function() sc:parallelizePairs({ { "b", 2, nil, 4 } }) end))
        local many = {}
        for index = 1, 20000 do many[index] = { index, index } end
        assert.equal(20000, sc:parallelizePairs(many):count())
        many[19999].name = "lost"
        assert.matches("record 19999: .- the field 'name'", message(function() sc:parallelizePairs(many) end))
        text = message(function()
            testing.run { inputs = { { { { "a", 1, by = "x" } } } }, pairs = { true }, build = function(_, pairs) return pairs end }
        end)
        assert.matches("testing.run: inputs%[1%], batch 1: record 1: .- the field 'by'", text)
        assert.same({ 1, 2, 3, 1, 2, 3, 4 }, numbers:union(numbers, sc:parallelize({ 4 })):collect())
        assert.matches("bad argument #2 to 'union'", message(function() numbers:union(numbers, 5) end))
        assert.matches("bad argument #1 to 'union'", message(function() numbers:union() end))
    end)

    it("in calls of the library, which say how to take one", function()
        local lines = sc:parallelize({ "a b c", "d e f" })
        assert.matches("parentheses take the first", message(function()
            lines:map(function(line) return line:match("(%S+) (%S+) (%S+)") end):collect()
        end))
        assert.same({ "A B C", "D E F" }, lines:map(string.upper):collect())
        assert.same({ { "x b c", 1 }, { "d e f", 0 } }, lines:map(function(line) return line:gsub("a", "x") end):collect())
        assert.same({ "x b c", "d e f" }, lines:map(function(line) return (line:gsub("a", "x")) end):collect())
    end)

    it("when they come late", function()
        local many = sc:range(0, 5000, 1, 1)
        assert.matches(THIRD, message(function()
            many:map(function(x) if x == 4000 then return x, "b", "c" end return x, "b" end):count()
        end))
        assert.matches(THIRD, message(function()
            many:mapPartitions(function(it)
                return function()
                    local x = it()
                    if x == 4000 then return x, "b", "c" end
                    if x then return x, "b" end
                end
            end):count()
        end))
    end)

    it("in streams", function()
        core.logLevel("off")
        finally(function() core.logLevel("warn") end)
        local function error_of(build, inputs, flags)
            local result = testing.run { inputs = inputs or { { { 1, 2 }, { 3 } } }, pairs = flags, build = build }
            return result.error and result.error.message or "no error"
        end
        local keyed = { { { { "a", 1 }, { "a", 2 } }, { { "a", 3 } } } }
        assert.matches(THIRD, error_of(function(_, a) return a:map(three) end))
        assert.matches(SECOND, error_of(function(_, a)
            return a:updateStateByKey(function(values, sum) return (sum or 0) + #values, "more" end)
        end, keyed, { true }))
        local function both(a, b) return a + b, "more" end
        local function minus(a, b) return a - b end
        local function inverse(a, b) return a - b, "more" end
        local long = { { { { "a", 1 }, { "a", 2 } }, { { "a", 3 } }, { { "a", 4 } }, { { "a", 5 } } } }
        local texts = { { { { "a", "1" }, { "a", "2" } }, { { "a", "3" } }, { { "a", "4" } }, { { "a", "5" } } } }
        for _, inputs in ipairs { long, texts } do
            assert.matches(SECOND, error_of(function(_, a) return a:reduceByKeyAndWindow(both, 2000, 1000) end, inputs, { true }))
            assert.matches(SECOND, error_of(function(_, a) return a:reduceByKeyAndWindow(both, minus, 2000, 1000) end, inputs, { true }))
            assert.matches(SECOND, error_of(function(_, a) return a:reduceByKeyAndWindow(add, inverse, 2000, 1000) end, inputs, { true }))
        end
        assert.matches("the function returned a third value", error_of(function(_, a)
            return a:mapWithState(moontide.StateSpec.func(function(key, value) return key, value, "more" end))
        end, keyed, { true }))
        assert.matches("a pair is {key, value}", message(function()
            testing.run { inputs = { { { { "a", 1, 2 } } } }, pairs = { true }, build = function(_, a) return a end }
        end))
    end)
end)
