-- Broadcast variables and accumulators, and tasks that are tried again.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local fast = require "moontide.wire.ffi"
local moontide = require "moontide"
local testing = require "moontide.testing"

local function add(a, b)
    return a + b
end

local function silently(fn, ...)
    core.logLevel("off")
    local results = { pcall(fn, ...) }
    core.logLevel("warn")
    return unpack(results, 1, 4)
end

describe("a broadcast variable", function()
    engine.watch(after_each)

    it("is read by functions in the workers, whole", function()
        local sc = engine.context()
        local names = sc:broadcast({ a = { "x", 1 }, [7] = false })
        local list = sc:parallelize({ "a", "b" }, 2):map(function(key)
            local found = names:value()[key]
            return found and found[1] .. found[2] .. tostring(names:value()[7]) or "none"
        end):collect()
        assert.same({ "x1false", "none" }, list)
        assert.same({ "x", 1 }, names:value().a)
    end)

    it("travels as its number", function()
        local sc = engine.context()
        local closure = require "moontide.closure"
        local big = sc:broadcast(("x"):rep(1000000))
        assert(#closure.pack(function() return big:value() end, "map", "f") < 2000)
        assert.equal(1000000, sc:parallelize({ 1 }):map(function() return #big:value() end):first())
    end)

    it("is unpacked once in a worker, and again after unpersist", function()
        local sc = engine.context("local[1]")
        local log = sc:broadcast(setmetatable({}, { __index = function() return 0 end }))
        local function identity()
            return sc:parallelize({ 1 }):map(function() return tostring(log:value()) end):first()
        end
        local first = identity()
        assert.equal(first, identity())
        log:unpersist()
        assert.not_equal(first, identity())
    end)

    it("carries what closures carry: functions, metatables, cycles, deep tables", function()
        local sc = engine.context()
        local Class = {}
        Class.__index = Class
        function Class:twice() return self.n * 2 end
        local object = setmetatable({ n = 4 }, Class)
        object.self = object
        local b, f, deep = sc:broadcast(object), sc:broadcast(function(x) return x + 1 end), {}
        local chain = sc:broadcast(deep)
        assert.equal(8, sc:parallelize({ 1 }):map(function() return b:value().self:twice() end):first())
        assert.equal(3, sc:parallelize({ 2 }):map(function(x) return f:value()(x) end):first())
        assert.equal("table", sc:parallelize({ 2 }):map(function() return type(chain:value()) end):first())
        local top = deep
        for _ = 1, 30000 do
            deep.next = {}
            deep = deep.next
        end
        local long = sc:broadcast(top)
        assert.equal(30000, sc:parallelize({ 1 }):map(function()
            local n, at = 0, long:value()
            while at.next do n, at = n + 1, at.next end
            return n
        end):first())
    end)

    it("may be false or null, not nil", function()
        local sc = engine.context()
        local no, null = sc:broadcast(false), sc:broadcast(moontide.null)
        assert.same({ false, true }, sc:parallelize({ 1 }):flatMap(function()
            return { no:value(), null:value() == moontide.null }
        end):collect())
        assert.error_matches(function() sc:broadcast(nil) end, "^bad argument #1 to 'broadcast'")
        assert.error_matches(function() sc:broadcast(coroutine.create(function() end)) end,
            "^broadcast: the value is a coroutine")
    end)

    it("is used by streams, and inside other closures' tables", function()
        local result = testing.run {
            inputs = { { { 1, 2 }, { 3 } } },
            build = function(ssc, numbers)
                local tools = { factor = ssc.sc:broadcast(10) }
                return numbers:map(function(x) return x * tools.factor:value() end)
            end,
        }
        assert.same({ 10, 20 }, result.batches[1].records)
        assert.same({ 30 }, result.batches[2].records)
    end)

    it("is gone after destroy, and with its context", function()
        local sc = engine.context()
        local before = engine.live_blocks()
        local b = sc:broadcast({ 1 })
        local rdd = sc:parallelize({ 1 }):map(function() return b:value()[1] end)
        assert.equal(1, rdd:first())
        b:destroy()
        b:destroy()
        assert.matches("the broadcast variable #%d+ was destroyed.*in map %(", engine.message(rdd.first, rdd))
        assert.error_matches(function() b:value() end, "^'value': the broadcast variable #%d+ was destroyed")
        assert.error_matches(function() b:unpersist() end, "was destroyed")
        rdd = nil -- luacheck: ignore
        assert(engine.live_blocks() <= before + 2)
        local other = sc:broadcast({ 2 })
        sc:stop()
        assert.error_matches(function() other:value() end, "its context was stopped")
    end)
end)

describe("a broadcast variable that the script let go of", function()
    engine.watch(after_each)

    local function alive()
        engine.live_blocks() -- runs the collector
        return fast.C.tide_broadcast_count()
    end

    -- What is left once the plans of earlier jobs are gone too: those go with the next job.
    local function left(sc)
        alive()
        sc:parallelize({ 1 }, 1):collect()
        return alive()
    end

    it("is freed, used or not", function()
        local sc = engine.context()
        local before = alive()
        local function use()
            local unused = sc:broadcast({ 1 })
            local used = sc:broadcast({ 2 })
            assert.equal(before + 2, alive())
            assert.equal(2, sc:parallelize({ 1 }):map(function() return used:value()[1] end):first())
            assert(unused)
        end
        use()
        assert.equal(before, left(sc))
    end)

    it("stays as long as a dataset's function uses it", function()
        local sc = engine.context()
        local before = alive()
        local function build()
            local b = sc:broadcast({ 7 })
            return sc:parallelize({ 1, 2 }, 2):map(function(x) return x, b:value()[1] end)
        end
        local rdd = build()
        assert.equal(before + 1, left(sc))
        assert.same({ 7, 7 }, rdd:values():collect())
        assert.equal(before + 1, left(sc))
        assert.equal(14, rdd:values():reduce(add))
        rdd = nil -- luacheck: ignore
        assert.equal(before, left(sc))
    end)

    it("stays as long as another one's value uses it", function()
        local sc = engine.context()
        local before = alive()
        local function build()
            local inner = sc:broadcast({ 3 })
            return sc:broadcast(function(x) return x * inner:value()[1] end)
        end
        local outer = build()
        local rdd = sc:parallelize({ 2 }):map(function(x) return outer:value()(x) end)
        outer = nil -- luacheck: ignore
        assert.equal(before + 2, left(sc))
        assert.equal(6, rdd:first())
        rdd = nil -- luacheck: ignore
        assert.equal(before, left(sc))
    end)

    it("stays as long as a partitioner or a StateSpec uses it, also before any operator has it", function()
        local sc = engine.context()
        local before = alive()
        local function build()
            local b, c = sc:broadcast({ 1 }), sc:broadcast({ 2 })
            local by = moontide.Partitioner(2, function(key) return key + b:value()[1] end)
            local spec = moontide.StateSpec.func(function(key) return key + c:value()[1] end):timeout("1h")
            b, c = nil, nil -- the functions have lost them, the packages have not
            return by, spec
        end
        local by, spec = build()
        assert.equal(before + 2, left(sc))
        assert.equal(1, by:getPartition(2))
        assert.same({ { { 1, 0 } }, { { 2, 0 } } }, sc:parallelizePairs({ { 1, 0 }, { 2, 0 } }):partitionBy(by):glom():collect())
        assert(spec)
        by, spec = nil, nil -- luacheck: ignore
        assert.equal(before, left(sc))
    end)

    it("stays as long as a stream uses it", function()
        local before = alive()
        local result = testing.run {
            inputs = { { { 1 }, { 2 }, {}, { 3 } } },
            build = function(ssc, numbers)
                local b, c, d = ssc.sc:broadcast(10), ssc.sc:broadcast(100), ssc.sc:broadcast(1000)
                local tens = numbers:map(function(x) return x * b:value() end)
                local windows = tens:reduceByWindow(function(x, y) return x + y + 0 * c:value() end, 2000, 1000)
                local stream = windows:transform(function(rdd)
                    assert(alive() >= before + 3)
                    return rdd:map(function(x) return x + d:value() end)
                end)
                b, c = nil, nil
                assert.equal(before + 3, left(ssc.sc))
                return stream
            end,
        }
        assert.is_nil(result.error)
        assert.same({ { 1010 }, { 1030 }, { 1020 }, { 1030 } }, { result.batches[1].records, result.batches[2].records,
            result.batches[3].records, result.batches[4].records })
        assert.equal(before, alive())
    end)

    it("is freed while batches go on that make one each", function()
        local sums, most, batches = {}, 0, 60
        local before, input = alive(), {}
        for i = 1, batches do input[i] = { i } end
        local result = testing.run {
            inputs = { input },
            build = function(ssc, numbers)
                local n = 0
                local function one()
                    n = n + 1
                    return ssc.sc:broadcast({ n, ("x"):rep(64 * 1024) })
                end
                local stream = numbers:transform(function(rdd)
                    local b = one()
                    return rdd:map(function(x) return x + #b:value()[2] end)
                end)
                stream:foreachRDD(function(rdd)
                    local b = one()
                    rdd:foreach(function() return b:value()[1] end)
                    sums[#sums + 1] = rdd:map(function(x) return x - #b:value()[2] end):first()
                    collectgarbage()
                    most = math.max(most, fast.C.tide_broadcast_count() - before)
                end)
                return stream
            end,
        }
        assert.is_nil(result.error)
        assert.equal(batches, #sums)
        for i = 1, batches do assert.equal(i, sums[i]) end
        assert(most <= 12, most .. " at once")
        assert.equal(before, alive())
    end)

    it("leaves nothing in workers that have put its value into variables of their own", function()
        local sc = engine.context("local[1]")
        local function keep()
            local b, kept = sc:broadcast({ 1 }), nil
            return sc:parallelize({ 1 }, 1):map(function(x)
                kept = kept or b:value()
                package.loaded["spec.kept"] = setmetatable({ kept }, { __mode = "v" })
                return x + #kept
            end):first()
        end
        local function kept()
            return sc:parallelize({ 1 }, 1):map(function()
                collectgarbage()
                collectgarbage()
                return #package.loaded["spec.kept"]
            end):first()
        end
        assert.equal(2, keep())
        left(sc)
        assert.equal(0, kept())
    end)
end)

describe("an accumulator", function()
    engine.watch(after_each)

    it("sums what tasks add", function()
        local sc = engine.context()
        local sum, odd = sc:accumulator(5), sc:accumulator(0, nil, "odd")
        sc:parallelize({ 1, 2, 3, 4, 5 }, 3):foreach(function(x)
            sum:add(x)
            if x % 2 == 1 then odd:add(1) end
        end)
        assert.equal(20, sum:value())
        assert.equal(3, odd:value())
        sum:add(0.5)
        assert.equal(20.5, sum:value())
        assert.equal("odd", odd:name())
        assert.equal("Accumulator 'odd' (3)", tostring(odd))
    end)

    it("merges other values with a function", function()
        local sc = engine.context()
        local zero = {}
        local words = sc:accumulator(zero, function(a, b)
            for word, n in pairs(b) do a[word] = (a[word] or 0) + n end
            return a
        end)
        sc:parallelize({ "a", "b", "a" }, 3):foreach(function(word) words:add({ [word] = 1 }) end)
        assert.same({ a = 2, b = 1 }, words:value())
        assert.same({}, zero)
        local longest = sc:accumulator("", function(a, b) return #b > #a and b or a end)
        sc:parallelize({ "xx", "yyyy", "z" }, 2):foreach(function(word) longest:add(word) end)
        assert.equal("yyyy", longest:value())
    end)

    it("counts in shuffles, in persistent datasets once, and in each action else", function()
        local sc = engine.context()
        local seen = sc:accumulator(0)
        local pairs_rdd = sc:parallelize({ 1, 2, 3, 4 }, 2):map(function(x)
            seen:add(1)
            return x % 2, x
        end)
        assert.equal(2, pairs_rdd:reduceByKey(add):count())
        assert.equal(4, seen:value())
        pairs_rdd:sortByKey():collect()
        assert.equal(8, seen:value())
        pairs_rdd:persist()
        pairs_rdd:count()
        pairs_rdd:count()
        assert.equal(12, seen:value())
    end)

    it("is merged when an action inside foreachRDD has its result", function()
        local values = {}
        local result = testing.run {
            inputs = { { { 1, 2 }, {}, { 3 } } },
            build = function(ssc, numbers)
                local sum = ssc.sc:accumulator(0)
                numbers:foreachRDD(function(rdd)
                    rdd:foreach(function(x) sum:add(x) end)
                    values[#values + 1] = sum:value()
                end)
                return numbers
            end,
        }
        assert.is_nil(result.error)
        assert.same({ 3, 3, 6 }, values)
    end)

    it("counts what failed tasks have added for nothing", function()
        local sc = engine.context("local[1]")
        local seen = sc:accumulator(0)
        local rdd = sc:parallelize({ 1, 2, 3, 4 }, 2):map(function(x)
            seen:add(1)
            if x == 4 then error("four") end
            return x
        end)
        assert.matches("four", engine.message(rdd.collect, rdd))
        assert.equal(2, seen:value())
    end)

    it("cannot be read in a worker, nor given what it cannot add", function()
        local sc = engine.context()
        local sum = sc:accumulator(0)
        local one = sc:parallelize({ 1 })
        assert.matches("the accumulator #%d+ can be read in the driver only.*in map %(",
            engine.message(function() one:map(function() return sum:value() end):collect() end))
        assert.matches("the accumulator #%d+ adds numbers, got string.*in foreach %(",
            engine.message(function() one:foreach(function() sum:add("x") end) end))
        assert.error_matches(function() sum:add("x") end, "^the accumulator #%d+ adds numbers")
        assert.error_matches(function() sum:add(nil) end, "nothing to add")
        assert.error_matches(function() sc:accumulator({}) end, "other values need a merge function")
        assert.error_matches(function() sc:accumulator(nil, add) end, "the zero value is nil")
        assert.error_matches(function() sc:accumulator(io.stdout, add) end, "the zero value: a userdata")
        assert.error_matches(function() sc:accumulator(0, 1) end, "bad argument #2 to 'accumulator' %(function expected")
        assert.equal(0, sum:value())
    end)

    it("keeps its value when the merge function fails in the driver", function()
        local sc = engine.context("local[1]")
        local bad = sc:accumulator(0, function(a, b)
            if a > 0 then error("full") end
            return a + b
        end)
        silently(function()
            sc:parallelize({ 1 }, 1):foreach(function(x) bad:add(x) end)
            sc:parallelize({ 1 }, 1):foreach(function(x) bad:add(x) end)
        end)
        assert.equal(1, bad:value())
    end)
end)

describe("tasks that fail", function()
    engine.watch(after_each)

    -- A function that fails the first `times` times in each partition: it counts in files.
    local function failing(times)
        local dir = require("spec.support.tempdir").new()
        local prefix = dir:file("try")
        return function(x)
            local path = prefix .. x
            local file = io.open(path, "a")
            file:write(".")
            file:close()
            file = io.open(path, "r")
            local tries = #file:read("*a")
            file:close()
            if tries <= times then error("try " .. tries) end
            return x
        end, dir
    end

    it("are tried again from their inputs", function()
        local sc = engine.context("local[2]", { ["task.maxFailures"] = 3 })
        local f, dir = failing(2)
        local seen = sc:accumulator(0)
        local ok, list = silently(function()
            return sc:parallelize({ 1, 2, 3 }, 3):map(function(x)
                seen:add(1)
                return f(x), 1
            end):reduceByKey(add):keys():collect()
        end)
        dir:remove()
        assert(ok, list)
        table.sort(list)
        assert.same({ 1, 2, 3 }, list)
        assert.equal(3, seen:value())
    end)

    it("fail their job when they were tried often enough", function()
        local sc = engine.context("local[2]", { ["task.maxFailures"] = 2 })
        local f, dir = failing(5)
        local ok, err = silently(function() return sc:parallelize({ 1 }, 1):map(f):collect() end)
        dir:remove()
        assert.is_false(ok)
        assert.matches("try 2.*attempt 2 of 2", tostring(err))
    end)

    it("are not tried again by default", function()
        local sc = engine.context()
        local f, dir = failing(1)
        local text = engine.message(function() sc:parallelize({ 1 }, 1):map(f):collect() end)
        dir:remove()
        assert.matches("try 1", text, 1, true)
        assert.is_nil(text:find("attempt", 1, true))
    end)
end)
