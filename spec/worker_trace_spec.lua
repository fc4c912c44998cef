-- The loops that workers generate must be compiled: one operation that LuaJIT does not compile, in our text or in what it
-- calls, makes every job several times slower and fails no other spec. Here each job runs until it is warm, and once more
-- while a hook counts the instructions of the interpreter: hooks do not see machine code, so there must be hardly any. And
-- no trace of the loop may be "stitched", which is how LuaJIT gets around a library function that it does not compile.

local moontide = require "moontide"

local sanitized = (os.getenv "MOONTIDE_SANITIZE" or "") ~= ""
local RECORDS = sanitized and 20000 or 60000
local WARM_UP = 4

-- These run in the worker. Its state is kept from one job to the next.
local function watch_traces()
    local util, start = require "jit.util", "?"
    local stitched = {}
    package.loaded["spec.stitched"] = stitched
    jit.attach(function(what, trace, fn, pc)
        if what == "start" then
            start = util.funcinfo(fn, pc).loc
        elseif what == "stop" and util.traceinfo(trace).linktype == "stitch" and
            (start:find "^stage#" or start:find "worker_trace_spec") then
            stitched[#stitched + 1] = start
        end
    end, "trace")
end

local function count_instructions()
    local log = { hundreds = 0 }
    package.loaded["spec.instructions"] = log
    debug.sethook(function() log.hundreds = log.hundreds + 1 end, "", 100)
end

local function stop_counting()
    debug.sethook()
    local stitched = package.loaded["spec.stitched"]
    local list = moontide.array { unpack(stitched) }
    for at = #stitched, 1, -1 do stitched[at] = nil end
    return { { instructions = package.loaded["spec.instructions"].hundreds * 100, stitched = list } }
end

describe("a worker compiles", function()
    local sc, numbers, lines, words

    setup(function()
        sc = moontide.Context("local[1]", "traces")
        sc:parallelize({ 1 }, 1):foreachPartition(watch_traces)
        local list, text = {}, {}
        for at = 1, RECORDS do
            list[at] = at % 1000
            text[at] = ("w%d x%d w%d"):format(at % 500, at % 300, at % 7)
        end
        numbers = sc:parallelize(list, 1)
        lines = sc:parallelize(text, 1)
        words = lines:flatMap(function(line) return line:gmatch "%S+" end)
    end)

    teardown(function() sc:stop() end)

    local function measure(run)
        sc:parallelize({ 1 }, 1):foreachPartition(count_instructions)
        run()
        local log = sc:parallelize({ 1 }, 1):mapPartitions(stop_counting):first()
        return log.instructions / RECORDS, log.stitched
    end

    local function check(run, may_stitch)
        measure(function() end) -- forgets the job before
        for _ = 1, WARM_UP do run() end
        local each, stitched = measure(run)
        assert.is_true(each < 0.5, ("%.2f instructions were interpreted for each record"):format(each))
        assert.same({}, may_stitch and {} or stitched)
    end

    it("not everything: the measure finds what it does not compile", function()
        local rdd = numbers:map(function(x)
            jit.off(true, true)
            return x + 1
        end)
        for _ = 1, WARM_UP do rdd:collect() end
        assert.is_true(measure(function() rdd:collect() end) > 3)
        local words_and_spaces = lines:flatMap(function(line) return line:gmatch "%S+%s*" end)
        local _, stitched = measure(function() words_and_spaces:collect() end)
        assert.is_true(#stitched > 0)
    end)

    local function job(name, make, may_stitch)
        it(name, function()
            local rdd = make()
            check(function() rdd:collect() end, may_stitch)
        end)
    end

    local function add(a, b) return a + b end

    job("map and filter over packed numbers", function()
        return numbers:map(function(x) return x * 2 + 1 end):filter(function(x) return x % 3 == 0 end):map(function(x) return -x end)
    end)

    job("map and filter over strings", function()
        return lines:filter(function(line) return line:find("w49", 1, true) ~= nil end):map(function(line) return line:sub(1, 3) end)
    end)

    job("map to pairs, and back", function()
        return numbers:map(function(x) return x, x + 1 end):filter(function(k) return k > 10 end):mapValues(function(v) return v * 2 end)
            :map(function(k, v) return k + v end)
    end)

    job("flatMap of gmatch", function() return words end)

    job("the word count", function() return words:map(function(word) return word, 1 end):reduceByKey(function(a, b) return a + b end) end)

    job("reduceByKey with a function that is not just adding", function()
        return words:map(function(word) return word, #word end):reduceByKey(function(a, b) return a > b and a or b end)
    end)

    job("reduceByKey of numbers", function()
        return numbers:map(function(x) return x % 10, x end):reduceByKey(function(a, b) return math.max(a, b) end)
    end)

    job("flatMap of arrays", function() return numbers:flatMap(function(x) return { x, x + 1 } end) end)

    job("groupByKey and sortByKey", function()
        return numbers:map(function(x) return x % 10, x end):groupByKey():mapValues(function(list) return #list end)
            :union(numbers:map(function(x) return x, 1 end):sortByKey())
    end)

    job("mapPartitions", function()
        return numbers:mapPartitions(function(it)
            local sum = 0
            for x in it do sum = sum + x end
            return { sum }
        end)
    end, true) -- it changes between two coroutines, once in some hundred records

    job("chains that are longer than one function", function()
        local rdd = numbers
        for at = 1, 40 do rdd = rdd:map(function(x) return x + at end) end
        return rdd
    end)

    it("the lines of files, and actions", function()
        local path = os.tmpname()
        finally(function() os.remove(path) end)
        local file = assert(io.open(path, "w"))
        for at = 1, RECORDS do file:write("line ", at % 777, "\n") end
        file:close()
        local text = sc:textFile(path, 1)
        check(function() return text:map(function(line) return line .. "!" end):filter(function(line) return #line > 8 end):count() end)
        local total = text:map(function(line) return #line end)
        check(function() return total:reduce(add) end)
    end)

    it("take and foreach", function()
        local doubled = numbers:map(function(x) return x * 2 end)
        check(function() doubled:take(RECORDS) end)
        local sink = numbers:map(function(x) return x end)
        check(function() sink:foreach(function(x) return x + 1 end) end)
    end)
end)
