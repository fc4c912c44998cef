-- mapWithState: batch tables.

local checkpoint = require "moontide.driver.checkpoint"
local engine = require "spec.support.engine"
local moontide = require "moontide"
local testing = require "moontide.testing"

local StateSpec = moontide.StateSpec
local NONE = testing.NONE

local function text_of(batches)
    local texts = {}
    for index, batch in ipairs(batches) do
        local list = {}
        for position, record in ipairs(batch.records) do
            list[position] = type(record) == "table" and tostring(record[1]) .. "=" .. tostring(record[2]) or tostring(record)
        end
        table.sort(list)
        texts[index] = string.format("%d: %s", batch.time / 1000, table.concat(list, " "))
    end
    return texts
end

local function run(input, spec, options)
    options = options or {}
    local result = testing.run {
        inputs = { input }, partitions = options.partitions, batches = options.batches, checkpoint = options.checkpoint,
        build = function(ssc, a)
            local mapped = a:map(function(x) return x, 1 end):mapWithState(type(spec) == "function" and spec(ssc) or spec)
            return mapped, mapped:stateSnapshots()
        end,
    }
    assert.is_nil(result.error and result.error.message)
    return text_of(result.batches), text_of(result.second)
end

local count = StateSpec.func(function(_, n, state)
    state:update((state:getOption() or 0) + n)
    return state:get()
end)

