-- The wall clock of the machine is set while a job runs, as NTP and waking up do: a small library in front of the C library's
-- clock_gettime plays that.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local SHIM = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int status = real(id, now);
    if (id != CLOCK_REALTIME) return status;
    FILE *file = fopen(getenv("STEP_FILE"), "r");
    long seconds = 0;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    now->tv_sec += seconds;
    return status;
}
]]

-- At the third batch the clock is set; the job ends when it has seen `wanted`.
local JOB = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "steps", 50)
local count, times = 0, {}
ssc:queueStream({}):foreachRDD(function(_, time)
    count = count + 1
    times[count] = time
    if count == 3 then
        local file = assert(io.open(os.getenv("STEP_FILE"), "w"))
        file:write(arg[1])
        file:close()
    elseif count == tonumber(arg[2]) then
        ssc:stop(true, false)
    end
end)
local worst = 0
ssc:addStreamingListener { onBatchCompleted = function(info)
    worst = math.min(worst, info.schedulingDelay, info.processingDelay, info.totalDelay)
end }
ssc:start()
ssc:awaitTermination()
local gaps = 0
for index = 2, count do
    if times[index] - times[index - 1] ~= 50 then gaps = gaps + 1 end
end
print(gaps, worst, times[count] - times[3] >= 50 * (count - 3))
]]

local sanitized = (os.getenv("MOONTIDE_SANITIZE") or "") ~= ""

describe("a wall clock that is set while a job runs", function()
    local function run(seconds, batches)
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local source, library, job = dir:write("shim.c", SHIM), dir:file("shim.so"), dir:write("job.lua", JOB)
        local built = shell.run("cc -shared -fPIC -o " .. shell.quote(library) .. " " .. shell.quote(source) .. " -ldl")
        assert.equal(0, built.code, built.err)
        return shell.run(shell.command({ "env", "LD_PRELOAD=" .. library, "STEP_FILE=" .. dir:file("step"), shell.program, "run",
            job, seconds, batches }))
    end
    -- A sanitizer's library has to be the first one.
    local it_runs = sanitized and pending or it

    it_runs("forward is followed by batch times, without a gap, and told once", function()
        local result = run(10, 210) -- ten seconds are two hundred batches
        assert.equal("0\t0\ttrue\n", result.out, result.err)
        local _, told = result.err:gsub("the wall clock was set forward by %d+ ms", "")
        assert.equal(1, told, result.err)
    end)

    it_runs("back is not followed: batch times go on, no delay is negative, and it is told once", function()
        local result = run(-3600, 8)
        assert.equal("0\t0\ttrue\n", result.out, result.err)
        local _, told = result.err:gsub("the wall clock was set back by 3[56]%d%d%d%d%d ms", "")
        assert.equal(1, told, result.err)
    end)
end)
