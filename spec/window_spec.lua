-- Windows without an inverse function: batch tables.

local testing = require "moontide.testing"

local NONE = testing.NONE

local function add(a, b)
    return a + b
end

-- What each batch has, as text; the records sorted unless `ordered`.
local function run(options)
    local ordered = options.ordered
    options.ordered = nil
    local result = testing.run(options)
    assert.is_nil(result.error and result.error.message)
    local batches = {}
    for index, batch in ipairs(result.batches) do
        local texts = {}
        for position, record in ipairs(batch.records) do
            if type(record) == "table" then
                local value = record[2]
                texts[position] = record[1] .. "=" .. (type(value) == "table" and table.concat(value, "+") or tostring(value))
            else
                texts[position] = tostring(record)
            end
        end
        if not ordered then
            table.sort(texts)
        end
        batches[index] = string.format("%d: %s", batch.time / 1000, table.concat(texts, " "))
    end
    return batches
end

local function shape(options, build)
    local copy = { build = build }
    for key, value in pairs(options) do
        copy[key] = value
    end
    return copy
end

local six = { inputs = { { { 0 }, { 1 }, { 2 }, { 3 }, { 4 }, { 5 } } } }

local function keyed(stream)
    return stream:map(function(x) return "k" .. x % 2, x end)
end

