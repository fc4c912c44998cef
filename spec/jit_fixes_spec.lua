-- Loops that LuaJIT's betas compile to something else: with Moontide loaded they give what is written there.

local engine = require "spec.support.engine"

-- A table made in the loop is rehashed between a store and the load of the same field.
local function rehashed()
    local result
    for i = 6, 60 do
        local at = i % 2 + 6
        local t = { 1, 2, 3, 4, 5, 6, 7, 8 }
        t[at] = "stored"
        t[at + 1] = "stored"
        t[1], t[2], t[3], t[4], t[5], t[6] = nil, nil, nil, nil, nil, nil
        t["1000"] = 1000
        t[1], t[2], t[3], t[4] = nil, nil, nil, nil
        result = t[at + 1]
    end
    return result
end

-- The slot of a loop-carried table holds values of another type each time round.
local function alternating()
    local wrong, slot = 0, {}
    for i = 1, 400 do
        local value = slot[1]
        if i > 1 and value ~= (i % 2 == 0) then
            wrong = wrong + 1
        end
        slot = i % 2 ~= 0 and { true } or { false }
    end
    return wrong
end

describe("compiled loops with table constructors", function()
    engine.watch(after_each)

    it("load what was stored, in the driver", function()
        assert.equal("stored", rehashed())
        assert.equal(0, alternating())
    end)

    it("load what was stored, in a worker", function()
        local sc = engine.context("local[1]")
        assert.equal("stored", sc:parallelize({ 1 }):map(function() return rehashed() end):first())
        assert.equal(0, sc:parallelize({ 1 }):map(function() return alternating() end):first())
    end)
end)
