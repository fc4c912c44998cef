-- How far mapPartitions, and what is built on it, reads ahead: not in records, not in bytes, not past a failure, and a table that
-- an iterator fills again and again is taken as it is at each turn.

local engine = require "spec.support.engine"

local sanitized = (os.getenv "MOONTIDE_SANITIZE" or "") ~= ""

describe("the iterator that a function of mapPartitions gets", function()
    engine.watch(after_each)

    local function failing_from(sc, first)
        return sc:range(1, 1001, 1, 1):map(function(x)
            if x >= first then error("record " .. x) end
            return x
        end)
    end

    it("does not compute a record that is not asked for", function()
        local sc = engine.context("local[1]")
        for _, first in ipairs { 2, 51, 300 } do
            for _, wanted in ipairs { 1, math.floor(first / 2), first - 1 } do
                local rdd = failing_from(sc, first):mapPartitions(function(it)
                    local list = {}
                    for at = 1, wanted do list[at] = it() end
                    return list
                end)
                assert.equal(math.max(wanted, 0), rdd:count(), first)
            end
        end
        assert.same({ 1 }, failing_from(sc, 51):mapPartitions(function(it) return { it() } end):collect())
        assert.same({ 1, 2, 3 }, failing_from(sc, 4):mapPartitions(function(it) return it end):take(3))
    end)

    it("raises where the failing record is asked for, after those before it", function()
        local sc = engine.context("local[1]")
        local seen = sc:accumulator(0)
        local rdd = failing_from(sc, 51):mapPartitions(function(it)
            for _ in it do seen:add(1) end
            return {}
        end)
        assert.matches("record 51", engine.message(function() rdd:count() end))
        local caught = failing_from(sc, 51):mapPartitions(function(it)
            local n = 0
            local ok = pcall(function() for _ in it do n = n + 1 end end)
            return { ok, n }
        end):collect()
        assert.same({ false, 50 }, caught)
    end)

    it("is lazy for pairs, partitions with a number, and foreachPartition, too", function()
        local sc = engine.context("local[2]")
        local pairs_of = failing_from(sc, 40):map(function(x) return x, "v" .. x end)
        assert.same({ { 1, "v1" } }, pairs_of:mapPartitions(function(it)
            local k, v = it()
            return pairs { [k] = v }
        end):collect())
        assert.same({ 0 }, failing_from(sc, 40):mapPartitionsWithIndex(function(index, it)
            for _ = 1, 39 do assert(it()) end
            return { index }
        end):collect())
        failing_from(sc, 40):foreachPartition(function(it) for _ = 1, 39 do assert(it()) end end)
    end)

    it("gives tables as they are at each turn, although the function before fills one again and again", function()
        local sc = engine.context("local[1]")
        local expected = {}
        for x = 1, 300 do expected[x] = x end
        local function read(it)
            return function()
                local t = it()
                return t and t.x
            end
        end
        local by_map = sc:range(1, 301, 1, 1):mapPartitions(function(it)
            local t = {}
            return function()
                t.x = it()
                return t.x and t
            end
        end)
        assert.same(expected, by_map:mapPartitions(read):collect())
        local by_flat_map = sc:parallelize({ 300 }, 1):flatMap(function(n)
            local t, x = {}, 0
            return function()
                x = x + 1
                t.x = x
                return x <= n and t or nil
            end
        end)
        assert.same(expected, by_flat_map:mapPartitions(read):collect())
        local shared = { t = {} }
        local by_closure = sc:range(1, 301, 1, 1):map(function(x)
            shared.t.x = x
            return shared.t
        end)
        assert.same(expected, by_closure:mapPartitions(read):collect())
    end)
end)

