-- Keys: what is equal is one key, at every depth of a table; NaN is refused wherever a key or an order is needed, and by name.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local testing = require "moontide.testing"

local message = engine.message
local NAN, MINUS_ZERO = 0 / 0, tonumber("-0")
local BIG = 2 ^ 60

-- Each entry is a list of keys that are one.
local EQUAL = {
    { 0, MINUS_ZERO },
    { { 0.0 }, { MINUS_ZERO } },
    { { a = { { 0 } } }, { a = { { MINUS_ZERO } } } },
    { { a = 0, b = 0 }, { b = MINUS_ZERO, a = MINUS_ZERO } },
    { { x = { 1, 0, "z" } }, { x = { 1LL, MINUS_ZERO, "z" } } },
    { 1, 1LL, 1ULL },
    { { 1, 0.5 }, { 1LL, 0.5 }, { 1ULL, 0.5 } },
    { BIG, 1152921504606846976LL, 1152921504606846976ULL },
    { { BIG }, { 1152921504606846976LL }, { 1152921504606846976ULL } },
    { { id = { 1152921504606846977LL } }, { id = { 1152921504606846977ULL } } },
    { { -1152921504606846976LL, 0 }, { -BIG, MINUS_ZERO } },
    { { [2] = "b", [1] = "a", n = true }, { n = true, [1] = "a", [2] = "b" } },
    { { {} }, { setmetatable({}, nil) } },
    { moontide.null, moontide.null },
    { { moontide.null, 0 }, { moontide.null, MINUS_ZERO } },
    { "a" }, { { "a" } }, { true }, { { true, 0.1 } }, { 0.1 }, { { 1152921504606846978LL } },
}

