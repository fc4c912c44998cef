-- pairs, next and what else walks tables of the script. LuaJIT's own lose elements in some compiled loops, depending on how
-- traces fall, so the same work is done under many settings of the JIT, in processes of their own.

local iterate = require "moontide.base.iterate"
local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"

-- Packs small tables again and again and walks them in loops; prints how often something was missing.
local WORK = [[
require("jit.opt").start("hotloop=" .. arg[1], "hotexit=" .. arg[2])
local codec = require "moontide.wire.codec"
local iterate = require "moontide.base.iterate"
local pairs, next = iterate.pairs, iterate.next
local missing = 0
local want, want_map = codec.pack({ 1, 2 }), codec.pack({ a = 1, b = { 1, 2, 3 } })
local function count(t)
    local n, m = 0, 0
    for _ in pairs(t) do n = n + 1 end
    for _ in next, t do m = m + 1 end
    return n == m and n
end
for i = 1, 1000 do
    if i % 7 == 0 and codec.pack({ a = 1, b = { 1, 2, 3 } }) ~= want_map then missing = missing + 1 end
    if codec.pack({ 1, 2 }) ~= want then missing = missing + 1 end
    if count({ 1, 2, x = 3 }) ~= 3 then missing = missing + 1 end
end
for i = 1, 5 do
    local cycle = { i }
    cycle.again = cycle
    if pcall(codec.pack, cycle) then missing = missing + 1 end
end
print(missing)
]]

describe("moontide.base.iterate", function()
    it("walks like the library's", function()
        local t = { 10, 20, x = 1, y = 2 }
        local seen = {}
        for k, v in iterate.pairs(t) do seen[k] = v end
        assert.same(t, seen)
        seen = {}
        for k, v in iterate.next, t do seen[k] = v end
        assert.same(t, seen)
        assert.is_nil((iterate.next({})))
        assert.has_error(function() iterate.pairs(nil) end)
        assert.has_error(function() iterate.next({}, "no such key") end)
        assert.has_error(function() iterate.next(1) end)
    end)

    it("knows arrays", function()
        assert.equal(3, iterate.array_length({ 1, 2, 3 }))
        assert.equal(3, iterate.array_length({ nil, 2, 3 }))
        assert.equal(0, iterate.array_length({}))
        for _, map in ipairs { { x = 1 }, { 1, x = 1 }, { [0] = 1 }, { [1.5] = 1 }, { [1000] = 1 }, { [-1] = 1 } } do
            assert.is_nil((iterate.array_length(map)))
        end
    end)

    it("gives the keys", function()
        local keys, n = iterate.keys({ 5, 6, x = 1 })
        table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
        assert.same({ 1, 2, "x" }, keys)
        assert.equal(3, n)
    end)

    it("loses nothing, however traces fall", function()
        local dir = tempdir.new()
        finally(function() dir:remove() end)
        local script = dir:write("work.lua", WORK)
        for hot = 1, 60, 3 do
            local result = shell.moontide({ "run", script, tostring(hot), tostring(hot % 11 + 1) })
            assert.equal("0\n", result.out, result.err)
        end
    end)

    it("is what functions of the script use in workers", function()
        local moontide = require "moontide"
        local sc = moontide.Context("local[1]", "iterate")
        local found = sc:parallelize({ 1 }):map(function()
            local walk = require "moontide.walk"
            local iterator = pairs({})
            return next == walk.next and iterator == walk.next
        end):collect()
        sc:stop()
        assert.same({ true }, found)
    end)
end)
