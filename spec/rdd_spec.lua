-- Datasets: transformations and actions, through the public door.

local moontide = require "moontide"
local engine = require "spec.support.engine"
local tempdir = require "spec.support.tempdir"

local message, sorted = engine.message, engine.sorted

local function add(a, b)
    return a + b
end

-- Chains of operators of one record at a time share locals in the worker: what one makes must not be seen by another.
describe("chains of operators", function()
    local chains = require("moontide").Context("local[2]", "chains")

    teardown(function() chains:stop() end)

    -- By name: the operator on a dataset, and the same on one record (a, b) of a list, given to emit.
    local single = {
        map = { function(d) return d:map(function(x) return x * 2 + 1 end) end, function(emit, x) emit(x * 2 + 1) end },
        pair = { function(d) return d:map(function(x) return x, x + 7 end) end, function(emit, x) emit(x, x + 7) end, true },
        keyBy = { function(d) return d:keyBy(function(x) return x % 5 end) end, function(emit, x) emit(x % 5, x) end, true },
        filter = { function(d) return d:filter(function(x) return x % 3 ~= 0 end) end,
            function(emit, x) if x % 3 ~= 0 then emit(x) end end },
        flatMap = { function(d) return d:flatMap(function(x) return { x, x + 1 } end) end,
            function(emit, x) emit(x) emit(x + 1) end },
        iterator = { function(d)
            return d:flatMap(function(x)
                local n = 0
                return function()
                    n = n + 1
                    if n < 3 then return x + n, n end
                end
            end)
        end, function(emit, x) emit(x + 1, 1) emit(x + 2, 2) end, true },
    }
    local paired = {
        map = { function(d) return d:map(function(k, v) return k * 2 + v end) end, function(emit, k, v) emit(k * 2 + v) end, true },
        swap = { function(d) return d:map(function(k, v) return v, k end) end, function(emit, k, v) emit(v, k) end },
        mapValues = { function(d) return d:mapValues(function(v) return v - 3 end) end, function(emit, k, v) emit(k, v - 3) end },
        keyBy = { function(d) return d:keyBy(function(k, v) return k - v end):mapValues(function(t) return t[1] + 2 * t[2] end) end,
            function(emit, k, v) emit(k - v, k + 2 * v) end },
        flatMapValues = { function(d) return d:flatMapValues(function(v) return { v, v + 1 } end) end,
            function(emit, k, v) emit(k, v) emit(k, v + 1) end },
        keys = { function(d) return d:keys() end, function(emit, k) emit(k) end, true },
        values = { function(d) return d:values() end, function(emit, _, v) emit(v) end, true },
        filter = { function(d) return d:filter(function(k, v) return (k + v) % 4 ~= 0 end) end,
            function(emit, k, v) if (k + v) % 4 ~= 0 then emit(k, v) end end },
    }
    local names = { [single] = {}, [paired] = {} }
    for kind, list in pairs(names) do
        for name in pairs(kind) do list[#list + 1] = name end
        table.sort(list)
    end

    it("give what each of them says, whichever they are", function()
        local state = 20260101
        local function draw(n)
            state = (state * 16807) % 2147483647
            return state % n + 1
        end
        for round = 1, 60 do
            local records, kind, said = {}, single, {}
            for x = 1, 20 do records[x] = { x } end
            local dataset = chains:range(1, 21, 1, 1)
            local flat = 0
            for _ = 1, 2 + draw(24) do
                local name = names[kind][draw(#names[kind])]
                local operator = kind[name]
                if name:find("[Ff]lat") or name == "iterator" then flat = flat + 1 end
                if flat <= 4 or not (name:find("[Ff]lat") or name == "iterator") then
                    said[#said + 1] = name
                    dataset = operator[1](dataset)
                    local made = {}
                    for _, record in ipairs(records) do
                        operator[2](function(a, b) made[#made + 1] = { a, b } end, record[1], record[2])
                    end
                    records = made
                    if operator[3] then kind = kind == single and paired or single end
                end
            end
            local expected = {}
            for at, record in ipairs(records) do expected[at] = kind == paired and record or record[1] end
            for _ = 1, 2 do
                assert.same(expected, dataset:collect(), round .. ": " .. table.concat(said, " "))
            end
        end
    end)
end)

describe("transformations", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("work on each record", function()
        local numbers = sc:parallelize({ 1, 2, 3, 4 }, 3)
        assert.same({ 2, 4, 6, 8 }, numbers:map(function(x) return x * 2 end):collect())
        assert.same({ 2, 4 }, numbers:filter(function(x) return x % 2 == 0 end):collect())
        assert.same({ 1, 1, 2, 2, 3, 3, 4, 4 }, numbers:flatMap(function(x) return { x, x } end):collect())
        assert.same({ { 1, "odd" }, { 2, "even" } },
            numbers:map(function(x) return x, x % 2 == 0 and "even" or "odd" end):take(2))
    end)

    it("tell their context, and have a number of their own", function()
        local numbers = sc:parallelize({ 1, 2 })
        assert.equal(sc, numbers:context())
        assert.equal(numbers:id(), numbers:id())
        assert.not_equal(numbers:id(), numbers:map(function(x) return x end):id())
    end)

    it("take arrays and iterators from flatMap", function()
        local lines = sc:parallelize({ "a b", "", "c" })
        assert.same({ "a", "b", "c" }, lines:flatMap(function(line) return line:gmatch("%S+") end):collect())
        assert.same({ "a b", "c" }, lines:flatMap(function(line) return line ~= "" and { line } or {} end):collect())
        assert.same({ { 1, "a b" }, { 1, "" }, { 1, "c" } },
            lines:flatMap(function(line) return ipairs({ line }) end):collect())
    end)

    it("work on pairs", function()
        local pairs_rdd = sc:parallelizePairs({ { "a", 1 }, { "b", 2 } })
        assert.same({ { "a", 10 }, { "b", 20 } }, pairs_rdd:mapValues(function(v) return v * 10 end):collect())
        assert.same({ { "a", 1 }, { "a", 2 }, { "b", 2 }, { "b", 3 } },
            pairs_rdd:flatMapValues(function(v) return { v, v + 1 } end):collect())
        assert.same({ "a", "b" }, pairs_rdd:keys():collect())
        assert.same({ 1, 2 }, pairs_rdd:values():collect())
        assert.same({ { 1, "a" }, { 2, "b" } }, pairs_rdd:map(function(k, v) return v, k end):collect())
        assert.same({ { "b", 2 } }, pairs_rdd:filter(function(k, v) return v > 1 end):collect())
        assert.same({ { 3, "abc" } }, sc:parallelize({ "abc" }):keyBy(function(s) return #s end):collect())
    end)

    it("work on whole partitions", function()
        local numbers = sc:parallelize({ 1, 2, 3 }, 4)
        local function sum(it)
            local total = 0
            for x in it do
                total = total + x
            end
            return { total }
        end
        assert.same({ 0, 1, 2, 3 }, numbers:mapPartitions(sum):collect())
        assert.same({ "1:1", "2:2", "3:3" }, numbers:mapPartitionsWithIndex(function(index, it)
            local found = {}
            for x in it do
                found[#found + 1] = index .. ":" .. x
            end
            return found
        end):collect())
        assert.same({ { 1, 2 }, { 3, 4 } }, sc:parallelize({ 1, 2, 3, 4 }, 2):glom():collect())
        assert.equal("[]", tostring(require("moontide.base.text_form").value(sc:parallelize({}, 1):glom():first())))
    end)

    it("merge by key", function()
        local words = sc:parallelize({ "a", "b", "a", "c", "a", "b" }, 3)
        local ones = words:map(function(w) return w, 1 end)
        for _, n in ipairs({ 1, 2, 5 }) do
            local counts = ones:reduceByKey(add, n)
            assert.equal(n, counts:getNumPartitions())
            assert.same({ a = 3, b = 2, c = 1 }, counts:collectAsMap())
            -- Again by key, on what is partitioned by it already.
            assert.same({ a = 3, b = 2, c = 1 }, counts:reduceByKey(add, n):collectAsMap())
        end
        local groups = ones:groupByKey(2):mapValues(function(list) return #list end):collectAsMap()
        assert.same({ a = 3, b = 2, c = 1 }, groups)
        local means = sc:parallelizePairs({ { "x", 1 }, { "x", 3 }, { "y", 5 } }, 2):combineByKey(
            function(v) return { v, 1 } end,
            function(c, v) return { c[1] + v, c[2] + 1 } end,
            function(a, b) return { a[1] + b[1], a[2] + b[2] } end)
        assert.same({ "[x,[4,2]]", "[y,[5,1]]" }, sorted(means:collect()))
    end)

    it("take keys of every kind", function()
        local keys = { 1, "1", true, 1.5, -3, "\0", 2 ^ 53 }
        local list = {}
        for _ = 1, 2 do
            for _, key in ipairs(keys) do
                list[#list + 1] = { key, 1 }
            end
        end
        local counts = sc:parallelizePairs(list, 3):reduceByKey(add):collectAsMap()
        for _, key in ipairs(keys) do
            assert.equal(2, counts[key], "key " .. tostring(key))
        end
        local tables = sc:parallelizePairs({ { { 1, 2 }, "a" }, { { 1, 2 }, "b" } }, 2):groupByKey():collect()
        assert.equal(1, #tables)
    end)

    it("remove duplicates", function()
        assert.same({ "1", "2", "a" }, sorted(sc:parallelize({ 1, "a", 2, 1, "a" }, 3):distinct():collect()))
        assert.same({ "[a,1]", "[a,2]" },
            sorted(sc:parallelizePairs({ { "a", 1 }, { "a", 2 }, { "a", 1 } }, 2):distinct(1):collect()))
    end)

    it("sort across partitions", function()
        local list = {}
        for index = 1, 200 do
            list[index] = { (index * 37) % 101, index }
        end
        local rdd = sc:parallelizePairs(list, 4)
        local function keys_of(sorted_rdd)
            return sorted_rdd:keys():collect()
        end
        local up = keys_of(rdd:sortByKey(true, 3))
        local down = keys_of(rdd:sortByKey(false, 3))
        assert.equal(200, #up)
        for index = 2, 200 do
            assert.is_true(up[index - 1] <= up[index])
            assert.is_true(down[index - 1] >= down[index])
        end
    end)

    it("move records between partitions", function()
        local numbers = sc:parallelize({ 1, 2, 3, 4, 5, 6 }, 2)
        local spread = numbers:repartition(3)
        assert.equal(3, spread:getNumPartitions())
        assert.same({ "1", "2", "3", "4", "5", "6" }, sorted(spread:collect()))
        for _, part in ipairs(spread:glom():collect()) do
            assert.equal(2, #part)
        end
        assert.same({ 1, 2, 3, 4, 5, 6 }, numbers:coalesce(1):collect())
        assert.equal(1, numbers:coalesce(1):getNumPartitions())
        assert.equal(2, numbers:coalesce(5):getNumPartitions())
        assert.equal(5, numbers:coalesce(5, true):getNumPartitions())
    end)

    it("join datasets end to end", function()
        local a, b = sc:parallelize({ 1, 2 }, 2), sc:parallelize({ 2, 3 }, 1)
        assert.same({ 1, 2, 2, 3 }, a:union(b):collect())
        assert.equal(3, a:union(b):getNumPartitions())
        assert.same({ 1, 2, 2, 3, 1, 2 }, sc:union({ a, b, a }):collect())
    end)

    it("are described by their lineage", function()
        local text = sc:parallelize({ 1 }, 2):map(function(x) return x, 1 end):reduceByKey(add):toDebugString()
        assert.matches("reduceByKey", text, 1, true)
        assert.matches("map", text, 1, true)
        assert.matches("rdd_spec.lua:", text, 1, true)
    end)

    it("check their arguments", function()
        local rdd = sc:parallelize({ 1 })
        assert.matches("rdd_spec.lua:%d+: bad argument #1 to 'map' %(function expected, got nil%)",
            message(function() rdd:map() end))
        assert.matches("#1 to 'reduceByKey' (function expected, got string)",
            message(rdd.reduceByKey, rdd, "+"), 1, true)
        assert.matches("#2 to 'reduceByKey' (number of partitions: ", message(rdd.reduceByKey, rdd, add, 0), 1, true)
        assert.matches("#1 to 'repartition' (number of partitions: ", message(rdd.repartition, rdd), 1, true)
        assert.matches("#1 to 'union' (RDD expected, got table)", message(rdd.union, rdd, {}), 1, true)
        assert.matches("#2 to 'combineByKey' (function expected, got nil)",
            message(rdd.combineByKey, rdd, add), 1, true)
        assert.matches("#1 to 'sortByKey' (boolean expected, got number)", message(rdd.sortByKey, rdd, 3), 1, true)
        assert.matches("'union': the list is empty", message(sc.union, sc, {}), 1, true)
        assert.matches("position 1, got number", message(sc.union, sc, { 1 }), 1, true)
        assert.matches("no method 'localCheckpoint' in this release: use checkpoint()", message(function()
            rdd:localCheckpoint()
        end), 1, true)
    end)

    it("refuse functions that cannot be shipped, naming the variable", function()
        local rdd = sc:parallelize({ 1 })
        local file = assert(io.open("/dev/null"))
        assert.matches("map: the function at .*rdd_spec.lua:%d+ uses the Context 'sc'",
            message(function() rdd:map(function() return sc end) end))
        assert.matches("uses the RDD 'rdd'", message(function() rdd:filter(function() return rdd end) end), 1, true)
        assert.matches("'file'", message(function() rdd:map(function() return file end) end), 1, true)
        file:close()
    end)
end)

describe("actions", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("count", function()
        assert.equal(5, sc:parallelize({ 1, 2, 3, 4, 5 }, 3):count())
        assert.equal(2, sc:parallelize({ 1, 2, 3, 4, 5 }, 3):filter(function(x) return x > 3 end):count())
        assert.equal(0, sc:parallelize({}):count())
    end)

    it("take from as few partitions as needed", function()
        local rdd = sc:parallelize({ 1, 2, 3, 4, 5, 6, 7, 8 }, 8)
        assert.same({}, rdd:take(0))
        assert.same({ 1 }, rdd:take(1))
        assert.same({ 1, 2, 3, 4, 5, 6 }, rdd:take(6))
        assert.same({ 1, 2, 3, 4, 5, 6, 7, 8 }, rdd:take(100))
        -- The last partition is not touched: its function would fail.
        assert.same({ 1, 2 }, rdd:map(function(x) return x == 8 and error("touched") or x end):take(2))
        assert.equal(1, rdd:first())
        assert.matches("bad argument #1 to 'take'", message(rdd.take, rdd, -1), 1, true)
        assert.matches("rdd_spec.lua:%d+: 'first': the dataset is empty",
            message(function() sc:parallelize({}):first() end))
    end)

    it("know what is empty", function()
        assert.is_true(sc:parallelize({}, 3):isEmpty())
        assert.is_true(sc:emptyRDD():isEmpty())
        assert.is_false(sc:parallelize({ 1 }, 3):isEmpty())
        assert.is_true(sc:parallelize({ 1 }, 3):filter(function() return false end):isEmpty())
    end)

    it("reduce, fold, aggregate", function()
        local numbers = sc:parallelize({ 1, 2, 3, 4 }, 3)
        assert.equal(10, numbers:reduce(add))
        assert.equal(10, numbers:fold(0, add))
        assert.equal(10 + 4 * 100, numbers:fold(100, add)) -- once for each partition and once more
        assert.equal(4, numbers:aggregate(0, function(n) return n + 1 end, add))
        assert.matches("rdd_spec.lua:%d+: 'reduce': the dataset is empty",
            message(function() sc:parallelize({}):reduce(add) end))
        assert.equal(7, sc:emptyRDD():fold(7, add))
        assert.matches("the zero value is nil", message(numbers.fold, numbers, nil, add), 1, true)
        assert.matches("#2 to 'fold' (function expected", message(numbers.fold, numbers, 0), 1, true)
        assert.matches("zero value", message(numbers.fold, numbers, io.stdout, add), 1, true)
    end)

    it("start each time from an untouched zero value", function()
        local function append(list, x)
            list[#list + 1] = x
            return list
        end
        local function concat(a, b)
            for _, x in ipairs(b) do
                a[#a + 1] = x
            end
            return a
        end
        local numbers = sc:parallelize({ 1, 2, 3, 4 }, 2)
        for _ = 1, 3 do
            assert.same({ "1", "2", "3", "4" }, sorted(numbers:aggregate(moontide.array({}), append, concat)))
        end
    end)

    it("make Lua tables", function()
        local pairs_rdd = sc:parallelizePairs({ { "a", 1 }, { "b", 2 }, { "a", 3 } }, 2)
        assert.same({ a = 3, b = 2 }, pairs_rdd:collectAsMap())
        assert.same({ a = 2, b = 1 }, pairs_rdd:countByKey())
        assert.same({ x = 2, y = 1 }, sc:parallelize({ "x", "y", "x" }):countByValue())
        assert.matches("pairs are needed",
            message(function() return sc:parallelize({ 1 }):collectAsMap() end), 1, true)
    end)

    it("run for their effects in the workers", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local base = dir.path
        sc:parallelize({ "a", "b", "c" }, 2):foreach(function(x)
            local file = io.open(base .. "/" .. x, "w")
            file:write(x)
            file:close()
        end)
        assert.equal("abc", dir:read("a") .. dir:read("b") .. dir:read("c"))
        sc:parallelize({ 1, 2, 3 }, 2):foreachPartition(function(it)
            local sum = 0
            for x in it do
                sum = sum + x
            end
            io.open(base .. "/sum" .. sum, "w"):close()
        end)
        assert.is_not_nil(dir:read("sum1"))
        assert.is_not_nil(dir:read("sum5"))
    end)

    it("work again after a failure", function()
        local numbers = sc:parallelize({ 1, 2, 3 }, 2)
        local bad = numbers:map(function(x) return x == 2 and error("no " .. x) or x end)
        local ok, err = pcall(bad.collect, bad)
        assert.is_false(ok)
        assert.equal("ECLOSURE", err.code)
        assert.matches("rdd_spec.lua:%d+: no 2", tostring(err))
        assert.matches("in map (", tostring(err), 1, true)
        assert.same({ 1, 2, 3 }, numbers:collect())
    end)

    it("leave no blocks behind when results are large", function()
        local numbers = sc:parallelize({ 1, 2 }, 2)
        for _ = 1, 10 do
            assert.equal(400000, #numbers:flatMap(function(x)
                local list = {}
                for index = 1, 200000 do
                    list[index] = x
                end
                return list
            end):collect())
        end
    end)
end)

describe("saveAsTextFile", function()
    engine.watch(after_each)
    local sc, dir

    before_each(function()
        sc, dir = engine.context(), tempdir.new()
    end)
    after_each(function() dir:remove() end)

    it("writes a part for each partition, then _SUCCESS", function()
        sc:parallelizePairs({ { "a", 1 }, { "b", { 1, { x = 2 } } } }, 3):saveAsTextFile(dir:file("deep/out"))
        assert.equal("", dir:read("deep/out/part-00000"))
        assert.equal("(a,1)\n", dir:read("deep/out/part-00001"))
        assert.equal("(b,[1,{x=2}])\n", dir:read("deep/out/part-00002"))
        assert.equal("", dir:read("deep/out/_SUCCESS"))
        assert.same({ "_SUCCESS", "part-00000", "part-00001", "part-00002" },
            require("moontide.driver.files").list(dir:file("deep/out")))
    end)

    it("is read back by textFile", function()
        sc:parallelize({ "x", "y", "z" }, 2):saveAsTextFile(dir:file("out"))
        assert.same({ "x", "y", "z" }, sc:textFile(dir:file("out")):collect())
    end)

    it("refuses a directory that is there already", function()
        dir:write("out/file", "mine")
        assert.matches("rdd_spec.lua:%d+: saveAsTextFile: .*/out already exists",
            message(function() sc:parallelize({ 1 }):saveAsTextFile(dir:file("out")) end))
        assert.equal("mine", dir:read("out/file"))
    end)

    it("leaves nothing behind when it fails", function()
        local bad = sc:parallelize({ 1, 2 }, 2):map(function(x) return x == 2 and error("no") or x end)
        assert.matches("no", message(bad.saveAsTextFile, bad, dir:file("out")), 1, true)
        assert.is_nil(dir:read("out/_SUCCESS"))
        assert.is_false(require("moontide.driver.files").exists(dir:file("out")))
    end)

    it("says which directory cannot be made", function()
        dir:write("file", "")
        assert.matches("^spec/rdd_spec.lua:%d+: saveAsTextFile: .*there is a file of that name", message(function()
            sc:parallelize({ 1 }):saveAsTextFile(dir:file("file/out"))
        end))
    end)
end)

describe("a part file", function()
    it("says path, byte and reason when the disk is full", function()
        local dir, fault = tempdir.new(), require "spec.support.fault"
        local sc = engine.context()
        finally(function()
            fault.clear()
            sc:stop()
            dir:remove()
        end)
        for _, text in ipairs({ "text", ("x"):rep(200000) }) do -- at the end of the file, and while it is written
            fault.arm("part.write")
            local rdd = sc:parallelize({ text }, 1)
            assert.matches("^spec/rdd_spec.lua:%d+: saveAsTextFile: cannot write .*/out/_temporary/[^/]+/part%-00000 at byte 0: "
                .. "No space left on device\n  in saveAsTextFile %(spec/rdd_spec.lua:%d+%), partition 0",
                message(function() rdd:saveAsTextFile(dir:file("out")) end))
            fault.clear()
            assert.is_false(require("moontide.driver.files").exists(dir:file("out")))
        end
    end)
end)

describe("the text form of a record", function()
    local text = require("moontide.base.text_form")

    it("is as Spark's users expect it", function()
        assert.equal("word", text.value("word"))
        assert.equal("(word,3)", text.pair("word", 3))
        assert.equal("[1,[a,b],{k=v,n=1}]", text.value({ 1, { "a", "b" }, { n = 1, k = "v" } }))
        assert.equal("true", text.value(true))
        assert.equal("nil", text.value(nil))
        assert.equal("null", text.value(moontide.null))
        assert.equal("[]", text.value(moontide.array({})))
        assert.equal("{}", text.value({}))
        assert.equal("[1,nil,3]", text.value({ 1, nil, 3 }))
    end)

    it("shows numbers with all their digits", function()
        assert.equal("1", text.value(1.0))
        assert.equal("0", text.value(-0.0))
        assert.equal("0.1", text.value(0.1))
        assert.equal("1357008430000", text.value(1357008430000))
        assert.equal("9007199254740991", text.value(2 ^ 53 - 1))
        assert.equal("1e+300", text.value(1e300))
        assert.equal("inf", text.value(math.huge))
        assert.equal("nan", text.value(0 / 0))
        assert.equal("9223372036854775807", text.value(9223372036854775807LL))
        assert.equal("18446744073709551615", text.value(18446744073709551615ULL))
    end)
end)