local function pairs_of_equal()
    local list = {}
    for round = 1, 2 do
        for _, same in ipairs(EQUAL) do
            for at = 1, #same do
                list[#list + 1] = { same[round == 1 and at or #same + 1 - at], 1 }
            end
        end
    end
    return list
end

local function sizes(records, count)
    local list = {}
    for at, record in ipairs(records) do
        list[at] = count(record)
    end
    table.sort(list)
    return list
end

local WANTED = {}
for at, same in ipairs(EQUAL) do WANTED[at] = 2 * #same end
table.sort(WANTED)

describe("equal keys are one", function()
    engine.watch(after_each)

    -- The same pairs, by different ways to the operator by key.
    local ways = {
        parallelized = function(sc, n) return sc:parallelizePairs(pairs_of_equal(), n) end,
        mapped = function(sc, n)
            return sc:parallelizePairs(pairs_of_equal(), n):map(function(k, v) return k, v end)
        end,
        cached = function(sc, n)
            local cached = sc:parallelizePairs(pairs_of_equal(), n):map(function(k, v) return k, v end):persist()
            cached:count()
            return cached
        end,
        repartitioned = function(sc, n) return sc:parallelizePairs(pairs_of_equal(), 1):repartition(n) end,
        partitioned = function(sc, n) return sc:parallelizePairs(pairs_of_equal(), 2):partitionBy(n) end,
        ["on disk"] = function(sc, n)
            return sc:parallelizePairs(pairs_of_equal(), n):map(function(k, v) return k, v end):persist(moontide.StorageLevel.DISK_ONLY)
        end,
    }
    for name, way in pairs(ways) do
        it("in every operator by key: " .. name, function()
            local sc = engine.context("local[2]")
            local add = function(a, b) return a + b end
            for _, n in ipairs { 1, 3, 16 } do
                local data = way(sc, n)
                assert.same(WANTED, sizes(data:groupByKey(n):collect(), function(r) return #r[2] end))
                assert.same(WANTED, sizes(data:reduceByKey(add, n):collect(), function(r) return r[2] end))
                assert.same(WANTED, sizes(data:mapValues(function() return { 1 } end)
                    :reduceByKey(function(a, b) return { a[1] + b[1] } end, n):collect(), function(r) return r[2][1] end))
                assert.same(WANTED, sizes(data:combineByKey(function(v) return v end, add, add, n):collect(),
                    function(r) return r[2] end))
                assert.same(WANTED, sizes(data:foldByKey(0, add, n):collect(), function(r) return r[2] end))
                assert.equal(#EQUAL, #data:keys():distinct(n):collect())
                assert.same(WANTED, sizes(data:keys():map(function(k) return k, 1 end):cogroup(data):collect(),
                    function(r) return #r[2][2] end))
                local once = data:reduceByKey(add, n)
                assert.equal(#EQUAL, once:join(data:reduceByKey(add, 2)):count())
                assert.equal(0, once:subtractByKey(data):count())
                assert.equal(#EQUAL, data:keys():intersection(once:keys()):count())
                assert.equal(0, data:keys():subtract(once:keys()):count())
            end
        end)
    end

    it("in countByValue, countByKey and lookup", function()
        local sc = engine.context("local[2]")
        local data = sc:parallelizePairs(pairs_of_equal(), 3)
        local function values(map)
            local list = {}
            for _, n in pairs(map) do list[#list + 1] = n end
            table.sort(list)
            return list
        end
        assert.same(WANTED, values(data:countByKey()))
        assert.same(WANTED, values(data:keys():countByValue()))
        assert.same(WANTED, values(data:countByValue()))
        for _, same in ipairs(EQUAL) do
            for _, key in ipairs(same) do
                assert.equal(2 * #same, #data:lookup(key))
                assert.equal(2 * #same, #data:partitionBy(5):lookup(key))
            end
        end
    end)

    it("to partitioners of the script", function()
        local sc = engine.context("local[2]")
        local function kind(key)
            if type(key) == "table" then key = key[1] or key.a and key.a[1] end
            if type(key) == "number" then return 1 / key < 0 and 1 or 2 end
            return type(key) == "cdata" and 3 or 0
        end
        for _, same in ipairs { { 0, MINUS_ZERO }, { { 0 }, { MINUS_ZERO } }, { 1, 1LL }, { { 1 }, { 1LL } } } do
            local list = {}
            for at, key in ipairs(same) do list[at] = { key, at } end
            local by = sc:parallelizePairs(list, 1):partitionBy(4, kind)
            assert.same({ 0, 0, 2, 0 }, by:mapPartitions(function(it)
                local n = 0
                for _ in it do n = n + 1 end
                return { n }
            end):collect())
            assert.equal(2, #by:lookup(same[1]))
            assert.equal(2, #by:lookup(same[2]))
        end
    end)

    it("in keyed state and windows of streams", function()
        local builds = {
            updateStateByKey = function(stream)
                return stream:updateStateByKey(function(new, state) return (state or 0) + #new end)
            end,
            mapWithState = function(stream)
                return stream:mapWithState(moontide.StateSpec.func(function(key, value, state)
                    state:update((state:getOption() or 0) + 1)
                    return nil
                end)):stateSnapshots()
            end,
            reduceByKeyAndWindow = function(stream)
                return stream:reduceByKeyAndWindow(function(a, b) return a + b end, "2s", "1s")
            end,
            inverse = function(stream)
                return stream:reduceByKeyAndWindow(function(a, b) return a + b end, function(a, b) return a - b end, "2s", "1s")
            end,
            countByValueAndWindow = function(stream)
                return stream:map(function(k) return k end):countByValueAndWindow("2s", "1s")
            end,
        }
        for _, build in pairs(builds) do
            local all = pairs_of_equal()
            local first, second = {}, {}
            for at, pair in ipairs(all) do
                local half = at <= #all / 2 and first or second
                half[#half + 1] = pair
            end
            local result = testing.run { inputs = { { first, second } }, pairs = { true }, build = function(_, stream)
                return build(stream)
            end }
            assert.same(WANTED, sizes(result.batches[2].records, function(r) return r[2] end))
        end
    end)

    it("and come out without -0, at every depth", function()
        local sc = engine.context("local[1]")
        local function signs(k, v)
            return type(k) == "table" and 1 / k.a[1] or 1 / k, v
        end
        for _, key in ipairs { MINUS_ZERO, { a = { MINUS_ZERO } } } do
            local data = sc:parallelizePairs({ { key, 1 } })
            local cached = data:map(function(k, v) return k, v end):persist()
            cached:count()
            for _, by in ipairs { data, cached, data:map(function(k, v) return k, v end) } do
                assert.same({ { math.huge, 1 } }, by:reduceByKey(function(a) return a end):map(signs):collect())
                assert.same({ { math.huge, { 1 } } }, by:groupByKey():map(signs):collect())
                assert.same({ { math.huge, 1 } }, by:partitionBy(2):map(signs):collect())
                assert.same({ math.huge }, by:keys():distinct():map(function(k) return (signs(k)) end):collect())
            end
            -- As plain data it stays what it is.
            assert.same({ { -math.huge, 1 } }, data:map(signs):collect())
            assert.same({ { -math.huge, 1 } }, cached:repartition(3):map(signs):collect())
        end
    end)
end)

describe("NaN", function()
    engine.watch(after_each)

    local keys = { NAN, { NAN }, { a = { 1, { b = NAN } } }, { 0, MINUS_ZERO, -NAN } }

    local function refused(text, reason, key)
        assert.matches("NaN, which " .. reason, text, 1, true)
        assert.matches("filter(function(x) return x == x end)", text, 1, true)
        if type(key) == "table" then
            assert.matches("the number key", text, 1, true)
        end
    end

    it("is no key of an operator by key, whichever way it comes, and the message tells operator and record", function()
        local sc = engine.context("local[2]")
        local add = function(a, b) return a end
        local other = sc:parallelizePairs({ { 1, 1 } })
        local calls = {
            groupByKey = function(d) return d:groupByKey(3) end,
            reduceByKey = function(d) return d:reduceByKey(add) end,
            combineByKey = function(d) return d:combineByKey(add, add, add) end,
            foldByKey = function(d) return d:foldByKey(0, add) end,
            aggregateByKey = function(d) return d:aggregateByKey(0, add, add) end,
            partitionBy = function(d) return d:partitionBy(2) end,
            repartitionAndSortWithinPartitions = function(d) return d:repartitionAndSortWithinPartitions(2) end,
            join = function(d) return d:join(other) end,
            leftOuterJoin = function(d) return other:leftOuterJoin(d) end,
            cogroup = function(d) return other:cogroup(d) end,
            subtractByKey = function(d) return d:subtractByKey(other) end,
            distinct = function(d) return d:keys():distinct() end,
            subtract = function(d) return d:keys():subtract(other:keys()) end,
            intersection = function(d) return other:keys():intersection(d:keys()) end,
            countByKey = function(d) d:countByKey() end,
            countByValue = function(d) d:countByValue() end,
            reduceByKeyLocally = function(d) d:reduceByKeyLocally(add) end,
            collectAsMap = function(d) d:collectAsMap() end,
        }
        for _, key in ipairs(keys) do
            local plain = sc:parallelizePairs({ { 1, "one" }, { 2, "two" } }, 2):map(function(k, v)
                if v == "two" then return key, v end
                return k, v
            end)
            local cached = plain:map(function(k, v) return k, v end):persist()
            assert.equal(2, #cached:collect()) -- as plain data it is welcome
            for name, call in pairs(calls) do
                for _, data in ipairs { plain, cached } do
                    local text = message(function()
                        local rdd = call(data)
                        if rdd then rdd:collect() end
                    end)
                    assert.matches(name == "reduceByKeyLocally" and "reduceByKey" or name, text, 1, true)
                    assert.matches("record: ", text, 1, true)
                    if name == "distinct" or name == "subtract" or name == "intersection" or name == "countByValue" then
                        assert.matches("NaN, which is not equal to itself and so belongs to no group", text, 1, true)
                    else
                        refused(text, "is not equal to itself and so belongs to no group", key)
                        assert.matches('"two"', text, 1, true)
                    end
                end
            end
        end
    end)

    it("is no key where mapPartitions promises to keep keys, so that nothing is shuffled", function()
        local sc = engine.context("local[2]")
        local function made(key)
            return sc:parallelizePairs({ { 1, "one" }, { 2, "two" } }):partitionBy(2):mapPartitions(function(it)
                return function()
                    local k, v = it()
                    if k then return v == "two" and key or k, v end
                end
            end, true)
        end
        for _, key in ipairs(keys) do
            local data = made(key)
            for _, rdd in ipairs { data:groupByKey(2), data:reduceByKey(function(a) return a end, 2), data:join(data) } do
                local text = message(function() rdd:collect() end)
                refused(text, "is not equal to itself and so belongs to no group", key)
                assert.matches("mapPartitions", text, 1, true)
                assert.matches('"two"', text, 1, true)
            end
        end
        for _, key in ipairs { MINUS_ZERO, { MINUS_ZERO } } do
            local got = made(key):groupByKey(2):filter(function(_, v) return v[1] == "two" end):collect()[1][1]
            assert.equal(math.huge, 1 / (type(got) == "table" and got[1] or got))
        end
    end)

    it("has no place in an order", function()
        local sc = engine.context("local[2]")
        local calls = {
            sortByKey = function(d) return d:sortByKey(true, 2) end,
            sortBy = function(d) return d:sortBy(function(k) return k end, true, 2) end,
            top = function(d) d:top(1, function(k) return k end) end,
            takeOrdered = function(d) d:takeOrdered(1, function(k) return k end) end,
            max = function(d) d:max(function(k) return k end) end,
            min = function(d) d:min(function(k) return k end) end,
        }
        for _, key in ipairs(keys) do
            local plain = sc:parallelizePairs({ { 1, "one" }, { 2, "two" } }, 2):map(function(k, v)
                if v == "two" then return key, v end
                return k, v
            end)
            local cached = plain:map(function(k, v) return k, v end):persist()
            cached:count()
            for name, call in pairs(calls) do
                for _, data in ipairs { plain, cached } do
                    local text = message(function()
                        local rdd = call(data)
                        if rdd then rdd:collect() end
                    end)
                    assert.matches(name, text, 1, true)
                    refused(text, "has no place in an order", key)
                    if name ~= "sortBy" then assert.matches('"two"', text, 1, true) end
                end
            end
            for _, name in ipairs { "top", "takeOrdered" } do
                local text = message(function() plain:keys()[name](plain:keys(), 2) end)
                assert.matches("NaN, which has no place in an order", text, 1, true)
            end
        end
    end)

    it("has no place in statistics and histograms; a sum is NaN", function()
        local sc = engine.context("local[2]")
        local numbers = sc:parallelize({ 1, NAN, 3 }, 3)
        for _, name in ipairs { "stats", "mean", "variance", "stdev", "sampleVariance", "sampleStdev" } do
            local text = message(function() numbers[name](numbers) end)
            assert.matches(name .. ": the record is NaN, which has no place in statistics", text, 1, true)
            assert.matches("filter(function(x) return x == x end)", text, 1, true)
        end
        for _, buckets in ipairs { 2, { 0, 2, 4 } } do
            local text = message(function() numbers:histogram(buckets) end)
            assert.matches("histogram: the record is NaN, which has no place in statistics", text, 1, true)
        end
        local sum = numbers:sum()
        assert.is_true(sum ~= sum)
        assert.equal(4, numbers:filter(function(x) return x == x end):sum())
        assert.equal(2, numbers:filter(function(x) return x == x end):mean())
    end)

    it("is no key of a state, of the initial state, or of a lookup", function()
        local sc = engine.context("local[1]")
        for _, key in ipairs(keys) do
            local text = message(function() sc:parallelizePairs({ { 1, 1 } }):lookup(key) end)
            assert.matches("NaN", text, 1, true)
            local builds = {
                function(_, s) return s:updateStateByKey(function(new) return #new end) end,
                function(_, s) return s:mapWithState(moontide.StateSpec.func(function(k) return k end)) end,
                function(_, s) return s:reduceByKeyAndWindow(function(a) return a end, "2s") end,
                function(_, s) return s:groupByKeyAndWindow("2s") end,
                function(_, s) return s:countByValue() end,
                function(ssc)
                    local initial = ssc.sc:parallelizePairs({ { 1, 1 } }):map(function() return key, 1 end)
                    return ssc:queueStream({ {} }):map(function(x) return x, 1 end)
                        :updateStateByKey(function(_, state) return state end, { initial = initial })
                end,
                function(ssc)
                    local initial = ssc.sc:parallelizePairs({ { 1, 1 } }):map(function() return key, 1 end)
                    return ssc:queueStream({ { 1 } }):map(function(x) return x, 1 end)
                        :mapWithState(moontide.StateSpec.func(function(k) return k end):initialState(initial))
                end,
            }
            for at, build in ipairs(builds) do
                local result = testing.run { inputs = { { { 7 } } }, build = function(ssc, stream)
                    return build(ssc, stream:map(function() return key, 1 end))
                end }
                assert(result.error, "build " .. at .. " took it")
                assert.matches("NaN, which is not equal to itself and so belongs to no group", tostring(result.error), 1, true)
            end
        end
    end)
end)
