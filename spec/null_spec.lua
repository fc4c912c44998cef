-- One explicit null: moontide.null is cjson.null, the light userdata NULL; dkjson.null becomes it.

local engine = require "spec.support.engine"
local moontide = require "moontide"
local cjson = require "cjson"
local dkjson = require "dkjson"
local testing = require "moontide.testing"
local tempdir = require "spec.support.tempdir"

local null = moontide.null

describe("an explicit null", function()
    engine.watch(after_each)

    it("is that of cjson, equal to itself only, and says null", function()
        assert.is_true(null == cjson.null)
        assert.is_true(null ~= nil and null ~= false and null ~= 0)
        assert.is_true(null and true)
        assert.equal("userdata", type(null))
        assert.equal("null", tostring(null))
        assert.equal("null", require("moontide.base.text_form").value({ null }):match("%[(.*)%]"))
        assert.is_false(pcall(function() null.x = 1 end))
    end)

    it("is null to both JSON libraries, in the driver and in workers", function()
        assert.equal("[null]", cjson.encode({ null }))
        assert.equal("[null]", dkjson.encode({ null }))
        local sc = engine.context("local[2]")
        local texts = sc:parallelize({ 1, 2 }, 2):map(function(x) return { x, moontide.null } end):repartition(2):map(function(x)
            return require("cjson").encode(x), require("dkjson").encode(x)
        end):collect()
        table.sort(texts, function(a, b) return a[1] < b[1] end)
        assert.same({ { "[1,null]", "[1,null]" }, { "[2,null]", "[2,null]" } }, texts)
    end)

    it("leaves alone what a host has set for its light userdata, and other light userdata is no null", function()
        if (os.getenv("MOONTIDE_SANITIZE") or "") ~= "" then
            return pending("a stock luajit cannot load an instrumented module")
        end
        local script = [[
            local cjson = require "cjson"
            local host = { __tostring = function() return "the host's" end }
            debug.setmetatable(cjson.null, host)
            local moontide = require "moontide"
            assert(debug.getmetatable(moontide.null) == host)
            assert(tostring(moontide.null) == "the host's")
            assert(require("dkjson").encode({ moontide.null }) == "[null]")
            local sc = moontide.Context("local[1]", "host")
            assert(sc:parallelize({ moontide.null }):collect()[1] == cjson.null)
            assert(require("moontide.base.preview")(moontide.null) == "null")
            assert(not pcall(function() sc:parallelize({ require("moontide.base.iterate").packer({}, {}, {}) }) end))
            sc:stop()
            print "fine"
        ]]
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local program = ("LUA_PATH='lua/?.lua;lua/?/init.lua;;' LUA_CPATH='build/lib/?.so;;' luajit %s 2>&1"):format(
            dir:write("host.lua", script))
        local pipe = assert(io.popen(program))
        assert.equal("fine\n", pipe:read("*a"))
        pipe:close()
    end)

    it("of either library is the same one in records, keys, states and shared variables", function()
        local sc = engine.context("local[2]")
        for _, other in ipairs { null, cjson.null, dkjson.null } do
            assert.is_true(sc:parallelize({ other }):collect()[1] == null)
            assert.is_true(sc:parallelize({ { 1, other, { x = other } } }):repartition(2):collect()[1][3].x == null)
            local pairs_of_null = sc:parallelizePairs({ { "k", other }, { other, 1 }, { null, 2 } })
            assert.is_true(pairs_of_null:lookup("k")[1] == null)
            assert.equal(2, #pairs_of_null:lookup(null))
            assert.equal(2, #pairs_of_null:lookup(other))
            assert.equal(2, #pairs_of_null:groupByKey():collect())
            assert.equal(1, sc:parallelize({ other, null, cjson.null, dkjson.null }, 3):distinct():count())
            assert.equal(4, sc:parallelize({ other, null, cjson.null, dkjson.null }, 3):countByValue()[null])
            local value = sc:broadcast({ n = other, other })
            assert.same({ true }, sc:parallelize({ 1 }):map(function()
                return value:value().n == moontide.null and value:value()[1] == moontide.null
            end):collect())
            local last = sc:accumulator(null, function(_, b) return b end)
            sc:parallelize({ 1 }):foreach(function() last:add({ require("dkjson").null }) end)
            assert.is_true(last:value()[1] == null)
        end
        assert.same({ null, false, 1, "a" }, sc:parallelize({ "a", 1, null, false }, 2):sortBy(function(x) return x end):collect())
    end)

    it("is made in workers by either library, and travels as an upvalue", function()
        local sc = engine.context("local[1]")
        local own, theirs, inside = null, cjson.null, { list = { cjson.null } }
        assert.same({ true }, sc:parallelize({ 1 }):map(function()
            return own == theirs and inside.list[1] == own and own == moontide.null
        end):collect())
        local made = sc:parallelize({ 1 }):map(function() return { require("cjson").null, require("dkjson").null } end)
        for _, data in ipairs { made, made:repartition(2), made:persist() } do
            local record = data:collect()[1]
            assert.is_true(record[1] == null and record[2] == null)
            assert.same({ true }, data:repartition(1):map(function(r)
                return r[1] == moontide.null and r[2] == moontide.null and r[2] ~= require("dkjson").null
            end):collect())
        end
    end)

    it("may be a state", function()
        local result = testing.run {
            inputs = { { { "a" }, { "b" }, {} } },
            build = function(_, stream)
                return stream:map(function(x) return x, 1 end):updateStateByKey(function(new, state)
                    if state == moontide.null then return "was null" end
                    return state or require("dkjson").null
                end)
            end,
        }
        local function at(batch)
            local map = {}
            for _, pair in ipairs(result.batches[batch].records) do map[pair[1]] = pair[2] end
            return map
        end
        assert.same({ a = null }, at(1))
        assert.same({ a = "was null", b = null }, at(2))
        assert.same({ a = "was null", b = "was null" }, at(3))
        result = testing.run {
            inputs = { { { "a" }, { "a" } } },
            build = function(_, stream)
                return stream:map(function(x) return x, 1 end):mapWithState(moontide.StateSpec.func(function(_, _, state)
                    local before = state:exists() and state:get()
                    state:update(require("cjson").null)
                    return before
                end))
            end,
        }
        assert.same({ false }, result.batches[1].records)
        assert.same({ null }, result.batches[2].records)
    end)

    it("comes back from an object file, and is a NullWritable in Hadoop's", function()
        local sc = engine.context("local[1]")
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        sc:parallelize({ dkjson.null, cjson.null, { dkjson.null } }, 1):saveAsObjectFile(dir:file("objects"))
        local back = sc:objectFile(dir:file("objects")):collect()
        assert.is_true(back[1] == null and back[2] == null and back[3][1] == null)
        sc:parallelize({ dkjson.null, { a = null } }, 1):saveAsTextFile(dir:file("text"))
        local lines = {}
        for line in io.lines(dir:file("text/part-00000")) do lines[#lines + 1] = line end
        assert.same({ "null", "{a=null}" }, lines)
    end)
end)
