-- Bad input, end to end: each script runs in the program, and the message, the exit code and what was printed
-- before are read. Messages have to name the script's line and the operator.

local line_server = require "spec.support.line_server"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

local dir

-- Runs a script called job.lua. `HERE` in its text marks the line that messages have to name.
local function run(text, options)
    options = options or {}
    dir:write("job.lua", text)
    local words = { "run" }
    for _, word in ipairs(options.options or {}) do
        words[#words + 1] = word
    end
    words[#words + 1] = "job.lua"
    for _, word in ipairs(options.arguments or {}) do
        words[#words + 1] = word
    end
    local program = shell.run("realpath " .. shell.quote(shell.program)).out:gsub("%s+$", "")
    return shell.run(shell.quote(program) .. " " .. shell.command(words), { cwd = dir.path, timeout = 60 })
end

local function line_of(text, marker)
    local number = 0
    for line in (text .. "\n"):gmatch("([^\n]*)\n") do
        number = number + 1
        if line:find(marker, 1, true) then
            return number
        end
    end
    error("no line with " .. marker)
end

local function contains(text, part)
    assert(text:find(part, 1, true), string.format("'%s' is not in:\n%s", part, text))
end

-- The script fails: exit code 1, a message with all of `parts`, and the marked line.
local function fails(text, parts, options)
    local result = run(text, options)
    for _, part in ipairs(parts) do
        contains(result.err, part)
    end
    if text:find("HERE", 1, true) then
        contains(result.err, "job.lua:" .. line_of(text, "HERE"))
    end
    local first_line = result.err:match("^[^\n]*")
    assert(not first_line:find("moontide/[%w_/]+%.lua:%d+: "), "the message begins in the library:\n" .. result.err)
    assert.equal(1, result.code)
    return result
end

-- Two good batches, one with the record "bad", one that must not run any more.
local function stream_job(body, master)
    local text = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[2]", "job", 20)
local input = ssc:queueStream({ { 1, 2 }, { 3 }, { "bad" }, { 4 } })
]] .. body .. [[

output:foreachRDD(function(rdd)
    for _, record in ipairs(rdd:collect()) do
        print(type(record) == "table" and record[1] or record)
    end
end)
ssc:start()
ssc:awaitTermination()
]]
    if master then
        text = text:gsub("local%[2%]", master)
    end
    return text
end

local good_batches = "1\n2\n3\n"

before_each(function()
    dir = tempdir.new()
end)

after_each(function()
    dir:remove()
end)

describe("a closure that", function()
    it("throws: its line, its operator, the batch, the record", function()
        local result = fails(stream_job [[
local output = input:map(function(x)
    if x == "bad" then error("cannot use this") end -- HERE
    return x
end)]], { "cannot use this", "map (job.lua:4)", "batch ", 'record: "bad"' })
        assert.equal(good_batches, result.out)
    end)

    it("throws in an operation on datasets of foreachRDD", function()
        local text = [[
local sc = require("moontide").Context("local[1]", "job")
print(sc:parallelize({ 1, 2, 3 }, 3):map(function(x) return x * 10 end):filter(function(x)
    return x.field > 1 -- HERE
end):count())]]
        fails(text, { "attempt to index", "filter (job.lua:2)", "record: 1" })
    end)

    it("returns nil in map", function()
        local result = fails(stream_job [[
local output = input:map(function(x) if x ~= "bad" then return x end end) -- HERE
]], { "map", "nil", 'record: "bad"' })
        assert.equal(good_batches, result.out)
    end)

    it("returns a pair from some calls and a single value from others", function()
        local result = fails(stream_job([[
local output = input:map(function(x) -- HERE
    if x == "bad" then return x end
    return x, 1
end)]]), { "map", "pair" })
        assert.equal(good_batches, result.out)
    end)

    it("captures a file", function()
        fails([[
local sc = require("moontide").Context("local[1]", "job")
local log = io.tmpfile()
local rdd = sc:parallelize({ 1 })
rdd:map(function(x) log:write(x) return x end) -- HERE
]], { "map", "'log'", "open file" })
    end)

    it("captures a coroutine", function()
        fails([[
local sc = require("moontide").Context("local[1]", "job")
local generator = coroutine.create(function() end)
sc:parallelize({ 1 }):filter(function() return coroutine.resume(generator) end) -- HERE
]], { "filter", "generator", "coroutine" })
    end)

    it("captures the context", function()
        fails([[
local sc = require("moontide").Context("local[1]", "job")
sc:parallelize({ 1 }):map(function(x) return sc:parallelize({ x }):count() end) -- HERE
]], { "map", "sc", "Context" })
    end)

    it("captures a stream", function()
        fails([[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "job", 1000)
local numbers = ssc:queueStream {}
numbers:map(function(x) return x, numbers end) -- HERE
]], { "map", "numbers", "DStream" })
    end)

    it("runs for ever: a graceful stop is bounded, and names its line", function()
        local text = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "job", 20)
ssc:queueStream({ { 1 } }):map(function(x) -- HERE
    while x do end
    return x
end):foreachRDD(function(rdd) rdd:collect() end)
ssc:start()
ssc:awaitTerminationOrTimeout(300)
local stopped, err = ssc:stop(true, true)
print(stopped, (tostring(err):gsub("\n", " ")))
]]
        local options = { "--conf", "gracefulStopTimeout=300ms", "--conf", "stopTimeout=100ms" }
        local result = run(text, { options = options })
        contains(result.out .. result.err, "job.lua:" .. line_of(text, "HERE"))
        contains(result.out .. result.err, "graceful stop")
        assert.equal(1, result.code)
    end)
