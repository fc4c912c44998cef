-- Errors that a script catches: text wherever text is wanted, fields for programs. And messages with the cure, for what goes wrong in
-- workers only.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local testing = require "moontide.testing"

-- Functions of the script that workers reach through _G.
_G.helper_of_this_spec = function(x) return x + 1 end
_G.limit_of_this_spec = 7

describe("an error that a script catches", function()
    local sc, rdd, words
    after_each(function() rdd, words = nil, nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        rdd = sc:parallelize({ 1, 2, 3, 4 }, 2)
        words = sc:parallelizePairs({ { "a", 1 }, { "b", 2 } }, 1)
    end)

    local function caught(build)
        local ok, err = pcall(build)
        assert.is_false(ok)
        return err
    end

    it("is text wherever text is wanted", function()
        local err = caught(function() rdd:map(function() error("oops") end):collect() end)
        assert.equal("oops", err:match("%d+: (%a+)"))
        assert.is_number(err:find("oops", 1, true))
        assert.equal(tostring(err):upper(), err:upper())
        assert.equal(#tostring(err), err:len())
        assert.equal("<" .. tostring(err) .. ">", "<" .. err .. ">")
        assert.equal(tostring(err), ("%s"):format(err))
        local path = os.tmpname()
        local file = assert(io.open(path, "w"))
        assert.is_truthy(file:write("told: ", err, "\n", 7, "\n"))
        file:close()
        local output = io.output()
        io.output(path .. "2")
        io.write(err)
        io.close()
        io.output(output)
        local function content(name)
            local made = assert(io.open(name)):read("*a")
            os.remove(name)
            return made
        end
        assert.equal("told: " .. err .. "\n7\n", content(path))
        assert.equal(tostring(err), content(path .. "2"))
        assert.is_nil(err.nothing)
    end)

    it("has operator, file, line, partition and record", function()
        local err = caught(function() rdd:filter(function(x) return x.y.z end):collect() end)
        assert.equal("filter", err.operator)
        assert.matches("error_values_spec.lua$", err.file)
        assert.is_number(err.line)
        assert.is_true(err.partition == 0 or err.partition == 1)
        assert.is_true(err.record == "1" or err.record == "3")
        assert.is_nil(err.key)
        assert.is_nil(err.time)
        assert.equal("ECLOSURE", err.code)
    end)

    it("has the key of pairs, and of what merges their values", function()
        assert.equal('"a"', caught(function() words:map(function() error("x") end):collect() end).key)
        assert.equal('"b"', caught(function()
            words:filter(function(k) return k == "b" end):mapValues(function() error("x") end):collect()
        end).key)
        local err = caught(function() words:union(words):reduceByKey(function() error("x") end):collect() end)
        assert.equal('"a"', err.key)
        assert.equal("reduceByKey", err.operator)
        assert.equal("7", caught(function()
            sc:parallelizePairs({ { 7, {} } }):foreach(function() error("x") end)
        end).key)
    end)

    it("names batch time and key where windows and states fail", function()
        local function sum(a, b) return a + b end
        local function minus(a, b) return a - b end
        local function fail() error("bad") end
        local function one(v) return { v } end
        local function list_sum(a, b) return { a[1] + b[1] } end
        local inputs = { { { { "a", 1 } }, { { "a", 1 } }, { { "a", 3 } }, { { "a", 1 } } } }
        for name, build in pairs {
            inverse = function(s) return s:reduceByKeyAndWindow(sum, fail, 2000, 1000) end,
            inverse_of_tables = function(s) return s:mapValues(one):reduceByKeyAndWindow(list_sum, fail, 2000, 1000) end,
            merge = function(s) return s:reduceByKeyAndWindow(fail, minus, 2000, 1000) end,
            merge_of_tables = function(s) return s:mapValues(one):reduceByKeyAndWindow(fail, minus, 2000, 1000) end,
            window = function(s) return s:reduceByKeyAndWindow(fail, 2000, 1000) end,
            filter = function(s) return s:reduceByKeyAndWindow(sum, minus, 2000, 1000, nil, fail) end,
            update = function(s) return s:updateStateByKey(fail) end,
            map_with_state = function(s) return s:mapWithState(moontide.StateSpec.func(fail)) end,
        } do
            local err = testing.run {
                inputs = inputs, pairs = { true }, partitions = 1, build = function(_, s) return build(s) end,
            }.error
            assert.equal('"a"', err.key, name .. ": " .. tostring(err))
            assert.is_true(err.time >= 1000 and err.time % 1000 == 0, name)
            assert.is_number(err.line, name)
        end
    end)

    it("has batch time and output where a function of the driver failed", function()
        local err = testing.run {
            inputs = { { { 1 }, { 2 } } },
            build = function(_, s)
                s:foreachRDD(function(_, time) if time == 2000 then error("no") end end)
                return s
            end,
        }.error
        assert.equal("foreachRDD", err.operator)
        assert.equal(2000, err.time)
    end)

    it("says so when nothing was raised", function()
        assert.matches("^%(no message%)\n  in map ", tostring(caught(function() rdd:map(function() error() end):collect() end)))
        local err = testing.run { inputs = { { { 1 } } }, build = function(_, s) s:foreachRDD(function() error() end) return s end }.error
        assert.matches("^%(no message%)\n  in foreachRDD ", tostring(err))
    end)

    it("shows NULs and cuts what nobody reads", function()
        assert.matches("a\\0b\n  in map", tostring(caught(function() rdd:map(function() error("a\0b") end):collect() end)), 1, true)
        local err = caught(function() rdd:map(function() error(("x"):rep(2 ^ 22)) end):collect() end)
        assert.is_true(#tostring(err) < 10000)
        assert.matches("xxx… %(41943%d+ bytes in all%)\n  in map ", tostring(err))
        local driver = testing.run {
            inputs = { { { 1 } } }, build = function(_, s)
                s:foreachRDD(function() error("\0" .. ("y"):rep(2 ^ 22)) end)
                return s
            end,
        }.error
        assert.is_true(#tostring(driver) < 10000)
        assert.matches("\\0yyy", tostring(driver), 1, true)
    end)
end)

describe("what goes wrong in workers only", function()
    local sc, rdd
    after_each(function() rdd = nil end)
    engine.watch(after_each)

    before_each(function()
        sc = engine.context()
        rdd = sc:parallelize({ 1, 2 }, 2)
    end)

    local function fails(pattern, f)
        local text = engine.message(f)
        assert.matches("^[^\n]*error_values_spec.lua:%d+: " .. pattern, text)
        assert.matches("\n  in %a+ %([^\n]*error_values_spec.lua:%d+%)", text)
    end

    it("is told of a context in a function", function()
        fails("moontide.Context belongs to the driver", function()
            rdd:map(function() return moontide.Context("local[1]") and 1 end):collect()
        end)
        fails("moontide.StreamingContext belongs to the driver", function()
            rdd:map(function() return require("moontide").StreamingContext("local", "x", 1) and 1 end):collect()
        end)
    end)

    it("is told of C functions that only the script has declared", function()
        local ffi = require "ffi"
        ffi.cdef "int getppid(void);"
        fails("missing declaration for symbol 'getppid' %(ffi.cdef of the script does not reach the workers: declare getppid in the "
            .. "function", function() rdd:map(function() return ffi.C.getppid() end):collect() end)
        assert.equal(2, rdd:map(function()
            pcall(require("ffi").cdef, "int getppid(void);")
            return require("ffi").C.getppid()
        end):count())
    end)

    it("is told of a yield outside of a coroutine, wherever the function stands", function()
        local function waits(x)
            coroutine.yield(x)
            return x
        end
        for _, build in ipairs {
            function() return rdd:map(waits) end,
            function() return rdd:map(waits):mapPartitions(function(it) return it end) end,
            function() return rdd:mapPartitions(function(it) coroutine.yield() return it end) end,
            function() return rdd:mapPartitions(function(it) return function() return waits(it()) end end) end,
            function() return rdd:map(waits):glom() end,
            function() return rdd:map(function(x) return x, x end):reduceByKey(waits, 1):union(
                rdd:map(function(x) return x, coroutine.yield() end)) end,
        } do
            fails("coroutine.yield was called outside of a coroutine of the function's own", function() build():collect() end)
        end
        assert.same({ 1, 1, 2, 2 }, rdd:flatMap(function(x)
            return coroutine.wrap(function() coroutine.yield(x) coroutine.yield(x) end)
        end):mapPartitions(function(it) return it end):collect())
        assert.same({ 2, 4 }, rdd:map(function(x)
            local co = coroutine.create(function(a) local b = coroutine.yield(a) return a + b end)
            local _, first = coroutine.resume(co, x)
            return (select(2, coroutine.resume(co, first)))
        end):collect())
    end)

    it("does not happen to globals of the script that are found through _G", function()
        assert.same({ 2, 3 }, rdd:map(function(x) return _G.helper_of_this_spec(x) end):collect())
        assert.same({ 2, 3 }, rdd:map(function(x) return _G["helper_of_this_spec"](x) end):collect())
        assert.same({ 7, 7 }, rdd:map(function() return _G.limit_of_this_spec or 0 end):collect())
        assert.same({ "1", "2" }, rdd:map(function(x) return _G.tostring(x) end):collect())
        assert.same({ 7, 7 }, rdd:map(function()
            local function inner() return _G.limit_of_this_spec end
            return inner()
        end):collect())
        fails("attempt to call global 'not_there' %(a nil value%) %(the script had no global not_there when", function()
            rdd:map(function() return not_there() end):collect() -- luacheck: globals not_there
        end)
    end)

    it("is told of a broadcast variable that is taken for its value", function()
        local list = sc:broadcast({ 10, 20, name = "n" })
        fails("a broadcast variable has no field 1: its value is what value%(%) returns, b:value%(%)%[1%]", function()
            rdd:map(function() return list[1] end):collect()
        end)
        fails("a broadcast variable has no field name: .*b:value%(%).name", function()
            rdd:map(function() return list.name end):collect()
        end)
        fails("a broadcast variable cannot be changed %(b%[1%] = …%)", function()
            rdd:map(function(x) list[1] = x return x end):collect()
        end)
        fails("write b:value%(…%) with a colon", function() rdd:map(function() return list.value() end):collect() end)
        fails("attempt to index field 'value' %(a function value%) %(of a broadcast variable, value is a method", function()
            rdd:map(function() return list.value[1] end):collect()
        end)
        assert.same({ 10, 10 }, rdd:map(function() return list:value()[1] end):collect())
        local sum = sc:accumulator(0)
        fails("write accumulator:add%(…%) with a colon", function() rdd:foreach(function(x) sum.add(x) end) end)
        list:destroy()
    end)
end)
