-- The program: commands, options, exit codes, signals. Scripts run in a folder of their own.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local dir
local program

before_each(function()
    dir = tempdir.new()
    program = program or shell.run("realpath " .. shell.quote(shell.program)).out:gsub("%s+$", "")
end)

after_each(function() dir:remove() end)

local function moontide(...)
    return shell.run(shell.quote(program) .. " " .. shell.command({ ... }), { cwd = dir.path })
end

-- Runs `text` as job.lua with words before and after its name.
local function run(text, before, after)
    dir:write("job.lua", text)
    local words = { "run" }
    for _, word in ipairs(before or {}) do
        words[#words + 1] = word
    end
    words[#words + 1] = "job.lua"
    for _, word in ipairs(after or {}) do
        words[#words + 1] = word
    end
    return moontide(unpack(words))
end

local function is_usage_error(result, text)
    assert.equal(2, result.code)
    assert.equal("", result.out)
    assert.matches("moontide: " .. text, result.err, 1, true)
    assert.matches("Try 'moontide ", result.err, 1, true)
end

describe("commands", function()
    it("are listed", function()
        local result = moontide("help")
        assert.equal(0, result.code)
        assert.matches("usage: moontide <command>", result.out, 1, true)
        assert.same(result, moontide("--help"))
        local bare = moontide()
        assert.same({ 2, "" }, { bare.code, bare.out })
        assert.equal(result.out, bare.err)
    end)

    it("are explained", function()
        for _, command in ipairs({ "run", "version", "help" }) do
            local result = moontide("help", command)
            assert.equal(0, result.code)
            assert.matches("usage: moontide " .. command, result.out, 1, true)
            assert.equal(result.out, moontide(command, "--help").out)
        end
        assert.matches("socket.maxLine", moontide("help", "conf").out, 1, true)
        is_usage_error(moontide("help", "runn"), "there is no help about 'runn'; did you mean 'run'?")
    end)

    it("tell the version", function()
        local version = require("moontide").version
        assert.same({ out = "moontide " .. version .. "\n", err = "", code = 0 }, moontide("version"))
        assert.equal("moontide " .. version .. "\n", moontide("--version").out)
    end)

    it("are refused with the nearest name", function()
        is_usage_error(moontide("rnu"), "there is no command 'rnu'; did you mean 'run'?")
        is_usage_error(moontide("frobnicate"), "there is no command 'frobnicate'")
        is_usage_error(moontide("job.lua"), "to run a script, say 'run'")
    end)
end)

describe("moontide run", function()
    it("gives the script its arguments as plain Lua does", function()
        local result = run([[print(arg[0], #arg, arg[1], arg[2], arg[-1], arg[-2] ~= nil, ...)]], nil, { "a", "b c" })
        assert.same({ out = "job.lua\t2\ta\tb c\trun\ttrue\ta\tb c\n", err = "", code = 0 }, result)
        assert.equal("--conf\n", run("print(arg[1])", nil, { "--conf" }).out)
        assert.equal("job.lua\n", run("print(arg[0])", { "--" }).out)
    end)

    it("finds modules beside the script, in the driver and in the workers", function()
        dir:write("lib/helper.lua", "return { double = function(x) return x * 2 end }")
        dir:write("lib/job.lua", [[
            local helper = require "helper"
            local sc = require("moontide").Context("local[2]", "modules")
            print(table.concat(sc:parallelize({ 1, 2, 3 }):map(function(x) return helper.double(x) end):collect(), " "))
            print(sc:parallelize({ 4 }):map(function(x) return require("helper").double(x) end):first())
            sc:stop()
        ]])
        assert.same({ out = "2 4 6\n8\n", err = "", code = 0 }, moontide("run", "lib/job.lua"))
    end)

    it("overrides the script with its options", function()
        local script = [[
            local sc = require("moontide").Context{ master = "local[1]", appName = "mine", conf = { defaultParallelism = 2 } }
            print(sc.master, sc.appName, sc:defaultParallelism())
            sc:stop()
        ]]
        assert.equal("local[1]\tmine\t2\n", run(script).out)
        assert.equal("local[3]\tyours\t5\n",
            run(script, { "--master", "local[3]", "--name=yours", "--conf", "defaultParallelism=5" }).out)
        assert.equal("local[2]\tother\t2\n", run(script, { "--conf", "master=local[2]", "--conf=appName=other" }).out)
    end)

    it("names an application without a name after the script", function()
        assert.equal("job\n", run([[
            local sc = require("moontide").Context("local[1]")
            print(sc.appName)
            sc:stop()
        ]]).out)
    end)

    it("refuses wrong options", function()
        is_usage_error(run("", { "--mster", "local" }), "run has no option '--mster'; did you mean '--master'?")
        is_usage_error(run("", { "--master", "yarn" }), "--master: master 'yarn' is not supported")
        is_usage_error(run("", { "--conf", "onEror=stop" }), "--conf: unknown setting 'onEror'; did you mean 'onError'?")
        is_usage_error(run("", { "--conf", "onError=never" }), "--conf: setting 'onError': one of stop, skip expected")
        is_usage_error(run("", { "--conf", "onError" }), "--conf: 'onError' is not of the form key=value")
        is_usage_error(run("", { "--log-level", "loud" }), "--log-level: one of debug, info, warn, error, off expected")
        is_usage_error(run("", { "--name=" }), "--name: the name is empty")
        is_usage_error(moontide("run"), "run: the name of the script is missing")
        is_usage_error(moontide("run", "--master"), "the option --master needs a value")
    end)

    it("says why a script cannot run", function()
        local missing = moontide("run", "none.lua")
        assert.same({ 1, "" }, { missing.code, missing.out })
        assert.equal("moontide: cannot open the script none.lua: No such file or directory\n", missing.err)
        local broken = run("local x =\n\nprint(")
        assert.equal(1, broken.code)
        assert.matches("moontide: the script does not compile: job.lua:3: unexpected symbol", broken.err, 1, true)
        local folder = moontide("run", ".")
        assert.equal(1, folder.code)
        assert.matches("moontide: cannot read the script .", folder.err, 1, true)
    end)

    it("takes a script from a pipe", function()
        local script = "#!/usr/bin/env moontide\nprint(...)\nerror('mine')\n"
        local result = shell.run("cat | " .. shell.quote(program) .. " run /dev/stdin a", { input = script })
        assert.same({ "a\n", 1 }, { result.out, result.code })
        assert.matches("^moontide: /dev/stdin:3: mine\n", result.err)
    end)

    it("shows where a script failed", function()
        local result = run("print('before')\nlocal function f()\n  error('mine')\nend\nf()\n")
        assert.equal(1, result.code)
        assert.equal("before\n", result.out)
        assert.equal("moontide: job.lua:3: mine\nstack traceback:\n\t[C]: in function 'error'\n\tjob.lua:3: in function 'f'\n"
            .. "\tjob.lua:5: in function 'script'\n", result.err)
        assert.matches("moontide: (error object) {code = 7}\n", run("error({ code = 7 })").err, 1, true)
    end)

    it("shows what a job failed of, once", function()
        local result = run([[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[2]", "job", 10)
            ssc:queueStream({ { 1 }, { 2 } }):map(function(x) return x == 2 and nil + 1 or x end):print()
            ssc:start()
            ssc:awaitTermination()
        ]])
        assert.equal(1, result.code)
        assert.matches("^moontide: job.lua:3: attempt to perform arithmetic on a nil value\n  in map %(job.lua:3%), batch %d+ ms",
            result.err)
        assert.matches("in print (job.lua:3), batch ", result.err, 1, true)
        local _, times = result.err:gsub("attempt to perform", "")
        assert.equal(1, times)
        assert.matches("^%-+\nTime: %d+ ms\n%-+\n1\n\n", result.out)
    end)

    it("tells a failure that the script never asked for", function()
        local result = run([[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "job", 10)
            ssc:queueStream({ { 1 } }):foreachRDD(function() error("unheard") end)
            ssc:start()
            ssc.sc:parallelize({ 1 }):map(function(x)
                local clock = os.clock()
                while os.clock() - clock < 0.1 do end
                return x
            end):collect()
        ]])
        assert.equal(1, result.code)
        assert.matches("unheard", result.err, 1, true)
    end)

    it("stops what a script leaves running, with a warning", function()
        local result = run([[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "job", 10)
            ssc:queueStream({}):print()
            ssc:start()
        ]])
        assert.equal(0, result.code)
        assert.matches("the script ended while a streaming context was running", result.err, 1, true)
        assert.matches("awaitTermination", result.err, 1, true)
        local quiet = run("require('moontide').Context('local[1]'):parallelize({ 1 }):count()")
        assert.same({ out = "", err = "", code = 0 }, quiet)
    end)

    it("chooses what goes to stderr", function()
        local script = [[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "job", 10)
            ssc:queueStream({}):print()
            ssc:start()
        ]]
        assert.equal("", run(script, { "--log-level", "error" }).err)
        assert.equal("", run(script, { "--log-level=OFF" }).err)
        assert.not_equal("", run(script, { "--log-level", "info" }).err)
    end)
end)

describe("print", function()
    it("writes batches in Spark's format", function()
        local result = run([[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[2]", "job", 500)
            local words = {}
            for index = 1, 11 do
                words[index] = "w" .. index
            end
            local stream = ssc:queueStream({ words, { { "nested", { k = 1 } } } })
            stream:print()
            stream:map(function(x) return x, 1 end):print(2)
            local batches = 0
            stream:foreachRDD(function()
                batches = batches + 1
                if batches == 3 then
                    ssc:stop(true, true)
                end
            end)
            ssc:start()
            ssc:awaitTermination()
        ]])
        assert.equal("", result.err)
        assert.equal(0, result.code)
        local rule = ("-"):rep(43)
        local out = result.out:gsub("Time: %d+ ms", "Time: T ms")
        local function block(...)
            local lines = { rule, "Time: T ms", rule, ... }
            return table.concat(lines, "\n") .. "\n\n"
        end
        local first = block("w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "w10", "...")
            .. block("(w1,1)", "(w2,1)", "...")
        local second = block("[nested,{k=1}]") .. block("([nested,{k=1}],1)")
        local third = block() .. block()
        assert.equal(first .. second .. third, out:sub(1, #(first .. second .. third)))
    end)

    it("fails the batch when nobody can be written to", function()
        dir:write("job.lua", [[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "job", 10)
            ssc:queueStream({ { 1 } }):print()
            ssc:start()
            ssc:awaitTermination()
        ]])
        local result = shell.run(shell.quote(program) .. " run job.lua >/dev/full", { cwd = dir.path })
        assert.equal(1, result.code)
        assert.matches("cannot write to standard output: No space left on device", result.err, 1, true)
    end)

    it("is started with standard streams closed, as a program and as a module", function()
        dir:write("job.lua", [[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext("local[1]", "job", 10)
            local stream = ssc:queueStream({ { 1 } })
            stream:foreachRDD(function(rdd)
                io.stderr:write(rdd:count(), " ", tostring(io.read()), "\n")
                ssc:stop()
            end)
            ssc:start()
            ssc:awaitTermination()
        ]])
        local starts = { shell.quote(program) .. " run" }
        -- Under a sanitizer there is no module for a stock luajit.
        starts[2] = (os.getenv("MOONTIDE_SANITIZE") or "") == "" and "luajit" or nil
        for _, start in ipairs(starts) do
            assert.same({ out = "", err = "1 nil\n", code = 0 }, shell.run(start .. " job.lua <&-", { cwd = dir.path }))
            assert.same({ out = "", err = "1 nil\n", code = 0 }, shell.run(start .. " job.lua >&-", { cwd = dir.path }))
            assert.same({ out = "", err = "", code = 0 },
                shell.run(start .. " job.lua <&- >&- 2>&-", { cwd = dir.path }))
        end
        -- What is printed to nowhere is a failure, as with a full disk.
        dir:write("job.lua", "print(1)")
        assert.equal(1, shell.run(shell.quote(program) .. " run job.lua >&-", { cwd = dir.path }).code)
    end)

    it("says that there are too few descriptors", function()
        dir:write("job.lua", "print(pcall(require('moontide').Context, 'local[1]', 'job'))")
        for limit = 5, 12 do
            local result = shell.run("ulimit -n " .. limit .. "; " .. shell.quote(program) .. " run job.lua", { cwd = dir.path })
            assert.same({ "", 0 }, { result.err, result.code }, limit)
            assert.is_true(result.out:find("too many open files", 1, true) ~= nil or result.out:find("^true") ~= nil, result.out)
        end
    end)
end)

describe("signals", function()
    local endless = [[
        local moontide = require "moontide"
        local ssc = moontide.StreamingContext("local[1]", "job", 20)
        local stream = ssc:queueStream({ { 1 }, { 2 }, { 3 } })
        stream:foreachRDD(function(rdd)
            for _, x in ipairs(rdd:collect()) do
                print(x)
            end
        end)
        ssc:start()
        print("ready")
        ssc:awaitTermination()
        print("ended", ssc:getState())
    ]]

    local function start(script)
        dir:write("job.lua", script)
        return shell.start(shell.quote(program) .. " run job.lua", { cwd = dir.path })
    end

    for _, name in ipairs({ "INT", "TERM" }) do
        it("SIG" .. name .. " stops gracefully, and awaitTermination returns", function()
            local running = start(endless)
            assert.equal("ready", running:read_line())
            assert.equal("1", running:read_line())
            running:signal(name)
            local result = running:wait()
            assert.equal(0, result.code)
            assert.equal("", result.err)
            assert.matches("ended\tSTOPPED\n$", result.out)
        end)
    end

    it("a second one stops at once and names what was running", function()
        local running = start([[
            local moontide = require "moontide"
            local ssc = moontide.StreamingContext{ master = "local[1]", batch = 20, conf = { stopTimeout = 100 } }
            ssc:queueStream({ { 1 } }):map(function(x)
                print("running")
                io.stdout:flush()
                while x do end
            end):print()
            ssc:start()
            ssc:awaitTermination()
        ]])
        assert.equal("running", running:read_line())
        running:signal("INT")
        running:signal("TERM") -- another one: two of a kind may arrive as one
        local result = running:wait()
        assert.equal(1, result.code)
        assert.matches("stopped at once by a second signal", result.err, 1, true)
        assert.matches("job.lua:%d", result.err)
    end)

    it("break off an action that is waited for", function()
        local running = start([[
            local sc = require("moontide").Context("local[1]")
            sc:parallelize({ 1 }):map(function(x)
                print("running")
                io.stdout:flush()
                while x do end
            end):collect()
        ]])
        assert.equal("running", running:read_line())
        running:signal("INT")
        local result = running:wait()
        assert.equal(1, result.code)
        assert.matches("interrupted by a signal", result.err, 1, true)
        assert.matches("job.lua:2", result.err, 1, true)
    end)
end)
