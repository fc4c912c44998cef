-- Settings: their list, and reading them.

local moontide = require "moontide"
local conf = require "moontide.base.conf"
local engine = require "spec.support.engine"

local function reason(key, value, from_text)
    local result, message = conf.read(key, value, from_text)
    assert.is_nil(result)
    return message
end

describe("settings", function()
    it("are read from Lua values", function()
        assert.equal("skip", conf.read("onError", "skip"))
        assert.equal(4, conf.read("defaultParallelism", 4))
        assert.equal(5000, conf.read("gracefulStopTimeout", "5s"))
        assert.equal(5000, conf.read("gracefulStopTimeout", 5000))
        assert.equal(65536, conf.read("socket.maxLine", "64kb"))
        assert.equal(100, conf.read("socket.maxLine", 100))
        assert.is_false(conf.read("stopContextByDefault", false))
    end)

    it("are read from the command line", function()
        assert.same({ "defaultParallelism", 4 }, { conf.parse("defaultParallelism=4") })
        assert.same({ "stopContextByDefault", false }, { conf.parse("stopContextByDefault=false") })
        assert.same({ "gracefulStopTimeout", 1500 }, { conf.parse("gracefulStopTimeout=1.5s") })
        assert.same({ "gracefulStopTimeout", 300 }, { conf.parse("gracefulStopTimeout=300") })
        assert.same({ "socket.memory", 2097152 }, { conf.parse("socket.memory=2mb") })
        assert.same({ nil, "'x' is not of the form key=value" }, { conf.parse("x") })
    end)

    it("are refused with the nearest name", function()
        assert.equal("unknown setting 'onEror'; did you mean 'onError'? (moontide help conf lists them)",
            reason("onEror", "stop"))
        assert.matches("did you mean 'gracefulStopTimeout'?", reason("spark.streaming.gracefulStopTimeout", 1), 1, true)
        assert.matches("unknown setting '1'", reason(1, 1), 1, true)
    end)

    it("are refused with what would be right", function()
        assert.matches("setting 'onError': one of stop, skip expected, got 'stopp'; did you mean 'stop'?",
            reason("onError", "stopp"), 1, true)
        assert.matches("got number", reason("onError", 1), 1, true)
        assert.matches("whole number expected, got string", reason("defaultParallelism", "x", true), 1, true)
        assert.matches("a number from 1 to", reason("defaultParallelism", 0), 1, true)
        assert.matches("unknown unit 'x'", reason("gracefulStopTimeout", "1x"), 1, true)
        assert.matches("at least 1 expected, got 0 ms", reason("gracefulStopTimeout", 0), 1, true)
        assert.matches("size expected", reason("socket.maxLine", "big"), 1, true)
        assert.matches("65536 to", reason("socket.memory", "1kb"), 1, true)
        assert.matches("true or false expected, got 'yes'", reason("stopContextByDefault", "yes", true), 1, true)
        assert.matches("text expected, got number", reason("appName", 3), 1, true)
    end)

    it("have a default where nothing is computed", function()
        assert.equal("stop", conf.get({}, "onError"))
        assert.equal("skip", conf.get({ onError = "skip" }, "onError"))
        assert.is_false(conf.get({ stopContextByDefault = false }, "stopContextByDefault"))
        assert.is_nil(conf.get({}, "gracefulStopTimeout"))
    end)

    it("are all described", function()
        local text = conf.describe()
        for _, option in ipairs(conf.options) do
            assert.matches(option.key, text, 1, true)
            assert.matches(option.reason, text, 1, true)
        end
    end)
end)

-- One value as text, as a Lua value, what it means, and one that is refused: for every setting there is.
local EXAMPLES = {
    master = { "local[3]", "local[3]", "local[3]", 3 },
    appName = { "count", "count", "count", "" },
    defaultParallelism = { "7", 7, 7, 0 },
    onError = { "skip", "skip", "skip", "retry" },
    ["task.maxFailures"] = { "4", 4, 4, 0 },
    ["task.timeout"] = { "5s", "5s", 5000, -1 },
    ["listener.maxEvents"] = { "500", 500, 500, 0 },
    concurrentJobs = { "2", 2, 2, 0.5 },
    gracefulStopTimeout = { "1min", "1min", 60000, -1 },
    stopTimeout = { "0", 0, 0, "soon" },
    stopContextByDefault = { "false", false, false, "no" },
    logLevel = { "debug", "debug", "debug", "loud" },
    ["save.sync"] = { "false", false, false, "fast" },
    ["random.seed"] = { "42", 42, 42, -1 },
    ["memory.limit"] = { "64mb", 67108864, 67108864, 0 },
    ["spill.directory"] = { "/tmp", "/tmp", "/tmp", "" },
    ["socket.maxLine"] = { "64kb", 65536, 65536, 0 },
    ["socket.reconnect"] = { "250ms", 250, 250, 0 },
    ["socket.memory"] = { "1mb", 1048576, 1048576, 1 },
    ["fileStream.minRemember"] = { "5min", "5min", 300000, 0 },
    ["fileStream.maxFiles"] = { "1000", 1000, 1000, 0 },
    ["fileStream.maxBytes"] = { "64mb", 67108864, 67108864, 0 },
}