describe("mapWithState", function()
    engine.watch(after_each)

    it("calls the function once for each record, and keeps untouched keys", function()
        local mapped, states = run({ { "a", "a", "b" }, { "a" }, {}, { "c" } }, count)
        assert.are.same({ "1: 1 1 2", "2: 3", "3: ", "4: 1" }, mapped)
        assert.are.same({ "1: a=2 b=1", "2: a=3 b=1", "3: a=3 b=1", "4: a=3 b=1 c=1" }, states)
    end)

    it("keeps states that are larger than memory.limit as records, which go to disk", function()
        local function totals(limit)
            local ssc = engine.streaming(1000, { ["memory.limit"] = limit })
            local sc = ssc.sc
            local directory = assert(checkpoint.temporary())
            finally(function() checkpoint.remove(directory) end)
            ssc:checkpoint(directory)
            local queue, seen = {}, {}
            for batch = 1, 4 do
                queue[batch] = sc:range(0, 400, 1, 2):map(function(n) return (n + batch * 100) % 500, ("x"):rep(n) end)
            end
            local sum = StateSpec.func(function(_, text, state)
                if text then
                    local before = state:getOption() or { 0, "" }
                    state:update({ before[1] + #text, text })
                end
                return text and "got" or "lost"
            end):timeout("2s"):numPartitions(2)
            local mapped = ssc:queueStream(queue):mapWithState(sum)
            mapped:stateSnapshots():foreachRDD(function(rdd)
                local total = rdd:map(function(_, pair) return pair[1] + #pair[2] end):sum()
                seen[#seen + 1] = ("%d %d"):format(rdd:count(), total)
            end)
            mapped:countByValue():foreachRDD(function(rdd)
                local texts = {}
                for _, pair in ipairs(rdd:collect()) do texts[#texts + 1] = pair[1] .. " " .. pair[2] end
                table.sort(texts)
                seen[#seen + 1] = table.concat(texts, " ")
            end)
            ssc:start()
            for _ = 1, 8 do engine.advance(ssc) end
            local status = sc:getStorageStatus()
            return seen, status.spilled
        end
        local wanted = totals("100mb")
        local got, spilled = totals("100kb")
        assert.equal(16, #wanted)
        assert.same(wanted, got)
        assert.is_true(spilled > 0)
    end)

    it("tells the function the batch time, also when it times out", function()
        assert.are.same({ "1: a=1000", "2: ", "3: ", "4: a=4000" }, (run({ { "a" }, {}, {}, {} },
            StateSpec.func(function(key, n, state, time)
                if n then state:update(n) end
                return key, time
            end):timeout(2000))))
    end)

    it("has a dataset in every batch", function()
        local mapped, states = run({ NONE, { "a" }, NONE }, count)
        assert.are.same({ "1: ", "2: 1", "3: " }, mapped)
        assert.are.same({ "1: ", "2: a=1", "3: a=1" }, states)
    end)

    it("emits nothing, values or pairs, as the function returns", function()
        assert.are.same({ "1: a=1 b=1", "2: a=2" }, (run({ { "a", "b" }, { "a" } }, StateSpec.func(function(key, n, state)
            state:update((state:getOption() or 0) + n)
            return key, state:get()
        end))))
        assert.are.same({ "1: ", "2: " }, (run({ { "a", "b" }, { "a" } }, StateSpec.func(function() end))))
        assert.are.same({ "1: ", "2: a", "3: " }, (run({ { "a", "b" }, { "a", "c" }, { "c" } },
            StateSpec.func(function(key, _, state)
                local seen = state:exists()
                state:update(1)
                if seen and key == "a" then
                    return key
                end
            end))))
    end)

    it("removes and brings back, also within a batch", function()
        local toggle = StateSpec.func(function(_, n, state)
            if state:exists() then state:remove() else state:update(n) end
        end)
        local _, states = run({ { "a", "b" }, { "a" }, { "a", "a", "b" }, { "a", "a" } }, toggle, { partitions = 1 })
        assert.are.same({ "1: a=1 b=1", "2: b=1", "3: ", "4: " }, states)
    end)

    it("begins with the initial state", function()
        local mapped, states = run({ {}, { "a", "b" } }, function(ssc)
            return count:initialState(ssc.sc:parallelizePairs({ { "a", 10 }, { "z", 7 } }, 1)):numPartitions(3)
        end)
        assert.are.same({ "1: ", "2: 1 11" }, mapped)
        assert.are.same({ "1: a=10 z=7", "2: a=11 b=1 z=7" }, states)
    end)

    it("times out in the first batch later than the timeout after the last use", function()
        local spec = StateSpec.func(function(key, n, state)
            if state:isTimingOut() then
                return key .. ":" .. tostring(n) .. ":" .. state:get()
            end
            if n and not state:exists() then
                state:update(key:upper())
            end
        end):timeout(2000)
        local mapped, states = run({ { "a", "b" }, {}, { "b" }, {}, {}, {}, { "a" } }, spec, { batches = 7 })
        assert.are.same({ "1: ", "2: ", "3: ", "4: a:nil:A", "5: ", "6: b:nil:B", "7: " }, mapped)
        assert.are.same({ "1: a=A b=B", "2: a=A b=B", "3: a=A b=B", "4: b=B", "5: b=B", "6: ", "7: a=A" }, states)
    end)

    it("times the initial state out as if it came in the first batch", function()
        local _, states = run({ {}, {}, {}, {} }, function(ssc)
            return StateSpec.func(function() end):initialState(ssc.sc:parallelizePairs { { "a", 1 } }):timeout("1500ms")
        end)
        assert.are.same({ "1: a=1", "2: a=1", "3: ", "4: " }, states)
    end)

    it("refuses wrong uses of the state, at the line of the script", function()
        local function fails(pattern, fn, timeout)
            local spec = StateSpec.func(fn)
            local result = testing.run { inputs = { { { "a", "a" }, {}, {} } }, build = function(_, a)
                return a:map(function(x) return x, 1 end):mapWithState(timeout and spec:timeout(timeout) or spec)
            end }
            assert.is_not_nil(result.error)
            assert.matches(pattern, result.error.message)
            assert.matches("mapWithState %(.-map_with_state_spec%.lua:%d+%)", result.error.message)
        end
        fails("map_with_state_spec%.lua:%d+: state:get%(%): the key has no state", function(_, _, state)
            local value = state:get()
            return value
        end)
        fails("the key has no state", function(_, _, state) return state:get() end)
        fails("value is nil", function(_, _, state) state:update(nil) end)
        fails("removed in this call", function(_, _, state)
            state:update(1)
            state:remove()
            state:update(2)
        end)
        fails("removed already", function(_, _, state)
            state:remove()
            state:remove()
        end)
        fails("timing out and cannot be changed", function(_, n, state) state:update(n or 2) end, 1000)
        fails("timing out and goes by itself", function(_, n, state)
            if n then state:update(n) else state:remove() end
        end, 1000)
        fails("pairs always or never", function(key, n, state)
            if state:exists() then return key, n end
            state:update(1)
            return key, nil
        end)
    end)

    it("runs the function once, however many streams read it", function()
        local directory = os.tmpname()
        finally(function() os.remove(directory) end)
        local result = testing.run { inputs = { { { "a", "b" }, { "a" } } }, master = "local[1]", build = function(_, a)
            local mapped = a:map(function(x) return x, 1 end):mapWithState(StateSpec.func(function(key)
                local file = io.open(directory, "a")
                file:write(key)
                file:close()
                return key
            end))
            mapped:print(0)
            mapped:count():print(0)
            return mapped, mapped:stateSnapshots()
        end }
        assert.is_nil(result.error)
        local file = io.open(directory)
        local calls = file:read("*a")
        file:close()
        assert.are.equal(3, #calls)
    end)

    describe("with onError = skip", function()
        local core = require "moontide.core"

        before_each(function() core.logLevel("off") end)
        after_each(function() core.logLevel("warn") end)

        it("leaves the state of a key alone for whose record the function fails", function()
            local result = testing.run { conf = { onError = "skip" }, inputs = { { { "a", "b" }, { "a", "bad", "b" }, { "b" } } },
                partitions = 1, build = function(_, a)
                    local mapped = a:map(function(x) return x:sub(1, 1), x end):mapWithState(StateSpec.func(
                        function(key, word, state)
                            state:update((state:getOption() or 0) + 1)
                            if word == "bad" then error("no mapping") end
                            return key, state:get()
                        end))
                    return mapped, mapped:stateSnapshots()
                end }
            assert.is_nil(result.error)
            assert.are.same({ "1: a=1 b=1", "2: a=2 b=2", "3: b=3" }, text_of(result.batches))
            assert.are.same({ "1: a=1 b=1", "2: a=2 b=2", "3: a=2 b=3" }, text_of(result.second))
        end)
    end)

    it("checks its arguments", function()
        assert.has_error(function() StateSpec.func(1) end)
        assert.has_error(function() count:timeout(0) end)
        assert.has_error(function() count:numPartitions(0) end)
        assert.has_error(function() count:initialState({}) end)
        assert.has_error(function() count:partitioner(2) end)
        assert.has_error(function() return StateSpec["function"] end)
        for _, build in ipairs {
            function(a) return a:mapWithState(function() end) end,
            function(a) return a:stateSnapshots() end,
        } do
            assert.has_error(function()
                testing.run { inputs = { { {} } }, build = function(_, a) return build(a) end }
            end)
        end
    end)

    it("leaves the spec it is told of as it was", function()
        local timed = count:timeout(1000)
        assert.are_not.equal(count, timed)
        local _, states = run({ { "a" }, {}, {}, {} }, count)
        assert.are.same("4: a=1", states[4])
    end)

    it("agrees with a model on random batches, with and without a timeout", function()
        math.randomseed(7)
        for round = 1, 6 do
            local timeout = round % 2 == 0 and 3 or nil
            local input, model, last, expected = {}, {}, {}, {}
            for batch = 1, 25 do
                input[batch] = {}
                local used = {}
                for at = 1, math.random(0, 6) do
                    local key = "k" .. math.random(1, 8)
                    input[batch][at] = key
                    used[key] = true
                    -- every third use takes the state away
                    local n = (model[key] or 0) + 1
                    model[key] = n % 3 ~= 0 and n or nil
                    last[key] = batch
                end
                for key in pairs(model) do
                    if timeout and not used[key] and last[key] < batch - timeout then
                        model[key] = nil
                    end
                end
                local list = {}
                for key, n in pairs(model) do
                    list[#list + 1] = key .. "=" .. n
                end
                table.sort(list)
                expected[batch] = batch .. ": " .. table.concat(list, " ")
            end
            local spec = StateSpec.func(function(_, n, state)
                if state:isTimingOut() then return end
                local new = (state:getOption() or 0) + n
                if new % 3 ~= 0 then state:update(new) elseif state:exists() then state:remove() end
            end)
            local _, states = run(input, timeout and spec:timeout(timeout * 1000) or spec, { partitions = round })
            assert.are.same(expected, states)
        end
    end)
end)
