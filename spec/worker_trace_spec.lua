-- The loops that workers generate must be compiled: one operation that LuaJIT does not compile, in our text or in what it
-- calls, makes every job several times slower and fails no other spec. Here each job runs until it is warm, and once more
-- while a hook counts the instructions and calls of the interpreter: hooks do not see machine code, so there must be hardly
-- any. (A library function that LuaJIT does not compile is called by the interpreter, in the middle of machine code.)

local moontide = require "moontide"

local sanitized = (os.getenv "MOONTIDE_SANITIZE" or "") ~= ""
local RECORDS = sanitized and 20000 or 60000
local WARM_UP = 4

-- These run in the worker. Its state is kept from one job to the next.
local function start_counting()
    local log = { instructions = 0, calls = 0 }
    package.loaded["spec.interpreted"] = log
    require("moontide.worker.surroundings").sethook(function(event)
        if event == "count" then log.instructions = log.instructions + 100 else log.calls = log.calls + 1 end
    end, "c", 100)
end

local function stop_counting()
    require("moontide.worker.surroundings").sethook()
    return { package.loaded["spec.interpreted"] }
end

describe("a worker compiles", function()
    local sc, numbers, lines, words

    setup(function()
        sc = moontide.Context("local[1]", "traces")
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

    -- Instructions and calls for each record.
    local function measure(run)
        for _ = 1, WARM_UP do run() end
        sc:parallelize({ 1 }, 1):foreachPartition(start_counting)
        run()
        local log = sc:parallelize({ 1 }, 1):mapPartitions(stop_counting):first()
        return log.instructions / RECORDS, log.calls / RECORDS
    end

    local function check(run)
        local instructions, calls = measure(run)
        assert.is_true(instructions < 0.5, ("%.2f instructions are interpreted for each record"):format(instructions))
        assert.is_true(calls < 0.1, ("%.2f functions are called by the interpreter for each record"):format(calls))
    end

    it("not everything: the measure finds what it does not compile", function()
        local interpreted = numbers:map(function(x)
            jit.off(true, true)
            return x + 1
        end)
        local instructions = measure(function() interpreted:collect() end)
        assert.is_true(instructions > 3, instructions)
        local library = lines:flatMap(function(line) return line:gmatch "%S+%s*" end)
        local _, calls = measure(function() library:collect() end)
        assert.is_true(calls > 1, calls)
    end)

    local function job(name, make)
        it(name, function()
            local rdd = make()
            check(function() rdd:collect() end)
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
    end)

    job("chains that are longer than one function", function()
        local rdd = numbers
        for at = 1, 40 do rdd = rdd:map(function(x) return x + at end) end
        return rdd
    end)

    for _, length in ipairs { 17, 24, 40 } do
        job(("chains of %d operators before a filter that drops every other record"):format(length), function()
            local rdd = numbers
            for at = 1, length do
                rdd = rdd:map(function(x) return x + at end)
                if at % 8 == 0 then rdd = rdd:keyBy(function(x) return x % 7 end):mapValues(function(x) return x + 1 end):values() end
            end
            return rdd:filter(function(x) return x % 2 == 0 end)
        end)
    end

    it("the lines of files, and actions", function()
        local path = os.tmpname()
        finally(function() os.remove(path) end)
        local file = assert(io.open(path, "w"))
        for at = 1, RECORDS do file:write("line ", at % 777, "\n") end
        file:close()
        local text = sc:textFile(path, 1)
        local long = text:map(function(line) return line .. "!" end):filter(function(line) return #line > 8 end)
        check(function() long:count() end)
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