end)

describe("data that cannot be shipped:", function()
    it("a table with a cycle", function()
        fails([[
local sc = require("moontide").Context("local[1]", "job")
local output = sc:parallelize({ 1 }):map(function(x) -- HERE
    local record = { x }
    record.again = record
    return record
end):collect()]], { "map", "cycle" })
    end)

    it("a function inside of a record", function()
        fails([[
local sc = require("moontide").Context("local[1]", "job")
sc:parallelize({ 1 }):map(function(x) -- HERE
    return { x, function() end }
end):collect()]], { "map", "function" })
    end)

    it("a function in the array of parallelize", function()
        fails([[
local sc = require("moontide").Context("local[1]", "job")
sc:parallelize({ 1, print }) -- HERE
]], { "parallelize", "function" })
    end)

    it("a key that is NaN", function()
        fails([[
local sc = require("moontide").Context("local[2]", "job")
local counts = sc:parallelize({ 0 }):map(function(x) return x / x, 1 end):reduceByKey(function(a, b) return a + b end)
counts:collect() -- HERE
]], { "NaN" })
    end)

    it("a key that is nil", function()
        fails([[
local sc = require("moontide").Context("local[2]", "job")
sc:parallelize({ "word" }):map(function(x) return x:match("%d"), 1 end):groupByKey():collect() -- HERE
]], { "map", "nil" })
    end)
end)

describe("the order of calls:", function()
    local head = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "job", 20)
local stream = ssc:queueStream { { 1 } }
]]

    it("start twice is told and changes nothing", function()
        local result = run(head .. [[
local batches = 0
stream:foreachRDD(function(rdd) batches = batches + rdd:count() end)
ssc:start()
ssc:start()
while batches < 1 and not ssc:awaitTerminationOrTimeout(10) do end
ssc:stop()
print(batches)]])
        contains(result.err, "started already")
        assert.equal("1\n", result.out)
        assert.equal(0, result.code)
    end)

    it("start without an output", function()
        fails(head .. "ssc:start() -- HERE\n", { "no output operation", "print()" })
    end)

    it("an operator after start", function()
        fails(head .. "stream:print()\nssc:start()\nstream:map(print) -- HERE\n", { "map", "start" })
    end)

    it("an output after start", function()
        fails(head .. "stream:print()\nssc:start()\nstream:foreachRDD(print) -- HERE\n", { "foreachRDD", "start" })
    end)

    it("start after stop", function()
        fails(head .. "stream:print()\nssc:stop()\nssc:start() -- HERE\n", { "start", "stop" })
    end)

    it("a stream of another context in union", function()
        fails(head .. [[
local other = moontide.StreamingContext("local[1]", "other", 20):queueStream { { 2 } }
stream:union(other) -- HERE
]], { "union", "another StreamingContext" })
    end)
