-- onError = "skip": what fails in one batch does not harm later ones.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local loop = require "moontide.driver.loop"
local moontide = require "moontide"
local testing = require "moontide.testing"
local text_form = require "moontide.base.text_form"

local function add(a, b) return a + b end
local function subtract(a, b) return a - b end
local function running_sum(values, sum)
    sum = sum or 0
    for _, n in ipairs(values) do sum = sum + n end
    return sum
end

local function text_of(records)
    local texts = {}
    for index, record in ipairs(records) do
        texts[index] = type(record) == "table" and record[1] .. "=" .. text_form.value(record[2]) or text_form.value(record)
    end
    table.sort(texts)
    return table.concat(texts, " ")
end

-- Pairs of batch number and text of its records, for the batches that have an output.
local function run(batches, build, options)
    local result = testing.run {
        inputs = { batches }, pairs = { true }, build = build, conf = { onError = "skip" },
        batches = options and options.batches, master = options and options.master,
    }
    assert.is_nil(result.error and result.error.message)
    local seen = {}
    for index, batch in ipairs(result.batches) do
        seen[index] = string.format("%d: %s", batch.time / 1000, text_of(batch.records))
    end
    return seen
end

local function values(...)
    local batches = {}
    for index, n in ipairs({ ... }) do
        batches[index] = { { "k", n } }
    end
    return batches
end

local function fails_at(bad)
    return function(k, n)
        if n == bad then error("this record is bad") end
        return k, n
    end
end

