-- What workers do with records, through the public API: every kind of operator, and the shapes that functions of a script
-- may return. Everything runs with one worker and with two.

local live_blocks = require("spec.support.engine").live_blocks
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"

local null = moontide.null

local function range(first, last, step)
    local list = {}
    for n = first, last, step or 1 do list[#list + 1] = n end
    return list
end

-- Records in an order that does not depend on partitions.
local function sorted(list)
    local function text(record)
        if type(record) ~= "table" then return type(record) .. tostring(record) end
        return text(record[1]) .. "=" .. text(record[2])
    end
    table.sort(list, function(a, b) return text(a) < text(b) end)
    return list
end

local function add(a, b) return a + b end

for _, master in ipairs { "local[1]", "local[2]" } do
    describe("workers, " .. master .. ":", function()
        local sc

        setup(function() sc = moontide.Context(master, "worker_spec") end)

        teardown(function()
            sc:stop()
            assert.equal(0, live_blocks())
        end)

        describe("operators", function()
            it("map, filter, flatMap, in any order", function()
                assert.same({ 20, 40 }, sc:parallelize({ 1, 2, 3, 4 }, 2):map(function(x) return x * 10 end)
                    :filter(function(x) return x % 20 == 0 end):collect())
                assert.same({ 1, 1, 2, 1, 2, 3 }, sc:parallelize({ 1, 2, 3 }, 3):flatMap(function(n) return range(1, n) end):collect())
                assert.same({}, sc:parallelize({}, 3):map(function(x) return x end):collect())
                assert.same({ { "a", 1 } }, sc:parallelize({ "a" }):map(function(x) return x, 1 end):collect())
            end)

            it("on pairs get and make pairs", function()
                local pairs_of = sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "c", 3 } }, 2)
                assert.same({ { 1, "a" }, { 2, "b" }, { 3, "c" } }, pairs_of:map(function(k, v) return v, k end):collect())
                assert.same({ "a1", "b2", "c3" }, pairs_of:map(function(k, v) return k .. v end):collect())
                assert.same({ { "b", 2 }, { "c", 3 } }, pairs_of:filter(function(_, v) return v > 1 end):collect())
                assert.same({ "a", "b", "b", "c", "c", "c" }, pairs_of:flatMap(function(k, v)
                    local list = {}
                    for at = 1, v do list[at] = k end
                    return list
                end):collect())
            end)

            it("mapValues, flatMapValues, keyBy, keys, values", function()
                local pairs_of = sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 2)
                assert.same({ { "a", 10 }, { "b", 20 } }, pairs_of:mapValues(function(v) return v * 10 end):collect())
                assert.same({ { "a", 1 }, { "b", 1 }, { "b", 2 } }, pairs_of:flatMapValues(function(v) return range(1, v) end):collect())
                assert.same({ { "b", "x" }, { "b", "y" } }, pairs_of:flatMapValues(function(v)
                    return ("x y"):rep(v - 1):gmatch "%a"
                end):collect())
                assert.same({ "a", "b" }, pairs_of:keys():collect())
                assert.same({ 1, 2 }, pairs_of:values():collect())
                assert.same({ { 3, "abc" }, { 0, "" } }, sc:parallelize { "abc", "" }:keyBy(function(s) return #s end):collect())
                assert.same({ { 1, { "a", 1 } }, { 2, { "b", 2 } } }, pairs_of:keyBy(function(_, v) return v end):collect())
            end)

            it("glom, one array for each partition", function()
                assert.same({ { 1 }, { 2, 3 } }, sc:parallelize({ 1, 2, 3 }, 2):glom():collect())
                assert.same({ {}, { "x" } }, sc:parallelize({ "x" }, 2):glom():collect())
                assert.same({ { { "k", 1 } } }, sc:parallelizePairs({ { "k", 1 } }, 1):glom():collect())
                assert.same({ 1, 2 }, sc:parallelize({ 1, 2, 3 }, 2):glom():map(function(list) return #list end):collect())
            end)

            it("count, sum, reduce, fold, aggregate, first, isEmpty", function()
                local numbers = sc:parallelize(range(1, 1000), 7)
                assert.equal(1000, numbers:count())
                assert.equal(333, numbers:filter(function(x) return x % 3 == 0 end):count())
                assert.equal(0, numbers:filter(function() return false end):count())
                assert.equal(500500, numbers:reduce(add))
                assert.equal(500500, numbers:fold(0, add))
                assert.equal(500500 + 8, numbers:fold(1, add)) -- once in each partition, once more for all
                local average = numbers:aggregate({ 0, 0 }, function(a, x) return { a[1] + x, a[2] + 1 } end,
                    function(a, b) return { a[1] + b[1], a[2] + b[2] } end)
                assert.same({ 500500, 1000 }, average)
                -- The zero value may be changed in place: each partition has its own.
                local all = numbers:aggregate({}, function(list, x)
                    list[#list + 1] = x
                    return list
                end, function(a, b)
                    for _, x in ipairs(b) do a[#a + 1] = x end
                    return a
                end)
                table.sort(all)
                assert.same(range(1, 1000), all)
                local best = sc:parallelizePairs({ { "a", 3 }, { "b", 7 }, { "c", 5 } }, 2):reduce(function(x, y)
                    return x[2] > y[2] and x or y
                end)
                assert.same({ "b", 7 }, best)
                assert.equal(1, numbers:first())
                assert.is_false(numbers:isEmpty())
                assert.is_true(sc:emptyRDD():isEmpty())
            end)

            it("reduceByKey with all kinds of keys and values", function()
                local input = {}
                for at = 1, 3000 do input[at] = { at % 3 == 0 and "s" .. at % 7 or at % 3 == 1 and at % 11 or at % 2 == 0, at } end
                local expected = {}
                for _, pair in ipairs(input) do expected[pair[1]] = (expected[pair[1]] or 0) + pair[2] end
                assert.same(expected, sc:parallelizePairs(input, 5):reduceByKey(add):collectAsMap())
                assert.same(expected, sc:parallelizePairs(input, 5):reduceByKey(function(a, b) return b + a end, 3)
                    :collectAsMap())
                local longest = sc:parallelizePairs(input, 3):mapValues(function(v) return ("x"):rep(v % 50) end)
                    :reduceByKey(function(a, b) return #a >= #b and a or b end)
                for _, pair in ipairs(longest:collect()) do assert.is_true(#pair[2] >= 48) end
                assert.same({ { "k", true } }, sc:parallelizePairs({ { "k", false }, { "k", true }, { "k", false } }, 3)
                    :reduceByKey(function(a, b) return a or b end):collect())
                assert.same({ { "k", false } }, sc:parallelizePairs({ { "k", false }, { "k", true }, { "k", false } }, 3)
                    :reduceByKey(function(a, b) return a and b end):collect())
                assert.same({ { false, 3 } }, sc:parallelizePairs({ { false, 1 }, { false, 2 } }, 2):reduceByKey(add):collect())
            end)

            it("reduceByKey where values change their type on the way", function()
                local input = {}
                for at = 1, 400 do input[at] = { at % 5, at % 2 == 0 and at or tostring(at) } end
                local function smaller(a, b) return (tonumber(a) <= tonumber(b)) and a or b end
                assert.same({ [0] = "5", [1] = "1", [2] = 2, [3] = "3", [4] = 4 },
                    sc:parallelizePairs(input, 4):reduceByKey(smaller):collectAsMap())
                local as_text = sc:parallelizePairs(input, 4):reduceByKey(function(a, b) return tostring(a + b) end):collectAsMap()
                assert.same({ [0] = "16200", [1] = "15880", [2] = "15960", [3] = "16040", [4] = "16120" }, as_text)
                -- Adding is carried out natively for numbers, and by Lua for the rest.
                local dotted = sc:parallelizePairs({ { "a", 1 }, { "a", "2" }, { "b", 1 }, { "b", 2 }, { "a", 3 }, { "c", 5LL } }, 3)
                    :reduceByKey(function(x, y) return x + y end):collectAsMap()
                assert.same({ 6, 3, 5 }, { dotted.a, dotted.b, tonumber(dotted.c) })
            end)

            it("meets keys that are equal in Lua", function()
                local big = 9007199254740994
                local input = { { 1, 1 }, { 1.0, 1 }, { -0.0, 1 }, { 0, 1 }, { big, 1 }, { 9007199254740994LL, 1 }, { 9007199254740994ULL, 1 },
                    { 9007199254740993LL, 1 }, { 9007199254740993ULL, 1 }, { "1", 1 }, { true, 1 }, { { 1 }, 1 }, { { 1 }, 1 },
                    { { a = 1, b = 2 }, 1 }, { { b = 2, a = 1 }, 1 }, { null, 1 }, { null, 1 } }
                for _, n in ipairs { 1, 3 } do
                    local counts = {}
                    for _, pair in ipairs(sc:parallelizePairs(input, n):reduceByKey(add, n):collect()) do counts[#counts + 1] = pair[2] end
                    table.sort(counts)
                    assert.same({ 1, 1, 2, 2, 2, 2, 2, 2, 3 }, counts)
                    assert.equal(9, #sc:parallelizePairs(input, n):groupByKey(n):collect())
                end
            end)

            it("combineByKey with tables", function()
                local input = {}
                for at = 1, 900 do input[at] = { "k" .. at % 7, at } end
                local result = sc:parallelizePairs(input, 5):combineByKey(
                    function(x) return { n = 1, sum = x, all = { x } } end,
                    function(c, x)
                        c.n, c.sum = c.n + 1, c.sum + x
                        c.all[#c.all + 1] = x
                        return c
                    end,
                    function(a, b)
                        for _, x in ipairs(b.all) do a.all[#a.all + 1] = x end
                        return { n = a.n + b.n, sum = a.sum + b.sum, all = a.all }
                    end):collectAsMap()
                for at = 0, 6 do
                    local c = result["k" .. at]
                    table.sort(c.all)
                    assert.equal(#c.all, c.n)
                    assert.same(range(at == 0 and 7 or at, 900, 7), c.all)
                end
                local averages = sc:parallelizePairs(input, 5):combineByKey(function(x) return x end, math.max, math.max):collectAsMap()
                assert.equal(900, averages.k4)
            end)

            it("groupByKey keeps the order of each key's values", function()
                local groups = sc:parallelizePairs({ { "a", 1 }, { "b", null }, { "a", { 2 } }, { "a", false } }, 1):groupByKey():collectAsMap()
                assert.same({ 1, { 2 }, false }, groups.a)
                assert.equal(null, groups.b[1])
                local many = {}
                for at = 1, 5000 do many[at] = { at % 3, at } end
                for key, list in pairs(sc:parallelizePairs(many, 4):groupByKey(2):collectAsMap()) do
                    table.sort(list)
                    assert.same(range(key == 0 and 3 or key, 5000, 3), list)
                end
            end)

            it("sortByKey, up and down, in every kind of key", function()
                local numbers = {}
                for at = 1, 2000 do numbers[at] = { (at * 7919) % 2003 - 1000 + (at % 2) / 2, at } end
                for _, ascending in ipairs { true, false } do
                    for _, n in ipairs { 1, 4 } do
                        local keys = sc:parallelizePairs(numbers, 3):sortByKey(ascending, n):keys():collect()
                        assert.equal(2000, #keys)
                        for at = 2, #keys do assert.is_true(ascending == (keys[at - 1] < keys[at])) end
                        local words = sc:parallelizePairs(numbers, 3):map(function(k, v) return "key " .. k, v end)
                            :sortByKey(ascending, n):keys():collect()
                        for at = 2, #words do assert.is_true(ascending == (words[at - 1] < words[at])) end
                    end
                end
                local mixed = sc:parallelizePairs({ { "b", 1 }, { 2, 1 }, { true, 1 }, { { 1 }, 1 }, { "a", 1 }, { -1, 1 }, { false, 1 },
                    { null, 1 } }, 3):sortByKey():keys():collect()
                assert.same({ null, false, true, -1, 2, "a", "b", { 1 } }, mixed)
            end)

            it("distinct, of values and of pairs", function()
                assert.same({ 1, 2, "1" }, sorted(sc:parallelize({ 1, 2, 1, "1", 2, 1 }, 3):distinct():collect()))
                assert.same({ { "a", 1 }, { "a", 2 } }, sorted(sc:parallelizePairs({ { "a", 1 }, { "a", 2 }, { "a", 1 } }, 2):distinct()
                    :collect()))
                assert.same({ true, false }, sc:parallelize({ true, false, true }, 1):distinct(1):collect())
                assert.same({}, sc:parallelize({}, 2):distinct():collect())
            end)

            it("countByKey and countByValue", function()
                assert.same({ a = 2, b = 1 }, sc:parallelizePairs({ { "a", 1 }, { "b", 1 }, { "a", 9 } }, 2):countByKey())
                assert.same({ x = 2, [3] = 1 }, sc:parallelize({ "x", 3, "x" }, 2):countByValue())
            end)

            it("repartition, coalesce and union of different chains", function()
                local numbers = sc:parallelize(range(1, 100), 10)
                assert.same(range(1, 100), numbers:coalesce(3):collect())
                local moved = numbers:repartition(3):collect()
                table.sort(moved)
                assert.same(range(1, 100), moved)
                local spread = numbers:repartition(4):glom():map(function(list) return #list end):collect()
                assert.equal(100, spread[1] + spread[2] + spread[3] + spread[4])
                for at = 1, 4 do assert.is_true(spread[at] >= 20 and spread[at] <= 30) end
                local mixed = numbers:map(function(x) return -x end):filter(function(x) return x > -4 end)
                    :union(numbers:flatMap(function(x) return x < 3 and { x, x + 0.5 } or {} end))
                    :union(sc:parallelizePairs({ { "k", 1 }, { "k", 2 } }, 2):reduceByKey(add):values())
                    :union(sc:parallelize { "text" })
                assert.same({ -1, -2, -3, 1, 1.5, 2, 2.5, 3, "text" }, mixed:collect())
                for _, n in ipairs { 1, 2, 5 } do
                    assert.same({ -1, -2, -3, 1, 1.5, 2, 2.5, 3, "text" }, mixed:coalesce(n):collect())
                    assert.equal(9, mixed:coalesce(n):map(function(x) return x, 1 end):count())
                end
                assert.same({ { 3, 1 }, { 3, 2 } }, sorted(sc:parallelizePairs({ { "a", 1 } }, 2)
                    :union(sc:parallelizePairs({ { "b", 2 } }, 3)):coalesce(2):map(function(_, v) return 3, v end):collect()))
            end)

            it("foreach and saveAsTextFile", function()
                local dir = tempdir.new()
                finally(function() dir:remove() end)
                local path = dir:file "seen.txt"
                sc:parallelize({ "one", "two", "three" }, 1):foreachPartition(function(it)
                    local file = io.open(path, "w")
                    for word in it do file:write(word, "\n") end
                    file:close()
                end)
                assert.same({ "one", "two", "three" }, sc:textFile(path, 1):collect())
                sc:parallelize({ "four", "five" }, 1):foreach(function(word)
                    local file = io.open(path, "a")
                    file:write(word, "\n")
                    file:close()
                end)
                assert.equal(5, sc:textFile(path):count())
                sc:textFile(path, 2):map(function(word) return word, #word end):saveAsTextFile(dir.path .. "/out")
                assert.same({ "(one,3)", "(two,3)", "(three,5)", "(four,4)", "(five,4)" }, sc:textFile(dir.path .. "/out"):collect())
            end)
        end)

        describe("arity", function()
            it("is learned after any number of dropped records", function()
                for _, drop in ipairs { 0, 1, 15, 16, 17, 100, 5000, 40000 } do
                    local got = sc:parallelize(range(1, drop + 10), 1):filter(function(x) return x > drop end)
                        :map(function(x) return x, -x end):map(function(k, v) return k + v, "p" end)
                        :filter(function(k) return k == 0 end):collect()
                    assert.equal(10, #got, drop)
                    assert.same({ 0, "p" }, got[10])
                end
            end)

            it("is learned in each operator by itself", function()
                -- Each flatMap gives its first record at another time.
                local got = sc:parallelize(range(1, 2000), 1)
                    :flatMap(function(x) return x > 300 and { x } or {} end)
                    :map(function(x) return x, x end)
                    :flatMap(function(k, v) return k > 900 and { k + v } or {} end)
                    :map(function(x) return x / 2 end)
                    :filter(function(x) return x > 1500 end)
                    :keyBy(function(x) return x % 2 end)
                    :mapValues(function(v) return v + 1 end)
                    :collect()
                assert.equal(500, #got)
                assert.same({ { 1, 1502 }, { 0, 1503 } }, { got[1], got[2] })
            end)

            it("may differ between datasets that one function is used on", function()
                local function twist(a, b)
                    if b ~= nil then return b, a end
                    return a
                end
                local singles, two = sc:parallelize({ 1, 2 }, 1), sc:parallelizePairs({ { "k", "v" } }, 1)
                for _ = 1, 3 do
                    assert.same({ 1, 2 }, singles:map(twist):collect())
                    assert.same({ { "v", "k" } }, two:map(twist):collect())
                end
            end)

            it("takes false, null and empty tables for values", function()
                assert.same({ false, false }, sc:parallelize({ 1, 2 }):map(function() return false end):collect())
                assert.same({ { 1, false }, { 2, false } }, sc:parallelize({ 1, 2 }):map(function(x) return x, false end):collect())
                assert.same({ { false, null } }, sc:parallelize { 1 }:map(function() return false, null end):collect())
                assert.same({ false, true, false }, sc:parallelize { 1 }:flatMap(function() return { false, true, false } end):collect())
                assert.same({ {}, {} }, sc:parallelize({ 1, 2 }):map(function() return {} end):collect())
                assert.same({ 1 }, sc:parallelize({ 1, 2 }):filter(function(x) return x == 1 and 0 end):collect())
            end)
        end)

        describe("flatMap", function()
            it("takes arrays, gmatch, pairs and stateful closures", function()
                local one = sc:parallelize({ 3 }, 1)
                assert.same({ 1, 2, 3 }, one:flatMap(function(n) return range(1, n) end):collect())
                assert.same({ "a", "b" }, one:flatMap(function() return ("a b"):gmatch "%a" end):collect())
                assert.same({ { "k", "v" } }, one:flatMap(function() return pairs { k = "v" } end):collect())
                assert.same({ { 1, "a" }, { 2, "b" } }, one:flatMap(function() return ipairs { "a", "b" } end):collect())
                assert.same({ 3, 2, 1 }, one:flatMap(function(n)
                    return function()
                        n = n - 1
                        if n >= 0 then return n + 1 end
                    end
                end):collect())
                assert.same({ { 3, "x" }, { 2, "x" } }, one:flatMap(function(n)
                    return function(limit, x)
                        x = (x or n + 1) - 1
                        if x > limit then return x, "x" end
                    end, 1
                end):collect())
                assert.same({ {}, {} }, one:flatMap(function() return { {}, {} } end):collect())
                assert.same({ "a", "b" }, one:flatMap(function() return coroutine.wrap(function()
                    coroutine.yield "a"
                    coroutine.yield "b"
                end) end):collect())
            end)

            it("takes callable tables", function()
                local got = sc:parallelize({ 2, 3 }, 1):flatMap(function(n)
                    return setmetatable({ left = n }, { __call = function(self)
                        self.left = self.left - 1
                        if self.left >= 0 then return self.left end
                    end })
                end):collect()
                assert.same({ 1, 0, 2, 1, 0 }, got)
            end)

            it("takes a table with a metatable as an array", function()
                local got = sc:parallelize({ 2 }, 1):flatMap(function(n) return moontide.array { n, n } end):collect()
                assert.same({ 2, 2 }, got)
                got = sc:parallelize({ 2 }, 1):flatMap(function(n) return setmetatable({ n }, { __index = {} }) end):collect()
                assert.same({ 2 }, got)
            end)

            it("takes any of them from one record to the next", function()
                local got = sc:parallelize(range(1, 400), 1):flatMap(function(n)
                    if n % 4 == 0 then return {} end
                    if n % 4 == 1 then return { n, n } end
                    if n % 4 == 2 then return ("a b"):gmatch "%S+" end
                    return coroutine.wrap(function() coroutine.yield(n) end)
                end):collect()
                assert.equal(100 * 5, #got)
                assert.same({ 1, 1, "a", "b", 3, 5, 5 }, { unpack(got, 1, 7) })
            end)

            it("nests", function()
                local input = { "a-b c", "d e-f-g" }
                local expected = { "a", "b", "c", "d", "e", "f", "g" }
                assert.same(expected, sc:parallelize(input, 1):flatMap(function(line) return line:gmatch "%S+" end)
                    :flatMap(function(word) return word:gmatch "[^-]+" end):collect())
                local many = {}
                for at = 1, 500 do many[at] = ("x%d y%d"):format(at, at) end
                local got = sc:parallelize(many, 2):flatMap(function(line) return line:gmatch "%S+" end)
                    :flatMap(function(word) return { word, word } end)
                    :flatMap(function(word) return ipairs { word, word, word } end)
                    :flatMap(function(index, word) return index < 3 and word:gmatch "%d" or {} end):count()
                local digits = 0
                for at = 1, 500 do digits = digits + #tostring(at) end
                assert.equal(digits * 2 * 2 * 2, got)
                -- Deeper than one generated function reaches.
                local deep = sc:parallelize({ 1, 2 }, 1)
                for _ = 1, 20 do deep = deep:flatMap(function(x) return { x } end):flatMap(function(x) return { x, nil } end) end
                assert.same({ 1, 2 }, deep:collect())
            end)
        end)

        describe("long chains", function()
            it("of 100 operators in one stage", function()
                local rdd, expected = sc:parallelize(range(1, 3000), 2), {}
                for at = 1, 100 do
                    if at % 10 == 0 then rdd = rdd:filter(function(x) return x % 1 == 0 end)
                    elseif at % 10 == 5 then rdd = rdd:map(function(x) return x, at end):map(function(x, n) return x + n - at end)
                    else rdd = rdd:map(function(x) return x + at end) end
                end
                local sum = 0
                for at = 1, 100 do if at % 10 ~= 0 and at % 10 ~= 5 then sum = sum + at end end
                for at = 1, 3000 do expected[at] = at + sum end
                assert.same(expected, rdd:collect())
                assert.same({ expected[1], expected[2] }, rdd:take(2))
            end)

            it("with partition-wise operators between", function()
                local got = sc:parallelize(range(1, 40), 4):map(function(x) return x * 2 end)
                    :mapPartitions(function(it) return it end):filter(function(x) return x % 4 == 0 end):glom()
                    :map(function(list) return #list, list end):mapPartitionsWithIndex(function(index, it)
                        local size, list = it()
                        return { { index, size, list[1] } }
                    end):collect()
                assert.same({ { 0, 5, 4 }, { 1, 5, 24 }, { 2, 5, 44 }, { 3, 5, 64 } }, got)
            end)
        end)

        describe("mapPartitions", function()
            it("gets every record and returns an array or an iterator", function()
                local numbers = sc:parallelize(range(1, 3000), 3)
                assert.same({ 500500, 1500500, 2500500 }, numbers:mapPartitions(function(it)
                    local sum = 0
                    for x in it do sum = sum + x end
                    return { sum }
                end):collect())
                assert.same(range(2, 3001), numbers:mapPartitions(function(it)
                    return function()
                        local x = it()
                        return x and x + 1
                    end
                end):collect())
                assert.equal(3000, numbers:mapPartitions(function(it) return it end):count())
                assert.same({}, numbers:mapPartitions(function() return {} end):collect())
                assert.equal(3000, numbers:map(function(x) return x, -x end):mapPartitions(function(it)
                    return function()
                        local k, v = it()
                        if k then return k + v, k end
                    end
                end):filter(function(k) return k == 0 end):count())
            end)

            it("is called for empty partitions too", function()
                assert.same({ "end", "end" }, sc:parallelize({}, 2):mapPartitions(function(it) return { it() or "end" } end):collect())
            end)

            it("may end early, with any number of inputs behind it", function()
                local rdd = sc:parallelize(range(1, 4000), 8)
                assert.same({ 1, 501, 1001, 1501, 2001, 2501, 3001, 3501 }, rdd:mapPartitions(function(it) return { (it()) } end):collect())
                for _, n in ipairs { 1, 2, 3 } do
                    -- What is left unread must not turn up in what comes after.
                    local first = rdd:mapPartitions(function(it) return { (it()) } end)
                    local none = rdd:mapPartitions(function() return {} end)
                    local last = sc:parallelize({ "a", "b", "c" }, 3)
                    assert.same({ 1, 501, 1001, 1501, 2001, 2501, 3001, 3501, "a", "b", "c" },
                        first:union(none):union(last):coalesce(n):collect())
                    local joined = rdd:coalesce(4):mapPartitions(function(it) return { (it()) } end):union(last):coalesce(n)
                    assert.same({ 1, 1001, 2001, 3001, "a", "b", "c" }, joined:collect())
                end
            end)

            it("has an iterator that is at its end when the partition is done", function()
                local kept
                local got = sc:parallelize(range(1, 6), 2):coalesce(2):mapPartitions(function(it)
                    kept = kept or it
                    return { kept() or "over" }
                end):coalesce(1):collect()
                assert.same({ 1, "over" }, got)
            end)
        end)

        describe("take", function()
            it("ends iterators that are infinite", function()
                local endless = sc:parallelize({ 1, 2, 3 }, 2):flatMap(function(x) return function() return x end end)
                assert.same({ 1, 1, 1, 1 }, endless:take(4))
                assert.same({ { 1, 0 }, { 1, 0 } }, endless:map(function(x) return x, 0 end):filter(function() return true end):take(2))
                assert.same({ "x", "x" }, sc:parallelize({ "x" }, 1):flatMap(function(x) return function() return x end end)
                    :flatMap(function(x) return function() return x end end):take(2))
                assert.same({ 7, 7 }, sc:parallelize({ 1 }, 1):mapPartitions(function() return function() return 7 end end):take(2))
                assert.same({ 1, 1, 1 }, endless:mapPartitions(function(it) return it end):take(3))
                local deep = endless
                for _ = 1, 40 do deep = deep:map(function(x) return x end) end
                assert.same({ 1, 1 }, deep:take(2))
            end)

            it("takes no more than it is asked for", function()
                local rdd = sc:parallelize(range(1, 1000), 5)
                for _, n in ipairs { 0, 1, 199, 200, 201, 999, 1000, 5000 } do
                    assert.same(range(1, math.min(n, 1000)), rdd:map(function(x) return x end):take(n))
                    assert.same(range(1, math.min(n, 1000)), rdd:take(n))
                end
            end)
        end)

        describe("closures", function()
            it("use tables they refer to", function()
                local prices = { apple = 3, pear = { now = 4, later = { 5 } } }
                local function price(name)
                    local p = prices[name]
                    return type(p) == "table" and p.later[1] or p
                end
                assert.same({ 3, 5 }, sc:parallelize { "apple", "pear" }:map(price):collect())
                prices.apple = 100
                assert.same({ 100 }, sc:parallelize { "apple" }:map(price):collect())
            end)

            it("work on copies: the script does not see what they write", function()
                local seen = { n = 0 }
                assert.same({ 1, 2, 3 }, sc:parallelize({ 1, 2, 3 }, 1):map(function()
                    seen.n = seen.n + 1
                    return seen.n
                end):collect())
                assert.equal(0, seen.n)
            end)

            it("share what operators of one stage share", function()
                local total = { sum = 0 }
                local got = sc:parallelize({ 1, 2, 3 }, 1):map(function(x)
                    total.sum = total.sum + x
                    return x
                end):map(function(x) return x .. "/" .. total.sum end):collect()
                assert.same({ "1/1", "2/3", "3/6" }, got)
            end)
        end)
    end)
end