end)

describe("a bad argument:", function()
    local function context(arguments)
        return 'local moontide = require "moontide"\nmoontide.StreamingContext(' .. arguments .. ") -- HERE\n"
    end

    it("master", function()
        fails(context '"locl[2]", "job", 1000', { "locl[2]", "local[2]" })
        fails(context '"local[0]", "job", 1000', { "local[0]" })
    end)

    it("duration", function()
        fails(context '"local[1]", "job", -1', { "negative" })
        fails(context '"local[1]", "job", 0.5', { "whole number of milliseconds" })
        fails(context '"local[1]", "job", "1 sek"', { "sek", "unit" })
        fails(context '"local[1]", "job"', { "StreamingContext" })
    end)

    it("number of partitions", function()
        local text = 'local sc = require("moontide").Context("local[1]")\n'
        fails(text .. "sc:parallelize({ 1 }, 0) -- HERE", { "parallelize", "partitions" })
        fails(text .. "sc:parallelize({ 1 }):repartition(2.5) -- HERE", { "repartition", "partitions" })
        fails(text .. 'sc:parallelize({ 1 }):repartition("2") -- HERE', { "repartition", "partitions" })
    end)

    it("a function that is none", function()
        fails('local sc = require("moontide").Context("local[1]")\nsc:parallelize({ 1 }):map(5) -- HERE',
            { "map", "function expected, got number" })
    end)

    it("an option, with the nearest valid name", function()
        fails('require("moontide").Context{ master = "local[1]", appname = "job" } -- HERE', { "appname", "appName" })
        fails('require("moontide").Context{ conf = { onErorr = "skip" } } -- HERE', { "onErorr", "onError" })
    end)

    it("a method, with the nearest valid name", function()
        fails('local sc = require("moontide").Context("local[1]")\nsc:parallelize({ 1 }):flatmap(print) -- HERE',
            { "flatmap", "flatMap" })
    end)

    it("a textFile that does not exist", function()
        fails('local sc = require("moontide").Context("local[1]")\nsc:textFile("missing.txt") -- HERE',
            { "textFile", "missing.txt" })
    end)
end)

describe("the command line:", function()
    it("a script that does not exist", function()
        local result = shell.moontide({ "run", "missing/job.lua" })
        contains(result.err, "missing/job.lua")
        assert.equal(1, result.code)
    end)

    it("a script that does not compile", function()
        fails("local x = = 1 -- HERE", { "does not compile", "'='" })
    end)

    it("wrong usage: exit code 2 and what would be right", function()
        local cases = {
            { { "runn", "job.lua" }, "run" },
            { { "run" }, "script" },
            { { "run", "--mster", "local", "job.lua" }, "--master" },
            { { "run", "--master", "remote", "job.lua" }, "local" },
            { { "run", "--conf", "onErorr=skip", "job.lua" }, "onError" },
            { { "run", "--conf", "onError=explode", "job.lua" }, "stop, skip" },
        }
        for _, case in ipairs(cases) do
            local result = shell.moontide(case[1])
            contains(result.err, case[2])
            assert.equal("", result.out)
            assert.equal(2, result.code)
        end
    end)
end)

