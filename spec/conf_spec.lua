-- Settings: their list, and reading them.

local moontide = require "moontide"
local conf = require "moontide.conf"
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
