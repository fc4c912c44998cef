-- Falling behind, held sources and tasks that do not come to an end are told, seldom; and task.timeout ends such tasks.

local core = require "moontide.core"
local engine = require "spec.support.engine"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local function contains(text, part)
    assert(tostring(text):find(part, 1, true), string.format("'%s' is not in:\n%s", part, tostring(text)))
end

local function run(text, ...)
    local dir = tempdir.new()
    local path = dir:write("job.lua", text)
    local result = shell.moontide({ "run", path, ... })
    dir:remove()
    return result
end

local LATE = [[
local moontide = require "moontide"
local sc = moontide.Context("local[1]", "late")
local ssc = require("moontide.streaming").create(sc, 100, { clock = "manual", start = 0 })
local slow, most, count = tonumber(arg[1]), tonumber(arg[2]), 0
ssc:queueStream({}):foreachRDD(function()
    count = count + 1
    if count <= most then ssc.life.graph:advance(slow) end
end)
ssc:start()
ssc.life.graph:advance(100)
require("moontide.driver.loop").run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
ssc:stop(true, false)
]]

describe("batches that fall behind", function()
    it("are told with how long they take, how late they are, and the slowest output", function()
        local result = run(LATE, 400, 6) -- each batch lasts 400 ms of its clock
        contains(result.err, "WARN  pace: batches of 100 ms take ")
        assert.matches("total delay 1%.%d s and growing; slowest: foreachRDD %(.-job%.lua:5%), %d+ ms", result.err)
        local _, told = result.err:gsub("and growing", "")
        assert.equal(1, told, result.err)
    end)

    it("are told once a minute, with their number", function()
        local result = run(LATE, 20000, 12)
        local _, told = result.err:gsub("and growing", "")
        assert(told >= 2 and told <= 6, result.err)
        assert.matches("%(%d+ late batches so far%)", result.err)
    end)

    it("are not told when they keep pace", function()
        local result = run(LATE, 0, 6)
        assert.equal("", result.err)
    end)
end)

describe("a task that takes too long", function()
    engine.watch(after_each)

    local function line_of_loop(f)
        return debug.getinfo(f, "S").linedefined + 1
    end

    it("is interrupted by task.timeout and fails with the line it was at", function()
        local sc = engine.context("local[2]", { ["task.timeout"] = 50 })
        local function endless(x)
            while x do x = x + 1 end
            return x
        end
        local ok, err = pcall(function() return sc:parallelize({ 1 }, 1):map(endless):collect() end)
        assert.is_false(ok)
        contains(err, "the task took longer than task.timeout (50 ms)")
        contains(err, "spec/pace_spec.lua:" .. line_of_loop(endless))
        assert.equal(3, sc:parallelize({ 1, 2, 3 }, 2):count())
    end)

    it("is tried again as often as other failures are", function()
        core.logLevel("off")
        local sc = engine.context("local[1]", { ["task.timeout"] = 50, ["task.maxFailures"] = 2 })
        local ok, err = pcall(function()
            return sc:parallelize({ 1 }, 1):map(function(x)
                while x do x = x + 1 end
                return x
            end):collect()
        end)
        core.logLevel("warn")
        assert.is_false(ok)
        contains(err, "attempt 2 of 2")
    end)

    it("does not concern tasks that are quick", function()
        local sc = engine.context("local[2]", { ["task.timeout"] = "30s" })
        for _ = 1, 20 do assert.equal(1000, sc:range(0, 1000, 1, 8):map(function(x) return x end):count()) end
    end)

    it("is told with its function while it runs", function()
        local result = run([[
local moontide = require "moontide"
require("moontide.driver.pace").patience = 40
local sc = moontide.Context{ master = "local[1]", appName = "still", conf = { ["task.timeout"] = "400ms", onError = "skip" } }
local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
ssc:queueStream({ sc:parallelize({ 1 }, 1) }):map(function(x)
    while x do x = x + 1 end
    return x
end):foreachRDD(function(rdd) rdd:count() end)
ssc:start()
ssc.life.graph:advance(1000)
require("moontide.driver.loop").run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
ssc:stop(true, false)
]])
        contains(result.err, "WARN  pace: a task does not come to an end: ")
        contains(result.err, "batch 1000 ms, for 0.")
        local _, told = result.err:gsub("does not come to an end", "")
        assert.equal(1, told, result.err)
        contains(result.err, "the task took longer than task.timeout (400 ms)")
    end)
end)

describe("a source that is held", function()
    it("is told once a minute at most", function()
        local result = run([[
local moontide = require "moontide"
local line_server = require "spec.support.line_server"
local server = line_server.listen()
local sc = moontide.Context{ master = "local[1]", appName = "held", conf = { ["socket.memory"] = "64kb" } }
local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
local seen = 0
ssc:socketTextStream("127.0.0.1", server.port):foreachRDD(function(rdd) seen = seen + rdd:count() end)
ssc:start()
local client = server:accept()
local text = ("x"):rep(99) .. "\n"
for round = 1, 4 do
    client:send(text:rep(1000))
    local loop = require "moontide.driver.loop"
    repeat
        ssc.life.graph:advance(1000)
        loop.run_until(function() return ssc.life.tasks == 0 and ssc.life.graph:idle() end)
    until seen == 1000 * round
end
ssc:stop(true, false)
]])
        contains(result.err, "WARN  socket: 127.0.0.1:")
        contains(result.err, "is read more slowly")
        local _, told = result.err:gsub("is read more slowly", "")
        assert.equal(1, told, result.err)
    end)
end)