describe("a socket source", function()
    -- A job that prints the length of each line it gets, until it has `lines` of them, or until the main script has
    -- waited for a last one that says "end".
    local job = [[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[1]", "job", 20)
local ended = false
ssc:socketTextStream("127.0.0.1", tonumber(arg[1])):foreachRDD(function(rdd)
    for _, line in ipairs(rdd:collect()) do
        if line == "end" then
            ended = true
        else
            print(#line, (line:gsub("[^%w ]", "?"):sub(1, 40)))
        end
    end
end)
ssc:start()
io.stderr:write("started\n")
while not ended and not ssc:awaitTerminationOrTimeout(10) do end
ssc:stop()
]]

    local function start(port, options)
        local program = shell.run("realpath " .. shell.quote(shell.program)).out:gsub("%s+$", "")
        local words = { program, "run", "--conf", "socket.reconnect=50ms" }
        for _, word in ipairs(options or {}) do
            words[#words + 1] = word
        end
        words[#words + 1] = dir:write("job.lua", job)
        words[#words + 1] = port
        return shell.start(shell.command(words))
    end

    it("that nobody listens on is told with host and port, and tried again", function()
        local port = line_server.closed_port()
        -- Its stderr goes into a pipe here, so that the spec can wait for the message before it begins to listen.
        local program = shell.command({ shell.program, "run", "--conf", "socket.reconnect=50ms",
            dir:write("job.lua", job), port })
        local running = shell.start("sh -c " .. shell.quote("exec 2>&1; exec " .. program))
        local line
        repeat
            line = running:read_line()
        until not line or line:find("127.0.0.1:" .. port, 1, true)
        assert(line and line:lower():find("refused"), "no message about the refused connection: " .. tostring(line))
        local server = line_server.listen(port)
        finally(function() server:close() end)
        server:accept():send("hello\nend\n")
        local result = running:wait()
        contains(result.out, "5\thello\n")
        assert.equal(0, result.code)
    end)

    it("that closes in the middle of a line: that is a line too, and the connection is made again", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local running = start(server.port)
        local client = server:accept()
        client:send("one\ntw")
        client:close()
        server:accept():send("three\nend\n")
        local result = running:wait()
        assert.equal("3\tone\n2\ttw\n5\tthree\n", result.out)
        assert.equal(0, result.code)
    end)

    it("with a line over the limit: told with the limit, and the lines around it are there", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local running = start(server.port, { "--conf", "socket.maxLine=100b" })
        local lines = { "before", ("x"):rep(100), ("y"):rep(101), ("z"):rep(5000), "after", "end" }
        server:accept():send(table.concat(lines, "\n") .. "\n")
        local result = running:wait()
        assert.equal("6\tbefore\n100\t" .. ("x"):rep(40) .. "\n5\tafter\n", result.out)
        contains(result.err, "101 bytes")
        contains(result.err, "the limit is 100")
        assert.equal(0, result.code)
    end)

    it("with binary bytes, NULs and all line ends", function()
        local server = line_server.listen()
        finally(function() server:close() end)
        local running = start(server.port)
        server:accept():send("a\0b\n\255\254\1\r\n\rplain\rend\n")
        local result = running:wait()
        assert.equal("3\ta?b\n3\t???\n0\t\n5\tplain\n", result.out)
        assert.equal(0, result.code)
    end)
end)

describe("a failing batch", function()
    it("with onError=skip is told, and the batches around it are complete", function()
        local result = run([[
local moontide = require "moontide"
local ssc = moontide.StreamingContext("local[2]", "job", 20)
local seen = 0
ssc:queueStream({ { 1, 2 }, { "bad" }, { 3 } }):map(function(x)
    return x + 1 -- HERE
end):foreachRDD(function(rdd)
    for _, record in ipairs(rdd:collect()) do
        print(record)
        seen = seen + 1
    end
end)
ssc:start()
while seen < 3 and not ssc:awaitTerminationOrTimeout(10) do end
ssc:stop()]], { options = { "--conf", "onError=skip" } })
        assert.equal("2\n3\n4\n", result.out)
        contains(result.err, "job.lua:5")
        assert.equal(0, result.code)
    end)
end)
