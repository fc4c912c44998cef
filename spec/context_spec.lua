-- Context: making it, its inputs, its end.

local moontide = require "moontide"
local context = require "moontide.context"
local engine = require "spec.support.engine"
local files = require "moontide.driver.files"
local tempdir = require "spec.support.tempdir"

local message, sorted = engine.message, engine.sorted

describe("a master", function()
    it("says how many workers there are", function()
        assert.equal(1, context.workers("local"))
        assert.equal(1, context.workers("local[1]"))
        assert.equal(16, context.workers("local[16]"))
        local processors, memory = require("moontide.core").machine()
        assert.equal(math.min(processors, 1024), context.workers("local[*]"))
        assert.is_true(processors >= 1 and memory > 0)
    end)

    it("is refused by name when it is something else", function()
        local function refused(master)
            return message(function() moontide.Context(master, "spec") end)
        end
        assert.matches("context_spec.lua:%d+: Context: master 'spark://host:7077' is not supported",
            refused("spark://host:7077"))
        assert.matches("valid: local, local[N], local[*]", refused("yarn"), 1, true)
        assert.matches("did you mean 'local'?", refused("locl"), 1, true)
        assert.matches("master 'local[x]': 'x' is not a number of workers", refused("local[x]"), 1, true)
        assert.matches("master 'local[2,4]': '2,4' is not a number", refused("local[2,4]"), 1, true)
        assert.matches("must be from 1 to 1024", refused("local[0]"), 1, true)
        assert.matches("must be from 1 to 1024", refused("local[100000]"), 1, true)
        assert.matches("master must be text like \"local[2]\", got number",
            message(moontide.Context, { master = 2 }), 1, true)
    end)
end)

describe("a context", function()
    engine.watch(after_each)

    it("is made from names or from options", function()
        local a = moontide.Context("local[1]", "one")
        assert.same({ "local[1]", "one" }, { a.master, a.appName })
        assert.is_true(a:stop())
        local b = moontide.Context({ master = "local[3]", appName = "two" })
        assert.equal(3, b:defaultParallelism())
        assert.equal("Context(local[3], two)", tostring(b))
        assert.is_true(b:stop())
    end)

    it("refuses other arguments at the caller's line", function()
        assert.matches("context_spec.lua:%d+: Context has no option 'mster'; did you mean 'master'",
            message(function() moontide.Context({ mster = "local" }) end))
        assert.matches("bad argument #1 to 'Context'.*got nil", message(moontide.Context))
        assert.matches("appName must be text, got an empty text", message(moontide.Context, "local", ""), 1, true)
        assert.matches("appName must be text, got number", message(moontide.Context, "local", 5), 1, true)
    end)

    it("lives beside others", function()
        local a, b = engine.context("local[1]"), engine.context("local[2]")
        local x, y = a:parallelize({ 1, 2 }), b:parallelize({ 3, 4 })
        assert.same({ 2, 3 }, x:map(function(v) return v + 1 end):collect())
        assert.same({ 4, 5 }, y:map(function(v) return v + 1 end):collect())
        assert.matches("the dataset at position 2 belongs to another Context", message(x.union, x, y), 1, true)
        assert.matches("position 2 belongs to another Context", message(a.union, a, { x, y }), 1, true)
    end)

    it("can be stopped twice, and used no more", function()
        local sc = engine.context()
        local rdd = sc:parallelize({ 1 })
        assert.is_false(sc:isStopped())
        assert.is_true(sc:stop())
        assert.is_true(sc:stop())
        assert.is_true(sc:isStopped())
        assert.matches("'parallelize': the context is stopped", message(sc.parallelize, sc, { 1 }), 1, true)
        assert.matches("'count': the context is stopped", message(rdd.count, rdd), 1, true)
        assert.matches("'map': the context is stopped", message(rdd.map, rdd, print), 1, true)
    end)

    it("checks the log level", function()
        local sc = engine.context()
        sc:setLogLevel("WARN")
        assert.matches("one of debug, info, warn, error, off expected, got 'wran'; did you mean 'warn'?",
            message(sc.setLogLevel, sc, "wran"), 1, true)
    end)
end)

