-- Argument checks: the line they point to, and the names they propose.

local check = require "moontide.base.check"
local engine = require "spec.support.engine"

local function here(offset)
    return "check_spec.lua:" .. (debug.getinfo(2, "l").currentline + offset) .. ": "
end

describe("the position of an error", function()
    it("is the line of the script, however deep the check is", function()
        local expected = here(1)
        local message = engine.message(function() require("moontide").seconds("x") end)
        assert.matches(expected, message, 1, true)
    end)

    it("is the script's line through pcall, tail calls and coroutines", function()
        local seconds = require("moontide").seconds
        local expected = here(1)
        local _, message = pcall(seconds, "x")
        assert.matches(expected, message, 1, true)

        local line = here(2)
        local co = coroutine.create(function()
            seconds("x")
        end)
        assert.matches(line, select(2, coroutine.resume(co)), 1, true)
    end)

    it("is no line of a script that only lies in a folder of that name", function()
        local fn = assert(loadstring("return function(f) f('x') end", "@moontide/job.lua"))()
        local message = engine.message(fn, require("moontide").seconds)
        assert.matches("moontide/job.lua:1: bad argument", message, 1, true)
    end)

    it("is taken away from messages that the library raised inside", function()
        local root = debug.getinfo(check.fail, "S").source:sub(2):gsub("check%.lua$", "")
        assert.equal("text", check.without_position(root .. "codec.lua:12: text"))
        assert.equal("job.lua:12: text", check.without_position("job.lua:12: text"))
        assert.equal("text", check.without_position("text"))
    end)
end)

describe("check.nearest", function()
    local names = { "map", "mapValues", "flatMap", "filter", "reduceByKey", "groupByKey" }

    it("finds slips of the keyboard", function()
        assert.equal("reduceByKey", check.nearest("reduceByKeys", names))
        assert.equal("reduceByKey", check.nearest("redcueByKey", names))
        assert.equal("flatMap", check.nearest("flatmap", names))
        assert.equal("filter", check.nearest("fliter", names))
        assert.equal("groupByKey", check.nearest("groupByKy", names))
    end)

    it("proposes nothing when nothing is near", function()
        assert.is_nil(check.nearest("window", names))
        assert.equal("", check.suggestion("window", names))
    end)
end)

describe("argument checks", function()
    it("name the argument, the method, what was expected and what came", function()
        assert.error_matches(function() check.func(1, "map", nil) end,
            "bad argument #1 to 'map' %(function expected, got nil%)")
        assert.error_matches(function() check.text(2, "f", 5) end, "#2 to 'f' %(string expected, got number%)")
        assert.error_matches(function() check.text(2, "f", "", true) end, "the text is empty")
        assert.error_matches(function() check.boolean(1, "f", "yes") end, "boolean expected, got string")
    end)

    it("check numbers of partitions", function()
        assert.equal(3, check.partitions(1, "f", 3))
        assert.equal(2, check.partitions(1, "f", nil, 2))
        for _, bad in ipairs({ 0, -1, 1.5, 0 / 0, math.huge, 1e9 }) do
            assert.error_matches(function() check.partitions(1, "repartition", bad) end,
                "bad argument #1 to 'repartition' %(number of partitions: ")
        end
        assert.error_matches(function() check.partitions(1, "f", "2") end, "whole number expected, got string")
        assert.error_matches(function() check.partitions(1, "f", nil) end, "whole number expected, got nil")
    end)

    it("tell arrays from other tables", function()
        assert.is_nil(check.not_array({}))
        assert.is_nil(check.not_array({ 1, 2 }))
        assert.is_nil(check.not_array(require("moontide").array({})))
        assert.matches("the key 'a'", check.not_array({ 1, a = 2 }), 1, true)
        assert.matches("the key 1.5", check.not_array({ [1.5] = 1 }), 1, true)
        assert.matches("got string", check.not_array("x"), 1, true)
    end)

    it("refuse unknown options with the nearest valid one", function()
        assert.error_matches(function() check.options("run", { bacth = 1 }, { "batch", "inputs" }) end,
            "run has no option 'bacth'; did you mean 'batch'%? %(options: batch, inputs%)")
        assert.error_matches(function() check.options("run", { 1 }, { "batch" }) end, "takes named options")
    end)
end)

describe("a handle", function()
    engine.watch(after_each)

    it("names the nearest method when it has none of that name", function()
        local rdd = engine.context():parallelize({ 1 })
        assert.error_matches(function() rdd:reduceByKeys() end,
            "RDD has no method 'reduceByKeys'; did you mean 'reduceByKey'%?")
        assert.error_matches(function() rdd:frobnicate() end, "RDD has no method 'frobnicate'$")
        local stream = engine.streaming():queueStream({})
        local line = here(1)
        local message = engine.message(function() stream:reduceByKeys() end)
        assert.matches(line, message, 1, true)
        assert.matches("DStream has no method 'reduceByKeys'; did you mean 'reduceByKey'?", message, 1, true)
    end)

    it("says what comes later or is called otherwise", function()
        local stream = engine.streaming():queueStream({})
        assert.error_matches(function() engine.streaming():rawSocketStream("localhost", 1) end,
            "no method 'rawSocketStream' in this release: other sources come later")
        assert.error_matches(function() stream:pprint() end, "use print")
    end)

    it("explains a dot instead of a colon", function()
        local rdd = engine.context():parallelize({ 1 })
        assert.error_matches(function() rdd.map(function() end) end,
            "'map' was called on a function instead of a stream or dataset: write x:map%(…%) with a colon")
        assert.error_matches(function() rdd.collect() end, "'collect' was called on nothing instead of a RDD")
    end)

    it("cannot be changed", function()
        local rdd = engine.context():parallelize({ 1 })
        assert.error_matches(function() rdd.foo = 1 end, "an RDD cannot be changed %(field 'foo'%)")
    end)
end)
