-- What the program does when it is told to end: SIGINT and SIGTERM, once, twice, three times, and a stdout that nobody
-- reads any more. (How streams stop is in the specs of the streaming context.)

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

-- Busy without end. (The calls are for the thread sanitizer, which holds signals back until the next one.)
local BUSY = [[
print("ready")
while true do io.open("/dev/null"):close() end
]]

local STREAM = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "signals", moontide.milliseconds(20))
local once = ...
local shown = false
ssc:queueStream({ { 1 } }):foreachRDD(function(rdd, time)
    if once ~= "again" and shown then
        return
    end
    shown = true
    print("batch")
    while once == "busy" do io.open("/dev/null"):close() end
end)
ssc:start()
ssc:awaitTermination()
print("stopped")
]]

describe("the program", function()
    local dir

    before_each(function()
        dir = tempdir.new()
    end)

    after_each(function()
        dir:remove()
    end)

    -- The thread sanitizer would let a program that ends wait for a second.
    local env = { TSAN_OPTIONS = (os.getenv("TSAN_OPTIONS") or "") .. " atexit_sleep_ms=0" }

    local function start(source, ...)
        local command = shell.command({ shell.program, "run", dir:write("job.lua", source), ... })
        local running = shell.start(command, { env = env })
        return running, running:read_line()
    end

    for name, number in pairs({ INT = 2, TERM = 15, HUP = 1 }) do
        it("ends at the first SIG" .. name .. " when no engine runs", function()
            local running, line = start(BUSY)
            assert.equal("ready", line)
            running:signal(name)
            assert.same({ out = "ready\n", err = "", code = 128 + number }, running:wait())
        end)

        it("stops its streams at the first SIG" .. name, function()
            local running, line = start(STREAM)
            assert.equal("batch", line)
            running:signal(name)
            assert.same({ out = "batch\nstopped\n", err = "", code = 0 }, running:wait())
        end)
    end

    it("ends when the script takes no notice of the second signal", function()
        local running, line = start(STREAM, "busy")
        assert.equal("batch", line)
        running:signal("INT")
        running:signal("TERM")
        local result = running:wait()
        assert.equal("batch\n", result.out)
        assert.is_true(result.code == 128 + 15 or result.code == 128 + 2)
    end)

    -- How often a busy job is alive, after `most` signals (no more than are needed).
    local function times_alive(most)
        local running, line = start(STREAM, "busy")
        assert.equal("batch", line)
        local times = 0
        while pcall(running.signal, running, times >= most and "0" or times % 2 == 0 and "INT" or "TERM") do
            times = times + 1
        end
        local result = running:wait()
        assert.equal("batch\n", result.out)
        assert.is_true(result.code == 128 + 15 or result.code == 128 + 2)
        return times
    end

    -- The system may merge signals that come too fast. After the second one the program lives for two seconds.
    it("ends at once at the third signal", function()
        local third, second = times_alive(math.huge), times_alive(2)
        assert.is_true(third < second / 3, ("alive %d times, with two signals %d times"):format(third, second))
    end)

    it("ends quietly when nobody reads its output", function()
        local path = dir:write("job.lua", STREAM)
        local result = shell.run(shell.command({ shell.program, "run", path, "again" }) .. ' | head -n 2; echo done')
        assert.same({ out = "batch\nbatch\ndone\n", err = "", code = 0 }, result)
    end)

    it("goes on under nohup", function()
        local job = dir:write("job.lua", STREAM)
        local running = shell.start("sh -c 'trap \"\" HUP; exec \"$@\"' sh " .. shell.command({ shell.program, "run", job }), { env = env })
        assert.equal("batch", running:read_line())
        running:signal("HUP")
        running:signal("TERM")
        assert.same({ out = "batch\nstopped\n", err = "", code = 0 }, running:wait())
    end)

    it("waits while its output is full, also when others made it non-blocking", function()
        local CDEF = [[
            local ffi = require "ffi"
            ffi.cdef "int fcntl(int, int, ...); int execv(const char *, char *const *); int ioctl(int, unsigned long, ...);"
            ffi.cdef "int poll(void *, unsigned long, int);"
        ]]
        -- Hands a non-blocking stdout on, as programs do that write to the same pipe without waiting.
        local launch = dir:write("launch.lua", CDEF .. [[
            local O_NONBLOCK, F_GETFL, F_SETFL = 2048, 3, 4
            ffi.C.fcntl(1, F_SETFL, ffi.cast("int", bit.bor(ffi.C.fcntl(1, F_GETFL), O_NONBLOCK)))
            local words = ffi.new("const char *[?]", #arg + 1)
            for index, word in ipairs(arg) do words[index - 1] = word end
            ffi.C.execv(arg[1], ffi.cast("char *const *", words))
        ]])
        -- Reads nothing before the pipe is full.
        local read = dir:write("read.lua", CDEF .. [[
            local FIONREAD, n, before = 0x541b, ffi.new "int[1]", -1
            repeat
                before = n[0]
                ffi.C.poll(nil, 0, 20)
                assert(ffi.C.ioctl(0, FIONREAD, n) == 0)
            until n[0] > 4096 and n[0] == before
            io.write(#io.read("*a"))
        ]])
        local job = dir:write("job.lua", [[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "full", 20)
            local list = {}
            for n = 1, 30000 do list[n] = "0123456789" end
            ssc:queueStream({ list }):print(30000)
            ssc:queueStream({ { 1 } }):foreachRDD(function(rdd) if not rdd:isEmpty() then print(("x"):rep(200000)) ssc:stop() end end)
            ssc:start()
            ssc:awaitTermination()
        ]])
        local result = shell.run(shell.command({ "luajit", launch, shell.program, "run", job }) .. " | luajit " .. shell.quote(read))
        assert.same({ "", 0 }, { result.err, result.code })
        assert.is_true(tonumber(result.out) > 30000 * 11 + 200000, result.out)
    end)

    it("says that its output is lost on a full disk", function()
        local result = shell.run(shell.command({ shell.program, "version" }) .. " > /dev/full")
        assert.equal(1, result.code)
        assert.truthy(result.err:find("writing to stdout failed: No space left on device", 1, true))
    end)
end)