describe("each setting", function()
    local function read_file(path)
        local file = assert(io.open(path, "rb"))
        local text = file:read("*a")
        file:close()
        return text
    end

    local sources = {}
    for path in io.popen("find lua -name '*.lua'"):lines() do
        if not path:find("moontide/base/conf.lua", 1, true) then
            sources[#sources + 1] = read_file(path)
        end
    end
    sources = table.concat(sources, "\n")

    for _, option in ipairs(conf.options) do
        it(option.key .. " is read, refused, documented and used", function()
            local example = EXAMPLES[option.key]
            assert(example, "spec/conf_spec.lua has no example of the setting " .. option.key)
            assert.equal(example[3], conf.read(option.key, example[1], true))
            assert.equal(example[3], conf.read(option.key, example[2]))
            assert.matches("setting '" .. option.key .. "'", reason(option.key, example[4]), 1, true)
            local settings = conf.from_environment({ [conf.variables[option.key]] = example[1] })
            assert.same({ [option.key] = example[3] }, settings)
            assert.matches("^%u[^\n]+%.$", option.reason)
            assert(option.type ~= "integer" or option.unit, "what does its number count?")
            assert(option.default ~= nil or option.shown, "what is its default?")
            assert.matches(option.key, conf.describe(), 1, true)
            assert.matches(conf.variables[option.key], conf.describe(), 1, true)
            assert(sources:find('"' .. option.key .. '"', 1, true) or sources:find("settings." .. option.key, 1, true),
                "nothing uses it")
        end)
    end
end)

describe("environment variables", function()
    it("have names of their own", function()
        assert.equal("MOONTIDE_TASK_MAX_FAILURES", conf.variables["task.maxFailures"])
        assert.equal("MOONTIDE_ON_ERROR", conf.variables.onError)
        local seen = {}
        for _, name in pairs(conf.variables) do
            assert.is_nil(seen[name])
            seen[name] = true
        end
    end)

    it("are settings", function()
        assert.same({ onError = "skip", ["task.maxFailures"] = 3 }, conf.from_environment({
            MOONTIDE_ON_ERROR = "skip", MOONTIDE_TASK_MAX_FAILURES = "3", MOONTIDE_SOCKET_MEMORY = "", HOME = "/",
            MOONTIDE_BIN = "x",
        }))
    end)

    it("are told of and ignored when they are no setting, as those of a service called moontide", function()
        local service = {
            MOONTIDE_PORT = "tcp://10.0.0.1:7077", MOONTIDE_SERVICE_HOST = "10.0.0.1", MOONTIDE_SERVICE_PORT = "7077",
            MOONTIDE_PORT_7077_TCP = "tcp://10.0.0.1:7077", MOONTIDE_PORT_7077_TCP_ADDR = "10.0.0.1",
            MOONTIDE_PORT_7077_TCP_PROTO = "tcp", MOONTIDE_NAME = "/a/moontide", MOONTIDE_ENV_PATH = "/bin",
            MOONTIDE_MASTER_SERVICE_HOST = "10.0.0.2", MOONTIDE_MASTER_PORT = "tcp://10.0.0.2:1", MOONTIDE_ON_ERROR = "skip",
        }
        local settings, unknown = conf.from_environment(service)
        assert.same({ onError = "skip" }, settings)
        assert.equal(10, #unknown)
        local shell, tempdir = require "spec.support.shell", require "spec.support.tempdir"
        local dir = tempdir.new()
        local script = dir:write("job.lua", [[
            for _ = 1, 2 do
                local sc = require("moontide").Context("local[1]")
                print(sc:parallelize({ 1, 2 }):sum())
                sc:stop()
            end
        ]])
        local result = shell.moontide({ "run", script }, { env = service })
        assert.equal(0, result.code)
        assert.equal("3\n3\n", result.out)
        local told = "WARN  settings: the environment has MOONTIDE_ENV_PATH, MOONTIDE_MASTER_PORT, MOONTIDE_MASTER_SERVICE_HOST, "
            .. "MOONTIDE_NAME, MOONTIDE_PORT and 5 more, which no setting has the name of (moontide help conf lists them): ignored"
        local from, to = result.err:find(told, 1, true)
        assert(from, result.err)
        assert.is_nil(result.err:find(told, to, true)) -- once
        dir:remove()
    end)

    it("are refused when they miss a setting's name by a slip", function()
        for _, name in ipairs {
            "MOONTIDE_ONERROR", "MOONTIDE_ON_EROR", "MOONTIDE_SOCKETMAXLINE", "MOONTIDE_SOCKET_MAXLINE", "MOONTIDE_MASTERS",
            "MOONTIDE_MEMORY_LIMITS", "MOONTIDE_LOGLEVEL", "MOONTIDE_DEFAULT_PARALELISM", "MOONTIDE_TASK_MAXFAILURES",
        } do
            local settings, message = conf.from_environment({ [name] = "1" })
            assert.is_nil(settings)
            assert.matches("unknown environment variable " .. name .. "; did you mean 'MOONTIDE_", message, 1, true)
        end
    end)

    it("are refused with the nearest name when they are no setting", function()
        local settings, message = conf.from_environment({ MOONTIDE_ON_ERROR = "skip", MOONTIDE_ONERROR = "stop" })
        assert.is_nil(settings)
        assert.equal("unknown environment variable MOONTIDE_ONERROR; did you mean 'MOONTIDE_ON_ERROR'? "
            .. "(moontide help conf lists them)", message)
    end)

    it("are refused when their value is wrong", function()
        local settings, message = conf.from_environment({ MOONTIDE_ON_ERROR = "never" })
        assert.is_nil(settings)
        assert.matches("environment variable MOONTIDE_ON_ERROR: setting 'onError': one of stop, skip", message, 1, true)
    end)

    it("stand behind the script, which stands behind the command line", function()
        local shell, tempdir = require "spec.support.shell", require "spec.support.tempdir"
        local dir = tempdir.new()
        local script = dir:write("job.lua", [[
            local sc = require("moontide").Context{ master = "local[1]", conf = ... and { defaultParallelism = 5 } or nil }
            print(sc:defaultParallelism())
        ]])
        local function run(arguments, variables)
            local name, value = variables:match("^(.-)=(.*)$")
            local result = shell.moontide({ "run", unpack(arguments) }, { env = { [name] = value } })
            return result.out .. result.err
        end
        assert.equal("3\n", run({ script }, "MOONTIDE_DEFAULT_PARALLELISM=3"))
        assert.equal("5\n", run({ script, "x" }, "MOONTIDE_DEFAULT_PARALLELISM=3"))
        assert.equal("7\n", run({ "--conf", "defaultParallelism=7", script, "x" }, "MOONTIDE_DEFAULT_PARALLELISM=3"))
        assert.matches("job.lua:1: Context: unknown environment variable MOONTIDE_DEFAULT_PARALELISM; "
            .. "did you mean 'MOONTIDE_DEFAULT_PARALLELISM'?", run({ script }, "MOONTIDE_DEFAULT_PARALELISM=3"), 1, true)
        assert.matches("environment variable MOONTIDE_DEFAULT_PARALLELISM: .*whole number expected",
            run({ script }, "MOONTIDE_DEFAULT_PARALLELISM=many"))
        dir:remove()
    end)
end)

-- The other settings are tried where what they are about is: the list of the specs below.
local TRIED_IN = {
    master = "context_spec", appName = "context_spec", defaultParallelism = "context_spec", onError = "errors_spec",
    ["task.maxFailures"] = "shared_spec", ["task.timeout"] = "pace_spec", concurrentJobs = "active_spec", gracefulStopTimeout = "errors_spec",
    stopTimeout = "errors_spec", stopContextByDefault = "streaming_spec", logLevel = "conf_spec",
    ["listener.maxEvents"] = "listener_spec", ["socket.maxLine"] = "bad_input_spec", ["socket.reconnect"] = "streaming_spec", ["socket.memory"] = "conf_spec",
    ["fileStream.minRemember"] = "file_stream_spec", ["fileStream.maxFiles"] = "file_stream_spec", ["fileStream.maxBytes"] = "file_stream_spec",
    ["memory.limit"] = "storage_spec", ["save.sync"] = "save_spec", ["random.seed"] = "random_numbers_spec", ["spill.directory"] = "storage_spec",
}

describe("what a setting does", function()
    local shell, tempdir = require "spec.support.shell", require "spec.support.tempdir"

    it("is tried for each of them", function()
        for _, option in ipairs(conf.options) do
            local name = TRIED_IN[option.key]
            assert(name, "spec/conf_spec.lua does not know which spec tries the setting " .. option.key)
            local file = assert(io.open("spec/" .. name .. ".lua", "rb"))
            assert(file:read("*a"):find(option.key, 1, true), name .. " does not use " .. option.key)
            file:close()
        end
    end)

    it("logLevel: less important messages are left out, from any of the three places", function()
        local dir = tempdir.new()
        local plain = dir:write("plain.lua", [[
            local sc = require("moontide").Context("local[1]")
            require("moontide.core").log("info", "job", "an info")
            require("moontide.core").log("error", "job", "an error")
            sc:stop()
        ]])
        local with_conf = dir:write("conf.lua",
            dir:read("plain.lua"):gsub('%("local%[1%]"%)', '{ master = "local[1]", conf = { logLevel = "info" } }'))
        local function told(arguments, environment)
            local words = { "run", unpack(arguments) }
            return (shell.moontide(words, { env = environment }).err:gsub("%d[^\n]- %u+ +", ""))
        end
        assert.equal("job: an error\n", told({ plain }))
        assert.equal("job: an info\njob: an error\n", told({ with_conf }))
        assert.equal("job: an info\njob: an error\n", told({ "--log-level", "info", plain }))
        assert.equal("job: an info\njob: an error\n", told({ plain }, { MOONTIDE_LOG_LEVEL = "info" }))
        assert.equal("", told({ "--conf", "logLevel=off", with_conf }, { MOONTIDE_LOG_LEVEL = "info" }))
        dir:remove()
    end)

    it("socket.memory: what has come and waits for a batch stays within it", function()
        local LIMIT, LINE, LINES = 65536, ("x"):rep(99), 8000
        local dir = tempdir.new()
        local path = dir:write("text", (LINE .. "\n"):rep(LINES))
        local server = assert(require("moontide.lineserver").start({ file = path, clients = 1 }))
        local sc = moontide.Context({ master = "local[1]", conf = { ["socket.memory"] = LIMIT } })
        local ssc = moontide.StreamingContext(sc, 20)
        local total, most = 0, 0
        ssc:socketTextStream("127.0.0.1", server.port):count():foreachRDD(function(rdd)
            local count = rdd:first()
            total, most = total + count, math.max(most, count)
            if total == LINES then
                ssc:stop(false)
            end
        end)
        ssc:start()
        ssc:awaitTermination()
        sc:stop()
        server:stop()
        dir:remove()
        assert.equal(LINES, total)
        -- A read that began below the limit is finished: some more than it, and far less than the 800 kB there are.
        assert(most * 100 < 4 * LIMIT, most .. " lines of 100 bytes in a batch")
    end)

    it("socket.memory: one limit for all sources of a context, the lines' places in it included", function()
        local LIMIT, LINES, SOURCES = 262144, 20000, 4
        local dir = tempdir.new()
        local path = dir:write("text", (("x"):rep(7) .. "\n"):rep(LINES)) -- 8 bytes, and 8 more for its place
        local sc = moontide.Context({ master = "local[1]", conf = { ["socket.memory"] = LIMIT } })
        local ssc = moontide.StreamingContext(sc, 20)
        local servers, streams, total, most = {}, {}, 0, 0
        for index = 1, SOURCES do
            servers[index] = assert(require("moontide.lineserver").start({ file = path, clients = 1 }))
            streams[index] = ssc:socketTextStream("127.0.0.1", servers[index].port)
        end
        ssc:union(streams):count():foreachRDD(function(rdd)
            local count = rdd:first()
            total, most = total + count, math.max(most, count)
            if total == LINES * SOURCES then
                ssc:stop(false)
            end
        end)
        ssc:start()
        ssc:awaitTermination()
        sc:stop()
        for _, server in ipairs(servers) do
            server:stop()
        end
        dir:remove()
        assert.equal(LINES * SOURCES, total)
        -- A limit each would be 1 MB, and 65536 lines of 16 bytes; each may finish a read that began below it.
        assert(most * 16 < 2 * LIMIT, most .. " lines in a batch")
    end)

    it("socket.memory follows the batches unless it is set, and help says so", function()
        assert.matches("socket.memory +size, default what two batches took lately, at least 64mb, at most a quarter of memory.limit",
            conf.describe())
        assert.is_nil(conf.get({}, "socket.memory"))
    end)
end)

describe("settings of a context", function()
    engine.watch(after_each)

    it("are used", function()
        local sc = engine.context("local[1]", { defaultParallelism = 3 })
        assert.equal(3, sc:defaultParallelism())
        assert.equal(3, sc:parallelize({ 1, 2, 3, 4 }):getNumPartitions())
    end)

    it("are refused at the caller's line", function()
        assert.matches("conf_spec.lua:%d+: Context: unknown setting 'onEror'; did you mean 'onError'%?",
            engine.message(function() moontide.Context({ conf = { onEror = "skip" } }) end))
        assert.error_matches(function() moontide.Context({ conf = 3 }) end, "conf must be a table of settings, got number")
    end)
end)
