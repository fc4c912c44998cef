-- `moontide run --supervise` with real processes: what is started again and what is not, when, how it is told, signals, and who
-- outlives whom. The waits are a millisecond; a job that is to be killed says its number first.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local FAST = { "--supervise-wait", "1ms", "--supervise-limit", "3/1h" }

-- Counts its starts in a file, then ends as the words for this start say: "exit 3", "signal 11", "read" (a line from stdin),
-- "wait" (for ever: for a writer of a pipe).
local JOB = [[
local ffi = require "ffi"
ffi.cdef "int kill(int, int); int getpid(void);"
local counter = io.open(arg[1], "a+")
local start = #counter:read("*a") + 1
counter:write(".")
counter:close()
local way, number = (arg[start + 1] or arg[#arg]):match("^(%a+) ?(%d*)$")
print(("start %d is process %d"):format(start, ffi.C.getpid()))
if way == "exit" then
    os.exit(tonumber(number))
elseif way == "signal" then
    ffi.C.kill(ffi.C.getpid(), tonumber(number))
elseif way == "wait" then
    io.open(arg[1] .. ".pipe")
end
print("read " .. tostring(io.read()))
]]

-- Prints at its first batch; then goes on until it is stopped.
local STREAM = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "supervised", moontide.milliseconds(20))
local shown = false
ssc:queueStream({ { 1 } }):foreachRDD(function()
    if not shown then
        shown = true
        print("batch")
        if arg[1] then
            io.open(arg[1]):read("*a") -- until the spec has written to the pipe
        end
    end
end)
ssc:start()
ssc:awaitTermination()
print("stopped")
]]

