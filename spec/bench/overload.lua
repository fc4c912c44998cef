-- What becomes of more lines than the engine can take: one run at one rate, in a process of its own.
--
--     moontide run spec/bench/overload.lua <file> <lines a second> <seconds> [<socket.memory>]
--
-- A line server offers the file again and again at that rate through a socket; batches of 1 s count the lines that are
-- errors, on two workers. What the server cannot get rid of stays due: a rate above the sustained one means that it always
-- has something to send. Prints a line "seconds records resident-kB" when a batch is done, with the moment since the first.

local lineserver = require "moontide.lineserver"
local moontide = require "moontide"
local workloads = require "spec.bench.workloads"

local clock = lineserver.clock
local path, rate, seconds, memory = arg[1], tonumber(arg[2]), tonumber(arg[3]), arg[4]

local WORKLOAD = workloads.grep

local function resident()
    for line in io.lines("/proc/self/status") do
        local kilobytes = line:match("^VmRSS:%s*(%d+) kB")
        if kilobytes then
            return tonumber(kilobytes)
        end
    end
end

local server = assert(lineserver.start { file = path, rate = rate, count = 2 ^ 50 })
local sc = moontide.Context { master = "local[2]", conf = { ["socket.memory"] = memory } }
local ssc = moontide.StreamingContext(sc, moontide.seconds(1))
local began

WORKLOAD.pipeline(ssc:socketTextStream("127.0.0.1", server.port)):foreachRDD(function(rdd) WORKLOAD.finish(rdd) end)
ssc:addStreamingListener {
    onBatchCompleted = function(info)
        began = began or info.numRecords > 0 and clock()
        if not began then
            return
        end
        local now = clock() - began
        print(string.format("%.3f %d %d", now, info.numRecords, resident()))
    end,
}
ssc:start()
assert(server:event(60))
ssc:awaitTerminationOrTimeout((seconds + 2) * 1000)
ssc:stop()
server:kill()
