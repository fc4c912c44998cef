-- math.random in workers: workers and partitions differ, and what is computed again is the same again.

local engine = require "spec.support.engine"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local function draw() return math.random() end

local function unique(list)
    local seen, count = {}, 0
    for _, value in ipairs(list) do
        if not seen[value] then
            seen[value], count = true, count + 1
        end
    end
    return count
end

describe("math.random in a dataset's functions", function()
    engine.watch(after_each)

    local SEED = { ["random.seed"] = 7 }

    it("gives each partition and each worker other numbers", function()
        local sc = engine.context("local[2]")
        assert.equal(4000, unique(sc:range(0, 4000, 1, 8):map(draw):collect()))
        assert.equal(80, unique(sc:range(0, 80, 1, 8):filter(function() return math.random() < 2 end):map(draw):collect()))
        local sums = sc:range(0, 8, 1, 8):mapPartitions(function(it)
            local sum = 0
            for _ in it do sum = sum + math.random() end
            return { sum }
        end):collect()
        assert.equal(8, unique(sums))
    end)

    it("gives a dataset the same numbers whenever it is computed, and each dataset others", function()
        local sc = engine.context("local[2]")
        local function noise() return sc:range(0, 100, 1, 4):map(draw) end
        local first, second = noise(), noise()
        local numbers = first:collect()
        assert.same(numbers, first:collect())
        assert.equal(200, unique(first:union(second):collect()))
        assert.same(numbers, first:filter(function() return math.random() >= 0 end):collect())
        assert.same(numbers, first:map(function(x)
            math.random()
            return x
        end):collect())
        assert.same(numbers, first:map(function(x) return x end):coalesce(1):collect())
        local kept = first:map(function(x) return x end):cache()
        assert.same(numbers, kept:collect())
        kept:unpersist()
        assert.same(numbers, kept:collect())
    end)

    it("tells the parts of a union apart although one task reads them", function()
        local sc = engine.context("local[1]")
        local numbers = sc:range(0, 50, 1, 2)
        local both = numbers:union(numbers)
        assert.equal(100, unique(both:map(draw):collect()))
        assert.same(both:map(draw):count(), both:coalesce(1):map(draw):count())
        assert.equal(100, unique(both:coalesce(1):map(draw):collect()))
        assert.equal(100, unique(both:map(draw):coalesce(1):collect()))
        local noise = numbers:map(draw)
        local list = noise:union(noise):coalesce(1):collect()
        for index = 1, 50 do assert.equal(list[index], list[index + 50]) end
    end)

    it("works in each kind of function, whatever runs around it", function()
        local sc = engine.context("local[2]", SEED)
        local numbers = sc:range(0, 40, 1, 2)
        local kinds = {
            numbers:flatMap(function() return { math.random(), math.random() } end),
            numbers:flatMap(function()
                local left = 2
                return function()
                    left = left - 1
                    if left >= 0 then return math.random() end
                end
            end):map(function(x) return x, math.random() end):keys(),
            numbers:map(function(x) return x, x end):mapValues(draw):values(),
            numbers:map(function(x) return x, x end):flatMapValues(function() return { math.random() } end):values(),
            numbers:keyBy(draw):keys(),
            numbers:mapPartitions(function(it) return function() return it() and math.random() end end)
                :map(function(x) return x + math.random() end),
            numbers:map(draw):mapPartitionsWithIndex(function(index, it)
                return function()
                    local x = it()
                    return x and index + x + math.random()
                end
            end):filter(function() return math.random() >= 0 end),
        }
        for at, rdd in ipairs(kinds) do
            local list = rdd:collect()
            assert.equal(#list, unique(list), at)
            assert.same(list, rdd:collect(), at)
        end
    end)

    it("gives retries the same numbers", function()
        local sc = engine.context("local[2]", { ["task.maxFailures"] = 2, ["random.seed"] = 7 })
        local path = os.tmpname()
        finally(function() os.remove(path) end)
        os.remove(path)
        local rdd = sc:range(0, 20, 1, 2):map(draw)
        local expected = rdd:collect()
        assert.same(expected, rdd:map(function(x)
            local file = io.open(path)
            if file then
                file:close()
                return x
            end
            assert(io.open(path, "w")):close()
            error "once"
        end):collect())
    end)

    it("follows from the setting random.seed", function()
        local lists = {}
        for at, seed in ipairs { 7, 7, 8 } do
            local dir = tempdir.new()
            local script = dir:write("job.lua", [[
                local sc = require("moontide").Context("local[2]", "seed")
                print(table.concat(sc:range(0, 10, 1, 3):map(function() return math.random(1000000) end):collect(), " "))
            ]])
            local result = shell.moontide({ "run", "--conf", "random.seed=" .. seed, script })
            assert.equal("", result.err)
            lists[at] = result.out
            dir:remove()
        end
        assert.equal(lists[1], lists[2])
        assert.not_equal(lists[1], lists[3])
    end)

    it("follows from math.randomseed in the script, and is drawn and told without", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local script = dir:write("job.lua", [[
            local sc = require("moontide").Context("local[2]", "seed")
            local rdd = sc:range(0, 10, 1, 3):map(function() return math.random(1000000) end)
            if arg[1] then math.randomseed(tonumber(arg[1])) end
            print(table.concat(rdd:collect(), " "))
        ]])
        local function run(...)
            local result = shell.moontide({ "run", "--conf", "logLevel=info", script, ... })
            return result.out, result.err
        end
        assert.equal((run("5")), (run("5")))
        assert.not_equal((run("5")), (run("6")))
        local out, told = run()
        assert.not_equal(out, (run()))
        assert.matches("random.seed is %d+", told)
    end)

    it("forgets a seed that a function has set when its task has ended", function()
        local sc = engine.context("local[1]", SEED)
        local rdd = sc:range(0, 10, 1, 1):map(draw)
        local before = rdd:collect()
        local seeded = sc:parallelize({ 1, 2 }, 2):map(function()
            math.randomseed(42)
            return math.random()
        end):collect()
        assert.equal(seeded[1], seeded[2])
        assert.same(before, rdd:collect())
        local other = sc:range(0, 10, 1, 1):map(draw):collect()
        assert.equal(20, unique({ unpack(before), unpack(other) }) + 9)
    end)

    it("takes and refuses what the library's does", function()
        local sc = engine.context("local[1]")
        local list = sc:range(0, 2000, 1, 1):map(function() return math.random(6) * 100 + math.random(-3, 3) end):collect()
        local seen = {}
        for _, x in ipairs(list) do
            local high = math.floor((x + 50) / 100)
            assert.is_true(high >= 1 and high <= 6 and math.abs(x - high * 100) <= 3)
            seen[high] = true
        end
        assert.equal(6, #seen)
        for arguments, message in pairs {
            [{ 0 }] = "bad argument #1 to 'random' %(interval is empty%)",
            [{ 3, 2 }] = "bad argument #2 to 'random' %(interval is empty%)",
            [{ "x" }] = "bad argument #1 to 'random' %(number expected, got string%)",
        } do
            assert.matches(message, engine.message(function()
                sc:parallelize({ 1 }):foreach(function() math.random(unpack(arguments)) end)
            end))
        end
    end)
end)

describe("math.random in a stream's functions", function()
    local function build(_, stream)
        return stream:map(function() return math.random() end)
    end

    local function run(options)
        options.inputs, options.conf = { { { 1, 2, 3, 4 }, { 1, 2, 3, 4 }, { 1, 2, 3, 4 } } }, { ["random.seed"] = 11 }
        local result = testing.run(options)
        assert.is_nil(result.error)
        local all = {}
        for _, batch in ipairs(result.batches) do
            for _, x in ipairs(batch.records) do all[#all + 1] = x end
        end
        return all
    end

    it("gives other numbers in each batch, partition and operator", function()
        assert.equal(12, unique(run { build = build }))
        local both = run { build = function(ssc, stream) return build(ssc, stream):union(build(ssc, stream)) end }
        assert.equal(24, #both)
        assert.equal(24, unique(both))
        assert.equal(12, unique(run { build = function(_, stream)
            return stream:transform(function(rdd) return rdd:map(function() return math.random() end) end)
        end }))
    end)
end)