describe("moontide run --supervise", function()
    local dir, job
    -- The thread sanitizer would let a program that ends wait for a second.
    local env = {
        TSAN_OPTIONS = (os.getenv("TSAN_OPTIONS") or "") .. " atexit_sleep_ms=0 handle_segv=0 handle_abort=0",
        ASAN_OPTIONS = (os.getenv("ASAN_OPTIONS") or "") .. " handle_segv=0 handle_abort=0",
    }

    before_each(function()
        dir = tempdir.new()
        job = dir:write("job.lua", JOB)
    end)

    after_each(function()
        dir:remove()
    end)

    local function words(options, ...)
        local list = { shell.program, "run" }
        for _, word in ipairs(options) do
            list[#list + 1] = word
        end
        for _, word in ipairs({ ... }) do
            list[#list + 1] = word
        end
        return list
    end

    -- Runs JOB to the end; its first start ends in the first way, and so on; further ones end as the last.
    local function run(options, ...)
        return shell.run(shell.command(words(options, job, dir:file("starts"), ...)), { env = env })
    end

    -- For jobs that wait: nobody ever writes to it.
    local function make_pipe(path)
        assert.equal(0, os.execute("mkfifo " .. shell.quote(path)))
    end

    -- The program in a group of its own, stderr with stdout. `before`: what the shell does first.
    local function start(options, ...)
        local command = shell.command(words(options, ...))
        return shell.start(("sh -c %s"):format(shell.quote("exec setsid " .. command .. " 2>&1")), { env = env })
    end

    local function starts(result)
        return select(2, result.out:gsub("start %d+ is process", ""))
    end

    local function messages(result)
        local list = {}
        for line in result.err:gmatch("[^\n]+") do
            list[#list + 1] = line:match("%u+ +supervisor: .*$"):gsub("%(process %d+%)", "(process N)"):gsub("after [%d.]+ m?s", "after T")
        end
        return list
    end

    local function contains(text, part)
        assert(text:find(part, 1, true), ("'%s' is not in:\n%s"):format(part, text))
    end

    describe("starts the job again", function()
        local CRASHES = {
            ["signal 11"] = "was ended by SIGSEGV (Segmentation fault)", ["signal 9"] = "was ended by SIGKILL (Killed)",
            ["signal 6"] = "was ended by SIGABRT (Aborted)", ["signal 40"] = "was ended by signal 40",
            ["exit 1"] = "ended with exit code 1", ["exit 3"] = "ended with exit code 3", ["exit 137"] = "ended with exit code 137",
        }
        for way, told in pairs(CRASHES) do
            it("after: " .. way, function()
                local result = run(FAST, way, "exit 0")
                assert.equal(0, result.code)
                assert.equal(2, starts(result))
                assert.same({ ("WARN  supervisor: the job (process N) %s after T; restart 1 follows in 1 ms"):format(told) }, messages(result))
            end)
        end

        it("when somebody else kills it", function()
            make_pipe(dir:file("starts.pipe"))
            local running = start(FAST, job, dir:file("starts"), "wait", "exit 0")
            local pid = running:read_line():match("^start 1 is process (%d+)$")
            assert.not_equal(running.pid, tonumber(pid))
            assert.equal(0, os.execute("kill -s KILL " .. pid))
            contains(running:read_line(), "was ended by SIGKILL")
            local result = running:wait()
            assert.equal(0, result.code)
            assert.equal(2, starts(result))
        end)

        it("after an error of the script, which is told as ever", function()
            dir:write("job.lua", [[
                local file = io.open(arg[1])
                if not file then
                    io.open(arg[1], "w"):close()
                    error("the first time")
                end
                print("the second time", ...)
            ]])
            local result = run(FAST, "one", "two")
            assert.equal(0, result.code)
            assert.equal(("the second time\t%s\tone\ttwo\n"):format(dir:file("starts")), result.out)
            contains(result.err, "job.lua:4: the first time")
            contains(result.err, "ended with exit code 1")
        end)

        it("when its process could not be made", function()
            local result = shell.run(shell.command(words(FAST, job, dir:file("starts"), "exit 0")),
                { env = { MOONTIDE_FAULT = "supervisor.fork:0:2" } })
            assert.equal(0, result.code)
            assert.equal(1, starts(result))
            assert.same({
                "WARN  supervisor: the job could not be started: Resource temporarily unavailable; restart 1 follows in 1 ms",
                "WARN  supervisor: the job could not be started: Resource temporarily unavailable; restart 2 follows in 2 ms",
            }, messages(result))
        end)

        it("with the script as it is then", function()
            dir:write("job.lua", [[
                local file = io.open(arg[0], "w")
                file:write("print 'mended' os.exit(0)")
                file:close()
                os.exit(1)
            ]])
            local result = run(FAST)
            assert.same({ "mended\n", 0 }, { result.out, result.code })
        end)
    end)

    describe("does not start it again", function()
        it("when it is done", function()
            assert.same({ 0, "" }, (function(result) return { result.code, result.err } end)(run(FAST, "exit 0")))
        end)

        local ENDS = {
            ["exit 2"] = "this is wrong usage, and another start would end in the same way", ["exit 130"] = "it was asked to stop",
            ["signal 15"] = "it was asked to stop", ["exit 141"] = "nobody reads its output any more",
        }
        for way, reason in pairs(ENDS) do
            it("after: " .. way, function()
                local result = run(FAST, way)
                assert.equal(way == "signal 15" and 143 or tonumber(way:match("%d+")), result.code)
                assert.equal(1, starts(result))
                local told = messages(result)
                assert.equal(1, #told)
                contains(told[1], "; it is not started again: " .. reason)
            end)
        end

        it("more often than the limit allows", function()
            local result = run(FAST, "signal 11")
            assert.equal(128 + 11, result.code)
            assert.equal(4, starts(result))
            local END = "supervisor: the job (process N) was ended by SIGSEGV (Segmentation fault) after T; "
            assert.same({
                "WARN  " .. END .. "restart 1 follows in 1 ms", "WARN  " .. END .. "restart 2 follows in 2 ms",
                "WARN  " .. END .. "restart 3 follows in 4 ms", "ERROR " .. END .. "given up: it was started again 3 times within 60 min",
            }, messages(result))
        end)

        it("when it is missing, is a folder, or does not compile", function()
            local result = shell.moontide(words(FAST, dir:file("no.lua")), {})
            assert.equal(2, result.code) -- the program's name is no command
            for path, reason in pairs({
                [dir:file("no.lua")] = "cannot open the script", [dir.path] = "cannot read the script",
                [dir:write("bad.lua", "local = 1")] = "the script does not compile",
            }) do
                result = shell.run(shell.command(words(FAST, path)))
                assert.same({ 1, "" }, { result.code, result.out })
                assert.matches("^moontide: " .. reason .. "[^\n]*\n$", result.err)
            end
        end)

        it("when it could be read only once", function()
            local result = shell.run("echo 'print(1)' | " .. shell.command(words(FAST, "/dev/stdin")))
            assert.same({ 2, "" }, { result.code, result.out })
            contains(result.err, "--supervise reads the script anew for each start, and /dev/stdin is no file that stays")
        end)
    end)

    describe("waits", function()
        it("at most as long as it may", function()
            local result = run({ "--supervise-max-wait", "1ms", "--supervise-limit", "3/1h" }, "exit 1")
            local told = messages(result)
            for index = 1, 3 do
                contains(told[index], ("restart %d follows in 1 ms"):format(index))
            end
        end)

        it("as at the beginning when the job has run for long", function()
            dir:write("job.lua", [[
                local core = require "moontide.core"
                local began = core.monotonic()
                while core.monotonic() - began < 0.02 do end
                os.exit(1)
            ]])
            local result = run({ "--supervise-wait", "3ms", "--supervise-max-wait", "20ms", "--supervise-limit", "3/1h" })
            local told = messages(result)
            assert.equal(4, #told)
            for index = 1, 3 do
                contains(told[index], ("restart %d follows in 3 ms"):format(index))
            end
        end)

        it("for ever, if restarts have no limit", function()
            local result = run({ "--supervise-max-wait", "1ms", "--supervise-limit", "none" },
                "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 1", "exit 0")
            assert.same({ 0, 12 }, { result.code, starts(result) })
        end)

        it("for ever, if the restarts before are longer ago than the window", function()
            dir:write("job.lua", [[
                local core = require "moontide.core"
                local began = core.monotonic()
                local counter = io.open(arg[1], "a+")
                local start = #counter:read("*a") + 1
                counter:write(".")
                counter:close()
                while core.monotonic() - began < 0.01 do end
                os.exit(start == 5 and 0 or 1)
            ]])
            local result = run({ "--supervise-max-wait", "1ms", "--supervise-limit", "1/10ms" })
            assert.same({ 0, 4 }, { result.code, #messages(result) })
        end)

        it("and ends when it is stopped meanwhile", function()
            for name, number in pairs({ TERM = 15, INT = 2, HUP = 1 }) do
                os.remove(dir:file("starts"))
                local running = start({ "--supervise-wait", "1h", "--supervise-max-wait", "1h" }, job, dir:file("starts"), "exit 1")
                running:read_line()
                contains(running:read_line(), "restart 1 follows in 60 min")
                running:signal(name)
                local result = running:wait()
                assert.same({ 128 + number, 1 }, { result.code, starts(result) })
            end
        end)
    end)

    describe("passes on", function()
        it("arguments, stdin, stdout and the exit code", function()
            local result = shell.run(shell.command(words(FAST, job, dir:file("starts"), "read")), { input = "a line\n" })
            assert.equal(0, result.code)
            contains(result.out, "read a line\n")
            result = shell.run(shell.command(words({ "--supervise-limit=1/1h", "--supervise-wait=1ms" }, job, dir:file("starts"), "exit 77")))
            assert.equal(77, result.code)
        end)

        for name in pairs({ INT = true, TERM = true, HUP = true }) do
            it("SIG" .. name .. ", once, and the job stops gracefully", function()
                local running = start(FAST, dir:write("stream.lua", STREAM))
                assert.equal("batch", running:read_line())
                running:signal(name)
                assert.same({ out = "batch\nstopped\n", err = "", code = 0 }, running:wait())
            end)
        end

        -- As the terminal's ^C, which both processes get: the job must not take it for two. It reads a pipe meanwhile, so that both have come.
        it("what the whole group gets, and the job counts it once", function()
            local pipe = dir:file("pipe")
            make_pipe(pipe)
            local running = start({ "--log-level", "info", "--supervise" }, dir:write("stream.lua", STREAM), pipe)
            repeat
                local line = running:read_line()
            until line == "batch"
            assert.equal(0, os.execute(("kill -s INT -- -%d"):format(running.pid)))
            repeat
                local line = running:read_line()
            until line:find("SIGINT is passed on to the job", 1, true)
            io.open(pipe, "w"):close()
            local result = running:wait()
            assert.equal(0, result.code)
            contains(result.out, "\nstopped\n")
            assert.is_nil(result.out:find("second signal;", 1, true))
        end)

        it("no SIGHUP under nohup", function()
            local command = shell.command(words({ "--log-level", "info", "--supervise" }, dir:write("stream.lua", STREAM)))
            local running = shell.start(("sh -c %s"):format(shell.quote("trap '' HUP; exec " .. command)), { env = env })
            assert.equal("batch", running:read_line())
            running:signal("HUP")
            running:signal("TERM")
            local result = running:wait()
            assert.same({ "batch\nstopped\n", 0 }, { result.out, result.code })
            assert.is_nil(result.err:find("SIGHUP", 1, true))
            contains(result.err, "SIGTERM is passed on to the job")
        end)
    end)

    -- stdout is closed when both have ended: `wait` would wait for ever.
    it("takes the job with it when it is killed", function()
        make_pipe(dir:file("starts.pipe"))
        local running = start(FAST, job, dir:file("starts"), "wait")
        local pid = running:read_line():match("(%d+)$")
        running:signal("KILL")
        assert.equal(128 + 9, running:wait().code)
        assert.not_equal(0, os.execute(("kill -s 0 %s 2>/dev/null && ! grep -q '^State:.Z' /proc/%s/status"):format(pid, pid)))
    end)

    it("leaves no zombies, not even children that it got from its parent", function()
        dir:write("job.lua", [[
            local parent = io.open("/proc/self/stat"):read("*a"):match("^%d+ %b() %a (%d+)")
            repeat
                local children = io.open(("/proc/%s/task/%s/children"):format(parent, parent)):read("*a")
            until select(2, children:gsub("%d+", "")) == 1
            print("alone")
        ]])
        local command = shell.command(words(FAST, job))
        local result = shell.run("sh -c " .. shell.quote("true & exec " .. command))
        assert.same({ "alone\n", 0 }, { result.out, result.code })
    end)

    it("refuses options that do not fit, and says what does", function()
        for option, reason in pairs({
            ["--supervise=yes"] = "the option --supervise takes no value", ["--supervize"] = "did you mean '--supervise'?",
            ["--supervise-wait=0ms"] = "--supervise-wait: the duration must be longer than 0 ms",
            ["--supervise-wait=soon"] = "--supervise-wait: ", ["--supervise-max-wait=1"] = "has no unit (valid units: ms, s, min, h)",
            ["--supervise-limit=3"] = "restarts (1 to 1000) and a time, such as 10/10min, or none expected, got '3'",
            ["--supervise-limit=0/1s"] = "got '0/1s'", ["--supervise-limit=1001/1s"] = "got '1001/1s'",
            ["--supervise-limit=3/x"] = "--supervise-limit: ", ["--supervise-limit=/1s"] = "got '/1s'",
        }) do
            local result = shell.run(shell.command(words({ option }, job)))
            assert.same({ 2, "" }, { result.code, result.out }, option)
            contains(result.err, reason)
        end
    end)
end)

describe("examples/moontide.service", function()
    local function setting(text, name)
        return text:match("\n" .. name .. "=([^\n]*)")
    end

    local file = assert(io.open("examples/moontide.service"))
    local text = file:read("*a")
    file:close()

    it("runs a command that the program takes, and stops it gracefully", function()
        local dir = tempdir.new()
        local script = dir:write("job.lua", "print(...)")
        local words = {}
        for word in setting(text, "ExecStart"):gmatch("%S+") do
            words[#words + 1] = word:gsub("^.*/bin/moontide$", shell.program):gsub("^.*/job%.lua$", script)
        end
        local result = shell.run(shell.command(words))
        dir:remove()
        assert.same({ out = "localhost\t9999\n", err = "", code = 0 }, result)
        assert.equal("mixed", setting(text, "KillMode"))
        assert.equal("2", setting(text, "RestartPreventExitStatus"))
        assert.is_nil(setting(text, "KillSignal")) -- SIGTERM
    end)

    it("names settings that there are", function()
        local help = shell.moontide({ "help", "conf" }).out
        for name in text:gmatch("MOONTIDE_[%u_]+") do
            assert(help:find(name, 1, true), name)
        end
    end)

    local analyze = os.execute("command -v systemd-analyze >/dev/null") == 0 and it or pending
    analyze("is a unit without mistakes", function()
        local dir = tempdir.new()
        local program = dir:write("moontide", "#!/bin/sh\n")
        os.execute("chmod +x " .. shell.quote(program))
        local unit = dir:write("wordcount.service", (text:gsub("/usr/local/bin/moontide", program)))
        local result = shell.run("systemd-analyze verify --man=no --recursive-errors=no " .. shell.quote(unit))
        dir:remove()
        assert.same({ out = "", err = "", code = 0 }, result)
    end)
end)
