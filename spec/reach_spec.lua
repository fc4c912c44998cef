-- Which functions of a script can reach what all tasks of a worker share (lua/moontide/closure/reach.lua). The others are not looked
-- after when their task has ended, so a function that is not known to be harmless must count as one that reaches it.

local closure = require "moontide.closure"
local engine = require "spec.support.engine"
local unpack_closures = require "moontide.closure.unpack"

local insert, library, global_of = table.insert, string, getmetatable
local suffix = "!"

local function reaches(fn)
    local session = unpack_closures.session()
    assert(session:load(closure.pack(fn, "map", "f")))
    return session.reaches
end

describe("what all tasks of a worker share is reached", function()
    engine.watch(after_each)

    it("by no function of plain values, of methods of strings and of well-known functions", function()
        for _, fn in ipairs {
            function(x) return x + 1 end,
            function(line) return line:gmatch("%S+") end,
            function(x) return x .. suffix, #tostring(x) end,
            function(x)
                local list = {}
                insert(list, x)
                return (function() return select(1, unpack(list)) end)()
            end,
        } do
            assert.is_false(reaches(fn))
        end
    end)

    it("by one that names a library, the global table or what gives access to them, in a nested function too", function()
        -- luacheck: push ignore 113 122
        for at, fn in ipairs {
            function() string.format = nil end,
            function() return library.format("%d", 1) end,
            function() local t = table t.insert = nil end,
            function() return _G end,
            function() return package.loaded end,
            function() return getmetatable("").__index end,
            function() return global_of("").__index end,
            function() return function() return require "string" end end,
            function() return debug.getregistry() end,
            function() return getfenv(0) end,
            function() return named_nowhere end,
        } do
            assert.is_true(reaches(fn), "function " .. at)
        end
        -- luacheck: pop
    end)

    it("by a finalizer, whenever it is called", function()
        local sc = engine.context("local[1]")
        sc:parallelize({ 1 }, 1):foreach(function()
            getmetatable(newproxy(true)).__gc = function() string.upper = nil end -- luacheck: ignore 122
        end)
        sc:parallelize({ 1 }, 1):foreach(function() collectgarbage() end)
        assert.same({ "A" }, sc:parallelize({ "a" }, 1):map(function(x) return x:upper() end):collect())
    end)
end)