describe("an iterator that a function returns", function()
    engine.watch(after_each)

    -- { {1}, {2}, … } in one table.
    local function refilled(n)
        local t, x = {}, 0
        return function()
            x = x + 1
            t[1] = x
            return x <= n and t or nil
        end
    end

    local function lists(n)
        local expected = {}
        for x = 1, n do expected[x] = { x } end
        return expected
    end

    it("may return the same table again, with something else in it", function()
        local sc = engine.context("local[2]")
        local one = sc:parallelize({ 600 }, 1)
        local expected = lists(600)
        assert.same(expected, one:mapPartitions(function(it) return refilled(it()) end):collect())
        assert.same(expected, one:mapPartitionsWithIndex(function(_, it) return refilled(it()) end):collect())
        assert.same(expected, one:flatMap(refilled):collect())
        assert.same(expected, one:map(function(n) return 1, n end):flatMapValues(refilled):values():collect())
        assert.same(expected, one:zipPartitions(one, function(it) return refilled(it()) end):collect())
        assert.same(expected, one:mapPartitions(function(it) return refilled(it()) end):repartition(1):collect())
        local cached = one:mapPartitions(function(it) return refilled(it()) end):cache()
        assert.same(expected, cached:collect())
        assert.same(expected, cached:collect())
        local as_values = one:mapPartitions(function(it)
            local step = refilled(it())
            return function()
                local t = step()
                if t then return t[1] % 7, t end
            end
        end)
        local sum = 0
        for _, pair in ipairs(as_values:collect()) do
            assert.equal(pair[1], pair[2][1] % 7)
            sum = sum + pair[2][1]
        end
        assert.equal(600 * 601 / 2, sum)
    end)

    it("is asked for no more than is taken", function()
        local sc = engine.context("local[1]")
        local asked = sc:accumulator(0)
        local rdd = sc:parallelize({ 1 }, 1):mapPartitions(function()
            local x = 0
            return function()
                asked:add(1)
                x = x + 1
                return x
            end
        end)
        assert.same({ 1, 2, 3 }, rdd:take(3))
        assert.is_true(asked:value() <= 4, asked:value())
    end)

    it("yields pairs always or never", function()
        local sc = engine.context("local[1]")
        for _, at in ipairs { 2, 17, 100 } do
            for _, first in ipairs { true, false } do
                local rdd = sc:parallelize({ 1 }, 1):mapPartitions(function()
                    local x = 0
                    return function()
                        x = x + 1
                        if x > 200 then return nil end
                        if (x < at) == first then return x, x end
                        return x
                    end
                end)
                assert.matches("is of one kind: return pairs always or never",
                    engine.message(function() rdd:collect() end))
            end
        end
    end)

    it("may have a state and a control value, as next and ipairs have", function()
        local sc = engine.context("local[1]")
        local list = {}
        for x = 1, 500 do list[x] = x * 2 end
        local one = sc:parallelize({ list }, 1)
        local found = one:mapPartitions(function(it) return ipairs(it()) end):collect()
        assert.equal(500, #found)
        for x, pair in ipairs(found) do assert.same({ x, x * 2 }, pair) end
        assert.equal(500, one:mapPartitions(function(it) return pairs(it()) end):count())
        local function below(limit, x) if x < limit then return x + 1 end end
        assert.equal(300, #one:mapPartitions(function() return below, 300, 0 end):collect())
    end)
end)

describe("large records", function()
    engine.watch(after_each)

    local function resident()
        local file = assert(io.open "/proc/self/statm")
        local pages = file:read "*a":match "^%d+ (%d+)"
        file:close()
        return tonumber(pages) * 4096
    end

    local RECORDS, SIZE = 200, 1024 * 1024

    -- The most memory that a job takes beyond what was there, as seen by the function of its last operator.
    local function growth(sc, make)
        local before = resident()
        local peak = make(sc:range(0, RECORDS, 1, 1)):map(function(x)
            return resident()
        end):reduce(math.max)
        return peak - before
    end

    if not sanitized then
        it("pass through mapPartitions a few at a time, as strings and in tables", function()
            local sc = engine.context("local[1]")
            local function pass(it)
                return function()
                    local x = it()
                    return x
                end
            end
            local kinds = {
                strings = function(x) return ("x"):rep(SIZE - x) end,
                tables = function(x) return { text = ("y"):rep(SIZE - x) } end,
            }
            for kind, make in pairs(kinds) do
                local most = growth(sc, function(rdd) return rdd:map(make):mapPartitions(pass) end)
                assert.is_true(most < RECORDS * SIZE * 0.6, ("%s: %.0f MB"):format(kind, most / SIZE))
            end
        end)
    end
end)
