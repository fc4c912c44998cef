-- Names of hosts that a resolver does not answer for: whoever needs no such name goes on, and nobody waits at the end.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""

-- Seven sources by one name, of which all but one never learn what it means. The one that does delivers everything.
local JOB = [[
local how = ...
local moontide = require "moontide"
local server = assert(require("moontide.lineserver").start({ text = ("line\n"):rep(1000), keep = true }))
local ssc = moontide.StreamingContext("local[1]", "names", moontide.milliseconds(20))
local other = moontide.StreamingContext("local[1]", "other", moontide.milliseconds(20))
local streams, total = {}, 0
for index = 1, 7 do
    streams[index] = ssc:socketTextStream("localhost", server.port)
end
ssc:union(streams):count():foreachRDD(function(rdd)
    total = total + rdd:first()
    if total == 1000 then
        ssc:stop(true, how == "graceful")
    end
end)
ssc:start()
ssc:awaitTermination()
print("stopped", total)

-- What was left behind is in nobody's way.
local lines = 0
other:socketTextStream("localhost", server.port):count():foreachRDD(function(rdd)
    lines = lines + rdd:first()
    if lines == 1000 then
        other:stop()
    end
end)
other:start()
other:awaitTermination()
print("stopped", lines)
server:stop()
]]

describe("a name that is never found", function()
    local dir
    local env = { MOONTIDE_FAULT = "resolve.stall:0:6" }

    before_each(function()
        dir = tempdir.new()
    end)

    after_each(function()
        dir:remove()
    end)

    for _, how in ipairs({ "graceful", "at once" }) do
        it("holds up neither other sources, nor another context, nor a stop (" .. how .. ")", function()
            local result = shell.moontide({ "run", dir:write("job.lua", JOB), how }, { env = env })
            assert.same({ out = "stopped\t1000\nstopped\t1000\n", err = "", code = 0 }, result)
        end)
    end

    it("is told when so many are waited for that others have to wait", function()
        local result = shell.moontide({ "run", dir:write("many.lua", [[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "many", moontide.milliseconds(20))
            local streams = {}
            for index = 1, 66 do
                streams[index] = ssc:socketTextStream("localhost", 9)
            end
            ssc:union(streams):foreachRDD(function() ssc:stop() end)
            ssc:start()
            ssc:awaitTermination()
        ]]) }, { env = { MOONTIDE_FAULT = "resolve.stall:0:66" } })
        assert.equal(0, result.code)
        local _, times = result.err:gsub("64 look%-ups of host names have no answer yet", "")
        assert.equal(1, times)
    end)

    it("does not keep a stock luajit from ending", function()
        if sanitized then
            return -- it cannot load an instrumented module
        end
        local result = shell.run(shell.command({ "luajit", dir:write("job.lua", JOB), "graceful" }), { env = env })
        assert.same({ out = "stopped\t1000\nstopped\t1000\n", err = "", code = 0 }, result)
    end)
end)
