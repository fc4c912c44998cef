-- pairs and next of moontide.iterate, and that worker states have them. The library's own lose elements in some compiled
-- loops; which ones depends on how traces fall, so the same walk is made under many settings of the JIT.

local shell = require "spec.support.shell"
local tempdir = require "spec.support.tempdir"
local iterate = require "moontide.iterate"

-- A recursive walk that sorts the keys it found, as writing a map does; prints how often an element was missing.
local WALK = [[
local iterate = require "moontide.iterate"
local pairs = arg[1] == "ours" and iterate.pairs or pairs
local missing = 0
local function put(value, depth)
    if type(value) ~= "table" or depth > 100 then return end
    local keys, n = {}, 0
    for k in pairs(value) do
        n = n + 1
        keys[n] = k
    end
    if n ~= 2 then missing = missing + 1 end
    if n > 1 then table.sort(keys, function(a, b) return tostring(a) < tostring(b) end) end
    for at = 1, n do put(value[keys[at] ], depth + 1) end
end
for i = 1, 5 do
    local record = { i }
    record.again = record
    put(record, 0)
end
print(missing)
]]

describe("moontide.iterate", function()
    it("walks like the library's", function()
        local t = { 10, 20, x = 1, y = 2 }
        local seen = {}
        for k, v in iterate.pairs(t) do seen[k] = v end
        assert.same(t, seen)
        seen = {}
        for k, v in iterate.next, t do seen[k] = v end
        assert.same(t, seen)
        assert.is_nil(iterate.next({}))
        assert.has_error(function() iterate.pairs(nil) end)
        assert.has_error(function() iterate.next({}, "no such key") end)
    end)

    it("loses nothing, however traces fall", function()
        local dir = tempdir.new()
        local script = dir:write("walk.lua", WALK)
        for _, hot in ipairs { 1, 2, 3, 5, 8, 13, 20, 30, 40, 50, 56, 60, 70, 80 } do
            local result = shell.run(("luajit -Ohotloop=%d %s ours"):format(hot, shell.quote(script)))
            assert.equal("0\n", result.out, result.err)
        end
        dir:remove()
    end)

    it("is what functions of the script use in workers", function()
        local moontide = require "moontide"
        local sc = moontide.Context("local[1]", "iterate")
        local sources = sc:parallelize({ 1 }):map(function()
            return debug.getinfo(pairs, "S").source .. " " .. debug.getinfo(next, "S").source
        end):collect()
        sc:stop()
        assert.matches("iterate.lua .*iterate.lua$", sources[1])
    end)
end)
