-- onError = "skip": a batch's dataset that has failed counts as no dataset, for whatever is made from it, and is told once. What
-- becomes of states and of windows that fail by themselves is in skipping_spec.lua.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local line_server = require "spec.support.line_server"
local loop = require "moontide.driver.loop"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"
local text_form = require "moontide.base.text_form"

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function number(text) return tonumber(text) + 0 end
local function keyed(text) return "k", tonumber(text) + 0 end

local function text_of(records)
    local texts = {}
    for index, record in ipairs(records) do texts[index] = text_form.value(record) end
    table.sort(texts)
    return table.concat(texts, " ")
end

-- "batch: records" for each batch with an output.
local function run(build, batches, options)
    options = options or {}
    local result = testing.run {
        inputs = { batches or { { "1", "2" }, { "oops" }, { "4" }, { "5" }, {} } }, build = build,
        conf = { onError = "skip", ["task.maxFailures"] = options.attempts }, master = options.master,
        batches = options.batches, partitions = options.partitions,
    }
    assert.is_nil(result.error and result.error.message)
    local seen = {}
    for index, batch in ipairs(result.batches) do
        seen[index] = string.format("%d: %s", batch.time / 1000, text_of(batch.records))
    end
    return seen, result
end

-- Runs a script in the program; what it printed, and its messages on stderr.
local function script(text)
    local dir = tempdir.new()
    local path = dir:write("job.lua", text)
    local result = shell.moontide({ "run", path })
    dir:remove()
    local messages = {}
    for line in result.err:gmatch("[^\n]+") do
        if line:find("^%d%d%d%d%-%d%d%-%d%d ") then messages[#messages + 1] = line
        else messages[#messages] = (messages[#messages] or "") .. "\n" .. line end
    end
    return result, messages
end

local JOB = [[
local moontide = require "moontide"
local testing = require "moontide.testing"
local result = testing.run {
    inputs = { { { "1", "2" }, { "oops" }, { "4" }, { "5" } } }, conf = { onError = "skip" },
    build = function(ssc, a)
        BUILD
    end,
}
assert(not result.error, result.error and result.error.message)
for _, batch in ipairs(result.batches) do print(batch.time, #batch.records) end
]]

describe("under onError = skip, a dataset that has failed", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    it("is left out of every window that covers its batch", function()
        local cases = {
            { "1: 1 2", "2: 1 2", "3: 1 2 4", "4: 4 5", "5: 4 5", function(_, a) return a:map(number):window(3000) end },
            { "1: 2", "2: 2", "3: 3", "4: 2", "5: 2", function(_, a) return a:map(number):countByWindow(3000, 1000) end },
            { "1: 2", "2: 2", "3: 3", "4: 2", "5: 2", function(_, a) return a:map(number):window(3000):count() end },
            { "1: [1,1] [2,1]", "2: [1,1] [2,1]", "3: [1,1] [2,1] [4,1]", "4: [4,1] [5,1]", "5: [4,1] [5,1]",
                function(_, a) return a:map(number):countByValueAndWindow(3000, 1000) end },
            { "1: 3", "2: 3", "3: 7", "4: 9", "5: 9", function(_, a) return a:map(number):reduceByWindow(add, 3000, 1000) end },
            { "1: 3", "2: 3", "3: 7", "4: 9", "5: 9",
                function(_, a) return a:map(number):reduceByWindow(add, subtract, 3000, 1000) end },
            { "1: [k,3]", "2: [k,3]", "3: [k,7]", "4: [k,9]", "5: [k,9]",
                function(_, a) return a:map(keyed):reduceByKeyAndWindow(add, 3000, 1000) end },
            { "1: [k,3]", "2: [k,3]", "3: [k,7]", "4: [k,9]", "5: [k,9]",
                function(_, a) return a:map(keyed):reduceByKeyAndWindow(add, subtract, 3000, 1000) end },
            { "1: [k,[1,2]]", "2: [k,[1,2]]", "3: [k,[1,2,4]]", "4: [k,[4,5]]", "5: [k,[4,5]]",
                function(_, a) return a:map(keyed):groupByKeyAndWindow(3000, 1000) end },
        }
        for number_of_case, case in ipairs(cases) do
            local build = table.remove(case)
            for _, master in ipairs { "local[1]", "local[2]" } do
                assert.same(case, (run(build, nil, { master = master })), "case " .. number_of_case .. ", " .. master)
            end
        end
    end)

    it("is left out of windows that slide by several batches, and of windows of windows", function()
        assert.same({ "2: 1 2", "4: 4 5" }, (run(function(_, a) return a:map(number):window(3000, 2000) end)))
        assert.same({ "1: 1 2", "2: 1 1 2 2", "3: 1 2 4", "4: 4 4 5", "5: 4 5 5" },
            (run(function(_, a) return a:map(number):window(2000):window(2000) end)))
        -- The window's own function fails where the record is in it: that window is no dataset for the next.
        assert.same({ "1: 1! 2!", "2: 1! 2!", "3: ", "4: 4!", "5: 4! 4! 5!" }, (run(function(_, a)
            return a:window(2000):map(function(text) return (tonumber(text) + 0) .. "!" end):window(2000)
        end, { { "1", "2" }, { "oops" }, {}, { "4" }, { "5" } })))
    end)

    it("is left out of unions, whatever stands between", function()
        local function other(text) return text .. "!" end
        assert.same({ "1: 1 1! 2 2!", "2: oops!", "3: 4 4!", "4: 5 5!", "5: " },
            (run(function(_, a) return a:map(number):union(a:map(other)) end)))
        assert.same({ "1: [k,3] [z,1] [z,2]", "2: [z,oops]", "3: [k,4] [z,4]", "4: [k,5] [z,5]", "5: " },
            (run(function(_, a)
                return a:map(keyed):reduceByKey(add):map(function(k, n) return k, n end)
                    :union(a:map(function(text) return "z", text end))
            end)))
        assert.same({ "1: 1 1! 1? 2 2! 2?", "2: oops! oops?", "3: 4 4! 4?", "4: 5 5! 5?", "5: " }, (run(function(ssc, a)
            local inner = a:map(number):union(a:map(other))
            return ssc:union { inner:map(function(x) return x end), a:map(function(text) return text .. "?" end) }
        end)))
    end)

    it("is left out of unions as a whole, whichever of its partitions fails", function()
        local function other(text) return text .. "!" end
        local batches = { { "1", "2" }, { "3", "oops" }, { "oops", "4" }, { "oops", "oops" } }
        for _, master in ipairs { "local[1]", "local[2]" } do
            assert.same({ "1: 1 1! 2 2!", "2: 3! oops!", "3: 4! oops!", "4: oops! oops!" }, (run(function(_, a)
                return a:map(number):union(a:map(other))
            end, batches, { partitions = 2, master = master })))
            assert.same({ "1: 1 1! 2 2!", "2: 3! oops!", "3: 4! oops!", "4: oops! oops!" }, (run(function(ssc, a)
                return ssc:union { a:map(number):repartition(1), a:map(other) }
            end, batches, { partitions = 2, master = master })))
        end
    end)

    it("is left out of a union also when there was nothing to transform, but a stream without a dataset fails it", function()
        local function same(rdd) return rdd end
        local batches = { { "1" }, testing.NONE, { "3" } }
        assert.same({ "1: 1 1!", "2: 2!", "3: 3 3!" }, (run(function(ssc, a)
            local datasets = {}
            for index = 1, 3 do datasets[index] = ssc.sc:parallelize({ index .. "!" }, 1) end
            return a:transform(same):union(ssc:queueStream(datasets))
        end, batches)))
        assert.same({ "1: 1 1!", "3: 3 3!" }, (run(function(ssc, a)
            local datasets = {}
            for index = 1, 3 do datasets[index] = ssc.sc:parallelize({ index .. "!" }, 1) end
            return a:map(function(text) return text end):union(ssc:queueStream(datasets))
        end, batches)))
    end)

    it("leaves what else is in a union, when several of its partitions fail", function()
        for _, partitions in ipairs { 1, 2, 4 } do
            for _, attempts in ipairs { 1, 3 } do
                assert.same({ "1: 1 2 3", "2: 3" }, (run(function(_, a)
                    local numbers = a:map(number)
                    return numbers:reduceByWindow(add, 2000, 1000):union(numbers)
                end, { { "1", "2" }, { "oops", "oops", "oops", "oops" } }, { partitions = partitions, attempts = attempts })))
            end
        end
    end)

    it("adds nothing to accumulators, and what is left adds once", function()
        for _, bad in ipairs { { "3", "oops" }, { "oops", "3" }, { "oops", "oops" } } do
            local of_numbers, of_others, of_all
            run(function(ssc, a)
                of_numbers, of_others, of_all = ssc.sc:accumulator(0), ssc.sc:accumulator(0), ssc.sc:accumulator(0)
                local numbers = a:map(function(text)
                    of_numbers:add(1)
                    return tonumber(text) + 0
                end)
                local others = a:map(function(text)
                    of_others:add(1)
                    return text
                end)
                return numbers:union(others):map(function(x)
                    of_all:add(1)
                    return x
                end)
            end, { { "1", "2" }, bad }, { partitions = 2 })
            assert.same({ 2, 4, 6 }, { of_numbers:value(), of_others:value(), of_all:value() })
        end
    end)

    it("lets a state begin with the next batch, also when it is joined with what has failed", function()
        local function texts_of(values, state)
            for _, value in ipairs(values) do state = (state or "") .. value end
            return state
        end
        for _, partitions in ipairs { 1, 2 } do
            for _, master in ipairs { "local[1]", "local[2]" } do
                local seen = run(function(_, a)
                    local keys = a:map(keyed)
                    local pairs_of = keys:join(keys, 1):mapValues(function(both) return both[1] end)
                    return pairs_of:updateStateByKey(texts_of, partitions):leftOuterJoin(keys, 1)
                        :mapValues(function(both) return both[1] end)
                end, { { "oops" }, { "2" }, { "oops" }, { "4" } }, { master = master })
                assert.same({ "2: [k,2]", "4: [k,24]" }, seen)
            end
        end
    end)

    it("makes a join no dataset, and windows go on without that", function()
        local function joined(a) return a:map(function(text) return text, number(text) end):join(a:map(function(text) return text, 1 end)) end
        assert.same({ "1: [1,[1,1]] [2,[2,1]]", "3: [4,[4,1]]", "4: [5,[5,1]]", "5: " },
            (run(function(_, a) return joined(a) end)))
        assert.same({ "1: [1,[1,1]] [2,[2,1]]", "2: [1,[1,1]] [2,[2,1]]", "3: [4,[4,1]]", "4: [4,[4,1]] [5,[5,1]]", "5: [5,[5,1]]" },
            (run(function(_, a) return joined(a):window(2000) end)))
    end)

    it("has no partitions that functions are run for", function()
        local seen, result = run(function(_, a)
            return a:map(number):window(3000):mapPartitions(function(records)
                local n = 0
                for _ in records do n = n + 1 end
                return { n }
            end)
        end, nil, { partitions = 2 })
        assert.same({ "1: 1 1", "2: 1 1", "3: 0 1 1 1", "4: 0 0 1 1", "5: 0 0 0 0 1 1" }, seen)
        assert.equal(4, #result.batches[4].partitions)
    end)

    it("is computed as often as tasks are tried, and not again by later windows", function()
        for _, attempts in ipairs { 1, 3 } do
            local dir = tempdir.new()
            local path = dir:file("calls")
            assert.same({ "1: 1 2", "2: 1 2", "3: 1 2 4", "4: 1 2 4 5", "5: 4 5" }, (run(function(_, a)
                return a:map(function(text)
                    local file = assert(io.open(path, "a"))
                    file:write(text, "\n")
                    file:close()
                    return tonumber(text) + 0
                end):window(4000)
            end, nil, { attempts = attempts, partitions = 1 })))
            local calls = select(2, dir:read("calls"):gsub("oops\n", ""))
            dir:remove()
            assert.equal(attempts, calls)
        end
    end)

    it("is a slice without that batch from then on", function()
        local ssc = engine.streaming(1000, { onError = "skip" })
        ssc:remember(10000)
        local datasets = {}
        for index, batch in ipairs { { "1", "2" }, { "oops" }, { "4" }, { "5" } } do
            datasets[index] = ssc.sc:parallelize(batch, 2)
        end
        local stream = ssc:queueStream(datasets):map(number)
        local seen = {}
        stream:foreachRDD(function(_, time)
            local all = {}
            local slice = stream:slice(time - 2000, time)
            for _, rdd in ipairs(slice) do
                for _, x in ipairs(rdd:collect()) do all[#all + 1] = x end
            end
            seen[#seen + 1] = text_of(all)
            assert(#stream:slice(2000, 2000) == (time == 1000 and 1 or 0), "what has failed is no dataset")
        end)
        ssc:start()
        for _ = 1, 4 do engine.advance(ssc) end
        ssc:stop(false)
        assert.same({ "1 2", "1 2", "1 2 4", "4 5" }, seen)
    end)

    it("is told once, with the batch in which the record came", function()
        local result, messages = script((JOB:gsub("BUILD", function()
            return [[local numbers = a:map(function(text) return tonumber(text) + 0 end)
        numbers:window(3000):foreachRDD(function(rdd) rdd:count() end)
        numbers:foreachRDD(function(rdd) rdd:count() end)
        numbers:countByWindow(2000, 1000):foreachRDD(function(rdd) rdd:count() end)
        return numbers:window(4000)]]
        end)))
        assert.equal(0, result.code, result.err)
        assert.equal("1000\t2\n2000\t2\n3000\t3\n4000\t4\n", result.out)
        assert.equal(1, #messages, result.err)
        assert.matches("ERROR streaming: .-job%.lua:6: attempt to perform arithmetic on a nil value", messages[1])
        assert.matches("in map %(.-job%.lua:6%), batch 2000 ms, partition %d+", messages[1])
        assert.matches('record: "oops"', messages[1], 1, true)
    end)

    it("is told with its own batch when a window that slides by several meets it first", function()
        local result, messages = script((JOB:gsub("BUILD", function()
            return [[return a:map(function(text) return tonumber(text) + 0 end):window(4000, 4000)]]
        end)))
        assert.equal("4000\t4\n", result.out)
        assert.equal(1, #messages, result.err)
        assert.matches("batch 2000 ms", messages[1], 1, true)
    end)
end)

describe("under onError = skip, a function of the script that fails on one batch", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    -- Outputs of a stream whose transform or foreachRDD fails at 2000 ms, and what listeners heard.
    local function outputs(fails_in)
        local ssc = engine.streaming(1000, { onError = "skip" })
        local datasets = {}
        for index = 1, 4 do datasets[index] = ssc.sc:parallelize({ index }, 1) end
        local input = ssc:queueStream(datasets)
        local seen, told = {}, {}
        local function note(name)
            return function(rdd, time)
                if name == fails_in and time == 2000 then error("not this one") end
                seen[#seen + 1] = name .. time / 1000 .. "=" .. text_of(rdd:collect())
            end
        end
        input:transform(function(rdd, time)
            if fails_in == "transform" and time == 2000 then error("not this one") end
            return rdd
        end):foreachRDD(note("a"))
        input:foreachRDD(note("b"))
        ssc:addStreamingListener {
            onBatchCompleted = function(info)
                local failed = {}
                for id, output in pairs(info.outputOperationInfos) do
                    if output.failureReason then failed[#failed + 1] = id end
                end
                told[#told + 1] = info.batchTime / 1000 .. ":" .. table.concat(failed, ",")
            end,
        }
        ssc:start()
        for _ = 1, 4 do engine.advance(ssc) end
        assert.equal("ACTIVE", ssc:getState())
        local ok, err = ssc:stop(false, true)
        assert.is_true(ok, err and tostring(err))
        return table.concat(seen, " "), table.concat(told, " ")
    end

    it("loses its own output of that batch, no other, and the batch is done", function()
        for _, place in ipairs { "transform", "a" } do
            local seen, told = outputs(place)
            assert.equal("a1=1 b1=1 b2=2 a3=3 b3=3 a4=4 b4=4", seen)
            assert.equal("1: 2:0 3: 4:", told)
        end
    end)

    it("is passed over once: received records do not come again with later batches", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local ssc = engine.streaming(1000, { onError = "skip" })
        local seen, all, fail = {}, 0, true
        local lines = ssc:socketTextStream("127.0.0.1", server.port)
        lines:transform(function(rdd)
            if fail and rdd:count() > 0 then
                fail = false
                error("not this one")
            end
            return rdd
        end):foreachRDD(function(rdd)
            for _, line in ipairs(rdd:collect()) do seen[#seen + 1] = line end
        end)
        lines:foreachRDD(function(rdd) all = all + rdd:count() end)
        ssc:start()
        local client = server:accept()
        for count, line in ipairs { "one", "two" } do
            client:send(line .. "\n")
            repeat engine.advance(ssc) until all == count
        end
        engine.advance(ssc)
        assert(ssc:stop(false, true))
        assert.same({ "two" }, seen)
        assert.equal(2, all)
    end)

    it("in a union of transforms, leaves the other", function()
        assert.same({ "1: 1 1! 2 2!", "2: oops!", "3: 4 4!", "4: 5 5!", "5: " }, (run(function(_, a)
            return a:transform(function(rdd, time)
                if time == 2000 then error("not this one") end
                return rdd
            end):map(function(text) return text end):union(a:map(function(text) return text .. "!" end))
        end)))
    end)

    it("while batches pile up, is passed over once", function()
        local ssc = engine.streaming(1000, { onError = "skip" })
        local datasets = {}
        for index = 1, 6 do datasets[index] = ssc.sc:parallelize({ index }, 1) end
        local calls, seen = {}, {}
        ssc:queueStream(datasets):transform(function(rdd, time)
            calls[#calls + 1] = time / 1000
            if time == 2000 then rdd:map(function() error("no") end):count() end
            return rdd
        end):window(2000):foreachRDD(function(rdd, time) seen[#seen + 1] = time / 1000 .. "=" .. text_of(rdd:collect()) end)
        ssc:start()
        ssc.life.graph:advance(6000)
        loop.run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        assert.same({ 1, 2, 3, 4, 5, 6 }, calls)
        assert.same({ "1=1", "2=1", "3=3", "4=3 4", "5=4 5", "6=5 6" }, seen)
        assert(ssc:stop(false, true))
    end)
end)
