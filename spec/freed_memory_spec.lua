-- Results of jobs are read while the script's state collects garbage: nothing may be freed that is still being read. In programs
-- of their own, because nothing may refer to the jobs. `make gcstress` runs the whole suite with collections at every step.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local stressed = (os.getenv("MOONTIDE_GCSTRESS") or "") ~= ""

-- What a script prints on a context of two workers.
local function printed(script)
    local dir = tempdir.new()
    finally(function() dir:remove() end)
    local result = shell.moontide({ "run", dir:write("job.lua", [[
        local moontide = require "moontide"
        local sc = moontide.Context("local[2]", "freed_memory_spec")
    ]] .. script .. [[
        sc:stop()
    ]]), stressed and 3 or 100 })
    assert.equal("", result.err)
    assert.equal(0, result.code)
    return result.out
end

describe("results that nothing refers to any more", function()
    it("stay as long as first() reads them: a record of 200,000 numbers", function()
        assert.equal("200000\n200000\n200000\n", printed [[
            local array = {}
            for index = 1, 200000 do array[index] = index end
            for _ = 1, 3 do print(#sc:parallelize({ array }):first()) end
        ]])
    end)

    it("stay as long as take() reads them: 20,000 lines, again and again", function()
        assert.equal("good\n", printed [[
            local lines = sc:range(0, 20000, 1, 1):map(function(x) return "line " .. x end)
            for _ = 1, tonumber((...)) do
                local taken = lines:take(20000)
                assert(#taken == 20000)
                for index = 1, 20000 do assert(taken[index] == "line " .. index - 1) end
            end
            print("good")
        ]])
    end)

    it("stay as long as isEmpty(), collect() and toLocalIterator() read them", function()
        assert.equal("good\n", printed [[
            local COUNT = tonumber((...)) < 10 and 300 or 20000 -- with collections at every step, each record costs milliseconds
            local records = sc:range(0, COUNT, 1, 2):map(function(x) return "key " .. x, { x, { "nested " .. x } } end)
            local function check(index, pair)
                assert(pair[1] == "key " .. index and pair[2][1] == index and pair[2][2][1] == "nested " .. index)
            end
            for _ = 1, math.ceil((...) / 10) do
                assert(not records:isEmpty())
                for index, pair in ipairs(records:collect()) do check(index - 1, pair) end
                local n = 0
                for pair in records:toLocalIterator() do
                    check(n, pair)
                    n = n + 1
                end
                assert(n == COUNT)
            end
            print("good")
        ]])
    end)

    it("stay as long as print(n) of a stream reads them", function()
        local out, expected = printed [[
            local ssc = moontide.StreamingContext(sc, moontide.milliseconds(10))
            require("moontide.core").logLevel("error") -- it may well fall behind
            local batches, done = {}, 0
            for batch = 1, 3 do
                batches[batch] = sc:range(0, 20000, 1, 1):map(function(x) return "line " .. x end)
            end
            local stream = ssc:queueStream(batches)
            stream:print(20000)
            stream:foreachRDD(function() done = done + 1 end)
            ssc:start()
            while done < 3 do ssc:awaitTerminationOrTimeout(5) end
            ssc:stop(false)
        ]], 0
        for number in out:gmatch("line (%d+)") do
            assert.equal(expected % 20000, tonumber(number))
            expected = expected + 1
        end
        assert.equal(60000, expected)
    end)
end)

describe("memory stress (MOONTIDE_GCSTRESS)", function()
    local function run(script)
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        -- What a sanitizer says of the misuse below belongs to this test, and not to the reports that fail a run.
        local env = { MOONTIDE_GCSTRESS = "1", ASAN_OPTIONS = "exitcode=99" }
        env.TSAN_OPTIONS = (os.getenv("TSAN_OPTIONS") or ""):gsub(":?log_path=[^:]*", "")
        return shell.moontide({ "run", dir:write("job.lua", script) }, { env = env })
    end

    local JOB = [[
        local core, codec = require "moontide.core", require "moontide.wire.codec"
        local engine = core.engine { workers = 1 }
        local function lines_of(path, use)
            local job = engine:files({ { path, 0, 1000 } }):job(codec.pack({ kind = "collect" }))
            repeat engine:turn(-1) until job:ended()
            while engine:poll() do end
            job:each(use)
        end
        local list, kept = {}, nil
    ]]

    it("changes no result", function()
        local result = run(JOB .. [[
            lines_of(arg[0], function(address) codec.append_records(address, list) end)
            print(list[1])
        ]])
        assert.same({ "local core, codec = require \"moontide.core\", require \"moontide.wire.codec\"", "", 0 },
            { result.out:match("^%s*(.-)\n"), result.err, result.code })
    end)

    it("makes use of a block that nothing refers to any more fail", function()
        local result = run(JOB .. [[
            lines_of(arg[0], function(address) kept = address end)
            lines_of(arg[0], function() end)
            codec.append_records(kept, list)
        ]])
        assert.not_equal(0, result.code)
    end)
end)
