-- The commands that rdd:pipe runs: real processes, and what becomes of them and of what they start when a task ends, when the
-- program is told to stop, and when it is killed.

local engine = require "spec.support.engine"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local clock = require("moontide.lineserver").clock

local LIMIT = 30 -- seconds

-- A process that has ended, and at most waits for its parent to notice.
local function gone(pid)
    local file = io.open("/proc/" .. pid .. "/stat")
    local text = file and file:read("*a")
    if file then
        file:close()
    end
    local state = text and text:match("^.*%) (%a)")
    return state == nil or state == "Z" or state == "X"
end

local function wait_until_gone(pids)
    local started = clock()
    for _, pid in ipairs(pids) do
        while not gone(pid) do
            assert(clock() - started < LIMIT, "process " .. pid .. " is still there")
            os.execute("sleep 0.02")
        end
    end
end

-- A command that tells its number and that of a child, and then runs until it is ended.
local RUNS = "echo $$; sleep 1000 & echo $!; wait; echo more"
local IGNORES = "trap '' TERM; echo $$; sh -c \"trap '' TERM; echo \\$\\$; while :; do sleep 0.1; done\" & wait"
-- The same, and it goes on writing.
local WRITES = "echo $$; sleep 1000 & echo $!; while :; do echo more; done"
local WRITES_ON = "trap '' TERM PIPE; echo $$; sleep 1000 & echo $!; while :; do echo more; done 2>/dev/null"

describe("a command of pipe", function()
    engine.watch(after_each)

    for name, command in pairs({ ["writes on"] = WRITES, ["does not mind being told"] = WRITES_ON }) do
        it("is ended with what it started when its task is over, and it " .. name, function()
            local pids = engine.context("local[1]"):parallelize({ 1 }, 1):pipe(command):take(2)
            assert.equal(2, #pids)
            wait_until_gone(pids)
        end)
    end

    it("is ended when its task fails", function()
        local sc = engine.context("local[1]")
        local told = tempdir.new()
        finally(function() told:remove() end)
        local command = "(" .. WRITES .. ") | tee " .. told:file("pids")
        local message = engine.message(function()
            sc:parallelize({ 1 }, 1):pipe(command):map(function(line) return tonumber(line) > 0 and error("enough") end):count()
        end)
        assert.matches("enough", message)
        wait_until_gone({ told:read("pids"):match("%d+") })
    end)

    it("leaves nothing running that it started in the background", function()
        local sc = engine.context("local[1]")
        local pids = sc:parallelize({ 1 }, 1):pipe("sleep 1000 >/dev/null 2>&1 & echo $!"):collect()
        wait_until_gone(pids)
        sc:stop()
    end)

    it("tells how it ended, and takes lines of any kind", function()
        local sc = engine.context("local[1]")
        local one = sc:parallelize({ "x" }, 1)
        assert.same({ "a", "", "b\0c", ("d"):rep(300000), "e" },
            one:pipe("printf 'a\\n\\nb\\000c\\n'; head -c 300000 /dev/zero | tr '\\000' d; printf '\\ne'"):collect())
        assert.same({}, one:pipe("true"):collect())
        for command, ending in pairs({ ["kill -9 $$"] = "137", ["exit 200"] = "200", ["kill -TERM $$"] = "143" }) do
            assert.matches("ended with status " .. ending, engine.message(function() one:pipe(command):collect() end))
        end
    end)

    it("reads a file that has no name any more: nothing of it stays, however it ends", function()
        local sc = engine.context("local[1]")
        assert.matches(" %(deleted%)$", sc:parallelize({ 1 }, 1):pipe("exec readlink /proc/self/fd/0"):first())
    end)
end)

-- The first batch goes through a command that tells when it has begun, and goes on when it may.
local STREAM = [[
local moontide = require "moontide"
local begun, go = ...
local ssc = moontide.StreamingContext("local[1]", "pipe", moontide.milliseconds(20))
local command = "echo $$ > '" .. begun .. "'; read -r line < '" .. go .. "'; cat"
ssc:queueStream({ { "one", "two", "three" } }):transform(function(rdd)
    local piped = command and rdd:coalesce(1):pipe(command) or rdd
    command = nil
    return piped
end):foreachRDD(function(rdd)
    for _, line in ipairs(rdd:collect()) do print(line) end
end)
ssc:start()
ssc:awaitTermination()
print("stopped")
]]

describe("a program with a command of pipe at work", function()
    local dir, begun, go

    before_each(function()
        dir = tempdir.new()
        begun, go = dir:file("begun"), dir:file("go")
        assert(os.execute("mkfifo '" .. begun .. "' '" .. go .. "'") == 0)
    end)

    after_each(function() dir:remove() end)

    -- In a group of its own, as in a terminal.
    local function start(source, ...)
        return shell.start("setsid " .. shell.command({ shell.program, "run", dir:write("job.lua", source), ... }))
    end

    local function signal_group(running, name)
        assert(os.execute(("kill -s %s -- -%d"):format(name, running.pid)) == 0)
    end

    for _, name in ipairs({ "INT", "TERM" }) do
        it("stops gracefully, with all records, when its group gets SIG" .. name, function()
            local running = start(STREAM, begun, go)
            local pid = assert(io.open(begun)):read("*l")
            signal_group(running, name)
            assert.is_false(gone(pid))
            assert(os.execute(("timeout 30 sh -c 'echo > \"$0\"' '%s'"):format(go)) == 0, "the command is gone")
            assert.same({ out = "one\ntwo\nthree\nstopped\n", err = "", code = 0 }, running:wait())
            wait_until_gone({ pid })
        end)
    end

    local HANGS = [[
local begun, command = ...
local sc = require("moontide").Context("local[2]")
sc:parallelize({ 1, 2 }, 2):pipe("(" .. command .. ") > '" .. begun .. "'"):collect()
]]

    -- The numbers of two commands and of their children.
    local function read_pids()
        local pids, file = {}, assert(io.open(begun))
        for index = 1, 4 do
            pids[index] = assert(file:read("*l"))
        end
        file:close()
        return pids
    end

    for name, command in pairs({ ["run on"] = RUNS, ["do not mind being told"] = IGNORES }) do
        it("takes its commands along when it is killed, and they " .. name, function()
            local running = start(HANGS, begun, command)
            local pids = read_pids()
            running:signal("KILL")
            assert.equal(128 + 9, running:wait().code)
            wait_until_gone(pids)
        end)
    end

    it("breaks its commands off when it stops at once", function()
        local running = start([[
            local begun, command = ...
            local moontide = require "moontide"
            local sc = moontide.Context { master = "local[1]", conf = { stopTimeout = 10 } }
            local ssc = moontide.StreamingContext(sc, 20)
            ssc:queueStream({ { 1 } }):foreachRDD(function(rdd)
                rdd:coalesce(1):pipe("(" .. command .. ") > '" .. begun .. "'"):count()
            end)
            ssc:start()
            print(pcall(ssc.awaitTermination, ssc))
            sc:stop()
            print("over")
        ]], begun, RUNS)
        local file = assert(io.open(begun))
        local pids = { file:read("*l"), file:read("*l") }
        running:signal("TERM")
        running:signal("INT") -- two of a kind may become one
        local result = running:wait()
        file:close()
        assert.equal(0, result.code, result.err)
        assert.matches("stopped at once by a second signal.*\nover\n$", result.out)
        wait_until_gone(pids)
    end)
end)
