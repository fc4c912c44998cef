-- Windows made from the window before, with an inverse function: batch tables.

local testing = require "moontide.testing"

local NONE = testing.NONE

local function add(a, b)
    return a + b
end

local function subtract(a, b)
    return a - b
end

-- The same functions in a form that is not recognised as adding and subtracting.
local function plus(a, b)
    return b + a
end

local function minus(a, b)
    return -b + a
end

local function not_zero(_, n)
    return n ~= 0
end

local function run(options)
    local result = testing.run(options)
    assert.is_nil(result.error and result.error.message)
    local batches = {}
    for index, batch in ipairs(result.batches) do
        local texts = {}
        for position, record in ipairs(batch.records) do
            texts[position] = type(record) == "table" and tostring(record[1]) .. "=" .. tostring(record[2]) or tostring(record)
        end
        table.sort(texts)
        batches[index] = string.format("%d: %s", batch.time / 1000, table.concat(texts, " "))
    end
    return batches
end

local function ones(stream)
    return stream:map(function(x) return x, 1 end)
end

local functions = { ["in C"] = { add, subtract }, ["in Lua"] = { plus, minus } }

for where, pair in pairs(functions) do
    describe("reduceByKeyAndWindow with an inverse, " .. where, function()
        local f, inverse = pair[1], pair[2]
        local input = { { "a" }, { "a", "b" }, { "a", "b", "c" }, { "a" }, {}, {}, NONE, { "b" } }

        it("keeps neutral values without a filter", function()
            assert.are.same({ "1: a=1", "2: a=2 b=1", "3: a=2 b=2 c=1", "4: a=2 b=1 c=1", "5: a=1 b=0 c=0", "6: a=0 b=0 c=0",
                "7: a=0 b=0 c=0", "8: a=0 b=1 c=0" }, run { inputs = { input },
                build = function(_, a) return ones(a):reduceByKeyAndWindow(f, inverse, 2000, 1000) end })
        end)

        it("forgets keys that have left and that the filter rejects", function()
            assert.are.same({ "1: a=1", "2: a=2 b=1", "3: a=2 b=2 c=1", "4: a=2 b=1 c=1", "5: a=1", "6: ", "7: ", "8: b=1" },
                run { inputs = { input }, build = function(_, a)
                    return ones(a):reduceByKeyAndWindow(f, inverse, 2000, 1000, nil, not_zero)
                end })
        end)

        it("may have a filter that hides what is still in the window", function()
            assert.are.same({ "1: ", "2: a=2", "3: a=2", "4: ", "5: " }, run { inputs = { { { "a" }, { "a" }, { "a" }, {}, {} } },
                build = function(_, a)
                    return ones(a):reduceByKeyAndWindow(f, inverse, 2000, 1000, nil, function(_, n) return n > 1 end)
                end })
        end)

        it("is right when it slides by more than its length", function()
            assert.are.same({ "3: a=2", "6: b=1" }, run { inputs = { { { "a" }, { "a" }, { "a" }, { "b" }, {}, { "b" } } },
                build = function(_, a) return ones(a):reduceByKeyAndWindow(f, inverse, 2000, 3000) end })
        end)

        it("agrees with the window without inverse", function()
            local batches = {}
            for index = 1, 30 do
                local records = {}
                for at = 1, index * 5 % 7 do
                    records[at] = index * at % 9
                end
                batches[index] = index % 9 == 4 and NONE or records
            end
            for _, span in ipairs { { 5, 1 }, { 10, 5 }, { 7, 3 }, { 4, 4 }, { 3, 2 } } do
                local function window(inv)
                    return run { inputs = { batches }, batches = 40, build = function(_, a)
                        local keyed = ones(a)
                        if inv then
                            return keyed:reduceByKeyAndWindow(f, inv, span[1] * 1000, span[2] * 1000, 2, not_zero)
                        end
                        return keyed:reduceByKeyAndWindow(f, span[1] * 1000, span[2] * 1000, 2)
                    end }
                end
                assert.are.same(window(), window(inverse))
            end
        end)
    end)
end

