-- Operators on whole datasets: products, zips, sets of records, groups, orders, samples, commands; and datasets made of
-- nothing, of whole files and of binary records.

local engine = require "spec.support.engine"
local tempdir = require "spec.support.tempdir"

local message, sorted = engine.message, engine.sorted

describe("products and zips", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("pair every record with every other", function()
        local a, b = sc:parallelize({ 1, 2, 3 }, 2), sc:parallelizePairs({ { "x", 7 }, { "y", 8 } }, 2)
        local product = a:cartesian(b)
        assert.equal(4, product:getNumPartitions())
        assert.same({ "[1,[x,7]]", "[1,[y,8]]", "[2,[x,7]]", "[2,[y,8]]", "[3,[x,7]]", "[3,[y,8]]" },
            sorted(product:collect()))
        assert.same({ { { "x", 7 }, { "x", 7 } } }, b:filter(function(k) return k == "x" end):cartesian(
            b:filter(function(k) return k == "x" end)):collect())
        assert.same({}, a:cartesian(sc:emptyRDD()):collect())
        assert.equal(0, a:cartesian(sc:parallelize({}, 3)):count())
    end)

    it("make large products without holding them", function()
        local numbers = sc:range(0, 1500, 1, 2)
        assert.equal(1500 * 1500, numbers:cartesian(numbers):count())
        assert.same({ { 0, 0 }, { 0, 1 } }, numbers:cartesian(numbers):take(2))
    end)

    it("work on lines of text", function()
        local directory = tempdir.new()
        local lines = sc:textFile(directory:write("a.txt", "one\ntwo\n"), 1)
        assert.same({ { "one", "one" }, { "one", "two" }, { "two", "one" }, { "two", "two" } }, lines:cartesian(lines):collect())
        assert.same({ { "one", 3 }, { "two", 3 } }, lines:zip(lines:map(function(line) return #line end)):collect())
        directory:remove()
    end)

    it("zip records that are side by side", function()
        local words = sc:parallelize({ "a", "bb", "ccc", "d" }, 3)
        local pairs_rdd = words:map(function(w) return w, #w end)
        assert.same({ { "a", 1 }, { "bb", 2 }, { "ccc", 3 }, { "d", 1 } },
            words:zip(words:map(function(w) return #w end)):collect())
        assert.same({ { { "a", 1 }, "a" }, { { "bb", 2 }, "bb" }, { { "ccc", 3 }, "ccc" }, { { "d", 1 }, "d" } },
            pairs_rdd:zip(words):collect())
        assert.same({}, sc:emptyRDD():zip(sc:emptyRDD()):collect())
        assert.matches("rdd_sets_spec.lua:%d+: bad argument #1 to 'zip' %(the datasets have 3 and 2 partitions; repartition",
            message(function() words:zip(sc:parallelize({ 1 }, 2)) end))
        assert.matches("rdd_sets_spec.lua:%d+: zip: partition 1 has 1 records on the left and 2 on the right",
            message(function() words:zip(sc:parallelize({ 1, 2, 3, 4, 5 }, 3)):collect() end))
    end)

    it("apply a function to partitions side by side", function()
        local a, b = sc:parallelize({ 1, 2, 3, 4 }, 2), sc:parallelizePairs({ { 10, 1 }, { 20, 2 } }, 2)
        local function all(xs, ys, zs)
            local sum = 0
            for x in xs do
                sum = sum + x
            end
            for k, v in ys do
                sum = sum + k * v
            end
            for z in zs or function() end do
                sum = sum + z
            end
            return { sum }
        end
        assert.same({ 13, 47 }, a:zipPartitions(b, all):collect())
        assert.same({ 16, 54 }, a:zipPartitions({ b, a }, all):collect())
        assert.same({ { 1, 10 }, { 3, 20 } }, a:zipPartitions(b, function(xs, ys)
            return coroutine.wrap(function() coroutine.yield(xs(), (ys())) end)
        end):collect())
        assert.equal(0, a:zipPartitions(b, all).node:keyPartitions())
        local keyed = sc:parallelizePairs({ { 1, 1 } }):partitionBy(2)
        assert.equal(2, keyed:zipPartitions(b, function(xs) return xs end, true).node:keyPartitions())
        assert.matches("bad argument #2 to 'zipPartitions' %(function expected, got nil%)",
            message(function() a:zipPartitions(b) end))
        assert.matches("bad argument #1 to 'zipPartitions' %(the datasets have 2 and 3 partitions",
            message(function() a:zipPartitions(sc:parallelize({}, 3), all) end))
    end)

    it("number records", function()
        local words = sc:parallelize({ "a", "b", "c", "d", "e" }, 3)
        assert.same({ { "a", 0 }, { "b", 1 }, { "c", 2 }, { "d", 3 }, { "e", 4 } }, words:zipWithIndex():collect())
        assert.same({ { "b", 0 }, { "d", 1 }, { "e", 2 } },
            words:filter(function(w) return w ~= "a" and w ~= "c" end):zipWithIndex():collect())
        assert.same({ { "a", 0 }, { "b", 1 }, { "c", 4 }, { "d", 2 }, { "e", 5 } }, words:zipWithUniqueId():collect())
        assert.same({ { { "k", 1 }, 0 } }, sc:parallelizePairs({ { "k", 1 } }, 1):zipWithIndex():collect())
        assert.same({}, sc:emptyRDD():zipWithIndex():collect())
        -- Numbers of a dataset's own partitions, also where it is a part of another one.
        local both = words:zipWithUniqueId():union(words:zipWithUniqueId()):coalesce(2):values():collect()
        assert.same({ 0, 1, 4, 2, 5, 0, 1, 4, 2, 5 }, both)
    end)

    it("check their arguments", function()
        local rdd, other = sc:parallelize({ 1 }, 2), engine.context():parallelize({ 1 }, 2)
        for _, name in ipairs({ "cartesian", "zip", "intersection", "subtract" }) do
            assert.matches("rdd_sets_spec.lua:%d+: bad argument #1 to '" .. name .. "' %(RDD expected, got number%)",
                message(function() rdd[name](rdd, 1) end))
            assert.matches("bad argument #1 to '" .. name .. "' %(it belongs to another Context%)",
                message(function() rdd[name](rdd, other) end))
        end
        local many = sc:parallelize({}, 1000)
        assert.matches("the product would have 1000000 partitions, more than 100000",
            message(function() many:cartesian(many) end))
    end)
end)

describe("partitions as a whole", function()
    engine.watch(after_each)

    it("may leave their records unread", function()
        local sc = engine.context()
        local numbers = sc:parallelize({ 1, 2, 3, 4, 5, 6 }, 3)
        local first = numbers:mapPartitions(function(it) return { it() } end)
        local none = numbers:mapPartitions(function() return { 0 } end)
        assert.same({ 1, 3, 5 }, first:collect())
        assert.same({ 1, 3, 5 }, first:coalesce(1):collect())
        assert.same({ 0, 0, 0, 1, 2, 3, 4, 5, 6 }, none:union(numbers):coalesce(1):collect())
        assert.same({ { 0, 1 }, { 0, 3 }, { 0, 5 } }, none:zip(first):collect())
    end)

    it("know their number, whatever they are part of", function()
        local sc = engine.context()
        local function number(index)
            return { index }
        end
        local numbered = sc:parallelize({ 1, 2, 3 }, 3):mapPartitionsWithIndex(number)
        assert.same({ 0, 1, 2, 0, 1, 2 }, numbered:union(numbered):collect())
        assert.same({ 0, 1, 2 }, numbered:coalesce(2):collect())
        assert.same({ 0, 1 }, numbered:coalesce(2):mapPartitionsWithIndex(number):collect())
        assert.same({ 0, 1, 2, 3, 4, 5 }, numbered:union(numbered):mapPartitionsWithIndex(number):collect())
    end)
end)

describe("sets of records", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("subtract", function()
        local a, b = sc:parallelize({ 1, 2, 2, 3, 1, "1" }, 3), sc:parallelize({ 2, 4 }, 2)
        assert.same({ "1", "1", "1", "3" }, sorted(a:subtract(b):collect()))
        assert.same({}, a:subtract(a, 5):collect())
        assert.equal(6, a:subtract(sc:emptyRDD()):count())
        assert.same({ { "k", 2 } }, sc:parallelizePairs({ { "k", 1 }, { "k", 2 } }):subtract(sc:parallelizePairs({ { "k", 1 } }))
            :collect())
    end)

    it("intersect", function()
        local a, b = sc:parallelize({ 1, 2, 2, 3, 5 }, 3), sc:parallelize({ 2, 3, 3, 9 }, 2)
        assert.same({ "2", "3" }, sorted(a:intersection(b):collect()))
        assert.same({ "2", "3" }, sorted(b:intersection(a, 4):collect()))
        assert.same({}, a:intersection(sc:emptyRDD()):collect())
        assert.same({ { "k", 1 } }, sc:parallelizePairs({ { "k", 1 }, { "k", 2 } }):intersection(
            sc:parallelizePairs({ { "k", 1 }, { "k", 1 } })):collect())
        local tables = sc:parallelize({ { 1, { a = 1 } } })
        assert.same({ "[1,{a=1}]" }, sorted(tables:intersection(sc:parallelize({ { 1, { a = 1 } } })):collect()))
    end)

    it("take single values and pairs at one line of the script", function()
        local function common(a, b)
            return sorted(a:intersection(b):map(function(x, y) return y or x end):collect())
        end
        assert.same({ "1" }, common(sc:parallelize({ 1, 2 }), sc:parallelize({ 1 })))
        assert.same({ "7" }, common(sc:parallelizePairs({ { 1, 7 } }), sc:parallelizePairs({ { 1, 7 } })))
        assert.same({ "1" }, common(sc:parallelize({ 1, 2 }), sc:parallelize({ 1 })))
        for _ = 1, 2 do
            for _, rdd in ipairs({ sc:parallelize({ 2, 1 }), sc:parallelizePairs({ { 2, 1 }, { 1, 2 } }) }) do
                assert.equal(2, rdd:distinct():count())
                assert.equal(2, #rdd:sortBy(function(x) return x end):collect())
            end
        end
    end)

    it("group by a function", function()
        local groups = sc:parallelize({ "a", "bb", "cc", "d" }, 3):groupBy(function(w) return #w end):collectAsMap()
        assert.same({ "a", "d" }, groups[1])
        assert.same({ "bb", "cc" }, groups[2])
        local of_pairs = sc:parallelizePairs({ { "a", 1 }, { "b", 1 } }, 1):groupBy(function(_, v) return v end, 3)
        assert.equal(3, of_pairs:getNumPartitions())
        assert.same({ [1] = { { "a", 1 }, { "b", 1 } } }, of_pairs:collectAsMap())
        assert.matches("bad argument #1 to 'groupBy' %(function expected", message(function() of_pairs:groupBy("x") end))
    end)

    it("sort by a function", function()
        local words = sc:parallelize({ "bb", "a", "dddd", "ccc", "e" }, 3)
        assert.same({ "a", "e", "bb", "ccc", "dddd" }, words:sortBy(function(w) return #w end):collect())
        assert.same({ "dddd", "ccc", "bb", "a", "e" }, words:sortBy(function(w) return #w end, false, 1):collect())
        assert.equal(3, words:sortBy(function(w) return w end):getNumPartitions())
        assert.same({ { "x", 1 }, { "y", 2 }, { "z", 3 } },
            sc:parallelizePairs({ { "z", 3 }, { "x", 1 }, { "y", 2 } }, 2):sortBy(function(_, v) return v end):collect())
        local numbers = sc:range(0, 5000, 1, 4):map(function(x) return (x * 7919) % 5000 end)
        local result = numbers:sortBy(function(x) return -x end, true, 5):collect()
        for index = 1, 5000 do
            assert.equal(5000 - index, result[index])
        end
        assert.matches("rdd_sets_spec.lua:%d+: sortBy: the function returned nil",
            message(function() words:sortBy(function() end):collect() end))
    end)
end)

describe("samples", function()
    local sc, numbers
    after_each(function() numbers = nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        numbers = sc:range(0, 10000, 1, 4)
    end)

    local function ascending(list)
        for index = 2, #list do
            if list[index - 1] > list[index] then
                return false
            end
        end
        return true
    end

    it("have about the size that was asked for, and the order of the records", function()
        for _, fraction in ipairs({ 0.01, 0.25, 0.9 }) do
            local list = numbers:sample(false, fraction, 11):collect()
            assert.is_true(math.abs(#list - 10000 * fraction) < 5 * math.sqrt(10000 * fraction))
            assert.is_true(ascending(list))
            assert.equal(#list, numbers:sample(false, fraction, 11):distinct():count())
            local repeated = numbers:sample(true, fraction * 3, 11):collect()
            assert.is_true(math.abs(#repeated - 30000 * fraction) < 5 * math.sqrt(30000 * fraction))
            assert.is_true(ascending(repeated))
        end
        assert.equal(0, numbers:sample(false, 0, 1):count())
        assert.equal(10000, numbers:sample(false, 1, 1):count())
        assert.equal(0, numbers:sample(true, 0, 1):count())
    end)

    it("depend on the seed alone", function()
        assert.same(numbers:sample(false, 0.1, 5):collect(), numbers:sample(false, 0.1, 5):collect())
        assert.same(numbers:sample(true, 0.1, 5):collect(), numbers:sample(true, 0.1, 5):collect())
        assert.not_same(numbers:sample(false, 0.1, 5):collect(), numbers:sample(false, 0.1, 6):collect())
        assert.not_same(numbers:sample(false, 0.1):collect(), numbers:sample(false, 0.1):collect())
        local once = numbers:sample(false, 0.1)
        assert.same(once:collect(), once:collect())
        -- Partitions with equal records are sampled differently.
        local parts = sc:parallelize({ 1, 2, 3, 4 }, 4):flatMap(function()
            local list = {}
            for index = 1, 200 do
                list[index] = index
            end
            return list
        end):sample(false, 0.5, 3):glom():collect()
        assert.not_same(parts[1], parts[2])
    end)

    it("keep partitioning and pairs", function()
        local pairs_rdd = numbers:map(function(x) return x % 10, x end):partitionBy(3)
        assert.equal(3, pairs_rdd:sample(false, 0.5, 1).node:keyPartitions())
        assert.equal(2, #pairs_rdd:sample(false, 0.5, 1):first())
    end)

    it("split at random", function()
        local parts = numbers:randomSplit({ 1, 2, 1 }, 9)
        assert.equal(3, #parts)
        local all = {}
        local sizes = {}
        for index, part in ipairs(parts) do
            local list = part:collect()
            sizes[index] = #list
            for _, x in ipairs(list) do
                all[#all + 1] = x
            end
        end
        table.sort(all)
        assert.same(numbers:collect(), all)
        assert.is_true(math.abs(sizes[2] - 5000) < 250 and math.abs(sizes[1] - 2500) < 250)
        assert.same({}, numbers:randomSplit({ 0, 1 }, 2)[1]:collect())
        assert.matches("bad argument #1 to 'randomSplit' %(weight 2: a number of at least 0 expected, got %-1%)",
            message(function() numbers:randomSplit({ 1, -1 }) end))
        assert.matches("the weights add up to nothing", message(function() numbers:randomSplit({}) end))
    end)

    it("take a number of records", function()
        local list = numbers:takeSample(false, 100, 4)
        assert.equal(100, #list)
        assert.is_false(ascending(list))
        assert.same(list, numbers:takeSample(false, 100, 4))
        local seen = {}
        for _, x in ipairs(list) do
            assert.is_nil(seen[x])
            seen[x] = true
        end
        local few = sc:parallelize({ 1, 2, 3 }, 2)
        assert.same({ "1", "2", "3" }, sorted(few:takeSample(false, 10, 1)))
        assert.equal(10, #few:takeSample(true, 10, 1))
        assert.equal(9999, #numbers:takeSample(false, 9999, 1))
        assert.same({}, few:takeSample(true, 0))
        assert.same({}, sc:emptyRDD():takeSample(true, 5))
    end)

    it("have fractions of their own for each key", function()
        local data = numbers:map(function(x) return x % 2 == 0 and "even" or "odd", x end)
        local counts = data:sampleByKey(false, { even = 1, odd = 0.1 }, 3):countByKey()
        assert.equal(5000, counts.even)
        assert.is_true(math.abs(counts.odd - 500) < 110)
        local repeated = data:sampleByKey(true, { even = 2, odd = 0 }, 3):countByKey()
        assert.is_nil(repeated.odd)
        assert.is_true(math.abs(repeated.even - 10000) < 500)
        assert.matches("no fraction is given for the key odd\n  in sampleByKey %(.*rdd_sets_spec.lua:%d+%)",
            message(function() data:sampleByKey(false, { even = 1 }):count() end))
    end)

    it("check their arguments", function()
        assert.matches("rdd_sets_spec.lua:%d+: bad argument #1 to 'sample' %(boolean expected, got number%)",
            message(function() numbers:sample(0.5) end))
        assert.matches("bad argument #2 to 'sample' %(a fraction from 0 to 1 expected, got 1.5%)",
            message(function() numbers:sample(false, 1.5) end))
        assert.matches("bad argument #2 to 'sample' %(a fraction of at least 0 expected, got %-1%)",
            message(function() numbers:sample(true, -1) end))
        assert.matches("bad argument #3 to 'sample' %(whole number expected, got 0.5%)",
            message(function() numbers:sample(true, 1, 0.5) end))
        assert.matches("bad argument #2 to 'takeSample' %(", message(function() numbers:takeSample(true, -1) end))
        assert.matches("bad argument #2 to 'sampleByKey' %(key a: a fraction from 0 to 1 expected, got 2%)",
            message(function() numbers:sampleByKey(false, { a = 2 }) end))
    end)
end)

describe("pipe", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("sends each partition through a command", function()
        local numbers = sc:parallelize({ 3, 1, 2, 5, 4 }, 2)
        assert.same({ "1", "3", "2", "4", "5" }, numbers:pipe("sort"):collect())
        assert.same({ "2", "3" }, numbers:pipe({ "grep", "-c", "" }):collect())
        assert.same({ "(a,1)" }, sc:parallelizePairs({ { "a", 1 } }, 1):pipe("cat"):collect())
        assert.same({ "it's $X", "it's $X" }, numbers:pipe({ "echo", "it's $X" }):collect())
        assert.same({ "v $X", "v $X" }, numbers:pipe("echo v '$X' # remark", { X = "v" }):collect())
        assert.same({ "a'b 7", "a'b 7" }, numbers:pipe("echo $X $Y", { X = "a'b", Y = 7 }):collect())
        assert.same({ "0" }, sc:parallelize({}, 1):pipe("wc -l"):collect())
    end)

    it("takes many lines both ways, or leaves them unread", function()
        local numbers = sc:range(0, 200000, 1, 2)
        assert.equal(200000, numbers:pipe("cat"):count())
        assert.same({ "0", "1" }, numbers:pipe("cat"):take(2))
        assert.same({ "0", "100000" }, numbers:pipe("head -1"):collect())
        assert.same({ "done", "done" }, numbers:pipe("echo done"):collect())
    end)

    it("ends a command that nobody reads any more, and says nothing", function()
        local pid = sc:parallelize({ "x" }, 1):pipe("echo $$; while :; do echo more; done"):first()
        assert.matches("^%d+$", pid)
        assert.is_nil(io.open("/proc/" .. pid .. "/stat"))
    end)

    it("fails with the command", function()
        assert.matches("pipe: the command exit 3 ended with status 3\n  in pipe %(.*rdd_sets_spec.lua:%d+%)",
            message(function() sc:parallelize({ 1 }):pipe("exit 3"):collect() end))
        assert.matches("ended with status 127",
            message(function() sc:parallelize({ 1 }):pipe("/no/such/program 2>&-"):collect() end))
    end)

    it("checks its arguments", function()
        local rdd = sc:parallelize({ 1 })
        assert.matches("rdd_sets_spec.lua:%d+: bad argument #1 to 'pipe' %(", message(function() rdd:pipe() end))
        assert.matches("the text is empty", message(function() rdd:pipe("") end))
        assert.matches("the command is empty", message(function() rdd:pipe({}) end))
        assert.matches("word 2: string expected, got number", message(function() rdd:pipe({ "a", 1 }) end))
        assert.matches("a b is not the name of an environment variable", message(function() rdd:pipe("x", { ["a b"] = "" }) end))
        assert.matches("A: text expected, got table", message(function() rdd:pipe("x", { A = {} }) end))
    end)
end)

describe("made datasets", function()
    engine.watch(after_each)
    local sc

    before_each(function() sc = engine.context() end)

    it("show the number that a function failed on", function()
        -- The second time round, the loop has been compiled for what it has learned.
        local function failing(x)
            return x == 3700 and error("no") or x, 1
        end
        for _ = 1, 2 do
            for _, rdd in ipairs({ sc:range(4000):map(failing), sc:range(4000):filter(failing), sc:range(4000):map(failing):keys() }) do
                local ok, err = pcall(rdd.count, rdd)
                assert.is_false(ok)
                assert.matches("\n  record: 3700$", tostring(err))
            end
        end
    end)

    it("count through a range", function()
        assert.same({ 0, 1, 2, 3, 4 }, sc:range(5):collect())
        assert.same({ 2, 3 }, sc:range(2, 4):collect())
        assert.same({ 1, 4, 7 }, sc:range(1, 10, 3, 5):collect())
        assert.same({ 10, 7, 4, 1 }, sc:range(10, 0, -3):collect())
        assert.same({}, sc:range(5, 5):collect())
        assert.same({}, sc:range(0, 5, -1):collect())
        assert.same({ { 0 }, { 1, 2 }, { 3, 4 } }, sc:range(0, 5, 1, 3):glom():collect())
        assert.equal(1000000, sc:range(1000000):count())
        assert.matches("rdd_sets_spec.lua:%d+: bad argument #3 to 'range' %(the step is 0%)",
            message(function() sc:range(0, 5, 0) end))
        assert.matches("bad argument #1 to 'range' %(whole number expected, got 1.5%)", message(function() sc:range(1.5) end))
    end)

    it("hold nothing", function()
        assert.equal(0, sc:emptyRDD():getNumPartitions())
        assert.same({}, sc:emptyRDD():map(function(x) return x end):collect())
    end)

    it("read whole files", function()
        local directory = tempdir.new()
        local a, b = directory:write("in/a.txt", "one\ntwo"), directory:write("in/b.txt", "")
        directory:write("in/_hidden", "x")
        local files = sc:wholeTextFiles(directory:file("in"))
        assert.same({ [a] = "one\ntwo", [b] = "" }, files:collectAsMap())
        assert.equal(2, files:getNumPartitions())
        assert.equal(1, sc:wholeTextFiles(directory:file("in/*.txt"), 1):getNumPartitions())
        assert.matches("rdd_sets_spec.lua:%d+: wholeTextFiles: there is no file or directory",
            message(function() sc:wholeTextFiles(directory:file("none")) end))
        os.remove(a)
        assert.matches("wholeTextFiles: .*/a.txt: No such file", message(function() files:collect() end))
        directory:remove()
    end)

    it("read records of a fixed length", function()
        local directory = tempdir.new()
        local path = directory:write("data.bin", "abc\0defg\n")
        assert.same({ "abc", "\0de", "fg\n" }, sc:binaryRecords(path, 3):collect())
        assert.same({ "abc\0defg\n" }, sc:binaryRecords(path, 9):collect())
        local large = directory:write("large.bin", ("0123456789abcdef"):rep(10000))
        assert.equal(10000, sc:binaryRecords(large, 16):filter(function(r) return r == "0123456789abcdef" end):count())
        assert.matches("binaryRecords: .*data.bin has 9 bytes, which is not a multiple of the record length 4",
            message(function() sc:binaryRecords(path, 4) end))
        assert.matches("bad argument #2 to 'binaryRecords' %(", message(function() sc:binaryRecords(path, 0) end))
        directory:remove()
    end)
end)
