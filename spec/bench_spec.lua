-- The benchmark's own arithmetic, its inputs, and that it runs; what it measures is nobody's test.

local generator = require "spec.support.text_generator"
local json = require "spec.bench.json"
local report = require "spec.bench.report"
local shell = require "spec.support.shell"
local statistics = require "spec.bench.statistics"
local tempdir = require "spec.support.tempdir"
local workloads = require "spec.bench.workloads"

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""

describe("statistics", function()
    it("gives medians and percentiles, and leaves the list as it is", function()
        local values = { 4, 1, 3, 2 }
        assert.equal(2.5, statistics.median(values))
        assert.equal(1, statistics.percentile(values, 0))
        assert.equal(4, statistics.percentile(values, 1))
        assert.same({ 4, 1, 3, 2 }, values)
        assert.equal(7, statistics.median({ 7 }))
    end)
end)

describe("text_generator", function()
    local function counted(content)
        local counts = {}
        for word in content:gmatch("%S+") do
            counts[word] = (counts[word] or 0) + 1
        end
        return counts
    end

    it("makes lines of words of one width, with their exact counts", function()
        local text = generator.words { lines = 2000, width = 100, vocabulary = 500, seed = 5 }
        assert.equal(200000, #text.content)
        for line in text.content:gmatch("([^\n]*)\n") do
            assert.equal(99, #line)
        end
        assert.same(counted(text.content), text.counts)
        assert.equal(text.content, generator.words({ lines = 2000, width = 100, vocabulary = 500, seed = 5 }).content)
        assert.not_equal(text.content, generator.words({ lines = 2000, vocabulary = 500, seed = 6 }).content)
    end)

    it("makes log lines of 70 bytes, one in eight an ERROR", function()
        local text = generator.logs { bytes = 140000, seed = 5 }
        assert.equal(2000, text.lines)
        for line in text.content:gmatch("([^\n]*)\n") do
            assert.equal(69, #line)
        end
        assert.equal(text.counts.ERROR, select(2, text.content:gsub(" ERROR ", "")))
        assert(text.counts.ERROR > 150 and text.counts.ERROR < 350)
    end)
end)

describe("the hand-written loops", function()
    it("count what the generator says", function()
        local function lines_of(text)
            return text.content:gmatch("([^\n]*)\n")
        end
        local words, logs = generator.words { lines = 300, seed = 2 }, generator.logs { lines = 300, seed = 2 }
        local total = 0
        for _, count in pairs(words.counts) do
            total = total + count
        end
        assert.equal(total, workloads.wordcount.loop(lines_of(words)))
        assert.equal(total, workloads.count.loop(lines_of(words)))
        assert.equal(logs.counts.ERROR, workloads.grep.loop(lines_of(logs)))
    end)
end)

describe("report.bars", function()
    it("compares what was measured, and only that", function()
        local function row(source, workers, fields)
            fields.workload, fields.source, fields.workers = "wordcount", source, workers
            return fields
        end
        local rows = { row("file", 1, { ratio_per_worker = 0.79 }), row("socket", 1, { ratio_to_file = 0.7 }) }
        local list = report.bars(rows, { idle = { median = 20.5 }, latency = { p99 = 150000 } })
        local met = {}
        for index, bar in ipairs(list) do
            met[index] = bar.met
        end
        assert.same({ false, true, true, false }, met)
        assert.equal(150, list[3].value)
    end)

    it("holds windows against the count, and memory after its warm-up", function()
        local window = {
            { keys = 1000, pipeline = "count", ratio_of_cpu = 1, ratio_of_wall = 1 },
            { keys = 1000, pipeline = "window", ratio_of_cpu = 1.5, ratio_of_wall = 2.01 },
        }
        local memory = { warm_up = 10000, batches = 100000, growth_of_rss = -0.06, growth_of_blocks = 0.04, growth_of_datasets = 0 }
        local function shown(results)
            local texts = {}
            for index, bar in ipairs(report.bars({}, {}, results)) do
                texts[index] = bar.what .. " " .. tostring(bar.met)
            end
            return texts
        end
        assert.same({
            "window against reduceByKey, 1,000 keys, CPU true", "window against reduceByKey, 1,000 keys, wall false",
            "resident memory, batch 10000 to 100000 false", "live blocks, batch 10000 to 100000 true",
            "live datasets, batch 10000 to 100000 true",
        }, shown { window = window, memory = memory })
        memory.warm_up = 500
        assert.equal(2, #shown { memory = memory })
        assert.same({ "1.5 of the sustained rate offered, processed of it false" }, shown { overload = { ratio = 0.94 } })
    end)
end)

describe("json.encode", function()
    it("writes what a JSON reader reads", function()
        local value = { name = 'a "b"\n\1', list = { 1, 2.5, true }, empty = {}, number = 1e15 }
        local decoded = require("dkjson").decode(json.encode(value))
        decoded.empty = setmetatable(decoded.empty, nil)
        assert.same(value.name, decoded.name)
        assert.same(value.number, decoded.number)
        assert.equal(2.5, decoded.list[2])
        assert.equal(3, #decoded.list)
    end)
end)

describe("bench.lua", function()
    it("refuses a name it does not know", function()
        local result = shell.moontide({ "run", "spec/bench/bench.lua", "wordcuont" })
        assert.matches("unknown argument 'wordcuont'; names: wordcount", result.err)
        assert.equal(1, result.code)
    end)

    it("is told which cases to run", function()
        local result = shell.moontide({ "run", "spec/bench/bench.lua", "--only", "windows" })
        assert.matches("unknown argument 'windows'; names: .* window join sort sink state memory overload", result.err)
    end)

    -- A sanitizer makes everything several times slower and larger.
    if not sanitized then
        it("measures, shows and writes JSON", function()
            local dir = tempdir.new()
            finally(function() dir:remove() end)
            local result = shell.moontide({ "run", "spec/bench/bench.lua", "--quick", "--json", dir:file("bench.json"),
                "grep", "idle", "empty" }, { timeout = 120 })
            assert.equal(0, result.code, result.err)
            assert.matches("grep +file +1 +%d+", result.out)
            assert.matches("idle memory +%d", result.out)
            local written = require("dkjson").decode(dir:read("bench.json"))
            assert.equal(6, #written.throughput)
            assert.equal(500, written.probes.empty.samples)
            assert(written.probes.idle.median > 0 and written.throughput[1].records_per_second > 0)
        end)

        it("measures states", function()
            local dir = tempdir.new()
            finally(function() dir:remove() end)
            local result = shell.moontide({ "run", "spec/bench/bench.lua", "--quick", "--json", dir:file("bench.json"), "state" },
                { timeout = 120 })
            assert.equal(0, result.code, result.err)
            local written = require("dkjson").decode(dir:read("bench.json")).cases.state
            assert.equal(2, #written.batches)
            assert(written.batches[1].median_ms > 0 and #written.stores[1].figures > 10)
        end)

        it("compares a join and a sink with ones by hand", function()
            local dir = tempdir.new()
            finally(function() dir:remove() end)
            local result = shell.moontide({ "run", "spec/bench/bench.lua", "--quick", "--json", dir:file("bench.json"), "--only",
                "join", "sink" }, { timeout = 120 })
            assert.equal(0, result.code, result.err)
            assert.matches("by hand: a table +%d+", result.out)
            for _, name in ipairs({ "join", "sink" }) do
                local rows = require("dkjson").decode(dir:read("bench.json")).cases[name]
                assert.equal(3, #rows)
                assert(rows[1].records_per_second > 0 and rows[3].ratio_of_cpu == 1)
            end
        end)
    end
end)
