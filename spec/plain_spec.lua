-- Records are plain data: a table with a metatable is refused, with the path to it, wherever a record is packed, written or shown;
-- marks of JSON libraries go along.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local tempdir = require "spec.support.tempdir"
local testing = require "moontide.testing"

local message = engine.message

describe("a record with a metatable", function()
    engine.watch(after_each)

    -- Functions of the script, as they would be in a job.
    local function in_field(x)
        local Address = { __name = "Address", __index = { street = function() end } }
        return { user = { name = x, address = setmetatable({ city = "Ys" }, Address) } }
    end
    local function itself(x)
        return setmetatable({ x }, { __index = {} })
    end

    local function expect(text, path)
        assert.matches(path .. " has a metatable", text, 1, true)
        assert.matches("setmetatable(t, nil)", text, 1, true)
    end

    local sinks = {
        collect = function(d) d:collect() end,
        take = function(d) d:take(1) end,
        first = function(d) d:first() end,
        reduce = function(d) d:reduce(function(a) return a end) end,
        glom = function(d) d:glom():collect() end,
        repartition = function(d) d:repartition(3):count() end,
        persist = function(d) d:persist():count() end,
        saveAsTextFile = function(d, dir) d:saveAsTextFile(dir:file("out")) end,
        saveAsObjectFile = function(d, dir) d:saveAsObjectFile(dir:file("objects")) end,
        pipe = function(d) d:pipe("cat"):collect() end,
        groupByKey = function(d) d:map(function(x) return 1, x end):groupByKey():count() end,
        reduceByKey = function(d) d:map(function(x) return 1, x end):reduceByKey(function(a) return a end):count() end,
        foldByKey = function(d) d:map(function(x) return 1, x end):foldByKey(0, function(_, b) return b end):count() end,
        ["as a key"] = function(d) d:map(function(x) return x, 1 end):groupByKey():count() end,
        join = function(d)
            local by = d:map(function(x) return 1, x end)
            by:join(by):count()
        end,
        distinct = function(d) d:distinct():count() end,
        sortBy = function(d) d:sortBy(function() return 1 end):collect() end,
        top = function(d) d:top(1, function() return 1 end) end,
        cartesian = function(d) d:cartesian(d):count() end,
        mapPartitions = function(d) d:mapPartitions(function(it) return it end):collect() end,
        zipWithIndex = function(d) d:zipWithIndex():collect() end,
    }
    for name, sink in pairs(sinks) do
        it("is refused with the path to it: " .. name, function()
            local sc = engine.context("local[2]")
            local dir = tempdir.new()
            finally(function() dir:remove() end)
            local text = message(function() sink(sc:parallelize({ 1, 2 }, 2):map(in_field), dir) end)
            local path = text:match("record(%S*) has a metatable")
            assert.matches("%.user%.address$", path or text)
            assert.matches("has a metatable (Address)", text, 1, true)
            expect(message(function() sink(sc:parallelize({ 1, 2 }, 2):map(itself), dir) end), "")
        end)
    end

    it("is refused where nothing packs it: count and foreach look at the record itself", function()
        local sc = engine.context("local[2]")
        local data = sc:parallelize({ 1, 2 }, 2):map(itself)
        expect(message(function() data:count() end), "count: record")
        expect(message(function() data:foreach(function() end) end), "foreach: record")
        expect(message(function() data:map(function(x) return 1, x end):count() end), "count: record")
        assert.equal(2, sc:parallelize({ 1, 2 }, 2):map(function() return moontide.array {} end):count())
        -- From function to function within a stage it is the script's own.
        assert.same({ "Ys", "Ys" }, sc:parallelize({ 1, 2 }, 2):map(in_field)
            :map(function(r) return r.user.address.city end):collect())
    end)

    it("is refused in what the driver makes: parallelize, queueStream, zero values, accumulators", function()
        local sc = engine.context("local[1]")
        expect(message(function() sc:parallelize({ { 1 }, in_field("x") }) end), "record 2: record.user.address")
        expect(message(function() sc:parallelizePairs({ { "k", in_field("x") } }) end), "record 1: record.user.address")
        expect(message(function() sc:parallelizePairs({ { itself(1), 1 } }) end), "record 1: record")
        expect(message(function() sc:parallelize({ 1 }):fold(itself(1), function(a) return a end) end), "record")
        expect(message(function() sc:accumulator({ a = { itself(1) } }, function(a) return a end) end), "record.a[1]")
        local sums = sc:accumulator({}, function(_, b) return b end)
        expect(message(function() sc:parallelize({ 1 }):foreach(function(x)
            sums:add(setmetatable({ x }, { __index = {} }))
        end) end), "record")
        local ssc = engine.streaming(1000)
        expect(message(function() ssc:queueStream({ { in_field("x") } }) end), "record 1: record.user.address")
    end)

    it("keeps its metatable in a broadcast, which is shipped as closures are", function()
        local sc = engine.context("local[1]")
        local point = sc:broadcast(setmetatable({ x = 1 }, { __index = { y = 2 } }))
        assert.same({ 3 }, sc:parallelize({ 0 }):map(function() return point:value().x + point:value().y end):collect())
    end)

    it("is refused as a state and in what a stream prints and saves", function()
        local builds = {
            function(s) return s:map(function(x) return 1, x end):updateStateByKey(function(new) return itself(#new) end) end,
            function(s)
                return s:map(function(x) return 1, x end):mapWithState(moontide.StateSpec.func(function(_, value, state)
                    state:update({ v = itself(value) })
                end))
            end,
            function(s) return s:map(in_field) end,
            function(s) return s:map(in_field):window("2s") end,
            function(s) return s:map(in_field):transform(function(rdd) return rdd:cache() end) end,
        }
        for _, build in ipairs(builds) do
            local result = testing.run { inputs = { { { 1, 2 } } }, build = function(_, stream) return build(stream) end }
            assert.matches("record%S* has a metatable", tostring(result.error))
        end
    end)

    it("that is a function, a coroutine or a file is named with its path too, and not written as text", function()
        local sc = engine.context("local[1]")
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local data = sc:parallelize({ 1 }, 1):map(function(x) return { f = { x, print } } end)
        assert.matches("a function can't be part of a record %(.-, record%.f%[2%]%); call it and keep its result",
            message(function() data:collect() end))
        assert.matches("a function can't be part of a record %(.-, record%.f%[2%]%); call it and keep its result",
            message(function() data:saveAsTextFile(dir:file("out")) end))
    end)
end)

describe("marks of JSON libraries", function()
    engine.watch(after_each)

    it("go along: an empty array stays one, and an empty object", function()
        local sc = engine.context("local[2]")
        local made = sc:parallelize({ 1, 2 }, 2):map(function(x)
            local array, object = { __jsontype = "array" }, { __jsontype = "object" }
            return {
                a = setmetatable({}, array), o = setmetatable({}, object), full = setmetatable({ x }, array),
                map = setmetatable({ k = x }, object), plain = {}, own = moontide.array {},
            }
        end)
        for _, data in ipairs { made, made:repartition(2), made:persist(), made:map(function(x) return "k", x end):groupByKey()
            :flatMap(function(_, values) return values end) } do
            for _, record in ipairs(data:collect()) do
                assert.equal("array", getmetatable(record.a).__jsontype)
                assert.equal("object", getmetatable(record.o).__jsontype)
                assert.equal("array", getmetatable(record.own).__jsontype)
                assert.is_nil(getmetatable(record.plain))
                assert.is_nil(getmetatable(record.full))
                assert.is_nil(getmetatable(record.map))
            end
        end
        assert.same({ "[[],{}]", "[[],{}]" }, sc:parallelize({ 1, 2 }, 1):map(function()
            return { setmetatable({}, { __jsontype = "array" }), setmetatable({}, { __jsontype = "object" }) }
        end):pipe("cat"):collect())
    end)

    it("are packed alike by C and by Lua, at random", function()
        local codec = require "moontide.wire.codec"
        local seed = os.time()
        local draw = require("moontide.base.random").new(seed, 0)
        local dkjson = require "dkjson"
        local function value(depth)
            local kind = math.floor(draw() * (depth > 4 and 5 or 8))
            if kind == 0 then return moontide.null end
            if kind == 1 then return dkjson.null end
            if kind == 2 then return draw() < 0.5 and math.floor(draw() * 300) - 150 or draw() end
            if kind == 3 then return draw() < 0.5 end
            if kind == 4 then return ("x"):rep(math.floor(draw() * 40)) end
            local t = {}
            for at = 1, math.floor(draw() * 5) do t[kind == 5 and at or "k" .. math.floor(draw() * 100)] = value(depth + 1) end
            local mark = math.floor(draw() * 4)
            if mark == 1 then return setmetatable(t, { __jsontype = "array" }) end
            if mark == 2 then return setmetatable(t, { __jsontype = "object" }) end
            return mark == 3 and moontide.array(t) or t
        end
        for _ = 1, 2000 do
            local v = { value(0) }
            local packed = codec.pack(v)
            assert("\x81\xc3" .. packed == codec.pack({ [true] = v }), "seed " .. seed) -- a boolean key is none of C's
            assert(packed == codec.pack(codec.unpack(packed)), "seed " .. seed)
        end
    end)

    it("with anything else beside them are none", function()
        local sc = engine.context("local[1]")
        for _, metatable in ipairs { { __jsontype = "array", __index = {} }, { __jsontype = "set" }, { __jsonorder = { "a" } },
            { __tojson = function() return "[]" end } } do
            assert.matches("record.x has a metatable", message(function()
                sc:parallelize({ { x = setmetatable({ 1 }, metatable) } })
            end), 1, true)
        end
    end)

    it("of OpenResty's cjson mark arrays", function()
        local sc = engine.context("local[1]")
        local before = package.loaded["cjson.safe"]
        finally(function() package.loaded["cjson.safe"] = before end)
        local empty_array_mt, array_mt = {}, {}
        package.loaded["cjson.safe"] = { empty_array_mt = empty_array_mt, array_mt = array_mt }
        local got = sc:parallelize({ { setmetatable({}, empty_array_mt), setmetatable({ 1 }, array_mt) } }):collect()[1]
        assert.equal("array", getmetatable(got[1]).__jsontype)
        assert.same({ 1 }, got[2])
    end)
end)