describe("parallelize", function()
    engine.watch(after_each)

    it("cuts neighbouring slices as Spark does", function()
        local sc = engine.context()
        assert.same({ { 1 }, { 2, 3 }, { 4, 5 } }, sc:parallelize({ 1, 2, 3, 4, 5 }, 3):glom():collect())
        local lengths = {}
        for index, slice in ipairs(sc:parallelize({ 1, 2 }, 5):glom():collect()) do
            lengths[index] = #slice
        end
        assert.same({ 0, 0, 1, 0, 1 }, lengths)
    end)

    it("takes any plain value and gives it back", function()
        local sc = engine.context()
        local values = { 1, -1.5, "a\0b\255", true, false, { 1, 2, { x = "y" } }, moontide.null, 2 ^ 60,
            9007199254740993LL }
        local back = sc:parallelize(values, 2):collect()
        assert.equal(#values, #back)
        for index = 1, 5 do
            assert.equal(values[index], back[index])
        end
        assert.equal("y", back[6][3].x)
        assert.equal(moontide.null, back[7])
        assert.equal(2 ^ 60, back[8])
        assert.is_true(back[9] == 9007199254740993LL)
    end)

    it("keeps records apart from pairs", function()
        local sc = engine.context()
        assert.same({ { "a", 1 } }, sc:parallelize({ { "a", 1 } }):collect())
        assert.same({ { "a", 2 } }, sc:parallelizePairs({ { "a", 1 } }):mapValues(function(v) return v + 1 end):collect())
    end)

    it("packs many records in several blocks", function()
        local sc = engine.context()
        local numbers = {}
        for index = 1, 50000 do
            numbers[index] = index
        end
        local rdd = sc:parallelize(numbers, 2)
        assert.equal(50000, rdd:count())
        assert.equal(50000 * 50001 / 2, rdd:reduce(function(a, b) return a + b end))
        assert.same(numbers, rdd:collect())
    end)

    it("refuses bad records by number, at the caller's line", function()
        local sc = engine.context()
        assert.matches("context_spec.lua:%d+: parallelize: record 2: a function can't be part of a record",
            message(function() sc:parallelize({ 1, print }) end))
        assert.matches("parallelize: record 1: a userdata can't", message(sc.parallelize, sc, { io.stdout }), 1, true)
        assert.matches("record 1: a coroutine can't", message(sc.parallelize, sc, { coroutine.create(print) }), 1, true)
        local cycle = {}
        cycle.cycle = cycle
        assert.matches("record 3: a table contains itself", message(sc.parallelize, sc, { 1, 2, cycle }), 1, true)
        assert.matches("array expected, got a table with the key 'a'",
            message(sc.parallelize, sc, { a = 1 }), 1, true)
        assert.matches("array expected, got string", message(sc.parallelize, sc, "abc"), 1, true)
        assert.matches("array expected, got RDD", message(sc.parallelize, sc, sc:emptyRDD()), 1, true)
    end)

    it("refuses bad keys and pairs", function()
        local sc = engine.context()
        local function refused(pairs)
            return message(sc.parallelizePairs, sc, pairs)
        end
        assert.matches("parallelizePairs: record 2: the key is NaN", refused({ { 1, 1 }, { 0 / 0, 1 } }), 1, true)
        assert.matches("record 1: the key is nil", refused({ { nil, 1 } }), 1, true)
        assert.matches("record 1: the value of the pair is nil", refused({ { 1 } }), 1, true)
        assert.matches("record 1 is not a {key, value} table but a number", refused({ 5 }), 1, true)
    end)

    it("refuses bad numbers of partitions", function()
        local sc = engine.context()
        assert.matches("bad argument #2 to 'parallelize' (number of partitions: ",
            message(sc.parallelize, sc, {}, 0), 1, true)
        assert.matches("got 1.5", message(sc.parallelize, sc, {}, 1.5), 1, true)
    end)

    it("makes datasets without records and without partitions", function()
        local sc = engine.context()
        assert.equal(0, sc:parallelize({}, 2):count())
        assert.equal(2, sc:parallelize({}, 2):getNumPartitions())
        assert.equal(0, sc:emptyRDD():getNumPartitions())
        assert.same({}, sc:emptyRDD():map(function(x) return x end):collect())
    end)
end)

describe("textFile", function()
    engine.watch(after_each)
    local dir

    before_each(function() dir = tempdir.new() end)
    after_each(function() dir:remove() end)

    it("refuses a file whose size is not known, instead of finding nothing in it", function()
        local sc = engine.context()
        assert.matches("context_spec.lua:%d+: textFile: cannot read /proc/version in parts", tostring(select(2,
            pcall(function() sc:textFile("/proc/version") end))))
    end)

    it("reads the lines of a file", function()
        local sc = engine.context()
        local path = dir:write("a.txt", "one\ntwo\r\n\nlast")
        assert.same({ "one", "two", "", "last" }, sc:textFile(path, 1):collect())
        assert.same({ "one", "two", "", "last" }, sc:textFile(path, 3):collect())
    end)

    it("reads large files in several partitions, each line once", function()
        local sc = engine.context()
        local lines = {}
        for index = 1, 5000 do
            lines[index] = "line " .. index .. string.rep("x", index % 40)
        end
        local path = dir:write("big.txt", table.concat(lines, "\n") .. "\n")
        for _, n in ipairs({ 1, 2, 7, 50 }) do
            local rdd = sc:textFile(path, n)
            assert.is_true(rdd:getNumPartitions() >= n, "partitions: " .. rdd:getNumPartitions())
            assert.same(lines, rdd:collect())
        end
    end)

    it("reads directories without hidden files, and patterns", function()
        local sc = engine.context()
        dir:write("logs/b.log", "b\n")
        dir:write("logs/a.log", "a\n")
        dir:write("logs/.hidden", "no\n")
        dir:write("logs/_SUCCESS", "no\n")
        dir:write("logs/empty.txt", "")
        assert.same({ "a", "b" }, sc:textFile(dir:file("logs")):collect())
        assert.same({ "a", "b" }, sc:textFile(dir:file("logs/")):collect())
        assert.same({ "a", "b" }, sc:textFile(dir:file("logs/*.log")):collect())
        assert.same({ "b" }, sc:textFile(dir:file("logs/[b].log")):collect())
        assert.same({ "a", "b" }, sorted(sc:textFile(dir:file("logs/{b,a}.log")):collect()))
        assert.equal(0, sc:textFile(dir:file("logs/empty.txt")):getNumPartitions())
    end)

    it("takes a name literally when there is such a file", function()
        local sc = engine.context()
        dir:write("a[1].txt", "literal\n")
        assert.same({ "literal" }, sc:textFile(dir:file("a[1].txt")):collect())
    end)

    it("says what is missing", function()
        local sc = engine.context()
        assert.matches("context_spec.lua:%d+: textFile: there is no file or directory .*/none.txt",
            message(function() sc:textFile(dir:file("none.txt")) end))
        assert.matches("no file matches the pattern", message(sc.textFile, sc, dir:file("*.none")), 1, true)
        dir:write("deep/deeper/a.txt", "a\n")
        assert.matches("deep/deeper is a directory", message(sc.textFile, sc, dir:file("deep")), 1, true)
        assert.matches("the text is empty", message(sc.textFile, sc, ""), 1, true)
    end)

    it("fails at the action when a file has gone", function()
        local sc = engine.context()
        local path = dir:write("gone.txt", "a\n")
        local rdd = sc:textFile(path)
        os.remove(path)
        assert.matches("gone.txt", message(rdd.collect, rdd), 1, true)
    end)
end)

describe("file ranges", function()
    it("are cut by size over all files", function()
        assert.same({ { "a", 0, 36 }, { "a", 36, 36 }, { "a", 72, 28 }, { "c", 0, 9 } },
            files.splits({ { path = "a", size = 100 }, { path = "b", size = 0 }, { path = "c", size = 9 } }, 3))
        assert.same({ { "a", 0, 100 } }, files.splits({ { path = "a", size = 100 } }, 1))
        assert.same({}, files.splits({ { path = "a", size = 0 } }, 4))
    end)

    it("are at most 32 MB long", function()
        local splits = files.splits({ { path = "a", size = 100 * 1024 * 1024 } }, 1)
        assert.equal(4, #splits)
        assert.equal(32 * 1024 * 1024, splits[1][3])
    end)
end)

describe("a container", function()
    it("bounds the workers of local[*] and the default of memory.limit", function()
        local root = tempdir.new()
        finally(function() root:remove() end)
        root:write("proc/self/cgroup", "0::/job\n")
        root:write("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        root:write("sys/fs/cgroup/memory.max", "67108864\n")
        root:write("sys/fs/cgroup/job/cpu.max", "50000 100000\n")
        assert.same({ 1, 67108864 }, { require("moontide.core").machine(root.path) })
    end)
end)
