-- What people read when something fails in a worker: the line of their script, the operator, the partition or batch, the
-- record, and who called whom.

local moontide = require "moontide"
local testing = require "moontide.testing"
local tempdir = require "spec.support.tempdir"

local HERE = "spec/worker_failure_spec%.lua"

-- Line on which this was called.
local function line() return debug.getinfo(2, "l").currentline end

describe("a failure outside of all operators", function()
    it("names those of its stage", function()
        local failure = require "moontide.worker.failure"
        local handle = failure.handler({ batch_time = -1, partition = 3, operators = "map (job.lua:2), groupByKey (job.lua:3)" })
        local ok, err = xpcall(function() error(failure.exhausted(), 0) end, handle)
        assert.is_false(ok)
        assert.equal("out of memory\n  in partition 3\n  operators: map (job.lua:2), groupByKey (job.lua:3)", tostring(err))
    end)
end)

describe("a failure in a worker", function()
    local sc

    setup(function() sc = moontide.Context("local[2]", "failures") end)
    teardown(function() sc:stop() end)

    -- The text of what `fn` raises.
    local function failure(fn)
        local ok, err = pcall(fn)
        assert.is_false(ok)
        return tostring(err), err
    end

    local function failure_of(rdd) return failure(function() rdd:collect() end) end

    -- The text is exactly this, with %s:%d for the file and a line.
    local function says(text, expected, ...)
        expected = expected:gsub("HERE", (debug.getinfo(2, "S").short_src))
        assert.equal(expected:format(...), text)
    end

    local numbers, texts

    before_each(function()
        numbers = sc:parallelize({ 1, 2, 3, 4 }, 1)
        texts = sc:parallelizePairs({ { "a", 1 }, { "b", "x" }, { "a", "y" } }, 1)
    end)

    it("tells the record that was read, whatever the operators before have made of it", function()
        local function fail(x) if x == 6 then error("six", 0) end return x end
        for _, before in ipairs {
            function(rdd) return rdd:map(function(x) return x * 3 end) end,
            function(rdd) return rdd:map(function(x) return x, x end):mapValues(function(x) return x * 3 end):values() end,
            function(rdd) return rdd:keyBy(function(x) return -x end):map(function(_, x) return x * 3 end) end,
            function(rdd) return rdd:keyBy(tostring):keyBy(function() return 1 end):map(function(_, pair) return pair[2] * 3 end) end,
            function(rdd) return rdd:flatMap(function(x) return { x } end):map(function(x) return x * 3 end) end,
        } do
            for length = 0, 20, 10 do
                local rdd = before(numbers)
                for _ = 1, length do rdd = rdd:map(function(x) return x + 1 end):map(function(x) return x - 1 end) end
                assert.matches("^six\n  in map %b(), partition 0\n  record: 2", failure_of(rdd:map(fail)))
            end
        end
        assert.matches("^six\n  in map %b(), partition 0\n  record: 2", failure_of(sc:range(0, 4, 1, 1):map(function(x)
            return x * 3
        end):map(function(x) return x end):map(fail)))
    end)

    it("names line, operator, partition and record", function()
        local at
        local text, err = failure_of(sc:parallelize({ 1, 2, 3, 4 }, 2):map(function(x)
            return x < 3 and x or x.y
        end))
        at = line() - 2
        says(text, "HERE:%d: attempt to index local 'x' (a number value)\n  in map (HERE:%d), partition 1\n  record: 3", at, at - 1)
        assert.equal("ECLOSURE", err.code)
    end)

    it("shows the script's functions that were running, and none of ours", function()
        local function inner(x)
            local y = x.y.z
            return y
        end
        local function outer(x)
            local y = inner(x)
            return y
        end
        local at = line()
        local text = failure_of(sc:parallelize({ { k = 1 } }, 1):filter(function(x)
            local result = outer(x)
            return result
        end))
        says(text, "HERE:%d: attempt to index field 'y' (a nil value)\n  in filter (HERE:%d), partition 0\n  record: {k = 1}\n"
            .. "  traceback:\n    HERE:%d: in function 'inner'\n    HERE:%d: in function 'outer'\n"
            .. "    HERE:%d: in the function given to filter", at - 7, at + 1, at - 7, at - 3, at + 2)
    end)

    it("names the right operator of a chain", function()
        for wrong = 1, 40, 3 do
            local rdd = numbers
            local lines = {}
            for at = 1, 40 do
                lines[at] = line() + 1
                rdd = rdd:map(function(x) if at == wrong and x == 2 + at - 1 then error("step " .. at) end return x + 1 end)
            end
            local text = failure_of(rdd:filter(function() return true end))
            says(text, "HERE:%d: step %d\n  in map (HERE:%d), partition 0\n  record: 2", lines[wrong], wrong, lines[wrong])
        end
    end)

    it("shows the record that came in, also when operators have changed it", function()
        local text = failure_of(sc:parallelizePairs({ { "key", { 1, 2 } }, { "bad", { "x" } } }, 1):map(function(k, v) return v[1], k end)
            :map(function(n) return n * 2 end))
        assert.matches("\n  record: %(\"bad\", {\"x\"}%)$", text)
        text = failure_of(sc:parallelize({ "a b", "c d" }, 1):flatMap(function(s) return s:gmatch "%a" end)
            :map(function(c) return c == "d" and error "no d" or c end))
        assert.matches("no d\n.*\n  record: \"c d\"$", text)
        -- A line of a file.
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        dir:write("in.txt", "one\ntwo\nthree\n")
        text = failure_of(sc:textFile(dir:file "in.txt", 1):filter(function(l) return l ~= "two" or error("bad line", 0) end))
        assert.matches("^bad line\n  in filter %(" .. HERE .. ":%d+%), partition 0\n  record: \"two\"", text)
    end)

    it("cuts long records short and shows any bytes", function()
        local function record_of(value)
            return failure_of(sc:parallelize({ value }, 1):map(function() error("x") end)):match("\n  record: (.*)$")
        end
        assert.equal('"' .. ("x"):rep(120) .. '…"', record_of(("x"):rep(100000)))
        assert.equal('"a\\n\\t\\"\\\\\\000\\200\\255 – 潮\\226"', record_of("a\n\t\"\\\0\200\255 – 潮\226"))
        assert.equal("null", record_of(moontide.null))
        assert.equal("9007199254740993LL", record_of(9007199254740993LL))
        assert.equal("{1, 2, 3, 4, 5, 6, 7, 8, …}", record_of({ 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 }))
        assert.equal("{[\"two words\"] = {{…}}, [true] = 1}", (record_of({ ["two words"] = { {} }, [true] = 1 }):gsub(
            "^{%[true%] = 1, (.*)}$", "{%1, [true] = 1}"):gsub("{{}}", "{{…}}")))
        assert.equal("{{{{…}}}}", record_of({ { { { 1 } } } }))
        local long = {}
        for at = 1, 8 do long[at] = ("é"):rep(60) end
        local text = record_of(long)
        assert.is_true(#text <= 410, #text)
        assert.matches("…$", text)
        assert.is_nil(text:gsub("[\194-\244][\128-\191]+", ""):find("[\128-\255]"))
    end)

    it("takes every kind of error value", function()
        local function first_line(raise) return failure_of(sc:parallelize({ 1 }, 1):map(raise)):match("^(.-)\n  in map") end
        assert.matches("^" .. HERE .. ":%d+: plain$", first_line(function() error("plain") end))
        assert.equal("no position", first_line(function() error("no position", 0) end))
        assert.equal("(error object) {code = 5}", first_line(function() error({ code = 5 }) end))
        assert.equal("it speaks", first_line(function()
            error(setmetatable({}, { __tostring = function() return "it speaks" end }))
        end))
        assert.matches("^%(error object%)", first_line(function()
            error(setmetatable({}, { __tostring = function() error "twice" end }))
        end))
        assert.matches("^" .. HERE .. ":%d+: 42$", first_line(function() error(42) end))
        assert.equal("(no message)", first_line(function() error() end))
        assert.equal("(error object) false", first_line(function() error(false) end))
        assert.matches("assertion failed!", first_line(function() assert(false) end))
        assert.matches("^" .. HERE .. ":%d+: malformed pattern", first_line(function(x) return tostring(x):find("[") end))
    end)

    it("survives endless recursion", function()
        local at = line() + 2
        local function down(n)
            return 1 + down(n + 1)
        end
        local text = failure_of(sc:parallelize({ 1, 2 }, 1):map(function(x)
            local depth = down(x)
            return depth
        end))
        assert.matches("stack overflow: a function calls itself without end\n  in ", text)
        assert.matches("map %(" .. HERE .. ":" .. at + 2 .. "%),", text)
        -- If there was no room left to look at the stack, the operators are all that is known.
        if not text:find("\n  operators: ", 1, true) then
            assert.matches("^" .. HERE .. ":1%d%d: stack overflow", text)
            assert.matches("\n    …\n", text)
            assert.matches("\n    " .. HERE .. ":" .. at + 3 .. ": in the function given to map$", text)
        end
        assert.is_nil(text:find("stage#", 1, true))
        assert.is_nil(text:find("moontide/", 1, true))
        assert.is_true(select(2, text:gsub("\n", "")) < 30)
        assert.same({ 2 }, sc:parallelize({ 1 }, 1):map(function(x) return x + 1 end):collect())
    end)

    it("is told inside iterators", function()
        local at = line() + 2
        local text = failure_of(numbers:flatMap(function(x)
            return function() error("in the iterator") end, x
        end))
        says(text, "HERE:%d: in the iterator\n  in flatMap (HERE:%d), partition 0\n  record: 1", at, at - 1)
        at = line() + 2
        text = failure_of(numbers:mapPartitions(function()
            return function() error("in the iterator") end
        end))
        says(text, "HERE:%d: in the iterator\n  in mapPartitions (HERE:%d), partition 0", at, at - 1)
    end)

    it("is told in mapPartitions, before it and behind it", function()
        local at = line() + 2
        local text = failure_of(numbers:mapPartitions(function(it)
            for x in it do error("bad " .. x) end
        end))
        says(text, "HERE:%d: bad 1\n  in mapPartitions (HERE:%d), partition 0", at, at - 1)
        at = line() + 1
        text = failure_of(numbers:map(function(x) return x > 1 and x.y or x end):mapPartitions(function(it) return it end))
        says(text, "HERE:%d: attempt to index local 'x' (a number value)\n  in map (HERE:%d), partition 0\n  record: 2", at, at)
        at = line() + 1
        text = failure_of(numbers:mapPartitions(function(it) return it end):map(function(x) return x > 1 and x.y or x end))
        says(text, "HERE:%d: attempt to index local 'x' (a number value)\n  in map (HERE:%d), partition 0\n  record: 2", at, at)
        at = line() + 1
        text = failure(function() numbers:foreachPartition(function(it) it().x = 1 end) end)
        assert.matches("in foreachPartition %(" .. HERE .. ":" .. at .. "%), partition 0$", text)
        -- An error that passes through a function of the script keeps its text.
        text = failure_of(numbers:map(function(x) error("first " .. x) end):mapPartitions(function(it)
            local ok, why = pcall(it)
            return { tostring(ok), (tostring(why):gsub("\n.*", "")) }
        end):map(function(s) return s:find("first", 1, true) and error(s, 0) or s end))
        assert.matches("^" .. HERE .. ":%d+: first 1\n  in map", text)
    end)

    it("is told on both sides of a shuffle", function()
        local at = line() + 1
        local text = failure_of(texts:reduceByKey(function(a, b) return a - b end))
        says(text, "HERE:%d: attempt to perform arithmetic on local 'b' (a string value)\n  in reduceByKey (HERE:%d), partition 0\n"
            .. "  record: (\"a\", \"y\")", at, at)
        local merged = sc:parallelizePairs({ { "a", 1 }, { "a", "y" } }, 2)
        at = line() + 1
        text = failure_of(merged:reduceByKey(function(x, y) return x - y end, 1))
        says(text, "HERE:%d: attempt to perform arithmetic on local 'y' (a string value)\n  in reduceByKey (HERE:%d), partition 0\n"
            .. "  record: key \"a\", values 1 and \"y\"", at, at)
        text = failure_of(merged:reduceByKey(function() return nil end, 1))
        assert.matches("^" .. HERE .. ":%d+: reduceByKey: the function returned nil; it must return the combined value\n", text)
        text = failure_of(merged:combineByKey(function(v) return { v } end, function(c) return c end, function() error "merging" end, 1))
        assert.matches("^" .. HERE .. ":%d+: merging\n  in combineByKey %(.-%), partition 0\n  record: key \"a\", values {1} and {\"y\"}$", text)
        text = failure_of(merged:combineByKey(function() return nil end, function(c) return c end, function(c) return c end))
        assert.matches("combineByKey: the function returned nil", text)
        text = failure_of(merged:reduceByKey(function() return print end, 1))
        assert.matches("reduceByKey: the combined value can't leave the worker: a function can't be part of a record", text)
    end)

    it("is told in actions", function()
        local text = failure(function() numbers:reduce(function(a, b) return a .. b.c end) end)
        assert.matches("in reduce %(" .. HERE .. ":%d+%), partition 0", text)
        text = failure(function() numbers:reduce(function() end) end)
        assert.matches("reduce: the function returned nil; it must return the combined value", text)
        text = failure(function() numbers:fold(0, function() end) end)
        assert.matches("fold: the function returned nil; it must return the new value", text)
        text = failure(function() numbers:aggregate(0, function(a, b) return a + b end, function() error "comb" end) end)
        assert.matches("comb\n  in aggregate %(" .. HERE, text)
        text = failure(function() texts:reduce(function() return 5 end) end)
        assert.matches("on a stream of pairs the function gets and returns {key, value} tables, but it returned 5", text)
        text = failure(function() numbers:foreach(function(x) error("each " .. x) end) end)
        assert.matches("each 1\n  in foreach", text)
    end)

    describe("says which rule was broken:", function()
        local function broken(rdd, pattern)
            local text = failure_of(rdd)
            assert.matches("^" .. HERE .. ":%d+: " .. pattern, text)
            assert.matches("\n  record: ", text)
            assert.is_nil(text:find("stage#", 1, true))
            assert.is_nil(text:find("moontide/", 1, true))
        end

        it("no value", function()
            broken(numbers:map(function() end), "map: the function returned nil; return a value %(moontide%.null for an explicit null%)")
            broken(numbers:map(function() return nil, 5 end), "map: the function returned nil as the key of a pair %(nil, 5%)")
            broken(texts:mapValues(function() end), "mapValues: the function returned nil")
            broken(numbers:keyBy(function() end), "keyBy: the function returned nil")
        end)

        it("pairs and single values in one stream", function()
            local many = {}
            for at = 1, 5000 do many[at] = at end
            for _, turn in ipairs { 2, 16, 17, 300, 4999 } do
                local rdd = sc:parallelize(many, 1)
                broken(rdd:map(function(x) if x >= turn then return x, 1 end return x end), "map: the function returned")
                broken(rdd:map(function(x) if x < turn then return x, 1 end return x end), "map: the function returned")
                broken(rdd:flatMap(function(x)
                    if x < turn then return ipairs { 1 } end
                    return { 1 }
                end), "flatMap: the function returned")
            end
            broken(sc:parallelize(many, 1):map(function(x) if x == 4000 then return x, "v" end return x end),
                "map: the function returned the pair %(4000, \"v\"%) after single values, such as 1; a stream or dataset is of one kind")
            broken(sc:parallelize(many, 1):map(function(x) if x == 4000 then return x end return x, "v" end),
                "map: the function returned the single value 4000 after pairs, such as %(1, \"v\"%); a stream or dataset is of one kind")
        end)

        it("an iterator of pairs and single values", function()
            local text = failure_of(numbers:mapPartitions(function(it) return function()
                local x = it()
                if x == 2 then return x, x end
                return x
            end end))
            assert.matches("mapPartitions: the function returned the pair %(2, 2%) after single values, such as 1", text)
        end)

        it("neither array nor iterator", function()
            broken(numbers:flatMap(function() end), "flatMap: the function returned nil; return an array or an iterator")
            broken(numbers:flatMap(function() return 5 end), "flatMap: the function returned the number 5; return an array")
            broken(numbers:flatMap(function() return "ab" end), "flatMap: the function returned the string \"ab\"; return an array")
            broken(numbers:flatMap(function(x) return { a = x } end), "flatMap: the function returned the table {a = 1}, which is not an array;")
            broken(numbers:flatMap(function() return { 1, 2, nil, 4 } end), "flatMap: the returned array has a nil in it")
            broken(texts:flatMapValues(function() return true end), "flatMapValues: the function returned the boolean true")
            local text = failure_of(numbers:mapPartitions(function() return 5 end))
            assert.matches("mapPartitions: the function returned the number 5; return an array or an iterator", text)
            text = failure_of(numbers:mapPartitions(function() return { x = 1 } end))
            assert.matches("mapPartitions: the function returned the table {x = 1}, which is not an array", text)
            text = failure_of(numbers:mapPartitions(function() return { 1, 2, nil, 4 } end))
            assert.matches("mapPartitions: the returned array has a nil in it", text)
            -- Also when it only happens later on.
            local many = {}
            for at = 1, 2000 do many[at] = at end
            broken(sc:parallelize(many, 1):flatMap(function(x) return x < 1500 and { x } or "no" end), "flatMap: the function returned the string")
            broken(sc:parallelize(many, 1):flatMap(function(x) return x < 1500 and ("a"):gmatch "a+" or { n = x } end),
                "flatMap: the function returned the table {n = 1500}")
        end)

        it("single values where pairs are needed", function()
            for name, call in pairs {
                mapValues = function() return numbers:mapValues(function(v) return v end) end,
                flatMapValues = function() return numbers:flatMapValues(function(v) return { v } end) end,
                keys = function() return numbers:keys() end,
                values = function() return numbers:values() end,
                reduceByKey = function() return numbers:reduceByKey(function(a) return a end) end,
                groupByKey = function() return numbers:groupByKey() end,
            } do
                broken(call(), name .. ": needs .*pairs, but the record is the single value 1; make pairs with map")
            end
            assert.matches("sortByKey: needs .*pairs", (failure_of(numbers:sortByKey())))
        end)

        it("two kinds of records in one partition", function()
            local both = numbers:union(texts:map(function(k, v) return k, v end)):coalesce(1)
            for name, rdd in pairs {
                collect = both, glom = both:glom(), mapPartitions = both:mapPartitions(function(it) return it end),
                repartition = both:repartition(2),
            } do
                local text = failure_of(rdd)
                assert.matches("union %(spec/worker_failure_spec.lua:%d+%): pairs and single values meet in one dataset", text, name)
                assert.matches("parallelize %(spec/worker_failure_spec.lua:%d+%) makes single values, such as 1; ", text, name)
                assert.matches("map %(spec/worker_failure_spec.lua:%d+%) makes pairs, such as %(\"a\", 1%)", text, name)
            end
        end)

        it("keys that can't be keys", function()
            local nan = sc:parallelizePairs({ { 1, 1 }, { 2, 2 } }, 1):map(function(k, v) return k == 2 and 0 / 0 or k, v end)
            for _, rdd in ipairs { nan:groupByKey(), nan:reduceByKey(function(a) return a end), nan:distinct():groupByKey() } do
                assert.matches("the key is NaN, which is not equal to itself and so belongs to no group", (failure_of(rdd)))
            end
            assert.matches("sortByKey: the key is NaN, which has no place in an order", (failure_of(nan:sortByKey())))
            -- Records that are at hand, which C sends without a look.
            local kept = nan:cache()
            assert.equal(2, kept:count())
            assert.matches("the key is NaN, which is not equal to itself and so belongs to no group", (failure_of(kept:groupByKey())))
            assert.matches("sortByKey: the key is NaN, which has no place in an order", (failure_of(kept:sortByKey(true, 2))))
            assert.matches("needs .*pairs", (failure_of(numbers:cache():groupByKey())))
        end)

        it("values that are no data", function()
            local at = line() + 1
            local text = failure_of(numbers:map(function(x) return x == 2 and print or x end))
            assert.matches("^a function can't be part of a record %(.-%); call it and keep its result", text)
            assert.matches("\n  in map %(" .. HERE .. ":" .. at .. "%), partition 0\n  record: 2$", text)
            text = failure_of(numbers:map(function(x) return x, { file = io.stdout } end):groupByKey())
            assert.matches("^a userdata can't be part of a record", text)
            local cycle = failure_of(numbers:map(function(x)
                local t = { x }
                t[2] = t
                return t
            end))
            assert.matches("^a table contains itself %(a cycle%)", cycle)
        end)
    end)

    it("names the batch", function()
        local at = line() + 3
        local result = testing.run { inputs = { { { 1 }, { "x" } } }, batches = 2, build = function(_, input)
            return input:map(function(x)
                return x * 2
            end)
        end }
        local text = tostring(result.error)
        assert.matches(HERE .. ":" .. at .. ": attempt to perform arithmetic on local 'x'", text)
        assert.matches("\n  in map %(" .. HERE .. ":" .. at - 1 .. "%), batch 2000 ms, partition %d\n  record: \"x\"", text)
    end)

    it("of a file is no mistake of the script", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        dir:write("in.txt", "one\n")
        local rdd = sc:textFile(dir:file "in.txt")
        os.remove(dir:file "in.txt")
        local text, err = failure_of(rdd:map(function(l) return l end))
        assert.equal(dir:file "in.txt" .. ": No such file or directory", text)
        assert.equal("ENOTFOUND", err.code)
    end)

    it("leaves the workers as they were", function()
        for _ = 1, 30 do
            failure_of(numbers:map(function(x) return x.y end))
            assert.same({ 2, 4, 6, 8 }, numbers:map(function(x) return x * 2 end):collect())
        end
    end)
end)
