-- Whether every process is as fast as the others: updateStateByKey with a million keys, each changed in every batch, in fresh
-- processes one after the other. `moontide run spec/bench/processes.lua [PROCESSES [KEYS]]`; prints the median of each process's
-- warm batches in milliseconds of CPU, and how much slower the slowest process is than the fastest. What LuaJIT gives up, and
-- when, depends on the process (spec/blacklist_spec.lua), so one process says nothing.

local WARM, BATCHES = 2, 9

local function median(list)
    table.sort(list)
    return list[math.ceil(#list / 2)]
end

local function measure(keys)
    local engine = require "spec.support.engine"
    local moontide = require "moontide"
    local directory = require("spec.support.tempdir").new()
    local sc = moontide.Context("local[1]", "processes")
    local ssc = require("moontide.streaming").create(sc, 1000, { clock = "manual", start = 0 })
    local input = sc:range(0, keys, 1, 1):map(function(i) return "key" .. i, 1 end):cache()
    input:count()
    ssc:checkpoint(directory.path)
    ssc:queueStream({}, true, input):updateStateByKey(function(values, sum)
        sum = sum or 0
        for _, value in ipairs(values) do sum = sum + value end
        return sum
    end):foreachRDD(function(rdd) rdd:count() end)
    ssc:start()
    local times = {}
    for batch = 1, BATCHES do
        local began = os.clock()
        engine.advance(ssc)
        if batch > WARM then times[#times + 1] = (os.clock() - began) * 1000 end
    end
    print(("%.1f"):format(median(times)))
    ssc:stop(true)
    directory:remove()
end

if arg[1] == "--measure" then return measure(tonumber(arg[2])) end

local processes, keys = tonumber(arg[1]) or 20, tonumber(arg[2]) or 1000000
local program = os.getenv "MOONTIDE_BIN" or "build/bin/moontide"
local all = {}
for at = 1, processes do
    local pipe = assert(io.popen(("'%s' run spec/bench/processes.lua --measure %d"):format(program, keys)))
    all[at] = assert(tonumber(pipe:read "*l"), "a process gave no time")
    pipe:close()
    io.write(("%d "):format(all[at]))
    io.flush()
end
table.sort(all)
print(("\n%d processes, %d keys: fastest %.0f ms, median %.0f, slowest %.0f: %.2f times the fastest"):format(processes, keys, all[1],
    median(all), all[#all], all[#all] / all[1]))