describe("onError = skip", function()
    setup(function() core.logLevel("off") end)
    teardown(function() core.logLevel("warn") end)
    engine.watch(after_each)

    local input = values(1, 2, 13, 4, 5, 6, 7)
    table.insert(input[1], { "z", 1 })

    it("an inverse window is right again when the batch has left whose records cannot be merged", function()
        local function merge(a, b)
            if a == 13 or b == 13 then error("cannot be merged") end
            return a + b
        end
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "5: k=9 z=0", "6: k=11 z=0", "7: k=13 z=0" },
            run(input, function(_, a) return a:reduceByKeyAndWindow(merge, subtract, 2000, 1000) end))
    end)

    it("an inverse window is made from its parts when the inverse fails", function()
        local function inverse(a, b)
            if b == 13 then error("cannot be taken away") end
            return a - b
        end
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "3: k=15 z=0", "4: k=17 z=0", "6: k=11 z=0", "7: k=13 z=0" },
            run(input, function(_, a) return a:reduceByKeyAndWindow(add, inverse, 2000, 1000) end))
    end)

    it("inverse windows with filters, lengths, and slides", function()
        local function build(length, slide, filter)
            return function(_, a)
                return a:map(fails_at(4)):reduceByKeyAndWindow(add, subtract, length, slide, nil, filter)
            end
        end
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "3: k=15", "4: k=13", "5: k=5", "6: k=11", "7: k=13" },
            run(input, build(2000, 1000, function(_, n) return n ~= 0 end)))
        assert.same({ "2: k=3 z=1", "4: k=13 z=0", "6: k=11 z=0", "8: k=7 z=0" },
            run(input, build(2000, 2000), { batches = 8 }))
        assert.same({ "2: k=3 z=1", "4: k=15 z=0", "6: k=11 z=0", "8: k=13 z=0" },
            run(input, build(3000, 2000), { batches = 8 }))
    end)

    it("countByWindow, countByValueAndWindow, reduceByWindow", function()
        local bad = function(k, n) return (select(2, fails_at(4)(k, n))) end
        assert.same({ "1: 2", "2: 3", "3: 2", "4: 1", "5: 1", "6: 2", "7: 2", "8: 1", "9: 0" },
            run(input, function(_, a) return a:map(bad):countByWindow(2000, 1000) end, { batches = 9 }))
        assert.same({ "1: 1=2", "2: 1=2 2=1", "3: 13=1 2=1", "4: 13=1", "5: 5=1", "6: 5=1 6=1" },
            run(input, function(_, a) return a:map(bad):countByValueAndWindow(2000, 1000) end, { batches = 6 }))
        assert.same({ "1: 2", "2: 4", "3: 15", "4: 13", "5: 5", "6: 11" },
            run(input, function(_, a) return a:map(bad):reduceByWindow(add, subtract, 2000, 1000) end, { batches = 6 }))
    end)

    it("keyed state goes on through a batch whose records fail, as if it had no dataset", function()
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "3: k=16 z=1", "4: k=16 z=1", "5: k=21 z=1", "6: k=27 z=1", "7: k=34 z=1" },
            run(input, function(_, a) return a:map(fails_at(4)):updateStateByKey(running_sum) end))
        local count = moontide.StateSpec.func(function(key, n, state)
            state:update((state:getOption() or 0) + n)
            return key, state:get()
        end)
        assert.same({ "1: k=1 z=1", "2: k=3", "3: k=16", "4: ", "5: k=21", "6: k=27", "7: k=34" },
            run(input, function(_, a) return a:map(fails_at(4)):mapWithState(count) end))
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "3: k=16 z=1", "4: k=16 z=1", "5: k=21 z=1", "6: k=27 z=1", "7: k=34 z=1" },
            run(input, function(_, a) return a:map(fails_at(4)):mapWithState(count):stateSnapshots() end))
    end)

    it("the initial state is not lost with the first batches", function()
        local function initial(ssc) return ssc.sc:parallelizePairs({ { "k", 100 }, { "i", 7 } }, 3) end
        local function bad(k, n)
            if n < 3 then error("too small") end
            return k, n
        end
        assert.same({ "3: i=7 k=113", "4: i=7 k=117" },
            run(values(1, 2, 13, 4), function(ssc, a)
                return a:map(bad):updateStateByKey(running_sum, { initial = initial(ssc) })
            end))
        assert.same({ "1: i=7 k=100", "2: i=7 k=100", "3: i=7 k=113", "4: i=7 k=117" },
            run(values(1, 2, 13, 4), function(ssc, a)
                return a:map(bad):mapWithState(moontide.StateSpec.func(function(_, n, state)
                    state:update(state:get() + n)
                end):initialState(initial(ssc))):stateSnapshots()
            end))
    end)

    it("a batch that a function of transform fails on is passed over, once", function()
        local function build(make)
            return function(_, a)
                return make(a:transform(function(rdd, time)
                    if time == 4000 then error("no dataset now") end
                    return rdd
                end))
            end
        end
        assert.same({ "1: k=1 z=1", "2: k=2", "3: k=13", "5: k=5", "6: k=6", "7: k=7" },
            run(input, build(function(a) return a:reduceByKey(add) end)))
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "3: k=16 z=1", "4: k=16 z=1", "5: k=21 z=1", "6: k=27 z=1", "7: k=34 z=1" },
            run(input, build(function(a) return a:updateStateByKey(running_sum) end)))
        assert.same({ "1: k=1 z=1", "2: k=3 z=1", "3: k=15 z=0", "4: k=13 z=0", "5: k=5 z=0", "6: k=11 z=0", "7: k=13 z=0" },
            run(input, build(function(a) return a:reduceByKeyAndWindow(add, subtract, 2000, 1000) end)))
        assert.same({ "2: k=3 z=1", "4: k=13 z=0", "6: k=11 z=0", "8: k=7 z=0" },
            run(input, build(function(a) return a:reduceByKeyAndWindow(add, subtract, 2000, 2000) end), { batches = 8 }))
    end)

    it("a batch that a function of transform fails on is not asked for again", function()
        local calls = 0
        assert.same({ "1: k=1", "2: k=1", "3: k=1 k=4" }, run(values(1, 2, 4), function(_, a)
            return a:transform(function(rdd, time)
                calls = calls + 1
                if time == 2000 then error("no dataset now") end
                return rdd
            end):window(3000, 1000)
        end))
        assert.equal(3, calls)
    end)

    -- Streams on a clock that runs ahead: batches are generated, one on top of the other, before the bad one has failed.
    local function backlog(define, batches, ahead)
        local ssc = engine.streaming(1000, { onError = "skip" })
        local checkpoint = require "moontide.driver.checkpoint"
        local directory = assert(checkpoint.temporary())
        ssc:checkpoint(directory)
        local seen, datasets = {}, {}
        for index, batch in ipairs(batches) do
            datasets[index] = ssc.sc:parallelizePairs(batch, 2)
        end
        define(ssc, ssc:queueStream(datasets)):foreachRDD(function(rdd, time)
            table.insert(seen, string.format("%d: %s", time / 1000, text_of(rdd:collect())))
        end)
        ssc:start()
        for _ = 1, #batches / ahead do
            ssc.life.graph:advance(ahead * 1000)
            loop.run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
        end
        ssc:stop(false)
        checkpoint.remove(directory)
        return seen
    end

    it("batches that were generated on top of it go on without it", function()
        for _, ahead in ipairs({ 1, 2, 3, 6 }) do
            assert.same({ "1: k=1", "2: k=3", "3: k=3", "4: k=7", "5: k=12", "6: k=18" },
                backlog(function(_, a) return a:map(fails_at(13)):updateStateByKey(running_sum) end, values(1, 2, 13, 4, 5, 6), ahead))
            assert.same({ "1: k=1", "2: k=3", "3: k=2", "4: k=4", "5: k=9", "6: k=11" }, backlog(function(_, a)
                return a:map(fails_at(13)):reduceByKeyAndWindow(add, subtract, 2000, 1000)
            end, values(1, 2, 13, 4, 5, 6), ahead))
            assert.same({ "1: 1", "2: 3", "3: ", "4: 7", "5: 12", "6: 18" }, backlog(function(_, a)
                return a:map(fails_at(13)):mapWithState(moontide.StateSpec.func(function(_, n, state)
                    state:update((state:getOption() or 0) + n)
                    return state:get()
                end))
            end, values(1, 2, 13, 4, 5, 6), ahead))
        end
    end)

    it("any batches, windows and backlogs: what can be computed is right", function()
        math.randomseed(7)
        for round = 1, 40 do
            local count, ahead = math.random(6, 12), math.random(1, 4)
            local length = math.random(1, 4)
            local batches, bad, sums = {}, {}, {}
            for index = 1, count do
                bad[index] = math.random(5) == 1
                batches[index] = {}
                for _ = 1, math.random(0, 3) do
                    table.insert(batches[index], { "k" .. math.random(2), math.random(9) })
                end
                if bad[index] then table.insert(batches[index], { "k1", -1 }) end
            end
            count = count - count % ahead
            local state, wanted_state, wanted_window, known, begun = {}, {}, {}, {}, false
            for index = 1, count do
                sums[index] = {}
                for _, pair in ipairs(batches[index]) do
                    sums[index][pair[1]] = (sums[index][pair[1]] or 0) + pair[2]
                end
                local window = {}
                for t = math.max(1, index - length + 1), index do
                    for key, sum in pairs(bad[t] and {} or sums[t]) do window[key] = (window[key] or 0) + sum end
                end
                for key in pairs(known) do window[key] = window[key] or 0 end -- keys stay with 0
                local list = {}
                for key, sum in pairs(window) do
                    known[key] = true
                    list[#list + 1] = { key, sum }
                end
                table.insert(wanted_window, string.format("%d: %s", index, text_of(list)))
                for key, sum in pairs(bad[index] and {} or sums[index]) do state[key] = (state[key] or 0) + sum end
                list = {}
                for key, sum in pairs(state) do list[#list + 1] = { key, sum } end
                begun = begun or not bad[index] -- before that there is no state
                if begun then table.insert(wanted_state, string.format("%d: %s", index, text_of(list))) end
            end
            local used = {}
            for index = 1, count do used[index] = batches[index] end
            local what = string.format("round %d, %d ahead, length %d", round, ahead, length)
            assert.same(wanted_state, backlog(function(_, a)
                return a:map(fails_at(-1)):updateStateByKey(running_sum)
            end, used, ahead), what)
            assert.same(wanted_window, backlog(function(_, a)
                return a:map(fails_at(-1)):reduceByKeyAndWindow(add, subtract, length * 1000, 1000)
            end, used, ahead), what)
        end
    end)

    it("datasets are forgotten though an output fails in every batch", function()
        local function kept(conf, build)
            local ssc = engine.streaming(1000, conf)
            local checkpoint = require "moontide.driver.checkpoint"
            local directory = assert(checkpoint.temporary())
            ssc:checkpoint(directory)
            local input_stream = ssc:queueStream({}, true, ssc.sc:parallelizePairs({ { "k", 1 } }, 2))
            local stream = build(input_stream)
            stream:foreachRDD(function(rdd) rdd:count() end)
            stream:foreachRDD(function() error("always") end)
            ssc:start()
            local most = 0
            for batch = 1, 60 do
                engine.advance(ssc)
                local there = 0
                for time = 1, batch do
                    there = there + (stream.node:dataset(time * 1000) and 1 or 0)
                        + (input_stream.node:dataset(time * 1000) and 1 or 0)
                end
                most = math.max(most, there)
            end
            ssc:stop(false)
            checkpoint.remove(directory)
            return most
        end
        local function map(a) return a:map(function(k, n) return k, n end) end
        assert.equal(2, kept({ onError = "skip" }, map))
        assert.equal(7, kept({ onError = "skip" }, function(a) return map(a):reduceByKeyAndWindow(add, 5000) end))
    end)
end)
