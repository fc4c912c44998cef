-- Constructors of functions that were shipped: their tables begin with the room that the source asks for.

local closure = require "moontide.closure"
local unpack_closures = require "moontide.closure.unpack"

local function shipped(fn) return assert(unpack_closures.load(closure.pack(fn, "map", "f"))) end

-- Bytes that a thousand results take. All fields are nil, so that nothing but room is measured.
local function size_of(fn)
    jit.off(fn, true)
    fn()
    local results = {} -- luacheck: ignore 241 (keeps them alive)
    for at = 1, 1000 do results[at] = false end
    collectgarbage()
    collectgarbage("stop")
    local before = collectgarbage("count")
    for at = 1, 1000 do results[at] = fn() end
    local after = collectgarbage("count")
    collectgarbage("restart")
    return math.floor((after - before) * 1024 / 1000 / 8) * 8
end

local functions = {
    ["of one field"] = function(v) return { user = v } end,
    ["of many fields"] = function(v) return { a = v, b = v, c = v, d = v, e = v, f = v, g = v, h = v, i = v } end,
    ["of fields some of which are constants"] = function(v) return { user = v, n = 1, name = v, kind = "x", at = v } end,
    ["of fields computed by calls and conditions"] = function(v)
        return { a = tostring(v) == "x" and v or nil, b = select(2, v, v), c = v and #v, d = (function() return v end)() }
    end,
    ["within constructors"] = function(v)
        return { inner = { x = v, y = v, z = v }, list = { { p = v, q = v, r = v } }, last = v }
    end,
    ["in functions within functions"] = function(v)
        local function outer()
            return (function() return { a = v, b = v, c = v, d = v } end)()
        end
        return outer()
    end,
    ["with a list and fields"] = function(v) return { 1, 2, a = v, b = v, c = v } end,
}

describe("a shipped constructor", function()
    for kind, fn in pairs(functions) do
        it(kind .. " makes tables of the size that the source asks for", function()
            local before = size_of(fn)
            assert.is_true(before > 40)
            assert.equal(before, size_of(shipped(fn)))
        end)

        it(kind .. " gives what the source gives", function()
            local again = shipped(fn)
            assert.same(fn("text"), again("text"))
            assert.same(fn(nil), again(nil))
            local seen = {}
            for key in pairs(shipped(function(v) return { a = v, b = v, n = 1 } end)(nil)) do seen[#seen + 1] = key end
            assert.same({ "n" }, seen)
        end)
    end

    it("is the same package as before when it is shipped again", function()
        local fn = functions["of many fields"]
        assert.equal(string.dump(fn, true), string.dump(shipped(fn), true))
    end)
end)
