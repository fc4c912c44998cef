-- One measurement of the engine, in a process of its own.
--
--     moontide run spec/bench/job.lua <workload> <file|memory|socket> <workers> <file> <warm-up file>
--
-- file: textFile reads it. memory: the lines are in the engine's blocks before the clock starts. socket: a line
-- server sends the file as fast as it is read, a few times over; the clock runs from the connection to the end of
-- the last batch. Prints "seconds result cpu-seconds" for one time the file; the CPU time is that of all threads.

local moontide = require "moontide"
local lineserver = require "moontide.lineserver"
local workloads = require "spec.bench.workloads"

local clock = lineserver.clock
local workload, source, workers, path, warm_up = workloads[arg[1]], arg[2], tonumber(arg[3]), arg[4], arg[5]

local master = string.format("local[%d]", workers)

local function read_lines(name)
    local list = {}
    for line in io.lines(name) do
        list[#list + 1] = line
    end
    return list
end

-- So that the wait for the first and the last batch weighs little.
local socket_repeats = 3

local function report(seconds, result, cpu)
    print(string.format("%.6f %.0f %.6f", seconds, result, cpu))
end

local function time_dataset(lines)
    collectgarbage()
    local started, cpu = clock(), os.clock()
    local result = workload.finish(workload.pipeline(lines))
    return clock() - started, result, os.clock() - cpu
end

local sources = {}

function sources.file()
    local sc = moontide.Context(master, "bench")
    time_dataset(sc:textFile(warm_up))
    report(time_dataset(sc:textFile(path)))
    sc:stop()
end

function sources.memory()
    local sc = moontide.Context(master, "bench")
    time_dataset(sc:parallelize(read_lines(warm_up)))
    report(time_dataset(sc:parallelize(read_lines(path), 2 * workers)))
    sc:stop()
end

function sources.socket()
    local lines_in_file = 0
    for _ in io.lines(path) do
        lines_in_file = lines_in_file + 1
    end
    local sc = moontide.Context(master, "bench")
    time_dataset(sc:textFile(warm_up))

    local wanted = lines_in_file * socket_repeats
    local server = assert(lineserver.start { file = path, count = wanted, clients = 1, keep = true })
    local ssc = moontide.StreamingContext(sc, 100)
    local total, processed, ended = 0, 0, nil
    workload.pipeline(ssc:socketTextStream("127.0.0.1", server.port)):foreachRDD(function(rdd)
        total = total + workload.finish(rdd)
    end)
    ssc:addStreamingListener {
        onBatchCompleted = function(info)
            processed = processed + info.numRecords
            if processed >= wanted then
                ended = ended or clock()
            end
        end,
    }
    local cpu = os.clock()
    ssc:start()
    while not ended and not ssc:awaitTerminationOrTimeout(20) do end
    cpu = os.clock() - cpu
    ssc:stop()
    local connected = server:event(10):match("^client (%d+)$")
    server:stop()
    report((ended - tonumber(connected) / 1e6) / socket_repeats, total / socket_repeats, cpu / socket_repeats)
end

sources[source]()