describe("window", function()
    it("holds the datasets of its length, the oldest first", function()
        assert.are.same({ "1: 0", "2: 0 1", "3: 1 2", "4: 2 3", "5: 3 4", "6: 4 5" },
            run(shape(six, function(_, a) return a:window(2000) end)))
        assert.are.same({ "1: 3", "2: 3 1", "3: 1 2" }, run { inputs = { { { 3 }, { 1 }, { 2 } } }, ordered = true,
            build = function(_, a) return a:window("2s", "1s") end })
    end)

    it("begins partial, at multiples of its slide", function()
        assert.are.same({ "2: 0 1", "4: 0 1 2 3", "6: 2 3 4 5", "8: 4 5" },
            run { inputs = six.inputs, batches = 8, build = function(_, a) return a:window(4000, 2000) end })
        assert.are.same({ "3: 0 1 2", "6: 2 3 4 5" }, run(shape(six, function(_, a) return a:window(4000, 3000) end)))
    end)

    it("never looks at batches between windows", function()
        assert.are.same({ "3: 2", "6: 5" }, run(shape(six, function(_, a) return a:window(1000, 3000) end)))
    end)

    it("leaves out batches without a dataset, and is empty without any", function()
        assert.are.same({ "1: 1", "2: 1", "3: 3", "4: 3", "5: " },
            run { inputs = { { { 1 }, NONE, { 3 }, NONE, NONE } }, build = function(_, a) return a:window(2000) end })
    end)

    it("works on windows", function()
        assert.are.same({ "2: 0 0 1", "4: 1 2 2 3", "6: 3 4 4 5" },
            run(shape(six, function(_, a) return a:window(2000):window(2000, 2000) end)))
        assert.are.same({ "4: 0 1 2 3", "8: 4 5" }, run { inputs = six.inputs, batches = 8,
            build = function(_, a) return a:window(2000, 2000):window(4000, 4000) end })
    end)

    it("gives transform the time of each dataset, not that of the window", function()
        local seen = {}
        run(shape(six, function(_, a)
            return a:transform(function(rdd, time)
                seen[#seen + 1] = time
                return rdd
            end):window(3000, 3000)
        end))
        assert.are.same({ 1000, 2000, 3000, 4000, 5000, 6000 }, seen)
    end)

    it("keeps the partitions of keyed datasets", function()
        local result = testing.run { inputs = six.inputs, build = function(_, a)
            return keyed(a):reduceByKey(add, 3):window(4000)
        end }
        for _, batch in ipairs(result.batches) do
            assert.are.equal(3, #batch.partitions)
        end
    end)

    it("wants multiples of the slide it is applied to, and says which", function()
        local function fails(build)
            local ok, message = pcall(testing.run, { inputs = six.inputs, build = build, batch = 2000 })
            assert.is_false(ok)
            return tostring(message)
        end
        assert.matches("window duration %(3000 ms%) must be a multiple of the slide duration of the stream it is applied to "
            .. "%(2000 ms%)", fails(function(_, a) return a:window(3000) end))
        assert.matches("slide duration %(1000 ms%)", fails(function(_, a) return a:window(4000, 1000) end))
        assert.matches("%(6000 ms%) must be a multiple .* %(4000 ms%)",
            fails(function(_, a) return a:window(4000, 4000):window(6000) end))
        assert.matches("window_spec%.lua:%d+: bad argument #1 to 'window'", fails(function(_, a) return a:window() end))
        assert.matches("longer than 0 ms", fails(function(_, a) return a:window(4000, 0) end))
    end)

    it("of length 0 is empty", function()
        assert.are.same({ "1: ", "2: " }, run { inputs = { { { 1 }, { 2 } } }, build = function(_, a) return a:window(0) end })
    end)
end)

describe("reduceByWindow", function()
    it("gives one record, and none for an empty window", function()
        assert.are.same({ "1: 5", "2: 5", "3: ", "4: 9", "5: 12" }, run { inputs = { { { 2, 3 }, {}, {}, { 9 }, { 1, 2 } } },
            build = function(_, a) return a:reduceByWindow(add, 2000, 1000) end })
    end)
end)

describe("reduceByKeyAndWindow", function()
    local function model(batches, length, slide, count)
        local expected = {}
        for time = slide, count, slide do
            local sums, keys, texts = {}, {}, {}
            for at = math.max(1, time - length + 1), time do
                for _, x in ipairs(batches[at] ~= NONE and batches[at] or {}) do
                    local key = "k" .. x % 2
                    if not sums[key] then
                        keys[#keys + 1] = key
                    end
                    sums[key] = (sums[key] or 0) + x
                end
            end
            table.sort(keys)
            for index, key in ipairs(keys) do
                texts[index] = key .. "=" .. sums[key]
            end
            expected[#expected + 1] = string.format("%d: %s", time, table.concat(texts, " "))
        end
        return expected
    end

    local batches = {}
    for index = 1, 40 do
        local records = {}
        for at = 1, index * 7 % 4 do
            records[at] = index * at
        end
        batches[index] = index % 11 == 5 and NONE or records
    end

    it("agrees with sums over the records, whatever length and slide are", function()
        local spans = { { 1, 1 }, { 2, 1 }, { 7, 1 }, { 16, 1 }, { 30, 1 }, { 6, 4 }, { 9, 6 }, { 12, 3 }, { 5, 5 }, { 2, 5 } }
        for _, span in ipairs(spans) do
            local length, slide = span[1], span[2]
            assert.are.same(model(batches, length, slide, 45), run { inputs = { batches }, batches = 45,
                build = function(_, a) return keyed(a):reduceByKeyAndWindow(add, length * 1000, slide * 1000, 3) end })
        end
    end)

    -- Not recognised as adding; the second makes something else of two numbers.
    local others = { sum = function(a, b) return b + a end, int64 = function(a, b) return a + b + 0LL end }
    for name, other in pairs(others) do
        it("does so with functions that C does not know: " .. name, function()
            for _, span in ipairs { { 7, 1 }, { 6, 4 }, { 2, 5 } } do
                local length, slide = span[1], span[2]
                assert.are.same(model(batches, length, slide, 45), run { inputs = { batches }, batches = 45,
                    build = function(_, a) return keyed(a):reduceByKeyAndWindow(other, length * 1000, slide * 1000, 3) end })
            end
        end)
    end

    it("brings thousands of keys together, whatever the function", function()
        local input, expected = {}, {}
        for index = 1, 5 do
            input[index] = {}
            for at = 1, 4000 do
                input[index][at] = (index * 7919 + at * at) % 100003
            end
        end
        for time = 1, 5 do
            expected[time] = {}
            for index = math.max(1, time - 2), time do
                for _, x in ipairs(input[index]) do
                    local key = "k" .. x % 3000
                    expected[time][key] = math.max(expected[time][key] or x, x)
                end
            end
        end
        local result = testing.run { inputs = { input }, build = function(_, a)
            return a:map(function(x) return "k" .. x % 3000, x end):reduceByKeyAndWindow(math.max, 3000)
        end }
        assert.is_nil(result.error)
        for time, batch in ipairs(result.batches) do
            local found = {}
            for _, record in ipairs(batch.records) do
                assert.is_nil(found[record[1]])
                found[record[1]] = record[2]
            end
            assert.are.same(expected[time], found)
        end
    end)

    it("merges the results of each batch once, however many windows have them", function()
        local calls = 0
        local accumulated = {}
        local result = testing.run { master = "local[1]", partitions = 1, batches = 64,
            inputs = { (function()
                local list = {}
                for index = 1, 64 do
                    list[index] = { index }
                end
                return list
            end)() },
            build = function(_, a)
                return a:map(function(x) return "k", { sum = x, calls = 0 } end):reduceByKeyAndWindow(function(left, right)
                    return { sum = left.sum + right.sum, calls = left.calls + right.calls + 1 }
                end, 32000, 1000, 1):mapValues(function(v) return { v.sum, v.calls } end)
            end }
        assert.is_nil(result.error)
        for _, batch in ipairs(result.batches) do
            accumulated[#accumulated + 1] = batch.records[1][2][1]
            calls = batch.records[1][2][2]
        end
        assert.are.equal((33 + 64) * 32 / 2, accumulated[64])
        assert.are.equal(31, calls) -- no record is counted twice in a window
    end)

    it("gives partitions of its own number", function()
        local result = testing.run { inputs = six.inputs, build = function(_, a)
            return keyed(a):reduceByKeyAndWindow(add, 2000, 2000, 5)
        end }
        assert.are.equal(5, #result.batches[1].partitions)
    end)

    it("takes no filter without an inverse", function()
        assert.has_error(function()
            testing.run { inputs = six.inputs, build = function(_, a)
                return keyed(a):reduceByKeyAndWindow(add, nil, 2000, 1000, 2, function() return true end)
            end }
        end)
    end)

    it("tells where a function failed", function()
        local result = testing.run { inputs = six.inputs, build = function(_, a)
            return a:map(function(x) return "k", x end):reduceByKeyAndWindow(function() error("no merge") end, 2000)
        end }
        assert.matches("no merge", result.error.message)
        assert.matches("window_spec%.lua", result.error.message)
        assert.matches('record: %("k", 1%)', result.error.message)
    end)

    it("does not take nil for a result", function()
        local result = testing.run { inputs = six.inputs, build = function(_, a)
            return a:map(function(x) return "k", x end):reduceByKeyAndWindow(function() end, 2000)
        end }
        assert.are.equal(1, #result.batches)
        assert.matches("reduceByKeyAndWindow: f returned nil; it must return the combined value", result.error.message)
    end)
end)

describe("groupByKeyAndWindow", function()
    it("joins the lists of the batches, the oldest first", function()
        assert.are.same({ "1: k1=1", "2: k0=2+4 k1=1", "3: k0=2+4 k1=3", "4: k1=3" },
            run { inputs = { { { 1 }, { 2, 4 }, { 3 }, {} } }, partitions = 1,
                build = function(_, a) return keyed(a):groupByKeyAndWindow(2000) end })
    end)
end)