describe("an inverse window", function()
    it("works on values that are no numbers", function()
        assert.are.same({ "1: k=1,0", "2: k=3,1", "3: k=5,3", "4: k=3,2" }, run { inputs = { { { 1 }, { 2 }, { 3 }, {} } },
            build = function(_, a)
                return a:map(function(x) return "k", { x, x - 1 } end):reduceByKeyAndWindow(
                    function(l, r) return { l[1] + r[1], l[2] + r[2] } end,
                    function(l, r) return { l[1] - r[1], l[2] - r[2] } end,
                    2000):mapValues(function(v) return v[1] .. "," .. v[2] end)
            end })
    end)

    it("falls back to Lua when numbers and others meet", function()
        local result = testing.run { inputs = { { { 1 }, { "x" } } }, build = function(_, a)
            return a:map(function(x) return "k", x end):reduceByKeyAndWindow(add, subtract, 2000)
        end }
        assert.are.equal(1, #result.batches)
        assert.matches("arithmetic", result.error.message)
        assert.matches("reduceByKeyAndWindow", result.error.message)
    end)

    it("is the same in C and in Lua, with thousands of keys that come and go", function()
        local input = {}
        for index = 1, 12 do
            input[index] = {}
            -- From the ninth on hardly anything comes, and then nothing leaves.
            for at = 1, index < 8 and 3000 or index - 7 do
                input[index][at] = (index * 7919 + at * at) % 5003
            end
        end
        local function window(f, inverse, filter)
            return run { inputs = { input }, build = function(_, a)
                return ones(a):reduceByKeyAndWindow(f, inverse, 3000, 1000, 2, filter)
            end }
        end
        for _, filter in ipairs { false, not_zero, function(k, n) return n > 1 or n == 0 and k % 2 == 0 end } do
            assert.are.same(window(add, subtract, filter or nil), window(plus, minus, filter or nil))
        end
    end)

    it("makes something else of numbers in Lua", function()
        assert.are.same({ "1: k=1", "2: k=3", "3: k=5", "4: k=3" }, run { inputs = { { { 1 }, { 2 }, { 3 }, {} } },
            build = function(_, a)
                return a:map(function(x) return "k", x end):reduceByKeyAndWindow(function(l, r) return l + r + 0LL end,
                    function(l, r) return l - r + 0LL end, 2000)
            end })
    end)

    it("tells on which key a function failed", function()
        local result = testing.run { inputs = { { { 1 }, { 2 }, { 4 } } }, build = function(_, a)
            return a:map(function(x) return "k", x end):reduceByKeyAndWindow(plus, function() error("no inverse") end, 2000)
        end }
        assert.are.equal(2, #result.batches)
        assert.matches("no inverse", result.error.message)
        assert.matches('record: %("k", 3%)', result.error.message)
    end)

    it("says which function returned nil", function()
        local result = testing.run { inputs = { { { 1 }, { 1 }, { 1 } } }, build = function(_, a)
            return a:map(function(x) return "k", x end):reduceByKeyAndWindow(plus, function() return nil end, 2000)
        end }
        assert.are.equal(2, #result.batches)
        assert.matches("the inverse returned nil", result.error.message)
    end)

    it("needs a checkpoint directory, and tells how to set it", function()
        local result = testing.run { inputs = { { { 1 } } }, checkpoint = false, build = function(_, a)
            return ones(a):reduceByKeyAndWindow(add, subtract, 2000)
        end }
        assert.matches("The checkpoint directory has not been set", result.error.message)
        assert.matches("ssc:checkpoint%(directory%)", result.error.message)
    end)
end)

describe("countByWindow", function()
    it("has nothing before the first record, and then always a number", function()
        assert.are.same({ "1: ", "2: ", "3: 2", "4: 2", "5: 0", "6: 1" }, run { inputs = { { {}, {}, { 7, 7 }, {}, {}, { 1 } } },
            build = function(_, a) return a:countByWindow(2000, 1000) end })
    end)

    it("counts pairs", function()
        assert.are.same({ "1: 2", "2: 3" }, run { inputs = { { { 1, 2 }, { 3 } } },
            build = function(_, a) return ones(a):countByWindow(2000, 1000) end })
    end)
end)

describe("countByValueAndWindow", function()
    it("drops values that have left", function()
        assert.are.same({ "1: a=1", "2: a=2 b=1", "3: a=1 b=1 c=1", "4: c=1", "5: " }, run {
            inputs = { { { "a" }, { "a", "b" }, { "c" }, {}, {} } },
            build = function(_, a) return a:countByValueAndWindow(2000, 1000, 3) end })
    end)
end)

describe("reduceByWindow with an inverse", function()
    it("keeps the neutral value", function()
        assert.are.same({ "1: 5", "2: 5", "3: 0", "4: 1" }, run { inputs = { { { 5 }, {}, {}, { 1 } } },
            build = function(_, a) return a:reduceByWindow(add, subtract, 2000, 1000) end })
    end)

    it("gives pairs for pairs", function()
        assert.are.same({ "1: k=5", "2: k=7" }, run { inputs = { { { 5 }, { 2 } } }, build = function(_, a)
            return a:map(function(x) return "k", x end):reduceByWindow(function(l, r) return { l[1], l[2] + r[2] } end,
                function(l, r) return { l[1], l[2] - r[2] } end, 2000, 1000)
        end })
    end)
end)
