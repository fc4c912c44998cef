-- Estimates π by throwing darts, on all cores.
--
-- Shows: parallelize with a number of partitions, map with a computation of some length, reduce.
--
--     moontide run examples/pi.lua [rounds]
--
-- Prints the estimate. Each round has a seed of its own, so the result does not depend on which worker ran it.

local moontide = require "moontide"

local rounds = tonumber(arg[1] or 8)
local darts = 100000

local seeds = {}
for round = 1, rounds do
    seeds[round] = round
end

local sc = moontide.Context("local[2]", "Pi")
local hits = sc:parallelize(seeds, rounds)
    :map(function(seed)
        math.randomseed(seed)
        local inside = 0
        for _ = 1, darts do
            local x, y = math.random(), math.random()
            if x * x + y * y <= 1 then
                inside = inside + 1
            end
        end
        return inside
    end)
    :reduce(function(a, b) return a + b end)
sc:stop()

print(string.format("%d darts: π is about %.2f", rounds * darts, 4 * hits / (rounds * darts)))

--[[ prints:
800000 darts: π is about 3.14
]]
